/* What a command prints: tables for people, JSON for programs, notes on standard error. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/text.h"
#include "cli/verb.h"
#include "format/json.h"

const char *th_cli_style(bool color, th_mark mark) {
    static const char *const styles[] = {"\x1b[0m", "\x1b[1m", "\x1b[32m", "\x1b[31m", "\x1b[2m"};
    return color ? styles[mark] : "";
}

enum { COLUMNS_MAX = 64, COLUMN_GAP = 2 };

static const th_cell *cell(const th_table *t, int64_t row, int64_t column) {
    return &t->cells[row * t->column_count + column];
}

static void measure(const th_table *t, int width[COLUMNS_MAX]) {
    for (int64_t c = 0; c < t->column_count; c++) {
        width[c] = th_text_width(t->columns[c].name);
        for (int64_t r = 0; r < th_table_rows(t); r++) {
            int w = th_text_width(cell(t, r, c)->text);
            if (w > width[c]) width[c] = w;
        }
    }
}

/* One cell; the last of a row is not padded, and wraps where the terminal ends. */
static void print_cell(th_cli *cli, const char *text, th_mark mark, th_align align, int at, int width, bool last) {
    int room = width - th_text_width(text);
    if (align == TH_RIGHT) th_text_space(&cli->out, room);
    bool styled = cli->color && mark != TH_PLAIN;
    if (styled) th_str_puts(&cli->out, th_cli_style(true, mark));
    if (last && align == TH_LEFT)
        th_text_wrap(&cli->out, text, at, at, cli->columns > at + 20 ? cli->columns : 0);
    else
        th_text_add(&cli->out, text);
    if (styled) th_str_puts(&cli->out, th_cli_style(true, TH_PLAIN));
    if (!last) th_text_space(&cli->out, (align == TH_LEFT ? room : 0) + COLUMN_GAP);
}

/* Row −1 is the header. Empty cells at the end of a row leave no spaces there. */
static th_cell shown_cell(const th_table *t, int64_t row, int64_t column) {
    return row < 0 ? (th_cell){t->columns[column].name, TH_STRONG} : *cell(t, row, column);
}

static void print_row(th_cli *cli, const th_table *t, int64_t row, const int width[COLUMNS_MAX]) {
    int64_t count = t->column_count;
    while (count && !*shown_cell(t, row, count - 1).text) count--;
    for (int64_t c = 0, at = 0; c < count; at += width[c++] + COLUMN_GAP) {
        th_cell shown = shown_cell(t, row, c);
        print_cell(cli, shown.text, shown.mark, t->columns[c].align, (int)at, width[c], c + 1 == count);
    }
    th_str_puts(&cli->out, "\n");
}

void th_cli_table(th_cli *cli, const th_table *t) {
    int width[COLUMNS_MAX];
    th_status s = th_table_status(t);
    if (s != TH_OK || t->column_count > COLUMNS_MAX) {
        cli->out.status = s != TH_OK ? s : th_fail(TH_E_BUG, "a table of more than %d columns", COLUMNS_MAX);
        return;
    }
    measure(t, width);
    if (t->caption) th_str_printf(&cli->out, "%s\n", t->caption);
    for (int64_t r = -1; r < th_table_rows(t); r++) {
        print_row(cli, t, r, width);
    }
}

void th_cli_json(th_cli *cli, json_t *object) {
    th_status s = object ? th_json_text(object, 0, &cli->out) : th_fail_memory();
    json_decref(object);
    if (s == TH_OK)
        th_str_puts(&cli->out, "\n");
    else
        cli->out.status = s;
}

th_status th_cli_flush(th_cli *cli) {
    TH_TRY(th_str_status(&cli->out));
    const char *p = th_str_text(&cli->out);
    size_t left = cli->out.length;
    if (left) th_progress_clear(&cli->bar);
    while (left && !cli->reader_gone) {
        ssize_t n = write(STDOUT_FILENO, p, left);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EPIPE)
            cli->reader_gone = true;
        else if (n < 0)
            return th_fail_errno("standard output", "write to it");
        else
            p += n, left -= (size_t)n;
    }
    th_str_clear(&cli->out);
    return TH_OK;
}

void th_cli_note(th_cli *cli, const char *format, ...) {
    if (cli->quiet) return;
    th_progress_clear(&cli->bar);
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}
