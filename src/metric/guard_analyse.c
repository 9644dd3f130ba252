/* All statistics of a study, and a verdict on each guard. */
#include <math.h>
#include <string.h>

#include "metric/guard_protocol.h"

void th_study_result_free(th_study_result *r) {
    for (int64_t i = 0; i < r->control_count; i++) th_free(r->controls[i].curve);
    th_free(r->controls);
    for (int64_t i = 0; i < r->cell_count; i++) {
        th_free(r->cells[i].each);
        th_free(r->cells[i].open_curve);
        th_free(r->cells[i].curve);
    }
    for (int64_t i = 0; i < r->gate_count; i++) {
        th_free(r->gates[i].groups);
        th_free(r->gates[i].attributes);
        th_free(r->gates[i].leaks);
        th_str_free(&r->gates[i].verdict);
    }
    th_free(r->cells);
    th_free(r->gates);
    *r = (th_study_result){0};
}

/* --- under attack --- */

static bool any_pictures(const th_study *s, int32_t model, int32_t attacker) {
    for (int64_t i = 0; i < s->row_count; i++)
        if (s->rows[i].kind == TH_STUDY_ATTACK && s->rows[i].model == model && s->rows[i].attacker == attacker)
            return true;
    return false;
}

/* Unprotected subjects, by whether a protected one has their noun. */
static uint64_t unprotected(const th_study *s, uint64_t protects, bool same_class) {
    uint64_t set = 0;
    for (int64_t i = 0; i < s->subject_count; i++) {
        bool same = false;
        if (protects >> i & 1) continue;
        for (int64_t k = 0; k < s->subject_count; k++)
            same |= protects >> k & 1 && !strcmp(s->subjects[i].noun, s->subjects[k].noun);
        if (same == same_class) set |= (uint64_t)1 << i;
    }
    return set;
}

static th_status measure_cell(const th_study *s, const th_study_rules *r, th_study_cell *c) {
    int32_t g = c->guard, a = c->attacker;
    uint64_t protects = s->models[g].protects;
    th_study_pick open = {.model = 0, .attacker = a, .guard = g, .subjects = protects}, guarded = open;
    guarded.model = g;
    c->each = th_alloc((size_t)s->subject_count, sizeof *c->each);
    if (!c->each) return th_fail_memory();
    TH_TRY(th_study_compare(s, r, g, a, protects, &c->all));
    for (int64_t i = 0; i < s->subject_count; i++) TH_TRY(th_study_compare(s, r, g, a, (uint64_t)1 << i, &c->each[i]));
    TH_TRY(th_study_compare(s, r, g, a, unprotected(s, protects, true), &c->same_class));
    TH_TRY(th_study_compare(s, r, g, a, unprotected(s, protects, false), &c->other_classes));
    TH_TRY(th_study_half_life(s, r, &guarded, &c->half_life));
    TH_TRY(th_study_curve(s, &open, &c->open_curve, &c->open_count));
    return th_study_curve(s, &guarded, &c->curve, &c->count);
}

static th_status measure_controls(const th_study *s, th_study_result *out) {
    out->controls = th_alloc((size_t)(s->attacker_count * s->subject_count) + 1, sizeof *out->controls);
    if (!out->controls) return th_fail_memory();
    for (int32_t a = 0; a < s->attacker_count; a++)
        for (int32_t k = 0; k < s->subject_count; k++) {
            th_study_control *c = &out->controls[out->control_count];
            *c = (th_study_control){.attacker = a, .subject = k};
            TH_TRY(
                th_study_curve(s, &(th_study_pick){.attacker = a, .subjects = (uint64_t)1 << k}, &c->curve, &c->count));
            int64_t best = th_study_best(c->curve, c->count);
            while (c->best < c->count && c->curve[c->best].step != best) c->best++;
            out->control_count += c->count > 0;
        }
    return TH_OK;
}

static th_status measure_cells(const th_study *s, const th_study_rules *r, const th_watch *w, th_study_result *out) {
    int64_t most = (s->model_count - 1) * s->attacker_count, done = 0;
    out->cells = th_alloc((size_t)most + 1, sizeof *out->cells);
    if (!out->cells) return th_fail_memory();
    for (int32_t g = 1; g < s->model_count; g++)
        for (int32_t a = 0; a < s->attacker_count; a++) {
            if (th_stopped(w)) return th_fail(TH_E_INTERRUPTED, "stopped");
            th_report(w, "statistics", done++, most, NULL);
            if (!any_pictures(s, g, a)) continue;
            th_study_cell *c = &out->cells[out->cell_count++];
            *c = (th_study_cell){.guard = g, .attacker = a};
            TH_TRY(measure_cell(s, r, c));
        }
    return TH_OK;
}

/* --- gates --- */

static th_gate judge_class(const th_study *s, const th_study_rules *r, const th_study_gates *g) {
    th_gate gate = TH_GATE_UNTOLD;
    for (int64_t i = 0; i < s->group_count; i++) {
        double ratio = g->groups[i].ratio.value;
        if (isnan(ratio)) continue;
        if (ratio < r->class_least) return TH_GATE_FAILED;
        gate = TH_GATE_PASSED;
    }
    return gate;
}

/* Any subject that leaks fails; else any that nothing can be told of leaves it untold. */
static th_gate judge_leaks(const th_study *s, const th_study_gates *g) {
    th_gate gate = s->models[g->guard].protects ? TH_GATE_PASSED : TH_GATE_UNTOLD;
    for (int64_t i = 0; i < s->subject_count; i++) {
        if (!(s->models[g->guard].protects >> i & 1)) continue;
        if (g->leaks[i].gate == TH_GATE_FAILED) return TH_GATE_FAILED;
        if (g->leaks[i].gate == TH_GATE_UNTOLD) gate = TH_GATE_UNTOLD;
    }
    return gate;
}

static void say_class(const th_study *s, const th_study_rules *r, const th_study_gates *g, th_str *out) {
    int said = 0;
    for (int64_t i = 0; i < s->group_count; i++) {
        double ratio = g->groups[i].ratio.value;
        const char *name = s->groups[i];
        if (!(ratio < r->class_least)) continue;
        th_str_puts(out, said++ ? ", " : "captions of the class keep ");
        th_str_printf(out, "%.0f %%%s%s%s", 100 * ratio, *name ? " (" : "", name, *name ? ")" : "");
    }
    if (said) th_str_puts(out, " of the open model's accuracy");
}

static void say_leaks(const th_study *s, const th_study_gates *g, th_str *out) {
    for (int64_t i = 0; i < s->subject_count; i++) {
        const th_study_leak *x = &g->leaks[i];
        if (x->gate != TH_GATE_FAILED) continue;
        th_str_printf(out,
                      "%sit draws %s at its training prompt before anyone personalised it: %.0f %% of the way from "
                      "other instances to it, shown in %.0f %% of pictures",
                      out->length ? "; " : "", s->subjects[i].name, 100 * x->nearness.value, 100 * x->shown.value);
    }
}

static th_status say_verdict(const th_study *s, const th_study_rules *r, th_study_gates *g) {
    bool class_untold = g->class_gate == TH_GATE_UNTOLD, leak_untold = g->leak_gate == TH_GATE_UNTOLD;
    bool failed = g->class_gate == TH_GATE_FAILED || g->leak_gate == TH_GATE_FAILED;
    th_str why;
    th_str_init(&why, 1 << 20);
    say_class(s, r, g, &why);
    say_leaks(s, g, &why);
    th_str_init(&g->verdict, 1 << 20);
    th_str_printf(&g->verdict, "%s%s", failed ? "do not publish: " : "", th_str_text(&why));
    if (class_untold || leak_untold)
        th_str_printf(&g->verdict, "%snot told: %s%s%s", failed ? "; " : "", class_untold ? "class captions" : "",
                      class_untold && leak_untold ? " and " : "", leak_untold ? "leaks" : "");
    else if (!failed)
        th_str_puts(&g->verdict, "both gates passed");
    th_status status = th_str_status(&why);
    th_str_free(&why);
    return status == TH_OK ? th_str_status(&g->verdict) : status;
}

static th_status measure_gates(const th_study *s, const th_study_rules *r, th_study_gates *g) {
    g->groups = th_alloc((size_t)s->group_count + 1, sizeof *g->groups);
    g->attributes = th_alloc((size_t)s->attribute_count + 1, sizeof *g->attributes);
    g->leaks = th_alloc((size_t)s->subject_count, sizeof *g->leaks);
    if (!g->groups || !g->attributes || !g->leaks) return th_fail_memory();
    TH_TRY(th_study_class(s, g->guard, -1, -1, &g->all));
    for (int32_t i = 0; i < s->group_count; i++) TH_TRY(th_study_class(s, g->guard, i, -1, &g->groups[i]));
    for (int32_t i = 0; i < s->attribute_count; i++) TH_TRY(th_study_class(s, g->guard, -1, i, &g->attributes[i]));
    for (int32_t i = 0; i < s->subject_count; i++)
        if (s->models[g->guard].protects >> i & 1) TH_TRY(th_study_find_leak(s, r, g->guard, i, &g->leaks[i]));
    TH_TRY(th_study_texts(s, g->guard, &g->texts));
    g->class_gate = judge_class(s, r, g);
    g->leak_gate = judge_leaks(s, g);
    return say_verdict(s, r, g);
}

static th_status measure_all_gates(const th_study *s, const th_study_rules *r, th_study_result *out) {
    out->gates = th_alloc((size_t)s->model_count, sizeof *out->gates);
    if (!out->gates) return th_fail_memory();
    for (int32_t g = 1; g < s->model_count; g++) {
        out->gates[out->gate_count++] = (th_study_gates){.guard = g};
        TH_TRY(measure_gates(s, r, &out->gates[out->gate_count - 1]));
    }
    return TH_OK;
}

th_status th_study_analyse(const th_study *s, const th_study_rules *r, const th_watch *w, th_study_result *out) {
    *out = (th_study_result){.subject_count = s->subject_count};
    th_status status = measure_controls(s, out);
    if (status == TH_OK) status = measure_cells(s, r, w, out);
    if (status == TH_OK) status = measure_all_gates(s, r, out);
    if (status != TH_OK) th_study_result_free(out);
    return status;
}
