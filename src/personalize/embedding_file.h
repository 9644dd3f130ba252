/* New words as textual inversion keeps them: learned_embeds.safetensors, one tensor that bears the word's name, [rows,
 * width] or [width]. */
#ifndef TH_PERSONALIZE_EMBEDDING_FILE_H
#define TH_PERSONALIZE_EMBEDDING_FILE_H

#include "diffusion/sd.h"

#define TH_EMBEDDING_FILE "learned_embeds.safetensors"

/* Word i of the model, as its added rows are now, into PATH, always in f32: a row is small. */
th_status th_embedding_save(const th_sd *sd, int64_t i, const char *path);
/* Gives the model the words of these files (or folders that hold one under the usual name), all at once. */
th_status th_embeddings_load(const char *const *paths, int64_t n, th_sd *sd);

#endif
