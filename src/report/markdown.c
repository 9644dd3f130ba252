/* Tables for documents. */
#include "report/table.h"

#include <string.h>

static void add_text(th_str *out, const char *text) {
    for (const char *c = text; *c; c++) {
        if (*c == '|') th_str_puts(out, "\\");
        th_str_add(out, *c == '\n' ? " " : c, 1);
    }
}

void th_table_markdown(const th_table *t, th_str *out) {
    if (!t) return;
    if (t->caption) {
        add_text(out, t->caption);
        th_str_puts(out, ":\n\n");
    }
    th_str_puts(out, "|");
    for (int64_t i = 0; i < t->column_count; i++) {
        th_str_puts(out, " ");
        add_text(out, t->columns[i].name);
        th_str_puts(out, " |");
    }
    th_str_puts(out, "\n|");
    for (int64_t i = 0; i < t->column_count; i++) th_str_puts(out, t->columns[i].align == TH_RIGHT ? "---:|" : "---|");
    for (int64_t i = 0; i < t->cell_count; i++) {
        const th_cell *c = &t->cells[i];
        const char *mark = c->mark == TH_STRONG ? "**" : "";
        th_str_puts(out, i % t->column_count ? " " : "\n| ");
        th_str_puts(out, mark);
        add_text(out, c->text);
        th_str_printf(out, "%s |", mark);
    }
    th_str_puts(out, "\n");
}
