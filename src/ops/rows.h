/* The names of all rows. Only the table, the rewriter, and operations whose gradients are operations use them. */
#ifndef TH_OPS_ROWS_H
#define TH_OPS_ROWS_H

#include "ops/op.h"

extern const th_op th_op_add, th_op_affine, th_op_attention, th_op_attention_bwd, th_op_broadcast, th_op_cast,
    th_op_concat, th_op_conv2d, th_op_conv2d_bwd_data, th_op_conv2d_bwd_weights, th_op_detach, th_op_div, th_op_erf,
    th_op_exp, th_op_fused, th_op_gelu, th_op_gelu_bwd, th_op_geglu, th_op_geglu_bwd, th_op_group_norm,
    th_op_group_norm_bwd, th_op_layer_norm, th_op_layer_norm_bwd, th_op_log, th_op_matmul, th_op_max_pool2d,
    th_op_max_pool2d_bwd, th_op_max_pool2d_pick, th_op_mul, th_op_one_hot, th_op_pad, th_op_permute, th_op_quick_gelu,
    th_op_quick_gelu_bwd, th_op_relu, th_op_reshape, th_op_row_max, th_op_scatter_rows, th_op_sigmoid, th_op_silu,
    th_op_silu_bwd, th_op_slice, th_op_softmax, th_op_softmax_cross_entropy, th_op_softmax_cross_entropy_bwd,
    th_op_sqrt, th_op_square, th_op_step, th_op_sub, th_op_sum, th_op_take_rows, th_op_tanh, th_op_upsample2d,
    th_op_upsample2d_bwd;

/* For the rewriter: the product of node n, on the inputs `in`, with a residual added; NULL if it has one already. */
th_tensor *th_matmul_add_residual(th_graph *g, const th_node *n, th_tensor *const *in, th_tensor *residual);

/* Of take_rows and scatter_rows: id i is row i − first. Ids outside of the table mean row 0, or no row at all. */
typedef struct {
    int64_t rows, first; /* rows: of what scatter_rows makes */
    bool outside_is_none;
} th_rows_attr;
/* The row, or −1 for none. */
static inline int64_t th_row_of(const th_rows_attr *a, int64_t id, int64_t rows) {
    int64_t r = id - a->first;
    return r >= 0 && r < rows ? r : a->outside_is_none ? -1 : 0;
}
th_tensor *th_take_rows_by(th_graph *g, th_tensor *table, th_tensor *ids, const th_rows_attr *a);
th_tensor *th_scatter_rows_by(th_graph *g, th_tensor *x, th_tensor *ids, const th_rows_attr *a);

#endif
