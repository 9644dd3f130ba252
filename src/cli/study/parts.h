/* What the files of `theriac eval guard` share: a study under way.
 *
 * OUT/study.json    what was asked for, and the weights it began with
 * OUT/pictures/     what was drawn: MODEL/SUBJECT/ATTACKER/seed-0/step-100 and the like
 * OUT/pictures.tsv  a row for each of them
 * OUT/class/        pictures of classes by the open model, for attackers' prior preservation
 * OUT/sets/         mixed pictures; OUT/models/: models that attackers changed first; OUT/cells/: their results, each
 *                   removed once it has drawn; OUT/logs/ */
#ifndef TH_CLI_STUDY_PARTS_H
#define TH_CLI_STUDY_PARTS_H

#include "base/map.h"
#include "cli/jobs.h"
#include "cli/study/config.h"
#include "data/dataset.h"
#include "format/table.h"

enum { TH_TRIAL_MOST_FLAGS = 24 }; /* prompts that a command line holds; more go into a file */

/* What one command draws: so many pictures of each prompt by one model. */
typedef struct {
    th_study_kind kind;
    int32_t model, subject, attacker;          /* −1: none */
    int64_t seed, step;                        /* −1: none */
    const char *dir;                           /* under OUT */
    const char *const *prompts, *const *texts; /* [count]; texts: without an identifier, "" where there is nothing to
                                                  hold a picture against */
    int64_t count, each;
    int64_t draw_seed; /* of its first picture */
} th_trial_block;

/* A job with what it leaves behind. */
typedef struct {
    const char *scratch; /* a folder to be removed afterwards; NULL: none */
    const char *table;   /* a table of its pictures to be written afterwards, OUT/class/0.tsv; NULL: none */
    const char *prompt;  /* of those */
    int64_t pictures;
} th_trial_after;

typedef struct {
    th_job *items;
    th_trial_after *after;
    int64_t count, capacity, after_capacity;
} th_trial_jobs;

/* What a kind of command takes. */
typedef struct {
    int64_t bytes;
    double seconds;
} th_trial_cost;

typedef struct {
    th_cli *cli;
    th_trial trial;
    const char *out;
    int threads, threads_each;
    int64_t side_by_side, memory;
    th_map *guarded;        /* hashes of pictures that guards were made with */
    th_sheet class_prompts; /* those of captions, and what they ask for */
    int class_prompt_column;
    const char **class_texts;    /* [rows of class_prompts] */
    const char **class_pictures; /* [class_count]: class prompts that priors want, each drawn once */
    int64_t class_count;
    th_trial_block *blocks;
    int64_t block_count, block_capacity;
    th_trial_jobs first, cells;  /* first: what cells need */
    th_trial_cost *attack_costs; /* [attackers]: of personalising */
    th_trial_cost *tune_costs;   /* [attackers]: of fine-tuning before */
    th_trial_cost picture;       /* of drawing one */
    double class_seconds;        /* of drawing one of a class */
    double seconds;              /* that cells took */
    const char **failures;
    int64_t failure_count;
} th_trial_run;

/* --- study/check.c: what can be said against a study before anything runs --- */

th_status th_trial_check(th_trial_run *r);
/* The pattern of a guard that has one. */
th_status th_trial_read_pattern(const th_trial_model *m, th_image *out);
/* --- study/cells.c: its commands --- */

/* Whether --only leaves a cell in, where the open model always is; −1: of any model, without a subject, an attacker. */
bool th_trial_wanted(const th_trial_run *r, int64_t model, int64_t subject, int64_t attacker);
/* Blocks, and jobs of what is wanted. */
th_status th_trial_make_jobs(th_trial_run *r);
/* Runs plans of one command of each kind. Writes nothing but into `dir`. */
th_status th_trial_find_costs(th_trial_run *r, const char *dir);
/* The folder that attackers of a model begin from. */
const char *th_trial_base(const th_trial_run *r, int64_t model, int64_t attacker);
/* The set that an attacker has of a subject, before it is mixed; and where the mixed one lies. */
const char *th_trial_pictures(const th_trial_run *r, int64_t model, int64_t subject, int64_t attacker);
const char *th_trial_mixed(const th_trial_run *r, int64_t model, int64_t subject, int64_t attacker);
/* Whether they mix its weights with the open model's first. */
bool th_trial_averages(const th_trial_run *r, int64_t model, int64_t attacker);
void th_trial_free_jobs(th_trial_run *r);

/* --- study/files.c: what lies in OUT --- */

/* Begins a study in OUT, or goes on with one: then threads_each is what it was. */
th_status th_trial_open(th_trial_run *r);
/* Texts to draw by, mixed pictures. */
th_status th_trial_write_sets(th_trial_run *r);
/* OUT/MODEL: averages of weights, where attackers begin from such. */
th_status th_trial_average(th_trial_run *r);
/* th_jobs_params.finished, of each of the two lists; user: the run. */
th_status th_trial_first_done(void *run, int64_t job);
th_status th_trial_cell_done(void *run, int64_t job);
/* OUT/pictures.tsv of all blocks that are whole; *blocks: how many those are. */
th_status th_trial_write_pictures(th_trial_run *r, int64_t *blocks);

/* --- study/judge.c: from pictures to the report --- */

th_status th_trial_judge(th_trial_run *r);

#endif
