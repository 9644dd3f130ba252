/* What a node costs, from its row. */
#ifndef TH_PLAN_COST_H
#define TH_PLAN_COST_H

#include "graph/graph.h"

double th_node_flops(const th_node *n);
/* Read and written once each. */
double th_node_bytes(const th_node *n);

#endif
