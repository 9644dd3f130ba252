/* Projections of cross-attentions in files. */
#include "personalize/custom_file.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "format/json.h"
#include "format/safetensors.h"
#include "model/weights.h"

#define NAME_ROOM 320

/* The parameter's end and the tensor's: PATH.attn2.to_k.weight ↔ PATH.attn2.processor.to_k_custom_diffusion.weight. */
static const struct {
    const char *param, *tensor;
} ends[] = {
    {".attn2.to_k.weight", ".attn2.processor.to_k_custom_diffusion.weight"},
    {".attn2.to_v.weight", ".attn2.processor.to_v_custom_diffusion.weight"},
};
enum { ENDS = sizeof ends / sizeof *ends };

static const char *swap_end(const char *name, const char *old, const char *new, char out[NAME_ROOM]) {
    size_t n = strlen(name), m = strlen(old);
    if (n < m || strcmp(name + n - m, old)) return NULL;
    snprintf(out, NAME_ROOM, "%.*s%s", (int)(n - m), name, new);
    return out;
}

static const char *tensor_of(const char *param, char out[NAME_ROOM]) {
    for (int i = 0; i < ENDS; i++)
        if (swap_end(param, ends[i].param, ends[i].tensor, out)) return out;
    return NULL;
}

static const char *param_of(const char *tensor, char out[NAME_ROOM]) {
    for (int i = 0; i < ENDS; i++)
        if (swap_end(tensor, ends[i].tensor, ends[i].param, out)) return out;
    return NULL;
}

bool th_custom_has(const char *param) {
    char name[NAME_ROOM];
    return tensor_of(param, name) != NULL;
}

/* ---- writing */

static void declare(th_safetensors_writer *w, const th_params *ps, th_st_dtype dtype) {
    char name[NAME_ROOM];
    for (int64_t i = 0; i < th_params_count(ps); i++) {
        const th_param *p = th_params_at(ps, i);
        const th_desc *d = th_param_desc(p);
        if (tensor_of(th_param_name(p), name)) th_safetensors_declare(w, name, dtype, d->rank, d->dim);
        if (swap_end(th_param_name(p), ".attn1.to_k.weight", ".attn1.processor", name))
            th_safetensors_declare(w, name, dtype, 1, (const int64_t[]){0});
    }
}

static th_status write_tensor(th_safetensors_writer *w, const th_st_tensor *t, const th_params *ps) {
    char name[NAME_ROOM];
    if (!t->count) return TH_OK;
    const th_param *p = th_params_find(ps, param_of(t->name, name));
    float *v = th_alloc((size_t)t->count, sizeof *v);
    th_status s = v ? th_param_get(p, v) : th_fail_memory();
    if (s == TH_OK) th_safetensors_add_f32(w, v, t->count);
    th_free(v);
    return s;
}

th_status th_custom_save(const th_unet *u, const char *dir, const char *dtype) {
    char path[TH_PATH_MAX];
    th_st_dtype type;
    th_safetensors_writer *w = NULL;
    TH_TRY(th_saved_dtype(dtype, &type, NULL));
    TH_TRY(th_make_dirs(dir));
    TH_TRY(th_path_join(path, dir, TH_CUSTOM_FILE));
    TH_TRY(th_safetensors_writer_new(path, 0, &w));
    declare(w, th_unet_params(u), type);
    th_status s = th_safetensors_begin(w);
    for (const th_st_tensor *t; s == TH_OK && (t = th_safetensors_next(w));) s = write_tensor(w, t, th_unet_params(u));
    if (s != TH_OK) return th_safetensors_abort(w), s;
    return th_safetensors_commit(w);
}

/* ---- reading */

static th_status fill(const th_safetensors *f, const char *path, const th_st_tensor *t, th_params *ps) {
    char name[NAME_ROOM], shown[TH_SHOWN_MAX];
    const th_st_tensor *same;
    if (!t->count && th_path_ends(t->name, ".processor")) return TH_OK;
    th_param *p = param_of(t->name, name) ? th_params_find(ps, name) : NULL;
    if (!p)
        return th_fail(TH_E_INPUT, "%s: tensor '%s' is no projection of a cross-attention of this model", path,
                       th_shown(shown, t->name, strlen(t->name)));
    TH_TRY(th_safetensors_want(f, t->name, th_param_desc(p)->rank, th_param_desc(p)->dim, &same));
    float *v = th_alloc((size_t)t->count, sizeof *v);
    if (!v) return th_fail_memory();
    th_status s = th_st_to_f32(t, 0, t->count, v);
    if (s == TH_OK) s = th_param_set(p, v);
    th_free(v);
    return s;
}

th_status th_custom_read(const th_safetensors *f, const char *name, th_unet *u) {
    for (int64_t i = 0; i < th_safetensors_count(f); i++)
        TH_TRY(fill(f, name, th_safetensors_at(f, i), th_unet_params(u)));
    return TH_OK;
}

th_status th_custom_load(const char *path, th_unet *u) {
    char inside[TH_PATH_MAX];
    th_safetensors *f = NULL;
    if (th_path_is_dir(path)) {
        TH_TRY(th_path_join(inside, path, TH_CUSTOM_FILE));
        path = inside;
    }
    TH_TRY(th_safetensors_open(path, NULL, &f));
    th_status s = th_custom_read(f, path, u);
    th_safetensors_close(f);
    return s;
}
