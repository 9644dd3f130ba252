/* A chain of elementwise operations as one: made by the rewriter, never by a model. */
#ifndef TH_OPS_FUSED_H
#define TH_OPS_FUSED_H

#include "ops/op.h"

#define TH_FUSED_MAX_STEPS 12
#define TH_FUSED_MAX_INPUTS 8
#define TH_FUSED_MAX_VALUES (TH_FUSED_MAX_INPUTS + TH_FUSED_MAX_STEPS)

/* Values are numbered: the node's inputs first, then the steps' results in order; the last step is the output. */
typedef struct {
    const th_op *op;
    const void *attr;
    size_t attr_bytes;
    int n_in, in[3];
} th_fused_step;

typedef struct {
    int n_in, n_steps;
    th_fused_step step[TH_FUSED_MAX_STEPS];
} th_fused_attr;

extern const th_op th_op_fused;

/* The steps of a fused node, 0 for any other. */
int th_fused_steps(const th_node *n);
/* x has room for the steps' values behind the inputs'; tiles has TH_MAP_TILE floats a step. */
void th_fused_run(const th_node *n, float *y, const float **x, int64_t count, float *tiles);

#endif
