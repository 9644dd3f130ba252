/* Rows of unit length: x / √(Σ x²), written with simpler operations. */
#include "ops/op.h"

th_tensor *th_l2_normalize(th_graph *g, th_tensor *x) {
    if (th_graph_failed(g)) return x;
    if (x->desc.rank < 1) return th_graph_fail(g, TH_E_SHAPE, "l2_normalize of a scalar");
    return th_div(g, x, th_sqrt(g, th_sum(g, th_square(g, x), 1u << (x->desc.rank - 1))));
}
