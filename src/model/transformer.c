/* A stack of pre-norm blocks. */
#include "model/transformer.h"

#include <math.h>
#include <stdio.h>

#include "base/memory.h"

void th_transformer_init(th_maker *m, th_transformer *t, const char *prefix, const th_transformer_config *c) {
    t->config = *c;
    t->blocks = th_alloc((size_t)c->layers, sizeof *t->blocks);
    if (!t->blocks) m->status = th_fail_memory();
    for (int64_t i = 0; i < c->layers && m->status == TH_OK; i++) {
        th_transformer_block *b = &t->blocks[i];
        char at[200], name[240];
        snprintf(at, sizeof at, "%s.layers.%lld", prefix, (long long)i);
        const struct {
            th_linear_layer *layer;
            const char *name;
            int64_t in, out;
        } linears[] = {
            {&b->k, "self_attn.k_proj", c->width, c->width}, {&b->v, "self_attn.v_proj", c->width, c->width},
            {&b->q, "self_attn.q_proj", c->width, c->width}, {&b->out, "self_attn.out_proj", c->width, c->width},
            {&b->fc1, "mlp.fc1", c->width, c->mlp},          {&b->fc2, "mlp.fc2", c->mlp, c->width},
        };
        snprintf(name, sizeof name, "%s.layer_norm1", at);
        th_norm_init(m, &b->norm1, name, c->width, c->eps);
        for (size_t k = 0; k < sizeof linears / sizeof *linears; k++) {
            snprintf(name, sizeof name, "%s.%s", at, linears[k].name);
            th_linear_init(m, linears[k].layer, name, linears[k].in, linears[k].out, true);
        }
        snprintf(name, sizeof name, "%s.layer_norm2", at);
        th_norm_init(m, &b->norm2, name, c->width, c->eps);
    }
}

th_tensor *th_transformer_apply(th_graph *g, const th_transformer *t, th_tensor *x) {
    const th_transformer_config *c = &t->config;
    for (int64_t i = 0; i < c->layers; i++) {
        const th_transformer_block *b = &t->blocks[i];
        th_graph_push(g, "%lld", (long long)i);
        th_tensor *h = th_norm_apply(g, &b->norm1, x);
        th_tensor *q = th_linear_apply(g, &b->q, h), *k = th_linear_apply(g, &b->k, h),
                  *v = th_linear_apply(g, &b->v, h);
        x = th_add(g, x, th_linear_apply(g, &b->out, th_attention(g, q, k, v, c->heads, c->causal)));
        th_tensor *u = th_linear_apply(g, &b->fc1, th_norm_apply(g, &b->norm2, x));
        x = th_add(g, x, th_linear_apply(g, &b->fc2, th_activate(g, c->activation, u)));
        th_graph_pop(g);
    }
    return x;
}

th_status th_transformer_randomize(const th_transformer *t, uint64_t seed, uint32_t *which) {
    const th_transformer_config *c = &t->config;
    float attention = 1.0f / sqrtf((float)c->width), out = attention / sqrtf(2.0f * (float)c->layers);
    float first = 1.0f / sqrtf(2.0f * (float)c->width);
    for (int64_t i = 0; i < c->layers; i++) {
        const th_transformer_block *b = &t->blocks[i];
        const struct {
            const th_linear_layer *layer;
            float std;
        } linears[] = {{&b->q, attention}, {&b->k, attention}, {&b->v, attention},
                       {&b->out, out},     {&b->fc1, first},   {&b->fc2, out}};
        for (size_t k = 0; k < sizeof linears / sizeof *linears; k++) {
            TH_TRY(th_init_normal(linears[k].layer->weight, seed, (*which)++, linears[k].std));
            TH_TRY(th_init_constant(linears[k].layer->bias, 0.0f));
        }
        TH_TRY(th_init_constant(b->norm1.weight, 1.0f));
        TH_TRY(th_init_constant(b->norm1.bias, 0.0f));
        TH_TRY(th_init_constant(b->norm2.weight, 1.0f));
        TH_TRY(th_init_constant(b->norm2.bias, 0.0f));
    }
    return TH_OK;
}
