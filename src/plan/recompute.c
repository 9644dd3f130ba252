/* Recomputation under a memory budget (Chen et al. 2016, chosen greedily as XLA's rematerialisation does): while too
 * much lives at the worst moment, the activation that frees most bytes there for the least time is dropped and made
 * again just before it is next read. Dropping what a remade node reads is found by the same step later, so whole blocks
 * come to be remade.
 *
 * The schedule is a list of nodes, some of them more than once; a tensor's readers see its latest making. */
#include "graph/leaf.h"
#include "plan/cost.h"
#include "plan/memory.h"
#include "plan/rebuild.h"

typedef struct {
    th_node **items; /* in order; repeated nodes are remade */
    int64_t count, capacity;
} schedule;

/* One making of a tensor: where, and its last reader. */
typedef struct {
    int64_t root, made, last;
    int64_t before; /* the life before it of the same root, or −1 */
    size_t bytes;
} life;

typedef struct {
    const th_graph *g;
    const bool *fixed;
    int64_t *root;    /* by tensor id: through views */
    int64_t *current; /* by root: index of its latest life */
    life *lives;
    int64_t n_lives, cap_lives;
    size_t *live; /* by item: bytes alive while it runs */
    int64_t cap_live;
} simulation;

/* Elementwise work is bound by memory, products by arithmetic; only the ratio matters for choosing. */
static double seconds_of(const th_node *n) { return th_node_flops(n) / 200e9 + th_node_bytes(n) / 20e9; }

static bool counted(const simulation *s, const th_node *n, int i) {
    return !(n->op->flags & (TH_OP_LEAF | TH_OP_VIEW)) && !s->fixed[n->out[i].id];
}

static th_status simulate(simulation *s, const schedule *q, int64_t *peak) {
    s->n_lives = 0;
    for (int64_t id = 0; id < s->g->n_tensors; id++) s->current[id] = -1;
    while (s->cap_live < q->count + 1)
        if (!th_grow_array((void **)&s->live, &s->cap_live, sizeof *s->live)) return th_fail_memory();
    for (int64_t k = 0; k < q->count; k++) {
        const th_node *n = q->items[k];
        for (int i = 0; i < n->n_in; i++) {
            int64_t c = s->current[s->root[n->in[i]->id]];
            if (c >= 0) s->lives[c].last = k;
        }
        for (int i = 0; i < n->n_out; i++) {
            if (!counted(s, n, i)) continue;
            if (!th_grow(s->lives, s->n_lives, s->cap_lives)) return th_fail_memory();
            int64_t *current = &s->current[n->out[i].id];
            s->lives[s->n_lives] = (life){n->out[i].id, k, k, *current, th_desc_bytes(&n->out[i].desc)};
            *current = s->n_lives++;
        }
    }
    for (int64_t i = 0; i < s->g->n_outputs; i++) {
        int64_t c = s->current[s->root[s->g->outputs[i].tensor->id]];
        if (c >= 0) s->lives[c].last = q->count;
    }
    for (int64_t k = 0; k <= q->count; k++) s->live[k] = 0;
    for (int64_t i = 0; i < s->n_lives; i++) { /* differences first, then summed */
        s->live[s->lives[i].made] += s->lives[i].bytes;
        if (s->lives[i].last < q->count) s->live[s->lives[i].last + 1] -= s->lives[i].bytes;
    }
    *peak = 0;
    for (int64_t k = 0; k < q->count; k++) {
        if (k) s->live[k] += s->live[k - 1];
        if (s->live[k] > s->live[*peak]) *peak = k;
    }
    return TH_OK;
}

static bool reads(const simulation *s, const th_node *n, int64_t root) {
    for (int i = 0; i < n->n_in; i++)
        if (s->root[n->in[i]->id] == root) return true;
    return false;
}

/* Bytes that remaking node n at `at` would keep alive at the peak although they are not now. */
static size_t prolonged(const simulation *s, const th_node *n, int64_t peak, int64_t at) {
    size_t bytes = 0;
    for (int i = 0; i < n->n_in; i++) {
        int64_t latest = s->current[s->root[n->in[i]->id]];
        while (latest >= 0 && s->lives[latest].made >= at) latest = s->lives[latest].before;
        if (latest >= 0 && s->lives[latest].last < peak) bytes += s->lives[latest].bytes;
    }
    return bytes;
}

/* The best life to cut at the peak, and where to remake it; −1 when there is none. */
static int64_t choose(const simulation *s, const schedule *q, int64_t peak, int64_t *where) {
    int64_t best = -1;
    double best_rate = 0;
    for (int64_t i = 0; i < s->n_lives; i++) {
        const life *l = &s->lives[i];
        if (l->made >= peak || l->last <= peak || l->last >= q->count || reads(s, q->items[peak], l->root)) continue;
        const th_node *n = q->items[l->made];
        int64_t at = peak + 1;
        while (!reads(s, q->items[at], l->root)) at++;
        size_t cost = prolonged(s, n, peak, at);
        if (cost >= l->bytes) continue;
        double rate = (double)(l->bytes - cost) / (seconds_of(n) + 1e-9);
        if (rate > best_rate) best_rate = rate, best = i, *where = at;
    }
    return best;
}

static th_status insert(schedule *q, int64_t at, th_node *n) {
    if (!th_grow(q->items, q->count, q->capacity)) return th_fail_memory();
    for (int64_t k = q->count; k > at; k--) q->items[k] = q->items[k - 1];
    q->items[at] = n;
    q->count++;
    return TH_OK;
}

/* Tensor `old` as its latest making has it: reshapes are recorded again on that. */
static th_tensor *latest(th_rebuild *r, th_tensor *old) {
    if (!(old->node->op->flags & TH_OP_VIEW)) return r->map[old->id];
    th_tensor *in = latest(r, old->node->in[0]);
    return in ? th_rebuild_record(r, old->node, &in) : NULL;
}

static th_status record(const th_graph *from, const schedule *q, th_graph **to) {
    th_rebuild r = {.from = from, .to = th_graph_new()};
    r.map = th_alloc((size_t)from->n_tensors, sizeof *r.map);
    th_status status = r.to && r.map ? TH_OK : th_fail_memory();
    for (int64_t k = 0; k < q->count && status == TH_OK; k++) {
        th_node *n = q->items[k];
        th_tensor **in = th_arena_alloc(r.to->arena, (size_t)n->n_in + 1, sizeof *in);
        if (!in) {
            status = th_fail_memory();
            break;
        }
        for (int i = 0; i < n->n_in; i++) in[i] = latest(&r, n->in[i]);
        th_tensor *y = th_rebuild_record(&r, n, in);
        for (int i = 0; i < n->n_out; i++) r.map[n->out[i].id] = th_output_of(y, i);
        status = th_graph_status(r.to);
    }
    for (int64_t i = 0; i < from->n_outputs && status == TH_OK; i++) {
        const th_graph_output *o = &from->outputs[i];
        if (o->param)
            th_output_grad(r.to, o->param, latest(&r, o->tensor));
        else
            th_output(r.to, o->name, latest(&r, o->tensor));
        status = th_graph_status(r.to);
    }
    th_free(r.map);
    if (status != TH_OK) return th_graph_free(r.to), status;
    *to = r.to;
    return TH_OK;
}

th_status th_recompute(const th_graph *from, const bool *fixed, size_t budget, th_graph **to, size_t *reached) {
    simulation s = {.g = from, .fixed = fixed};
    schedule q = {0};
    th_status status = TH_OK;
    s.root = th_alloc((size_t)from->n_tensors, sizeof *s.root);
    s.current = th_alloc((size_t)from->n_tensors, sizeof *s.current);
    if (!s.root || !s.current) TH_GO(th_fail_memory());
    for (int64_t k = 0; k < from->n_nodes; k++) {
        th_node *n = from->nodes[k];
        bool view = n->op->flags & TH_OP_VIEW;
        for (int i = 0; i < n->n_out; i++) s.root[n->out[i].id] = view ? s.root[n->in[0]->id] : n->out[i].id;
        if (!view) TH_GO(insert(&q, q.count, n));
    }
    for (;;) {
        int64_t peak = 0, at = 0;
        TH_GO(simulate(&s, &q, &peak));
        *reached = s.live[peak];
        if (*reached <= budget) break;
        int64_t i = choose(&s, &q, peak, &at);
        if (i < 0 || q.count > 8 * from->n_nodes) break;
        TH_GO(insert(&q, at, q.items[s.lives[i].made]));
    }
    TH_GO(record(from, &q, to));
done:
    th_free(q.items);
    th_free(s.root);
    th_free(s.current);
    th_free(s.lives);
    th_free(s.live);
    return status;
}
