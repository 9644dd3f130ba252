/* A tiny Stable Diffusion whose values come from a formula, and a tokenizer for it that knows bytes alone. */
#ifndef TH_SD_FIXTURE_H
#define TH_SD_FIXTURE_H

#include "test.h"

#include <math.h>
#include <stdlib.h>

#include "base/memory.h"
#include "diffusion/sd.h"
#include "format/bpe_train.h"
#include "train/moments.h"

/* Uniform in [−1, 1), a function of the name and the place; tests/fixtures/personalize.py has the same. */
static inline void fixture_numbers(const char *name, int64_t count, float *out) {
    uint32_t seed = 2166136261u;
    for (const char *c = name; *c; c++) seed = (seed ^ (uint8_t)*c) * 16777619u;
    for (int64_t i = 0; i < count; i++) {
        uint32_t x = (uint32_t)i * 0x9E3779B9u + seed;
        x = (x ^ x >> 16) * 0x7FEB352Du;
        x = (x ^ x >> 15) * 0x846CA68Bu;
        x ^= x >> 16;
        out[i] = (float)((double)(x >> 8) / 8388608.0 - 1);
    }
}

static inline bool fixture_ends(const char *name, const char *end) {
    size_t n = strlen(name), m = strlen(end);
    return n >= m && !strcmp(name + n - m, end);
}

static inline void fixture_fill(th_param *p, const char *name) {
    const th_desc *d = th_param_desc(p);
    int64_t n = th_desc_count(d);
    float *v = malloc((size_t)n * sizeof *v);
    assert_non_null(v);
    fixture_numbers(name, n, v);
    bool norm = strstr(name, "norm") && fixture_ends(name, ".weight");
    float scale = strstr(name, "embedding") ? 0.8f
                  : d->rank == 1            ? 0.1f
                                            : (float)sqrt(3.0 / ((double)n / (double)d->dim[0]));
    for (int64_t i = 0; i < n; i++) v[i] = norm ? 1 + 0.2f * v[i] : v[i] * scale;
    assert_ok(th_param_set(p, v));
    free(v);
}

static inline void fixture_fill_all(const th_params *ps) {
    for (int64_t i = 0; i < th_params_count(ps); i++)
        fixture_fill(th_params_at(ps, i), th_param_name(th_params_at(ps, i)));
}

static inline th_tokenizer *fixture_tokenizer(void) {
    th_bpe_trainer *t;
    th_bpe_train_params p;
    th_tokenizer *out;
    th_bpe_train_params_init(&p);
    p.vocab_size = 514;
    assert_ok(th_bpe_trainer_new(&t));
    assert_ok(th_bpe_trainer_add(t, "a", 1, 1));
    assert_ok(th_bpe_trainer_run(t, &p, NULL, &out));
    th_bpe_trainer_free(t);
    return out;
}

/* UNet of two levels and 8 and 16 channels, latents of side × side, text encoder of one layer over `context` tokens,
 * autoencoder that halves the sides once. */
static inline th_sd_config fixture_config(int64_t side, int64_t context) {
    th_sd_config c;
    th_unet_config_init(&c.unet);
    th_vae_config_init(&c.vae);
    th_text_encoder_config_init(&c.text);
    th_scheduler_config_init(&c.scheduler);
    c.unet.sample_size = side;
    c.unet.levels = 2;
    c.unet.channels[0] = 8, c.unet.channels[1] = 16;
    c.unet.attends_down[0] = true, c.unet.attends_down[1] = false;
    c.unet.attends_up[0] = false, c.unet.attends_up[1] = true;
    for (int i = 0; i < 2; i++) c.unet.heads[i] = 2;
    c.unet.layers_per_block = 1;
    c.unet.cross_attention_dim = 8;
    c.unet.groups = 4;
    c.vae.levels = 2;
    c.vae.sample_size = 2 * side;
    c.vae.channels[0] = c.vae.channels[1] = 8;
    c.vae.layers_per_block = 1;
    c.vae.groups = 4;
    c.text.tower = (th_clip_tower){.width = 8, .heads = 2, .layers = 1, .mlp = 16, .quick_gelu = true, .eps = 1e-5f};
    c.text.vocab_size = 514;
    c.text.context = context;
    return c;
}

static inline void fixture_open(int64_t side, int64_t context, th_sd *sd) {
    th_sd_config c = fixture_config(side, context);
    assert_ok(th_sd_new(&c, sd));
    sd->tokenizer = fixture_tokenizer();
    fixture_fill_all(th_unet_params(sd->unet));
    fixture_fill_all(th_vae_params(sd->vae));
    fixture_fill_all(th_text_encoder_params(sd->text));
}

/* Encoded pictures of side × side latents without a picture: `views` entries each, of values about the size that
 * latents have and a small variance. */
static inline th_moments fixture_moments(const char *name, int64_t side, int64_t channels, int64_t pictures,
                                         int64_t views) {
    th_moments m = {.pictures = pictures, .entries = pictures * views, .height = side, .width = side};
    m.channels = 2 * channels;
    int64_t n = m.entries * th_moments_size(&m);
    m.moments = th_alloc_big((size_t)n * sizeof *m.moments);
    m.first = th_alloc((size_t)pictures + 1, sizeof *m.first);
    assert_true(m.moments && m.first);
    fixture_numbers(name, n, m.moments);
    for (int64_t i = 0; i < n; i++)
        if (i % (2 * channels) >= channels)
            m.moments[i] = -8;
        else
            m.moments[i] *= 4;
    for (int64_t i = 0; i <= pictures; i++) m.first[i] = i * views;
    strcpy(m.vae, "a");
    return m;
}

#endif
