/* The autoencoder's files. */
#ifndef TH_MODEL_VAE_FILES_H
#define TH_MODEL_VAE_FILES_H

#include "model/vae.h"
#include "model/weights.h"

/* The sizes make a model. */
th_status th_vae_check(const th_vae_config *c);

/* Where its parameters lie in a file: for weights.h. */
th_status th_vae_weight_source(const void *model, const th_param *p, th_weight_source *out);

#endif
