/* oneDNN behind plain structs: the one place that knows its API, 2.x (Debian 12) or 3.x. A primitive is made once, for
 * one number of threads (its bits depend on it), and run many times without allocating. */
#ifndef TH_BACKEND_ONEDNN_H
#define TH_BACKEND_ONEDNN_H

#include "graph/param.h"

typedef struct th_dnn th_dnn; /* a primitive with its memory objects */

/* y[b][m, n] = a[b][m, k] · b[b][k, n] (+ bias[n]) (+ residual[b][m, n]). Batch strides of 0 repeat one matrix. A
 * transposed operand lies as [k, m] or [n, k]. */
typedef struct {
    int64_t batch, m, n, k;
    bool transpose_a, transpose_b, one_b; /* one_b: the same b for every batch index */
    bool bias, residual;                  /* both f32 */
    th_dtype in, out;                     /* of a and b; of y */
} th_dnn_matmul;

/* The three convolutions on x: [n, h, w, c], y: [n, oh, ow, k], weights of logical shape [k, c, kh, kw]. */
typedef enum { TH_CONV_FORWARD, TH_CONV_BACKWARD_DATA, TH_CONV_BACKWARD_WEIGHTS } th_conv_kind;
typedef struct {
    th_conv_kind kind;
    int64_t n, h, w, c, k, kh, kw, oh, ow;
    int64_t stride, dilation, pad_top, pad_left, pad_bottom, pad_right;
    bool bias;        /* forward only */
    th_dtype in, out; /* in: of the two operands; out: of the result (backward by weights: f32) */
} th_dnn_conv;

/* threads: how many will run it. scratch: bytes that run wants. */
th_status th_dnn_matmul_new(const th_dnn_matmul *m, int threads, th_dnn **out, size_t *scratch);
/* weights: the layout that the primitive reads (or writes, backward by weights) its weights in. */
th_status th_dnn_conv_new(const th_dnn_conv *c, int threads, th_dnn **out, size_t *scratch, const th_layout **weights);
void th_dnn_free(th_dnn *d);

/* Operands by place: matmul a, b, bias, residual → y; convolution forward x, w, bias → y; backward by data w, dy → dx;
 * backward by weights x, dy → dw. Unused ones are NULL. */
#define TH_DNN_MAX_ARGS 5
th_status th_dnn_run(th_dnn *d, const void *const in[4], void *out, void *scratch);

/* "2.6.3 (avx512_core_bf16)": version and the instruction set in use. */
const char *th_dnn_version(void);

#endif
