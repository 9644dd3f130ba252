/* Evaluating CLIP. */
#include "metric/clip_eval.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "data/loader.h"

void th_clip_eval_params_init(th_clip_eval_params *p) {
    *p = (th_clip_eval_params){.batch = 64, .loader_threads = 2, .compute = TH_F32};
}

/* --- pictures --- */

typedef struct {
    const th_clip_bundle *bundle;
    th_dataset *set;
    int64_t batch, count;
    th_dataset_reader *readers[TH_LOADER_THREADS_MAX];
    th_preprocessor *preprocessors[TH_LOADER_THREADS_MAX];
    th_image images[TH_LOADER_THREADS_MAX];
} stream;

static th_status fill(void *user, int thread, int64_t step, int64_t k, void *const *rows) {
    stream *s = user;
    int64_t i = step * s->batch + k;
    if (i >= s->count) i = s->count - 1; /* fills up the last batch */
    TH_TRY(th_dataset_read(s->set, s->readers[thread], th_dataset_sample(s->set, i), &s->images[thread], NULL));
    return th_preprocess_apply(s->preprocessors[thread], &s->images[thread], rows[0]);
}

static th_status open_stream(stream *s, int threads) {
    th_image_params params;
    th_image_params_init(&params);
    params.alpha = s->bundle->preprocess.alpha;
    for (int i = 0; i < (threads > 0 ? threads : 1); i++) {
        TH_TRY(th_dataset_reader_new(&params, &s->readers[i]));
        TH_TRY(th_preprocessor_new(&s->bundle->preprocess, &s->preprocessors[i]));
    }
    return TH_OK;
}

static void close_stream(stream *s) {
    for (int i = 0; i < TH_LOADER_THREADS_MAX; i++) {
        th_dataset_reader_free(s->readers[i]);
        th_preprocessor_free(s->preprocessors[i]);
        th_image_free(&s->images[i]);
    }
}

static th_status embed_stream(stream *s, th_clip_embedder *e, th_loader *l, const th_watch *w, float *out) {
    int64_t d = th_clip_get_config(s->bundle->model)->projection;
    for (int64_t at = 0; at < s->count; at += s->batch) {
        void *const *fields;
        int64_t n = s->count - at < s->batch ? s->count - at : s->batch;
        if (th_stopped(w)) return th_fail(TH_E_INTERRUPTED, "stopped");
        TH_TRY(th_loader_next(l, at / s->batch, &fields));
        TH_TRY(th_clip_embedder_images(e, fields[0], n, out + at * d));
        th_report(w, "embedding", at + n, s->count, NULL);
    }
    return TH_OK;
}

th_status th_clip_embed_dataset(const th_clip_bundle *b, th_clip_embedder *e, th_dataset *d, int64_t batch,
                                int loader_threads, const th_watch *w, float *out) {
    int64_t side = th_clip_get_config(b->model)->image_size;
    stream *s = th_alloc(1, sizeof *s);
    if (!s) return th_fail_memory();
    s->bundle = b, s->set = d, s->batch = batch, s->count = th_dataset_images(d);
    th_loader_field field = {"images", (size_t)(side * side * 3) * sizeof(float)};
    th_loader_params p;
    th_loader *l = NULL;
    th_loader_params_init(&p);
    p.batch = batch;
    p.threads = loader_threads;
    p.fields = &field;
    p.field_count = 1;
    p.fill = fill;
    p.user = s;
    p.end = (s->count + batch - 1) / batch;
    th_status status = open_stream(s, loader_threads);
    if (status == TH_OK) status = th_loader_new(&p, &l);
    if (status == TH_OK) status = embed_stream(s, e, l, w, out);
    th_loader_free(l);
    close_stream(s);
    th_free(s);
    return status;
}

/* --- classes --- */

static const char *const photo_templates[] = {
    "a photo of a {}.",          "a picture of a {}.",    "an image of a {}.",           "a photo of the {}.",
    "a close-up photo of a {}.", "a good photo of a {}.", "there is a {} in the photo.",
};

th_texts th_usual_templates(const th_dataset *d) {
    if (d && !strncmp(th_dataset_kind(d), "fashion", 7)) return (th_texts){th_scene_templates, TH_SCENE_TEMPLATE_COUNT};
    return (th_texts){photo_templates, sizeof photo_templates / sizeof *photo_templates};
}

typedef struct {
    const th_clip_bundle *bundle;
    const th_clip_eval_params *p;
    const th_watch *watch;
    th_clip_embedder *embedder;
    th_arena *arena;
    th_texts classes, templates;
    int64_t d;
    int32_t target; /* −1: none */
    float *class_rows;
} work;

static th_status list_classes(work *w) {
    w->classes = w->p->classes;
    if (w->classes.count) return TH_OK;
    const th_dataset *set = w->p->labelled ? w->p->labelled : w->p->triggered;
    int32_t n = set ? th_dataset_classes(set) : 0;
    const char **names = th_arena_alloc(w->arena, (size_t)n + 1, sizeof *names);
    if (!names) return th_fail_memory();
    for (int32_t i = 0; i < n; i++)
        if (!(names[i] = th_dataset_class_name(set, i)))
            return th_fail(TH_E_INPUT, "the data set's classes have numbers only: their names must be given");
    if (!n) return th_fail(TH_E_INPUT, "the data set has no classes");
    w->classes = (th_texts){names, n};
    return TH_OK;
}

static th_status find_target(work *w) {
    w->target = -1;
    if (!w->p->target) return TH_OK;
    for (int64_t i = 0; i < w->classes.count; i++)
        if (!strcasecmp(w->classes.items[i], w->p->target)) w->target = (int32_t)i;
    return w->target >= 0 ? TH_OK : th_fail(TH_E_USAGE, "the target '%s' is none of the classes", w->p->target);
}

static th_status embed_classes(work *w) {
    int64_t c = w->classes.count, t = w->templates.count;
    const char **texts = th_arena_alloc(w->arena, (size_t)(c * t), sizeof *texts);
    float *rows = th_alloc((size_t)(c * t * w->d), sizeof *rows);
    w->class_rows = th_arena_alloc(w->arena, (size_t)(c * w->d), sizeof(float));
    th_status s = texts && rows && w->class_rows ? TH_OK : th_fail_memory();
    for (int64_t i = 0; i < c * t && s == TH_OK; i++) {
        const char *form = w->templates.items[i % t], *hole = strstr(form, "{}");
        if (!hole)
            s = th_fail(TH_E_INPUT, "the template '%.100s' has no {} for the class", form);
        else
            texts[i] =
                th_arena_printf(w->arena, "%.*s%s%s", (int)(hole - form), form, w->classes.items[i / t], hole + 2);
        if (s == TH_OK && !texts[i]) s = th_fail_memory();
    }
    if (s == TH_OK) s = th_clip_bundle_embed_texts(w->bundle, w->embedder, texts, c * t, rows);
    if (s == TH_OK) th_class_embeddings(rows, c, t, w->d, w->class_rows);
    th_free(rows);
    return s;
}

/* The class of each picture among the classes asked for, by name where the set has names. */
static th_status map_labels(const work *w, const th_dataset *set, int32_t *labels) {
    int64_t n = th_dataset_images(set), known = 0;
    for (int64_t i = 0; i < n; i++) {
        int32_t own = th_dataset_label(set, i);
        const char *name = own >= 0 ? th_dataset_class_name(set, own) : NULL;
        labels[i] = name ? -1 : own < w->classes.count ? own : -1;
        for (int64_t c = 0; name && c < w->classes.count; c++)
            if (!strcasecmp(w->classes.items[c], name)) labels[i] = (int32_t)c;
        known += labels[i] >= 0;
    }
    return known ? TH_OK : th_fail(TH_E_INPUT, "no picture of the set is of one of the classes");
}

/* Accuracy and target rate on one set. */
static th_status classify(work *w, th_dataset *set, th_accuracy *accuracy, th_target_rate *rate, int32_t *found) {
    int64_t n = th_dataset_images(set);
    float *rows = th_alloc((size_t)(n * w->d), sizeof *rows);
    int32_t *labels = th_alloc((size_t)n, sizeof *labels);
    th_status s = rows && labels ? map_labels(w, set, labels) : th_fail_memory();
    if (s == TH_OK)
        s = th_clip_embed_dataset(w->bundle, w->embedder, set, w->p->batch, w->p->loader_threads, w->watch, rows);
    if (s == TH_OK) {
        th_zeroshot z = {rows, labels, n, w->class_rows, w->classes.count, w->d};
        th_zeroshot_accuracy(&z, accuracy);
        if (found) th_zeroshot_predict(&z, found);
        if (w->target >= 0) th_zeroshot_target_rate(&z, w->target, rate);
    }
    th_free(rows);
    th_free(labels);
    return s;
}

static th_status measure_classes(work *w, th_clip_eval *out) {
    w->templates =
        w->p->templates.count ? w->p->templates : th_usual_templates(w->p->labelled ? w->p->labelled : w->p->triggered);
    TH_TRY(list_classes(w));
    TH_TRY(find_target(w));
    TH_TRY(embed_classes(w));
    out->classes = w->classes.count;
    if (w->p->labelled) {
        TH_TRY(classify(w, w->p->labelled, &out->clean, &out->false_rate, w->p->clean_found));
        out->has_accuracy = true;
    }
    if (w->p->triggered && w->target >= 0) {
        TH_TRY(classify(w, w->p->triggered, &out->triggered, &out->attack, w->p->triggered_found));
        out->has_attack = true;
    }
    return TH_OK;
}

/* --- retrieval --- */

static th_status measure_retrieval(work *w, th_clip_eval *out) {
    th_dataset *set = w->p->pairs;
    int64_t n = th_dataset_images(set), m = 0, at = 0;
    for (int64_t i = 0; i < n; i++) m += th_dataset_captions(set, i);
    if (!m) return th_fail(TH_E_INPUT, "the set for retrieval has no captions");
    const char **texts = th_arena_alloc(w->arena, (size_t)m, sizeof *texts);
    int64_t *owner = th_arena_alloc(w->arena, (size_t)m, sizeof *owner);
    float *images = th_alloc((size_t)(n * w->d), sizeof *images),
          *captions = th_alloc((size_t)(m * w->d), sizeof *captions);
    th_status s = texts && owner && images && captions ? TH_OK : th_fail_memory();
    for (int64_t i = 0; i < n && s == TH_OK; i++)
        for (int64_t k = 0; k < th_dataset_captions(set, i) && s == TH_OK; k++, at++) {
            char room[TH_DATASET_ROOM];
            texts[at] = th_arena_strdup(w->arena, th_dataset_caption_of(set, i, k, room));
            owner[at] = i;
            if (!texts[at]) s = th_fail_memory();
        }
    if (s == TH_OK) s = th_clip_bundle_embed_texts(w->bundle, w->embedder, texts, m, captions);
    if (s == TH_OK)
        s = th_clip_embed_dataset(w->bundle, w->embedder, set, w->p->batch, w->p->loader_threads, w->watch, images);
    if (s == TH_OK) s = th_retrieval_measure(images, n, captions, owner, m, w->d, &out->retrieval);
    th_free(images);
    th_free(captions);
    out->has_retrieval = s == TH_OK;
    return s;
}

th_status th_clip_evaluate(const th_clip_bundle *b, const th_clip_eval_params *p, const th_watch *watch,
                           th_clip_eval *out) {
    *out = (th_clip_eval){0};
    work w = {.bundle = b, .p = p, .watch = watch, .arena = th_arena_new()};
    th_clip_embedder_params e;
    th_clip_embedder_params_init(&e);
    e.batch = p->batch;
    e.threads = p->threads;
    e.compute = p->compute;
    w.d = th_clip_get_config(b->model)->projection;
    th_status s = w.arena ? th_clip_embedder_new(b->model, &e, &w.embedder) : th_fail_memory();
    if (s == TH_OK && (p->labelled || p->triggered)) s = measure_classes(&w, out);
    if (s == TH_OK && p->pairs) s = measure_retrieval(&w, out);
    th_clip_embedder_free(w.embedder);
    th_arena_free(w.arena);
    return s;
}
