/* Copies of parameters: which layouts and types the steps want, and which of these are kept.
 *
 * A copy that is kept costs its bytes, and one pass at each update of the values; one that is made on use costs a pass
 * at every step that reads it. So a copy is kept where that spares passes, the most spared bytes for a byte of memory
 * first. Of a parameter that is trained, a blocked copy that one step reads spares nothing, while the bf16 copy that
 * lies as the values do is written by the optimizer on the way. The values are the same either way, bit for bit. */
#include <stdlib.h>

#include "graph/leaf.h"
#include "plan/plan.h"

#define ALIGN 64

static const th_layout row_major;

static size_t aligned(size_t bytes) { return (bytes + ALIGN - 1) & ~(size_t)(ALIGN - 1); }

static th_status find_copy(th_plan *p, th_param *param, th_dtype dtype, const th_layout *layout, int64_t *copy) {
    *copy = -1;
    if (th_param_find_pack(param, dtype, layout) == -1) return TH_OK;
    for (int64_t i = 0; i < p->n_copies; i++) {
        const th_copy *c = &p->copies[i];
        if (c->param == param && c->dtype == dtype && th_layout_same(c->layout, layout)) return *copy = i, TH_OK;
    }
    if (!th_grow(p->copies, p->n_copies, p->cap_copies)) return th_fail_memory();
    p->copies[p->n_copies] = (th_copy){.param = param,
                                       .dtype = dtype,
                                       .layout = layout,
                                       .bytes = th_param_copy_bytes(param, dtype, layout),
                                       .pack = TH_PARAM_NO_PACK};
    *copy = p->n_copies++;
    return TH_OK;
}

static th_status bind_param(th_plan *p, th_step *s, int input, const th_param_attr *a) {
    bool weight = s->prepared.weight_input == input;
    const th_layout *layout = weight ? s->prepared.weight_layout : &row_major;
    s->in[input].param = a->param;
    s->weight_packed |= weight;
    TH_TRY(find_copy(p, a->param, a->desc.dtype, layout, &s->in[input].copy));
    if (s->in[input].copy >= 0) p->copies[s->in[input].copy].uses++;
    return TH_OK;
}

/* Outputs that are parameters themselves are read row-major, after the run. */
static th_status bind_outputs(th_plan *p) {
    const th_graph *g = p->g;
    p->output_copies = th_arena_alloc(g->arena, (size_t)g->n_outputs, sizeof *p->output_copies);
    if (!p->output_copies) return th_fail_memory();
    for (int64_t i = 0; i < g->n_outputs; i++) {
        const th_node *n = th_root_of(g->outputs[i].tensor)->node;
        int64_t *copy = &p->output_copies[i];
        if (n->op != &th_op_param) continue;
        TH_TRY(find_copy(p, ((const th_param_attr *)n->attr)->param, TH_F32, &row_major, copy));
        if (*copy >= 0) p->copies[*copy].read_after = true;
    }
    return TH_OK;
}

th_status th_plan_find_copies(th_plan *p) {
    for (int64_t i = 0; i < p->n_steps; i++) {
        th_step *s = &p->steps[i];
        s->in = th_arena_alloc(p->g->arena, (size_t)s->node->n_in + 1, sizeof *s->in);
        s->in_data = th_arena_alloc(p->g->arena, (size_t)s->node->n_in + 1, sizeof *s->in_data);
        if (!s->in || !s->in_data) return th_fail_memory();
        for (int k = 0; k < s->node->n_in; k++) {
            const th_tensor *t = th_root_of(s->node->in[k]);
            s->in[k].copy = -1;
            if (t->node->op == &th_op_param)
                TH_TRY(bind_param(p, s, k, t->node->attr));
            else
                s->in[k].tensor = t;
        }
    }
    return bind_outputs(p);
}

static bool on_use(const th_plan *p, const th_binding *b) { return b->copy >= 0 && !p->copies[b->copy].kept; }

/* The scratch of a step: its kernel's, its threads', then the copies it makes on use, whose places are set. */
static size_t lay_out(const th_plan *p, th_step *s) {
    size_t moved = s->weight_packed ? 0 : s->prepared.weight_scratch;
    s->shared_scratch = aligned(s->prepared.scratch + moved);
    size_t at = s->shared_scratch + s->prepared.thread_scratch * (size_t)p->threads;
    s->packs = false;
    for (int k = 0; k < s->node->n_in; k++) {
        if (!on_use(p, &s->in[k])) continue;
        s->packs = true;
        s->in[k].offset = at;
        at += aligned(p->copies[s->in[k].copy].bytes);
    }
    return at;
}

static size_t lay_out_all(th_plan *p) {
    size_t most = 0;
    for (int64_t i = 0; i < p->n_steps; i++) {
        size_t bytes = lay_out(p, &p->steps[i]);
        if (bytes > most) most = bytes;
    }
    return most;
}

size_t th_plan_least_bytes(const th_plan *p) {
    size_t bytes = lay_out_all((th_plan *)p) + p->params.other_bytes;
    for (int64_t i = 0; i < p->n_params_used; i++) {
        const th_param *q = p->params_used[i].param;
        bool grad = p->params_used[i].grad;
        bytes += th_param_bytes(q, grad);
        if (grad) bytes += (size_t)th_param_elements(q) * p->params.trained_bytes;
    }
    for (int64_t i = 0; i < p->n_copies; i++)
        if (p->copies[i].read_after) bytes += p->copies[i].bytes;
    return bytes;
}

static bool is_trained(const th_plan *p, const th_param *q) {
    for (int64_t i = 0; i < p->n_params_used; i++)
        if (p->params_used[i].param == q) return p->params_used[i].grad;
    return false;
}

/* A copy and what keeping it spares: bytes moved between two updates, for each byte of memory. */
typedef struct {
    int64_t copy;
    double spared;
} offer;

static double spared_by(const th_plan *p, const th_copy *c) {
    double written = (double)c->bytes, pass = (double)th_param_elements(c->param) * sizeof(float) + written;
    bool twin = c->dtype == TH_BF16 && th_layout_same(c->layout, &c->param->home);
    double update = !is_trained(p, c->param) ? 0 : twin ? written : pass;
    double runs = p->params.runs_an_update > 1 ? (double)p->params.runs_an_update : 1;
    return (runs * (double)c->uses * pass - update) / (written + 1);
}

static int most_spared_first(const void *a, const void *b) {
    const offer *x = a, *y = b;
    if (x->spared != y->spared) return x->spared < y->spared ? 1 : -1;
    return x->copy < y->copy ? -1 : 1;
}

/* Where a parameter has no more places for copies, the rest is made on use. */
static bool has_place(const th_param *q) {
    for (int i = 0; i < TH_PARAM_MAX_PACKS; i++)
        if (i >= q->n_packs || !q->packs[i].users) return true;
    return false;
}

static th_status keep(th_copy *c) {
    TH_TRY(th_param_pack(c->param, c->dtype, c->layout, &c->pack));
    c->kept = true;
    return TH_OK;
}

th_status th_plan_keep_copies(th_plan *p, size_t room) {
    offer *offers = th_alloc((size_t)p->n_copies, sizeof *offers);
    if (!offers) return th_fail_memory();
    th_status s = TH_OK;
    int64_t count = 0;
    for (int64_t i = 0; i < p->n_copies && s == TH_OK; i++) {
        th_copy *c = &p->copies[i];
        bool there = th_param_find_pack(c->param, c->dtype, c->layout) != TH_PARAM_NO_PACK; /* another plan's */
        if (there || c->read_after)
            s = keep(c);
        else
            offers[count++] = (offer){i, spared_by(p, c)};
    }
    if (count) qsort(offers, (size_t)count, sizeof *offers, most_spared_first);
    for (int64_t i = 0; i < count && s == TH_OK; i++) {
        th_copy *c = &p->copies[offers[i].copy];
        if (p->params.pack_on_use || offers[i].spared <= 0 || c->bytes > room || !has_place(c->param)) continue;
        s = keep(c);
        room -= c->bytes;
    }
    th_free(offers);
    p->cost.scratch_bytes = lay_out_all(p);
    for (int64_t i = 0; i < p->n_copies; i++) {
        const th_copy *c = &p->copies[i];
        if (c->kept) continue;
        p->packs_a_run += c->uses;
        p->pack_bytes += (double)c->uses * ((double)th_param_elements(c->param) * sizeof(float) + (double)c->bytes);
    }
    return s;
}

void th_plan_drop_copies(th_plan *p) {
    for (int64_t i = 0; i < p->n_copies; i++)
        if (p->copies[i].kept) th_param_unpack(p->copies[i].param, p->copies[i].pack);
    p->n_copies = 0;
}
