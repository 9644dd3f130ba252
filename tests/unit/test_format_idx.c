/* IDX files: every type, plain and gzip, and every way in which one can be wrong. */
#include "test.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>

#include "base/file.h"
#include "base/memory.h"
#include "format/idx.h"

/* gzip of n bytes; the result is to be freed. */
static uint8_t *gzipped(const void *bytes, size_t n, size_t *length) {
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    *length = deflateBound(&z, n) + 32;
    uint8_t *out = malloc(*length);
    assert_non_null(out);
    z.next_in = (Bytef *)bytes, z.avail_in = (uInt)n;
    z.next_out = out, z.avail_out = (uInt)*length;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    *length = z.total_out;
    deflateEnd(&z);
    return out;
}

static const uint8_t small[] = {0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 255};

static void bytes_are_read(void **state) {
    (void)state;
    th_idx x;
    assert_ok(th_idx_parse(small, sizeof small, &x));
    assert_int_equal(x.type, TH_IDX_U8);
    assert_int_equal(x.dimensions, 2);
    assert_true(x.shape[0] == 2 && x.shape[1] == 3 && x.count == 6 && x.bytes == 6);
    assert_memory_equal(x.data, small + 12, 6);
    th_idx_free(&x);
}

static void wider_types_come_in_the_machines_order(void **state) {
    (void)state;
    static const uint8_t i16[] = {0, 0, 0x0B, 1, 0, 0, 0, 2, 0x01, 0x02, 0xff, 0xfe};
    static const uint8_t i32[] = {0, 0, 0x0C, 1, 0, 0, 0, 1, 0x80, 0, 0, 1};
    static const uint8_t f32[] = {0, 0, 0x0D, 1, 0, 0, 0, 1, 0x3f, 0xc0, 0, 0};
    static const uint8_t f64[] = {0, 0, 0x0E, 1, 0, 0, 0, 1, 0xc0, 0x04, 0, 0, 0, 0, 0, 0};
    th_idx x;
    assert_ok(th_idx_parse(i16, sizeof i16, &x));
    assert_int_equal(((int16_t *)x.data)[0], 0x102);
    assert_int_equal(((int16_t *)x.data)[1], -2);
    th_idx_free(&x);
    assert_ok(th_idx_parse(i32, sizeof i32, &x));
    assert_true(*(int32_t *)x.data == INT32_MIN + 1);
    th_idx_free(&x);
    assert_ok(th_idx_parse(f32, sizeof f32, &x));
    assert_true(*(float *)x.data == 1.5f);
    th_idx_free(&x);
    assert_ok(th_idx_parse(f64, sizeof f64, &x));
    assert_true(*(double *)x.data == -2.5);
    th_idx_free(&x);
}

static void gzip_gives_the_same(void **state) {
    (void)state;
    size_t n;
    uint8_t *z = gzipped(small, sizeof small, &n);
    th_idx x;
    assert_ok(th_idx_parse(z, n, &x));
    assert_memory_equal(x.data, small + 12, 6);
    th_idx_free(&x);
    free(z);
}

static void empty_array_is_allowed(void **state) {
    (void)state;
    static const uint8_t none[] = {0, 0, 8, 1, 0, 0, 0, 0};
    size_t n;
    uint8_t *z = gzipped(none, sizeof none, &n);
    th_idx x;
    assert_ok(th_idx_parse(none, sizeof none, &x));
    assert_int_equal(x.count, 0);
    th_idx_free(&x);
    assert_ok(th_idx_parse(z, n, &x));
    th_idx_free(&x);
    free(z);
}

static void expect(const void *bytes, size_t n, const char *message) {
    th_idx x;
    assert_fails(th_idx_parse(bytes, n, &x), TH_E_INPUT, message);
    assert_null(x.data);
}

static void every_cut_is_refused(void **state) {
    (void)state;
    for (size_t n = 0; n < sizeof small; n++) expect(small, n, "ends early");
    size_t length;
    uint8_t *z = gzipped(small, sizeof small, &length);
    for (size_t n = 2; n < length; n++) expect(z, n, "ends early");
    free(z);
}

static void wrong_header_is_refused(void **state) {
    (void)state;
    expect("PK\3\4....", 8, "is no IDX file: it begins with 50 4b 03 04");
    static const uint8_t type[] = {0, 0, 0x0A, 1, 0, 0, 0, 0}, rank0[] = {0, 0, 8, 0}, rank9[] = {0, 0, 8, 9};
    expect(type, sizeof type, "is no IDX file");
    expect(rank0, sizeof rank0, "has 0 dimensions, 1 to 8 are read");
    expect(rank9, sizeof rank9, "has 9 dimensions");
    uint8_t huge[4 + 12] = {0, 0, 0x0E, 3};
    memset(huge + 4, 0xff, 12);
    expect(huge, sizeof huge, "its dimensions overflow");
    static const uint8_t long_one[] = {0, 0, 8, 2, 0, 1, 0, 0, 0, 1, 0, 0, 7};
    expect(long_one, sizeof long_one, "its header describes 4294967296 bytes, 1 follow");
}

static void bytes_behind_the_array_are_refused(void **state) {
    (void)state;
    uint8_t more[sizeof small + 1];
    memcpy(more, small, sizeof small);
    more[sizeof small] = 0;
    expect(more, sizeof more, "has bytes behind the array");
    size_t n;
    uint8_t *z = gzipped(more, sizeof more, &n);
    expect(z, n, "has bytes behind the array");
    free(z);
    z = gzipped(small, sizeof small, &n);
    z = realloc(z, n + 1);
    assert_non_null(z);
    z[n] = 'x';
    expect(z, n + 1, "has bytes behind the array");
    free(z);
}

static void damaged_gzip_is_refused(void **state) {
    (void)state;
    size_t n;
    uint8_t *z = gzipped(small, sizeof small, &n);
    z[n - 6] ^= 1; /* the checksum */
    expect(z, n, "the gzip data are damaged: incorrect data check");
    z[3] = 0xff;
    expect(z, n, "the gzip data are damaged");
    free(z);
}

/* A few bytes that promise gigabytes are refused before memory is asked for. */
static void promise_that_cannot_be_kept_allocates_nothing(void **state) {
    (void)state;
    static const uint8_t header[] = {0, 0, 8, 1, 0x70, 0, 0, 0, 1, 2, 3};
    size_t n, before = th_bytes_in_use();
    uint8_t *z = gzipped(header, sizeof header, &n);
    th_alloc_fail_at(1, true);
    expect(z, n, "its header describes 1879048192 bytes");
    th_alloc_fail_at(0, false);
    assert_int_equal(th_bytes_in_use(), before);
    free(z);
    th_idx x;
    th_alloc_fail_at(1, false);
    assert_fails(th_idx_parse(small, sizeof small, &x), TH_E_MEMORY, "out of memory");
    th_alloc_fail_at(0, false);
}

static void file_is_named(void **state) {
    (void)state;
    th_idx x;
    assert_ok(th_file_write("idx_test.idx", small, sizeof small - 1));
    assert_fails(th_idx_read("idx_test.idx", &x), TH_E_INPUT, "idx_test.idx: ends early");
    assert_ok(th_file_write("idx_test.idx", small, sizeof small));
    assert_ok(th_idx_read("idx_test.idx", &x));
    th_idx_free(&x);
    assert_ok(th_file_write("idx_test.idx", "", 0));
    assert_fails(th_idx_read("idx_test.idx", &x), TH_E_INPUT, "idx_test.idx: ends early");
    unlink("idx_test.idx");
    assert_fails(th_idx_read("idx_test.idx", &x), TH_E_IO, "idx_test.idx");
}

static void fashion_mnist_is_read(void **state) {
    (void)state;
    const char *path = "/usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz";
    if (!th_path_exists(path)) skip_because("%s is absent (Debian package dataset-fashion-mnist)", path);
    th_idx x;
    assert_ok(th_idx_read(path, &x));
    assert_true(x.dimensions == 3 && x.shape[0] == 10000 && x.shape[1] == 28 && x.shape[2] == 28);
    th_idx_free(&x);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_read),
        cmocka_unit_test(wider_types_come_in_the_machines_order),
        cmocka_unit_test(gzip_gives_the_same),
        cmocka_unit_test(empty_array_is_allowed),
        cmocka_unit_test(every_cut_is_refused),
        cmocka_unit_test(wrong_header_is_refused),
        cmocka_unit_test(bytes_behind_the_array_are_refused),
        cmocka_unit_test(damaged_gzip_is_refused),
        cmocka_unit_test(promise_that_cannot_be_kept_allocates_nothing),
        cmocka_unit_test(file_is_named),
        cmocka_unit_test(fashion_mnist_is_read),
    };
    return cmocka_run_group_tests_name("idx", tests, NULL, NULL);
}
