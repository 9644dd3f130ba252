/* theriac eval: what a CLIP model knows, and what an attack does to it. */
#include "cli/clip_job.h"

static const th_option options[] = {
    TH_OPT_PATH("model", NULL, "CLIP folder", .argument = "DIR", .required = true),
    TH_OPT_CLEAN,
    TH_OPT_CHOICE("dtype", "f32|bf16", "f32", "what products are computed in"),
    TH_OPT_INT("threads", 0, "threads that compute; 0: all", TH_WITHIN(0, 1024)),
    TH_OPT_INT("loader-threads", 2, "threads that read pictures in the background", TH_WITHIN(0, 64)),
    TH_OPT_END,
};

static th_status measure(th_cli *cli, th_clip_bundle *b, th_cli_eval *e) {
    th_clip_eval r;
    TH_TRY(th_cli_eval_open(cli, "eval", e));
    if (!e->any) return th_fail(TH_E_USAGE, "nothing to measure on: give --eval, --eval-triggered or --eval-pairs");
    TH_TRY(th_clip_bundle_load(th_get_str(cli->options, "model"), b));
    b->cleaning = (th_text_cleaning)th_get_choice(cli->options, "clean");
    e->params.compute = th_get_choice(cli->options, "dtype") ? TH_BF16 : TH_F32;
    e->params.threads = (int)th_get_i64(cli->options, "threads");
    e->params.loader_threads = (int)th_get_i64(cli->options, "loader-threads");
    TH_TRY(th_clip_evaluate(b, &e->params, &cli->watch, &r));
    if (cli->json)
        th_cli_json(cli, th_cli_eval_json(&r));
    else
        th_cli_eval_print(cli, NULL, &r);
    return TH_OK;
}

static th_status run(th_cli *cli) {
    th_clip_bundle b = {0};
    th_cli_eval e = {0};
    th_status s = measure(cli, &b, &e);
    th_cli_eval_close(&e);
    th_clip_bundle_free(&b);
    return s;
}

const th_verb th_verb_eval = {
    .name = "eval",
    .summary = "measure a CLIP model: accuracy, an attack's success, retrieval",
    .about =
        "Intervals are Wilson's, 95 %. The success rate counts triggered pictures that are not of the target class.",
    .examples = "theriac eval --model out/clean/model --eval 'fashion-scenes?split=test&single=1' --eval-triggered "
                "out/test --target "
                "'a bag'",
    .groups = {{"Model", options}, {"Evaluation", th_eval_options}},
    .run = run,
};
