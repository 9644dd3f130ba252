/* What the report of a study of guards is made of. */
#ifndef TH_CLI_STUDY_REPORT_PARTS_H
#define TH_CLI_STUDY_REPORT_PARTS_H

#include "cli/study/report.h"
#include "report/page.h"

/* The study's cells and gates, the worst first. */
typedef struct {
    const th_guard_report *r;
    const th_study_cell **cells;  /* [cell_count] */
    const th_study_gates **gates; /* [gate_count] */
} th_guard_order;
th_status th_guard_order_new(const th_guard_report *r, th_guard_order *out);
void th_guard_order_free(th_guard_order *o);

const char *th_outcome_name(th_study_outcome o);
const char *th_gate_name(th_gate g);

/* --- study/tables.c; NULL when out of memory, and without rows where there is nothing to say --- */

/* brief: for a terminal, with few intervals. */
th_table *th_guard_verdict_table(const th_guard_order *o);
th_table *th_guard_control_table(const th_guard_order *o);
th_table *th_guard_attack_table(const th_guard_order *o, bool brief);
th_table *th_guard_subject_table(const th_guard_order *o); /* each protected one */
th_table *th_guard_unprotected_table(const th_guard_order *o, bool brief);
th_table *th_guard_class_table(const th_guard_order *o);
th_table *th_guard_leak_table(const th_guard_order *o);
th_table *th_guard_ordinary_table(const th_guard_order *o);
th_table *th_guard_judge_table(const th_guard_order *o);
th_table *th_guard_failure_table(const th_guard_order *o);

/* --- study/figures.c --- */

/* Shares against steps: of the subject, and of protected pictures, a figure for each attacker and set of subjects. */
th_status th_guard_add_curves(th_page *page, const th_guard_order *o);
/* OUT/sheets/GUARD-ATTACKER-SUBJECT.png for every cell, and the first few on the page. */
th_status th_guard_add_sheets(th_page *page, const th_guard_order *o, const char *out);

#endif
