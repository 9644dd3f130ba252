/* Fitting a text-to-image model. */
#include "train/t2i_fit.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "diffusion/encoder.h"
#include "train/picture_batches.h"
#include "train/t2i_parts.h"

struct th_t2i_fit {
    th_sd *sd;
    th_dataset *pairs;
    th_t2i_fit_params p;
    th_denoise_shape shape;
    th_params *trained; /* borrowed from the models */
    th_plan *plan;
    th_denoiser *denoiser;
    th_t2i_eval eval;
    th_t2i_loss measured;
    th_vae_encoder *encoder; /* where there is no cache */
    float *moments;          /* of a batch */
    th_latent_cache *cache;
    th_plan_cost encoding; /* of a batch of `encoded` pictures, where there is one */
    int64_t encoded;
    th_picture_batches *batches;
};

const th_option th_t2i_fit_options[] = {
    TH_OPT_BOOL("train-text", true, "train the text encoder too"),
    TH_OPT_F32("drop", 0.1, "share of captions that are left empty, for guidance", TH_WITHIN(0, 1)),
    TH_OPT_F32("min-snr", 0, "weights of times: γ of min-SNR, 5 as a rule; 0: all 1", TH_AT_LEAST(0)),
    TH_OPT_END,
};

void th_t2i_fit_params_init(th_t2i_fit_params *p) {
    *p = (th_t2i_fit_params){.side = 64, .train_text = true, .drop = 0.1};
    th_fit_params_init(&p->fit);
}

th_status th_t2i_fit_read(th_options *o, th_t2i_fit_params *p) {
    p->train_text = th_get_bool(o, "train-text");
    p->drop = th_get_f64(o, "drop");
    p->min_snr = th_get_f32(o, "min-snr");
    return th_options_check(o);
}

/* --- setting up --- */

static th_status choose_params(th_t2i_fit *f) {
    th_params *text = th_text_encoder_params(f->sd->text);
    if (!(f->trained = th_params_new())) return th_fail_memory();
    th_params_set_trainable(th_vae_params(f->sd->vae), false);
    th_params_set_trainable(text, f->p.train_text);
    TH_TRY(th_params_borrow(f->trained, th_unet_params(f->sd->unet)));
    return f->p.train_text ? th_params_borrow(f->trained, text) : TH_OK;
}

static th_status check_sizes(const th_t2i_fit *f) {
    int64_t factor = th_vae_factor(th_vae_get_config(f->sd->vae)), side = f->p.side;
    int64_t multiple = factor * th_unet_multiple(th_unet_get_config(f->sd->unet));
    char room[TH_DATASET_ROOM];
    if (side < multiple || side % multiple)
        return th_fail(TH_E_USAGE, "pictures of %lld pixels: should be a multiple of %lld", (long long)side,
                       (long long)multiple);
    if (f->p.fit.flip && f->p.latents)
        return th_fail(TH_E_USAGE, "latents cannot be kept where half of the pictures are mirrored");
    if (!th_dataset_caption(f->pairs, 0, NULL, room))
        return th_fail(TH_E_INPUT, "the data set has no captions, and training on pairs needs them");
    return TH_OK;
}

static th_picture_batches_params batch_params(const th_t2i_fit *f) {
    const th_fit_params *fit = &f->p.fit;
    return (th_picture_batches_params){
        .data = f->pairs,
        .batch = fit->batch,
        .steps = fit->train.steps * fit->train.accumulate,
        .shuffle = true,
        .seed = fit->train.seed,
        .threads = fit->loader_threads,
        .side = f->p.side,
        .flip = fit->flip,
        .latents = f->cache,
        .vae = th_vae_get_config(f->sd->vae),
        .tokenizer = f->sd->tokenizer,
        .tokens = f->shape.tokens,
        .drop = f->p.drop,
    };
}

static th_status make_encoder(th_t2i_fit *f) {
    int64_t n = f->p.fit.batch;
    TH_TRY(th_vae_encoder_new(f->sd->vae, n, f->p.side, f->p.side, f->p.fit.threads, &f->encoder));
    f->moments = th_alloc((size_t)(n * th_vae_encoder_size(f->encoder)), sizeof *f->moments);
    return f->moments ? TH_OK : th_fail_memory();
}

/* What filling a cache will cost; its encoder is made when it is needed. */
static th_status plan_encoding(th_t2i_fit *f) {
    th_vae_encoder *e;
    f->encoded = th_latent_cache_batch(f->p.side);
    TH_TRY(th_vae_encoder_new(f->sd->vae, f->encoded, f->p.side, f->p.side, f->p.fit.threads, &e));
    th_vae_encoder_get_cost(e, &f->encoding);
    th_vae_encoder_free(e);
    return TH_OK;
}

static th_status plan_eval(th_t2i_fit *f) {
    if (!f->p.held_out) return TH_OK;
    f->eval = (th_t2i_eval){.sd = f->sd, .pairs = f->p.held_out, .shape = f->shape, .side = f->p.side};
    f->eval.count = th_dataset_images(f->p.held_out);
    f->eval.threads = f->p.fit.threads;
    return th_t2i_eval_plan(&f->eval, f->p.fit.compute);
}

/* Batches, the autoencoder, and what measuring and looking take. Batches from a cache are smaller than those of
 * pictures. */
static size_t find_other_bytes(const th_t2i_fit *f) {
    th_picture_batches_params b = batch_params(f);
    size_t bytes = th_picture_batches_bytes(&b);
    if (f->encoder) {
        th_plan_cost c;
        th_vae_encoder_get_cost(f->encoder, &c);
        bytes += c.tensor_bytes + c.scratch_bytes + c.param_bytes;
    } else {
        bytes += (size_t)th_params_elements(th_vae_params(f->sd->vae)) * sizeof(float);
    }
    return bytes + f->p.look_bytes + (f->p.held_out ? th_t2i_eval_bytes(&f->eval) : 0);
}

/* Training's plan comes first, since parameters lie as their first plan wants them; but what measuring takes must be
 * known for its budget, so that is planned twice. */
static th_status make_plans(th_t2i_fit *f) {
    TH_TRY(plan_eval(f));
    size_t other = find_other_bytes(f);
    th_t2i_eval_free(&f->eval);
    f->eval = (th_t2i_eval){0};
    th_graph *g = th_graph_new();
    if (!g) return th_fail_memory();
    th_denoise_loss l = th_denoise_record(g, f->sd, &f->shape);
    th_output(g, "loss", l.loss);
    th_grad_params(g, l.loss, f->trained);
    th_status s = th_fit_plan(&f->p.fit, g, other, &f->plan);
    th_graph_free(g);
    return s == TH_OK ? plan_eval(f) : s;
}

static th_status set_up(th_t2i_fit *f) {
    th_fit_params *fit = &f->p.fit;
    TH_TRY(check_sizes(f));
    TH_TRY(choose_params(f));
    th_fit_settle(fit, th_dataset_count(f->pairs));
    int64_t side = f->p.side / th_vae_factor(th_vae_get_config(f->sd->vae));
    f->shape = (th_denoise_shape){.batch = fit->batch, .height = side, .width = side};
    f->shape.tokens = th_text_encoder_get_config(f->sd->text)->context;
    TH_TRY(f->p.latents ? plan_encoding(f) : make_encoder(f));
    TH_TRY(make_plans(f));
    fit->train.threads = th_plan_threads(f->plan);
    fit->train.compute = fit->compute;
    th_denoiser_params d = {.min_snr = f->p.min_snr, .seed = fit->train.seed};
    return th_denoiser_new(f->sd, &d, &f->denoiser);
}

th_status th_t2i_fit_new(th_sd *sd, th_dataset *pairs, const th_t2i_fit_params *p, th_t2i_fit **out) {
    th_t2i_fit *f = th_alloc(1, sizeof *f);
    if (!f) return th_fail_memory();
    *f = (th_t2i_fit){.sd = sd, .pairs = pairs, .p = *p};
    th_status s = set_up(f);
    if (s != TH_OK) return th_t2i_fit_free(f), s;
    *out = f;
    return TH_OK;
}

void th_t2i_fit_free(th_t2i_fit *f) {
    if (!f) return;
    th_picture_batches_free(f->batches);
    th_latent_cache_close(f->cache);
    th_vae_encoder_free(f->encoder);
    th_free(f->moments);
    th_t2i_eval_free(&f->eval);
    th_denoiser_free(f->denoiser);
    th_plan_free(f->plan);
    th_params_free(f->trained);
    th_free(f);
}

static th_latent_cache_params cache_params(const th_t2i_fit *f) {
    return (th_latent_cache_params){
        .dir = f->p.latents,
        .data = f->pairs,
        .vae = f->sd->vae,
        .key = f->p.latents_key,
        .side = f->p.side,
        .threads = f->p.fit.threads,
        .loader_threads = f->p.fit.loader_threads,
    };
}

void th_t2i_fit_get_cost(const th_t2i_fit *f, th_fit_cost *out) {
    int64_t parts = f->p.fit.train.accumulate;
    *out = (th_fit_cost){.steps = f->p.fit.train.steps, .batches_a_step = parts};
    out->pictures_a_step = parts * f->p.fit.batch;
    out->pictures_an_epoch = th_dataset_count(f->pairs);
    th_plan_get_cost(f->plan, &out->step);
    if (f->encoder) {
        th_plan_cost c;
        th_vae_encoder_get_cost(f->encoder, &c);
        out->step.flops += c.flops;
        out->step.moved_bytes += c.moved_bytes;
        return;
    }
    th_latent_cache_params c = cache_params(f);
    out->disk = th_latent_cache_bytes(&c);
    out->before = f->encoding.flops / (double)f->encoded * (double)th_dataset_images(f->pairs);
    /* Pictures are encoded before training's own memory is taken, but beside the other models. */
    int64_t others =
        th_params_elements(th_unet_params(f->sd->unet)) + th_params_elements(th_text_encoder_params(f->sd->text));
    size_t then = f->encoding.bytes + (size_t)others * sizeof(float);
    if (out->step.bytes < then) out->step.bytes = then;
}

void th_t2i_fit_set_run(th_t2i_fit *f, th_run_folder *run) { f->p.fit.train.run = run; }

void th_t2i_fit_set_latents(th_t2i_fit *f, const char *dir, const char *key) {
    f->p.latents = dir;
    f->p.latents_key = key;
}

const th_t2i_loss *th_t2i_fit_measured(const th_t2i_fit *f) { return &f->measured; }

/* --- the run --- */

static th_status feed(void *user, int64_t step, th_plan *plan) {
    th_t2i_fit *f = user;
    th_picture_batch b;
    float *latents = th_plan_input(plan, "latents");
    int32_t *ids = th_plan_input(plan, "ids");
    if (!latents || !ids) return th_fail_memory();
    int64_t n = f->shape.batch, c = th_vae_get_config(f->sd->vae)->latent_channels;
    int64_t positions = n * f->shape.height * f->shape.width;
    TH_TRY(th_picture_batches_next(f->batches, step, &b));
    memcpy(ids, b.ids, (size_t)(n * f->shape.tokens) * sizeof *ids);
    if (b.latents) {
        memcpy(latents, b.latents, (size_t)(positions * c) * sizeof *latents);
    } else {
        TH_TRY(th_vae_encoder_run(f->encoder, b.pictures, n, f->moments));
        th_latents_draw(th_vae_get_config(f->sd->vae), f->moments, positions, &f->p.fit.train.seed, (uint32_t)step, 0,
                        latents);
    }
    return th_denoiser_fill(f->denoiser, plan, &f->shape, (uint32_t)step, 0, NULL);
}

static th_status evaluate(void *user, int64_t step, th_metric *metrics, int max, int *count) {
    static const char *const names[TH_DENOISE_QUARTERS] = {"eval/loss_q1", "eval/loss_q2", "eval/loss_q3",
                                                           "eval/loss_q4"};
    th_t2i_fit *f = user;
    (void)max;
    *count = 0;
    if (f->p.held_out) {
        TH_TRY(th_t2i_eval_run(&f->eval, &f->measured));
        metrics[(*count)++] = (th_metric){"eval/loss", f->measured.loss};
        for (int q = 0; q < TH_DENOISE_QUARTERS; q++)
            if (!isnan(f->measured.quarters[q])) metrics[(*count)++] = (th_metric){names[q], f->measured.quarters[q]};
    }
    return f->p.look ? f->p.look(f->p.user, step) : TH_OK;
}

static th_status prepare(th_t2i_fit *f, const th_watch *w) {
    if (f->p.held_out) TH_TRY(th_t2i_eval_prepare(&f->eval, w));
    if (f->p.latents) {
        th_latent_cache_params c = cache_params(f);
        TH_TRY(th_latent_cache_open(&c, w, &f->cache));
    }
    th_picture_batches_params b = batch_params(f);
    b.watch = w;
    return th_picture_batches_new(&b, &f->batches);
}

th_status th_t2i_fit_run(th_t2i_fit *f, const th_watch *w, th_train_result *result) {
    th_train_task t = {
        .params = f->trained,
        .plan = f->plan,
        .decays = th_fit_decays,
        .feed = feed,
        .evaluate = f->p.held_out || f->p.look ? evaluate : NULL,
        .user = f,
    };
    TH_TRY(prepare(f, w));
    return th_train(&t, &f->p.fit.train, w, result);
}
