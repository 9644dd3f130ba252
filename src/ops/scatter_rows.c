/* scatter_rows: sums rows into the rows of a table by number: the transpose of take_rows. Threads share out the columns
 * and each goes through all ids in order, so the sums do not depend on their number. */
#include <string.h>

#include "backend/simd.h"
#include "ops/rows.h"

#define COLUMNS 64

static th_status infer(th_node *n) {
    const th_desc *x = &n->in[0]->desc, *ids = &n->in[1]->desc;
    char a[TH_DESC_TEXT], b[TH_DESC_TEXT];
    if (x->rank < 1 || ids->dtype != TH_I32 || th_desc_count(ids) != th_rows(x))
        return th_shape_error("%s by ids %s", th_desc_text(x, a), th_desc_text(ids, b));
    n->out[0].desc = TH_DESC(TH_F32, ((const th_rows_attr *)n->attr)->rows, th_last(x));
    return TH_OK;
}

static void grad(th_vjp *v) {
    if (v->want[0]) v->dx[0] = th_take_rows_by(v->g, v->dy[0], v->n->in[1], v->n->attr);
}

static int64_t units(const th_node *n) { return (th_last(&n->out[0].desc) + COLUMNS - 1) / COLUMNS; }

static void range(const th_kernel_args *a, int64_t begin, int64_t end, char *scratch) {
    (void)scratch;
    const th_desc *x = &a->n->in[0]->desc, *y = &a->n->out[0].desc;
    int64_t c = th_last(x), count = th_rows(x), rows = y->dim[0];
    int64_t first = begin * COLUMNS, last = end * COLUMNS < c ? end * COLUMNS : c, width = last - first;
    const int32_t *id = a->in[1];
    float *out = a->out[0];
    for (int64_t r = 0; r < rows; r++) memset(out + r * c + first, 0, (size_t)width * sizeof(float));
    for (int64_t k = 0; k < count; k++) {
        int64_t row = th_row_of(a->n->attr, id[k], rows);
        if (row < 0) continue;
        float *to = out + row * c + first;
        if (x->dtype == TH_F32) {
            const float *from = (const float *)a->in[0] + k * c + first;
            TH_SIMD
            for (int64_t i = 0; i < width; i++) to[i] += from[i];
        } else {
            const uint16_t *from = (const uint16_t *)a->in[0] + k * c + first;
            TH_SIMD
            for (int64_t i = 0; i < width; i++) to[i] += th_bf16_to_f32(from[i]);
        }
    }
}

static void reference(const th_reference_args *a) {
    int64_t c = th_last(&a->n->in[0]->desc), count = th_rows(&a->n->in[0]->desc);
    memset(a->out[0], 0, (size_t)th_desc_count(&a->n->out[0].desc) * sizeof(double));
    for (int64_t k = 0; k < count; k++) {
        int64_t row = th_row_of(a->n->attr, (int64_t)a->in[1][k], a->n->out[0].desc.dim[0]);
        for (int64_t i = 0; i < c && row >= 0; i++) a->out[0][row * c + i] += a->in[0][k * c + i];
    }
}

static double flops(const th_node *n) { return (double)th_desc_count(&n->in[0]->desc); }

const th_op th_op_scatter_rows = {
    .name = "scatter_rows",
    .infer = infer,
    .grad = grad,
    .reference = reference,
    .flops = flops,
    .in_precision = {TH_EITHER},
    .cpu = {.range = range, .units = units},
};

th_tensor *th_scatter_rows_by(th_graph *g, th_tensor *x, th_tensor *ids, const th_rows_attr *a) {
    return TH_RECORD(g, &th_op_scatter_rows, a, x, ids);
}

th_tensor *th_scatter_rows(th_graph *g, th_tensor *x, th_tensor *ids, int64_t rows) {
    return th_scatter_rows_by(g, x, ids, &(th_rows_attr){.rows = rows});
}
