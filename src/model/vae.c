/* The autoencoder's two halves. Parameters bear the names of diffusers' AutoencoderKL. */
#include "model/vae.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "graph/graph.h"
#include "model/resnet.h"
#include "model/vae_files.h"

#define NORM_EPS 1e-6f

/* Two residual blocks with an attention of one head between them. */
typedef struct {
    th_resnet first, last;
    bool attends;
    th_norm_layer norm;
    th_linear_layer q, k, v, out;
} mid_block;

typedef struct {
    th_resnet *resnets;
    int64_t count;
    bool resizes;
    th_conv_layer resize; /* downsamplers.0.conv or upsamplers.0.conv */
} level;

typedef struct {
    th_conv_layer conv_in, conv_out;
    th_norm_layer norm_out;
    level levels[TH_VAE_MOST_LEVELS]; /* in the order they are gone through */
    mid_block mid;
} half;

struct th_vae {
    th_vae_config config;
    th_params *params;
    half encoder, decoder;
    th_linear_layer quant, post_quant; /* 1 × 1 convolutions; weight NULL: none */
};

/* ---- parameters */

static void make_mid(th_maker *m, mid_block *b, const char *prefix, int64_t c, const th_vae_config *k) {
    char name[200];
    th_resnet_config r = {.in = c, .out = c, .groups = k->groups, .eps = NORM_EPS};
    snprintf(name, sizeof name, "%s.resnets.0", prefix);
    th_resnet_init(m, &b->first, name, &r);
    b->attends = k->mid_attention;
    if (b->attends) {
        const struct {
            th_linear_layer *layer;
            const char *name;
        } linears[] = {{&b->q, "to_q"}, {&b->k, "to_k"}, {&b->v, "to_v"}, {&b->out, "to_out.0"}};
        snprintf(name, sizeof name, "%s.attentions.0.group_norm", prefix);
        th_norm_init(m, &b->norm, name, c, NORM_EPS);
        for (size_t i = 0; i < sizeof linears / sizeof *linears; i++) {
            snprintf(name, sizeof name, "%s.attentions.0.%s", prefix, linears[i].name);
            th_linear_init(m, linears[i].layer, name, c, c, true);
        }
    }
    snprintf(name, sizeof name, "%s.resnets.1", prefix);
    th_resnet_init(m, &b->last, name, &r);
}

/* `which` names the level's block ("encoder.down_blocks.0") and its convolution ("downsamplers"). */
static void make_level(th_maker *m, level *l, const char *block, const char *resizer, int64_t count, int64_t in,
                       int64_t out, bool resizes, int64_t groups) {
    char name[200];
    l->count = count;
    l->resizes = resizes;
    l->resnets = th_alloc((size_t)count, sizeof *l->resnets);
    if (!l->resnets) m->status = th_fail_memory();
    for (int64_t i = 0; i < count && m->status == TH_OK; i++) {
        th_resnet_config r = {.in = i ? out : in, .out = out, .groups = groups, .eps = NORM_EPS};
        snprintf(name, sizeof name, "%s.resnets.%lld", block, (long long)i);
        th_resnet_init(m, &l->resnets[i], name, &r);
    }
    snprintf(name, sizeof name, "%s.%s.0.conv", block, resizer);
    if (resizes) th_conv_init(m, &l->resize, name, out, out, 3);
}

static void make_encoder(th_maker *m, th_vae *v) {
    const th_vae_config *c = &v->config;
    half *e = &v->encoder;
    int64_t last = c->channels[c->levels - 1], in = c->channels[0];
    char name[64];
    th_conv_init(m, &e->conv_in, "encoder.conv_in", c->in_channels, in, 3);
    for (int i = 0; i < c->levels; i++) {
        snprintf(name, sizeof name, "encoder.down_blocks.%d", i);
        make_level(m, &e->levels[i], name, "downsamplers", c->layers_per_block, in, c->channels[i], i + 1 < c->levels,
                   c->groups);
        in = c->channels[i];
    }
    make_mid(m, &e->mid, "encoder.mid_block", last, c);
    th_norm_init(m, &e->norm_out, "encoder.conv_norm_out", last, NORM_EPS);
    th_conv_init(m, &e->conv_out, "encoder.conv_out", last, 2 * c->latent_channels, 3);
    if (c->quant_conv) th_linear_init(m, &v->quant, "quant_conv", 2 * c->latent_channels, 2 * c->latent_channels, true);
}

static void make_decoder(th_maker *m, th_vae *v) {
    const th_vae_config *c = &v->config;
    half *d = &v->decoder;
    int64_t in = c->channels[c->levels - 1];
    char name[64];
    if (c->post_quant_conv)
        th_linear_init(m, &v->post_quant, "post_quant_conv", c->latent_channels, c->latent_channels, true);
    th_conv_init(m, &d->conv_in, "decoder.conv_in", c->latent_channels, in, 3);
    make_mid(m, &d->mid, "decoder.mid_block", in, c);
    for (int i = 0; i < c->levels; i++) {
        int64_t out = c->channels[c->levels - 1 - i];
        snprintf(name, sizeof name, "decoder.up_blocks.%d", i);
        make_level(m, &d->levels[i], name, "upsamplers", c->layers_per_block + 1, in, out, i + 1 < c->levels,
                   c->groups);
        in = out;
    }
    th_norm_init(m, &d->norm_out, "decoder.conv_norm_out", in, NORM_EPS);
    th_conv_init(m, &d->conv_out, "decoder.conv_out", in, c->out_channels, 3);
}

th_status th_vae_new(const th_vae_config *config, th_vae **out) {
    TH_TRY(th_vae_check(config));
    th_vae *v = th_alloc(1, sizeof *v);
    if (!v) return th_fail_memory();
    v->config = *config;
    v->params = th_params_new();
    th_maker m = {v->params, v->params ? TH_OK : th_fail_memory()};
    make_encoder(&m, v);
    make_decoder(&m, v);
    if (m.status != TH_OK) return th_vae_free(v), m.status;
    *out = v;
    return TH_OK;
}

void th_vae_free(th_vae *v) {
    if (!v) return;
    for (int i = 0; i < TH_VAE_MOST_LEVELS; i++) {
        th_free(v->encoder.levels[i].resnets);
        th_free(v->decoder.levels[i].resnets);
    }
    th_params_free(v->params);
    th_free(v);
}

const th_vae_config *th_vae_get_config(const th_vae *v) { return &v->config; }
void th_vae_set_scaling(th_vae *v, float factor) { v->config.scaling_factor = factor; }
th_params *th_vae_params(const th_vae *v) { return v->params; }
int64_t th_vae_factor(const th_vae_config *c) { return (int64_t)1 << (c->levels - 1); }

static th_status randomize_half(const half *h, int levels, uint64_t seed, uint32_t *which) {
    const mid_block *b = &h->mid;
    TH_TRY(th_conv_randomize(&h->conv_in, seed, which));
    for (int i = 0; i < levels; i++) {
        const level *l = &h->levels[i];
        for (int64_t k = 0; k < l->count; k++) TH_TRY(th_resnet_randomize(&l->resnets[k], seed, which));
        if (l->resizes) TH_TRY(th_conv_randomize(&l->resize, seed, which));
    }
    TH_TRY(th_resnet_randomize(&b->first, seed, which));
    if (b->attends) {
        const th_linear_layer *linears[] = {&b->q, &b->k, &b->v, &b->out};
        TH_TRY(th_norm_randomize(&b->norm));
        for (int i = 0; i < 4; i++) TH_TRY(th_linear_randomize(linears[i], seed, which));
    }
    TH_TRY(th_resnet_randomize(&b->last, seed, which));
    TH_TRY(th_norm_randomize(&h->norm_out));
    return th_conv_randomize(&h->conv_out, seed, which);
}

th_status th_vae_randomize(th_vae *v, uint64_t seed) {
    uint32_t which = 0;
    TH_TRY(randomize_half(&v->encoder, v->config.levels, seed, &which));
    if (v->quant.weight) TH_TRY(th_linear_randomize(&v->quant, seed, &which));
    if (v->post_quant.weight) TH_TRY(th_linear_randomize(&v->post_quant, seed, &which));
    return randomize_half(&v->decoder, v->config.levels, seed, &which);
}

/* ---- graphs */

static th_tensor *attend(th_graph *g, const mid_block *b, th_tensor *x, int64_t groups) {
    th_desc d = *th_tensor_desc(x);
    th_tensor *h = th_group_norm_apply(g, &b->norm, x, groups, false);
    h = th_reshape(g, h, TH_DESC(TH_F32, d.dim[0], d.dim[1] * d.dim[2], d.dim[3]));
    th_tensor *q = th_linear_apply(g, &b->q, h), *k = th_linear_apply(g, &b->k, h), *v = th_linear_apply(g, &b->v, h);
    h = th_linear_apply(g, &b->out, th_attention(g, q, k, v, 1, false));
    return th_add(g, x, th_reshape(g, h, d));
}

static th_tensor *apply_mid(th_graph *g, const mid_block *b, th_tensor *x, int64_t groups) {
    th_graph_push(g, "mid");
    x = th_resnet_apply(g, &b->first, x, NULL);
    if (b->attends) x = attend(g, b, x, groups);
    x = th_resnet_apply(g, &b->last, x, NULL);
    th_graph_pop(g);
    return x;
}

static th_tensor *finish(th_graph *g, const half *h, th_tensor *x, int64_t groups) {
    return th_conv_apply(g, &h->conv_out, th_group_norm_apply(g, &h->norm_out, x, groups, true), NULL);
}

static bool fits(th_graph *g, th_tensor *x, int64_t channels, int64_t multiple) {
    const th_desc *d = th_tensor_desc(x);
    char text[TH_DESC_TEXT];
    if (d->rank == 4 && d->dim[3] == channels && !(d->dim[1] % multiple) && !(d->dim[2] % multiple)) return true;
    th_graph_fail(g, TH_E_SHAPE, "%s, the autoencoder takes [n, h, w, %lld] with sides in multiples of %lld",
                  th_desc_text(d, text), (long long)channels, (long long)multiple);
    return false;
}

th_tensor *th_vae_encode(th_graph *g, const th_vae *v, th_tensor *x) {
    const th_vae_config *c = &v->config;
    const half *e = &v->encoder;
    if (!fits(g, x, c->in_channels, th_vae_factor(c))) return x;
    th_conv_params down;
    th_conv_params_init(&down);
    down.stride = 2, down.pad_bottom = down.pad_right = 1;
    th_graph_push(g, "encoder");
    x = th_conv_apply(g, &e->conv_in, x, NULL);
    for (int i = 0; i < c->levels; i++) {
        const level *l = &e->levels[i];
        th_graph_push(g, "%d", i);
        for (int64_t k = 0; k < l->count; k++) x = th_resnet_apply(g, &l->resnets[k], x, NULL);
        if (l->resizes) x = th_conv_apply(g, &l->resize, x, &down);
        th_graph_pop(g);
    }
    x = finish(g, e, apply_mid(g, &e->mid, x, c->groups), c->groups);
    if (v->quant.weight) x = th_linear_apply(g, &v->quant, x);
    th_graph_pop(g);
    return x;
}

th_vae_posterior th_vae_split(th_graph *g, const th_vae *v, th_tensor *moments) {
    int64_t k = v->config.latent_channels;
    th_tensor *mean = th_slice(g, moments, 3, 0, k), *logvar = th_slice(g, moments, 3, k, 2 * k);
    logvar = th_sub(g, th_affine(g, th_relu(g, th_affine(g, logvar, 1, 30)), 1, -30),
                    th_relu(g, th_affine(g, logvar, 1, -20)));
    return (th_vae_posterior){mean, logvar};
}

th_tensor *th_vae_sample(th_graph *g, const th_vae_posterior *p, th_tensor *noise) {
    return th_add(g, p->mean, th_mul(g, th_exp(g, th_scale(g, p->logvar, 0.5f)), noise));
}

th_tensor *th_vae_decode(th_graph *g, const th_vae *v, th_tensor *z) {
    const th_vae_config *c = &v->config;
    const half *d = &v->decoder;
    if (!fits(g, z, c->latent_channels, 1)) return z;
    th_graph_push(g, "decoder");
    th_tensor *x = v->post_quant.weight ? th_linear_apply(g, &v->post_quant, z) : z;
    x = apply_mid(g, &d->mid, th_conv_apply(g, &d->conv_in, x, NULL), c->groups);
    for (int i = 0; i < c->levels; i++) {
        const level *l = &d->levels[i];
        th_graph_push(g, "%d", i);
        for (int64_t k = 0; k < l->count; k++) x = th_resnet_apply(g, &l->resnets[k], x, NULL);
        if (l->resizes) x = th_conv_apply(g, &l->resize, th_upsample2d(g, x, 2), NULL);
        th_graph_pop(g);
    }
    x = finish(g, d, x, c->groups);
    th_graph_pop(g);
    return x;
}
