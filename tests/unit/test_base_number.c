/* Numbers as text, and the nearest word. */
#include "test.h"

#include <locale.h>
#include <math.h>

#include "base/guess.h"
#include "base/number.h"

static void numbers_are_read_whole_or_not_at_all(void **state) {
    (void)state;
    static const char *const bad_f64[] = {"", " 1", "1 ", "0x10", "inf", "nan", "1e", "1e999", "1,5", "--1", ".", "e5"};
    for (size_t i = 0; i < sizeof bad_f64 / sizeof *bad_f64; i++) {
        double v = 7;
        if (th_parse_f64(bad_f64[i], &v) || v != 7) fail_msg("'%s' was read as a number", bad_f64[i]);
    }
    static const char *const bad_i64[] = {"", "-", "1.0", "1e3", "9223372036854775808", " 1", "0x1", "+-1"};
    for (size_t i = 0; i < sizeof bad_i64 / sizeof *bad_i64; i++) {
        int64_t v = 7;
        if (th_parse_i64(bad_i64[i], &v) || v != 7) fail_msg("'%s' was read as a whole number", bad_i64[i]);
    }
    double f;
    int64_t n;
    assert_true(th_parse_f64("-1.5e-3", &f) && f == -1.5e-3);
    assert_true(th_parse_i64("-9223372036854775808", &n) && n == INT64_MIN);
}

static void sizes_are_in_powers_of_1024(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int64_t bytes;
    } good[] = {{"0", 0},           {"4096", 4096}, {"512M", 512ll << 20}, {"2G", 2ll << 30}, {"2GiB", 2ll << 30},
                {"2GB", 2ll << 30}, {"1.5k", 1536}, {"3T", 3ll << 40},     {"7B", 7}};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        int64_t v;
        if (!th_parse_size(good[i].text, &v) || v != good[i].bytes) fail_msg("'%s' was misread", good[i].text);
    }
    static const char *const bad[] = {"", "M", "-1", "1.2.3", "1.0001k", "5x", "5Mi ", "9999999P", "1KK", "0x5"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int64_t v;
        if (th_parse_size(bad[i], &v)) fail_msg("'%s' was read as a size", bad[i]);
    }
    char text[TH_NUMBER_TEXT];
    th_print_size(text, 512ll << 20);
    assert_string_equal(text, "512M");
    th_print_size(text, 1000);
    assert_string_equal(text, "1000");
    th_print_size(text, 0);
    assert_string_equal(text, "0");
}

static void printed_numbers_are_short_and_read_back(void **state) {
    (void)state;
    static const struct {
        double v;
        const char *text;
    } cases[] = {{2.15, "2.15"}, {0, "0"}, {1e-5, "1e-05"}, {-3, "-3"}, {0.1, "0.1"}, {1.0 / 3, "0.3333333333333333"}};
    char text[TH_NUMBER_TEXT];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        th_print_f64(text, cases[i].v);
        assert_string_equal(text, cases[i].text);
        double back;
        assert_true(th_parse_f64(text, &back) && back == cases[i].v);
    }
    th_print_fixed(text, -0.001, 2);
    assert_string_equal(text, "0.00");
    th_print_fixed(text, NAN, 2);
    assert_string_equal(text, "–");
    th_print_fixed(text, 1e308, 2);
    assert_int_equal(strlen(text), TH_NUMBER_TEXT - 1);
}

static void people_read_three_digits_and_a_unit(void **state) {
    (void)state;
    char t[TH_NUMBER_TEXT];
#define SAYS(call, expected) ((call), assert_string_equal(t, (expected)))
    SAYS(th_human_count(t, 950), "950");
    SAYS(th_human_count(t, 1200), "1.2 k");
    SAYS(th_human_count(t, 151277313), "151 M");
    SAYS(th_human_count(t, 999.96e6), "1 G");
    SAYS(th_human_count(t, 2.84e12), "2.84 T");
    SAYS(th_human_count(t, NAN), "–");
    SAYS(th_human_bytes(t, 1536), "1.5 KiB");
    SAYS(th_human_bytes(t, 0), "0 B");
    SAYS(th_human_bytes(t, 3.5 * 1073741824), "3.5 GiB");
    SAYS(th_human_seconds(t, 0), "0 s");
    SAYS(th_human_seconds(t, 0.0123), "12.3 ms");
    SAYS(th_human_seconds(t, 42), "42 s");
    SAYS(th_human_seconds(t, 59.97), "1 min");
    SAYS(th_human_seconds(t, 200), "3 min 20 s");
    SAYS(th_human_seconds(t, 7500), "2 h 5 min");
    SAYS(th_human_seconds(t, 3 * 86400 + 3600 * 4), "3 d 4 h");
    SAYS(th_human_seconds(t, -1), "–");
}

static void a_locale_with_commas_changes_nothing(void **state) {
    (void)state;
    static const char *const names[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "de_DE", "ru_RU.UTF-8"};
    char before[80];
    snprintf(before, sizeof before, "%s", setlocale(LC_ALL, NULL));
    bool found = false;
    for (int i = 0; i < 4 && !found; i++) found = setlocale(LC_ALL, names[i]) != NULL;
    if (!found) skip_because("no locale with a decimal comma is installed");
    char text[TH_NUMBER_TEXT];
    th_print_f64(text, 2.5);
    double v = 0;
    bool read = th_parse_f64("2.5", &v);
    setlocale(LC_ALL, before);
    assert_string_equal(text, "2.5");
    assert_true(read && v == 2.5);
}

static const char *nearest(const char *word) {
    static const char *const known[] = {"tau", "noise", "steps", "batch-size", "temperature", "lr"};
    th_guess g = {.word = word};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) th_guess_offer(&g, known[i]);
    return g.best ? g.best : "(none)";
}

static void the_word_that_was_meant_is_found(void **state) {
    (void)state;
    assert_int_equal(th_edit_distance("tua", "tau"), 1);
    assert_int_equal(th_edit_distance("kitten", "sitting"), 3);
    assert_int_equal(th_edit_distance("", "abc"), 3);
    assert_string_equal(nearest("tua"), "tau");
    assert_string_equal(nearest("batchsize"), "batch-size");
    assert_string_equal(nearest("temp"), "temperature");
    assert_string_equal(nearest("nosie"), "noise");
    assert_string_equal(nearest("x"), "(none)");
    assert_string_equal(nearest("vocabulary"), "(none)");
    char longer[200];
    memset(longer, 'a', sizeof longer);
    longer[199] = '\0';
    assert_int_equal(th_edit_distance(longer, longer), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_read_whole_or_not_at_all),
        cmocka_unit_test(sizes_are_in_powers_of_1024),
        cmocka_unit_test(printed_numbers_are_short_and_read_back),
        cmocka_unit_test(people_read_three_digits_and_a_unit),
        cmocka_unit_test(a_locale_with_commas_changes_nothing),
        cmocka_unit_test(the_word_that_was_meant_is_found),
    };
    return cmocka_run_group_tests_name("base_number", tests, NULL, NULL);
}
