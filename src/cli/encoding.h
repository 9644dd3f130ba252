/* Parts of the model that --model names, and pictures as its autoencoder sees them, kept in the run's folder. */
#ifndef TH_CLI_ENCODING_H
#define TH_CLI_ENCODING_H

#include "cli/fit_job.h"
#include "diffusion/sd.h"
#include "train/moments.h"

th_status th_cli_load_sd(th_cli *cli, unsigned parts, th_sd *out);

/* All of it is the caller's. */
typedef struct {
    th_cli *cli;
    const char *model_hash;
    const th_run_folder *run;
    th_sd *sd;                       /* parts that are needed on the way are loaded into it */
    int64_t height, width, channels; /* of encoded pictures */
} th_encoding;

/* "OUT/name" */
th_status th_encoding_path(const th_encoding *e, const char *name, char path[TH_PATH_MAX]);
/* Whether OUT/name holds these views of the set of this hash; then *out has them. */
bool th_encoding_find(const th_encoding *e, const char *hash, const th_view_params *v, const char *name,
                      th_moments *out);
/* What lies at `path` where it is of this key, else these views of the whole set, encoded and written there. */
th_status th_encoding_at(const th_encoding *e, th_dataset *d, const th_view_params *v, const char *key,
                         const char *path, th_moments *out);
/* Encodes the set's first `limit` pictures (0: all) and keeps them as OUT/name. */
th_status th_encoding_make(const th_encoding *e, th_dataset *d, int64_t limit, const char *hash,
                           const th_view_params *v, const char *name, th_moments *out);

#endif
