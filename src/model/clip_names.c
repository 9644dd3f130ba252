/* The map of weight names. Hugging Face's names are the model's own; OpenCLIP's (and OpenAI's) are built from them by
 * replacing what each part is called. */
#include <stdio.h>
#include <string.h>

#include "model/clip_files.h"

typedef struct {
    const char *from, *to;
    th_weight_form form;
    int part;
} rename_row;

static const rename_row whole[] = {
    {"logit_scale", "logit_scale", TH_AS_IS, 0},
    {"text_model.embeddings.token_embedding.weight", "token_embedding.weight", TH_AS_IS, 0},
    {"text_model.embeddings.position_embedding.weight", "positional_embedding", TH_AS_IS, 0},
    {"text_model.final_layer_norm.weight", "ln_final.weight", TH_AS_IS, 0},
    {"text_model.final_layer_norm.bias", "ln_final.bias", TH_AS_IS, 0},
    {"text_projection.weight", "text_projection", TH_TRANSPOSED, 0},
    {"vision_model.embeddings.class_embedding", "visual.class_embedding", TH_AS_IS, 0},
    {"vision_model.embeddings.patch_embedding.weight", "visual.conv1.weight", TH_PATCHES, 0},
    {"vision_model.embeddings.position_embedding.weight", "visual.positional_embedding", TH_AS_IS, 0},
    {"vision_model.pre_layrnorm.weight", "visual.ln_pre.weight", TH_AS_IS, 0},
    {"vision_model.pre_layrnorm.bias", "visual.ln_pre.bias", TH_AS_IS, 0},
    {"vision_model.post_layernorm.weight", "visual.ln_post.weight", TH_AS_IS, 0},
    {"vision_model.post_layernorm.bias", "visual.ln_post.bias", TH_AS_IS, 0},
    {"visual_projection.weight", "visual.proj", TH_TRANSPOSED, 0},
};

static const rename_row in_block[] = {
    {"layer_norm1.weight", "ln_1.weight", TH_AS_IS, 0},
    {"layer_norm1.bias", "ln_1.bias", TH_AS_IS, 0},
    {"layer_norm2.weight", "ln_2.weight", TH_AS_IS, 0},
    {"layer_norm2.bias", "ln_2.bias", TH_AS_IS, 0},
    {"self_attn.q_proj.weight", "attn.in_proj_weight", TH_PART, 0},
    {"self_attn.k_proj.weight", "attn.in_proj_weight", TH_PART, 1},
    {"self_attn.v_proj.weight", "attn.in_proj_weight", TH_PART, 2},
    {"self_attn.q_proj.bias", "attn.in_proj_bias", TH_PART, 0},
    {"self_attn.k_proj.bias", "attn.in_proj_bias", TH_PART, 1},
    {"self_attn.v_proj.bias", "attn.in_proj_bias", TH_PART, 2},
    {"self_attn.out_proj.weight", "attn.out_proj.weight", TH_AS_IS, 0},
    {"self_attn.out_proj.bias", "attn.out_proj.bias", TH_AS_IS, 0},
    {"mlp.fc1.weight", "mlp.c_fc.weight", TH_AS_IS, 0},
    {"mlp.fc1.bias", "mlp.c_fc.bias", TH_AS_IS, 0},
    {"mlp.fc2.weight", "mlp.c_proj.weight", TH_AS_IS, 0},
    {"mlp.fc2.bias", "mlp.c_proj.bias", TH_AS_IS, 0},
};

static const rename_row *find(const rename_row *rows, size_t count, const char *name) {
    for (size_t i = 0; i < count; i++)
        if (!strcmp(rows[i].from, name)) return &rows[i];
    return NULL;
}

/* The shape of a form's tensor, where the parameter has shape d. */
static void set_shape(const th_clip *c, const th_desc *d, th_weight_source *out) {
    int64_t patch = c->config.patch_size;
    out->rank = d->rank;
    memcpy(out->shape, d->dim, sizeof(int64_t) * 2);
    if (out->form == TH_PATCHES) out->rank = 4, out->shape[1] = 3, out->shape[2] = out->shape[3] = patch;
    if (out->form == TH_TRANSPOSED) out->shape[0] = d->dim[1], out->shape[1] = d->dim[0];
    if (out->form == TH_PART) out->shape[0] *= 3;
}

static th_status rename_param(const char *param, th_weight_source *out) {
    const rename_row *r = find(whole, sizeof whole / sizeof *whole, param);
    int layer, used = 0;
    if (r) {
        snprintf(out->name, sizeof out->name, "%s", r->to);
    } else {
        bool vision = !strncmp(param, "vision", 6);
        const char *format = vision ? "vision_model.encoder.layers.%d.%n" : "text_model.encoder.layers.%d.%n";
        if (sscanf(param, format, &layer, &used) == 1 && used > 0)
            r = find(in_block, sizeof in_block / sizeof *in_block, param + used);
        if (!r) return th_fail(TH_E_BUG, "%s: has no OpenCLIP name", param);
        snprintf(out->name, sizeof out->name, "%stransformer.resblocks.%d.%s", vision ? "visual." : "", layer, r->to);
    }
    out->form = r->form;
    out->part = r->part;
    return TH_OK;
}

th_status th_clip_weight_source(const th_clip *c, const th_param *p, bool open_clip, th_weight_source *out) {
    const char *param = th_param_name(p);
    *out = (th_weight_source){.form = TH_AS_IS};
    if (open_clip) {
        TH_TRY(rename_param(param, out));
    } else {
        snprintf(out->name, sizeof out->name, "%s", param);
        if (strstr(param, "patch_embedding")) out->form = TH_PATCHES;
    }
    set_shape(c, th_param_desc(p), out);
    return TH_OK;
}
