/* Latents in a file, as diffusers holds them: a tensor "latents" [n, c, h, w] of a .safetensors file. */
#ifndef TH_DIFFUSION_LATENTS_FILE_H
#define TH_DIFFUSION_LATENTS_FILE_H

#include "base/status.h"

typedef struct {
    int64_t n, h, w, c;
    float *values; /* [n, h, w, c] */
} th_latents;

/* Any of F64, F32, F16, BF16. After an error there is nothing to free. */
th_status th_latents_read(const char *path, th_latents *out);
void th_latents_free(th_latents *l);
/* Written in f32. */
th_status th_latents_write(const char *path, const th_latents *l);

#endif
