/* Inside a plan. */
#ifndef TH_PLAN_PLAN_H
#define TH_PLAN_PLAN_H

#include "graph/param.h"
#include "plan/memory.h"
#include "theriac/plan.h"

/* Where a step finds an input: a parameter's copy, or a tensor. */
typedef struct {
    th_param *param;
    int pack;
    const th_tensor *tensor;
} th_binding;

typedef struct {
    const th_node *node;
    th_prepared prepared;
    th_binding *in;
    const void **in_data; /* filled when memory is there */
    void *out_data[4];
    int64_t units;
    size_t shared_scratch;
    bool parallel, weight_packed;
    double flops, bytes, seconds;
} th_step;

typedef struct {
    th_param *param;
    bool grad;
} th_param_use;

struct th_plan {
    th_graph *g; /* rewritten */
    th_plan_params params;
    int threads;
    bool *fixed;       /* by tensor id: its bytes are not in the block */
    int64_t *holder;   /* by tensor id: the output in whose parameter's gradient its bytes lie, or −1 */
    int *output_packs; /* by output that is a parameter itself: which copy of it to read */
    th_memory memory;
    th_step *steps;
    int64_t n_steps;
    th_param_use *params_used;
    int64_t n_params_used;
    char *block, *scratch;
    bool ready, profiled;
    int64_t profiled_runs;
    th_plan_cost cost;
};

#endif
