/* config.json of transformers' ViTModel, with its defaults for what the file leaves out. */
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "format/json.h"
#include "model/clip_files.h"
#include "model/vit.h"

#define CONFIG_MAX ((size_t)16 << 20) /* bytes: classifiers list their labels */

void th_vit_config_init(th_vit_config *c) {
    *c = (th_vit_config){.tower = {768, 12, 12, 3072, false, 1e-12f}, .image_size = 224, .patch_size = 16};
}

static th_status read_sizes(const th_json *j, th_vit_config *c) {
    int64_t channels = 3;
    const struct {
        const char *name;
        int64_t least, most, *value;
    } rows[] = {
        {"hidden_size", 1, TH_CLIP_MOST_WIDTH, &c->tower.width},
        {"num_attention_heads", 1, TH_CLIP_MOST_WIDTH, &c->tower.heads},
        {"num_hidden_layers", 1, TH_CLIP_MOST_LAYERS, &c->tower.layers},
        {"intermediate_size", 1, TH_CLIP_MOST_WIDTH, &c->tower.mlp},
        {"image_size", 1, TH_CLIP_MOST_SIDE, &c->image_size},
        {"patch_size", 1, TH_CLIP_MOST_SIDE, &c->patch_size},
        {"num_channels", 3, 3, &channels},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        TH_TRY(th_json_int(j, rows[i].name, rows[i].least, rows[i].most, rows[i].value));
    if (c->tower.width % c->tower.heads) return th_json_fail(j, "hidden_size", "a multiple of num_attention_heads");
    if (c->image_size < c->patch_size) return th_json_fail(j, "image_size", "no smaller than patch_size");
    return TH_OK;
}

static th_status read_config(const th_json *j, th_vit_config *c) {
    const char *type = "", *activation = "gelu";
    double eps = 1e-12;
    bool bias = true;
    TH_TRY(th_json_require(j, "model_type"));
    TH_TRY(th_json_string(j, "model_type", &type));
    if (strcmp(type, "vit") != 0) return th_json_fail(j, "model_type", "\"vit\"");
    TH_TRY(read_sizes(j, c));
    TH_TRY(th_json_string(j, "hidden_act", &activation));
    c->tower.quick_gelu = !strcmp(activation, "quick_gelu");
    if (!c->tower.quick_gelu && strcmp(activation, "gelu") != 0)
        return th_json_fail(j, "hidden_act", "\"gelu\" or \"quick_gelu\"");
    TH_TRY(th_json_double(j, "layer_norm_eps", &eps));
    if (!(eps >= 0 && eps < 1)) return th_json_fail(j, "layer_norm_eps", "in [0, 1)");
    c->tower.eps = (float)eps;
    TH_TRY(th_json_bool(j, "qkv_bias", &bias));
    return bias ? TH_OK : th_json_fail(j, "qkv_bias", "true: attention without biases is not supported");
}

th_status th_vit_parse_config(const char *name, const char *text, size_t length, th_vit_config *c) {
    th_json j = {0};
    th_vit_config_init(c);
    TH_TRY(th_json_parse(name, text, length, &j));
    th_status s = read_config(&j, c);
    th_json_free(&j);
    return s;
}

th_status th_vit_read_config(const char *dir, th_vit_config *c) {
    char path[TH_PATH_MAX];
    th_bytes text;
    TH_TRY(th_path_join(path, dir, "config.json"));
    TH_TRY(th_file_read(path, CONFIG_MAX, &text));
    th_status s = th_vit_parse_config(path, text.data, text.length, c);
    th_free(text.data);
    return s;
}
