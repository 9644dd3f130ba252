/* A vision transformer. Parameters bear names of theriac's own, see vit_load.c for those of the file. */
#include "model/vit.h"

#include "base/memory.h"
#include "graph/graph.h"
#include "model/patches.h"
#include "model/transformer.h"

struct th_vit {
    th_vit_config config;
    th_params *params;
    th_param *class_token, *positions; /* [width], [1 + patches, width] */
    th_linear_layer patches;           /* [width, p · p · 3] */
    th_transformer encoder;
    th_norm_layer last_norm;
};

static void make_params(th_maker *m, th_vit *v) {
    const th_vit_config *c = &v->config;
    const th_clip_tower *t = &c->tower;
    int64_t grid = c->image_size / c->patch_size;
    th_transformer_config k = {.width = t->width,
                               .heads = t->heads,
                               .layers = t->layers,
                               .mlp = t->mlp,
                               .activation = t->quick_gelu ? TH_QUICK_GELU : TH_GELU,
                               .eps = t->eps};
    v->class_token = th_make_param(m, TH_DESC(TH_F32, t->width), "embeddings.cls_token");
    v->positions = th_make_param(m, TH_DESC(TH_F32, 1 + grid * grid, t->width), "embeddings.position_embeddings");
    th_linear_init(m, &v->patches, "embeddings.patch_embeddings.projection", c->patch_size * c->patch_size * 3,
                   t->width, true);
    th_transformer_init(m, &v->encoder, "encoder", &k);
    th_norm_init(m, &v->last_norm, "layernorm", t->width, t->eps);
}

th_status th_vit_new(const th_vit_config *config, th_vit **out) {
    th_vit *v = th_alloc(1, sizeof *v);
    if (!v) return th_fail_memory();
    v->config = *config;
    v->params = th_params_new();
    th_maker m = {v->params, v->params ? TH_OK : th_fail_memory()};
    make_params(&m, v);
    if (m.status != TH_OK) return th_vit_free(v), m.status;
    *out = v;
    return TH_OK;
}

void th_vit_free(th_vit *v) {
    if (!v) return;
    th_free(v->encoder.blocks);
    th_params_free(v->params);
    th_free(v);
}

const th_vit_config *th_vit_get_config(const th_vit *v) { return &v->config; }
th_params *th_vit_params(const th_vit *v) { return v->params; }

th_tensor *th_vit_apply(th_graph *g, const th_vit *v, th_tensor *images) {
    const th_vit_config *c = &v->config;
    const th_desc *d = th_tensor_desc(images);
    char text[TH_DESC_TEXT];
    if (d->rank != 4 || d->dim[1] != c->image_size || d->dim[2] != c->image_size || d->dim[3] != 3)
        th_graph_fail(g, TH_E_SHAPE, "images %s, the model takes [n, %lld, %lld, 3]", th_desc_text(d, text),
                      (long long)c->image_size, (long long)c->image_size);
    th_graph_push(g, "vit");
    th_tensor *x = th_embed_patches(g, images, c->patch_size, &v->patches);
    x = th_transformer_apply(g, &v->encoder, th_place_patches(g, x, v->class_token, v->positions));
    x = th_norm_apply(g, &v->last_norm, th_class_token(g, x));
    th_graph_pop(g);
    return x;
}
