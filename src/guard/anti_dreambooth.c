/* Anti-DreamBooth: the loss by pixels, personalisations, rounds. */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/rng.h"
#include "diffusion/text_states.h"
#include "guard/anti_dreambooth_parts.h"
#include "theriac/ops.h"

void th_anti_params_init(th_anti_params *p, th_anti_kind kind) {
    bool aspl = kind == TH_ANTI_ASPL;
    *p = (th_anti_params){
        .kind = kind,
        .budget = 0.05f,
        .stride = 0.005f,
        .rounds = aspl ? 50 : 10,
        .surrogate_steps = aspl ? 3 : 400,
        .pixel_steps = aspl ? 6 : 10,
        .victim_steps = aspl ? 3 : 0,
        .lr = aspl ? 5e-7f : 5e-6f,
        .prior_weight = 1,
        .batch = 1,
        .compute = TH_F32,
    };
    th_adamw_params_init(&p->adamw);
    p->adamw.clip_norm = 1;
}

/* ---- the graphs */

/* L of the pictures, and its gradient: pictures → autoencoder → z → z_t → UNet. */
static void record_pixels(const th_anti *a, th_graph *g) {
    const th_vae_config *c = th_vae_get_config(a->sd->vae);
    const th_denoise_shape *s = &a->pixel_shape;
    int64_t n = s->batch, side = a->p.side;
    th_tensor *x = th_input(g, "pictures", TH_DESC(TH_F32, n, side, side, 3));
    th_tensor *noise = th_input(g, "latent_noise", TH_DESC(TH_F32, n, s->height, s->width, c->latent_channels));
    th_tensor *moments = th_vae_encode(g, a->sd->vae, x), *dx;
    th_graph_precise(g, true);
    th_vae_posterior posterior = th_vae_split(g, a->sd->vae, moments);
    th_tensor *z = th_vae_sample(g, &posterior, noise);
    z = th_affine(g, z, c->scaling_factor, -c->scaling_factor * c->shift_factor);
    th_graph_precise(g, false);
    th_denoise_question q = th_denoise_ask(g, a->sd, s, z);
    th_tensor *prediction = th_unet_apply(g, a->sd->unet, q.noisy, q.times, q.states);
    th_denoise_loss l = th_denoise_compare(g, prediction, q.target, q.weight);
    th_grad(g, l.loss, 1, &x, &dx);
    th_output(g, "each", l.each);
    th_output(g, "gradient", dx);
}

static void record_training(const th_anti *a, th_graph *g) {
    th_denoise_loss l = th_denoise_record(g, a->sd, &a->training_shape);
    th_output(g, "loss", l.loss);
    th_grad_params(g, l.loss, a->trained);
}

/* memory: of this plan and what other_bytes counts; 0: no limit. */
static th_status make_plan(const th_anti *a, void (*record)(const th_anti *, th_graph *), size_t memory,
                           size_t other_bytes, size_t trained_bytes, th_plan **out) {
    th_graph *g = th_graph_new();
    if (!g) return th_fail_memory();
    th_plan_params params;
    th_plan_params_init(&params);
    params.threads = a->p.threads;
    params.compute = a->p.compute;
    params.memory_budget = memory;
    params.other_bytes = other_bytes;
    params.trained_bytes = trained_bytes;
    record(a, g);
    th_status s = th_plan_new(g, &params, out);
    th_graph_free(g);
    return s;
}

/* Pictures four times, moments twice, and the weights before a round. */
static size_t own_bytes(const th_anti *a) {
    th_plan_cost encoder;
    int64_t moments = th_vae_encoder_size(a->encoder);
    th_vae_encoder_get_cost(a->encoder, &encoder);
    return (size_t)(a->pictures * (4 * a->picture_size + 2 * moments)) * sizeof(float) + th_snapshot_bytes(a->trained) +
           encoder.tensor_bytes + encoder.scratch_bytes;
}

/* Of a budget the training takes this share, so that something is left for the other plan, which is made beside it. */
static th_status plan_within(th_anti *a, double share) {
    th_plan_cost t;
    size_t own = own_bytes(a);
    th_plan_free(a->training);
    a->training = NULL;
    TH_TRY(
        make_plan(a, record_training, (size_t)((double)a->p.memory * share), own, TH_ADAMW_BYTES_EACH, &a->training));
    th_plan_get_cost(a->training, &t);
    own += t.tensor_bytes + t.scratch_bytes + t.grad_bytes + t.trained_bytes;
    TH_TRY(make_plan(a, record_pixels, a->p.memory, own, 0, &a->by_pixels));
    th_plan_get_cost(a->by_pixels, &t);
    a->bytes = t.bytes;
    return TH_OK;
}

/* The training's plan is the first, as it chooses how weights lie. */
static th_status make_plans(th_anti *a) {
    static const double shares[] = {1, 0.85, 0.7, 0.55};
    TH_TRY(th_vae_encoder_new(a->sd->vae, 1, a->p.side, a->p.side, a->p.threads, &a->encoder));
    th_status s = plan_within(a, shares[0]);
    for (size_t i = 1; i < sizeof shares / sizeof *shares && s == TH_E_MEMORY && a->p.memory; i++)
        s = plan_within(a, shares[i]);
    return s == TH_E_MEMORY ? plan_within(a, shares[0]) : s; /* whose message names the budget */
}

/* ---- setting up */

static th_status check(const th_anti_params *p, int64_t pictures) {
    if (pictures < 1) return th_fail(TH_E_INPUT, "there are no pictures to protect");
    if (!(p->budget > 0 && p->budget <= 1))
        return th_fail(TH_E_USAGE, "--budget %g: should be above 0 and up to 1", (double)p->budget);
    if (!th_anti_levels(p->budget))
        return th_fail(TH_E_USAGE,
                       "--budget %g: pictures of 8 bits cannot be changed by less than a level, 1/127.5 = 0.00785",
                       (double)p->budget);
    if (!(p->stride > 0 && p->stride <= 2 * p->budget))
        return th_fail(TH_E_USAGE, "--stride %g: should be above 0 and at most twice the budget of %g",
                       (double)p->stride, (double)p->budget);
    if (p->rounds < 1 || p->pixel_steps < 1 || p->surrogate_steps < 0 || p->victim_steps < 0 || p->batch < 1)
        return th_fail(TH_E_USAGE, "anti-dreambooth: a number of rounds, steps or pictures is out of range");
    return TH_OK;
}

static th_status find_sizes(th_anti *a) {
    const th_unet_config *u = th_unet_get_config(a->sd->unet);
    int64_t factor = th_vae_factor(th_vae_get_config(a->sd->vae)), multiple = factor * th_unet_multiple(u);
    if (!a->p.side) a->p.side = u->sample_size * factor;
    if (a->p.side < multiple || a->p.side % multiple)
        return th_fail(TH_E_USAGE, "--size %lld: this model's sides are multiples of %lld", (long long)a->p.side,
                       (long long)multiple);
    if (a->p.batch > a->pictures) a->p.batch = a->pictures;
    int64_t n = a->p.batch, rows = a->p.class_prompt ? 2 * n : n;
    a->picture_size = a->p.side * a->p.side * 3;
    a->pixel_shape = (th_denoise_shape){.batch = n,
                                        .height = a->p.side / factor,
                                        .width = a->p.side / factor,
                                        .tokens = th_text_encoder_get_config(a->sd->text)->context,
                                        .states = true};
    a->training_shape = a->pixel_shape;
    a->training_shape.batch = rows;
    if (!(a->row_weights = th_alloc((size_t)rows, sizeof *a->row_weights))) return th_fail_memory();
    /* The loss of a batch is the mean of its rows; what is wanted is the sum of two means of n rows each. */
    for (int64_t i = 0; i < rows; i++) a->row_weights[i] = (float)rows / (float)n * (i < n ? 1.0f : a->p.prior_weight);
    return TH_OK;
}

static th_status find_ids(th_anti *a) {
    const char *texts[2] = {a->p.prompt, a->p.class_prompt ? a->p.class_prompt : a->p.prompt};
    if (!(a->ids = th_alloc((size_t)(2 * a->pixel_shape.tokens), sizeof *a->ids))) return th_fail_memory();
    return th_sd_encode_texts(a->sd, texts, a->p.class_prompt ? 2 : 1, a->ids, &a->cut);
}

static th_status set_up(th_anti *a) {
    TH_TRY(check(&a->p, a->pictures));
    if (!(a->trained = th_params_new())) return th_fail_memory();
    th_params_set_trainable(th_vae_params(a->sd->vae), false);
    th_params_set_trainable(th_text_encoder_params(a->sd->text), false);
    th_params_set_trainable(th_unet_params(a->sd->unet), true);
    TH_TRY(th_params_borrow(a->trained, th_unet_params(a->sd->unet)));
    TH_TRY(find_sizes(a));
    TH_TRY(find_ids(a));
    th_denoiser_params d = {.seed = a->p.seed};
    TH_TRY(th_denoiser_new(a->sd, &d, &a->denoiser));
    return make_plans(a);
}

th_status th_anti_new(th_sd *sd, const th_anti_params *p, int64_t pictures, th_anti **out) {
    th_anti *a = th_alloc(1, sizeof *a);
    if (!a) return th_fail_memory();
    *a = (th_anti){.sd = sd, .p = *p, .pictures = pictures};
    th_status s = set_up(a);
    if (s != TH_OK) return th_anti_free(a), s;
    *out = a;
    return TH_OK;
}

static size_t all_bytes(const th_anti *a) { return (size_t)(a->pictures * a->picture_size) * sizeof(float); }

void th_anti_free(th_anti *a) {
    if (!a) return;
    th_plan_free(a->training);
    th_plan_free(a->by_pixels);
    th_vae_encoder_free(a->encoder);
    th_denoiser_free(a->denoiser);
    th_snapshot_free(a->start);
    th_params_free(a->trained);
    th_moments_free(&a->clean_moments);
    th_moments_free(&a->moments);
    float *pictures[] = {a->clean, a->now, a->before, a->gradient};
    for (size_t i = 0; i < sizeof pictures / sizeof *pictures; i++) th_free_big(pictures[i], all_bytes(a));
    th_free(a->each);
    th_free(a->row_weights);
    th_free(a->ids);
    th_free(a->states);
    th_free(a);
}

void th_anti_get_cost(const th_anti *a, th_anti_cost *out) {
    const th_anti_params *p = &a->p;
    double batches = (double)((a->pictures + p->batch - 1) / p->batch), rounds = (double)p->rounds;
    *out = (th_anti_cost){
        .side = p->side,
        .height = a->pixel_shape.height,
        .width = a->pixel_shape.width,
        .channels = 2 * th_vae_get_config(a->sd->vae)->latent_channels,
        .pixel_runs = rounds * (double)p->pixel_steps * batches,
        .bytes = a->bytes,
        .cut = a->cut,
    };
    out->training_runs =
        p->kind == TH_ANTI_ASPL ? rounds * (double)(p->surrogate_steps + p->victim_steps) : (double)p->surrogate_steps;
    th_plan_get_cost(a->training, &out->training);
    th_plan_get_cost(a->by_pixels, &out->pixels);
}

double th_anti_seconds(const th_anti_cost *c, const th_ceilings *ceilings, int cores) {
    return c->training_runs * th_ceilings_seconds(ceilings, &c->training, cores) +
           c->pixel_runs * th_ceilings_seconds(ceilings, &c->pixels, cores);
}

th_status th_anti_read_texts(th_anti *a) {
    if (a->states) return TH_OK;
    if (!(a->states = th_alloc((size_t)(2 * th_text_states_size(a->sd)), sizeof *a->states))) return th_fail_memory();
    th_status s = th_text_states(a->sd, a->ids, a->p.class_prompt ? 2 : 1, a->p.threads, a->states);
    if (s != TH_OK) th_free(a->states), a->states = NULL;
    return s;
}

/* ---- pictures */

static th_status make_moments(const th_anti *a, th_moments *m) {
    *m = (th_moments){.pictures = a->pictures,
                      .entries = a->pictures,
                      .height = a->pixel_shape.height,
                      .width = a->pixel_shape.width,
                      .channels = 2 * th_vae_get_config(a->sd->vae)->latent_channels};
    m->moments = th_alloc_big((size_t)(m->entries * th_moments_size(m)) * sizeof *m->moments);
    m->first = th_alloc((size_t)m->pictures + 1, sizeof *m->first);
    if (!m->moments || !m->first) return th_fail_memory();
    for (int64_t i = 0; i <= m->pictures; i++) m->first[i] = i;
    return TH_OK;
}

static th_status make_room(th_anti *a) {
    float **pictures[] = {&a->clean, &a->now, &a->before, &a->gradient};
    for (size_t i = 0; i < sizeof pictures / sizeof *pictures; i++)
        if (!(*pictures[i] = th_alloc_big(all_bytes(a)))) return th_fail_memory();
    if (!(a->each = th_alloc((size_t)a->pictures, sizeof *a->each))) return th_fail_memory();
    TH_TRY(make_moments(a, &a->clean_moments));
    return make_moments(a, &a->moments);
}

static th_status check_class(const th_anti *a, const th_moments *class) {
    const th_moments *own = &a->clean_moments;
    if (!a->p.class_prompt) return TH_OK;
    if (!class || class->pictures < 1) return th_fail(TH_E_INPUT, "there are no pictures of the class");
    if (class->height == own->height && class->width == own->width && class->channels == own->channels) return TH_OK;
    return th_fail(TH_E_BUG, "encoded pictures of the class are of another size than the training");
}

th_status th_anti_begin(th_anti *a, const float *pictures, const th_moments *class) {
    if (a->clean) return th_fail(TH_E_BUG, "anti-dreambooth was begun already");
    TH_TRY(th_anti_read_texts(a));
    TH_TRY(make_room(a));
    TH_TRY(check_class(a, class));
    a->class = class;
    memcpy(a->clean, pictures, all_bytes(a));
    memcpy(a->now, pictures, all_bytes(a));
    TH_TRY(th_plan_allocate(a->training));
    TH_TRY(th_plan_allocate(a->by_pixels));
    TH_TRY(th_snapshot_new(a->trained, th_plan_threads(a->training), &a->start));
    return th_vae_encoder_run(a->encoder, a->clean, a->pictures, a->clean_moments.moments);
}

int64_t th_anti_rounds_made(const th_anti *a) { return a->made; }
const float *th_anti_pictures(const th_anti *a) { return a->now; }

/* ---- personalising */

static uint32_t step_of(int use, int64_t at) { return (uint32_t)use << 28 | (uint32_t)(at & 0xFFFFFFF); }

static void put_states(const th_anti *a, th_plan *plan, int64_t row, int64_t text) {
    int64_t size = th_text_states_size(a->sd);
    memcpy((float *)th_plan_input(plan, "states") + row * size, a->states + text * size, (size_t)size * sizeof(float));
}

static void put_latents(const th_anti *a, const th_moments *m, int64_t picture, uint32_t step, int64_t row) {
    const th_vae_config *c = th_vae_get_config(a->sd->vae);
    int64_t size = th_moments_size(m), positions = m->height * m->width;
    th_latents_draw(c, m->moments + m->first[picture] * size, positions, a->p.mean ? NULL : &a->p.seed, step,
                    (uint64_t)(row * size), (float *)th_plan_input(a->training, "latents") + row * size / 2);
}

/* Pictures of the subject in turn, each batch from another one on; those of the class by chance. */
static th_status feed(const th_anti *a, const th_moments *subject, int use, int64_t at) {
    int64_t n = a->p.batch;
    uint32_t step = step_of(use, at);
    for (int64_t k = 0; k < n; k++) {
        put_latents(a, subject, (at * n + k) % a->pictures, step, k);
        put_states(a, a->training, k, 0);
        if (!a->p.class_prompt) continue;
        th_rng r = th_rng_at(a->p.seed, TH_RNG_SUBSET, step, (uint64_t)k);
        put_latents(a, a->class, (int64_t)th_rng_below(&r, (uint32_t)a->class->pictures), step, n + k);
        put_states(a, a->training, n + k, 1);
    }
    TH_TRY(th_denoiser_fill(a->denoiser, a->training, &a->training_shape, step, 0, a->row_weights));
    if (a->redraw) a->redraw(a->user, a->training, use, at, 0);
    return TH_OK;
}

static th_status personalise(th_anti *a, const th_moments *subject, int64_t steps, int use, int64_t first,
                             const th_watch *w) {
    static const char *const names[] = {
        [TH_ANTI_SURROGATE] = "steps of the surrogate", [TH_ANTI_VICTIM] = "steps of the victim"};
    th_optimizer *o = NULL;
    if (!steps) return TH_OK;
    TH_TRY(th_optimizer_new(a->trained, &a->p.adamw, NULL, &o));
    th_status s = TH_OK;
    for (int64_t i = 0; i < steps && s == TH_OK; i++) {
        if (a->p.kind == TH_ANTI_FSMG) th_report(w, names[use], i, steps, NULL);
        s = th_stopped(w) ? th_fail(TH_E_INTERRUPTED, "stopped") : feed(a, subject, use, first + i);
        if (s == TH_OK) s = th_plan_run(a->training, a->p.seed, step_of(use, first + i));
        if (s == TH_OK) s = th_optimizer_step(o, a->p.lr, th_plan_threads(a->training), NULL);
    }
    th_optimizer_free(o);
    return s;
}

/* ---- the gradient by pixels */

/* Normal, or 0 for the mean: element k of picture `first + row` is a function of (seed, step, picture, k). */
static void put_latent_noise(const th_anti *a, uint64_t seed, bool mean, uint32_t step, int64_t first) {
    int64_t size = th_moments_size(&a->clean_moments) / 2;
    float *noise = th_plan_input(a->by_pixels, "latent_noise");
    for (int64_t i = 0; i < a->p.batch * size; i++) {
        th_rng_block b = th_philox(seed, TH_RNG_LATENT, step, (uint64_t)(first * size + i));
        noise[i] = mean ? 0 : th_normal_f32(b.word[0], b.word[1]);
    }
}

/* Pictures from `first` on; the last one fills a batch up. */
static th_status feed_pixels(th_anti *a, const th_denoiser *d, uint64_t seed, bool mean, const float *pictures,
                             uint32_t step, int64_t first) {
    float *in = th_plan_input(a->by_pixels, "pictures");
    for (int64_t k = 0; k < a->p.batch; k++) {
        int64_t i = first + k < a->pictures ? first + k : a->pictures - 1;
        memcpy(in + k * a->picture_size, pictures + i * a->picture_size, (size_t)a->picture_size * sizeof *in);
        put_states(a, a->by_pixels, k, 0);
    }
    put_latent_noise(a, seed, mean, step, first);
    return th_denoiser_fill(d, a->by_pixels, &a->pixel_shape, step, first, NULL);
}

static int64_t filled(const th_anti *a, int64_t first) {
    return a->pictures - first < a->p.batch ? a->pictures - first : a->p.batch;
}

/* The graph's loss is the mean over a batch; a picture's own gradient is that many times larger. */
th_status th_anti_gradient(th_anti *a, const float *pictures, int64_t at, float *gradient, float *each) {
    uint32_t step = step_of(TH_ANTI_PIXELS, at);
    for (int64_t i = 0; i < a->pictures; i += a->p.batch) {
        TH_TRY(feed_pixels(a, a->denoiser, a->p.seed, a->p.mean, pictures, step, i));
        if (a->redraw) a->redraw(a->user, a->by_pixels, TH_ANTI_PIXELS, at, i);
        TH_TRY(th_plan_run(a->by_pixels, a->p.seed, step));
        const float *dx = th_plan_output(a->by_pixels, "gradient"), *l = th_plan_output(a->by_pixels, "each");
        int64_t n = filled(a, i);
        memcpy(each + i, l, (size_t)n * sizeof *each);
        for (int64_t k = 0; k < n * a->picture_size; k++) gradient[i * a->picture_size + k] = dx[k] * (float)a->p.batch;
        for (int64_t k = 0; k < n; k++)
            if (!isfinite(l[k]))
                return th_fail(TH_E_INPUT, "the loss of picture %lld is not finite", (long long)(i + k));
    }
    return TH_OK;
}

/* x′ ← x + Π(x′ + α sign ∇ − x), within ±ε and [−1, 1]. */
static void climb(th_anti *a) {
    float budget = a->p.budget, stride = a->p.stride;
    int64_t count = a->pictures * a->picture_size;
    for (int64_t i = 0; i < count; i++) {
        float g = a->gradient[i], x = a->clean[i], y = a->now[i];
        if (g > 0) y += stride;
        if (g < 0) y -= stride;
        y = fminf(fmaxf(y, x - budget), x + budget);
        a->now[i] = fminf(fmaxf(y, -1), 1);
    }
}

static th_status climb_for(th_anti *a, const th_watch *w) {
    for (int64_t i = 0; i < a->p.pixel_steps; i++) {
        if (th_stopped(w)) return th_fail(TH_E_INTERRUPTED, "stopped");
        TH_TRY(th_anti_gradient(a, a->now, a->made * a->p.pixel_steps + i, a->gradient, a->each));
        climb(a);
    }
    return TH_OK;
}

/* ---- rounds */

static th_status aspl_round(th_anti *a, const th_watch *w) {
    const th_anti_params *p = &a->p;
    TH_TRY(personalise(a, &a->clean_moments, p->surrogate_steps, TH_ANTI_SURROGATE, a->made * p->surrogate_steps, w));
    TH_TRY(climb_for(a, w));
    TH_TRY(th_snapshot_put_values(a->start));
    TH_TRY(th_vae_encoder_run(a->encoder, a->now, a->pictures, a->moments.moments));
    return personalise(a, &a->moments, p->victim_steps, TH_ANTI_VICTIM, a->made * p->victim_steps, w);
}

static th_status fsmg_round(th_anti *a, const th_watch *w) {
    if (!a->made) TH_TRY(personalise(a, &a->clean_moments, a->p.surrogate_steps, TH_ANTI_SURROGATE, 0, w));
    return climb_for(a, w);
}

th_status th_anti_round(th_anti *a, const th_watch *w) {
    if (!a->clean) return th_fail(TH_E_BUG, "anti-dreambooth has no pictures yet");
    if (a->made >= a->p.rounds) return th_fail(TH_E_BUG, "all rounds are made");
    th_snapshot_take_values(a->start);
    memcpy(a->before, a->now, all_bytes(a));
    th_report(w, "rounds", a->made, a->p.rounds, NULL);
    th_status s = a->p.kind == TH_ANTI_ASPL ? aspl_round(a, w) : fsmg_round(a, w);
    if (s == TH_OK) return a->made++, TH_OK;
    memcpy(a->now, a->before, all_bytes(a));
    th_status back = th_snapshot_put_values(a->start);
    return back == TH_OK ? s : back;
}

double th_anti_loss(const th_anti *a) {
    double sum = 0;
    for (int64_t i = 0; a->each && i < a->pictures; i++) sum += (double)a->each[i];
    return sum / (double)a->pictures;
}

/* Draws of a measurement are none of the rounds'. */
#define MEASURE_SEED UINT64_C(0x6d656173757265)

th_status th_anti_measure(th_anti *a, const float *pictures, int64_t draws, double *loss) {
    th_denoiser_params p = {.seed = MEASURE_SEED};
    th_denoiser *d = NULL;
    double sum = 0;
    TH_TRY(th_denoiser_new(a->sd, &p, &d));
    th_status s = TH_OK;
    for (int64_t step = 0; step < draws && s == TH_OK; step++) {
        for (int64_t i = 0; i < a->pictures && s == TH_OK; i += a->p.batch) {
            s = feed_pixels(a, d, MEASURE_SEED, true, pictures, (uint32_t)step, i);
            if (s == TH_OK) s = th_plan_run(a->by_pixels, MEASURE_SEED, (uint32_t)step);
            const float *each = th_plan_output(a->by_pixels, "each");
            for (int64_t k = 0; k < filled(a, i); k++) sum += (double)each[k];
        }
    }
    th_denoiser_free(d);
    *loss = sum / (double)(draws * a->pictures);
    return s;
}

/* ---- bytes */

/* A budget such as 8/127.5 is meant to allow 8 levels, however it is rounded. */
int th_anti_levels(float budget) { return (int)floor(127.5 * (double)budget + 1e-3); }

void th_anti_to_bytes(const float *pictures, const uint8_t *clean, int64_t count, float budget, uint8_t *out) {
    int levels = th_anti_levels(budget);
    for (int64_t i = 0; i < count; i++) {
        int least = clean[i] > levels ? clean[i] - levels : 0, most = clean[i] + levels < 255 ? clean[i] + levels : 255;
        int v = (int)lrintf((pictures[i] + 1) * 127.5f);
        out[i] = (uint8_t)(v < least ? least : v > most ? most : v);
    }
}
