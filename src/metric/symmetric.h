/* Symmetric matrices in double precision, row-major. */
#ifndef TH_METRIC_SYMMETRIC_H
#define TH_METRIC_SYMMETRIC_H

#include "base/status.h"

/* Adds Σ (x_i − mean) (x_i − mean)ᵀ over the n listed rows of x […, d] (NULL: the first n) to the whole of out [d, d].
 */
th_status th_scatter_add(const float *x, const int64_t *listed, int64_t n, int64_t d, const double *mean, double *out);

/* A = LᵀL of a positive semidefinite a [n, n], by Cholesky's method with the largest pivot first (Higham 1990), which
 * ends where nothing but rounding is left of the diagonal: the first *rank rows of l [n, n] are L, the others stay. */
th_status th_cholesky_pivoted(const double *a, int64_t n, double *l, int64_t *rank);

/* The eigenvalues of a [n, n], which is lost, in no order, into out [n]: Householder's reduction to tridiagonal form
 * and implicit QR steps with Wilkinson's shift (Golub and Van Loan 2013, § 8.3). TH_E_INPUT where that does not
 * converge, as with values that are not finite. */
th_status th_symmetric_eigenvalues(double *a, int64_t n, double *out);

#endif
