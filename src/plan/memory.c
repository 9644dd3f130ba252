/* Lives and places. */
#include "plan/memory.h"

#include <stdlib.h>

#include "graph/leaf.h"

#define ALIGN 64

static th_place *place_of(th_memory *m, const th_tensor *t) { return &m->places[m->places[t->id].root]; }

static void find_lives(const th_graph *g, const bool *fixed, th_memory *m) {
    for (int64_t k = 0; k < g->n_nodes; k++) {
        const th_node *n = g->nodes[k];
        bool view = n->op->flags & TH_OP_VIEW, input = n->op == &th_op_input;
        for (int i = 0; i < n->n_out; i++) {
            const th_tensor *t = &n->out[i];
            m->places[t->id] = (th_place){
                .root = view ? m->places[n->in[0]->id].root : t->id,
                .placed = !view && !fixed[t->id] && (input || !(n->op->flags & TH_OP_LEAF)),
                .first = input ? -1 : k,
                .last = input ? g->n_nodes : k,
                .bytes = (th_desc_bytes(&t->desc) + ALIGN - 1) & ~(size_t)(ALIGN - 1),
            };
        }
        for (int i = 0; i < n->n_in; i++) {
            th_place *p = place_of(m, n->in[i]);
            if (p->last < k) p->last = k;
        }
    }
    for (int64_t i = 0; i < g->n_outputs; i++) place_of(m, g->outputs[i].tensor)->last = g->n_nodes;
}

/* Lets a result take the place of an operand that dies there. */
static void find_in_place(const th_graph *g, th_memory *m) {
    for (int64_t k = 0; k < g->n_nodes; k++) {
        const th_node *n = g->nodes[k];
        th_place *y = &m->places[n->out[0].id];
        if (!n->op->in_place || !y->placed || y->root != n->out[0].id) continue;
        for (int i = 0; i < n->n_in && i < 32; i++) {
            const th_tensor *x = n->in[i];
            th_place *p = place_of(m, x);
            bool fits = (n->op->in_place >> i & 1u) && p->placed && p->last == k && p->bytes == y->bytes &&
                        x->desc.dtype == n->out[0].desc.dtype &&
                        th_desc_count(&x->desc) == th_desc_count(&n->out[0].desc);
            if (!fits) continue;
            int64_t old = n->out[0].id, root = m->places[x->id].root;
            p->last = y->last;
            for (int64_t id = 0; id < g->n_tensors; id++)
                if (m->places[id].root == old) m->places[id].root = root;
            y->placed = false;
            break;
        }
    }
}

static int larger_first(const void *a, const void *b, void *places) {
    const th_place *p = (th_place *)places + *(const int64_t *)a, *q = (th_place *)places + *(const int64_t *)b;
    if (p->bytes != q->bytes) return p->bytes < q->bytes ? 1 : -1;
    return *(const int64_t *)a < *(const int64_t *)b ? -1 : 1;
}

static int by_offset(const void *a, const void *b, void *places) {
    const th_place *p = (th_place *)places + *(const int64_t *)a, *q = (th_place *)places + *(const int64_t *)b;
    return p->offset < q->offset ? -1 : p->offset > q->offset;
}

/* Largest first, each at the lowest place where no neighbour in time lies. */
static void pack(th_memory *m, int64_t *order, int64_t count, int64_t *busy) {
    for (int64_t i = 0; i < count; i++) {
        th_place *p = &m->places[order[i]];
        int64_t n = 0;
        for (int64_t j = 0; j < i; j++) {
            const th_place *q = &m->places[order[j]];
            if (q->first <= p->last && p->first <= q->last) busy[n++] = order[j];
        }
        qsort_r(busy, (size_t)n, sizeof *busy, by_offset, m->places);
        size_t at = 0;
        for (int64_t j = 0; j < n; j++) {
            const th_place *q = &m->places[busy[j]];
            if (at + p->bytes <= q->offset) break;
            if (q->offset + q->bytes > at) at = q->offset + q->bytes;
        }
        p->offset = at;
        if (at + p->bytes > m->bytes) m->bytes = at + p->bytes;
    }
}

th_status th_memory_plan(const th_graph *g, const bool *fixed, th_memory *out) {
    *out = (th_memory){.places = th_alloc((size_t)g->n_tensors, sizeof(th_place))};
    int64_t *order = th_alloc((size_t)g->n_tensors * 2, sizeof *order), count = 0;
    if (!out->places || !order) {
        th_free(order);
        th_memory_free(out);
        return th_fail_memory();
    }
    find_lives(g, fixed, out);
    find_in_place(g, out);
    for (int64_t id = 0; id < g->n_tensors; id++)
        if (out->places[id].placed && out->places[id].root == id) order[count++] = id;
    if (count) qsort_r(order, (size_t)count, sizeof *order, larger_first, out->places);
    pack(out, order, count, order + g->n_tensors);
    th_free(order);
    return TH_OK;
}

void th_memory_free(th_memory *m) {
    th_free(m->places);
    *m = (th_memory){0};
}
