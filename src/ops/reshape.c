/* reshape: the same elements in the same order under another shape. Costs nothing: the bytes are shared. */
#include "ops/rows.h"

static th_status infer(th_node *n) {
    const th_desc *shape = n->attr;
    char a[TH_DESC_TEXT], b[TH_DESC_TEXT];
    if (th_desc_count(shape) != th_desc_count(&n->in[0]->desc))
        return th_shape_error("%s cannot become %s", th_desc_text(&n->in[0]->desc, a), th_desc_text(shape, b));
    n->out[0].desc = *shape;
    n->out[0].desc.dtype = n->in[0]->desc.dtype;
    return TH_OK;
}

static void grad(th_vjp *v) { v->dx[0] = th_reshape(v->g, v->dy[0], v->n->in[0]->desc); }

static void reference(const th_reference_args *a) {
    int64_t count = th_desc_count(&a->n->out[0].desc);
    for (int64_t i = 0; i < count; i++) a->out[0][i] = a->in[0][i];
}

const th_op th_op_reshape = {
    .name = "reshape",
    .flags = TH_OP_VIEW,
    .infer = infer,
    .grad = grad,
    .reference = reference,
    .in_precision = {TH_EITHER},
    .out_precision = {TH_EITHER},
};

th_tensor *th_reshape(th_graph *g, th_tensor *x, th_desc shape) {
    if (!th_graph_failed(g) && th_desc_same_shape(&x->desc, &shape)) return x;
    shape.dtype = TH_F32; /* the input's dtype counts: keep the attribute the same for the same shape */
    return TH_RECORD(g, &th_op_reshape, &shape, x);
}
