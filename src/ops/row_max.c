/* row_max: the largest of each row. Serves to keep exponentials in range, held constant, so it has no gradient. */
#include "backend/simd.h"
#include "ops/rows.h"

static th_status infer(th_node *n) {
    n->out[0].desc = n->in[0]->desc;
    if (n->in[0]->desc.rank == 0 || th_last(&n->in[0]->desc) == 0) return th_shape_error("there is no last dimension");
    n->out[0].desc.dim[n->out[0].desc.rank - 1] = 1;
    n->out[0].desc.dtype = TH_F32;
    return TH_OK;
}

static void grad(th_vjp *v) { th_graph_fail(v->g, TH_E_BUG, "row_max has no gradient: detach it"); }

static void range(const th_kernel_args *a, int64_t begin, int64_t end, char *scratch) {
    (void)scratch;
    int64_t c = th_last(&a->n->in[0]->desc);
    float *y = a->out[0];
    for (int64_t r = begin; r < end; r++) {
        const float *x = (const float *)a->in[0] + r * c;
        float m = x[0];
        _Pragma("omp simd reduction(max : m)") for (int64_t i = 0; i < c; i++) m = x[i] > m ? x[i] : m;
        y[r] = m;
    }
}

static void reference(const th_reference_args *a) {
    int64_t c = th_last(&a->n->in[0]->desc), rows = th_rows(&a->n->in[0]->desc);
    for (int64_t r = 0; r < rows; r++) {
        const double *x = a->in[0] + r * c;
        double m = x[0];
        for (int64_t i = 1; i < c; i++) m = x[i] > m ? x[i] : m;
        a->out[0][r] = m;
    }
}

static double flops(const th_node *n) { return (double)th_desc_count(&n->in[0]->desc); }

const th_op th_op_row_max = {
    .name = "row_max",
    .infer = infer,
    .grad = grad,
    .reference = reference,
    .flops = flops,
    .cpu = {.range = range},
};

th_tensor *th_row_max(th_graph *g, th_tensor *x) { return TH_RECORD0(g, &th_op_row_max, x); }
