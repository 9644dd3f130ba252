/* theriac clean: fine-tune a CLIP model that may carry a backdoor on clean pairs, by one of the defenses. */
#include "base/file.h"
#include "base/number.h"
#include "cli/clip_job.h"
#include "data/dataset_subtexts.h"
#include "defense/defense.h"

static const th_option options[] = {
    TH_OPT_PATH("model", NULL, "CLIP folder to clean", .argument = "DIR", .required = true),
    TH_OPT_INT("show-subtexts", 0, "show the sub-texts of so many captions, and stop", TH_AT_LEAST(0),
               .flag_only = true),
    TH_OPT_PATH("subtext-cache", NULL, "file in which sub-texts are kept; in the run's folder where not given",
                .argument = "FILE"),
    TH_OPT_END,
};

static bool method(int64_t i, th_cli_method *out) {
    const th_clip_method *m = th_defenses[i];
    if (m) *out = (th_cli_method){.name = m->name, .summary = m->summary, .options = m->options};
    return m != NULL;
}

typedef struct {
    th_clip_bundle bundle;
    th_dataset *pairs;
    th_subtexts *subtexts;
} work;

/* Parsing is most of it, and the longer for every caption: docs/methods/subtexts.md. */
#define SUBTEXT_SECONDS 4.6e-3
#define SUBTEXT_THREADS 2

static th_status make_subtexts(th_cli *cli, work *w) {
    char path[TH_PATH_MAX];
    const char *cache = th_get_str(cli->options, "subtext-cache"), *out = th_get_str(cli->options, "out");
    th_subtext_params p;
    th_subtext_params_init(&p);
    p.seed = (uint64_t)th_get_i64(cli->options, "seed");
    if (p.negatives < th_get_i64(cli->options, "negatives")) p.negatives = (int)th_get_i64(cli->options, "negatives");
    if (!cache && out) {
        TH_TRY(th_make_dirs(out));
        TH_TRY(th_path_join(path, out, "subtexts.tsv"));
        cache = path;
    }
    return th_dataset_subtexts(w->pairs, &p, SUBTEXT_THREADS, &cli->watch, cache, &w->subtexts);
}

static th_status show_subtexts(th_cli *cli, const work *w, int64_t shown) {
    if (cli->json) return th_fail(TH_E_USAGE, "--show-subtexts has no --json form; --subtext-cache writes a table");
    if (!w->subtexts) return th_fail(TH_E_USAGE, "--show-subtexts: this method uses no sub-texts");
    th_arena *arena = th_arena_new();
    const char **captions = NULL;
    th_status s = arena ? th_dataset_all_captions(w->pairs, arena, &captions) : th_fail_memory();
    if (s == TH_OK) s = th_subtexts_print(w->subtexts, captions, shown, &cli->out);
    th_arena_free(arena);
    return s;
}

/* A plan comes at once, so it does without them; their texts are shorter than the captions. */
static void note_subtexts(th_cli *cli, const work *w) {
    char text[TH_NUMBER_TEXT];
    th_human_seconds(text, SUBTEXT_SECONDS / SUBTEXT_THREADS * (double)th_dataset_count(w->pairs));
    th_cli_note(cli, "before that, sub-texts are made once, in about %s", text);
}

/* CleanCLIP's, for models of full size. */
static void set_defaults(th_clip_fit_params *fit) {
    fit->train.schedule.lr = 1e-5;
    fit->epochs = 10;
}

static th_status clean(th_cli *cli, work *w) {
    const th_clip_method *m = th_defenses[cli->method];
    int64_t shown = th_get_i64(cli->options, "show-subtexts");
    char command[64];
    snprintf(command, sizeof command, "clean %s", m->name);
    TH_TRY(th_cli_open_data(cli, "data", &w->pairs));
    if (!shown) TH_TRY(th_cli_job_check(cli));
    bool plan = th_get_bool(cli->options, "plan");
    if (m->needs & TH_NEEDS_SUBTEXTS && !plan) TH_TRY(make_subtexts(cli, w));
    if (m->needs & TH_NEEDS_SUBTEXTS && plan) note_subtexts(cli, w);
    if (shown) return show_subtexts(cli, w, shown);
    TH_TRY(th_clip_bundle_load(th_get_str(cli->options, "model"), &w->bundle));
    th_cli_job job = {
        .bundle = &w->bundle,
        .method = m,
        .pairs = w->pairs,
        .subtexts = w->subtexts,
        .command = command,
        .compare = true,
        .card_title = "A cleaned CLIP model",
        .card_about = "Fine-tuned on clean pairs against a possible backdoor. A low success rate of one attack does "
                      "not show that "
                      "no other is there.",
    };
    th_clip_fit_params_init(&job.fit);
    set_defaults(&job.fit);
    TH_TRY(th_clip_fit_read(cli->options, &job.fit));
    job.fit.subtexts = w->subtexts;
    if (!plan) TH_TRY(th_cli_inputs_json(cli, w->pairs, &job.inputs));
    return th_cli_job_run(cli, &job);
}

static th_status run(th_cli *cli) {
    work w = {0};
    th_status s = clean(cli, &w);
    th_subtexts_free(w.subtexts);
    th_clip_bundle_free(&w.bundle);
    th_dataset_close(w.pairs);
    return s;
}

const th_verb th_verb_clean = {
    .name = "clean",
    .summary = "clean a CLIP model that may carry a backdoor",
    .about = "The pairs must be clean, and none of those that the model was poisoned with: seeing those pictures again "
             "with true "
             "captions would already break the backdoor and show nothing.",
    .examples = "theriac clean cleanerclip --model suspicious --data 'cc3m/{00000..00009}.tar' --lr 1e-5 -o out/clean\n"
                "theriac clean cleanerclip --data pairs.tsv --model suspicious --show-subtexts 10",
    .groups = {{"Cleaning", options}, TH_CLI_JOB_GROUPS},
    .method = method,
    .computes = true,
    .run = run,
};
