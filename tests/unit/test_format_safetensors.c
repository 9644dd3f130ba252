/* Safetensors: what is refused and how it is said, folders and shards, conversions, the streaming writer. */
#include "test.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/half.h"
#include "base/memory.h"
#include "format/safetensors.h"

#define FOLDER "safetensors_test"

/* A file of this header and so many bytes of data, in a block of exactly its size. */
static uint8_t *build(const char *header, size_t data, size_t *length) {
    size_t n = strlen(header);
    uint8_t *bytes = malloc(8 + n + data);
    assert_non_null(bytes);
    for (int i = 0; i < 8; i++) bytes[i] = (uint8_t)((uint64_t)n >> (8 * i));
    memcpy(bytes + 8, header, n);
    for (size_t i = 0; i < data; i++) bytes[8 + n + i] = (uint8_t)i;
    *length = 8 + n + data;
    return bytes;
}

static void write_built(const char *path, const char *header, size_t data) {
    size_t length;
    uint8_t *bytes = build(header, data, &length);
    assert_ok(th_file_write(path, bytes, length));
    free(bytes);
}

/* A killed run may have left one. */
static void fresh_folder(void) {
    assert_ok(th_remove_tree(FOLDER));
    assert_ok(th_make_dirs(FOLDER));
}

#define ONE(name, dtype, shape, begin, end) \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":[" begin "," end "]}"

static void bad_headers_are_refused_each_with_its_reason(void **state) {
    (void)state;
    static const struct {
        const char *header;
        size_t data;
        const char *message;
    } rows[] = {
        {"{" ONE("a", "F32", "[2]", "0", "8") "," ONE("a", "F32", "[2]", "8", "16") "}", 16, "duplicate object key"},
        {"{\"a\":", 0, "x.st: the header: line 1 column"},
        {"[]", 0, "should hold a JSON object"},
        {"{\"a\":7}", 0, "tensor 'a' should be described by an object"},
        {"{\"a\":{\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "tensor 'a' should have a string 'dtype'"},
        {"{" ONE("a", "F33", "[2]", "0", "8") "}", 8, "x.st: tensor 'a' has the unknown type 'F33'"},
        {"{" ONE("a", "F4", "[2]", "0", "8") "}", 8, "unknown type 'F4'"},
        {"{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,8]}}", 8, "tensor 'a' should have an array 'shape'"},
        {"{" ONE("a", "F32", "[-2]", "0", "8") "}", 8, "none below zero"},
        {"{" ONE("a", "F32", "[2.0]", "0", "8") "}", 8, "shape of integers"},
        {"{" ONE("a", "F32", "[\"2\"]", "0", "8") "}", 8, "shape of integers"},
        {"{" ONE("a", "F32", "[1,1,1,1,1,1,1,1,2]", "0", "8") "}", 8, "more than 8 dimensions"},
        {"{" ONE("a", "U8", "[4294967296,4294967296]", "0", "8") "}", 8, "product overflows"},
        {"{" ONE("a", "F64", "[2305843009213693952]", "0", "8") "}", 8, "product overflows"},
        {"{" ONE("a", "F32", "[99999999999999999999]", "0", "8") "}", 8, "shape of integers"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", 8, "two integers in 'data_offsets'"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8,9]}}", 8, "two integers in 'data_offsets'"},
        {"{" ONE("a", "F32", "[2]", "0.0", "8") "}", 8, "two integers in 'data_offsets'"},
        {"{" ONE("a", "F32", "[2]", "8", "0") "}", 8, "run backwards"},
        {"{" ONE("a", "F32", "[2]", "-8", "0") "}", 8, "run backwards or below zero"},
        {"{" ONE("a", "F32", "[2]", "0", "8") "}", 7, "tensor 'a' ends at byte 8 of the data, the file has 7"},
        {"{" ONE("a", "F32", "[2]", "0", "9223372036854775807") "}", 8, "is it truncated?"},
        {"{" ONE("a", "F32", "[3]", "0", "8") "}", 8, "tensor 'a' has 8 bytes of data, its shape and type F32 take 12"},
        {"{" ONE("a", "F32", "[2]", "0", "8") "," ONE("b", "F32", "[2]", "4", "12") "}", 12,
         "x.st: tensors 'a' and 'b' overlap"},
        {"{" ONE("b", "F32", "[2]", "0", "8") "," ONE("a", "F32", "[2]", "0", "8") "}", 8, "'a' and 'b' overlap"},
        {"{" ONE("a", "F32", "[2]", "0", "8") "," ONE("b", "F32", "[2]", "12", "20") "}", 20,
         "bytes 8 to 12 of the data, before tensor 'b', belong to no tensor"},
        {"{" ONE("a", "F32", "[2]", "0", "8") "}", 9, "1 bytes after the last tensor belong to none"},
        {"{\"__metadata__\":[]}", 0, "__metadata__ should be an object"},
        {"{\"__metadata__\":{\"a\":1}}", 0, "__metadata__ should hold strings only"},
        {"{\"a\\u0000b\":{}}", 0, "NUL byte in object key"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t length;
        uint8_t *bytes = build(rows[i].header, rows[i].data, &length);
        th_safetensors *s;
        assert_fails(th_safetensors_parse("x.st", bytes, length, &s), TH_E_INPUT, rows[i].message);
        assert_null(s);
        assert_ptr_equal(strstr(th_error_message(), "x.st: "), th_error_message());
        free(bytes);
    }
}

static void length_beyond_the_file_or_the_limit_is_refused(void **state) {
    (void)state;
    th_safetensors *s;
    assert_fails(th_safetensors_parse("x.st", "", 0, &s), TH_E_INPUT, "x.st: is 0 bytes long, too short");
    assert_fails(th_safetensors_parse("x.st", "\x02\0\0\0\0\0\0", 7, &s), TH_E_INPUT, "too short");
    assert_fails(th_safetensors_parse("x.st", "\x03\0\0\0\0\0\0\0{}", 10, &s), TH_E_INPUT,
                 "is truncated: the header takes 3 bytes, 2 are there");
    assert_fails(th_safetensors_parse("x.st", "\xff\xff\xff\xff\xff\xff\xff\xff{}", 10, &s), TH_E_INPUT,
                 "claims a header of 18446744073709551615 bytes, at most 100000000 are allowed");
    assert_fails(th_safetensors_parse("x.st", "PK\x03\x04\x14\0\0\0\x08\0", 10, &s), TH_E_INPUT, "is it safetensors?");
    assert_ok(th_safetensors_parse("x.st", "\x02\0\0\0\0\0\0\0{}", 10, &s));
    assert_int_equal(th_safetensors_count(s), 0);
    th_safetensors_close(s);
}

static void every_truncation_is_refused(void **state) {
    (void)state;
    size_t length;
    uint8_t *bytes = build("{" ONE("a", "F32", "[2]", "0", "8") "," ONE("b", "U8", "[0,3]", "8", "8") "}", 8, &length);
    for (size_t n = 0; n < length; n++) {
        uint8_t *part = malloc(n ? n : 1);
        memcpy(part, bytes, n);
        th_safetensors *s;
        assert_int_equal(th_safetensors_parse("x.st", part, n, &s), TH_E_INPUT);
        free(part);
    }
    free(bytes);
}

/* As safetensors 0.8.0 writes it. */
static const char official[] =
    "{\"__metadata__\":{\"format\":\"pt\"},\"c\":{\"dtype\":\"I64\",\"shape\":[1],\"data_offsets\":[0,8]},\"f\":{"
    "\"dtype\":\"F64\",\"shape\":[2],\"data_offsets\":[8,24]},\"z\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":["
    "24,32]},\"y\":{\"dtype\":\"BF16\",\"shape\":[],\"data_offsets\":[32,34]},\"b\":{\"dtype\":\"F16\",\"shape\":[2],"
    "\"data_offsets\":[34,38]},\"i\":{\"dtype\":\"I16\",\"shape\":[2],\"data_offsets\":[38,42]},\"a\":{\"dtype\":"
    "\"BOOL\",\"shape\":[3],\"data_offsets\":[42,45]}} ";

static void official_file_is_read(void **state) {
    (void)state;
    size_t length;
    uint8_t *bytes = build(official, 45, &length), *data = bytes + length - 45;
    static const double f[2] = {-1.5, 1e300};
    static const float z[2] = {3.25f, -0.0f};
    memcpy(data + 8, f, 16);
    memcpy(data + 24, z, 8);
    memcpy(data + 32, "\x80\x3f\x00\x3c\x01\x80\xff\xff\x02\x00\x00\x02\x01", 13);
    th_safetensors *s;
    assert_ok(th_safetensors_parse("x.st", bytes, length, &s));
    assert_int_equal(th_safetensors_count(s), 7);
    assert_string_equal(th_safetensors_at(s, 0)->name, "c");
    assert_string_equal(th_safetensors_at(s, 6)->name, "a");
    assert_string_equal(th_safetensors_metadata(s, "format"), "pt");
    assert_null(th_safetensors_metadata(s, "none"));
    const char *key, *value;
    assert_true(th_safetensors_metadata_at(s, 0, &key, &value));
    assert_string_equal(key, "format");
    assert_false(th_safetensors_metadata_at(s, 1, &key, &value));
    float x[2];
    assert_ok(th_st_to_f32(th_safetensors_find(s, "f"), 0, 2, x));
    assert_true(x[0] == -1.5f && x[1] == INFINITY);
    assert_ok(th_st_to_f32(th_safetensors_find(s, "z"), 0, 2, x));
    assert_true(x[0] == 3.25f && x[1] == 0 && signbit(x[1]));
    const th_st_tensor *y = th_safetensors_find(s, "y");
    assert_int_equal(y->rank, 0);
    assert_int_equal(y->count, 1);
    assert_ok(th_st_to_f32(y, 0, 1, x));
    assert_true(x[0] == 1.0f);
    assert_ok(th_st_to_f32(th_safetensors_find(s, "b"), 1, 1, x));
    assert_true(x[0] == -0x1p-24f);
    int64_t n[3];
    assert_ok(th_st_to_i64(th_safetensors_find(s, "i"), 0, 2, n));
    assert_true(n[0] == -1 && n[1] == 2);
    assert_ok(th_st_to_i64(th_safetensors_find(s, "a"), 0, 3, n));
    assert_true(n[0] == 0 && n[1] == 1 && n[2] == 1);
    assert_ok(th_st_to_i64(th_safetensors_find(s, "c"), 0, 1, n));
    assert_true(n[0] == 0x0706050403020100);
    assert_fails(th_st_to_f32(th_safetensors_find(s, "c"), 0, 1, x), TH_E_INPUT,
                 "x.st: tensor 'c' is I64, a floating type is wanted");
    assert_fails(th_st_to_i64(th_safetensors_find(s, "z"), 0, 1, n), TH_E_INPUT, "an integer type is wanted");
    assert_fails(th_st_to_f32(th_safetensors_find(s, "z"), 1, 2, x), TH_E_USAGE, "has 2 elements, 2 from 1");
    th_safetensors_close(s);
    free(bytes);
}

static void wanted_shape_is_checked(void **state) {
    (void)state;
    size_t length;
    uint8_t *bytes = build("{" ONE("v.weight", "F16", "[3,2]", "0", "12") "}", 12, &length);
    th_safetensors *s;
    assert_ok(th_safetensors_parse("m.safetensors", bytes, length, &s));
    const th_st_tensor *t;
    assert_ok(th_safetensors_want(s, "v.weight", 2, (int64_t[]){3, 2}, &t));
    assert_fails(th_safetensors_want(s, "v.weight", 2, (int64_t[]){2, 3}, &t), TH_E_INPUT,
                 "m.safetensors: tensor 'v.weight' is [3, 2], [2, 3] is wanted");
    assert_fails(th_safetensors_want(s, "v.weight", 0, NULL, &t), TH_E_INPUT, "is [3, 2], [] is wanted");
    assert_fails(th_safetensors_want(s, "w", 0, NULL, &t), TH_E_INPUT, "m.safetensors: tensor 'w' is missing");
    th_safetensors_close(s);
    free(bytes);
}

static void folder_and_variant_are_found(void **state) {
    (void)state;
    fresh_folder();
    th_safetensors *s;
    assert_fails(th_safetensors_open(FOLDER, NULL, &s), TH_E_INPUT, FOLDER ": holds no model.safetensors");
    static const char *const pickles[] = {"pytorch_model.bin", "open_clip_pytorch_model.bin"};
    for (int i = 0; i < 2; i++) {
        char path[TH_PATH_MAX], message[TH_PATH_MAX + 32];
        assert_ok(th_path_join(path, FOLDER, pickles[i]));
        assert_ok(th_file_write(path, "PK", 2));
        snprintf(message, sizeof message, "%s: is PyTorch's pickle", path);
        assert_fails(th_safetensors_open(FOLDER, NULL, &s), TH_E_INPUT, message);
        assert_int_equal(remove(path), 0);
    }
    write_built(FOLDER "/model.safetensors", "{" ONE("a", "U8", "[1]", "0", "1") "}", 1);
    write_built(FOLDER "/model.fp16.safetensors", "{" ONE("b", "U8", "[1]", "0", "1") "}", 1);
    assert_ok(th_safetensors_open(FOLDER, NULL, &s));
    assert_non_null(th_safetensors_find(s, "a"));
    th_safetensors_close(s);
    assert_ok(th_safetensors_open(FOLDER, "fp16", &s));
    assert_non_null(th_safetensors_find(s, "b"));
    th_safetensors_close(s);
    assert_fails(th_safetensors_open(FOLDER, "bf16", &s), TH_E_INPUT, "holds no model.bf16.safetensors");
    assert_fails(th_safetensors_open(FOLDER, "../x", &s), TH_E_USAGE, "is not a plain name");
    assert_fails(th_safetensors_open(FOLDER "/none.safetensors", NULL, &s), TH_E_IO, FOLDER "/none.safetensors");
    assert_ok(th_remove_tree(FOLDER));
}

static void bad_shard_indexes_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *index, *message;
    } rows[] = {
        {"{}", "model.safetensors.index.json: field 'weight_map' is missing"},
        {"{\"weight_map\": 1}", "field 'weight_map' should be an object"},
        {"{\"weight_map\": {\"a\": 1}}", "weight_map['a'] should be a string"},
        {"{\"weight_map\": {\"a\": \"../model.safetensors\"}}", "weight_map['a'] is '../model.safetensors', a "},
        {"{\"weight_map\": {\"a\": \"/etc/model.safetensors\"}}", "beside the index is wanted"},
        {"{\"weight_map\": {\"a\": \"b\\\\model.safetensors\"}}", "beside the index is wanted"},
        {"{\"weight_map\": {\"a\": \".safetensors\"}}", "beside the index is wanted"},
        {"{\"weight_map\": {\"a\": \"weights.bin\"}}", "beside the index is wanted"},
        {"{\"weight_map\": {\"a\": \"x1.safetensors\", \"a\": \"x2.safetensors\"}}", "duplicate object key"},
        {"{\"weight_map\": {\"a\": \"x9.safetensors\"}}", "x9.safetensors: cannot open it"},
        {"{\"weight_map\": {\"a\": \"x2.safetensors\"}}", "index.json: tensor 'a' is not in x2.safetensors"},
        {"{\"weight_map\": {\"a\": \"x2.safetensors\", \"b\": \"x1.safetensors\"}}", "tensor 'a' is not in x2"},
        {"{\"weight_map\": {\"a\": \"x1.safetensors\", \"b\": \"x3.safetensors\"}}",
         "x3.safetensors: tensor 'a' stands in " FOLDER "/x1.safetensors too"},
    };
    fresh_folder();
    write_built(FOLDER "/x1.safetensors", "{" ONE("a", "U8", "[1]", "0", "1") "}", 1);
    write_built(FOLDER "/x2.safetensors", "{" ONE("b", "U8", "[1]", "0", "1") "}", 1);
    write_built(FOLDER "/x3.safetensors", "{" ONE("a", "U8", "[1]", "0", "1") "}", 1);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        th_safetensors *s;
        const char *path = FOLDER "/model.safetensors.index.json";
        assert_ok(th_file_write(path, rows[i].index, strlen(rows[i].index)));
        th_status status = th_safetensors_open(FOLDER, NULL, &s);
        if (status != TH_E_INPUT && status != TH_E_IO) fail_msg("row %zu: status %d", i, status);
        if (!strstr(th_error_message(), rows[i].message)) fail_msg("row %zu: %s", i, th_error_message());
    }
    const char *good = "{\"weight_map\": {\"a\": \"x1.safetensors\", \"b\": \"x2.safetensors\"}}";
    th_safetensors *s;
    assert_ok(th_file_write(FOLDER "/model.safetensors.index.json", good, strlen(good)));
    assert_ok(th_safetensors_open(FOLDER "/model.safetensors.index.json", NULL, &s));
    assert_int_equal(th_safetensors_count(s), 2);
    assert_string_equal(th_safetensors_find(s, "b")->file, FOLDER "/x2.safetensors");
    th_safetensors_close(s);
    assert_ok(th_remove_tree(FOLDER));
}

/* Every tensor's values are a function of its name and the element, so that a mix-up shows. */
static float value_of(const char *name, int64_t i) { return (float)((name[0] - 'a') * 8 + (int)(i % 7)); }

static th_status save(const char *path, int64_t shard_max) {
    th_safetensors_writer *w;
    TH_TRY(th_safetensors_writer_new(path, shard_max, &w));
    th_safetensors_declare(w, "b.weight", TH_ST_F16, 2, (int64_t[]){100, 101});
    th_safetensors_declare(w, "d", TH_ST_F32, 0, NULL);
    th_safetensors_declare(w, "a.weight", TH_ST_BF16, 1, (int64_t[]){5});
    th_safetensors_declare(w, "c", TH_ST_F32, 2, (int64_t[]){0, 4});
    th_safetensors_declare(w, "e", TH_ST_U8, 1, (int64_t[]){3});
    th_safetensors_note(w, "made by", "a test");
    th_safetensors_begin(w);
    const char *order = "cdabe";
    for (const th_st_tensor *t; (t = th_safetensors_next(w)); order++) {
        assert_int_equal(t->name[0], *order);
        float *x = malloc(sizeof *x * (size_t)(t->count + 1));
        for (int64_t i = 0; i < t->count; i++) x[i] = value_of(t->name, i);
        if (t->dtype == TH_ST_U8) {
            th_safetensors_add(w, "x", 1);
            th_safetensors_add(w, "yz", 2);
        } else {
            int64_t half = t->count / 3;
            th_safetensors_add_f32(w, x, half);
            th_safetensors_add_f32(w, x + half, t->count - half);
        }
        free(x);
    }
    return th_safetensors_commit(w);
}

static void check_saved(const char *path) {
    th_safetensors *s;
    assert_ok(th_safetensors_open(path, NULL, &s));
    assert_int_equal(th_safetensors_count(s), 5);
    assert_string_equal(th_safetensors_metadata(s, "format"), "pt");
    assert_string_equal(th_safetensors_metadata(s, "made by"), "a test");
    static float x[10100];
    for (int64_t k = 0; k < 5; k++) {
        const th_st_tensor *t = th_safetensors_at(s, k);
        assert_int_equal((uintptr_t)t->data % th_st_dtype_bytes(t->dtype), 0);
        if (t->dtype == TH_ST_U8) {
            assert_memory_equal(t->data, "xyz", 3);
            continue;
        }
        assert_ok(th_st_to_f32(t, 0, t->count, x));
        for (int64_t i = 0; i < t->count; i++) assert_true(x[i] == value_of(t->name, i));
    }
    th_safetensors_close(s);
}

static void written_file_reads_back_and_is_aligned(void **state) {
    (void)state;
    fresh_folder();
    assert_ok(save(FOLDER "/model.safetensors", 0));
    check_saved(FOLDER);
    th_bytes bytes;
    assert_ok(th_file_read(FOLDER "/model.safetensors", 1 << 20, &bytes));
    assert_int_equal(bytes.data[0] % 8, 0);
    assert_ptr_equal(strstr(bytes.data + 8, "{\"__metadata__\":{\"format\":\"pt\",\"made by\":\"a test\"},\"c\":"),
                     bytes.data + 8);
    th_free(bytes.data);
    assert_ok(th_remove_tree(FOLDER));
}

static void shards_replace_a_file_and_a_file_replaces_shards(void **state) {
    (void)state;
    fresh_folder();
    const char *path = FOLDER "/model.safetensors";
    assert_ok(save(path, 0));
    assert_ok(save(path, 20000));
    assert_false(th_path_exists(path));
    assert_true(th_path_exists(FOLDER "/model-00003-of-00003.safetensors"));
    assert_true(th_path_exists(FOLDER "/model.safetensors.index.json"));
    check_saved(FOLDER);
    assert_ok(save(path, 20203));
    assert_true(th_path_exists(FOLDER "/model-00002-of-00002.safetensors"));
    assert_false(th_path_exists(FOLDER "/model-00003-of-00003.safetensors"));
    check_saved(FOLDER);
    assert_ok(th_file_write(FOLDER "/model-1-of-2.safetensors", "", 0)); /* not a name of ours: it stays */
    assert_ok(save(path, 0));
    check_saved(FOLDER);
    th_names names;
    assert_ok(th_list_dir(FOLDER, &names));
    assert_int_equal(names.count, 2);
    th_names_free(&names);
    assert_ok(th_remove_tree(FOLDER));
}

static void failed_save_leaves_the_old_model(void **state) {
    (void)state;
    fresh_folder();
    const char *path = FOLDER "/model.safetensors";
    assert_ok(save(path, 0));
    th_safetensors_writer *w;
    static const float big[2] = {1, 65520}, good[2] = {1, 65519}, infinite[2] = {INFINITY, NAN};
    assert_ok(th_safetensors_writer_new(path, 0, &w));
    th_safetensors_declare(w, "a", TH_ST_F16, 1, (int64_t[]){6});
    assert_ok(th_safetensors_begin(w));
    assert_non_null(th_safetensors_next(w));
    th_safetensors_add_f32(w, good, 2);
    th_safetensors_add_f32(w, infinite, 2);
    th_safetensors_add_f32(w, big, 2);
    th_fail(TH_E_BUG, "another message");
    assert_fails(th_safetensors_commit(w), TH_E_INPUT,
                 "model.safetensors: tensor 'a' holds 65520, beyond half precision's 65504");
    check_saved(FOLDER);
    assert_false(th_path_exists(FOLDER "/model.safetensors.tmp"));

    assert_ok(th_safetensors_writer_new(path, 0, &w));
    th_safetensors_declare(w, "a", TH_ST_F32, 1, (int64_t[]){2});
    assert_ok(th_safetensors_begin(w));
    th_safetensors_abort(w);
    check_saved(FOLDER);
    assert_ok(th_remove_tree(FOLDER));
}

static void misuse_of_the_writer_is_told(void **state) {
    (void)state;
    th_safetensors_writer *w;
    assert_fails(th_safetensors_writer_new("model.bin", 0, &w), TH_E_USAGE, "should end in .safetensors");
    static const int64_t two[1] = {2}, wrong[1] = {-1}, huge[2] = {INT64_MAX, 2};
    static const float x[3] = {0};
    for (int what = 0; what < 10; what++) {
        assert_ok(th_safetensors_writer_new("misuse.safetensors", 0, &w));
        th_safetensors_declare(w, "a", what == 8 ? TH_ST_I32 : TH_ST_F32, 1, what == 0 ? wrong : two);
        if (what == 1) th_safetensors_declare(w, "a", TH_ST_F32, 1, two);
        if (what == 2) th_safetensors_declare(w, "b", TH_ST_F32, 2, huge);
        if (what == 3) th_safetensors_declare(w, "\xff", TH_ST_F32, 1, two);
        if (what == 9) th_safetensors_declare(w, "__metadata__", TH_ST_F32, 1, two);
        if (what != 4) th_safetensors_begin(w);
        if (what == 5) th_safetensors_add(w, x, 4);
        if (what != 7) th_safetensors_next(w);
        if (what == 6 || what == 8) th_safetensors_add_f32(w, x, 3);
        static const char *const messages[] = {"impossible shape",    "declared twice",      "impossible shape",
                                               "name is not UTF-8",   "commit before begin", "before the first",
                                               "more bytes than its", "was never written",   "is I32 and cannot be",
                                               "cannot be written"};
        assert_fails(th_safetensors_commit(w), TH_E_USAGE, messages[what]);
        assert_false(th_path_exists("misuse.safetensors"));
    }
    assert_ok(th_safetensors_writer_new("misuse.safetensors", 0, &w));
    th_safetensors_declare(w, "a", TH_ST_F32, 1, two);
    assert_ok(th_safetensors_begin(w));
    assert_non_null(th_safetensors_next(w));
    th_safetensors_add_f32(w, x, 1);
    assert_null(th_safetensors_next(w));
    assert_fails(th_safetensors_commit(w), TH_E_USAGE, "tensor 'a' lacks 4 of its 8 bytes");
}

static void empty_model_is_valid(void **state) {
    (void)state;
    th_safetensors_writer *w;
    assert_ok(th_safetensors_writer_new("empty.safetensors", 0, &w));
    assert_ok(th_safetensors_begin(w));
    assert_null(th_safetensors_next(w));
    assert_ok(th_safetensors_commit(w));
    th_safetensors *s;
    assert_ok(th_safetensors_open("empty.safetensors", NULL, &s));
    assert_int_equal(th_safetensors_count(s), 0);
    th_safetensors_close(s);
    assert_ok(th_remove_tree("empty.safetensors"));
}

static void full_disk_is_told_apart(void **state) {
    (void)state;
    if (symlink("/dev/full", "full.safetensors.tmp") != 0) skip_because("there is no /dev/full");
    th_safetensors_writer *w;
    static const float x[4096] = {0};
    assert_ok(th_safetensors_writer_new("full.safetensors", 0, &w));
    th_safetensors_declare(w, "a", TH_ST_F32, 1, (int64_t[]){4096});
    assert_ok(th_safetensors_begin(w));
    assert_non_null(th_safetensors_next(w));
    th_safetensors_add_f32(w, x, 4096);
    assert_fails(th_safetensors_commit(w), TH_E_DISK, "full.safetensors: cannot write it");
    assert_false(th_path_exists("full.safetensors"));
}

static void every_failed_allocation_is_reported(void **state) {
    (void)state;
    fresh_folder();
    size_t before = th_bytes_in_use();
    th_status s = TH_E_MEMORY;
    for (int n = 1; s != TH_OK; n++) {
        th_alloc_fail_at(n, false);
        s = save(FOLDER "/model.safetensors", 20000);
        th_alloc_fail_at(0, false);
        if (s != TH_OK) assert_int_equal(s, TH_E_MEMORY);
        assert_int_equal(th_bytes_in_use(), before);
    }
    s = TH_E_MEMORY;
    for (int n = 1; s != TH_OK; n++) {
        th_safetensors *m;
        th_alloc_fail_at(n, false);
        s = th_safetensors_open(FOLDER, NULL, &m);
        th_alloc_fail_at(0, false);
        if (s != TH_OK) assert_int_equal(s, TH_E_MEMORY);
        th_safetensors_close(m);
        assert_int_equal(th_bytes_in_use(), before);
    }
    assert_ok(th_remove_tree(FOLDER));
}

/* Against the definition, in exact arithmetic: the nearest of the two neighbours, the even one on a tie. */
static void halves_are_rounded_to_the_nearest(void **state) {
    (void)state;
    for (uint32_t h = 0; h < 0x7c00; h++) {
        double low = (double)th_f16_to_f32((uint16_t)h);
        double exact = h < 0x400 ? ldexp(h, -24) : ldexp(1024 + (h & 0x3ff), (int)(h >> 10) - 25);
        assert_true(low == exact);
        double high = h == 0x7bff ? 65536 : (double)th_f16_to_f32((uint16_t)(h + 1));
        float middle = (float)((low + high) / 2);
        assert_int_equal(th_f32_to_f16((float)low), h);
        assert_int_equal(th_f32_to_f16(middle), h + (h & 1));
        assert_int_equal(th_f32_to_f16(nextafterf(middle, 0)), h);
        assert_int_equal(th_f32_to_f16(nextafterf(middle, INFINITY)), h + 1);
        assert_int_equal(th_f32_to_f16(-(float)low), h | 0x8000);
    }
    assert_int_equal(th_f32_to_f16(INFINITY), 0x7c00);
    assert_int_equal(th_f32_to_f16(-1e30f), 0xfc00);
    assert_true(isnan(th_f16_to_f32(th_f32_to_f16(NAN))));
    assert_true(isnan(th_f16_to_f32(0x7c01)) && isinf(th_f16_to_f32(0xfc00)));
    assert_int_equal(th_f32_to_f16(th_bits_f32(0x7f800001)) & 0x7e00, 0x7e00); /* a NaN whose payload is cut off */
}

static void bfloats_are_rounded_to_the_nearest(void **state) {
    (void)state;
    for (uint32_t b = 0; b < 0x7f80; b++) {
        uint32_t low = b << 16;
        assert_int_equal(th_f32_bits(th_bf16_to_f32((uint16_t)b)), low);
        assert_int_equal(th_f32_to_bf16(th_bits_f32(low)), b);
        assert_int_equal(th_f32_to_bf16(th_bits_f32(low + 0x7fff)), b);
        assert_int_equal(th_f32_to_bf16(th_bits_f32(low + 0x8000)), b + (b & 1));
        assert_int_equal(th_f32_to_bf16(th_bits_f32(low + 0x8001)), b + 1);
        assert_int_equal(th_f32_to_bf16(th_bits_f32(low | 0x80000000u)), b | 0x8000);
    }
    assert_int_equal(th_f32_to_bf16(-INFINITY), 0xff80);
    assert_true(isnan(th_bf16_to_f32(th_f32_to_bf16(th_bits_f32(0x7f800001)))));
    assert_true(isnan(th_bf16_to_f32(th_f32_to_bf16(th_bits_f32(0xffffffff)))));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_headers_are_refused_each_with_its_reason),
        cmocka_unit_test(length_beyond_the_file_or_the_limit_is_refused),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(official_file_is_read),
        cmocka_unit_test(wanted_shape_is_checked),
        cmocka_unit_test(folder_and_variant_are_found),
        cmocka_unit_test(bad_shard_indexes_are_refused),
        cmocka_unit_test(written_file_reads_back_and_is_aligned),
        cmocka_unit_test(shards_replace_a_file_and_a_file_replaces_shards),
        cmocka_unit_test(failed_save_leaves_the_old_model),
        cmocka_unit_test(misuse_of_the_writer_is_told),
        cmocka_unit_test(empty_model_is_valid),
        cmocka_unit_test(full_disk_is_told_apart),
        cmocka_unit_test(every_failed_allocation_is_reported),
        cmocka_unit_test(halves_are_rounded_to_the_nearest),
        cmocka_unit_test(bfloats_are_rounded_to_the_nearest),
    };
    return cmocka_run_group_tests_name("format.safetensors", tests, NULL, NULL);
}
