/* Inside of the fit of text-to-image models: what is measured on held-out pairs. */
#ifndef TH_TRAIN_T2I_PARTS_H
#define TH_TRAIN_T2I_PARTS_H

#include "train/t2i_fit.h"

typedef struct {
    const th_sd *sd;
    th_dataset *pairs;
    th_denoise_shape shape;
    int64_t side, count;
    int threads;
    th_plan *plan;
    th_denoiser *denoiser;
    float *latents; /* [count, h, w, c]; the middle of what the autoencoder says */
    int32_t *ids;   /* [count, tokens] */
} th_t2i_eval;

/* Plans it; encodes nothing yet. The struct's first members, up to threads, are set. */
th_status th_t2i_eval_plan(th_t2i_eval *e, th_dtype compute);
void th_t2i_eval_free(th_t2i_eval *e); /* one that was not made is allowed */
/* Bytes beside parameters. */
size_t th_t2i_eval_bytes(const th_t2i_eval *e);
/* Encodes pictures and captions, once. */
th_status th_t2i_eval_prepare(th_t2i_eval *e, const th_watch *w);
th_status th_t2i_eval_run(th_t2i_eval *e, th_t2i_loss *out);

#endif
