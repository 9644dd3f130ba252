/* The demonstration: what it measures, and the page that shows it. */
#ifndef TH_CLI_DEMO_H
#define TH_CLI_DEMO_H

#include "metric/clip_eval.h"

/* The models that are compared, in order of appearance. */
enum { TH_DEMO_OPEN, TH_DEMO_BACKDOORED, TH_DEMO_FIRST_DEFENSE, TH_DEMO_MODELS = 5 };
#define TH_DEMO_SHOWN 8 /* pictures in the page */

typedef struct {
    const char *name, *about;
    th_clip_eval eval;
    int32_t *clean_found, *triggered_found;
    double *steps, *loss; /* [n_steps] of its training */
    int64_t n_steps;
    double seconds; /* of its training */
} th_demo_model;

typedef struct {
    const char *target, *command;
    th_demo_model models[TH_DEMO_MODELS];
    th_dataset *clean, *triggered;
    double poison_share, clean_epochs;
    int64_t poisoned_pairs, clean_pairs;
    double seconds;
} th_demo;

/* Writes the page. */
th_status th_demo_report(const th_demo *d, const char *path);

#endif
