/* Results of eval images. */
#include <math.h>

#include "cli/estimates.h"
#include "cli/eval_images.h"

/* --- for people --- */

static th_table *new_table(const char *title, const char *const *columns) {
    th_table *t = th_table_new(title);
    for (int i = 0; columns[i]; i++) th_table_column(t, i ? TH_RIGHT : TH_LEFT, columns[i]);
    return t;
}

static void measure_row(th_table *t, const char *what, const th_estimate *e, int digits) {
    if (isnan(e->value)) return;
    th_table_cell(t, "%s", what);
    th_cli_estimate_cell(t, e, 1, digits);
}

static void print_features(th_cli *cli, const char *dir, const th_feature_result *r) {
    static const char *const columns[] = {"", "Value (95 % interval)", NULL};
    char title[256];
    snprintf(title, sizeof title, "%.200s: %s, %lld features", dir, r->kind, (long long)r->width);
    th_table *t = new_table(title, columns);
    measure_row(t, "Fidelity: cosine to real ones", &r->fidelity, 4);
    measure_row(t, "Cosine to the nearest real one", &r->nearest, 4);
    measure_row(t, "Real ones among each other", &r->among_real, 4);
    measure_row(t, "Fréchet distance (FID)", &r->frechet, 4);
    measure_row(t, "Kernel distance (KID)", &r->kernel, 6);
    measure_row(t, "Diversity of a prompt's pictures", &r->diversity, 4);
    if (th_table_rows(t))
        th_cli_table(cli, t);
    else
        th_cli_note(cli, "%s: nothing to compare: no --real, and no prompt with two pictures", dir);
    th_table_free(t);
    if (r->low_rank)
        th_cli_note(cli, "%s: fewer pictures than features: compare its Fréchet distance with one of as many only",
                    dir);
}

static void print_texts(th_cli *cli, const th_image_eval *r) {
    static const char *const columns[] = {"Cosine of picture and text", "Value (95 % interval)", NULL};
    th_table *t = new_table(NULL, columns);
    measure_row(t, "Generated, with prompts (CLIP-T)", &r->text, 4);
    measure_row(t, "Real, with captions", &r->real_text, 4);
    th_cli_table(cli, t);
    th_table_free(t);
}

static void attribute_row(th_table *t, const char *name, const th_attribute_result *r, bool real) {
    th_table_cell(t, "%s", name);
    th_cli_estimate_cell(t, &r->share, 100, 1);
    th_table_cell(t, "%lld", (long long)r->n);
    if (!real) return;
    th_cli_estimate_cell(t, &r->real, 100, 1);
    th_table_cell(t, "%lld", (long long)r->real_n);
    th_cli_estimate_cell(t, &r->ratio, 1, 3);
}

static void print_attributes(th_cli *cli, const th_image_eval_params *p, const th_image_eval *r) {
    static const char *const alone[] = {"", "Shown, %", "Pictures", NULL}, *const both[] = {"",         "Shown, %",
                                                                                            "Pictures", "Real ones, %",
                                                                                            "Real",     "Ratio",
                                                                                            NULL};
    bool real = r->all.real_n > 0;
    for (int64_t i = 0; i < p->attributes->count; i++) real |= r->attributes[i].real_n > 0;
    th_table *t = new_table("Attributes that the judge finds, with 95 % interval", real ? both : alone);
    for (int64_t i = 0; i < p->attributes->count; i++)
        attribute_row(t, p->attributes->items[i].name, &r->attributes[i], real);
    if (p->attributes->count > 1) attribute_row(t, "all of them", &r->all, real);
    th_cli_table(cli, t);
    th_table_free(t);
}

void th_cli_image_eval_print(th_cli *cli, const th_image_eval_params *p, const th_image_eval *r) {
    for (int64_t i = 0; i < p->feature_count; i++) print_features(cli, p->features[i], &r->features[i]);
    if (p->clip) print_texts(cli, r);
    if (p->judge) print_attributes(cli, p, r);
}

/* --- JSON --- */

static json_t *features_json(const char *dir, const th_feature_result *r) {
    json_t *j = json_pack("{s:s, s:s, s:I}", "model", dir, "kind", r->kind, "width", (json_int_t)r->width);
    th_cli_set_estimate(j, "fidelity", &r->fidelity);
    th_cli_set_estimate(j, "nearest", &r->nearest);
    th_cli_set_estimate(j, "among_real", &r->among_real);
    th_cli_set_estimate(j, "fid", &r->frechet);
    th_cli_set_estimate(j, "kid", &r->kernel);
    if (!isnan(r->frechet.value)) json_object_set_new(j, "low_rank", json_boolean(r->low_rank));
    th_cli_set_estimate(j, "diversity", &r->diversity);
    json_object_set_new(j, "diversity_prompts", json_integer(r->prompts));
    return j;
}

static json_t *attribute_json(const th_attribute_result *r, int64_t values) {
    json_t *j = json_object();
    th_cli_set_estimate(j, "share", &r->share);
    json_object_set_new(j, "n", json_integer(r->n));
    th_cli_set_estimate(j, "real", &r->real);
    if (r->real_n) json_object_set_new(j, "real_n", json_integer(r->real_n));
    th_cli_set_estimate(j, "ratio", &r->ratio);
    if (values) json_object_set_new(j, "values", json_integer(values));
    return j;
}

json_t *th_cli_image_eval_json(const th_image_eval_params *p, const th_image_eval *r) {
    json_t *j = json_pack("{s:I, s:I}", "images", (json_int_t)r->images, "seed", (json_int_t)p->seed);
    if (r->reals) json_object_set_new(j, "real", json_integer(r->reals));
    if (p->feature_count) {
        json_t *list = json_array();
        for (int64_t i = 0; i < p->feature_count; i++)
            json_array_append_new(list, features_json(p->features[i], &r->features[i]));
        json_object_set_new(j, "features", list);
    }
    th_cli_set_estimate(j, "text", &r->text);
    th_cli_set_estimate(j, "real_text", &r->real_text);
    if (!p->judge) return j;
    json_t *all = json_object();
    for (int64_t i = 0; i < p->attributes->count; i++)
        json_object_set_new(all, p->attributes->items[i].name,
                            attribute_json(&r->attributes[i], p->attributes->items[i].values.count));
    json_object_set_new(j, "attributes", all);
    json_object_set_new(j, "all_attributes", attribute_json(&r->all, 0));
    return j;
}
