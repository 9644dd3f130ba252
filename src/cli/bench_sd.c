/* theriac bench step and denoise of Stable Diffusion: a step of DreamBooth's loss, for the UNet, with the text encoder,
 * or for low-rank additions alone; and one look of the UNet. */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "cli/bench_kind.h"
#include "diffusion/denoise.h"
#include "theriac/ops.h"

#define LORA_RANK 4

typedef struct {
    th_sd sd;
    th_params *trained; /* borrows; NULL: nothing is trained */
    th_denoise_shape shape;
} model;

static const char *const suffixes[] = {"-unet-text", "-unet", "-lora"};

/* Which of the suffixes a name ends with; −1: none. */
static int suffix_of(const char *name) {
    size_t n = strlen(name);
    for (int i = 0; i < 3; i++) {
        size_t m = strlen(suffixes[i]);
        if (n > m && !strcmp(name + n - m, suffixes[i])) return i;
    }
    return -1;
}

/* "sd15-unet" names sizes of ours, as a folder without a suffix names its own. */
static bool is_folder(const char *name) {
    char path[TH_PATH_MAX];
    return th_path_join(path, name, "model_index.json") == TH_OK && th_path_exists(path);
}

static bool knows_unet_text(const char *name) { return !is_folder(name) && suffix_of(name) == 0; }
static bool knows_unet(const char *name) { return is_folder(name) || suffix_of(name) == 1; }
static bool knows_lora(const char *name) { return !is_folder(name) && suffix_of(name) == 2; }
static bool knows_all(const char *name) {
    (void)name;
    return true;
}

static void drop(void *p) {
    model *m = p;
    if (!m) return;
    th_params_free(m->trained);
    th_sd_free(&m->sd);
    th_free(m);
}

static th_status read_config(const char *name, bool suffixed, th_sd_config *c) {
    char plain[64];
    if (is_folder(name)) return th_sd_read_config(name, c);
    int suffix = suffixed ? suffix_of(name) : -1;
    size_t n = strlen(name) - (suffix < 0 ? 0 : strlen(suffixes[suffix]));
    snprintf(plain, sizeof plain, "%.*s", n < sizeof plain ? (int)n : 0, name);
    return th_sd_config_named(plain, c);
}

static th_status set_shape(model *m, const th_bench_size *size) {
    const th_unet_config *u = th_unet_get_config(m->sd.unet);
    int64_t factor = th_vae_factor(th_vae_get_config(m->sd.vae)), multiple = factor * th_unet_multiple(u);
    int64_t side = size->side ? size->side : u->sample_size * factor;
    if (side % multiple)
        return th_fail(TH_E_USAGE, "--size %lld: a multiple of %lld is wanted", (long long)side, (long long)multiple);
    m->shape = (th_denoise_shape){
        .batch = size->batch,
        .height = side / factor,
        .width = side / factor,
        .tokens = th_text_encoder_get_config(m->sd.text)->context,
        .states = true,
    };
    return TH_OK;
}

static th_status make(const char *name, bool suffixed, const th_bench_size *size, model **out) {
    th_sd_config config;
    TH_TRY(read_config(name, suffixed, &config));
    model *m = *out = th_alloc(1, sizeof *m);
    if (!m) return th_fail_memory();
    TH_TRY(th_sd_new(&config, &m->sd));
    return set_shape(m, size);
}

static th_status train(model *m, const th_params *ps) {
    if (!m->trained && !(m->trained = th_params_new())) return th_fail_memory();
    return th_params_borrow(m->trained, ps);
}

static th_status made(th_status s, model *m, void **out) {
    if (s != TH_OK) return drop(m), s;
    *out = m;
    return TH_OK;
}

static th_status make_unet(const char *name, const th_bench_size *size, void **out) {
    model *m = NULL;
    th_status s = make(name, true, size, &m);
    if (s == TH_OK) s = train(m, th_unet_params(m->sd.unet));
    return made(s, m, out);
}

static th_status make_unet_text(const char *name, const th_bench_size *size, void **out) {
    model *m = NULL;
    th_status s = make(name, true, size, &m);
    if (s == TH_OK) s = train(m, th_unet_params(m->sd.unet));
    if (s == TH_OK) s = train(m, th_text_encoder_params(m->sd.text));
    if (s == TH_OK) m->shape.states = false;
    return made(s, m, out);
}

static th_status make_lora(const char *name, const th_bench_size *size, void **out) {
    model *m = NULL;
    th_lora_params p = {.rank = LORA_RANK, .alpha = LORA_RANK};
    th_status s = make(name, true, size, &m);
    if (s == TH_OK) s = th_unet_add_lora(m->sd.unet, &p);
    if (s == TH_OK) s = train(m, th_unet_lora(m->sd.unet));
    if (s == TH_OK) th_params_set_trainable(th_unet_params(m->sd.unet), false);
    return made(s, m, out);
}

static th_status make_denoise(const char *name, const th_bench_size *size, void **out) {
    model *m = NULL;
    th_status s = make(name, false, size, &m);
    if (s == TH_OK) th_params_set_trainable(th_unet_params(m->sd.unet), false);
    return made(s, m, out);
}

static th_params *trained(const void *p) { return ((const model *)p)->trained; }

static th_status randomize(void *p) {
    model *m = p;
    TH_TRY(th_unet_randomize(m->sd.unet, 0));
    return m->shape.states ? TH_OK : th_text_encoder_randomize(m->sd.text, 0);
}

static void record_step(th_graph *g, const void *p, const th_bench_size *size) {
    const model *m = p;
    (void)size;
    th_denoise_loss l = th_denoise_record(g, &m->sd, &m->shape);
    th_output(g, "loss", l.loss);
    th_grad_params(g, l.loss, m->trained);
}

static void record_look(th_graph *g, const void *p, const th_bench_size *size) {
    const model *m = p;
    const th_unet_config *u = th_unet_get_config(m->sd.unet);
    const th_denoise_shape *s = &m->shape;
    th_tensor *x = th_input(g, "latents", TH_DESC(TH_F32, size->batch, s->height, s->width, u->in_channels));
    th_tensor *times = th_input(g, "times", TH_DESC(TH_F32, size->batch, u->channels[0]));
    th_tensor *states = th_input(g, "states", TH_DESC(TH_F32, size->batch, s->tokens, u->cross_attention_dim));
    th_output(g, "prediction", th_unet_apply(g, m->sd.unet, x, times, states));
}

static void fill_floats(th_plan *p, const char *name) {
    float *v = th_plan_input(p, name);
    int64_t n = v ? th_desc_count(th_plan_input_desc(p, name)) : 0;
    for (int64_t k = 0; k < n; k++) v[k] = (float)(k * 7919 % 1000) / 500.0f - 1.0f;
}

static void fill(th_plan *p, const void *model_, const th_bench_size *size) {
    const model *m = model_;
    static const char *const floats[] = {"latents", "noise", "signal", "sigma", "times", "weight", "states"};
    for (size_t i = 0; i < sizeof floats / sizeof *floats; i++) fill_floats(p, floats[i]);
    int32_t *ids = th_plan_input(p, "ids");
    int64_t vocab = th_text_encoder_get_config(m->sd.text)->vocab_size;
    for (int64_t k = 0; ids && k < size->batch * m->shape.tokens; k++) ids[k] = (int32_t)(k * 31 % vocab);
}

#define STEP(kind)                                                                                \
    {                                                                                             \
        .batch = 1, .knows = knows_##kind, .make = make_##kind, .free = drop, .trained = trained, \
        .record = record_step, .randomize = randomize, .fill = fill,                              \
    }

const th_bench_kind th_bench_sd_unet = STEP(unet);
const th_bench_kind th_bench_sd_unet_text = STEP(unet_text);
const th_bench_kind th_bench_sd_lora = STEP(lora);
const th_bench_kind th_bench_sd_denoise = {
    .batch = 2,
    .knows = knows_all,
    .make = make_denoise,
    .free = drop,
    .trained = trained,
    .record = record_look,
    .randomize = randomize,
    .fill = fill,
};
