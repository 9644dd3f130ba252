/* Which sample stands where: a function of the seed and the step, so that neither threads nor an interruption change
 * it. */
#ifndef TH_DATA_ORDER_H
#define TH_DATA_ORDER_H

#include "base/status.h"

typedef struct {
    int64_t samples, batch;
    uint64_t seed;
    bool shuffle;   /* each epoch is another permutation of the samples; true. False: as they are numbered */
    bool drop_last; /* what does not fill a batch is left out of the epoch; true. False: the last batch is filled up
                     * from the epoch's beginning */
    /* Batches of two parts. Each epoch draws drawn_per_batch samples for each of its batches at random out of the
     * eligible ones, all different while there are enough of them and evenly often else. They are the batch's first
     * rows. The other rows go through the samples that this epoch did not draw. drawn_per_batch 0, the default: one
     * part. */
    const int64_t *eligible; /* different samples; copied */
    int64_t eligible_count, drawn_per_batch;
} th_order_params;
void th_order_params_init(th_order_params *p, int64_t samples, int64_t batch, uint64_t seed);

typedef struct th_order th_order;
/* Too few samples for a single batch are TH_E_INPUT. */
th_status th_order_new(const th_order_params *p, th_order **out);
void th_order_free(th_order *o); /* NULL is allowed */

int64_t th_order_steps(const th_order *o); /* batches of an epoch; at least 1 */
static inline int64_t th_order_epoch(const th_order *o, int64_t step) { return step / th_order_steps(o); }
/* The sample in row k of this step's batch. Any thread, any step; the permutations of two epochs are kept, so steps are
 * best asked for about in order. Can fail for want of memory only. */
th_status th_order_at(th_order *o, int64_t step, int64_t k, int64_t *sample);

#endif
