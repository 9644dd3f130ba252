/* The ground: errors, memory, strings, maps, random numbers, files, hashes. */
#include "test.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/map.h"
#include "base/memory.h"
#include "base/rng.h"
#include "base/str.h"

static void message_keeps_its_context(void **state) {
    (void)state;
    th_fail(TH_E_INPUT, "byte %d", 7);
    assert_int_equal(th_fail_in(TH_E_INPUT, "a.tar"), TH_E_INPUT);
    assert_string_equal(th_error_message(), "a.tar: byte 7");
    assert_int_equal(th_status_exit(TH_E_DISK), 4);
}

static void arena_survives_failed_allocations(void **state) {
    (void)state;
    size_t before = th_bytes_in_use();
    th_arena *a = th_arena_new();
    assert_non_null(th_arena_alloc(a, 10, 1));
    th_alloc_fail_at(1, true);
    assert_null(th_arena_alloc(a, 1 << 20, 1));
    assert_true(th_arena_failed(a));
    th_alloc_fail_at(0, false);
    th_arena_free(a);
    assert_int_equal(th_bytes_in_use(), before);
}

static void string_stops_at_its_maximum(void **state) {
    (void)state;
    th_str s;
    th_str_init(&s, 8);
    th_str_printf(&s, "%s", "12345678");
    assert_ok(th_str_status(&s));
    th_str_puts(&s, "9");
    assert_int_equal(th_str_status(&s), TH_E_INPUT);
    assert_string_equal(th_str_text(&s), "12345678");
    th_str_free(&s);
}

static void map_holds_many_keys(void **state) {
    (void)state;
    th_map *m = th_map_new();
    char key[32];
    for (int i = 0; i < 10000; i++) {
        int n = snprintf(key, sizeof key, "key %d", i);
        assert_ok(th_map_set(m, key, (size_t)n, i));
    }
    assert_ok(th_map_set(m, "", 0, -5));
    assert_int_equal(th_map_count(m), 10001);
    assert_int_equal(th_map_get(m, "key 777", 7, -1), 777);
    assert_int_equal(th_map_get(m, "", 0, -1), -5);
    assert_int_equal(th_map_get(m, "key 10000", 9, -1), -1);
    th_map_free(m);
}

/* The known answers that come with Random123: counter and key of zeros, and of ones. */
static void philox_gives_the_published_answers(void **state) {
    (void)state;
    th_rng_block z = th_philox(0, 0, 0, 0);
    assert_int_equal(z.word[0], 0x6627e8d5);
    assert_int_equal(z.word[1], 0xe169c58d);
    assert_int_equal(z.word[2], 0xbc57ac4c);
    assert_int_equal(z.word[3], 0x9b00dbd8);
    th_rng_block f = th_philox(UINT64_MAX, UINT32_MAX, UINT32_MAX, UINT64_MAX);
    assert_int_equal(f.word[0], 0x408f276d);
    assert_int_equal(f.word[3], 0x6d5451fd);
}

static void permutation_is_one_and_depends_on_the_seed(void **state) {
    (void)state;
    int64_t a[1000], b[1000];
    bool seen[1000] = {false};
    th_rng_permute(1, TH_RNG_SHUFFLE, 3, 1000, a);
    th_rng_permute(2, TH_RNG_SHUFFLE, 3, 1000, b);
    int same = 0;
    for (int i = 0; i < 1000; i++) {
        assert_true(a[i] >= 0 && a[i] < 1000 && !seen[a[i]]);
        seen[a[i]] = true;
        same += a[i] == b[i];
    }
    assert_true(same < 20);
}

static void file_is_written_whole_or_not_at_all(void **state) {
    (void)state;
    assert_ok(th_make_dirs("base_test/a/b"));
    assert_ok(th_file_write("base_test/a/b/x", "one", 3));
    th_writer *w;
    assert_ok(th_writer_open("base_test/a/b/x", &w));
    th_writer_add(w, "two", 3);
    th_writer_abort(w);
    th_bytes got;
    assert_ok(th_file_read("base_test/a/b/x", 100, &got));
    assert_string_equal(got.data, "one");
    th_free(got.data);
    th_names names;
    assert_ok(th_list_dir("base_test/a/b", &names));
    assert_int_equal(names.count, 1);
    th_names_free(&names);
    assert_fails(th_file_read("base_test/a/b/x", 2, &got), TH_E_INPUT, "at most 2");
    assert_fails(th_file_read("base_test/none", 2, &got), TH_E_IO, "base_test/none");
    assert_fails(th_file_read("base_test/a", 2, &got), TH_E_INPUT, "is a folder");
    assert_ok(th_remove_tree("base_test"));
    assert_false(th_path_exists("base_test"));
}

static void full_disk_is_told_apart(void **state) {
    (void)state;
    FILE *full = fopen("/dev/full", "w");
    if (!full) skip_because("there is no /dev/full");
    fclose(full);
    if (symlink("/dev/full", "full.tmp") != 0) skip_because("no symbolic links here"); /* the writer's temporary name */
    th_writer *w;
    assert_ok(th_writer_open("full", &w));
    char block[8192] = {0};
    for (int i = 0; i < 16; i++) th_writer_add(w, block, sizeof block);
    assert_fails(th_writer_commit(w), TH_E_DISK, "full: cannot write it");
    assert_false(th_path_exists("full"));
}

static void hash_is_sha256(void **state) {
    (void)state;
    char text[TH_HASH_TEXT];
    th_hash_bytes("abc", 3, text);
    assert_string_equal(text, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(message_keeps_its_context),
        cmocka_unit_test(arena_survives_failed_allocations),
        cmocka_unit_test(string_stops_at_its_maximum),
        cmocka_unit_test(map_holds_many_keys),
        cmocka_unit_test(philox_gives_the_published_answers),
        cmocka_unit_test(permutation_is_one_and_depends_on_the_seed),
        cmocka_unit_test(file_is_written_whole_or_not_at_all),
        cmocka_unit_test(full_disk_is_told_apart),
        cmocka_unit_test(hash_is_sha256),
    };
    return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
