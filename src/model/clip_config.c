/* config.json of Hugging Face's CLIPModel, with transformers' defaults for what it leaves out. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "format/json.h"
#include "model/clip_files.h"

#define MOST (1 << 20)

static th_status read_activation(const th_json *j, const char *field, bool *quick) {
    const char *name = *quick ? "quick_gelu" : "gelu";
    TH_TRY(th_json_string(j, field, &name));
    if (strcmp(name, "quick_gelu") && strcmp(name, "gelu")) return th_json_fail(j, field, "\"quick_gelu\" or \"gelu\"");
    *quick = !strcmp(name, "quick_gelu");
    return TH_OK;
}

/* Fields of one tower under "vision_config" or "text_config". Old files have "…_config_dict" beside it, which wins
 * whole. */
static th_status read_tower(const th_json *j, const char *group, th_clip_tower *t) {
    char field[128];
    const struct {
        const char *name;
        int64_t *value;
    } ints[] = {{"hidden_size", &t->width},
                {"num_attention_heads", &t->heads},
                {"num_hidden_layers", &t->layers},
                {"intermediate_size", &t->mlp}};
    for (size_t i = 0; i < sizeof ints / sizeof *ints; i++) {
        snprintf(field, sizeof field, "%s.%s", group, ints[i].name);
        TH_TRY(th_json_int(j, field, 1, MOST, ints[i].value));
    }
    snprintf(field, sizeof field, "%s.hidden_act", group);
    TH_TRY(read_activation(j, field, &t->quick_gelu));
    double eps = 1e-5;
    snprintf(field, sizeof field, "%s.layer_norm_eps", group);
    TH_TRY(th_json_double(j, field, &eps));
    t->eps = (float)eps;
    return TH_OK;
}

static th_status read_hugging_face(const th_json *j, th_clip_config *c) {
    const char *type = "clip";
    TH_TRY(th_json_string(j, "model_type", &type));
    if (strcmp(type, "clip")) return th_json_fail(j, "model_type", "\"clip\"");
    const char *vision = th_json_has(j, "vision_config_dict") ? "vision_config_dict" : "vision_config";
    const char *text = th_json_has(j, "text_config_dict") ? "text_config_dict" : "text_config";
    TH_TRY(read_tower(j, vision, &c->vision));
    TH_TRY(read_tower(j, text, &c->text));
    const struct {
        const char *group, *name;
        int64_t least, *value;
    } ints[] = {
        {vision, "image_size", 1, &c->image_size},   {vision, "patch_size", 1, &c->patch_size},
        {text, "vocab_size", 1, &c->vocab_size},     {text, "max_position_embeddings", 1, &c->context},
        {text, "eos_token_id", 0, &c->eos_token_id}, {text, "bos_token_id", 0, &c->bos_token_id},
        {text, "pad_token_id", 0, &c->pad_token_id},
    };
    for (size_t i = 0; i < sizeof ints / sizeof *ints; i++) {
        char field[128];
        snprintf(field, sizeof field, "%s.%s", ints[i].group, ints[i].name);
        TH_TRY(th_json_int(j, field, ints[i].least, (int64_t)1 << 31, ints[i].value));
    }
    int64_t channels = 3;
    TH_TRY(th_json_int(j, "vision_config.num_channels", 1, MOST, &channels));
    if (channels != 3) return th_json_fail(j, "vision_config.num_channels", "3");
    double scale = (double)c->logit_scale;
    TH_TRY(th_json_int(j, "projection_dim", 1, MOST, &c->projection));
    TH_TRY(th_json_double(j, "logit_scale_init_value", &scale));
    c->logit_scale = (float)scale;
    return TH_OK;
}

/* open_clip_config.json: one MLP ratio and head width for all, gelu unless "quick_gelu" is set; a text ends at its
 * largest id. */
static th_status read_open_clip(const th_json *j, th_clip_config *c) {
    int64_t head = 64;
    double ratio = 4.0, text_ratio = 4.0;
    bool quick = false;
    c->eos_token_id = 2;
    c->vision = (th_clip_tower){768, 12, 12, 3072, false, 1e-5f};
    json_t *layers = NULL, *object = NULL;
    TH_TRY(th_json_require(j, "model_cfg.vision_cfg"));
    TH_TRY(th_json_require(j, "model_cfg.text_cfg"));
    TH_TRY(th_json_object(j, "model_cfg.vision_cfg", &object));
    layers = json_object_get(object, "layers");
    if (json_is_array(layers) || json_object_get(object, "timm_model_name"))
        return th_fail(TH_E_INPUT, "%s: field 'model_cfg.vision_cfg' is no plain ViT", j->file);
    TH_TRY(th_json_int(j, "model_cfg.embed_dim", 1, MOST, &c->projection));
    TH_TRY(th_json_bool(j, "model_cfg.quick_gelu", &quick));
    TH_TRY(th_json_int(j, "model_cfg.vision_cfg.image_size", 1, MOST, &c->image_size));
    TH_TRY(th_json_int(j, "model_cfg.vision_cfg.patch_size", 1, MOST, &c->patch_size));
    TH_TRY(th_json_int(j, "model_cfg.vision_cfg.width", 1, MOST, &c->vision.width));
    TH_TRY(th_json_int(j, "model_cfg.vision_cfg.layers", 1, MOST, &c->vision.layers));
    TH_TRY(th_json_int(j, "model_cfg.vision_cfg.head_width", 1, MOST, &head));
    TH_TRY(th_json_double(j, "model_cfg.vision_cfg.mlp_ratio", &ratio));
    TH_TRY(th_json_int(j, "model_cfg.text_cfg.context_length", 1, MOST, &c->context));
    TH_TRY(th_json_int(j, "model_cfg.text_cfg.vocab_size", 1, MOST, &c->vocab_size));
    TH_TRY(th_json_int(j, "model_cfg.text_cfg.width", 1, MOST, &c->text.width));
    TH_TRY(th_json_int(j, "model_cfg.text_cfg.heads", 1, MOST, &c->text.heads));
    TH_TRY(th_json_int(j, "model_cfg.text_cfg.layers", 1, MOST, &c->text.layers));
    TH_TRY(th_json_double(j, "model_cfg.text_cfg.mlp_ratio", &text_ratio));
    if (!(ratio > 0 && ratio < 64)) return th_json_fail(j, "model_cfg.vision_cfg.mlp_ratio", "between 0 and 64");
    if (!(text_ratio > 0 && text_ratio < 64))
        return th_json_fail(j, "model_cfg.text_cfg.mlp_ratio", "between 0 and 64");
    c->vision.heads = c->vision.width / head;
    c->vision.mlp = (int64_t)((double)c->vision.width * ratio);
    c->text.mlp = (int64_t)((double)c->text.width * text_ratio);
    c->vision.quick_gelu = c->text.quick_gelu = quick;
    return TH_OK;
}

th_status th_clip_read_config(const char *dir, th_clip_config *c, bool *open_clip) {
    char path[TH_PATH_MAX];
    TH_TRY(th_path_join(path, dir, "config.json"));
    *open_clip = false;
    if (!th_path_exists(path)) {
        char other[TH_PATH_MAX];
        TH_TRY(th_path_join(other, dir, "open_clip_config.json"));
        if (!th_path_exists(other))
            return th_fail(TH_E_INPUT, "%s: %s", dir,
                           th_path_is_dir(dir) ? "has neither config.json nor open_clip_config.json"
                                               : "is no folder with a model in it");
        *open_clip = true;
        memcpy(path, other, sizeof path);
    }
    th_clip_config_init(c);
    th_json j = {0};
    TH_TRY(th_json_load(path, TH_JSON_MAX, &j));
    th_status s = *open_clip ? read_open_clip(&j, c) : read_hugging_face(&j, c);
    if (s == TH_OK) s = th_fail_in(th_clip_check(c), "%s", path);
    th_json_free(&j);
    return s;
}

th_status th_clip_load_config(const char *dir, th_clip_config *out) {
    bool open_clip;
    return th_clip_read_config(dir, out, &open_clip);
}

static json_t *tower_json(const th_clip_tower *t, const char *type, int64_t projection) {
    return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:s, s:f, s:f}", "model_type", type, "hidden_size",
                     (json_int_t)t->width, "intermediate_size", (json_int_t)t->mlp, "num_hidden_layers",
                     (json_int_t)t->layers, "num_attention_heads", (json_int_t)t->heads, "projection_dim",
                     (json_int_t)projection, "hidden_act", t->quick_gelu ? "quick_gelu" : "gelu", "layer_norm_eps",
                     round((double)t->eps * 1e12) / 1e12, "attention_dropout", 0.0);
}

th_status th_clip_write_config(const th_clip_config *c, const char *dir, const char *dtype) {
    char path[TH_PATH_MAX];
    TH_TRY(th_path_join(path, dir, "config.json"));
    json_t *vision = tower_json(&c->vision, "clip_vision_model", c->projection);
    json_t *text = tower_json(&c->text, "clip_text_model", c->projection);
    json_t *j = json_pack("{s:[s], s:s, s:I, s:f, s:s, s:o?, s:o?}", "architectures", "CLIPModel", "model_type", "clip",
                          "projection_dim", (json_int_t)c->projection, "logit_scale_init_value",
                          round((double)c->logit_scale * 1e6) / 1e6, "torch_dtype", dtype, "text_config", text,
                          "vision_config", vision);
    int bad = !j || json_object_set_new(vision, "image_size", json_integer(c->image_size)) ||
              json_object_set_new(vision, "patch_size", json_integer(c->patch_size)) ||
              json_object_set_new(vision, "num_channels", json_integer(3)) ||
              json_object_set_new(text, "vocab_size", json_integer(c->vocab_size)) ||
              json_object_set_new(text, "max_position_embeddings", json_integer(c->context)) ||
              json_object_set_new(text, "bos_token_id", json_integer(c->bos_token_id)) ||
              json_object_set_new(text, "eos_token_id", json_integer(c->eos_token_id)) ||
              json_object_set_new(text, "pad_token_id", json_integer(c->pad_token_id));
    th_status s = bad ? th_fail_memory() : th_json_write(path, j);
    json_decref(j);
    return s;
}
