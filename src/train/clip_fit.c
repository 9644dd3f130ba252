/* Fitting CLIP. */
#include "train/clip_fit.h"

#include <string.h>

#include "base/memory.h"
#include "model/clip_graph.h"
#include "train/clip_fit_parts.h"

void th_clip_fit_params_init(th_clip_fit_params *p) {
    *p = (th_clip_fit_params){
        .epochs = 1, .batch = 64, .loader_threads = 2, .compute = TH_F32, .crop = 1, .evaluate_batch = 64};
    th_train_params_init(&p->train);
    p->train.steps = 0;
    p->train.adamw.weight_decay = 0.1f;
    p->train.schedule.warmup = 50;
}

/* Weight decay leaves norms, biases, the class embedding and the temperature alone. */
static bool decays(const th_param *p) { return th_param_desc(p)->rank >= 2; }

/* The temperature's logarithm stays in [0, ln 100], as in CLIP. */
static void after_step(void *user) {
    th_clip_fit *f = user;
    th_param *p = th_params_find(th_clip_params(f->bundle->model), "logit_scale");
    float v = 0, kept;
    if (th_param_get(p, &v) != TH_OK) return;
    kept = v < 0.0f ? 0.0f : v > 4.6052f ? 4.6052f : v;
    if (kept != v) (void)th_param_set(p, &kept);
}

/* --- the graph --- */

/* An evaluation has an embedder and a loader of its own. */
static th_status find_evaluate_bytes(th_clip_fit *f) {
    if (!f->p.evaluate) return TH_OK;
    int64_t side = th_clip_get_config(f->bundle->model)->image_size;
    th_clip_embedder_params e;
    th_loader_params l;
    th_loader_field image = {"images", (size_t)(side * side * 3) * sizeof(float)};
    th_clip_embedder_params_init(&e);
    th_loader_params_init(&l);
    e.batch = l.batch = f->p.evaluate_batch;
    e.threads = f->p.threads;
    l.threads = f->p.loader_threads;
    l.fields = &image;
    l.field_count = 1;
    TH_TRY(th_clip_embedder_bytes(f->bundle->model, &e, &f->evaluate_bytes));
    f->evaluate_bytes += th_loader_bytes(&l);
    return TH_OK;
}

static th_status plan_graph(th_clip_fit *f, const th_graph *g) {
    th_loader_params loader = th_fit_loader(f);
    th_plan_params p;
    TH_TRY(find_evaluate_bytes(f));
    th_plan_params_init(&p);
    p.threads = f->p.threads;
    p.compute = f->p.compute;
    p.memory_budget = f->p.memory;
    p.trained_bytes = th_train_bytes_each(&f->p.train);
    p.runs_an_update = f->p.train.accumulate;
    p.other_bytes = th_loader_bytes(&loader) + f->evaluate_bytes;
    return th_plan_new(g, &p, &f->plan);
}

static th_status make_plan(th_clip_fit *f) {
    const th_clip *m = f->bundle->model;
    int64_t n = f->batch, images = th_fit_image_rows(f), texts = th_fit_text_rows(f), at = n;
    th_graph *g = th_graph_new();
    if (!g) return th_fail_memory();
    /* All texts go through the tower together, and all images: larger products, and one set of weights to read. */
    th_clip_rows rows = th_clip_record_towers(g, m, images, texts, f->tokens);
    th_tensor *i = rows.images, *t = rows.texts;
    th_clip_batch b = {
        .g = g, .model = m, .options = f->p.options, .batch = n, .subset = f->subset, .negatives = f->negatives};
    b.images = th_slice(g, i, 0, 0, n);
    b.texts = th_slice(g, t, 0, 0, n);
    if (f->views) {
        b.image_views = th_slice(g, i, 0, n, 2 * n);
        b.text_views = th_slice(g, t, 0, n, 2 * n);
        at = 2 * n;
    }
    if (f->subset) {
        b.positive_texts = th_slice(g, t, 0, at, at + f->subset);
        b.negative_texts = th_slice(g, t, 0, at + f->subset, texts);
        b.negative_mask = th_input(g, "mask", TH_DESC(TH_F32, f->subset, f->negatives));
    }
    b.scale = th_clip_scale(g, m);
    th_clip_record_training(g, m, f->method->loss(&b));
    memcpy(f->logged, b.logged, sizeof b.logged);
    th_status s = plan_graph(f, g);
    th_graph_free(g);
    return s;
}

/* --- setting up --- */

/* Samples with at least one true and one false sub-text; all of them while there are no sub-texts. */
static th_status find_eligible(const th_clip_fit *f, int64_t **out, int64_t *count) {
    int64_t n = th_dataset_count(f->pairs);
    if (f->p.subtexts && th_subtexts_captions(f->p.subtexts) != n)
        return th_fail(TH_E_BUG, "sub-texts of %lld captions for %lld samples",
                       (long long)th_subtexts_captions(f->p.subtexts), (long long)n);
    *count = 0;
    *out = th_alloc((size_t)n, sizeof **out);
    if (!*out) return th_fail_memory();
    for (int64_t i = 0; i < n; i++)
        if (!f->p.subtexts || th_fit_has_subtexts(f, i)) (*out)[(*count)++] = i;
    return *count ? TH_OK : th_fail(TH_E_INPUT, "no caption has both a true and a false sub-text");
}

static th_status make_order(th_clip_fit *f) {
    th_order_params p;
    int64_t *eligible = NULL;
    th_status s = TH_OK;
    th_order_params_init(&p, th_dataset_count(f->pairs), f->batch, f->p.train.seed);
    if (f->method->needs & TH_NEEDS_SUBTEXTS) {
        double share = th_get_f64(f->p.options, f->method->subset_option);
        f->negatives = th_get_i64(f->p.options, f->method->negatives_option);
        f->subset = (int64_t)(share * (double)f->batch + 0.5);
        if (f->subset < 1) f->subset = 1;
        s = find_eligible(f, &eligible, &p.eligible_count);
        p.eligible = eligible;
        p.drawn_per_batch = f->subset;
    }
    if (s == TH_OK) s = th_order_new(&p, &f->order);
    th_free(eligible);
    return s;
}

static th_status set_up(th_clip_fit *f, const th_watch *w) {
    char room[TH_DATASET_ROOM];
    if (!th_dataset_caption(f->pairs, 0, NULL, room))
        return th_fail(TH_E_INPUT, "the data set has no captions, and training on pairs needs them");
    f->views = f->method->needs & TH_NEEDS_VIEWS;
    TH_TRY(make_order(f));
    th_train_params *t = &f->p.train;
    int64_t micro = t->accumulate > 0 ? t->accumulate : 1;
    t->accumulate = micro;
    if (t->steps <= 0) t->steps = (int64_t)(f->p.epochs * (double)th_order_steps(f->order) / (double)micro + 0.5);
    if (t->steps < 1) t->steps = 1;
    if (t->schedule.warmup > t->steps / 2) t->schedule.warmup = t->steps / 2;
    if (f->views) {
        th_eda_params eda;
        th_eda_params_init(&eda);
        TH_TRY(th_eda_open(&eda, &f->eda));
    }
    TH_TRY(th_fit_find_tokens(f, w));
    th_fit_name_fields(f);
    TH_TRY(make_plan(f));
    t->threads = th_plan_threads(f->plan);
    t->compute = f->p.compute;
    for (int i = 0; i < (f->p.loader_threads > 0 ? f->p.loader_threads : 1); i++)
        TH_TRY(th_fit_bench_new(f, &f->benches[i]));
    return TH_OK;
}

th_status th_clip_fit_new(th_clip_bundle *b, const th_clip_method *m, th_dataset *pairs, const th_clip_fit_params *p,
                          const th_watch *w, th_clip_fit **out) {
    th_clip_fit *f = th_alloc(1, sizeof *f);
    if (!f) return th_fail_memory();
    f->bundle = b;
    b->cleaning = p->cleaning;
    f->method = m;
    f->pairs = pairs;
    f->p = *p;
    f->batch = p->batch;
    if (f->p.loader_threads > TH_LOADER_THREADS_MAX) f->p.loader_threads = TH_LOADER_THREADS_MAX;
    th_status s = set_up(f, w);
    if (s != TH_OK) return th_clip_fit_free(f), s;
    *out = f;
    return TH_OK;
}

void th_clip_fit_free(th_clip_fit *f) {
    if (!f) return;
    th_loader_free(f->loader);
    for (int i = 0; i < TH_LOADER_THREADS_MAX; i++) th_fit_bench_free(&f->benches[i]);
    th_plan_free(f->plan);
    th_order_free(f->order);
    th_eda_close(f->eda);
    th_free(f);
}

static th_train_task task_of(th_clip_fit *f) {
    return (th_train_task){
        .params = th_clip_params(f->bundle->model),
        .plan = f->plan,
        .decays = decays,
        .logged = f->logged,
        .feed = th_fit_feed,
        .after_step = after_step,
        .evaluate = f->p.evaluate,
        .user = f,
    };
}

void th_clip_fit_get_cost(const th_clip_fit *f, th_clip_fit_cost *out) {
    int64_t parts = f->p.train.accumulate;
    *out = (th_clip_fit_cost){
        .steps = f->p.train.steps,
        .steps_an_epoch = (th_order_steps(f->order) + parts - 1) / parts,
        .batches_a_step = parts,
        .pairs_a_step = parts * f->batch,
        .text_tokens = f->tokens,
    };
    th_plan_get_cost(f->plan, &out->step);
    out->bytes = out->step.bytes;
}

/* The trainer's user is the fit; the caller's evaluation has its own. */
static th_status evaluate(void *user, int64_t step, th_metric *metrics, int max, int *count) {
    th_clip_fit *f = user;
    return f->p.evaluate(f->p.user, step, metrics, max, count);
}

void th_clip_fit_set_run(th_clip_fit *f, th_run_folder *run) { f->p.train.run = run; }

th_status th_clip_fit_run(th_clip_fit *f, const th_watch *w, th_train_result *result) {
    if (f->method->needs & TH_NEEDS_SUBTEXTS && !f->p.subtexts)
        return th_fail(TH_E_BUG, "%s: needs sub-texts", f->method->name);
    th_train_task t = task_of(f);
    th_loader_params loader = th_fit_loader(f);
    loader.watch = w;
    if (f->p.evaluate) t.evaluate = evaluate;
    TH_TRY(th_loader_new(&loader, &f->loader));
    th_status s = th_train(&t, &f->p.train, w, result);
    th_loader_free(f->loader);
    f->loader = NULL;
    return s;
}
