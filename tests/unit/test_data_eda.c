/* EDA: what each operation does and leaves alone. */
#include "test.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/memory.h"
#include "data/eda.h"
#include "data/words.h"

static th_eda *eda; /* NULL where WordNet is not installed */

#define NEEDS_WORDNET                                            \
    do {                                                         \
        if (!eda) {                                              \
            print_message("skipped: wordnet-base is missing\n"); \
            skip();                                              \
        }                                                        \
    } while (0)

#define TEXT "a red dress hangs to the left of a small blue sneaker on a grey background"

enum { WORDS_MAX = 64 };
typedef struct {
    char buffer[2048];
    char *words[WORDS_MAX];
    int count;
} words;

static void split(const char *text, words *w) {
    snprintf(w->buffer, sizeof w->buffer, "%s", text);
    w->count = 0;
    for (char *p = strtok(w->buffer, " "); p; p = strtok(NULL, " ")) w->words[w->count++] = p;
}

static void apply(th_eda_op op, const char *text, uint64_t element, th_str *out) {
    th_rng rng = th_rng_at(5, TH_RNG_TEST, 0, element);
    assert_ok(th_eda_apply_op(eda, op, text, &rng, out));
}

static int compare_words(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static void replacement_leaves_stop_words_alone(void **state) {
    (void)state;
    NEEDS_WORDNET;
    th_str out;
    th_str_init(&out, 4096);
    int changed = 0;
    for (uint64_t i = 0; i < 200; i++) {
        words before, after;
        apply(TH_EDA_REPLACE, "the small sneaker under the couch", i, &out);
        changed += strcmp(th_str_text(&out), "the small sneaker under the couch") != 0;
        split("the small sneaker under the couch", &before);
        split(th_str_text(&out), &after);
        assert_string_equal(after.words[0], "the");
        if (after.count != before.count) continue; /* a synonym of several words */
        int different = 0;
        for (int k = 0; k < before.count; k++) {
            if (!strcmp(before.words[k], after.words[k])) continue;
            different++;
            assert_false(th_word_is_stop(before.words[k]));
        }
        assert_int_equal(different, 1); /* a tenth of six words, but at least one */
    }
    assert_int_equal(changed, 200);
    th_str_free(&out);
}

static void insertion_adds_and_keeps_the_rest(void **state) {
    (void)state;
    NEEDS_WORDNET;
    th_str out;
    th_str_init(&out, 4096);
    for (uint64_t i = 0; i < 200; i++) {
        words before, after;
        apply(TH_EDA_INSERT, TEXT, i, &out);
        split(TEXT, &before);
        split(th_str_text(&out), &after);
        assert_true(after.count > before.count);
        int k = 0;
        for (int j = 0; j < after.count && k < before.count; j++) k += !strcmp(after.words[j], before.words[k]);
        assert_int_equal(k, before.count);
    }
    th_str_free(&out);
}

static void swap_keeps_all_words(void **state) {
    (void)state;
    NEEDS_WORDNET;
    th_str out;
    th_str_init(&out, 4096);
    for (uint64_t i = 0; i < 200; i++) {
        words before, after;
        apply(TH_EDA_SWAP, TEXT, i, &out);
        split(TEXT, &before);
        split(th_str_text(&out), &after);
        assert_int_equal(before.count, after.count);
        int moved = 0;
        for (int k = 0; k < before.count; k++) moved += strcmp(before.words[k], after.words[k]) != 0;
        assert_true(moved <= 2);
        qsort(before.words, (size_t)before.count, sizeof *before.words, compare_words);
        qsort(after.words, (size_t)after.count, sizeof *after.words, compare_words);
        for (int k = 0; k < before.count; k++) assert_string_equal(before.words[k], after.words[k]);
    }
    th_str_free(&out);
}

static void deletion_takes_a_tenth(void **state) {
    (void)state;
    NEEDS_WORDNET;
    th_str out;
    th_str_init(&out, 4096);
    int left = 0;
    for (uint64_t i = 0; i < 2000; i++) {
        words after;
        apply(TH_EDA_DELETE, TEXT, i, &out);
        split(th_str_text(&out), &after);
        assert_true(after.count >= 1);
        left += after.count;
    }
    assert_in_range(left, 2000 * 16 * 88 / 100, 2000 * 16 * 92 / 100);
    th_str_free(&out);
}

static void one_word_always_stays(void **state) {
    (void)state;
    NEEDS_WORDNET;
    th_eda_params p;
    th_eda_params_init(&p);
    p.alpha = 1;
    th_eda *all;
    th_str out;
    assert_ok(th_eda_open(&p, &all));
    th_str_init(&out, 4096);
    for (uint64_t i = 0; i < 50; i++) {
        words after;
        th_rng rng = th_rng_at(5, TH_RNG_TEST, 0, i);
        assert_ok(th_eda_apply_op(all, TH_EDA_DELETE, TEXT, &rng, &out));
        split(th_str_text(&out), &after);
        assert_int_equal(after.count, 1);
        for (int op = 0; op < TH_EDA_OPS; op++) assert_ok(th_eda_apply_op(all, (th_eda_op)op, TEXT, &rng, &out));
    }
    apply(TH_EDA_DELETE, "dress", 1, &out);
    assert_string_equal(th_str_text(&out), "dress");
    th_str_free(&out);
    th_eda_close(all);
}

static void texts_without_words_come_out_as_they_are(void **state) {
    (void)state;
    NEEDS_WORDNET;
    static const char *const rows[][2] = {
        {"", ""}, {"   ", ""}, {"the", "the"}, {"...", "..."}, {"\xff\xfe", "\xff\xfe"}, {"the of", "the of"},
    };
    th_str out;
    th_str_init(&out, 4096);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        apply(TH_EDA_REPLACE, rows[i][0], 3, &out);
        assert_string_equal(th_str_text(&out), rows[i][1]);
        apply(TH_EDA_INSERT, rows[i][0], 3, &out);
        assert_string_equal(th_str_text(&out), rows[i][1]);
    }
    th_str_free(&out);
}

static void marks_stay_with_their_words(void **state) {
    (void)state;
    NEEDS_WORDNET;
    th_str out;
    th_str_init(&out, 4096);
    apply(TH_EDA_REPLACE, "(Sneakers),", 1, &out);
    assert_true(th_str_text(&out)[0] == '(');
    assert_non_null(strstr(th_str_text(&out), "),"));
    assert_null(strstr(th_str_text(&out), "Sneakers"));
    th_str_free(&out);
}

static void long_texts_keep_their_end(void **state) {
    (void)state;
    NEEDS_WORDNET;
    th_str text, out;
    th_str_init(&text, 100000);
    th_str_init(&out, 100000);
    for (int i = 0; i < TH_EDA_WORDS + 50; i++)
        th_str_printf(&text, "dress%s", i + 1 < TH_EDA_WORDS + 50 ? " " : " end");
    for (int op = 0; op < TH_EDA_OPS; op++) {
        apply((th_eda_op)op, th_str_text(&text), 1, &out);
        assert_string_equal(th_str_text(&out) + out.length - 9, "dress end");
    }
    th_str_free(&text);
    th_str_free(&out);
}

static void the_generator_alone_decides(void **state) {
    (void)state;
    NEEDS_WORDNET;
    th_str a, b;
    th_str_init(&a, 4096);
    th_str_init(&b, 4096);
    int different = 0, ops[2] = {0};
    for (uint64_t i = 0; i < 100; i++) {
        th_rng r = th_rng_at(9, TH_RNG_TEXT, 2, i), s = r, t = th_rng_at(10, TH_RNG_TEXT, 2, i);
        assert_ok(th_eda_apply(eda, TEXT, &r, &a));
        assert_ok(th_eda_apply(eda, TEXT, &s, &b));
        assert_string_equal(th_str_text(&a), th_str_text(&b));
        ops[strlen(th_str_text(&a)) < sizeof TEXT - 1]++;
        assert_ok(th_eda_apply(eda, TEXT, &t, &b));
        different += strcmp(th_str_text(&a), th_str_text(&b)) != 0;
    }
    assert_true(different > 80);
    assert_true(ops[0] > 20 && ops[1] > 5);
    th_str_free(&a);
    th_str_free(&b);
}

typedef struct {
    th_eda *eda;
    uint64_t digest;
} thread_job;

static void *apply_many(void *argument) {
    thread_job *j = argument;
    static const char *const texts[] = {TEXT, "two bags next to a striped green shirt", "a dog runs on the beach"};
    th_str out;
    th_str_init(&out, 4096);
    for (uint64_t i = 0; i < 3000; i++) {
        th_rng rng = th_rng_at(1, TH_RNG_TEXT, 0, i);
        if (th_eda_apply(j->eda, texts[i % 3], &rng, &out) != TH_OK) break;
        for (const char *p = th_str_text(&out); *p; p++) j->digest = (j->digest ^ (unsigned char)*p) * 0x100000001b3u;
    }
    th_str_free(&out);
    return NULL;
}

static void threads_share_it(void **state) {
    (void)state;
    NEEDS_WORDNET;
    enum { THREADS = 4 };
    thread_job jobs[THREADS];
    pthread_t threads[THREADS];
    th_eda_params p;
    th_eda *fresh; /* with nothing remembered yet */
    th_eda_params_init(&p);
    assert_ok(th_eda_open(&p, &fresh));
    for (int t = 0; t < THREADS; t++) {
        jobs[t] = (thread_job){fresh, 7};
        assert_int_equal(pthread_create(&threads[t], NULL, apply_many, &jobs[t]), 0);
    }
    for (int t = 0; t < THREADS; t++) pthread_join(threads[t], NULL);
    for (int t = 1; t < THREADS; t++) assert_true(jobs[t].digest == jobs[0].digest);
    th_eda_close(fresh);
}

static void bad_parameters_are_refused(void **state) {
    (void)state;
    th_eda *e = NULL;
    th_eda_params p;
    th_eda_params_init(&p);
    p.alpha = 1.5f;
    assert_fails(th_eda_open(&p, &e), TH_E_USAGE, "alpha is 1.5");
    p.alpha = -1;
    assert_fails(th_eda_open(&p, &e), TH_E_USAGE, "alpha");
    th_eda_params_init(&p);
    p.wordnet = "no/such/folder";
    assert_fails(th_eda_open(&p, &e), TH_E_INPUT, "wordnet-base");
    assert_null(e);
}

static void failed_allocations_leave_nothing_behind(void **state) {
    (void)state;
    NEEDS_WORDNET;
    size_t before = th_bytes_in_use();
    for (int64_t n = 1; n < 400; n++) {
        th_eda_params p;
        th_eda *e = NULL;
        th_str out;
        th_eda_params_init(&p);
        th_str_init(&out, 4096);
        th_rng rng = th_rng_at(1, TH_RNG_TEST, 0, 0);
        th_alloc_fail_at(n, true);
        th_status status = th_eda_open(&p, &e);
        if (status == TH_OK) status = th_eda_apply_op(e, TH_EDA_REPLACE, TEXT, &rng, &out);
        th_alloc_fail_at(0, false);
        th_eda_close(e);
        th_str_free(&out);
        assert_int_equal(th_bytes_in_use(), before);
        if (status == TH_OK) return;
        assert_int_equal(status, TH_E_MEMORY);
    }
    fail_msg("it never succeeded");
}

static int open_eda(void **state) {
    (void)state;
    th_eda_params p;
    th_eda_params_init(&p);
    if (th_eda_open(&p, &eda) != TH_OK) eda = NULL;
    return 0;
}

static int close_eda(void **state) {
    (void)state;
    th_eda_close(eda);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replacement_leaves_stop_words_alone),
        cmocka_unit_test(insertion_adds_and_keeps_the_rest),
        cmocka_unit_test(swap_keeps_all_words),
        cmocka_unit_test(deletion_takes_a_tenth),
        cmocka_unit_test(one_word_always_stays),
        cmocka_unit_test(texts_without_words_come_out_as_they_are),
        cmocka_unit_test(marks_stay_with_their_words),
        cmocka_unit_test(long_texts_keep_their_end),
        cmocka_unit_test(the_generator_alone_decides),
        cmocka_unit_test(threads_share_it),
        cmocka_unit_test(bad_parameters_are_refused),
        cmocka_unit_test(failed_allocations_leave_nothing_behind),
    };
    return cmocka_run_group_tests_name("data: EDA", tests, open_eda, close_eda);
}
