/* Columns of words beside pictures. */
#include "test.h"

#include "base/file.h"
#include "base/memory.h"
#include "data/columns.h"

#define ROOT "columns_test"

static int set_up(void **state) {
    (void)state;
    th_remove_tree(ROOT);
    return th_make_dirs(ROOT "/classes/bag") == TH_OK && th_make_dirs(ROOT "/classes/shoe") == TH_OK ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    return th_remove_tree(ROOT) == TH_OK ? 0 : -1;
}

static void put(const char *path, const char *text) { assert_ok(th_file_write(path, text, strlen(text))); }

/* As generation writes it. */
static const char table[] = "file\tprompt\tseed\tcolour\n"
                            "0.png\ta red bag\t7\tred\n"
                            "1.png\ta blue bag\t8\t\n"
                            "0.png\tthe same again\t9\tgreen\n"
                            "2.png\ta bag\t10\tblue\n";

static void table_gives_the_first_row_of_each_picture(void **state) {
    (void)state;
    const int64_t indices[] = {2, 0};
    th_dataset_params p;
    th_dataset_params_init(&p);
    p.indices = indices, p.index_count = 2;
    th_dataset *d;
    th_columns *c;
    int column;
    put(ROOT "/images.tsv", table);
    assert_ok(th_dataset_open(ROOT "/images.tsv", &p, NULL, &d));
    assert_ok(th_columns_read(d, &p, &c));
    assert_int_equal(th_columns_count(c), 4);
    assert_ok(th_columns_need(c, "colour", &column));
    assert_string_equal(th_columns_cell(c, 0, column), "blue");
    assert_string_equal(th_columns_cell(c, 1, column), "red");
    assert_string_equal(th_columns_cell(c, 1, th_columns_find(c, "seed")), "7");
    assert_int_equal(th_columns_find(c, "garment"), -1);
    assert_fails(th_columns_need(c, "garment", &column), TH_E_INPUT,
                 "images.tsv: no column 'garment' (there are: file, prompt, seed, colour)");
    int64_t at = 0;
    char room[TH_SCENE_VALUE_MAX];
    assert_null(th_columns_scene_value(c, 0, &at, room));
    th_columns_free(c);
    th_dataset_close(d);
    put(ROOT "/only.tsv", "file\tprompt\n0.png\ta bag\n");
    assert_ok(th_dataset_open(ROOT "/only.tsv", NULL, NULL, &d));
    assert_string_equal(th_dataset_caption_of(d, 0, 0, (char[TH_DATASET_ROOM]){0}), "a bag");
    th_dataset_close(d);
}

static void classes_give_their_label(void **state) {
    (void)state;
    put(ROOT "/classes/bag/0.png", "");
    put(ROOT "/classes/shoe/1.png", "");
    th_dataset *d;
    th_columns *c;
    assert_ok(th_dataset_open(ROOT "/classes", NULL, NULL, &d));
    assert_ok(th_columns_read(d, NULL, &c));
    assert_int_equal(th_columns_count(c), 1);
    assert_string_equal(th_columns_cell(c, 0, th_columns_find(c, "label")), "bag");
    assert_string_equal(th_columns_cell(c, 1, th_columns_find(c, "label")), "shoe");
    th_columns_free(c);
    th_dataset_close(d);
}

static bool is_value(const th_columns *c, int column, const char *cell) {
    char room[TH_SCENE_VALUE_MAX];
    const char *value;
    for (int64_t at = 0; (value = th_columns_scene_value(c, column, &at, room));)
        if (!strcmp(value, cell)) return true;
    return false;
}

static void scenes_say_what_they_show(void **state) {
    (void)state;
    static const char *const names[] = {"garment", "colour", "background"};
    if (!th_path_exists(TH_SCENE_DATA_DIR)) skip_because("there is no " TH_SCENE_DATA_DIR);
    th_dataset *d;
    th_columns *c;
    assert_ok(th_dataset_open("fashion-scenes?split=test&garments=1&count=400", NULL, NULL, &d));
    assert_ok(th_columns_read(d, NULL, &c));
    assert_int_equal(th_columns_count(c), 3);
    for (int k = 0; k < 3; k++) {
        int64_t at = 0, most = k == 2 ? 20 : 10;
        char room[TH_SCENE_VALUE_MAX];
        assert_int_equal(th_columns_find(c, names[k]), k);
        while (th_columns_scene_value(c, k, &at, room)) continue;
        assert_int_equal(at - 1, most);
        for (int64_t i = 0; i < 400; i++)
            if (!is_value(c, k, th_columns_cell(c, i, k)))
                fail_msg("'%s' is none of the values of %s", th_columns_cell(c, i, k), names[k]);
    }
    th_columns_free(c);
    th_dataset_close(d);
    assert_ok(th_dataset_open("fashion-scenes?split=test&garments=2&count=4", NULL, NULL, &d));
    assert_ok(th_columns_read(d, NULL, &c));
    assert_string_equal(th_columns_cell(c, 0, 0), ""); /* of which of the two? */
    assert_true(*th_columns_cell(c, 0, 2));
    th_columns_free(c);
    th_dataset_close(d);
}

static void failed_allocations_lose_nothing(void **state) {
    (void)state;
    th_dataset *d;
    th_columns *c = NULL;
    put(ROOT "/images.tsv", table);
    assert_ok(th_dataset_open(ROOT "/images.tsv", NULL, NULL, &d));
    size_t before = th_bytes_in_use();
    th_status s = TH_E_MEMORY;
    for (int64_t at = 1; s != TH_OK; at++) {
        th_alloc_fail_at(at, false);
        s = th_columns_read(d, NULL, &c);
        th_alloc_fail_at(0, false);
        if (s == TH_OK) th_columns_free(c);
        assert_int_equal(th_bytes_in_use(), before);
    }
    th_dataset_close(d);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_gives_the_first_row_of_each_picture),
        cmocka_unit_test(classes_give_their_label),
        cmocka_unit_test(scenes_say_what_they_show),
        cmocka_unit_test(failed_allocations_lose_nothing),
    };
    return cmocka_run_group_tests_name("columns", tests, set_up, tear_down);
}
