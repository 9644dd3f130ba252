/* The two towers as plans for one batch size; the last batch is filled up and the rest of its result dropped. */
#include <string.h>

#include "base/memory.h"
#include "base/status.h"
#include "model/clip.h"
#include "model/clip_graph.h"
#include "theriac/plan.h"

struct th_clip_embedder {
    const th_clip *model;
    th_clip_embedder_params p;
    th_plan *images, *texts; /* made when first asked for */
};

void th_clip_embedder_params_init(th_clip_embedder_params *p) {
    *p = (th_clip_embedder_params){.batch = 64, .compute = TH_F32};
}

th_status th_clip_embedder_new(const th_clip *m, const th_clip_embedder_params *p, th_clip_embedder **out) {
    th_clip_embedder *e = th_alloc(1, sizeof *e);
    if (!e) return th_fail_memory();
    e->model = m;
    e->p = *p;
    if (e->p.tokens == 0) e->p.tokens = m->config.context;
    *out = e;
    return TH_OK;
}

void th_clip_embedder_free(th_clip_embedder *e) {
    if (!e) return;
    th_plan_free(e->images);
    th_plan_free(e->texts);
    th_free(e);
}

/* Nothing is allocated yet. */
static th_status make_plan(const th_clip_embedder *e, bool texts, th_plan **out) {
    th_graph *g = th_graph_new();
    if (!g) return th_fail_memory();
    int64_t n = e->p.batch, side = e->model->config.image_size;
    th_tensor *y;
    if (texts) {
        th_tensor *ids = th_input(g, "ids", TH_DESC(TH_I32, n, e->p.tokens));
        y = th_clip_embed_texts(g, e->model, ids, th_input(g, "ends", TH_DESC(TH_I32, n)));
    } else {
        y = th_clip_embed_images(g, e->model, th_input(g, "images", TH_DESC(TH_F32, n, side, side, 3)));
    }
    th_output(g, "y", y);
    th_plan_params params;
    th_plan_params_init(&params);
    params.threads = e->p.threads;
    params.compute = e->p.compute;
    th_status s = th_plan_new(g, &params, out);
    th_graph_free(g);
    return s;
}

static th_status get_ready(const th_clip_embedder *e, bool texts, th_plan **plan) {
    if (*plan) return TH_OK;
    TH_TRY(make_plan(e, texts, plan));
    th_status s = th_plan_allocate(*plan);
    if (s == TH_OK) return TH_OK;
    th_plan_free(*plan);
    *plan = NULL; /* to be made anew when asked for again */
    return s;
}

th_status th_clip_embedder_bytes(const th_clip *c, const th_clip_embedder_params *p, size_t *bytes) {
    th_clip_embedder e = {.model = c, .p = *p};
    if (e.p.tokens == 0) e.p.tokens = c->config.context;
    *bytes = 0;
    for (int texts = 0; texts < 2; texts++) {
        th_plan *plan = NULL;
        th_plan_cost cost;
        TH_TRY(make_plan(&e, texts, &plan));
        th_plan_get_cost(plan, &cost);
        *bytes += cost.tensor_bytes + cost.scratch_bytes;
        th_plan_free(plan);
    }
    return TH_OK;
}

static th_status run(th_plan *p, int64_t count, int64_t width, float *out) {
    TH_TRY(th_plan_run(p, 0, 0));
    memcpy(out, th_plan_output(p, "y"), (size_t)(count * width) * sizeof *out);
    return TH_OK;
}

th_status th_clip_embedder_images(th_clip_embedder *e, const float *images, int64_t n, float *out) {
    TH_TRY(get_ready(e, false, &e->images));
    const th_clip_config *c = &e->model->config;
    int64_t size = c->image_size * c->image_size * 3;
    float *in = th_plan_input(e->images, "images");
    for (int64_t i = 0; i < n; i += e->p.batch) {
        int64_t count = n - i < e->p.batch ? n - i : e->p.batch;
        memcpy(in, images + i * size, (size_t)(count * size) * sizeof *in);
        TH_TRY(run(e->images, count, c->projection, out + i * c->projection));
    }
    return TH_OK;
}

th_status th_clip_embedder_texts(th_clip_embedder *e, const int32_t *ids, int64_t n, float *out) {
    TH_TRY(get_ready(e, true, &e->texts));
    const th_clip_config *c = &e->model->config;
    int64_t t = e->p.tokens;
    int32_t *in = th_plan_input(e->texts, "ids"), *ends = th_plan_input(e->texts, "ends");
    for (int64_t k = 0; k < n * t; k++)
        if (ids[k] < 0 || ids[k] >= c->vocab_size)
            return th_fail(TH_E_INPUT, "text %lld: token %d is outside the model's vocabulary of %lld",
                           (long long)(k / t), (int)ids[k], (long long)c->vocab_size);
    for (int64_t i = 0; i < n; i += e->p.batch) {
        int64_t count = n - i < e->p.batch ? n - i : e->p.batch;
        memcpy(in, ids + i * t, (size_t)(count * t) * sizeof *in);
        for (int64_t k = 0; k < e->p.batch; k++) ends[k] = (int32_t)(k * t + th_clip_find_end(c, in + k * t, t));
        TH_TRY(run(e->texts, count, c->projection, out + i * c->projection));
    }
    return TH_OK;
}
