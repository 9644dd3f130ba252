/* conv2d: convolution (cross-correlation, as everywhere in the field) of x [n, h, w, c] with weights [k, c, kh, kw], by
 * oneDNN. The three rows of this file are closed under differentiation: with C(x, w) = y, D(w, dy) = dx and W(x, dy) =
 * dw, each is bilinear and the gradients of one are the other two.
 *
 * oneDNN is fast only on weights in blocks of its own choosing (row-major ones fall below 1 GFLOP/s). A parameter is
 * kept in such blocks; other weights, as in a second-order step, are moved to them at each run. */
#include "backend/onednn.h"
#include "ops/rows.h"

typedef struct {
    th_conv_params p;
    bool bias;
    int64_t h, w;   /* of x, for backward by data, which sees only y */
    int64_t kh, kw; /* for backward by weights, which sees only x and y */
} conv_attr;

void th_conv_params_init(th_conv_params *p) { *p = (th_conv_params){.stride = 1, .dilation = 1}; }

static int64_t out_size(int64_t in, int64_t before, int64_t after, int64_t kernel, const th_conv_params *p) {
    int64_t room = in + before + after - p->dilation * (kernel - 1) - 1;
    return room < 0 ? -1 : room / p->stride + 1;
}

/* From the descs of x, w and y, of which one may be the output and is then only being inferred. */
static th_dnn_conv shape_of(th_conv_kind kind, const conv_attr *a, const th_desc *x, const th_desc *w,
                            const th_desc *y) {
    th_dnn_conv c = {
        .kind = kind,
        .n = x ? x->dim[0] : y->dim[0],
        .h = x ? x->dim[1] : a->h,
        .w = x ? x->dim[2] : a->w,
        .c = x ? x->dim[3] : w->dim[1],
        .k = w ? w->dim[0] : y->dim[3],
        .kh = w ? w->dim[2] : a->kh,
        .kw = w ? w->dim[3] : a->kw,
        .stride = a->p.stride,
        .dilation = a->p.dilation,
        .pad_top = a->p.pad_top,
        .pad_left = a->p.pad_left,
        .pad_bottom = a->p.pad_bottom,
        .pad_right = a->p.pad_right,
        .bias = a->bias,
    };
    c.oh = out_size(c.h, c.pad_top, c.pad_bottom, c.kh, &a->p);
    c.ow = out_size(c.w, c.pad_left, c.pad_right, c.kw, &a->p);
    return c;
}

static th_dnn_conv shape_of_node(const th_node *n) {
    const conv_attr *a = n->attr;
    const th_desc *p = &n->in[0]->desc, *q = &n->in[1]->desc;
    th_dnn_conv c = n->op == &th_op_conv2d            ? shape_of(TH_CONV_FORWARD, a, p, q, NULL)
                    : n->op == &th_op_conv2d_bwd_data ? shape_of(TH_CONV_BACKWARD_DATA, a, NULL, p, q)
                                                      : shape_of(TH_CONV_BACKWARD_WEIGHTS, a, p, NULL, q);
    c.in = p->dtype;
    c.out = n->out[0].desc.dtype;
    return c;
}

static th_status infer(th_node *n) {
    const conv_attr *a = n->attr;
    const th_desc *p = &n->in[0]->desc, *q = &n->in[1]->desc;
    char s[TH_DESC_TEXT], t[TH_DESC_TEXT];
    if (p->rank != 4 || q->rank != 4 || a->p.stride < 1 || a->p.dilation < 1)
        return th_shape_error("%s and %s, stride %lld", th_desc_text(p, s), th_desc_text(q, t), (long long)a->p.stride);
    th_dnn_conv c = shape_of_node(n);
    bool fits = c.oh > 0 && c.ow > 0 && c.c > 0 && c.k > 0 && c.kh > 0 && c.kw > 0;
    if (c.kind == TH_CONV_FORWARD) {
        n->out[0].desc = TH_DESC(TH_F32, c.n, c.oh, c.ow, c.k);
        fits = fits && q->dim[1] == c.c && (!a->bias || th_desc_count(&n->in[2]->desc) == c.k);
    } else if (c.kind == TH_CONV_BACKWARD_DATA) {
        n->out[0].desc = TH_DESC(TH_F32, c.n, c.h, c.w, c.c);
        fits = fits && q->dim[1] == c.oh && q->dim[2] == c.ow && q->dim[3] == c.k;
    } else {
        n->out[0].desc = TH_DESC(TH_F32, c.k, c.c, c.kh, c.kw);
        fits = fits && q->dim[0] == c.n && q->dim[1] == c.oh && q->dim[2] == c.ow;
    }
    return fits ? TH_OK : th_shape_error("%s and %s do not fit", th_desc_text(p, s), th_desc_text(q, t));
}

static th_tensor *by_data(th_vjp *v, th_tensor *w, th_tensor *dy, const th_desc *x) {
    conv_attr a = *(const conv_attr *)v->n->attr;
    a.bias = false, a.h = x->dim[1], a.w = x->dim[2];
    return TH_RECORD(v->g, &th_op_conv2d_bwd_data, &a, w, dy);
}

static th_tensor *by_weights(th_vjp *v, th_tensor *x, th_tensor *dy, const th_desc *w) {
    conv_attr a = *(const conv_attr *)v->n->attr;
    a.bias = false, a.kh = w->dim[2], a.kw = w->dim[3];
    return TH_RECORD(v->g, &th_op_conv2d_bwd_weights, &a, x, dy);
}

static th_tensor *forward(th_vjp *v, th_tensor *x, th_tensor *w) {
    return th_conv2d(v->g, x, w, NULL, &((const conv_attr *)v->n->attr)->p);
}

static void grad(th_vjp *v) {
    th_tensor *x = v->n->in[0], *w = v->n->in[1], *dy = v->dy[0];
    if (v->want[0]) v->dx[0] = by_data(v, w, dy, &x->desc);
    if (v->want[1]) v->dx[1] = by_weights(v, x, dy, &w->desc);
    if (v->n->n_in == 3 && v->want[2]) v->dx[2] = th_sum_to(v->g, dy, &v->n->in[2]->desc);
}

static void grad_by_data(th_vjp *v) { /* dx = D(w, dy); u is its cotangent */
    th_tensor *w = v->n->in[0], *dy = v->n->in[1], *u = v->dy[0];
    if (v->want[0]) v->dx[0] = by_weights(v, u, dy, &w->desc);
    if (v->want[1]) v->dx[1] = forward(v, u, w);
}

static void grad_by_weights(th_vjp *v) { /* dw = W(x, dy); u is its cotangent */
    th_tensor *x = v->n->in[0], *dy = v->n->in[1], *u = v->dy[0];
    if (v->want[0]) v->dx[0] = by_data(v, u, dy, &x->desc);
    if (v->want[1]) v->dx[1] = forward(v, x, u);
}

typedef struct {
    th_dnn *dnn;
    const th_layout *layout;
    size_t scratch; /* oneDNN's own; moved weights follow it */
} conv_state;

static th_status prepare(th_prepared *p) {
    th_dnn_conv c = shape_of_node(p->n);
    conv_state *s = th_alloc(1, sizeof *s);
    if (!s) return th_fail_memory();
    th_status status = th_dnn_conv_new(&c, p->threads, &s->dnn, &s->scratch, &s->layout);
    if (status != TH_OK) return th_free(s), status;
    s->scratch = (s->scratch + 63) & ~(size_t)63;
    p->state = s;
    p->scratch = s->scratch;
    p->weight_input = c.kind == TH_CONV_FORWARD ? 1 : c.kind == TH_CONV_BACKWARD_DATA ? 0 : TH_WEIGHT_OUTPUT;
    p->weight_layout = s->layout;
    p->weight_scratch = s->layout->elements * th_dtype_bytes(c.kind == TH_CONV_BACKWARD_WEIGHTS ? c.out : c.in);
    return TH_OK;
}

static void release(void *state) {
    conv_state *s = state;
    if (s) th_dnn_free(s->dnn);
    th_free(s);
}

static th_status run(const th_kernel_args *a) {
    const conv_state *s = a->state;
    const th_node *n = a->n;
    const void *in[4] = {a->in[0], a->in[1], n->n_in == 3 ? a->in[2] : NULL, NULL};
    void *moved = a->scratch + s->scratch, *out = a->out[0];
    bool makes_weights = n->op == &th_op_conv2d_bwd_weights;
    int weight = n->op == &th_op_conv2d ? 1 : 0;
    const th_desc *d = makes_weights ? &n->out[0].desc : &n->in[weight]->desc;
    if (!a->weight_packed && makes_weights) out = moved;
    if (!a->weight_packed && !makes_weights) {
        TH_TRY(s->layout->move(d, NULL, d->dtype, in[weight], s->layout, d->dtype, moved));
        in[weight] = moved;
    }
    TH_TRY(th_dnn_run(s->dnn, in, out, a->scratch));
    if (a->weight_packed || !makes_weights) return TH_OK;
    return s->layout->move(d, s->layout, d->dtype, moved, NULL, d->dtype, a->out[0]);
}

static void reference(const th_reference_args *r) {
    th_dnn_conv c = shape_of_node(r->n);
    const double *p = r->in[0], *q = r->in[1];
    double *out = r->out[0];
    bool is_forward = c.kind == TH_CONV_FORWARD, is_data = c.kind == TH_CONV_BACKWARD_DATA;
    const double *bias = is_forward && c.bias ? r->in[2] : NULL;
    int64_t count = th_desc_count(&r->n->out[0].desc);
    for (int64_t i = 0; i < count; i++) out[i] = bias ? bias[i % c.k] : 0;
    for (int64_t n = 0; n < c.n; n++)
        for (int64_t y = 0; y < c.oh; y++)
            for (int64_t x = 0; x < c.ow; x++)
                for (int64_t k = 0; k < c.k; k++)
                    for (int64_t i = 0; i < c.c * c.kh * c.kw; i++) {
                        int64_t ch = i / (c.kh * c.kw), dy = i / c.kw % c.kh, dx = i % c.kw;
                        int64_t row = y * c.stride - c.pad_top + dy * c.dilation;
                        int64_t col = x * c.stride - c.pad_left + dx * c.dilation;
                        if (row < 0 || row >= c.h || col < 0 || col >= c.w) continue;
                        int64_t xi = ((n * c.h + row) * c.w + col) * c.c + ch,
                                yi = ((n * c.oh + y) * c.ow + x) * c.k + k;
                        int64_t wi = ((k * c.c + ch) * c.kh + dy) * c.kw + dx;
                        if (is_forward)
                            out[yi] += p[xi] * q[wi];
                        else if (is_data)
                            out[xi] += p[wi] * q[yi];
                        else
                            out[wi] += p[xi] * q[yi];
                    }
}

static double flops(const th_node *n) {
    th_dnn_conv c = shape_of_node(n);
    return 2.0 * (double)(c.n * c.oh * c.ow) * (double)(c.k * c.c * c.kh * c.kw);
}

#define CONV_ROW(name_, grad_, out_)                                                          \
    {                                                                                         \
        .name = name_, .infer = infer, .grad = grad_, .reference = reference, .flops = flops, \
        .in_precision = {TH_MUST_LOW, TH_MUST_LOW, TH_KEEP_F32}, .out_precision = {out_},     \
        .cpu = {.run = run, .prepare = prepare, .release = release},                          \
    }

const th_op th_op_conv2d = CONV_ROW("conv2d", grad, TH_EITHER);
/* conv2d_bwd_data: w, dy → dx. */
const th_op th_op_conv2d_bwd_data = CONV_ROW("conv2d_bwd_data", grad_by_data, TH_EITHER);
/* conv2d_bwd_weights: x, dy → dw, in f32. */
const th_op th_op_conv2d_bwd_weights = CONV_ROW("conv2d_bwd_weights", grad_by_weights, TH_KEEP_F32);

th_tensor *th_conv2d(th_graph *g, th_tensor *x, th_tensor *w, th_tensor *bias, const th_conv_params *p) {
    conv_attr a = {.p = *p, .bias = bias != NULL};
    return th_record(g, &th_op_conv2d, &a, sizeof a, bias ? 3 : 2, (th_tensor *[]){x, w, bias});
}
