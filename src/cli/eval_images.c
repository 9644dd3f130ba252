/* theriac eval images: generated pictures against real ones, their prompts, each other and a judge. */
#include "cli/eval_images.h"

#include <string.h>

#include "cli/clip_job.h"

static const th_option pictures[] = {
    TH_OPT_PATH("images", NULL, "pictures to measure: a folder that generation wrote, its images.tsv, or any data set",
                .argument = "SET"),
    TH_OPT_PATH("real", NULL, "real pictures that they are held against", .argument = "SET"),
    TH_OPT_STRING("image-column", NULL, "column of pictures in a table of --images"),
    TH_OPT_STRING("text-column", NULL, "column of texts for --clip, such as prompts without an identifier"),
    TH_OPT_INT("limit", 0, "use at most so many pictures of --images and of --real, spread over them; 0: all",
               TH_AT_LEAST(0)),
    TH_OPT_END,
};

static const th_option networks[] = {
    TH_OPT_LIST("features", "CLIP or ViT folder by which pictures are compared: fidelity, FID, KID, diversity",
                .argument = "DIR"),
    TH_OPT_PATH("clip", NULL, "CLIP folder that holds pictures against their prompts", .argument = "DIR"),
    TH_OPT_PATH("judge", NULL, "CLIP folder that looks for attributes", .argument = "DIR"),
    TH_OPT_PATH("judge-data", NULL,
                "pictures with the attributes' columns: the judge, CLIP or ViT, learns from them by linear probes on "
                "its features, instead of going by what values are called",
                .argument = "SET"),
    TH_OPT_INT("batch", 64, "pictures at once", TH_WITHIN(1, 4096)),
    TH_OPT_CHOICE("dtype", "f32|bf16", "f32", "what products are computed in"),
    TH_OPT_INT("threads", 0, "threads that compute; 0: all", TH_WITHIN(0, 1024)),
    TH_OPT_INT("loader-threads", 2, "threads that read pictures in the background", TH_WITHIN(0, 64)),
    TH_OPT_INT("seed", 0, "of what is drawn for intervals", TH_AT_LEAST(0)),
    TH_OPT_END,
};

static const th_option attributes[] = {
    TH_OPT_LIST("attribute", "column that says what a picture should show, such as 'colour'", .argument = "COLUMN"),
    TH_OPT_PATH("attributes", NULL, "file of attributes with their values and templates", .argument = "FILE"),
    TH_OPT_LIST("template", "text with {} for the value, for attributes that have none", .argument = "STRING"),
    TH_OPT_PATH("write-attributes", NULL, "write the attributes with their values and templates to this file",
                .argument = "FILE"),
    TH_OPT_PATH("write-prompts", NULL, "write the captions of --real and what it says beside them for 'generate'",
                .argument = "FILE"),
    TH_OPT_END,
};

typedef struct {
    th_image_eval_params p;
    th_attributes attributes;
    th_columns *columns[3];
    th_arena *arena;
} job;

/* Opens what the option names, where it is given, with its columns. */
static th_status open_pictures(th_cli *cli, job *j, const char *name, const char *column, th_picture_set *s,
                               th_columns **columns) {
    const char *spec = th_get_str(cli->options, name);
    th_dataset_params p;
    if (!spec) return TH_OK;
    th_dataset_params_init(&p);
    p.image_column = column;
    int64_t limit = strcmp(name, "judge-data") ? th_get_i64(cli->options, "limit") : 0;
    TH_TRY(th_fail_in(th_cli_open_spread(spec, &p, limit, &cli->watch, &s->set), "--%s", name));
    TH_TRY(th_fail_in(th_columns_read(s->set, &p, columns), "--%s", name));
    s->columns = *columns;
    s->name = th_arena_printf(j->arena, "--%s %s", name, spec);
    return s->name ? TH_OK : th_fail_memory();
}

static th_status open_attributes(th_cli *cli, job *j) {
    th_list names = th_get_list(cli->options, "attribute"), forms = th_get_list(cli->options, "template");
    const char *file = th_get_str(cli->options, "attributes");
    const th_picture_set *images = &j->p.images, *real = j->p.real.set ? &j->p.real : NULL;
    if (names.count && file) return th_fail(TH_E_USAGE, "give either --attribute or --attributes");
    if (!names.count && !file) return TH_OK;
    if (!images->set) images = real, real = NULL; /* only the values are wanted */
    if (file)
        TH_TRY(th_fail_in(th_attributes_load(file, &j->attributes), "--attributes"));
    else
        TH_TRY(th_attributes_of_columns(names.items, names.count, &j->attributes));
    j->p.attributes = &j->attributes;
    return th_attributes_complete(&j->attributes, images, real, (th_texts){forms.items, forms.count});
}

/* Options that want others. */
static th_status check_options(th_cli *cli) {
    th_options *o = cli->options;
    bool asks = th_get_list(o, "attribute").count || th_get_str(o, "attributes");
    bool writes = th_get_str(o, "write-attributes") || th_get_str(o, "write-prompts");
    bool measures = th_get_list(o, "features").count || th_get_str(o, "clip") || th_get_str(o, "judge");
    if (th_get_str(o, "write-prompts") && !th_get_str(o, "real"))
        return th_fail(TH_E_USAGE, "--write-prompts wants --real, whose captions it writes");
    if (th_get_str(o, "write-attributes") && !asks)
        return th_fail(TH_E_USAGE, "--write-attributes wants --attribute or --attributes");
    if (th_get_str(o, "judge-data") && !th_get_str(o, "judge"))
        return th_fail(TH_E_USAGE, "--judge-data wants --judge, whose features it teaches to see attributes");
    if (th_get_str(o, "judge") && !asks) return th_fail(TH_E_USAGE, "--judge wants --attribute or --attributes");
    if (!th_get_str(o, "images") && (measures || !writes)) return th_fail(TH_E_USAGE, "--images is missing");
    if (!measures && !writes) return th_fail(TH_E_USAGE, "nothing to measure by: give --features, --clip or --judge");
    if (!th_get_str(o, "images") && asks && !th_get_str(o, "real"))
        return th_fail(TH_E_USAGE, "--images or --real is missing: attributes are of pictures");
    return TH_OK;
}

static th_status write_files(th_cli *cli, const job *j) {
    const char *file = th_get_str(cli->options, "write-attributes"),
               *prompts = th_get_str(cli->options, "write-prompts");
    if (file) TH_TRY(th_attributes_write(file, &j->attributes));
    if (prompts) TH_TRY(th_columns_write_prompts(j->columns[1], prompts));
    return TH_OK;
}

static void set_networks(th_cli *cli, th_image_eval_params *p) {
    th_list features = th_get_list(cli->options, "features");
    p->features = features.items;
    p->feature_count = features.count;
    p->clip = th_get_str(cli->options, "clip");
    p->judge = th_get_str(cli->options, "judge");
    p->text_column = th_get_str(cli->options, "text-column");
    p->net.batch = th_get_i64(cli->options, "batch");
    p->net.compute = th_get_choice(cli->options, "dtype") ? TH_BF16 : TH_F32;
    p->net.threads = (int)th_get_i64(cli->options, "threads");
    p->net.loader_threads = (int)th_get_i64(cli->options, "loader-threads");
    p->seed = (uint64_t)th_get_i64(cli->options, "seed");
}

static th_status measure(th_cli *cli, job *j) {
    th_image_eval r;
    TH_TRY(th_image_evaluate(&j->p, &cli->watch, &r));
    if (cli->json)
        th_cli_json(cli, th_cli_image_eval_json(&j->p, &r));
    else
        th_cli_image_eval_print(cli, &j->p, &r);
    th_image_eval_free(&r);
    return TH_OK;
}

static th_status run_job(th_cli *cli, job *j) {
    j->arena = th_arena_new();
    if (!j->arena) return th_fail_memory();
    th_image_eval_params_init(&j->p);
    set_networks(cli, &j->p);
    const char *column = th_get_str(cli->options, "image-column");
    TH_TRY(open_pictures(cli, j, "images", column, &j->p.images, &j->columns[0]));
    TH_TRY(open_pictures(cli, j, "real", NULL, &j->p.real, &j->columns[1]));
    TH_TRY(open_pictures(cli, j, "judge-data", NULL, &j->p.lessons, &j->columns[2]));
    TH_TRY(open_attributes(cli, j));
    bool measures = j->p.feature_count || j->p.clip || j->p.judge;
    if (measures) TH_TRY(th_image_eval_check(&j->p)); /* a slip is told before files are written */
    TH_TRY(write_files(cli, j));
    if (measures) return measure(cli, j);
    if (cli->json) th_cli_json(cli, json_object());
    return TH_OK;
}

static th_status run(th_cli *cli) {
    job j = {0};
    TH_TRY(check_options(cli));
    th_status s = run_job(cli, &j);
    th_attributes_free(&j.attributes);
    for (int i = 0; i < 3; i++) th_columns_free(j.columns[i]);
    th_dataset_close(j.p.images.set);
    th_dataset_close(j.p.real.set);
    th_dataset_close(j.p.lessons.set);
    th_arena_free(j.arena);
    return s;
}

static const th_option_group groups[] = {
    {"Pictures", pictures}, {"Networks", networks}, {"Attributes", attributes}, {NULL, NULL}};

extern const th_cli_method th_eval_images;
const th_cli_method th_eval_images = {
    .name = "images",
    .summary = "generated pictures: fidelity, FID, KID, diversity, prompts, attributes",
    .groups = groups,
    .about =
        "Compares pictures with real ones by the features of any CLIP or ViT folder (DINO's too), holds them against "
        "their prompts, and has a CLIP folder say whether they show what they should. Every number has a 95 % "
        "interval and, where real pictures are given, what those reach.\n"
        "Attributes are columns: of images.tsv, as carried along from the prompts' table, or of fashion scenes "
        "(garment, colour, background).",
    .examples = "theriac eval images --real 'fashion-scenes?split=test&garments=1&captions=full&nouns=0&count=500' "
                "--write-prompts prompts.tsv\n"
                "theriac eval images --images out --real 'fashion-scenes?split=test&garments=1&offset=500&count=500' "
                "--features models/fashion-clip --judge models/fashion-clip --attribute garment --attribute colour",
    .run = run,
};
