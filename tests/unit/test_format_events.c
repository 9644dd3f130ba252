/* TensorBoard's event files: the bytes of tensorboard's own writer, and going on after a crash. */
#include "test.h"

#include <math.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "format/events.h"

#define PATH "events_test.tfevents"

static th_bytes slurp(const char *path) {
    th_bytes b;
    assert_ok(th_file_read(path, 1 << 20, &b));
    return b;
}

/* The events of tests/fixtures/events.py, from the n-th on. */
static void write_from(int n, int64_t last_step) {
    static const th_event_scalar first = {"loss/train", 3.5f},
                                 second[] = {{"loss/train", -0.125f}, {"\xce\xb7", 1e-5f}},
                                 third = {"loss/train", INFINITY};
    th_events *e;
    assert_ok(th_events_open(PATH, 1.5, last_step, &e));
    if (n < 1) assert_ok(th_events_scalars(e, 2.25, 0, &first, 1));
    if (n < 2) assert_ok(th_events_scalars(e, 3.0, 300, second, 2));
    if (n < 3) assert_ok(th_events_scalars(e, 4.0, (int64_t)1 << 40, &third, 1));
    assert_ok(th_events_sync(e));
    th_events_close(e);
}

static void assert_expected(void) {
    th_bytes want = slurp(TH_TEST_DATA "/events/expected.tfevents"), got = slurp(PATH);
    assert_int_equal(got.length, want.length);
    assert_memory_equal(got.data, want.data, want.length);
    th_free(want.data);
    th_free(got.data);
}

static void bytes_are_those_of_tensorboard(void **state) {
    (void)state;
    write_from(0, -1);
    assert_expected();
    write_from(0, -1); /* anew */
    assert_expected();
    unlink(PATH);
}

/* Wherever the file was cut, going on from the last whole record gives the file of the run that never stopped. */
static void half_written_record_is_cut_off_on_resume(void **state) {
    (void)state;
    th_bytes want = slurp(TH_TEST_DATA "/events/expected.tfevents");
    size_t ends[5] = {0};
    static const int64_t steps[] = {-1, 0, 300, (int64_t)1 << 40};
    for (int i = 0; i < 4; i++) ends[i + 1] = th_events_whole(want.data, want.length, steps[i]);
    assert_int_equal(ends[4], want.length);
    for (size_t n = 0; n <= want.length; n++) {
        int whole = 0;
        while (whole < 4 && n >= ends[whole + 1]) whole++;
        if (whole == 0 && n >= 29) continue; /* half a header: see below */
        assert_ok(th_file_write(PATH, want.data, n));
        write_from(whole > 0 ? whole - 1 : 0, INT64_MAX);
        assert_expected();
    }
    unlink(PATH);
    th_free(want.data);
}

static void later_steps_are_dropped_on_resume(void **state) {
    (void)state;
    write_from(0, -1);
    write_from(1, 299);
    assert_expected();
    write_from(2, 300);
    assert_expected();
    write_from(0, -1);
    assert_expected();
    unlink(PATH);
}

static void damaged_record_ends_what_is_kept(void **state) {
    (void)state;
    th_bytes b = slurp(TH_TEST_DATA "/events/expected.tfevents");
    size_t first = th_events_whole(b.data, b.length, -1), second = th_events_whole(b.data, b.length, 0);
    b.data[second - 6] ^= 1;
    assert_int_equal(th_events_whole(b.data, b.length, INT64_MAX), first);
    b.data[second - 6] ^= 1;
    b.data[second + 1] ^= 1; /* the length of the next one */
    assert_int_equal(th_events_whole(b.data, b.length, INT64_MAX), second);
    th_free(b.data);
}

static void other_files_are_left_alone(void **state) {
    (void)state;
    static const char text[] = "somebody's notes that were not meant to be overwritten";
    th_events *e;
    assert_ok(th_file_write(PATH, text, sizeof text));
    assert_fails(th_events_open(PATH, 0, INT64_MAX, &e), TH_E_INPUT, PATH ": is no TensorBoard event file");
    assert_fails(th_events_open(PATH, 0, -1, &e), TH_E_INPUT, "is left alone");
    th_bytes b = slurp(PATH);
    assert_string_equal(b.data, text);
    th_free(b.data);
    unlink(PATH);
    assert_fails(th_events_open("none/" PATH, 0, -1, &e), TH_E_IO, "none/" PATH);
}

static void picture_is_a_png(void **state) {
    (void)state;
    th_image im = {0}, back = {0};
    assert_ok(th_image_new(&im, 9, 4));
    memset(im.pixels, 77, th_image_bytes(&im));
    th_events *e;
    assert_ok(th_events_open(PATH, 1.5, -1, &e));
    assert_ok(th_events_image(e, 2, 7, "samples", &im));
    th_event_scalar s = {"x", 1};
    assert_fails(th_events_scalars(e, 1, -1, &s, 1), TH_E_USAGE, "not negative");
    th_events_close(e);
    th_bytes b = slurp(PATH);
    assert_int_equal(th_events_whole(b.data, b.length, 7), b.length);
    assert_true(th_events_whole(b.data, b.length, 6) < b.length);
    char *png = memmem(b.data, b.length, "\x89PNG", 4);
    assert_non_null(png);
    assert_ok(th_image_decode(NULL, png, b.length - (size_t)(png - b.data), NULL, &back));
    assert_true(back.width == 9 && back.height == 4);
    th_free(b.data);
    th_image_free(&im);
    th_image_free(&back);
    unlink(PATH);
}

/* A file-size limit stands in for a full disk. */
static void full_disk_is_told_and_leaves_whole_records(void **state) {
    (void)state;
    struct rlimit before, small = {.rlim_cur = 300};
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small.rlim_max = before.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    th_events *e;
    assert_ok(th_events_open(PATH, 0, -1, &e));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    th_status s = TH_OK;
    const th_event_scalar scalar = {"loss", 1};
    for (int i = 0; i < 100 && s == TH_OK; i++) s = th_events_scalars(e, 0, i, &scalar, 1);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, SIG_DFL);
    assert_int_equal(s, TH_E_DISK);
    assert_non_null(strstr(th_error_message(), PATH ": cannot write it"));
    th_events_close(e);
    th_bytes b = slurp(PATH);
    assert_true(b.length > 100);
    assert_int_equal(th_events_whole(b.data, b.length, INT64_MAX), b.length);
    th_free(b.data);
    unlink(PATH);
}

static void no_failed_allocation_leaks(void **state) {
    (void)state;
    size_t before = th_bytes_in_use();
    th_status s = TH_E_MEMORY;
    for (int n = 1; s != TH_OK; n++) {
        th_events *e;
        th_event_scalar scalar = {"x", 1};
        th_alloc_fail_at(n, false);
        s = th_events_open(PATH, 0, -1, &e);
        if (s == TH_OK) {
            s = th_events_scalars(e, 0, 1, &scalar, 1);
            th_events_close(e);
        }
        th_alloc_fail_at(0, false);
        assert_true(s == TH_OK || s == TH_E_MEMORY);
        assert_int_equal(th_bytes_in_use(), before);
    }
    unlink(PATH);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_those_of_tensorboard),
        cmocka_unit_test(half_written_record_is_cut_off_on_resume),
        cmocka_unit_test(later_steps_are_dropped_on_resume),
        cmocka_unit_test(damaged_record_ends_what_is_kept),
        cmocka_unit_test(other_files_are_left_alone),
        cmocka_unit_test(picture_is_a_png),
        cmocka_unit_test(full_disk_is_told_and_leaves_whole_records),
        cmocka_unit_test(no_failed_allocation_leaks),
    };
    return cmocka_run_group_tests_name("events", tests, NULL, NULL);
}
