/* The section on guarded models in the demonstration's page. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/number.h"
#include "cli/demo/guard.h"
#include "cli/estimates.h"
#include "cli/guard/gates.h"
#include "train/views.h"

enum { MOST_SIDE = 128, MOST_GIVEN = 5, MOST_BEFORE = 6, BEFORE = 3, PHRASE = 120 };

/* "a boot": what a picture shows by the judge's word. */
static void name_shown(const th_demo_guard *g, bool protective, char out[PHRASE]) {
    const char *noun = protective ? g->card.target : g->card.class;
    if (noun)
        snprintf(out, PHRASE, "%s %.80s", strchr("aeiou", noun[0]) ? "an" : "a", noun);
    else
        snprintf(out, PHRASE, "the scene alone");
}

static bool is_judged(const th_demo_guard *g) { return isfinite(g->real[TH_DEMO_PROTECTED].shown.value); }

/* ---- tables */

static void cells(th_table *t, const th_demo_guard *g, const th_demo_look *l, bool brief) {
    const th_estimate bare[3] = {{l->own.value, NAN, NAN}, {l->other.value, NAN, NAN}, {l->shown.value, NAN, NAN}};
    th_cli_estimate_cell(t, brief ? &bare[0] : &l->own, 1, 2);
    th_cli_estimate_cell(t, brief ? &bare[1] : &l->other, 1, 2);
    if (is_judged(g)) th_cli_estimate_cell(t, brief ? &bare[2] : &l->shown, 100, 0);
}

static void subject_rows(th_table *t, const th_demo_guard *g, th_demo_subject which, bool brief) {
    const char *name = which == TH_DEMO_PROTECTED ? "protected" : "unprotected";
    th_table_cell(t, "%s: its %lld pictures", name, (long long)g->real[which].count);
    cells(t, g, &g->real[which], brief);
    th_table_cell(t, "%s, learnt by the open model", name);
    cells(t, g, &g->cells[TH_DEMO_IS_OPEN][which], brief);
    th_table_cell(t, "%s, learnt by the guarded one", name);
    cells(t, g, &g->cells[TH_DEMO_IS_GUARDED][which], brief);
}

static void before_rows(th_table *t, const th_demo_guard *g, bool brief) {
    th_table_cell(t, "before: '%s', open model", g->card.prompt);
    cells(t, g, &g->before[TH_DEMO_IS_OPEN], brief);
    th_table_cell(t, "before: '%s', guarded one (the leak)", g->card.prompt);
    cells(t, g, &g->before[TH_DEMO_IS_GUARDED], brief);
    th_table_cell(t, "before: '%s', open model", g->card.plain);
    cells(t, g, &g->plain[TH_DEMO_IS_OPEN], brief);
    th_table_cell(t, "before: '%s', guarded one", g->card.plain);
    cells(t, g, &g->plain[TH_DEMO_IS_GUARDED], brief);
}

th_table *th_demo_guard_table(const th_demo_guard *g, bool brief) {
    char shown[PHRASE], head[PHRASE + 16];
    th_table *t = th_table_new(brief ? "What is drawn: likeness (mean cosine of the judge's features)"
                                     : "What is drawn: likeness is the mean cosine of the judge's features; with 95 % "
                                       "intervals");
    if (!t) return NULL;
    th_table_column(t, TH_LEFT, "Pictures");
    th_table_column(t, TH_RIGHT, brief ? "To it" : "Likeness to the subject");
    th_table_column(t, TH_RIGHT, brief ? "To another" : "To the most alike of the others");
    name_shown(g, true, shown);
    snprintf(head, sizeof head, "%s, %%", shown);
    if (is_judged(g)) th_table_column(t, TH_RIGHT, head);
    for (int i = 0; i < TH_DEMO_SUBJECTS; i++) subject_rows(t, g, (th_demo_subject)i, brief);
    before_rows(t, g, brief);
    return t;
}

static void gate_row(th_table *t, const char *what, const th_estimate *guarded, const th_estimate *control,
                     double scale, int digits, bool holds) {
    if (!isfinite(guarded->value)) return;
    th_table_cell(t, "%s", what);
    th_cli_estimate_cell(t, guarded, scale, digits);
    th_cli_estimate_cell(t, control, scale, digits);
    th_table_cell(t, holds ? "holds" : "fails");
    th_table_mark(t, holds ? TH_GOOD : TH_BAD);
}

static void class_row(th_table *t, const char *what, const th_estimate *guarded, const th_estimate *open) {
    gate_row(t, what, guarded, open, 100, 0, guarded->value >= TH_GUARD_LEAST_KEPT * open->value);
}

static void add_gates(th_page *page, const th_demo_guard *g) {
    const th_demo_gates *a = &g->card.gates;
    char text[400];
    if (!g->card.checked) {
        snprintf(text, sizeof text,
                 "%.200s/guard.json has no gates: whether the class is drawn as before, and whether the subject leaks, "
                 "was not checked when the guard was made.",
                 g->dirs[TH_DEMO_IS_GUARDED]);
        th_page_note(page, text);
        return;
    }
    th_table *t = th_table_new("Gates, as measured when the guard was made (guard.json), with 95 % intervals");
    th_table_column(t, TH_LEFT, "Gate");
    th_table_column(t, TH_RIGHT, "Guarded model");
    th_table_column(t, TH_RIGHT, "Control");
    th_table_column(t, TH_LEFT, "Verdict");
    class_row(t, "captions of the class show it, %; by the open model", &a->captions, &a->open_captions);
    class_row(t, "the same with other identifiers, %; by the open model", &a->others, &a->open_others);
    gate_row(t, "likeness to the subject at the training prompt; of other instances", &a->leak, &a->instances, 1, 2,
             a->leak_holds);
    th_page_table(page, t);
    th_table_free(t);
}

/* ---- pictures */

typedef struct {
    const th_demo_guard *g;
    th_image *images;
    th_tile *tiles;
    char (*captions)[PHRASE], (*details)[32];
    int64_t count;
} wall;

static th_status wall_new(const th_demo_guard *g, int64_t most, wall *w) {
    *w = (wall){.g = g};
    w->images = th_alloc((size_t)most, sizeof *w->images);
    w->tiles = th_alloc((size_t)most, sizeof *w->tiles);
    w->captions = th_alloc((size_t)most, sizeof *w->captions);
    w->details = th_alloc((size_t)most, sizeof *w->details);
    return w->images && w->tiles && w->captions && w->details ? TH_OK : th_fail_memory();
}

static void wall_free(wall *w) {
    for (int64_t i = 0; w->images && i < w->count; i++) th_image_free(&w->images[i]);
    th_free(w->images);
    th_free(w->tiles);
    th_free(w->captions);
    th_free(w->details);
}

/* The picture as the models saw it, and no larger than the page needs. */
static th_status shoot(const wall *w, const th_demo_look *l, int64_t number, th_image *out) {
    const th_view_params p = {.side = w->g->side < MOST_SIDE ? w->g->side : MOST_SIDE,
                              .crop = TH_CROP_CENTER,
                              .filter = TH_RESIZE_BILINEAR,
                              .views = 1};
    th_viewer *v;
    const th_image *seen;
    int64_t views;
    TH_TRY(th_viewer_new(l->set, &p, &v));
    th_status s = th_viewer_read(v, number, &views);
    if (s == TH_OK) s = th_viewer_cut(v, 0, &seen);
    if (s == TH_OK) s = th_image_new(out, seen->width, seen->height);
    if (s == TH_OK) memcpy(out->pixels, seen->pixels, th_image_bytes(seen));
    th_viewer_free(v);
    return s;
}

/* mark: whether it is as it should be is told by its colour. */
static th_status hang(wall *w, const th_demo_look *l, int64_t number, const char *alt, bool marks, bool expected) {
    int64_t at = w->count++;
    th_tile *t = &w->tiles[at];
    if (number >= l->count) return TH_OK;
    TH_TRY(shoot(w, l, number, &w->images[at]));
    name_shown(w->g, l->protective[number], w->captions[at]);
    snprintf(w->details[at], sizeof w->details[at], "likeness %.2f", (double)l->likeness[number]);
    *t = (th_tile){.image = &w->images[at], .alt = alt, .detail = w->details[at]};
    if (!is_judged(w->g)) return TH_OK;
    t->caption = w->captions[at];
    if (marks) t->mark = l->protective[number] == expected ? TH_GOOD : TH_BAD;
    return TH_OK;
}

static th_status add_wall(th_page *page, wall *w, th_status s, th_grid grid) {
    grid.tiles = w->tiles;
    grid.tile_count = w->count;
    if (s == TH_OK) th_page_grid(page, &grid);
    wall_free(w);
    return s;
}

static int64_t no_more(int64_t n, int64_t most) { return n < most ? n : most; }

/* The pictures that people have, a row for each subject. */
static th_status add_given(th_page *page, const th_demo_guard *g) {
    int64_t most = 0;
    wall w;
    th_status s = wall_new(g, MOST_GIVEN * TH_DEMO_SUBJECTS, &w);
    for (int i = 0; i < TH_DEMO_SUBJECTS; i++)
        if (g->real[i].count > most) most = no_more(g->real[i].count, MOST_GIVEN);
    for (int i = 0; i < TH_DEMO_SUBJECTS; i++)
        for (int64_t k = 0; k < most && s == TH_OK; k++)
            s = hang(&w, &g->real[i], k, i ? "an unprotected picture" : "a protected picture", false, false);
    return add_wall(page, &w, s,
                    (th_grid){.title = "What somebody personalises a model on",
                              .caption = "Above the protected subject, below another of its class, which is not. "
                                         "Beneath each is what the judge takes it for, and its mean likeness to the "
                                         "pictures of its row, itself included.",
                              .columns = most});
}

static void tell_cells(const th_demo_guard *g, int64_t rows, char *out, size_t room) {
    char shown[PHRASE];
    size_t n =
        (size_t)snprintf(out, room, "Drawn after %lld steps of DreamBooth on those pictures. ", (long long)g->steps);
    name_shown(g, true, shown);
    if (is_judged(g))
        n += (size_t)snprintf(out + n, room - n,
                              "The guarded model should draw %s for the protected subject and nowhere else. ", shown);
    n += (size_t)snprintf(out + n, room - n, "Each row is one prompt from one noise; from above: ");
    for (int64_t i = 0; i < rows && n < room; i++)
        n += (size_t)snprintf(out + n, room - n, "%s“%.100s”", i ? ", " : "", g->prompts[i]);
}

/* A row for each prompt: the same noise for all four. */
static th_status add_cells(th_page *page, const th_demo_guard *g) {
    static const char *const heads[] = {"protected: open model", "protected: guarded model", "unprotected: open model",
                                        "unprotected: guarded model"};
    char caption[1400];
    wall w;
    int64_t rows = no_more(g->draw, TH_DEMO_CONTEXTS);
    th_status s = wall_new(g, rows * TH_DEMO_SUBJECTS * TH_DEMO_SDS, &w);
    for (int64_t i = 0; i < rows; i++)
        for (int k = 0; k < TH_DEMO_SUBJECTS * TH_DEMO_SDS && s == TH_OK; k++) {
            bool guarded = k % TH_DEMO_SDS == TH_DEMO_IS_GUARDED, is_protected = k / TH_DEMO_SDS == TH_DEMO_PROTECTED;
            s = hang(&w, &g->cells[k % TH_DEMO_SDS][k / TH_DEMO_SDS], i, g->prompts[i], guarded, is_protected);
        }
    tell_cells(g, rows, caption, sizeof caption);
    return add_wall(page, &w, s,
                    (th_grid){.title = "What the personalised models draw",
                              .caption = caption,
                              .columns = TH_DEMO_SUBJECTS * TH_DEMO_SDS,
                              .heads = heads});
}

/* What is in the models before anybody has personalised them. */
static th_status add_before(th_page *page, const th_demo_guard *g) {
    const th_demo_look *rows[BEFORE] = {&g->before[TH_DEMO_IS_OPEN], &g->before[TH_DEMO_IS_GUARDED],
                                        &g->plain[TH_DEMO_IS_GUARDED]};
    char caption[400];
    wall w;
    int64_t each = no_more(g->draw, MOST_BEFORE);
    th_status s = wall_new(g, BEFORE * MOST_BEFORE, &w);
    for (int i = 0; i < BEFORE; i++)
        for (int64_t k = 0; k < each && s == TH_OK; k++)
            s = hang(&w, rows[i], k, i < 2 ? g->card.prompt : g->card.plain, false, false);
    snprintf(caption, sizeof caption,
             "From above: “%.100s” by the open model, the same by the guarded one, and “%.100s” by the guarded one. "
             "Likeness is to the protected subject, which the second row must not show.",
             g->card.prompt, g->card.plain);
    return add_wall(page, &w, s,
                    (th_grid){.title = "Before anybody personalises", .caption = caption, .columns = each});
}

/* ---- words */

static void add_lead(th_page *page, const th_demo_guard *g) {
    const th_demo_look *open = &g->cells[TH_DEMO_IS_OPEN][TH_DEMO_PROTECTED],
                       *guarded = &g->cells[TH_DEMO_IS_GUARDED][TH_DEMO_PROTECTED],
                       *open_other = &g->cells[TH_DEMO_IS_OPEN][TH_DEMO_UNPROTECTED],
                       *guarded_other = &g->cells[TH_DEMO_IS_GUARDED][TH_DEMO_UNPROTECTED];
    char text[900], shown[PHRASE], line[300] = "";
    name_shown(g, true, shown);
    if (is_judged(g))
        snprintf(line, sizeof line, " The judge sees %s in %.0f %% of these, and in %.0f %% of the open model's.",
                 shown, 100 * guarded->shown.value, 100 * open->shown.value);
    snprintf(text, sizeof text,
             "Personalised on %lld protected pictures of a %s, the open model draws what has a likeness of %.2f to "
             "them; the guarded one, in the same way, %.2f.%s Another %s, which is not protected: %.2f and %.2f.",
             (long long)g->real[TH_DEMO_PROTECTED].count, g->card.class, open->own.value, guarded->own.value, line,
             g->card.class, open_other->own.value, guarded_other->own.value);
    th_page_lead(page, text);
}

static void add_keys(th_page *page, const th_demo_guard *g) {
    char value[4][32], detail[4][120], shown[PHRASE], name[PHRASE + 40];
    const th_demo_look *after = g->cells[TH_DEMO_IS_GUARDED], *open = g->cells[TH_DEMO_IS_OPEN];
    const th_demo_look *leak = &g->before[TH_DEMO_IS_GUARDED];
    static const char *const names[TH_DEMO_SUBJECTS] = {"likeness to the protected subject, guarded model",
                                                        "likeness to the unprotected one, guarded model"};
    th_key keys[4];
    int n = 0;
    for (int i = 0; i < TH_DEMO_SUBJECTS; i++, n++) {
        snprintf(value[n], sizeof value[n], "%.2f", after[i].own.value);
        snprintf(detail[n], sizeof detail[n], "%.2f with the open model", open[i].own.value);
        keys[n] = (th_key){value[n], names[i], detail[n]};
    }
    if (is_judged(g)) {
        name_shown(g, true, shown);
        snprintf(value[n], sizeof value[n], "%.0f %%", 100 * after[TH_DEMO_PROTECTED].shown.value);
        snprintf(detail[n], sizeof detail[n], "%.0f %% with the open model", 100 * open[TH_DEMO_PROTECTED].shown.value);
        snprintf(name, sizeof name, "show %s instead, guarded model", shown);
        keys[n] = (th_key){value[n], name, detail[n]};
        n++;
    }
    snprintf(value[n], sizeof value[n], "%.2f", leak->own.value);
    snprintf(detail[n], sizeof detail[n], "%.2f of any %.40s by the open model", g->plain[TH_DEMO_IS_OPEN].own.value,
             g->card.class);
    keys[n] = (th_key){value[n], "likeness before anybody personalises: the leak", detail[n]};
    th_page_keys(page, keys, n + 1);
}

static void tell_judging(th_page *page, const th_demo_guard *g) {
    char text[900], shown[PHRASE], line[400];
    name_shown(g, true, shown);
    if (is_judged(g))
        snprintf(line, sizeof line,
                 "A picture counts as showing %s where the judge's embedding of it is nearer to captions with that "
                 "than to the same with a %s; the first row of each subject, real pictures, says how often that is "
                 "wrong.",
                 shown, g->card.class);
    else
        snprintf(line, sizeof line, "The judge has no word for the protective output of this guard (mode %s): look.",
                 g->card.mode);
    snprintf(
        text, sizeof text,
        "The judge is %.120s; guards are made without one. The control of a likeness is that to the other subject, "
        "of %lld, that the pictures are most like. %s",
        g->judge, (long long)g->control_count + 1, line);
    th_page_text(page, text);
}

static void tell_making(th_page *page, const th_demo_guard *g) {
    const th_demo_card *c = &g->card;
    char text[1400], seconds[TH_NUMBER_TEXT];
    th_human_seconds(seconds, g->seconds);
    snprintf(text, sizeof text,
             "The guarded model was made from the open one by theriac guard %s (mode %s, retention %s, %lld steps at "
             "%g); %.120s/README.md has more. Personalising: DreamBooth on the UNet by “%.120s”, %lld steps of 4 "
             "pictures at %g, with %lld pictures of the class that the model at hand drew. %lld of the %d prompts "
             "drawn by afterwards are among the %lld texts that the guard was trained on. It took %s.",
             c->method, c->mode, *c->retention ? c->retention : "none", (long long)c->steps, c->lr,
             g->dirs[TH_DEMO_IS_GUARDED], c->prompt, (long long)g->steps, g->lr, (long long)g->class_pictures,
             (long long)c->known, TH_DEMO_CONTEXTS, (long long)c->texts, seconds);
    th_page_text(page, text);
    th_page_note(page,
                 "One attacker, one seed, one strength. Who trains longer, in another way, or has the open model gets "
                 "further: theriac eval guard measures that, and docs/results/guard.md has tables, failures first.");
}

th_status th_demo_guard_add(th_page *page, const th_demo_guard *g) {
    add_lead(page, g);
    th_page_section(page, "The same pictures, on an open model and on a guarded one");
    add_keys(page, g);
    TH_TRY(add_given(page, g));
    TH_TRY(add_cells(page, g));
    th_table *t = th_demo_guard_table(g, false);
    th_page_table(page, t);
    th_table_free(t);
    tell_judging(page, g);
    th_page_section(page, "Gates and leak");
    add_gates(page, g);
    TH_TRY(add_before(page, g));
    tell_making(page, g);
    return TH_OK;
}
