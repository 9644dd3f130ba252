/* Latents in and out of safetensors: channels last here, first there. */
#include "diffusion/latents_file.h"

#include "base/memory.h"
#include "format/safetensors.h"

/* [n, c, h, w] ↔ [n, h, w, c] of one picture. */
static void move(const float *from, const th_latents *l, bool to_file, float *to) {
    int64_t pixels = l->h * l->w;
    for (int64_t p = 0; p < pixels; p++)
        for (int64_t k = 0; k < l->c; k++) {
            if (to_file)
                to[k * pixels + p] = from[p * l->c + k];
            else
                to[p * l->c + k] = from[k * pixels + p];
        }
}

static th_status take(const th_safetensors *file, const char *path, th_latents *l) {
    const th_st_tensor *t = th_safetensors_find(file, "latents");
    char shape[TH_ST_SHAPE_TEXT];
    if (!t) return th_fail(TH_E_INPUT, "%s: tensor 'latents' is missing", path);
    if (t->rank != 4 || t->count < 1)
        return th_fail(TH_E_INPUT, "%s: tensor 'latents' is %s, four dimensions [n, c, h, w] are wanted", path,
                       th_st_shape_text(shape, t->rank, t->shape));
    *l = (th_latents){.n = t->shape[0], .c = t->shape[1], .h = t->shape[2], .w = t->shape[3]};
    int64_t size = t->count / l->n;
    l->values = th_alloc((size_t)t->count, sizeof *l->values);
    float *one = th_alloc((size_t)size, sizeof *one);
    th_status s = l->values && one ? TH_OK : th_fail_memory();
    for (int64_t i = 0; i < l->n && s == TH_OK; i++) {
        s = th_st_to_f32(t, i * size, size, one);
        if (s == TH_OK) move(one, l, false, l->values + i * size);
    }
    th_free(one);
    return s;
}

th_status th_latents_read(const char *path, th_latents *out) {
    th_safetensors *file;
    *out = (th_latents){0};
    TH_TRY(th_safetensors_open(path, NULL, &file));
    th_status s = take(file, path, out);
    th_safetensors_close(file);
    if (s != TH_OK) th_latents_free(out);
    return s;
}

void th_latents_free(th_latents *l) {
    th_free(l->values);
    *l = (th_latents){0};
}

th_status th_latents_write(const char *path, const th_latents *l) {
    int64_t size = l->h * l->w * l->c;
    float *one = th_alloc((size_t)size, sizeof *one);
    th_safetensors_writer *w;
    if (!one) return th_fail_memory();
    th_status s = th_safetensors_writer_new(path, 0, &w);
    if (s != TH_OK) return th_free(one), s;
    th_safetensors_declare(w, "latents", TH_ST_F32, 4, (const int64_t[]){l->n, l->c, l->h, l->w});
    bool begun = th_safetensors_begin(w) == TH_OK && th_safetensors_next(w);
    for (int64_t i = 0; begun && i < l->n; i++) {
        move(l->values + i * size, l, true, one);
        th_safetensors_add_f32(w, one, size);
    }
    th_free(one);
    return th_safetensors_commit(w);
}
