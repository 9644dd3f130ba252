/* Copies between a dense array and a strided view of another: permute, slice, pad and concat are one such copy each, or
 * several. Elements are moved, never converted. */
#ifndef TH_OPS_STRIDED_H
#define TH_OPS_STRIDED_H

#include "ops/op.h"

/* dim: of both; strides in elements. Dimensions that run on in both are merged. */
typedef struct {
    int rank;
    int64_t dim[TH_MAX_RANK], from[TH_MAX_RANK], to[TH_MAX_RANK];
} th_strided;

void th_strided_add(th_strided *s, int64_t dim, int64_t from, int64_t to); /* outermost dimension first */
/* Rows of the innermost dimension, which threads share out. */
int64_t th_strided_rows(const th_strided *s);
void th_strided_copy(const th_strided *s, size_t size, const void *from, void *to, int64_t begin, int64_t end);
void th_strided_copy_f64(const th_strided *s, const double *from, double *to);

/* Elements behind one step along a dimension. */
int64_t th_strided_inner(const th_desc *d, int64_t axis);
/* The copy of a dense part, of `size` along the axis, into the whole. */
th_strided th_strided_part(const th_desc *whole, int64_t axis, int64_t size);

#endif
