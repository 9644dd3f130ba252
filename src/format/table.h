/* Tables as text: CSV (RFC 4180) and TSV, with a header row and columns by name, as OpenCLIP and pandas use them. */
#ifndef TH_FORMAT_TABLE_H
#define TH_FORMAT_TABLE_H

#include "base/status.h"

typedef struct {
    char separator; /* one byte, neither a quote nor the end of a line */
    bool header;    /* the first row names the columns; true */
    bool quotes;    /* a cell that begins with " is quoted as in RFC 4180; true. False: " is a character like others */
    size_t bytes_max; /* of the file; 8 GiB */
} th_sheet_params;
/* The separator is a comma where path ends in .csv, else a tab; path may be NULL. */
void th_sheet_params_init(th_sheet_params *p, const char *path);

/* The whole file in memory; the cells are strings inside it, with their quotes taken off. Lines may end in LF, CRLF or
 * CR; empty lines are passed over; a byte-order mark is dropped; NUL bytes are refused, other bytes are not looked at.
 */
typedef struct {
    int columns;
    int64_t rows;       /* without the header */
    const char **names; /* [columns]; NULL without a header */
    const char **cells; /* [rows, columns] */
    int64_t *lines;     /* [rows]: the line of the file where the row begins, from 1 */
    char *bytes;
} th_sheet;

/* Every row must have as many cells as the first. Free with th_sheet_free; after an error there is nothing to free. */
th_status th_sheet_read(const char *path, const th_sheet_params *params, th_sheet *out);
/* The same from memory; messages come without a file's name. */
th_status th_sheet_parse(const void *bytes, size_t n, const th_sheet_params *params, th_sheet *out);
void th_sheet_free(th_sheet *t);

static inline const char *th_sheet_cell(const th_sheet *t, int64_t row, int column) {
    return t->cells[row * t->columns + column];
}
/* The column of this name, −1 if there is none. */
int th_sheet_column(const th_sheet *t, const char *name);
/* The same, but a missing column is an error that says which ones there are. */
th_status th_sheet_need(const th_sheet *t, const char *name, int *column);

/* Writing: cells are quoted where they must be; lines end in LF. The file gets its name on commit. */
typedef struct th_sheet_writer th_sheet_writer;
th_status th_sheet_writer_open(const char *path, char separator, int columns, const char *const *names,
                               th_sheet_writer **out);
void th_sheet_writer_row(th_sheet_writer *w, const char *const *cells); /* [columns]; errors stick until commit */
th_status th_sheet_writer_commit(th_sheet_writer *w);                   /* frees w */
void th_sheet_writer_abort(th_sheet_writer *w);                         /* frees w; NULL is allowed */

#endif
