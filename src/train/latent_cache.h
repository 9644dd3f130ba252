/* A data set's pictures as the autoencoder sees them, encoded once and kept in a folder: mean and logarithm of the
 * variance in half precision, in files of some thousand pictures, each written whole or not at all, so that encoding
 * goes on where it was stopped. Reading maps them, so they are no memory of the process'. */
#ifndef TH_TRAIN_LATENT_CACHE_H
#define TH_TRAIN_LATENT_CACHE_H

#include "data/dataset.h"
#include "model/vae.h"

typedef struct {
    const char *dir;
    th_dataset *data;
    const th_vae *vae;
    const char *key; /* what names pictures and weights: files with another key are refused */
    int64_t side;    /* pixels */
    int threads, loader_threads;
} th_latent_cache_params;

/* Bytes that the files of all pictures take. */
int64_t th_latent_cache_bytes(const th_latent_cache_params *p);

/* Pictures of this side that are encoded at a time. */
int64_t th_latent_cache_batch(int64_t side);

typedef struct th_latent_cache th_latent_cache;
/* Encodes what the folder does not have yet. Can be stopped. */
th_status th_latent_cache_open(const th_latent_cache_params *p, const th_watch *w, th_latent_cache **out);
void th_latent_cache_close(th_latent_cache *c); /* NULL is allowed */

/* Floats of one picture's moments [side / f, side / f, 2 · latent_channels]. */
int64_t th_latent_cache_size(const th_latent_cache *c);
/* The moments of a picture; returns the sample that they are of, which is another picture's where this one could not be
 * read and was passed over. Any thread. */
int64_t th_latent_cache_read(const th_latent_cache *c, int64_t picture, float *moments);

#endif
