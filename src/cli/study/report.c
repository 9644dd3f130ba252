/* The report of a study of guards: a page, Markdown for docs/results, JSON, and tables on the terminal. What went wrong
 * comes first. */
#include "cli/study/report.h"

#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/number.h"
#include "cli/study/report_parts.h"
#include "format/json.h"

/* --- what it comes to --- */

typedef struct {
    int64_t outcomes[TH_OUTCOMES], cells, failed_gates, untold_gates, guards;
    double worst, best; /* drops of cells that were compared */
} tally;

static tally count(const th_guard_order *o) {
    const th_study_result *all = o->r->result;
    tally t = {.cells = all->cell_count, .guards = all->gate_count, .worst = NAN, .best = NAN};
    for (int64_t i = 0; i < all->cell_count; i++) {
        th_study_outcome outcome = th_study_outcome_of(o->r->rules, &all->cells[i].all);
        t.outcomes[outcome]++;
        if (outcome == TH_OUTCOME_NOTHING || outcome == TH_OUTCOME_ATTACKER_FAILED) continue;
        t.worst = fmin(t.worst, all->cells[i].all.drop.value);
        t.best = fmax(t.best, all->cells[i].all.drop.value);
    }
    for (int64_t i = 0; i < all->gate_count; i++) {
        const th_study_gates *g = &all->gates[i];
        bool failed = g->class_gate == TH_GATE_FAILED || g->leak_gate == TH_GATE_FAILED;
        t.failed_gates += failed;
        t.untold_gates += !failed && (g->class_gate == TH_GATE_UNTOLD || g->leak_gate == TH_GATE_UNTOLD);
    }
    return t;
}

/* "a of n guards should not be published; …" */
static void say_lead(const th_guard_order *o, th_str *out) {
    tally t = count(o);
    if (!t.guards) {
        th_str_puts(out, "No guard: what attackers reach on the open model, for finding one that succeeds there.");
        return;
    }
    int64_t through = t.outcomes[TH_OUTCOME_GOT_THROUGH], later = t.outcomes[TH_OUTCOME_GOT_THROUGH_LATER];
    th_str_printf(out, "%lld of %lld guard%s should not be published", (long long)t.failed_gates, (long long)t.guards,
                  t.guards == 1 ? "" : "s");
    if (t.untold_gates) th_str_printf(out, ", and of %lld it is not told", (long long)t.untold_gates);
    if (!t.cells) {
        th_str_puts(out, ". No attack was drawn.");
        return;
    }
    th_str_printf(out, ". Of %lld pair%s of guard and attacker %lld got through", (long long)t.cells,
                  t.cells == 1 ? "" : "s", (long long)through);
    if (later) th_str_printf(out, ", %lld more with other steps than on the open model", (long long)later);
    th_str_printf(out, "; %lld held", (long long)t.outcomes[TH_OUTCOME_HELD]);
    if (t.outcomes[TH_OUTCOME_UNSURE]) th_str_printf(out, ", %lld unsure", (long long)t.outcomes[TH_OUTCOME_UNSURE]);
    if (t.outcomes[TH_OUTCOME_ATTACKER_FAILED])
        th_str_printf(out, ", %lld showed nothing, as the attacker failed on the open model too",
                      (long long)t.outcomes[TH_OUTCOME_ATTACKER_FAILED]);
    th_str_puts(out, ".");
}

static void add_keys(th_page *page, const th_guard_order *o) {
    tally t = count(o);
    char value[3][48], detail[2][120];
    if (!t.guards) return;
    snprintf(value[0], sizeof value[0], "%lld of %lld", (long long)t.failed_gates, (long long)t.guards);
    snprintf(value[1], sizeof value[1], "%lld of %lld",
             (long long)(t.outcomes[TH_OUTCOME_GOT_THROUGH] + t.outcomes[TH_OUTCOME_GOT_THROUGH_LATER]),
             (long long)t.cells);
    snprintf(detail[0], sizeof detail[0], "held: %lld", (long long)t.outcomes[TH_OUTCOME_HELD]);
    th_key keys[3] = {{value[0], "guards that fail a gate", "plain captions kept, no leak"},
                      {value[1], "attackers that got through", detail[0]}};
    int64_t n = 2;
    if (!isnan(t.worst)) {
        snprintf(value[2], sizeof value[2], "%.0f to %.0f", 100 * t.worst, 100 * t.best);
        keys[n++] = (th_key){value[2], "points that the subject's share fell by", "lowest and highest of all pairs"};
    }
    th_page_keys(page, keys, n);
}

/* --- how it was counted --- */

static void say_rules(const th_guard_order *o, th_str *out) {
    const th_study_rules *r = o->r->rules;
    const th_guard_judgement *j = o->r->judgement;
    th_str_printf(out,
                  "A picture shows a subject where that is the likeliest class of a linear probe on the features of %s "
                  "(%s, %lld wide), which tells all subjects and distractors apart; it shows a guard's protective "
                  "output where a second probe says so. No guard was trained with that encoder.\n",
                  th_path_base(o->r->encoder), j->kind, (long long)j->width);
    th_str_printf(
        out,
        "Steps are those at which the attacker shows the subject most on the open model, best steps those at "
        "which it does on the guarded one. An attacker held if the share falls by %.0f points at both, by an "
        "interval without 0; one that shows the subject in less than %.0f %% on the open model has failed, and "
        "shows nothing. Half-life: steps at which the share of protective pictures without the subject is "
        "half of what it is at 0 steps.\n",
        100 * r->drop_least, 100 * r->attacker_least);
    th_str_printf(out,
                  "Gates: captions of the class keep %.0f %% of the open model's accuracy, in each group; at the "
                  "training prompt pictures are no nearer to the subject than to other instances, by more than %.0f %% "
                  "of the way between those and the subject's own pictures, and show it no more often.\n",
                  100 * r->class_least, 100 * r->leak_margin);
    th_str_puts(out, "Intervals are of 95 %, over trainings (subjects and seeds) by the bootstrap, over prompts for "
                     "class captions and ordinary prompts, over pictures for leaks; none where there was only one. "
                     "Pictures by two models are pairs from one noise. The steps are chosen on the same pictures that "
                     "are then counted: at the open model's best, drops come out a little too large.");
}

/* --- the page --- */

static void add_table(th_page *page, th_table *t) {
    if (!t || th_table_rows(t)) th_page_table(page, t);
    th_table_free(t);
}

static void add_opening(th_page *page, const th_guard_order *o) {
    th_str text;
    th_str_init(&text, 1 << 16);
    say_lead(o, &text);
    th_page_lead(page, th_str_text(&text));
    th_str_free(&text);
    add_keys(page, o);
    th_page_section(page, "Failures first");
    add_table(page, th_guard_verdict_table(o));
    add_table(page, th_guard_failure_table(o));
}

static void add_closing(th_page *page, const th_guard_order *o) {
    char text[100], seconds[TH_NUMBER_TEXT];
    th_str rules;
    th_str_init(&rules, 1 << 16);
    say_rules(o, &rules);
    th_page_section(page, "How it was counted");
    th_page_text(page, th_str_text(&rules));
    th_str_free(&rules);
    add_table(page, th_guard_judge_table(o));
    if (o->r->seconds > 0) {
        th_human_seconds(seconds, o->r->seconds);
        snprintf(text, sizeof text, "All cells took %s.", seconds);
        th_page_text(page, text);
    }
    if (o->r->command) th_page_command(page, o->r->command);
}

static th_status write_page(const th_guard_order *o, const char *out) {
    char path[TH_PATH_MAX];
    TH_TRY(th_path_join(path, out, "report.html"));
    th_page *page = th_page_new("What guards hold against personalisation");
    if (!page) return th_fail_memory();
    add_opening(page, o);
    th_page_section(page, "Under attack");
    add_table(page, th_guard_attack_table(o, false));
    add_table(page, th_guard_control_table(o));
    th_status s = th_guard_add_curves(page, o);
    add_table(page, th_guard_subject_table(o));
    th_page_section(page, "What must stay as it was");
    add_table(page, th_guard_unprotected_table(o, false));
    add_table(page, th_guard_class_table(o));
    add_table(page, th_guard_leak_table(o));
    add_table(page, th_guard_ordinary_table(o));
    th_page_section(page, "Pictures");
    if (s == TH_OK) s = th_guard_add_sheets(page, o, out);
    add_closing(page, o);
    if (s == TH_OK) s = th_page_write(page, path);
    th_page_free(page);
    return s;
}

/* --- Markdown --- */

static void put_table(th_str *out, th_table *t) {
    if (!t || th_table_status(t) != TH_OK)
        out->status = t ? th_table_status(t) : th_fail_memory();
    else if (th_table_rows(t)) {
        th_table_markdown(t, out);
        th_str_puts(out, "\n");
    }
    th_table_free(t);
}

static th_status write_markdown(const th_guard_order *o, const char *out) {
    char path[TH_PATH_MAX];
    th_str text;
    TH_TRY(th_path_join(path, out, "report.md"));
    th_str_init(&text, 1 << 26);
    say_lead(o, &text);
    th_str_puts(&text, "\n\n");
    put_table(&text, th_guard_verdict_table(o));
    put_table(&text, th_guard_failure_table(o));
    put_table(&text, th_guard_attack_table(o, false));
    put_table(&text, th_guard_control_table(o));
    put_table(&text, th_guard_subject_table(o));
    put_table(&text, th_guard_unprotected_table(o, false));
    put_table(&text, th_guard_class_table(o));
    put_table(&text, th_guard_leak_table(o));
    put_table(&text, th_guard_ordinary_table(o));
    put_table(&text, th_guard_judge_table(o));
    say_rules(o, &text);
    th_str_puts(&text, "\n");
    if (o->r->command) th_str_printf(&text, "\n    %s\n", o->r->command);
    th_status s = th_str_status(&text);
    if (s == TH_OK) s = th_file_write(path, th_str_text(&text), text.length);
    th_str_free(&text);
    return s;
}

static th_status write_json(const th_guard_report *r, const char *out) {
    char path[TH_PATH_MAX];
    TH_TRY(th_path_join(path, out, "result.json"));
    json_t *j = th_guard_report_json(r);
    if (!j) return th_fail_memory();
    th_status s = th_json_write(path, j);
    json_decref(j);
    return s;
}

th_status th_guard_report_write(const th_guard_report *r, const char *out) {
    th_guard_order o;
    TH_TRY(th_make_dirs(out));
    TH_TRY(th_guard_order_new(r, &o));
    th_status s = write_page(&o, out);
    if (s == TH_OK) s = write_markdown(&o, out);
    if (s == TH_OK) s = write_json(r, out);
    th_guard_order_free(&o);
    return s;
}

/* --- the terminal --- */

static void print_table(th_cli *cli, th_table *t) {
    if (!t || th_table_rows(t)) {
        if (cli->out.length) th_str_puts(&cli->out, "\n");
        th_cli_table(cli, t);
    }
    th_table_free(t);
}

void th_guard_report_print(th_cli *cli, const th_guard_report *r) {
    th_guard_order o;
    th_status s = th_guard_order_new(r, &o);
    if (s != TH_OK) {
        cli->out.status = s;
        return;
    }
    print_table(cli, th_guard_failure_table(&o));
    print_table(cli, th_guard_attack_table(&o, true));
    if (!r->result->gate_count) print_table(cli, th_guard_control_table(&o));
    print_table(cli, th_guard_unprotected_table(&o, true));
    print_table(cli, th_guard_class_table(&o));
    print_table(cli, th_guard_leak_table(&o));
    print_table(cli, th_guard_ordinary_table(&o));
    print_table(cli, th_guard_verdict_table(&o));
    th_guard_order_free(&o);
}
