/* Layers. */
#include "model/layers.h"

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
}

th_tensor *th_linear_apply(th_graph *g, const th_linear_layer *l, th_tensor *x) {
    return th_linear(g, x, th_use(g, l->weight), l->bias ? th_use(g, l->bias) : NULL);
}

void th_norm_init(th_maker *m, th_norm_layer *l, const char *prefix, int64_t c, float eps) {
    l->weight = th_make_param(m, TH_DESC(TH_F32, c), "%s.weight", prefix);
    l->bias = th_make_param(m, TH_DESC(TH_F32, c), "%s.bias", prefix);
    l->eps = eps;
}

th_tensor *th_norm_apply(th_graph *g, const th_norm_layer *l, th_tensor *x) {
    return th_layer_norm(g, x, th_use(g, l->weight), th_use(g, l->bias), l->eps);
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
