/* From a recorded graph to something that runs: rewrite, place, prepare, bind. */
#include "plan/plan.h"

#include <omp.h>
#include <stdint.h>

#include "graph/leaf.h"
#include "plan/cost.h"
#include "plan/passes.h"

void th_plan_params_init(th_plan_params *p) { *p = (th_plan_params){.compute = TH_F32}; }

/* Replaces *g by pass(*g). */
static th_status apply(th_status (*pass)(const th_graph *, th_graph **), th_graph **g, const th_graph *original) {
    th_graph *next = NULL;
    const th_graph *from = *g ? *g : original;
    th_status s = pass(from, &next);
    if (s != TH_OK) return s;
    th_graph_free(*g);
    *g = next;
    return TH_OK;
}

static th_status rewrite(th_plan *p, const th_graph *recorded) {
    if (p->params.compute == TH_BF16) TH_TRY(apply(th_lower_to_bf16, &p->g, recorded));
    TH_TRY(apply(th_fuse_residuals, &p->g, recorded)); /* also drops what no output needs */
    int64_t before = p->g->n_nodes;
    if (!p->params.no_fusion) TH_TRY(apply(th_fuse_maps, &p->g, recorded));
    p->cost.fused = before - p->g->n_nodes;
    return TH_OK;
}

const th_tensor *th_root_of(const th_tensor *t) {
    while (t->node->op->flags & TH_OP_VIEW) t = t->node->in[0];
    return t;
}

/* Tensors whose bytes are not in the block: leaves but inputs, and gradients that go straight to their parameter. */
th_status th_plan_mark_fixed(th_plan *p) {
    const th_graph *g = p->g;
    th_free(p->fixed);
    th_free(p->holder);
    p->fixed = th_alloc((size_t)g->n_tensors, sizeof *p->fixed);
    p->holder = th_alloc((size_t)g->n_tensors, sizeof *p->holder);
    if (!p->fixed || !p->holder) return th_fail_memory();
    for (int64_t id = 0; id < g->n_tensors; id++) p->holder[id] = -1;
    for (int64_t k = 0; k < g->n_nodes; k++) {
        const th_node *n = g->nodes[k];
        p->fixed[n->out[0].id] = (n->op->flags & TH_OP_LEAF) && n->op != &th_op_input;
    }
    for (int64_t i = 0; i < g->n_outputs; i++) {
        const th_tensor *t = th_root_of(g->outputs[i].tensor);
        const th_param *q = g->outputs[i].param;
        bool leaf = t->node->op->flags & TH_OP_LEAF;
        /* A parameter that another plan laid in blocks gets its gradient by a copy, which lays it so; so does the
         * second of two parameters with one gradient. */
        if (!q || leaf || (q->plans > 1 && q->home.move) || p->fixed[t->id]) continue;
        p->fixed[t->id] = true;
        p->holder[t->id] = i;
    }
    return TH_OK;
}

bool th_is_step(const th_node *n) { return !(n->op->flags & (TH_OP_LEAF | TH_OP_VIEW)); }

static int64_t rows_of(const th_desc *d) {
    int64_t c = d->rank ? d->dim[d->rank - 1] : 1;
    return c ? th_desc_count(d) / c : 0;
}

static th_status prepare_steps(th_plan *p) {
    const th_graph *g = p->g;
    for (int64_t k = 0; k < g->n_nodes; k++) p->n_steps += th_is_step(g->nodes[k]);
    p->steps = th_alloc((size_t)p->n_steps, sizeof *p->steps);
    if (!p->steps) return th_fail_memory();
    int64_t made = 0;
    for (int64_t k = 0; k < g->n_nodes; k++) {
        const th_node *n = g->nodes[k];
        if (!th_is_step(n)) continue;
        th_step *s = &p->steps[made++];
        const th_kernel *kernel = &n->op->cpu;
        if (!kernel->range && !kernel->run) return th_fail(TH_E_BUG, "%s: has no kernel", n->op->name);
        s->node = n;
        s->prepared = (th_prepared){.n = n, .threads = p->threads, .weight_input = TH_WEIGHT_NONE};
        if (kernel->prepare)
            TH_TRY(th_fail_in(kernel->prepare(&s->prepared), "%s%s%s", n->scope, *n->scope ? "." : "", n->op->name));
        s->units = !kernel->range ? 1 : kernel->units ? kernel->units(n) : rows_of(&n->out[0].desc);
        s->prepared.thread_scratch = (s->prepared.thread_scratch + 63) & ~(size_t)63;
        s->flops = th_node_flops(n);
        s->bytes = th_node_bytes(n);
        /* Waking a thread costs microseconds: work below that stays on this one. */
        s->parallel = p->threads > 1 && s->units > 1 && s->flops + s->bytes > 65536;
    }
    return TH_OK;
}

/* Nodes and outputs that read the bytes of t. */
static int64_t readers_of(const th_graph *g, const th_tensor *t) {
    int64_t count = 0;
    for (int64_t k = 0; k < g->n_nodes; k++)
        for (int i = 0; i < g->nodes[k]->n_in && th_is_step(g->nodes[k]); i++)
            count += th_root_of(g->nodes[k]->in[i]) == t;
    for (int64_t i = 0; i < g->n_outputs; i++) count += th_root_of(g->outputs[i].tensor) == t;
    return count;
}

static bool has_grad(const th_plan *p, const th_param *q) {
    for (int64_t i = 0; i < p->n_params_used; i++)
        if (p->params_used[i].param == q) return p->params_used[i].grad;
    return false;
}

static const th_layout row_major;

/* Gradients that are made in blocks. One that anything else reads stays row-major, which is how everything else reads.
 */
static th_status settle_blocked_grads(th_plan *p) {
    for (int64_t i = 0; i < p->n_steps; i++) {
        th_step *s = &p->steps[i];
        const th_tensor *t = &s->node->out[0];
        int64_t holder = p->holder[t->id];
        if (s->prepared.weight_input != TH_WEIGHT_OUTPUT || holder < 0) continue;
        if (p->g->outputs[holder].tensor != t || readers_of(p->g, t) != 1) continue;
        th_param *param = p->g->outputs[holder].param;
        TH_TRY(th_param_settle(param, s->prepared.weight_layout));
        s->weight_packed = th_layout_same(&param->home, s->prepared.weight_layout);
    }
    return TH_OK;
}

/* The other gradients that lie at their parameter are row-major, and so must it be: a plan that is gone may have left
 * it in blocks. */
static th_status settle_other_grads(th_plan *p) {
    for (int64_t i = 0; i < p->g->n_outputs; i++) {
        const th_tensor *t = th_root_of(p->g->outputs[i].tensor);
        if (p->holder[t->id] == i) TH_TRY(th_param_settle(p->g->outputs[i].param, &row_major));
    }
    return TH_OK;
}

/* Frozen weights lie as their first reader in f32 wants them: then one layout is often all there is. */
static th_status settle_frozen(th_plan *p) {
    for (int64_t i = 0; i < p->n_steps; i++) {
        const th_step *s = &p->steps[i];
        if (s->prepared.weight_input < 0) continue;
        const th_node *n = th_root_of(s->node->in[s->prepared.weight_input])->node;
        if (n->op != &th_op_param || n->out[0].desc.dtype != TH_F32) continue;
        th_param *q = ((const th_param_attr *)n->attr)->param;
        if (!q->trainable && !has_grad(p, q)) TH_TRY(th_param_settle(q, s->prepared.weight_layout));
    }
    return TH_OK;
}

static th_status settle_layouts(th_plan *p) {
    TH_TRY(settle_blocked_grads(p));
    TH_TRY(settle_other_grads(p));
    TH_TRY(settle_frozen(p));
    for (int64_t i = 0; i < p->n_params_used; i++) /* now this plan knows where their bytes are */
        p->params_used[i].param->home_settled = true;
    return TH_OK;
}

/* Parameters that the graph reads, once each, and those that get gradients. */
static th_status collect_params(th_plan *p) {
    const th_graph *g = p->g;
    p->params_used = th_alloc((size_t)(g->n_nodes + g->n_outputs), sizeof *p->params_used);
    if (!p->params_used) return th_fail_memory();
    for (int64_t k = 0; k < g->n_nodes + g->n_outputs; k++) {
        bool grad = k >= g->n_nodes;
        th_param *q = grad                              ? g->outputs[k - g->n_nodes].param
                      : g->nodes[k]->op == &th_op_param ? ((const th_param_attr *)g->nodes[k]->attr)->param
                                                        : NULL;
        int64_t i = 0;
        while (i < p->n_params_used && p->params_used[i].param != q) i++;
        if (!q) continue;
        if (i == p->n_params_used) {
            p->params_used[p->n_params_used++].param = q;
            th_param_join(q);
        }
        p->params_used[i].grad |= grad;
    }
    return TH_OK;
}

static void sum_costs(th_plan *p) {
    th_plan_cost *c = &p->cost;
    for (int64_t i = 0; i < p->n_steps; i++) {
        c->recomputed_flops += p->steps[i].flops;
        c->moved_bytes += p->steps[i].bytes;
    }
    c->recomputed_flops -= c->flops;
    c->moved_bytes += p->pack_bytes;
    c->steps = p->n_steps;
    c->tensor_bytes = p->memory.bytes;
    for (int64_t i = 0; i < p->n_params_used; i++) {
        const th_param *q = p->params_used[i].param;
        size_t value = th_param_bytes(q, false);
        c->param_bytes += value;
        if (!p->params_used[i].grad) continue;
        c->grad_bytes += th_param_bytes(q, true) - value;
        c->trained_bytes += (size_t)th_param_elements(q) * p->params.trained_bytes;
    }
    c->bytes =
        c->tensor_bytes + c->scratch_bytes + c->param_bytes + c->grad_bytes + c->trained_bytes + p->params.other_bytes;
}

static double graph_flops(const th_graph *g) {
    double flops = 0;
    for (int64_t k = 0; k < g->n_nodes; k++) flops += th_node_flops(g->nodes[k]);
    return flops;
}

static th_status prepare(th_plan *p) {
    TH_TRY(prepare_steps(p));
    TH_TRY(settle_layouts(p));
    return th_plan_find_copies(p);
}

static void release_steps(th_plan *p) {
    for (int64_t i = 0; p->steps && i < p->n_steps; i++)
        if (p->steps[i].node && p->steps[i].node->op->cpu.release)
            p->steps[i].node->op->cpu.release(p->steps[i].prepared.state);
    th_free(p->steps);
    p->steps = NULL;
    p->n_steps = 0;
    th_plan_drop_copies(p);
}

/* In numbers that are enough when they are given as a budget. */
static th_status refuse(const th_plan *p, size_t needed) {
    size_t budget = p->params.memory_budget, unit = needed < (size_t)16 << 20 ? 10 : 20;
    return th_fail(TH_E_MEMORY, "at least %zu%c of memory is needed here, the budget is %zu%c", (needed >> unit) + 1,
                   unit == 10 ? 'K' : 'M', budget >> unit, unit == 10 ? 'K' : 'M');
}

/* What is there in any case is known only when the kernels are prepared, and recomputing makes other steps: so they are
 * prepared again then, which is quick the second time. */
static th_status place(th_plan *p) {
    size_t budget = p->params.memory_budget;
    TH_TRY(th_plan_mark_fixed(p));
    TH_TRY(th_memory_plan(p->g, p->fixed, &p->memory));
    TH_TRY(prepare(p));
    if (!budget) return th_plan_keep_copies(p, SIZE_MAX);
    size_t least = th_plan_least_bytes(p);
    if (least + p->memory.bytes > budget) {
        release_steps(p);
        TH_TRY(th_plan_fit(p, budget > least ? budget - least : 0));
        if (least + p->memory.bytes > budget) return refuse(p, least + p->memory.bytes);
        TH_TRY(prepare(p));
        least = th_plan_least_bytes(p);
    }
    size_t taken = least + p->memory.bytes;
    return taken > budget ? refuse(p, taken) : th_plan_keep_copies(p, budget - taken);
}

th_status th_plan_new(const th_graph *g, const th_plan_params *params, th_plan **out) {
    TH_TRY(th_graph_status(g));
    th_plan *p = th_alloc(1, sizeof *p);
    if (!p) return th_fail_memory();
    p->params = *params;
    p->threads = params->threads > 0 ? params->threads : omp_get_max_threads();
    th_status status;
    TH_GO(rewrite(p, g));
    p->cost.flops = graph_flops(p->g);
    TH_GO(collect_params(p));
    TH_GO(place(p));
    sum_costs(p);
    *out = p;
    return TH_OK;
done:
    th_plan_free(p);
    return status;
}

void th_plan_free(th_plan *p) {
    if (!p) return;
    release_steps(p);
    for (int64_t i = 0; i < p->n_params_used; i++) th_param_leave(p->params_used[i].param);
    th_free(p->params_used);
    th_free(p->copies);
    th_free_big(p->block, p->memory.bytes);
    th_free_big(p->scratch, p->cost.scratch_bytes);
    th_memory_free(&p->memory);
    th_free(p->fixed);
    th_free(p->holder);
    th_graph_free(p->g);
    th_free(p);
}

int th_plan_threads(const th_plan *p) { return p->threads; }
void th_plan_get_cost(const th_plan *p, th_plan_cost *cost) { *cost = p->cost; }
