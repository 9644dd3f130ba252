/* Plans: a graph made ready to run. Kernels are chosen, elementwise chains and residual sums fused, every tensor has
 * its place in one block of memory, and what the run will cost is known. Running allocates nothing. */
#ifndef THERIAC_PLAN_H
#define THERIAC_PLAN_H

#include "theriac/graph.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct th_plan th_plan;

typedef struct {
    int threads;          /* 0: as many as the process may use */
    th_dtype compute;     /* TH_F32 or TH_BF16: operands of products and saved activations */
    bool no_fusion;       /* every operation on its own: for tests */
    bool pack_on_use;     /* copies of parameters are made where they are read, even where there is room to keep them */
    size_t memory_budget; /* bytes for all that th_plan_cost.bytes counts; 0: no limit */
    /* The caller's own part of it: bytes for each element of a parameter that gets a gradient here, such as 8 for
     * AdamW's moments, and bytes for anything else, such as batches or other models. */
    size_t trained_bytes, other_bytes;
    int64_t runs_an_update; /* whose gradients are summed before parameters change; 0: 1 */
} th_plan_params;
void th_plan_params_init(th_plan_params *p);

/* What a run costs. Bytes of parameters and gradients are counted once for all plans that share them. */
typedef struct {
    double flops;            /* of the recorded graph; recomputation is not counted */
    double recomputed_flops; /* on top, where the budget asked for it */
    double moved_bytes;      /* read and written by all operations, and by making copies of parameters on use */
    size_t tensor_bytes;     /* the block for inputs, activations and outputs */
    size_t scratch_bytes;    /* with the copies that are made on use */
    size_t param_bytes;      /* values and copies that are kept */
    size_t grad_bytes;
    size_t trained_bytes; /* the caller's, for what gets gradients */
    size_t bytes;         /* all of these and the caller's other_bytes: what a budget is held against */
    int64_t steps, fused; /* operations run; operations that were fused away */
} th_plan_cost;

/* Kernels want many parameters in blocks, or as bf16, while values are f32. To fit a budget, copies that do not pay for
 * their memory are made where they are read instead of being kept; then activations are computed again; what is left
 * goes to the copies that spare most. None of this changes a bit of the results. A parameter that is not trainable may
 * lie in the blocks of its first reader, so set that before planning what only infers. */

/* Plans a graph. Fails with the graph's own error, with TH_E_MEMORY and the number it needs when the budget cannot be
 * met, or with a kernel's error. The graph may be freed afterwards; the parameters must outlive the plan. */
th_status th_plan_new(const th_graph *g, const th_plan_params *params, th_plan **out);
void th_plan_free(th_plan *p);
int th_plan_threads(const th_plan *p);
void th_plan_get_cost(const th_plan *p, th_plan_cost *cost);

/* Allocates the block, the parameters' copies and their gradients. The first run does it too. */
th_status th_plan_allocate(th_plan *p);
/* The place of an input (to be filled before a run; it keeps what it was given) or of an output (valid until the next
 * run), row-major. NULL where there is none of that name. */
void *th_plan_input(th_plan *p, const char *name);
const void *th_plan_output(const th_plan *p, const char *name);
const th_desc *th_plan_input_desc(const th_plan *p, const char *name);

/* One run. seed and step feed random operations. */
th_status th_plan_run(th_plan *p, uint64_t seed, uint32_t step);

/* What this machine does at best: products of 1024 in this dtype, and copying. Takes some hundredths of a second. */
typedef struct {
    int threads;
    double flops_per_second, bytes_per_second;
} th_ceilings;
th_status th_ceilings_measure(int threads, th_dtype compute, th_ceilings *out);
/* The least time that a run can take on so many cores like these: arithmetic and memory traffic at their ceilings, one
 * after the other. Memory is taken to be up to 8 times as fast where there are more cores. */
double th_ceilings_seconds(const th_ceilings *c, const th_plan_cost *cost, int cores);

/* Seconds of each kind of operation, summed over the runs since it was switched on. */
typedef struct {
    const char *op;
    int64_t count;
    double seconds, flops, bytes;
} th_profile_row;
void th_plan_profile(th_plan *p, bool on);
/* Fills rows, the slowest first, and returns how many there are. */
int th_plan_profile_rows(const th_plan *p, th_profile_row *rows, int max);

#ifdef __cplusplus
}
#endif
#endif
