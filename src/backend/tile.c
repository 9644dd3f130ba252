/* A register-blocked product: up to 8 rows by 2 vectors of 16 columns are kept in registers while k runs. The element
 * of a is broadcast from memory, which costs nothing beside the multiply-add on AVX-512. */
#include "backend/tile.h"

#include "backend/simd.h"

#define ROWS 8

/* One block: ROWS_ is a constant in each caller, so the loops over it unroll and the sums stay in registers. */
#define BLOCK(ROWS_, VECTORS_)                                                                        \
    do {                                                                                              \
        th_v16 sum[ROWS_][VECTORS_];                                                                  \
        for (int i = 0; i < (ROWS_); i++)                                                             \
            for (int v = 0; v < (VECTORS_); v++)                                                      \
                sum[i][v] = add ? *(const th_v16 *)(c + i * c_row + v * 16) : (th_v16){0};            \
        for (int64_t p = 0; p < k; p++) {                                                             \
            th_v16 row[VECTORS_];                                                                     \
            for (int v = 0; v < (VECTORS_); v++) row[v] = *(const th_v16 *)(b + p * b_row + v * 16);  \
            for (int i = 0; i < (ROWS_); i++)                                                         \
                for (int v = 0; v < (VECTORS_); v++) sum[i][v] += a[i * a_row + p * a_step] * row[v]; \
        }                                                                                             \
        for (int i = 0; i < (ROWS_); i++)                                                             \
            for (int v = 0; v < (VECTORS_); v++) *(th_v16 *)(c + i * c_row + v * 16) = sum[i][v];     \
    } while (0)

typedef void block_fn(int64_t k, const float *a, int64_t a_row, int64_t a_step, const float *b, int64_t b_row, float *c,
                      int64_t c_row, bool add);

#define DEFINE(ROWS_, VECTORS_)                                                                                      \
    static void block_##ROWS_##_##VECTORS_(int64_t k, const float *restrict a, int64_t a_row, int64_t a_step,        \
                                           const float *restrict b, int64_t b_row, float *restrict c, int64_t c_row, \
                                           bool add) {                                                               \
        BLOCK(ROWS_, VECTORS_);                                                                                      \
    }
/* clang-format off */
DEFINE(1, 1) DEFINE(2, 1) DEFINE(3, 1) DEFINE(4, 1) DEFINE(5, 1) DEFINE(6, 1) DEFINE(7, 1) DEFINE(8, 1)
DEFINE(1, 2) DEFINE(2, 2) DEFINE(3, 2) DEFINE(4, 2) DEFINE(5, 2) DEFINE(6, 2) DEFINE(7, 2) DEFINE(8, 2)

static block_fn *const blocks[2][ROWS] = {
    {block_1_1, block_2_1, block_3_1, block_4_1, block_5_1, block_6_1, block_7_1, block_8_1},
    {block_1_2, block_2_2, block_3_2, block_4_2, block_5_2, block_6_2, block_7_2, block_8_2},
};
/* clang-format on */

void th_tile_multiply(int64_t m, int64_t n, int64_t k, const float *a, int64_t a_row, int64_t a_step, const float *b,
                      int64_t b_row, float *c, int64_t c_row, bool add) {
    for (int64_t j = 0; j < n;) {
        int vectors = n - j > TH_TILE_COLUMNS ? 2 : 1;
        for (int64_t i = 0; i < m; i += ROWS) {
            int64_t rows = m - i < ROWS ? m - i : ROWS;
            blocks[vectors - 1][rows - 1](k, a + i * a_row, a_row, a_step, b + j, b_row, c + i * c_row + j, c_row, add);
        }
        j += vectors * TH_TILE_COLUMNS;
    }
}

void th_tile_transpose(int64_t rows, int64_t columns, const float *in, int64_t in_row, float *out, int64_t out_row) {
    for (int64_t i0 = 0; i0 < rows; i0 += 16)
        for (int64_t j = 0; j < columns; j++)
            for (int64_t i = i0; i < rows && i < i0 + 16; i++) out[j * out_row + i] = in[i * in_row + j];
}
