/* Low-rank additions as diffusers keeps them: one file, "unet.PATH.lora_A.weight" [rank, in] and "….lora_B.weight"
 * [out, rank], and in its metadata the rank and alpha that diffusers since 0.34 reads there (older ones take alpha for
 * the rank, which is also what stands for files without). */
#ifndef TH_PERSONALIZE_LORA_FILE_H
#define TH_PERSONALIZE_LORA_FILE_H

#include "format/safetensors.h"
#include "model/unet.h"

#define TH_LORA_FILE "pytorch_lora_weights.safetensors"

/* The model's additions into DIR/TH_LORA_FILE, in "f32", "f16" or "bf16". alpha: as th_unet_add_lora had it. */
th_status th_lora_save(const th_unet *u, float alpha, const char *dir, const char *dtype);
/* path: such a file, or a folder that holds one. Gives the model its additions, which must have none yet, times
 * `strength`. Projections that the file leaves out stay as they are; what it has for other places, such as the text
 * encoder, is TH_E_INPUT by name. */
th_status th_lora_load(const char *path, float strength, th_unet *u);
/* The same from an open file, whose name is for errors. */
th_status th_lora_read(const th_safetensors *f, const char *name, float strength, th_unet *u);

#endif
