/* Data sets of tables and folders, made here: what they hold, which of it is chosen, what is said of broken ones. */
#include "dataset_fixture.h"

#include <unistd.h>

#include "data/dataset_parts.h"

#define ROOT "dataset_test"

static char room[TH_DATASET_ROOM];

static int set_up(void **state) {
    (void)state;
    th_remove_tree(ROOT);
    return th_make_dirs(ROOT) == TH_OK ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    return th_remove_tree(ROOT) == TH_OK ? 0 : -1;
}

/* ---- tables */

static void table_gives_pictures_captions_and_labels(void **state) {
    (void)state;
    put_picture(ROOT "/t/images/a.png", 10);
    put_picture(ROOT "/t/b c.png", 20);
    put_text(ROOT "/t/train.tsv", "filepath\ttitle\tlabel\nimages/a.png\t a red dress \tcat\nb c.png\ttwo bags\tant\n");
    th_dataset *d = open_with(ROOT "/t/train.tsv", NULL);
    assert_string_equal(th_dataset_kind(d), "table");
    assert_int_equal(th_dataset_count(d), 2);
    assert_caption(d, 0, "a red dress");
    assert_caption(d, 1, "two bags");
    assert_string_equal(th_dataset_key(d, 1, room), "b c.png");
    assert_int_equal(th_dataset_classes(d), 2);
    assert_int_equal(th_dataset_label(d, 0), 1);
    assert_string_equal(th_dataset_class_name(d, 0), "ant");
    assert_int_equal(level_of(d, 0), 10);
    assert_int_equal(level_of(d, 1), 20);
    th_dataset_close(d);
}

static void columns_go_by_their_usual_names_or_by_options(void **state) {
    (void)state;
    static const char *const headers[] = {"image,caption\n", "file_name,text\n", "filepath,title\n"};
    for (int i = 0; i < 3; i++) {
        char text[100];
        snprintf(text, sizeof text, "%sx.png,hello\n", headers[i]);
        put_text(ROOT "/columns.csv", text);
        th_dataset *d = open_with(ROOT "/columns.csv", NULL);
        assert_caption(d, 0, "hello");
        th_dataset_close(d);
    }
    put_text(ROOT "/columns.csv", "url;where;said;kind\nu;x.png;\"good \"\"day\"\"\";3\n");
    th_dataset_params p;
    th_dataset_params_init(&p);
    p.separator = ';';
    p.image_column = "where", p.caption_column = "said", p.label_column = "kind";
    th_dataset *d = open_with(ROOT "/columns.csv", &p);
    assert_caption(d, 0, "good \"day\"");
    assert_int_equal(th_dataset_label(d, 0), 3);
    assert_int_equal(th_dataset_classes(d), 4);
    assert_null(th_dataset_class_name(d, 3));
    th_dataset_close(d);
    p.plain_quotes = true;
    d = open_with(ROOT "/columns.csv", &p);
    assert_caption(d, 0, "\"good \"\"day\"\"\"");
    th_dataset_close(d);
}

static void missing_column_is_refused_with_those_there_are(void **state) {
    (void)state;
    put_text(ROOT "/train.tsv", "a\tb\n1\t2\n");
    open_fails(ROOT "/train.tsv", NULL, TH_E_INPUT,
               "train.tsv: no column 'image', 'filepath', 'file_name' or 'file' (there are: a, b)");
    put_text(ROOT "/train.tsv", "image\tb\n1\t2\n");
    open_fails(ROOT "/train.tsv", NULL, TH_E_INPUT,
               "train.tsv: no column 'caption', 'title' or 'text' (there are: image, b)");
    th_dataset_params p;
    th_dataset_params_init(&p);
    p.image_column = "picture";
    open_fails(ROOT "/train.tsv", &p, TH_E_INPUT, "no column 'picture' (there are: image, b)");
    p.image_column = NULL, p.caption_column = "said";
    open_fails(ROOT "/train.tsv", &p, TH_E_INPUT, "no column 'said' (there are: image, b)");
    p.caption_column = "b", p.label_column = "kind";
    open_fails(ROOT "/train.tsv", &p, TH_E_INPUT, "no column 'kind' (there are: image, b)");
}

static void rows_of_one_picture_are_its_captions(void **state) {
    (void)state;
    put_text(ROOT "/rows.tsv", "image\tcaption\nx.png\tone\ny.png\ttwo\nx.png\tthree\nz.png\tfour\ny.png\tfive\n");
    th_dataset *d = open_with(ROOT "/rows.tsv", NULL);
    assert_int_equal(th_dataset_images(d), 3);
    assert_int_equal(th_dataset_count(d), 5);
    static const char *const captions[] = {"one", "three", "two", "five", "four"};
    static const int images[] = {0, 0, 1, 1, 2};
    for (int i = 0; i < 5; i++) {
        assert_caption(d, i, captions[i]);
        assert_int_equal(th_dataset_image(d, i), images[i]);
    }
    assert_int_equal(th_dataset_captions(d, 1), 2);
    assert_int_equal(th_dataset_sample(d, 1), 2);
    assert_int_equal(th_dataset_sample(d, 2), 4);
    assert_string_equal(th_dataset_caption_of(d, 1, 1, room), "five");
    assert_string_equal(th_dataset_key(d, 2, room), "z.png");
    th_dataset_close(d);
    th_dataset_params p;
    th_dataset_params_init(&p);
    p.captions = TH_CAPTIONS_FIRST;
    d = open_with(ROOT "/rows.tsv", &p);
    assert_int_equal(th_dataset_count(d), 3);
    assert_caption(d, 1, "two");
    assert_int_equal(th_dataset_captions(d, 1), 2);
    th_dataset_close(d);
    put_text(ROOT "/rows.tsv", "image\tlabel\nx.png\t1\nx.png\t2\n");
    open_fails(ROOT "/rows.tsv", NULL, TH_E_INPUT, "rows.tsv: line 3: the same picture had another label before");
}

static void random_captions_follow_seed_and_epoch(void **state) {
    (void)state;
    put_text(ROOT "/random.tsv", "image\tcaption\nx.png\t['a', 'b', 'c']\ny.png\t['d']\n");
    th_dataset_params p;
    th_dataset_params_init(&p);
    p.captions = TH_CAPTIONS_RANDOM;
    p.seed = 3;
    th_dataset *d = open_with(ROOT "/random.tsv", &p), *again = open_with(ROOT "/random.tsv", &p);
    assert_int_equal(th_dataset_count(d), 2);
    int seen[3] = {0};
    for (uint32_t epoch = 0; epoch < 60; epoch++) {
        th_moment when = {.epoch = epoch};
        const char *c = th_dataset_caption(d, 0, &when, room);
        seen[c[0] - 'a']++;
        assert_string_equal(c, th_dataset_caption(again, 0, &when, room));
        assert_string_equal(th_dataset_caption(d, 1, &when, room), "d");
    }
    for (int i = 0; i < 3; i++) assert_in_range(seen[i], 8, 40);
    th_dataset_close(d);
    th_dataset_close(again);
}

static th_status collect(void *context, const char *item) {
    char *to = context;
    strcat(strcat(to, item), "|");
    return TH_OK;
}

/* The items, each followed by |; "" where the text is no list. */
static const char *list_of(const char *text) {
    static char items[200];
    char copy[200];
    th_status s;
    items[0] = '\0';
    snprintf(copy, sizeof copy, "%s", text);
    if (!th_caption_list(copy, collect, items, &s)) {
        assert_string_equal(copy, text); /* nothing was changed */
        return "";
    }
    assert_ok(s);
    return items;
}

static void caption_lists_are_those_of_json_and_python(void **state) {
    (void)state;
    assert_string_equal(list_of("[\"a b\", \"c\"]"), "a b|c|");
    assert_string_equal(list_of("['it\\'s', \"it's\" ,'']  "), "it's|it's||");
    assert_string_equal(list_of("[ 'a' , 'b', ]"), "a|b|");
    assert_string_equal(list_of("[\"\\u00e9\\ud83d\\ude00\\n\\\\\\/\"]"), "\303\251\360\237\230\200\n\\/|");
    assert_string_equal(list_of("['\\xe9\\d']"), "\303\251\\d|");
    static const char *const plain[] = {
        "a [b]",     "[PERSON] stands", "[\"a\" \"b\"]", "[\"a",        "['a'",   "['a'] and",          "['\\",
        "['\\u12']", "['\\x1g']",       "['\\ud800x']",  "['\\u0000']", "[1, 2]", "['\\ud800\\u0041']", "['a',, 'b']",
        "["};
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) assert_string_equal(list_of(plain[i]), "");
    th_dataset_params p;
    th_dataset_params_init(&p);
    put_text(ROOT "/lists.tsv", "image\tcaptions\nx.png\t['one', 'two']\ny.png\t[sic] three\n");
    th_dataset *d = open_with(ROOT "/lists.tsv", &p);
    assert_int_equal(th_dataset_count(d), 3);
    assert_caption(d, 1, "two");
    assert_caption(d, 2, "[sic] three");
    th_dataset_close(d);
}

static void broken_tables_are_refused(void **state) {
    (void)state;
    put_text(ROOT "/bad.tsv", "image\tcaption\n");
    open_fails(ROOT "/bad.tsv", NULL, TH_E_INPUT, "bad.tsv: holds no pictures");
    put_text(ROOT "/bad.tsv", "");
    open_fails(ROOT "/bad.tsv", NULL, TH_E_INPUT, "bad.tsv: is empty");
    put_text(ROOT "/bad.tsv", "image\tcaption\nx.png\n");
    open_fails(ROOT "/bad.tsv", NULL, TH_E_INPUT, "bad.tsv: line 2: has 1 columns");
    put_text(ROOT "/bad.tsv", "image\tcaption\nx.png\ta\n  \tb\n");
    open_fails(ROOT "/bad.tsv", NULL, TH_E_INPUT, "bad.tsv: line 3: the path of the picture is empty");
    put_text(ROOT "/bad.tsv", "image\tcaption\nx.png\ta\ny.png\t\nz.png\tb\n");
    open_fails(ROOT "/bad.tsv", NULL, TH_E_INPUT, "bad.tsv: 'y.png' has no caption, and 2 of 3 have one");
    open_fails(ROOT "/none.tsv", NULL, TH_E_IO, "none.tsv");
    th_dataset_params p;
    th_dataset_params_init(&p);
    p.skip_bad = true;
    th_dataset *d = open_with(ROOT "/bad.tsv", &p);
    char message[TH_MESSAGE_MAX];
    assert_int_equal(th_dataset_count(d), 2);
    assert_caption(d, 1, "b");
    assert_int_equal(th_dataset_skipped(d, message), 1);
    assert_non_null(strstr(message, "'y.png' has no caption"));
    th_dataset_close(d);
}

/* ---- choosing */

static void pictures_are_chosen_by_offset_stride_and_limit(void **state) {
    (void)state;
    put_text(ROOT "/ten.tsv",
             "image\tcaption\n0\ta\n1\tb\n1\tB\n2\tc\n3\td\n4\te\n5\tf\n6\tg\n6\tG\n7\th\n8\ti\n9\tj\n");
    static const struct {
        int offset, stride, limit;
        const char *captions;
    } cases[] = {{0, 1, 0, "abBcdefgGhij"}, {8, 1, 0, "ij"}, {1, 5, 0, "bBgG"}, {0, 3, 2, "ad"}, {9, 1, 99, "j"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        th_dataset_params p;
        th_dataset_params_init(&p);
        p.offset = cases[i].offset, p.stride = cases[i].stride, p.limit = cases[i].limit;
        th_dataset *d = open_with(ROOT "/ten.tsv", &p);
        char got[20] = "";
        for (int64_t s = 0; s < th_dataset_count(d); s++) strcat(got, th_dataset_caption(d, s, NULL, room));
        assert_string_equal(got, cases[i].captions);
        th_dataset_close(d);
    }
    th_dataset_params p;
    th_dataset_params_init(&p);
    static const int64_t indices[] = {6, 0, 9, 6};
    p.indices = indices, p.index_count = 4, p.offset = 1;
    th_dataset *d = open_with(ROOT "/ten.tsv", &p);
    assert_int_equal(th_dataset_images(d), 3);
    assert_int_equal(th_dataset_count(d), 4);
    assert_string_equal(th_dataset_key(d, 0, room), "0");
    assert_caption(d, 3, "G");
    th_dataset_close(d);
}

static void wrong_choices_are_refused(void **state) {
    (void)state;
    put_text(ROOT "/two.tsv", "image\tcaption\n0\ta\n1\tb\n");
    th_dataset_params p;
    th_dataset_params_init(&p);
    p.stride = 0;
    open_fails(ROOT "/two.tsv", &p, TH_E_USAGE, "not a choice");
    p.stride = 1, p.offset = 2;
    open_fails(ROOT "/two.tsv", &p, TH_E_INPUT, "two.tsv: of 2 pictures none is left from number 2 on");
    static const int64_t indices[] = {1, 2};
    p.offset = 0, p.indices = indices, p.index_count = 2;
    open_fails(ROOT "/two.tsv", &p, TH_E_USAGE, "two.tsv: picture 2 was chosen, there are 2");
    p.index_count = 0;
    open_fails(ROOT "/two.tsv", &p, TH_E_INPUT, "of 0 pictures none is left");
    th_dataset_params_init(&p);
    p.captions = (th_captions)7;
    open_fails(ROOT "/two.tsv", &p, TH_E_USAGE, "no choice of captions 7");
}

/* ---- folders */

static void class_folders_are_labels_and_captions(void **state) {
    (void)state;
    put_picture(ROOT "/classes/dog/2.png", 30);
    put_picture(ROOT "/classes/dog/more/1.jpeg", 31);
    put_picture(ROOT "/classes/cat/7.png", 32);
    put_picture(ROOT "/classes/cat/.hidden.png", 33);
    put_text(ROOT "/classes/readme.txt", "x");
    put_text(ROOT "/classes/classes.tsv", "name\tword\n");
    put_text(ROOT "/classes/empty/x.txt", "x");
    th_dataset *d = open_with(ROOT "/classes", NULL);
    assert_string_equal(th_dataset_kind(d), "image folder");
    assert_int_equal(th_dataset_count(d), 3);
    assert_int_equal(th_dataset_classes(d), 2);
    assert_string_equal(th_dataset_key(d, 0, room), "cat/7.png");
    assert_string_equal(th_dataset_key(d, 2, room), "dog/more/1.jpeg");
    assert_caption(d, 2, "dog");
    assert_int_equal(th_dataset_label(d, 0), 0);
    assert_int_equal(th_dataset_label(d, 2), 1);
    assert_string_equal(th_dataset_class_name(d, 1), "dog");
    assert_int_equal(level_of(d, 1), 30);
    th_dataset_close(d);
}

static void flat_folder_has_captions_beside_its_pictures(void **state) {
    (void)state;
    put_picture(ROOT "/flat/a.png", 40);
    put_picture(ROOT "/flat/b.v2.PNG", 41);
    th_dataset *d = open_with(ROOT "/flat", NULL);
    assert_int_equal(th_dataset_count(d), 2);
    assert_null(th_dataset_caption(d, 0, NULL, room));
    assert_int_equal(th_dataset_captions(d, 0), 0);
    assert_int_equal(th_dataset_classes(d), 0);
    assert_int_equal(th_dataset_label(d, 0), -1);
    th_dataset_close(d);
    put_text(ROOT "/flat/a.txt", "  a plain picture \n");
    open_fails(ROOT "/flat", NULL, TH_E_INPUT, "'b.v2.PNG' has no caption, and 1 of 2 have one");
    put_text(ROOT "/flat/b.v2.txt", "another");
    d = open_with(ROOT "/flat", NULL);
    assert_caption(d, 0, "a plain picture");
    assert_caption(d, 1, "another");
    assert_int_equal(level_of(d, 1), 41);
    th_dataset_close(d);
}

static void folder_with_a_table_is_that_table(void **state) {
    (void)state;
    put_picture(ROOT "/mixed/images/x.png", 50);
    put_picture(ROOT "/mixed/y.png", 51);
    put_text(ROOT "/mixed/classes.tsv", "wnid\tname\n1\t2\n");
    put_text(ROOT "/mixed/metadata.csv", "file_name,text\ny.png,why\n");
    th_dataset *d = open_with(ROOT "/mixed/", NULL);
    assert_string_equal(th_dataset_kind(d), "table");
    assert_caption(d, 0, "why");
    assert_int_equal(level_of(d, 0), 51);
    th_dataset_close(d);
    put_text(ROOT "/mixed/other.tsv", "filepath\ttitle\ny.png\twhy\n");
    open_fails(ROOT "/mixed", NULL, TH_E_INPUT, "holds several tables, 'metadata.csv' and 'other.tsv'");
    put_text(ROOT "/mixed/pairs.tsv", "filepath\ttitle\nimages/x.png\tex\n");
    d = open_with(ROOT "/mixed", NULL);
    assert_caption(d, 0, "ex");
    assert_int_equal(level_of(d, 0), 50);
    th_dataset_close(d);
}

static void what_is_no_data_set_is_refused(void **state) {
    (void)state;
    assert_ok(th_make_dirs(ROOT "/nothing/inner"));
    open_fails(ROOT "/nothing", NULL, TH_E_INPUT, "nothing: holds no pictures (.jpg, .jpeg, .png, .webp)");
    open_fails(ROOT "/absent", NULL, TH_E_IO, "absent: no such file or folder");
    put_text(ROOT "/text.md", "hello");
    open_fails(ROOT "/text.md", NULL, TH_E_INPUT, "text.md: is no data set");
    open_fails(ROOT "/absent-*.tar", NULL, TH_E_IO, "no file matches");
    open_fails(ROOT "/absent.tar", NULL, TH_E_IO, "absent.tar");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_gives_pictures_captions_and_labels),
        cmocka_unit_test(columns_go_by_their_usual_names_or_by_options),
        cmocka_unit_test(missing_column_is_refused_with_those_there_are),
        cmocka_unit_test(rows_of_one_picture_are_its_captions),
        cmocka_unit_test(random_captions_follow_seed_and_epoch),
        cmocka_unit_test(caption_lists_are_those_of_json_and_python),
        cmocka_unit_test(broken_tables_are_refused),
        cmocka_unit_test(pictures_are_chosen_by_offset_stride_and_limit),
        cmocka_unit_test(wrong_choices_are_refused),
        cmocka_unit_test(class_folders_are_labels_and_captions),
        cmocka_unit_test(flat_folder_has_captions_beside_its_pictures),
        cmocka_unit_test(folder_with_a_table_is_that_table),
        cmocka_unit_test(what_is_no_data_set_is_refused),
    };
    return cmocka_run_group_tests_name("data sets of tables and folders", tests, set_up, tear_down);
}
