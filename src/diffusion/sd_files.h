/* Where the parts of a Stable Diffusion folder lie. */
#ifndef TH_DIFFUSION_SD_FILES_H
#define TH_DIFFUSION_SD_FILES_H

#include <stdatomic.h>

#include "base/file.h"
#include "diffusion/sd.h"

/* Scheduler, tokenizer and model_index.json, which makes the folder whole. */
th_status th_sd_write_rest(const th_scheduler_config *scheduler, const th_tokenizer *t, const char *dir);
/* DIR/PART into path (TH_PATH_MAX bytes); a part that is no folder is TH_E_INPUT. */
th_status th_sd_part_dir(const char *dir, const char *part, char *path);
/* What th_sd_weights_hash is, of these variants, as long as *stop is not true. */
th_status th_sd_hash_parts(const char *dir, const char *variant, const atomic_bool *stop, char out[TH_HASH_TEXT]);

#endif
