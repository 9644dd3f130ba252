/* A ring of batches. Under one lock: which step each slot is for, and which of its rows are taken and done. The rows
 * themselves are written outside of it. */
#include "data/loader.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "base/machine.h"
#include "base/memory.h"

#define NICER 10     /* below the thread that computes: a batch is needed later than now */
#define LOOK_MS 50   /* how often a waiting caller looks whether it should stop */
#define CLAIM_MAX 64 /* rows taken at once */
#define DEPTH_MAX 4096
#define BATCH_MAX (1 << 30)

typedef struct {
    int64_t step;               /* −1: none yet */
    int64_t claimed, under_way; /* rows handed out; of those, not finished */
    th_status status;           /* of the lowest row that failed */
    int64_t failed;
    char message[TH_MESSAGE_MAX];
    void *fields[TH_LOADER_FIELDS_MAX];
} slot;

typedef struct {
    th_loader *loader;
    int number;
    pthread_t thread;
} worker;

struct th_loader {
    th_loader_params p; /* fields is our copy */
    slot *slots;        /* [slot_count]; step s lives in slot s % slot_count */
    int slot_count;
    worker *workers; /* [started] */
    int started;
    int64_t claim; /* rows taken at once */
    pthread_mutex_t lock;
    pthread_cond_t work, ready; /* there may be rows to take; a batch may be complete */
    bool locks_made;
    /* under the lock */
    int64_t first; /* the lowest step still of interest; −1 before the first call */
    bool closing;
    /* the caller's */
    int64_t last; /* step given out; −1 before the first */
    double waited;
};

void th_loader_params_init(th_loader_params *p) { *p = (th_loader_params){.batch = 1, .depth = 2, .threads = 1}; }

static int slots_of(const th_loader_params *p) { return p->threads > 0 ? p->depth + 1 : 1; }

size_t th_loader_bytes(const th_loader_params *p) {
    size_t row = 0;
    for (int i = 0; i < p->field_count; i++) row += p->fields[i].bytes_per_sample;
    return row * (size_t)p->batch * (size_t)slots_of(p);
}

static th_status check(const th_loader_params *p) {
    if (p->batch < 1 || p->batch > BATCH_MAX || p->depth < 1 || p->depth > DEPTH_MAX || p->threads < 0 ||
        p->threads > TH_LOADER_THREADS_MAX || p->field_count < 1 || p->field_count > TH_LOADER_FIELDS_MAX || !p->fill)
        return th_fail(TH_E_USAGE, "loader: a batch of %lld, %d in advance, %d threads, %d fields", (long long)p->batch,
                       p->depth, p->threads, p->field_count);
    for (int i = 0; i < p->field_count; i++) {
        size_t bytes;
        if (__builtin_mul_overflow(p->fields[i].bytes_per_sample, (size_t)p->batch * (size_t)slots_of(p), &bytes) ||
            bytes > PTRDIFF_MAX / TH_LOADER_FIELDS_MAX)
            return th_fail(TH_E_USAGE, "loader: %s: rows of %zu bytes are too large", p->fields[i].name,
                           p->fields[i].bytes_per_sample);
    }
    return TH_OK;
}

/* ---- rows */

/* A message is its thread's own, so it is copied here. */
static void keep_failure(slot *b, int64_t row, th_status s) {
    if (b->status != TH_OK && b->failed < row) return;
    b->status = s;
    b->failed = row;
    snprintf(b->message, sizeof b->message, "%s", th_error_message());
}

static th_status fill_row(const th_loader *l, const slot *b, int thread, int64_t step, int64_t row) {
    void *rows[TH_LOADER_FIELDS_MAX];
    for (int i = 0; i < l->p.field_count; i++)
        rows[i] = (char *)b->fields[i] + (size_t)row * l->p.fields[i].bytes_per_sample;
    return l->p.fill(l->p.user, thread, step, row, rows);
}

/* ---- the threads; all of this but the filling under the lock */

static void start_slot(slot *b, int64_t step) {
    b->step = step;
    b->claimed = b->under_way = 0;
    b->status = TH_OK;
}

/* Nothing more is to be taken from it. Rows are taken from the front, so when one fails all below it are taken: the
 * lowest failure is the same on every run. */
static bool all_taken(const th_loader *l, const slot *b) { return b->status != TH_OK || b->claimed == l->p.batch; }

typedef struct {
    slot *slot;
    int64_t step, begin, end; /* rows */
} claim;

static bool take_rows(th_loader *l, claim *out) {
    if (l->first < 0) return false;
    for (int64_t step = l->first; step < l->first + l->slot_count && (!l->p.end || step < l->p.end); step++) {
        slot *b = &l->slots[step % l->slot_count];
        if (b->step != step) {
            if (b->under_way) continue; /* of a step that was passed over */
            start_slot(b, step);
        }
        if (all_taken(l, b)) continue;
        int64_t n = l->p.batch - b->claimed < l->claim ? l->p.batch - b->claimed : l->claim;
        *out = (claim){b, step, b->claimed, b->claimed + n};
        b->claimed += n;
        b->under_way += n;
        return true;
    }
    return false;
}

static void give_back(th_loader *l, const claim *c) {
    slot *b = c->slot;
    b->under_way -= c->end - c->begin;
    if (b->under_way) return;
    if (b->step < l->first)
        pthread_cond_broadcast(&l->work); /* a slot that others may wait to reuse */
    else if (all_taken(l, b))
        pthread_cond_signal(&l->ready);
}

static void fill_rows(th_loader *l, const claim *c, int thread) {
    for (int64_t row = c->begin; row < c->end; row++) {
        th_status s = fill_row(l, c->slot, thread, c->step, row);
        if (s == TH_OK) continue;
        pthread_mutex_lock(&l->lock);
        keep_failure(c->slot, row, s);
        pthread_mutex_unlock(&l->lock);
        return; /* the rows above it no longer matter */
    }
}

static void *work(void *argument) {
    worker *w = argument;
    th_loader *l = w->loader;
    /* On Linux a priority is a thread's. Not getting it costs speed only. */
    setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + NICER);
    pthread_mutex_lock(&l->lock);
    while (!l->closing) {
        claim c;
        if (!take_rows(l, &c)) {
            pthread_cond_wait(&l->work, &l->lock);
            continue;
        }
        pthread_mutex_unlock(&l->lock);
        fill_rows(l, &c, w->number);
        pthread_mutex_lock(&l->lock);
        give_back(l, &c);
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

/* ---- the caller */

static th_status make_locks(th_loader *l) {
    pthread_condattr_t monotonic;
    if (pthread_condattr_init(&monotonic) != 0) return th_fail_memory();
    bool made = pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC) == 0 &&
                pthread_mutex_init(&l->lock, NULL) == 0 && pthread_cond_init(&l->work, NULL) == 0 &&
                pthread_cond_init(&l->ready, &monotonic) == 0;
    pthread_condattr_destroy(&monotonic);
    l->locks_made = made;
    return made ? TH_OK : th_fail_memory();
}

static th_status make_slots(th_loader *l) {
    l->slot_count = slots_of(&l->p);
    l->slots = th_alloc((size_t)l->slot_count, sizeof *l->slots);
    if (!l->slots) return th_fail_memory();
    for (int i = 0; i < l->slot_count; i++) {
        l->slots[i].step = -1;
        for (int f = 0; f < l->p.field_count; f++) {
            l->slots[i].fields[f] = th_alloc_big((size_t)l->p.batch * l->p.fields[f].bytes_per_sample);
            if (!l->slots[i].fields[f]) return th_fail_memory();
        }
    }
    return TH_OK;
}

/* Signals are for the program's own threads: a handler on one of these would delay nothing else, but surprise. */
static th_status start_threads(th_loader *l) {
    if (!l->p.threads) return TH_OK;
    l->workers = th_alloc((size_t)l->p.threads, sizeof *l->workers);
    if (!l->workers) return th_fail_memory();
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (; l->started < l->p.threads; l->started++) {
        worker *w = &l->workers[l->started];
        *w = (worker){.loader = l, .number = l->started};
        if (pthread_create(&w->thread, NULL, work, w) != 0) break;
        char name[16];
        snprintf(name, sizeof name, "th-loader-%d", l->started);
        pthread_setname_np(w->thread, name);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return TH_OK;
}

static th_status build(th_loader *l, const th_loader_params *p) {
    l->p.fields = NULL;
    l->first = l->last = -1;
    l->claim = p->batch / (16 * (p->threads ? p->threads : 1));
    l->claim = l->claim < 1 ? 1 : l->claim > CLAIM_MAX ? CLAIM_MAX : l->claim;
    th_loader_field *fields = th_alloc((size_t)p->field_count, sizeof *fields);
    if (!fields) return th_fail_memory();
    memcpy(fields, p->fields, (size_t)p->field_count * sizeof *fields);
    l->p.fields = fields;
    TH_TRY(make_locks(l));
    TH_TRY(make_slots(l));
    return start_threads(l);
}

th_status th_loader_new(const th_loader_params *p, th_loader **out) {
    TH_TRY(check(p));
    th_loader *l = th_alloc(1, sizeof *l);
    if (!l) return th_fail_memory();
    l->p = *p;
    th_status s = build(l, p);
    if (s != TH_OK) return th_loader_free(l), s;
    *out = l;
    return TH_OK;
}

static void stop_threads(th_loader *l) {
    pthread_mutex_lock(&l->lock);
    l->closing = true;
    pthread_cond_broadcast(&l->work);
    pthread_mutex_unlock(&l->lock);
    for (int i = 0; i < l->started; i++) pthread_join(l->workers[i].thread, NULL);
}

void th_loader_free(th_loader *l) {
    if (!l) return;
    if (l->started) stop_threads(l);
    if (l->locks_made) {
        pthread_cond_destroy(&l->ready);
        pthread_cond_destroy(&l->work);
        pthread_mutex_destroy(&l->lock);
    }
    for (int i = 0; l->slots && i < l->slot_count; i++)
        for (int f = 0; f < l->p.field_count; f++)
            th_free_big(l->slots[i].fields[f], (size_t)l->p.batch * l->p.fields[f].bytes_per_sample);
    th_free(l->slots);
    th_free(l->workers);
    th_free((void *)l->p.fields);
    th_free(l);
}

static th_status interrupted(void) { return th_fail(TH_E_INTERRUPTED, "stopped"); }

/* Without threads. */
static th_status make_now(th_loader *l, slot *b, int64_t step) {
    start_slot(b, step);
    for (int64_t row = 0; row < l->p.batch; row++) {
        if (th_stopped(l->p.watch)) return interrupted();
        TH_TRY(fill_row(l, b, 0, step, row));
    }
    return TH_OK;
}

static void wait_a_little(th_loader *l) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += LOOK_MS * 1000000L;
    if (until.tv_nsec >= 1000000000L) until.tv_sec++, until.tv_nsec -= 1000000000L;
    pthread_cond_timedwait(&l->ready, &l->lock, &until);
}

static th_status await(th_loader *l, const slot *b, int64_t step) {
    double from = th_seconds();
    th_status s = TH_OK;
    pthread_mutex_lock(&l->lock);
    l->first = step;
    pthread_cond_broadcast(&l->work);
    while (s == TH_OK && !(b->step == step && all_taken(l, b) && !b->under_way)) {
        if (th_stopped(l->p.watch))
            s = interrupted();
        else
            wait_a_little(l);
    }
    if (s == TH_OK && b->status != TH_OK) s = th_fail(b->status, "%s", b->message);
    pthread_mutex_unlock(&l->lock);
    l->waited += th_seconds() - from;
    return s;
}

th_status th_loader_next(th_loader *l, int64_t step, void *const **fields) {
    if (step <= l->last || (l->p.end && step >= l->p.end))
        return th_fail(TH_E_BUG, "loader: step %lld was asked for; the last was %lld, the end is %lld", (long long)step,
                       (long long)l->last, (long long)l->p.end);
    slot *b = &l->slots[step % l->slot_count];
    th_status s = l->started ? await(l, b, step) : make_now(l, b, step);
    if (s != TH_E_INTERRUPTED) l->last = step;
    if (s == TH_OK) *fields = b->fields;
    return s;
}

double th_loader_waited(const th_loader *l) { return l->waited; }
