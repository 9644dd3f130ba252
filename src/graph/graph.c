/* Recording. */
#include "graph/graph.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

th_graph *th_graph_new(void) {
    th_graph *g = th_alloc(1, sizeof *g);
    if (!g) return NULL;
    g->arena = th_arena_new();
    if (!g->arena) return th_free(g), NULL;
    g->scope = "";
    return g;
}

void th_graph_free(th_graph *g) {
    if (!g) return;
    th_arena_free(g->arena);
    th_free(g->nodes);
    th_free(g->outputs);
    th_free(g);
}

th_status th_graph_status(const th_graph *g) {
    return g->status == TH_OK ? TH_OK : th_fail(g->status, "%s", g->message);
}

static void keep_error(th_graph *g, th_status s) {
    if (g->status != TH_OK) return;
    g->status = s;
    snprintf(g->message, sizeof g->message, "%s", th_error_message());
}

th_tensor *th_graph_fail(th_graph *g, th_status s, const char *format, ...) {
    char text[TH_MESSAGE_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    th_fail(s, "%s%s%s", g->scope, *g->scope ? ": " : "", text);
    keep_error(g, s);
    return &g->failed;
}

void th_graph_push(th_graph *g, const char *format, ...) {
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    const char *scope = th_arena_printf(g->arena, "%s%s%s", g->scope, *g->scope ? "." : "", text);
    if (!scope) {
        keep_error(g, th_fail_memory());
        return;
    }
    g->scope = scope;
}

void th_graph_pop(th_graph *g) {
    const char *dot = strrchr(g->scope, '.');
    size_t n = dot ? (size_t)(dot - g->scope) : 0;
    char *outer = th_arena_alloc(g->arena, n + 1, 1);
    if (!outer) {
        keep_error(g, th_fail_memory());
        return;
    }
    memcpy(outer, g->scope, n);
    g->scope = outer;
}

void th_graph_precise(th_graph *g, bool precise) { g->precise = precise; }

const th_desc *th_tensor_desc(const th_tensor *t) { return &t->desc; }

th_tensor *th_output_of(th_tensor *t, int i) { return t->node ? &t->node->out[i] : t; }

static th_node *new_node(th_graph *g, const th_op *op, const void *attr, size_t attr_bytes, int n_in,
                         th_tensor *const *in) {
    th_node *n = th_arena_alloc(g->arena, 1, sizeof *n);
    int n_out = op->outputs ? op->outputs : 1;
    if (!n || !th_grow(g->nodes, g->n_nodes, g->cap_nodes)) return NULL;
    *n = (th_node){
        .op = op, .attr_bytes = attr_bytes, .n_in = n_in, .n_out = n_out, .scope = g->scope, .precise = g->precise};
    if (attr) {
        void *copy = th_arena_copy(g->arena, attr, attr_bytes);
        if (copy && op->adopt) op->adopt(g->arena, copy);
        n->attr = copy;
    }
    n->in = th_arena_copy(g->arena, in, (size_t)n_in * sizeof *in);
    n->out = th_arena_alloc(g->arena, (size_t)n_out, sizeof *n->out);
    if (th_arena_failed(g->arena)) return NULL;
    for (int i = 0; i < n_out; i++) n->out[i] = (th_tensor){.node = n, .index = i, .id = g->n_tensors + i};
    return n;
}

/* 2⁴⁴ elements: beyond any memory, and small enough that sums over all tensors of a graph do not overflow. */
#define MOST_ELEMENTS ((int64_t)1 << 44)

static bool countable(const th_desc *d) {
    int64_t n = 1;
    for (int i = 0; i < d->rank; i++)
        if (d->dim[i] < 0 || __builtin_mul_overflow(n, d->dim[i], &n) || n > MOST_ELEMENTS) return false;
    return true;
}

static th_status infer(th_node *n) {
    if (n->op->infer) TH_TRY(n->op->infer(n));
    char text[TH_DESC_TEXT];
    for (int i = 0; i < n->n_out; i++)
        if (!countable(&n->out[i].desc))
            return th_fail(TH_E_SHAPE, "%s is no shape or too large", th_desc_text(&n->out[i].desc, text));
    return TH_OK;
}

th_tensor *th_record(th_graph *g, const th_op *op, const void *attr, size_t attr_bytes, int n_in,
                     th_tensor *const *in) {
    if (th_graph_failed(g)) return &g->failed;
    for (int i = 0; i < n_in; i++)
        if (!in[i] || !in[i]->node) return th_graph_fail(g, TH_E_BUG, "%s: input %d is not a tensor", op->name, i);
    th_node *n = new_node(g, op, attr, attr_bytes, n_in, in);
    if (!n) return keep_error(g, th_fail_memory()), &g->failed;
    th_status s = infer(n);
    if (s != TH_OK) {
        th_fail_in(s, "%s%s%s", g->scope, *g->scope ? ": " : "", op->name);
        return keep_error(g, s), &g->failed;
    }
    g->n_tensors += n->n_out;
    g->nodes[g->n_nodes++] = n;
    return &n->out[0];
}

static void add_output(th_graph *g, const char *name, th_param *p, th_tensor *t) {
    if (th_graph_failed(g)) return;
    const char *copy = th_arena_strdup(g->arena, name);
    if (!copy || !th_grow(g->outputs, g->n_outputs, g->cap_outputs)) {
        keep_error(g, th_fail_memory());
        return;
    }
    g->outputs[g->n_outputs++] = (th_graph_output){t, copy, p};
}

void th_output(th_graph *g, const char *name, th_tensor *t) { add_output(g, name, NULL, t); }
void th_output_grad(th_graph *g, th_param *p, th_tensor *t) { add_output(g, th_param_name(p), p, t); }
