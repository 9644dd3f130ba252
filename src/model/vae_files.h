/* The autoencoder's files. */
#ifndef TH_MODEL_VAE_FILES_H
#define TH_MODEL_VAE_FILES_H

#include "model/vae.h"
#include "model/weights.h"

/* The sizes make a model. */
th_status th_vae_check(const th_vae_config *c);

#endif
