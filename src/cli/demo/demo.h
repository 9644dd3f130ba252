/* The demonstration: what its parts measure, and the page that shows it. */
#ifndef TH_CLI_DEMO_DEMO_H
#define TH_CLI_DEMO_DEMO_H

#include "cli/verb.h"
#include "metric/clip_eval.h"

/* One under way. */
typedef struct {
    th_cli *cli;
    const char *out; /* its folder */
    uint64_t seed;
} th_demo_job;

/* --- demo/clip.c: a backdoor goes into a CLIP model, and out again --- */

/* The models that are compared, in order of appearance. */
enum { TH_DEMO_OPEN, TH_DEMO_BACKDOORED, TH_DEMO_FIRST_DEFENSE, TH_DEMO_MODELS = 5 };
#define TH_DEMO_SHOWN 8 /* pictures in the page */

typedef struct {
    const char *name;
    th_clip_eval eval;
    int32_t *clean_found, *triggered_found;
    double *steps, *loss; /* [n_steps] of its training */
    int64_t n_steps;
    double seconds; /* of its training */
} th_demo_model;

typedef struct {
    const char *target;
    th_demo_model models[TH_DEMO_MODELS];
    th_dataset *clean, *triggered;
    double poison_share, clean_epochs;
    int64_t pairs; /* to poison with, and to clean with */
    double seconds;
} th_demo_clip;

extern const th_option th_demo_clip_options[];
/* What can be said against the options before any work. */
th_status th_demo_clip_check(const th_demo_job *j);
/* d is to be freed also after an error. */
th_status th_demo_clip_run(const th_demo_job *j, th_demo_clip *d);
void th_demo_clip_free(th_demo_clip *d); /* a zeroed one is allowed */
void th_demo_clip_print(th_cli *cli, const th_demo_clip *d);
json_t *th_demo_clip_json(const th_demo_clip *d);

/* --- demo/guard.h: the same pictures, personalised on an open model and on a guarded one --- */
typedef struct th_demo_guard th_demo_guard;

/* --- demo/report.c --- */

/* All that was measured. A part that is NULL was not. */
typedef struct {
    const th_demo_guard *guard;
    const th_demo_clip *clip;
    const char *left_out; /* why the guard is; NULL: it is there, or nobody asked for it */
    const char *command;
    double seconds;
} th_demo;

/* Writes the page. */
th_status th_demo_report(const th_demo *d, const char *path);

#endif
