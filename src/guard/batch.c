/* Batches of a guard's terms: Σ_terms weight · mean over its rows of ‖ε_θ(z_t(x), t, τ(asked)) − target‖². */
#include <string.h>

#include "base/rng.h"
#include "diffusion/text_states.h"
#include "guard/guard_parts.h"
#include "theriac/ops.h"

/* Terms that the open model answers come first, so that its rows lie side by side. */
th_status th_guard_terms_add(th_guard_terms *ts, const th_guard_term *t) {
    if (!t->asked) return th_fail_memory();
    if (t->rows.count < 1 || t->rows.weight <= 0) return TH_OK;
    if (ts->count == TH_GUARD_MOST_TERMS) return th_fail(TH_E_USAGE, "too many protected subjects for one guard");
    int at = ts->count;
    while (at > 0 && t->answered && !ts->items[at - 1].answered) at--;
    memmove(&ts->items[at + 1], &ts->items[at], (size_t)(ts->count - at) * sizeof *ts->items);
    ts->items[at] = *t;
    ts->count++;
    return TH_OK;
}

static void count_rows(th_guard_batch *b) {
    for (int i = 0; i < b->terms.count; i++) {
        const th_guard_term *t = &b->terms.items[i];
        b->rows += t->rows.count;
        b->open_rows += t->answered ? t->rows.count : 0;
    }
}

/* What the open model says to the same noisy latents and other texts [open_rows, h, w, c]. */
static th_tensor *ask_open(th_graph *g, const th_guard *a, const th_guard_batch *b, const th_denoise_question *q) {
    int64_t m = b->open_rows, width = th_unet_get_config(a->sd->unet)->cross_attention_dim;
    th_tensor *states = th_input(g, "open_states", TH_DESC(TH_F32, m, b->shape.tokens, width));
    th_tensor *noisy = th_slice(g, q->noisy, 0, 0, m), *times = th_slice(g, q->times, 0, 0, m);
    return th_detach(g, th_unet_apply(g, a->open->unet, noisy, times, states));
}

static th_tensor *targets(th_graph *g, const th_guard *a, const th_guard_batch *b, const th_denoise_question *q) {
    if (!b->open_rows) return q->target;
    th_tensor *open = ask_open(g, a, b, q);
    if (b->open_rows == b->rows) return open;
    th_tensor *noise = th_slice(g, q->target, 0, b->open_rows, b->rows);
    return th_concat(g, 0, 2, (th_tensor *const[]){open, noise});
}

static void record(th_guard *a, th_guard_batch *b, th_graph *g) {
    th_denoise_question q = th_denoise_ask(g, a->sd, &b->shape, NULL);
    th_tensor *target = targets(g, a, b, &q);
    th_tensor *prediction = th_unet_apply(g, a->sd->unet, q.noisy, q.times, q.states);
    th_denoise_loss l = th_denoise_compare(g, prediction, target, q.weight);
    th_graph_precise(g, true);
    int64_t row = 0;
    for (int i = 0; i < b->terms.count; i++) {
        const th_guard_term *t = &b->terms.items[i];
        th_output(g, t->name, th_mean_all(g, th_slice(g, l.each, 0, row, row + t->rows.count)));
        b->logged[i] = t->name;
        row += t->rows.count;
    }
    th_graph_precise(g, false);
    th_output(g, "loss", l.loss);
    th_grad_params(g, l.loss, a->trained);
}

th_status th_guard_batch_new(th_guard *a, const th_guard_terms *ts, size_t other_bytes, size_t trained_bytes,
                             th_guard_batch *b) {
    const th_unet_config *u = th_unet_get_config(a->sd->unet);
    int64_t factor = th_vae_factor(th_vae_get_config(a->sd->vae));
    *b = (th_guard_batch){.terms = *ts};
    count_rows(b);
    if (!b->rows) return th_fail(TH_E_USAGE, "%s: every term of the loss has weight 0 or no rows", a->method->name);
    b->shape = (th_denoise_shape){
        .batch = b->rows,
        .height = a->p.side / factor,
        .width = a->p.side / factor,
        .tokens = th_text_encoder_get_config(a->sd->text)->context,
        .states = true,
    };
    if (a->p.side < factor || a->p.side % (factor * th_unet_multiple(u)))
        return th_fail(TH_E_USAGE, "--size %lld: this model's sides are multiples of %lld", (long long)a->p.side,
                       (long long)(factor * th_unet_multiple(u)));
    th_graph *g = th_graph_new();
    if (!g) return th_fail_memory();
    th_plan_params params;
    th_plan_params_init(&params);
    params.threads = a->p.threads;
    params.compute = a->p.compute;
    params.memory_budget = a->p.memory;
    params.trained_bytes = trained_bytes;
    params.other_bytes = other_bytes;
    params.runs_an_update = a->p.train.accumulate;
    record(a, b, g);
    th_status s = th_plan_new(g, &params, &b->plan);
    th_graph_free(g);
    return s;
}

void th_guard_batch_free(th_guard_batch *b) {
    th_plan_free(b->plan);
    *b = (th_guard_batch){0};
}

/* ---- feeding */

static void put_states(const th_guard *a, float *to, int32_t text, int64_t row) {
    int64_t size = th_text_states_size(a->sd);
    memcpy(to + row * size, a->states + text * size, (size_t)size * sizeof *to);
}

static th_status put_row(th_guard *a, const th_guard_batch *b, const th_guard_term *t, int64_t row, int64_t stream,
                         uint32_t step) {
    const th_moments *m = t->pictures;
    uint64_t sample = (uint64_t)(stream + row);
    if (!m || m->pictures < 1) return th_fail(TH_E_BUG, "%s: there are no pictures", t->name);
    th_rng r = th_rng_at(a->p.train.seed, TH_RNG_TEXT, step, sample);
    int64_t picture = (int64_t)th_rng_below(&r, (uint32_t)m->pictures);
    int64_t text = picture % t->prompts * t->variants + (int64_t)th_rng_below(&r, (uint32_t)t->variants);
    float *z = (float *)th_plan_input(b->plan, "latents") + row * (th_moments_size(m) / 2);
    th_moments_draw(m, th_vae_get_config(a->sd->vae), picture, a->p.train.seed, step, sample, 0, z);
    put_states(a, th_plan_input(b->plan, "states"), t->asked[text], row);
    if (t->answered) put_states(a, th_plan_input(b->plan, "open_states"), t->answered[text], row);
    return TH_OK;
}

th_status th_guard_feed(th_guard *a, const th_guard_batch *b, const th_guard_terms *ts, int64_t stream, uint32_t step) {
    int64_t row = 0;
    for (int i = 0; i < ts->count; i++) {
        const th_guard_term *t = &ts->items[i];
        const th_guard_rows *r = &t->rows;
        for (int64_t k = 0; k < r->count; k++, row++) {
            float weight = r->weight * (float)b->rows / (float)r->count;
            a->rows[row] = (th_denoise_row){weight, r->least, r->most > 0 ? r->most : 1};
            TH_TRY(put_row(a, b, t, row, stream, step));
        }
    }
    return th_denoiser_fill_rows(a->denoiser, b->plan, &b->shape, step, stream, a->rows);
}
