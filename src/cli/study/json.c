/* A study of guards as JSON. */
#include <math.h>

#include "cli/estimates.h"
#include "cli/study/report_parts.h"

static void set_number(json_t *j, const char *name, double v) {
    if (!isnan(v)) json_object_set_new(j, name, isinf(v) ? json_null() : json_real(v));
}

static void set_integer(json_t *j, const char *name, int64_t v) { json_object_set_new(j, name, json_integer(v)); }

/* --- under attack --- */

static json_t *comparison_json(const th_study_comparison *c, const th_study_rules *rules) {
    json_t *j = json_object();
    json_object_set_new(j, "outcome", json_string(th_outcome_name(th_study_outcome_of(rules, c))));
    set_integer(j, "pairs", c->pairs);
    set_integer(j, "trainings", c->trainings);
    if (c->step >= 0) set_integer(j, "steps", c->step);
    th_cli_set_estimate(j, "open", &c->open);
    th_cli_set_estimate(j, "guarded", &c->guarded);
    th_cli_set_estimate(j, "drop", &c->drop);
    th_cli_set_estimate(j, "shown_ratio", &c->shown_ratio);
    if (c->guarded_step >= 0) set_integer(j, "best_steps", c->guarded_step);
    th_cli_set_estimate(j, "guarded_at_best", &c->guarded_best);
    th_cli_set_estimate(j, "drop_at_best", &c->drop_at_best);
    th_cli_set_estimate(j, "guarded_at_twice", &c->guarded_twice);
    th_cli_set_estimate(j, "protective", &c->protective);
    th_cli_set_estimate(j, "protective_open", &c->protective_open);
    th_cli_set_estimate(j, "fidelity_open", &c->fidelity_open);
    th_cli_set_estimate(j, "fidelity_guarded", &c->fidelity_guarded);
    th_cli_set_estimate(j, "fidelity_ratio", &c->fidelity_ratio);
    return j;
}

/* Beyond the last strength a bound is null, and "beyond" says which that is. */
static json_t *life_json(const th_half_life *h) {
    static const char *const kinds[] = {
        [TH_HALF_LIFE_NONE] = "not told",
        [TH_HALF_LIFE_NEVER] = "never protected",
        [TH_HALF_LIFE_AT] = "steps",
        [TH_HALF_LIFE_BEYOND] = "beyond",
    };
    json_t *j = json_pack("{s:s}", "kind", kinds[h->kind]);
    set_number(j, "steps", h->steps);
    set_number(j, "low", h->low);
    set_number(j, "high", h->high);
    if (h->kind != TH_HALF_LIFE_NONE) set_integer(j, "last", h->last);
    return j;
}

static json_t *curve_json(const th_study_strength *curve, int64_t count) {
    json_t *list = json_array();
    for (int64_t i = 0; i < count; i++) {
        json_t *j = json_object();
        set_integer(j, "steps", curve[i].step);
        set_integer(j, "pictures", curve[i].pictures);
        set_integer(j, "trainings", curve[i].trainings);
        th_cli_set_estimate(j, "subject", &curve[i].subject);
        th_cli_set_estimate(j, "protective", &curve[i].protective);
        th_cli_set_estimate(j, "protected", &curve[i].protection);
        th_cli_set_estimate(j, "fidelity", &curve[i].fidelity);
        th_cli_set_estimate(j, "text", &curve[i].text);
        json_array_append_new(list, j);
    }
    return list;
}

static json_t *cell_json(const th_guard_report *r, const th_study_cell *c) {
    json_t *j = json_object(), *subjects = json_object();
    for (int64_t i = 0; i < r->study->subject_count; i++)
        if (c->each[i].pairs)
            json_object_set_new(subjects, r->study->subjects[i].name, comparison_json(&c->each[i], r->rules));
    json_object_set_new(j, "attacker", json_string(r->study->attackers[c->attacker].name));
    json_object_set_new(j, "protected", comparison_json(&c->all, r->rules));
    json_object_set_new(j, "same_class", comparison_json(&c->same_class, r->rules));
    json_object_set_new(j, "other_classes", comparison_json(&c->other_classes, r->rules));
    json_object_set_new(j, "subjects", subjects);
    json_object_set_new(j, "half_life", life_json(&c->half_life));
    json_object_set_new(j, "open_strengths", curve_json(c->open_curve, c->open_count));
    json_object_set_new(j, "strengths", curve_json(c->curve, c->count));
    return j;
}

/* --- without an attacker --- */

static json_t *kept_json(const th_study_kept *k) {
    json_t *j = json_object();
    set_integer(j, "pairs", k->pairs);
    th_cli_set_estimate(j, "open", &k->open);
    th_cli_set_estimate(j, "guarded", &k->guarded);
    th_cli_set_estimate(j, "ratio", &k->ratio);
    th_cli_set_estimate(j, "drop", &k->drop);
    return j;
}

static json_t *leak_json(const th_study_leak *x) {
    json_t *j = json_pack("{s:s}", "gate", th_gate_name(x->gate));
    set_integer(j, "pairs", x->pairs);
    set_integer(j, "instances", x->instances);
    th_cli_set_estimate(j, "shown", &x->shown);
    th_cli_set_estimate(j, "shown_open", &x->shown_open);
    th_cli_set_estimate(j, "shown_risen", &x->shown_risen);
    th_cli_set_estimate(j, "others", &x->others);
    th_cli_set_estimate(j, "excess", &x->excess);
    th_cli_set_estimate(j, "fidelity", &x->fidelity);
    th_cli_set_estimate(j, "fidelity_others", &x->fidelity_others);
    th_cli_set_estimate(j, "nearness", &x->nearness);
    th_cli_set_estimate(j, "nearness_open", &x->nearness_open);
    th_cli_set_estimate(j, "nearness_risen", &x->nearness_risen);
    return j;
}

static json_t *class_json(const th_study *s, const th_study_gates *g) {
    json_t *j = kept_json(&g->all), *groups = json_object(), *attributes = json_object();
    for (int64_t i = 0; i < s->group_count; i++)
        json_object_set_new(groups, *s->groups[i] ? s->groups[i] : "all", kept_json(&g->groups[i]));
    for (int64_t i = 0; i < s->attribute_count; i++)
        json_object_set_new(attributes, s->attributes[i], kept_json(&g->attributes[i]));
    json_object_set_new(j, "groups", groups);
    json_object_set_new(j, "attributes", attributes);
    return j;
}

static json_t *guard_json(const th_guard_report *r, const th_study_gates *g) {
    const th_study *s = r->study;
    const th_study_model *m = &s->models[g->guard];
    json_t *names = json_array(), *leaks = json_object(), *attackers = json_array();
    for (int64_t i = 0; i < s->subject_count; i++) {
        if (!(m->protects >> i & 1)) continue;
        json_array_append_new(names, json_string(s->subjects[i].name));
        json_object_set_new(leaks, s->subjects[i].name, leak_json(&g->leaks[i]));
    }
    for (int64_t i = 0; i < r->result->cell_count; i++)
        if (r->result->cells[i].guard == g->guard) json_array_append_new(attackers, cell_json(r, &r->result->cells[i]));
    json_t *j = json_pack("{s:s, s:s*, s:o, s:s, s:s, s:s, s:o, s:o, s:o, s:o}", "name", m->name, "mode", m->mode,
                          "protects", names, "verdict", th_str_text(&g->verdict), "class_gate",
                          th_gate_name(g->class_gate), "leak_gate", th_gate_name(g->leak_gate), "attackers", attackers,
                          "class", class_json(s, g), "leaks", leaks, "text", kept_json(&g->texts));
    if (s->kernel) th_cli_set_estimate(j, "kid", &s->kernel[g->guard]);
    return j;
}

/* --- judges --- */

static json_t *accuracy_json(const th_judge_accuracy *a) {
    json_t *j = json_object();
    if (a->pictures) th_cli_set_estimate(j, "accuracy", &a->accuracy);
    set_integer(j, "pictures", a->pictures);
    return j;
}

static json_t *judges_json(const th_guard_report *r) {
    const th_guard_judgement *a = r->judgement;
    const th_study *s = r->study;
    json_t *subjects = json_object(), *protective = json_object(), *attributes = json_object();
    for (int64_t i = 0; i < a->subject_count; i++)
        json_object_set_new(subjects, s->subjects[i].name, accuracy_json(&a->subjects[i]));
    for (int64_t i = 0; i < a->model_count; i++)
        if (a->protective[i].pictures)
            json_object_set_new(protective, s->models[i].name, accuracy_json(&a->protective[i]));
    for (int64_t i = 0; i < a->attribute_count; i++)
        json_object_set_new(attributes, s->attributes[i], accuracy_json(&a->attributes[i]));
    return json_pack("{s:s, s:s, s:I, s:s*, s:o, s:o, s:o, s:o, s:o}", "encoder", r->encoder, "kind", a->kind, "width",
                     (json_int_t)a->width, "clip", r->clip, "all_subjects", accuracy_json(&a->subject), "subjects",
                     subjects, "others_taken_for_subjects", accuracy_json(&a->false_shown), "protective", protective,
                     "attributes", attributes);
}

static json_t *rules_json(const th_study_rules *r) {
    return json_pack("{s:f, s:f, s:f, s:f, s:f, s:f}", "attacker_least", r->attacker_least, "drop_least", r->drop_least,
                     "protected_least", r->protected_least, "class_least", r->class_least, "kept_least", r->kept_least,
                     "leak_margin", r->leak_margin);
}

static json_t *controls_json(const th_guard_report *r) {
    json_t *list = json_array();
    for (int64_t i = 0; i < r->result->control_count; i++) {
        const th_study_control *c = &r->result->controls[i];
        json_array_append_new(list, json_pack("{s:s, s:s, s:I, s:o}", "attacker", r->study->attackers[c->attacker].name,
                                              "subject", r->study->subjects[c->subject].name, "best_steps",
                                              (json_int_t)c->curve[c->best].step, "strengths",
                                              curve_json(c->curve, c->count)));
    }
    return list;
}

json_t *th_guard_report_json(const th_guard_report *r) {
    json_t *guards = json_array(), *failures = json_array();
    for (int64_t i = 0; i < r->result->gate_count; i++)
        json_array_append_new(guards, guard_json(r, &r->result->gates[i]));
    for (int64_t i = 0; i < r->failure_count; i++) json_array_append_new(failures, json_string(r->failures[i]));
    json_t *j = json_pack("{s:I, s:s*, s:o, s:o, s:o, s:o, s:o}", "pictures", (json_int_t)r->study->row_count,
                          "command", r->command, "failures", failures, "open", controls_json(r), "guards", guards,
                          "judges", judges_json(r), "rules", rules_json(r->rules));
    if (j && r->seconds > 0) json_object_set_new(j, "seconds", json_real(r->seconds));
    return j;
}
