/* Tables of a study of guards. Shares are in per cent; a guard's failures come before what it does well. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "cli/estimates.h"
#include "cli/study/config.h"
#include "cli/study/report_parts.h"

/* --- order --- */

typedef struct {
    th_study_outcome outcome;
    double drop;
    int64_t at;
} rank;

static int by_rank(const void *a, const void *b) {
    const rank *x = a, *y = b;
    if (x->outcome != y->outcome) return (x->outcome > y->outcome) - (x->outcome < y->outcome);
    if (x->drop != y->drop && !isnan(x->drop) && !isnan(y->drop)) return x->drop < y->drop ? -1 : 1;
    return (x->at > y->at) - (x->at < y->at);
}

static void sort_cells(th_guard_order *o, rank *ranks) {
    const th_study_result *all = o->r->result;
    for (int64_t i = 0; i < all->cell_count; i++)
        ranks[i] = (rank){th_study_outcome_of(o->r->rules, &all->cells[i].all), all->cells[i].all.drop.value, i};
    if (all->cell_count) qsort(ranks, (size_t)all->cell_count, sizeof *ranks, by_rank);
    for (int64_t i = 0; i < all->cell_count; i++) o->cells[i] = &all->cells[ranks[i].at];
}

static int badness(const th_study_gates *g) {
    if (g->class_gate == TH_GATE_FAILED || g->leak_gate == TH_GATE_FAILED) return 0;
    return g->class_gate == TH_GATE_UNTOLD || g->leak_gate == TH_GATE_UNTOLD ? 1 : 2;
}

th_status th_guard_order_new(const th_guard_report *r, th_guard_order *out) {
    int64_t at = 0;
    *out = (th_guard_order){.r = r};
    rank *ranks = th_alloc((size_t)r->result->cell_count + 1, sizeof *ranks);
    out->cells = th_alloc((size_t)r->result->cell_count + 1, sizeof *out->cells);
    out->gates = th_alloc((size_t)r->result->gate_count + 1, sizeof *out->gates);
    bool good = ranks && out->cells && out->gates;
    if (good) sort_cells(out, ranks);
    for (int bad = 0; bad < 3 && good; bad++)
        for (int64_t i = 0; i < r->result->gate_count; i++)
            if (badness(&r->result->gates[i]) == bad) out->gates[at++] = &r->result->gates[i];
    th_free(ranks);
    if (!good) th_guard_order_free(out);
    return good ? TH_OK : th_fail_memory();
}

void th_guard_order_free(th_guard_order *o) {
    th_free(o->cells);
    th_free(o->gates);
    *o = (th_guard_order){0};
}

const char *th_outcome_name(th_study_outcome o) {
    static const char *const names[TH_OUTCOMES] = {
        [TH_OUTCOME_GOT_THROUGH] = "got through",
        [TH_OUTCOME_GOT_THROUGH_LATER] = "got through later",
        [TH_OUTCOME_UNSURE] = "unsure",
        [TH_OUTCOME_ATTACKER_FAILED] = "attacker failed",
        [TH_OUTCOME_NOTHING] = "nothing drawn to compare",
        [TH_OUTCOME_HELD] = "held",
    };
    return names[o];
}

const char *th_gate_name(th_gate g) {
    return g == TH_GATE_PASSED ? "passed" : g == TH_GATE_FAILED ? "failed" : "not told";
}

/* --- cells --- */

static th_table *new_table(const char *title, int left, const char *const *columns) {
    th_table *t = th_table_new(title);
    for (int i = 0; columns[i]; i++) th_table_column(t, i < left ? TH_LEFT : TH_RIGHT, columns[i]);
    return t;
}

static const char *model_name(const th_guard_order *o, int32_t model) { return o->r->study->models[model].name; }
static const char *attacker_name(const th_guard_order *o, int32_t a) { return o->r->study->attackers[a].name; }

static void share_cell(th_table *t, const th_estimate *e, bool brief) {
    if (brief)
        th_table_number(t, 100 * e->value, 0);
    else
        th_cli_estimate_cell(t, e, 100, 0);
}

/* A ratio that should not be below `least`. */
static void ratio_cell(th_table *t, const th_estimate *e, double least) {
    th_cli_estimate_cell(t, e, 1, 2);
    if (e->value < least) th_table_mark(t, TH_BAD);
}

static void steps_cell(th_table *t, int64_t step) {
    if (step < 0)
        th_table_cell(t, "–");
    else
        th_table_cell(t, "%lld", (long long)step);
}

static void gate_cell(th_table *t, th_gate g) {
    th_table_cell(t, "%s", th_gate_name(g));
    th_table_mark(t, g == TH_GATE_PASSED ? TH_GOOD : g == TH_GATE_FAILED ? TH_BAD : TH_FAINT);
}

static void outcome_cell(th_table *t, th_study_outcome o) {
    th_table_cell(t, "%s", th_outcome_name(o));
    th_table_mark(t, o == TH_OUTCOME_HELD ? TH_GOOD : o <= TH_OUTCOME_GOT_THROUGH_LATER ? TH_BAD : TH_FAINT);
}

/* "175", "> 800", "0". */
static void life_text(char out[TH_NUMBER_TEXT], double v, int64_t last) {
    if (isinf(v))
        snprintf(out, TH_NUMBER_TEXT, "> %lld", (long long)last);
    else
        th_print_fixed(out, v, 0);
}

static void life_cell(th_table *t, const th_half_life *h) {
    char value[TH_NUMBER_TEXT], low[TH_NUMBER_TEXT], high[TH_NUMBER_TEXT];
    life_text(value, h->kind == TH_HALF_LIFE_BEYOND ? INFINITY : h->steps, h->last);
    life_text(low, h->low, h->last);
    life_text(high, h->high, h->last);
    if (h->kind == TH_HALF_LIFE_NONE)
        th_table_cell(t, "–");
    else if (h->kind == TH_HALF_LIFE_NEVER)
        th_table_cell(t, "never protected");
    else if (isnan(h->low))
        th_table_cell(t, "%s", value);
    else
        th_table_cell(t, "%s (%s to %s)", value, low, high);
}

/* --- verdicts --- */

th_table *th_guard_verdict_table(const th_guard_order *o) {
    static const char *const columns[] = {"Guard", "Mode", "Class captions", "Leak", "Verdict", NULL};
    th_table *t = new_table("Gates: what a guard must not cost", 5, columns);
    for (int64_t i = 0; i < o->r->result->gate_count; i++) {
        const th_study_gates *g = o->gates[i];
        const th_study_model *m = &o->r->study->models[g->guard];
        th_table_cell(t, "%s", m->name);
        th_table_cell(t, "%s", m->mode ? m->mode : "–");
        gate_cell(t, g->class_gate);
        gate_cell(t, g->leak_gate);
        th_table_cell(t, "%s", th_str_text(&g->verdict));
    }
    return t;
}

th_table *th_guard_failure_table(const th_guard_order *o) {
    static const char *const columns[] = {"Not drawn, and therefore not counted", NULL};
    th_table *t = new_table(NULL, 1, columns);
    for (int64_t i = 0; i < o->r->failure_count; i++) th_table_cell(t, "%s", o->r->failures[i]);
    return t;
}

/* --- the positive control --- */

/* "100: 12, 200: 58", in per cent */
static void strengths_cell(th_table *t, const th_study_control *c) {
    char text[TH_TRIAL_MOST_STEPS * 24];
    size_t at = 0;
    text[0] = 0;
    for (int64_t i = 0; i < c->count && at < sizeof text; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, "%s%lld: %.0f", i ? ", " : "", (long long)c->curve[i].step,
                               100 * c->curve[i].subject.value);
    th_table_cell(t, "%s", text);
}

th_table *th_guard_control_table(const th_guard_order *o) {
    static const char *const columns[] = {"Attacker", "Subject",  "By steps, %", "Best steps",
                                          "Shown, %", "Fidelity", "Trainings",   NULL};
    const th_study_result *all = o->r->result;
    th_table *t = new_table("The open model: share of pictures that show the subject after an attack", 3, columns);
    for (int64_t i = 0; i < all->control_count; i++) {
        const th_study_control *c = &all->controls[i];
        const th_study_strength *best = &c->curve[c->best];
        th_table_cell(t, "%s", attacker_name(o, c->attacker));
        th_table_cell(t, "%s", o->r->study->subjects[c->subject].name);
        strengths_cell(t, c);
        steps_cell(t, best->step);
        share_cell(t, &best->subject, false);
        th_table_number(t, best->fidelity.value, 3);
        th_table_cell(t, "%lld", (long long)best->trainings);
    }
    return t;
}

/* --- under attack --- */

static void drop_cell(th_table *t, const th_estimate *e) { th_cli_estimate_cell(t, e, 100, 0); }

static void attack_row(th_table *t, const th_guard_order *o, const th_study_cell *cell, bool brief) {
    const th_study_comparison *c = &cell->all;
    th_table_cell(t, "%s", model_name(o, cell->guard));
    th_table_cell(t, "%s", attacker_name(o, cell->attacker));
    outcome_cell(t, th_study_outcome_of(o->r->rules, c));
    steps_cell(t, c->step);
    share_cell(t, &c->open, brief);
    share_cell(t, &c->guarded, brief);
    drop_cell(t, &c->drop);
    life_cell(t, &cell->half_life);
    share_cell(t, &c->protective, brief);
    if (!brief) share_cell(t, &c->protective_open, brief);
    steps_cell(t, c->guarded_step);
    share_cell(t, &c->guarded_best, brief);
    if (!brief) share_cell(t, &c->guarded_twice, brief);
}

th_table *th_guard_attack_table(const th_guard_order *o, bool brief) {
    static const char *const full[] = {
        "Guard",     "Attacker",      "Outcome",    "Steps",      "Open, %",         "Guarded, %",  "Drop, points",
        "Half-life", "Protective, %", "by open, %", "Best steps", "Guarded then, %", "At twice, %", NULL};
    static const char *const few[] = {"Guard",         "Attacker",   "Outcome",      "Steps",
                                      "Open, %",       "Guarded, %", "Drop, points", "Half-life",
                                      "Protective, %", "Best steps", "Then, %",      NULL};
    th_table *t =
        new_table("Protected subjects: share of pictures that show them after an attack", 3, brief ? few : full);
    for (int64_t i = 0; i < o->r->result->cell_count; i++) attack_row(t, o, o->cells[i], brief);
    return t;
}

th_table *th_guard_subject_table(const th_guard_order *o) {
    static const char *const columns[] = {
        "Guard",        "Attacker",   "Subject",         "Outcome",       "Steps",          "Open, %", "Guarded, %",
        "Drop, points", "Best steps", "Guarded then, %", "Protective, %", "Fidelity, open", "guarded", NULL};
    const th_study *s = o->r->study;
    th_table *t = new_table("Each protected subject, at the attacker's own best steps for it", 4, columns);
    for (int64_t i = 0; i < o->r->result->cell_count; i++)
        for (int64_t k = 0; k < s->subject_count; k++) {
            const th_study_cell *c = o->cells[i];
            const th_study_comparison *e = &c->each[k];
            if (!(s->models[c->guard].protects >> k & 1) || !e->pairs) continue;
            th_table_cell(t, "%s", model_name(o, c->guard));
            th_table_cell(t, "%s", attacker_name(o, c->attacker));
            th_table_cell(t, "%s", s->subjects[k].name);
            outcome_cell(t, th_study_outcome_of(o->r->rules, e));
            steps_cell(t, e->step);
            share_cell(t, &e->open, false);
            share_cell(t, &e->guarded, false);
            drop_cell(t, &e->drop);
            steps_cell(t, e->guarded_step);
            share_cell(t, &e->guarded_best, false);
            share_cell(t, &e->protective, false);
            th_table_number(t, e->fidelity_open.value, 3);
            th_table_number(t, e->fidelity_guarded.value, 3);
        }
    return t;
}

static void unprotected_row(th_table *t, const th_guard_order *o, const th_study_cell *c, const char *which,
                            const th_study_comparison *e, bool brief) {
    if (!e->pairs) return;
    th_table_cell(t, "%s", model_name(o, c->guard));
    th_table_cell(t, "%s", attacker_name(o, c->attacker));
    th_table_cell(t, "%s%s", which, e->attacker_failed ? " (failed)" : "");
    if (e->attacker_failed) th_table_mark(t, TH_FAINT);
    steps_cell(t, e->step);
    share_cell(t, &e->open, brief);
    share_cell(t, &e->guarded, brief);
    th_cli_estimate_cell(t, &e->shown_ratio, 1, 2);
    th_table_number(t, e->fidelity_open.value, 3);
    th_table_number(t, e->fidelity_guarded.value, 3);
    ratio_cell(t, &e->fidelity_ratio, o->r->rules->kept_least);
    if (!brief) share_cell(t, &e->protective, brief);
}

th_table *th_guard_unprotected_table(const th_guard_order *o, bool brief) {
    static const char *const columns[] = {"Guard", "Attacker",       "Subjects", "Steps", "Open, %",       "Guarded, %",
                                          "Ratio", "Fidelity, open", "guarded",  "Ratio", "Protective, %", NULL};
    th_table *t = th_table_new("Unprotected subjects: what personalising them still gives (failed: not even by the "
                               "open model)");
    for (int i = 0; columns[i] && !(brief && i == 10); i++) th_table_column(t, i < 3 ? TH_LEFT : TH_RIGHT, columns[i]);
    for (int64_t i = 0; i < o->r->result->cell_count; i++) {
        const th_study_cell *c = o->cells[i];
        unprotected_row(t, o, c, "same class", &c->same_class, brief);
        unprotected_row(t, o, c, "other classes", &c->other_classes, brief);
    }
    return t;
}

/* --- without an attacker --- */

static void class_row(th_table *t, const th_guard_order *o, int32_t guard, const char *what, const th_study_kept *k,
                      double least) {
    if (!k->pairs) return;
    th_table_cell(t, "%s", model_name(o, guard));
    th_table_cell(t, "%s", what);
    share_cell(t, &k->open, false);
    share_cell(t, &k->guarded, false);
    ratio_cell(t, &k->ratio, least);
    th_table_cell(t, "%lld", (long long)k->pairs);
}

th_table *th_guard_class_table(const th_guard_order *o) {
    static const char *const columns[] = {"Guard", "Captions", "Open, %", "Guarded, %", "Ratio", "Pairs", NULL};
    const th_study *s = o->r->study;
    th_table *t = new_table("Captions of the class: share of pictures that show what they ask for", 2, columns);
    for (int64_t i = 0; i < o->r->result->gate_count; i++) {
        const th_study_gates *g = o->gates[i];
        for (int64_t k = 0; k < s->group_count; k++)
            class_row(t, o, g->guard, *s->groups[k] ? s->groups[k] : "all", &g->groups[k], o->r->rules->class_least);
        if (s->attribute_count < 2) continue;
        for (int64_t k = 0; k < s->attribute_count; k++) {
            char name[120];
            snprintf(name, sizeof name, "the %.100s alone", s->attributes[k]);
            class_row(t, o, g->guard, name, &g->attributes[k], 0);
        }
    }
    return t;
}

static void leak_row(th_table *t, const th_guard_order *o, int32_t guard, int64_t subject, const th_study_leak *x) {
    th_table_cell(t, "%s", model_name(o, guard));
    th_table_cell(t, "%s", o->r->study->subjects[subject].name);
    gate_cell(t, x->gate);
    share_cell(t, &x->shown, false);
    share_cell(t, &x->shown_open, false);
    share_cell(t, &x->others, false);
    th_table_number(t, x->fidelity.value, 3);
    th_table_number(t, x->fidelity_others.value, 3);
    th_cli_estimate_cell(t, &x->nearness, 1, 2);
    th_cli_estimate_cell(t, &x->nearness_open, 1, 2);
    th_table_cell(t, "%lld", (long long)x->pairs);
}

th_table *th_guard_leak_table(const th_guard_order *o) {
    static const char *const columns[] = {
        "Guard",    "Subject",   "Gate",     "Shown, %", "by open, %", "Another instance, %",
        "Fidelity", "to others", "Nearness", "of open",  "Pairs",      NULL};
    const th_study *s = o->r->study;
    th_table *t = new_table("The released model at the training prompt, before anyone personalised it", 3, columns);
    for (int64_t i = 0; i < o->r->result->gate_count; i++)
        for (int64_t k = 0; k < s->subject_count; k++)
            if (o->gates[i]->leaks[k].pairs) leak_row(t, o, o->gates[i]->guard, k, &o->gates[i]->leaks[k]);
    return t;
}

th_table *th_guard_ordinary_table(const th_guard_order *o) {
    static const char *const columns[] = {"Guard", "KID", "CLIP-T, open", "guarded", "Drop", "Pairs", NULL};
    th_table *t = new_table("Ordinary prompts, in pairs with the open model", 1, columns);
    for (int64_t i = 0; i < o->r->result->gate_count; i++) {
        const th_study_gates *g = o->gates[i];
        const th_estimate *kernel = o->r->study->kernel ? &o->r->study->kernel[g->guard] : NULL;
        if (!g->texts.pairs && !(kernel && !isnan(kernel->value))) continue;
        th_table_cell(t, "%s", model_name(o, g->guard));
        if (kernel)
            th_cli_estimate_cell(t, kernel, 1, 5);
        else
            th_table_cell(t, "–");
        th_table_number(t, g->texts.open.value, 4);
        th_table_number(t, g->texts.guarded.value, 4);
        th_cli_estimate_cell(t, &g->texts.drop, 1, 4);
        th_table_cell(t, "%lld", (long long)g->texts.pairs);
    }
    return t;
}

/* --- judges --- */

static void judge_row(th_table *t, const char *what, const char *of, const th_judge_accuracy *a) {
    if (!a->pictures) return;
    th_table_cell(t, "%s%s%s", what, *of ? ": " : "", of);
    th_cli_estimate_cell(t, &a->accuracy, 100, 1);
    th_table_cell(t, "%lld", (long long)a->pictures);
}

th_table *th_guard_judge_table(const th_guard_order *o) {
    static const char *const columns[] = {"Judge", "%", "Pictures", NULL};
    const th_guard_judgement *j = o->r->judgement;
    const th_study *s = o->r->study;
    th_table *t = new_table("How right the judges are on real pictures that they did not learn from", 1, columns);
    judge_row(t, "Which subject, or none", "", &j->subject);
    for (int64_t i = 0; i < j->subject_count; i++) judge_row(t, "Subject found", s->subjects[i].name, &j->subjects[i]);
    judge_row(t, "Others taken for a subject", "", &j->false_shown);
    for (int64_t i = 0; i < j->model_count; i++)
        judge_row(t, "Protective output or not", s->models[i].name, &j->protective[i]);
    for (int64_t i = 0; i < j->attribute_count; i++) judge_row(t, "Attribute", s->attributes[i], &j->attributes[i]);
    return t;
}
