/* What custom diffusion changes, as diffusers keeps it: the keys' and values' projections of every cross-attention,
 * "PATH.attn2.processor.to_k_custom_diffusion.weight", and for each other attention an empty tensor
 * "PATH.attn1.processor", without which diffusers' load_attn_procs does not know that it stays. */
#ifndef TH_PERSONALIZE_CUSTOM_FILE_H
#define TH_PERSONALIZE_CUSTOM_FILE_H

#include "format/safetensors.h"
#include "model/unet.h"

#define TH_CUSTOM_FILE "pytorch_custom_diffusion_weights.safetensors"

/* Whether a parameter of a UNet is one of those projections. */
bool th_custom_has(const char *param);
th_status th_custom_save(const th_unet *u, const char *dir, const char *dtype);
/* path: such a file, or a folder that holds one. The model has its values. */
th_status th_custom_load(const char *path, th_unet *u);
/* The same from an open file, whose name is for errors. */
th_status th_custom_read(const th_safetensors *f, const char *name, th_unet *u);

#endif
