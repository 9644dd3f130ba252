/* Option tables and resolved sets: parsing, precedence, exact errors, what the getters promise. */
#include "test.h"

#include <math.h>

#include "base/memory.h"
#include "base/option.h"

static const th_option par[] = {
    TH_OPT_F32("tau", 2.15, "stop pushing beyond this mean squared distance", TH_AT_LEAST(0)),
    TH_OPT_F32("noise", 0.2, "σ of the Gaussian image noise", TH_WITHIN(0, 1)),
    TH_OPT_END,
};

static const th_option common[] = {
    TH_OPT_INT("steps", 1000, "optimizer steps", TH_AT_LEAST(1), .letter = 'n'),
    TH_OPT_F32("temperature", NAN, "of the loss; the model's own where not given", TH_ABOVE(0)),
    TH_OPT_SIZE("memory", 0, "the most to use; 0: what is free"),
    TH_OPT_BOOL("augment", true, "augment the images"),
    TH_OPT_BOOL("quiet", false, "say nothing", .letter = 'q', .flag_only = true),
    TH_OPT_BOOL("verbose", false, "say more", .letter = 'v'),
    TH_OPT_STRING("note", NULL, "kept with the run"),
    TH_OPT_PATH("out", NULL, "the run folder", .argument = "DIR", .letter = 'o', .required = true),
    TH_OPT_CHOICE("dtype", "auto|f32|bf16", "auto", "what to compute in"),
    TH_OPT_LIST("image", "an image; may be given many times", .argument = "FILE"),
    TH_OPT_END,
};

static th_options *fresh(void) {
    th_options *o = th_options_new("clean par");
    assert_non_null(o);
    assert_ok(th_options_add(o, "par", par));
    assert_ok(th_options_add(o, "common", common));
    return o;
}

#define parse(o, ...) parse_words((o), (const char *const[]){__VA_ARGS__, NULL})
static th_status parse_words(th_options *o, const char *const *argv) {
    int64_t argc = 0;
    while (argv[argc]) argc++;
    return th_options_parse(o, argc, argv);
}

static void defaults_are_what_the_rows_say(void **state) {
    (void)state;
    th_options *o = fresh();
    assert_true(th_get_f32(o, "tau") == 2.15f);
    assert_true(th_get_f64(o, "noise") == 0.2);
    assert_true(isnan(th_get_f32(o, "temperature")));
    assert_int_equal(th_get_i64(o, "steps"), 1000);
    assert_int_equal(th_get_i64(o, "memory"), 0);
    assert_true(th_get_bool(o, "augment"));
    assert_null(th_get_str(o, "note"));
    assert_string_equal(th_get_str(o, "dtype"), "auto");
    assert_int_equal(th_get_choice(o, "dtype"), 0);
    assert_int_equal(th_get_list(o, "image").count, 0);
    assert_false(th_is_set(o, "steps"));
    th_options_free(o);
}

static void every_spelling_of_a_flag_is_read(void **state) {
    (void)state;
    th_options *o = fresh();
    assert_ok(parse(o, "first", "--tau=3", "--noise", ".5", "-n", "7", "-ofolder", "-qv", "--no-augment", "--memory",
                    "2G", "--dtype", "bf16", "--image", "a.png", "--image=b.png", "--note", "-", "-", "--", "--steps"));
    assert_true(th_get_f32(o, "tau") == 3 && th_get_f32(o, "noise") == 0.5f);
    assert_int_equal(th_get_i64(o, "steps"), 7);
    assert_string_equal(th_get_str(o, "out"), "folder");
    assert_true(th_get_bool(o, "quiet") && th_get_bool(o, "verbose") && !th_get_bool(o, "augment"));
    assert_int_equal(th_get_i64(o, "memory"), 2ll << 30);
    assert_int_equal(th_get_choice(o, "dtype"), 2);
    assert_string_equal(th_get_str(o, "note"), "-");
    th_list images = th_get_list(o, "image"), args = th_options_args(o);
    assert_int_equal(images.count, 2);
    assert_string_equal(images.items[1], "b.png");
    assert_int_equal(args.count, 3);
    assert_string_equal(args.items[0], "first");
    assert_string_equal(args.items[1], "-");
    assert_string_equal(args.items[2], "--steps");
    assert_ok(th_options_check(o));
    th_options_free(o);
}

static void a_negative_number_is_a_value_and_an_option_is_not(void **state) {
    (void)state;
    th_options *o = fresh();
    assert_fails(parse(o, "--tau", "-1"), TH_E_USAGE, "--tau: -1 is below the least, 0");
    assert_fails(parse(o, "--out", "--quiet"), TH_E_USAGE, "--out: a value is missing (--out DIR)");
    assert_fails(parse(o, "--note", "-x"), TH_E_USAGE, "begins with '-' is given as --note=-x");
    assert_fails(parse(o, "-o"), TH_E_USAGE, "--out: a value is missing");
    assert_ok(parse(o, "--note=-x"));
    assert_string_equal(th_get_str(o, "note"), "-x");
    th_options_free(o);
}

static void errors_name_the_flag_and_what_is_wrong(void **state) {
    (void)state;
    static const struct {
        const char *word, *says;
    } cases[] = {
        {"--tau=abc", "--tau: 'abc' is not a number"},
        {"--tau=", "--tau: '' is not a number"},
        {"--tau=1e39", "--tau: 1e+39 is above the most, 3.4028234663852886e+38"},
        {"--noise=1.5", "--noise: 1.5 is above the most, 1"},
        {"--steps=0", "--steps: 0 is below the least, 1"},
        {"--steps=1.5", "--steps: '1.5' is not a whole number"},
        {"--steps=99999999999999999999", "--steps: '99999999999999999999' is not a whole number"},
        {"--temperature=0", "--temperature: 0 is not above 0"},
        {"--memory=lots", "--memory: 'lots' is not a size such as 512M or 2G"},
        {"--augment=perhaps", "--augment: 'perhaps' is neither true nor false"},
        {"--no-augment=true", "--no-augment: takes no value"},
        {"--dtype=f23", "--dtype: 'f23' is none of auto, f32, bf16 (did you mean 'f32'?)"},
        {"--dtype=quaternion", "--dtype: 'quaternion' is none of auto, f32, bf16"},
        {"--out=", "--out: '' is not a path"},
        {"--tua=1", "--tua is no option of 'clean par' (did you mean --tau?)"},
        {"--no-tau", "--no-tau is no option of 'clean par'"},
        {"--zzz", "--zzz is no option of 'clean par'"},
        {"-qz", "-z is no option of 'clean par'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        th_options *o = fresh();
        assert_fails(parse(o, cases[i].word), TH_E_USAGE, cases[i].says);
        assert_int_equal(strncmp(th_error_message(), cases[i].says, strlen(cases[i].says)), 0);
        th_options_free(o);
    }
}

static void flags_win_over_the_config_in_either_order(void **state) {
    (void)state;
    for (int order = 0; order < 2; order++) {
        th_options *o = fresh();
        if (order) assert_ok(parse(o, "--tau=5", "--image=flag.png"));
        assert_ok(th_options_set_text(o, TH_FROM_CONFIG, "c.json", "tau", "7"));
        assert_ok(th_options_set_text(o, TH_FROM_CONFIG, "c.json", "noise", "0.25"));
        assert_ok(th_options_set_text(o, TH_FROM_CONFIG, "c.json", "image", "c.png"));
        if (!order) assert_ok(parse(o, "--tau=5", "--image=flag.png"));
        assert_true(th_get_f32(o, "tau") == 5 && th_get_f32(o, "noise") == 0.25f);
        assert_int_equal(th_options_find(o, "tau")->from, TH_FROM_FLAG);
        assert_int_equal(th_options_find(o, "noise")->from, TH_FROM_CONFIG);
        assert_int_equal(th_options_find(o, "steps")->from, TH_FROM_DEFAULT);
        assert_int_equal(th_get_list(o, "image").count, 1);
        assert_string_equal(th_get_list(o, "image").items[0], "flag.png");
        assert_fails(th_options_set_text(o, TH_FROM_CONFIG, "c.json", "tau", "-3"), TH_E_INPUT,
                     "c.json: 'tau': -3 is below the least, 0");
        th_options_free(o);
    }
}

static void config_errors_name_the_file_and_the_key(void **state) {
    (void)state;
    th_options *o = fresh();
    assert_fails(th_options_set_text(o, TH_FROM_CONFIG, "config.json", "tua", "1"), TH_E_INPUT,
                 "config.json: 'tua' is no option of 'clean par' (did you mean 'tau'?)");
    assert_fails(th_options_set_text(o, TH_FROM_CONFIG, "config.json", "quiet", "true"), TH_E_INPUT,
                 "config.json: 'quiet': can be given on the command line only");
    th_options_free(o);
}

static void a_required_option_is_asked_for_by_name(void **state) {
    (void)state;
    th_options *o = fresh();
    assert_fails(th_options_check(o), TH_E_USAGE, "'clean par' needs --out DIR");
    assert_ok(th_options_set_text(o, TH_FROM_CONFIG, "c", "out", "x"));
    assert_ok(th_options_check(o));
    th_options_free(o);
}

static void asking_for_what_no_table_has_is_a_bug(void **state) {
    (void)state;
    th_options *o = fresh();
    assert_ok(parse(o, "--out=x"));
    assert_int_equal(th_get_i64(o, "tau"), 0);
    assert_null(th_get_str(o, "absent"));
    assert_fails(th_options_check(o), TH_E_BUG, "option 'tau' of 'clean par' is of another type than asked for");
    th_options_free(o);
    o = fresh();
    assert_false(th_get_bool(o, "absent"));
    assert_int_equal(th_get_choice(o, "absent"), 0);
    assert_fails(th_options_check(o), TH_E_BUG, "option 'absent' of 'clean par' is asked for, and no table has it");
    th_options_free(o);
}

static void a_mistaken_table_is_refused(void **state) {
    (void)state;
    static const th_option twice[] = {TH_OPT_INT("steps", 1, "again"), TH_OPT_END};
    static const th_option letter[] = {TH_OPT_BOOL("open", false, "again", .letter = 'o'), TH_OPT_END};
    static const th_option range[] = {TH_OPT_INT("epochs", 0, "none", TH_AT_LEAST(1)), TH_OPT_END};
    static const th_option choice[] = {TH_OPT_CHOICE("mode", "a|b", "c", "which"), TH_OPT_END};
    static const th_option name[] = {TH_OPT_INT("Two Words", 0, "bad"), TH_OPT_END};
    static const struct {
        const th_option *table;
        const char *says;
    } cases[] = {{twice, "option 'steps' stands twice in 'clean par'"},
                 {letter, "letter -o stands twice"},
                 {range, "the default of --epochs: 0 is below the least, 1"},
                 {choice, "the default of --mode: 'c' is none of a, b"},
                 {name, "'Two Words' cannot be the name of an option"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        th_options *o = fresh();
        assert_fails(th_options_add(o, "bad", cases[i].table), TH_E_BUG, cases[i].says);
        th_options_free(o);
    }
}

static void rows_describe_themselves(void **state) {
    (void)state;
    th_options *o = fresh();
    th_str s;
    th_str_init(&s, 100);
    char choice[TH_CHOICE_MAX];
    const th_option *dtype = th_options_find(o, "dtype")->option, *image = th_options_find(o, "image")->option;
    assert_string_equal(th_option_argument(dtype), "auto|f32|bf16");
    assert_true(th_option_choice(dtype, 2, choice) && !strcmp(choice, "bf16"));
    assert_false(th_option_choice(dtype, 3, choice));
    assert_true(th_option_is_path(image) && !th_option_is_path(dtype));
    th_option_print(th_options_find(o, "tau")->option, &th_options_find(o, "tau")->value, &s);
    assert_string_equal(th_str_text(&s), "2.15");
    th_str_clear(&s);
    th_option_print(th_options_find(o, "temperature")->option, &th_options_find(o, "temperature")->value, &s);
    assert_string_equal(th_str_text(&s), "");
    assert_string_equal(th_options_at(o, 0)->group, "par");
    assert_string_equal(th_options_whose(o), "clean par");
    assert_int_equal(th_options_count(o), 12);
    th_str_free(&s);
    th_options_free(o);
}

static th_status use_once(void) {
    th_options *o = th_options_new("clean par");
    if (!o) return th_fail_memory();
    const char *const argv[] = {"x", "--out=a", "--image=b", "--image=c", "--tau", "3"};
    th_status s = th_options_add(o, "par", par);
    if (s == TH_OK) s = th_options_add(o, "common", common);
    if (s == TH_OK) s = th_options_parse(o, 6, argv);
    if (s == TH_OK) s = th_options_check(o);
    th_options_free(o);
    return s;
}

static void every_failed_allocation_is_reported_and_nothing_leaks(void **state) {
    (void)state;
    size_t before = th_bytes_in_use();
    int64_t n = 1;
    for (;; n++) {
        th_alloc_fail_at(n, false);
        th_status s = use_once();
        th_alloc_fail_at(0, false);
        assert_int_equal(th_bytes_in_use(), before);
        if (s == TH_OK) break;
        assert_int_equal(s, TH_E_MEMORY);
        assert_true(n < 1000);
    }
    assert_true(n > 5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_what_the_rows_say),
        cmocka_unit_test(every_spelling_of_a_flag_is_read),
        cmocka_unit_test(a_negative_number_is_a_value_and_an_option_is_not),
        cmocka_unit_test(errors_name_the_flag_and_what_is_wrong),
        cmocka_unit_test(flags_win_over_the_config_in_either_order),
        cmocka_unit_test(config_errors_name_the_file_and_the_key),
        cmocka_unit_test(a_required_option_is_asked_for_by_name),
        cmocka_unit_test(asking_for_what_no_table_has_is_a_bug),
        cmocka_unit_test(a_mistaken_table_is_refused),
        cmocka_unit_test(rows_describe_themselves),
        cmocka_unit_test(every_failed_allocation_is_reported_and_nothing_leaks),
    };
    return cmocka_run_group_tests_name("base_option", tests, NULL, NULL);
}
