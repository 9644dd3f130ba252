/* Tables of pictures and captions. */
#include <string.h>

#include "data/dataset_parts.h"
#include "format/table.h"

#define HEADER_MAX 65536 /* bytes looked at to know a table by its header */

/* ---- columns */

static const char *const image_names[] = {"image", "filepath", "file_name", "file", NULL};
static const char *const caption_names[] = {"caption", "title", "text", "captions", "prompt", NULL};
static const char *const label_names[] = {"label", NULL};

/* The column called `wanted`, or the first of the known names where wanted is NULL; −1 if there is none. */
static int find_column(const th_sheet *t, const char *wanted, const char *const *known) {
    if (wanted) return th_sheet_column(t, wanted);
    int column = -1;
    for (int i = 0; known[i] && column < 0; i++) column = th_sheet_column(t, known[i]);
    return column;
}

static th_status fail_column(const th_sheet *t, const char *names) {
    th_str list;
    th_str_init(&list, 200); /* what does not fit is left out */
    for (int i = 0; i < t->columns; i++) th_str_printf(&list, "%s%.40s", i ? ", " : "", t->names[i]);
    th_status s = th_fail(TH_E_INPUT, "no column %s (there are: %s%s)", names, th_str_text(&list),
                          th_str_status(&list) == TH_OK ? "" : ", …");
    th_str_free(&list);
    return s;
}

static th_status fail_wanted(const th_sheet *t, const char *wanted, const char *otherwise) {
    char text[TH_SHOWN_MAX], name[TH_SHOWN_MAX + 2];
    if (!wanted) return fail_column(t, otherwise);
    snprintf(name, sizeof name, "'%s'", th_shown(text, wanted, strlen(wanted)));
    return fail_column(t, name);
}

typedef struct {
    int image, caption, label; /* −1: none */
} columns;

static th_status find_columns(const th_sheet *t, const th_dataset_params *p, columns *c) {
    c->image = find_column(t, p->image_column, image_names);
    c->caption = find_column(t, p->caption_column, caption_names);
    c->label = find_column(t, p->label_column, label_names);
    if (c->image < 0) return fail_wanted(t, p->image_column, "'image', 'filepath', 'file_name' or 'file'");
    if (c->label < 0 && p->label_column) return fail_wanted(t, p->label_column, NULL);
    if (c->caption < 0 && (p->caption_column || c->label < 0))
        return fail_wanted(t, p->caption_column, "'caption', 'title' or 'text'");
    return TH_OK;
}

static void table_params(const char *path, const th_dataset_params *p, th_sheet_params *out) {
    th_sheet_params_init(out, path);
    if (p->separator) out->separator = p->separator;
    out->quotes = !p->plain_quotes;
}

th_status th_dataset_is_table(const char *path, const th_dataset_params *p, bool *yes) {
    th_sheet_params how;
    table_params(path, p, &how);
    th_mapping m;
    TH_TRY(th_file_map(path, &m));
    size_t n = m.length < HEADER_MAX ? m.length : HEADER_MAX, line = 0;
    while (line < n && m.data[line] != '\n' && m.data[line] != '\r') line++;
    th_sheet t;
    *yes = th_sheet_parse(m.data, line, &how, &t) == TH_OK;
    if (*yes) {
        *yes = find_column(&t, p->image_column, image_names) >= 0;
        th_sheet_free(&t);
    }
    th_file_unmap(&m);
    return TH_OK;
}

th_status th_dataset_read_sheet(const char *path, const th_dataset_params *p, th_sheet *out, int *image) {
    th_sheet_params how;
    table_params(path, p, &how);
    TH_TRY(th_sheet_read(path, &how, out));
    *image = find_column(out, p->image_column, image_names);
    if (*image >= 0) return TH_OK;
    th_sheet_free(out);
    return th_fail(TH_E_INPUT, "%s: the table was changed while it was read", path);
}

/* ---- rows */

/* Which picture a path is: a table of open addressing over the pictures that there are, which holds no keys itself. */
typedef struct {
    int32_t *slots; /* number of the picture + 1; 0: free */
    uint64_t mask;
} known_paths;

static th_status known_paths_new(int64_t rows, known_paths *k) {
    uint64_t capacity = 16;
    while (capacity < (uint64_t)rows * 2) capacity *= 2;
    k->mask = capacity - 1;
    k->slots = th_alloc(capacity, sizeof *k->slots);
    return k->slots ? TH_OK : th_fail_memory();
}

/* The path's slot, which is free where it is new. FNV-1a, mixed. */
static int32_t *known_paths_slot(const known_paths *k, const th_entry *entries, const char *path) {
    uint64_t h = 0xcbf29ce484222325u;
    for (const char *p = path; *p; p++) h = (h ^ (unsigned char)*p) * 0x100000001b3u;
    for (h ^= h >> 29;; h++) {
        int32_t *slot = &k->slots[h & k->mask];
        if (!*slot || !strcmp(entries[*slot - 1].key, path)) return slot;
    }
}

typedef struct {
    th_gather *g;
    th_sheet *t;
    columns c;
    known_paths known;
} rows;

/* A cell, in place, without white space at its ends. Cells stand in t->bytes, which is ours to change. */
static char *cell_of(const rows *r, int64_t row, int column) {
    char *cell = r->t->bytes + (th_sheet_cell(r->t, row, column) - r->t->bytes), *end = cell + strlen(cell);
    while (*cell == ' ' || *cell == '\t' || *cell == '\n' || *cell == '\r') cell++;
    while (end > cell && (end[-1] == ' ' || end[-1] == '\t' || end[-1] == '\n' || end[-1] == '\r')) *--end = '\0';
    return cell;
}

static th_status fail_row(const rows *r, int64_t row, const char *what) {
    return th_fail(TH_E_INPUT, "line %lld: %s", (long long)r->t->lines[row], what);
}

/* The number of the row's picture. */
static th_status find_picture(rows *r, int64_t row, int64_t *image) {
    th_dataset *d = r->g->d;
    const char *path = cell_of(r, row, r->c.image);
    if (!*path) return fail_row(r, row, "the path of the picture is empty");
    int32_t *slot = known_paths_slot(&r->known, d->entries, path);
    if (!*slot) {
        TH_TRY(th_gather_image(r->g, path));
        *slot = (int32_t)d->entry_count;
    }
    *image = *slot - 1;
    return TH_OK;
}

typedef struct {
    th_gather *g;
    int64_t image;
} target;

static th_status add_caption(void *context, const char *caption) {
    const target *t = context;
    return *caption ? th_gather_caption(t->g, t->image, caption) : TH_OK;
}

static th_status add_captions(rows *r, int64_t row, int64_t image) {
    target t = {r->g, image};
    char *caption = cell_of(r, row, r->c.caption);
    th_status s;
    if (th_caption_list(caption, add_caption, &t, &s)) return s;
    return add_caption(&t, caption);
}

static th_status add_label(rows *r, int64_t row, int64_t image) {
    const char *label = cell_of(r, row, r->c.label), *before = r->g->labels[image];
    if (!*label) return TH_OK;
    if (before && strcmp(before, label) != 0) return fail_row(r, row, "the same picture had another label before");
    r->g->labels[image] = label;
    return TH_OK;
}

static th_status add_row(rows *r, int64_t row) {
    int64_t image = 0;
    TH_TRY(find_picture(r, row, &image));
    if (r->c.caption >= 0) TH_TRY(add_captions(r, row, image));
    return r->c.label >= 0 ? add_label(r, row, image) : TH_OK;
}

static th_status add_rows(rows *r) {
    TH_TRY(find_columns(r->t, r->g->p, &r->c));
    if (r->t->rows > INT32_MAX) return th_fail(TH_E_INPUT, "has more than %d rows", INT32_MAX);
    TH_TRY(known_paths_new(r->t->rows, &r->known));
    for (int64_t row = 0; row < r->t->rows; row++) {
        if (row % 65536 == 0) th_report(r->g->watch, "rows read", row, r->t->rows, NULL);
        th_status s = add_row(r, row);
        if (s != TH_OK) TH_TRY(th_gather_drop(r->g, s));
    }
    return TH_OK;
}

/* Takes the table over: its bytes stay with the set, the rest goes. */
static th_status take_table(th_gather *g, th_sheet *t) {
    th_dataset *d = g->d;
    rows r = {.g = g, .t = t};
    d->source = &th_source_table;
    th_status s = th_fail_in(add_rows(&r), "%s", d->name);
    th_free(r.known.slots);
    d->table = t->bytes;
    t->bytes = NULL;
    th_sheet_free(t);
    TH_TRY(s);
    return th_gather_finish(g, false);
}

/* The set is called by the table's name from here on. */
static th_status rename_set(th_dataset *d, const char *path) {
    const char *base = th_path_base(path);
    th_free(d->name);
    d->name = th_strdup(path);
    d->folder = th_strndup(path, (size_t)(base - path));
    return d->name && d->folder ? TH_OK : th_fail_memory();
}

th_status th_dataset_open_table(th_gather *g, const char *path) {
    th_sheet_params how;
    table_params(path, g->p, &how);
    TH_TRY(rename_set(g->d, path));
    th_sheet t;
    TH_TRY(th_sheet_read(path, &how, &t));
    return take_table(g, &t);
}

typedef struct {
    const void *bytes;
    size_t n;
} memory;

static th_status fill_from_memory(th_gather *g, const void *what) {
    const memory *m = what;
    th_sheet_params how;
    table_params(g->d->name, g->p, &how);
    g->d->folder = th_strdup("");
    if (!g->d->folder) return th_fail_memory();
    th_sheet t;
    TH_TRY(th_fail_in(th_sheet_parse(m->bytes, m->n, &how, &t), "%s", g->d->name));
    return take_table(g, &t);
}

th_status th_dataset_parse_table(const char *name, const void *bytes, size_t n, const th_dataset_params *p,
                                 th_dataset **out) {
    return th_dataset_make(name, p, NULL, fill_from_memory, &(memory){bytes, n}, out);
}
