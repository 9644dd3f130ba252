/* Fitting CLIP. */
#include "train/clip_fit.h"

#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "data/augment.h"
#include "data/eda.h"
#include "data/loader.h"
#include "data/order.h"
#include "graph/graph.h"

/* The fields of a row of a batch. */
enum { IMAGE, VIEW, IDS, VIEW_IDS, POSITIVE_IDS, NEGATIVE_IDS, MASK, FIELDS };

/* What one thread of the loader needs. */
typedef struct {
    th_dataset_reader *reader;
    th_preprocessor *preprocessor;
    th_augmenter *augmenter;
    th_resizer *resizer;
    th_tokenizer_work *words;
    th_image read, image, view;
    th_str text;
} bench;

struct th_clip_fit {
    th_clip_bundle *bundle;
    const th_clip_method *method;
    th_dataset *pairs;
    th_clip_fit_params p;
    int64_t batch, tokens, subset, negatives; /* subset and negatives 0 where there are no sub-texts */
    bool views;
    th_plan *plan;
    const char *logged[TH_CLIP_MAX_LOGGED + 1];
    th_order *order;
    th_eda *eda;
    bench benches[TH_LOADER_THREADS_MAX];
    th_loader_field fields[FIELDS];
    int place[FIELDS]; /* of each field among the loader's; −1: not needed */
    int n_fields;
    th_loader *loader;
};

#define MASKED (-1e9f)

void th_clip_fit_params_init(th_clip_fit_params *p) {
    *p = (th_clip_fit_params){.epochs = 1, .batch = 64, .loader_threads = 2, .compute = TH_F32, .crop = 1};
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

static int64_t image_rows(const th_clip_fit *f) { return f->batch * (f->views ? 2 : 1); }
static int64_t text_rows(const th_clip_fit *f) { return image_rows(f) + f->subset * (1 + f->negatives); }

static th_status make_plan(th_clip_fit *f) {
    const th_clip *m = f->bundle->model;
    int64_t side = th_clip_get_config(m)->image_size, n = f->batch, images = image_rows(f), texts = text_rows(f),
            at = n;
    th_graph *g = th_graph_new();
    if (!g) return th_fail_memory();
    /* All texts go through the tower together, and all images: larger products, and one set of weights to read. */
    th_tensor *ids = th_input(g, "ids", TH_DESC(TH_I32, texts, f->tokens));
    th_tensor *i = th_clip_embed_images(g, m, th_input(g, "images", TH_DESC(TH_F32, images, side, side, 3)));
    th_tensor *t = th_clip_embed_texts(g, m, ids, th_input(g, "ends", TH_DESC(TH_I32, texts)));
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
    th_tensor *loss = f->method->loss(&b);
    memcpy(f->logged, b.logged, sizeof b.logged);
    th_output(g, "loss", loss);
    th_grad_params(g, loss, th_clip_params(m));
    th_plan_params params;
    th_plan_params_init(&params);
    params.threads = f->p.threads;
    params.compute = f->p.compute;
    th_status s = th_plan_new(g, &params, &f->plan);
    if (s == TH_OK && f->p.memory) {
        th_clip_fit_cost cost;
        th_clip_fit_get_cost(f, &cost);
        size_t fixed = cost.bytes - cost.step.tensor_bytes;
        if (cost.bytes > f->p.memory) {
            th_plan_free(f->plan);
            f->plan = NULL;
            if (fixed >= f->p.memory)
                s = th_fail(TH_E_MEMORY, "training needs %zu MiB beside its activations, --memory gives %zu MiB",
                            fixed >> 20, f->p.memory >> 20);
            else
                params.memory_budget = f->p.memory - fixed, s = th_plan_new(g, &params, &f->plan);
        }
    }
    th_graph_free(g);
    return s;
}

/* --- batches --- */

static void bench_free(bench *b) {
    th_dataset_reader_free(b->reader);
    th_preprocessor_free(b->preprocessor);
    th_augmenter_free(b->augmenter);
    th_resizer_free(b->resizer);
    th_tokenizer_work_free(b->words);
    th_image_free(&b->read);
    th_image_free(&b->image);
    th_image_free(&b->view);
    th_str_free(&b->text);
}

static th_status bench_new(const th_clip_fit *f, bench *b) {
    th_image_params params;
    th_image_params_init(&params);
    params.alpha = f->bundle->preprocess.alpha;
    th_str_init(&b->text, 1 << 20);
    TH_TRY(th_dataset_reader_new(&params, &b->reader));
    TH_TRY(th_preprocessor_new(&f->bundle->preprocess, &b->preprocessor));
    TH_TRY(th_augmenter_new(&b->augmenter));
    TH_TRY(th_resizer_new(&b->resizer));
    TH_TRY(th_tokenizer_work_new(f->bundle->tokenizer, &b->words));
    th_tokenizer_work_clean(b->words, f->bundle->cleaning);
    return TH_OK;
}

static th_status encode(const th_clip_fit *f, bench *b, const char *text, void *ids) {
    return th_tokenizer_encode(b->words, text, strlen(text), f->tokens, ids, NULL);
}

static th_status fill_images(th_clip_fit *f, bench *b, uint32_t epoch, int64_t sample, void *const *rows) {
    TH_TRY(th_preprocess_u8(b->preprocessor, &b->read, &b->image));
    if (f->p.crop < 1) {
        th_rng r = th_rng_at(f->p.train.seed, TH_RNG_AUGMENT, 2 * epoch + 1, (uint64_t)sample);
        th_random_crop_params crop;
        th_random_crop_params_init(&crop, b->image.width, b->image.height);
        crop.scale_min = f->p.crop;
        crop.filter = TH_RESIZE_BICUBIC;
        TH_TRY(th_random_crop(b->augmenter, b->resizer, &b->image, &crop, &r));
    }
    th_preprocess_normalise(b->preprocessor, &b->image, rows[f->place[IMAGE]]);
    if (!f->views) return TH_OK;
    th_rng r = th_rng_at(f->p.train.seed, TH_RNG_AUGMENT, 2 * epoch, (uint64_t)sample);
    TH_TRY(th_image_new(&b->view, b->image.width, b->image.height));
    memcpy(b->view.pixels, b->image.pixels, th_image_bytes(&b->image));
    TH_TRY(th_autoaugment_apply(b->augmenter, &b->view, &r));
    th_preprocess_normalise(b->preprocessor, &b->view, rows[f->place[VIEW]]);
    return TH_OK;
}

static th_status fill_texts(th_clip_fit *f, bench *b, uint32_t epoch, int64_t sample, const char *caption,
                            void *const *rows) {
    TH_TRY(encode(f, b, caption, rows[f->place[IDS]]));
    if (!f->views) return TH_OK;
    th_rng r = th_rng_at(f->p.train.seed, TH_RNG_TEXT, epoch, (uint64_t)sample);
    TH_TRY(th_eda_apply(f->eda, caption, &r, &b->text));
    return encode(f, b, th_str_text(&b->text), rows[f->place[VIEW_IDS]]);
}

/* Whether the caption has a true part and a false one. */
static bool has_subtexts(const th_clip_fit *f, int64_t sample) {
    int count;
    const th_subtext *all = th_subtexts_of(f->p.subtexts, sample, &count); /* true ones first */
    return count > 1 && !all[0].negative && all[count - 1].negative;
}

/* Where bad pictures are passed over, another sample comes in their place; in rows that need sub-texts, the next one
 * that has some. */
static th_status read_sample(const th_clip_fit *f, bench *b, bool with_subtexts, int64_t *sample) {
    int64_t n = th_dataset_count(f->pairs), at = *sample;
    for (int64_t passed = 0; passed < n;) {
        TH_TRY(th_dataset_read(f->pairs, b->reader, at, &b->read, sample));
        if (!with_subtexts || has_subtexts(f, *sample)) return TH_OK;
        passed += (*sample - at + n) % n;
        at = *sample;
        do {
            at = (at + 1) % n;
            passed++;
        } while (!has_subtexts(f, at)); /* there is one: see find_eligible */
    }
    return th_fail(TH_E_INPUT, "no picture whose caption has sub-texts can be read");
}

/* One of the sample's true parts and up to M of its false ones, drawn anew in each epoch. */
static th_status fill_subtexts(th_clip_fit *f, bench *b, uint32_t epoch, int64_t sample, void *const *rows) {
    int count, positives = 0;
    const th_subtext *all = th_subtexts_of(f->p.subtexts, sample, &count);
    while (positives < count && !all[positives].negative) positives++;
    int negatives = count - positives;
    th_rng r = th_rng_at(f->p.train.seed, TH_RNG_SUBTEXT, epoch + 1, (uint64_t)sample);
    TH_TRY(encode(f, b, all[th_rng_below(&r, (uint32_t)positives)].text, rows[f->place[POSITIVE_IDS]]));
    int32_t *ids = rows[f->place[NEGATIVE_IDS]];
    float *mask = rows[f->place[MASK]];
    int start = (int)th_rng_below(&r, (uint32_t)negatives); /* consecutive ones from a random place: all different */
    for (int64_t m = 0; m < f->negatives; m++) {
        const th_subtext *s = &all[positives + (start + (int)m) % negatives];
        TH_TRY(encode(f, b, s->text, ids + m * f->tokens));
        mask[m] = m < negatives ? 0.0f : MASKED;
    }
    return TH_OK;
}

static th_status fill(void *user, int thread, int64_t step, int64_t k, void *const *rows) {
    th_clip_fit *f = user;
    bench *b = &f->benches[thread];
    int64_t sample, epoch = th_order_epoch(f->order, step);
    char room[TH_DATASET_ROOM];
    TH_TRY(th_order_at(f->order, step, k, &sample));
    TH_TRY(read_sample(f, b, k < f->subset, &sample));
    th_moment when = {(uint32_t)epoch, (float)step / (float)(f->p.train.steps * f->p.train.accumulate)};
    const char *caption = th_dataset_caption(f->pairs, sample, &when, room);
    TH_TRY(fill_images(f, b, (uint32_t)epoch, sample, rows));
    TH_TRY(fill_texts(f, b, (uint32_t)epoch, sample, caption, rows));
    return k < f->subset ? fill_subtexts(f, b, (uint32_t)epoch, sample, rows) : TH_OK;
}

static void name_fields(th_clip_fit *f) {
    size_t side = (size_t)th_clip_get_config(f->bundle->model)->image_size;
    size_t image = side * side * 3 * sizeof(float), ids = (size_t)f->tokens * sizeof(int32_t), m = (size_t)f->negatives;
    const struct {
        const char *name;
        size_t bytes;
        bool wanted;
    } all[FIELDS] = {
        {"images", image, true},
        {"image views", image, f->views},
        {"texts", ids, true},
        {"text views", ids, f->views},
        {"true sub-texts", ids, f->subset > 0},
        {"false sub-texts", ids * m, f->subset > 0},
        {"mask", m * sizeof(float), f->subset > 0},
    };
    for (int i = 0; i < FIELDS; i++) {
        f->place[i] = all[i].wanted ? f->n_fields : -1;
        if (all[i].wanted) f->fields[f->n_fields++] = (th_loader_field){all[i].name, all[i].bytes};
    }
}

static th_loader_params loader_params(const th_clip_fit *f) {
    th_loader_params p;
    th_loader_params_init(&p);
    p.batch = f->batch;
    p.threads = f->p.loader_threads;
    p.fields = f->fields;
    p.field_count = f->n_fields;
    p.fill = fill;
    p.user = (void *)f;
    p.end = f->p.train.steps * f->p.train.accumulate;
    return p;
}

/* Rows of a field to the plan's input, from this row of it on. */
static char *put(th_clip_fit *f, void *const *fields, int field, int64_t rows, char *to) {
    if (f->place[field] < 0) return to;
    size_t bytes = (size_t)rows * f->fields[f->place[field]].bytes_per_sample;
    memcpy(to, fields[f->place[field]], bytes);
    return to + bytes;
}

static th_status feed(void *user, int64_t step, th_plan *plan) {
    th_clip_fit *f = user;
    void *const *fields;
    TH_TRY(th_loader_next(f->loader, step, &fields));
    char *images = th_plan_input(plan, "images"), *ids = th_plan_input(plan, "ids"),
         *mask = th_plan_input(plan, "mask");
    put(f, fields, VIEW, f->batch, put(f, fields, IMAGE, f->batch, images));
    char *after_views = put(f, fields, VIEW_IDS, f->batch, put(f, fields, IDS, f->batch, ids));
    put(f, fields, NEGATIVE_IDS, f->subset, put(f, fields, POSITIVE_IDS, f->subset, after_views));
    put(f, fields, MASK, f->subset, mask);
    int32_t *ends = th_plan_input(plan, "ends");
    const th_clip_config *c = th_clip_get_config(f->bundle->model);
    for (int64_t i = 0; i < text_rows(f); i++)
        ends[i] = (int32_t)(i * f->tokens + th_clip_find_end(c, (const int32_t *)ids + i * f->tokens, f->tokens));
    return TH_OK;
}

/* --- setting up --- */

/* Tokens of the longest caption, a few more for what EDA inserts; at most the model's context. */
static th_status find_tokens(th_clip_fit *f, const th_watch *w) {
    int64_t context = th_clip_get_config(f->bundle->model)->context, longest = 0, n = th_dataset_count(f->pairs);
    f->tokens = f->p.text_tokens > 0 && f->p.text_tokens < context ? f->p.text_tokens : context;
    if (f->p.text_tokens > 0) return TH_OK;
    th_tokenizer_work *work = NULL;
    TH_TRY(th_tokenizer_work_new(f->bundle->tokenizer, &work));
    th_tokenizer_work_clean(work, f->bundle->cleaning);
    th_status s = TH_OK;
    for (int64_t i = 0; i < n && s == TH_OK && longest < context; i++) {
        char room[TH_DATASET_ROOM];
        const char *caption = th_dataset_caption(f->pairs, i, NULL, room);
        const int32_t *ids;
        int64_t count = 0;
        if (caption) s = th_tokenizer_ids(work, caption, strlen(caption), true, &ids, &count);
        if (count > longest) longest = count;
        if (i % 1024 == 0) th_report(w, "reading captions", i, n, NULL);
        if (i % 1024 == 0 && th_stopped(w)) s = th_fail(TH_E_INTERRUPTED, "stopped");
    }
    th_tokenizer_work_free(work);
    longest += f->views ? 4 : 0;
    if (longest < f->tokens) f->tokens = longest;
    return s;
}

/* Samples with at least one true and one false sub-text. */
static th_status find_eligible(const th_clip_fit *f, int64_t **out, int64_t *count) {
    int64_t n = th_dataset_count(f->pairs);
    if (th_subtexts_captions(f->p.subtexts) != n)
        return th_fail(TH_E_BUG, "sub-texts of %lld captions for %lld samples",
                       (long long)th_subtexts_captions(f->p.subtexts), (long long)n);
    *count = 0;
    *out = th_alloc((size_t)n, sizeof **out);
    if (!*out) return th_fail_memory();
    for (int64_t i = 0; i < n; i++)
        if (has_subtexts(f, i)) (*out)[(*count)++] = i;
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
        if (!f->p.subtexts) return th_fail(TH_E_BUG, "%s: needs sub-texts", f->method->name);
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
    TH_TRY(find_tokens(f, w));
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
    name_fields(f);
    TH_TRY(make_plan(f));
    t->threads = th_plan_threads(f->plan);
    t->compute = f->p.compute;
    for (int i = 0; i < (f->p.loader_threads > 0 ? f->p.loader_threads : 1); i++) TH_TRY(bench_new(f, &f->benches[i]));
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
    for (int i = 0; i < TH_LOADER_THREADS_MAX; i++) bench_free(&f->benches[i]);
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
        .feed = feed,
        .after_step = after_step,
        .evaluate = f->p.evaluate,
        .user = f,
    };
}

void th_clip_fit_get_cost(const th_clip_fit *f, th_clip_fit_cost *out) {
    *out = (th_clip_fit_cost){
        .steps = f->p.train.steps, .steps_an_epoch = th_order_steps(f->order), .text_tokens = f->tokens};
    th_plan_get_cost(f->plan, &out->step);
    th_train_task t = task_of((th_clip_fit *)f);
    th_loader_params loader = loader_params(f);
    out->bytes = out->step.tensor_bytes + out->step.scratch_bytes + out->step.param_bytes + out->step.grad_bytes +
                 th_train_bytes(&t, &f->p.train) + th_loader_bytes(&loader);
}

/* The trainer's user is the fit; the caller's evaluation has its own. */
static th_status evaluate(void *user, int64_t step, th_metric *metrics, int max, int *count) {
    th_clip_fit *f = user;
    return f->p.evaluate(f->p.user, step, metrics, max, count);
}

void th_clip_fit_set_run(th_clip_fit *f, th_run_folder *run) { f->p.train.run = run; }

th_status th_clip_fit_run(th_clip_fit *f, const th_watch *w, th_train_result *result) {
    th_train_task t = task_of(f);
    th_loader_params loader = loader_params(f);
    loader.watch = w;
    if (f->p.evaluate) t.evaluate = evaluate;
    TH_TRY(th_loader_new(&loader, &f->loader));
    th_status s = th_train(&t, &f->p.train, w, result);
    th_loader_free(f->loader);
    f->loader = NULL;
    return s;
}
