/* A report: one self-contained HTML file of sections, tables, figures and pictures. No scripts, nothing fetched; light
 * and dark, wide and narrow, and on paper. The same calls give the same bytes. */
#ifndef TH_REPORT_PAGE_H
#define TH_REPORT_PAGE_H

#include "format/image.h"
#include "report/plot.h"
#include "report/table.h"

typedef struct th_page th_page;

/* One picture of a grid. */
typedef struct {
    const th_image *image; /* NULL: an empty place */
    const char *alt;       /* what is seen; NULL: the caption */
    const char *caption;   /* NULL: none */
    const char *detail;    /* a fainter second line; NULL: none */
    th_mark mark;          /* TH_GOOD and TH_BAD give a coloured border, and a sign before the caption */
} th_tile;

typedef struct {
    const char *title, *caption;
    int64_t columns;          /* 0: as many as fit */
    const char *const *heads; /* [columns] above them; NULL: none */
    const th_tile *tiles;     /* [tile_count], row by row */
    int64_t tile_count;
} th_grid;

/* A number to be seen first: "1.3 %", "attack success after cleaning", "98.2 % before". */
typedef struct {
    const char *value, *name, *detail; /* detail NULL: none */
} th_key;

/* NULL when out of memory; every call takes NULL for a report that failed. Errors stick until the report is written.
 * Texts are copied, escaped; in paragraphs a newline begins the next one. */
th_page *th_page_new(const char *title);
void th_page_free(th_page *page);
void th_page_lead(th_page *page, const char *text); /* what it comes to, in a sentence or two; before all else */
void th_page_keys(th_page *page, const th_key *keys, int64_t count);
void th_page_section(th_page *page, const char *heading);
void th_page_text(th_page *page, const char *paragraphs);
void th_page_note(th_page *page, const char *text);    /* an aside: a caveat, what was skipped */
void th_page_command(th_page *page, const char *line); /* what to type to get these numbers */
void th_page_table(th_page *page, const th_table *t);
void th_page_plot(th_page *page, const th_plot *p);
void th_page_bars(th_page *page, const th_bars *b);
void th_page_grid(th_page *page, const th_grid *g);

/* The whole document, appended to out. */
th_status th_page_html(th_page *page, th_str *out);
/* The same as a file, which appears whole or not at all. */
th_status th_page_write(th_page *page, const char *path);

#endif
