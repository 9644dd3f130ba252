/* The pictures of a data set through a network. */
#ifndef TH_METRIC_EMBED_H
#define TH_METRIC_EMBED_H

#include "data/dataset.h"
#include "data/preprocess.h"

typedef struct {
    const char *name; /* of the model, for messages */
    const th_preprocess_params *preprocess;
    int64_t side, width; /* the network takes [n, side, side, 3] and gives [n, width] */
    th_status (*run)(void *model, const float *images, int64_t n, float *out);
    void *model;
    int64_t batch;
    int loader_threads;
} th_embedding;

/* Rows of all pictures, in the set's order: out [pictures, width]. Decoding goes on in the background. missing:
 * [pictures], set where a set that may pass over pictures (skip_bad) had to, whose rows are then another picture's. A
 * row that is not finite is TH_E_INPUT. */
th_status th_embed_pictures(const th_embedding *e, th_dataset *d, const th_watch *w, float *out, bool *missing);

#endif
