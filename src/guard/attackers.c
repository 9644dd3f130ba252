/* Imagined attackers: copies of the model that are personalised on the protected pictures while it is guarded, so that
 * the guard's loss is made small where attackers will be, not only where they begin.
 *
 * trajectory: an attacker lives on from step to step of the guard and moves with it only when it begins anew; what the
 * guard wants at its weights θ' is differentiated there and added to the gradient at θ (first order, as in
 * first-order MAML; Finn et al. 2017; of tamper resistance: Tamirisa et al. 2024, arXiv 2408.00761). Beside it live
 * such as personalise bystanders, at whose weights the guard wants what personalising the open model gives, so that it
 * is the pictures that decide and not the identifier.
 * unrolled: the same with an attacker that begins at θ in every step, θ' = θ − η∇L_DB(θ) and so on.
 * flat: the gradient of ‖∇L_DB(θ)‖² = 2 H ∇L_DB, by central differences of gradients along ∇L_DB. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/rng.h"
#include "guard/guard_parts.h"
#include "train/checkpoint.h"

typedef struct {
    th_snapshot *values;     /* where it is */
    th_optimizer *optimizer; /* NULL: it begins anew at the next step */
    int64_t kind;            /* of subject it attacks */
    int64_t born, life;      /* the guard's step at which it began; how many of its own steps it lives */
} attacker;

struct th_guard_attackers {
    th_guard *guard;
    const th_guard_imagined *im;
    th_guard_batch attack, outer, spared; /* what the guard wants of attackers on protected ones; on bystanders */
    th_snapshot *own, *grads, *slope;     /* the guard's values and gradients; the direction of flat */
    attacker *items;
    th_adamw_params adamw;
    double losses[2]; /* of what the guard wants, summed over this step's attackers: on protected ones, on bystanders */
    int runs[2];
    int threads;
};

/* Draws of different uses. */
#define STREAM ((int64_t)1 << 24)
enum { FLAT_STREAM = 1, UNROLLED_STREAM = 2, OUTER_STREAM = 3, FIRST_ATTACKER = 4 };

/* ---- setting up */

static bool is_wanted(const th_guard_imagined *im) { return im->trajectory > 0 || im->unrolled > 0 || im->flat > 0; }

static th_status make_plans(th_guard_attackers *a) {
    size_t moments = TH_ADAMW_BYTES_EACH;
    TH_TRY(th_guard_batch_new(a->guard, &a->im->attack[0], 0, moments, &a->attack));
    if (a->im->trajectory <= 0 && a->im->unrolled <= 0) return TH_OK;
    TH_TRY(th_guard_batch_new(a->guard, &a->im->outer[0], 0, moments, &a->outer));
    if (!a->im->spared_count) return TH_OK;
    return th_guard_batch_new(a->guard, &a->im->outer[a->im->kinds], 0, moments, &a->spared);
}

th_status th_guard_attackers_new(th_guard *g, th_guard_attackers **out) {
    const th_guard_imagined *im = &g->imagined;
    *out = NULL;
    if (!is_wanted(im)) return TH_OK;
    if (im->least < 1 || im->most < im->least || im->each < 1)
        return th_fail(TH_E_USAGE,
                       "%s: imagined attackers make at least one step: --attack-least %lld is above "
                       "--attack-most %lld",
                       g->method->name, (long long)im->least, (long long)im->most);
    th_guard_attackers *a = th_alloc(1, sizeof *a);
    if (!a) return th_fail_memory();
    *a = (th_guard_attackers){.guard = g, .im = im};
    th_adamw_params_init(&a->adamw);
    a->adamw.clip_norm = 1;
    a->items = th_alloc((size_t)(im->count + im->spared_count) + 1, sizeof *a->items);
    th_status s = a->items ? make_plans(a) : th_fail_memory();
    if (s != TH_OK) return th_guard_attackers_free(a), s;
    a->threads = th_plan_threads(a->attack.plan);
    *out = a;
    return TH_OK;
}

static void end(attacker *k) {
    th_optimizer_free(k->optimizer);
    k->optimizer = NULL;
}

void th_guard_attackers_free(th_guard_attackers *a) {
    if (!a) return;
    for (int64_t i = 0; a->items && i < a->im->count + a->im->spared_count; i++) {
        end(&a->items[i]);
        th_snapshot_free(a->items[i].values);
    }
    th_free(a->items);
    th_snapshot_free(a->own);
    th_snapshot_free(a->grads);
    th_snapshot_free(a->slope);
    th_guard_batch_free(&a->attack);
    th_guard_batch_free(&a->outer);
    th_guard_batch_free(&a->spared);
    th_free(a);
}

th_guard_batch *th_guard_attack_batch(th_guard_attackers *a) { return &a->attack; }

/* Those on protected subjects first. */
static int64_t lasting(const th_guard_attackers *a) {
    return a->im->trajectory > 0 ? a->im->count + a->im->spared_count : 0;
}

static size_t bytes_of(const th_guard_batch *b) {
    th_plan_cost cost = {0};
    if (b->plan) th_plan_get_cost(b->plan, &cost);
    return cost.tensor_bytes + cost.scratch_bytes;
}

/* Values and gradients of the guard; values and moments of each attacker; flat's direction. */
size_t th_guard_attackers_bytes(const th_guard_attackers *a) {
    size_t copies = 2 + 3 * (size_t)lasting(a) + (a->im->unrolled > 0 ? 2 : 0) + (a->im->flat > 0 ? 1 : 0);
    return copies * th_snapshot_bytes(a->guard->trained) + bytes_of(&a->attack) + bytes_of(&a->outer) +
           bytes_of(&a->spared);
}

static double mean_life(const th_guard_imagined *im) { return 0.5 * (double)(im->least + im->most); }

void th_guard_attackers_cost(const th_guard_attackers *a, th_guard_cost *out) {
    th_plan_get_cost(a->attack.plan, &out->attack);
    if (a->outer.plan) th_plan_get_cost(a->outer.plan, &out->outer);
    if (a->spared.plan) th_plan_get_cost(a->spared.plan, &out->spared);
    out->outers_a_step = (a->im->trajectory > 0 ? (double)a->im->count : 0) + (a->im->unrolled > 0 ? 1 : 0);
    out->spared_a_step = a->spared.plan ? (double)a->im->spared_count : 0;
    out->attacks_a_step = (double)(lasting(a) * a->im->each);
    if (a->im->unrolled > 0) out->attacks_a_step += mean_life(a->im) < 12 ? mean_life(a->im) : 12;
    if (a->im->flat > 0) out->attacks_a_step += 3;
}

static th_status make_snapshot(th_guard_attackers *a, th_snapshot **s) {
    return *s ? TH_OK : th_snapshot_new(a->guard->trained, a->threads, s);
}

static th_status allocate(th_guard_attackers *a) {
    TH_TRY(th_plan_allocate(a->attack.plan));
    if (a->outer.plan) TH_TRY(th_plan_allocate(a->outer.plan));
    if (a->spared.plan) TH_TRY(th_plan_allocate(a->spared.plan));
    TH_TRY(make_snapshot(a, &a->own));
    TH_TRY(make_snapshot(a, &a->grads));
    if (a->im->flat > 0) TH_TRY(make_snapshot(a, &a->slope));
    for (int64_t i = 0; i < lasting(a); i++) TH_TRY(make_snapshot(a, &a->items[i].values));
    return TH_OK;
}

/* ---- lives */

static int64_t draw_life(const th_guard_attackers *a, int64_t which, int64_t born) {
    th_rng r = th_rng_at(a->guard->p.train.seed, TH_RNG_SUBSET, (uint32_t)born, (uint64_t)which);
    return a->im->least + (int64_t)th_rng_below(&r, (uint32_t)(a->im->most - a->im->least + 1));
}

/* Its kind is drawn, each subject's and each bystander's alike. */
static void be_born(const th_guard_attackers *a, int64_t which, int64_t step) {
    attacker *k = &a->items[which];
    k->born = step;
    k->life = draw_life(a, which, step);
    th_rng r = th_rng_at(a->guard->p.train.seed, TH_RNG_SHUFFLE, (uint32_t)step, (uint64_t)which);
    bool spared = which >= a->im->count;
    k->kind = (spared ? a->im->kinds : 0) +
              (int64_t)th_rng_below(&r, (uint32_t)(spared ? a->im->spared_kinds : a->im->kinds));
}

/* Whether it begins anew at this step: a function of the steps alone, so that going on with a run knows it too. */
static bool is_over(const th_guard_attackers *a, const attacker *k, int64_t step) {
    return (step - k->born) * a->im->each >= k->life;
}

/* Brings the lives up to date with what they are before `step`. */
static void relive(th_guard_attackers *a, int64_t step) {
    for (int64_t i = 0; i < lasting(a); i++) {
        be_born(a, i, 0);
        for (int64_t at = 1; at < step; at++)
            if (is_over(a, &a->items[i], at)) be_born(a, i, at);
    }
}

/* ---- steps */

static th_status run(th_guard_attackers *a, th_guard_batch *b, const th_guard_terms *ts, int64_t stream, int64_t step) {
    TH_TRY(th_guard_feed(a->guard, b, ts, stream * STREAM, (uint32_t)step));
    return th_plan_run(b->plan, a->guard->p.train.seed, (uint32_t)step);
}

static th_status new_optimizer(const th_guard_attackers *a, th_optimizer **o) {
    return th_optimizer_new(a->guard->trained, &a->adamw, NULL, o);
}

/* Personalises what the parameters hold. */
static th_status attack(th_guard_attackers *a, th_optimizer *o, int64_t kind, int64_t steps, int64_t stream,
                        int64_t first) {
    for (int64_t i = 0; i < steps; i++) {
        TH_TRY(run(a, &a->attack, &a->im->attack[kind], stream, first + i));
        TH_TRY(th_optimizer_step(o, a->im->lr, a->threads, NULL));
    }
    return TH_OK;
}

/* What the guard wants where the parameters are, onto its gradients. */
static th_status gather_outer(th_guard_attackers *a, int64_t kind, int64_t which, int64_t step, float weight) {
    bool spared = kind >= a->im->kinds;
    th_guard_batch *b = spared ? &a->spared : &a->outer;
    TH_TRY(run(a, b, &a->im->outer[kind], OUTER_STREAM + (which + 1) * 256, step));
    a->losses[spared] += (double)*(const float *)th_plan_output(b->plan, "loss");
    a->runs[spared]++;
    th_snapshot_gather_grads(a->grads, weight);
    return TH_OK;
}

static th_status live_on(th_guard_attackers *a, int64_t which, int64_t step) {
    attacker *k = &a->items[which];
    if (is_over(a, k, step)) end(k), be_born(a, which, step);
    if (k->optimizer)
        TH_TRY(th_snapshot_put_values(k->values));
    else
        TH_TRY(new_optimizer(a, &k->optimizer));
    TH_TRY(attack(a, k->optimizer, k->kind, a->im->each, FIRST_ATTACKER + which, step * a->im->each));
    float weight =
        which < a->im->count ? a->im->trajectory / (float)a->im->count : a->im->spared / (float)a->im->spared_count;
    TH_TRY(gather_outer(a, k->kind, which, step, weight));
    th_snapshot_take_values(k->values);
    return th_snapshot_put_values(a->own);
}

#define MOST_UNROLLED 12

static th_status unroll(th_guard_attackers *a, int64_t step) {
    th_optimizer *o = NULL;
    th_rng r = th_rng_at(a->guard->p.train.seed, TH_RNG_SUBSET, (uint32_t)step, UINT64_MAX);
    int64_t most = a->im->most < MOST_UNROLLED ? a->im->most : MOST_UNROLLED;
    int64_t steps = 1 + (int64_t)th_rng_below(&r, (uint32_t)most), kind = step % a->im->kinds;
    TH_TRY(new_optimizer(a, &o));
    th_status s = attack(a, o, kind, steps, UNROLLED_STREAM, step * MOST_UNROLLED);
    th_optimizer_free(o);
    if (s == TH_OK) s = gather_outer(a, kind, -1, step, a->im->unrolled);
    return s == TH_OK ? th_snapshot_put_values(a->own) : s;
}

/* 2 ‖g‖ (∇L(θ + εv) − ∇L(θ − εv)) / 2ε with v = g / ‖g‖, all of one draw. */
static th_status flatten(th_guard_attackers *a, int64_t step) {
    int64_t kind = step % a->im->kinds;
    const th_guard_terms *ts = &a->im->attack[kind];
    TH_TRY(run(a, &a->attack, ts, FLAT_STREAM, step));
    th_snapshot_take_grads(a->slope);
    double norm = th_snapshot_norm(a->slope);
    if (!(norm > 0)) return TH_OK;
    float reach = a->im->reach, scale = (float)(norm / (double)reach) * a->im->flat;
    TH_TRY(th_snapshot_add_to_values(a->slope, (float)((double)reach / norm)));
    TH_TRY(run(a, &a->attack, ts, FLAT_STREAM, step));
    th_snapshot_gather_grads(a->grads, scale);
    TH_TRY(th_snapshot_put_values(a->own));
    TH_TRY(th_snapshot_add_to_values(a->slope, -(float)((double)reach / norm)));
    TH_TRY(run(a, &a->attack, ts, FLAT_STREAM, step));
    th_snapshot_gather_grads(a->grads, -scale);
    return th_snapshot_put_values(a->own);
}

static void fill_metrics(const th_guard_attackers *a, th_metric *metrics, int max, int *count) {
    static const char *const names[2] = {"attacked/protected", "attacked/bystander"};
    for (int i = 0; i < 2; i++)
        if (a->runs[i] && *count < max) metrics[(*count)++] = (th_metric){names[i], a->losses[i] / a->runs[i]};
}

th_status th_guard_attackers_add(th_guard_attackers *a, int64_t step, th_metric *metrics, int max, int *count) {
    TH_TRY(allocate(a));
    for (int i = 0; i < 2; i++) a->losses[i] = 0, a->runs[i] = 0;
    if (step == 0) relive(a, 0);
    th_snapshot_take_values(a->own);
    th_snapshot_take_grads(a->grads);
    th_status s = TH_OK;
    for (int64_t i = 0; i < lasting(a) && s == TH_OK; i++) s = live_on(a, i, step);
    if (s == TH_OK && a->im->unrolled > 0) s = unroll(a, step);
    if (s == TH_OK && a->im->flat > 0) s = flatten(a, step);
    TH_TRY(s == TH_OK ? s : th_fail_in(s, "an imagined attacker"));
    th_snapshot_put_grads(a->grads);
    fill_metrics(a, metrics, max, count);
    return TH_OK;
}

/* ---- going on with a run */

static th_status path_of(const th_guard_attackers *a, int64_t step, int64_t which, char path[TH_PATH_MAX]) {
    char name[64];
    snprintf(name, sizeof name, "step-%08lld-%lld.safetensors", (long long)step, (long long)which);
    return th_path_join(path, a->guard->p.attackers, name);
}

static th_training_state state_of(th_guard_attackers *a, attacker *k, int64_t step) {
    return (th_training_state){
        .params = a->guard->trained,
        .optimizer = k->optimizer,
        .step = step,
        .threads = a->threads,
        .compute = th_dtype_name(a->guard->p.compute),
    };
}

/* Those of older checkpoints than the trainer keeps, and one more, as it removes its own after this. */
static th_status prune(const th_guard_attackers *a, int64_t step) {
    th_names names;
    TH_TRY(th_list_dir(a->guard->p.attackers, &names));
    int64_t keep = a->guard->p.train.keep + 1, older = 0, last = step;
    th_status s = TH_OK;
    for (int64_t i = names.count - 1; i >= 0 && s == TH_OK; i--) {
        char path[TH_PATH_MAX];
        long long of;
        if (sscanf(names.names[i], "step-%lld-", &of) != 1) continue;
        if (of != last) older++, last = of;
        if (older < keep) continue;
        s = th_path_join(path, a->guard->p.attackers, names.names[i]);
        if (s == TH_OK && unlink(path) != 0) s = th_fail_errno(path, "remove it");
    }
    th_names_free(&names);
    return s;
}

th_status th_guard_attackers_save(th_guard_attackers *a, int64_t step) {
    if (!a->guard->p.attackers || !lasting(a) || !a->own) return TH_OK;
    TH_TRY(th_make_dirs(a->guard->p.attackers));
    th_snapshot_take_values(a->own);
    th_status s = TH_OK;
    for (int64_t i = 0; i < lasting(a) && s == TH_OK; i++) {
        char path[TH_PATH_MAX];
        if (!a->items[i].optimizer) continue;
        th_training_state state = state_of(a, &a->items[i], step);
        s = th_snapshot_put_values(a->items[i].values);
        if (s == TH_OK) s = path_of(a, step, i, path);
        if (s == TH_OK) s = th_checkpoint_save(path, &state);
    }
    TH_TRY(th_snapshot_put_values(a->own));
    return s == TH_OK ? prune(a, step) : s;
}

static th_status load(th_guard_attackers *a, int64_t step, int64_t which) {
    attacker *k = &a->items[which];
    char path[TH_PATH_MAX];
    TH_TRY(path_of(a, step, which, path));
    if (!k->optimizer) TH_TRY(new_optimizer(a, &k->optimizer));
    th_training_state state = state_of(a, k, step);
    TH_TRY(th_checkpoint_load(path, &state));
    th_snapshot_take_values(k->values);
    return TH_OK;
}

th_status th_guard_attackers_load(th_guard_attackers *a, int64_t step) {
    TH_TRY(allocate(a));
    relive(a, step);
    if (!lasting(a) || step == 0) return TH_OK;
    if (!a->guard->p.attackers) return th_fail(TH_E_BUG, "there is no folder of the imagined attackers' state");
    th_snapshot_take_values(a->own);
    th_status s = TH_OK;
    for (int64_t i = 0; i < lasting(a) && s == TH_OK; i++) s = load(a, step, i);
    TH_TRY(th_snapshot_put_values(a->own));
    return s;
}
