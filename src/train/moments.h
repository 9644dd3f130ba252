/* A few pictures as the autoencoder sees them: cut to the model's size in one or several ways, encoded once, kept in a
 * file, so that training needs neither the pictures nor the autoencoder. */
#ifndef TH_TRAIN_MOMENTS_H
#define TH_TRAIN_MOMENTS_H

#include "base/hash.h"
#include "format/safetensors.h"
#include "model/vae.h"
#include "train/views.h"

/* moments [entries, height, width, channels]: mean and logarithm of the variance side by side, in f32. The views of
 * picture i are the entries from first[i] up to first[i + 1]. */
typedef struct {
    float *moments;
    int64_t *first; /* [pictures + 1] */
    int64_t pictures, entries, height, width, channels;
    char vae[TH_HASH_TEXT]; /* SHA-256 of the autoencoder's values */
} th_moments;

/* Encodes the first `limit` pictures of the set (0: all). view v of picture i is a function of (seed, i, v). */
th_status th_moments_make(th_dataset *d, int64_t limit, const th_vae *vae, const th_view_params *p, const th_watch *w,
                          th_moments *out);
/* What `vae` says of this autoencoder. */
th_status th_moments_vae_hash(const th_vae *vae, char out[TH_HASH_TEXT]);
void th_moments_free(th_moments *m); /* a zeroed one is allowed */
/* Floats of one entry. */
static inline int64_t th_moments_size(const th_moments *m) { return m->height * m->width * m->channels; }

/* Latents of a picture [height, width, channels / 2], scaled, from one of its views: a function of (seed, step, row)
 * and, for the view, of `use`, which keeps draws of different sets apart. */
void th_moments_draw(const th_moments *m, const th_vae_config *c, int64_t picture, uint64_t seed, uint32_t step,
                     uint64_t row, uint64_t use, float *z);

/* key: what names pictures, views and autoencoder. */
th_status th_moments_save(const th_moments *m, const char *key, const char *path);
/* A file of another shape, or with another key than this (NULL: any), is TH_E_INPUT. */
th_status th_moments_load(const char *path, const char *key, int64_t height, int64_t width, int64_t channels,
                          th_moments *out);
/* The same from an open file, whose name is for errors. */
th_status th_moments_read(const th_safetensors *f, const char *name, const char *key, int64_t height, int64_t width,
                          int64_t channels, th_moments *out);

#endif
