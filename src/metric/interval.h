/* How sure a measured number is. */
#ifndef TH_METRIC_INTERVAL_H
#define TH_METRIC_INTERVAL_H

#include <stdint.h>

/* A value with its 95 % interval. */
typedef struct {
    double value, low, high;
} th_estimate;

/* A share of independent trials, with Wilson's score interval (Wilson 1927). No trials: all NaN. */
th_estimate th_share(int64_t hits, int64_t trials);
/* A mean over independent groups (seeds), with Student's t interval; one group: the interval is NaN. */
th_estimate th_mean_of(const double *values, int64_t count);

#endif
