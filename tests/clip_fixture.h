/* The folders of tests/data/clip: a loaded model, its batch, and what transformers and PyTorch make of them. */
#ifndef TH_CLIP_FIXTURE_H
#define TH_CLIP_FIXTURE_H

#include "test.h"

#include <math.h>
#include <stdlib.h>

#include "format/safetensors.h"
#include "theriac/clip.h"
#include "theriac/ops.h"
#include "theriac/plan.h"

static const char *const folders[] = {"legacy", "gelu", "mixed", "defaults"};
enum { FOLDERS = sizeof folders / sizeof *folders };

/* A loaded folder with what is expected of it. */
typedef struct {
    const char *name;
    th_clip *model;
    th_safetensors *expected;
    int64_t n, t, side;
    float *images; /* [n, side, side, 3] */
    int32_t *ids;  /* [n, t] */
} fixture;

static inline const th_st_tensor *expected(const fixture *f, const char *kind, const char *name) {
    char full[320];
    snprintf(full, sizeof full, "%s%s", kind, name);
    const th_st_tensor *t = th_safetensors_find(f->expected, full);
    if (!t) fail_msg("%s: expected.safetensors has no '%s'", f->name, full);
    return t;
}

static inline float *expected_values(const fixture *f, const char *kind, const char *name, int64_t *count) {
    const th_st_tensor *t = expected(f, kind, name);
    float *v = malloc((size_t)t->count * sizeof *v);
    assert_non_null(v);
    assert_ok(th_st_to_f32(t, 0, t->count, v));
    if (count) *count = t->count;
    return v;
}

static inline fixture open_fixture(const char *model, const char *with) {
    fixture f = {.name = model};
    char path[4096];
    snprintf(path, sizeof path, TH_TEST_DATA "/clip/%s", model);
    assert_ok(th_clip_load(path, &f.model));
    snprintf(path, sizeof path, TH_TEST_DATA "/clip/%s/expected.safetensors", with);
    assert_ok(th_safetensors_open(path, NULL, &f.expected));
    const th_st_tensor *images = expected(&f, "images", ""), *ids = expected(&f, "ids", "");
    f.n = images->shape[0], f.side = images->shape[1], f.t = ids->shape[1];
    f.images = expected_values(&f, "images", "", NULL);
    f.ids = malloc((size_t)ids->count * sizeof *f.ids);
    int64_t *wide = malloc((size_t)ids->count * sizeof *wide);
    assert_true(f.ids && wide);
    assert_ok(th_st_to_i64(ids, 0, ids->count, wide));
    for (int64_t i = 0; i < ids->count; i++) f.ids[i] = (int32_t)wide[i];
    free(wide);
    return f;
}

static inline void close_fixture(fixture *f) {
    th_clip_free(f->model);
    th_safetensors_close(f->expected);
    free(f->images);
    free(f->ids);
}

/* Embeddings and, for training, the loss and every gradient, as a plan that is filled with the batch. */
static inline th_plan *make_plan(const fixture *f, th_dtype compute, bool training) {
    th_graph *g = th_graph_new();
    th_params *ps = th_clip_params(f->model);
    int64_t count = th_params_count(ps);
    th_tensor **wrt = calloc((size_t)count, sizeof(th_tensor *)), **grad = calloc((size_t)count, sizeof(th_tensor *));
    assert_true(g && wrt && grad);
    th_tensor *images = th_input(g, "images", TH_DESC(TH_F32, f->n, f->side, f->side, 3));
    th_tensor *ids = th_input(g, "ids", TH_DESC(TH_I32, f->n, f->t)),
              *ends = th_input(g, "ends", TH_DESC(TH_I32, f->n));
    th_tensor *a = th_clip_embed_images(g, f->model, images), *b = th_clip_embed_texts(g, f->model, ids, ends);
    th_output(g, "image_embeds", a);
    th_output(g, "text_embeds", b);
    if (training) {
        th_tensor *loss = th_clip_contrastive(g, a, b, th_clip_scale(g, f->model));
        th_output(g, "loss", loss);
        for (int64_t i = 0; i < count; i++) wrt[i] = th_use(g, th_params_at(ps, i));
        th_grad(g, loss, (int)count, wrt, grad);
        for (int64_t i = 0; i < count; i++) th_output_grad(g, th_params_at(ps, i), grad[i]);
    }
    th_plan_params params;
    th_plan_params_init(&params);
    params.compute = compute;
    th_plan *p;
    assert_ok(th_plan_new(g, &params, &p));
    th_graph_free(g);
    free(wrt);
    free(grad);
    memcpy(th_plan_input(p, "images"), f->images, (size_t)(f->n * f->side * f->side * 3) * sizeof(float));
    memcpy(th_plan_input(p, "ids"), f->ids, (size_t)(f->n * f->t) * sizeof(int32_t));
    int32_t *end = th_plan_input(p, "ends");
    for (int64_t i = 0; i < f->n; i++)
        end[i] = (int32_t)(i * f->t + th_clip_find_end(th_clip_get_config(f->model), f->ids + i * f->t, f->t));
    return p;
}

/* Our [d, p · p · 3] of a patch embedding as the file has it: [d, 3, p, p]. */
static inline float *as_in_file(const fixture *f, const th_param *p, float *v) {
    if (!strstr(th_param_name(p), "patch_embedding")) return v;
    int64_t rows = th_param_desc(p)->dim[0], patch = th_clip_get_config(f->model)->patch_size, area = patch * patch;
    float *to = malloc((size_t)(rows * 3 * area) * sizeof *to);
    assert_non_null(to);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = 0; i < area; i++)
            for (int64_t c = 0; c < 3; c++) to[(r * 3 + c) * area + i] = v[(r * area + i) * 3 + c];
    free(v);
    return to;
}

static inline float *param_values(const fixture *f, const th_param *p, th_status (*get)(const th_param *, float *)) {
    float *v = malloc((size_t)th_desc_count(th_param_desc(p)) * sizeof *v);
    assert_non_null(v);
    assert_ok(get(p, v));
    return as_in_file(f, p, v);
}

static inline double norm_of(const float *x, int64_t n) {
    double s = 0;
    for (int64_t i = 0; i < n; i++) s += (double)x[i] * (double)x[i];
    return sqrt(s);
}

static inline double distance(const float *x, const float *y, int64_t n) {
    double s = 0;
    for (int64_t i = 0; i < n; i++) s += ((double)x[i] - (double)y[i]) * ((double)x[i] - (double)y[i]);
    return sqrt(s);
}

/* What weight decay is for. */
static inline bool has_two_dimensions(const th_param *p) { return th_param_desc(p)->rank >= 2; }

/* A key bias: its gradient is zero plus noise. */
static inline bool is_noise(const char *name) { return strstr(name, "k_proj.bias") != NULL; }

#endif
