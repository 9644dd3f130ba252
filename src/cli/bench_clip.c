/* theriac bench step of CLIP: pairs by the contrastive loss. */
#include "base/file.h"
#include "cli/bench_kind.h"
#include "model/clip_graph.h"

static bool knows(const char *name) {
    (void)name;
    return true;
}

static th_status make(const char *name, const th_bench_size *size, void **model) {
    th_clip_config config;
    TH_TRY(th_path_is_dir(name) ? th_clip_load_config(name, &config) : th_clip_config_named(name, &config));
    if (size->side && size->side != config.image_size)
        return th_fail(TH_E_USAGE, "--size %lld: a picture of this model has %lld pixels a side", (long long)size->side,
                       (long long)config.image_size);
    return th_clip_new(&config, (th_clip **)model);
}

static void drop(void *model) { th_clip_free(model); }
static th_params *trained(const void *model) { return th_clip_params(model); }
static th_status randomize(void *model) { return th_clip_randomize(model, 0); }

static void record(th_graph *g, const void *model, const th_bench_size *size) {
    th_clip_record_step(g, model, size->batch);
}

static void fill(th_plan *p, const void *model, const th_bench_size *size) {
    const th_clip_config *c = th_clip_get_config(model);
    float *images = th_plan_input(p, "images");
    int32_t *ids = th_plan_input(p, "ids"), *ends = th_plan_input(p, "ends");
    int64_t n = size->batch;
    for (int64_t k = 0; k < n * c->image_size * c->image_size * 3; k++)
        images[k] = (float)(k * 7919 % 1000) / 500.0f - 1.0f;
    for (int64_t k = 0; k < n * c->context; k++) ids[k] = (int32_t)(k * 31 % c->vocab_size);
    for (int64_t k = 0; k < n; k++) ends[k] = (int32_t)((k + 1) * c->context - 1);
}

const th_bench_kind th_bench_clip = {
    .batch = 64,
    .knows = knows,
    .make = make,
    .free = drop,
    .trained = trained,
    .record = record,
    .randomize = randomize,
    .fill = fill,
};
