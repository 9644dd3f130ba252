/* The folder: model_index.json, its parts' files, and writing it whole. */
#include "diffusion/sd_files.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "diffusion/sampler.h"
#include "format/json.h"
#include "model/weights.h"

#define INDEX_MAX ((size_t)1 << 20)
#define INDEX "model_index.json"

/* --- model_index.json --- */

static const struct {
    const char *name, *library, *class_name, *other; /* other: a class that reads the same files */
} parts[] = {
    {"scheduler", "diffusers", NULL, NULL}, /* its own config names the class */
    {"text_encoder", "transformers", "CLIPTextModel", "CLIPTextModelWithProjection"},
    {"tokenizer", "transformers", "CLIPTokenizer", "CLIPTokenizerFast"},
    {"unet", "diffusers", "UNet2DConditionModel", NULL},
    {"vae", "diffusers", "AutoencoderKL", NULL},
};
enum { PARTS = sizeof parts / sizeof *parts };

/* The class that [library, class] names, or NULL for [null, null] and what is no such pair. */
static const char *class_of(const json_t *pair) {
    return json_array_size(pair) == 2 ? json_string_value(json_array_get(pair, 1)) : NULL;
}

static th_status check_part(const th_json *j, int i) {
    char what[160];
    const char *name = class_of(json_object_get(j->root, parts[i].name));
    if (name && (!parts[i].class_name || !strcmp(name, parts[i].class_name) ||
                 (parts[i].other && !strcmp(name, parts[i].other))))
        return TH_OK;
    snprintf(what, sizeof what, "[\"%s\", \"%s\"]: no other is supported", parts[i].library,
             parts[i].class_name ? parts[i].class_name : "…Scheduler");
    return th_json_fail(j, parts[i].name, what);
}

/* Parts that judge finished pictures do not change what is drawn. */
static bool is_ignored(const char *key) {
    static const char *const ignored[] = {"feature_extractor", "safety_checker", "image_encoder"};
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
        if (!strcmp(key, ignored[i])) return true;
    for (int i = 0; i < PARTS; i++)
        if (!strcmp(key, parts[i].name)) return true;
    return *key == '_';
}

static th_status check_index(const th_json *j) {
    const char *class_name = NULL, *key;
    json_t *v;
    TH_TRY(th_json_require(j, "_class_name"));
    TH_TRY(th_json_string(j, "_class_name", &class_name));
    if (strcmp(class_name, "StableDiffusionPipeline") != 0)
        return th_json_fail(j, "_class_name", "\"StableDiffusionPipeline\": no other pipeline is supported");
    for (int i = 0; i < PARTS; i++) TH_TRY(check_part(j, i));
    json_object_foreach(j->root, key, v) {
        char shown[TH_SHOWN_MAX];
        if (is_ignored(key) || !class_of(v)) continue;
        return th_json_fail(j, th_shown(shown, key, strlen(key)), "left out: such a part is not supported");
    }
    return TH_OK;
}

th_status th_sd_parse_index(const char *name, const char *text, size_t length) {
    th_json j = {0};
    TH_TRY(th_json_parse(name, text, length, &j));
    th_status s = check_index(&j);
    th_json_free(&j);
    return s;
}

bool th_sd_is_folder(const char *dir) {
    char path[TH_PATH_MAX];
    return th_path_join(path, dir, INDEX) == TH_OK && th_path_exists(path);
}

th_status th_sd_check_index(const char *dir) {
    char path[TH_PATH_MAX];
    th_bytes text;
    TH_TRY(th_path_join(path, dir, INDEX));
    if (!th_path_exists(path))
        return th_fail(TH_E_INPUT, "%s: %s", dir,
                       th_path_is_dir(dir) ? "has no " INDEX
                                             ": a Stable Diffusion folder in diffusers' layout is wanted"
                                           : "is no folder with a model in it");
    TH_TRY(th_file_read(path, INDEX_MAX, &text));
    th_status s = th_sd_parse_index(path, text.data, text.length);
    th_free(text.data);
    return s;
}

static json_t *class_pair(const char *library, const char *name) { return json_pack("[s?, s?]", library, name); }

static th_status write_index(const th_scheduler_config *scheduler, const char *dir) {
    char path[TH_PATH_MAX];
    TH_TRY(th_path_join(path, dir, INDEX));
    json_t *j = json_pack("{s:s, s:s, s:o, s:b, s:o}", "_class_name", "StableDiffusionPipeline", "_diffusers_version",
                          "0.35.0", "feature_extractor", class_pair(NULL, NULL), "requires_safety_checker", 0,
                          "safety_checker", class_pair(NULL, NULL));
    int bad = !j;
    for (int i = 0; i < PARTS && !bad; i++) {
        const char *name = parts[i].class_name;
        if (!name) name = scheduler->row->class_name;
        bad = json_object_set_new(j, parts[i].name, class_pair(parts[i].library, name));
    }
    th_status s = bad ? th_fail_memory() : th_json_write(path, j);
    json_decref(j);
    return s;
}

/* --- parts --- */

th_status th_sd_part_dir(const char *dir, const char *part, char *path) {
    TH_TRY(th_path_join(path, dir, part));
    if (th_path_is_dir(path)) return TH_OK;
    return th_fail(TH_E_INPUT, "%s: has no folder '%s'", dir, part);
}

static const struct {
    const char *name, *stem;
    unsigned flag;
} models[] = {{"unet", "diffusion_pytorch_model", TH_SD_UNET},
              {"vae", "diffusion_pytorch_model", TH_SD_VAE},
              {"text_encoder", "model", TH_SD_TEXT}};
enum { MODELS = sizeof models / sizeof *models };

th_status th_sd_hash_parts(const char *dir, const char *variant, const atomic_bool *stop, char out[TH_HASH_TEXT]) {
    char path[TH_PATH_MAX];
    th_hash h;
    th_hash_init(&h);
    for (int i = 0; i < MODELS; i++) {
        TH_TRY(th_sd_part_dir(dir, models[i].name, path));
        TH_TRY(th_weights_hash(path, variant, stop, &h));
    }
    th_hash_text(&h, out);
    return TH_OK;
}

th_status th_sd_weights_hash(const char *dir, char out[TH_HASH_TEXT]) { return th_sd_hash_parts(dir, NULL, NULL, out); }

/* --- writing --- */

static th_status copy_file(const char *from, const char *to) {
    th_mapping m;
    th_writer *w = NULL;
    TH_TRY(th_file_map(from, &m));
    th_status s = th_writer_open(to, &w);
    if (s == TH_OK) {
        th_writer_add(w, m.data, m.length);
        s = th_writer_commit(w);
    }
    th_file_unmap(&m);
    return s;
}

static th_status copy_named(const char *from, const char *to, const char *name, const char *new_name) {
    char a[TH_PATH_MAX], b[TH_PATH_MAX];
    TH_TRY(th_path_join(a, from, name));
    TH_TRY(th_path_join(b, to, new_name));
    return copy_file(a, b);
}

/* The files of the weights, under names without a variant: one file, or shards, which keep the names that the index
 * gives them, and the index. */
static th_status copy_weights(const char *from, const char *to, const char *stem, const char *variant) {
    char single[TH_PATH_MAX], name[160], plain[160];
    snprintf(name, sizeof name, "%s%s%s.safetensors", stem, variant ? "." : "", variant ? variant : "");
    snprintf(plain, sizeof plain, "%s.safetensors", stem);
    TH_TRY(th_path_join(single, from, name));
    if (th_path_exists(single)) return copy_named(from, to, name, plain);
    th_safetensors *f = NULL;
    TH_TRY(th_safetensors_open(from, variant, &f));
    th_status s = TH_OK;
    const char *last = NULL;
    for (int64_t i = 0; i < th_safetensors_count(f) && s == TH_OK; i++) {
        const char *file = th_safetensors_at(f, i)->file; /* tensors of one file follow each other */
        if (file != last) s = copy_named(from, to, th_path_base(file), th_path_base(file));
        last = file;
    }
    th_safetensors_close(f);
    snprintf(name, sizeof name, "%s.safetensors.index%s%s.json", stem, variant ? "." : "", variant ? variant : "");
    snprintf(plain, sizeof plain, "%s.safetensors.index.json", stem);
    return s == TH_OK ? copy_named(from, to, name, plain) : s;
}

static th_status copy_part(const th_sd *sd, int i, const char *to) {
    char from[TH_PATH_MAX], found[TH_VARIANT_MAX];
    const char *variant = sd->variant;
    TH_TRY(th_sd_part_dir(sd->dir, models[i].name, from));
    TH_TRY(th_weights_find_variant(from, found));
    if (!variant && *found) variant = found;
    TH_TRY(copy_weights(from, to, models[i].stem, variant));
    return copy_named(from, to, "config.json", "config.json");
}

/* Whether two paths are one folder. */
static bool same_folder(const char *a, const char *b) {
    char *x = realpath(a, NULL), *y = realpath(b, NULL);
    bool same = x && y && !strcmp(x, y);
    free(x);
    free(y);
    return same;
}

static th_status save_model(const th_sd *sd, int i, const char *path, const char *dtype) {
    switch (models[i].flag) {
    case TH_SD_UNET: return th_unet_save(sd->unet, path, dtype);
    case TH_SD_VAE: return th_vae_save(sd->vae, path, dtype);
    default: return th_text_encoder_save(sd->text, path, dtype);
    }
}

static th_status save_models(const th_sd *sd, const char *dir, const char *dtype, unsigned same) {
    char path[TH_PATH_MAX];
    bool in_place = sd->dir && same_folder(sd->dir, dir);
    for (int i = 0; i < MODELS; i++) {
        bool copied = (same & models[i].flag) && sd->dir;
        TH_TRY(th_path_join(path, dir, models[i].name));
        TH_TRY(th_make_dirs(path));
        if (copied && in_place) continue;
        TH_TRY(copied ? copy_part(sd, i, path) : save_model(sd, i, path, dtype));
    }
    return TH_OK;
}

th_status th_sd_write_rest(const th_scheduler_config *scheduler, const th_tokenizer *t, const char *dir) {
    char path[TH_PATH_MAX];
    TH_TRY(th_path_join(path, dir, "scheduler"));
    TH_TRY(th_make_dirs(path));
    TH_TRY(th_scheduler_write_config(scheduler, path));
    TH_TRY(th_path_join(path, dir, "tokenizer"));
    TH_TRY(th_tokenizer_save(t, path));
    return write_index(scheduler, dir);
}

th_status th_sd_save(const th_sd *sd, const char *dir, const char *dtype, unsigned same) {
    TH_TRY(th_make_dirs(dir));
    TH_TRY(save_models(sd, dir, dtype, same));
    return th_sd_write_rest(&sd->scheduler, sd->tokenizer, dir);
}
