/* Inputs, parameters and constants. */
#include "graph/leaf.h"

#include <string.h>

#include "graph/param.h"

static th_status infer_desc(th_node *n) {
    n->out[0].desc = *(const th_desc *)n->attr; /* every leaf's attributes begin with its desc */
    return TH_OK;
}

static void adopt_input(th_arena *arena, void *attr) {
    th_input_attr *a = attr;
    a->name = th_arena_strdup(arena, a->name);
}

static void adopt_constant(th_arena *arena, void *attr) {
    th_constant_attr *a = attr;
    a->values = th_arena_copy(arena, a->values, th_desc_bytes(&a->desc));
}

static void no_grad(th_vjp *v) { (void)v; }

static void constant_reference(const th_reference_args *a) {
    const th_constant_attr *c = a->n->attr;
    int64_t count = th_desc_count(&c->desc);
    const float *f = c->values;
    const int32_t *i32 = c->values;
    for (int64_t i = 0; i < count; i++) a->out[0][i] = c->desc.dtype == TH_I32 ? i32[i] : (double)f[i];
}

const th_op th_op_input = {
    .name = "input", .flags = TH_OP_LEAF, .adopt = adopt_input, .infer = infer_desc, .grad = no_grad};
const th_op th_op_param = {.name = "param", .flags = TH_OP_LEAF, .infer = infer_desc, .grad = no_grad};
const th_op th_op_constant = {.name = "constant",
                              .flags = TH_OP_LEAF,
                              .adopt = adopt_constant,
                              .infer = infer_desc,
                              .grad = no_grad,
                              .reference = constant_reference};

th_tensor *th_input(th_graph *g, const char *name, th_desc d) {
    th_input_attr a = {d, name};
    for (int64_t i = 0; i < g->n_nodes; i++)
        if (g->nodes[i]->op == &th_op_input && !strcmp(((const th_input_attr *)g->nodes[i]->attr)->name, name))
            return th_graph_fail(g, TH_E_BUG, "two inputs named '%s'", name);
    return th_record(g, &th_op_input, &a, sizeof a, 0, NULL);
}

th_tensor *th_use(th_graph *g, th_param *p) {
    if (!p) return th_graph_fail(g, TH_E_BUG, "a parameter that does not exist is used");
    for (int64_t i = 0; i < g->n_nodes; i++) /* one leaf a parameter, so that its gradient is one tensor */
        if (g->nodes[i]->op == &th_op_param && ((const th_param_attr *)g->nodes[i]->attr)->param == p)
            return &g->nodes[i]->out[0];
    th_param_attr a = {p->desc, p};
    return th_record(g, &th_op_param, &a, sizeof a, 0, NULL);
}

th_tensor *th_use_as(th_graph *g, th_param *p, th_dtype dtype) {
    th_param_attr a = {p->desc, p};
    a.desc.dtype = dtype;
    return th_record(g, &th_op_param, &a, sizeof a, 0, NULL);
}

th_tensor *th_constant(th_graph *g, th_desc d, const void *values) {
    th_constant_attr a = {d, values};
    return th_record(g, &th_op_constant, &a, sizeof a, 0, NULL);
}
