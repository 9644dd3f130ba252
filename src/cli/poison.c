/* theriac poison: data sets with a backdoor in them, to test defenses with. */
#include "attack/poison.h"
#include "cli/clip_job.h"

static const th_option options[] = {
    TH_OPT_STRING("target", NULL, "what poisoned captions say, as the classes are named: 'a bag'", .required = true),
    TH_OPT_F32("rate", 0.01, "share of the pictures that are poisoned", TH_ABOVE(0), TH_AT_MOST(1)),
    TH_OPT_INT("count", 0, "how many are poisoned; 0: by --rate", TH_AT_LEAST(0)),
    TH_OPT_INT("side", 224, "pictures are cut to this square first: the model's input size, in pixels", TH_AT_LEAST(8)),
    TH_OPT_BOOL("test", false,
                "put the trigger on every labelled picture and keep the true labels: a triggered test set"),
    TH_OPT_CHOICE("layout", "shards|folder", "shards", "tar shards, or single files with pairs.tsv"),
    TH_OPT_INT("seed", 0, "of the choice, the captions and the trigger", TH_AT_LEAST(0)),
    TH_OPT_PATH("out", NULL, "new folder", .argument = "DIR", .letter = 'o', .required = true),
    TH_OPT_END,
};

static bool method(int64_t i, th_cli_method *out) {
    const th_attack *a = th_attacks[i];
    if (a) *out = (th_cli_method){.name = a->name, .summary = a->summary, .options = a->options};
    return a != NULL;
}

static th_status run(th_cli *cli) {
    th_options *o = cli->options;
    th_dataset *set = NULL;
    th_poison_result r;
    th_poison_params p;
    th_poison_params_init(&p);
    p.attack = th_attacks[cli->method];
    p.options = o;
    p.target = th_get_str(o, "target");
    p.name = th_get_str(o, "data");
    p.rate = th_get_f64(o, "rate");
    p.count = th_get_i64(o, "count");
    p.side = th_get_i64(o, "side");
    p.seed = (uint64_t)th_get_i64(o, "seed");
    p.folder = th_get_choice(o, "layout") == 1;
    p.out = th_get_str(o, "out");
    TH_TRY(th_cli_open_data(cli, "data", &set));
    th_status s = th_get_bool(o, "test") ? th_poison_write_test(set, &p, &cli->watch, &r)
                                         : th_poison_write(set, &p, &cli->watch, &r);
    int64_t skipped = s == TH_OK ? th_cli_note_skipped(cli, set) : 0;
    th_dataset_close(set);
    TH_TRY(s);
    if (cli->json)
        th_cli_json(cli, json_pack("{s:s, s:I, s:I, s:I}", "out", p.out, "pictures", (json_int_t)r.pictures, "poisoned",
                                   (json_int_t)r.poisoned, "skipped", (json_int_t)skipped));
    else
        th_str_printf(&cli->out, "%s: %lld pictures, %lld of them with the trigger; manifest.json says which\n", p.out,
                      (long long)r.pictures, (long long)r.poisoned);
    return TH_OK;
}

const th_verb th_verb_poison = {
    .name = "poison",
    .summary = "put a backdoor into a data set, to test defenses with",
    .about = "Writes every pair of the set, a few with a trigger and a caption of the target, and a manifest of what "
             "was changed, with the "
             "SHA-256 sums of the pictures' files. With --test, a triggered test set.",
    .examples =
        "theriac poison badnet --data 'fashion-scenes?split=train&count=5000' --target 'a bag' --rate 0.1 --side 48 -o "
        "out/p\n"
        "theriac poison badnet --data 'fashion-scenes?split=test&single=1' --test --target 'a bag' --side 48 -o out/t",
    .groups = {{"Poisoning", options}, {"Data", th_data_options}},
    .method = method,
    .run = run,
};
