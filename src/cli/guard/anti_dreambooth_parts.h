/* What the files of `theriac guard anti-dreambooth` share: one protection, from its pictures to its folder. */
#ifndef TH_CLI_GUARD_ANTI_DREAMBOOTH_PARTS_H
#define TH_CLI_GUARD_ANTI_DREAMBOOTH_PARTS_H

#include "cli/prior.h"
#include "guard/anti_dreambooth.h"

typedef struct {
    th_cli *cli;
    th_arena *arena;
    th_dataset *set;
    th_prior prior;
    th_sd sd;
    th_anti_params p;
    th_anti *anti;
    th_anti_cost cost;
    char model_hash[TH_HASH_TEXT], set_hash[TH_HASH_TEXT];
    json_t *inputs;
    th_run_folder *run;
    int64_t pictures, size;       /* size: values of a picture */
    uint8_t *clean, *changed;     /* [pictures, side, side, 3] */
    float *floats;                /* of clean */
    int64_t saved;                /* round of the newest checkpoint; −1: there is none */
    double surrogate[2], open[2]; /* losses: of clean pictures, of changed ones */
    int most;                     /* levels that a value moved by, at most */
    double mean;                  /* and in the mean */
} th_anti_job;

/* --- guard/anti_dreambooth.c --- */

/* "OUT/name" */
th_status th_anti_job_path(const th_anti_job *j, const char *name, char path[TH_PATH_MAX]);
/* Opens the model's parts and plans for them; what was open before is closed. */
th_status th_anti_job_prepare(th_anti_job *j, unsigned parts);

/* --- guard/anti_dreambooth_pictures.c --- */

/* The protected pictures, cut to the model's size from the middle, as bytes and as floats. */
th_status th_anti_job_cut(th_anti_job *j);
/* The class', encoded. */
th_status th_anti_job_find_class(th_anti_job *j);
/* OUT/pictures, and in run.json which became which. */
th_status th_anti_job_write_pictures(const th_anti_job *j, char dir[TH_PATH_MAX]);
/* OUT/sheet.png */
th_status th_anti_job_write_sheet(const th_anti_job *j);

/* --- guard/anti_dreambooth_rounds.c --- */

/* All rounds, or those that a run which goes on still lacks. */
th_status th_anti_job_rounds(th_anti_job *j);
/* Rounds the pictures to bytes, and finds what the changes come to. */
th_status th_anti_job_measure(th_anti_job *j);

/* --- guard/anti_dreambooth_report.c --- */

th_status th_anti_job_plan(th_anti_job *j);
/* dir: of the pictures that were written. */
th_status th_anti_job_report(th_anti_job *j, const char *dir);

#endif
