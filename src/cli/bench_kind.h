/* What theriac bench measures: a kind of model says how one is made, what is recorded of it and what it is fed. */
#ifndef TH_CLI_BENCH_KIND_H
#define TH_CLI_BENCH_KIND_H

#include "theriac/plan.h"

typedef struct {
    int64_t batch, side; /* side: pixels of a picture; 0: the model's own */
} th_bench_size;

typedef struct {
    int64_t batch; /* where none is asked for */
    bool (*knows)(const char *name);
    /* A model without values. Unknown names and sizes that do not fit are TH_E_USAGE. */
    th_status (*make)(const char *name, const th_bench_size *size, void **model);
    void (*free)(void *model); /* NULL is allowed */
    /* What a step trains; NULL: nothing, and a run is all that is measured. */
    th_params *(*trained)(const void *model);
    void (*record)(th_graph *g, const void *model, const th_bench_size *size);
    th_status (*randomize)(void *model);
    /* Inputs of no meaning, but of the right size. */
    void (*fill)(th_plan *p, const void *model, const th_bench_size *size);
} th_bench_kind;

extern const th_bench_kind th_bench_clip;
extern const th_bench_kind th_bench_sd_unet, th_bench_sd_unet_text, th_bench_sd_lora, th_bench_sd_denoise;

#endif
