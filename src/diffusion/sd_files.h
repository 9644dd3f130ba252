/* Where the parts of a Stable Diffusion folder lie. */
#ifndef TH_DIFFUSION_SD_FILES_H
#define TH_DIFFUSION_SD_FILES_H

#include "base/file.h"
#include "diffusion/sd.h"
#include "model/weights.h"

/* DIR/PART into path (TH_PATH_MAX bytes); a part that is no folder is TH_E_INPUT. */
th_status th_sd_part_dir(const char *dir, const char *part, char *path);
/* The same for a part of the folder that sd came from, and which variant of its weights is meant: what was asked for,
 * or what there is. *variant is NULL for plain files, or lies in v. */
th_status th_sd_part_files(const th_sd *sd, const char *part, char *path, char v[TH_VARIANT_MAX], const char **variant);

#endif
