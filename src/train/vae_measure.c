/* What an autoencoder keeps of pictures, and how its latents are spread. */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "diffusion/encoder.h"
#include "theriac/ops.h"
#include "train/picture_batches.h"
#include "train/vae_fit.h"

#define PIXELS (32 << 12) /* of a batch: 32 pictures of 64 × 64 */

/* The first `limit` pictures of a set, batch by batch. */
typedef struct {
    th_picture_batches *batches;
    int64_t batch, count, at;
    const th_watch *watch;
    const char *what;
} walk;

static int64_t batch_of(int64_t side) { return side * side >= PIXELS ? 1 : PIXELS / (side * side); }

static th_status walk_new(th_dataset *pictures, int64_t side, int64_t limit, const th_watch *w, walk *out) {
    int64_t n = th_dataset_images(pictures);
    *out = (walk){.count = limit > 0 && limit < n ? limit : n, .watch = w};
    out->batch = batch_of(side);
    if (out->batch > out->count) out->batch = out->count;
    th_picture_batches_params b = {.data = pictures, .batch = out->batch, .each_once = true, .threads = 1};
    b.side = side;
    b.watch = w;
    b.steps = (out->count + out->batch - 1) / out->batch;
    return th_picture_batches_new(&b, &out->batches);
}

/* *n: pictures of the batch that count; 0 at the end. */
static th_status walk_next(walk *a, th_picture_batch *batch, int64_t *n) {
    *n = a->count - a->at < a->batch ? a->count - a->at : a->batch;
    if (*n <= 0) return *n = 0, TH_OK;
    if (th_stopped(a->watch)) return th_fail(TH_E_INTERRUPTED, "stopped");
    TH_TRY(th_picture_batches_next(a->batches, a->at / a->batch, batch));
    a->at += *n;
    th_report(a->watch, a->what, a->at, a->count, NULL);
    return TH_OK;
}

/* --- quality --- */

static th_status make_plan(const th_vae *v, int64_t n, int64_t s, int threads, th_plan **out) {
    th_graph *g = th_graph_new();
    if (!g) return th_fail_memory();
    int64_t k = th_vae_get_config(v)->latent_channels;
    th_tensor *x = th_input(g, "pictures", TH_DESC(TH_F32, n, s, s, 3)), *moments = th_vae_encode(g, v, x);
    th_output(g, "moments", moments);
    th_output(g, "y", th_vae_decode(g, v, th_slice(g, moments, 3, 0, k)));
    th_plan_params p;
    th_plan_params_init(&p);
    p.threads = threads;
    th_status status = th_plan_new(g, &p, out);
    th_graph_free(g);
    if (status != TH_OK) return status;
    return th_plan_allocate(*out);
}

/* Sums over n pictures of `values` values each. */
static void add_errors(const float *x, const float *y, int64_t n, int64_t values, th_vae_quality *sum) {
    for (int64_t i = 0; i < n; i++, x += values, y += values) {
        double squares = 0, absolute = 0;
        for (int64_t e = 0; e < values; e++) {
            double d = fmin(fmax((double)y[e], -1), 1) - (double)x[e];
            squares += d * d;
            absolute += fabs(d);
        }
        sum->psnr += 10 * log10(4 / fmax(squares / (double)values, 1e-12));
        sum->l1 += absolute / (double)values;
    }
    sum->count += n;
}

static double divergence(const float *moments, int64_t positions, int64_t k) {
    double sum = 0;
    for (int64_t i = 0; i < positions; i++)
        for (int64_t e = 0; e < k; e++) {
            double mean = (double)moments[2 * k * i + e], logvar = (double)moments[2 * k * i + k + e];
            sum += 0.5 * (mean * mean + exp(logvar) - 1 - logvar);
        }
    return sum / (double)(positions * k);
}

th_status th_vae_measure(const th_vae *v, th_dataset *pictures, int64_t side, int64_t limit, int threads,
                         const th_watch *w, th_vae_quality *out) {
    walk a = {0};
    th_plan *plan = NULL;
    th_vae_quality sum = {0};
    int64_t n, k = th_vae_get_config(v)->latent_channels, l = side / th_vae_factor(th_vae_get_config(v));
    th_status status = walk_new(pictures, side, limit, w, &a);
    a.what = "measuring";
    if (status == TH_OK) status = make_plan(v, a.batch, side, threads, &plan);
    for (th_picture_batch batch; status == TH_OK;) {
        status = walk_next(&a, &batch, &n);
        if (status != TH_OK || !n) break;
        int64_t values = side * side * 3;
        memcpy(th_plan_input(plan, "pictures"), batch.pictures, (size_t)(n * values) * sizeof(float));
        status = th_plan_run(plan, 0, 0);
        if (status != TH_OK) break;
        add_errors(batch.pictures, th_plan_output(plan, "y"), n, values, &sum);
        sum.kl += (double)n * divergence(th_plan_output(plan, "moments"), n * l * l, k);
    }
    th_plan_free(plan);
    th_picture_batches_free(a.batches);
    if (status != TH_OK) return status;
    double count = (double)sum.count;
    *out = (th_vae_quality){sum.psnr / count, sum.l1 / count, sum.kl / count, sum.count};
    return TH_OK;
}

/* --- the spread of latents --- */

#define MOST_CHANNELS 64

typedef struct {
    int64_t channels, count;                              /* count: positions seen */
    double mean[MOST_CHANNELS], deviation[MOST_CHANNELS]; /* while counting: sums of values and of squares */
    double all;                                           /* deviation of all values together */
} spread;

static void add_moments(const float *moments, int64_t positions, spread *s) {
    int64_t k = s->channels;
    for (int64_t i = 0; i < positions; i++)
        for (int64_t e = 0; e < k; e++) {
            double mean = (double)moments[2 * k * i + e];
            s->mean[e] += mean;
            s->deviation[e] += mean * mean + exp(fmin((double)moments[2 * k * i + k + e], 20));
        }
    s->count += positions;
}

static void finish(spread *s) {
    double n = (double)s->count, sum = 0, squares = 0, k = (double)s->channels;
    for (int64_t e = 0; e < s->channels; e++) {
        sum += s->mean[e];
        squares += s->deviation[e];
        s->mean[e] /= n;
        s->deviation[e] = sqrt(fmax(s->deviation[e] / n - s->mean[e] * s->mean[e], 1e-12));
    }
    s->all = sqrt(fmax(squares / (n * k) - (sum / (n * k)) * (sum / (n * k)), 1e-12));
}

static th_status look(const th_vae *v, th_dataset *pictures, int64_t side, int64_t limit, int threads,
                      const th_watch *w, spread *out) {
    walk a = {0};
    th_vae_encoder *encoder = NULL;
    float *moments = NULL;
    int64_t n;
    *out = (spread){.channels = th_vae_get_config(v)->latent_channels};
    if (out->channels > MOST_CHANNELS)
        return th_fail(TH_E_INPUT, "latents of %lld channels; %d is the most", (long long)out->channels, MOST_CHANNELS);
    th_status status = walk_new(pictures, side, limit, w, &a);
    a.what = "measuring latents";
    if (status == TH_OK) status = th_vae_encoder_new(v, a.batch, side, side, threads, &encoder);
    if (status == TH_OK) {
        moments = th_alloc((size_t)(a.batch * th_vae_encoder_size(encoder)), sizeof *moments);
        if (!moments) status = th_fail_memory();
    }
    for (th_picture_batch batch; status == TH_OK;) {
        status = walk_next(&a, &batch, &n);
        if (status != TH_OK || !n) break;
        status = th_vae_encoder_run(encoder, batch.pictures, n, moments);
        if (status == TH_OK) add_moments(moments, n * th_vae_encoder_size(encoder) / (2 * out->channels), out);
    }
    th_free(moments);
    th_vae_encoder_free(encoder);
    th_picture_batches_free(a.batches);
    if (status == TH_OK) finish(out);
    return status;
}

/* The values of a parameter, to be freed; NULL where there is none of that name. */
static th_status take(const th_vae *v, const char *name, th_param **p, float **values) {
    *p = th_params_find(th_vae_params(v), name);
    if (!*p) return th_fail(TH_E_BUG, "there is no %s", name);
    *values = th_alloc((size_t)th_desc_count(th_param_desc(*p)), sizeof **values);
    return *values ? th_param_get(*p, *values) : th_fail_memory();
}

/* z' = (z − m) / d: the last convolution before the latents gives z' and its log-variance, the first one behind takes
 * z = d z' + m. */
static void fold(const spread *s, float *w1, float *b1, float *w2, float *b2) {
    int64_t k = s->channels;
    for (int64_t e = 0; e < k; e++) {
        double d = s->deviation[e], m = s->mean[e];
        for (int64_t i = 0; i < 2 * k; i++) w1[e * 2 * k + i] = (float)((double)w1[e * 2 * k + i] / d);
        b1[e] = (float)(((double)b1[e] - m) / d);
        b1[k + e] = (float)((double)b1[k + e] - 2 * log(d));
        for (int64_t o = 0; o < k; o++) {
            b2[o] = (float)((double)b2[o] + (double)w2[o * k + e] * m);
            w2[o * k + e] = (float)((double)w2[o * k + e] * d);
        }
    }
}

th_status th_vae_quieten(th_vae *v, float logvar) {
    th_param *p;
    float *values = NULL;
    int64_t k = th_vae_get_config(v)->latent_channels;
    th_status s = take(v, th_vae_get_config(v)->quant_conv ? "quant_conv.bias" : "encoder.conv_out.bias", &p, &values);
    for (int64_t i = k; i < 2 * k && s == TH_OK; i++) values[i] = logvar;
    if (s == TH_OK) s = th_param_set(p, values);
    th_free(values);
    return s;
}

static th_status normalise_channels(th_vae *v, const spread *s) {
    static const char *const names[] = {"quant_conv.weight", "quant_conv.bias", "post_quant_conv.weight",
                                        "post_quant_conv.bias"};
    th_param *p[4];
    float *values[4] = {NULL};
    th_status status = TH_OK;
    for (int i = 0; i < 4 && status == TH_OK; i++) status = take(v, names[i], &p[i], &values[i]);
    if (status == TH_OK) fold(s, values[0], values[1], values[2], values[3]);
    for (int i = 0; i < 4 && status == TH_OK; i++) status = th_param_set(p[i], values[i]);
    for (int i = 0; i < 4; i++) th_free(values[i]);
    return status;
}

th_status th_vae_settle_latents(th_vae *v, th_dataset *pictures, int64_t side, int64_t limit, bool channels,
                                int threads, const th_watch *w) {
    const th_vae_config *c = th_vae_get_config(v);
    spread s;
    TH_TRY(look(v, pictures, side, limit, threads, w, &s));
    if (channels && c->quant_conv && c->post_quant_conv) {
        TH_TRY(normalise_channels(v, &s));
        s.all = 1;
    }
    th_vae_set_scaling(v, (float)(1 / s.all));
    return TH_OK;
}
