/* Tiles: reading with broadcasting and conversion, running, writing. */
#include "ops/map.h"

#include "base/half.h"
#include "ops/fused.h"

bool th_broadcast_shapes(const th_desc *a, const th_desc *b, th_desc *out) {
    int rank = a->rank > b->rank ? a->rank : b->rank;
    out->rank = rank;
    for (int i = 1; i <= rank; i++) {
        int64_t x = i <= a->rank ? a->dim[a->rank - i] : 1, y = i <= b->rank ? b->dim[b->rank - i] : 1;
        if (x != y && x != 1 && y != 1) return false;
        out->dim[rank - i] = x == 1 ? y : x;
    }
    return true;
}

th_status th_map_infer(th_node *n) {
    th_desc d = n->in[0]->desc;
    for (int i = 1; i < n->n_in; i++) {
        th_desc both = d;
        char a[TH_DESC_TEXT], b[TH_DESC_TEXT];
        if (!th_broadcast_shapes(&d, &n->in[i]->desc, &both))
            return th_shape_error("%s and %s do not broadcast", th_desc_text(&d, a), th_desc_text(&n->in[i]->desc, b));
        d = both;
    }
    d.dtype = TH_F32;
    n->out[0].desc = d;
    return TH_OK;
}

int64_t th_map_units(const th_node *n) { return (th_desc_count(&n->out[0].desc) + TH_MAP_TILE - 1) / TH_MAP_TILE; }

/* How an input follows the output's elements: dimensions merged where the input runs on or stands still throughout. */
typedef struct {
    bool same; /* element e of the output reads element e of the input */
    int rank;
    int64_t dim[TH_MAX_RANK], stride[TH_MAX_RANK];
} walk;

typedef struct {
    int n_in;
    walk in[];
} map_state;

static void make_walk(walk *w, const th_desc *in, const th_desc *out) {
    *w = (walk){0};
    int64_t stride = 1;
    for (int i = 1; i <= out->rank; i++) { /* innermost first */
        int64_t n = out->dim[out->rank - i], own = i <= in->rank ? in->dim[in->rank - i] : 1;
        int64_t s = own == 1 && n != 1 ? 0 : stride;
        stride *= own;
        if (n == 1) continue;
        if (w->rank) {
            int64_t inner = w->stride[w->rank - 1], span = w->dim[w->rank - 1];
            if (s == inner * span && (inner || !s)) { /* goes on where the inner dimension ends, or both stand still */
                w->dim[w->rank - 1] *= n;
                continue;
            }
        }
        w->dim[w->rank] = n;
        w->stride[w->rank++] = s;
    }
    w->same = w->rank == 0 ? th_desc_count(out) == 1 : w->rank == 1 && w->stride[0] == 1;
}

th_status th_map_prepare(th_prepared *p) {
    map_state *s = th_alloc(1, sizeof *s + (size_t)p->n->n_in * sizeof(walk));
    if (!s) return th_fail_memory();
    s->n_in = p->n->n_in;
    for (int i = 0; i < s->n_in; i++) make_walk(&s->in[i], &p->n->in[i]->desc, &p->n->out[0].desc);
    p->state = s;
    size_t tiles = (size_t)s->n_in + 1 + (size_t)th_fused_steps(p->n);
    p->thread_scratch = tiles * TH_MAP_TILE * sizeof(float);
    return TH_OK;
}

void th_map_release(void *state) { th_free(state); }

static float element(th_dtype t, const void *data, int64_t i) {
    return t == TH_BF16 ? th_bf16_to_f32(((const uint16_t *)data)[i]) : ((const float *)data)[i];
}

static void copy_run(th_dtype t, const void *data, int64_t at, int64_t stride, float *to, int64_t n) {
    if (stride == 0) {
        float v = element(t, data, at);
        for (int64_t i = 0; i < n; i++) to[i] = v;
    } else if (stride == 1 && t == TH_BF16) {
        th_bf16_read(to, (const uint16_t *)data + at, n);
    } else if (stride == 1) {
        memcpy(to, (const float *)data + at, (size_t)n * sizeof(float));
    } else {
        for (int64_t i = 0; i < n; i++) to[i] = element(t, data, at + i * stride);
    }
}

/* Elements [e, e + n) of the output's order, as this input has them. */
static void fill_tile(const walk *w, th_dtype t, const void *data, int64_t e, float *to, int64_t n) {
    if (w->rank == 0) {
        copy_run(t, data, 0, 0, to, n);
        return;
    }
    while (n > 0) {
        int64_t rest = e, at = 0, inner = rest % w->dim[0];
        rest /= w->dim[0];
        for (int i = 1; i < w->rank; i++) {
            at += rest % w->dim[i] * w->stride[i];
            rest /= w->dim[i];
        }
        int64_t run = w->dim[0] - inner < n ? w->dim[0] - inner : n;
        copy_run(t, data, at + inner * w->stride[0], w->stride[0], to, run);
        to += run, e += run, n -= run;
    }
}

void th_map_range(const th_kernel_args *a, int64_t begin, int64_t end, char *scratch) {
    const map_state *s = a->state;
    const th_node *n = a->n;
    const th_desc *out = &n->out[0].desc;
    float *tiles = (float *)scratch, *result = tiles + s->n_in * TH_MAP_TILE, *steps = result + TH_MAP_TILE;
    int64_t count = th_desc_count(out);
    const float *x[TH_FUSED_MAX_VALUES];
    for (int64_t u = begin; u < end; u++) {
        int64_t e = u * TH_MAP_TILE, m = count - e < TH_MAP_TILE ? count - e : TH_MAP_TILE;
        for (int i = 0; i < s->n_in; i++) {
            th_dtype t = n->in[i]->desc.dtype;
            if (s->in[i].same && t == TH_F32) {
                x[i] = (const float *)a->in[i] + e;
            } else {
                fill_tile(&s->in[i], t, a->in[i], e, tiles + i * TH_MAP_TILE, m);
                x[i] = tiles + i * TH_MAP_TILE;
            }
        }
        float *y = out->dtype == TH_F32 ? (float *)a->out[0] + e : result;
        if (n->op->map)
            n->op->map(y, x, m, n->attr);
        else
            th_fused_run(n, y, x, m, steps);
        if (out->dtype == TH_BF16) th_bf16_write((uint16_t *)a->out[0] + e, result, m);
    }
}
