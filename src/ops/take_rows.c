/* take_rows: rows of a table by number, as an embedding does. Its gradient by the table is scatter_rows. */
#include <string.h>

#include "base/half.h"
#include "ops/rows.h"

static th_status infer(th_node *n) {
    const th_desc *table = &n->in[0]->desc, *ids = &n->in[1]->desc;
    char a[TH_DESC_TEXT];
    if (table->rank != 2 || ids->dtype != TH_I32 || ids->rank >= TH_MAX_RANK)
        return th_shape_error("rows of %s by %s ids", th_desc_text(table, a), th_dtype_name(ids->dtype));
    n->out[0].desc = *ids;
    n->out[0].desc.dtype = TH_F32;
    n->out[0].desc.dim[n->out[0].desc.rank++] = table->dim[1];
    return TH_OK;
}

static void grad(th_vjp *v) {
    th_rows_attr a = *(const th_rows_attr *)v->n->attr;
    a.rows = v->n->in[0]->desc.dim[0];
    if (v->want[0]) v->dx[0] = th_scatter_rows_by(v->g, v->dy[0], v->n->in[1], &a);
}

static void range(const th_kernel_args *a, int64_t begin, int64_t end, char *scratch) {
    const th_desc *table = &a->n->in[0]->desc, *y = &a->n->out[0].desc;
    int64_t c = table->dim[1], rows = table->dim[0];
    const int32_t *id = a->in[1];
    size_t size = th_dtype_bytes(y->dtype);
    (void)scratch;
    for (int64_t r = begin; r < end; r++) {
        int64_t from = th_row_of(a->n->attr, id[r], rows);
        char *to = (char *)a->out[0] + (size_t)(r * c) * size;
        if (from < 0)
            memset(to, 0, (size_t)c * size);
        else if (table->dtype == y->dtype)
            memcpy(to, (const char *)a->in[0] + (size_t)(from * c) * size, (size_t)c * size);
        else if (y->dtype == TH_BF16)
            th_bf16_write((uint16_t *)to, (const float *)a->in[0] + from * c, c);
        else
            th_bf16_read((float *)to, (const uint16_t *)a->in[0] + from * c, c);
    }
}

static void reference(const th_reference_args *a) {
    int64_t c = a->n->in[0]->desc.dim[1], count = th_desc_count(&a->n->in[1]->desc);
    for (int64_t r = 0; r < count; r++) {
        int64_t from = th_row_of(a->n->attr, (int64_t)a->in[1][r], a->n->in[0]->desc.dim[0]);
        for (int64_t i = 0; i < c; i++) a->out[0][r * c + i] = from < 0 ? 0 : a->in[0][from * c + i];
    }
}

const th_op th_op_take_rows = {
    .name = "take_rows",
    .infer = infer,
    .grad = grad,
    .reference = reference,
    .in_precision = {TH_EITHER},
    .out_precision = {TH_EITHER},
    .cpu = {.range = range},
};

th_tensor *th_take_rows_by(th_graph *g, th_tensor *table, th_tensor *ids, const th_rows_attr *a) {
    return TH_RECORD(g, &th_op_take_rows, a, table, ids);
}

th_tensor *th_take_rows(th_graph *g, th_tensor *table, th_tensor *ids) {
    return th_take_rows_by(g, table, ids, &(th_rows_attr){0});
}

th_tensor *th_take_rows_from(th_graph *g, th_tensor *table, th_tensor *ids, int64_t first) {
    return th_take_rows_by(g, table, ids, &(th_rows_attr){.first = first, .outside_is_none = true});
}
