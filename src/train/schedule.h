/* The learning rate as a function of the step. */
#ifndef TH_TRAIN_SCHEDULE_H
#define TH_TRAIN_SCHEDULE_H

#include "base/status.h"

typedef enum { TH_COSINE, TH_LINEAR, TH_CONSTANT } th_schedule_kind;

typedef struct {
    th_schedule_kind kind;
    double lr, end;        /* at its highest; what it falls to, and would reach one step after the last */
    int64_t warmup, steps; /* rises linearly over the first warm-up steps; steps in all */
} th_schedule;

/* "cosine", "linear" or "constant"; false for another word. */
bool th_schedule_parse(const char *name, th_schedule_kind *out);
/* For step 0, 1, … steps − 1. */
double th_schedule_at(const th_schedule *s, int64_t step);

#endif
