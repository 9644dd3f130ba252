/* WebDataset shards: streaming, the index, writing, and names of many files. */
#include "test.h"

#include <locale.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/memory.h"
#include "format/paths.h"
#include "format/tar.h"

#define TARS TH_TEST_DATA "/tar/"

static th_bytes slurp(const char *path) {
    th_bytes b;
    assert_ok(th_file_read(path, 1 << 22, &b));
    return b;
}

/* The samples of the fixtures, which tests/fixtures/archives.py describes. */
static void check_samples(th_tar_reader *r, int expected) {
    static const struct {
        const char *key, *extensions[2];
        size_t sizes[2];
    } want[] = {{"a/1", {"jpg", "txt"}, {700, 7}},
                {"a/2", {"jpg", "seg.png"}, {0, 4}},
                {"k\xc3\xa4"
                 "fer/lll",
                 {"jpg", "txt"},
                 {9, 1}}};
    th_tar_sample s;
    bool more;
    for (int i = 0; i < expected; i++) {
        assert_ok(th_tar_next(r, &s, &more));
        assert_true(more);
        assert_int_equal(strncmp(s.key, want[i].key, strlen(want[i].key)), 0);
        assert_int_equal(s.count, 2);
        for (int k = 0; k < 2; k++) {
            assert_string_equal(s.files[k].extension, want[i].extensions[k]);
            assert_int_equal(s.files[k].size, want[i].sizes[k]);
        }
        if (i == 0) assert_string_equal(s.files[1].data, "caption");
    }
    assert_ok(th_tar_next(r, &s, &more));
    assert_false(more);
    assert_ok(th_tar_next(r, &s, &more));
    assert_false(more);
}

static void every_dialect_gives_the_same_samples(void **state) {
    (void)state;
    static const char *const paths[] = {TARS "gnu.tar", TARS "pax.tar", TARS "gnu.tar.gz", TARS "ustar.tar"};
    for (int i = 0; i < 4; i++) {
        th_tar_reader *r;
        assert_ok(th_tar_open(paths[i], NULL, &r));
        check_samples(r, i == 3 ? 2 : 3);
        th_tar_close(r);
        th_bytes b = slurp(paths[i]);
        assert_ok(th_tar_open_memory(b.data, b.length, "memory", NULL, &r));
        check_samples(r, i == 3 ? 2 : 3);
        th_tar_close(r);
        th_free(b.data);
    }
}

static void compare_to_stream(const char *path) {
    th_tar_reader *r;
    th_tar_index *x;
    th_tar_sample s;
    bool more;
    int64_t n = 0;
    assert_ok(th_tar_open(path, NULL, &r));
    assert_ok(th_tar_index_open(path, NULL, &x));
    for (;; n++) {
        assert_ok(th_tar_next(r, &s, &more));
        if (!more) break;
        assert_true(n < th_tar_index_count(x));
        assert_string_equal(s.key, th_tar_index_key(x, n));
        int count;
        const th_tar_place *p = th_tar_index_files(x, n, &count);
        assert_int_equal(count, s.count);
        for (int k = 0; k < count; k++) {
            assert_string_equal(p[k].extension, s.files[k].extension);
            assert_int_equal(p[k].size, s.files[k].size);
            char *bytes = malloc((size_t)p[k].size + 1);
            assert_non_null(bytes);
            assert_ok(th_tar_index_read(x, &p[k], bytes));
            assert_memory_equal(bytes, s.files[k].data, (size_t)p[k].size);
            free(bytes);
        }
    }
    assert_int_equal(n, th_tar_index_count(x));
    th_tar_index_close(x);
    th_tar_close(r);
}

static void index_finds_what_the_stream_gives(void **state) {
    (void)state;
    compare_to_stream(TARS "gnu.tar");
    compare_to_stream(TARS "pax.tar");
    compare_to_stream(TARS "ustar.tar");
}

static void real_shard_is_indexed(void **state) {
    (void)state;
    const char *path = TH_SHARED "/data/flickr8k/flickr8k-000006.tar";
    if (!th_path_exists(path)) skip_because("%s is absent", path);
    compare_to_stream(path);
}

static void extensions_are_found_in_their_order(void **state) {
    (void)state;
    static const th_tar_file files[] = {{"txt", "a", 1}, {"jpeg", "b", 1}, {"jpg", "c", 1}};
    th_tar_sample s = {"k", files, 3};
    assert_ptr_equal(th_tar_find(&s, "png;jpg;jpeg"), &files[2]);
    assert_ptr_equal(th_tar_find(&s, "jpeg;jpg"), &files[1]);
    assert_null(th_tar_find(&s, "jp;jpgg;"));
    assert_null(th_tar_find(&s, ""));
    th_tar_index *x;
    assert_ok(th_tar_index_open(TARS "gnu.tar", NULL, &x));
    assert_int_equal(th_tar_index_find(x, 0, "png;txt;jpg")->size, 7);
    assert_null(th_tar_index_find(x, 0, "png"));
    th_tar_index_close(x);
}

/* Streams all of it; the status of what ends it. */
static th_status drain(const void *bytes, size_t n, const th_tar_params *params) {
    th_tar_reader *r;
    TH_TRY(th_tar_open_memory(bytes, n, "x.tar", params, &r));
    th_tar_sample s;
    bool more;
    th_status status;
    do status = th_tar_next(r, &s, &more);
    while (status == TH_OK && more);
    th_tar_close(r);
    return status;
}

static void truncated_archive_is_refused(void **state) {
    (void)state;
    th_bytes b = slurp(TARS "gnu.tar");
    assert_fails(drain(b.data, 512 + 300, NULL), TH_E_INPUT, "x.tar: ");
    assert_fails(drain(b.data, 300, NULL), TH_E_INPUT, "x.tar: ");
    assert_fails(drain(b.data, 0, NULL), TH_E_INPUT, "x.tar: is empty");
    th_tar_index *x;
    assert_ok(th_file_write("tar_test.tar", b.data, 512 + 300));
    assert_fails(th_tar_index_open("tar_test.tar", NULL, &x), TH_E_INPUT, "tar_test.tar: 'a/1.jpg' ends early");
    assert_ok(th_file_write("tar_test.tar", "", 0));
    assert_fails(th_tar_index_open("tar_test.tar", NULL, &x), TH_E_INPUT, "tar_test.tar: is empty");
    th_tar_reader *r;
    assert_fails(th_tar_open("tar_test.tar", NULL, &r), TH_E_INPUT, "tar_test.tar: is empty");
    unlink("tar_test.tar");
    th_free(b.data);
    b = slurp(TARS "gnu.tar.gz");
    for (size_t n = 1; n < b.length; n += 7) assert_int_equal(drain(b.data, n, NULL), TH_E_INPUT);
    th_free(b.data);
}

static void what_is_no_archive_is_refused(void **state) {
    (void)state;
    char text[2000];
    memset(text, 'x', sizeof text);
    assert_fails(drain(text, sizeof text, NULL), TH_E_INPUT, "x.tar: is damaged or no tar archive");
    th_tar_index *x;
    th_tar_reader *r;
    assert_fails(th_tar_index_open(TARS "gnu.tar.gz", NULL, &x), TH_E_INPUT, "gnu.tar.gz: is compressed");
    assert_fails(th_tar_index_open("none.tar", NULL, &x), TH_E_IO, "none.tar: cannot open it");
    assert_fails(th_tar_open("none.tar", NULL, &r), TH_E_IO, "none.tar: cannot open it");
    assert_fails(th_tar_open(TARS, NULL, &r), TH_E_INPUT, "is a folder");
    assert_fails(th_tar_index_open(TARS, NULL, &x), TH_E_INPUT, "is not a regular file");
    th_bytes b = slurp(TARS "gnu.tar");
    b.data[1024 + 512 + 3] ^= 1; /* in a header: its checksum fails */
    assert_fails(drain(b.data, b.length, NULL), TH_E_INPUT, "x.tar: is damaged");
    th_free(b.data);
}

static void limits_are_kept(void **state) {
    (void)state;
    th_bytes b = slurp(TARS "gnu.tar");
    th_tar_params p;
    th_tar_params_init(&p);
    p.entry_bytes_max = 699;
    assert_fails(drain(b.data, b.length, &p), TH_E_INPUT, "x.tar: 'a/1.jpg' is 700 bytes long, at most 699");
    p.entry_bytes_max = 700;
    assert_ok(drain(b.data, b.length, &p));
    p.sample_files_max = 1;
    assert_fails(drain(b.data, b.length, &p), TH_E_INPUT, "x.tar: the sample 'a/1' has more than 1 files");
    th_tar_index *x;
    assert_fails(th_tar_index_open(TARS "gnu.tar", &p, &x), TH_E_INPUT, "has more than 1 files");
    th_free(b.data);
}

static th_status write_samples(const char *prefix, int64_t samples_max, int64_t bytes_max, int count, int64_t *shards) {
    th_tar_writer_params p;
    th_tar_writer_params_init(&p, prefix);
    p.samples_max = samples_max;
    p.bytes_max = bytes_max;
    th_tar_writer *w;
    TH_TRY(th_tar_writer_open(&p, &w));
    for (int i = 0; i < count; i++) {
        char key[32], text[600];
        memset(text, 'a' + i % 26, sizeof text);
        snprintf(key, sizeof key, "%02d/s%03d", i / 10, i);
        const th_tar_file files[] = {{"jpg", text, sizeof text}, {"txt", text, (size_t)i}};
        th_status s = th_tar_writer_add(w, &(th_tar_sample){key, files, 2});
        if (s != TH_OK) return th_tar_writer_abort(w), s;
    }
    return th_tar_writer_close(w, shards);
}

static void shards_are_cut_by_samples_and_bytes(void **state) {
    (void)state;
    int64_t shards;
    assert_ok(write_samples("tar_test", 4, 1 << 20, 10, &shards));
    assert_int_equal(shards, 3);
    static const int counts[] = {4, 4, 2};
    int seen = 0;
    for (int i = 0; i < 3; i++) {
        char path[64], key[32], text[600];
        snprintf(path, sizeof path, "tar_test-%06d.tar", i);
        compare_to_stream(path);
        th_tar_index *x;
        assert_ok(th_tar_index_open(path, NULL, &x));
        assert_int_equal(th_tar_index_count(x), counts[i]);
        for (int k = 0; k < counts[i]; k++, seen++) {
            snprintf(key, sizeof key, "%02d/s%03d", seen / 10, seen);
            assert_string_equal(th_tar_index_key(x, k), key);
            const th_tar_place *p = th_tar_index_find(x, k, "jpg");
            assert_int_equal(p->size, 600);
            assert_ok(th_tar_index_read(x, p, text));
            assert_int_equal(text[599], 'a' + seen % 26);
        }
        th_tar_index_close(x);
        unlink(path);
    }
    /* 512 + 1,024 bytes for the picture, 512 + 512 for the text (512 for the empty one): three samples fit. */
    assert_ok(write_samples("tar_test", 1000, 7700, 7, &shards));
    assert_int_equal(shards, 3);
    for (int i = 0; i < 3; i++) {
        char path[64];
        snprintf(path, sizeof path, "tar_test-%06d.tar", i);
        assert_int_equal(unlink(path), 0);
    }
    assert_ok(write_samples("tar_test", 5, 100, 2, &shards)); /* a sample that is too large has its own */
    assert_int_equal(shards, 2);
    unlink("tar_test-000000.tar"), unlink("tar_test-000001.tar");
    assert_ok(write_samples("tar_test", 5, 100, 0, &shards));
    assert_int_equal(shards, 0);
}

static void shards_are_the_same_bytes_each_time(void **state) {
    (void)state;
    int64_t shards;
    char first[TH_HASH_TEXT], again[TH_HASH_TEXT];
    assert_ok(write_samples("tar_test", 100, 1 << 20, 5, &shards));
    assert_ok(th_hash_file("tar_test-000000.tar", first));
    sleep(1);
    assert_ok(write_samples("tar_test", 100, 1 << 20, 5, &shards));
    assert_ok(th_hash_file("tar_test-000000.tar", again));
    assert_string_equal(first, again);
    unlink("tar_test-000000.tar");
}

static void name_that_would_not_come_back_is_refused(void **state) {
    (void)state;
    th_tar_writer_params p;
    th_tar_writer_params_init(&p, "tar_test");
    th_tar_writer *w;
    assert_ok(th_tar_writer_open(&p, &w));
    th_tar_file file = {"jpg", "x", 1}, twice[] = {file, file};
    static const char *const keys[] = {"", "a/", "/a", "a.b", "x/.y"};
    for (int i = 0; i < 5; i++)
        assert_fails(th_tar_writer_add(w, &(th_tar_sample){keys[i], &file, 1}), TH_E_USAGE, "is no key");
    assert_fails(th_tar_writer_add(w, &(th_tar_sample){"a", twice, 2}), TH_E_USAGE, "a.jpg is there twice");
    file.extension = "";
    assert_fails(th_tar_writer_add(w, &(th_tar_sample){"a", &file, 1}), TH_E_USAGE, "no extension");
    file.extension = "JPG";
    assert_fails(th_tar_writer_add(w, &(th_tar_sample){"a", &file, 1}), TH_E_USAGE, "capitals");
    file.extension = "jpg";
    assert_ok(th_tar_writer_add(w, &(th_tar_sample){"x.y/k\xc3\xa4"
                                                    "fer",
                                                    &file, 1}));
    assert_ok(th_tar_writer_close(w, NULL));
    th_tar_index *x;
    assert_ok(th_tar_index_open("tar_test-000000.tar", NULL, &x));
    assert_string_equal(th_tar_index_key(x, 0), "x.y/k\xc3\xa4"
                                                "fer");
    th_tar_index_close(x);
    unlink("tar_test-000000.tar");
}

/* Two blocks for each file and two at the end, filled up to a record: no pax headers for plain names. And the bytes are
 * the same in another locale. */
static void plain_names_cost_one_header(void **state) {
    (void)state;
    static const char *const keys[] = {"a", "b", "c\xc3\xa4"};
    char hash[2][TH_HASH_TEXT];
    for (int k = 0; k < 2; k++) {
        th_tar_writer_params p;
        th_tar_writer_params_init(&p, "tar_test");
        th_tar_writer *w;
        th_tar_file file = {"jpg", "x", 1};
        const char *set = setlocale(LC_ALL, k ? "C.UTF-8" : "C");
        assert_true(set || k);
        assert_ok(th_tar_writer_open(&p, &w));
        for (int i = 0; i < 3; i++) assert_ok(th_tar_writer_add(w, &(th_tar_sample){keys[i], &file, 1}));
        assert_ok(th_tar_writer_close(w, NULL));
        setlocale(LC_ALL, "C");
        th_bytes b = slurp("tar_test-000000.tar");
        assert_string_equal(b.data + 1024, "b.jpg");
        th_hash_bytes(b.data, b.length, hash[k]);
        th_free(b.data);
    }
    assert_string_equal(hash[0], hash[1]);
    unlink("tar_test-000000.tar");
}

static void aborted_shard_leaves_nothing(void **state) {
    (void)state;
    th_tar_writer_params p;
    th_tar_writer_params_init(&p, "tar_test");
    p.samples_max = 1;
    th_tar_writer *w;
    th_tar_file file = {"jpg", "x", 1};
    assert_ok(th_tar_writer_open(&p, &w));
    assert_ok(th_tar_writer_add(w, &(th_tar_sample){"a", &file, 1}));
    assert_ok(th_tar_writer_add(w, &(th_tar_sample){"b", &file, 1}));
    th_tar_writer_abort(w);
    assert_true(th_path_exists("tar_test-000000.tar")); /* complete, so it stays */
    assert_false(th_path_exists("tar_test-000001.tar"));
    assert_false(th_path_exists("tar_test-000001.tar.tmp"));
    unlink("tar_test-000000.tar");
    p.prefix = "none/tar_test";
    assert_ok(th_tar_writer_open(&p, &w));
    assert_fails(th_tar_writer_add(w, &(th_tar_sample){"a", &file, 1}), TH_E_IO, "none/tar_test-000000.tar");
    assert_fails(th_tar_writer_add(w, &(th_tar_sample){"b", &file, 1}), TH_E_IO, "an earlier sample");
    assert_fails(th_tar_writer_close(w, NULL), TH_E_IO, "the shard is dropped");
}

static void full_disk_is_told(void **state) {
    (void)state;
    if (!th_path_exists("/dev/full") || symlink("/dev/full", "tar_full-000000.tar.tmp") != 0)
        skip_because("there is no /dev/full");
    int64_t shards;
    assert_fails(write_samples("tar_full", 100, 1 << 20, 20, &shards), TH_E_DISK, "tar_full-000000.tar: cannot write");
    assert_false(th_path_exists("tar_full-000000.tar"));
}

static void no_failed_allocation_leaks(void **state) {
    (void)state;
    size_t before = th_bytes_in_use();
    for (int which = 0; which < 3; which++) {
        th_status s = TH_E_MEMORY;
        for (int n = 1; s != TH_OK; n++) {
            th_bytes b = slurp(TARS "pax.tar");
            th_tar_index *x = NULL;
            int64_t shards;
            th_alloc_fail_at(n, false);
            s = which == 0   ? drain(b.data, b.length, NULL)
                : which == 1 ? th_tar_index_open(TARS "pax.tar", NULL, &x)
                             : write_samples("tar_test", 2, 1 << 20, 3, &shards);
            th_alloc_fail_at(0, false);
            assert_true(s == TH_OK || s == TH_E_MEMORY);
            th_tar_index_close(x);
            th_free(b.data);
            assert_int_equal(th_bytes_in_use(), before);
        }
    }
    unlink("tar_test-000000.tar"), unlink("tar_test-000001.tar");
}

static void expands_to(const char *pattern, const char *joined) {
    th_names n;
    assert_ok(th_paths_expand(pattern, &n));
    char all[1000] = "";
    for (int64_t i = 0; i < n.count; i++) {
        if (i) strcat(all, " ");
        strcat(all, n.names[i]);
    }
    assert_string_equal(all, joined);
    th_names_free(&n);
}

static void braces_are_expanded(void **state) {
    (void)state;
    expands_to("plain.tar", "plain.tar");
    expands_to("s-{000..003}.tar", "s-000.tar s-001.tar s-002.tar s-003.tar");
    expands_to("{9..11} {08..10}", "9 08 9 09 9 10 10 08 10 09 10 10 11 08 11 09 11 10");
    expands_to("{3..1}", "3 2 1");
    expands_to("{a,b}-{1..2}.tar", "a-1.tar a-2.tar b-1.tar b-2.tar");
    expands_to("x{,y}", "x xy");
    expands_to("no}thing{", "no}thing{");
    th_names n;
    assert_fails(th_paths_expand("a{1..2000000}", &n), TH_E_INPUT, "stands for more than 1000000 files");
    assert_fails(th_paths_expand("a{0..999}{0..1000}", &n), TH_E_INPUT, "stands for more than 1000000 files");
    assert_fails(th_paths_expand("a{b}", &n), TH_E_INPUT, "{b} is neither a range");
    assert_fails(th_paths_expand("a{1..}", &n), TH_E_INPUT, "{1..} is neither a range");
    assert_fails(th_paths_expand("{{{{{{{{{{{{{{{{{", &n), TH_E_INPUT, "has more than 16 braces");
    assert_fails(th_paths_expand("{a,{b,c}}", &n), TH_E_INPUT, "braces inside braces");
    assert_fails(th_paths_expand("{1..99999999999}", &n), TH_E_INPUT, "is neither a range");
}

static void globs_are_matched(void **state) {
    (void)state;
    assert_ok(th_make_dirs("paths_test"));
    static const char *const files[] = {"b2.tar", "a1.tar", "b1.tar", "c.txt", "[x].tar"};
    for (int i = 0; i < 5; i++) {
        char path[64];
        snprintf(path, sizeof path, "paths_test/%s", files[i]);
        assert_ok(th_file_write(path, "", 0));
    }
    expands_to("paths_test/{b,a}*.tar", "paths_test/b1.tar paths_test/b2.tar paths_test/a1.tar");
    expands_to("paths_test/[x].tar", "paths_test/[x].tar");
    th_names n;
    assert_fails(th_paths_expand("paths_test/*.jpg", &n), TH_E_IO, "no file matches 'paths_test/*.jpg'");
    assert_ok(th_remove_tree("paths_test"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_dialect_gives_the_same_samples),
        cmocka_unit_test(index_finds_what_the_stream_gives),
        cmocka_unit_test(real_shard_is_indexed),
        cmocka_unit_test(extensions_are_found_in_their_order),
        cmocka_unit_test(truncated_archive_is_refused),
        cmocka_unit_test(what_is_no_archive_is_refused),
        cmocka_unit_test(limits_are_kept),
        cmocka_unit_test(shards_are_cut_by_samples_and_bytes),
        cmocka_unit_test(shards_are_the_same_bytes_each_time),
        cmocka_unit_test(name_that_would_not_come_back_is_refused),
        cmocka_unit_test(plain_names_cost_one_header),
        cmocka_unit_test(aborted_shard_leaves_nothing),
        cmocka_unit_test(full_disk_is_told),
        cmocka_unit_test(no_failed_allocation_leaks),
        cmocka_unit_test(braces_are_expanded),
        cmocka_unit_test(globs_are_matched),
    };
    return cmocka_run_group_tests_name("tar", tests, NULL, NULL);
}
