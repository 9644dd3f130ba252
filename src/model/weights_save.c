/* Weights out. */
#include <stdio.h>
#include <string.h>

#include "base/map.h"
#include "base/memory.h"
#include "graph/param.h"
#include "model/weights.h"

th_status th_saved_dtype(const char *name, th_st_dtype *out, const char **torch) {
    static const struct {
        const char *name, *torch;
        th_st_dtype dtype;
    } types[] = {{"f32", "float32", TH_ST_F32}, {"f16", "float16", TH_ST_F16}, {"bf16", "bfloat16", TH_ST_BF16}};
    for (size_t k = 0; k < sizeof types / sizeof *types; k++) {
        if (strcmp(types[k].name, name) != 0) continue;
        *out = types[k].dtype;
        if (torch) *torch = types[k].torch;
        return TH_OK;
    }
    return th_fail(TH_E_USAGE, "'%s' is no dtype: f32, f16 or bf16", name);
}

/* The inverse for patches, which alone are written otherwise than they are. */
static void unpatch(const th_desc *d, const th_weight_source *s, const float *from, float *to) {
    int64_t columns = d->dim[1], area = s->shape[2] * s->shape[3];
    for (int64_t i = 0; i < d->dim[0]; i++)
        for (int64_t c = 0; c < 3; c++)
            for (int64_t k = 0; k < area; k++) to[i * columns + c * area + k] = from[i * columns + k * 3 + c];
}

/* What is written, and where values come from that parameters do not hold. */
typedef struct {
    const th_params *ps;
    th_weight_map map;
    const void *model;
    th_weight_maker make; /* NULL: they hold them */
    void *user;
    th_map *numbers; /* of parameters, by the names of their tensors */
} saving;

static th_status values_of(const saving *v, const th_param *p, int64_t i, float *to) {
    return v->make ? v->make(v->user, p, i, to) : th_param_get(p, to);
}

static th_status add(th_safetensors_writer *w, const saving *v, const char *name) {
    int64_t at = th_map_get(v->numbers, name, strlen(name), -1);
    const th_param *p = th_params_at(v->ps, at);
    th_weight_source source;
    TH_TRY(v->map(v->model, p, &source));
    const th_desc *d = th_param_desc(p);
    int64_t count = th_desc_count(d);
    if (!v->make && source.form == TH_AS_IS && !p->home.move && p->value)
        return th_safetensors_add_f32(w, p->value, count), TH_OK;
    size_t bytes = (size_t)count * sizeof(float);
    float *a = th_alloc_big(bytes), *b = source.form == TH_PATCHES ? th_alloc_big(bytes) : NULL;
    th_status s = a && (b || source.form != TH_PATCHES) ? values_of(v, p, at, a) : th_fail_memory();
    if (s == TH_OK) {
        if (b) unpatch(d, &source, a, b);
        th_safetensors_add_f32(w, b ? b : a, count);
    }
    th_free_big(a, bytes);
    th_free_big(b, bytes);
    return s;
}

static th_status write_all(th_safetensors_writer *w, const saving *v, th_st_dtype dtype) {
    for (int64_t i = 0; i < th_params_count(v->ps); i++) {
        th_weight_source s;
        TH_TRY(v->map(v->model, th_params_at(v->ps, i), &s));
        if (s.form != TH_AS_IS && s.form != TH_PATCHES) return th_fail(TH_E_BUG, "%s: cannot be written so", s.name);
        th_safetensors_declare(w, s.name, dtype, s.rank, s.shape);
        TH_TRY(th_map_set(v->numbers, s.name, strlen(s.name), i));
    }
    TH_TRY(th_safetensors_begin(w));
    for (const th_st_tensor *t; (t = th_safetensors_next(w));) TH_TRY(add(w, v, t->name));
    return TH_OK;
}

static th_status save(const char *path, saving *v, const char *dtype) {
    th_st_dtype type = TH_ST_F32;
    th_safetensors_writer *w = NULL;
    TH_TRY(th_saved_dtype(dtype, &type, NULL));
    TH_TRY(th_safetensors_writer_new(path, 0, &w));
    v->numbers = th_map_new();
    th_status s = v->numbers ? write_all(w, v, type) : th_fail_memory();
    th_map_free(v->numbers);
    if (s == TH_OK) return th_safetensors_commit(w);
    th_safetensors_abort(w);
    return s;
}

th_status th_weights_save(const char *path, const th_params *ps, th_weight_map map, const void *model,
                          const char *dtype) {
    return save(path, &(saving){ps, map, model, NULL, NULL, NULL}, dtype);
}

th_status th_weights_save_made(const char *path, const th_params *ps, th_weight_map map, const void *model,
                               const char *dtype, th_weight_maker make, void *user) {
    return save(path, &(saving){ps, map, model, make, user, NULL}, dtype);
}
