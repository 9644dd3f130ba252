/* The interpreter in double precision. */
#include "plan/reference.h"

#include <string.h>

#include "graph/leaf.h"
#include "graph/param.h"
#include "plan/rebuild.h"

struct th_reference {
    th_graph *g;     /* expanded */
    double **values; /* by tensor id */
};

th_status th_reference_new(const th_graph *g, th_reference **out) {
    th_reference *r = th_alloc(1, sizeof *r);
    if (!r) return th_fail_memory();
    th_status status;
    TH_GO(th_expand_graph(g, &r->g));
    r->values = th_alloc((size_t)r->g->n_tensors, sizeof *r->values);
    if (!r->values) TH_GO(th_fail_memory());
    for (int64_t k = 0; k < r->g->n_nodes; k++)
        for (int i = 0; i < r->g->nodes[k]->n_out; i++) {
            th_tensor *t = &r->g->nodes[k]->out[i];
            r->values[t->id] = th_alloc((size_t)th_desc_count(&t->desc), sizeof(double));
            if (!r->values[t->id]) TH_GO(th_fail_memory());
        }
    *out = r;
    return TH_OK;
done:
    th_reference_free(r);
    return status;
}

void th_reference_free(th_reference *r) {
    if (!r) return;
    for (int64_t i = 0; r->g && r->values && i < r->g->n_tensors; i++) th_free(r->values[i]);
    th_free(r->values);
    th_graph_free(r->g);
    th_free(r);
}

double *th_reference_values(th_reference *r, const char *name) {
    for (int64_t k = 0; k < r->g->n_nodes; k++) {
        const th_node *n = r->g->nodes[k];
        const char *own = n->op == &th_op_input   ? ((const th_input_attr *)n->attr)->name
                          : n->op == &th_op_param ? ((const th_param_attr *)n->attr)->param->name
                                                  : NULL;
        if (own && !strcmp(own, name)) return r->values[n->out[0].id];
    }
    return NULL;
}

double *th_reference_output(th_reference *r, const char *name) {
    for (int64_t i = 0; i < r->g->n_outputs; i++)
        if (!strcmp(r->g->outputs[i].name, name)) return r->values[r->g->outputs[i].tensor->id];
    return NULL;
}

/* Element e of the output's order, in an input that broadcasts to it. */
static int64_t broadcast_index(const th_desc *in, const th_desc *out, int64_t e) {
    int64_t at = 0, stride = 1;
    for (int i = 1; i <= out->rank; i++) {
        int64_t n = out->dim[out->rank - i], own = i <= in->rank ? in->dim[in->rank - i] : 1;
        if (own != 1) at += e % n * stride;
        e /= n;
        stride *= own;
    }
    return at;
}

static void run_map(th_reference *r, const th_node *n) {
    const th_desc *out = &n->out[0].desc;
    int64_t count = th_desc_count(out);
    for (int64_t e = 0; e < count; e++) {
        double x[8];
        for (int i = 0; i < n->n_in; i++) x[i] = r->values[n->in[i]->id][broadcast_index(&n->in[i]->desc, out, e)];
        r->values[n->out[0].id][e] = n->op->map_reference(x, n->attr);
    }
}

void th_reference_run(th_reference *r) {
    for (int64_t k = 0; k < r->g->n_nodes; k++) {
        const th_node *n = r->g->nodes[k];
        const double *in[64];
        double *out[4];
        for (int i = 0; i < n->n_in && i < 64; i++) in[i] = r->values[n->in[i]->id];
        for (int i = 0; i < n->n_out; i++) out[i] = r->values[n->out[i].id];
        if (n->op->map_reference)
            run_map(r, n);
        else if (n->op->reference)
            n->op->reference(&(th_reference_args){n, in, out});
    }
}
