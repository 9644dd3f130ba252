/* Recomputation under a memory budget (Chen et al. 2016). A node may be dropped once: what it made is forgotten after
 * its last reader before some moment and made again, once, just before its next reader, together with whatever of its
 * operands was dropped too. So a choice is a set of nodes with a moment each; the schedule follows from it, and its
 * cost is the sum of the nodes' times.
 *
 * The search is greedy: at the moment when most is alive, the node is dropped that frees most bytes there for the least
 * time, less where other dropped nodes would have to be made again sooner for it, which spreads the drops along a
 * chain. One that only moves the peak elsewhere and higher is taken back. Elementwise results go first, then attention,
 * then narrow products; what is left of a transformer are its residual streams, one a block, and of a chain every few
 * steps. At the end drops that have become needless are undone, the dearest first. */
#include <stdlib.h>
#include <string.h>

#include "graph/leaf.h"
#include "plan/cost.h"
#include "plan/memory.h"
#include "plan/rebuild.h"

#define NONE (-1)
#define ALIGN 64
#define MOST_TOGETHER 24 /* nodes that one drop may take along */
#define MOST_HASTENED 128

typedef struct {
    const th_graph *g;
    int64_t n, n_tensors;
    int64_t *root;         /* by tensor id: through views */
    int64_t *owner;        /* by root: its node */
    int64_t *reader_begin; /* by root: where its readers begin in `readers`, which are in order */
    int64_t *readers;
    size_t *bytes;   /* by root; 0: not in the block */
    bool *is_output; /* by root */
    double *seconds; /* by node */
    size_t inputs;   /* bytes that are always there */
    /* The choice, by node: after which node of the recorded order its results are made again, or NONE. */
    int64_t *moment;
    /* The schedule that follows: nodes in order, ~k where node k is made again. */
    int64_t *items, count;
    int64_t *at, *again; /* by node: its places in the schedule, or NONE */
    int64_t *last[2];    /* by root, of its first and second making: the last item that reads it */
    int64_t *waiting;    /* nodes to be made again before the next one */
    int64_t *seen, look; /* by node: in which look it was seen last */
    size_t *live;        /* by item: bytes alive while it runs */
    int64_t peak;        /* the item with most */
} search;

/* Elementwise work is bound by memory, products by arithmetic; only the ratio matters for choosing. */
static double seconds_of(const th_node *n) { return th_node_flops(n) / 200e9 + th_node_bytes(n) / 20e9 + 1e-7; }

static bool is_step(const th_node *n) { return !(n->op->flags & (TH_OP_LEAF | TH_OP_VIEW)); }

static void find_roots(search *s, const bool *fixed) {
    for (int64_t k = 0; k < s->n; k++) {
        const th_node *n = s->g->nodes[k];
        bool view = n->op->flags & TH_OP_VIEW;
        s->seconds[k] = seconds_of(n);
        for (int i = 0; i < n->n_out; i++) {
            int64_t id = n->out[i].id;
            size_t bytes = (th_desc_bytes(&n->out[i].desc) + ALIGN - 1) & ~(size_t)(ALIGN - 1);
            s->root[id] = view ? s->root[n->in[0]->id] : id;
            s->owner[id] = k;
            if (is_step(n) && !fixed[id]) s->bytes[id] = bytes;
            if (n->op == &th_op_input) s->inputs += bytes;
        }
    }
    for (int64_t i = 0; i < s->g->n_outputs; i++) s->is_output[s->root[s->g->outputs[i].tensor->id]] = true;
}

static void find_readers(search *s) {
    for (int fill = 0; fill < 2; fill++) { /* first counted, then written */
        for (int64_t k = s->n - 1; k >= 0; k--) {
            const th_node *n = s->g->nodes[k];
            for (int i = 0; i < n->n_in && is_step(n); i++) {
                int64_t *end = &s->reader_begin[s->root[n->in[i]->id] + 1];
                if (fill)
                    s->readers[--*end] = k;
                else
                    ++*end;
            }
        }
        for (int64_t t = 0; !fill && t < s->n_tensors; t++) s->reader_begin[t + 1] += s->reader_begin[t];
    }
    /* Writing from the back moved each end to its begin. */
    memmove(s->reader_begin, s->reader_begin + 1, (size_t)s->n_tensors * sizeof *s->reader_begin);
}

static int by_number(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

/* Puts node k's operands that are not there any more in `waiting`; count is how many wait. */
static int64_t ask(search *s, int64_t k, int64_t now, int64_t count) {
    const th_node *n = s->g->nodes[k];
    for (int i = 0; i < n->n_in; i++) {
        int64_t j = s->owner[s->root[n->in[i]->id]];
        if (s->moment[j] == NONE || now <= s->moment[j] || s->again[j] != NONE) continue;
        s->again[j] = 0; /* on its way */
        s->waiting[count++] = j;
    }
    return count;
}

static void make_schedule(search *s) {
    s->count = 0;
    for (int64_t k = 0; k < s->n; k++) s->again[k] = NONE;
    for (int64_t k = 0; k < s->n; k++) {
        if (s->g->nodes[k]->op->flags & TH_OP_VIEW) continue;
        int64_t waiting = ask(s, k, k, 0);
        for (int64_t i = 0; i < waiting; i++) waiting = ask(s, s->waiting[i], k, waiting);
        if (waiting > 1) qsort(s->waiting, (size_t)waiting, sizeof *s->waiting, by_number);
        for (int64_t i = 0; i < waiting; i++) {
            s->again[s->waiting[i]] = s->count;
            s->items[s->count++] = ~s->waiting[i];
        }
        s->at[k] = s->count;
        s->items[s->count++] = k;
    }
}

static int64_t node_of(int64_t item) { return item < 0 ? ~item : item; }

/* Which making of a root is there while item i reads it. */
static int making(const search *s, int64_t root, int64_t i) {
    int64_t again = s->again[s->owner[root]];
    return again != NONE && again < i;
}

/* Whether item i may write its result over an operand that dies there: then the two are never alive together. */
static bool in_place(const search *s, int64_t i) {
    const th_node *n = s->g->nodes[node_of(s->items[i])];
    for (int k = 0; k < n->n_in && k < 32; k++) {
        int64_t r = s->root[n->in[k]->id];
        if ((n->op->in_place >> k & 1u) && s->bytes[r] && s->bytes[r] == s->bytes[n->out[0].id] &&
            s->last[making(s, r, i)][r] == i)
            return true;
    }
    return false;
}

/* Lives, and what they add up to. */
static void simulate(search *s) {
    for (int64_t i = 0; i < s->count; i++) {
        const th_node *n = s->g->nodes[node_of(s->items[i])];
        for (int k = 0; k < n->n_in; k++) {
            int64_t r = s->root[n->in[k]->id];
            s->last[making(s, r, i)][r] = i;
        }
        for (int k = 0; k < n->n_out; k++) s->last[s->items[i] < 0][n->out[k].id] = i;
    }
    for (int64_t i = 0; i < s->g->n_outputs; i++) {
        int64_t r = s->root[s->g->outputs[i].tensor->id];
        s->last[making(s, r, s->count)][r] = s->count;
    }
    memset(s->live, 0, (size_t)(s->count + 2) * sizeof *s->live);
    for (int64_t i = 0; i < s->count; i++) { /* differences first, then summed */
        const th_node *n = s->g->nodes[node_of(s->items[i])];
        for (int k = 0; k < n->n_out; k++) {
            int64_t id = n->out[k].id, begin = i + (k == 0 && n->op->in_place && in_place(s, i));
            int64_t end = s->last[s->items[i] < 0][id];
            if (begin > end) continue;
            s->live[begin] += s->bytes[id];
            s->live[end + 1] -= s->bytes[id];
        }
    }
    s->peak = 0;
    for (int64_t i = 1; i < s->count; i++) {
        s->live[i] += s->live[i - 1];
        if (s->live[i] > s->live[s->peak]) s->peak = i;
    }
}

static size_t most_alive(search *s) {
    make_schedule(s);
    simulate(s);
    return s->live[s->peak] + s->inputs;
}

/* A node to drop, and those that go with it. */
typedef struct {
    int64_t nodes[MOST_TOGETHER];
    int count;
    double rate; /* bytes freed at the peak a second */
} drop;

static bool read_at(const search *s, int64_t root, int64_t item) {
    const th_node *n = s->g->nodes[node_of(s->items[item])];
    for (int i = 0; i < n->n_in; i++)
        if (s->root[n->in[i]->id] == root) return true;
    return false;
}

/* Bytes of node j's results that are alive at the peak only for later; and the next item that reads one, *next. */
static size_t idle_bytes(const search *s, int64_t j, int64_t *next) {
    const th_node *n = s->g->nodes[j];
    size_t bytes = 0;
    *next = s->count;
    for (int i = 0; i < n->n_out; i++) {
        int64_t r = n->out[i].id;
        if (s->is_output[r]) return 0;
        if (s->last[0][r] <= s->peak) continue;
        if (!read_at(s, r, s->peak)) bytes += s->bytes[r];
        for (int64_t k = s->reader_begin[r]; k < s->reader_begin[r + 1]; k++) {
            int64_t m = s->readers[k];
            if (s->at[m] > s->peak && s->at[m] < *next) *next = s->at[m];
            if (s->again[m] > s->peak && s->again[m] < *next) *next = s->again[m];
        }
    }
    return bytes;
}

/* Whether operand r of something made again after the peak would have to be kept alive over the peak for that. */
static bool is_gone(const search *s, int64_t r) {
    if (!s->bytes[r]) return false; /* a leaf, or a gradient's own place */
    int64_t again = s->again[s->owner[r]];
    if (again != NONE) return again < s->peak && s->last[1][r] < s->peak;
    return s->last[0][r] < s->peak;
}

/* d->nodes[0] with operands that are gone kept alive, or made again too: whichever frees more for its time. */
static void weigh(const search *s, drop *d, size_t bytes) {
    double seconds = 0, alone = s->seconds[d->nodes[0]], held = 0;
    d->count = 1;
    for (int i = 0; i < d->count; i++) {
        const th_node *n = s->g->nodes[d->nodes[i]];
        seconds += s->seconds[d->nodes[i]];
        for (int k = 0; k < n->n_in; k++) {
            int64_t r = s->root[n->in[k]->id], j = s->owner[r];
            if (!is_gone(s, r)) continue;
            if (i == 0) held += (double)s->bytes[r];
            int known = 0;
            while (known < d->count && d->nodes[known] != j) known++;
            if (known < d->count) continue;
            if (d->count == MOST_TOGETHER || s->moment[j] != NONE) {
                seconds = 1e9; /* too long a way back */
                continue;
            }
            d->nodes[d->count++] = j;
        }
    }
    double with = (double)bytes / seconds, without = ((double)bytes - held) / alone;
    d->rate = with > without ? with : without;
    if (without >= with) d->count = 1;
}

/* Bytes that are made again only after item `next` now, and would have to be there before it if d were. So dropping
 * neighbours, which makes long stretches live again at once, comes later than dropping here and there. */
static size_t hastened_bytes(search *s, const drop *d, int64_t next) {
    int64_t *found = s->waiting, count = 0;
    size_t bytes = 0;
    s->look++;
    for (int64_t i = -d->count; i < count && count < MOST_HASTENED; i++) {
        const th_node *n = s->g->nodes[i < 0 ? d->nodes[i + d->count] : found[i]];
        for (int k = 0; k < n->n_in; k++) {
            int64_t r = s->root[n->in[k]->id], j = s->owner[r];
            if (s->moment[j] == NONE || s->again[j] <= next || s->seen[j] == s->look) continue;
            s->seen[j] = s->look;
            found[count++] = j;
            bytes += s->bytes[r];
        }
    }
    return bytes;
}

/* The best drop at the peak; false when there is none. */
static bool choose(search *s, const bool *refused, drop *best) {
    *best = (drop){0};
    for (int64_t j = 0; j < s->n; j++) {
        int64_t next;
        if (!is_step(s->g->nodes[j]) || s->moment[j] != NONE || refused[j] || s->at[j] >= s->peak) continue;
        size_t bytes = idle_bytes(s, j, &next);
        if (!bytes) continue;
        drop d = {.nodes = {j}};
        weigh(s, &d, bytes);
        /* Of equals, the one that stays away longest. */
        d.rate *= 1.0 + 0.25 * (double)(next - s->peak) / (double)s->count;
        if (d.rate <= best->rate) continue;
        d.rate *= (double)bytes / (double)(bytes + hastened_bytes(s, &d, next));
        if (d.rate > best->rate) *best = d;
    }
    return best->rate > 0;
}

static void set_moments(search *s, const drop *d, int64_t moment) {
    for (int i = 0; i < d->count; i++) s->moment[d->nodes[i]] = moment;
}

/* Drops until `budget` is met or nothing helps any more; returns what is alive at the peak then. */
static size_t shrink(search *s, size_t budget, bool *refused) {
    size_t most = most_alive(s), since = most;
    while (most > budget) {
        drop d;
        if (!choose(s, refused, &d)) {
            if (since - most <= since / 64) break;
            memset(refused, 0, (size_t)s->n * sizeof *refused); /* what did not help then may help now */
            since = most;
            continue;
        }
        int64_t i = s->peak;
        while (i > 0 && s->items[i] < 0) i--;
        int64_t moment = s->items[i];
        set_moments(s, &d, moment);
        size_t now = most_alive(s);
        int64_t where = s->peak;
        while (where > 0 && s->items[where] < 0) where--;
        if (now > most || (now == most && s->items[where] == moment)) {
            set_moments(s, &d, NONE);
            refused[d.nodes[0]] = true;
            most_alive(s);
            continue;
        }
        most = now;
    }
    return most;
}

typedef struct {
    double seconds;
    int64_t node;
} price;

static int dearest_first(const void *a, const void *b) {
    const price *p = a, *q = b;
    if (p->seconds != q->seconds) return p->seconds < q->seconds ? 1 : -1;
    return p->node < q->node ? -1 : 1;
}

static th_status restore(search *s, size_t budget) {
    price *all = th_alloc((size_t)s->n + 1, sizeof *all);
    if (!all) return th_fail_memory();
    int64_t count = 0;
    for (int64_t k = 0; k < s->n; k++)
        if (s->moment[k] != NONE) all[count++] = (price){s->seconds[k], k};
    qsort(all, (size_t)count, sizeof *all, dearest_first);
    for (int64_t i = 0; i < count; i++) {
        int64_t *moment = &s->moment[all[i].node], old = *moment;
        *moment = NONE;
        if (most_alive(s) > budget) *moment = old;
    }
    most_alive(s);
    th_free(all);
    return TH_OK;
}

/* Tensor `old` as its latest making has it: reshapes are recorded again on that. */
static th_tensor *latest(th_rebuild *r, th_tensor *old) {
    if (!(old->node->op->flags & TH_OP_VIEW)) return r->map[old->id];
    th_tensor *in = latest(r, old->node->in[0]);
    return in ? th_rebuild_record(r, old->node, &in) : NULL;
}

static th_status record_item(th_rebuild *r, th_node *n) {
    th_tensor **in = th_arena_alloc(r->to->arena, (size_t)n->n_in + 1, sizeof *in);
    if (!in) return th_fail_memory();
    for (int i = 0; i < n->n_in; i++) in[i] = latest(r, n->in[i]);
    th_tensor *y = th_rebuild_record(r, n, in);
    for (int i = 0; i < n->n_out; i++) r->map[n->out[i].id] = th_output_of(y, i);
    return th_graph_status(r->to);
}

static th_status record(const search *s, th_graph **to) {
    const th_graph *from = s->g;
    th_rebuild r = {.from = from, .to = th_graph_new()};
    r.map = th_alloc((size_t)from->n_tensors + 1, sizeof *r.map);
    th_status status = TH_OK;
    if (!r.to || !r.map) TH_GO(th_fail_memory());
    for (int64_t i = 0; i < s->count; i++) TH_GO(record_item(&r, from->nodes[node_of(s->items[i])]));
    for (int64_t i = 0; i < from->n_outputs; i++) {
        const th_graph_output *o = &from->outputs[i];
        th_tensor *t = latest(&r, o->tensor);
        if (o->param)
            th_output_grad(r.to, o->param, t);
        else
            th_output(r.to, o->name, t);
    }
    status = th_graph_status(r.to);
done:
    th_free(r.map);
    if (status != TH_OK) return th_graph_free(r.to), status;
    *to = r.to;
    return TH_OK;
}

th_status th_recompute(const th_graph *from, const bool *fixed, size_t budget, th_graph **to, size_t *reached) {
    search s = {.g = from, .n = from->n_nodes, .n_tensors = from->n_tensors};
    size_t n = (size_t)s.n, t = (size_t)s.n_tensors, reads = 0;
    for (int64_t k = 0; k < s.n; k++) reads += (size_t)from->nodes[k]->n_in;
    th_status status = TH_OK;
    bool *refused = NULL;
    th_arena *a = th_arena_new();
    if (!a) return th_fail_memory();
    s.root = th_arena_alloc(a, t, sizeof *s.root);
    s.owner = th_arena_alloc(a, t, sizeof *s.owner);
    s.reader_begin = th_arena_alloc(a, t + 1, sizeof *s.reader_begin);
    s.readers = th_arena_alloc(a, reads, sizeof *s.readers);
    s.bytes = th_arena_alloc(a, t, sizeof *s.bytes);
    s.is_output = th_arena_alloc(a, t, sizeof *s.is_output);
    s.seconds = th_arena_alloc(a, n, sizeof *s.seconds);
    s.moment = th_arena_alloc(a, n, sizeof *s.moment);
    s.items = th_arena_alloc(a, 2 * n, sizeof *s.items);
    s.at = th_arena_alloc(a, n, sizeof *s.at);
    s.again = th_arena_alloc(a, n, sizeof *s.again);
    for (int i = 0; i < 2; i++) s.last[i] = th_arena_alloc(a, t, sizeof *s.last[i]);
    s.waiting = th_arena_alloc(a, n, sizeof *s.waiting);
    s.seen = th_arena_alloc(a, n, sizeof *s.seen);
    s.live = th_arena_alloc(a, 2 * n + 2, sizeof *s.live);
    refused = th_arena_alloc(a, n, sizeof *refused);
    if (th_arena_failed(a)) TH_GO(th_fail_memory());
    for (int64_t k = 0; k < s.n; k++) s.moment[k] = NONE;
    find_roots(&s, fixed);
    find_readers(&s);
    *reached = shrink(&s, budget, refused);
    if (*reached <= budget) TH_GO(restore(&s, budget));
    TH_GO(record(&s, to));
done:
    th_arena_free(a);
    return status;
}
