/* The text encoder's folder: config.json and model.safetensors, as transformers' CLIPTextModel has them. */
#include "model/text_encoder_files.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "model/clip_files.h"
#include "model/clip_tower.h"

#define CONFIG_MAX ((size_t)16 << 20)

th_status th_text_encoder_check(const th_text_encoder_config *c) {
    TH_TRY(th_clip_tower_check("text encoder", &c->tower));
    TH_TRY(th_clip_size_check("text encoder", "vocabulary", c->vocab_size, TH_CLIP_MOST_VOCAB));
    return th_clip_size_check("text encoder", "context", c->context, TH_CLIP_MOST_CONTEXT);
}

/* transformers' defaults for what a file leaves out. */
static void set_defaults(th_text_encoder_config *c) {
    th_text_encoder_config_init(c);
    c->tower = (th_clip_tower){512, 8, 12, 2048, true, 1e-5f};
    c->projection_dim = 512;
}

/* The config of a text model, or that of a whole CLIP model with the text's part in "text_config". */
static th_status parse(const th_json *j, th_text_encoder_config *c) {
    const char *type = "clip_text_model", *group = "";
    TH_TRY(th_json_string(j, "model_type", &type));
    if (strcmp(type, "clip_text_model") && strcmp(type, "clip"))
        return th_json_fail(j, "model_type", "\"clip_text_model\": no other text encoder is known here");
    if (th_json_has(j, "text_config_dict"))
        group = "text_config_dict";
    else if (th_json_has(j, "text_config"))
        group = "text_config";
    TH_TRY(th_clip_tower_read(j, group, &c->tower));
    const struct {
        const char *name;
        int64_t least, most, *value;
    } ints[] = {
        {"vocab_size", 1, TH_CLIP_MOST_VOCAB, &c->vocab_size},
        {"max_position_embeddings", 1, TH_CLIP_MOST_CONTEXT, &c->context},
        {"bos_token_id", 0, TH_CLIP_MOST_VOCAB, &c->bos_token_id},
        {"eos_token_id", 0, TH_CLIP_MOST_VOCAB, &c->eos_token_id},
        {"pad_token_id", 0, TH_CLIP_MOST_VOCAB, &c->pad_token_id},
        {"projection_dim", 0, TH_CLIP_MOST_WIDTH, &c->projection_dim},
    };
    for (size_t i = 0; i < sizeof ints / sizeof *ints; i++) {
        char field[TH_CLIP_FIELD];
        TH_TRY(th_json_int(j, th_clip_field(field, group, ints[i].name), ints[i].least, ints[i].most, ints[i].value));
    }
    return th_fail_in(th_text_encoder_check(c), "%s", j->file);
}

th_status th_text_encoder_parse_config(const char *name, const char *text, size_t length, th_text_encoder_config *c) {
    th_json j = {0};
    set_defaults(c);
    TH_TRY(th_json_parse(name, text, length, &j));
    th_status s = parse(&j, c);
    th_json_free(&j);
    return s;
}

th_status th_text_encoder_read_config(const char *dir, th_text_encoder_config *c) {
    char path[TH_PATH_MAX];
    th_bytes text;
    TH_TRY(th_path_join(path, dir, "config.json"));
    TH_TRY(th_file_read(path, CONFIG_MAX, &text));
    th_status s = th_text_encoder_parse_config(path, text.data, text.length, c);
    th_free(text.data);
    return s;
}

th_status th_text_encoder_write_config(const th_text_encoder_config *c, const char *dir, const char *dtype) {
    char path[TH_PATH_MAX];
    th_st_dtype type;
    const char *torch = NULL;
    TH_TRY(th_saved_dtype(dtype, &type, &torch));
    TH_TRY(th_path_join(path, dir, "config.json"));
    json_t *j = th_clip_tower_json(&c->tower, "clip_text_model", c->projection_dim);
    const struct {
        const char *name;
        int64_t value;
    } ints[] = {{"vocab_size", c->vocab_size},
                {"max_position_embeddings", c->context},
                {"bos_token_id", c->bos_token_id},
                {"eos_token_id", c->eos_token_id},
                {"pad_token_id", c->pad_token_id}};
    int bad = !j || json_object_set_new(j, "architectures", json_pack("[s]", "CLIPTextModel")) ||
              json_object_set_new(j, "torch_dtype", json_string(torch));
    for (size_t i = 0; !bad && i < sizeof ints / sizeof *ints; i++)
        bad = json_object_set_new(j, ints[i].name, json_integer(ints[i].value));
    th_status s = bad ? th_fail_memory() : th_json_write(path, j);
    json_decref(j);
    return s;
}

/* transformers 5 writes the names without "text_model." in front. */
th_status th_text_encoder_weight_source(const void *model, const th_param *p, th_weight_source *out) {
    TH_TRY(th_weight_as_is(model, p, out));
    snprintf(out->old_name, sizeof out->old_name, "%s", out->name + strlen("text_model."));
    return TH_OK;
}

/* What a whole CLIP model has beside its text encoder, and CLIPTextModelWithProjection. */
static bool is_of_clip(const char *name) {
    static const char *const others[] = {"vision_model.", "visual_projection.", "text_projection.", "logit_scale"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (!strncmp(name, others[i], strlen(others[i]))) return true;
    return false;
}

th_status th_text_encoder_load(th_text_encoder *e, const char *dir, const char *variant) {
    return th_weights_load_whole(dir, variant, th_text_encoder_params(e), th_text_encoder_weight_source, e, is_of_clip);
}

th_status th_text_encoder_save(const th_text_encoder *e, const char *dir, const char *dtype) {
    char path[TH_PATH_MAX];
    TH_TRY(th_make_dirs(dir));
    TH_TRY(th_path_join(path, dir, "model.safetensors"));
    TH_TRY(th_weights_save(path, th_text_encoder_params(e), th_text_encoder_weight_source, e, dtype));
    return th_text_encoder_write_config(th_text_encoder_get_config(e), dir, dtype);
}
