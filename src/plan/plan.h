/* Inside a plan. */
#ifndef TH_PLAN_PLAN_H
#define TH_PLAN_PLAN_H

#include "graph/param.h"
#include "plan/memory.h"
#include "theriac/plan.h"

/* A parameter's values in a dtype and layout that are not their own. It is kept beside them and follows each update, or
 * made anew in the scratch of every step that reads it. */
typedef struct {
    th_param *param;
    th_dtype dtype;
    const th_layout *layout;
    int64_t uses; /* steps that read it */
    size_t bytes;
    bool read_after; /* it is an output: it must be there after the run */
    bool kept;
    int pack; /* where it is kept; TH_PARAM_NO_PACK until then */
} th_copy;

/* Where a step finds an input: a tensor, or a parameter. */
typedef struct {
    const th_tensor *tensor;
    th_param *param;
    int64_t copy;  /* of the parameter; −1: the values themselves */
    size_t offset; /* in the scratch, where the copy is made on use */
} th_binding;

typedef struct {
    const th_node *node;
    th_prepared prepared;
    th_binding *in;
    const void **in_data; /* filled when memory is there */
    void *out_data[4];
    int64_t units;
    size_t shared_scratch;
    bool parallel, weight_packed, packs; /* packs: some input is a copy that is made on use */
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
    bool *fixed;            /* by tensor id: its bytes are not in the block */
    int64_t *holder;        /* by tensor id: the output in whose parameter's gradient its bytes lie, or −1 */
    int64_t *output_copies; /* by output that is a parameter itself: which copy of it to read; −1: its values */
    th_memory memory;
    th_step *steps;
    int64_t n_steps;
    th_param_use *params_used;
    int64_t n_params_used;
    th_copy *copies;
    int64_t n_copies, cap_copies;
    double pack_bytes, pack_seconds; /* moved in a run by copies made on use; the time that took */
    int64_t packs_a_run;
    char *block, *scratch;
    bool ready, profiled;
    int64_t profiled_runs;
    th_plan_cost cost;
};

/* Through views. */
const th_tensor *th_root_of(const th_tensor *t);
/* Computes something: neither a leaf nor a view. */
bool th_is_step(const th_node *n);

/* fit.c: p->g and its places again, with activations recomputed so that they take `budget` bytes, or else as few as
 * they can. */
th_status th_plan_fit(th_plan *p, size_t budget);
/* plan.c: tensors whose bytes are not in the block, of the graph that p has now. */
th_status th_plan_mark_fixed(th_plan *p);

/* copies.c, in this order. What steps and outputs read of parameters: p->copies, and s->in of each step. */
th_status th_plan_find_copies(th_plan *p);
/* Bytes that are there whatever is kept: parameters, gradients, the scratch where nothing is kept, the caller's. */
size_t th_plan_least_bytes(const th_plan *p);
/* Decides which copies to keep in so many bytes, and lays out the scratch. */
th_status th_plan_keep_copies(th_plan *p, size_t room);
void th_plan_drop_copies(th_plan *p);

#endif
