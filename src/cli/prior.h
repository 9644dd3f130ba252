/* Pictures of a class for prior preservation: given by people, encoded by an earlier run, or drawn by the model before
 * it learns. Whatever personalises a model wants them, be it to attack or to protect. */
#ifndef TH_CLI_PRIOR_H
#define TH_CLI_PRIOR_H

#include "cli/encoding.h"
#include "train/drawn.h"

/* --class-images, --class-latents, --class-count, and how they are drawn. */
extern const th_option th_prior_options[];

typedef struct {
    th_cli *cli;
    const char *prompt;      /* what they show; NULL: there is no prior preservation, and nothing is found or noted */
    th_drawn_params drawing; /* the caller's: side, seed, threads, type, memory; options and prompt say the rest */
    th_dataset *set;         /* NULL: not given as pictures, and not drawn yet */
    char hash[TH_HASH_TEXT]; /* of what was given, or of what is to be drawn */
    th_moments moments;
} th_prior;

/* TH_E_USAGE where they are given twice, or for nothing, of which `without` is said. */
th_status th_prior_check(const th_prior *p, const char *without);
/* Opens --class-images where it is given. */
th_status th_prior_open(th_prior *p);
void th_prior_close(th_prior *p);
/* They are to be drawn by the model. */
bool th_prior_is_drawn(const th_prior *p);

/* The least that drawing them takes; 0 where they are not drawn. The model may be without values. */
th_status th_prior_seconds(const th_prior *p, th_sd *sd, const th_ceilings *c, double *seconds);
/* A row for that, where they are drawn. */
void th_prior_plan(const th_prior *p, th_table *t, double seconds);

/* For run.json: what was given, with its hash. */
th_status th_prior_note(th_prior *p, json_t *inputs);
/* Fills `moments`: with what was given, with what the run's folder holds of it, else by drawing and encoding them. The
 * encoding's model holds nothing or its autoencoder. */
th_status th_prior_find(th_prior *p, const th_encoding *e, const th_view_params *v);
/* TH_E_INPUT where they are of another autoencoder than the one of this hash. */
th_status th_prior_check_vae(const th_prior *p, const char *hash);

#endif
