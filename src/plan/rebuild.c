/* Rewriting by recording anew. */
#include "plan/rebuild.h"

#include <string.h>

static void rebuild_free(th_rebuild *r) {
    th_free(r->map);
    th_free(r->uses);
    th_free(r->user);
    th_free(r->needed);
    th_free(r->position);
}

static th_status analyse(th_rebuild *r, const th_graph *g) {
    size_t n = (size_t)g->n_tensors;
    r->map = th_alloc(n, sizeof *r->map);
    r->uses = th_alloc(n, sizeof *r->uses);
    r->user = th_alloc(n, sizeof *r->user);
    r->position = th_alloc(n, sizeof *r->position);
    r->needed = th_alloc((size_t)g->n_nodes, sizeof *r->needed);
    if (!r->map || !r->uses || !r->user || !r->position || !r->needed) return th_fail_memory();
    for (int64_t i = 0; i < g->n_outputs; i++) r->uses[g->outputs[i].tensor->id]++;
    for (int64_t k = g->n_nodes - 1; k >= 0; k--) {
        th_node *node = g->nodes[k];
        for (int i = 0; i < node->n_out; i++) {
            r->position[node->out[i].id] = k;
            r->needed[k] |= r->uses[node->out[i].id] > 0;
        }
        for (int i = 0; i < node->n_in && r->needed[k]; i++) {
            r->uses[node->in[i]->id]++;
            r->user[node->in[i]->id] = node;
        }
    }
    return TH_OK;
}

th_tensor *th_rebuild_record(th_rebuild *r, const th_node *like, th_tensor *const *in) {
    const char *scope = r->to->scope;
    r->to->scope = like->scope, r->to->precise = like->precise;
    th_tensor *y = th_record(r->to, like->op, like->attr, like->attr_bytes, like->n_in, in);
    r->to->scope = scope, r->to->precise = false;
    if (!th_graph_failed(r->to))
        for (int i = 0; i < like->n_out; i++) y->node->out[i].desc.dtype = like->out[i].desc.dtype;
    return y;
}

void th_rebuild_copy(th_rebuild *r, th_node *n) {
    th_tensor **in = th_arena_alloc(r->to->arena, (size_t)n->n_in + 1, sizeof *in);
    if (!in) {
        th_graph_fail(r->to, TH_E_MEMORY, "out of memory");
        return;
    }
    for (int i = 0; i < n->n_in; i++) in[i] = r->map[n->in[i]->id];
    th_tensor *y = th_rebuild_record(r, n, in);
    for (int i = 0; i < n->n_out; i++) r->map[n->out[i].id] = th_output_of(y, i);
}

th_status th_rebuild_graph(const th_graph *from, th_rebuild_rule rule, void *rule_data, th_graph **to) {
    TH_TRY(th_graph_status(from));
    th_rebuild r = {.from = from, .rule = rule_data, .to = th_graph_new()};
    if (!r.to) return th_fail_memory();
    th_status status;
    TH_GO(analyse(&r, from));
    for (int64_t k = 0; k < from->n_nodes && !th_graph_failed(r.to); k++)
        if (r.needed[k]) rule(&r, from->nodes[k]);
    for (int64_t i = 0; i < from->n_outputs && !th_graph_failed(r.to); i++) {
        const th_graph_output *o = &from->outputs[i];
        if (o->param)
            th_output_grad(r.to, o->param, r.map[o->tensor->id]);
        else
            th_output(r.to, o->name, r.map[o->tensor->id]);
    }
    status = th_graph_status(r.to);
done:
    rebuild_free(&r);
    if (status != TH_OK) return th_graph_free(r.to), status;
    *to = r.to;
    return TH_OK;
}

static void expand_rule(th_rebuild *r, th_node *n) {
    if (n->op->map_reference || n->op->reference || !n->op->expand) {
        th_rebuild_copy(r, n);
        return;
    }
    th_rebuild_copy(r, n); /* the node on the new inputs, which the expansion reads and no one else will */
    if (th_graph_failed(r->to)) return;
    th_tensor *y[4] = {0};
    th_node *copy = r->map[n->out[0].id]->node;
    copy->op->expand(r->to, copy, y);
    for (int i = 0; i < n->n_out && !th_graph_failed(r->to); i++) r->map[n->out[i].id] = y[i];
}

static bool is_expanded(const th_graph *g) {
    for (int64_t k = 0; k < g->n_nodes; k++) {
        const th_op *op = g->nodes[k]->op;
        if (!op->map_reference && !op->reference && op->expand) return false;
    }
    return true;
}

th_status th_expand_graph(const th_graph *from, th_graph **to) {
    th_graph *g = NULL;
    TH_TRY(th_rebuild_graph(from, expand_rule, NULL, &g));
    for (int rounds = 0; rounds < 16 && !is_expanded(g); rounds++) {
        th_graph *next = NULL;
        th_status s = th_rebuild_graph(g, expand_rule, NULL, &next);
        th_graph_free(g);
        if (s != TH_OK) return s;
        g = next;
    }
    *to = g;
    return TH_OK;
}
