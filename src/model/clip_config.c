/* config.json of Hugging Face's CLIPModel, with transformers' defaults for what it leaves out. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "format/json.h"
#include "model/clip_files.h"
#include "model/clip_tower.h"

#define CONFIG_MAX ((size_t)16 << 20) /* bytes; a model card's worth of labels fits a hundred times */

/* Old files have "…_config_dict" beside "…_config", which wins whole. */
static th_status read_hugging_face(const th_json *j, th_clip_config *c) {
    const char *type = "clip";
    TH_TRY(th_json_string(j, "model_type", &type));
    if (strcmp(type, "clip")) return th_json_fail(j, "model_type", "\"clip\"");
    const char *vision = th_json_has(j, "vision_config_dict") ? "vision_config_dict" : "vision_config";
    const char *text = th_json_has(j, "text_config_dict") ? "text_config_dict" : "text_config";
    TH_TRY(th_clip_tower_read(j, vision, &c->vision));
    TH_TRY(th_clip_tower_read(j, text, &c->text));
    int64_t channels = 3;
    const struct {
        const char *group, *name;
        int64_t least, most, *value;
    } ints[] = {
        {vision, "image_size", 1, TH_CLIP_MOST_SIDE, &c->image_size},
        {vision, "patch_size", 1, TH_CLIP_MOST_SIDE, &c->patch_size},
        {vision, "num_channels", 3, 3, &channels},
        {text, "vocab_size", 1, TH_CLIP_MOST_VOCAB, &c->vocab_size},
        {text, "max_position_embeddings", 1, TH_CLIP_MOST_CONTEXT, &c->context},
        {text, "eos_token_id", 0, TH_CLIP_MOST_VOCAB, &c->eos_token_id},
        {text, "bos_token_id", 0, TH_CLIP_MOST_VOCAB, &c->bos_token_id},
        {text, "pad_token_id", 0, TH_CLIP_MOST_VOCAB, &c->pad_token_id},
    };
    for (size_t i = 0; i < sizeof ints / sizeof *ints; i++) {
        char field[128];
        snprintf(field, sizeof field, "%s.%s", ints[i].group, ints[i].name);
        TH_TRY(th_json_int(j, field, ints[i].least, ints[i].most, ints[i].value));
    }
    double scale = (double)c->logit_scale;
    TH_TRY(th_json_int(j, "projection_dim", 1, TH_CLIP_MOST_WIDTH, &c->projection));
    TH_TRY(th_json_double(j, "logit_scale_init_value", &scale));
    if (!(fabs(scale) <= TH_CLIP_MOST_SCALE)) return th_json_fail(j, "logit_scale_init_value", "in [-80, 80]");
    c->logit_scale = (float)scale;
    return TH_OK;
}

/* Options of OpenCLIP that make something else of a ViT, most of them without a trace in the weights' shapes. */
static th_status check_plain(const th_json *j) {
    static const struct {
        const char *group, *name, *plain; /* plain: the value that changes nothing */
    } rows[] = {
        {"vision_cfg", "timm_model_name", NULL},
        {"vision_cfg", "pool_type", "tok"},
        {"vision_cfg", "ls_init_value", NULL},
        {"vision_cfg", "global_average_pool", NULL},
        {"vision_cfg", "attentional_pool", NULL},
        {"vision_cfg", "no_ln_pre", NULL},
        {"vision_cfg", "final_ln_after_pool", NULL},
        {"vision_cfg", "act_kwargs", NULL},
        {"text_cfg", "hf_model_name", NULL},
        {"text_cfg", "pool_type", "argmax"},
        {"text_cfg", "ls_init_value", NULL},
        {"text_cfg", "no_causal_mask", NULL},
        {"text_cfg", "embed_cls", NULL},
        {"text_cfg", "act_kwargs", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char group[64], field[128];
        json_t *object = NULL;
        snprintf(group, sizeof group, "model_cfg.%s", rows[i].group);
        TH_TRY(th_json_object(j, group, &object));
        const json_t *v = json_object_get(object, rows[i].name);
        const char *text = json_string_value(v), *plain = rows[i].plain;
        if (!v || json_is_null(v) || json_is_false(v) || (plain && text && !strcmp(text, plain))) continue;
        snprintf(field, sizeof field, "%s.%s", group, rows[i].name);
        return th_json_fail(j, field, "left out: only plain ViTs are known");
    }
    return TH_OK;
}

/* One tower of open_clip_config.json. The width of the MLP is cut to a whole number, as Python's int() does. */
static th_status read_open_clip_tower(const th_json *j, const char *group, th_clip_tower *t) {
    char field[128];
    double ratio = 4.0, eps = 1e-5;
    snprintf(field, sizeof field, "%s.width", group);
    TH_TRY(th_json_int(j, field, 1, TH_CLIP_MOST_WIDTH, &t->width));
    snprintf(field, sizeof field, "%s.layers", group);
    TH_TRY(th_json_int(j, field, 1, TH_CLIP_MOST_LAYERS, &t->layers));
    snprintf(field, sizeof field, "%s.norm_kwargs.eps", group);
    TH_TRY(th_json_double(j, field, &eps));
    if (!(eps >= 0 && eps < 1)) return th_json_fail(j, field, "in [0, 1)");
    snprintf(field, sizeof field, "%s.mlp_ratio", group);
    TH_TRY(th_json_double(j, field, &ratio));
    if (!(ratio > 0 && ratio < 64)) return th_json_fail(j, field, "between 0 and 64");
    t->eps = (float)eps;
    t->mlp = (int64_t)((double)t->width * ratio);
    return TH_OK;
}

/* open_clip_config.json: gelu unless "quick_gelu" is set; a text ends at its largest id. */
static th_status read_open_clip(const th_json *j, th_clip_config *c) {
    static const char vision[] = "model_cfg.vision_cfg", text[] = "model_cfg.text_cfg";
    int64_t head = 64;
    bool quick = false;
    c->eos_token_id = 2;
    c->patch_size = 16;
    json_t *object = NULL;
    TH_TRY(th_json_require(j, vision));
    TH_TRY(th_json_require(j, text));
    TH_TRY(check_plain(j));
    TH_TRY(th_json_object(j, vision, &object));
    if (json_is_array(json_object_get(object, "layers")))
        return th_json_fail(j, "model_cfg.vision_cfg.layers", "a number: a list makes it a ResNet");
    TH_TRY(th_json_int(j, "model_cfg.embed_dim", 1, TH_CLIP_MOST_WIDTH, &c->projection));
    TH_TRY(th_json_bool(j, "model_cfg.quick_gelu", &quick));
    TH_TRY(read_open_clip_tower(j, vision, &c->vision));
    TH_TRY(read_open_clip_tower(j, text, &c->text));
    TH_TRY(th_json_int(j, "model_cfg.vision_cfg.image_size", 1, TH_CLIP_MOST_SIDE, &c->image_size));
    TH_TRY(th_json_int(j, "model_cfg.vision_cfg.patch_size", 1, TH_CLIP_MOST_SIDE, &c->patch_size));
    TH_TRY(th_json_int(j, "model_cfg.vision_cfg.head_width", 1, c->vision.width, &head));
    TH_TRY(th_json_int(j, "model_cfg.text_cfg.heads", 1, TH_CLIP_MOST_WIDTH, &c->text.heads));
    TH_TRY(th_json_int(j, "model_cfg.text_cfg.context_length", 1, TH_CLIP_MOST_CONTEXT, &c->context));
    TH_TRY(th_json_int(j, "model_cfg.text_cfg.vocab_size", 1, TH_CLIP_MOST_VOCAB, &c->vocab_size));
    if (head > c->vision.width) return th_json_fail(j, "model_cfg.vision_cfg.width", "at least a head's width");
    c->vision.heads = c->vision.width / head;
    c->vision.quick_gelu = c->text.quick_gelu = quick;
    return TH_OK;
}

th_status th_clip_parse_config(const char *name, const char *text, size_t length, bool open_clip, th_clip_config *c) {
    th_json j = {0};
    th_clip_config_init(c);
    TH_TRY(th_json_parse(name, text, length, &j));
    th_status s = open_clip ? read_open_clip(&j, c) : read_hugging_face(&j, c);
    if (s == TH_OK) s = th_fail_in(th_clip_check(c), "%s", name);
    th_json_free(&j);
    return s;
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
    th_bytes text;
    TH_TRY(th_file_read(path, CONFIG_MAX, &text));
    th_status s = th_clip_parse_config(path, text.data, text.length, *open_clip, c);
    th_free(text.data);
    return s;
}

th_status th_clip_load_config(const char *dir, th_clip_config *out) {
    bool open_clip;
    return th_clip_read_config(dir, out, &open_clip);
}

th_status th_clip_print_config(const th_clip_config *c, const char *dtype, th_str *out) {
    json_t *vision = th_clip_tower_json(&c->vision, "clip_vision_model", c->projection);
    json_t *text = th_clip_tower_json(&c->text, "clip_text_model", c->projection);
    json_t *j =
        json_pack("{s:[s], s:s, s:I, s:f, s:s, s:o?, s:o?}", "architectures", "CLIPModel", "model_type", "clip",
                  "projection_dim", (json_int_t)c->projection, "logit_scale_init_value", th_shortest(c->logit_scale),
                  "torch_dtype", dtype, "text_config", text, "vision_config", vision);
    int bad = !j || json_object_set_new(vision, "image_size", json_integer(c->image_size)) ||
              json_object_set_new(vision, "patch_size", json_integer(c->patch_size)) ||
              json_object_set_new(vision, "num_channels", json_integer(3)) ||
              json_object_set_new(text, "vocab_size", json_integer(c->vocab_size)) ||
              json_object_set_new(text, "max_position_embeddings", json_integer(c->context)) ||
              json_object_set_new(text, "bos_token_id", json_integer(c->bos_token_id)) ||
              json_object_set_new(text, "eos_token_id", json_integer(c->eos_token_id)) ||
              json_object_set_new(text, "pad_token_id", json_integer(c->pad_token_id));
    th_status s = bad ? th_fail_memory() : th_json_text(j, 2, out);
    th_str_puts(out, "\n");
    json_decref(j);
    return s == TH_OK ? th_str_status(out) : s;
}

th_status th_clip_write_config(const th_clip_config *c, const char *dir, const char *dtype) {
    char path[TH_PATH_MAX];
    th_str text;
    TH_TRY(th_path_join(path, dir, "config.json"));
    th_str_init(&text, CONFIG_MAX);
    th_status s = th_clip_print_config(c, dtype, &text);
    if (s == TH_OK) s = th_file_write(path, text.data, text.length);
    th_str_free(&text);
    return s;
}
