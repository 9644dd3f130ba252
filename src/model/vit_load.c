/* A ViT's weights in, by transformers' names: "encoder.layer.3.attention.attention.query.weight", in a classifier with
 * "vit." before them. */
#include <stdio.h>
#include <string.h>

#include "model/vit.h"
#include "model/weights.h"

static const struct {
    const char *ours, *theirs;
} in_block[] = {
    {"layer_norm1", "layernorm_before"},
    {"layer_norm2", "layernorm_after"},
    {"self_attn.q_proj", "attention.attention.query"},
    {"self_attn.k_proj", "attention.attention.key"},
    {"self_attn.v_proj", "attention.attention.value"},
    {"self_attn.out_proj", "attention.output.dense"},
    {"mlp.fc1", "intermediate.dense"},
    {"mlp.fc2", "output.dense"},
};

/* "encoder.layers.3.mlp.fc1.bias" → "encoder.layer.3.intermediate.dense.bias"; what is in no block keeps its name. */
static th_status name_in_file(const char *name, char out[200]) {
    int layer, used = 0;
    if (sscanf(name, "encoder.layers.%d.%n", &layer, &used) != 1 || !used) {
        snprintf(out, 200, "%s", name);
        return TH_OK;
    }
    const char *what = name + used, *dot = strrchr(what, '.');
    for (size_t i = 0; i < sizeof in_block / sizeof *in_block; i++) {
        if (strncmp(what, in_block[i].ours, (size_t)(dot - what)) != 0) continue;
        snprintf(out, 200, "encoder.layer.%d.%s%s", layer, in_block[i].theirs, dot);
        return TH_OK;
    }
    return th_fail(TH_E_BUG, "%s: has no name in the file", name);
}

static th_status find_source(const void *model, const th_param *p, th_weight_source *out) {
    const th_vit_config *c = th_vit_get_config(model);
    const th_desc *d = th_param_desc(p);
    char name[200];
    TH_TRY(name_in_file(th_param_name(p), name));
    TH_TRY(th_weight_as_is(model, p, out));
    snprintf(out->name, sizeof out->name, "%s", name);
    snprintf(out->old_name, sizeof out->old_name, "vit.%s", name);
    if (!strcmp(name, "embeddings.cls_token") || !strcmp(name, "embeddings.position_embeddings")) {
        out->rank = 3;
        out->shape[0] = 1;
        out->shape[1] = d->rank == 2 ? d->dim[0] : 1;
        out->shape[2] = c->tower.width;
    } else if (!strcmp(name, "embeddings.patch_embeddings.projection.weight")) {
        out->form = TH_PATCHES;
        out->rank = 4;
        out->shape[1] = 3;
        out->shape[2] = out->shape[3] = c->patch_size;
    }
    return TH_OK;
}

th_status th_vit_load(const char *dir, th_vit **out) {
    th_vit_config config;
    th_vit *m = NULL;
    TH_TRY(th_vit_read_config(dir, &config));
    TH_TRY(th_vit_new(&config, &m));
    th_status s = th_weights_load(dir, NULL, th_vit_params(m), find_source, m);
    if (s != TH_OK) return th_vit_free(m), s;
    *out = m;
    return TH_OK;
}
