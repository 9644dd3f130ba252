/* The file of a study of guards: which models, subjects and attackers, by which prompts, judged by what. Keys of
 * objects under "guards", "subjects" and "attackers" are names, which become folders: letters, digits, - and _. A text
 * with {} is filled with what is drawn: "sks bag" for attackers, "a bag" where there is no identifier. */
#ifndef TH_CLI_STUDY_CONFIG_H
#define TH_CLI_STUDY_CONFIG_H

#include "base/memory.h"
#include "format/json.h"
#include "metric/guard_protocol.h"

enum { TH_TRIAL_MOST_STEPS = 32, TH_TRIAL_MOST_SEEDS = 1000, TH_TRIAL_MOST_PICTURES = 100000 };

#define TH_TRIAL_USUAL_PATTERN "chequerboard" /* th_pattern_make's */

typedef struct {
    const char *name, *dir;
    const char *mode;      /* "pattern", "erasure", "target", "perturbation"; NULL: of the open model */
    const char **pictures; /* [subjects]: sets that attackers find in place of a subject's; NULL: its own */
    uint64_t protects;     /* bit s: subject s */
    uint64_t unprotected;  /* on which attackers try it too; all where none are named */
    const char *yes, *no; /* sets of what the protective output looks like, and of what it does not; NULL: not judged */
    /* Where "no" with a pattern over it is the protective output: the pattern's file, or TH_TRIAL_USUAL_PATTERN; and
     * its side as a share of the picture's. */
    const char *pattern;
    double pattern_share;
} th_trial_model;

typedef struct {
    const char *name, *noun;
    const char *called;   /* "a bag" */
    const char *pictures; /* sets: the protected ones; real ones that nobody trains on; NULL: none, those that the */
    const char *held_out, *others; /* attacker has and the publisher had not */
} th_trial_subject;

typedef struct {
    const char *name, *method;
    int64_t method_number;              /* of personalize */
    const char *identifier;             /* "sks", "<new1>" */
    const char *shown;                  /* what {} stands for, "{identifier} {noun}" filled by th_trial_shown */
    const char *instance;               /* "a photo of {}"; NULL: the method has sentences of its own */
    const char *class;                  /* "a photo of {}"; NULL: no prior preservation */
    const json_t *transform;            /* a list, of what is done to its pictures; NULL: nothing */
    const json_t *options;              /* of the method; NULL: none */
    int64_t steps[TH_TRIAL_MOST_STEPS]; /* rising */
    int step_count;
    int64_t protected_pictures; /* of those trained on; the others are of `mixed_with`. 0: all */
    int32_t mixed_with;
    bool others;        /* trains on the subject's others */
    int64_t tune_steps; /* of fine-tuning on captions before; 0: none */
    const char *tune_set;
    const json_t *tune_options;
    double average;            /* share of the open model's weights that is mixed in before; 0: none */
    uint64_t models, subjects; /* that it is tried on; the open model always is */
} th_trial_attacker;

typedef struct {
    th_json json; /* borrowed from all over */
    th_arena *arena;
    const char *file;
    th_trial_model *models; /* [model_count]; the open one, "open", first */
    th_trial_subject *subjects;
    th_trial_attacker *attackers;
    int64_t model_count, subject_count, attacker_count;
    int64_t *seeds, seed_count;
    const char **prompts; /* [prompt_count], with {} */
    int64_t prompt_count;
    const char **ordinary;
    int64_t ordinary_count;
    const char *class_prompts;                 /* a table with the column "prompt"; NULL: none */
    const char *attributes_file, **attributes; /* what class prompts ask for: a file, or columns */
    int64_t attribute_count;
    const char *lessons, *encoder, *clip;
    const char **distractors;
    int64_t distractor_count;
    int64_t each, each_leak, each_class, each_ordinary, seed; /* pictures of a prompt */
    json_t *drawing, *class_drawing;                          /* options of `theriac generate` */
    int64_t class_count;
    th_study_rules rules;
} th_trial;

/* Reads the file; what is unknown, missing or of a wrong type is TH_E_INPUT "FILE: field 'a.b' …". Nothing that it
 * names is opened. To be freed also after an error. */
th_status th_trial_load(const char *path, th_trial *out);
void th_trial_free(th_trial *t); /* a zeroed one is allowed */

/* Whether this attacker tries this model on this subject. */
bool th_trial_tries(const th_trial *t, int64_t attacker, int64_t model, int64_t subject);
/* What {} stands for under an attacker: "sks bag". In the arena; NULL when out of memory. */
const char *th_trial_shown(const th_trial *t, int64_t attacker, int64_t subject);
/* The template with `what` for {}; the same. */
const char *th_trial_fill(const th_trial *t, const char *template, const char *what);
/* The template with the subject's class for {}: "bag" after an article, else "a bag"; the same. */
const char *th_trial_plain(const th_trial *t, const char *template, int64_t subject);

#endif
