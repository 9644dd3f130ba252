/* Pictures cut, encoded, kept. */
#include "train/moments.h"

#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/rng.h"
#include "diffusion/denoise.h"
#include "diffusion/encoder.h"
#include "format/safetensors.h"

#define KEY "key"
#define VAE "vae"
#define MOST_ENTRIES 1000000

void th_moments_free(th_moments *m) {
    if (!m) return;
    th_free_big(m->moments, (size_t)(m->entries * th_moments_size(m)) * sizeof *m->moments);
    th_free(m->first);
    *m = (th_moments){0};
}

/* Room for entries of this shape. */
static th_status allocate(th_moments *m) {
    int64_t size = th_moments_size(m);
    if (m->entries > MOST_ENTRIES || size > (INT64_C(1) << 40) / (m->entries + 1))
        return th_fail(TH_E_INPUT, "%lld pictures are too many to be kept in memory", (long long)m->entries);
    m->moments = th_alloc_big((size_t)(m->entries * size) * sizeof *m->moments);
    if (!m->first) m->first = th_alloc((size_t)m->pictures + 1, sizeof *m->first);
    return m->moments && m->first ? TH_OK : th_fail_memory();
}

/* ---- encoding */

typedef struct {
    th_viewer *viewer;
    th_vae_encoder *encoder;
    float *pixels; /* [side, side, 3] in [−1, 1] */
} bench;

static th_status encode_view(bench *b, int64_t view, float *moments) {
    const th_image *square;
    TH_TRY(th_viewer_cut(b->viewer, view, &square));
    th_view_to_floats(square, b->pixels);
    return th_vae_encoder_run(b->encoder, b->pixels, 1, moments);
}

static void close_bench(bench *b) {
    th_viewer_free(b->viewer);
    th_vae_encoder_free(b->encoder);
    th_free(b->pixels);
}

static th_status open_bench(th_dataset *d, const th_vae *vae, const th_view_params *p, bench *b) {
    *b = (bench){0};
    TH_TRY(th_viewer_new(d, p, &b->viewer));
    TH_TRY(th_vae_encoder_new(vae, 1, p->side, p->side, p->threads, &b->encoder));
    b->pixels = th_alloc((size_t)(p->side * p->side * 3), sizeof *b->pixels);
    return b->pixels ? TH_OK : th_fail_memory();
}

/* ---- making */

th_status th_moments_vae_hash(const th_vae *vae, char out[TH_HASH_TEXT]) {
    const th_params *ps = th_vae_params(vae);
    th_hash h;
    th_status s = TH_OK;
    th_hash_init(&h);
    for (int64_t i = 0; i < th_params_count(ps) && s == TH_OK; i++) {
        const th_param *p = th_params_at(ps, i);
        size_t bytes = (size_t)th_desc_count(th_param_desc(p)) * sizeof(float);
        float *v = th_alloc_big(bytes);
        s = v ? th_param_get(p, v) : th_fail_memory();
        if (s == TH_OK) th_hash_add(&h, v, bytes);
        th_free_big(v, bytes);
    }
    th_hash_text(&h, out);
    return s;
}

/* Sizes first: how many views there are of each. */
static th_status count_all(bench *b, th_moments *m, const th_watch *w) {
    if (!(m->first = th_alloc((size_t)m->pictures + 1, sizeof *m->first))) return th_fail_memory();
    for (int64_t i = 0, views; i < m->pictures; i++) {
        if (th_stopped(w)) return th_fail(TH_E_INTERRUPTED, "stopped");
        TH_TRY(th_viewer_read(b->viewer, i, &views));
        m->first[i + 1] = m->first[i] + views;
    }
    m->entries = m->first[m->pictures];
    return TH_OK;
}

static th_status make(bench *b, th_moments *m, const th_watch *w) {
    TH_TRY(count_all(b, m, w));
    TH_TRY(allocate(m));
    for (int64_t i = 0, views; i < m->pictures; i++) {
        TH_TRY(th_viewer_read(b->viewer, i, &views));
        for (int64_t v = 0, e = m->first[i]; v < views; v++, e++) {
            if (th_stopped(w)) return th_fail(TH_E_INTERRUPTED, "stopped while pictures were encoded");
            th_report(w, "pictures encoded", e, m->entries, NULL);
            TH_TRY(encode_view(b, v, m->moments + e * th_moments_size(m)));
        }
    }
    return TH_OK;
}

th_status th_moments_make(th_dataset *d, int64_t limit, const th_vae *vae, const th_view_params *p, const th_watch *w,
                          th_moments *out) {
    const th_vae_config *c = th_vae_get_config(vae);
    int64_t n = th_dataset_images(d), factor = th_vae_factor(c);
    bench b;
    th_moments m = {.pictures = limit > 0 && limit < n ? limit : n};
    m.height = m.width = p->side / factor;
    m.channels = 2 * c->latent_channels;
    th_status s = open_bench(d, vae, p, &b);
    if (s == TH_OK) s = th_moments_vae_hash(vae, m.vae);
    if (s == TH_OK) s = make(&b, &m, w);
    close_bench(&b);
    if (s != TH_OK) return th_moments_free(&m), s;
    *out = m;
    return TH_OK;
}

void th_moments_draw(const th_moments *m, const th_vae_config *c, int64_t picture, uint64_t seed, uint32_t step,
                     uint64_t row, uint64_t use, float *z) {
    int64_t views = m->first[picture + 1] - m->first[picture], size = th_moments_size(m) / 2;
    th_rng r = th_rng_at(seed, TH_RNG_AUGMENT, step, use << 32 | row);
    int64_t entry = m->first[picture] + (views > 1 ? (int64_t)th_rng_below(&r, (uint32_t)views) : 0);
    th_latents_draw(c, m->moments + entry * 2 * size, m->height * m->width, &seed, step, row * (uint64_t)size, z);
}

/* ---- files */

th_status th_moments_save(const th_moments *m, const char *key, const char *path) {
    th_safetensors_writer *w = NULL;
    TH_TRY(th_safetensors_writer_new(path, 0, &w));
    th_safetensors_note(w, KEY, key);
    th_safetensors_note(w, VAE, m->vae);
    th_safetensors_declare(w, "moments", TH_ST_F32, 4, (const int64_t[]){m->entries, m->height, m->width, m->channels});
    th_safetensors_declare(w, "first", TH_ST_I64, 1, (const int64_t[]){m->pictures + 1});
    th_status s = th_safetensors_begin(w);
    if (s != TH_OK) return th_safetensors_abort(w), s;
    for (const th_st_tensor *t; (t = th_safetensors_next(w));) {
        if (t->dtype == TH_ST_I64)
            th_safetensors_add(w, m->first, (size_t)t->count * sizeof *m->first);
        else
            th_safetensors_add_f32(w, m->moments, t->count);
    }
    return th_safetensors_commit(w);
}

static th_status check_file(const th_safetensors *f, const char *path, const char *key, const th_moments *m,
                            const th_st_tensor **moments, const th_st_tensor **first) {
    char shape[TH_ST_SHAPE_TEXT];
    const char *was = th_safetensors_metadata(f, KEY);
    *moments = th_safetensors_find(f, "moments");
    *first = th_safetensors_find(f, "first");
    if (!*moments || !*first || (*moments)->rank != 4 || (*first)->rank != 1 || (*first)->dtype != TH_ST_I64)
        return th_fail(TH_E_INPUT, "%s: is no file of encoded pictures (its tensors should be 'moments' and 'first')",
                       path);
    const int64_t *is = (*moments)->shape;
    if (is[1] != m->height || is[2] != m->width || is[3] != m->channels)
        return th_fail(TH_E_INPUT, "%s: tensor 'moments' is %s, the model at this size wants [n, %lld, %lld, %lld]",
                       path, th_st_shape_text(shape, 4, is), (long long)m->height, (long long)m->width,
                       (long long)m->channels);
    if (key && (!was || strcmp(was, key)))
        return th_fail(TH_E_INPUT, "%s: is of other pictures, cut in another way, or of another autoencoder", path);
    return TH_OK;
}

/* Views of pictures are at least one each, and none is beyond the entries. */
static th_status check_first(const th_moments *m, const char *path) {
    bool good = m->first[0] == 0 && m->first[m->pictures] == m->entries;
    for (int64_t i = 0; i < m->pictures && good; i++)
        good = m->first[i + 1] > m->first[i] && m->first[i + 1] <= m->entries;
    return good ? TH_OK : th_fail(TH_E_INPUT, "%s: tensor 'first' does not fit tensor 'moments'", path);
}

static th_status read_file(const th_safetensors *f, const char *path, const char *key, th_moments *m) {
    const th_st_tensor *moments, *first;
    const char *vae = th_safetensors_metadata(f, VAE);
    TH_TRY(check_file(f, path, key, m, &moments, &first));
    if (!vae || strlen(vae) >= sizeof m->vae)
        return th_fail(TH_E_INPUT, "%s: does not say which autoencoder it is of ('" VAE "' in its metadata)", path);
    memcpy(m->vae, vae, strlen(vae) + 1);
    if (first->count < 2 || first->count > MOST_ENTRIES || moments->shape[0] < 1)
        return th_fail(TH_E_INPUT, "%s: holds no picture", path);
    m->pictures = first->count - 1;
    m->entries = moments->shape[0];
    TH_TRY(allocate(m));
    TH_TRY(th_st_to_i64(first, 0, first->count, m->first));
    TH_TRY(check_first(m, path));
    return th_st_to_f32(moments, 0, moments->count, m->moments);
}

th_status th_moments_read(const th_safetensors *f, const char *name, const char *key, int64_t height, int64_t width,
                          int64_t channels, th_moments *out) {
    th_moments m = {.height = height, .width = width, .channels = channels};
    th_status s = read_file(f, name, key, &m);
    if (s != TH_OK) return th_moments_free(&m), s;
    *out = m;
    return TH_OK;
}

th_status th_moments_load(const char *path, const char *key, int64_t height, int64_t width, int64_t channels,
                          th_moments *out) {
    th_safetensors *f = NULL;
    TH_TRY(th_safetensors_open(path, NULL, &f));
    th_status s = th_moments_read(f, path, key, height, width, channels, out);
    th_safetensors_close(f);
    return s;
}
