/* Inside of Anti-DreamBooth: what its rounds and its files share. */
#ifndef TH_GUARD_ANTI_DREAMBOOTH_PARTS_H
#define TH_GUARD_ANTI_DREAMBOOTH_PARTS_H

#include "diffusion/denoise.h"
#include "diffusion/encoder.h"
#include "guard/anti_dreambooth.h"
#include "train/snapshot.h"

/* What steps draw, kept apart by what they are for. */
enum { TH_ANTI_SURROGATE = 1, TH_ANTI_VICTIM = 2, TH_ANTI_PIXELS = 3 };

/* Says times and noises of a batch anew, in place of what was drawn. at: the step of this use; first: number of the
 * plan's first row. */
typedef void th_anti_redraw(void *user, th_plan *plan, int use, int64_t at, int64_t first);

struct th_anti {
    th_sd *sd;
    th_anti_params p;
    int64_t pictures, picture_size; /* floats of each */
    th_params *trained;
    th_denoiser *denoiser;
    /* Personalising: rows of the subject, then of the class. */
    th_denoise_shape training_shape;
    th_plan *training;
    float *row_weights;
    /* The gradient by pixels. */
    th_denoise_shape pixel_shape;
    th_plan *by_pixels;
    th_vae_encoder *encoder;
    size_t bytes;
    int32_t *ids;  /* [2, tokens]: of the prompt, of the class prompt */
    float *states; /* [2, tokens, width]; NULL until read */
    int64_t cut;
    /* From th_anti_begin on. [pictures, side, side, 3] each. */
    float *clean, *now, *before, *gradient;
    float *each;                       /* [pictures]: losses */
    th_moments clean_moments, moments; /* of clean, of now */
    const th_moments *class;
    th_snapshot *start; /* weights before the round */
    int64_t made;       /* rounds */
    /* NULL: chance has the last word. Tests that compare with others' steps have theirs. */
    th_anti_redraw *redraw;
    void *user;
};

#endif
