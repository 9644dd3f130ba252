/* theriac train clip: CLIP from scratch or from a model, on pairs. */
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "cli/clip_job.h"
#include "data/vocabulary.h"

static const th_option options[] = {
    TH_OPT_PATH("model", NULL, "CLIP folder to start from; without it, random weights of the sizes below",
                .argument = "DIR"),
    TH_OPT_INT("image-size", 48, "side of a picture in pixels", TH_AT_LEAST(8)),
    TH_OPT_INT("patch", 8, "side of a patch in pixels", TH_AT_LEAST(1)),
    TH_OPT_INT("width", 128, "width of both towers", TH_AT_LEAST(8)),
    TH_OPT_INT("heads", 4, "attention heads of both towers", TH_AT_LEAST(1)),
    TH_OPT_INT("image-layers", 6, "layers of the image tower", TH_AT_LEAST(1)),
    TH_OPT_INT("text-layers", 4, "layers of the text tower", TH_AT_LEAST(1)),
    TH_OPT_INT("projection", 128, "length of an embedding", TH_AT_LEAST(2)),
    TH_OPT_INT("context", 32, "tokens of a text at most", TH_AT_LEAST(4)),
    TH_OPT_INT("vocab", 1024, "tokens that the tokenizer learns from the captions, at most", TH_AT_LEAST(514)),
    TH_OPT_PATH("tokenizer", NULL, "folder of a tokenizer to use instead of a new one", .argument = "DIR"),
    TH_OPT_END,
};

/* Sizes that make no model are told by their option, before the data is read. */
static th_status check_sizes(th_cli *cli) {
    th_options *o = cli->options;
    long long width = th_get_i64(o, "width"), heads = th_get_i64(o, "heads");
    long long side = th_get_i64(o, "image-size"), patch = th_get_i64(o, "patch");
    if (width % heads) return th_fail(TH_E_USAGE, "--width: %lld is no multiple of the %lld of --heads", width, heads);
    if (patch > side) return th_fail(TH_E_USAGE, "--patch: %lld is more than the %lld of --image-size", patch, side);
    return TH_OK;
}

static th_status new_model(th_cli *cli, const th_dataset *pairs, th_clip_bundle *b) {
    th_options *o = cli->options;
    const char *tokenizer = th_get_str(o, "tokenizer");
    if (tokenizer)
        TH_TRY(th_tokenizer_load(tokenizer, &b->tokenizer));
    else
        TH_TRY(th_dataset_learn_tokenizer(pairs, (th_text_cleaning)th_get_choice(o, "clean"), th_get_i64(o, "vocab"),
                                          th_get_i64(o, "context"), &cli->watch, &b->tokenizer));
    th_clip_config c;
    th_clip_config_init(&c);
    int64_t width = th_get_i64(o, "width"), heads = th_get_i64(o, "heads");
    c.vision = (th_clip_tower){width, heads, th_get_i64(o, "image-layers"), 4 * width, true, 1e-5f};
    c.text = (th_clip_tower){width, heads, th_get_i64(o, "text-layers"), 4 * width, true, 1e-5f};
    c.image_size = th_get_i64(o, "image-size");
    c.patch_size = th_get_i64(o, "patch");
    c.projection = th_get_i64(o, "projection");
    c.context = th_get_i64(o, "context");
    c.vocab_size = th_tokenizer_size(b->tokenizer);
    c.bos_token_id = th_tokenizer_bos(b->tokenizer);
    c.eos_token_id = th_tokenizer_eos(b->tokenizer);
    c.pad_token_id = th_tokenizer_pad(b->tokenizer);
    TH_TRY(th_clip_new(&c, &b->model));
    th_preprocess_params_init(&b->preprocess, (int32_t)c.image_size);
    return th_clip_randomize(b->model, (uint64_t)th_get_i64(o, "seed"));
}

/* A model from a folder has its sizes and its tokenizer. */
static th_status load_model(th_cli *cli, const char *from, th_clip_bundle *b) {
    for (const th_option *o = options + 1; o->name; o++)
        if (th_is_set(cli->options, o->name))
            return th_fail(TH_E_USAGE, "--%s is of new models, and --model brings its own", o->name);
    return th_clip_bundle_load(from, b);
}

static th_status train(th_cli *cli, th_dataset *pairs, th_clip_bundle *b) {
    const char *from = th_get_str(cli->options, "model");
    if (from)
        TH_TRY(load_model(cli, from, b));
    else
        TH_TRY(new_model(cli, pairs, b));
    th_cli_job job = {
        .bundle = b,
        .method = &th_clip_method_contrastive,
        .pairs = pairs,
        .command = "train clip",
        .compare = from != NULL,
        .card_title = "A CLIP model",
        .card_about = "Trained by CLIP's contrastive loss.",
    };
    th_clip_fit_params_init(&job.fit);
    job.fit.train.schedule.lr = from ? 1e-5 : 1e-3;
    job.fit.epochs = 10;
    TH_TRY(th_clip_fit_read(cli->options, &job.fit));
    if (!th_get_bool(cli->options, "plan")) TH_TRY(th_cli_inputs_json(cli, pairs, &job.inputs));
    return th_cli_job_run(cli, &job);
}

static th_status run(th_cli *cli) {
    th_dataset *pairs = NULL;
    th_clip_bundle b = {0};
    TH_TRY(th_cli_job_check(cli));
    if (!th_get_str(cli->options, "model")) TH_TRY(check_sizes(cli));
    TH_TRY(th_cli_open_data(cli, "data", &pairs));
    th_status s = train(cli, pairs, &b);
    th_clip_bundle_free(&b);
    th_dataset_close(pairs);
    return s;
}

static const th_option_group groups[] = {TH_CLI_JOB_GROUPS, {NULL, NULL}};

const th_cli_method th_train_clip = {
    .name = "clip",
    .summary = "CLIP by its contrastive loss, from scratch or from a model",
    .options = options,
    .groups = groups,
    .examples =
        "theriac train clip --data 'fashion-scenes?split=train&count=1000000' --batch 256 --epochs 1 -o out/clip\n"
        "theriac train clip --model clip-vit-base-patch32 --data 'cc3m/{00000..00331}.tar' --plan",
    .run = run,
};
