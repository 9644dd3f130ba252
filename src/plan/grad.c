/* Reverse-mode differentiation, appended to the same graph. An operation gives its own rule, or else is expanded into
 * simpler ones and the rule is found through those; so second derivatives need no rules of their own. */
#include <string.h>

#include "graph/graph.h"
#include "theriac/ops.h"

typedef struct {
    th_graph *g;
    th_tensor **adjoint; /* by tensor id; NULL: zero so far */
    bool *depends;       /* by tensor id: on one of wrt */
    int64_t n_tensors;   /* those that there were when the sweep began */
} sweep;

static void differentiate(th_graph *g, int64_t begin, int64_t end, int n_seeds, th_tensor *const *seed,
                          th_tensor *const *seed_grad, int n_wrt, th_tensor *const *wrt, th_tensor **grad);

static void accumulate(sweep *s, th_tensor *t, th_tensor *grad) {
    th_tensor **a = &s->adjoint[t->id];
    *a = *a ? th_add(s->g, *a, grad) : grad;
}

static bool any_depends(const sweep *s, const th_node *n) {
    for (int i = 0; i < n->n_in; i++)
        if (s->depends[n->in[i]->id]) return true;
    return false;
}

static void mark(sweep *s, int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; k++) {
        const th_node *n = s->g->nodes[k];
        bool d = any_depends(s, n);
        for (int i = 0; i < n->n_out; i++) s->depends[n->out[i].id] |= d && n->out[i].desc.dtype != TH_I32;
    }
}

/* The gradients through the expansion of n. */
static void through_expansion(th_vjp *v) {
    th_graph *g = v->g;
    th_node *n = v->n;
    int64_t begin = g->n_nodes;
    th_tensor *y[4] = {0}, *seed[4], *seed_grad[4];
    if (!n->op->expand) {
        th_graph_fail(g, TH_E_BUG, "%s: has neither a gradient nor an expansion", n->op->name);
        return;
    }
    n->op->expand(g, n, y);
    if (th_graph_failed(g)) return;
    int seeds = 0;
    for (int i = 0; i < n->n_out; i++)
        if (v->dy[i]) seed[seeds] = y[i], seed_grad[seeds++] = v->dy[i];
    th_tensor **wrt = th_arena_alloc(g->arena, (size_t)n->n_in, sizeof *wrt);
    th_tensor **grad = th_arena_alloc(g->arena, (size_t)n->n_in, sizeof *grad);
    if (!wrt || !grad) {
        th_graph_fail(g, TH_E_MEMORY, "out of memory");
        return;
    }
    int count = 0;
    for (int i = 0; i < n->n_in; i++)
        if (v->want[i]) wrt[count++] = n->in[i];
    differentiate(g, begin, g->n_nodes, seeds, seed, seed_grad, count, wrt, grad);
    for (int i = 0, j = 0; i < n->n_in; i++)
        if (v->want[i]) v->dx[i] = grad[j++];
    /* A tensor that is two inputs of n gets its whole gradient once. */
    for (int i = 0; i < n->n_in; i++)
        for (int j = 0; j < i; j++)
            if (n->in[i] == n->in[j]) v->dx[i] = NULL;
}

static void backward(sweep *s, th_node *n) {
    th_graph *g = s->g;
    th_tensor *dy[4] = {0};
    bool any = false, *want = th_arena_alloc(g->arena, (size_t)n->n_in + 1, sizeof *want);
    th_tensor **dx = th_arena_alloc(g->arena, (size_t)n->n_in + 1, sizeof *dx);
    if (!want || !dx) {
        th_graph_fail(g, TH_E_MEMORY, "out of memory");
        return;
    }
    for (int i = 0; i < n->n_out; i++) any |= (dy[i] = s->adjoint[n->out[i].id]) != NULL;
    if (!any || !any_depends(s, n)) return;
    for (int i = 0; i < n->n_in; i++) want[i] = s->depends[n->in[i]->id];
    th_vjp v = {g, n, dy, want, dx};
    const char *scope = g->scope;
    bool precise = g->precise;
    g->scope = n->scope, g->precise = n->precise;
    if (n->op->grad)
        n->op->grad(&v);
    else
        through_expansion(&v);
    for (int i = 0; i < n->n_in && !th_graph_failed(g); i++)
        if (want[i] && dx[i]) accumulate(s, n->in[i], dx[i]);
    g->scope = scope, g->precise = precise;
}

/* Gradients of Σ seed · seed_grad by wrt, through nodes [begin, end); NULL where there is no dependence. */
static void differentiate(th_graph *g, int64_t begin, int64_t end, int n_seeds, th_tensor *const *seed,
                          th_tensor *const *seed_grad, int n_wrt, th_tensor *const *wrt, th_tensor **grad) {
    sweep s = {.g = g, .n_tensors = g->n_tensors};
    s.adjoint = th_alloc((size_t)s.n_tensors, sizeof *s.adjoint);
    s.depends = th_alloc((size_t)s.n_tensors, sizeof *s.depends);
    if (!s.adjoint || !s.depends) {
        th_graph_fail(g, TH_E_MEMORY, "out of memory");
    } else {
        for (int i = 0; i < n_wrt; i++) s.depends[wrt[i]->id] = true;
        mark(&s, begin, end);
        for (int i = 0; i < n_seeds; i++) accumulate(&s, seed[i], seed_grad[i]);
        for (int64_t k = end - 1; k >= begin && !th_graph_failed(g); k--) backward(&s, g->nodes[k]);
        for (int i = 0; i < n_wrt; i++) grad[i] = s.adjoint[wrt[i]->id];
    }
    th_free(s.adjoint);
    th_free(s.depends);
}

void th_grad(th_graph *g, th_tensor *loss, int count, th_tensor *const *wrt, th_tensor **out) {
    for (int i = 0; i < count; i++) out[i] = &g->failed;
    if (th_graph_failed(g)) return;
    if (th_desc_count(&loss->desc) != 1) {
        char text[TH_DESC_TEXT];
        th_graph_fail(g, TH_E_SHAPE, "the gradient of %s: only of a single number", th_desc_text(&loss->desc, text));
        return;
    }
    th_tensor *one = th_fill(g, loss->desc, 1.0f);
    if (th_graph_failed(g)) return;
    differentiate(g, 0, g->n_nodes, 1, &loss, &one, count, wrt, out);
    for (int i = 0; i < count; i++) {
        if (th_graph_failed(g))
            out[i] = &g->failed;
        else if (!out[i])
            out[i] = th_fill(g, wrt[i]->desc, 0.0f);
    }
}

void th_grad_params(th_graph *g, th_tensor *loss, const th_params *ps) {
    int64_t n = th_params_count(ps), count = 0;
    th_tensor **wrt = th_alloc((size_t)n + 1, sizeof *wrt), **grad = th_alloc((size_t)n + 1, sizeof *grad);
    if (!wrt || !grad) th_graph_fail(g, TH_E_MEMORY, "out of memory");
    for (int64_t i = 0; i < n && !th_graph_failed(g); i++)
        if (th_param_trainable(th_params_at(ps, i))) wrt[count++] = th_use(g, th_params_at(ps, i));
    if (!th_graph_failed(g)) th_grad(g, loss, (int)count, wrt, grad);
    for (int64_t i = 0, k = 0; i < n && !th_graph_failed(g); i++)
        if (th_param_trainable(th_params_at(ps, i))) th_output_grad(g, th_params_at(ps, i), grad[k++]);
    th_free(wrt);
    th_free(grad);
}
