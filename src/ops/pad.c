/* pad: zeros before and after along one dimension. */
#include <string.h>

#include "ops/rows.h"
#include "ops/strided.h"

typedef struct {
    int64_t axis, before, after;
} pad_attr;

static th_status infer(th_node *n) {
    const pad_attr *p = n->attr;
    const th_desc *x = &n->in[0]->desc;
    if (p->axis < 0 || p->axis >= x->rank || p->before < 0 || p->after < 0)
        return th_shape_error("%lld before and %lld after dimension %lld", (long long)p->before, (long long)p->after,
                              (long long)p->axis);
    n->out[0].desc = *x;
    n->out[0].desc.dim[p->axis] += p->before + p->after;
    return TH_OK;
}

static void grad(th_vjp *v) {
    const pad_attr *p = v->n->attr;
    int64_t size = v->n->in[0]->desc.dim[p->axis];
    v->dx[0] = th_slice(v->g, v->dy[0], (int)p->axis, p->before, p->before + size);
}

static void range(const th_kernel_args *a, int64_t begin, int64_t end, char *scratch) {
    (void)begin, (void)end, (void)scratch;
    const pad_attr *p = a->n->attr;
    const th_desc *y = &a->n->out[0].desc;
    size_t size = th_dtype_bytes(y->dtype);
    memset(a->out[0], 0, th_desc_bytes(y));
    th_strided s = th_strided_part(y, p->axis, a->n->in[0]->desc.dim[p->axis]);
    th_strided_copy(&s, size, a->in[0], (char *)a->out[0] + (size_t)(p->before * th_strided_inner(y, p->axis)) * size,
                    0, th_strided_rows(&s));
}

static int64_t one_unit(const th_node *n) {
    (void)n;
    return 1;
}

static void reference(const th_reference_args *a) {
    const pad_attr *p = a->n->attr;
    const th_desc *y = &a->n->out[0].desc;
    memset(a->out[0], 0, (size_t)th_desc_count(y) * sizeof(double));
    th_strided s = th_strided_part(y, p->axis, a->n->in[0]->desc.dim[p->axis]);
    th_strided_copy_f64(&s, a->in[0], a->out[0] + p->before * th_strided_inner(y, p->axis));
}

const th_op th_op_pad = {
    .name = "pad",
    .flags = TH_OP_MOVE,
    .infer = infer,
    .grad = grad,
    .reference = reference,
    .in_precision = {TH_EITHER},
    .out_precision = {TH_EITHER},
    .cpu = {.range = range, .units = one_unit},
};

th_tensor *th_pad(th_graph *g, th_tensor *x, int axis, int64_t before, int64_t after) {
    pad_attr p = {axis, before, after};
    return before || after ? TH_RECORD(g, &th_op_pad, &p, x) : x;
}
