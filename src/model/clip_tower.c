/* A tower's sizes. */
#include "model/clip_tower.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/clip_files.h"

th_status th_clip_size_check(const char *owner, const char *what, int64_t value, int64_t most) {
    if (value >= 1 && value <= most) return TH_OK;
    return th_fail(TH_E_INPUT, "the %s's %s is %lld, it should lie in [1, %lld]", owner, what, (long long)value,
                   (long long)most);
}

th_status th_clip_tower_check(const char *name, const th_clip_tower *t) {
    TH_TRY(th_clip_size_check(name, "width", t->width, TH_CLIP_MOST_WIDTH));
    TH_TRY(th_clip_size_check(name, "heads", t->heads, TH_CLIP_MOST_WIDTH));
    TH_TRY(th_clip_size_check(name, "layers", t->layers, TH_CLIP_MOST_LAYERS));
    TH_TRY(th_clip_size_check(name, "MLP width", t->mlp, TH_CLIP_MOST_WIDTH));
    if (t->width % t->heads)
        return th_fail(TH_E_INPUT, "the %s's width %lld is no multiple of its %lld heads", name, (long long)t->width,
                       (long long)t->heads);
    if (!(t->eps >= 0.0f && t->eps < 1.0f)) return th_fail(TH_E_INPUT, "the %s's eps of norms is not in [0, 1)", name);
    return TH_OK;
}

th_transformer_config th_clip_tower_transformer(const th_clip_tower *t, bool causal) {
    return (th_transformer_config){.width = t->width,
                                   .heads = t->heads,
                                   .layers = t->layers,
                                   .mlp = t->mlp,
                                   .activation = t->quick_gelu ? TH_QUICK_GELU : TH_GELU,
                                   .eps = t->eps,
                                   .causal = causal};
}

const char *th_clip_field(char out[TH_CLIP_FIELD], const char *group, const char *name) {
    snprintf(out, TH_CLIP_FIELD, "%s%s%s", group, *group ? "." : "", name);
    return out;
}

static th_status read_activation(const th_json *j, const char *field, bool *quick) {
    const char *name = *quick ? "quick_gelu" : "gelu";
    TH_TRY(th_json_string(j, field, &name));
    if (strcmp(name, "quick_gelu") && strcmp(name, "gelu")) return th_json_fail(j, field, "\"quick_gelu\" or \"gelu\"");
    *quick = !strcmp(name, "quick_gelu");
    return TH_OK;
}

th_status th_clip_tower_read(const th_json *j, const char *group, th_clip_tower *t) {
    char field[TH_CLIP_FIELD];
    const struct {
        const char *name;
        int64_t most, *value;
    } ints[] = {{"hidden_size", TH_CLIP_MOST_WIDTH, &t->width},
                {"num_attention_heads", TH_CLIP_MOST_WIDTH, &t->heads},
                {"num_hidden_layers", TH_CLIP_MOST_LAYERS, &t->layers},
                {"intermediate_size", TH_CLIP_MOST_WIDTH, &t->mlp}};
    for (size_t i = 0; i < sizeof ints / sizeof *ints; i++)
        TH_TRY(th_json_int(j, th_clip_field(field, group, ints[i].name), 1, ints[i].most, ints[i].value));
    TH_TRY(read_activation(j, th_clip_field(field, group, "hidden_act"), &t->quick_gelu));
    double eps = 1e-5;
    TH_TRY(th_json_double(j, th_clip_field(field, group, "layer_norm_eps"), &eps));
    if (!(eps >= 0 && eps < 1)) return th_json_fail(j, field, "in [0, 1)");
    t->eps = (float)eps;
    return TH_OK;
}

double th_shortest(float f) {
    if (f == 0.0f || !isfinite(f)) return (double)f;
    int first = (int)floor(log10(fabs((double)f)));
    for (int digits = 1; digits < 9; digits++) {
        double unit = pow(10.0, first - digits + 1), near = 1.0 / unit;
        /* 1e-05 is 1 / 1e5: a power of ten below 1 is itself rounded, one above is not. */
        double d = unit < 1.0 ? round((double)f * round(near)) / round(near) : round((double)f / unit) * unit;
        if ((float)d == f) return d;
    }
    return (double)f;
}

json_t *th_clip_tower_json(const th_clip_tower *t, const char *type, int64_t projection) {
    return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:s, s:f, s:f}", "model_type", type, "hidden_size",
                     (json_int_t)t->width, "intermediate_size", (json_int_t)t->mlp, "num_hidden_layers",
                     (json_int_t)t->layers, "num_attention_heads", (json_int_t)t->heads, "projection_dim",
                     (json_int_t)projection, "hidden_act", t->quick_gelu ? "quick_gelu" : "gelu", "layer_norm_eps",
                     th_shortest(t->eps), "attention_dropout", 0.0);
}
