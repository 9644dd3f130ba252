/* How sure a measured number is. */
#ifndef TH_METRIC_INTERVAL_H
#define TH_METRIC_INTERVAL_H

#include "base/status.h"

/* A value with its 95 % interval. */
typedef struct {
    double value, low, high;
} th_estimate;

/* A share of independent trials, with Wilson's score interval (Wilson 1927). No trials: all NaN. */
th_estimate th_share(int64_t hits, int64_t trials);
/* The same of a share that is known to be as sure as one of so many trials. */
th_estimate th_share_as_of(double share, double trials);
/* A share of trials that come in groups, as captions come by picture, and are alike within one: hits[i] of trials[i] in
 * group i. The interval is the bootstrap's: groups are drawn with replacement, and the share's 2.5 and 97.5 % points
 * over 2,000 such draws are taken (Efron and Tibshirani 1993, § 13.3; Davison and Hinkley 1997, § 3.8, for groups).
 * Where each group has one trial it is Wilson's; where all trials or none are hits, between which nothing can be drawn,
 * Wilson's of as many trials as there are groups. Groups without a trial are left out. The same numbers give the same
 * interval. */
th_status th_share_of_groups(const int64_t *hits, const int64_t *trials, int64_t groups, th_estimate *out);
/* A value with the 2.5 and 97.5 % points of 2,000 draws from the same kind of sample, each a function of its number. A
 * draw that is not finite makes the interval NaN. */
typedef double (*th_draw)(void *user, uint64_t which);
th_status th_bootstrap(double value, th_draw draw, void *user, th_estimate *out);
/* The mean of n values by that, values drawn with replacement: draw `which` is a function of (seed, which). */
th_status th_bootstrap_mean(const double *values, int64_t n, uint64_t seed, th_estimate *out);
/* A value of all pictures and those that leave out one of `groups` groups each, with Student's t interval on the
 * delete-a-group jackknife's standard error (Efron and Tibshirani 1993, § 11.5): for what duplicates among the draws of
 * a bootstrap would bias. Fewer than two groups: the interval is NaN. */
th_estimate th_jackknife(double value, const double *without, int64_t groups);
/* The ratio of two shares, each of independent trials, with the interval of its logarithm (Katz et al. 1978), which is
 * NaN where the first share is 0; all NaN where the second is. */
th_estimate th_ratio_of_shares(int64_t hits, int64_t trials, int64_t base_hits, int64_t base_trials);
/* A mean over independent groups (seeds), with Student's t interval; one group: the interval is NaN. */
th_estimate th_mean_of(const double *values, int64_t count);

#endif
