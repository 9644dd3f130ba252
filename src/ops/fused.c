/* fused: a chain of elementwise operations on one tile after the other. */
#include "ops/fused.h"

#include "ops/map.h"

int th_fused_steps(const th_node *n) { return n->op == &th_op_fused ? ((const th_fused_attr *)n->attr)->n_steps : 0; }

void th_fused_run(const th_node *n, float *y, const float **x, int64_t count, float *tiles) {
    const th_fused_attr *f = n->attr;
    for (int s = 0; s < f->n_steps; s++) {
        const th_fused_step *step = &f->step[s];
        const float *in[3];
        for (int i = 0; i < step->n_in; i++) in[i] = x[step->in[i]];
        /* The output may lie over an input that a later step still reads, so only the last step writes there. */
        float *to = s == f->n_steps - 1 ? y : tiles + s * TH_MAP_TILE;
        step->op->map(to, in, count, step->attr);
        x[f->n_in + s] = to;
    }
}

static void adopt(th_arena *a, void *attr) {
    th_fused_attr *f = attr;
    for (int s = 0; s < f->n_steps; s++)
        if (f->step[s].attr) f->step[s].attr = th_arena_copy(a, f->step[s].attr, f->step[s].attr_bytes);
}

/* The chain as it was before it was fused. */
static void expand(th_graph *g, th_node *n, th_tensor **y) {
    const th_fused_attr *f = n->attr;
    th_tensor *value[TH_FUSED_MAX_VALUES];
    for (int i = 0; i < f->n_in; i++) value[i] = n->in[i];
    for (int s = 0; s < f->n_steps; s++) {
        const th_fused_step *step = &f->step[s];
        th_tensor *in[3];
        for (int i = 0; i < step->n_in; i++) in[i] = value[step->in[i]];
        value[f->n_in + s] = th_record(g, step->op, step->attr, step->attr_bytes, step->n_in, in);
    }
    y[0] = value[f->n_in + f->n_steps - 1];
}

static double flops(const th_node *n) {
    const th_fused_attr *f = n->attr;
    double each = 0;
    for (int s = 0; s < f->n_steps; s++) each += f->step[s].op->flops_each;
    return each * (double)th_desc_count(&n->out[0].desc);
}

const th_op th_op_fused = {
    .name = "fused", TH_MAP_ROW(TH_EITHER, TH_EITHER), .adopt = adopt, .expand = expand, .flops = flops};
