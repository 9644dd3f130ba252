/* A table of short texts, filled row by row; the command prints it to the terminal, the report as HTML. */
#ifndef TH_REPORT_TABLE_H
#define TH_REPORT_TABLE_H

#include "base/memory.h"
#include "base/str.h"

typedef enum { TH_LEFT, TH_RIGHT } th_align;

/* How a cell is shown; never the only bearer of its meaning. */
typedef enum { TH_PLAIN, TH_STRONG, TH_GOOD, TH_BAD, TH_FAINT } th_mark;

typedef struct {
    const char *name;
    th_align align;
} th_column;

typedef struct {
    const char *text;
    th_mark mark;
} th_cell;

/* To be read by those who print it; filled by the calls below. Errors stick until th_table_status. */
typedef struct {
    const char *caption; /* NULL: none */
    th_column *columns;
    th_cell *cells; /* [rows, columns] */
    int64_t column_count, column_capacity, cell_count, cell_capacity;
    th_arena *arena;
    th_status status;
} th_table;

/* NULL when out of memory, which all calls take for a table that failed. Texts are copied. */
th_table *th_table_new(const char *caption);
void th_table_free(th_table *t);
void th_table_column(th_table *t, th_align align, const char *name); /* all before the first cell */
void th_table_cell(th_table *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Two cells: what something is called, and what it is. */
void th_table_pair(th_table *t, const char *what, const char *value);
/* v with so many digits after the point; "–" where it is not finite. */
void th_table_number(th_table *t, double v, int digits);
/* "93.1 ± 0.4" */
void th_table_measure(th_table *t, double v, double half_width, int digits);
void th_table_mark(th_table *t, th_mark mark); /* of the cell filled last */
int64_t th_table_rows(const th_table *t);
/* Appends it as Markdown, the caption as a line above. */
void th_table_markdown(const th_table *t, th_str *out);
/* TH_E_BUG when the last row is not full. */
th_status th_table_status(const th_table *t);

#endif
