/* Layers. */
#include "model/layers.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/memory.h"
#include "base/rng.h"

th_param *th_make_param(th_maker *m, th_desc d, const char *format, ...) {
    if (m->status != TH_OK) return NULL;
    char name[256];
    va_list args;
    va_start(args, format);
    vsnprintf(name, sizeof name, format, args);
    va_end(args);
    th_param *p = th_params_add(m->params, name, d);
    if (!p) m->status = TH_E_MEMORY;
    return p;
}

void th_linear_init(th_maker *m, th_linear_layer *l, const char *prefix, int64_t in, int64_t out, bool bias) {
    l->weight = th_make_param(m, TH_DESC(TH_F32, out, in), "%s.weight", prefix);
    l->bias = bias ? th_make_param(m, TH_DESC(TH_F32, out), "%s.bias", prefix) : NULL;
    l->lora = (th_low_rank){0};
}

/* The scale goes where the tensor is smallest. */
static th_tensor *low_rank(th_graph *g, const th_low_rank *l, th_tensor *x) {
    th_tensor *h = th_linear(g, x, th_use(g, l->down), NULL);
    if (l->scale != 1.0f) h = th_scale(g, h, l->scale);
    return th_linear(g, h, th_use(g, l->up), NULL);
}

th_tensor *th_linear_apply(th_graph *g, const th_linear_layer *l, th_tensor *x) {
    th_tensor *y = th_linear(g, x, th_use(g, l->weight), l->bias ? th_use(g, l->bias) : NULL);
    return l->lora.down ? th_add(g, y, low_rank(g, &l->lora, x)) : y;
}

void th_lora_init(th_maker *m, th_linear_layer *l, const char *prefix, int64_t rank, float alpha) {
    const th_desc *w = th_param_desc(l->weight); /* [out, in] */
    l->lora.down = th_make_param(m, TH_DESC(TH_F32, rank, w->dim[1]), "%s.lora_A.weight", prefix);
    l->lora.up = th_make_param(m, TH_DESC(TH_F32, w->dim[0], rank), "%s.lora_B.weight", prefix);
    l->lora.scale = alpha / (float)rank;
}

void th_conv_init(th_maker *m, th_conv_layer *l, const char *prefix, int64_t in, int64_t out, int64_t kernel) {
    l->weight = th_make_param(m, TH_DESC(TH_F32, out, in, kernel, kernel), "%s.weight", prefix);
    l->bias = th_make_param(m, TH_DESC(TH_F32, out), "%s.bias", prefix);
}

th_tensor *th_conv_apply(th_graph *g, const th_conv_layer *l, th_tensor *x, const th_conv_params *p) {
    th_conv_params same;
    if (!p) {
        th_conv_params_init(&same);
        same.pad_top = same.pad_left = same.pad_bottom = same.pad_right = th_param_desc(l->weight)->dim[2] / 2;
        p = &same;
    }
    return th_conv2d(g, x, th_use(g, l->weight), th_use(g, l->bias), p);
}

void th_norm_init(th_maker *m, th_norm_layer *l, const char *prefix, int64_t c, float eps) {
    l->weight = th_make_param(m, TH_DESC(TH_F32, c), "%s.weight", prefix);
    l->bias = th_make_param(m, TH_DESC(TH_F32, c), "%s.bias", prefix);
    l->eps = eps;
}

th_tensor *th_norm_apply(th_graph *g, const th_norm_layer *l, th_tensor *x) {
    return th_layer_norm(g, x, th_use(g, l->weight), th_use(g, l->bias), l->eps);
}

th_tensor *th_group_norm_apply(th_graph *g, const th_norm_layer *l, th_tensor *x, int64_t groups, bool silu) {
    return th_group_norm(g, x, th_use(g, l->weight), th_use(g, l->bias), groups, l->eps, silu);
}

th_tensor *th_activate(th_graph *g, th_activation a, th_tensor *x) {
    return a == TH_QUICK_GELU ? th_quick_gelu(g, x) : th_gelu(g, x);
}

th_status th_init_normal(th_param *p, uint64_t seed, uint32_t which, float std) {
    int64_t n = th_desc_count(th_param_desc(p));
    float *v = th_alloc((size_t)n, sizeof *v);
    if (!v) return th_fail_memory();
    for (int64_t i = 0; i < n; i++) {
        th_rng_block b = th_philox(seed, TH_RNG_INIT, which, (uint64_t)i);
        v[i] = std * th_normal_f32(b.word[0], b.word[1]);
    }
    th_status s = th_param_set(p, v);
    th_free(v);
    return s;
}

th_status th_init_constant(th_param *p, float value) {
    int64_t n = th_desc_count(th_param_desc(p));
    float *v = th_alloc((size_t)n, sizeof *v);
    if (!v) return th_fail_memory();
    for (int64_t i = 0; i < n; i++) v[i] = value;
    th_status s = th_param_set(p, v);
    th_free(v);
    return s;
}

/* Element i of a parameter is a function of (seed, which, i), whoever fills it. */
static th_status init_uniform(th_param *p, uint64_t seed, uint32_t which, float most) {
    int64_t n = th_desc_count(th_param_desc(p));
    float *v = th_alloc_big((size_t)n * sizeof *v);
    if (!v) return th_fail_memory();
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < n; i += 4) {
        th_rng_block b = th_philox(seed, TH_RNG_INIT, which, (uint64_t)i / 4);
        for (int64_t k = 0; k < 4 && i + k < n; k++) v[i + k] = most * (2.0f * th_unit_f32(b.word[k]) - 1.0f);
    }
    th_status s = th_param_set(p, v);
    th_free_big(v, (size_t)n * sizeof *v);
    return s;
}

static th_status randomize(th_param *weight, th_param *bias, uint64_t seed, uint32_t *which) {
    const th_desc *d = th_param_desc(weight);
    float most = 1.0f / sqrtf((float)(th_desc_count(d) / d->dim[0]));
    TH_TRY(init_uniform(weight, seed, (*which)++, most));
    return bias ? init_uniform(bias, seed, (*which)++, most) : TH_OK;
}

th_status th_linear_randomize(const th_linear_layer *l, uint64_t seed, uint32_t *which) {
    return randomize(l->weight, l->bias, seed, which);
}

th_status th_conv_randomize(const th_conv_layer *l, uint64_t seed, uint32_t *which) {
    return randomize(l->weight, l->bias, seed, which);
}

th_status th_norm_randomize(const th_norm_layer *l) {
    TH_TRY(th_init_constant(l->weight, 1.0f));
    return th_init_constant(l->bias, 0.0f);
}
