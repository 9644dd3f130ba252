/* broadcast: x repeated to a larger shape, by NumPy's rules. */
#include <string.h>

#include "ops/map.h"
#include "ops/rows.h"

static th_status infer(th_node *n) {
    const th_desc *shape = n->attr, *x = &n->in[0]->desc;
    th_desc both = *shape;
    char a[TH_DESC_TEXT], b[TH_DESC_TEXT];
    if (!th_broadcast_shapes(x, shape, &both) || !th_desc_same_shape(&both, shape))
        return th_shape_error("%s does not broadcast to %s", th_desc_text(x, a), th_desc_text(shape, b));
    n->out[0].desc = *shape;
    n->out[0].desc.dtype = TH_F32;
    return TH_OK;
}

static void grad(th_vjp *v) { v->dx[0] = th_sum_to(v->g, v->dy[0], &v->n->in[0]->desc); }

static void map(float *y, const float *const *x, int64_t n, const void *attr) {
    (void)attr;
    memcpy(y, x[0], (size_t)n * sizeof(float));
}

static double reference(const double *x, const void *attr) {
    (void)attr;
    return x[0];
}

const th_op th_op_broadcast = {
    .name = "broadcast",
    .flags = TH_OP_MAP,
    .infer = infer,
    .grad = grad,
    .in_precision = {TH_EITHER},
    .out_precision = {TH_EITHER},
    .cpu = TH_MAP_KERNEL,
    .map = map,
    .map_reference = reference,
};

th_tensor *th_broadcast(th_graph *g, th_tensor *x, th_desc shape) {
    if (!th_graph_failed(g) && th_desc_same_shape(&x->desc, &shape)) return x;
    return TH_RECORD(g, &th_op_broadcast, &shape, x);
}

th_tensor *th_fill(th_graph *g, th_desc shape, float value) {
    return th_broadcast(g, th_constant(g, (th_desc){.dtype = TH_F32}, &value), shape);
}
