/* What the commands that train CLIP have in common: opening data, planning, the run folder, evaluating, saving. */
#ifndef TH_CLI_CLIP_JOB_H
#define TH_CLI_CLIP_JOB_H

#include "base/memory.h"
#include "cli/verb.h"
#include "metric/clip_eval.h"
#include "train/clip_fit.h"

/* --data and how to read it. */
extern const th_option th_data_options[];
/* --eval, --eval-triggered and the like: what is measured while training and at its end. */
extern const th_option th_eval_options[];
/* --test and the like: what is measured once, at the end. */
extern const th_option th_test_options[];
/* --out, --resume, --plan, --save-dtype. */
extern const th_option th_run_options[];

/* All of them, as every training of CLIP has them in help. */
#define TH_GROUP(title, rows) \
    { (title), (rows) }
#define TH_CLI_JOB_GROUPS                                                         \
    TH_GROUP("Data", th_data_options), TH_GROUP("Training", th_clip_fit_options), \
        TH_GROUP("Evaluation", th_eval_options), TH_GROUP("Test", th_test_options), TH_GROUP("Run", th_run_options)

/* Opens the set that --data names (or, for `name`, another option) with the columns that the options give. */
th_status th_cli_open_data(th_cli *cli, const char *name, th_dataset **out);
/* Opens a set, and of more than `limit` pictures (0: no limit) so many that are spread over it. */
th_status th_cli_open_spread(const char *spec, th_dataset_params *p, int64_t limit, const th_watch *w,
                             th_dataset **out);
/* Tells of what --skip-bad passed over so far; returns how many that are. */
int64_t th_cli_note_skipped(th_cli *cli, th_dataset *d);

/* The data sets of an evaluation. */
typedef struct {
    th_dataset *labelled, *triggered, *pairs;
    th_clip_eval_params params;
    th_arena *arena; /* of names and lists in params */
    bool any;        /* there is something to measure on */
} th_cli_eval;
/* Opens what the options --NAME, --NAME-triggered and --NAME-pairs name, and checks that it can be measured on. */
th_status th_cli_eval_open(th_cli *cli, const char *name, th_cli_eval *e);
void th_cli_eval_close(th_cli_eval *e);
/* Results as a table for people, or as an object. of: what was measured, for the table's title; NULL: nothing to say.
 * reference: what a clean model reaches on the same sets, printed beside; NULL: there is none. */
void th_cli_eval_print(th_cli *cli, const char *of, const th_clip_eval *r, const th_clip_eval *reference);
json_t *th_cli_eval_json(const th_clip_eval *r);

/* One training: the model of `bundle` by this method. Fills cli->out with what came of it. */
typedef struct {
    th_clip_bundle *bundle;
    const th_clip_method *method;
    th_dataset *pairs;
    const th_subtexts *subtexts;
    const char *command; /* "clean cleanerclip" */
    json_t *inputs;      /* hashes for run.json; the job takes the reference */
    th_clip_fit_params fit;
    bool compare; /* measure the model before, too */
    /* Text for the model card: how it was made. */
    const char *card_title, *card_about;
} th_cli_job;
/* What can be said against the options before any long work. */
th_status th_cli_job_check(th_cli *cli);
th_status th_cli_job_run(th_cli *cli, th_cli_job *job);

/* {"data": {"set": …, "sha256": …}, "model": {"folder": …, "sha256": …}} of what --data and --model name, for run.json.
 */
th_status th_cli_inputs_json(th_cli *cli, const th_dataset *d, json_t **out);

#endif
