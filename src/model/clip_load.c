/* Weights in. */
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "format/safetensors.h"
#include "model/clip_files.h"

/* The shape that a parameter has in the file. */
static int file_shape(const th_desc *d, const th_weight_source *s, int64_t patch, int64_t shape[4]) {
    memcpy(shape, d->dim, sizeof(int64_t) * 2);
    if (s->form == TH_PATCHES) {
        shape[1] = 3, shape[2] = shape[3] = patch;
        return 4;
    }
    if (s->form == TH_TRANSPOSED) shape[0] = d->dim[1], shape[1] = d->dim[0];
    if (s->form == TH_PART) shape[0] *= 3;
    return d->rank;
}

static void rearrange(const th_desc *d, th_weight_form form, int64_t patch, const float *from, float *to) {
    int64_t rows = d->dim[0], columns = d->dim[1], area = patch * patch;
    if (form == TH_TRANSPOSED) {
        for (int64_t i = 0; i < rows; i++)
            for (int64_t j = 0; j < columns; j++) to[i * columns + j] = from[j * rows + i];
    } else {
        for (int64_t i = 0; i < rows; i++)
            for (int64_t c = 0; c < 3; c++)
                for (int64_t p = 0; p < area; p++) to[i * columns + p * 3 + c] = from[i * columns + c * area + p];
    }
}

static th_status find_tensor(const th_safetensors *file, const th_clip *m, const th_param *p, bool open_clip,
                             th_weight_source *source, const th_st_tensor **t) {
    int64_t shape[4] = {0};
    TH_TRY(th_clip_weight_source(th_param_name(p), open_clip, source));
    int rank = file_shape(th_param_desc(p), source, m->config.patch_size, shape);
    return th_safetensors_want(file, source->name, rank, shape, t);
}

static th_status load_param(const th_safetensors *file, const th_clip *m, th_param *p, bool open_clip, float *a,
                            float *b) {
    const th_desc *d = th_param_desc(p);
    th_weight_source source;
    const th_st_tensor *t;
    int64_t count = th_desc_count(d);
    TH_TRY(find_tensor(file, m, p, open_clip, &source, &t));
    TH_TRY(th_st_to_f32(t, source.form == TH_PART ? source.part * count : 0, count, a));
    if (source.form == TH_AS_IS || source.form == TH_PART) return th_param_set(p, a);
    rearrange(d, source.form, m->config.patch_size, a, b);
    return th_param_set(p, b);
}

/* All tensors are looked at before memory is taken for any: then the file's size bounds what a config can ask for. */
static th_status check_file(const th_safetensors *file, const th_clip *m, bool open_clip, int64_t *most) {
    for (int64_t i = 0; i < th_params_count(m->params); i++) {
        const th_param *p = th_params_at(m->params, i);
        th_weight_source source;
        const th_st_tensor *t;
        TH_TRY(find_tensor(file, m, p, open_clip, &source, &t));
        if (th_desc_count(th_param_desc(p)) > *most) *most = th_desc_count(th_param_desc(p));
    }
    return TH_OK;
}

static th_status load_params(th_clip *m, const char *dir, bool open_clip) {
    th_safetensors *file = NULL;
    int64_t most = 0;
    float *a = NULL, *b = NULL;
    TH_TRY(th_safetensors_open(dir, NULL, &file));
    th_status status;
    TH_GO(check_file(file, m, open_clip, &most));
    a = th_alloc_big((size_t)most * sizeof *a);
    b = th_alloc_big((size_t)most * sizeof *b);
    if (!a || !b) TH_GO(th_fail_memory());
    for (int64_t i = 0; i < th_params_count(m->params); i++)
        TH_GO(load_param(file, m, th_params_at(m->params, i), open_clip, a, b));
done:
    th_free_big(a, (size_t)most * sizeof *a);
    th_free_big(b, (size_t)most * sizeof *b);
    th_safetensors_close(file);
    return status;
}

th_status th_clip_load(const char *dir, th_clip **out) {
    th_clip_config config;
    bool open_clip;
    th_clip *m = NULL;
    TH_TRY(th_clip_read_config(dir, &config, &open_clip));
    TH_TRY(th_clip_new(&config, &m));
    th_status s = load_params(m, dir, open_clip);
    if (s != TH_OK) return th_clip_free(m), s;
    *out = m;
    return TH_OK;
}
