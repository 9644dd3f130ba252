/* JSON: what is refused and how it is said, typed fields, the written layout. */
#include "test.h"

#include <math.h>

#include "base/file.h"
#include "base/memory.h"
#include "format/json.h"

static th_status parse(const char *text, th_json *out) { return th_json_parse("c.json", text, strlen(text), out); }

static void duplicate_key_is_refused_by_name(void **state) {
    (void)state;
    th_json j;
    assert_fails(parse("{\"a\": 1,\n \"b\": {\"x\": 1, \"x\": 2}}", &j), TH_E_INPUT, "c.json: line 2 column ");
    assert_non_null(strstr(th_error_message(), "duplicate"));
    assert_non_null(strstr(th_error_message(), "\"x\""));
    assert_null(j.root);
}

static void broken_json_is_refused_with_its_place(void **state) {
    (void)state;
    static const struct {
        const char *text, *message;
    } rows[] = {
        {"", "line 1 column 0"},
        {"{\"a\": }", "c.json: line 1 column 7"},
        {"{\n\n  \"a\" 1}", "c.json: line 3 column"},
        {"{} x", "end of file expected"},
        {"[1, 2]", "c.json: should hold a JSON object"},
        {"7", "c.json: "},
        {"{\"a\": \"\xff\"}", "unable to decode byte 0xff"},
        {"{\"a\": 1e999}", "real number overflow"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        th_json j;
        assert_fails(parse(rows[i].text, &j), TH_E_INPUT, rows[i].message);
        assert_null(strchr(th_error_message(), '\n'));
    }
}

static void deep_nesting_is_refused(void **state) {
    (void)state;
    static char text[200000];
    memset(text, '[', sizeof text - 1);
    th_json j;
    assert_fails(parse(text, &j), TH_E_INPUT, "maximum parsing depth");
}

static void too_long_file_is_refused(void **state) {
    (void)state;
    assert_ok(th_file_write("json_test.json", "{\"a\": 1}", 8));
    th_json j;
    assert_fails(th_json_load("json_test.json", 7, &j), TH_E_INPUT, "json_test.json: is 8 bytes long");
    assert_ok(th_json_load("json_test.json", 8, &j));
    th_json_free(&j);
    assert_fails(th_json_load("json_test_none.json", 8, &j), TH_E_IO, "json_test_none.json");
    th_json_free(&j);
    assert_ok(th_remove_tree("json_test.json"));
}

static void fields_of_the_right_type_are_read(void **state) {
    (void)state;
    th_json j;
    assert_ok(parse("{\"a\": {\"b\": 77.0, \"s\": \"x\"}, \"d\": 2, \"t\": true, \"n\": null, \"l\": [1], "
                    "\"big\": 1000000000000000019884624838656}",
                    &j));
    int64_t i = 1;
    double d = 1;
    bool b = false;
    const char *s = "default";
    json_t *v = NULL;
    assert_ok(th_json_int(&j, "a.b", 0, 100, &i));
    assert_int_equal(i, 77);
    assert_ok(th_json_double(&j, "d", &d));
    assert_true(d == 2);
    assert_ok(th_json_double(&j, "big", &d));
    assert_true(d > 9e29);
    assert_ok(th_json_bool(&j, "t", &b));
    assert_true(b);
    assert_ok(th_json_string(&j, "a.s", &s));
    assert_string_equal(s, "x");
    assert_ok(th_json_array(&j, "l", &v));
    assert_int_equal(json_array_size(v), 1);
    assert_ok(th_json_object(&j, "a", &v));
    assert_true(json_is_object(v));
    assert_true(th_json_has(&j, "a.b"));
    assert_false(th_json_has(&j, "n"));
    assert_ok(th_json_require(&j, "a.b"));
    assert_fails(th_json_require(&j, "a.c"), TH_E_INPUT, "c.json: field 'a.c' is missing");
    th_json_free(&j);
}

static void absent_and_null_fields_keep_the_default(void **state) {
    (void)state;
    th_json j;
    assert_ok(parse("{\"n\": null, \"o\": {\"n\": null}}", &j));
    static const char *const fields[] = {"n", "o.n", "x", "n.x", "o.n.x", "", "."};
    for (size_t k = 0; k < sizeof fields / sizeof *fields; k++) {
        int64_t i = 5;
        const char *s = "default";
        assert_ok(th_json_int(&j, fields[k], 0, 9, &i));
        assert_ok(th_json_string(&j, fields[k], &s));
        assert_int_equal(i, 5);
        assert_string_equal(s, "default");
    }
    th_json_free(&j);
}

static void wrong_type_names_file_and_field(void **state) {
    (void)state;
    th_json j;
    assert_ok(parse("{\"a\": {\"b\": \"x\"}, \"r\": 1.5, \"i\": 7, \"big\": 1e300}", &j));
    int64_t i = 0;
    double d;
    bool b;
    const char *s;
    json_t *v;
    assert_fails(th_json_int(&j, "a.b", 0, 9, &i), TH_E_INPUT, "c.json: field 'a.b' should be an integer");
    assert_fails(th_json_int(&j, "r", 0, 9, &i), TH_E_INPUT, "c.json: field 'r' should be an integer");
    assert_fails(th_json_int(&j, "big", 0, 9, &i), TH_E_INPUT, "c.json: field 'big' should be an integer");
    assert_fails(th_json_int(&j, "i", 0, 6, &i), TH_E_INPUT, "field 'i' is 7, it should lie in [0, 6]");
    assert_fails(th_json_int(&j, "i.x", 0, 6, &i), TH_E_INPUT, "field 'i' should be an object");
    assert_fails(th_json_double(&j, "a", &d), TH_E_INPUT, "field 'a' should be a number");
    assert_fails(th_json_bool(&j, "i", &b), TH_E_INPUT, "field 'i' should be true or false");
    assert_fails(th_json_string(&j, "i", &s), TH_E_INPUT, "field 'i' should be a string");
    assert_fails(th_json_array(&j, "a", &v), TH_E_INPUT, "field 'a' should be an array");
    assert_fails(th_json_object(&j, "a.b", &v), TH_E_INPUT, "field 'a.b' should be an object");
    assert_int_equal(i, 0);
    th_json_free(&j);
}

static void writing_keeps_order_and_reads_back(void **state) {
    (void)state;
    json_t *v = json_pack("{s:i, s:[f,f,f,i], s:{}, s:[], s:s, s:b, s:n}", "z", 1, "a", 0.1, 5.0, 1e-5, 3, "empty",
                          "none", "text", "q\" b\\ \n\t\x01\x7f é", "yes", 1, "nothing");
    assert_ok(th_json_write("json_test.json", v));
    th_bytes got;
    assert_ok(th_file_read("json_test.json", 1000, &got));
    assert_string_equal(got.data,
                        "{\n  \"z\": 1,\n  \"a\": [\n    0.1,\n    5.0,\n    1e-05,\n    3\n  ],\n  \"empty\": {},\n"
                        "  \"none\": [],\n  \"text\": \"q\\\" b\\\\ \\n\\t\\u0001\\u007f é\",\n  \"yes\": true,\n"
                        "  \"nothing\": null\n}\n");
    th_free(got.data);
    th_json j;
    assert_ok(th_json_load("json_test.json", 1000, &j));
    assert_true(json_equal(j.root, v));
    th_json_free(&j);
    th_str line;
    th_str_init(&line, 1000);
    assert_ok(th_json_text(json_object_get(v, "a"), 0, &line));
    assert_string_equal(th_str_text(&line), "[0.1,5.0,1e-05,3]");
    th_str_free(&line);
    json_decref(v);
    assert_ok(th_remove_tree("json_test.json"));
}

static void text_of_a_file_is_shown_on_one_line(void **state) {
    (void)state;
    char out[TH_SHOWN_MAX], text[400];
    assert_string_equal(th_shown(out, "a\nb\x1b[1m", 7), "a?b?[1m");
    for (size_t i = 0; i < sizeof text; i += 2) memcpy(text + i, "é", 2);
    th_shown(out, text, sizeof text);
    assert_true(strlen(out) < TH_SHOWN_MAX);
    assert_string_equal(out + strlen(out) - 5, "é…");
    assert_string_equal(th_shown(out, "", 0), "");
}

static void every_failed_allocation_is_reported(void **state) {
    (void)state;
    size_t before = th_bytes_in_use();
    for (int n = 1; n < 3; n++) {
        th_json j;
        th_alloc_fail_at(n, false);
        th_status s = parse("{\"a\": 1}", &j);
        th_alloc_fail_at(0, false);
        assert_true(s == TH_OK || s == TH_E_MEMORY);
        th_json_free(&j);
    }
    assert_int_equal(th_bytes_in_use(), before);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(duplicate_key_is_refused_by_name),
        cmocka_unit_test(broken_json_is_refused_with_its_place),
        cmocka_unit_test(deep_nesting_is_refused),
        cmocka_unit_test(too_long_file_is_refused),
        cmocka_unit_test(fields_of_the_right_type_are_read),
        cmocka_unit_test(absent_and_null_fields_keep_the_default),
        cmocka_unit_test(wrong_type_names_file_and_field),
        cmocka_unit_test(writing_keeps_order_and_reads_back),
        cmocka_unit_test(text_of_a_file_is_shown_on_one_line),
        cmocka_unit_test(every_failed_allocation_is_reported),
    };
    return cmocka_run_group_tests_name("format.json", tests, NULL, NULL);
}
