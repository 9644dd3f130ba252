/* oneDNN's C API. What differs between 2.x and 3.x is in the first part; the rest is written once. */
#include "backend/onednn.h"

#include <omp.h>
#include <oneapi/dnnl/dnnl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

static dnnl_engine_t engine;
static dnnl_stream_t stream;
static dnnl_status_t engine_status;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void open_engine(void) {
    engine_status = dnnl_engine_create(&engine, dnnl_cpu, 0);
    if (engine_status == dnnl_success) engine_status = dnnl_stream_create(&stream, engine, dnnl_stream_default_flags);
}

static th_status fail(dnnl_status_t s, const char *what) {
    if (s == dnnl_out_of_memory) return th_fail_memory();
    return th_fail(TH_E_BUG, "oneDNN cannot make or run a %s (status %d)", what, (int)s);
}

#if DNNL_VERSION_MAJOR >= 3

typedef dnnl_memory_desc_t memory_desc; /* a handle */

static dnnl_status_t desc_new(memory_desc *md, int rank, const dnnl_dims_t dims, dnnl_data_type_t t,
                              const dnnl_dims_t strides) {
    if (!strides) return dnnl_memory_desc_create_with_tag(md, rank, dims, t, dnnl_format_tag_any);
    return dnnl_memory_desc_create_with_strides(md, rank, dims, t, strides);
}
static void desc_free(memory_desc *md) {
    if (*md) dnnl_memory_desc_destroy(*md);
    *md = NULL;
}
static const_dnnl_memory_desc_t desc_of(const memory_desc *md) { return *md; }
static size_t desc_bytes(const_dnnl_memory_desc_t md) { return dnnl_memory_desc_get_size(md); }
static bool desc_same(const void *a, const void *b) { return dnnl_memory_desc_equal(a, b); }
static const void *desc_copy(const_dnnl_memory_desc_t md) {
    dnnl_memory_desc_t copy;
    return dnnl_memory_desc_clone(&copy, md) == dnnl_success ? copy : NULL;
}
/* The same blocking in another data type. */
static dnnl_status_t desc_retype(memory_desc *out, const void *blob, dnnl_data_type_t t) {
    return dnnl_memory_desc_clone_with_data_type
               ? dnnl_memory_desc_clone_with_data_type(out, (const_dnnl_memory_desc_t)blob, t)
               : dnnl_unimplemented;
}

static dnnl_status_t matmul_desc(dnnl_primitive_desc_t *pd, memory_desc md[5], bool bias, dnnl_primitive_attr_t attr) {
    return dnnl_matmul_primitive_desc_create(pd, engine, md[0], md[1], bias ? md[2] : NULL, md[4], attr);
}

static dnnl_status_t conv_desc(dnnl_primitive_desc_t *pd, th_conv_kind kind, memory_desc md[5], bool bias,
                               const dnnl_dims_t stride, const dnnl_dims_t dilation, const dnnl_dims_t before,
                               const dnnl_dims_t after, dnnl_primitive_desc_t hint, dnnl_primitive_attr_t attr) {
    dnnl_alg_kind_t alg = dnnl_convolution_direct;
    if (kind == TH_CONV_FORWARD)
        return dnnl_convolution_forward_primitive_desc_create(pd, engine, dnnl_forward_training, alg, md[0], md[1],
                                                              bias ? md[2] : NULL, md[4], stride, dilation, before,
                                                              after, attr);
    if (kind == TH_CONV_BACKWARD_DATA)
        return dnnl_convolution_backward_data_primitive_desc_create(pd, engine, alg, md[0], md[1], md[4], stride,
                                                                    dilation, before, after, hint, attr);
    return dnnl_convolution_backward_weights_primitive_desc_create(pd, engine, alg, md[0], md[1], NULL, md[4], stride,
                                                                   dilation, before, after, hint, attr);
}

static dnnl_status_t reorder_desc(dnnl_primitive_desc_t *pd, const memory_desc *from, const memory_desc *to) {
    return dnnl_reorder_primitive_desc_create(pd, *from, engine, *to, engine, NULL);
}

#else

typedef dnnl_memory_desc_t memory_desc; /* the description itself */
typedef const dnnl_memory_desc_t *const_dnnl_memory_desc_t;

static dnnl_status_t desc_new(memory_desc *md, int rank, const dnnl_dims_t dims, dnnl_data_type_t t,
                              const dnnl_dims_t strides) {
    if (!strides) return dnnl_memory_desc_init_by_tag(md, rank, dims, t, dnnl_format_tag_any);
    return dnnl_memory_desc_init_by_strides(md, rank, dims, t, strides);
}
static void desc_free(memory_desc *md) { (void)md; }
static const_dnnl_memory_desc_t desc_of(const memory_desc *md) { return md; }
static size_t desc_bytes(const_dnnl_memory_desc_t md) { return dnnl_memory_desc_get_size(md); }
static bool desc_same(const void *a, const void *b) { return dnnl_memory_desc_equal(a, b); }
static const void *desc_copy(const_dnnl_memory_desc_t md) {
    dnnl_memory_desc_t *copy = th_alloc(1, sizeof *copy);
    if (copy) *copy = *md;
    return copy;
}
static dnnl_status_t desc_retype(memory_desc *out, const void *blob, dnnl_data_type_t t) {
    *out = *(const dnnl_memory_desc_t *)blob;
    out->data_type = t;
    return dnnl_success;
}

static dnnl_status_t matmul_desc(dnnl_primitive_desc_t *pd, memory_desc md[5], bool bias, dnnl_primitive_attr_t attr) {
    dnnl_matmul_desc_t d;
    dnnl_status_t s = dnnl_matmul_desc_init(&d, &md[0], &md[1], bias ? &md[2] : NULL, &md[4]);
    return s == dnnl_success ? dnnl_primitive_desc_create(pd, &d, attr, engine, NULL) : s;
}

static dnnl_status_t conv_desc(dnnl_primitive_desc_t *pd, th_conv_kind kind, memory_desc md[5], bool bias,
                               const dnnl_dims_t stride, const dnnl_dims_t dilation, const dnnl_dims_t before,
                               const dnnl_dims_t after, dnnl_primitive_desc_t hint, dnnl_primitive_attr_t attr) {
    dnnl_alg_kind_t alg = dnnl_convolution_direct;
    dnnl_convolution_desc_t d;
    dnnl_status_t s;
    if (kind == TH_CONV_FORWARD)
        s = dnnl_dilated_convolution_forward_desc_init(&d, dnnl_forward_training, alg, &md[0], &md[1],
                                                       bias ? &md[2] : NULL, &md[4], stride, dilation, before, after);
    else if (kind == TH_CONV_BACKWARD_DATA)
        s = dnnl_dilated_convolution_backward_data_desc_init(&d, alg, &md[0], &md[1], &md[4], stride, dilation, before,
                                                             after);
    else
        s = dnnl_dilated_convolution_backward_weights_desc_init(&d, alg, &md[0], &md[1], NULL, &md[4], stride, dilation,
                                                                before, after);
    return s == dnnl_success ? dnnl_primitive_desc_create(pd, &d, attr, engine, hint) : s;
}

static dnnl_status_t reorder_desc(dnnl_primitive_desc_t *pd, const memory_desc *from, const memory_desc *to) {
    return dnnl_reorder_primitive_desc_create(pd, from, engine, to, engine, NULL);
}

#endif

static const_dnnl_memory_desc_t query(const_dnnl_primitive_desc_t pd, dnnl_query_t what, int index) {
    return dnnl_primitive_desc_query_md(pd, what, index);
}

static dnnl_data_type_t type_of(th_dtype t) { return t == TH_BF16 ? dnnl_bf16 : t == TH_I32 ? dnnl_s32 : dnnl_f32; }

struct th_dnn {
    dnnl_primitive_t primitive;
    int threads, n_args;
    dnnl_exec_arg_t args[TH_DNN_MAX_ARGS + 1];
    int place[TH_DNN_MAX_ARGS + 1]; /* of each argument: 0 to 3 an input, 4 the output, 5 scratch */
};

void th_dnn_free(th_dnn *d) {
    if (!d) return;
    for (int i = 0; i < d->n_args; i++) dnnl_memory_destroy(d->args[i].memory);
    if (d->primitive) dnnl_primitive_destroy(d->primitive);
    th_free(d);
}

static dnnl_status_t add_arg(th_dnn *d, int name, int place, const_dnnl_memory_desc_t md) {
    d->args[d->n_args].arg = name;
    d->place[d->n_args] = place;
    dnnl_status_t s = dnnl_memory_create(&d->args[d->n_args].memory, md, engine, DNNL_MEMORY_NONE);
    if (s == dnnl_success) d->n_args++;
    return s;
}

/* oneDNN sizes its work by the threads it sees when a primitive is made. */
typedef struct {
    int saved;
} thread_scope;
static thread_scope enter_threads(int threads) {
    thread_scope t = {omp_get_max_threads()};
    if (t.saved != threads) omp_set_num_threads(threads);
    return t;
}
static void leave_threads(thread_scope t, int threads) {
    if (t.saved != threads) omp_set_num_threads(t.saved);
}

/* The primitive of pd with its scratchpad, which the caller gives at run time. */
static dnnl_status_t finish(th_dnn *d, dnnl_primitive_desc_t pd, size_t *scratch) {
    dnnl_status_t s = dnnl_primitive_create(&d->primitive, pd);
    const_dnnl_memory_desc_t pad = query(pd, dnnl_query_scratchpad_md, 0);
    *scratch = pad ? desc_bytes(pad) : 0;
    if (s == dnnl_success && *scratch) s = add_arg(d, DNNL_ARG_SCRATCHPAD, 5, pad);
    return s;
}

static dnnl_status_t user_scratch(dnnl_primitive_attr_t *attr) {
    dnnl_status_t s = dnnl_primitive_attr_create(attr);
    return s == dnnl_success ? dnnl_primitive_attr_set_scratchpad_mode(*attr, dnnl_scratchpad_mode_user) : s;
}

/* A matrix of a batch, stored as it is or transposed; `one` repeats it over the batch. */
static dnnl_status_t matrix(memory_desc *md, int rank, int64_t batch, int64_t rows, int64_t columns, bool transposed,
                            bool one, dnnl_data_type_t t) {
    int64_t row = transposed ? 1 : columns, column = transposed ? rows : 1;
    if (rank == 2) return desc_new(md, 2, (dnnl_dims_t){rows, columns}, t, (dnnl_dims_t){row, column});
    return desc_new(md, 3, (dnnl_dims_t){one ? 1 : batch, rows, columns}, t,
                    (dnnl_dims_t){rows * columns, row, column});
}

static dnnl_status_t make_matmul(th_dnn *d, const th_dnn_matmul *m, size_t *scratch) {
    memory_desc md[5];
    memset(md, 0, sizeof md);
    dnnl_primitive_attr_t attr = NULL;
    dnnl_post_ops_t post = NULL;
    dnnl_primitive_desc_t pd = NULL;
    dnnl_data_type_t in = type_of(m->in);
    int rank = m->batch > 1 ? 3 : 2;
    dnnl_status_t s = matrix(&md[0], rank, m->batch, m->m, m->k, m->transpose_a, false, in);
    if (s == dnnl_success) s = matrix(&md[1], rank, m->batch, m->k, m->n, m->transpose_b, m->one_b, in);
    if (s == dnnl_success) s = matrix(&md[2], rank, 1, 1, m->n, false, true, dnnl_f32);
    if (s == dnnl_success) s = matrix(&md[3], rank, m->batch, m->m, m->n, false, false, dnnl_f32);
    if (s == dnnl_success) s = matrix(&md[4], rank, m->batch, m->m, m->n, false, false, type_of(m->out));
    if (s == dnnl_success) s = user_scratch(&attr);
    if (s == dnnl_success && m->residual) {
        s = dnnl_post_ops_create(&post);
        if (s == dnnl_success) s = dnnl_post_ops_append_binary(post, dnnl_binary_add, desc_of(&md[3]));
        if (s == dnnl_success) s = dnnl_primitive_attr_set_post_ops(attr, post);
    }
    if (s == dnnl_success) s = matmul_desc(&pd, md, m->bias, attr);
    if (s == dnnl_success) s = add_arg(d, DNNL_ARG_SRC, 0, desc_of(&md[0]));
    if (s == dnnl_success) s = add_arg(d, DNNL_ARG_WEIGHTS, 1, desc_of(&md[1]));
    if (s == dnnl_success && m->bias) s = add_arg(d, DNNL_ARG_BIAS, 2, desc_of(&md[2]));
    if (s == dnnl_success && m->residual)
        s = add_arg(d, DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1, 3, desc_of(&md[3]));
    if (s == dnnl_success) s = add_arg(d, DNNL_ARG_DST, 4, desc_of(&md[4]));
    if (s == dnnl_success) s = finish(d, pd, scratch);
    if (pd) dnnl_primitive_desc_destroy(pd);
    if (post) dnnl_post_ops_destroy(post);
    if (attr) dnnl_primitive_attr_destroy(attr);
    for (int i = 0; i < 5; i++) desc_free(&md[i]);
    return s;
}

th_status th_dnn_matmul_new(const th_dnn_matmul *m, int threads, th_dnn **out, size_t *scratch) {
    pthread_once(&once, open_engine);
    if (engine_status != dnnl_success) return fail(engine_status, "CPU engine");
    th_dnn *d = th_alloc(1, sizeof *d);
    if (!d) return th_fail_memory();
    d->threads = threads;
    thread_scope t = enter_threads(threads);
    dnnl_status_t s = make_matmul(d, m, scratch);
    leave_threads(t, threads);
    if (s != dnnl_success) return th_dnn_free(d), fail(s, "matrix product");
    *out = d;
    return TH_OK;
}

/* Activations lie as [n, h, w, c], oneDNN's dims are in the order n, c, h, w. */
static dnnl_status_t picture(memory_desc *md, int64_t n, int64_t c, int64_t h, int64_t w, dnnl_data_type_t t) {
    return desc_new(md, 4, (dnnl_dims_t){n, c, h, w}, t, (dnnl_dims_t){h * w * c, 1, w * c, c});
}

static th_status move_weights(const th_desc *d, const th_layout *from, th_dtype from_type, const void *src,
                              const th_layout *to, th_dtype to_type, void *dst);

/* Parameters hold on to layouts longer than any plan, and there are only a few dozen kinds of them: each is kept once.
 */
static const th_layout *keep_layout(const_dnnl_memory_desc_t md, size_t element) {
    static struct kept {
        th_layout layout;
        struct kept *next;
    } * all;
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&lock);
    struct kept *k = all;
    while (k && !desc_same(k->layout.blob, md)) k = k->next;
    if (!k && (k = th_alloc(1, sizeof *k))) {
        k->layout = (th_layout){desc_bytes(md) / element, desc_copy(md), desc_same, move_weights};
        if (k->layout.blob) {
            k->next = all;
            all = k;
        } else {
            th_free(k);
            k = NULL;
        }
    }
    pthread_mutex_unlock(&lock);
    return k ? &k->layout : NULL;
}

static dnnl_status_t make_conv(th_dnn *d, const th_dnn_conv *c, size_t *scratch, const th_layout **weights) {
    memory_desc x, w, dw, y, bias;
    memset(&x, 0, sizeof x), memset(&w, 0, sizeof w), memset(&dw, 0, sizeof dw);
    memset(&y, 0, sizeof y), memset(&bias, 0, sizeof bias);
    dnnl_primitive_attr_t attr = NULL;
    dnnl_primitive_desc_t pd = NULL, hint = NULL;
    dnnl_data_type_t in = type_of(c->in), out = type_of(c->out);
    bool forward = c->kind == TH_CONV_FORWARD, by_data = c->kind == TH_CONV_BACKWARD_DATA;
    dnnl_dims_t stride = {c->stride, c->stride}, dilation = {c->dilation - 1, c->dilation - 1};
    dnnl_dims_t before = {c->pad_top, c->pad_left}, after = {c->pad_bottom, c->pad_right};
    dnnl_status_t s = picture(&x, c->n, c->c, c->h, c->w, by_data ? out : in);
    if (s == dnnl_success) s = picture(&y, c->n, c->k, c->oh, c->ow, forward ? out : in);
    if (s == dnnl_success) s = desc_new(&w, 4, (dnnl_dims_t){c->k, c->c, c->kh, c->kw}, in, NULL);
    if (s == dnnl_success) s = desc_new(&dw, 4, (dnnl_dims_t){c->k, c->c, c->kh, c->kw}, out, NULL);
    if (s == dnnl_success) s = desc_new(&bias, 1, (dnnl_dims_t){c->k}, dnnl_f32, (dnnl_dims_t){1});
    if (s == dnnl_success) s = user_scratch(&attr);
    if (s == dnnl_success && !forward) { /* the backward ones take their choices from a forward one */
        memory_desc low, md[5] = {x, w, bias, y, y};
        memset(&low, 0, sizeof low);
        s = picture(&low, c->n, c->c, c->h, c->w, in);
        md[0] = low;
        if (s == dnnl_success)
            s = conv_desc(&hint, TH_CONV_FORWARD, md, false, stride, dilation, before, after, NULL, attr);
        desc_free(&low);
    }
    if (s == dnnl_success) {
        memory_desc f[5] = {x, w, bias, y, y}, bd[5] = {x, w, bias, y, y}, bw[5] = {x, dw, bias, y, y};
        s = conv_desc(&pd, c->kind,
                      forward   ? f
                      : by_data ? bd
                                : bw,
                      c->bias, stride, dilation, before, after, hint, attr);
    }
    if (s == dnnl_success) {
        dnnl_query_t which = c->kind == TH_CONV_BACKWARD_WEIGHTS ? dnnl_query_diff_weights_md : dnnl_query_weights_md;
        const_dnnl_memory_desc_t md = query(pd, which, 0);
        size_t size = th_dtype_bytes(c->kind == TH_CONV_BACKWARD_WEIGHTS ? c->out : c->in);
        *weights = keep_layout(md, size);
        if (!*weights) s = dnnl_out_of_memory;
        if (s == dnnl_success && forward) {
            s = add_arg(d, DNNL_ARG_SRC, 0, desc_of(&x));
            if (s == dnnl_success) s = add_arg(d, DNNL_ARG_WEIGHTS, 1, md);
            if (s == dnnl_success && c->bias) s = add_arg(d, DNNL_ARG_BIAS, 2, desc_of(&bias));
            if (s == dnnl_success) s = add_arg(d, DNNL_ARG_DST, 4, desc_of(&y));
        } else if (s == dnnl_success && by_data) {
            s = add_arg(d, DNNL_ARG_WEIGHTS, 0, md);
            if (s == dnnl_success) s = add_arg(d, DNNL_ARG_DIFF_DST, 1, desc_of(&y));
            if (s == dnnl_success) s = add_arg(d, DNNL_ARG_DIFF_SRC, 4, desc_of(&x));
        } else if (s == dnnl_success) {
            s = add_arg(d, DNNL_ARG_SRC, 0, desc_of(&x));
            if (s == dnnl_success) s = add_arg(d, DNNL_ARG_DIFF_DST, 1, desc_of(&y));
            if (s == dnnl_success) s = add_arg(d, DNNL_ARG_DIFF_WEIGHTS, 4, md);
        }
    }
    if (s == dnnl_success) s = finish(d, pd, scratch);
    if (pd) dnnl_primitive_desc_destroy(pd);
    if (hint) dnnl_primitive_desc_destroy(hint);
    if (attr) dnnl_primitive_attr_destroy(attr);
    desc_free(&x), desc_free(&w), desc_free(&dw), desc_free(&y), desc_free(&bias);
    return s;
}

th_status th_dnn_conv_new(const th_dnn_conv *c, int threads, th_dnn **out, size_t *scratch, const th_layout **weights) {
    pthread_once(&once, open_engine);
    if (engine_status != dnnl_success) return fail(engine_status, "CPU engine");
    th_dnn *d = th_alloc(1, sizeof *d);
    if (!d) return th_fail_memory();
    d->threads = threads;
    thread_scope t = enter_threads(threads);
    dnnl_status_t s = make_conv(d, c, scratch, weights);
    leave_threads(t, threads);
    if (s != dnnl_success) return th_dnn_free(d), fail(s, "convolution");
    *out = d;
    return TH_OK;
}

th_status th_dnn_run(th_dnn *d, const void *const in[4], void *out, void *scratch) {
    for (int i = 0; i < d->n_args; i++) {
        void *p = d->place[i] < 4 ? (void *)in[d->place[i]] : d->place[i] == 4 ? out : scratch;
        dnnl_memory_set_data_handle(d->args[i].memory, p);
    }
    thread_scope t = enter_threads(d->threads);
    dnnl_status_t s = dnnl_primitive_execute(d->primitive, stream, d->n_args, d->args);
    leave_threads(t, d->threads);
    return s == dnnl_success ? TH_OK : fail(s, "primitive");
}

/* Between row-major [k, c, kh, kw] and blocked weights, or between two blocked layouts. */
static dnnl_status_t weights_desc(memory_desc *md, const th_desc *d, const th_layout *l, th_dtype t) {
    if (l) return desc_retype(md, l->blob, type_of(t));
    dnnl_dims_t dims = {0}, strides = {0};
    int64_t stride = 1;
    for (int i = d->rank - 1; i >= 0; i--) {
        dims[i] = d->dim[i];
        strides[i] = stride;
        stride *= d->dim[i];
    }
    return desc_new(md, d->rank, dims, type_of(t), strides);
}

static th_status move_weights(const th_desc *d, const th_layout *from, th_dtype from_type, const void *src,
                              const th_layout *to, th_dtype to_type, void *dst) {
    pthread_once(&once, open_engine);
    memory_desc a, b;
    memset(&a, 0, sizeof a), memset(&b, 0, sizeof b);
    dnnl_primitive_desc_t pd = NULL;
    dnnl_primitive_t reorder = NULL;
    dnnl_memory_t ma = NULL, mb = NULL;
    dnnl_status_t s = weights_desc(&a, d, from, from_type);
    if (s == dnnl_success) s = weights_desc(&b, d, to, to_type);
    if (s == dnnl_success) s = reorder_desc(&pd, &a, &b);
    if (s == dnnl_success) s = dnnl_primitive_create(&reorder, pd);
    if (s == dnnl_success) s = dnnl_memory_create(&ma, desc_of(&a), engine, (void *)src);
    if (s == dnnl_success) s = dnnl_memory_create(&mb, desc_of(&b), engine, dst);
    if (s == dnnl_success) {
        dnnl_exec_arg_t args[2] = {{DNNL_ARG_FROM, ma}, {DNNL_ARG_TO, mb}};
        s = dnnl_primitive_execute(reorder, stream, 2, args);
    }
    if (mb) dnnl_memory_destroy(mb);
    if (ma) dnnl_memory_destroy(ma);
    if (reorder) dnnl_primitive_destroy(reorder);
    if (pd) dnnl_primitive_desc_destroy(pd);
    desc_free(&a), desc_free(&b);
    return s == dnnl_success ? TH_OK : fail(s, "reorder of weights");
}

const char *th_dnn_version(void) {
    static char text[64];
    const dnnl_version_t *v = dnnl_version();
    static const struct {
        int isa;
        const char *name;
    } names[] = {{dnnl_cpu_isa_sse41, "sse4.1"},
                 {dnnl_cpu_isa_avx, "avx"},
                 {dnnl_cpu_isa_avx2, "avx2"},
                 {dnnl_cpu_isa_avx512_core, "avx512_core"},
                 {dnnl_cpu_isa_avx512_core_vnni, "avx512_core_vnni"},
                 {dnnl_cpu_isa_avx512_core_bf16, "avx512_core_bf16"}};
    const char *isa = "other";
    int have = (int)dnnl_get_effective_cpu_isa();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].isa == have) isa = names[i].name;
    snprintf(text, sizeof text, "%d.%d.%d (%s)", v->major, v->minor, v->patch, isa);
    return text;
}
