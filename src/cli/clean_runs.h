/* Finished runs of theriac clean, gathered from their run.json and grouped: what differs by nothing but the seed is one
 * point, the points of a method over learning rates are its frontier. */
#ifndef TH_CLI_CLEAN_RUNS_H
#define TH_CLI_CLEAN_RUNS_H

#include "base/memory.h"
#include "base/status.h"
#include "report/plot.h"

/* Shares in [0, 1]; NaN where they were not measured. */
typedef struct {
    double accuracy, asr, triggered; /* triggered: accuracy on triggered pictures */
} th_clean_shares;

typedef struct {
    const char *model;  /* the folder that was cleaned */
    const char *method; /* with the options that are not its defaults: "cleanerclip, subtexts positives" */
    double lr, seconds;
    int64_t seed;
    /* Validation: the evaluation that may choose. Test: what is reported; the same where no --test was given. */
    th_clean_shares validation_before, validation, test_before, test;
} th_clean_run;

/* Runs that differ by the seed only. */
typedef struct {
    const char *model, *method;
    double lr, seconds; /* a mean */
    int64_t runs;
    double validation_drop;    /* in accuracy, a mean */
    th_clean_shares mean, std; /* on test; std is over seeds, with n − 1; 0 for one run */
    th_clean_shares before;
} th_clean_point;

typedef struct {
    th_arena *arena; /* of the texts */
    th_clean_run *runs;
    th_clean_point *points; /* by model, method, learning rate */
    int64_t n_runs, n_points;
    bool tested;            /* --test was given in all of them */
    const char *difference; /* the first option of the budget that differs among the runs, or NULL */
} th_clean_runs;

/* Reads run folders. One that is no finished run of theriac clean is TH_E_INPUT. */
th_status th_clean_runs_read(const char *const *folders, int64_t count, th_clean_runs *out);
void th_clean_runs_free(th_clean_runs *r);

/* The point of a method at the highest learning rate that costs at most `drop` of accuracy on validation, or NULL: what
 * a defender can choose, who knows of no trigger. */
const th_clean_point *th_clean_runs_choose(const th_clean_runs *r, const char *model, const char *method, double drop);

/* How accuracy is drawn against the attack's success: without a caption. */
th_plot th_clean_plot(const th_series *series, int64_t count);

#endif
