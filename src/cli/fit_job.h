/* What the commands that train on pictures alone or with captions have in common: plan, run folder, report. */
#ifndef TH_CLI_FIT_JOB_H
#define TH_CLI_FIT_JOB_H

#include "cli/clip_job.h"
#include "train/fit_options.h"

/* --eval and --eval-limit. */
extern const th_option th_fit_eval_options[];
/* The set that --eval names, spread over at most --eval-limit pictures; NULL where it is not given. */
th_status th_cli_open_held_out(th_cli *cli, th_dataset **out);

/* The set that an option names, captions and all. */
th_status th_cli_open_set(th_cli *cli, const char *name, th_dataset **out);

/* "32,64,128" of an option into sizes; *count: how many. */
th_status th_cli_read_sizes(th_cli *cli, const char *name, int64_t *sizes, int most, int *count);
/* The largest number of groups of GroupNorm, a power of two up to 32, that divides all of these and leaves eight
 * channels in a group: a channel alone would lose the mean of its picture, and with it the colours of even areas. */
int64_t th_cli_groups_of(const int64_t *channels, int count);
/* TH_E_USAGE where an option of new models is set, and one that begins from a folder too. */
th_status th_cli_refuse_sizes(th_cli *cli, const th_option *sizes);

/* Says what a training will take. */
th_status th_cli_fit_plan(th_cli *cli, const th_fit_params *fit, const th_fit_cost *cost);

/* For run.json: hashes of the data, and of sets and models by the name of their option. */
th_status th_cli_fit_inputs(th_cli *cli, const th_dataset *d, json_t **out);
th_status th_cli_note_set(th_cli *cli, json_t *inputs, const char *name, const th_dataset *d, char hash[TH_HASH_TEXT]);
th_status th_cli_note_model(json_t *inputs, const char *name, const char *folder, const char *hash);

/* Opens the run folder of --out; inputs: NULL or a reference that stays the caller's. */
th_status th_cli_fit_open(th_cli *cli, const char *command, const json_t *inputs, th_run_folder **out);
/* Adds to an interruption's message how to go on. */
th_status th_cli_fit_stopped(th_status s, const th_run_folder *run);
/* README.md in a folder. */
th_status th_cli_write_card(const char *dir, const th_str *card);

/* What came of it, for people or as JSON. results: more members, and what they are called for people; takes the
 * reference. model: the folder that was written. */
typedef struct {
    const char *key, *called;
    double value;
    int digits;
} th_cli_figure;
th_status th_cli_fit_report(th_cli *cli, const th_train_result *r, const th_cli_figure *figures, int count,
                            int64_t skipped, const char *model);

#endif
