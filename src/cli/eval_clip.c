/* theriac eval clip: what a CLIP model knows, and what an attack does to it. */
#include "cli/clip_job.h"

static const th_option options[] = {
    TH_OPT_PATH("model", NULL, "CLIP folder", .argument = "DIR", .required = true),
    TH_OPT_PATH("reference", NULL,
                "clean CLIP folder, measured on the same sets and shown beside: its ASR is the false one",
                .argument = "DIR"),
    TH_OPT_CLEAN,
    TH_OPT_CHOICE("dtype", "f32|bf16", "f32", "what products are computed in"),
    TH_OPT_INT("threads", 0, "threads that compute; 0: all", TH_WITHIN(0, 1024)),
    TH_OPT_INT("loader-threads", 2, "threads that read pictures in the background", TH_WITHIN(0, 64)),
    TH_OPT_END,
};

static th_status measure(th_cli *cli, const char *dir, const th_clip_eval_params *p, th_clip_eval *out) {
    th_clip_bundle b;
    TH_TRY(th_clip_bundle_load(dir, &b));
    b.cleaning = (th_text_cleaning)th_get_choice(cli->options, "clean");
    th_status s = th_clip_evaluate(&b, p, &cli->watch, out);
    th_clip_bundle_free(&b);
    return s;
}

/* What the reference takes for the target has no backdoor behind it: what any success rate must be held against. */
static json_t *reference_json(const char *dir, const th_clip_eval *r) {
    json_t *j = th_cli_eval_json(r), *rate = json_object_get(j, "asr");
    json_object_set_new(j, "model", json_string(dir));
    if (rate) json_object_set(j, "false_asr", rate);
    json_object_del(j, "asr");
    return j;
}

static th_status measure_all(th_cli *cli, th_cli_eval *e) {
    const char *reference = th_get_str(cli->options, "reference");
    th_clip_eval r, x;
    th_clip_config c;
    TH_TRY(th_cli_eval_open(cli, "eval", e));
    if (!e->any) return th_fail(TH_E_USAGE, "nothing to measure on: give --eval, --eval-triggered or --eval-pairs");
    e->params.compute = th_get_choice(cli->options, "dtype") ? TH_BF16 : TH_F32;
    e->params.threads = (int)th_get_i64(cli->options, "threads");
    e->params.loader_threads = (int)th_get_i64(cli->options, "loader-threads");
    if (reference) TH_TRY(th_clip_load_config(reference, &c)); /* a slip is told before the long work */
    TH_TRY(measure(cli, th_get_str(cli->options, "model"), &e->params, &r));
    if (reference) TH_TRY(measure(cli, reference, &e->params, &x));
    if (!cli->json) return th_cli_eval_print(cli, NULL, &r, reference ? &x : NULL), TH_OK;
    json_t *j = th_cli_eval_json(&r);
    if (reference) json_object_set_new(j, "reference", reference_json(reference, &x));
    th_cli_json(cli, j);
    return TH_OK;
}

static th_status run(th_cli *cli) {
    th_cli_eval e = {0};
    th_status s = measure_all(cli, &e);
    th_cli_eval_close(&e);
    return s;
}

static const th_option_group groups[] = {{"Model", options}, {"Evaluation", th_eval_options}, {NULL, NULL}};

extern const th_cli_method th_eval_clip;
const th_cli_method th_eval_clip = {
    .name = "clip",
    .summary = "a CLIP model: accuracy, an attack's success, retrieval",
    .groups = groups,
    .about =
        "The success rate counts triggered pictures that are not of the target class. Intervals are Wilson's, 95 %; "
        "for several captions a picture, drawn over pictures.",
    .examples =
        "theriac eval clip --model out/clean/model --eval 'fashion-scenes?split=test&single=1' --eval-triggered "
        "out/test --target 'a bag'",
    .run = run,
};
