/* The autoencoder's folder: config.json and weights, as diffusers has them. */
#include "model/vae_files.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "format/json.h"
#include "model/clip_tower.h"
#include "model/weights.h"

#define CONFIG_MAX ((size_t)1 << 20)
#define MOST_CHANNELS (1 << 16)

void th_vae_config_init(th_vae_config *c) {
    *c = (th_vae_config){
        .sample_size = 512,
        .in_channels = 3,
        .out_channels = 3,
        .latent_channels = 4,
        .levels = 4,
        .channels = {128, 256, 512, 512},
        .layers_per_block = 2,
        .groups = 32,
        .quant_conv = true,
        .post_quant_conv = true,
        .mid_attention = true,
        .scaling_factor = 0.18215f,
        .force_upcast = true,
    };
}

th_status th_vae_check(const th_vae_config *c) {
    if (c->levels < 1 || c->levels > TH_VAE_MOST_LEVELS)
        return th_fail(TH_E_INPUT, "the autoencoder has %d levels, it should have 1 to %d", c->levels,
                       TH_VAE_MOST_LEVELS);
    if (c->groups < 1 || c->layers_per_block < 1 || c->layers_per_block > 64)
        return th_fail(TH_E_INPUT, "the autoencoder has %lld groups and %lld layers a block", (long long)c->groups,
                       (long long)c->layers_per_block);
    for (int i = 0; i < c->levels; i++)
        if (c->channels[i] < 1 || c->channels[i] > MOST_CHANNELS || c->channels[i] % c->groups)
            return th_fail(TH_E_INPUT, "the autoencoder's %lld channels are no multiple of its %lld groups",
                           (long long)c->channels[i], (long long)c->groups);
    if (c->in_channels < 1 || c->in_channels > 16 || c->out_channels < 1 || c->out_channels > 16 ||
        c->latent_channels < 1 || c->latent_channels > 256)
        return th_fail(TH_E_INPUT, "the autoencoder has %lld and %lld channels of pictures and %lld of latents",
                       (long long)c->in_channels, (long long)c->out_channels, (long long)c->latent_channels);
    if (!(c->scaling_factor > 0) || !isfinite(c->scaling_factor) || !isfinite(c->shift_factor))
        return th_fail(TH_E_INPUT, "the autoencoder's scaling factor is not above 0");
    return TH_OK;
}

/* Every entry of a list of block types is this one; one for each level. */
static th_status check_blocks(const th_json *j, const char *field, const char *only, int levels) {
    json_t *list = NULL;
    char what[160];
    TH_TRY(th_json_array(j, field, &list));
    if (!list) return TH_OK;
    snprintf(what, sizeof what, "%d times \"%s\", the one kind of block that is known here", levels, only);
    if ((int)json_array_size(list) != levels) return th_json_fail(j, field, what);
    for (int i = 0; i < levels; i++) {
        const char *name = json_string_value(json_array_get(list, (size_t)i));
        if (!name || strcmp(name, only) != 0) return th_json_fail(j, field, what);
    }
    return TH_OK;
}

static th_status read_channels(const th_json *j, th_vae_config *c) {
    json_t *list = NULL;
    TH_TRY(th_json_array(j, "block_out_channels", &list));
    if (!list) return TH_OK;
    size_t n = json_array_size(list);
    if (n < 1 || n > TH_VAE_MOST_LEVELS) return th_json_fail(j, "block_out_channels", "a list of 1 to 8 numbers");
    c->levels = (int)n;
    for (size_t i = 0; i < n; i++) {
        const json_t *v = json_array_get(list, i);
        if (!json_is_integer(v) || json_integer_value(v) < 1 || json_integer_value(v) > MOST_CHANNELS)
            return th_json_fail(j, "block_out_channels", "a list of whole numbers in [1, 65536]");
        c->channels[i] = json_integer_value(v);
    }
    return TH_OK;
}

/* What would make another model of it. */
static th_status check_plain(const th_json *j) {
    static const char *const absent[] = {"latents_mean", "latents_std"};
    const char *name = "AutoencoderKL", *act = "silu";
    TH_TRY(th_json_string(j, "_class_name", &name));
    if (strcmp(name, "AutoencoderKL") != 0) return th_json_fail(j, "_class_name", "\"AutoencoderKL\"");
    TH_TRY(th_json_string(j, "act_fn", &act));
    if (strcmp(act, "silu") != 0) return th_json_fail(j, "act_fn", "\"silu\"");
    for (size_t i = 0; i < sizeof absent / sizeof *absent; i++)
        if (th_json_has(j, absent[i])) return th_json_fail(j, absent[i], "null: it is not known here");
    return TH_OK;
}

static th_status parse(const th_json *j, th_vae_config *c) {
    double scaling = (double)c->scaling_factor, shift = 0;
    TH_TRY(check_plain(j));
    TH_TRY(read_channels(j, c));
    TH_TRY(check_blocks(j, "down_block_types", "DownEncoderBlock2D", c->levels));
    TH_TRY(check_blocks(j, "up_block_types", "UpDecoderBlock2D", c->levels));
    const struct {
        const char *name;
        int64_t most, *value;
    } ints[] = {{"in_channels", 16, &c->in_channels},           {"out_channels", 16, &c->out_channels},
                {"latent_channels", 256, &c->latent_channels},  {"layers_per_block", 64, &c->layers_per_block},
                {"norm_num_groups", MOST_CHANNELS, &c->groups}, {"sample_size", 1 << 20, &c->sample_size}};
    for (size_t i = 0; i < sizeof ints / sizeof *ints; i++)
        TH_TRY(th_json_int(j, ints[i].name, 1, ints[i].most, ints[i].value));
    TH_TRY(th_json_double(j, "scaling_factor", &scaling));
    TH_TRY(th_json_double(j, "shift_factor", &shift));
    TH_TRY(th_json_bool(j, "use_quant_conv", &c->quant_conv));
    TH_TRY(th_json_bool(j, "use_post_quant_conv", &c->post_quant_conv));
    TH_TRY(th_json_bool(j, "mid_block_add_attention", &c->mid_attention));
    TH_TRY(th_json_bool(j, "force_upcast", &c->force_upcast));
    c->scaling_factor = (float)scaling, c->shift_factor = (float)shift;
    return th_fail_in(th_vae_check(c), "%s", j->file);
}

th_status th_vae_parse_config(const char *name, const char *text, size_t length, th_vae_config *c) {
    th_json j = {0};
    th_vae_config_init(c);
    /* Where a file leaves them out, diffusers' defaults hold, which are smaller than SD 1.5. */
    c->sample_size = 32, c->levels = 1, c->channels[0] = 64, c->layers_per_block = 1;
    TH_TRY(th_json_parse(name, text, length, &j));
    th_status s = parse(&j, c);
    th_json_free(&j);
    return s;
}

th_status th_vae_read_config(const char *dir, th_vae_config *c) {
    char path[TH_PATH_MAX];
    th_bytes text;
    TH_TRY(th_path_join(path, dir, "config.json"));
    TH_TRY(th_file_read(path, CONFIG_MAX, &text));
    th_status s = th_vae_parse_config(path, text.data, text.length, c);
    th_free(text.data);
    return s;
}

static json_t *repeated(const char *text, int n) {
    json_t *list = json_array();
    for (int i = 0; i < n; i++) list = th_json_with(list, json_string(text));
    return list;
}

th_status th_vae_write_config(const th_vae_config *c, const char *dir) {
    char path[TH_PATH_MAX];
    TH_TRY(th_make_dirs(dir));
    TH_TRY(th_path_join(path, dir, "config.json"));
    json_t *j = json_pack(
        "{s:s, s:s, s:s, s:o, s:o, s:b, s:I, s:I, s:I, s:b, s:I, s:I, s:I, s:f, s:o, s:o, s:b, s:b}", "_class_name",
        "AutoencoderKL", "_diffusers_version", "0.30.0", "act_fn", "silu", "block_out_channels",
        th_json_numbers(c->channels, c->levels), "down_block_types", repeated("DownEncoderBlock2D", c->levels),
        "force_upcast", c->force_upcast, "in_channels", (json_int_t)c->in_channels, "latent_channels",
        (json_int_t)c->latent_channels, "layers_per_block", (json_int_t)c->layers_per_block, "mid_block_add_attention",
        c->mid_attention, "norm_num_groups", (json_int_t)c->groups, "out_channels", (json_int_t)c->out_channels,
        "sample_size", (json_int_t)c->sample_size, "scaling_factor", th_shortest(c->scaling_factor), "shift_factor",
        c->shift_factor != 0 ? json_real(th_shortest(c->shift_factor)) : json_null(), "up_block_types",
        repeated("UpDecoderBlock2D", c->levels), "use_post_quant_conv", c->post_quant_conv, "use_quant_conv",
        c->quant_conv);
    th_status s = j ? th_json_write(path, j) : th_fail_memory();
    json_decref(j);
    return s;
}

/* 1 × 1 convolutions are products here; attention had other names before diffusers 0.16. */
th_status th_vae_weight_source(const void *model, const th_param *p, th_weight_source *out) {
    static const char *const renamed[][2] = {
        {".to_q.", ".query."}, {".to_k.", ".key."}, {".to_v.", ".value."}, {".to_out.0.", ".proj_attn."}};
    TH_TRY(th_weight_as_is(model, p, out));
    th_weight_is_convolution(out, "conv_shortcut.weight");
    th_weight_is_convolution(out, "quant_conv.weight");
    for (size_t i = 0; i < sizeof renamed / sizeof *renamed; i++) {
        const char *at = strstr(out->name, renamed[i][0]);
        if (at)
            snprintf(out->old_name, sizeof out->old_name, "%.*s%s%s", (int)(at - out->name), out->name, renamed[i][1],
                     at + strlen(renamed[i][0]));
    }
    return TH_OK;
}

th_status th_vae_load(th_vae *v, const char *dir, const char *variant) {
    return th_weights_load_whole(dir, variant, th_vae_params(v), th_vae_weight_source, v, NULL);
}

th_status th_vae_save(const th_vae *v, const char *dir, const char *dtype) {
    char path[TH_PATH_MAX];
    TH_TRY(th_make_dirs(dir));
    TH_TRY(th_path_join(path, dir, "diffusion_pytorch_model.safetensors"));
    TH_TRY(th_weights_save(path, th_vae_params(v), th_vae_weight_source, v, dtype));
    return th_vae_write_config(th_vae_get_config(v), dir);
}
