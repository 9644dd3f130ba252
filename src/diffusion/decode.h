/* Latents to pictures: whole, or in tiles where memory is small. */
#ifndef TH_DIFFUSION_DECODE_H
#define TH_DIFFUSION_DECODE_H

#include "model/vae.h"
#include "theriac/plan.h"

typedef struct {
    int64_t height, width; /* of latents */
    int64_t batch;         /* pictures at a time; tiles come one at a time */
    int64_t tile;          /* latents along the side of a tile; 0: whole pictures */
    size_t memory; /* bytes for all that th_plan_cost.bytes counts, other_bytes too: tiles shrink until they fit. 0: no
                      limit */
    size_t other_bytes;
    int threads;
} th_vae_decoder_params;
void th_vae_decoder_params_init(th_vae_decoder_params *p); /* one whole picture at a time, all threads */

/* Plans once; nothing large is allocated before the first run. Computed in f32. The model must outlive it; changed
 * parameters and scaling are seen. TH_E_MEMORY where not even the smallest tiles fit.
 *
 * Tiles overlap by a quarter and fade into each other, as in diffusers' enable_vae_tiling; all are of one size. A tile
 * knows nothing of the rest of its picture, so colours may drift a little between distant parts. */
typedef struct th_vae_decoder th_vae_decoder;
th_status th_vae_decoder_new(const th_vae *v, const th_vae_decoder_params *p, th_vae_decoder **out);
void th_vae_decoder_free(th_vae_decoder *d); /* NULL is allowed */
/* Of one run, and how many runs n pictures take. */
void th_vae_decoder_get_cost(const th_vae_decoder *d, th_plan_cost *cost);
int64_t th_vae_decoder_runs(const th_vae_decoder *d, int64_t n);
/* Latents along the side of a tile, as it came out; 0: pictures are decoded whole. */
int64_t th_vae_decoder_tile(const th_vae_decoder *d);
/* latents [n, height, width, c], as the UNet sees them → pictures [n, f · height, f · width, 3], about −1 to 1. */
th_status th_vae_decoder_run(th_vae_decoder *d, const float *latents, int64_t n, float *pictures);
/* The same → bytes, rounded as diffusers does. */
th_status th_vae_decoder_bytes(th_vae_decoder *d, const float *latents, int64_t n, uint8_t *rgb);
/* A side of tiles that is the model's own size. */
int64_t th_vae_tile(const th_vae_config *c);

#endif
