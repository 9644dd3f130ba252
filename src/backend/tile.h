/* Small matrix products in f32 on data that fits the caches: what fused attention is built of. One thread. */
#ifndef TH_BACKEND_TILE_H
#define TH_BACKEND_TILE_H

#include <stdbool.h>
#include <stdint.h>

/* Columns come in groups of this many; b and c need that much room behind each row. */
#define TH_TILE_COLUMNS 16

static inline int64_t th_tile_round(int64_t n) { return (n + TH_TILE_COLUMNS - 1) / TH_TILE_COLUMNS * TH_TILE_COLUMNS; }

/* c[m, n] (+)= a[m, k] · b[k, n]. Element (i, p) of a lies at a[i·a_row + p·a_step], so a may be a transposed view. b
 * and c are row-major with row strides b_row and c_row; columns up to th_tile_round(n) are read and written. */
void th_tile_multiply(int64_t m, int64_t n, int64_t k, const float *a, int64_t a_row, int64_t a_step, const float *b,
                      int64_t b_row, float *c, int64_t c_row, bool add);

/* out[columns, rows] = inᵀ, row strides in_row and out_row. */
void th_tile_transpose(int64_t rows, int64_t columns, const float *in, int64_t in_row, float *out, int64_t out_row);

#endif
