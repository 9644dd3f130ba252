/* What the two halves of theriac inspect share: folders of one model, and those of Stable Diffusion's parts. */
#ifndef TH_CLI_INSPECT_H
#define TH_CLI_INSPECT_H

#include "cli/frame.h"
#include "format/safetensors.h"

typedef struct {
    int64_t count[TH_ST_DTYPE_COUNT], tensors, elements;
    size_t bytes;
} th_inspect_totals;

th_inspect_totals th_inspect_add_up(const th_safetensors *f);
/* "F16: 686" and so on into text. */
void th_inspect_types(const th_inspect_totals *t, char *text, size_t room);
/* A row of two cells. */
void th_inspect_row(th_table *t, const char *what, const char *value);
void th_inspect_tensors(th_cli *cli, const th_safetensors *f, const char *title);
json_t *th_inspect_tensors_json(const th_safetensors *f);

/* A Stable Diffusion folder; batch 0: one picture. */
th_status th_inspect_sd(th_cli *cli, const char *dir, int64_t batch);

#endif
