/* Fitting and asking a probe. */
#include "metric/probe.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "theriac/ops.h"
#include "theriac/plan.h"
#include "train/optimizer.h"
#include "train/schedule.h"

struct th_probe {
    int64_t d, classes;
    float *mean, *scale;   /* [d] */
    float *weights, *bias; /* [classes, d], [classes] */
};

void th_probe_params_init(th_probe_params *p) {
    *p = (th_probe_params){.steps = 300, .lr = 0.05f, .weight_decay = 0.01f};
}

void th_probe_free(th_probe *p) {
    if (!p) return;
    th_free(p->mean);
    th_free(p->scale);
    th_free(p->weights);
    th_free(p->bias);
    th_free(p);
}

static th_status new_probe(int64_t d, int64_t classes, th_probe **out) {
    th_probe *p = th_alloc(1, sizeof *p);
    if (!p) return th_fail_memory();
    *p = (th_probe){.d = d, .classes = classes};
    p->mean = th_alloc((size_t)d, sizeof *p->mean);
    p->scale = th_alloc((size_t)d, sizeof *p->scale);
    p->weights = th_alloc((size_t)(d * classes), sizeof *p->weights);
    p->bias = th_alloc((size_t)classes, sizeof *p->bias);
    if (!p->mean || !p->scale || !p->weights || !p->bias) return th_probe_free(p), th_fail_memory();
    *out = p;
    return TH_OK;
}

/* Of the labelled rows, how to bring each feature to mean 0 and deviation 1; one that never changes becomes 0. */
static void find_scales(th_probe *p, const float *rows, const int32_t *labels, int64_t n, int64_t used) {
    for (int64_t k = 0; k < p->d; k++) {
        double sum = 0, square = 0;
        for (int64_t i = 0; i < n; i++) sum += labels[i] < 0 ? 0 : (double)rows[i * p->d + k];
        double mean = sum / (double)used;
        for (int64_t i = 0; i < n; i++) {
            double off = (double)rows[i * p->d + k] - mean;
            square += labels[i] < 0 ? 0 : off * off;
        }
        double deviation = sqrt(square / (double)used);
        p->mean[k] = (float)mean;
        p->scale[k] = deviation > 1e-12 ? (float)(1 / deviation) : 0.0f;
    }
}

static void standardise(const th_probe *p, const float *row, float *out) {
    for (int64_t k = 0; k < p->d; k++) out[k] = (row[k] - p->mean[k]) * p->scale[k];
}

typedef struct {
    th_params *params;
    th_param *weights, *bias;
    th_plan *plan;
    th_optimizer *optimizer;
} fit;

static bool decays(const th_param *p) { return th_param_desc(p)->rank == 2; }

static th_status plan_fit(fit *f, int64_t used, int64_t d, int64_t classes, const th_probe_params *p) {
    th_adamw_params adamw;
    th_plan_params plan;
    if (!(f->params = th_params_new())) return th_fail_memory();
    f->weights = th_params_add(f->params, "weight", TH_DESC(TH_F32, classes, d));
    f->bias = th_params_add(f->params, "bias", TH_DESC(TH_F32, classes));
    th_graph *g = f->weights && f->bias ? th_graph_new() : NULL;
    if (!g) return th_fail_memory();
    th_tensor *x = th_input(g, "x", TH_DESC(TH_F32, used, d)), *y = th_input(g, "y", TH_DESC(TH_I32, used));
    th_tensor *logits = th_linear(g, x, th_use(g, f->weights), th_use(g, f->bias));
    th_tensor *loss = th_mean_all(g, th_softmax_cross_entropy(g, logits, y));
    th_output(g, "loss", loss);
    th_grad_params(g, loss, f->params);
    th_plan_params_init(&plan);
    plan.threads = p->threads;
    th_status s = th_plan_new(g, &plan, &f->plan);
    th_graph_free(g);
    if (s != TH_OK) return s;
    th_adamw_params_init(&adamw);
    adamw.weight_decay = p->weight_decay;
    TH_TRY(th_params_allocate(f->params)); /* zeros, from which a convex loss may begin */
    TH_TRY(th_plan_allocate(f->plan));
    return th_optimizer_new(f->params, &adamw, decays, &f->optimizer);
}

static th_status run_fit(fit *f, const th_probe_params *p, const th_watch *w) {
    th_schedule schedule = {.kind = TH_COSINE, .lr = (double)p->lr, .steps = p->steps};
    for (int64_t i = 0; i < p->steps; i++) {
        if (th_stopped(w)) return th_fail(TH_E_INTERRUPTED, "stopped");
        TH_TRY(th_plan_run(f->plan, 0, (uint32_t)i));
        TH_TRY(th_optimizer_step(f->optimizer, (float)th_schedule_at(&schedule, i), th_plan_threads(f->plan), NULL));
    }
    return TH_OK;
}

static th_status fit_probe(th_probe *p, const float *rows, const int32_t *labels, int64_t n, int64_t used,
                           const th_probe_params *params, const th_watch *w) {
    fit f = {0};
    th_status s = plan_fit(&f, used, p->d, p->classes, params);
    if (s == TH_OK) {
        float *x = th_plan_input(f.plan, "x");
        int32_t *y = th_plan_input(f.plan, "y");
        for (int64_t i = 0, at = 0; i < n; i++) {
            if (labels[i] < 0) continue;
            standardise(p, rows + i * p->d, x + at * p->d);
            y[at++] = labels[i];
        }
        s = run_fit(&f, params, w);
    }
    if (s == TH_OK) s = th_param_get(f.weights, p->weights);
    if (s == TH_OK) s = th_param_get(f.bias, p->bias);
    th_optimizer_free(f.optimizer);
    th_plan_free(f.plan);
    th_params_free(f.params);
    return s;
}

th_status th_probe_fit(const float *rows, const int32_t *labels, int64_t n, int64_t d, int64_t classes,
                       const th_probe_params *params, const th_watch *w, th_probe **out) {
    int64_t used = 0;
    for (int64_t i = 0; i < n; i++) used += labels[i] >= 0;
    if (classes < 2 || used < 2 * classes)
        return th_fail(TH_E_INPUT, "%lld pictures are too few to learn to tell %lld values apart", (long long)used,
                       (long long)classes);
    th_probe *p = NULL;
    TH_TRY(new_probe(d, classes, &p));
    find_scales(p, rows, labels, n, used);
    th_status s = fit_probe(p, rows, labels, n, used, params, w);
    if (s != TH_OK) return th_probe_free(p), s;
    *out = p;
    return TH_OK;
}

void th_probe_classify(const th_probe *p, const float *rows, int64_t n, int32_t *classes) {
    for (int64_t i = 0; i < n; i++) {
        const float *x = rows + i * p->d;
        double best = -INFINITY;
        classes[i] = 0;
        for (int64_t c = 0; c < p->classes; c++) {
            double score = (double)p->bias[c];
            const float *w = p->weights + c * p->d;
            for (int64_t k = 0; k < p->d; k++) score += (double)w[k] * (double)((x[k] - p->mean[k]) * p->scale[k]);
            if (score > best) best = score, classes[i] = (int32_t)c;
        }
    }
}
