/* Where every tensor lies. Tensors that share bytes (reshapes, results written over an operand) have one root; roots
 * whose lives do not meet may have the same place. */
#ifndef TH_PLAN_MEMORY_H
#define TH_PLAN_MEMORY_H

#include "graph/graph.h"

typedef struct {
    int64_t root;        /* the tensor whose place it shares; itself if it has its own */
    bool placed;         /* a root with a place in the block */
    int64_t first, last; /* of a root: nodes between which its bytes must stay */
    size_t bytes, offset;
} th_place;

typedef struct {
    th_place *places; /* by tensor id */
    size_t bytes;     /* of the block */
} th_memory;

/* fixed[id]: the bytes of this tensor (a root then) lie elsewhere: a parameter, a constant, a gradient buffer. */
th_status th_memory_plan(const th_graph *g, const bool *fixed, th_memory *out);
void th_memory_free(th_memory *m);

/* The same graph with cheap or large activations computed again, so that what lives at any time takes at most `budget`
 * bytes; sets *reached to what it came to. */
th_status th_recompute(const th_graph *from, const bool *fixed, size_t budget, th_graph **to, size_t *reached);

#endif
