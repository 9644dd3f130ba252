/* A table of pictures into the rows of a study. */
#include <math.h>
#include <string.h>

#include "base/guess.h"
#include "base/map.h"
#include "base/number.h"
#include "metric/guard_protocol.h"

void th_study_free(th_study *s) {
    th_arena_free(s->arena);
    s->arena = NULL;
    s->rows = NULL, s->prompts = s->groups = s->attributes = NULL;
    s->fidelity = s->likeness = NULL, s->kernel = NULL;
    s->row_count = s->prompt_count = s->group_count = s->attribute_count = 0;
}

enum { KIND, MODEL, SUBJECT, ATTACKER, SEED, STEP, DRAW, PROMPT, GROUP, COLUMNS };
static const char *const column_names[COLUMNS] = {"kind", "model", "subject", "attacker", "seed",
                                                  "step", "draw",  "prompt",  "group"};
static const char *const kind_names[] = {"attack", "leak", "class", "ordinary"};
enum { KINDS = sizeof kind_names / sizeof *kind_names };

/* What a kind of picture must have, and what it may; all else must be empty. */
static const struct {
    uint32_t must, may;
} cells_of[KINDS] = {
    [TH_STUDY_ATTACK] = {1u << SUBJECT | 1u << ATTACKER | 1u << SEED | 1u << STEP, 0},
    [TH_STUDY_LEAK] = {1u << SUBJECT, 1u << SEED},
    [TH_STUDY_CLASS] = {0, 1u << SEED | 1u << GROUP},
    [TH_STUDY_ORDINARY] = {0, 1u << SEED},
};
static const uint32_t cells_of_all = 1u << KIND | 1u << MODEL | 1u << DRAW | 1u << PROMPT;

typedef struct {
    th_study *s;
    const th_dataset *d;
    const th_columns *c;
    const char *name; /* of the table */
    int column[COLUMNS];
    int64_t at;                               /* the picture that is read */
    th_map *prompts, *groups;                 /* text → number */
    const char **prompt_texts, **group_texts; /* [pictures]: by number */
    th_map *places;
} reading;

static const char *cell(const reading *r, int what) {
    return r->column[what] < 0 ? "" : th_columns_cell(r->c, r->at, r->column[what]);
}

static th_status fail(const reading *r, int what, const char *wanted) {
    char key[TH_DATASET_ROOM];
    return th_fail(TH_E_INPUT, "%s: '%.120s': column '%s' is '%.60s', which is %s", r->name,
                   th_dataset_key(r->d, r->at, key), column_names[what], cell(r, what), wanted);
}

/* --- names --- */

/* The i-th name that a column may hold; NULL past the last. */
typedef const char *(*name_at)(const th_study *s, int64_t i);
static const char *model_name(const th_study *s, int64_t i) { return i < s->model_count ? s->models[i].name : NULL; }
static const char *subject_name(const th_study *s, int64_t i) {
    return i < s->subject_count ? s->subjects[i].name : NULL;
}
static const char *attacker_name(const th_study *s, int64_t i) {
    return i < s->attacker_count ? s->attackers[i].name : NULL;
}
static const char *kind_name(const th_study *s, int64_t i) {
    (void)s;
    return i < KINDS ? kind_names[i] : NULL;
}

static th_status read_name(const reading *r, int what, name_at names, int32_t *out) {
    const char *text = cell(r, what), *name;
    th_guess guess = {.word = text};
    *out = -1;
    if (!*text) return TH_OK;
    for (int32_t i = 0; (name = names(r->s, i)); i++) {
        if (!strcmp(name, text)) return *out = i, TH_OK;
        th_guess_offer(&guess, name);
    }
    char wanted[160];
    snprintf(wanted, sizeof wanted, "no %s of the study%s%.60s%s", column_names[what],
             guess.best ? " (did you mean '" : "", guess.best ? guess.best : "", guess.best ? "'?)" : "");
    return fail(r, what, wanted);
}

static th_status read_number(const reading *r, int what, int64_t *out) {
    *out = -1;
    if (!*cell(r, what)) return TH_OK;
    return th_parse_i64(cell(r, what), out) && *out >= 0 ? TH_OK : fail(r, what, "no number from 0 up");
}

/* The text's number among those that were seen, in the order of their first pictures. */
static th_status number_text(th_arena *arena, th_map *seen, const char **texts, const char *text, int64_t *count,
                             int32_t *out) {
    size_t n = strlen(text);
    int64_t at = th_map_get(seen, text, n, -1);
    if (at < 0) {
        at = *count;
        texts[at] = th_arena_strdup(arena, text);
        if (!texts[at]) return th_fail_memory();
        TH_TRY(th_map_set(seen, text, n, at));
        ++*count;
    }
    *out = (int32_t)at;
    return TH_OK;
}

/* --- rows --- */

static th_status check_cells(const reading *r, th_study_kind kind) {
    uint32_t must = cells_of[kind].must | cells_of_all, may = cells_of[kind].may | must;
    char wanted[100];
    for (int what = 0; what < COLUMNS; what++) {
        bool there = *cell(r, what) != '\0';
        if (there ? may >> what & 1 : !(must >> what & 1)) continue;
        snprintf(wanted, sizeof wanted, "%s by a picture of kind '%s'", there ? "not had" : "wanted", kind_names[kind]);
        return fail(r, what, wanted);
    }
    return TH_OK;
}

/* Two models' pictures are told from one another, and pairs found, by these. */
static th_status check_place(const reading *r, const th_study_row *row) {
    int64_t place[] = {row->kind,   row->model, row->subject, row->attacker,
                       row->prompt, row->seed,  row->step,    row->draw};
    char key[TH_DATASET_ROOM], other[TH_DATASET_ROOM];
    int64_t was = th_map_get(r->places, (const char *)place, sizeof place, -1);
    if (was >= 0)
        return th_fail(TH_E_INPUT,
                       "%s: '%.120s' and '%.120s' are the same draw of the same prompt by the same model: one place "
                       "has one picture",
                       r->name, th_dataset_key(r->d, was, other), th_dataset_key(r->d, r->at, key));
    return th_map_set(r->places, (const char *)place, sizeof place, r->at);
}

static th_status read_row(reading *r, th_study_row *row) {
    th_study *s = r->s;
    int32_t kind;
    *row = (th_study_row){.found = -1, .text = NAN};
    TH_TRY(read_name(r, KIND, kind_name, &kind));
    if (kind < 0) return fail(r, KIND, "wanted by every picture");
    row->kind = (th_study_kind)kind;
    TH_TRY(check_cells(r, row->kind));
    TH_TRY(read_name(r, MODEL, model_name, &row->model));
    TH_TRY(read_name(r, SUBJECT, subject_name, &row->subject));
    TH_TRY(read_name(r, ATTACKER, attacker_name, &row->attacker));
    TH_TRY(read_number(r, SEED, &row->seed));
    TH_TRY(read_number(r, STEP, &row->step));
    TH_TRY(read_number(r, DRAW, &row->draw));
    TH_TRY(number_text(s->arena, r->prompts, r->prompt_texts, cell(r, PROMPT), &s->prompt_count, &row->prompt));
    row->group = -1;
    if (row->kind == TH_STUDY_CLASS)
        TH_TRY(number_text(s->arena, r->groups, r->group_texts, cell(r, GROUP), &s->group_count, &row->group));
    return check_place(r, row);
}

static th_status find_columns(reading *r) {
    for (int what = 0; what < COLUMNS; what++) {
        r->column[what] = th_columns_find(r->c, column_names[what]);
        if (what != GROUP) TH_TRY(th_columns_need(r->c, column_names[what], &r->column[what]));
    }
    return TH_OK;
}

static th_status read_rows(reading *r) {
    th_study *s = r->s;
    size_t n = (size_t)th_dataset_images(r->d);
    TH_TRY(find_columns(r));
    s->rows = th_arena_alloc(s->arena, n, sizeof *s->rows);
    s->prompts = r->prompt_texts = th_arena_alloc(s->arena, n, sizeof *r->prompt_texts);
    s->groups = r->group_texts = th_arena_alloc(s->arena, n, sizeof *r->group_texts);
    if (!s->rows || !r->prompt_texts || !r->group_texts || !r->prompts || !r->groups || !r->places)
        return th_fail_memory();
    for (r->at = 0; r->at < (int64_t)n; r->at++) TH_TRY(read_row(r, &s->rows[r->at]));
    s->row_count = (int64_t)n;
    return TH_OK;
}

static th_status check_lists(const th_study *s) {
    if (s->model_count < 1 || s->model_count > TH_STUDY_NAMES_MAX || s->subject_count < 1 ||
        s->subject_count > TH_STUDY_NAMES_MAX)
        return th_fail(TH_E_INPUT, "a study has 1 to %d models and as many subjects; this one has %lld and %lld",
                       TH_STUDY_NAMES_MAX, (long long)s->model_count, (long long)s->subject_count);
    return TH_OK;
}

th_status th_study_read(th_study *s, const th_dataset *d, const th_columns *c, const char *name) {
    TH_TRY(check_lists(s));
    th_study_free(s);
    s->arena = th_arena_new();
    if (!s->arena) return th_fail_memory();
    reading r = {
        .s = s, .d = d, .c = c, .name = name, .prompts = th_map_new(), .groups = th_map_new(), .places = th_map_new()};
    th_status status = read_rows(&r);
    th_map_free(r.prompts);
    th_map_free(r.groups);
    th_map_free(r.places);
    return status;
}
