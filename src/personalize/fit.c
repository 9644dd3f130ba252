/* Fitting a text-to-image model to a subject:
 * L = mean over the subject's pictures of ‖ε_θ(z_t, t, prompt) − ε‖² + λ · the same over the class' pictures, with
 * their own prompt (Ruiz et al. 2023, "DreamBooth"); for models that predict velocities, their target. */
#include <string.h>

#include "base/rng.h"
#include "personalize/personalize_parts.h"

void th_personal_params_init(th_personal_params *p) {
    *p = (th_personal_params){.batch = 1, .prior_weight = 1, .compute = TH_F32};
    th_train_params_init(&p->train);
    p->train.steps = 0;
    p->train.schedule = (th_schedule){.kind = TH_CONSTANT};
    p->train.adamw.clip_norm = -1;
}

/* ---- for the methods */

th_status th_personal_train(th_personal *p, const th_params *ps) { return th_params_borrow(p->trained, ps); }

/* The single token of a word. */
static th_status token_of(const th_sd *sd, const char *word, int32_t *id) {
    th_tokenizer_work *w = NULL;
    const int32_t *ids;
    int64_t n;
    TH_TRY(th_tokenizer_work_new(sd->tokenizer, &w));
    th_status s = th_tokenizer_ids(w, word, strlen(word), false, &ids, &n);
    if (s == TH_OK && n != 1)
        s = th_fail(TH_E_INPUT,
                    "--initializer '%.80s' is %lld tokens to this model; a word that is one token is wanted", word,
                    (long long)n);
    if (s == TH_OK) *id = ids[0];
    th_tokenizer_work_free(w);
    return s;
}

th_status th_personal_add_word(th_personal *p, const char *word, const char *like, int64_t rows) {
    TH_TRY(token_of(p->sd, like, &p->word_like));
    TH_TRY(th_fail_in(th_sd_add_words(p->sd, &word, &rows, 1), "--word"));
    p->word = word;
    p->text_trained = true;
    return th_personal_train(p, th_text_encoder_added(p->sd->text));
}

th_status th_personal_start_word(th_personal *p) {
    th_param *rows = th_params_at(th_text_encoder_added(p->sd->text), 0);
    const int64_t *dim = th_param_desc(rows)->dim;
    float *v = th_alloc((size_t)(dim[0] * dim[1]), sizeof *v);
    if (!v) return th_fail_memory();
    th_status s = th_text_encoder_get_row(p->sd->text, p->word_like, v);
    for (int64_t i = 1; i < dim[0]; i++) memcpy(v + i * dim[1], v, (size_t)dim[1] * sizeof *v);
    if (s == TH_OK) s = th_param_set(rows, v);
    th_free(v);
    return s;
}

/* ---- the graph */

static th_tensor *mean_of(th_graph *g, th_tensor *each, int64_t begin, int64_t end) {
    return th_mean_all(g, th_slice(g, each, 0, begin, end));
}

static void record(th_personal *p, th_graph *g) {
    int64_t n = p->p.batch;
    th_denoise_loss l = th_denoise_record(g, p->sd, &p->shape);
    th_graph_precise(g, true);
    th_output(g, "loss_subject", mean_of(g, l.each, 0, n));
    if (p->rows > n) th_output(g, "loss_class", mean_of(g, l.each, n, p->rows));
    th_graph_precise(g, false);
    th_output(g, "loss", l.loss);
    th_grad_params(g, l.loss, p->trained);
}

static size_t picture_bytes(const th_personal *p) {
    int64_t channels = 2 * th_vae_get_config(p->sd->vae)->latent_channels;
    return (size_t)(p->p.entries * p->shape.height * p->shape.width * channels) * sizeof(float);
}

static th_status make_plan(th_personal *p) {
    th_graph *g = th_graph_new();
    if (!g) return th_fail_memory();
    th_plan_params params;
    th_plan_params_init(&params);
    params.threads = p->p.threads;
    params.compute = p->p.compute;
    params.memory_budget = p->p.memory;
    params.trained_bytes = th_train_bytes_each(&p->p.train);
    params.runs_an_update = p->p.train.accumulate;
    params.other_bytes = picture_bytes(p);
    record(p, g);
    th_status s = th_plan_new(g, &params, &p->plan);
    th_graph_free(g);
    return s;
}

/* ---- setting up */

static th_status find_sizes(th_personal *p) {
    const th_unet_config *u = th_unet_get_config(p->sd->unet);
    int64_t factor = th_vae_factor(th_vae_get_config(p->sd->vae)), multiple = factor * th_unet_multiple(u);
    if (!p->p.side) p->p.side = u->sample_size * factor;
    if (p->p.side < multiple || p->p.side % multiple)
        return th_fail(TH_E_USAGE, "--size %lld: this model's sides are multiples of %lld", (long long)p->p.side,
                       (long long)multiple);
    int64_t n = p->p.batch;
    p->rows = p->p.class_prompt ? 2 * n : n;
    p->shape = (th_denoise_shape){
        .batch = p->rows,
        .height = p->p.side / factor,
        .width = p->p.side / factor,
        .tokens = th_text_encoder_get_config(p->sd->text)->context,
        .states = !p->text_trained,
    };
    if (!(p->weights = th_alloc((size_t)p->rows, sizeof *p->weights))) return th_fail_memory();
    /* The loss of a batch is the mean of its rows; what is wanted is the sum of two means of n rows each. */
    for (int64_t i = 0; i < p->rows; i++)
        p->weights[i] = (float)p->rows / (float)n * (i < n ? 1.0f : p->p.prior_weight);
    return TH_OK;
}

/* What was left open becomes the method's own. */
static void apply_recipe(th_personal *p) {
    const th_recipe *r = &p->method->recipe;
    th_train_params *t = &p->p.train;
    bool prior = p->p.class_prompt != NULL;
    if (t->schedule.lr <= 0) t->schedule.lr = p->text_trained && r->lr_with_text > 0 ? r->lr_with_text : r->lr;
    if (t->steps <= 0) t->steps = prior && r->steps_with_prior > 0 ? r->steps_with_prior : r->steps;
    if (t->adamw.clip_norm < 0) t->adamw.clip_norm = r->clip;
    if (t->accumulate < 1) t->accumulate = 1;
    if (t->schedule.warmup > t->steps / 2) t->schedule.warmup = t->steps / 2;
}

static th_status set_up(th_personal *p) {
    if (p->p.class_prompt && !p->method->prior)
        return th_fail(TH_E_USAGE, "%s: keeps no class, so it takes no class prompt", p->method->name);
    if (p->p.batch < 1) return th_fail(TH_E_USAGE, "--batch: at least 1 is wanted");
    p->arena = th_arena_new();
    p->trained = th_params_new();
    if (!p->arena || !p->trained) return th_fail_memory();
    th_params_set_trainable(th_unet_params(p->sd->unet), false);
    th_params_set_trainable(th_vae_params(p->sd->vae), false);
    th_params_set_trainable(th_text_encoder_params(p->sd->text), false);
    TH_TRY(p->method->prepare(p));
    apply_recipe(p);
    TH_TRY(find_sizes(p));
    TH_TRY(th_personal_find_prompts(p));
    th_denoiser_params d = {.min_snr = p->p.min_snr, .seed = p->p.train.seed};
    TH_TRY(th_denoiser_new(p->sd, &d, &p->denoiser));
    p->seed = p->p.train.seed;
    TH_TRY(make_plan(p));
    p->p.train.threads = th_plan_threads(p->plan);
    p->p.train.compute = p->p.compute;
    return TH_OK;
}

th_status th_personal_new(th_sd *sd, const th_personalizer *m, th_options *options, const th_personal_params *params,
                          th_personal **out) {
    th_personal *p = th_alloc(1, sizeof *p);
    if (!p) return th_fail_memory();
    *p = (th_personal){.sd = sd, .method = m, .options = options, .p = *params, .order_epoch = -1};
    th_status s = set_up(p);
    if (s != TH_OK) return th_personal_free(p), s;
    *out = p;
    return TH_OK;
}

void th_personal_free(th_personal *p) {
    if (!p) return;
    th_plan_free(p->plan);
    th_denoiser_free(p->denoiser);
    th_params_free(p->trained);
    th_free(p->ids);
    th_free(p->states);
    th_free(p->weights);
    th_free(p->order);
    th_arena_free(p->arena);
    th_free(p);
}

static int64_t trained_elements(const th_params *ps) {
    int64_t n = 0;
    for (int64_t i = 0; i < th_params_count(ps); i++) {
        const th_param *q = th_params_at(ps, i);
        if (th_param_trainable(q)) n += th_desc_count(th_param_desc(q));
    }
    return n;
}

void th_personal_get_cost(const th_personal *p, th_personal_cost *out) {
    *out = (th_personal_cost){
        .steps = p->p.train.steps,
        .batches_a_step = p->p.train.accumulate,
        .side = p->p.side,
        .height = p->shape.height,
        .width = p->shape.width,
        .channels = 2 * th_vae_get_config(p->sd->vae)->latent_channels,
        .lr = p->p.train.schedule.lr,
        .trained = trained_elements(p->trained),
        .text_trained = p->text_trained,
        .cut = p->cut,
    };
    th_plan_get_cost(p->plan, &out->step);
    out->bytes = out->step.bytes;
}

/* ---- batches */

/* Which picture stands at place `at` of all that training goes through: epochs are permutations of the larger set, and
 * the smaller one is gone through again and again, as in diffusers' scripts. */
static th_status find_number(th_personal *p, int64_t at, int64_t *number) {
    int64_t n = p->subject->pictures;
    if (p->class && p->class->pictures > n) n = p->class->pictures;
    if (p->order_count != n) {
        th_free(p->order);
        p->order_epoch = -1;
        p->order_count = 0;
        if (!(p->order = th_alloc((size_t)n, sizeof *p->order))) return th_fail_memory();
        p->order_count = n;
    }
    if (p->order_epoch != at / n) {
        p->order_epoch = at / n;
        th_rng_permute(p->seed, TH_RNG_SHUFFLE, (uint32_t)p->order_epoch, n, p->order);
    }
    *number = p->order[at % n];
    return TH_OK;
}

enum { VIEWS_OF_SUBJECT = 1, VIEWS_OF_CLASS = 2 }; /* keep their draws apart from each other and from crops' */

static void put_latents(const th_personal *p, th_plan *plan, const th_moments *m, int64_t number, int64_t step,
                        int64_t row, uint64_t use) {
    float *z = (float *)th_plan_input(plan, "latents") + row * th_moments_size(m) / 2;
    th_moments_draw(m, th_vae_get_config(p->sd->vae), number % m->pictures, p->seed, (uint32_t)step, (uint64_t)row, use,
                    z);
}

static void put_prompt(const th_personal *p, th_plan *plan, int64_t prompt, int64_t row) {
    int64_t tokens = p->shape.tokens;
    if (!p->shape.states) {
        int32_t *ids = (int32_t *)th_plan_input(plan, "ids") + row * tokens;
        memcpy(ids, p->ids + prompt * tokens, (size_t)tokens * sizeof *ids);
        return;
    }
    int64_t size = tokens * th_text_encoder_get_config(p->sd->text)->tower.width;
    float *states = (float *)th_plan_input(plan, "states") + row * size;
    memcpy(states, p->states + prompt * size, (size_t)size * sizeof *states);
}

static int64_t subject_prompt(const th_personal *p, int64_t step, int64_t row) {
    if (p->subject_prompts == 1) return 0;
    th_rng r = th_rng_at(p->seed, TH_RNG_TEXT, (uint32_t)step, (uint64_t)row);
    return (int64_t)th_rng_below(&r, (uint32_t)p->subject_prompts);
}

static th_status feed(void *user, int64_t step, th_plan *plan) {
    th_personal *p = user;
    int64_t n = p->p.batch, number = 0;
    for (int64_t k = 0; k < n; k++) {
        TH_TRY(find_number(p, step * n + k, &number));
        put_latents(p, plan, p->subject, number, step, k, VIEWS_OF_SUBJECT);
        put_prompt(p, plan, subject_prompt(p, step, k), k);
        if (p->rows == n) continue;
        put_latents(p, plan, p->class, number, step, n + k, VIEWS_OF_CLASS);
        put_prompt(p, plan, p->prompt_count - 1, n + k);
    }
    return th_denoiser_fill(p->denoiser, plan, &p->shape, (uint32_t)step, 0, p->weights);
}

static th_status passed(void *user, int64_t step) {
    const th_personal *p = user;
    return p->p.passed ? p->p.passed(p->p.user, step) : TH_OK;
}

static th_train_task task_of(th_personal *p) {
    static const char *const logged[] = {"loss_subject", "loss_class", NULL};
    return (th_train_task){
        .params = p->trained, .plan = p->plan, .logged = logged, .feed = feed, .passed = passed, .user = p};
}

/* ---- running */

static th_status check_moments(const th_personal *p, const th_moments *m, const char *whose) {
    if (!m || m->pictures < 1) return th_fail(TH_E_INPUT, "there are no pictures of the %s", whose);
    if (m->height == p->shape.height && m->width == p->shape.width &&
        m->channels == 2 * th_vae_get_config(p->sd->vae)->latent_channels)
        return TH_OK;
    return th_fail(TH_E_BUG, "encoded pictures of the %s are of another size than the training", whose);
}

static th_status use_pictures(th_personal *p, const th_moments *subject, const th_moments *class) {
    TH_TRY(check_moments(p, subject, "subject"));
    p->subject = subject;
    p->class = NULL;
    if (p->rows == p->p.batch) return TH_OK;
    TH_TRY(check_moments(p, class, "class"));
    p->class = class;
    return TH_OK;
}

th_status th_personal_start(th_personal *p) {
    if (p->started) return TH_OK;
    if (p->method->start) TH_TRY(p->method->start(p));
    p->started = true;
    return TH_OK;
}

th_status th_personal_run(th_personal *p, const th_moments *subject, const th_moments *class, th_run_folder *run,
                          const th_watch *w, th_train_result *result) {
    TH_TRY(use_pictures(p, subject, class));
    TH_TRY(th_personal_read_prompts(p));
    TH_TRY(th_personal_start(p));
    p->p.train.run = run;
    th_train_task t = task_of(p);
    return th_train(&t, &p->p.train, w, result);
}

/* Draws of a measurement are none of the training's. */
#define MEASURE_SEED UINT64_C(0x6d656173757265)

th_status th_personal_measure(th_personal *p, const th_moments *subject, const th_moments *class, int64_t draws,
                              double *subject_loss, double *class_loss) {
    th_denoiser *own = p->denoiser, *fixed = NULL;
    th_denoiser_params d = {.min_snr = 0, .seed = MEASURE_SEED};
    *subject_loss = *class_loss = 0;
    TH_TRY(use_pictures(p, subject, class));
    TH_TRY(th_personal_read_prompts(p));
    TH_TRY(th_personal_start(p));
    TH_TRY(th_denoiser_new(p->sd, &d, &fixed));
    p->denoiser = fixed;
    p->seed = MEASURE_SEED;
    p->order_epoch = -1;
    th_status s = th_plan_allocate(p->plan);
    for (int64_t i = 0; i < draws && s == TH_OK; i++) {
        s = feed(p, i, p->plan);
        if (s == TH_OK) s = th_plan_run(p->plan, MEASURE_SEED, (uint32_t)i);
        if (s != TH_OK) break;
        const float *of_class = th_plan_output(p->plan, "loss_class");
        *subject_loss += (double)*(const float *)th_plan_output(p->plan, "loss_subject") / (double)draws;
        if (of_class) *class_loss += (double)*of_class / (double)draws;
    }
    p->denoiser = own;
    p->seed = p->p.train.seed;
    p->order_epoch = -1;
    th_denoiser_free(fixed);
    return s;
}

th_status th_personal_write(const th_personal *p, const char *dir, const char *dtype) {
    return p->method->write(p, dir, dtype);
}
