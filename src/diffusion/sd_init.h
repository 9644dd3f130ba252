/* Stable Diffusion folders with random values: to try sizes and machines without anybody's weights, or to train from.
 */
#ifndef TH_DIFFUSION_SD_INIT_H
#define TH_DIFFUSION_SD_INIT_H

#include "diffusion/sd.h"

/* Writes a folder, one tensor at a time, so that memory for the largest is enough; values are a function of the seed:
 * weights uniform in ±1 / √(inputs of an output) as PyTorch's layers start, embeddings in ±0.035, biases 0 and norms 1.
 * A folder that holds a model already is TH_E_USAGE. Stopped by the watch, it is left without model_index.json. */
th_status th_sd_write_random(const th_sd_config *c, const th_tokenizer *t, const char *dir, const char *dtype,
                             uint64_t seed, const th_watch *watch);

/* A tokenizer of so many tokens, learned from a built-in list of words of prompts and, since no list would be long
 * enough, made-up words. pad: the token to pad with, as the tokenizer writes it: "<|endoftext|>" or "!". */
th_status th_sd_make_tokenizer(int64_t size, int64_t context, const char *pad, const th_watch *watch,
                               th_tokenizer **out);

#endif
