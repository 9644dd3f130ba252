/* The rewrites between a recorded graph and a plan, in the order they are applied. Each makes a new graph. */
#ifndef TH_PLAN_PASSES_H
#define TH_PLAN_PASSES_H

#include "graph/graph.h"

/* Decides what is stored as bf16 and puts casts where an operand must be and is not: see th_precision. */
th_status th_lower_to_bf16(const th_graph *from, th_graph **to);
/* Sums of a product, or of layer_norm's gradient, with another tensor become part of the product. */
th_status th_fuse_residuals(const th_graph *from, th_graph **to);
/* Chains of elementwise operations become one. */
th_status th_fuse_maps(const th_graph *from, th_graph **to);

#endif
