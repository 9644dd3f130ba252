/* What every file of this room includes. */
#ifndef TH_OPS_OP_H
#define TH_OPS_OP_H

#include "graph/graph.h"
#include "theriac/ops.h"

/* Every row there is, ending in NULL. */
extern const th_op *const th_op_table[];

/* A failure of infer: says which shapes do not fit. */
th_status th_shape_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* infer for operations whose output has the shape of their first input. */
th_status th_infer_same(th_node *n);

/* Elements of the last dimension (1 for a scalar), and of all the others. */
static inline int64_t th_last(const th_desc *d) { return d->rank ? d->dim[d->rank - 1] : 1; }
static inline int64_t th_rows(const th_desc *d) {
    int64_t c = th_last(d);
    return c ? th_desc_count(d) / c : 0;
}

/* A row of floats from f32 or bf16 data: a pointer to the data itself where it is f32, else to `buffer`, converted. */
const float *th_row_read(const th_desc *d, const void *data, int64_t row, int64_t c, float *buffer);
/* Where to write a row of floats: the data itself, or `buffer`; th_row_flush then converts. */
static inline float *th_row_target(const th_desc *d, void *data, int64_t row, int64_t c, float *buffer) {
    return d->dtype == TH_F32 ? (float *)data + row * c : buffer;
}
void th_row_flush(const th_desc *d, void *data, int64_t row, int64_t c, const float *buffer);

#endif
