/* The UNet's folder: config.json and weights, as diffusers has them. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "format/json.h"
#include "model/clip_tower.h"
#include "model/unet_parts.h"
#include "model/weights.h"

#define CONFIG_MAX ((size_t)1 << 20)
#define MOST_CHANNELS (1 << 16)

void th_unet_config_init(th_unet_config *c) {
    *c = (th_unet_config){
        .sample_size = 64,
        .in_channels = 4,
        .out_channels = 4,
        .levels = 4,
        .channels = {320, 640, 1280, 1280},
        .attends_down = {true, true, true, false},
        .attends_up = {false, true, true, true},
        .heads = {8, 8, 8, 8},
        .layers_per_block = 2,
        .cross_attention_dim = 768,
        .groups = 32,
        .eps = 1e-5f,
        .flip_sin_to_cos = true,
    };
}

th_status th_unet_check(const th_unet_config *c) {
    if (c->levels < 1 || c->levels > TH_UNET_MOST_LEVELS)
        return th_fail(TH_E_INPUT, "the UNet has %d levels, it should have 1 to %d", c->levels, TH_UNET_MOST_LEVELS);
    if (c->layers_per_block < 1 || c->layers_per_block > TH_UNET_MOST_LAYERS)
        return th_fail(TH_E_INPUT, "the UNet has %lld layers a block, it should have 1 to %d",
                       (long long)c->layers_per_block, TH_UNET_MOST_LAYERS);
    if (c->in_channels < 1 || c->in_channels > 256 || c->out_channels < 1 || c->out_channels > 256 ||
        c->cross_attention_dim < 1 || c->cross_attention_dim > MOST_CHANNELS || c->groups < 1)
        return th_fail(TH_E_INPUT, "the UNet takes %lld channels, gives %lld and reads texts of width %lld",
                       (long long)c->in_channels, (long long)c->out_channels, (long long)c->cross_attention_dim);
    for (int i = 0; i < c->levels; i++) {
        long long n = c->channels[i], heads = c->heads[i];
        if (n < 2 || n > MOST_CHANNELS || n % c->groups)
            return th_fail(TH_E_INPUT, "the UNet's %lld channels are no multiple of its %lld groups", n,
                           (long long)c->groups);
        if (heads < 1 || n % heads)
            return th_fail(TH_E_INPUT, "the UNet's %lld channels are no multiple of its %lld heads", n, heads);
    }
    if (!(c->eps >= 0 && c->eps < 1)) return th_fail(TH_E_INPUT, "the UNet's eps of norms is not in [0, 1)");
    if (!(c->freq_shift >= 0 && c->freq_shift < (float)(c->channels[0] / 2)))
        return th_fail(TH_E_INPUT, "the UNet's shift of frequencies is not in [0, %lld)",
                       (long long)c->channels[0] / 2);
    return TH_OK;
}

/* ---- config.json */

/* A whole number, or one for each level. */
static th_status read_each(const th_json *j, const char *field, int levels, int64_t most, int64_t *out) {
    const json_t *v = json_object_get(j->root, field);
    char what[96];
    snprintf(what, sizeof what, "a whole number from 1 to %lld, or %d of them", (long long)most, levels);
    if (!v || json_is_null(v)) return TH_OK;
    if (json_is_array(v) && (int)json_array_size(v) != levels) return th_json_fail(j, field, what);
    for (int i = 0; i < levels; i++) {
        const json_t *one = json_is_array(v) ? json_array_get(v, (size_t)i) : v;
        if (!json_is_integer(one) || json_integer_value(one) < 1 || json_integer_value(one) > most)
            return th_json_fail(j, field, what);
        out[i] = json_integer_value(one);
    }
    return TH_OK;
}

/* The same where all levels must agree. */
static th_status read_same(const th_json *j, const char *field, int levels, int64_t most, int64_t *out) {
    int64_t all[TH_UNET_MOST_LEVELS];
    for (int i = 0; i < levels; i++) all[i] = *out;
    TH_TRY(read_each(j, field, levels, most, all));
    for (int i = 1; i < levels; i++)
        if (all[i] != all[0]) return th_json_fail(j, field, "the same for every level: others are not known here");
    *out = all[0];
    return TH_OK;
}

static th_status read_blocks(const th_json *j, const char *field, const char *plain, const char *attending, int levels,
                             bool *attends) {
    json_t *list = NULL;
    char what[160];
    TH_TRY(th_json_array(j, field, &list));
    if (!list) return TH_OK;
    snprintf(what, sizeof what, "a list of %d, each \"%s\" or \"%s\"", levels, attending, plain);
    if ((int)json_array_size(list) != levels) return th_json_fail(j, field, what);
    for (int i = 0; i < levels; i++) {
        const char *name = json_string_value(json_array_get(list, (size_t)i));
        if (!name || (strcmp(name, plain) != 0 && strcmp(name, attending) != 0)) {
            char shown[TH_SHOWN_MAX], full[320];
            snprintf(full, sizeof full, "%s; '%s' is not known here", what,
                     name ? th_shown(shown, name, strlen(name)) : "that");
            return th_json_fail(j, field, full);
        }
        attends[i] = !strcmp(name, attending);
    }
    return TH_OK;
}

/* Fields whose value, where there is one, must be the plain one: all else makes another model. */
static th_status check_plain(const th_json *j) {
    static const struct {
        const char *name, *plain; /* NULL: absent, null or false */
    } rows[] = {
        {"_class_name", "UNet2DConditionModel"},
        {"act_fn", "silu"},
        {"mid_block_type", "UNetMidBlock2DCrossAttn"},
        {"time_embedding_type", "positional"},
        {"resnet_time_scale_shift", "default"},
        {"attention_type", "default"},
        {"center_input_sample", NULL},
        {"dual_cross_attention", NULL},
        {"class_embed_type", NULL},
        {"num_class_embeds", NULL},
        {"addition_embed_type", NULL},
        {"encoder_hid_dim", NULL},
        {"encoder_hid_dim_type", NULL},
        {"time_embedding_act_fn", NULL},
        {"timestep_post_act", NULL},
        {"time_cond_proj_dim", NULL},
        {"projection_class_embeddings_input_dim", NULL},
        {"reverse_transformer_layers_per_block", NULL},
        {"resnet_skip_time_act", NULL},
        {"class_embeddings_concat", NULL},
        {"cross_attention_norm", NULL},
        {"addition_time_embed_dim", NULL},
        {"mid_block_only_cross_attention", NULL},
        {"num_attention_heads", NULL}, /* diffusers refuses it too: heads stand under attention_head_dim */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const json_t *v = json_object_get(j->root, rows[i].name);
        const char *text = json_string_value(v), *plain = rows[i].plain;
        char what[96];
        if (!v || json_is_null(v) || (!plain && json_is_false(v)) || (plain && text && !strcmp(text, plain))) continue;
        snprintf(what, sizeof what, "%s%s%s: nothing else is known here", plain ? "\"" : "", plain ? plain : "null",
                 plain ? "\"" : "");
        return th_json_fail(j, rows[i].name, what);
    }
    return TH_OK;
}

/* Numbers that make another model unless they are these. */
static th_status check_numbers(const th_json *j, int levels) {
    static const struct {
        const char *name;
        double plain;
    } rows[] = {{"conv_in_kernel", 3},         {"conv_out_kernel", 3}, {"downsample_padding", 1},
                {"mid_block_scale_factor", 1}, {"dropout", 0},         {"resnet_out_scale_factor", 1}};
    int64_t layers = 1;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const json_t *v = json_object_get(j->root, rows[i].name);
        char what[64];
        if (!v || json_is_null(v) || (json_is_number(v) && json_number_value(v) == rows[i].plain)) continue;
        snprintf(what, sizeof what, "%g: nothing else is known here", rows[i].plain);
        return th_json_fail(j, rows[i].name, what);
    }
    TH_TRY(read_same(j, "transformer_layers_per_block", levels, 64, &layers));
    if (layers != 1) return th_json_fail(j, "transformer_layers_per_block", "1: nothing else is known here");
    const json_t *only = json_object_get(j->root, "only_cross_attention");
    for (size_t i = 0; json_is_array(only) && i < json_array_size(only); i++)
        if (!json_is_false(json_array_get(only, i)))
            return th_json_fail(j, "only_cross_attention", "false: nothing else is known here");
    if (only && !json_is_array(only) && !json_is_false(only) && !json_is_null(only))
        return th_json_fail(j, "only_cross_attention", "false: nothing else is known here");
    return TH_OK;
}

/* null is a model without norms to diffusers, and not the default. */
static th_status read_groups(const th_json *j, int64_t *groups) {
    if (json_is_null(json_object_get(j->root, "norm_num_groups")))
        return th_json_fail(j, "norm_num_groups", "a whole number: models without norms are not known here");
    return th_json_int(j, "norm_num_groups", 1, MOST_CHANNELS, groups);
}

static th_status read_time_width(const th_json *j, int64_t plain) {
    int64_t width = plain;
    TH_TRY(th_json_int(j, "time_embedding_dim", 1, INT64_MAX, &width));
    if (width == plain) return TH_OK;
    return th_json_fail(j, "time_embedding_dim", "null or four times the first of block_out_channels");
}

static th_status parse(const th_json *j, th_unet_config *c) {
    double eps = (double)c->eps, shift = (double)c->freq_shift;
    json_t *channels = NULL;
    TH_TRY(check_plain(j));
    TH_TRY(th_json_array(j, "block_out_channels", &channels));
    if (channels) c->levels = (int)(json_array_size(channels) & 0xff);
    if (c->levels < 1 || c->levels > TH_UNET_MOST_LEVELS)
        return th_json_fail(j, "block_out_channels", "a list of 1 to 8 numbers");
    TH_TRY(read_each(j, "block_out_channels", c->levels, MOST_CHANNELS, c->channels));
    TH_TRY(check_numbers(j, c->levels));
    TH_TRY(read_blocks(j, "down_block_types", "DownBlock2D", "CrossAttnDownBlock2D", c->levels, c->attends_down));
    TH_TRY(read_blocks(j, "up_block_types", "UpBlock2D", "CrossAttnUpBlock2D", c->levels, c->attends_up));
    /* diffusers' slip, kept for the models' sake: the field of the heads' width holds their number. */
    TH_TRY(read_each(j, "attention_head_dim", c->levels, MOST_CHANNELS, c->heads));
    TH_TRY(read_same(j, "layers_per_block", c->levels, TH_UNET_MOST_LAYERS, &c->layers_per_block));
    TH_TRY(read_same(j, "cross_attention_dim", c->levels, MOST_CHANNELS, &c->cross_attention_dim));
    TH_TRY(th_json_int(j, "in_channels", 1, 256, &c->in_channels));
    TH_TRY(th_json_int(j, "out_channels", 1, 256, &c->out_channels));
    TH_TRY(read_groups(j, &c->groups));
    TH_TRY(read_time_width(j, 4 * c->channels[0]));
    TH_TRY(th_json_int(j, "sample_size", 1, 1 << 20, &c->sample_size));
    TH_TRY(th_json_bool(j, "use_linear_projection", &c->linear_projection));
    TH_TRY(th_json_bool(j, "upcast_attention", &c->upcast_attention));
    TH_TRY(th_json_bool(j, "flip_sin_to_cos", &c->flip_sin_to_cos));
    TH_TRY(th_json_double(j, "norm_eps", &eps));
    TH_TRY(th_json_double(j, "freq_shift", &shift));
    c->eps = (float)eps, c->freq_shift = (float)shift;
    return th_fail_in(th_unet_check(c), "%s", j->file);
}

th_status th_unet_parse_config(const char *name, const char *text, size_t length, th_unet_config *c) {
    th_json j = {0};
    th_unet_config_init(c); /* diffusers' defaults too, but for the width of texts */
    c->cross_attention_dim = 1280;
    TH_TRY(th_json_parse(name, text, length, &j));
    th_status s = parse(&j, c);
    th_json_free(&j);
    return s;
}

th_status th_unet_read_config(const char *dir, th_unet_config *c) {
    char path[TH_PATH_MAX];
    th_bytes text;
    TH_TRY(th_path_join(path, dir, "config.json"));
    TH_TRY(th_file_read(path, CONFIG_MAX, &text));
    th_status s = th_unet_parse_config(path, text.data, text.length, c);
    th_free(text.data);
    return s;
}

static json_t *block_names(const bool *attends, int levels, const char *plain, const char *attending) {
    json_t *list = json_array();
    for (int i = 0; i < levels; i++) list = th_json_with(list, json_string(attends[i] ? attending : plain));
    return list;
}

static json_t *heads_json(const th_unet_config *c) {
    for (int i = 1; i < c->levels; i++)
        if (c->heads[i] != c->heads[0]) return th_json_numbers(c->heads, c->levels);
    return json_integer(c->heads[0]);
}

/* A whole number without a point, as diffusers writes it. */
static json_t *shift_json(float shift) {
    return shift == floorf(shift) ? json_integer((json_int_t)shift) : json_real(th_shortest(shift));
}

th_status th_unet_write_config(const th_unet_config *c, const char *dir) {
    char path[TH_PATH_MAX];
    TH_TRY(th_make_dirs(dir));
    TH_TRY(th_path_join(path, dir, "config.json"));
    json_t *j = json_pack(
        "{s:s, s:s, s:s, s:o, s:o, s:b, s:I, s:o, s:I, s:b, s:o, s:I, s:I, s:i, s:s, s:f, s:I, s:I, s:I, s:o, s:b, "
        "s:b}",
        "_class_name", "UNet2DConditionModel", "_diffusers_version", "0.30.0", "act_fn", "silu", "attention_head_dim",
        heads_json(c), "block_out_channels", th_json_numbers(c->channels, c->levels), "center_input_sample", 0,
        "cross_attention_dim", (json_int_t)c->cross_attention_dim, "down_block_types",
        block_names(c->attends_down, c->levels, "DownBlock2D", "CrossAttnDownBlock2D"), "downsample_padding",
        (json_int_t)1, "flip_sin_to_cos", c->flip_sin_to_cos, "freq_shift", shift_json(c->freq_shift), "in_channels",
        (json_int_t)c->in_channels, "layers_per_block", (json_int_t)c->layers_per_block, "mid_block_scale_factor", 1,
        "mid_block_type", "UNetMidBlock2DCrossAttn", "norm_eps", th_shortest(c->eps), "norm_num_groups",
        (json_int_t)c->groups, "out_channels", (json_int_t)c->out_channels, "sample_size", (json_int_t)c->sample_size,
        "up_block_types", block_names(c->attends_up, c->levels, "UpBlock2D", "CrossAttnUpBlock2D"), "upcast_attention",
        c->upcast_attention, "use_linear_projection", c->linear_projection);
    th_status s = j ? th_json_write(path, j) : th_fail_memory();
    json_decref(j);
    return s;
}

/* ---- weights */

/* Products here that are 1 × 1 convolutions in the file. */
th_status th_unet_weight_source(const void *model, const th_param *p, th_weight_source *out) {
    const th_unet *u = model;
    TH_TRY(th_weight_as_is(model, p, out));
    th_weight_is_convolution(out, ".conv_shortcut.weight");
    if (u->config.linear_projection) return TH_OK;
    th_weight_is_convolution(out, ".proj_in.weight");
    th_weight_is_convolution(out, ".proj_out.weight");
    return TH_OK;
}

th_status th_unet_load(th_unet *u, const char *dir, const char *variant) {
    return th_weights_load_whole(dir, variant, u->params, th_unet_weight_source, u, NULL);
}

th_status th_unet_save(const th_unet *u, const char *dir, const char *dtype) {
    char path[TH_PATH_MAX];
    TH_TRY(th_make_dirs(dir));
    TH_TRY(th_path_join(path, dir, "diffusion_pytorch_model.safetensors"));
    TH_TRY(th_weights_save(path, u->params, th_unet_weight_source, u, dtype));
    return th_unet_write_config(&u->config, dir);
}
