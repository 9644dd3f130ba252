/* Linear probes: multinomial logistic regression on the features of a frozen network (Alain and Bengio 2016), which
 * says what of a picture can be read off them by a plane. */
#ifndef TH_METRIC_PROBE_H
#define TH_METRIC_PROBE_H

#include "base/status.h"

typedef struct th_probe th_probe;

typedef struct {
    int64_t steps; /* of AdamW over all rows, with a learning rate that falls to 0 */
    float lr, weight_decay;
    int threads;
} th_probe_params;
void th_probe_params_init(th_probe_params *p); /* 300, 0.05, 0.01, all */

/* rows [n, d], labels [n] in [−1, classes), −1: left out. Features are brought to mean 0 and deviation 1 first. Fewer
 * than two labelled rows a class in the mean are TH_E_INPUT. The same rows give the same probe. */
th_status th_probe_fit(const float *rows, const int32_t *labels, int64_t n, int64_t d, int64_t classes,
                       const th_probe_params *p, const th_watch *w, th_probe **out);
void th_probe_free(th_probe *p); /* NULL is allowed */
/* The likeliest class of each of n rows. */
void th_probe_classify(const th_probe *p, const float *rows, int64_t n, int32_t *classes);

#endif
