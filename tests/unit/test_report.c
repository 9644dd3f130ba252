/* Reports: nothing unescaped, nothing fetched, nothing broken by numbers that cannot be drawn; the same bytes again. */
#include "test.h"

#include <math.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/rng.h"
#include "report/axis.h"
#include "report/figure.h"
#include "report/page.h"
#include "report/svg.h"

static th_str text; /* what the last figure or page became */

static const char *reset(void) {
    th_str_free(&text);
    th_str_init(&text, (size_t)64 << 20);
    return "";
}

static const char *html_of(const th_plot *p) {
    reset();
    assert_ok(th_plot_html(p, &text, 0));
    return th_str_text(&text);
}

static int64_t count_of(const char *in, const char *what) {
    int64_t n = 0;
    for (const char *p = in; (p = strstr(p, what)); p += strlen(what)) n++;
    return n;
}

/* Every tag is closed in its order; attributes are quoted. A small reader, for what our writer makes. */
static void assert_well_formed(const char *html) {
    char open[64][16];
    int depth = 0;
    for (const char *p = html; (p = strchr(p, '<')); p++) {
        char name[16] = "";
        bool closing = p[1] == '/';
        size_t n = strspn(p + 1 + closing, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!");
        assert_true(n > 0 && n < sizeof name);
        memcpy(name, p + 1 + closing, n);
        const char *end = p + 1;
        bool quoted = false;
        for (; *end && (quoted || *end != '>'); end++) quoted ^= *end == '"';
        assert_true(*end == '>' && !quoted);
        if (!strcmp(name, "!DOCTYPE") || !strcmp(name, "meta") || !strcmp(name, "img") || end[-1] == '/') continue;
        if (!closing) {
            assert_true(depth < 64);
            snprintf(open[depth++], sizeof open[0], "%s", name);
        } else if (depth == 0 || strcmp(open[--depth], name)) {
            fail_msg("</%s> closes <%s>", name, depth >= 0 ? open[depth] : "nothing");
        }
    }
    assert_int_equal(depth, 0);
}

static void coordinates_are_short_and_never_break(void **state) {
    (void)state;
    static const struct {
        double v;
        const char *says;
    } cases[] = {{0, "0"},       {-0.001, "0"}, {1.5, "1.5"}, {-1.25, "-1.25"}, {12.005, "12.01"},
                 {3.07, "3.07"}, {1e300, "0"},  {NAN, "0"},   {-INFINITY, "0"}, {100, "100"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        reset();
        th_svg_number(&text, cases[i].v);
        assert_string_equal(th_str_text(&text), cases[i].says);
    }
}

static const char *ticks(th_axis a, double low, double high, int wanted, bool widen) {
    static char all[1024];
    th_axis_fit(&a, low, high, wanted, widen);
    size_t n = 0;
    all[0] = '\0';
    for (int i = 0; i < a.count; i++) {
        assert_true(a.ticks[i].value >= a.low - 1e-9 * fabs(a.low) && a.ticks[i].value <= a.high * (1 + 1e-9) + 1e-9);
        if (*a.ticks[i].label) n += (size_t)snprintf(all + n, sizeof all - n, "%s%s", n ? " " : "", a.ticks[i].label);
    }
    assert_true(isfinite(a.low) && isfinite(a.high) && a.low < a.high);
    return all;
}

static void ticks_are_round_numbers(void **state) {
    (void)state;
    th_axis linear = {0}, share = {.percent = true}, logarithmic = {.log = true};
    assert_string_equal(ticks(linear, 0, 3999, 8, false), "0 500 1000 1500 2000 2500 3000 3500 4000");
    assert_string_equal(ticks(linear, 0.13, 0.87, 5, true), "0.1 0.2 0.3 0.4 0.5 0.6 0.7 0.8 0.9");
    assert_string_equal(ticks(linear, -3, 7, 5, true), "-4 -2 0 2 4 6 8");
    assert_string_equal(ticks(linear, 0, 2e6, 4, true), "0 500 k 1 M 1.5 M 2 M");
    assert_string_equal(ticks(linear, 0, 4e-5, 4, true), "0.00000 10⁻⁵ 2×10⁻⁵ 3×10⁻⁵ 4×10⁻⁵");
    assert_string_equal(ticks(share, 0.7, 0.775, 4, true), "70 % 72 % 74 % 76 % 78 %");
    assert_string_equal(ticks(logarithmic, 1e-6, 1e-4, 6, false), "10⁻⁶ 10⁻⁵ 10⁻⁴");
    assert_string_equal(ticks(logarithmic, 0.3, 4, 6, false), "0.5 1 2");
    assert_string_equal(ticks(logarithmic, 1, 1e12, 6, false), "1 100 10 k 1 M 100 M 10 G 1 T");
    assert_string_equal(ticks(logarithmic, 1.1, 1.4, 4, false), "1.10 1.15 1.20 1.25 1.30 1.35 1.40");
}

static void ranges_that_are_none_still_make_an_axis(void **state) {
    (void)state;
    th_axis linear = {0}, logarithmic = {.log = true};
    ticks(linear, 5, 5, 5, true);
    ticks(linear, 0, 0, 5, true);
    ticks(linear, 1e9, 1e9 + 1e-7, 5, true);
    ticks(linear, NAN, 1, 5, true);
    ticks(linear, -1e99, 1e99, 5, true);
    ticks(linear, 3, 2, 5, false);
    ticks(logarithmic, 7, 7, 5, false);
    ticks(logarithmic, -1, 7, 5, true);
    ticks(logarithmic, 1e-99, 1e99, 5, true);
    assert_false(th_axis_holds(&logarithmic, 0));
    assert_false(th_axis_holds(&linear, INFINITY));
}

static void frontier_keeps_what_nothing_beats(void **state) {
    (void)state;
    const double x[] = {0.9, 0.5, 0.5, 0.1, NAN, 0.95}, y[] = {0.8, 0.7, 0.7, 0.4, 0.9, 0.75};
    th_series s = {.count = 6, .x = x, .y = y};
    bool keep[6];
    th_frontier(&s, TH_BETTER_TOP_LEFT, keep);
    assert_true(keep[0] && keep[1] && !keep[2] && keep[3] && !keep[4] && !keep[5]);
    th_frontier(&s, TH_BETTER_TOP_RIGHT, keep);
    assert_true(keep[0] && !keep[1] && !keep[3] && keep[5]);
}

static void numbers_that_cannot_be_drawn_become_a_note(void **state) {
    (void)state;
    const double bad[] = {NAN, INFINITY, -INFINITY, 1e200}, some[] = {1, NAN, 3, 4}, zeros[] = {0, 0, 0, 0};
    th_series none = {.name = "none", .count = 0}, lost = {.name = "lost", .count = 4, .y = bad};
    const th_series *alone[] = {&none, &lost};
    for (int i = 0; i < 2; i++) {
        const char *html = html_of(&(th_plot){.title = "t", .series = alone[i], .series_count = 1});
        assert_null(strstr(html, "<svg"));
        assert_non_null(strstr(html, "There is nothing to draw"));
        assert_well_formed(html);
    }
    assert_non_null(strstr(html_of(&(th_plot){0}), "There is nothing to draw"));
    th_series on_log = {.count = 4, .y = zeros};
    assert_non_null(strstr(html_of(&(th_plot){.y_log = true, .series = &on_log, .series_count = 1}), "above zero"));
    const th_series all[] = {{.name = "a", .count = 4, .y = some, .low = bad, .high = bad}, lost, none};
    const char *html = html_of(&(th_plot){.series = all, .series_count = 3});
    assert_non_null(strstr(html, "5 points cannot be drawn: not finite."));
    assert_null(strstr(html, "nan"));
    assert_null(strstr(html, "inf"));
    assert_well_formed(html);
}

static void a_gap_stays_a_gap(void **state) {
    (void)state;
    const double y[] = {1, 2, NAN, 3, 4};
    th_series s = {.name = "a", .count = 5, .y = y};
    const char *html = html_of(&(th_plot){.series = &s, .series_count = 1});
    const char *path = strstr(html, "<path class=\"l\" d=\"");
    assert_non_null(path);
    char d[256];
    snprintf(d, sizeof d, "%.*s", (int)strcspn(path + 19, "\""), path + 19);
    assert_int_equal(count_of(d, "M"), 2);
    assert_int_equal(count_of(d, "L"), 2);
}

static void one_point_is_a_figure_too(void **state) {
    (void)state;
    const double y[] = {0.5};
    for (th_series_kind kind = TH_LINE; kind <= TH_FRONTIER; kind++) {
        th_series s = {.kind = kind, .count = 1, .y = y, .smooth = 9};
        const char *html = html_of(&(th_plot){.series = &s, .series_count = 1, .x_log = false});
        assert_well_formed(html);
        assert_int_equal(count_of(html, "class=\"m\""), 2); /* once for wide and once for narrow */
        assert_null(strstr(html, "legend"));
    }
}

static void a_long_line_is_thinned_and_keeps_its_peaks(void **state) {
    (void)state;
    enum { N = 200000 };
    double *y = th_alloc(N, sizeof *y);
    assert_non_null(y);
    for (int i = 0; i < N; i++) y[i] = th_unit_f32(th_philox(1, TH_RNG_TEST, 0, (uint64_t)i).word[0]);
    y[123456] = 50;
    th_series s = {.name = "a", .count = N, .y = y};
    const char *html = html_of(&(th_plot){.series = &s, .series_count = 1, .y_span = {true, 0, 50}});
    assert_true(text.length < 120000);
    char top[32];
    snprintf(top, sizeof top, " %d", 14); /* the area's upper end, where 50 is */
    assert_non_null(strstr(strstr(html, "<path class=\"l\""), top));
    th_free(y);
}

static void labels_keep_apart(void **state) {
    (void)state;
    th_layout_boxes l = {.frame = {0, 0, 200, 100}};
    th_box placed[3];
    for (int i = 0; i < 3; i++) {
        assert_true(th_boxes_place(&l, 100, 50, 40, 12, 6, &placed[i]));
        for (int k = 0; k < i; k++) {
            bool apart = placed[i].x0 >= placed[k].x1 || placed[i].x1 <= placed[k].x0 || placed[i].y0 >= placed[k].y1 ||
                         placed[i].y1 <= placed[k].y0;
            assert_true(apart);
        }
        assert_ok(th_boxes_add(&l, placed[i]));
    }
    assert_ok(th_boxes_add(&l, (th_box){0, 0, 200, 100}));
    assert_false(th_boxes_place(&l, 100, 50, 40, 12, 6, &placed[0]));
    th_boxes_free(&l);
}

#define NASTY "<b a=\"x\">&amp; 'q' </script>"

static void fill_image(th_image *im) {
    assert_ok(th_image_new(im, 5, 3));
    for (size_t i = 0; i < th_image_bytes(im); i++) im->pixels[i] = (uint8_t)(i * 7);
}

/* One of everything, with texts that must not come through as markup. */
static th_page *page_of_everything(const th_image *im) {
    static const double x[] = {0.1, 0.5, 0.9}, y[] = {0.6, 0.7, 0.75}, low[] = {0.55, 0.66, 0.7},
                        high[] = {0.65, 0.72, 0.8};
    static const char *const labels[] = {NASTY, NULL, "1e-5"}, *const groups[] = {NASTY, "b"},
                             *const names[] = {NASTY, "after"};
    static const double values[] = {0.5, -0.2, NAN, 1.0}, vl[] = {0.4, -0.3, NAN, 0.9}, vh[] = {0.6, -0.1, NAN, 1.1};
    th_series series[] = {
        {.name = NASTY,
         .kind = TH_FRONTIER,
         .count = 3,
         .x = x,
         .y = y,
         .low = low,
         .high = high,
         .x_low = x,
         .x_high = y,
         .labels = labels},
        {.name = "line", .kind = TH_LINE, .count = 3, .x = x, .y = y, .low = low, .high = high, .smooth = 3},
        {.name = "points", .kind = TH_POINTS, .count = 3, .x = y, .y = x}};
    th_rule rules[] = {{false, 0.7, NASTY}, {true, 0.5, "chance"}, {true, 1e300, "out of sight"}};
    th_page *p = th_page_new(NASTY);
    th_page_lead(p, NASTY);
    th_page_keys(p, &(th_key){NASTY, NASTY, NASTY}, 1);
    for (int i = 0; i < 4; i++) th_page_section(p, NASTY);
    th_page_text(p, NASTY "\n\nsecond");
    th_page_note(p, NASTY);
    th_page_command(p, NASTY);
    th_table *t = th_table_new(NASTY);
    th_table_column(t, TH_LEFT, NASTY);
    th_table_column(t, TH_RIGHT, "n");
    for (th_mark mark = TH_PLAIN; mark <= TH_FAINT; mark++) {
        th_table_cell(t, "%s", NASTY);
        th_table_mark(t, mark);
        th_table_measure(t, 93.1, 0.4, 1);
        th_table_mark(t, mark);
    }
    th_page_table(p, t);
    th_table_free(t);
    th_page_plot(p, &(th_plot){.title = NASTY,
                               .caption = NASTY,
                               .x_name = NASTY,
                               .y_name = NASTY,
                               .series = series,
                               .series_count = 3,
                               .rules = rules,
                               .rule_count = 3,
                               .better = TH_BETTER_BOTTOM_RIGHT,
                               .x_percent = true});
    th_page_bars(p, &(th_bars){.title = NASTY,
                               .value_name = NASTY,
                               .groups = groups,
                               .series = names,
                               .values = values,
                               .low = vl,
                               .high = vh,
                               .group_count = 2,
                               .series_count = 2,
                               .digits = 1,
                               .percent = true});
    th_page_bars(p, &(th_bars){.title = "none"});
    th_tile tiles[] = {{im, NASTY, NASTY, NASTY, TH_GOOD}, {im, NULL, "c", NULL, TH_BAD}, {.caption = "empty"}};
    th_page_grid(p, &(th_grid){.title = NASTY, .columns = 2, .heads = names, .tiles = tiles, .tile_count = 3});
    th_page_grid(p, &(th_grid){.tiles = tiles, .tile_count = 0});
    return p;
}

static void everything_is_escaped_and_closed(void **state) {
    (void)state;
    th_image im = {0};
    fill_image(&im);
    th_page *p = page_of_everything(&im);
    reset();
    assert_ok(th_page_html(p, &text));
    const char *html = strstr(th_str_text(&text), "</style>");
    assert_well_formed(th_str_text(&text));
    assert_null(strstr(html, "<b "));
    assert_null(strstr(html, "</script"));
    assert_true(count_of(html, "&lt;b a=&quot;x&quot;&gt;&amp;amp; &#39;q&#39; &lt;/script&gt;") > 20);
    assert_int_equal(count_of(html, "<img"), 2);
    assert_int_equal(count_of(html, " alt=\""), 2);
    assert_int_equal(count_of(html, "<svg class=\"wide\""), count_of(html, "<svg class=\"narrow\""));
    assert_int_equal(count_of(html, "role=\"img\" aria-label=\""), 4);
    th_page_free(p);
    th_image_free(&im);
}

static void nothing_is_fetched_and_nothing_runs(void **state) {
    (void)state;
    th_image im = {0};
    fill_image(&im);
    th_page *p = page_of_everything(&im);
    reset();
    assert_ok(th_page_html(p, &text));
    static const char *const banned[] = {"http:", "https:", "<script", "<link", "@import", "src=\"/", "onload="};
    for (size_t i = 0; i < sizeof banned / sizeof *banned; i++)
        if (strstr(th_str_text(&text), banned[i])) fail_msg("the page holds '%s'", banned[i]);
    assert_int_equal(count_of(th_str_text(&text), "url("), count_of(th_str_text(&text), "url(#clip"));
    assert_int_equal(count_of(th_str_text(&text), "src="),
                     count_of(th_str_text(&text), "src=\"data:image/png;base64,"));
    th_page_free(p);
    th_image_free(&im);
}

static void the_same_calls_give_the_same_bytes(void **state) {
    (void)state;
    th_image im = {0};
    fill_image(&im);
    th_bytes one, two;
    for (int i = 0; i < 2; i++) {
        th_page *p = page_of_everything(&im);
        assert_ok(th_page_write(p, i ? "two.html" : "one.html"));
        th_page_free(p);
    }
    assert_ok(th_file_read("one.html", 1 << 20, &one));
    assert_ok(th_file_read("two.html", 1 << 20, &two));
    assert_int_equal(one.length, two.length);
    assert_memory_equal(one.data, two.data, one.length);
    th_free(one.data);
    th_free(two.data);
    remove("one.html");
    remove("two.html");
    th_image_free(&im);
}

static void a_table_that_is_not_full_fails_the_page(void **state) {
    (void)state;
    th_page *p = th_page_new("t");
    th_table *t = th_table_new(NULL);
    th_table_column(t, TH_LEFT, "a");
    th_table_column(t, TH_LEFT, "b");
    th_table_cell(t, "1");
    th_page_table(p, t);
    reset();
    assert_int_equal(th_page_html(p, &text), TH_E_BUG);
    assert_fails(th_page_write(p, "no/such/folder/x.html"), TH_E_BUG, "a table of 2 columns was given 1 cells");
    th_table_free(t);
    th_page_free(p);
    p = th_page_new("t");
    assert_fails(th_page_write(p, "no/such/folder/x.html"), TH_E_IO, "no/such/folder/x.html: cannot write it");
    th_page_free(p);
}

static void every_failed_allocation_is_reported_and_nothing_leaks(void **state) {
    (void)state;
    th_image im = {0};
    fill_image(&im);
    th_str_free(&text);
    size_t before = th_bytes_in_use();
    int64_t n = 1;
    for (;; n++) {
        th_alloc_fail_at(n, false);
        th_page *p = page_of_everything(&im);
        reset();
        th_status s = th_page_html(p, &text);
        th_alloc_fail_at(0, false);
        th_page_free(p);
        th_str_free(&text);
        assert_int_equal(th_bytes_in_use(), before);
        if (s == TH_OK) break;
        bool from_libpng = !strncmp(th_error_message(), "PNG: ", 5); /* which has its own words for it */
        assert_true(s == TH_E_MEMORY || from_libpng);
        assert_true(n < 5000);
    }
    assert_true(n > 30);
    th_image_free(&im);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(coordinates_are_short_and_never_break),
        cmocka_unit_test(ticks_are_round_numbers),
        cmocka_unit_test(ranges_that_are_none_still_make_an_axis),
        cmocka_unit_test(frontier_keeps_what_nothing_beats),
        cmocka_unit_test(numbers_that_cannot_be_drawn_become_a_note),
        cmocka_unit_test(a_gap_stays_a_gap),
        cmocka_unit_test(one_point_is_a_figure_too),
        cmocka_unit_test(a_long_line_is_thinned_and_keeps_its_peaks),
        cmocka_unit_test(labels_keep_apart),
        cmocka_unit_test(everything_is_escaped_and_closed),
        cmocka_unit_test(nothing_is_fetched_and_nothing_runs),
        cmocka_unit_test(the_same_calls_give_the_same_bytes),
        cmocka_unit_test(a_table_that_is_not_full_fails_the_page),
        cmocka_unit_test(every_failed_allocation_is_reported_and_nothing_leaks),
    };
    int failed = cmocka_run_group_tests_name("report", tests, NULL, NULL);
    th_str_free(&text);
    return failed;
}
