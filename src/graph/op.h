/* The row of an operation: everything the rest of the engine knows of it. */
#ifndef TH_GRAPH_OP_H
#define TH_GRAPH_OP_H

#include "base/memory.h"
#include "theriac/graph.h"

typedef struct th_node th_node;
typedef struct th_op th_op;

/* What a gradient rule is given and fills: dx[i] where want[i]. dy[j] is NULL when nothing depends on output j. */
typedef struct {
    th_graph *g;
    th_node *n;
    th_tensor *const *dy;
    const bool *want;
    th_tensor **dx;
} th_vjp;

/* One run of a kernel. Pointers are to row-major data of the dtypes that the node's tensors say. */
typedef struct {
    const th_node *n;
    const void *const *in;
    void *const *out;
    void *state;   /* what prepare made */
    char *scratch; /* prepared.scratch bytes, shared; then prepared.thread_scratch bytes a thread */
    size_t scratch_bytes, thread_scratch_bytes;
    int threads;
    bool weight_packed; /* the plan granted the layout that prepare asked for */
    uint64_t seed;      /* of the run, for random operations */
    uint32_t step;
} th_kernel_args;

/* What a kernel needs that is fixed before the first run. */
typedef struct {
    const th_node *n;
    int threads;
    void *state;
    size_t scratch, thread_scratch; /* bytes */
    /* A kernel that wants its weights blocked says so: the plan grants it where the operand is a parameter, or the
     * output a parameter's gradient. Else the kernel moves them itself, in weight_scratch bytes behind its scratch. */
    int weight_input; /* the operand, or TH_WEIGHT_NONE, or TH_WEIGHT_OUTPUT for output 0 */
    const struct th_layout *weight_layout;
    size_t weight_scratch;
} th_prepared;
enum { TH_WEIGHT_NONE = -1, TH_WEIGHT_OUTPUT = -2 };

typedef struct {
    /* Either range, over units [begin, end) that the executor shares out among its threads, … */
    void (*range)(const th_kernel_args *a, int64_t begin, int64_t end, char *scratch);
    int64_t (*units)(const th_node *n); /* NULL: the rows of output 0 */
    /* … or run, which looks after its own threads. */
    th_status (*run)(const th_kernel_args *a);
    th_status (*prepare)(th_prepared *p); /* NULL: nothing to prepare */
    void (*release)(void *state);
} th_kernel;

/* Double precision, one thread, no cleverness: what every other kernel is held against. */
typedef struct {
    const th_node *n;
    const double *const *in;
    double *const *out;
} th_reference_args;

/* Elementwise operations ("maps") give the row of a tile instead of a kernel: y[k] from x[i][k], k < n. */
typedef void (*th_map_fn)(float *restrict y, const float *const *x, int64_t n, const void *attr);
typedef double (*th_map_reference_fn)(const double *x, const void *attr);

/* What an input or output may be stored as when the plan computes in bf16. */
typedef enum {
    TH_KEEP_F32 = 0, /* f32 only */
    TH_EITHER = 1,   /* reads (writes) both; no wish of its own */
    TH_LOW = 2, /* reads both and asks for bf16: an operand of a multiplication, an activation worth saving small */
    TH_MUST_LOW = 3, /* the plan gives bf16, casting if need be */
} th_precision;
#define TH_MAX_PRECISION 8 /* inputs beyond this many follow the last */

typedef enum {
    TH_OP_LEAF = 1, /* no inputs, no kernel: its data comes from outside */
    TH_OP_VIEW = 2, /* output 0 is input 0's bytes with another shape */
    TH_OP_MAP = 4,  /* elementwise with broadcasting */
    TH_OP_MOVE = 8, /* moves elements without changing them: its output has the dtype of its inputs */
} th_op_flag;

struct th_op {
    const char *name;
    int outputs; /* 0 means 1 */
    unsigned flags;
    void (*adopt)(th_arena *a, void *attr); /* copies into the arena what the attributes point to; NULL: nothing */
    th_status (*infer)(th_node *n);         /* sets out[i].desc; dtype is preset to f32 */
    void (*grad)(th_vjp *v);                /* NULL: through expand */
    void (*expand)(th_graph *g, th_node *n, th_tensor **y); /* the same in simpler operations; NULL: a primitive */
    void (*reference)(const th_reference_args *a);          /* primitives that are no maps */
    double (*flops)(const th_node *n);                      /* NULL: flops_each a element of output 0 */
    double flops_each;
    th_precision in_precision[TH_MAX_PRECISION], out_precision[4];
    unsigned in_place; /* bit i: output 0 may be written over input i, if shape and dtype agree */
    th_kernel cpu;
    th_map_fn map;
    th_map_reference_fn map_reference;
};

#endif
