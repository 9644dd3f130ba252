/* A loop over independent items on several threads, which take the next few as they finish. */
#include "data/parallel.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#define BLOCK 16 /* items taken at once */

typedef struct {
    int64_t n;
    th_parallel_fn each;
    void *context;
    const th_watch *watch;
    const char *what;
    atomic_llong next, done;
    atomic_int status; /* of the first failure */
    pthread_mutex_t lock;
    char message[TH_MESSAGE_MAX];
} loop;

typedef struct {
    loop *loop;
    int worker;
} seat;

/* Keeps the first failure with its message, which is the failing thread's own. */
static void fail(loop *l, th_status s) {
    pthread_mutex_lock(&l->lock);
    if (atomic_load(&l->status) == TH_OK) {
        snprintf(l->message, sizeof l->message, "%s", s == TH_E_INTERRUPTED ? "stopped" : th_error_message());
        atomic_store(&l->status, (int)s);
    }
    pthread_mutex_unlock(&l->lock);
}

static void *work(void *argument) {
    seat *s = argument;
    loop *l = s->loop;
    for (int64_t begin; (begin = atomic_fetch_add(&l->next, BLOCK)) < l->n;) {
        int64_t end = begin + BLOCK < l->n ? begin + BLOCK : l->n;
        for (int64_t i = begin; i < end && atomic_load(&l->status) == TH_OK; i++) {
            th_status status = th_stopped(l->watch) ? TH_E_INTERRUPTED : l->each(l->context, s->worker, i);
            if (status != TH_OK) fail(l, status);
        }
        if (atomic_load(&l->status) != TH_OK) break;
        int64_t done = atomic_fetch_add(&l->done, end - begin) + end - begin;
        if (s->worker == 0 && l->what) th_report(l->watch, l->what, done, l->n, NULL);
    }
    return NULL;
}

th_status th_parallel_for(int64_t n, int threads, th_parallel_fn each, void *context, const th_watch *watch,
                          const char *what) {
    loop l = {.n = n, .each = each, .context = context, .watch = watch, .what = what};
    pthread_t others[TH_PARALLEL_MAX];
    seat seats[TH_PARALLEL_MAX];
    int started = 0;
    if (pthread_mutex_init(&l.lock, NULL) != 0) return th_fail_memory();
    if (threads > TH_PARALLEL_MAX) threads = TH_PARALLEL_MAX;
    for (int t = 0; t < TH_PARALLEL_MAX; t++) seats[t] = (seat){&l, t};
    /* a thread that cannot be had is done without */
    while (started + 1 < threads && pthread_create(&others[started], NULL, work, &seats[started + 1]) == 0) started++;
    work(&seats[0]);
    for (int t = 0; t < started; t++) pthread_join(others[t], NULL);
    pthread_mutex_destroy(&l.lock);
    th_status status = (th_status)atomic_load(&l.status);
    if (status != TH_OK) return th_fail(status, "%s", l.message);
    if (what) th_report(watch, what, n, n, NULL);
    return TH_OK;
}
