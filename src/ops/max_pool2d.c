/* max_pool2d: the largest value of each window × window pixels of x [n, h, w, c], as torch.nn.MaxPool2d has it: windows
 * begin at multiples of the stride less the padding, which is never the largest, and what is left at the right and
 * below is left out. Of equal values the first counts, row by row; a NaN counts above all.
 *
 * Backward: dy goes to where the largest was (max_pool2d_bwd). That is linear in dy, and its transpose takes the values
 * of another tensor from where the largest of x were (max_pool2d_pick). */
#include <string.h>

#include "backend/simd.h"
#include "ops/rows.h"

typedef struct {
    int64_t window, stride, pad;
} pool_attr;

static int64_t side_of(int64_t side, const pool_attr *a) { return (side + 2 * a->pad - a->window) / a->stride + 1; }

static th_status check(const th_desc *x, const pool_attr *a) {
    char text[TH_DESC_TEXT];
    bool fits = x->rank == 4 && a->window >= 1 && a->stride >= 1 && a->pad >= 0 && 2 * a->pad <= a->window;
    if (!fits || x->dim[1] + 2 * a->pad < a->window || x->dim[2] + 2 * a->pad < a->window)
        return th_shape_error("%s in windows of %lld, stride %lld, padding %lld", th_desc_text(x, text),
                              (long long)a->window, (long long)a->stride, (long long)a->pad);
    return TH_OK;
}

static void shrink(th_desc *d, const pool_attr *a) {
    d->dim[1] = side_of(d->dim[1], a);
    d->dim[2] = side_of(d->dim[2], a);
}

/* The pixels of x that a window covers: rows [top, bottom), columns [left, right). */
typedef struct {
    int64_t top, bottom, left, right;
} cover;

static cover cover_of(const th_desc *x, const pool_attr *a, int64_t row, int64_t column) {
    cover w = {row * a->stride - a->pad, 0, column * a->stride - a->pad, 0};
    w.bottom = w.top + a->window < x->dim[1] ? w.top + a->window : x->dim[1];
    w.right = w.left + a->window < x->dim[2] ? w.left + a->window : x->dim[2];
    if (w.top < 0) w.top = 0;
    if (w.left < 0) w.left = 0;
    return w;
}

/* Rows of pixels, numbered over all pictures. */
static int64_t row_of(const th_desc *x, int64_t picture, int64_t row, int64_t column) {
    return (picture * x->dim[1] + row) * x->dim[2] + column;
}

/* Where the largest of one channel is. */
static int64_t find_largest(const th_desc *x, const double *v, const cover *w, int64_t picture, int64_t channel) {
    int64_t c = x->dim[3], best = row_of(x, picture, w->top, w->left) * c + channel;
    for (int64_t i = w->top; i < w->bottom; i++)
        for (int64_t k = w->left; k < w->right; k++) {
            int64_t at = row_of(x, picture, i, k) * c + channel;
            if (v[at] > v[best] || v[at] != v[at]) best = at;
        }
    return best;
}

/* The same for all values of y, from the shapes of x and y. */
static int64_t largest_for(const th_desc *x, const th_desc *y, const pool_attr *a, const double *v, int64_t i) {
    int64_t k = i % y->dim[3], pixel = i / y->dim[3], column = pixel % y->dim[2], line = pixel / y->dim[2];
    cover w = cover_of(x, a, line % y->dim[1], column);
    return find_largest(x, v, &w, line / y->dim[1], k);
}

/* Units are rows of pixels of y. */
static int64_t units(const th_node *n) { return n->out[0].desc.dim[0] * n->out[0].desc.dim[1]; }

/* ---- max_pool2d: x → y */

static th_status infer(th_node *n) {
    TH_TRY(check(&n->in[0]->desc, n->attr));
    TH_TRY(th_infer_same(n));
    shrink(&n->out[0].desc, n->attr);
    return TH_OK;
}

static void grad(th_vjp *v) {
    v->dx[0] = TH_RECORD(v->g, &th_op_max_pool2d_bwd, (const pool_attr *)v->n->attr, v->dy[0], v->n->in[0]);
}

static th_status prepare(th_prepared *p) {
    p->thread_scratch = 2 * (size_t)th_last(&p->n->in[0]->desc) * sizeof(float);
    return TH_OK;
}

static void keep_larger(float *y, const float *x, int64_t c) {
    TH_SIMD
    for (int64_t i = 0; i < c; i++) y[i] = x[i] > y[i] || x[i] != x[i] ? x[i] : y[i];
}

static void range(const th_kernel_args *a, int64_t begin, int64_t end, char *scratch) {
    const th_desc *x = &a->n->in[0]->desc, *y = &a->n->out[0].desc;
    const pool_attr *at = a->n->attr;
    int64_t c = x->dim[3];
    float *buffer = (float *)scratch;
    for (int64_t u = begin; u < end; u++)
        for (int64_t k = 0; k < y->dim[2]; k++) {
            cover w = cover_of(x, at, u % y->dim[1], k);
            float *to = th_row_target(y, a->out[0], u * y->dim[2] + k, c, buffer);
            for (int64_t i = w.top; i < w.bottom; i++)
                for (int64_t j = w.left; j < w.right; j++) {
                    const float *from = th_row_read(x, a->in[0], row_of(x, u / y->dim[1], i, j), c, buffer + c);
                    if (i == w.top && j == w.left)
                        memcpy(to, from, (size_t)c * sizeof *to);
                    else
                        keep_larger(to, from, c);
                }
            th_row_flush(y, a->out[0], u * y->dim[2] + k, c, to);
        }
}

static void reference(const th_reference_args *r) {
    const th_desc *x = &r->n->in[0]->desc, *y = &r->n->out[0].desc;
    for (int64_t i = 0; i < th_desc_count(y); i++) r->out[0][i] = r->in[0][largest_for(x, y, r->n->attr, r->in[0], i)];
}

const th_op th_op_max_pool2d = {
    .name = "max_pool2d",
    .infer = infer,
    .grad = grad,
    .reference = reference,
    .flops_each = 4,
    .in_precision = {TH_EITHER},
    .out_precision = {TH_EITHER},
    .cpu = {.range = range, .units = units, .prepare = prepare},
};

th_tensor *th_max_pool2d(th_graph *g, th_tensor *x, int64_t window, int64_t stride, int64_t pad) {
    pool_attr a = {window, stride, pad};
    return TH_RECORD(g, &th_op_max_pool2d, &a, x);
}

/* ---- where the largest were, for a row of channels: places[i]: number of the pixel of x */

static void find_places(const th_desc *x, const void *data, const cover *w, int64_t picture, float *buffer,
                        float *largest, int32_t *places) {
    int64_t c = x->dim[3];
    for (int64_t i = w->top; i < w->bottom; i++)
        for (int64_t j = w->left; j < w->right; j++) {
            int32_t place = (int32_t)(i * x->dim[2] + j);
            bool first = i == w->top && j == w->left;
            const float *from = th_row_read(x, data, row_of(x, picture, i, j), c, buffer);
            TH_SIMD
            for (int64_t k = 0; k < c; k++) {
                bool takes = first || from[k] > largest[k] || from[k] != from[k];
                largest[k] = takes ? from[k] : largest[k];
                places[k] = takes ? place : places[k];
            }
        }
}

/* ---- max_pool2d_bwd: dy, x → dx; units are pictures, as windows may overlap */

static th_status infer_bwd(th_node *n) {
    th_desc y = n->in[1]->desc;
    char s[TH_DESC_TEXT], t[TH_DESC_TEXT];
    TH_TRY(check(&y, n->attr));
    shrink(&y, n->attr);
    for (int i = 0; i < 4; i++)
        if (n->in[0]->desc.rank != 4 || n->in[0]->desc.dim[i] != y.dim[i])
            return th_shape_error("%s for windows that give %s", th_desc_text(&n->in[0]->desc, s), th_desc_text(&y, t));
    n->out[0].desc = n->in[1]->desc;
    n->out[0].desc.dtype = TH_F32;
    return TH_OK;
}

static void grad_bwd(th_vjp *v) {
    if (v->want[0])
        v->dx[0] = TH_RECORD(v->g, &th_op_max_pool2d_pick, (const pool_attr *)v->n->attr, v->dy[0], v->n->in[1]);
}

static int64_t pictures(const th_node *n) { return n->out[0].desc.dim[0]; }

static th_status prepare_places(th_prepared *p) {
    p->thread_scratch = 4 * (size_t)th_last(&p->n->in[1]->desc) * sizeof(float);
    return TH_OK;
}

static void range_bwd(const th_kernel_args *a, int64_t begin, int64_t end, char *scratch) {
    const th_desc *dyd = &a->n->in[0]->desc, *x = &a->n->in[1]->desc;
    int64_t c = x->dim[3], pixels = x->dim[1] * x->dim[2], windows = dyd->dim[1] * dyd->dim[2];
    float *buffer = (float *)scratch, *largest = buffer + c, *other = largest + c;
    int32_t *places = (int32_t *)(other + c);
    for (int64_t u = begin; u < end; u++) {
        float *dx = (float *)a->out[0] + u * pixels * c;
        memset(dx, 0, (size_t)(pixels * c) * sizeof *dx);
        for (int64_t i = 0; i < windows; i++) {
            cover w = cover_of(x, a->n->attr, i / dyd->dim[2], i % dyd->dim[2]);
            find_places(x, a->in[1], &w, u, buffer, largest, places);
            const float *dy = th_row_read(dyd, a->in[0], u * windows + i, c, other);
            for (int64_t k = 0; k < c; k++) dx[places[k] * c + k] += dy[k];
        }
    }
}

static void reference_bwd(const th_reference_args *r) {
    const th_desc *dy = &r->n->in[0]->desc, *x = &r->n->in[1]->desc;
    memset(r->out[0], 0, (size_t)th_desc_count(x) * sizeof(double));
    for (int64_t i = 0; i < th_desc_count(dy); i++)
        r->out[0][largest_for(x, dy, r->n->attr, r->in[1], i)] += r->in[0][i];
}

const th_op th_op_max_pool2d_bwd = {
    .name = "max_pool2d_bwd",
    .infer = infer_bwd,
    .grad = grad_bwd,
    .reference = reference_bwd,
    .flops_each = 1,
    .in_precision = {TH_EITHER, TH_EITHER},
    .cpu = {.range = range_bwd, .units = pictures, .prepare = prepare_places},
};

/* ---- max_pool2d_pick: u of x's shape, x → the values of u where x is largest */

static th_status infer_pick(th_node *n) {
    TH_TRY(check(&n->in[0]->desc, n->attr));
    TH_TRY(th_infer_same(n));
    shrink(&n->out[0].desc, n->attr);
    return TH_OK;
}

static void grad_pick(th_vjp *v) {
    if (v->want[0])
        v->dx[0] = TH_RECORD(v->g, &th_op_max_pool2d_bwd, (const pool_attr *)v->n->attr, v->dy[0], v->n->in[1]);
}

static void range_pick(const th_kernel_args *a, int64_t begin, int64_t end, char *scratch) {
    const th_desc *ud = &a->n->in[0]->desc, *x = &a->n->in[1]->desc, *y = &a->n->out[0].desc;
    int64_t c = x->dim[3];
    float *buffer = (float *)scratch, *largest = buffer + c, *row = largest + c;
    int32_t *places = (int32_t *)(row + c);
    for (int64_t u = begin; u < end; u++)
        for (int64_t k = 0; k < y->dim[2]; k++) {
            int64_t picture = u / y->dim[1], first = picture * x->dim[1] * x->dim[2];
            cover w = cover_of(x, a->n->attr, u % y->dim[1], k);
            find_places(x, a->in[1], &w, picture, buffer, largest, places);
            float *to = th_row_target(y, a->out[0], u * y->dim[2] + k, c, row);
            for (int64_t i = w.top; i < w.bottom; i++)
                for (int64_t j = w.left; j < w.right; j++) {
                    int64_t place = i * x->dim[2] + j;
                    const float *from = th_row_read(ud, a->in[0], first + place, c, buffer);
                    for (int64_t m = 0; m < c; m++) to[m] = places[m] == place ? from[m] : to[m];
                }
            th_row_flush(y, a->out[0], u * y->dim[2] + k, c, to);
        }
}

static void reference_pick(const th_reference_args *r) {
    const th_desc *x = &r->n->in[1]->desc, *y = &r->n->out[0].desc;
    for (int64_t i = 0; i < th_desc_count(y); i++) r->out[0][i] = r->in[0][largest_for(x, y, r->n->attr, r->in[1], i)];
}

const th_op th_op_max_pool2d_pick = {
    .name = "max_pool2d_pick",
    .infer = infer_pick,
    .grad = grad_pick,
    .reference = reference_pick,
    .flops_each = 4,
    .in_precision = {TH_EITHER, TH_EITHER},
    .out_precision = {TH_EITHER},
    .cpu = {.range = range_pick, .units = units, .prepare = prepare_places},
};
