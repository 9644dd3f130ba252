/* CSV and TSV: quoting, line ends, messages with lines, and what was written comes back. */
#include "test.h"

#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/rng.h"
#include "format/table.h"

static th_status parse(const char *text, char separator, th_sheet *t) {
    th_sheet_params p;
    th_sheet_params_init(&p, NULL);
    p.separator = separator;
    return th_sheet_parse(text, strlen(text), &p, t);
}

static void cells_are_found_by_name_and_row(void **state) {
    (void)state;
    th_sheet t;
    assert_ok(parse("filepath\ttitle\na/1.jpg\ta red dress\nb.jpg\t\n", '\t', &t));
    assert_int_equal(t.columns, 2);
    assert_int_equal(t.rows, 2);
    assert_int_equal(th_sheet_column(&t, "title"), 1);
    assert_int_equal(th_sheet_column(&t, "caption"), -1);
    assert_string_equal(th_sheet_cell(&t, 0, 0), "a/1.jpg");
    assert_string_equal(th_sheet_cell(&t, 0, 1), "a red dress");
    assert_string_equal(th_sheet_cell(&t, 1, 1), "");
    assert_int_equal(t.lines[1], 3);
    int column;
    assert_ok(th_sheet_need(&t, "filepath", &column));
    assert_int_equal(column, 0);
    assert_fails(th_sheet_need(&t, "caption", &column), TH_E_INPUT,
                 "has no column 'caption'; it has 'filepath', 'title'");
    th_sheet_free(&t);
}

static void quotes_follow_rfc_4180(void **state) {
    (void)state;
    th_sheet t;
    assert_ok(parse("a,b,c\n\"x,y\",\"he said \"\"so\"\"\",\"two\r\nlines\"\n\"\",p\"q,\"\"\"\"\n1,2,3", ',', &t));
    assert_int_equal(t.rows, 3);
    assert_string_equal(th_sheet_cell(&t, 0, 0), "x,y");
    assert_string_equal(th_sheet_cell(&t, 0, 1), "he said \"so\"");
    assert_string_equal(th_sheet_cell(&t, 0, 2), "two\r\nlines");
    assert_string_equal(th_sheet_cell(&t, 1, 0), "");
    assert_string_equal(th_sheet_cell(&t, 1, 1), "p\"q"); /* not at the start: a character */
    assert_string_equal(th_sheet_cell(&t, 1, 2), "\"");
    assert_string_equal(th_sheet_cell(&t, 2, 2), "3");
    assert_int_equal(t.lines[1], 4); /* the quoted line end counts */
    th_sheet_free(&t);
}

static void quotes_can_be_plain_characters(void **state) {
    (void)state;
    static const char text[] = "a\tb\n\"x\t\"y\" z\n";
    th_sheet_params p;
    th_sheet_params_init(&p, "x.tsv");
    th_sheet t;
    assert_fails(th_sheet_parse(text, strlen(text), &p, &t), TH_E_INPUT, "line 2: text behind a closing quote");
    p.quotes = false;
    assert_ok(th_sheet_parse(text, strlen(text), &p, &t));
    assert_string_equal(th_sheet_cell(&t, 0, 0), "\"x");
    assert_string_equal(th_sheet_cell(&t, 0, 1), "\"y\" z");
    th_sheet_free(&t);
}

static void line_ends_and_byte_order_marks_do_not_matter(void **state) {
    (void)state;
    static const char *const texts[] = {
        "a,b\n1,2\n3,4\n", "a,b\r\n1,2\r\n3,4\r\n",       "a,b\r1,2\r3,4",
        "a,b\n1,2\n3,4",   "\357\273\277a,b\n1,2\n3,4\n", "\n\na,b\n\n1,2\r\n\r\n3,4\n\n"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        th_sheet t;
        assert_ok(parse(texts[i], ',', &t));
        assert_int_equal(t.rows, 2);
        assert_string_equal(t.names[0], "a");
        assert_string_equal(t.names[1], "b");
        assert_string_equal(th_sheet_cell(&t, 0, 0), "1");
        assert_string_equal(th_sheet_cell(&t, 1, 1), "4");
        if (i < 5) assert_int_equal(t.lines[1], 3);
        if (i == 5) assert_int_equal(t.lines[1], 7);
        th_sheet_free(&t);
    }
}

static void header_can_be_absent(void **state) {
    (void)state;
    th_sheet_params p;
    th_sheet_params_init(&p, "x.CSV");
    assert_int_equal(p.separator, ',');
    p.header = false;
    th_sheet t;
    assert_ok(th_sheet_parse("1,2\n3,4", 7, &p, &t));
    assert_int_equal(t.rows, 2);
    assert_null(t.names);
    assert_string_equal(th_sheet_cell(&t, 0, 1), "2");
    int column;
    assert_fails(th_sheet_need(&t, "x", &column), TH_E_INPUT, "has no header");
    th_sheet_free(&t);
}

static void header_alone_is_a_table_without_rows(void **state) {
    (void)state;
    th_sheet t;
    assert_ok(parse("a,b", ',', &t));
    assert_int_equal(t.rows, 0);
    assert_int_equal(t.columns, 2);
    th_sheet_free(&t);
}

static void damage_is_refused_with_its_line(void **state) {
    (void)state;
    th_sheet t;
    assert_fails(parse("a,b\n1,2\n3\n", ',', &t), TH_E_INPUT, "line 3: has 1 columns, the first row has 2");
    assert_fails(parse("a,b\n1,2,3\n", ',', &t), TH_E_INPUT, "line 2: has 3 columns, the first row has 2");
    assert_fails(parse("a,b\n1,\"2\n3,4\n", ',', &t), TH_E_INPUT, "line 2: a quoted cell begins here and never ends");
    assert_fails(parse("a,b\n\n\"1\n\"x,2\n", ',', &t), TH_E_INPUT, "line 4: text behind a closing quote");
    assert_fails(parse("a,b,a\n", ',', &t), TH_E_INPUT, "line 1: two columns are called 'a'");
    assert_fails(parse("", ',', &t), TH_E_INPUT, "is empty");
    assert_fails(parse("\r\n\n", ',', &t), TH_E_INPUT, "is empty");
    assert_fails(parse("a\n", '"', &t), TH_E_USAGE, "separator");
    assert_fails(th_sheet_parse("a,b\n1,\0\n", 8, NULL, &t), TH_E_INPUT, "line 2: holds a NUL byte");
    assert_fails(th_sheet_read("none.tsv", NULL, &t), TH_E_IO, "none.tsv");
    assert_ok(th_file_write("table_test.csv", "a,b\n1\n", 6));
    assert_fails(th_sheet_read("table_test.csv", NULL, &t), TH_E_INPUT, "table_test.csv: line 2: has 1 columns");
    th_sheet_params p;
    th_sheet_params_init(&p, NULL);
    p.bytes_max = 5;
    assert_fails(th_sheet_read("table_test.csv", &p, &t), TH_E_INPUT, "at most 5");
    unlink("table_test.csv");
}

/* Random cells made of the characters that matter. */
static void written_table_comes_back(void **state) {
    (void)state;
    static const char alphabet[] = "a\t,\"\r\n x";
    th_rng r = th_rng_at(1, TH_RNG_TEST, 0, 0);
    for (int round = 0; round < 300; round++) {
        int columns = 1 + (int)th_rng_below(&r, 3), rows = (int)th_rng_below(&r, 5);
        char text[15][8], separator = th_rng_below(&r, 2) ? ',' : '\t';
        const char *cells[15], *names[] = {"a,b", "\"q\"", "tab\there"};
        for (int i = 0; i < columns * rows; i++) {
            uint32_t n = th_rng_below(&r, 7);
            for (uint32_t k = 0; k < n; k++) text[i][k] = alphabet[th_rng_below(&r, sizeof alphabet - 1)];
            text[i][n] = '\0';
            cells[i] = text[i];
        }
        th_sheet_writer *w;
        assert_ok(th_sheet_writer_open("table_test.csv", separator, columns, names, &w));
        for (int i = 0; i < rows; i++) th_sheet_writer_row(w, cells + i * columns);
        assert_ok(th_sheet_writer_commit(w));
        th_sheet_params p;
        th_sheet_params_init(&p, NULL);
        p.separator = separator;
        th_sheet t;
        assert_ok(th_sheet_read("table_test.csv", &p, &t));
        assert_true(t.rows == rows && t.columns == columns);
        for (int i = 0; i < columns; i++) assert_string_equal(t.names[i], names[i]);
        for (int i = 0; i < columns * rows; i++) assert_string_equal(t.cells[i], cells[i]);
        th_sheet_free(&t);
    }
    unlink("table_test.csv");
    th_sheet_writer *w;
    assert_fails(th_sheet_writer_open("none/x.csv", ',', 1, NULL, &w), TH_E_IO, "none/x.csv");
    assert_fails(th_sheet_writer_open("x.csv", '\n', 1, NULL, &w), TH_E_USAGE, "x.csv");
    assert_ok(th_sheet_writer_open("table_test.csv", ',', 1, NULL, &w));
    th_sheet_writer_abort(w);
    assert_false(th_path_exists("table_test.csv"));
}

static void no_failed_allocation_leaks(void **state) {
    (void)state;
    size_t before = th_bytes_in_use();
    char text[2000] = "a,b\n";
    for (int i = 0; i < 100; i++) strcat(text, "1,2\n");
    th_status s = TH_E_MEMORY;
    for (int n = 1; s != TH_OK; n++) {
        th_sheet t;
        th_alloc_fail_at(n, false);
        s = parse(text, ',', &t);
        th_alloc_fail_at(0, false);
        assert_true(s == TH_OK || s == TH_E_MEMORY);
        if (s == TH_OK) th_sheet_free(&t);
        assert_int_equal(th_bytes_in_use(), before);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cells_are_found_by_name_and_row),
        cmocka_unit_test(quotes_follow_rfc_4180),
        cmocka_unit_test(quotes_can_be_plain_characters),
        cmocka_unit_test(line_ends_and_byte_order_marks_do_not_matter),
        cmocka_unit_test(header_can_be_absent),
        cmocka_unit_test(header_alone_is_a_table_without_rows),
        cmocka_unit_test(damage_is_refused_with_its_line),
        cmocka_unit_test(written_table_comes_back),
        cmocka_unit_test(no_failed_allocation_leaks),
    };
    return cmocka_run_group_tests_name("table", tests, NULL, NULL);
}
