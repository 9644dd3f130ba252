/* CLIP's two towers. Parameters bear the names of Hugging Face's CLIPModel, its slip "pre_layrnorm" included. */
#include "model/clip.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "graph/graph.h"
#include "model/clip_files.h"
#include "model/clip_tower.h"
#include "model/patches.h"

void th_clip_config_init(th_clip_config *c) {
    *c = (th_clip_config){
        .vision = {768, 12, 12, 3072, true, 1e-5f},
        .text = {512, 8, 12, 2048, true, 1e-5f},
        .image_size = 224,
        .patch_size = 32,
        .vocab_size = 49408,
        .context = 77,
        .eos_token_id = 49407,
        .bos_token_id = 49406,
        .pad_token_id = 1,
        .projection = 512,
        .logit_scale = 2.6592f,
    };
}

th_status th_clip_config_named(const char *name, th_clip_config *c) {
    th_clip_config_init(c);
    if (!strcmp(name, "clip-vit-b32")) return TH_OK;
    c->patch_size = 16;
    if (!strcmp(name, "clip-vit-b16")) return TH_OK;
    c->patch_size = 14;
    c->vision = (th_clip_tower){1024, 16, 24, 4096, true, 1e-5f};
    c->text = (th_clip_tower){768, 12, 12, 3072, true, 1e-5f};
    c->projection = 768;
    if (!strcmp(name, "clip-vit-l14")) return TH_OK;
    return th_fail(TH_E_USAGE, "'%s' is no known model: clip-vit-b32, clip-vit-b16 or clip-vit-l14", name);
}

int64_t th_clip_grid(const th_clip_config *c) { return c->image_size / c->patch_size; }

th_status th_clip_check(const th_clip_config *c) {
    TH_TRY(th_clip_tower_check("vision tower", &c->vision));
    TH_TRY(th_clip_tower_check("text tower", &c->text));
    TH_TRY(th_clip_size_check("model", "image size", c->image_size, TH_CLIP_MOST_SIDE));
    TH_TRY(th_clip_size_check("model", "patch size", c->patch_size, TH_CLIP_MOST_SIDE));
    TH_TRY(th_clip_size_check("model", "vocabulary", c->vocab_size, TH_CLIP_MOST_VOCAB));
    TH_TRY(th_clip_size_check("model", "context", c->context, TH_CLIP_MOST_CONTEXT));
    TH_TRY(th_clip_size_check("model", "projection", c->projection, TH_CLIP_MOST_WIDTH));
    if (!(fabsf(c->logit_scale) <= TH_CLIP_MOST_SCALE))
        return th_fail(TH_E_INPUT, "the model's logit scale is not in [-80, 80]");
    if (c->image_size < c->patch_size)
        return th_fail(TH_E_INPUT, "images of %lld px are smaller than patches of %lld px", (long long)c->image_size,
                       (long long)c->patch_size);
    return TH_OK;
}

static void make_vision(th_maker *m, th_clip *c) {
    const th_clip_config *k = &c->config;
    int64_t d = k->vision.width, grid = th_clip_grid(k);
    th_transformer_config t = th_clip_tower_transformer(&k->vision, false);
    c->class_embedding = th_make_param(m, TH_DESC(TH_F32, d), "vision_model.embeddings.class_embedding");
    c->patch_embedding = th_make_param(m, TH_DESC(TH_F32, d, k->patch_size * k->patch_size * 3),
                                       "vision_model.embeddings.patch_embedding.weight");
    c->vision_positions =
        th_make_param(m, TH_DESC(TH_F32, 1 + grid * grid, d), "vision_model.embeddings.position_embedding.weight");
    th_norm_init(m, &c->pre_norm, "vision_model.pre_layrnorm", d, k->vision.eps);
    th_transformer_init(m, &c->vision, "vision_model.encoder", &t);
    th_norm_init(m, &c->post_norm, "vision_model.post_layernorm", d, k->vision.eps);
    th_linear_init(m, &c->visual_projection, "visual_projection", d, k->projection, false);
}

static void make_text(th_maker *m, th_clip *c) {
    const th_clip_config *k = &c->config;
    int64_t d = k->text.width;
    th_transformer_config t = th_clip_tower_transformer(&k->text, true);
    c->tokens = th_make_param(m, TH_DESC(TH_F32, k->vocab_size, d), "text_model.embeddings.token_embedding.weight");
    c->text_positions =
        th_make_param(m, TH_DESC(TH_F32, k->context, d), "text_model.embeddings.position_embedding.weight");
    th_transformer_init(m, &c->text, "text_model.encoder", &t);
    th_norm_init(m, &c->final_norm, "text_model.final_layer_norm", d, k->text.eps);
    th_linear_init(m, &c->text_projection, "text_projection", d, k->projection, false);
}

th_status th_clip_new(const th_clip_config *config, th_clip **out) {
    TH_TRY(th_clip_check(config));
    th_clip *c = th_alloc(1, sizeof *c);
    if (!c) return th_fail_memory();
    c->config = *config;
    c->params = th_params_new();
    th_maker m = {c->params, c->params ? TH_OK : th_fail_memory()};
    c->logit_scale = th_make_param(&m, (th_desc){.dtype = TH_F32}, "logit_scale");
    make_text(&m, c);
    make_vision(&m, c);
    if (m.status != TH_OK) return th_clip_free(c), m.status;
    *out = c;
    return TH_OK;
}

void th_clip_free(th_clip *c) {
    if (!c) return;
    th_free(c->vision.blocks);
    th_free(c->text.blocks);
    th_params_free(c->params);
    th_free(c);
}

const th_clip_config *th_clip_get_config(const th_clip *c) { return &c->config; }
th_params *th_clip_params(const th_clip *c) { return c->params; }

th_status th_clip_randomize(th_clip *c, uint64_t seed) {
    const th_clip_config *k = &c->config;
    uint32_t which = 0;
    float v = 1.0f / sqrtf((float)k->vision.width), t = 1.0f / sqrtf((float)k->text.width);
    const struct {
        th_param *p;
        float std;
    } normal[] = {
        {c->tokens, 0.02f},
        {c->text_positions, 0.01f},
        {c->text_projection.weight, t},
        {c->class_embedding, v},
        {c->vision_positions, v},
        {c->visual_projection.weight, v},
        {c->patch_embedding, 1.0f / sqrtf(3.0f * (float)(k->patch_size * k->patch_size))},
    };
    for (size_t i = 0; i < sizeof normal / sizeof *normal; i++)
        TH_TRY(th_init_normal(normal[i].p, seed, which++, normal[i].std));
    const th_norm_layer *norms[] = {&c->pre_norm, &c->post_norm, &c->final_norm};
    for (int i = 0; i < 3; i++) {
        TH_TRY(th_init_constant(norms[i]->weight, 1.0f));
        TH_TRY(th_init_constant(norms[i]->bias, 0.0f));
    }
    TH_TRY(th_init_constant(c->logit_scale, k->logit_scale));
    TH_TRY(th_transformer_randomize(&c->text, seed, &which));
    return th_transformer_randomize(&c->vision, seed, &which);
}

th_tensor *th_clip_embed_images(th_graph *g, const th_clip *c, th_tensor *images) {
    const th_clip_config *k = &c->config;
    const th_desc *d = th_tensor_desc(images);
    th_graph_push(g, "vision");
    char text[TH_DESC_TEXT];
    if (d->rank != 4 || d->dim[1] != k->image_size || d->dim[2] != k->image_size || d->dim[3] != 3)
        th_graph_fail(g, TH_E_SHAPE, "images %s, the model takes [n, %lld, %lld, 3]", th_desc_text(d, text),
                      (long long)k->image_size, (long long)k->image_size);
    th_linear_layer embedding = {.weight = c->patch_embedding};
    th_tensor *x = th_embed_patches(g, images, k->patch_size, &embedding);
    x = th_place_patches(g, x, c->class_embedding, c->vision_positions);
    x = th_norm_apply(g, &c->pre_norm, x);
    x = th_transformer_apply(g, &c->vision, x);
    x = th_linear_apply(g, &c->visual_projection, th_norm_apply(g, &c->post_norm, th_class_token(g, x)));
    th_graph_precise(g, true);
    x = th_l2_normalize(g, x);
    th_graph_precise(g, false);
    th_graph_pop(g);
    return x;
}

th_tensor *th_clip_embed_texts(th_graph *g, const th_clip *c, th_tensor *ids, th_tensor *ends) {
    const th_clip_config *k = &c->config;
    const th_desc *d = th_tensor_desc(ids);
    int64_t n = d->dim[0], t = d->dim[1], width = k->text.width;
    th_graph_push(g, "text");
    char text[TH_DESC_TEXT];
    if (d->rank != 2 || t > k->context)
        th_graph_fail(g, TH_E_SHAPE, "ids %s, the model takes [n, t] with t up to %lld", th_desc_text(d, text),
                      (long long)k->context);
    th_tensor *positions = th_slice(g, th_use(g, c->text_positions), 0, 0, t);
    th_tensor *x = th_add(g, th_take_rows(g, th_use(g, c->tokens), ids), positions);
    x = th_transformer_apply(g, &c->text, x);
    /* The norm works row by row, so only the rows that are read are normalised. */
    x = th_take_rows(g, th_reshape(g, x, TH_DESC(TH_F32, n * t, width)), ends);
    x = th_linear_apply(g, &c->text_projection, th_norm_apply(g, &c->final_norm, x));
    th_graph_precise(g, true);
    x = th_l2_normalize(g, x);
    th_graph_precise(g, false);
    th_graph_pop(g);
    return x;
}

th_tensor *th_clip_scale(th_graph *g, const th_clip *c) { return th_exp(g, th_use(g, c->logit_scale)); }

int64_t th_clip_find_end(const th_clip_config *c, const int32_t *ids, int64_t count) {
    int64_t end = 0;
    for (int64_t i = 0; i < count; i++) {
        if (c->eos_token_id == 2 ? ids[i] > ids[end] : ids[i] == c->eos_token_id) {
            end = i;
            if (c->eos_token_id != 2) break;
        }
    }
    return end;
}

th_tensor *th_clip_diagonal(th_graph *g, th_tensor *logits) {
    const th_desc *d = th_tensor_desc(logits);
    char text[TH_DESC_TEXT];
    if (d->rank != 2 || d->dim[0] > d->dim[1])
        return th_graph_fail(g, TH_E_SHAPE, "logits %s do not have a column for each row", th_desc_text(d, text));
    int64_t n = d->dim[0];
    int32_t *own = th_alloc((size_t)n, sizeof *own);
    if (!own) return th_graph_fail(g, TH_E_MEMORY, "out of memory");
    for (int64_t i = 0; i < n; i++) own[i] = (int32_t)i;
    th_tensor *labels = th_constant(g, TH_DESC(TH_I32, n), own);
    th_free(own);
    return th_mean_all(g, th_softmax_cross_entropy(g, logits, labels));
}

th_tensor *th_clip_match(th_graph *g, th_tensor *a, th_tensor *b, th_tensor *scale) {
    return th_clip_diagonal(g, th_mul(g, th_matmul(g, a, b, false, true), scale));
}

th_tensor *th_clip_contrastive(th_graph *g, th_tensor *a, th_tensor *b, th_tensor *scale) {
    th_graph_precise(g, true);
    th_tensor *sum = th_scale(g, th_add(g, th_clip_match(g, a, b, scale), th_clip_match(g, b, a, scale)), 0.5f);
    th_graph_precise(g, false);
    return sum;
}
