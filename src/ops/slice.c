/* slice: elements [begin, end) of one dimension. Its gradient pads with zeros. */
#include "ops/rows.h"
#include "ops/strided.h"

typedef struct {
    int64_t axis, begin, end;
} slice_attr;

static th_status infer(th_node *n) {
    const slice_attr *s = n->attr;
    const th_desc *x = &n->in[0]->desc;
    char text[TH_DESC_TEXT];
    if (s->axis < 0 || s->axis >= x->rank || s->begin < 0 || s->begin > s->end || s->end > x->dim[s->axis])
        return th_shape_error("[%lld, %lld) of dimension %lld of %s", (long long)s->begin, (long long)s->end,
                              (long long)s->axis, th_desc_text(x, text));
    n->out[0].desc = *x;
    n->out[0].desc.dim[s->axis] = s->end - s->begin;
    return TH_OK;
}

static void grad(th_vjp *v) {
    const slice_attr *s = v->n->attr;
    int64_t size = v->n->in[0]->desc.dim[s->axis];
    v->dx[0] = th_pad(v->g, v->dy[0], (int)s->axis, s->begin, size - s->end);
}

/* The copy, and where in the input it begins. */
static th_strided view(const th_node *n, int64_t *offset) {
    const slice_attr *a = n->attr;
    const th_desc *x = &n->in[0]->desc, *y = &n->out[0].desc;
    int64_t outer = 1, inner = th_strided_inner(x, a->axis);
    for (int i = 0; i < a->axis; i++) outer *= x->dim[i];
    th_strided s = {0};
    th_strided_add(&s, outer, x->dim[a->axis] * inner, y->dim[a->axis] * inner);
    th_strided_add(&s, y->dim[a->axis] * inner, 1, 1);
    *offset = a->begin * inner;
    return s;
}

static int64_t units(const th_node *n) {
    int64_t offset;
    th_strided s = view(n, &offset);
    return th_strided_rows(&s);
}

static void range(const th_kernel_args *a, int64_t begin, int64_t end, char *scratch) {
    (void)scratch;
    int64_t offset;
    th_strided s = view(a->n, &offset);
    size_t size = th_dtype_bytes(a->n->out[0].desc.dtype);
    th_strided_copy(&s, size, (const char *)a->in[0] + (size_t)offset * size, a->out[0], begin, end);
}

static void reference(const th_reference_args *a) {
    int64_t offset;
    th_strided s = view(a->n, &offset);
    th_strided_copy_f64(&s, a->in[0] + offset, a->out[0]);
}

const th_op th_op_slice = {
    .name = "slice",
    .flags = TH_OP_MOVE,
    .infer = infer,
    .grad = grad,
    .reference = reference,
    .in_precision = {TH_EITHER},
    .out_precision = {TH_EITHER},
    .cpu = {.range = range, .units = units},
};

th_tensor *th_slice(th_graph *g, th_tensor *x, int axis, int64_t begin, int64_t end) {
    slice_attr s = {axis, begin, end};
    if (!th_graph_failed(g) && axis >= 0 && axis < x->desc.rank && begin == 0 && end == x->desc.dim[axis]) return x;
    return TH_RECORD(g, &th_op_slice, &s, x);
}
