/* The UNet: its layers, and a pass through them. */
#include <math.h>
#include <stdio.h>

#include "base/memory.h"
#include "graph/graph.h"
#include "model/unet_parts.h"

#define NAME 200

/* ---- layers */

static th_spatial_config spatial(const th_unet_config *c, int64_t channels, int64_t heads) {
    return (th_spatial_config){
        .channels = channels, .heads = heads, .context = c->cross_attention_dim, .groups = c->groups};
}

static th_resnet_config resnet(const th_unet_config *c, int64_t in, int64_t out) {
    return (th_resnet_config){.in = in, .out = out, .time = 4 * c->channels[0], .groups = c->groups, .eps = c->eps};
}

/* in[i]: what block i is given, of `count`. */
static void make_level(th_maker *m, th_unet_level *l, const th_unet_config *c, const int64_t *in, int64_t out,
                       int64_t heads, const char *resizer) {
    char name[NAME];
    th_spatial_config s = spatial(c, out, heads);
    l->resnets = th_alloc((size_t)l->count, sizeof *l->resnets);
    l->attentions = th_alloc((size_t)l->count, sizeof *l->attentions);
    if (!l->resnets || !l->attentions) m->status = th_fail_memory();
    for (int64_t i = 0; i < l->count && m->status == TH_OK; i++) {
        th_resnet_config r = resnet(c, in[i], out);
        snprintf(name, sizeof name, "%s.resnets.%lld", l->name, (long long)i);
        th_resnet_init(m, &l->resnets[i], name, &r);
        snprintf(name, sizeof name, "%s.attentions.%lld", l->name, (long long)i);
        if (l->attends) th_spatial_init(m, &l->attentions[i], name, &s);
    }
    snprintf(name, sizeof name, "%s.%s.0.conv", l->name, resizer);
    if (l->resizes) th_conv_init(m, &l->resize, name, out, out, 3);
}

static void make_down(th_maker *m, th_unet *u, int i) {
    const th_unet_config *c = &u->config;
    th_unet_level *l = &u->down[i];
    int64_t in[TH_UNET_MOST_LAYERS], out = c->channels[i];
    snprintf(l->name, sizeof l->name, "down_blocks.%d", i);
    l->count = c->layers_per_block;
    l->attends = c->attends_down[i];
    l->resizes = i + 1 < c->levels;
    for (int64_t k = 0; k < l->count; k++) in[k] = k ? out : c->channels[i ? i - 1 : 0];
    make_level(m, l, c, in, out, c->heads[i], "downsamplers");
}

/* A block of the way up is given what the one before it made, and beside it what the way down left. */
static void make_up(th_maker *m, th_unet *u, int i) {
    const th_unet_config *c = &u->config;
    th_unet_level *l = &u->up[i];
    int at = c->levels - 1 - i;
    int64_t in[TH_UNET_MOST_LAYERS + 1], out = c->channels[at];
    int64_t before = c->channels[i ? at + 1 : at], skip = c->channels[at ? at - 1 : 0];
    snprintf(l->name, sizeof l->name, "up_blocks.%d", i);
    l->count = c->layers_per_block + 1;
    l->attends = c->attends_up[i];
    l->resizes = i + 1 < c->levels;
    for (int64_t k = 0; k < l->count; k++) in[k] = (k ? out : before) + (k + 1 == l->count ? skip : out);
    make_level(m, l, c, in, out, c->heads[at], "upsamplers");
}

static void make_middle(th_maker *m, th_unet *u) {
    const th_unet_config *c = &u->config;
    int64_t last = c->channels[c->levels - 1];
    th_resnet_config r = resnet(c, last, last);
    th_spatial_config s = spatial(c, last, c->heads[c->levels - 1]);
    th_resnet_init(m, &u->middle[0], "mid_block.resnets.0", &r);
    th_spatial_init(m, &u->attention, "mid_block.attentions.0", &s);
    th_resnet_init(m, &u->middle[1], "mid_block.resnets.1", &r);
}

static void make_all(th_maker *m, th_unet *u) {
    const th_unet_config *c = &u->config;
    int64_t first = c->channels[0];
    th_conv_init(m, &u->conv_in, "conv_in", c->in_channels, first, 3);
    th_linear_init(m, &u->time1, "time_embedding.linear_1", first, 4 * first, true);
    th_linear_init(m, &u->time2, "time_embedding.linear_2", 4 * first, 4 * first, true);
    for (int i = 0; i < c->levels; i++) make_down(m, u, i);
    make_middle(m, u);
    for (int i = 0; i < c->levels; i++) make_up(m, u, i);
    th_norm_init(m, &u->norm_out, "conv_norm_out", first, c->eps);
    th_conv_init(m, &u->conv_out, "conv_out", first, c->out_channels, 3);
}

th_status th_unet_new(const th_unet_config *config, th_unet **out) {
    TH_TRY(th_unet_check(config));
    th_unet *u = th_alloc(1, sizeof *u);
    if (!u) return th_fail_memory();
    u->config = *config;
    u->params = th_params_new();
    th_maker m = {u->params, u->params ? TH_OK : th_fail_memory()};
    make_all(&m, u);
    if (m.status != TH_OK) return th_unet_free(u), m.status;
    *out = u;
    return TH_OK;
}

void th_unet_free(th_unet *u) {
    if (!u) return;
    for (int i = 0; i < TH_UNET_MOST_LEVELS; i++) {
        th_free(u->down[i].resnets), th_free(u->down[i].attentions);
        th_free(u->up[i].resnets), th_free(u->up[i].attentions);
    }
    th_params_free(u->params);
    th_params_free(u->lora);
    th_free(u);
}

const th_unet_config *th_unet_get_config(const th_unet *u) { return &u->config; }
th_params *th_unet_params(const th_unet *u) { return u->params; }
th_params *th_unet_lora(const th_unet *u) { return u->lora; }
int64_t th_unet_multiple(const th_unet_config *c) { return (int64_t)1 << (c->levels - 1); }
void th_unet_hold_first_token(th_unet *u, bool hold) { u->hold_first_token = hold; }

static th_status randomize_level(const th_unet_level *l, uint64_t seed, uint32_t *which) {
    for (int64_t i = 0; i < l->count; i++) {
        TH_TRY(th_resnet_randomize(&l->resnets[i], seed, which));
        if (l->attends) TH_TRY(th_spatial_randomize(&l->attentions[i], seed, which));
    }
    return l->resizes ? th_conv_randomize(&l->resize, seed, which) : TH_OK;
}

th_status th_unet_randomize(th_unet *u, uint64_t seed) {
    uint32_t which = 0;
    TH_TRY(th_conv_randomize(&u->conv_in, seed, &which));
    TH_TRY(th_linear_randomize(&u->time1, seed, &which));
    TH_TRY(th_linear_randomize(&u->time2, seed, &which));
    for (int i = 0; i < u->config.levels; i++) TH_TRY(randomize_level(&u->down[i], seed, &which));
    TH_TRY(th_resnet_randomize(&u->middle[0], seed, &which));
    TH_TRY(th_spatial_randomize(&u->attention, seed, &which));
    TH_TRY(th_resnet_randomize(&u->middle[1], seed, &which));
    for (int i = 0; i < u->config.levels; i++) TH_TRY(randomize_level(&u->up[i], seed, &which));
    TH_TRY(th_norm_randomize(&u->norm_out));
    TH_TRY(th_init_constant(u->conv_out.weight, 0.0f));
    return th_init_constant(u->conv_out.bias, 0.0f);
}

/* ---- low-rank additions */

static void add_lora_to(th_maker *m, th_unet_level *l, const th_lora_params *p) {
    char name[NAME];
    for (int64_t i = 0; l->attends && i < l->count; i++) {
        snprintf(name, sizeof name, "%s.attentions.%lld", l->name, (long long)i);
        th_spatial_add_lora(m, &l->attentions[i], name, p->rank, p->alpha);
    }
}

/* A from N(0, 1 / rank²), as peft's "gaussian" and diffusers' scripts have it, and B zero: the model stays as it is
 * until B moves. */
static th_status randomize_lora(const th_params *lora, const th_lora_params *p) {
    for (int64_t i = 0; i < th_params_count(lora); i++) {
        th_param *q = th_params_at(lora, i);
        bool down = th_param_desc(q)->dim[0] == p->rank && i % 2 == 0; /* A and B take turns */
        TH_TRY(down ? th_init_normal(q, p->seed, (uint32_t)i, 1.0f / (float)p->rank) : th_init_constant(q, 0.0f));
    }
    return TH_OK;
}

th_status th_unet_add_lora(th_unet *u, const th_lora_params *p) {
    if (u->lora) return th_fail(TH_E_BUG, "low-rank additions are made once for each model");
    if (p->rank < 1 || p->rank > 4096 || !isfinite(p->alpha))
        return th_fail(TH_E_INPUT, "low-rank additions of rank %lld: it should lie in [1, 4096]", (long long)p->rank);
    u->lora = th_params_new();
    th_maker m = {u->lora, u->lora ? TH_OK : th_fail_memory()};
    for (int i = 0; i < u->config.levels; i++) add_lora_to(&m, &u->down[i], p);
    th_spatial_add_lora(&m, &u->attention, "mid_block.attentions.0", p->rank, p->alpha);
    for (int i = 0; i < u->config.levels; i++) add_lora_to(&m, &u->up[i], p);
    return m.status == TH_OK ? randomize_lora(u->lora, p) : m.status;
}

/* ---- the pass */

void th_unet_embed_times(const th_unet_config *c, const float *times, int64_t n, float *out) {
    int64_t d = c->channels[0], half = d / 2;
    for (int64_t i = 0; i < n; i++) {
        float *row = out + i * d;
        for (int64_t k = 0; k < half; k++) {
            float exponent = -9.210340371976184f * (float)k / ((float)half - c->freq_shift); /* ln 10000 */
            float angle = times[i] * expf(exponent);
            row[k + (c->flip_sin_to_cos ? half : 0)] = sinf(angle);
            row[k + (c->flip_sin_to_cos ? 0 : half)] = cosf(angle);
        }
        if (d % 2) row[d - 1] = 0.0f;
    }
}

/* What the way down leaves for the way up: a stack. */
typedef struct {
    th_tensor *items[TH_UNET_MOST_LEVELS * (TH_UNET_MOST_LAYERS + 1) + 1];
    int count;
} skips;

static th_tensor *pass_down(th_graph *g, const th_unet *u, const th_unet_level *l, th_tensor *x, th_tensor *time,
                            th_tensor *states, skips *s) {
    th_conv_params halve;
    th_conv_params_init(&halve);
    halve.stride = 2, halve.pad_top = halve.pad_left = halve.pad_bottom = halve.pad_right = 1;
    th_graph_push(g, "%s", l->name);
    for (int64_t i = 0; i < l->count; i++) {
        x = th_resnet_apply(g, &l->resnets[i], x, time);
        if (l->attends) x = th_spatial_apply(g, &l->attentions[i], x, states, u->hold_first_token);
        s->items[s->count++] = x;
    }
    if (l->resizes) s->items[s->count++] = x = th_conv_apply(g, &l->resize, x, &halve);
    th_graph_pop(g);
    return x;
}

static th_tensor *pass_up(th_graph *g, const th_unet *u, const th_unet_level *l, th_tensor *x, th_tensor *time,
                          th_tensor *states, skips *s) {
    th_graph_push(g, "%s", l->name);
    for (int64_t i = 0; i < l->count; i++) {
        x = th_concat(g, 3, 2, (th_tensor *[]){x, s->items[--s->count]});
        x = th_resnet_apply(g, &l->resnets[i], x, time);
        if (l->attends) x = th_spatial_apply(g, &l->attentions[i], x, states, u->hold_first_token);
    }
    if (l->resizes) x = th_conv_apply(g, &l->resize, th_upsample2d(g, x, 2), NULL);
    th_graph_pop(g);
    return x;
}

static th_tensor *embed_time(th_graph *g, const th_unet *u, th_tensor *times) {
    th_tensor *t = th_linear_apply(g, &u->time2, th_silu(g, th_linear_apply(g, &u->time1, times)));
    return th_silu(g, t); /* which every block begins with */
}

static void check_inputs(th_graph *g, const th_unet_config *c, th_tensor *x, th_tensor *times, th_tensor *states) {
    const th_desc *d = th_tensor_desc(x), *t = th_tensor_desc(times), *s = th_tensor_desc(states);
    int64_t m = th_unet_multiple(c);
    char a[TH_DESC_TEXT], b[TH_DESC_TEXT];
    if (d->rank != 4 || d->dim[3] != c->in_channels || d->dim[1] % m || d->dim[2] % m)
        th_graph_fail(g, TH_E_SHAPE, "latents %s, the UNet takes [n, h, w, %lld], sides in multiples of %lld",
                      th_desc_text(d, a), (long long)c->in_channels, (long long)m);
    else if (t->rank != 2 || t->dim[0] != d->dim[0] || t->dim[1] != c->channels[0])
        th_graph_fail(g, TH_E_SHAPE, "times %s for latents %s, the UNet takes [n, %lld]", th_desc_text(t, a),
                      th_desc_text(d, b), (long long)c->channels[0]);
    else if (s->rank != 3 || s->dim[0] != d->dim[0] || s->dim[2] != c->cross_attention_dim)
        th_graph_fail(g, TH_E_SHAPE, "states %s for latents %s, the UNet takes [n, tokens, %lld]", th_desc_text(s, a),
                      th_desc_text(d, b), (long long)c->cross_attention_dim);
}

th_tensor *th_unet_apply(th_graph *g, const th_unet *u, th_tensor *x, th_tensor *times, th_tensor *states) {
    const th_unet_config *c = &u->config;
    skips s = {.count = 0};
    th_graph_push(g, "unet");
    check_inputs(g, c, x, times, states);
    th_tensor *time = embed_time(g, u, times);
    s.items[s.count++] = x = th_conv_apply(g, &u->conv_in, x, NULL);
    for (int i = 0; i < c->levels; i++) x = pass_down(g, u, &u->down[i], x, time, states, &s);
    x = th_resnet_apply(g, &u->middle[0], x, time);
    x = th_spatial_apply(g, &u->attention, x, states, u->hold_first_token);
    x = th_resnet_apply(g, &u->middle[1], x, time);
    for (int i = 0; i < c->levels; i++) x = pass_up(g, u, &u->up[i], x, time, states, &s);
    x = th_conv_apply(g, &u->conv_out, th_group_norm_apply(g, &u->norm_out, x, c->groups, true), NULL);
    th_graph_pop(g);
    return x;
}
