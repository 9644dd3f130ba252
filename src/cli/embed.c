/* theriac embed: unit embeddings of pictures and texts by a CLIP model. */
#include <math.h>

#include "base/memory.h"
#include "cli/frame.h"
#include "metric/zeroshot.h"
#include "train/clip_bundle.h"

static const th_option options[] = {
    TH_OPT_PATH("model", NULL, "CLIP folder", .required = true, .argument = "DIR"),
    TH_OPT_LIST("image", "picture to embed; may be given many times", .argument = "FILE"),
    TH_OPT_LIST("text", "text to embed; may be given many times", .argument = "STRING"),
    TH_OPT_CLEAN,
    TH_OPT_CHOICE("dtype", "f32|bf16", "f32", "what products are computed in"),
    TH_OPT_END,
};

typedef struct {
    th_clip_bundle bundle;
    th_clip_embedder *embedder;
    th_list images, texts;
    int64_t d;
    float *image_rows, *text_rows;
} work;

/* Rows that are no numbers are said by what they are of; JSON could not even hold them. */
static th_status check_finite(const work *w, const th_list *of, const float *rows) {
    int64_t bad = th_find_not_finite(rows, of->count, w->d);
    if (bad < 0) return TH_OK;
    return th_fail(TH_E_INPUT, "%s: the embedding of '%.200s' is not finite", w->bundle.dir, of->items[bad]);
}

static th_status embed(th_cli *cli, work *w) {
    TH_TRY(th_clip_bundle_load(th_get_str(cli->options, "model"), &w->bundle));
    w->bundle.cleaning = (th_text_cleaning)th_get_choice(cli->options, "clean");
    th_clip_embedder_params p;
    th_clip_embedder_params_init(&p);
    p.batch = 1;
    p.compute = th_get_choice(cli->options, "dtype") ? TH_BF16 : TH_F32;
    w->d = th_clip_get_config(w->bundle.model)->projection;
    w->image_rows = th_alloc((size_t)(w->images.count * w->d) + 1, sizeof(float));
    w->text_rows = th_alloc((size_t)(w->texts.count * w->d) + 1, sizeof(float));
    if (!w->image_rows || !w->text_rows) return th_fail_memory();
    TH_TRY(th_clip_embedder_new(w->bundle.model, &p, &w->embedder));
    for (int64_t i = 0; i < w->images.count; i++) {
        if (th_stopped(&cli->watch)) return th_fail(TH_E_INTERRUPTED, "stopped");
        TH_TRY(th_clip_bundle_embed_file(&w->bundle, w->embedder, w->images.items[i], w->image_rows + i * w->d));
    }
    TH_TRY(th_clip_bundle_embed_texts(&w->bundle, w->embedder, w->texts.items, w->texts.count, w->text_rows));
    TH_TRY(check_finite(w, &w->images, w->image_rows));
    return check_finite(w, &w->texts, w->text_rows);
}

static json_t *rows_json(const float *rows, int64_t n, int64_t d) {
    json_t *all = json_array();
    for (int64_t i = 0; i < n; i++) {
        json_t *row = json_array();
        for (int64_t k = 0; k < d; k++) json_array_append_new(row, json_real((double)rows[i * d + k]));
        json_array_append_new(all, row);
    }
    return all;
}

static float similarity(const work *w, int64_t image, int64_t text) {
    float s = 0;
    for (int64_t k = 0; k < w->d; k++) s += w->image_rows[image * w->d + k] * w->text_rows[text * w->d + k];
    return s;
}

/* For people: which picture is how close to which text; without both, how many numbers each has. */
static void print_similarities(th_cli *cli, const work *w) {
    th_table *t = th_table_new("Cosine similarity");
    th_table_column(t, TH_LEFT, "");
    for (int64_t j = 0; j < w->texts.count; j++) th_table_column(t, TH_RIGHT, w->texts.items[j]);
    for (int64_t i = 0; i < w->images.count; i++) {
        th_table_cell(t, "%s", w->images.items[i]);
        for (int64_t j = 0; j < w->texts.count; j++) th_table_number(t, (double)similarity(w, i, j), 3);
    }
    th_cli_table(cli, t);
    th_table_free(t);
}

static th_status report(th_cli *cli, const work *w) {
    float scale = 0;
    TH_TRY(th_param_get(th_params_find(th_clip_params(w->bundle.model), "logit_scale"), &scale));
    if (!isfinite(exp((double)scale)))
        return th_fail(TH_E_INPUT, "%s: tensor 'logit_scale' is %g: no temperature", w->bundle.dir, (double)scale);
    if (cli->json)
        th_cli_json(cli,
                    json_pack("{s:o, s:o, s:f}", "images", rows_json(w->image_rows, w->images.count, w->d), "texts",
                              rows_json(w->text_rows, w->texts.count, w->d), "logit_scale", exp((double)scale)));
    else if (w->images.count && w->texts.count)
        print_similarities(cli, w);
    else
        th_str_printf(&cli->out, "embeddings: %lld, of %lld numbers each; --json prints them\n",
                      (long long)(w->images.count + w->texts.count), (long long)w->d);
    return TH_OK;
}

static th_status run(th_cli *cli) {
    work w = {.images = th_get_list(cli->options, "image"), .texts = th_get_list(cli->options, "text")};
    if (!w.images.count && !w.texts.count) return th_fail(TH_E_USAGE, "nothing to embed: give --image or --text");
    th_status s = embed(cli, &w);
    if (s == TH_OK) s = report(cli, &w);
    th_clip_embedder_free(w.embedder);
    th_clip_bundle_free(&w.bundle);
    th_free(w.image_rows);
    th_free(w.text_rows);
    return s;
}

const th_verb th_verb_embed = {
    .name = "embed",
    .summary = "embed pictures and texts by a CLIP model",
    .about = "Embeddings have unit length, so that the cosine similarity of two is their dot product.",
    .examples = "theriac embed --model models/fashion-clip --image shoe.png --text 'a sneaker' --text 'a bag'",
    .groups = {{"Embedding", options}},
    .computes = true,
    .run = run,
};
