/* Figures of a study of guards: shares against steps, and contact sheets. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "cli/study/report_parts.h"
#include "data/contact_sheet.h"
#include "data/resize.h"

/* --- shares against steps --- */

enum { MOST_SERIES = TH_STUDY_NAMES_MAX };

typedef struct {
    th_series series[MOST_SERIES];
    int64_t count;
    double *numbers; /* x, y, low, high of each point */
    int64_t used;
} curves;

static void add_curve(curves *c, const char *name, const th_study_strength *s, int64_t n, bool protection) {
    if (c->count == MOST_SERIES || !n) return;
    double *at = c->numbers + c->used;
    for (int64_t i = 0; i < n; i++) {
        const th_estimate *e = protection ? &s[i].protection : &s[i].subject;
        at[i] = (double)s[i].step, at[n + i] = e->value;
        at[2 * n + i] = e->low, at[3 * n + i] = e->high;
    }
    c->series[c->count++] = (th_series){
        .name = name, .kind = TH_LINE, .count = n, .x = at, .y = at + n, .low = at + 2 * n, .high = at + 3 * n};
    c->used += 4 * n;
}

static uint64_t protects(const th_guard_order *o, const th_study_cell *c) {
    return o->r->study->models[c->guard].protects;
}

/* Cells that belong in one figure with the i-th: the same attacker on the same subjects. */
static bool together(const th_guard_order *o, const th_study_cell *a, const th_study_cell *b) {
    return a->attacker == b->attacker && protects(o, a) == protects(o, b);
}

static void list_subjects(const th_guard_order *o, uint64_t set, th_str *out) {
    for (int64_t i = 0; i < o->r->study->subject_count; i++)
        if (set >> i & 1) th_str_printf(out, "%s%s", out->length ? ", " : "", o->r->study->subjects[i].name);
}

static void draw_curves(th_page *page, const th_guard_order *o, int64_t first, curves *c, bool protection) {
    const th_study_result *all = o->r->result;
    const th_study_cell *head = &all->cells[first];
    char title[160];
    th_str caption;
    c->count = c->used = 0;
    add_curve(c, o->r->study->models[0].name, head->open_curve, head->open_count, protection);
    for (int64_t i = first; i < all->cell_count; i++)
        if (together(o, head, &all->cells[i]))
            add_curve(c, o->r->study->models[all->cells[i].guard].name, all->cells[i].curve, all->cells[i].count,
                      protection);
    snprintf(title, sizeof title, "%.60s: pictures that show %s", o->r->study->attackers[head->attacker].name,
             protection ? "the protective output and not the subject" : "the protected subject");
    th_str_init(&caption, 1 << 16);
    list_subjects(o, protects(o, head), &caption);
    th_str_puts(&caption, ". Bands are 95 % intervals over trainings.");
    if (protection) th_str_puts(&caption, " The open model is counted by the judge of the first guard: false alarms.");
    th_rule best = {.vertical = true, .at = (double)head->all.step, .label = "best on the open model"};
    th_plot p = {.title = title,
                 .caption = th_str_text(&caption),
                 .x_name = "steps of personalisation",
                 .y_name = "share of pictures",
                 .y_percent = true,
                 .y_span = {true, 0, 1},
                 .series = c->series,
                 .series_count = c->count,
                 .rules = &best,
                 .rule_count = head->all.step >= 0};
    th_page_plot(page, &p);
    th_str_free(&caption);
}

th_status th_guard_add_curves(th_page *page, const th_guard_order *o) {
    const th_study_result *all = o->r->result;
    int64_t points = 0;
    for (int64_t i = 0; i < all->cell_count; i++) points += all->cells[i].count + all->cells[i].open_count;
    curves *c = th_alloc(1, sizeof *c);
    double *numbers = th_alloc((size_t)points * 4 + 1, sizeof *numbers);
    if (!c || !numbers) return th_free(c), th_free(numbers), th_fail_memory();
    c->numbers = numbers;
    for (int64_t i = 0; i < all->cell_count; i++) {
        bool drawn = false;
        for (int64_t k = 0; k < i; k++) drawn |= together(o, &all->cells[i], &all->cells[k]);
        if (drawn) continue;
        draw_curves(page, o, i, c, false);
        draw_curves(page, o, i, c, true);
    }
    th_free(c);
    th_free(numbers);
    return TH_OK;
}

/* --- contact sheets --- */

enum { SHEET_PROMPTS = 6, SHEET_STEPS = 10, SHEET_CELL = 128, PAGE_SHEETS = 12 };

/* Pictures of one cell, of its first seed and of each prompt's first draw; −1: there is none. */
typedef struct {
    int32_t guard, attacker, subject;
    int64_t steps[SHEET_STEPS], prompts[SHEET_PROMPTS], seed, draw;
    int step_count, prompt_count;
    int64_t open[SHEET_STEPS][SHEET_PROMPTS], guarded[SHEET_STEPS][SHEET_PROMPTS];
} sheet;

static int64_t *picture_of(sheet *s, const th_study_row *r, int step, int prompt) {
    return r->model ? &s->guarded[step][prompt] : &s->open[step][prompt];
}

static bool of_sheet(const sheet *s, const th_study_row *r) {
    return r->kind == TH_STUDY_ATTACK && r->subject == s->subject && r->attacker == s->attacker &&
           (r->model == s->guard || r->model == 0);
}

static int find(const int64_t *list, int count, int64_t v) {
    for (int i = 0; i < count; i++)
        if (list[i] == v) return i;
    return -1;
}

/* The place of v in a rising list of at most `most`, into which it is put while there is room. */
static void put_rising(int64_t *list, int *count, int most, int64_t v) {
    if (*count == most || find(list, *count, v) >= 0) return;
    int at = (*count)++;
    for (; at > 0 && list[at - 1] > v; at--) list[at] = list[at - 1];
    list[at] = v;
}

static bool fill_sheet(const th_study *study, sheet *s) {
    s->seed = s->draw = INT64_MAX;
    for (int64_t i = 0; i < study->row_count; i++) {
        const th_study_row *r = &study->rows[i];
        if (!of_sheet(s, r) || r->model == 0) continue;
        if (r->seed < s->seed) s->seed = r->seed;
        if (r->draw < s->draw) s->draw = r->draw;
        put_rising(s->steps, &s->step_count, SHEET_STEPS, r->step);
        put_rising(s->prompts, &s->prompt_count, SHEET_PROMPTS, r->prompt);
    }
    memset(s->open, -1, sizeof s->open);
    memset(s->guarded, -1, sizeof s->guarded);
    for (int64_t i = 0; i < study->row_count; i++) {
        const th_study_row *r = &study->rows[i];
        int step = find(s->steps, s->step_count, r->step), prompt = find(s->prompts, s->prompt_count, r->prompt);
        if (of_sheet(s, r) && r->seed == s->seed && r->draw == s->draw && step >= 0 && prompt >= 0)
            *picture_of(s, r, step, prompt) = i;
    }
    return s->step_count > 0;
}

typedef struct {
    const th_guard_order *o;
    th_dataset_reader *reader;
    th_resizer *resizer;
    th_image whole; /* as it was read */
} studio;

/* The picture of a row, no larger than a cell. */
static th_status shoot(studio *x, int64_t row, th_image *out) {
    th_dataset *d = x->o->r->pictures;
    TH_TRY(th_dataset_read(d, x->reader, th_dataset_sample(d, row), &x->whole, NULL));
    int32_t width = x->whole.width, height = x->whole.height, longer = width > height ? width : height;
    th_resize_params p;
    if (longer > SHEET_CELL) {
        width = (int32_t)((int64_t)width * SHEET_CELL / longer);
        height = (int32_t)((int64_t)height * SHEET_CELL / longer);
    }
    th_resize_params_init(&p, width > 0 ? width : 1, height > 0 ? height : 1);
    return th_resize(x->resizer, &x->whole, &p, out);
}

static th_status write_sheet(studio *x, const sheet *s, const char *out) {
    char path[TH_PATH_MAX], name[400];
    th_contact_sheet *c = NULL;
    th_image im = {0};
    const th_study *study = x->o->r->study;
    snprintf(name, sizeof name, "sheets/%.100s-%.100s-%.100s.png", study->models[s->guard].name,
             study->attackers[s->attacker].name, study->subjects[s->subject].name);
    TH_TRY(th_path_join(path, out, name));
    TH_TRY(th_make_parents(path));
    TH_TRY(th_contact_sheet_new(2 * s->prompt_count, s->step_count, SHEET_CELL, SHEET_CELL, &c));
    th_status status = TH_OK;
    for (int i = 0; i < s->step_count; i++)
        for (int k = 0; k < 2 * s->prompt_count && status == TH_OK; k++) {
            int64_t row = k % 2 ? s->guarded[i][k / 2] : s->open[i][k / 2];
            if (row >= 0) status = shoot(x, row, &im);
            if (row >= 0 && status == TH_OK) status = th_contact_sheet_put(c, i, k, &im);
        }
    if (status == TH_OK) status = th_contact_sheet_write(c, path);
    th_image_free(&im);
    th_contact_sheet_free(c);
    return status;
}

/* --- on the page --- */

enum { MOST_TILES = SHEET_STEPS * SHEET_PROMPTS * 2 };

typedef struct {
    th_tile tiles[MOST_TILES];
    th_image images[MOST_TILES];
    char details[MOST_TILES][32];
    int count;
} wall;

static void caption_tile(const th_guard_order *o, const sheet *s, const th_study_row *r, th_tile *t) {
    bool shown = r->found == r->subject, protective = r->protective >> s->guard & 1;
    bool is_protected = o->r->study->models[s->guard].protects >> r->subject & 1;
    t->caption = shown ? protective ? "both" : "subject" : protective ? "protective" : "neither";
    if (!r->model) return;
    if (shown) t->mark = is_protected ? TH_BAD : TH_GOOD;
    if (protective && !shown) t->mark = is_protected ? TH_GOOD : TH_BAD;
}

static th_status hang(studio *x, const sheet *s, int64_t row, int64_t step, wall *w) {
    int at = w->count++;
    w->tiles[at] = (th_tile){0};
    if (row < 0) return TH_OK;
    TH_TRY(shoot(x, row, &w->images[at]));
    snprintf(w->details[at], sizeof w->details[at], "%lld steps", (long long)step);
    w->tiles[at].image = &w->images[at];
    w->tiles[at].detail = w->details[at];
    caption_tile(x->o, s, &x->o->r->study->rows[row], &w->tiles[at]);
    return TH_OK;
}

static void add_wall(th_page *page, const th_guard_order *o, const sheet *s, const wall *w) {
    const th_study *study = o->r->study;
    bool is_protected = study->models[s->guard].protects >> s->subject & 1;
    char title[300], heads[2 * SHEET_PROMPTS][160];
    const char *names[2 * SHEET_PROMPTS];
    for (int k = 0; k < 2 * s->prompt_count; k++) {
        snprintf(heads[k], sizeof heads[k], "%.40s: %.100s", study->models[k % 2 ? s->guard : 0].name,
                 study->prompts ? study->prompts[s->prompts[k / 2]] : "");
        names[k] = heads[k];
    }
    snprintf(title, sizeof title, "%.60s, personalised on %s %.60s by %.60s", study->models[s->guard].name,
             is_protected ? "protected" : "unprotected", study->subjects[s->subject].name,
             study->attackers[s->attacker].name);
    th_grid g = {.title = title,
                 .caption =
                     "Rows are strengths; each pair of columns is one prompt from one noise, by the open model and "
                     "by the guarded one. Below each picture is what the judges found.",
                 .columns = 2 * s->prompt_count,
                 .heads = names,
                 .tiles = w->tiles,
                 .tile_count = w->count};
    th_page_grid(page, &g);
}

static th_status show_sheet(th_page *page, studio *x, const sheet *s) {
    wall *w = th_alloc(1, sizeof *w);
    if (!w) return th_fail_memory();
    th_status status = TH_OK;
    for (int i = 0; i < s->step_count; i++)
        for (int k = 0; k < s->prompt_count && status == TH_OK; k++) {
            status = hang(x, s, s->open[i][k], s->steps[i], w);
            if (status == TH_OK) status = hang(x, s, s->guarded[i][k], s->steps[i], w);
        }
    if (status == TH_OK) add_wall(page, x->o, s, w);
    for (int i = 0; i < MOST_TILES; i++) th_image_free(&w->images[i]);
    th_free(w);
    return status;
}

/* Of each guard and attacker the first protected subject and the first other one. */
static bool is_first(const th_study *study, const th_study_cell *c, int64_t subject) {
    uint64_t mask = study->models[c->guard].protects;
    for (int64_t i = 0; i < subject; i++)
        if ((mask >> i & 1) == (mask >> subject & 1) && c->each[i].pairs) return false;
    return true;
}

static th_status add_sheets(th_page *page, studio *x, const char *out) {
    const th_study *study = x->o->r->study;
    int shown = 0;
    for (int64_t i = 0; i < x->o->r->result->cell_count; i++)
        for (int32_t k = 0; k < study->subject_count; k++) {
            const th_study_cell *c = x->o->cells[i];
            sheet s = {.guard = c->guard, .attacker = c->attacker, .subject = k};
            if (!fill_sheet(study, &s)) continue;
            TH_TRY(write_sheet(x, &s, out));
            if (shown == PAGE_SHEETS || !is_first(study, c, k)) continue;
            TH_TRY(show_sheet(page, x, &s));
            shown++;
        }
    return TH_OK;
}

th_status th_guard_add_sheets(th_page *page, const th_guard_order *o, const char *out) {
    studio x = {.o = o};
    if (!o->r->pictures) return TH_OK;
    th_status status = th_dataset_reader_new(NULL, &x.reader);
    if (status == TH_OK) status = th_resizer_new(&x.resizer);
    if (status == TH_OK) status = add_sheets(page, &x, out);
    th_image_free(&x.whole);
    th_resizer_free(x.resizer);
    th_dataset_reader_free(x.reader);
    return status;
}
