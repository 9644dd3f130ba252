/* The three leaves of a graph, and what their nodes carry. */
#ifndef TH_GRAPH_LEAF_H
#define TH_GRAPH_LEAF_H

#include "graph/graph.h"

extern const th_op th_op_input, th_op_param, th_op_constant;

typedef struct {
    th_desc desc;
    const char *name;
} th_input_attr;

typedef struct {
    th_desc desc;
    th_param *param;
} th_param_attr;

typedef struct {
    th_desc desc;
    const void *values;
} th_constant_attr;

#endif
