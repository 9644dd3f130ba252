/* y = a + product(…) becomes product(…) with a residual, where the product has no other reader and a is already there:
 * the sum then costs one read instead of two reads and a write. The same for what layer_norm's gradient adds to the
 * residual stream's. */
#include "ops/rows.h"
#include "plan/passes.h"
#include "plan/rebuild.h"

/* The single reader of t, looked for through reshapes; NULL where there are several. */
static th_node *only_user(const th_rebuild *r, const th_tensor *t, const th_tensor **seen_as) {
    for (;;) {
        if (r->uses[t->id] != 1 || !r->user[t->id]) return NULL;
        th_node *user = r->user[t->id];
        *seen_as = t;
        if (!(user->op->flags & TH_OP_VIEW)) return user;
        t = &user->out[0];
    }
}

/* The addition that alone reads output 0 of n, with the other operand in the new graph; or NULL. */
static th_node *addition_of(const th_rebuild *r, const th_node *n, th_tensor **other) {
    const th_tensor *seen_as = NULL;
    th_node *add = only_user(r, &n->out[0], &seen_as);
    if (!add || add->op != &th_op_add) return NULL;
    th_tensor *b = add->in[add->in[0] == seen_as ? 1 : 0];
    if (b == seen_as || !th_desc_same_shape(&b->desc, &seen_as->desc) || b->desc.dtype != TH_F32) return NULL;
    *other = r->map[b->id];
    return *other ? add : NULL;
}

static th_tensor *shaped(th_rebuild *r, th_tensor *t, const th_desc *d) {
    th_desc shape = *d;
    shape.dtype = TH_F32;
    return th_reshape(r->to, t, shape);
}

static void rule(th_rebuild *r, th_node *n) {
    if (r->map[n->out[0].id]) return; /* an addition that became part of a product, or a reshape between them */
    bool product = n->op == &th_op_matmul, norm = n->op == &th_op_layer_norm_bwd && n->n_in == 3;
    th_tensor *other = NULL, *y = NULL;
    th_node *add = product || norm ? addition_of(r, n, &other) : NULL;
    if (!add || n->out[0].desc.dtype != TH_F32) {
        th_rebuild_copy(r, n);
        return;
    }
    th_tensor *in[5], *residual = shaped(r, other, &n->out[0].desc);
    for (int i = 0; i < n->n_in; i++) in[i] = r->map[n->in[i]->id];
    r->to->scope = n->scope, r->to->precise = n->precise;
    if (product) {
        y = th_matmul_add_residual(r->to, n, in, residual);
    } else {
        in[3] = residual;
        y = th_record(r->to, n->op, n->attr, n->attr_bytes, 4, in);
    }
    r->to->scope = "", r->to->precise = false;
    if (!y) {
        th_rebuild_copy(r, n);
        return;
    }
    for (int i = 1; i < n->n_out; i++) r->map[n->out[i].id] = th_output_of(y, i);
    r->map[n->out[0].id] = y; /* marks it done; nobody else reads it */
    for (th_tensor *t = &n->out[0]; r->user[t->id] != add; t = &r->user[t->id]->out[0])
        r->map[r->user[t->id]->out[0].id] = y;
    r->map[add->out[0].id] = shaped(r, y, &add->out[0].desc);
}

th_status th_fuse_residuals(const th_graph *from, th_graph **to) { return th_rebuild_graph(from, rule, NULL, to); }
