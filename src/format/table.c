/* CSV and TSV. The parser works in place: a cell's end is overwritten with NUL once what ended it has been looked at,
 * and doubled quotes close up towards the front. */
#include "format/table.h"

#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/str.h"

#define COLUMNS_MAX 4096
#define SHOWN 40 /* bytes of a name in a message */

void th_sheet_params_init(th_sheet_params *p, const char *path) {
    *p = (th_sheet_params){.separator = path && th_path_ends(path, ".csv") ? ',' : '\t',
                           .header = true,
                           .quotes = true,
                           .bytes_max = (size_t)8 << 30};
}

typedef struct {
    char *at, *end; /* *end is NUL */
    int64_t line;
    char separator;
    bool quotes;
} cursor;

typedef enum { END_CELL, END_ROW, END_FILE } cell_end;

/* Looks at what stands behind a cell and steps over it. */
static cell_end step_over(cursor *c) {
    if (c->at == c->end) return END_FILE;
    char was = *c->at++;
    if (was == c->separator) return END_CELL;
    if (was == '\r' && *c->at == '\n') c->at++;
    c->line++;
    return END_ROW;
}

static bool ends_cell(const cursor *c, char ch) { return ch == c->separator || ch == '\n' || ch == '\r'; }

static th_status quoted_cell(cursor *c, const char **cell, cell_end *end) {
    int64_t line = c->line;
    char *to = ++c->at;
    *cell = to;
    for (;; c->at++) {
        if (c->at == c->end)
            return th_fail(TH_E_INPUT, "line %lld: a quoted cell begins here and never ends", (long long)line);
        if (*c->at == '"' && *++c->at != '"') break;
        if (*c->at == '\n' || (*c->at == '\r' && c->at[1] != '\n')) c->line++;
        *to++ = *c->at;
    }
    if (c->at != c->end && !ends_cell(c, *c->at))
        return th_fail(TH_E_INPUT, "line %lld: text behind a closing quote (are quotes plain characters in this file?)",
                       (long long)c->line);
    *end = step_over(c);
    *to = '\0';
    return TH_OK;
}

static th_status next_cell(cursor *c, const char **cell, cell_end *end) {
    if (c->quotes && *c->at == '"') return quoted_cell(c, cell, end);
    *cell = c->at;
    while (c->at != c->end && !ends_cell(c, *c->at)) c->at++;
    char *stop = c->at;
    *end = step_over(c);
    *stop = '\0';
    return TH_OK;
}

static void skip_empty_lines(cursor *c) {
    while (c->at != c->end && (*c->at == '\n' || *c->at == '\r')) {
        if (*c->at == '\n' || c->at[1] != '\n') c->line++;
        c->at++;
    }
}

/* All cells of the file, with the header's, in one array. */
typedef struct {
    const char **cells;
    int64_t count, capacity, columns;
    int64_t *lines;
    int64_t rows, rows_capacity;
} grid;

static th_status read_row(cursor *c, grid *g) {
    int64_t first = g->count, line = c->line;
    cell_end end = END_CELL;
    while (end == END_CELL) {
        const char *cell;
        TH_TRY(next_cell(c, &cell, &end));
        if (!th_grow(g->cells, g->count, g->capacity)) return th_fail_memory();
        g->cells[g->count++] = cell;
    }
    if (g->count - first > COLUMNS_MAX)
        return th_fail(TH_E_INPUT, "line %lld: has %lld columns, at most %d are read", (long long)line,
                       (long long)(g->count - first), COLUMNS_MAX);
    if (!g->rows) g->columns = g->count;
    if (g->count - first != g->columns)
        return th_fail(TH_E_INPUT, "line %lld: has %lld columns, the first row has %lld", (long long)line,
                       (long long)(g->count - first), (long long)g->columns);
    if (!th_grow(g->lines, g->rows, g->rows_capacity)) return th_fail_memory();
    g->lines[g->rows++] = line;
    return TH_OK;
}

static th_status check_names(const grid *g) {
    for (int64_t i = 0; i < g->columns; i++)
        for (int64_t k = 0; k < i; k++)
            if (*g->cells[i] && !strcmp(g->cells[i], g->cells[k]))
                return th_fail(TH_E_INPUT, "line %lld: two columns are called '%.*s'", (long long)g->lines[0], SHOWN,
                               g->cells[i]);
    return TH_OK;
}

static th_status check_bytes(const char *bytes, size_t n) {
    const char *nul = memchr(bytes, '\0', n);
    if (!nul) return TH_OK;
    int64_t line = 1;
    for (const char *p = bytes; p < nul; p++) line += *p == '\n';
    return th_fail(TH_E_INPUT, "line %lld: holds a NUL byte; a table is text in UTF-8", (long long)line);
}

static th_status fill(char *bytes, size_t n, const th_sheet_params *params, grid *g) {
    if (strchr("\"\r\n", params->separator)) /* finds NUL, too */
        return th_fail(TH_E_USAGE, "a separator must not be a quote or the end of a line");
    TH_TRY(check_bytes(bytes, n));
    cursor c = {bytes, bytes + n, 1, params->separator, params->quotes};
    if (n >= 3 && !memcmp(bytes, "\xef\xbb\xbf", 3)) c.at += 3;
    for (skip_empty_lines(&c); c.at != c.end; skip_empty_lines(&c)) TH_TRY(read_row(&c, g));
    if (!g->rows) return th_fail(TH_E_INPUT, "is empty, a table is wanted");
    return params->header ? check_names(g) : TH_OK;
}

/* Takes bytes over. */
static th_status build(char *bytes, size_t n, const th_sheet_params *params, th_sheet *out) {
    grid g = {0};
    th_status s = fill(bytes, n, params, &g);
    if (s != TH_OK) {
        th_free(g.cells);
        th_free(g.lines);
        th_free(bytes);
        return s;
    }
    *out = (th_sheet){.columns = (int)g.columns, .rows = g.rows, .cells = g.cells, .lines = g.lines, .bytes = bytes};
    if (params->header) {
        out->names = g.cells;
        out->cells += g.columns;
        out->lines++;
        out->rows--;
    }
    return TH_OK;
}

th_status th_sheet_read(const char *path, const th_sheet_params *params, th_sheet *out) {
    *out = (th_sheet){0};
    th_sheet_params defaults;
    th_sheet_params_init(&defaults, path);
    if (!params) params = &defaults;
    th_bytes file;
    TH_TRY(th_file_read(path, params->bytes_max, &file));
    return th_fail_in(build(file.data, file.length, params, out), "%s", path);
}

th_status th_sheet_parse(const void *bytes, size_t n, const th_sheet_params *params, th_sheet *out) {
    *out = (th_sheet){0};
    th_sheet_params defaults;
    th_sheet_params_init(&defaults, NULL);
    char *copy = th_alloc(n + 1, 1);
    if (!copy) return th_fail_memory();
    if (n) memcpy(copy, bytes, n);
    return build(copy, n, params ? params : &defaults, out);
}

void th_sheet_free(th_sheet *t) {
    bool header = t->names != NULL;
    th_free(header ? t->names : t->cells);
    th_free(header ? t->lines - 1 : t->lines);
    th_free(t->bytes);
    *t = (th_sheet){0};
}

int th_sheet_column(const th_sheet *t, const char *name) {
    for (int i = 0; t->names && i < t->columns; i++)
        if (!strcmp(t->names[i], name)) return i;
    return -1;
}

th_status th_sheet_need(const th_sheet *t, const char *name, int *column) {
    *column = th_sheet_column(t, name);
    if (*column >= 0) return TH_OK;
    if (!t->names) return th_fail(TH_E_INPUT, "has no header, so no column '%s'", name);
    th_str list;
    th_str_init(&list, 200); /* what does not fit is left out */
    for (int i = 0; i < t->columns; i++) th_str_printf(&list, "%s'%.*s'", i ? ", " : "", SHOWN, t->names[i]);
    th_status s = th_fail(TH_E_INPUT, "has no column '%s'; it has %s%s", name, th_str_text(&list),
                          th_str_status(&list) == TH_OK ? "" : " …");
    th_str_free(&list);
    return s;
}

struct th_sheet_writer {
    th_writer *file;
    int columns;
    char separator;
};

static void write_cell(th_sheet_writer *w, const char *cell) {
    char special[] = {'"', '\r', '\n', w->separator, '\0'};
    bool quote = cell[strcspn(cell, special)] || (w->columns == 1 && !*cell) || !strncmp(cell, "\xef\xbb\xbf", 3);
    if (!quote) {
        th_writer_add(w->file, cell, strlen(cell));
        return;
    }
    th_writer_add(w->file, "\"", 1);
    for (;;) {
        size_t n = strcspn(cell, "\"");
        th_writer_add(w->file, cell, n);
        if (!cell[n]) break;
        th_writer_add(w->file, "\"\"", 2);
        cell += n + 1;
    }
    th_writer_add(w->file, "\"", 1);
}

void th_sheet_writer_row(th_sheet_writer *w, const char *const *cells) {
    for (int i = 0; i < w->columns; i++) {
        if (i) th_writer_add(w->file, &w->separator, 1);
        write_cell(w, cells[i]);
    }
    th_writer_add(w->file, "\n", 1);
}

th_status th_sheet_writer_open(const char *path, char separator, int columns, const char *const *names,
                               th_sheet_writer **out) {
    if (strchr("\"\r\n", separator) || columns < 1)
        return th_fail(TH_E_USAGE, "%s: a table needs a column, and a separator that is no quote or end of a line",
                       path);
    th_sheet_writer *w = th_alloc(1, sizeof *w);
    if (!w) return th_fail_memory();
    w->columns = columns;
    w->separator = separator;
    th_status s = th_writer_open(path, &w->file);
    if (s != TH_OK) return th_free(w), s;
    if (names) th_sheet_writer_row(w, names);
    *out = w;
    return TH_OK;
}

th_status th_sheet_writer_commit(th_sheet_writer *w) {
    th_status s = th_writer_commit(w->file);
    th_free(w);
    return s;
}

void th_sheet_writer_abort(th_sheet_writer *w) {
    if (!w) return;
    th_writer_abort(w->file);
    th_free(w);
}
