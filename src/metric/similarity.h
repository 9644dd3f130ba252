/* How alike pictures are by their features: cosines between them, within a set and between two. */
#ifndef TH_METRIC_SIMILARITY_H
#define TH_METRIC_SIMILARITY_H

#include "metric/interval.h"

/* Brings n rows [n, d] to unit length, in place; a row of zeros stays. */
void th_unit_rows(float *rows, int64_t n, int64_t d);

/* Below all rows are of unit length, a: [n, d], b: [m, d]; n and m are at least 1. Draws are functions of the seed. */

/* The mean cosine over all pairs of a row of a and one of b, as DreamBooth's fidelity is defined (Ruiz et al. 2023, §
 * 4.1): by the bootstrap over both sets. */
th_status th_pair_similarity(const float *a, int64_t n, const float *b, int64_t m, int64_t d, uint64_t seed,
                             th_estimate *out);
/* The mean over a's rows of the cosine with the row of b nearest to it: by the bootstrap over a alone. */
th_status th_nearest_similarity(const float *a, int64_t n, const float *b, int64_t m, int64_t d, uint64_t seed,
                                th_estimate *out);
/* The mean cosine of row i of a with row i of b, both [n, d]: by the bootstrap over i. */
th_status th_matched_similarity(const float *a, const float *b, int64_t n, int64_t d, uint64_t seed, th_estimate *out);
/* The mean cosine over pairs of different rows of a set: by the jackknife over rows. NaN below two rows. */
th_status th_own_similarity(const float *a, int64_t n, int64_t d, th_estimate *out);

/* The mean distance 1 − cosine over pairs of different rows of one group (a prompt's pictures), meant over the groups
 * that have two or more: with Student's t interval over groups, or with one group by the jackknife over its rows.
 * group: [n], numbers from 0 to groups − 1. No such group: NaN. *counted: how many there were. */
th_status th_diversity(const float *a, const int64_t *group, int64_t n, int64_t groups, int64_t d, th_estimate *out,
                       int64_t *counted);

#endif
