/* Guarding: the terms' loss, imagined attackers, the trainer. */
#include <string.h>

#include "diffusion/text_states.h"
#include "guard/guard_parts.h"

/* ---- setting up */

static void apply_recipe(th_guard *g) {
    th_train_params *t = &g->p.train;
    if (t->schedule.lr <= 0) t->schedule.lr = g->method->lr;
    if (t->steps <= 0) t->steps = g->method->steps;
    if (t->adamw.clip_norm < 0) t->adamw.clip_norm = 1;
    if (t->accumulate < 1) t->accumulate = 1;
    if (t->schedule.warmup > t->steps / 2) t->schedule.warmup = t->steps / 2;
}

static th_status choose_params(th_guard *g) {
    if (!(g->trained = th_params_new())) return th_fail_memory();
    th_params_set_trainable(th_vae_params(g->sd->vae), false);
    th_params_set_trainable(th_text_encoder_params(g->sd->text), false);
    th_params_set_trainable(th_unet_params(g->sd->unet), true);
    if (g->open) th_params_set_trainable(th_unet_params(g->open->unet), false);
    return th_params_borrow(g->trained, th_unet_params(g->sd->unet));
}

static th_status make_room(th_guard *g) {
    int64_t most = g->batch.rows;
    for (int64_t k = 0; k < g->imagined.kinds + g->imagined.spared_kinds; k++) {
        int64_t attack = 0, outer = 0;
        for (int i = 0; i < g->imagined.attack[k].count; i++) attack += g->imagined.attack[k].items[i].rows.count;
        for (int i = 0; i < g->imagined.outer[k].count; i++) outer += g->imagined.outer[k].items[i].rows.count;
        if (attack > most) most = attack;
        if (outer > most) most = outer;
    }
    g->rows = th_alloc((size_t)most, sizeof *g->rows);
    return g->rows ? TH_OK : th_fail_memory();
}

static th_status set_up(th_guard *g) {
    g->arena = th_arena_new();
    g->text_numbers = th_map_new();
    if (!g->arena || !g->text_numbers) return th_fail_memory();
    apply_recipe(g);
    TH_TRY(choose_params(g));
    TH_TRY(g->method->build(g));
    if (th_arena_failed(g->arena)) return th_fail_memory();
    TH_TRY(th_guard_find_ids(g));
    th_denoiser_params d = {.seed = g->p.train.seed};
    TH_TRY(th_denoiser_new(g->sd, &d, &g->denoiser));
    TH_TRY(th_guard_attackers_new(g, &g->attackers));
    size_t others = g->attackers ? th_guard_attackers_bytes(g->attackers) : 0;
    others += (size_t)(g->text_count * th_text_states_size(g->sd)) * sizeof(float);
    TH_TRY(th_guard_batch_new(g, &g->terms, others, th_train_bytes_each(&g->p.train), &g->batch));
    g->p.train.threads = th_plan_threads(g->batch.plan);
    g->p.train.compute = g->p.compute;
    return make_room(g);
}

th_status th_guard_new(th_sd *sd, th_sd *open, const th_guard_method *m, th_options *options, const th_guard_params *p,
                       const th_guard_data *data, th_guard **out) {
    th_guard *g = th_alloc(1, sizeof *g);
    if (!g) return th_fail_memory();
    *g = (th_guard){.sd = sd, .open = open, .method = m, .options = options, .p = *p, .data = data};
    th_status s = set_up(g);
    if (s != TH_OK) return th_guard_free(g), s;
    *out = g;
    return TH_OK;
}

void th_guard_free(th_guard *g) {
    if (!g) return;
    th_guard_attackers_free(g->attackers);
    th_guard_batch_free(&g->batch);
    th_denoiser_free(g->denoiser);
    th_params_free(g->trained);
    th_map_free(g->text_numbers);
    th_arena_free(g->arena);
    th_free(g->texts);
    th_free(g->ids);
    th_free(g->states);
    th_free(g->rows);
    th_free(g);
}

void th_guard_get_cost(const th_guard *g, th_guard_cost *out) {
    *out = (th_guard_cost){
        .steps = g->p.train.steps,
        .rows = g->batch.rows,
        .open_rows = g->batch.open_rows,
        .lr = g->p.train.schedule.lr,
        .trained = th_params_elements(g->trained),
        .texts = g->text_count,
        .cut = g->cut,
    };
    th_plan_get_cost(g->batch.plan, &out->step);
    out->bytes = out->step.bytes;
    out->flops = out->step.flops * (double)g->p.train.accumulate;
    if (!g->attackers) return;
    th_guard_attackers_cost(g->attackers, out);
    out->flops += out->attacks_a_step * out->attack.flops + out->outers_a_step * out->outer.flops +
                  out->spared_a_step * out->spared.flops;
}

th_guard_texts th_guard_retention(const th_guard *g) { return g->retention; }

double th_guard_seconds(const th_guard_cost *c, const th_ceilings *ceilings, int cores) {
    double seconds = th_ceilings_seconds(ceilings, &c->step, cores);
    if (c->attacks_a_step > 0) seconds += c->attacks_a_step * th_ceilings_seconds(ceilings, &c->attack, cores);
    if (c->outers_a_step > 0) seconds += c->outers_a_step * th_ceilings_seconds(ceilings, &c->outer, cores);
    if (c->spared_a_step > 0) seconds += c->spared_a_step * th_ceilings_seconds(ceilings, &c->spared, cores);
    return seconds;
}

/* ---- running */

th_status th_guard_read_texts(th_guard *g) {
    if (g->states) return TH_OK;
    if (!(g->states = th_alloc((size_t)(g->text_count * th_text_states_size(g->sd)), sizeof *g->states)))
        return th_fail_memory();
    th_status s = th_text_states(g->sd, g->ids, g->text_count, g->p.threads, g->states);
    if (s != TH_OK) th_free(g->states), g->states = NULL;
    return s;
}

static th_status feed(void *user, int64_t micro_step, th_plan *plan) {
    th_guard *g = user;
    (void)plan;
    return th_guard_feed(g, &g->batch, &g->terms, 0, (uint32_t)micro_step);
}

static th_status add_gradients(void *user, int64_t step, th_metric *metrics, int max, int *count) {
    return th_guard_attackers_add(((th_guard *)user)->attackers, step, metrics, max, count);
}

static th_status save(void *user, int64_t step) { return th_guard_attackers_save(((th_guard *)user)->attackers, step); }

static th_status load(void *user, int64_t step) { return th_guard_attackers_load(((th_guard *)user)->attackers, step); }

th_status th_guard_run(th_guard *g, th_run_folder *run, const th_watch *w, th_train_result *result) {
    TH_TRY(th_guard_read_texts(g));
    th_train_task t = {.params = g->trained, .plan = g->batch.plan, .logged = g->batch.logged, .feed = feed, .user = g};
    if (g->attackers) t.add_gradients = add_gradients, t.save = save, t.load = load;
    g->p.train.run = run;
    return th_train(&t, &g->p.train, w, result);
}
