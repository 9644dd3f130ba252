/* theriac train clip: CLIP from scratch or from a model, on pairs. */
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "cli/clip_job.h"
#include "format/bpe_train.h"
#include "format/text_clean.h"

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

static bool method(int64_t i, th_cli_method *out) {
    *out = (th_cli_method){
        .name = "clip", .summary = "CLIP by its contrastive loss, from scratch or from a model", .options = options};
    return i == 0;
}

/* The words of a caption as the model will read them. */
static th_status learn_caption(th_bpe_trainer *b, th_text_cleaning cleaning, const char *text) {
    if (cleaning == TH_CLEAN_NONE) return th_bpe_trainer_add(b, text, strlen(text), 1);
    th_str clean;
    th_str_init(&clean, 1 << 20);
    th_status s = th_text_clean_openai(text, strlen(text), &clean);
    if (s == TH_OK) s = th_bpe_trainer_add(b, th_str_text(&clean), clean.length, 1);
    th_str_free(&clean);
    return s;
}

/* A vocabulary from the captions. */
static th_status learn_tokenizer(th_cli *cli, const th_dataset *pairs, th_tokenizer **out) {
    th_bpe_trainer *b = NULL;
    th_bpe_train_params p;
    th_bpe_train_params_init(&p);
    p.vocab_size = th_get_i64(cli->options, "vocab");
    p.max_length = th_get_i64(cli->options, "context");
    th_text_cleaning cleaning = (th_text_cleaning)th_get_choice(cli->options, "clean");
    TH_TRY(th_bpe_trainer_new(&b));
    th_status s = TH_OK;
    for (int64_t i = 0; i < th_dataset_count(pairs) && s == TH_OK; i++) {
        char room[TH_DATASET_ROOM];
        const char *text = th_dataset_caption(pairs, i, NULL, room);
        if (text) s = learn_caption(b, cleaning, text);
    }
    if (s == TH_OK) s = th_bpe_trainer_run(b, &p, &cli->watch, out);
    th_bpe_trainer_free(b);
    return s;
}

static th_status new_model(th_cli *cli, const th_dataset *pairs, th_clip_bundle *b) {
    th_options *o = cli->options;
    const char *tokenizer = th_get_str(o, "tokenizer");
    if (tokenizer)
        TH_TRY(th_tokenizer_load(tokenizer, &b->tokenizer));
    else
        TH_TRY(learn_tokenizer(cli, pairs, &b->tokenizer));
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
    TH_TRY(th_cli_open_data(cli, "data", &pairs));
    th_status s = train(cli, pairs, &b);
    th_clip_bundle_free(&b);
    th_dataset_close(pairs);
    return s;
}

const th_verb th_verb_train = {
    .name = "train",
    .summary = "train a model",
    .examples =
        "theriac train clip --data 'fashion-scenes?split=train&count=1000000' --batch 256 --epochs 1 -o out/clip\n"
        "theriac train clip --model clip-vit-base-patch32 --data 'cc3m/{00000..00331}.tar' --plan",
    .groups = {{"Data", th_data_options},
               {"Training", th_clip_fit_options},
               {"Evaluation", th_eval_options},
               {"Test", th_test_options},
               {"Run", th_run_options}},
    .method = method,
    .computes = true,
    .run = run,
};
