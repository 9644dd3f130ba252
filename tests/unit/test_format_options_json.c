/* Option sets and JSON: config files with exact errors, the resolved values, the schema. */
#include "test.h"

#include <math.h>

#include "base/file.h"
#include "base/memory.h"
#include "format/json.h"
#include "format/options_json.h"

static const th_option table[] = {
    TH_OPT_F32("tau", 2.15, "a distance", TH_AT_LEAST(0)),
    TH_OPT_F32("temperature", NAN, "of the loss", TH_ABOVE(0)),
    TH_OPT_INT("steps", 1000, "optimizer steps", TH_AT_LEAST(1)),
    TH_OPT_SIZE("memory", 1 << 20, "the most to use"),
    TH_OPT_BOOL("augment", true, "augment the images"),
    TH_OPT_STRING("note", NULL, "kept with the run"),
    TH_OPT_PATH("out", NULL, "the run folder", .required = true),
    TH_OPT_CHOICE("dtype", "auto|f32|bf16", "auto", "what to compute in"),
    TH_OPT_LIST("image", "an image", .argument = "FILE"),
    TH_OPT_BOOL("quiet", false, "say nothing", .flag_only = true),
    TH_OPT_END,
};

static th_options *fresh(void) {
    th_options *o = th_options_new("clean par");
    assert_non_null(o);
    assert_ok(th_options_add(o, "table", table));
    return o;
}

static th_status load(th_options *o, const char *text) {
    assert_ok(th_file_write("config.json", text, strlen(text)));
    return th_options_load(o, "config.json");
}

static void a_config_file_sets_every_type(void **state) {
    (void)state;
    th_options *o = fresh();
    assert_ok(load(o, "{\"$schema\": \"x\", \"tau\": 3, \"temperature\": null, \"steps\": 7, \"memory\": \"2G\","
                      " \"augment\": false, \"note\": \"naïve\", \"out\": \"run\", \"dtype\": \"bf16\","
                      " \"image\": [\"a\", \"b\"]}"));
    assert_true(th_get_f32(o, "tau") == 3 && isnan(th_get_f32(o, "temperature")));
    assert_int_equal(th_get_i64(o, "steps"), 7);
    assert_int_equal(th_get_i64(o, "memory"), 2ll << 30);
    assert_false(th_get_bool(o, "augment"));
    assert_string_equal(th_get_str(o, "note"), "naïve");
    assert_int_equal(th_get_choice(o, "dtype"), 2);
    assert_int_equal(th_get_list(o, "image").count, 2);
    assert_string_equal(th_get_list(o, "image").items[1], "b");
    assert_int_equal(th_options_find(o, "temperature")->from, TH_FROM_DEFAULT);
    assert_int_equal(th_options_find(o, "tau")->from, TH_FROM_CONFIG);
    assert_ok(th_options_check(o));
    th_options_free(o);
}

static void every_refusal_names_the_file_and_the_key(void **state) {
    (void)state;
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"{\"tua\": 1}", "config.json: 'tua' is no option of 'clean par' (did you mean 'tau'?)"},
        {"{\"\\n\\u001b[1m\": 1}", "config.json: '??[1m' is no option of 'clean par'"},
        {"{\"tau\": \"1\"}", "config.json: 'tau': is a string, a number is wanted"},
        {"{\"tau\": null}", "config.json: 'tau': is null, a number is wanted"},
        {"{\"tau\": -1}", "config.json: 'tau': -1 is below the least, 0"},
        {"{\"tau\": 1e300}", "config.json: 'tau': 1e+300 is above the most"},
        {"{\"steps\": 1.5}", "config.json: 'steps': is a number, a whole number is wanted"},
        {"{\"steps\": 0}", "config.json: 'steps': 0 is below the least, 1"},
        {"{\"memory\": true}", "config.json: 'memory': is true, a whole number or a text such as \"2G\" is wanted"},
        {"{\"memory\": \"x\"}", "config.json: 'memory': 'x' is not a size such as 512M or 2G"},
        {"{\"memory\": -5}", "config.json: 'memory': -5 is below the least, 0"},
        {"{\"augment\": 1}", "config.json: 'augment': is a whole number, true or false is wanted"},
        {"{\"note\": 1}", "config.json: 'note': is a whole number, a string is wanted"},
        {"{\"out\": \"\"}", "config.json: 'out': '' is not a path"},
        {"{\"dtype\": \"f23\"}", "config.json: 'dtype': 'f23' is none of auto, f32, bf16 (did you mean 'f32'?)"},
        {"{\"image\": \"a\"}", "config.json: 'image': is a string, an array of strings is wanted"},
        {"{\"image\": [\"a\", 2]}", "config.json: 'image': item 1 is a whole number, a string is wanted"},
        {"{\"quiet\": true}", "config.json: 'quiet': can be given on the command line only"},
        {"{\"tau\": 1, \"tau\": 2}", "config.json: line 1"},
        {"[1]", "config.json: "},
        {"{\"tau\": ", "config.json: line 1"},
        {"", "config.json: "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        th_options *o = fresh();
        assert_fails(load(o, cases[i].text), TH_E_INPUT, cases[i].says);
        th_options_free(o);
    }
    th_options *o = fresh();
    assert_fails(th_options_load(o, "absent.json"), TH_E_IO, "absent.json: cannot open it");
    th_options_free(o);
}

static void resolved_values_read_back_the_same(void **state) {
    (void)state;
    th_options *a = fresh(), *b = fresh();
    const char *const argv[] = {"--tau=0.1", "--out=run", "--quiet", "--image=x", "--memory=3M"};
    assert_ok(th_options_parse(a, 5, argv));
    json_t *j, *again;
    assert_ok(th_options_json(a, &j));
    assert_null(json_object_get(j, "quiet"));
    assert_true(json_is_null(json_object_get(j, "note")));
    assert_ok(th_options_load_json(b, "run.json", j));
    assert_ok(th_options_json(b, &again));
    assert_true(json_equal(j, again));
    assert_true(th_get_f64(b, "tau") == 0.1);
    json_decref(again);
    th_options *c = fresh();
    json_t *run = json_pack("{sssO}", "version", "0.1.0", "options", j);
    assert_ok(th_options_load_json(c, "run.json", run));
    assert_int_equal(th_get_i64(c, "memory"), 3 << 20);
    json_decref(run);
    json_decref(j);
    th_options_free(a);
    th_options_free(b);
    th_options_free(c);
}

static void a_text_that_is_not_utf8_is_refused(void **state) {
    (void)state;
    th_options *o = fresh();
    json_t *j = NULL;
    assert_ok(th_options_set_text(o, TH_FROM_FLAG, NULL, "out", "\xff"));
    assert_fails(th_options_json(o, &j), TH_E_INPUT, "option 'out': the value cannot be written as JSON");
    th_options_free(o);
}

static void the_schema_says_what_the_rows_say(void **state) {
    (void)state;
    th_options *o = fresh();
    json_t *schema;
    assert_ok(th_options_schema(o, &schema));
    json_t *rows = json_object_get(schema, "properties");
    assert_string_equal(json_string_value(json_object_get(schema, "title")), "clean par");
    assert_true(json_is_false(json_object_get(schema, "additionalProperties")));
    assert_int_equal(json_object_size(rows), 9);
    json_t *steps = json_object_get(rows, "steps"), *dtype = json_object_get(rows, "dtype");
    assert_string_equal(json_string_value(json_object_get(steps, "type")), "integer");
    assert_int_equal(json_integer_value(json_object_get(steps, "default")), 1000);
    assert_true(json_number_value(json_object_get(steps, "minimum")) == 1);
    assert_int_equal(json_array_size(json_object_get(dtype, "enum")), 3);
    assert_null(json_object_get(json_object_get(rows, "out"), "default"));
    json_decref(schema);
    th_options_free(o);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_config_file_sets_every_type),
        cmocka_unit_test(every_refusal_names_the_file_and_the_key),
        cmocka_unit_test(resolved_values_read_back_the_same),
        cmocka_unit_test(a_text_that_is_not_utf8_is_refused),
        cmocka_unit_test(the_schema_says_what_the_rows_say),
    };
    int failed = cmocka_run_group_tests_name("format_options_json", tests, NULL, NULL);
    remove("config.json");
    return failed;
}
