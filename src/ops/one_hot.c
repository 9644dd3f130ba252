/* one_hot: ids i32 [n] → [n, classes], 1 at the id; a row of zeros for an id outside. */
#include <string.h>

#include "ops/rows.h"

static th_status infer(th_node *n) {
    const th_desc *ids = &n->in[0]->desc;
    if (ids->rank != 1 || ids->dtype != TH_I32) return th_shape_error("the ids are not i32 of one dimension");
    n->out[0].desc = TH_DESC(TH_F32, ids->dim[0], *(const int64_t *)n->attr);
    return TH_OK;
}

static void grad(th_vjp *v) { v->dx[0] = NULL; }

static void range(const th_kernel_args *a, int64_t begin, int64_t end, char *scratch) {
    (void)scratch;
    int64_t c = *(const int64_t *)a->n->attr;
    const int32_t *id = a->in[0];
    for (int64_t r = begin; r < end; r++) {
        float *y = (float *)a->out[0] + r * c;
        memset(y, 0, (size_t)c * sizeof(float));
        if (id[r] >= 0 && id[r] < c) y[id[r]] = 1.0f;
    }
}

static void reference(const th_reference_args *a) {
    int64_t c = *(const int64_t *)a->n->attr;
    for (int64_t r = 0; r < a->n->in[0]->desc.dim[0]; r++)
        for (int64_t i = 0; i < c; i++) a->out[0][r * c + i] = (double)i == a->in[0][r];
}

const th_op th_op_one_hot = {
    .name = "one_hot",
    .infer = infer,
    .grad = grad,
    .reference = reference,
    .cpu = {.range = range},
};

th_tensor *th_one_hot(th_graph *g, th_tensor *ids, int64_t classes) {
    return TH_RECORD(g, &th_op_one_hot, &classes, ids);
}
