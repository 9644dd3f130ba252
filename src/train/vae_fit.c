/* Fitting an autoencoder. */
#include "train/vae_fit.h"

#include <string.h>

#include "base/memory.h"
#include "base/rng.h"
#include "theriac/ops.h"
#include "train/picture_batches.h"

struct th_vae_fit {
    th_vae *vae;
    th_dataset *pictures;
    th_vae_fit_params p;
    th_plan *plan;
    th_picture_batches *batches;
    const th_watch *watch; /* while it runs */
};

static const char *const logged[] = {"loss/pixels", "loss/edges", "loss/kl", NULL};

const th_option th_vae_fit_options[] = {
    TH_OPT_CHOICE("pixels", "l1|l2", "l1", "which errors of pixels count: absolute or squared ones"),
    TH_OPT_F32("edges", 0.5, "weight of errors of the differences between neighbouring pixels, at two scales; 0: none",
               TH_AT_LEAST(0)),
    TH_OPT_F32("kl", 1e-4, "weight of the latents' divergence from the normal distribution", TH_AT_LEAST(0)),
    TH_OPT_END,
};

void th_vae_fit_params_init(th_vae_fit_params *p) {
    *p = (th_vae_fit_params){.side = 64, .edges = 0.5f, .kl = 1e-4f};
    th_fit_params_init(&p->fit);
}

th_status th_vae_fit_read(th_options *o, th_vae_fit_params *p) {
    p->l2 = th_get_choice(o, "pixels") == 1;
    p->edges = th_get_f32(o, "edges");
    p->kl = th_get_f32(o, "kl");
    return th_options_check(o);
}

/* --- the loss --- */

static th_tensor *absolute(th_graph *g, th_tensor *x) { return th_add(g, th_relu(g, x), th_relu(g, th_neg(g, x))); }

/* Σ of the mean absolute differences between neighbours of e [n, h, w, 3] along both axes. */
static th_tensor *slopes(th_graph *g, th_tensor *e) {
    const th_desc *d = th_tensor_desc(e);
    th_tensor *sum = NULL;
    for (int axis = 1; axis <= 2; axis++) {
        int64_t n = d->dim[axis];
        th_tensor *slope = th_sub(g, th_slice(g, e, axis, 1, n), th_slice(g, e, axis, 0, n - 1));
        th_tensor *mean = th_mean_all(g, absolute(g, slope));
        sum = sum ? th_add(g, sum, mean) : mean;
    }
    return sum;
}

/* Means of 2×2 pixels: [n, h, w, 3] → [n, h/2, w/2, 3]. */
static th_tensor *halve(th_graph *g, th_tensor *x) {
    const th_desc *d = th_tensor_desc(x);
    int64_t n = d->dim[0], h = d->dim[1] / 2, w = d->dim[2] / 2, c = d->dim[3];
    th_tensor *cells = th_reshape(g, x, TH_DESC(TH_F32, n, h, 2, w, 2, c));
    return th_reshape(g, th_scale(g, th_sum(g, cells, 1u << 2 | 1u << 4), 0.25f), TH_DESC(TH_F32, n, h, w, c));
}

/* ½ Σ (μ² + σ² − 1 − ln σ²) over all latents. */
static th_tensor *divergence(th_graph *g, th_tensor *mean, th_tensor *logvar) {
    th_tensor *each = th_sub(g, th_add(g, th_square(g, mean), th_exp(g, logvar)), th_affine(g, logvar, 1, 1));
    return th_scale(g, th_sum_all(g, each), 0.5f);
}

static void record(th_graph *g, const th_vae_fit *f) {
    const th_vae_config *c = th_vae_get_config(f->vae);
    int64_t n = f->p.fit.batch, s = f->p.side, k = c->latent_channels, l = s / th_vae_factor(c);
    th_tensor *x = th_input(g, "pictures", TH_DESC(TH_F32, n, s, s, 3));
    th_tensor *noise = th_input(g, "noise", TH_DESC(TH_F32, n, l, l, k));
    th_tensor *moments = th_vae_encode(g, f->vae, x);
    th_graph_precise(g, true);
    th_vae_posterior posterior = th_vae_split(g, f->vae, moments);
    th_tensor *z = th_vae_sample(g, &posterior, noise);
    th_tensor *kl = divergence(g, posterior.mean, posterior.logvar);
    th_graph_precise(g, false);
    th_tensor *y = th_vae_decode(g, f->vae, z);
    th_graph_precise(g, true);
    th_tensor *e = th_sub(g, y, x);
    th_tensor *pixels = th_mean_all(g, f->p.l2 ? th_square(g, e) : absolute(g, e)), *loss = pixels;
    th_output(g, "loss/pixels", pixels);
    if (f->p.edges > 0) {
        th_tensor *edges = th_add(g, slopes(g, e), slopes(g, halve(g, e)));
        th_output(g, "loss/edges", edges);
        loss = th_add(g, loss, th_scale(g, edges, f->p.edges));
    }
    th_output(g, "loss/kl", th_scale(g, kl, 1.0f / (float)(n * l * l * k)));
    loss = th_add(g, loss, th_scale(g, kl, f->p.kl / (float)(n * s * s * 3)));
    th_graph_precise(g, false);
    th_output(g, "loss", loss);
    th_grad_params(g, loss, th_vae_params(f->vae));
}

/* --- setting up --- */

static th_picture_batches_params batch_params(const th_vae_fit *f) {
    const th_fit_params *fit = &f->p.fit;
    return (th_picture_batches_params){
        .data = f->pictures,
        .batch = fit->batch,
        .steps = fit->train.steps * fit->train.accumulate,
        .shuffle = true,
        .each_once = true,
        .seed = fit->train.seed,
        .threads = fit->loader_threads,
        .side = f->p.side,
        .flip = fit->flip,
    };
}

static th_status set_up(th_vae_fit *f) {
    int64_t factor = th_vae_factor(th_vae_get_config(f->vae));
    if (f->p.side < factor || f->p.side % factor)
        return th_fail(TH_E_USAGE, "pictures of %lld pixels: should be a multiple of %lld", (long long)f->p.side,
                       (long long)factor);
    th_fit_settle(&f->p.fit, th_dataset_images(f->pictures));
    th_graph *g = th_graph_new();
    if (!g) return th_fail_memory();
    record(g, f);
    th_picture_batches_params b = batch_params(f);
    th_status s = th_fit_plan(&f->p.fit, g, th_picture_batches_bytes(&b), &f->plan);
    th_graph_free(g);
    TH_TRY(s);
    f->p.fit.train.threads = th_plan_threads(f->plan);
    f->p.fit.train.compute = f->p.fit.compute;
    return TH_OK;
}

th_status th_vae_fit_new(th_vae *v, th_dataset *pictures, const th_vae_fit_params *p, th_vae_fit **out) {
    th_vae_fit *f = th_alloc(1, sizeof *f);
    if (!f) return th_fail_memory();
    *f = (th_vae_fit){.vae = v, .pictures = pictures, .p = *p};
    th_status s = set_up(f);
    if (s != TH_OK) return th_vae_fit_free(f), s;
    *out = f;
    return TH_OK;
}

void th_vae_fit_free(th_vae_fit *f) {
    if (!f) return;
    th_picture_batches_free(f->batches);
    th_plan_free(f->plan);
    th_free(f);
}

void th_vae_fit_get_cost(const th_vae_fit *f, th_fit_cost *out) {
    int64_t parts = f->p.fit.train.accumulate;
    *out = (th_fit_cost){.steps = f->p.fit.train.steps, .batches_a_step = parts};
    out->pictures_a_step = parts * f->p.fit.batch;
    out->pictures_an_epoch = th_dataset_images(f->pictures);
    th_plan_get_cost(f->plan, &out->step);
}

void th_vae_fit_set_run(th_vae_fit *f, th_run_folder *run) { f->p.fit.train.run = run; }

/* --- the run --- */

static th_status feed(void *user, int64_t step, th_plan *plan) {
    th_vae_fit *f = user;
    th_picture_batch batch;
    TH_TRY(th_picture_batches_next(f->batches, step, &batch));
    const th_desc *d = th_plan_input_desc(plan, "pictures");
    memcpy(th_plan_input(plan, "pictures"), batch.pictures, th_desc_bytes(d));
    float *noise = th_plan_input(plan, "noise");
    int64_t n = th_desc_count(th_plan_input_desc(plan, "noise"));
    for (int64_t i = 0; i < n; i++) {
        th_rng_block b = th_philox(f->p.fit.train.seed, TH_RNG_LATENT, (uint32_t)step, (uint64_t)i);
        noise[i] = th_normal_f32(b.word[0], b.word[1]);
    }
    return TH_OK;
}

#define MEASURED 1024 /* pictures at most, while training */

static th_status evaluate(void *user, int64_t step, th_metric *metrics, int max, int *count) {
    (void)step, (void)max;
    th_vae_fit *f = user;
    th_vae_quality q;
    TH_TRY(th_vae_measure(f->vae, f->p.held_out, f->p.side, MEASURED, f->p.fit.threads, f->watch, &q));
    metrics[0] = (th_metric){"eval/psnr", q.psnr};
    metrics[1] = (th_metric){"eval/l1", q.l1};
    metrics[2] = (th_metric){"eval/kl", q.kl};
    *count = 3;
    return TH_OK;
}

static th_train_task task_of(th_vae_fit *f) {
    return (th_train_task){
        .params = th_vae_params(f->vae),
        .plan = f->plan,
        .decays = th_fit_decays,
        .logged = logged,
        .feed = feed,
        .evaluate = f->p.held_out ? evaluate : NULL,
        .user = f,
    };
}

th_status th_vae_fit_run(th_vae_fit *f, const th_watch *w, th_train_result *result) {
    th_picture_batches_params b = batch_params(f);
    th_train_task t = task_of(f);
    b.watch = f->watch = w;
    TH_TRY(th_picture_batches_new(&b, &f->batches));
    th_status s = th_train(&t, &f->p.fit.train, w, result);
    th_picture_batches_free(f->batches);
    f->batches = NULL;
    return s;
}
