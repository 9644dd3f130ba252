/* concat: tensors one after the other along a dimension. */
#include "ops/rows.h"
#include "ops/strided.h"

typedef struct {
    int64_t axis;
} concat_attr;

static th_status infer(th_node *n) {
    int64_t axis = ((const concat_attr *)n->attr)->axis;
    th_desc d = n->in[0]->desc;
    if (axis < 0 || axis >= d.rank) return th_shape_error("there is no dimension %lld", (long long)axis);
    for (int i = 1; i < n->n_in; i++) {
        th_desc other = n->in[i]->desc;
        int64_t size = other.rank == d.rank ? other.dim[axis] : 0;
        other.dim[axis] = d.dim[axis];
        char a[TH_DESC_TEXT], b[TH_DESC_TEXT];
        if (!th_desc_same_shape(&other, &d))
            return th_shape_error("%s and %s differ beside dimension %lld", th_desc_text(&d, a),
                                  th_desc_text(&n->in[i]->desc, b), (long long)axis);
        d.dim[axis] += size;
    }
    n->out[0].desc = d;
    return TH_OK;
}

static void grad(th_vjp *v) {
    int axis = (int)((const concat_attr *)v->n->attr)->axis;
    int64_t at = 0;
    for (int i = 0; i < v->n->n_in; i++) {
        int64_t size = v->n->in[i]->desc.dim[axis];
        if (v->want[i]) v->dx[i] = th_slice(v->g, v->dy[0], axis, at, at + size);
        at += size;
    }
}

static int64_t units(const th_node *n) { return n->n_in; }

static void range(const th_kernel_args *a, int64_t begin, int64_t end, char *scratch) {
    (void)scratch;
    const th_node *n = a->n;
    const th_desc *y = &n->out[0].desc;
    int64_t axis = ((const concat_attr *)n->attr)->axis, at = 0, inner = th_strided_inner(y, axis);
    size_t size = th_dtype_bytes(y->dtype);
    for (int i = 0; i < n->n_in; i++) {
        int64_t own = n->in[i]->desc.dim[axis];
        th_strided s = th_strided_part(y, axis, own);
        if (i >= begin && i < end && own)
            th_strided_copy(&s, size, a->in[i], (char *)a->out[0] + (size_t)(at * inner) * size, 0,
                            th_strided_rows(&s));
        at += own;
    }
}

static void reference(const th_reference_args *a) {
    const th_node *n = a->n;
    const th_desc *y = &n->out[0].desc;
    int64_t axis = ((const concat_attr *)n->attr)->axis, at = 0, inner = th_strided_inner(y, axis);
    for (int i = 0; i < n->n_in; i++) {
        int64_t own = n->in[i]->desc.dim[axis];
        th_strided s = th_strided_part(y, axis, own);
        if (own) th_strided_copy_f64(&s, a->in[i], a->out[0] + at * inner);
        at += own;
    }
}

const th_op th_op_concat = {
    .name = "concat",
    .flags = TH_OP_MOVE,
    .infer = infer,
    .grad = grad,
    .reference = reference,
    .in_precision = {TH_EITHER, TH_EITHER, TH_EITHER, TH_EITHER, TH_EITHER, TH_EITHER, TH_EITHER, TH_EITHER},
    .out_precision = {TH_EITHER},
    .cpu = {.range = range, .units = units},
};

th_tensor *th_concat(th_graph *g, int axis, int count, th_tensor *const *x) {
    concat_attr c = {axis};
    return count == 1 ? x[0] : th_record(g, &th_op_concat, &c, sizeof c, count, x);
}
