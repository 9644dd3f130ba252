/* A run's folder: run.json (what was asked for, by which version, on what machine, from which inputs), metrics.jsonl,
 * TensorBoard events, checkpoints/. Going on with a run cuts off what was logged after its last checkpoint. */
#ifndef TH_TRAIN_RUN_FOLDER_H
#define TH_TRAIN_RUN_FOLDER_H

#include <jansson.h>

#include "base/option.h"
#include "base/status.h"

typedef struct th_run_folder th_run_folder;

typedef struct {
    const char *path;
    const char *command;  /* "clean cleanerclip" */
    th_options *options;  /* resolved; what is flag_only is not compared */
    const json_t *inputs; /* hashes of data and models, or NULL; compared on resume */
    bool resume;
    /* Names of options that change no bit of what is trained, so that they may differ when it goes on; "eval*" stands
     * for all that begin so. NULL at the end; NULL: there are none. */
    const char *const *may_differ;
} th_run_folder_params;

/* A new run: the folder must not hold a run already (TH_E_USAGE says how to go on with it), other than one that ended
 * before its first checkpoint, which gives way. Resumed: it must hold one made with the same options and inputs, else
 * TH_E_USAGE names the first that differs; and one whose checkpoints are gone is not begun anew. A folder that
 * is open already, in this process or another, is TH_E_USAGE. */
th_status th_run_folder_open(const th_run_folder_params *p, th_run_folder **out);
void th_run_folder_close(th_run_folder *r); /* NULL is allowed */
const char *th_run_folder_path(const th_run_folder *r);
/* The step of the newest checkpoint, or −1 where there is none; its file into path (TH_PATH_MAX bytes; may be NULL). */
th_status th_run_folder_newest(const th_run_folder *r, int64_t *step, char *path);
/* Where the checkpoint of a step is written. */
th_status th_run_folder_checkpoint(const th_run_folder *r, int64_t step, char *path);
/* Removes all but the newest `keep` checkpoints. */
th_status th_run_folder_prune(const th_run_folder *r, int64_t keep);
/* Opens the logs for steps after `step` (−1: from the start), dropping later lines. */
th_status th_run_folder_begin_log(th_run_folder *r, int64_t step);
/* Lines that the logs had of that very step. */
int th_run_folder_lines(const th_run_folder *r);

typedef struct {
    const char *name; /* "loss/train" */
    double value;
} th_metric;
/* One line {"step": …, "name": …}. Nothing that depends on the clock: a resumed run's file equals an uninterrupted
 * one's. */
th_status th_run_folder_log(th_run_folder *r, int64_t step, const th_metric *metrics, int count);
/* Adds a member to run.json: results, time. Takes the reference. */
th_status th_run_folder_note(th_run_folder *r, const char *name, json_t *value);
/* Noted with every checkpoint: the seconds that training took up to it. */
#define TH_RUN_SECONDS "seconds_so_far"
/* A number of run.json; 0 where it has none of that name. */
double th_run_folder_number(const th_run_folder *r, const char *name);

#endif
