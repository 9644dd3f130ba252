/* Copies of values and gradients. */
#include "train/snapshot.h"

#include <math.h>

#include "base/memory.h"

/* Elements that a thread works on at a time; sums are made by these, in order, so that they do not depend on the
 * threads. */
#define BLOCK ((int64_t)1 << 14)

typedef struct {
    th_param *param;
    float *copy;
    int64_t count;
} slot;

struct th_snapshot {
    slot *slots;
    int64_t n;
    int threads;
};

size_t th_snapshot_bytes(const th_params *params) {
    size_t bytes = 0;
    for (int64_t i = 0; i < th_params_count(params); i++) {
        const th_param *p = th_params_at(params, i);
        if (th_param_trainable(p)) bytes += (size_t)th_param_elements(p) * sizeof(float);
    }
    return bytes;
}

th_status th_snapshot_new(const th_params *params, int threads, th_snapshot **out) {
    th_snapshot *s = th_alloc(1, sizeof *s);
    if (!s) return th_fail_memory();
    *s = (th_snapshot){.threads = threads > 0 ? threads : 1};
    if (!(s->slots = th_alloc((size_t)th_params_count(params) + 1, sizeof *s->slots)))
        return th_snapshot_free(s), th_fail_memory();
    for (int64_t i = 0; i < th_params_count(params); i++) {
        th_param *p = th_params_at(params, i);
        if (!th_param_trainable(p)) continue;
        slot *k = &s->slots[s->n++];
        *k = (slot){.param = p, .count = th_param_elements(p)};
        if (!(k->copy = th_alloc_big_zeroed((size_t)k->count * sizeof(float))))
            return th_snapshot_free(s), th_fail_memory();
    }
    *out = s;
    return TH_OK;
}

void th_snapshot_free(th_snapshot *s) {
    if (!s) return;
    for (int64_t i = 0; i < s->n; i++) th_free_big(s->slots[i].copy, (size_t)s->slots[i].count * sizeof(float));
    th_free(s->slots);
    th_free(s);
}

/* to ← (keep ? to : 0) + scale · from. */
static void mix(const th_snapshot *s, float *to, bool keep, const float *from, float scale, int64_t count) {
    int64_t blocks = (count + BLOCK - 1) / BLOCK;
#pragma omp parallel for num_threads(s->threads) schedule(static) if (blocks > 4)
    for (int64_t b = 0; b < blocks; b++) {
        int64_t at = b * BLOCK, end = at + BLOCK < count ? at + BLOCK : count;
        if (!keep) {
#pragma omp simd
            for (int64_t i = at; i < end; i++) to[i] = scale * from[i];
        } else {
#pragma omp simd
            for (int64_t i = at; i < end; i++) to[i] += scale * from[i];
        }
    }
}

void th_snapshot_take_values(th_snapshot *s) {
    for (int64_t i = 0; i < s->n; i++) mix(s, s->slots[i].copy, false, s->slots[i].param->value, 1, s->slots[i].count);
}

void th_snapshot_take_grads(th_snapshot *s) {
    for (int64_t i = 0; i < s->n; i++) mix(s, s->slots[i].copy, false, s->slots[i].param->grad, 1, s->slots[i].count);
}

void th_snapshot_gather_grads(th_snapshot *s, float scale) {
    for (int64_t i = 0; i < s->n; i++)
        mix(s, s->slots[i].copy, true, s->slots[i].param->grad, scale, s->slots[i].count);
}

void th_snapshot_put_grads(const th_snapshot *s) {
    for (int64_t i = 0; i < s->n; i++) mix(s, s->slots[i].param->grad, false, s->slots[i].copy, 1, s->slots[i].count);
}

static th_status put(const th_snapshot *s, bool keep, float scale) {
    for (int64_t i = 0; i < s->n; i++) {
        th_param *p = s->slots[i].param;
        mix(s, p->value, keep, s->slots[i].copy, scale, s->slots[i].count);
        TH_TRY(th_param_refresh(p, -1));
    }
    return TH_OK;
}

th_status th_snapshot_put_values(const th_snapshot *s) { return put(s, false, 1); }
th_status th_snapshot_add_to_values(const th_snapshot *s, float scale) { return put(s, true, scale); }

/* Σ (a − b)², b NULL: zeros. */
static double squares(const float *a, const float *b, int64_t count) {
    double total = 0;
    for (int64_t at = 0; at < count; at += BLOCK) {
        int64_t end = at + BLOCK < count ? at + BLOCK : count;
        double sum = 0;
        for (int64_t i = at; i < end; i++) {
            double d = (double)a[i] - (b ? (double)b[i] : 0);
            sum += d * d;
        }
        total += sum;
    }
    return total;
}

double th_snapshot_norm(const th_snapshot *s) {
    double total = 0;
    for (int64_t i = 0; i < s->n; i++) total += squares(s->slots[i].copy, NULL, s->slots[i].count);
    return sqrt(total);
}

double th_snapshot_distance(const th_snapshot *s, const th_snapshot *other) {
    double total = 0;
    for (int64_t i = 0; i < s->n; i++) total += squares(s->slots[i].copy, other->slots[i].copy, s->slots[i].count);
    return sqrt(total);
}
