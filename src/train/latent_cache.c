/* Latents kept in files. */
#include "train/latent_cache.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/half.h"
#include "base/memory.h"
#include "diffusion/encoder.h"
#include "format/safetensors.h"
#include "train/picture_batches.h"

#define PART 4096         /* pictures of a file */
#define PIXELS (64 << 12) /* of a batch that is encoded: 64 pictures of 64 × 64, one of 512 × 512 */

struct th_latent_cache {
    int64_t pictures, size; /* size: floats of one picture's moments */
    int64_t shape[3];       /* of them: [h, w, 2c] */
    int64_t parts;
    th_safetensors **files;
    const uint16_t **moments; /* of each part [n, h, w, 2c] in half precision */
    const int64_t **samples;  /* of each part [n] */
};

static void find_shape(const th_latent_cache_params *p, th_latent_cache *c) {
    const th_vae_config *v = th_vae_get_config(p->vae);
    int64_t f = th_vae_factor(v);
    c->pictures = th_dataset_images(p->data);
    c->shape[0] = c->shape[1] = p->side / f;
    c->shape[2] = 2 * v->latent_channels;
    c->size = c->shape[0] * c->shape[1] * c->shape[2];
    c->parts = (c->pictures + PART - 1) / PART;
}

int64_t th_latent_cache_bytes(const th_latent_cache_params *p) {
    th_latent_cache c;
    find_shape(p, &c);
    return c.pictures * (c.size * (int64_t)sizeof(uint16_t) + (int64_t)sizeof(int64_t));
}

static int64_t part_count(const th_latent_cache *c, int64_t part) {
    int64_t left = c->pictures - part * PART;
    return left < PART ? left : PART;
}

static th_status part_path(const th_latent_cache_params *p, int64_t part, char path[TH_PATH_MAX]) {
    char name[32];
    snprintf(name, sizeof name, "%05lld.safetensors", (long long)part);
    return th_path_join(path, p->dir, name);
}

/* --- making --- */

typedef struct {
    const th_latent_cache_params *p;
    const th_latent_cache *c;
    const th_watch *watch;
    th_vae_encoder *encoder;
    th_picture_batches *batches;
    int64_t batch;
    float *moments;   /* [PART, size] */
    int64_t *samples; /* [PART] */
} maker;

/* A power of two, so that batches fill a file. */
int64_t th_latent_cache_batch(int64_t side) {
    int64_t n = 1;
    while (n < 64 && 2 * n * side * side <= PIXELS) n *= 2;
    return n;
}

static th_status prepare(maker *m) {
    const th_latent_cache_params *p = m->p;
    if (m->encoder) return TH_OK;
    TH_TRY(th_make_dirs(p->dir));
    m->batch = th_latent_cache_batch(p->side);
    th_picture_batches_params b = {
        .data = p->data, .batch = m->batch, .each_once = true, .threads = p->loader_threads, .side = p->side};
    b.watch = m->watch;
    TH_TRY(th_vae_encoder_new(p->vae, m->batch, p->side, p->side, p->threads, &m->encoder));
    TH_TRY(th_picture_batches_new(&b, &m->batches));
    m->moments = th_alloc(PART, (size_t)m->c->size * sizeof *m->moments);
    m->samples = th_alloc(PART, sizeof *m->samples);
    return m->moments && m->samples ? TH_OK : th_fail_memory();
}

static th_status encode_part(maker *m, int64_t part) {
    int64_t n = part_count(m->c, part), first = part * PART, size = m->c->size;
    for (int64_t at = 0; at < n; at += m->batch) {
        th_picture_batch batch;
        int64_t count = n - at < m->batch ? n - at : m->batch;
        if (th_stopped(m->watch)) return th_fail(TH_E_INTERRUPTED, "stopped while encoding pictures");
        TH_TRY(th_picture_batches_next(m->batches, (first + at) / m->batch, &batch));
        TH_TRY(th_vae_encoder_run(m->encoder, batch.pictures, count, m->moments + at * size));
        memcpy(m->samples + at, batch.samples, (size_t)count * sizeof *m->samples);
        th_report(m->watch, "encoding pictures", first + at + count, m->c->pictures, NULL);
    }
    return TH_OK;
}

static th_status write_part(const maker *m, const char *path, int64_t n) {
    const int64_t *s = m->c->shape;
    th_safetensors_writer *w;
    TH_TRY(th_safetensors_writer_new(path, 0, &w));
    th_safetensors_declare(w, "moments", TH_ST_F16, 4, (int64_t[]){n, s[0], s[1], s[2]});
    th_safetensors_declare(w, "samples", TH_ST_I64, 1, &n);
    th_safetensors_note(w, "key", m->p->key);
    th_status status = th_safetensors_begin(w);
    for (const th_st_tensor *t; status == TH_OK && (t = th_safetensors_next(w));)
        if (t->dtype == TH_ST_F16)
            th_safetensors_add_f32(w, m->moments, t->count);
        else
            th_safetensors_add(w, m->samples, t->bytes);
    if (status != TH_OK) return th_safetensors_abort(w), status;
    return th_safetensors_commit(w);
}

static th_status make_part(maker *m, int64_t part, const char *path) {
    TH_TRY(prepare(m));
    /* Pictures come in order, so a folder that has some files already starts at the first that is missing. */
    TH_TRY(encode_part(m, part));
    return write_part(m, path, part_count(m->c, part));
}

/* --- reading --- */

static th_status map_part(const th_latent_cache_params *p, th_latent_cache *c, int64_t part, const char *path) {
    const th_st_tensor *moments, *samples;
    int64_t n = part_count(c, part), shape[4] = {n, c->shape[0], c->shape[1], c->shape[2]};
    TH_TRY(th_safetensors_open(path, NULL, &c->files[part]));
    const char *key = th_safetensors_metadata(c->files[part], "key");
    if (!key || strcmp(key, p->key))
        return th_fail(TH_E_INPUT, "%s: has latents of other pictures or of another VAE; remove that folder", path);
    TH_TRY(th_safetensors_want(c->files[part], "moments", 4, shape, &moments));
    TH_TRY(th_safetensors_want(c->files[part], "samples", 1, &n, &samples));
    if (moments->dtype != TH_ST_F16 || samples->dtype != TH_ST_I64 || (uintptr_t)moments->data % sizeof(uint16_t) ||
        (uintptr_t)samples->data % sizeof(int64_t))
        return th_fail(TH_E_INPUT, "%s: is not as theriac writes it; remove that folder", path);
    c->moments[part] = moments->data;
    c->samples[part] = samples->data;
    for (int64_t i = 0; i < n; i++)
        if (c->samples[part][i] < 0 || c->samples[part][i] >= th_dataset_count(p->data))
            return th_fail(TH_E_INPUT, "%s: names sample %lld of %lld; remove that folder", path,
                           (long long)c->samples[part][i], (long long)th_dataset_count(p->data));
    return TH_OK;
}

static th_status open_parts(const th_latent_cache_params *p, th_latent_cache *c, maker *m) {
    char path[TH_PATH_MAX];
    c->files = th_alloc((size_t)c->parts, sizeof *c->files);
    c->moments = th_alloc((size_t)c->parts, sizeof *c->moments);
    c->samples = th_alloc((size_t)c->parts, sizeof *c->samples);
    if (!c->files || !c->moments || !c->samples) return th_fail_memory();
    for (int64_t i = 0; i < c->parts; i++) {
        TH_TRY(part_path(p, i, path));
        if (!th_path_exists(path)) TH_TRY(make_part(m, i, path));
        TH_TRY(map_part(p, c, i, path));
    }
    return TH_OK;
}

th_status th_latent_cache_open(const th_latent_cache_params *p, const th_watch *w, th_latent_cache **out) {
    th_latent_cache *c = th_alloc(1, sizeof *c);
    if (!c) return th_fail_memory();
    find_shape(p, c);
    maker m = {.p = p, .c = c, .watch = w};
    th_status s = open_parts(p, c, &m);
    th_vae_encoder_free(m.encoder);
    th_picture_batches_free(m.batches);
    th_free(m.moments);
    th_free(m.samples);
    if (s != TH_OK) return th_latent_cache_close(c), s;
    *out = c;
    return TH_OK;
}

void th_latent_cache_close(th_latent_cache *c) {
    if (!c) return;
    for (int64_t i = 0; c->files && i < c->parts; i++) th_safetensors_close(c->files[i]);
    th_free(c->files);
    th_free(c->moments);
    th_free(c->samples);
    th_free(c);
}

int64_t th_latent_cache_size(const th_latent_cache *c) { return c->size; }

int64_t th_latent_cache_read(const th_latent_cache *c, int64_t picture, float *moments) {
    int64_t part = picture / PART, i = picture % PART;
    const uint16_t *from = c->moments[part] + i * c->size;
    for (int64_t k = 0; k < c->size; k++) moments[k] = th_f16_to_f32(from[k]);
    return c->samples[part][i];
}
