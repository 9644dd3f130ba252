/* Low-rank additions in files. */
#include "personalize/lora_file.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "format/json.h"
#include "format/safetensors.h"
#include "model/weights.h"

#define PREFIX "unet."
#define METADATA "lora_adapter_metadata"
#define NAME_ROOM 320
#define RANK_MOST 4096

/* ---- writing */

/* What peft's LoraConfig is made from; the rest of it has its defaults. */
static th_status note_config(th_safetensors_writer *w, int64_t rank, float alpha) {
    th_str text;
    th_str_init(&text, 4096);
    json_t *j = json_pack("{s:f, s:I, s:[s, s, s, s]}", PREFIX "lora_alpha", (double)alpha, PREFIX "r",
                          (json_int_t)rank, PREFIX "target_modules", "to_k", "to_out.0", "to_q", "to_v");
    th_status s = j ? th_json_text(j, 2, &text) : th_fail_memory();
    if (s == TH_OK) th_safetensors_note(w, METADATA, th_str_text(&text));
    json_decref(j);
    th_str_free(&text);
    return s;
}

static th_status write_params(th_safetensors_writer *w, const th_params *ps, th_st_dtype dtype) {
    char name[NAME_ROOM];
    for (int64_t i = 0; i < th_params_count(ps); i++) {
        const th_param *p = th_params_at(ps, i);
        snprintf(name, sizeof name, PREFIX "%s", th_param_name(p));
        th_safetensors_declare(w, name, dtype, th_param_desc(p)->rank, th_param_desc(p)->dim);
    }
    TH_TRY(th_safetensors_begin(w));
    for (const th_st_tensor *t; (t = th_safetensors_next(w));) {
        const th_param *p = th_params_find(ps, t->name + strlen(PREFIX));
        float *v = th_alloc((size_t)t->count, sizeof *v);
        th_status s = v ? th_param_get(p, v) : th_fail_memory();
        if (s == TH_OK) th_safetensors_add_f32(w, v, t->count);
        th_free(v);
        TH_TRY(s);
    }
    return TH_OK;
}

th_status th_lora_save(const th_unet *u, float alpha, const char *dir, const char *dtype) {
    char path[TH_PATH_MAX];
    th_st_dtype type;
    th_safetensors_writer *w = NULL;
    const th_params *ps = th_unet_lora(u);
    if (!ps) return th_fail(TH_E_BUG, "the model has no low-rank additions");
    TH_TRY(th_saved_dtype(dtype, &type, NULL));
    TH_TRY(th_make_dirs(dir));
    TH_TRY(th_path_join(path, dir, TH_LORA_FILE));
    TH_TRY(th_safetensors_writer_new(path, 0, &w));
    th_status s = note_config(w, th_param_desc(th_params_at(ps, 0))->dim[0], alpha);
    if (s == TH_OK) s = write_params(w, ps, type);
    if (s != TH_OK) return th_safetensors_abort(w), s;
    return th_safetensors_commit(w);
}

/* ---- reading */

static bool is_down(const char *name) { return th_path_ends(name, ".lora_A.weight"); }

static th_status check_names(const th_safetensors *f, const char *path, int64_t *rank) {
    *rank = 0;
    for (int64_t i = 0; i < th_safetensors_count(f); i++) {
        const th_st_tensor *t = th_safetensors_at(f, i);
        char shown[TH_SHOWN_MAX];
        th_shown(shown, t->name, strlen(t->name));
        if (strncmp(t->name, PREFIX, strlen(PREFIX)))
            return th_fail(TH_E_INPUT,
                           "%s: tensor '%s' is none of the UNet's additions in diffusers' names (unet.….lora_A.weight)",
                           path, shown);
        if (!is_down(t->name)) continue;
        if (t->rank != 2 || t->shape[0] < 1 || t->shape[0] > RANK_MOST)
            return th_fail(TH_E_INPUT, "%s: tensor '%s' should be [rank, in], rank at most %d", path, shown, RANK_MOST);
        if (*rank && t->shape[0] != *rank)
            return th_fail(TH_E_INPUT, "%s: tensor '%s' has rank %lld, those before it %lld: one rank is wanted", path,
                           shown, (long long)t->shape[0], (long long)*rank);
        *rank = t->shape[0];
    }
    if (*rank) return TH_OK;
    return th_fail(TH_E_INPUT, "%s: holds no low-rank additions (unet.….lora_A.weight)", path);
}

static th_status read_alpha(const th_safetensors *f, const char *path, double *alpha) {
    const char *text = th_safetensors_metadata(f, METADATA);
    char name[TH_PATH_MAX];
    th_json j = {0};
    if (!text) return TH_OK;
    snprintf(name, sizeof name, "%.3000s: %s", path, METADATA);
    TH_TRY(th_json_parse(name, text, strlen(text), &j));
    json_t *v = json_object_get(j.root, PREFIX "lora_alpha"); /* the key has a dot of its own */
    th_status s = TH_OK;
    if (v && json_is_number(v) && json_number_value(v) > 0 && json_number_value(v) < 1e6)
        *alpha = json_number_value(v);
    else if (v && !json_is_null(v))
        s = th_fail(TH_E_INPUT, "%s: '" PREFIX "lora_alpha' should be a number above 0", name);
    th_json_free(&j);
    return s;
}

static th_status fill(const th_safetensors *f, const char *path, const th_st_tensor *t, th_params *ps) {
    th_param *p = th_params_find(ps, t->name + strlen(PREFIX));
    char shown[TH_SHOWN_MAX];
    const th_st_tensor *same;
    if (!p)
        return th_fail(TH_E_INPUT, "%s: tensor '%s' is for a place that the model does not have", path,
                       th_shown(shown, t->name, strlen(t->name)));
    TH_TRY(th_safetensors_want(f, t->name, th_param_desc(p)->rank, th_param_desc(p)->dim, &same));
    float *v = th_alloc((size_t)t->count, sizeof *v);
    if (!v) return th_fail_memory();
    th_status s = th_st_to_f32(t, 0, t->count, v);
    if (s == TH_OK) s = th_param_set(p, v);
    th_free(v);
    return s;
}

th_status th_lora_read(const th_safetensors *f, const char *path, float strength, th_unet *u) {
    int64_t rank;
    TH_TRY(check_names(f, path, &rank));
    double alpha = (double)rank;
    TH_TRY(read_alpha(f, path, &alpha));
    if (th_unet_lora(u)) return th_fail(TH_E_USAGE, "%s: the model has low-rank additions already", path);
    th_lora_params p = {.rank = rank, .alpha = strength * (float)alpha};
    TH_TRY(th_unet_add_lora(u, &p));
    for (int64_t i = 0; i < th_safetensors_count(f); i++)
        TH_TRY(fill(f, path, th_safetensors_at(f, i), th_unet_lora(u)));
    return TH_OK;
}

th_status th_lora_load(const char *path, float strength, th_unet *u) {
    char inside[TH_PATH_MAX];
    th_safetensors *f = NULL;
    if (th_path_is_dir(path)) {
        TH_TRY(th_path_join(inside, path, TH_LORA_FILE));
        path = inside;
    }
    TH_TRY(th_safetensors_open(path, NULL, &f));
    th_status s = th_lora_read(f, path, strength, u);
    th_safetensors_close(f);
    return s;
}
