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

typedef struct {
    th_param *weight, *bias; /* [out, in], [out] or NULL */
} th_linear_layer;
void th_linear_init(th_maker *m, th_linear_layer *l, const char *prefix, int64_t in, int64_t out, bool bias);
th_tensor *th_linear_apply(th_graph *g, const th_linear_layer *l, th_tensor *x);

typedef struct {
    th_param *weight, *bias; /* [c] */
    float eps;
} th_norm_layer;
void th_norm_init(th_maker *m, th_norm_layer *l, const char *prefix, int64_t c, float eps);
th_tensor *th_norm_apply(th_graph *g, const th_norm_layer *l, th_tensor *x);

typedef enum { TH_QUICK_GELU, TH_GELU } th_activation;
th_tensor *th_activate(th_graph *g, th_activation a, th_tensor *x);

/* Fills a parameter with N(0, std²), where element i of parameter number `which` is a function of (seed, which, i); or
 * with a constant. */
th_status th_init_normal(th_param *p, uint64_t seed, uint32_t which, float std);
th_status th_init_constant(th_param *p, float value);

#endif
