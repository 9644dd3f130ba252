/* A register-blocked product: up to 8 rows by 2 vectors of 16 columns are kept in registers while k runs. The element
 * of a is broadcast from memory, which costs nothing beside the multiply-add on AVX-512. */
#include "backend/tile.h"

#include "backend/simd.h"

#define ROWS 8

typedef uint32_t w16 __attribute__((vector_size(64), aligned(4), may_alias));

/* One block: ROWS_ is a constant in each caller, and the loops over it are unrolled before anything else, else GCC
 * keeps sums in memory. VECTOR is the type of a row of b, and ADD(sum, a, row) what one element does. */
#ifdef __clang__
#define UNROLL
#else
#define UNROLL _Pragma("GCC unroll 8")
#endif
#define EACH(VARIABLE, COUNT) UNROLL for (int VARIABLE = 0; VARIABLE < (COUNT); VARIABLE++)
#define BLOCK(ROWS_, VECTORS_, VECTOR, ADD)                                                                 \
    do {                                                                                                    \
        th_v16 sum[ROWS_][VECTORS_];                                                                        \
        EACH(i, ROWS_) EACH(v, VECTORS_) sum[i][v] = (th_v16){0};                                           \
        for (int64_t p = 0; p < k; p++) {                                                                   \
            VECTOR row[VECTORS_];                                                                           \
            EACH(v, VECTORS_) row[v] = *(const VECTOR *)(b + p * b_row + v * 16);                           \
            EACH(i, ROWS_) EACH(v, VECTORS_) sum[i][v] = ADD(sum[i][v], a[i * a_row + p * a_step], row[v]); \
        }                                                                                                   \
        EACH(i, ROWS_) EACH(v, VECTORS_) {                                                                  \
            th_v16 *to = (th_v16 *)(c + i * c_row + v * 16);                                                \
            if (add)                                                                                        \
                *to += sum[i][v];                                                                           \
            else                                                                                            \
                *to = sum[i][v];                                                                            \
        }                                                                                                   \
    } while (0)

#define DEFINE(ROWS_, VECTORS_, NAME, ELEMENT, VECTOR, ADD)                                                      \
    static void NAME##_##ROWS_##_##VECTORS_(int64_t k, const ELEMENT *restrict a, int64_t a_row, int64_t a_step, \
                                            const ELEMENT *restrict b, int64_t b_row, float *restrict c,         \
                                            int64_t c_row, bool add) {                                           \
        BLOCK(ROWS_, VECTORS_, VECTOR, ADD);                                                                     \
    }
#define DEFINE_ROWS(VECTORS_, ...)   \
    DEFINE(1, VECTORS_, __VA_ARGS__) \
    DEFINE(2, VECTORS_, __VA_ARGS__) \
    DEFINE(3, VECTORS_, __VA_ARGS__) \
    DEFINE(4, VECTORS_, __VA_ARGS__) \
    DEFINE(5, VECTORS_, __VA_ARGS__) \
    DEFINE(6, VECTORS_, __VA_ARGS__) \
    DEFINE(7, VECTORS_, __VA_ARGS__) \
    DEFINE(8, VECTORS_, __VA_ARGS__)
#define LIST(NAME, VECTORS_)                                                                                     \
    {                                                                                                            \
        NAME##_1_##VECTORS_, NAME##_2_##VECTORS_, NAME##_3_##VECTORS_, NAME##_4_##VECTORS_, NAME##_5_##VECTORS_, \
            NAME##_6_##VECTORS_, NAME##_7_##VECTORS_, NAME##_8_##VECTORS_                                        \
    }
/* Block by block over c; the columns of b stay in the first cache while the rows of a go by. */
#define MULTIPLY(NAME)                                                                                                 \
    for (int64_t j = 0; j < n;) {                                                                                      \
        int vectors = n - j > TH_TILE_COLUMNS ? 2 : 1;                                                                 \
        for (int64_t i = 0; i < m; i += ROWS) {                                                                        \
            int64_t rows = m - i < ROWS ? m - i : ROWS;                                                                \
            NAME[vectors - 1][rows - 1](k, a + i * a_row, a_row, a_step, b + j, b_row, c + i * c_row + j, c_row, add); \
        }                                                                                                              \
        j += vectors * TH_TILE_COLUMNS;                                                                                \
    }

#define ADD_FLOATS(sum, a, row) ((sum) + (a) * (row))
DEFINE_ROWS(1, floats, float, th_v16, ADD_FLOATS)
DEFINE_ROWS(2, floats, float, th_v16, ADD_FLOATS)

typedef void floats_fn(int64_t k, const float *a, int64_t a_row, int64_t a_step, const float *b, int64_t b_row,
                       float *c, int64_t c_row, bool add);
static floats_fn *const floats[2][ROWS] = {LIST(floats, 1), LIST(floats, 2)};

void th_tile_multiply(int64_t m, int64_t n, int64_t k, const float *a, int64_t a_row, int64_t a_step, const float *b,
                      int64_t b_row, float *c, int64_t c_row, bool add) {
    MULTIPLY(floats)
}

#ifdef __AVX512BF16__
#include <immintrin.h>

/* vdpbf16ps takes subnormals for zero and rounds its sums to the nearest, whatever the modes. */
#define ADD_PAIRS(sum, a, row) \
    ((th_v16)_mm512_dpbf16_ps((__m512)(sum), (__m512bh)_mm512_set1_epi32((int)(a)), (__m512bh)(row)))
DEFINE_ROWS(1, pairs, th_word, w16, ADD_PAIRS)
DEFINE_ROWS(2, pairs, th_word, w16, ADD_PAIRS)

typedef void pairs_fn(int64_t k, const th_word *a, int64_t a_row, int64_t a_step, const th_word *b, int64_t b_row,
                      float *c, int64_t c_row, bool add);
static pairs_fn *const pairs[2][ROWS] = {LIST(pairs, 1), LIST(pairs, 2)};

void th_tile_multiply_pairs(int64_t m, int64_t n, int64_t k, const th_word *a, int64_t a_row, int64_t a_step,
                            const th_word *b, int64_t b_row, float *c, int64_t c_row, bool add) {
    MULTIPLY(pairs)
}
#else
/* Never called: TH_TILE_PAIRS is false. */
void th_tile_multiply_pairs(int64_t m, int64_t n, int64_t k, const th_word *a, int64_t a_row, int64_t a_step,
                            const th_word *b, int64_t b_row, float *c, int64_t c_row, bool add) {
    (void)m, (void)n, (void)k, (void)a, (void)a_row, (void)a_step, (void)b, (void)b_row, (void)c, (void)c_row,
        (void)add;
}
#endif

/* Exchanges the off-diagonal blocks of side s in rows i and i + s; for s = 8, 4, 2, 1 that transposes 16 × 16. */
#define TURN(S, LOW, HIGH)                                    \
    for (int i = 0; i < 16; i++)                              \
        if (!(i & (S))) {                                     \
            w16 x = t[i], y = t[i + (S)];                     \
            t[i] = __builtin_shufflevector(x, y, LOW);        \
            t[i + (S)] = __builtin_shufflevector(x, y, HIGH); \
        }

static void turn(w16 t[16]) {
#define LOW8 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23
#define HIGH8 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31
#define LOW4 0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27
#define HIGH4 4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31
#define LOW2 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29
#define HIGH2 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31
#define LOW1 0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30
#define HIGH1 1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31
    TURN(8, LOW8, HIGH8)
    TURN(4, LOW4, HIGH4)
    TURN(2, LOW2, HIGH2)
    TURN(1, LOW1, HIGH1)
}

void th_tile_transpose(int64_t rows, int64_t columns, const th_word *in, int64_t in_row, th_word *out,
                       int64_t out_row) {
    for (int64_t i = 0; i < rows; i += 16)
        for (int64_t j = 0; j < columns; j += 16) {
            w16 t[16];
            int64_t have = rows - i < 16 ? rows - i : 16, want = columns - j < 16 ? columns - j : 16;
            for (int64_t r = 0; r < 16; r++) t[r] = r < have ? *(const w16 *)(in + (i + r) * in_row + j) : (w16){0};
            turn(t);
            for (int64_t c = 0; c < want; c++) *(w16 *)(out + (j + c) * out_row + i) = t[c];
        }
}
