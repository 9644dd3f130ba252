/* Intervals. */
#include "metric/interval.h"

#include <math.h>

th_estimate th_share(int64_t hits, int64_t trials) {
    if (trials <= 0) return (th_estimate){NAN, NAN, NAN};
    const double z = 1.959963984540054;
    double n = (double)trials, p = (double)hits / n;
    double centre = (p + z * z / (2 * n)) / (1 + z * z / n);
    double half = z / (1 + z * z / n) * sqrt(p * (1 - p) / n + z * z / (4 * n * n));
    return (th_estimate){p, fmax(0, centre - half), fmin(1, centre + half)};
}

/* The 97.5 % point of Student's t with so many degrees of freedom; from 30 on by the expansion about the normal one. */
static double t_quantile(int64_t freedom) {
    static const double table[] = {12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
                                   2.201,  2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
                                   2.080,  2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045};
    const double z = 1.959963984540054;
    if (freedom < 30) return table[freedom - 1];
    return z + (z * z * z + z) / (4 * (double)freedom);
}

th_estimate th_mean_of(const double *values, int64_t count) {
    if (count <= 0) return (th_estimate){NAN, NAN, NAN};
    double mean = 0, square = 0;
    for (int64_t i = 0; i < count; i++) mean += values[i] / (double)count;
    if (count == 1) return (th_estimate){mean, NAN, NAN};
    for (int64_t i = 0; i < count; i++) square += (values[i] - mean) * (values[i] - mean);
    double half = t_quantile(count - 1) * sqrt(square / (double)(count - 1) / (double)count);
    return (th_estimate){mean, mean - half, mean + half};
}
