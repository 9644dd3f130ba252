/* The denoising loss on held-out pairs. */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "diffusion/encoder.h"
#include "train/picture_batches.h"
#include "train/t2i_parts.h"

#define SEED 0x68656c64 /* of times and noise, the same for all runs, so that their measurements can be compared */

th_status th_t2i_eval_plan(th_t2i_eval *e, th_dtype compute) {
    th_denoiser_params d = {.seed = SEED};
    th_graph *g = th_graph_new();
    if (!g) return th_fail_memory();
    th_denoise_loss l = th_denoise_record(g, e->sd, &e->shape);
    th_output(g, "each", l.each);
    th_output(g, "loss", l.loss);
    th_plan_params p;
    th_plan_params_init(&p);
    p.threads = e->threads;
    p.compute = compute;
    th_status s = th_plan_new(g, &p, &e->plan);
    th_graph_free(g);
    TH_TRY(s);
    return th_denoiser_new(e->sd, &d, &e->denoiser);
}

void th_t2i_eval_free(th_t2i_eval *e) {
    th_plan_free(e->plan);
    th_denoiser_free(e->denoiser);
    th_free(e->latents);
    th_free(e->ids);
}

static int64_t latent_values(const th_t2i_eval *e) {
    return e->shape.height * e->shape.width * th_vae_get_config(e->sd->vae)->latent_channels;
}

size_t th_t2i_eval_bytes(const th_t2i_eval *e) {
    th_plan_cost c;
    th_plan_get_cost(e->plan, &c);
    size_t pair = (size_t)latent_values(e) * sizeof(float) + (size_t)e->shape.tokens * sizeof(int32_t);
    return c.tensor_bytes + c.scratch_bytes + (size_t)e->count * pair;
}

static th_status encode(th_t2i_eval *e, th_picture_batches *batches, th_vae_encoder *encoder, float *moments,
                        const th_watch *w) {
    const th_vae_config *c = th_vae_get_config(e->sd->vae);
    int64_t n = e->shape.batch, values = latent_values(e), tokens = e->shape.tokens;
    for (int64_t at = 0; at < e->count; at += n) {
        th_picture_batch b;
        int64_t count = e->count - at < n ? e->count - at : n;
        if (th_stopped(w)) return th_fail(TH_E_INTERRUPTED, "stopped while encoding pictures");
        TH_TRY(th_picture_batches_next(batches, at / n, &b));
        TH_TRY(th_vae_encoder_run(encoder, b.pictures, count, moments));
        th_latents_draw(c, moments, count * values / c->latent_channels, NULL, 0, 0, e->latents + at * values);
        memcpy(e->ids + at * tokens, b.ids, (size_t)(count * tokens) * sizeof *e->ids);
        th_report(w, "encoding held-out pictures", at + count, e->count, NULL);
    }
    return TH_OK;
}

th_status th_t2i_eval_prepare(th_t2i_eval *e, const th_watch *w) {
    th_picture_batches_params p = {
        .data = e->pairs,
        .batch = e->shape.batch,
        .steps = (e->count + e->shape.batch - 1) / e->shape.batch,
        .each_once = true,
        .threads = 1,
        .watch = w,
        .side = e->side,
        .tokenizer = e->sd->tokenizer,
        .tokens = e->shape.tokens,
    };
    th_picture_batches *batches = NULL;
    th_vae_encoder *encoder = NULL;
    float *moments = NULL;
    e->latents = th_alloc((size_t)(e->count * latent_values(e)), sizeof *e->latents);
    e->ids = th_alloc((size_t)(e->count * e->shape.tokens), sizeof *e->ids);
    if (!e->latents || !e->ids) return th_fail_memory();
    th_status s = th_picture_batches_new(&p, &batches);
    if (s == TH_OK) s = th_vae_encoder_new(e->sd->vae, e->shape.batch, e->side, e->side, e->threads, &encoder);
    if (s == TH_OK && !(moments = th_alloc((size_t)(2 * e->shape.batch * latent_values(e)), sizeof *moments)))
        s = th_fail_memory();
    if (s == TH_OK) s = encode(e, batches, encoder, moments, w);
    th_free(moments);
    th_vae_encoder_free(encoder);
    th_picture_batches_free(batches);
    return s;
}

/* Rows past the last pair are left as the batch before had them. */
static th_status run_batch(th_t2i_eval *e, int64_t at, int64_t count) {
    int64_t values = latent_values(e), tokens = e->shape.tokens;
    float *latents = th_plan_input(e->plan, "latents");
    int32_t *ids = th_plan_input(e->plan, "ids");
    if (!latents || !ids) return th_fail_memory();
    memcpy(latents, e->latents + at * values, (size_t)(count * values) * sizeof *latents);
    memcpy(ids, e->ids + at * tokens, (size_t)(count * tokens) * sizeof *ids);
    TH_TRY(th_denoiser_fill(e->denoiser, e->plan, &e->shape, 0, at, NULL));
    return th_plan_run(e->plan, 0, 0);
}

th_status th_t2i_eval_run(th_t2i_eval *e, th_t2i_loss *out) {
    int64_t seen[TH_DENOISE_QUARTERS] = {0}, n = e->shape.batch, steps = e->sd->scheduler.train_steps;
    th_t2i_loss sum = {0};
    for (int64_t at = 0; at < e->count; at += n) {
        int64_t count = e->count - at < n ? e->count - at : n;
        TH_TRY(run_batch(e, at, count));
        const float *each = th_plan_output(e->plan, "each");
        for (int64_t i = 0; i < count; i++) {
            int64_t t = th_denoiser_time(e->denoiser, 0, (uint64_t)(at + i)), q = t * TH_DENOISE_QUARTERS / steps;
            sum.loss += (double)each[i] / (double)e->count;
            sum.quarters[q] += (double)each[i];
            seen[q]++;
        }
    }
    for (int q = 0; q < TH_DENOISE_QUARTERS; q++)
        sum.quarters[q] = seen[q] ? sum.quarters[q] / (double)seen[q] : (double)NAN;
    sum.count = e->count;
    *out = sum;
    return TH_OK;
}
