/* Small matrix products on data that fits the caches: what fused attention is built of. One thread. */
#ifndef TH_BACKEND_TILE_H
#define TH_BACKEND_TILE_H

#include <stdbool.h>
#include <stdint.h>

/* Columns come in groups of this many; b and c need that much room behind each row. */
#define TH_TILE_COLUMNS 16

static inline int64_t th_tile_round(int64_t n) { return (n + TH_TILE_COLUMNS - 1) / TH_TILE_COLUMNS * TH_TILE_COLUMNS; }

/* 32 bits of an operand: a float, or two neighbours in bf16 along the summed dimension, the first in the low half. */
typedef uint32_t __attribute__((may_alias)) th_word;

/* Whether there are instructions for products of pairs. */
#ifdef __AVX512BF16__
#define TH_TILE_PAIRS true
#else
#define TH_TILE_PAIRS false
#endif

/* c[m, n] (+)= a[m, k] · b[k, n]. Element (i, p) of a lies at a[i·a_row + p·a_step], so a may be a transposed view. b
 * and c are row-major with row strides b_row and c_row; columns up to th_tile_round(n) are read and written. */
void th_tile_multiply(int64_t m, int64_t n, int64_t k, const float *a, int64_t a_row, int64_t a_step, const float *b,
                      int64_t b_row, float *c, int64_t c_row, bool add);
/* The same with pairs for elements of a and b, k of them, and sums in f32. Only where TH_TILE_PAIRS. */
void th_tile_multiply_pairs(int64_t m, int64_t n, int64_t k, const th_word *a, int64_t a_row, int64_t a_step,
                            const th_word *b, int64_t b_row, float *c, int64_t c_row, bool add);

/* out[columns, rows] = inᵀ, row strides in_row and out_row. Reads up to th_tile_round(columns) of each row, whose
 * values do not matter; writes up to th_tile_round(rows), with zeros. */
void th_tile_transpose(int64_t rows, int64_t columns, const th_word *in, int64_t in_row, th_word *out, int64_t out_row);

#endif
