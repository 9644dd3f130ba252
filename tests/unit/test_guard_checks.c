/* What is told about a guard's words, pictures and model. */
#include "sd_fixture.h"

#include "base/file.h"
#include "guard/checks.h"

#define ROOT "guard_checks_test"

static int set_up(void **state) {
    (void)state;
    return th_remove_tree(ROOT) == TH_OK && th_make_dirs(ROOT) == TH_OK ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    return th_remove_tree(ROOT) == TH_OK ? 0 : -1;
}

static void put_picture(const char *folder, const char *name, int shade) {
    char dir[TH_PATH_MAX], path[TH_PATH_MAX];
    th_image im = {0};
    assert_ok(th_path_join(dir, ROOT, folder));
    assert_ok(th_make_dirs(dir));
    assert_ok(th_path_join(path, dir, name));
    assert_ok(th_image_new(&im, 4, 3));
    memset(im.pixels, shade, th_image_bytes(&im));
    assert_ok(th_image_write(path, &im, 90));
    th_image_free(&im);
}

static th_dataset *open_set(const char *folder) {
    char path[TH_PATH_MAX];
    th_dataset *d;
    assert_ok(th_path_join(path, ROOT, folder));
    assert_ok(th_dataset_open(path, NULL, NULL, &d));
    return d;
}

static void words_are_told_with_their_tokens(void **state) {
    th_tokenizer *t = fixture_tokenizer();
    th_str notes;
    (void)state;
    th_str_init(&notes, 4096);
    assert_ok(th_guard_check_noun(t, "b", &notes));
    assert_string_equal(th_str_text(&notes), "");
    assert_ok(th_guard_check_noun(t, "bc", &notes));
    assert_non_null(strstr(th_str_text(&notes), "the noun 'bc' is 2 tokens to this model, 'b' 'c'"));
    th_str_clear(&notes);
    assert_ok(th_guard_check_noun(t, "", &notes));
    assert_non_null(strstr(th_str_text(&notes), "no token at all"));
    th_str_clear(&notes);
    assert_ok(th_guard_check_identifier(t, "zq", &notes)); /* two tokens */
    assert_ok(th_guard_check_identifier(t, "b", &notes));  /* from the later half of this vocabulary */
    assert_string_equal(th_str_text(&notes), "");
    assert_ok(th_guard_check_identifier(t, "!", &notes));
    assert_non_null(strstr(th_str_text(&notes), "'!' is a common word to this model, its token '!' number 256 of 514"));
    th_str_free(&notes);
    th_tokenizer_free(t);
}

static void pictures_that_are_few_or_twice_or_held_out_are_told(void **state) {
    th_str notes;
    (void)state;
    put_picture("two", "1.png", 10), put_picture("two", "2.png", 10);
    put_picture("three", "1.png", 10), put_picture("three", "2.png", 20), put_picture("three", "3.png", 30);
    put_picture("held", "9.png", 20), put_picture("held", "8.png", 90);
    th_dataset *two = open_set("two"), *three = open_set("three"), *held = open_set("held");
    th_str_init(&notes, 4096);
    assert_ok(th_guard_check_pictures(three, NULL, &notes));
    assert_string_equal(th_str_text(&notes), "");
    assert_ok(th_guard_check_pictures(three, held, &notes));
    assert_non_null(strstr(th_str_text(&notes), "2.png is protected and held out too, as 9.png"));
    th_str_clear(&notes);
    assert_ok(th_guard_check_pictures(two, held, &notes));
    assert_non_null(strstr(th_str_text(&notes), "2 pictures to protect: with fewer than 3"));
    assert_non_null(strstr(th_str_text(&notes), "1.png and 2.png are the same picture"));
    assert_null(strstr(th_str_text(&notes), "held out"));
    th_str_free(&notes);
    th_dataset_close(two);
    th_dataset_close(three);
    th_dataset_close(held);
}

static void a_guarded_model_is_told(void **state) {
    static const char json[] = "{\"subjects\": [{\"name\": \"rex\", \"class\": \"dog\"}, {\"name\": \"tom\"}]}";
    th_str notes;
    (void)state;
    th_str_init(&notes, 4096);
    assert_ok(th_make_dirs(ROOT "/model"));
    assert_ok(th_guard_check_model(ROOT "/model", &notes));
    assert_string_equal(th_str_text(&notes), "");
    assert_ok(th_file_write(ROOT "/model/guard.json", json, strlen(json)));
    assert_ok(th_guard_check_model(ROOT "/model", &notes));
    assert_non_null(strstr(th_str_text(&notes), "is guarded already and protects rex (dog), tom (of some class)"));
    assert_ok(th_file_write(ROOT "/model/guard.json", "{\"subjects\": 3}", 15));
    assert_fails(th_guard_check_model(ROOT "/model", &notes), TH_E_INPUT, "subjects");
    th_str_free(&notes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_told_with_their_tokens),
        cmocka_unit_test(pictures_that_are_few_or_twice_or_held_out_are_told),
        cmocka_unit_test(a_guarded_model_is_told),
    };
    return cmocka_run_group_tests_name("guard_checks", tests, set_up, tear_down);
}
