/* Batches for models that draw: pictures or their cached latents, and captions as token ids, made in the background. */
#ifndef TH_TRAIN_PICTURE_BATCHES_H
#define TH_TRAIN_PICTURE_BATCHES_H

#include "data/dataset.h"
#include "data/loader.h"
#include "format/tokenizer.h"
#include "train/latent_cache.h"

typedef struct {
    th_dataset *data;
    int64_t batch, steps; /* steps: batches that are asked for at most; 0: no end */
    bool shuffle;         /* else as they are numbered, and the last batch is filled up from the beginning */
    bool each_once;       /* rows are pictures, each with its first caption; else samples */
    uint64_t seed;
    int threads;
    const th_watch *watch;
    /* Pictures, their shorter side resized and the middle cut out, unless there are latents. */
    int64_t side;
    bool flip; /* half of them */
    /* Latents drawn anew each time, in place of the pictures; NULL: none. */
    const th_latent_cache *latents;
    const th_vae_config *vae;
    /* Captions; NULL: none. */
    const th_tokenizer *tokenizer;
    int64_t tokens;
    double drop; /* the share of captions that are left empty, for guidance (Ho and Salimans 2022) */
} th_picture_batches_params;

typedef struct {
    const float *pictures;  /* [n, side, side, 3] in [−1, 1]; NULL where there are latents */
    const float *latents;   /* [n, h, w, c], scaled; NULL where there are none */
    const int32_t *ids;     /* [n, tokens]; NULL without captions */
    const int64_t *samples; /* [n]: which they are, past those that could not be read */
} th_picture_batch;

/* Bytes of the buffers. */
size_t th_picture_batches_bytes(const th_picture_batches_params *p);

typedef struct th_picture_batches th_picture_batches;
th_status th_picture_batches_new(const th_picture_batches_params *p, th_picture_batches **out);
void th_picture_batches_free(th_picture_batches *b); /* NULL is allowed */
/* Batches until each picture was there once, the last part maybe left out (shuffle) or filled up. */
int64_t th_picture_batches_epoch(const th_picture_batches *b);
/* The batch of this step, valid until the next call; steps rise. */
th_status th_picture_batches_next(th_picture_batches *b, int64_t step, th_picture_batch *out);

#endif
