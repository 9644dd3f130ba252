/* Layers that models share: a layer knows its parameters, and applying it records its operations. Names follow the
 * ecosystem's: `prefix` + ".weight", ".bias". */
#ifndef TH_MODEL_LAYERS_H
#define TH_MODEL_LAYERS_H

#include "theriac/graph.h"
#include "theriac/ops.h"

/* Where parameters are made; the first error sticks, so a model checks once. */
typedef struct {
    th_params *params;
    th_status status;
} th_maker;

/* "format" names the parameter. */
th_param *th_make_param(th_maker *m, th_desc d, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* A low-rank addition to a product (Hu et al. 2022): scale · up (down x). */
typedef struct {
    th_param *down, *up; /* [rank, in], [out, rank]; NULL where there is none */
    float scale;         /* alpha / rank */
} th_low_rank;

typedef struct {
    th_param *weight, *bias; /* [out, in], [out] or NULL */
    th_low_rank lora;
} th_linear_layer;
void th_linear_init(th_maker *m, th_linear_layer *l, const char *prefix, int64_t in, int64_t out, bool bias);
th_tensor *th_linear_apply(th_graph *g, const th_linear_layer *l, th_tensor *x);
/* Adds to a layer the parameters PREFIX.lora_A.weight and PREFIX.lora_B.weight, which PEFT calls so, made by a maker of
 * another set: it and the layer must live as long. */
void th_lora_init(th_maker *m, th_linear_layer *l, const char *prefix, int64_t rank, float alpha);

typedef struct {
    th_param *weight, *bias; /* [out, in, kernel, kernel], [out] */
} th_conv_layer;
void th_conv_init(th_maker *m, th_conv_layer *l, const char *prefix, int64_t in, int64_t out, int64_t kernel);
/* x [n, h, w, in] → [n, oh, ow, out]. p NULL: stride 1, padded so that h and w stay (an odd kernel). */
th_tensor *th_conv_apply(th_graph *g, const th_conv_layer *l, th_tensor *x, const th_conv_params *p);

typedef struct {
    th_param *weight, *bias; /* [c] */
    float eps;
} th_norm_layer;
void th_norm_init(th_maker *m, th_norm_layer *l, const char *prefix, int64_t c, float eps);
th_tensor *th_norm_apply(th_graph *g, const th_norm_layer *l, th_tensor *x);
/* The same layer over groups of channels; silu: and x · σ(x) after it. */
th_tensor *th_group_norm_apply(th_graph *g, const th_norm_layer *l, th_tensor *x, int64_t groups, bool silu);

typedef enum { TH_QUICK_GELU, TH_GELU } th_activation;
th_tensor *th_activate(th_graph *g, th_activation a, th_tensor *x);

/* Fills a parameter with N(0, std²), where element i of parameter number `which` is a function of (seed, which, i); or
 * with a constant. */
th_status th_init_normal(th_param *p, uint64_t seed, uint32_t which, float std);
th_status th_init_constant(th_param *p, float value);
/* Values as PyTorch's layers start with: weights and biases uniform in ±1 / √(inputs of an output), norms 1 and 0.
 * Counts up *which. */
th_status th_linear_randomize(const th_linear_layer *l, uint64_t seed, uint32_t *which);
th_status th_conv_randomize(const th_conv_layer *l, uint64_t seed, uint32_t *which);
th_status th_norm_randomize(const th_norm_layer *l);

#endif
