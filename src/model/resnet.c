/* The residual block: x + conv(silu(norm(conv(silu(norm(x))) + time))), the shortcut projected where channels change.
 */
#include "model/resnet.h"

#include <stdio.h>

#include "base/status.h"

void th_resnet_init(th_maker *m, th_resnet *r, const char *prefix, const th_resnet_config *c) {
    char name[240];
    *r = (th_resnet){.groups = c->groups};
    snprintf(name, sizeof name, "%s.norm1", prefix);
    th_norm_init(m, &r->norm1, name, c->in, c->eps);
    snprintf(name, sizeof name, "%s.conv1", prefix);
    th_conv_init(m, &r->conv1, name, c->in, c->out, 3);
    snprintf(name, sizeof name, "%s.time_emb_proj", prefix);
    if (c->time) th_linear_init(m, &r->time, name, c->time, c->out, true);
    snprintf(name, sizeof name, "%s.norm2", prefix);
    th_norm_init(m, &r->norm2, name, c->out, c->eps);
    snprintf(name, sizeof name, "%s.conv2", prefix);
    th_conv_init(m, &r->conv2, name, c->out, c->out, 3);
    snprintf(name, sizeof name, "%s.conv_shortcut", prefix);
    if (c->in != c->out) th_linear_init(m, &r->shortcut, name, c->in, c->out, true);
}

/* h [n, h, w, c] plus the time's share of each channel, the same at all positions. */
static th_tensor *add_time(th_graph *g, const th_resnet *r, th_tensor *h, th_tensor *time) {
    th_tensor *t = th_linear_apply(g, &r->time, time);
    const th_desc *d = th_tensor_desc(t);
    return th_add(g, h, th_reshape(g, t, TH_DESC(TH_F32, d->dim[0], 1, 1, d->dim[1])));
}

th_tensor *th_resnet_apply(th_graph *g, const th_resnet *r, th_tensor *x, th_tensor *time) {
    th_tensor *h = th_group_norm_apply(g, &r->norm1, x, r->groups, true);
    h = th_conv_apply(g, &r->conv1, h, NULL);
    if (r->time.weight) h = add_time(g, r, h, time);
    h = th_group_norm_apply(g, &r->norm2, h, r->groups, true);
    h = th_conv_apply(g, &r->conv2, h, NULL);
    return th_add(g, r->shortcut.weight ? th_linear_apply(g, &r->shortcut, x) : x, h);
}

th_status th_resnet_randomize(const th_resnet *r, uint64_t seed, uint32_t *which) {
    TH_TRY(th_norm_randomize(&r->norm1));
    TH_TRY(th_conv_randomize(&r->conv1, seed, which));
    if (r->time.weight) TH_TRY(th_linear_randomize(&r->time, seed, which));
    TH_TRY(th_norm_randomize(&r->norm2));
    TH_TRY(th_conv_randomize(&r->conv2, seed, which));
    return r->shortcut.weight ? th_linear_randomize(&r->shortcut, seed, which) : TH_OK;
}
