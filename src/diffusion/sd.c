/* Stable Diffusion models: the sizes that have names, made and let go. */
#include "diffusion/sd.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "diffusion/sd_files.h"

/* What Stable Diffusion 2 has otherwise. */
static void become_second(th_sd_config *c) {
    static const int64_t heads[] = {5, 10, 20, 20};
    memcpy(c->unet.heads, heads, sizeof heads);
    c->unet.linear_projection = true;
    c->unet.cross_attention_dim = 1024;
    c->text.tower = (th_clip_tower){1024, 16, 23, 4096, false, 1e-5f};
    c->text.projection_dim = 512;
    c->vae.sample_size = 768;
}

th_status th_sd_config_named(const char *name, th_sd_config *c) {
    th_unet_config_init(&c->unet);
    th_vae_config_init(&c->vae);
    th_text_encoder_config_init(&c->text);
    th_scheduler_config_init(&c->scheduler);
    if (!strcmp(name, "sd15")) return TH_OK;
    become_second(c);
    if (!strcmp(name, "sd21-base")) return TH_OK;
    if (strcmp(name, "sd21") != 0)
        return th_fail(TH_E_USAGE, "'%.100s' is no known model: sd15, sd21 or sd21-base", name);
    c->unet.sample_size = 96;
    c->unet.upcast_attention = true;
    TH_TRY(th_scheduler_become(&c->scheduler, th_scheduler_find("ddim")));
    c->scheduler.prediction = TH_PREDICT_V;
    c->scheduler.set_alpha_to_one = c->scheduler.clip_sample = false;
    return TH_OK;
}

static th_status check(const th_sd_config *c) {
    if (c->unet.in_channels != c->vae.latent_channels || c->unet.out_channels != c->vae.latent_channels)
        return th_fail(TH_E_INPUT,
                       "the UNet takes %lld channels and gives %lld, the autoencoder's latents have %lld: only plain "
                       "text-to-image models are supported, none for inpainting, depth or upscaling",
                       (long long)c->unet.in_channels, (long long)c->unet.out_channels,
                       (long long)c->vae.latent_channels);
    if (c->unet.cross_attention_dim != c->text.tower.width)
        return th_fail(TH_E_INPUT, "the UNet's cross_attention_dim is %lld, the text encoder's hidden_size %lld",
                       (long long)c->unet.cross_attention_dim, (long long)c->text.tower.width);
    if (c->vae.in_channels != 3 || c->vae.out_channels != 3)
        return th_fail(TH_E_INPUT, "the autoencoder's pictures have %lld and %lld channels, 3 are supported",
                       (long long)c->vae.in_channels, (long long)c->vae.out_channels);
    return TH_OK;
}

th_status th_sd_new(const th_sd_config *c, th_sd *out) {
    *out = (th_sd){.scheduler = c->scheduler};
    TH_TRY(check(c));
    th_status s = th_unet_new(&c->unet, &out->unet);
    if (s == TH_OK) s = th_vae_new(&c->vae, &out->vae);
    if (s == TH_OK) s = th_text_encoder_new(&c->text, &out->text);
    if (s != TH_OK) th_sd_free(out);
    return s;
}

void th_sd_free(th_sd *sd) {
    th_sd_free_words(sd);
    th_unet_free(sd->unet);
    th_vae_free(sd->vae);
    th_text_encoder_free(sd->text);
    th_tokenizer_free(sd->tokenizer);
    th_free(sd->dir);
    th_free(sd->variant);
    *sd = (th_sd){0};
}

void th_sd_release(th_sd *sd, unsigned parts) {
    if (parts & TH_SD_UNET) th_params_release(th_unet_params(sd->unet));
    if (parts & TH_SD_VAE) th_params_release(th_vae_params(sd->vae));
    if (parts & TH_SD_TEXT) th_params_release(th_text_encoder_params(sd->text));
}

static th_status read_configs(const char *dir, th_sd_config *c) {
    char path[TH_PATH_MAX];
    TH_TRY(th_sd_part_dir(dir, "unet", path));
    TH_TRY(th_unet_read_config(path, &c->unet));
    TH_TRY(th_sd_part_dir(dir, "vae", path));
    TH_TRY(th_vae_read_config(path, &c->vae));
    TH_TRY(th_sd_part_dir(dir, "text_encoder", path));
    TH_TRY(th_text_encoder_read_config(path, &c->text));
    TH_TRY(th_sd_part_dir(dir, "scheduler", path));
    return th_scheduler_read_config(path, &c->scheduler);
}

th_status th_sd_read_config(const char *dir, th_sd_config *c) {
    TH_TRY(th_sd_check_index(dir));
    TH_TRY(read_configs(dir, c));
    return th_fail_in(check(c), "%s", dir);
}

static th_status load_tokenizer(th_sd *sd, const char *dir) {
    char path[TH_PATH_MAX];
    TH_TRY(th_sd_part_dir(dir, "tokenizer", path));
    TH_TRY(th_tokenizer_load(path, &sd->tokenizer));
    int64_t tokens = th_tokenizer_size(sd->tokenizer), vocab = th_text_encoder_get_config(sd->text)->vocab_size;
    if (tokens > vocab)
        return th_fail(TH_E_INPUT, "%s: the tokenizer has %lld tokens, the text encoder %lld", path, (long long)tokens,
                       (long long)vocab);
    if (th_tokenizer_bos(sd->tokenizer) < 0 || th_tokenizer_eos(sd->tokenizer) < 0 ||
        th_tokenizer_pad(sd->tokenizer) < 0)
        return th_fail(TH_E_INPUT, "%s: the tokenizer lacks a token for the start, the end or the padding", path);
    return TH_OK;
}

static th_status load_values(th_sd *sd, unsigned parts) {
    char path[TH_PATH_MAX];
    if (parts & TH_SD_UNET) {
        TH_TRY(th_sd_part_dir(sd->dir, "unet", path));
        TH_TRY(th_unet_load(sd->unet, path, sd->variant));
    }
    if (parts & TH_SD_VAE) {
        TH_TRY(th_sd_part_dir(sd->dir, "vae", path));
        TH_TRY(th_vae_load(sd->vae, path, sd->variant));
    }
    if (parts & TH_SD_TEXT) {
        TH_TRY(th_sd_part_dir(sd->dir, "text_encoder", path));
        TH_TRY(th_text_encoder_load(sd->text, path, sd->variant));
    }
    return TH_OK;
}

static th_status load(th_sd *sd, const char *dir, const th_sd_load_params *p) {
    if (!(sd->dir = th_strdup(dir))) return th_fail_memory();
    if (p->variant && !(sd->variant = th_strdup(p->variant))) return th_fail_memory();
    TH_TRY(load_tokenizer(sd, dir));
    return load_values(sd, p->parts);
}

th_status th_sd_load(const char *dir, const th_sd_load_params *p, th_sd *out) {
    static const th_sd_load_params all = {.parts = TH_SD_ALL};
    th_sd_config c;
    *out = (th_sd){0};
    TH_TRY(th_sd_read_config(dir, &c));
    TH_TRY(th_sd_new(&c, out));
    th_status s = load(out, dir, p ? p : &all);
    if (s != TH_OK) th_sd_free(out);
    return s;
}

th_status th_sd_encode_texts(const th_sd *sd, const char *const *texts, int64_t n, int32_t *ids, int64_t *cut) {
    int64_t context = th_text_encoder_get_config(sd->text)->context, count = 0, longer = 0;
    th_tokenizer_work *w = NULL;
    TH_TRY(th_tokenizer_work_new(sd->tokenizer, &w));
    th_status s = TH_OK;
    for (int64_t i = 0; i < n && s == TH_OK; i++) {
        s = th_sd_encode_text(sd, w, texts[i], ids + i * context, &count);
        longer += count > context;
    }
    th_tokenizer_work_free(w);
    if (cut) *cut = longer;
    return s;
}
