/* Floating-point operations and memory traffic of one node. */
#include "plan/cost.h"

double th_node_flops(const th_node *n) {
    if (n->op->flops) return n->op->flops(n);
    return n->op->flops_each * (double)th_desc_count(&n->out[0].desc);
}

double th_node_bytes(const th_node *n) {
    if (n->op->flags & (TH_OP_VIEW | TH_OP_LEAF)) return 0;
    double bytes = 0;
    for (int i = 0; i < n->n_in; i++) bytes += (double)th_desc_bytes(&n->in[i]->desc);
    for (int i = 0; i < n->n_out; i++) bytes += (double)th_desc_bytes(&n->out[i].desc);
    return bytes;
}
