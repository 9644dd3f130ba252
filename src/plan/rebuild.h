/* Rewriting a graph: a new one is recorded from the old, node by node, and a rule may put something else in a node's
 * place. */
#ifndef TH_PLAN_REBUILD_H
#define TH_PLAN_REBUILD_H

#include "graph/graph.h"

typedef struct th_rebuild {
    const th_graph *from;
    th_graph *to;
    th_tensor **map;   /* of each old tensor, its new one; NULL: not there yet */
    int *uses;         /* of each old tensor: by needed nodes and by outputs */
    th_node **user;    /* of each old tensor with one use by a node: that node */
    bool *needed;      /* of each old node: some output depends on it */
    int64_t *position; /* of each old tensor: its node's place in `from` */
    void *rule;        /* the rule's own */
} th_rebuild;

/* Called for each needed node in order. A rule either sets r->map for all of n's outputs, or leaves them for later
 * (whoever uses them then sees to it), or calls th_rebuild_copy. */
typedef void (*th_rebuild_rule)(th_rebuild *r, th_node *n);

/* A new graph by this rule; nodes that no output depends on are left out. The old graph is not changed. */
th_status th_rebuild_graph(const th_graph *from, th_rebuild_rule rule, void *rule_data, th_graph **to);

/* Records n in the new graph on the new inputs, or finds an equal node there; sets r->map. */
void th_rebuild_copy(th_rebuild *r, th_node *n);
th_tensor *th_rebuild_record(th_rebuild *r, const th_node *like, th_tensor *const *in);

/* Every operation that has an expansion and no reference kernel replaced, until none is left. */
th_status th_expand_graph(const th_graph *from, th_graph **to);

#endif
