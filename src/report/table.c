/* A table of short texts. */
#include "report/table.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/number.h"

th_table *th_table_new(const char *caption) {
    th_table *t = th_alloc(1, sizeof *t);
    if (!t) return NULL;
    t->arena = th_arena_new();
    if (t->arena && caption) t->caption = th_arena_strdup(t->arena, caption);
    if (t->arena && !th_arena_failed(t->arena)) return t;
    th_table_free(t);
    return NULL;
}

void th_table_free(th_table *t) {
    if (!t) return;
    th_arena_free(t->arena);
    th_free(t->columns);
    th_free(t->cells);
    th_free(t);
}

void th_table_column(th_table *t, th_align align, const char *name) {
    if (!t || t->status != TH_OK) return;
    const char *copy = th_arena_strdup(t->arena, name);
    if (!copy || !th_grow(t->columns, t->column_count, t->column_capacity))
        t->status = TH_E_MEMORY;
    else
        t->columns[t->column_count++] = (th_column){copy, align};
}

/* Takes a text that lives as long as the table. */
static void add(th_table *t, const char *text) {
    if (t->status != TH_OK) return;
    if (!text || !th_grow(t->cells, t->cell_count, t->cell_capacity))
        t->status = TH_E_MEMORY;
    else
        t->cells[t->cell_count++] = (th_cell){.text = text};
}

void th_table_cell(th_table *t, const char *format, ...) {
    if (!t) return;
    va_list args;
    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *text = th_arena_alloc(t->arena, (size_t)(n < 0 ? 0 : n) + 1, 1);
    if (text && n >= 0) {
        va_start(args, format);
        vsnprintf(text, (size_t)n + 1, format, args);
        va_end(args);
    }
    add(t, text);
}

void th_table_number(th_table *t, double v, int digits) {
    char text[TH_NUMBER_TEXT];
    th_print_fixed(text, v, digits);
    th_table_cell(t, "%s", text);
}

void th_table_measure(th_table *t, double v, double half_width, int digits) {
    char value[TH_NUMBER_TEXT], width[TH_NUMBER_TEXT];
    th_print_fixed(value, v, digits);
    th_print_fixed(width, half_width, digits);
    if (isfinite(v) && isfinite(half_width))
        th_table_cell(t, "%s ± %s", value, width);
    else
        th_table_cell(t, "%s", value);
}

void th_table_mark(th_table *t, th_mark mark) {
    if (t && t->status == TH_OK && t->cell_count) t->cells[t->cell_count - 1].mark = mark;
}

int64_t th_table_rows(const th_table *t) { return t && t->column_count ? t->cell_count / t->column_count : 0; }

th_status th_table_status(const th_table *t) {
    if (!t || t->status == TH_E_MEMORY) return th_fail_memory();
    if (t->column_count == 0 || t->cell_count % t->column_count)
        return th_fail(TH_E_BUG, "a table of %lld columns was given %lld cells", (long long)t->column_count,
                       (long long)t->cell_count);
    return t->status;
}

void th_table_pair(th_table *t, const char *what, const char *value) {
    th_table_cell(t, "%s", what);
    th_table_cell(t, "%s", value);
}
