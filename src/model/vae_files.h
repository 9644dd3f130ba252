/* The autoencoder's files. */
#ifndef TH_MODEL_VAE_FILES_H
#define TH_MODEL_VAE_FILES_H

#include "model/vae.h"
#include "model/weights.h"

/* The sizes make a model. */
th_status th_vae_check(const th_vae_config *c);

/* config.json from memory; name is for errors. */
th_status th_vae_parse_config(const char *name, const char *text, size_t length, th_vae_config *c);
/* Where its parameters lie in a file: for weights.h. */
th_status th_vae_weight_source(const void *model, const th_param *p, th_weight_source *out);

#endif
