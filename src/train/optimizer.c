/* AdamW in one pass over each parameter. */
#include "train/optimizer.h"

#include <math.h>
#include <string.h>

#include "base/half.h"

/* Sums of squares are made by blocks of this many elements, in order, so that they do not depend on the threads. */
#define BLOCK 16384

/* Beyond it squares of gradients overflow f32, and second moments would stay infinite for good. */
#define LARGEST_NORM 1e19

typedef struct {
    th_param *param;
    float *first, *second; /* lie in `home`, each of `bytes`; NULL until the first step */
    th_layout home;
    size_t bytes;
    bool decays;
} slot;

struct th_optimizer {
    th_adamw_params p;
    slot *slots;
    int64_t n_slots, steps;
};

void th_adamw_params_init(th_adamw_params *p) {
    *p = (th_adamw_params){.beta1 = 0.9f, .beta2 = 0.999f, .eps = 1e-8f, .weight_decay = 0.01f};
}

th_status th_optimizer_new(th_params *params, const th_adamw_params *p, bool (*decays)(const th_param *),
                           th_optimizer **out) {
    th_optimizer *o = th_alloc(1, sizeof *o);
    if (!o) return th_fail_memory();
    o->p = *p;
    o->slots = th_alloc((size_t)th_params_count(params) + 1, sizeof *o->slots);
    if (!o->slots) return th_free(o), th_fail_memory();
    for (int64_t i = 0; i < th_params_count(params); i++) {
        th_param *q = th_params_at(params, i);
        if (q->trainable) o->slots[o->n_slots++] = (slot){.param = q, .decays = !decays || decays(q)};
    }
    *out = o;
    return TH_OK;
}

static size_t moment_bytes(const slot *s) { return (size_t)th_param_elements(s->param) * sizeof(float); }

static void free_moments(slot *s) {
    th_free_big(s->first, s->bytes);
    th_free_big(s->second, s->bytes);
    s->first = s->second = NULL;
}

void th_optimizer_free(th_optimizer *o) {
    if (!o) return;
    for (int64_t i = 0; i < o->n_slots; i++) free_moments(&o->slots[i]);
    th_free(o->slots);
    th_free(o);
}

size_t th_optimizer_bytes(const th_optimizer *o) {
    size_t bytes = 0;
    for (int64_t i = 0; i < o->n_slots; i++) bytes += 2 * moment_bytes(&o->slots[i]);
    return bytes;
}

static th_status move_moment(const slot *from, const float *src, const slot *to, float *dst) {
    const th_layout *a = &from->home, *b = &to->home;
    return (a->move ? a : b)->move(&to->param->desc, a->move ? a : NULL, TH_F32, src, b->move ? b : NULL, TH_F32, dst);
}

/* Zeroed moments in the parameter's home; those that are there follow it, as a plan made after a checkpoint was read
 * may have moved it. */
static th_status allocate(slot *s) {
    if (s->first && th_layout_same(&s->home, &s->param->home)) return TH_OK;
    slot new = {.param = s->param, .home = s->param->home, .bytes = moment_bytes(s), .decays = s->decays};
    new.first = th_alloc_big_zeroed(new.bytes);
    new.second = th_alloc_big_zeroed(new.bytes);
    th_status status = new.first &&new.second ? TH_OK : th_fail_memory();
    if (status == TH_OK && s->first) status = move_moment(s, s->first, &new, new.first);
    if (status == TH_OK && s->first) status = move_moment(s, s->second, &new, new.second);
    if (status != TH_OK) return free_moments(&new), status;
    free_moments(s);
    *s = new;
    return TH_OK;
}

static double sum_of_squares(const float *g, int64_t n, int threads) {
    int64_t blocks = (n + BLOCK - 1) / BLOCK;
    double total = 0;
    for (int64_t b0 = 0; b0 < blocks;
         b0 += 256) { /* a stretch of blocks at a time, so that a fixed array holds their sums */
        double part[256] = {0};
        int64_t count = blocks - b0 < 256 ? blocks - b0 : 256;
#pragma omp parallel for num_threads(threads) schedule(static) if (count > 4)
        for (int64_t b = 0; b < count; b++) {
            const float *x = g + (b0 + b) * BLOCK;
            int64_t m = n - (b0 + b) * BLOCK < BLOCK ? n - (b0 + b) * BLOCK : BLOCK;
            float sums[16] = {0};
            int64_t i = 0;
            for (; i + 16 <= m; i += 16) {
#pragma omp simd
                for (int k = 0; k < 16; k++) sums[k] += x[i + k] * x[i + k];
            }
            double s = 0;
            for (; i < m; i++) s += (double)x[i] * (double)x[i];
            for (int k = 0; k < 16; k++) s += (double)sums[k];
            part[b] = s;
        }
        for (int64_t b = 0; b < count; b++) total += part[b];
    }
    return total;
}

typedef struct {
    float lr, decay, beta1, beta2, one_minus1, one_minus2, eps, scale, correction1, correction2;
} step_constants;

static void update(const step_constants *c, float decay, float *restrict w, const float *restrict g, float *restrict m,
                   float *restrict v, uint16_t *restrict low, int64_t n) {
    float rate = c->lr / c->correction1, root = 1.0f / sqrtf(c->correction2);
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        float grad = g[i] * c->scale;
        float first = m[i] + c->one_minus1 * (grad - m[i]);
        float second = c->beta2 * v[i] + c->one_minus2 * grad * grad;
        m[i] = first;
        v[i] = second;
        w[i] = w[i] * decay - rate * first / (sqrtf(second) * root + c->eps);
    }
    if (low) th_bf16_write(low, w, n);
}

/* The bf16 copy that lies as the values do, which the update writes itself; −1 if there is none. */
static int twin_of(const th_param *p) {
    for (int i = 0; i < p->n_packs; i++)
        if (p->packs[i].dtype == TH_BF16 && p->packs[i].data && th_layout_same(&p->packs[i].layout, &p->home)) return i;
    return -1;
}

static th_status step_slot(slot *s, const step_constants *c, int threads) {
    th_param *p = s->param;
    int64_t n = th_param_elements(p), blocks = (n + BLOCK - 1) / BLOCK;
    int twin = twin_of(p);
    uint16_t *low = twin >= 0 ? p->packs[twin].data : NULL;
    float decay = s->decays ? c->decay : 1.0f;
#pragma omp parallel for num_threads(threads) schedule(static) if (blocks > 4)
    for (int64_t b = 0; b < blocks; b++) {
        int64_t at = b * BLOCK, m = n - at < BLOCK ? n - at : BLOCK;
        update(c, decay, p->value + at, p->grad + at, s->first + at, s->second + at, low ? low + at : NULL, m);
    }
    return th_param_refresh(p, twin);
}

th_status th_optimizer_step(th_optimizer *o, float lr, int threads, double *norm) {
    double total = 0;
    for (int64_t i = 0; i < o->n_slots; i++) {
        slot *s = &o->slots[i];
        if (!s->param->grad) return th_fail(TH_E_BUG, "%s: no gradient was computed", s->param->name);
        TH_TRY(allocate(s));
        total += sum_of_squares(s->param->grad, th_param_elements(s->param), threads);
    }
    total = sqrt(total);
    if (norm) *norm = total;
    if (!(total < LARGEST_NORM)) return th_fail(TH_E_INPUT, "the gradient is not finite: the training has diverged");
    o->steps++;
    const th_adamw_params *p = &o->p;
    step_constants c = {
        .lr = lr,
        .decay = 1.0f - lr * p->weight_decay,
        .beta1 = p->beta1,
        .beta2 = p->beta2,
        .one_minus1 = 1.0f - p->beta1,
        .one_minus2 = 1.0f - p->beta2,
        .eps = p->eps,
        .scale =
            p->clip_norm > 0 && total > (double)p->clip_norm ? (float)((double)p->clip_norm / (total + 1e-6)) : 1.0f,
        .correction1 = (float)(1.0 - pow((double)p->beta1, (double)o->steps)),
        .correction2 = (float)(1.0 - pow((double)p->beta2, (double)o->steps)),
    };
    for (int64_t i = 0; i < o->n_slots; i++) TH_TRY(step_slot(&o->slots[i], &c, threads));
    return TH_OK;
}

int64_t th_optimizer_steps(const th_optimizer *o) { return o->steps; }
void th_optimizer_set_steps(th_optimizer *o, int64_t steps) { o->steps = steps; }

static slot *find(const th_optimizer *o, const th_param *p) {
    for (int64_t i = 0; i < o->n_slots; i++)
        if (o->slots[i].param == p) return &o->slots[i];
    return NULL;
}

th_status th_optimizer_get(const th_optimizer *o, const th_param *p, float *first, float *second) {
    slot *s = find(o, p);
    if (!s) return th_fail(TH_E_BUG, "%s: is not trained", p->name);
    TH_TRY(allocate(s));
    TH_TRY(th_param_to_rows(p, s->first, first));
    return th_param_to_rows(p, s->second, second);
}

th_status th_optimizer_set(th_optimizer *o, const th_param *p, const float *first, const float *second) {
    slot *s = find(o, p);
    if (!s) return th_fail(TH_E_BUG, "%s: is not trained", p->name);
    TH_TRY(allocate(s));
    TH_TRY(th_param_from_rows(p, first, s->first));
    return th_param_from_rows(p, second, s->second);
}
