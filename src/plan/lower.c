/* Lowering to bf16. A tensor is stored as bf16 when its operation can write that, no reader needs f32, and some reader
 * asks for it. Readers come after their operands, so one sweep from the end decides all. Where an operand must be bf16
 * and is not (it is a sum, a parameter, an input), a cast is recorded once and shared; of a parameter, its packed copy
 * is used. */
#include "graph/leaf.h"
#include "graph/param.h"
#include "ops/rows.h"
#include "plan/passes.h"
#include "plan/rebuild.h"

typedef struct {
    bool *low;         /* by old tensor id */
    th_tensor **casts; /* by old tensor id: its bf16 copy in the new graph */
} lowering;

static th_precision wish(const th_node *n, int input) {
    if (n->precise) return TH_KEEP_F32;
    return n->op->in_precision[input < TH_MAX_PRECISION ? input : TH_MAX_PRECISION - 1];
}

static bool moves(const th_node *n) { return n->op->flags & (TH_OP_VIEW | TH_OP_MOVE); }

/* low[] of every tensor. `asked` counts readers that want bf16, `barred` those that need f32. */
static th_status decide(const th_graph *g, bool *low) {
    bool *asked = th_alloc((size_t)g->n_tensors, sizeof *asked),
         *barred = th_alloc((size_t)g->n_tensors, sizeof *barred);
    th_status status = asked && barred ? TH_OK : th_fail_memory();
    for (int64_t i = 0; i < g->n_outputs && status == TH_OK; i++) barred[g->outputs[i].tensor->id] = true;
    for (int64_t k = g->n_nodes - 1; k >= 0 && status == TH_OK; k--) {
        const th_node *n = g->nodes[k];
        for (int i = 0; i < n->n_out; i++) {
            const th_tensor *t = &n->out[i];
            bool able = !(n->op->flags & TH_OP_LEAF) && !n->precise && n->op->out_precision[i] != TH_KEEP_F32;
            low[t->id] = able && t->desc.dtype == TH_F32 && asked[t->id] && !barred[t->id];
        }
        for (int i = 0; i < n->n_in; i++) {
            int64_t id = n->in[i]->id;
            th_precision w = wish(n, i);
            if (moves(n)) w = low[n->out[0].id] ? TH_LOW : TH_KEEP_F32;
            asked[id] |= w >= TH_LOW;
            barred[id] |= w == TH_KEEP_F32;
        }
    }
    th_free(asked);
    th_free(barred);
    return status;
}

static th_tensor *lowered(th_rebuild *r, th_tensor *old) {
    lowering *l = r->rule;
    th_tensor *t = r->map[old->id], **copy = &l->casts[old->id];
    if (l->low[old->id] || old->desc.dtype != TH_F32) return t;
    if (*copy) return *copy;
    if (t->node && t->node->op == &th_op_param) {
        *copy = th_use_as(r->to, ((const th_param_attr *)t->node->attr)->param, TH_BF16);
    } else {
        *copy = TH_RECORD0(r->to, &th_op_cast, t);
        if (!th_graph_failed(r->to)) (*copy)->desc.dtype = TH_BF16;
    }
    return *copy;
}

static void rule(th_rebuild *r, th_node *n) {
    lowering *l = r->rule;
    th_tensor **in = th_arena_alloc(r->to->arena, (size_t)n->n_in + 1, sizeof *in);
    if (!in) {
        th_graph_fail(r->to, TH_E_MEMORY, "out of memory");
        return;
    }
    for (int i = 0; i < n->n_in; i++) {
        bool must = wish(n, i) == TH_MUST_LOW || (moves(n) && l->low[n->out[0].id]);
        in[i] = must ? lowered(r, n->in[i]) : r->map[n->in[i]->id];
    }
    th_tensor *y = th_rebuild_record(r, n, in);
    for (int i = 0; i < n->n_out; i++) {
        th_tensor *t = th_output_of(y, i);
        if (!th_graph_failed(r->to) && l->low[n->out[i].id]) t->desc.dtype = TH_BF16;
        r->map[n->out[i].id] = t;
    }
}

th_status th_lower_to_bf16(const th_graph *from, th_graph **to) {
    lowering l = {.low = th_alloc((size_t)from->n_tensors, sizeof(bool)),
                  .casts = th_alloc((size_t)from->n_tensors, sizeof(th_tensor *))};
    th_status s = l.low && l.casts ? decide(from, l.low) : th_fail_memory();
    if (s == TH_OK) s = th_rebuild_graph(from, rule, &l, to);
    th_free(l.low);
    th_free(l.casts);
    return s;
}
