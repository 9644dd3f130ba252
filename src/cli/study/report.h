/* What a study of guards found, for people and programs: failures first. */
#ifndef TH_CLI_STUDY_REPORT_H
#define TH_CLI_STUDY_REPORT_H

#include "cli/verb.h"
#include "metric/guard_judge.h"

typedef struct {
    const th_study *study;
    const th_study_rules *rules;
    const th_study_result *result;
    const th_guard_judgement *judgement;
    const char *encoder, *clip;  /* folders of the judges; clip may be NULL */
    th_dataset *pictures;        /* what was drawn, in the order of the study's rows; for contact sheets */
    const char *const *failures; /* cells that could not be drawn, a line each */
    int64_t failure_count;
    const char *command; /* that gives these numbers again */
    double seconds;      /* that all cells took; 0: not known */
} th_guard_report;

/* Writes OUT/report.html, OUT/report.md and OUT/result.json. */
th_status th_guard_report_write(const th_guard_report *r, const char *out);
/* The tables, on the terminal. */
void th_guard_report_print(th_cli *cli, const th_guard_report *r);
/* The same object as in result.json; NULL when out of memory. */
json_t *th_guard_report_json(const th_guard_report *r);

#endif
