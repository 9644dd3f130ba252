/* A copy of what a set's trainable parameters hold, values or gradients, as it lies in memory: to be somewhere else in
 * weight space for a moment and come back to the bit. For parameters all of whose plans have been made, since plans
 * choose how parameters lie. */
#ifndef TH_TRAIN_SNAPSHOT_H
#define TH_TRAIN_SNAPSHOT_H

#include "graph/param.h"

typedef struct th_snapshot th_snapshot;

/* Zeros. params must outlive it; threads: of the loops over them. */
th_status th_snapshot_new(const th_params *params, int threads, th_snapshot **out);
void th_snapshot_free(th_snapshot *s); /* NULL is allowed */
/* Bytes of one, of all trainable parameters. */
size_t th_snapshot_bytes(const th_params *params);

void th_snapshot_take_values(th_snapshot *s);
void th_snapshot_take_grads(th_snapshot *s);
/* copy ← copy + scale · gradients. */
void th_snapshot_gather_grads(th_snapshot *s, float scale);
/* values ← copy, and what is packed of them. */
th_status th_snapshot_put_values(const th_snapshot *s);
/* values ← values + scale · copy. */
th_status th_snapshot_add_to_values(const th_snapshot *s, float scale);
void th_snapshot_put_grads(const th_snapshot *s);
/* ‖copy‖₂ */
double th_snapshot_norm(const th_snapshot *s);
/* ‖copy − other‖₂, of the same parameters. */
double th_snapshot_distance(const th_snapshot *s, const th_snapshot *other);

#endif
