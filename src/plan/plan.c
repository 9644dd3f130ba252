/* From a recorded graph to something that runs: rewrite, place, prepare, bind. */
#include "plan/plan.h"

#include <omp.h>
#include <string.h>

#include "base/number.h"
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

static const th_tensor *root_of(const th_tensor *t) {
    while (t->node->op->flags & TH_OP_VIEW) t = t->node->in[0];
    return t;
}

/* Tensors whose bytes are not in the block: leaves but inputs, and gradients that go straight to their parameter. */
static th_status mark_fixed(th_plan *p) {
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
        const th_tensor *t = root_of(g->outputs[i].tensor);
        bool leaf = t->node->op->flags & TH_OP_LEAF;
        /* A parameter that another plan laid in blocks gets its gradient by a copy, which lays it so; so does the
         * second of two parameters with one gradient. */
        if (!g->outputs[i].param || leaf || g->outputs[i].param->home.move || p->fixed[t->id]) continue;
        p->fixed[t->id] = true;
        p->holder[t->id] = i;
    }
    return TH_OK;
}

/* p->g from `whole`, with activations made again so that `target` bytes are alive at most; *reached is what came of it.
 * One search makes a node again at most once, so where that is not enough its result is searched again. */
static th_status recompute(th_plan *p, const th_graph *whole, const bool *fixed, size_t target, size_t *reached) {
    TH_TRY(th_recompute(whole, fixed, target, &p->g, reached));
    TH_TRY(mark_fixed(p));
    while (*reached > target) {
        th_graph *next = NULL;
        size_t before = *reached;
        TH_TRY(th_recompute(p->g, p->fixed, target, &next, reached));
        th_graph_free(p->g);
        p->g = next;
        TH_TRY(mark_fixed(p));
        if (*reached > before - before / 32) break;
    }
    return TH_OK;
}

/* The graph again, with activations recomputed so that its tensors fit. Places never fit as tightly as the sum of what
 * lives, so a few rounds aim lower. */
static th_status fit(th_plan *p, size_t budget) {
    th_graph *whole = p->g;
    bool *fixed = p->fixed;
    size_t least = p->memory.bytes, target = budget;
    th_status s = TH_OK;
    p->g = NULL, p->fixed = NULL;
    for (int round = 0; round < 8 && s == TH_OK; round++) {
        size_t reached = 0;
        th_graph_free(p->g);
        th_memory_free(&p->memory);
        p->g = NULL;
        s = recompute(p, whole, fixed, target, &reached);
        if (s == TH_OK) s = th_memory_plan(p->g, p->fixed, &p->memory);
        if (s == TH_OK && p->memory.bytes < least) least = p->memory.bytes;
        if (s != TH_OK || p->memory.bytes <= budget || reached > target) break;
        size_t over = p->memory.bytes - budget;
        if (over >= target) break;
        target = target - over < reached ? target - over : reached - 1;
    }
    th_graph_free(whole);
    th_free(fixed);
    if (s != TH_OK || p->memory.bytes <= budget) return s;
    char needed[TH_NUMBER_TEXT], given[TH_NUMBER_TEXT];
    th_human_bytes(needed, (double)least);
    th_human_bytes(given, (double)budget);
    return th_fail(TH_E_MEMORY, "activations need at least %s here, the budget leaves them %s", needed, given);
}

static th_status place(th_plan *p) {
    TH_TRY(mark_fixed(p));
    TH_TRY(th_memory_plan(p->g, p->fixed, &p->memory));
    size_t budget = p->params.memory_budget;
    return !budget || p->memory.bytes <= budget ? TH_OK : fit(p, budget);
}

static bool is_step(const th_node *n) { return !(n->op->flags & (TH_OP_LEAF | TH_OP_VIEW)); }

static int64_t rows_of(const th_desc *d) {
    int64_t c = d->rank ? d->dim[d->rank - 1] : 1;
    return c ? th_desc_count(d) / c : 0;
}

static th_status prepare_steps(th_plan *p) {
    const th_graph *g = p->g;
    for (int64_t k = 0; k < g->n_nodes; k++) p->n_steps += is_step(g->nodes[k]);
    p->steps = th_alloc((size_t)p->n_steps, sizeof *p->steps);
    if (!p->steps) return th_fail_memory();
    int64_t made = 0;
    for (int64_t k = 0; k < g->n_nodes; k++) {
        const th_node *n = g->nodes[k];
        if (!is_step(n)) continue;
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
        for (int i = 0; i < g->nodes[k]->n_in && is_step(g->nodes[k]); i++) count += root_of(g->nodes[k]->in[i]) == t;
    for (int64_t i = 0; i < g->n_outputs; i++) count += root_of(g->outputs[i].tensor) == t;
    return count;
}

/* Blocked weights: first whose gradients are made in blocks settle, then readers ask for copies. A gradient that
 * anything else reads stays row-major, which is how everything else reads. */
static th_status settle_layouts(th_plan *p) {
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

static const th_layout row_major;

static th_status bind_param(th_step *s, int input, const th_param_attr *a) {
    bool weight = s->prepared.weight_input == input;
    s->in[input].param = a->param;
    TH_TRY(th_param_pack(a->param, a->desc.dtype, weight ? s->prepared.weight_layout : &row_major, &s->in[input].pack));
    s->weight_packed |= weight;
    return TH_OK;
}

/* Outputs that are parameters themselves are read row-major. */
static th_status bind_outputs(th_plan *p) {
    p->output_packs = th_arena_alloc(p->g->arena, (size_t)p->g->n_outputs, sizeof *p->output_packs);
    if (!p->output_packs) return th_fail_memory();
    for (int64_t i = 0; i < p->g->n_outputs; i++) {
        const th_node *n = root_of(p->g->outputs[i].tensor)->node;
        if (n->op == &th_op_param)
            TH_TRY(th_param_pack(((const th_param_attr *)n->attr)->param, TH_F32, &row_major, &p->output_packs[i]));
    }
    return TH_OK;
}

static th_status bind(th_plan *p) {
    for (int64_t i = 0; i < p->n_steps; i++) {
        th_step *s = &p->steps[i];
        s->in = th_arena_alloc(p->g->arena, (size_t)s->node->n_in + 1, sizeof *s->in);
        s->in_data = th_arena_alloc(p->g->arena, (size_t)s->node->n_in + 1, sizeof *s->in_data);
        if (!s->in || !s->in_data) return th_fail_memory();
        for (int k = 0; k < s->node->n_in; k++) {
            const th_tensor *t = root_of(s->node->in[k]);
            if (t->node->op == &th_op_param)
                TH_TRY(bind_param(s, k, t->node->attr));
            else
                s->in[k].tensor = t;
        }
        size_t moved = s->weight_packed ? 0 : s->prepared.weight_scratch;
        s->shared_scratch = (s->prepared.scratch + moved + 63) & ~(size_t)63;
        size_t scratch = s->shared_scratch + s->prepared.thread_scratch * (size_t)p->threads;
        if (scratch > p->cost.scratch_bytes) p->cost.scratch_bytes = scratch;
    }
    return TH_OK;
}

/* Parameters that the graph reads, once each, and those that get gradients. */
static th_status collect_params(th_plan *p) {
    const th_graph *g = p->g;
    p->params_used = th_arena_alloc(g->arena, (size_t)(g->n_nodes + g->n_outputs), sizeof *p->params_used);
    if (!p->params_used) return th_fail_memory();
    for (int64_t k = 0; k < g->n_nodes + g->n_outputs; k++) {
        bool grad = k >= g->n_nodes;
        th_param *q = grad                              ? g->outputs[k - g->n_nodes].param
                      : g->nodes[k]->op == &th_op_param ? ((const th_param_attr *)g->nodes[k]->attr)->param
                                                        : NULL;
        int64_t i = 0;
        while (i < p->n_params_used && p->params_used[i].param != q) i++;
        if (!q) continue;
        if (i == p->n_params_used) p->params_used[p->n_params_used++].param = q;
        p->params_used[i].grad |= grad;
        q->home_settled = true; /* this plan knows where its bytes are */
    }
    return TH_OK;
}

static void sum_costs(th_plan *p) {
    for (int64_t i = 0; i < p->n_steps; i++) {
        p->cost.recomputed_flops += p->steps[i].flops;
        p->cost.moved_bytes += p->steps[i].bytes;
    }
    p->cost.recomputed_flops -= p->cost.flops;
    p->cost.steps = p->n_steps;
    p->cost.tensor_bytes = p->memory.bytes;
    for (int64_t i = 0; i < p->n_params_used; i++) {
        size_t value = th_param_bytes(p->params_used[i].param, false);
        p->cost.param_bytes += value;
        if (p->params_used[i].grad) p->cost.grad_bytes += th_param_bytes(p->params_used[i].param, true) - value;
    }
}

static double graph_flops(const th_graph *g) {
    double flops = 0;
    for (int64_t k = 0; k < g->n_nodes; k++) flops += th_node_flops(g->nodes[k]);
    return flops;
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
    TH_GO(place(p));
    TH_GO(prepare_steps(p));
    TH_GO(settle_layouts(p));
    TH_GO(bind(p));
    TH_GO(bind_outputs(p));
    TH_GO(collect_params(p));
    sum_costs(p);
    *out = p;
    return TH_OK;
done:
    th_plan_free(p);
    return status;
}

void th_plan_free(th_plan *p) {
    if (!p) return;
    for (int64_t i = 0; p->steps && i < p->n_steps; i++)
        if (p->steps[i].node && p->steps[i].node->op->cpu.release)
            p->steps[i].node->op->cpu.release(p->steps[i].prepared.state);
    th_free(p->steps);
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
