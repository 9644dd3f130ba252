/* Anti-DreamBooth (Van Le et al. 2023, arXiv 2303.15433), re-implemented from its public description: pictures are
 * changed a little, in a way that people hardly see, so that a model personalised on them learns the change and not
 * the subject. It protects pictures, not models: it must be done before they are published, and for each of them.
 *
 *   max over ‖x′ − x‖∞ ≤ ε of L(x′) = E ‖ε_θ(z_t(E(x′)), t, τ(y)) − ε‖², by steps x′ ← Π(x′ + α sign ∇L(x′))
 *
 * FSMG: θ is a surrogate that was personalised on the clean pictures once. ASPL: in each round a surrogate is
 * personalised for some steps from where the victim is, on the clean pictures; the pictures take their steps against
 * it; then the victim is personalised on them as they are now. docs/methods/anti-dreambooth.md has the details. */
#ifndef TH_GUARD_ANTI_DREAMBOOTH_H
#define TH_GUARD_ANTI_DREAMBOOTH_H

#include "diffusion/sd.h"
#include "theriac/plan.h"
#include "train/moments.h"
#include "train/optimizer.h"

typedef enum { TH_ANTI_FSMG, TH_ANTI_ASPL } th_anti_kind;

typedef struct {
    th_anti_kind kind;
    const char *prompt;       /* of the pictures: "a photo of sks person" */
    const char *class_prompt; /* "a photo of a person"; NULL: personalised without prior preservation */
    int64_t side;             /* pixels; 0: the model's own */
    float budget, stride;     /* ε and α, where pictures are in [−1, 1] */
    int64_t rounds;
    int64_t surrogate_steps; /* of a round; FSMG: once, before the first */
    int64_t pixel_steps;     /* of a round */
    int64_t victim_steps;    /* of a round; ASPL only */
    float lr, prior_weight;
    bool mean;             /* pictures are encoded to the mean; else latents are drawn, as DreamBooth's training does */
    int64_t batch;         /* pictures of the subject at a time, beside as many of the class */
    th_adamw_params adamw; /* its moments begin at zero whenever a personalisation begins or goes on */
    uint64_t seed;
    int threads;
    th_dtype compute;
    size_t memory; /* bytes for all of it; 0: no limit */
} th_anti_params;
/* The authors' settings where they are public: ε 0.05, α 0.005; ASPL: 50 rounds of 3 + 6 + 3 steps at 5e-7; FSMG: 100
 * steps of the pixels, here as 10 rounds of 10, against a surrogate of 400 steps at 5e-6 (diffusers' DreamBooth). */
void th_anti_params_init(th_anti_params *p, th_anti_kind kind);

/* One protection under way. */
typedef struct th_anti th_anti;
/* Plans for so many pictures. Nothing large is allocated yet; the model's parts may be without values, but its
 * tokenizer is there. Its UNet will change. */
th_status th_anti_new(th_sd *sd, const th_anti_params *p, int64_t pictures, th_anti **out);
void th_anti_free(th_anti *a); /* NULL is allowed */

typedef struct {
    int64_t side;
    int64_t height, width, channels;  /* of encoded pictures: moments */
    th_plan_cost training, pixels;    /* of one batch of each */
    double training_runs, pixel_runs; /* in all */
    size_t bytes;
    int64_t cut; /* prompts that are longer than the model's context */
} th_anti_cost;
void th_anti_get_cost(const th_anti *a, th_anti_cost *out);
/* The least seconds of all rounds on so many cores. */
double th_anti_seconds(const th_anti_cost *c, const th_ceilings *ceilings, int cores);

/* What the prompts mean; wants the text encoder's values, which may be released afterwards. */
th_status th_anti_read_texts(th_anti *a);
/* pictures [n, side, side, 3] in [−1, 1] are copied. class: needed where there is a class prompt; it must outlive the
 * rounds. Wants the values of UNet and autoencoder. */
th_status th_anti_begin(th_anti *a, const float *pictures, const th_moments *class);
/* The next of the rounds. One that is stopped or fails leaves everything as it was after the round before. */
th_status th_anti_round(th_anti *a, const th_watch *w);
int64_t th_anti_rounds_made(const th_anti *a);
/* The pictures as they are now [n, side, side, 3]. */
const float *th_anti_pictures(const th_anti *a);
/* Their mean loss before the last of the pixels' steps; 0 where none was made. */
double th_anti_loss(const th_anti *a);
/* The mean loss of pictures [n, side, side, 3] at `draws` fixed times and noises for each, to the UNet as it is now:
 * between th_anti_begin and the rounds the model's own, after them FSMG's surrogate or ASPL's victim. */
th_status th_anti_measure(th_anti *a, const float *pictures, int64_t draws, double *loss);
/* ∂L/∂x of these pictures [n, side, side, 3] at the times and noises of the pictures' step `at`, and each one's loss
 * [n]. */
th_status th_anti_gradient(th_anti *a, const float *pictures, int64_t at, float *gradient, float *each);

/* Pictures, weights and the number of rounds, so that going on gives the same bits as never having stopped. */
th_status th_anti_save(const th_anti *a, const char *path);
/* After th_anti_begin. A file of other parameters or pictures is TH_E_INPUT. */
th_status th_anti_load(th_anti *a, const char *path);

/* Back to bytes: the nearest to each value that is no further than ε from the clean byte. 127.5 ε whole levels, so a
 * budget of less than one level allows no change. clean, out: [count]. */
void th_anti_to_bytes(const float *pictures, const uint8_t *clean, int64_t count, float budget, uint8_t *out);
/* The levels of a byte that a budget allows: ⌊127.5 ε⌋. */
int th_anti_levels(float budget);

#endif
