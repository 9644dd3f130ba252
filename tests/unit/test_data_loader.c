/* Batches in the background: the same bytes for any number of threads, errors at their step, ends at any time. And the
 * order of samples. */
#include "test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <time.h>

#include "base/memory.h"
#include "base/rng.h"
#include "data/loader.h"
#include "data/order.h"

enum { BATCH = 37, WIDTH = 5 };

static const th_loader_field fields[] = {{"numbers", WIDTH * sizeof(uint32_t)}, {"steps", sizeof(int64_t)}};

/* What fill does, and what it saw. */
typedef struct {
    int64_t fail_step, fail_row, second_row; /* −1: never */
    int delay_us;                            /* uneven by row */
    atomic_int threads_seen;                 /* bits */
    atomic_int most_nice;
    atomic_llong filled;
} job;

static void nap(long us) {
    struct timespec t = {0, us * 1000};
    nanosleep(&t, NULL);
}

static th_status fill(void *user, int thread, int64_t step, int64_t k, void *const *rows) {
    job *j = user;
    atomic_fetch_or(&j->threads_seen, 1 << thread);
    atomic_fetch_add(&j->filled, 1);
    int nice = getpriority(PRIO_PROCESS, 0);
    if (nice > atomic_load(&j->most_nice)) atomic_store(&j->most_nice, nice);
    if (j->delay_us) nap(j->delay_us * (1 + (k * 7 + step) % 5));
    if (step == j->fail_step && (k == j->fail_row || k == j->second_row))
        return th_fail(TH_E_INPUT, "row %lld is bad", (long long)k);
    uint32_t *numbers = rows[0];
    th_rng r = th_rng_at(3, TH_RNG_TEST, (uint32_t)step, (uint64_t)k);
    for (int i = 0; i < WIDTH; i++) numbers[i] = th_rng_u32(&r);
    *(int64_t *)rows[1] = step * 1000 + k;
    return TH_OK;
}

static job quiet(void) { return (job){.fail_step = -1, .fail_row = -1, .second_row = -1}; }

static th_loader_params params(job *j, int threads) {
    th_loader_params p;
    th_loader_params_init(&p);
    p.batch = BATCH;
    p.threads = threads;
    p.fields = fields;
    p.field_count = 2;
    p.fill = fill;
    p.user = j;
    return p;
}

static void check_batch(int64_t step, void *const *got) {
    for (int64_t k = 0; k < BATCH; k++) {
        th_rng r = th_rng_at(3, TH_RNG_TEST, (uint32_t)step, (uint64_t)k);
        for (int i = 0; i < WIDTH; i++) assert_int_equal(((uint32_t *)got[0])[k * WIDTH + i], th_rng_u32(&r));
        assert_int_equal(((int64_t *)got[1])[k], step * 1000 + k);
    }
}

static void batches_are_the_same_for_any_number_of_threads(void **state) {
    (void)state;
    for (int threads = 0; threads <= 4; threads++)
        for (int depth = 1; depth <= 5; depth += 2) {
            job j = quiet();
            th_loader_params p = params(&j, threads);
            p.depth = depth;
            th_loader *l;
            assert_ok(th_loader_new(&p, &l));
            for (int64_t step = 11; step < 40; step++) {
                void *const *got;
                assert_ok(th_loader_next(l, step, &got));
                check_batch(step, got);
            }
            th_loader_free(l);
        }
}

static void steps_may_be_left_out_but_not_repeated(void **state) {
    (void)state;
    for (int threads = 0; threads <= 3; threads++) {
        job j = quiet();
        j.delay_us = 20;
        th_loader_params p = params(&j, threads);
        th_loader *l;
        void *const *got;
        assert_ok(th_loader_new(&p, &l));
        for (int64_t step = 5; step < 400; step = step * 3 / 2 + 1) {
            assert_ok(th_loader_next(l, step, &got));
            check_batch(step, got);
            assert_fails(th_loader_next(l, step, &got), TH_E_BUG, "was asked for");
        }
        th_loader_free(l);
    }
}

static void the_batch_in_use_is_left_alone(void **state) {
    (void)state;
    job j = quiet();
    th_loader_params p = params(&j, 2);
    th_loader *l;
    void *const *got;
    assert_ok(th_loader_new(&p, &l));
    for (int64_t step = 0; step < 4; step++) {
        assert_ok(th_loader_next(l, step, &got));
        /* the threads run ahead as far as they can, and no farther */
        int64_t most = (step + 1 + p.depth) * BATCH;
        for (int i = 0; i < 5000 && atomic_load(&j.filled) < most; i++) nap(1000);
        nap(2000);
        assert_int_equal(atomic_load(&j.filled), most);
        check_batch(step, got);
    }
    th_loader_free(l);
}

static void nothing_is_made_beyond_the_end(void **state) {
    (void)state;
    job j = quiet();
    th_loader_params p = params(&j, 2);
    p.end = 3;
    th_loader *l;
    void *const *got;
    assert_ok(th_loader_new(&p, &l));
    for (int64_t step = 0; step < 3; step++) assert_ok(th_loader_next(l, step, &got));
    nap(5000);
    assert_int_equal(atomic_load(&j.filled), 3 * BATCH);
    assert_fails(th_loader_next(l, 3, &got), TH_E_BUG, "the end is 3");
    th_loader_free(l);
}

static void an_error_surfaces_at_its_step_with_its_message(void **state) {
    (void)state;
    for (int threads = 0; threads <= 4; threads++)
        for (int round = 0; round < 5; round++) {
            job j = quiet();
            j.fail_step = 7, j.fail_row = 20, j.second_row = 21;
            j.delay_us = 10;
            th_loader_params p = params(&j, threads);
            th_loader *l;
            void *const *got;
            assert_ok(th_loader_new(&p, &l));
            for (int64_t step = 5; step < 10; step++) {
                if (step == 7) {
                    assert_fails(th_loader_next(l, step, &got), TH_E_INPUT, "row 20 is bad");
                    continue;
                }
                assert_ok(th_loader_next(l, step, &got));
                check_batch(step, got);
            }
            th_loader_free(l);
        }
}

static void loader_ends_at_any_time(void **state) {
    (void)state;
    for (int round = 0; round < 60; round++) {
        job j = quiet();
        j.delay_us = round % 3 ? 50 : 0;
        th_loader_params p = params(&j, 1 + round % 4);
        th_loader *l;
        void *const *got;
        assert_ok(th_loader_new(&p, &l));
        if (round % 2) assert_ok(th_loader_next(l, round, &got));
        if (round % 5 == 0) nap(300);
        th_loader_free(l);
    }
    th_loader_free(NULL);
}

static volatile sig_atomic_t stop;

static void on_signal(int signal_number) {
    (void)signal_number;
    stop = 1;
}

/* A handler sets the flag, as Ctrl-C's does, while the batch takes long. It runs in the only thread that takes signals.
 */
static void stop_is_seen_while_waiting(void **state) {
    (void)state;
    signal(SIGALRM, on_signal);
    for (int threads = 0; threads <= 2; threads += 2) {
        stop = 0;
        th_watch watch = {.stop = &stop};
        job j = quiet();
        j.delay_us = 5000;
        th_loader_params p = params(&j, threads);
        p.watch = &watch;
        th_loader *l;
        void *const *got;
        assert_ok(th_loader_new(&p, &l));
        struct itimerval soon = {.it_value.tv_usec = 20000};
        assert_int_equal(setitimer(ITIMER_REAL, &soon, NULL), 0);
        assert_fails(th_loader_next(l, 0, &got), TH_E_INTERRUPTED, "stopped");
        stop = 0;
        j.delay_us = threads ? j.delay_us : 0;
        assert_ok(th_loader_next(l, 0, &got)); /* it may be asked again */
        check_batch(0, got);
        th_loader_free(l);
    }
    signal(SIGALRM, SIG_DFL);
}

static void threads_share_the_rows_and_give_way(void **state) {
    (void)state;
    job j = quiet();
    j.delay_us = 100;
    th_loader_params p = params(&j, 3);
    th_loader *l;
    void *const *got;
    assert_ok(th_loader_new(&p, &l));
    for (int64_t step = 0; step < 4 || (atomic_load(&j.threads_seen) != 7 && step < 3000); step++)
        assert_ok(th_loader_next(l, step, &got));
    assert_int_equal(atomic_load(&j.threads_seen), 7);
    int mine = getpriority(PRIO_PROCESS, 0);
    assert_int_equal(atomic_load(&j.most_nice), mine + 10 < 19 ? mine + 10 : 19);
    assert_true(th_loader_waited(l) > 0);
    th_loader_free(l);
}

static void wrong_loader_parameters_are_refused(void **state) {
    (void)state;
    job j = quiet();
    th_loader *l;
    th_loader_params p = params(&j, 1);
    p.batch = 0;
    assert_fails(th_loader_new(&p, &l), TH_E_USAGE, "a batch of 0");
    p = params(&j, 65);
    assert_fails(th_loader_new(&p, &l), TH_E_USAGE, "65 threads");
    p = params(&j, 1);
    p.depth = 0;
    assert_fails(th_loader_new(&p, &l), TH_E_USAGE, "0 in advance");
    p = params(&j, 1);
    static const th_loader_field huge[] = {{"images", SIZE_MAX / 64}};
    p.fields = huge, p.field_count = 1;
    assert_fails(th_loader_new(&p, &l), TH_E_USAGE, "images: rows of");
    p = params(&j, 2);
    assert_int_equal(th_loader_bytes(&p), 3 * BATCH * (WIDTH * 4 + 8));
    p.threads = 0;
    assert_int_equal(th_loader_bytes(&p), BATCH * (WIDTH * 4 + 8));
}

static void no_failed_allocation_leaks(void **state) {
    (void)state;
    static const int64_t eligible[] = {1, 3, 5};
    size_t before = th_bytes_in_use();
    th_status s = TH_E_MEMORY;
    for (int n = 1; s != TH_OK; n++) {
        job j = quiet();
        th_loader_params p = params(&j, 1);
        th_order_params q;
        th_order_params_init(&q, 10, 2, 1);
        q.eligible = eligible, q.eligible_count = 3, q.drawn_per_batch = 1;
        th_loader *l = NULL;
        th_order *o = NULL;
        int64_t sample;
        th_alloc_fail_at(n, false);
        s = th_loader_new(&p, &l);
        if (s == TH_OK) s = th_order_new(&q, &o);
        if (s == TH_OK) {
            s = th_order_at(o, 0, 0, &sample);
            th_alloc_fail_at(0, false);
            if (s != TH_OK) assert_ok(th_order_at(o, 0, 0, &sample));
        }
        th_alloc_fail_at(0, false);
        th_order_free(o);
        th_loader_free(l);
        assert_true(s == TH_OK || s == TH_E_MEMORY);
        assert_int_equal(th_bytes_in_use(), before);
    }
}

/* ---- order */

static int64_t at(th_order *o, int64_t step, int64_t k) {
    int64_t sample = -1;
    assert_ok(th_order_at(o, step, k, &sample));
    return sample;
}

static void each_epoch_is_a_permutation(void **state) {
    (void)state;
    th_order_params p;
    th_order_params_init(&p, 60, 12, 9);
    th_order *o;
    assert_ok(th_order_new(&p, &o));
    assert_int_equal(th_order_steps(o), 5);
    assert_int_equal(th_order_epoch(o, 14), 2);
    int64_t order[3][60];
    for (int64_t step = 0; step < 15; step++)
        for (int64_t k = 0; k < 12; k++) order[step / 5][step % 5 * 12 + k] = at(o, step, k);
    for (int e = 0; e < 3; e++) {
        int seen[60] = {0};
        for (int i = 0; i < 60; i++) seen[order[e][i]]++;
        for (int i = 0; i < 60; i++) assert_int_equal(seen[i], 1);
        int64_t want[60];
        th_rng_permute(9, TH_RNG_SHUFFLE, (uint32_t)e, 60, want);
        assert_memory_equal(order[e], want, sizeof want);
    }
    assert_memory_not_equal(order[0], order[1], sizeof order[0]);
    for (int64_t step = 14; step >= 0; step--) assert_int_equal(at(o, step, 3), order[step / 5][step % 5 * 12 + 3]);
    th_order_free(o);
}

static void the_last_batch_is_dropped_or_filled_up(void **state) {
    (void)state;
    th_order_params p;
    th_order_params_init(&p, 10, 4, 1);
    p.shuffle = false;
    th_order *o;
    assert_ok(th_order_new(&p, &o));
    assert_int_equal(th_order_steps(o), 2);
    assert_int_equal(at(o, 1, 3), 7);
    assert_int_equal(at(o, 2, 0), 0);
    th_order_free(o);
    p.drop_last = false;
    assert_ok(th_order_new(&p, &o));
    assert_int_equal(th_order_steps(o), 3);
    assert_int_equal(at(o, 2, 1), 9);
    assert_int_equal(at(o, 2, 2), 0);
    th_order_free(o);
    p.shuffle = true, p.samples = 3;
    assert_ok(th_order_new(&p, &o));
    assert_int_equal(th_order_steps(o), 1);
    assert_int_equal(at(o, 0, 3), at(o, 0, 0));
    th_order_free(o);
}

/* Of each epoch: first rows from the eligible ones, all different; other rows from what was not drawn, all different.
 */
static void drawn_rows_and_the_others_share_no_sample(void **state) {
    (void)state;
    enum { N = 103, STEPS = 10 };
    int64_t eligible[40];
    for (int i = 0; i < 40; i++) eligible[i] = 2 * i + 1;
    th_order_params p;
    th_order_params_init(&p, N, 10, 4);
    p.eligible = eligible, p.eligible_count = 40, p.drawn_per_batch = 3;
    th_order *o;
    assert_ok(th_order_new(&p, &o));
    memset(eligible, 0, sizeof eligible); /* it has its own */
    assert_int_equal(th_order_steps(o), STEPS);
    uint64_t draws[2] = {0};
    for (int e = 0; e < 2; e++) {
        int seen[N] = {0};
        for (int64_t step = e * STEPS; step < (e + 1) * STEPS; step++)
            for (int64_t k = 0; k < 10; k++) {
                int64_t i = at(o, step, k);
                assert_int_equal(seen[i]++, 0);
                if (k >= 3) continue;
                assert_true(i % 2 == 1 && i < 80);
                draws[e] |= 1ull << (i / 2);
            }
    }
    assert_true(draws[0] != draws[1]);
    th_order_free(o);
}

static void too_few_eligible_samples_come_evenly_often(void **state) {
    (void)state;
    static const int64_t eligible[] = {4, 8, 15};
    th_order_params p;
    th_order_params_init(&p, 20, 5, 4);
    p.eligible = eligible, p.eligible_count = 3, p.drawn_per_batch = 2;
    th_order *o;
    assert_ok(th_order_new(&p, &o));
    int seen[20] = {0};
    for (int64_t step = 0; step < 4; step++) {
        for (int64_t k = 0; k < 5; k++) seen[at(o, step, k)]++;
        assert_true(at(o, step, 0) != at(o, step, 1));
    }
    for (int i = 0; i < 20; i++) {
        bool drawn = i == 4 || i == 8 || i == 15;
        if (drawn) assert_in_range(seen[i], 2, 3);
        if (!drawn) assert_in_range(seen[i], 0, 1);
    }
    th_order_free(o);
    p.drawn_per_batch = 5; /* nothing but drawn rows */
    assert_ok(th_order_new(&p, &o));
    for (int64_t k = 0; k < 5; k++) assert_true(at(o, 3, k) == 4 || at(o, 3, k) == 8 || at(o, 3, k) == 15);
    th_order_free(o);
    /* everything is drawn, and the last batch is to be filled up all the same */
    th_order_params_init(&p, 3, 4, 4);
    static const int64_t all[] = {0, 1, 2};
    p.eligible = all, p.eligible_count = 3, p.drawn_per_batch = 3, p.drop_last = false;
    assert_ok(th_order_new(&p, &o));
    assert_in_range(at(o, 0, 3), 0, 2);
    th_order_free(o);
}

static void wrong_order_parameters_are_refused(void **state) {
    (void)state;
    th_order *o;
    th_order_params p;
    th_order_params_init(&p, 0, 4, 0);
    assert_fails(th_order_new(&p, &o), TH_E_INPUT, "there are no samples");
    p.samples = 3;
    assert_fails(th_order_new(&p, &o), TH_E_INPUT, "3 samples do not fill a batch of 4");
    p.batch = 0;
    assert_fails(th_order_new(&p, &o), TH_E_USAGE, "a batch of 0");
    th_order_params_init(&p, 10, 4, 0);
    p.drawn_per_batch = 5;
    assert_fails(th_order_new(&p, &o), TH_E_USAGE, "5 rows of a batch of 4");
    p.drawn_per_batch = 1;
    assert_fails(th_order_new(&p, &o), TH_E_INPUT, "no sample is eligible");
    static const int64_t outside[] = {1, 10}, twice[] = {1, 1};
    p.eligible = outside, p.eligible_count = 2;
    assert_fails(th_order_new(&p, &o), TH_E_USAGE, "sample 10 is eligible, there are 10");
    p.eligible = twice;
    assert_fails(th_order_new(&p, &o), TH_E_USAGE, "sample 1 is eligible twice");
    th_order_params_init(&p, 10, 4, 0);
    assert_ok(th_order_new(&p, &o));
    int64_t sample;
    assert_fails(th_order_at(o, 0, 4, &sample), TH_E_BUG, "row 4 of step 0");
    th_order_free(o);
}

/* Threads that ask for different epochs get what one thread gets. */
typedef struct {
    th_order *order;
    const int64_t *want;
    int from;
    atomic_int wrong;
} asker;

static void *ask(void *argument) {
    asker *a = argument;
    for (int i = 0; i < 600; i++) {
        int64_t sample = -1, place = (i * 7 + a->from) % 120;
        if (th_order_at(a->order, place / 10, place % 10, &sample) != TH_OK || sample != a->want[place])
            atomic_store(&a->wrong, 1);
    }
    return NULL;
}

static void order_is_safe_for_threads(void **state) {
    (void)state;
    th_order_params p;
    th_order_params_init(&p, 30, 10, 5);
    th_order *o;
    assert_ok(th_order_new(&p, &o));
    int64_t want[120];
    for (int i = 0; i < 120; i++) want[i] = at(o, i / 10, i % 10);
    asker askers[3];
    pthread_t threads[3];
    for (int t = 0; t < 3; t++) {
        askers[t] = (asker){.order = o, .want = want, .from = t * 40};
        assert_int_equal(pthread_create(&threads[t], NULL, ask, &askers[t]), 0);
    }
    for (int t = 0; t < 3; t++) {
        pthread_join(threads[t], NULL);
        assert_int_equal(atomic_load(&askers[t].wrong), 0);
    }
    th_order_free(o);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batches_are_the_same_for_any_number_of_threads),
        cmocka_unit_test(steps_may_be_left_out_but_not_repeated),
        cmocka_unit_test(the_batch_in_use_is_left_alone),
        cmocka_unit_test(nothing_is_made_beyond_the_end),
        cmocka_unit_test(an_error_surfaces_at_its_step_with_its_message),
        cmocka_unit_test(loader_ends_at_any_time),
        cmocka_unit_test(stop_is_seen_while_waiting),
        cmocka_unit_test(threads_share_the_rows_and_give_way),
        cmocka_unit_test(wrong_loader_parameters_are_refused),
        cmocka_unit_test(no_failed_allocation_leaks),
        cmocka_unit_test(each_epoch_is_a_permutation),
        cmocka_unit_test(the_last_batch_is_dropped_or_filled_up),
        cmocka_unit_test(drawn_rows_and_the_others_share_no_sample),
        cmocka_unit_test(too_few_eligible_samples_come_evenly_often),
        cmocka_unit_test(wrong_order_parameters_are_refused),
        cmocka_unit_test(order_is_safe_for_threads),
    };
    return cmocka_run_group_tests_name("loader", tests, NULL, NULL);
}
