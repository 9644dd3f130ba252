/* How far two sets of pictures are from each other as distributions of features. Rows are as the network gives them, a:
 * [n, d], b: [m, d], n and m at least 2. Intervals are the jackknife's: each set is parted at random, by the seed, into
 * as many groups, and the g-th group of both is left out in turn. The bootstrap would not do: its duplicates look like
 * a set of less variety, and both distances grow. */
#ifndef TH_METRIC_DISTANCE_H
#define TH_METRIC_DISTANCE_H

#include "metric/interval.h"

#define TH_DISTANCE_GROUPS 10
#define TH_DISTANCE_LEAST 20 /* rows of each set; below there is no interval */

/* The Fréchet distance between the Gaussians with the sets' means and covariances (Dowson and Landau 1982; for features
 * of pictures Heusel et al. 2017, "FID"): |μa − μb|² + Tr(Σa + Σb − 2 (Σa Σb)^½). It is too large for few pictures, by
 * about 1/n; with fewer than d + 1 the covariances do not have full rank, and it should only be compared between sets
 * of the same size. */
th_status th_frechet_distance(const float *a, int64_t n, const float *b, int64_t m, int64_t d, double *out);
th_status th_frechet_estimate(const float *a, int64_t n, const float *b, int64_t m, int64_t d, uint64_t seed,
                              th_estimate *out);

/* The squared maximum mean discrepancy with the kernel (x · y / d + 1)³, without bias (Gretton et al. 2012, eq. 3;
 * Bińkowski et al. 2018, "KID"). Its mean does not depend on how many pictures there are, and it may fall below 0.
 * Where others take the mean over random subsets, all pairs are taken here, which has the same mean and a smaller
 * variance, up to so many rows of each set, chosen by the seed. */
#define TH_KERNEL_ROWS_MOST 5000
th_status th_kernel_estimate(const float *a, int64_t n, const float *b, int64_t m, int64_t d, uint64_t seed,
                             th_estimate *out);
/* The same where row i of a and row i of b, both [n, d], belong together, as pictures that two models drew from one
 * noise: kernels within a pair are left out, and a pair stays in one group (Gretton et al. 2012, eq. 4). Equal sets are
 * at 0, and what pairs share does not widen the interval. */
th_status th_kernel_paired_estimate(const float *a, const float *b, int64_t n, int64_t d, uint64_t seed,
                                    th_estimate *out);

#endif
