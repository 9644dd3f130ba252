/* The order of samples: permutations by epoch, and the draws of batches of two parts. */
#include "data/order.h"

#include <pthread.h>
#include <string.h>

#include "base/memory.h"
#include "base/rng.h"

/* An epoch's arrays, made when it is first asked for. */
typedef struct {
    int64_t epoch; /* −1: none */
    int64_t *rest; /* [rest_count]: the samples in their order, without those drawn */
    int64_t rest_count;
    int64_t *drawn; /* [eligible_count]: the eligible ones in the order in which they are drawn */
} epoch;

struct th_order {
    th_order_params p; /* eligible is our copy */
    int64_t steps;
    bool plain;     /* the order is that of the numbers */
    uint8_t *taken; /* [samples], for making an epoch of two parts */
    pthread_mutex_t lock;
    epoch kept[2];
};

void th_order_params_init(th_order_params *p, int64_t samples, int64_t batch, uint64_t seed) {
    *p = (th_order_params){.samples = samples, .batch = batch, .seed = seed, .shuffle = true, .drop_last = true};
}

static th_status check(const th_order_params *p) {
    if (p->batch < 1) return th_fail(TH_E_USAGE, "a batch of %lld samples", (long long)p->batch);
    if (p->samples < 1) return th_fail(TH_E_INPUT, "there are no samples");
    if (p->drop_last && p->samples < p->batch)
        return th_fail(TH_E_INPUT, "%lld samples do not fill a batch of %lld", (long long)p->samples,
                       (long long)p->batch);
    if (p->drawn_per_batch < 0 || p->drawn_per_batch > p->batch)
        return th_fail(TH_E_USAGE, "%lld rows of a batch of %lld are to be drawn", (long long)p->drawn_per_batch,
                       (long long)p->batch);
    if (p->drawn_per_batch && p->eligible_count < 1)
        return th_fail(TH_E_INPUT, "no sample is eligible, and each batch is to have %lld of them",
                       (long long)p->drawn_per_batch);
    return TH_OK;
}

/* Copies the eligible ones, and refuses what is out of range or there twice. */
static th_status take_eligible(th_order *o) {
    const int64_t *given = o->p.eligible;
    int64_t n = o->p.eligible_count;
    int64_t *copy = th_alloc((size_t)n, sizeof *copy);
    o->p.eligible = copy;
    o->taken = th_alloc((size_t)o->p.samples, 1);
    if (!copy || !o->taken) return th_fail_memory();
    memcpy(copy, given, (size_t)n * sizeof *copy);
    for (int64_t i = 0; i < n; i++) {
        if (copy[i] < 0 || copy[i] >= o->p.samples)
            return th_fail(TH_E_USAGE, "sample %lld is eligible, there are %lld", (long long)copy[i],
                           (long long)o->p.samples);
        if (o->taken[copy[i]]++) return th_fail(TH_E_USAGE, "sample %lld is eligible twice", (long long)copy[i]);
    }
    return TH_OK;
}

th_status th_order_new(const th_order_params *p, th_order **out) {
    TH_TRY(check(p));
    th_order *o = th_alloc(1, sizeof *o);
    if (!o) return th_fail_memory();
    o->p = *p;
    o->p.eligible = NULL;
    o->kept[0].epoch = o->kept[1].epoch = -1;
    o->steps = p->drop_last ? p->samples / p->batch : (p->samples - 1) / p->batch + 1;
    o->plain = !p->shuffle && !p->drawn_per_batch;
    if (pthread_mutex_init(&o->lock, NULL) != 0) return th_free(o), th_fail_memory();
    th_status s = TH_OK;
    if (p->drawn_per_batch) {
        o->p.eligible = p->eligible;
        s = take_eligible(o);
    }
    if (s != TH_OK) return th_order_free(o), s;
    *out = o;
    return TH_OK;
}

static void forget(epoch *e) {
    th_free(e->rest);
    th_free(e->drawn);
    *e = (epoch){.epoch = -1};
}

void th_order_free(th_order *o) {
    if (!o) return;
    forget(&o->kept[0]);
    forget(&o->kept[1]);
    pthread_mutex_destroy(&o->lock);
    th_free((void *)o->p.eligible);
    th_free(o->taken);
    th_free(o);
}

int64_t th_order_steps(const th_order *o) { return o->steps; }

/* Draws, and takes the drawn ones out of the rest. */
static th_status draw(th_order *o, epoch *e) {
    int64_t n = o->p.eligible_count, wanted = o->p.drawn_per_batch * o->steps;
    e->drawn = th_alloc((size_t)n, sizeof *e->drawn);
    if (!e->drawn) return th_fail_memory();
    th_rng_permute(o->p.seed, TH_RNG_SUBSET, (uint32_t)e->epoch, n, e->drawn);
    memset(o->taken, 0, (size_t)o->p.samples);
    for (int64_t i = 0; i < n; i++) {
        e->drawn[i] = o->p.eligible[e->drawn[i]];
        o->taken[e->drawn[i]] = i < wanted;
    }
    int64_t left = 0;
    for (int64_t i = 0; i < e->rest_count; i++)
        if (!o->taken[e->rest[i]]) e->rest[left++] = e->rest[i];
    if (left) e->rest_count = left; /* where all of them are drawn, the rest is all of them */
    return TH_OK;
}

static th_status make(th_order *o, epoch *e, int64_t number) {
    forget(e);
    e->rest = th_alloc((size_t)o->p.samples, sizeof *e->rest);
    if (!e->rest) return th_fail_memory();
    e->epoch = number;
    e->rest_count = o->p.samples;
    if (o->p.shuffle)
        th_rng_permute(o->p.seed, TH_RNG_SHUFFLE, (uint32_t)number, e->rest_count, e->rest);
    else
        for (int64_t i = 0; i < e->rest_count; i++) e->rest[i] = i;
    th_status s = o->p.drawn_per_batch ? draw(o, e) : TH_OK;
    if (s != TH_OK) forget(e);
    return s;
}

/* Row k of batch b of an epoch that is there. */
static int64_t look_up(const th_order *o, const epoch *e, int64_t b, int64_t k) {
    int64_t drawn = o->p.drawn_per_batch;
    if (k < drawn) return e->drawn[(b * drawn + k) % o->p.eligible_count];
    return e->rest[(b * (o->p.batch - drawn) + k - drawn) % e->rest_count];
}

th_status th_order_at(th_order *o, int64_t step, int64_t k, int64_t *sample) {
    if (step < 0 || k < 0 || k >= o->p.batch)
        return th_fail(TH_E_BUG, "order: row %lld of step %lld was asked for", (long long)k, (long long)step);
    int64_t b = step % o->steps;
    if (o->plain) return *sample = (b * o->p.batch + k) % o->p.samples, TH_OK;
    int64_t number = step / o->steps;
    epoch *e = &o->kept[number % 2];
    pthread_mutex_lock(&o->lock);
    th_status s = e->epoch == number ? TH_OK : make(o, e, number);
    if (s == TH_OK) *sample = look_up(o, e, b, k);
    pthread_mutex_unlock(&o->lock);
    return s;
}
