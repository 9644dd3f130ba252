/* Training a text-to-image model on pictures with captions: the UNet, and the text encoder with it or not, learn to
 * take noise off latents (Ho et al. 2020, Rombach et al. 2022). The autoencoder stays as it is. */
#ifndef TH_TRAIN_T2I_FIT_H
#define TH_TRAIN_T2I_FIT_H

#include "data/dataset.h"
#include "diffusion/denoise.h"
#include "train/fit_options.h"

typedef struct {
    th_fit_params fit;
    int64_t side;    /* pixels */
    bool train_text; /* the text encoder too */
    double drop;     /* the share of captions that are left empty, for guidance (Ho and Salimans 2022) */
    float min_snr;   /* as in th_denoiser_params */
    /* Where encoded pictures are kept, and what names them (latent_cache.h); NULL: pictures are encoded each time, as
     * they must be where they change (fit.flip). */
    const char *latents, *latents_key;
    /* Pairs to measure on, every eval_every steps and at the end; NULL: none. */
    th_dataset *held_out;
    /* Called after each of these measurements, and where nothing is held out at the same times, with the averaged
     * parameters in place: to draw samples. May be NULL. */
    th_status (*look)(void *user, int64_t step);
    void *user;
    size_t look_bytes; /* that it takes */
} th_t2i_fit_params;
void th_t2i_fit_params_init(th_t2i_fit_params *p);

typedef struct th_t2i_fit th_t2i_fit;
/* Plans everything; nothing large is allocated or encoded yet. Models and data sets must outlive it. */
th_status th_t2i_fit_new(th_sd *sd, th_dataset *pairs, const th_t2i_fit_params *p, th_t2i_fit **out);
void th_t2i_fit_free(th_t2i_fit *f); /* NULL is allowed */
void th_t2i_fit_get_cost(const th_t2i_fit *f, th_fit_cost *out);
void th_t2i_fit_set_run(th_t2i_fit *f, th_run_folder *run); /* NULL, the default: nothing is kept */
/* Where encoded pictures are kept, as in the params. */
void th_t2i_fit_set_latents(th_t2i_fit *f, const char *dir, const char *key);
th_status th_t2i_fit_run(th_t2i_fit *f, const th_watch *w, th_train_result *result);

/* The denoising loss on held-out pairs, each at one time and with one noise that are the same at every measurement, all
 * weights 1: over all, and for each quarter of the times, from little noise to much. NaN where a quarter has none. */
#define TH_DENOISE_QUARTERS 4
typedef struct {
    double loss, quarters[TH_DENOISE_QUARTERS];
    int64_t count; /* pairs; 0: not measured */
} th_t2i_loss;
/* The last measurement; averaged parameters, where there are such. */
const th_t2i_loss *th_t2i_fit_measured(const th_t2i_fit *f);

extern const th_option th_t2i_fit_options[];
/* After th_fit_read. */
th_status th_t2i_fit_read(th_options *o, th_t2i_fit_params *p);

#endif
