/* Chains of elementwise operations become one node that goes through memory once. A map whose only reader is a map of
 * the same shape waits for it; the reader then takes in as many of those that wait as fit. */
#include "ops/fused.h"
#include "ops/map.h"
#include "ops/rows.h"
#include "plan/passes.h"
#include "plan/rebuild.h"

static bool fusible(const th_node *n) { return n->op->map && n->op != &th_op_broadcast && n->n_in <= 3; }

static bool waits(const th_rebuild *r, const th_node *n) {
    const th_tensor *t = &n->out[0];
    if (!fusible(n) || r->uses[t->id] != 1 || !r->user[t->id]) return false;
    const th_node *user = r->user[t->id];
    return fusible(user) && th_desc_same_shape(&user->out[0].desc, &t->desc);
}

typedef struct {
    th_fused_attr f;
    th_tensor *in[TH_FUSED_MAX_INPUTS];
} chain;

static void emit(th_rebuild *r, th_node *root);

static int input_of(chain *c, th_tensor *t) {
    for (int i = 0; i < c->f.n_in; i++)
        if (c->in[i] == t) return i;
    if (c->f.n_in == TH_FUSED_MAX_INPUTS) return -1;
    c->in[c->f.n_in] = t;
    return c->f.n_in++;
}

/* Appends n and what waits for it. Step results are numbered from TH_FUSED_MAX_INPUTS while the inputs are not all
 * known. False, with the chain as it was, when it does not fit. */
static bool append(th_rebuild *r, chain *c, th_node *n, int *value) {
    chain before = *c;
    th_fused_step step = {.op = n->op, .attr = n->attr, .attr_bytes = n->attr_bytes, .n_in = n->n_in};
    for (int i = 0; i < n->n_in; i++) {
        th_tensor *old = n->in[i];
        bool waiting = !r->map[old->id];
        /* Room must stay for n itself. */
        if (waiting && c->f.n_steps + 2 <= TH_FUSED_MAX_STEPS && append(r, c, old->node, &step.in[i])) continue;
        if (waiting) emit(r, old->node);
        if (th_graph_failed(r->to)) return false;
        step.in[i] = input_of(c, r->map[old->id]);
        if (step.in[i] < 0) return *c = before, false;
    }
    if (c->f.n_steps == TH_FUSED_MAX_STEPS) return *c = before, false;
    *value = TH_FUSED_MAX_INPUTS + c->f.n_steps;
    c->f.step[c->f.n_steps++] = step;
    return true;
}

static void emit(th_rebuild *r, th_node *root) {
    chain c = {0};
    int value;
    if (!append(r, &c, root, &value) || c.f.n_steps == 1) {
        for (int i = 0; i < root->n_in; i++)
            if (!r->map[root->in[i]->id]) emit(r, root->in[i]->node);
        if (!th_graph_failed(r->to)) th_rebuild_copy(r, root);
        return;
    }
    for (int s = 0; s < c.f.n_steps; s++) {
        th_fused_step *step = &c.f.step[s];
        for (int i = 0; i < step->n_in; i++)
            if (step->in[i] >= TH_FUSED_MAX_INPUTS) step->in[i] += c.f.n_in - TH_FUSED_MAX_INPUTS;
    }
    r->to->scope = root->scope;
    th_tensor *y = th_record(r->to, &th_op_fused, &c.f, sizeof c.f, c.f.n_in, c.in);
    r->to->scope = "";
    if (!th_graph_failed(r->to)) y->desc.dtype = root->out[0].desc.dtype;
    r->map[root->out[0].id] = y;
}

static void rule(th_rebuild *r, th_node *n) {
    if (waits(r, n)) return;
    if (fusible(n))
        emit(r, n);
    else
        th_rebuild_copy(r, n);
}

th_status th_fuse_maps(const th_graph *from, th_graph **to) { return th_rebuild_graph(from, rule, NULL, to); }
