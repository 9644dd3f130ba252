/* permute: dimensions in another order. */
#include <string.h>

#include "ops/rows.h"
#include "ops/strided.h"

typedef struct {
    int order[TH_MAX_RANK];
} permute_attr;

static th_status infer(th_node *n) {
    const permute_attr *p = n->attr;
    const th_desc *x = &n->in[0]->desc;
    th_desc *y = &n->out[0].desc;
    unsigned seen = 0;
    *y = *x;
    for (int i = 0; i < x->rank; i++) {
        if (p->order[i] < 0 || p->order[i] >= x->rank || seen >> p->order[i] & 1u)
            return th_shape_error("the order is no permutation of %d dimensions", x->rank);
        seen |= 1u << p->order[i];
        y->dim[i] = x->dim[p->order[i]];
    }
    return TH_OK;
}

static void grad(th_vjp *v) {
    const permute_attr *p = v->n->attr;
    int inverse[TH_MAX_RANK] = {0};
    for (int i = 0; i < v->n->in[0]->desc.rank; i++) inverse[p->order[i]] = i;
    v->dx[0] = th_permute(v->g, v->dy[0], inverse);
}

static th_strided view(const th_node *n) {
    const permute_attr *p = n->attr;
    const th_desc *x = &n->in[0]->desc, *y = &n->out[0].desc;
    int64_t stride[TH_MAX_RANK], out[TH_MAX_RANK], from = 1, to = 1;
    for (int i = x->rank - 1; i >= 0; i--) {
        stride[i] = from, out[i] = to;
        from *= x->dim[i], to *= y->dim[i];
    }
    th_strided s = {0};
    for (int i = 0; i < x->rank; i++) th_strided_add(&s, y->dim[i], stride[p->order[i]], out[i]);
    return s;
}

static int64_t units(const th_node *n) {
    th_strided s = view(n);
    return th_strided_rows(&s);
}

static void range(const th_kernel_args *a, int64_t begin, int64_t end, char *scratch) {
    (void)scratch;
    th_strided s = view(a->n);
    th_strided_copy(&s, th_dtype_bytes(a->n->out[0].desc.dtype), a->in[0], a->out[0], begin, end);
}

static void reference(const th_reference_args *a) {
    th_strided s = view(a->n);
    th_strided_copy_f64(&s, a->in[0], a->out[0]);
}

const th_op th_op_permute = {
    .name = "permute",
    .flags = TH_OP_MOVE,
    .infer = infer,
    .grad = grad,
    .reference = reference,
    .in_precision = {TH_EITHER},
    .out_precision = {TH_EITHER},
    .cpu = {.range = range, .units = units},
};

th_tensor *th_permute(th_graph *g, th_tensor *x, const int *order) {
    permute_attr p = {{0}};
    if (!th_graph_failed(g)) memcpy(p.order, order, (size_t)x->desc.rank * sizeof *order);
    return TH_RECORD(g, &th_op_permute, &p, x);
}

th_tensor *th_transpose(th_graph *g, th_tensor *x) {
    if (th_graph_failed(g)) return x;
    int order[TH_MAX_RANK], r = x->desc.rank;
    if (r < 2) return th_graph_fail(g, TH_E_SHAPE, "transpose: fewer than two dimensions");
    for (int i = 0; i < r; i++) order[i] = i;
    order[r - 1] = r - 2, order[r - 2] = r - 1;
    return th_permute(g, x, order);
}
