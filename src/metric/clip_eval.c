/* Evaluating CLIP. */
#include "metric/clip_eval.h"

#include <stdio.h>
#include <string.h>

#include "metric/clip_eval_parts.h"

void th_clip_eval_params_init(th_clip_eval_params *p) {
    *p = (th_clip_eval_params){.batch = 64, .loader_threads = 2, .compute = TH_F32};
}

typedef struct {
    const th_clip_bundle *bundle;
    const th_clip_eval_params *p;
    const th_watch *watch;
    th_clip_embedder *embedder;
    th_arena *arena;
    th_clip_question asked;
    int64_t d;
    float *class_rows;
} work;

static th_status embed_texts(work *w, const char *const *texts, int64_t n, float *rows) {
    TH_TRY(th_clip_bundle_embed_texts(w->bundle, w->embedder, texts, n, rows));
    int64_t bad = th_find_not_finite(rows, n, w->d);
    if (bad < 0) return TH_OK;
    return th_fail(TH_E_INPUT, "%s: the embedding of the text '%.200s' is not finite",
                   w->bundle->dir ? w->bundle->dir : "the model", texts[bad]);
}

/* Rows of a set's pictures and which of them are missing. */
static th_status embed_set(work *w, th_dataset *set, float *rows, bool *missing) {
    return th_clip_embed_dataset(w->bundle, w->embedder, set, w->p->batch, w->p->loader_threads, w->watch, rows,
                                 missing);
}

/* --- classes --- */

static th_status embed_classes(work *w) {
    int64_t c = w->asked.classes.count, t = w->asked.templates.count;
    const char **texts = th_arena_alloc(w->arena, (size_t)(c * t), sizeof *texts);
    float *rows = th_alloc((size_t)(c * t * w->d), sizeof *rows);
    w->class_rows = th_arena_alloc(w->arena, (size_t)(c * w->d), sizeof(float));
    th_status s = texts && rows && w->class_rows ? TH_OK : th_fail_memory();
    for (int64_t i = 0; i < c * t && s == TH_OK; i++) {
        const char *form = w->asked.templates.items[i % t], *hole = strstr(form, "{}");
        texts[i] =
            th_arena_printf(w->arena, "%.*s%s%s", (int)(hole - form), form, w->asked.classes.items[i / t], hole + 2);
        if (!texts[i]) s = th_fail_memory();
    }
    if (s == TH_OK) s = embed_texts(w, texts, c * t, rows);
    if (s == TH_OK) th_class_embeddings(rows, c, t, w->d, w->class_rows);
    th_free(rows);
    return s;
}

/* Accuracy and target rate on one set. */
static th_status classify(work *w, th_dataset *set, th_accuracy *accuracy, th_target_rate *rate, int32_t *found) {
    int64_t n = th_dataset_images(set);
    float *rows = th_alloc((size_t)(n * w->d), sizeof *rows);
    int32_t *labels = th_alloc((size_t)n, sizeof *labels);
    bool *missing = th_alloc((size_t)n, sizeof *missing);
    th_status s = rows && labels && missing ? TH_OK : th_fail_memory();
    if (s == TH_OK) s = th_clip_eval_labels(w->p, &w->asked, set, labels);
    if (s == TH_OK) s = embed_set(w, set, rows, missing);
    if (s == TH_OK) {
        for (int64_t i = 0; i < n; i++)
            if (missing[i]) labels[i] = -1;
        th_zeroshot z = {rows, labels, n, w->class_rows, w->asked.classes.count, w->d};
        th_zeroshot_accuracy(&z, accuracy);
        if (found) th_zeroshot_predict(&z, found);
        if (w->asked.target >= 0) th_zeroshot_target_rate(&z, w->asked.target, rate);
    }
    th_free(rows);
    th_free(labels);
    th_free(missing);
    return s;
}

static th_status measure_classes(work *w, th_clip_eval *out) {
    TH_TRY(th_clip_eval_ask(w->p, w->arena, &w->asked));
    TH_TRY(embed_classes(w));
    out->classes = w->asked.classes.count;
    if (w->p->labelled) {
        TH_TRY(classify(w, w->p->labelled, &out->clean, &out->clean_as_target, w->p->clean_found));
        out->has_accuracy = true;
    }
    if (w->p->triggered && w->asked.target >= 0) {
        TH_TRY(classify(w, w->p->triggered, &out->triggered, &out->attack, w->p->triggered_found));
        out->has_attack = true;
    }
    return TH_OK;
}

/* --- retrieval --- */

typedef struct {
    const char **texts;
    int64_t n, m, *owner;     /* pictures, captions, whose they are */
    float *images, *captions; /* their rows */
    bool *missing;            /* pictures that could not be read */
} gallery;

static th_status list_captions(work *w, gallery *g) {
    const th_dataset *set = w->p->pairs;
    int64_t at = 0;
    for (int64_t i = 0; i < g->n; i++)
        for (int64_t k = 0; k < th_dataset_captions(set, i); k++, at++) {
            char room[TH_DATASET_ROOM];
            g->texts[at] = th_arena_strdup(w->arena, th_dataset_caption_of(set, i, k, room));
            g->owner[at] = i;
            if (!g->texts[at]) return th_fail_memory();
        }
    return TH_OK;
}

/* Takes the pictures that are missing out of the rows, and their captions with them. */
static void drop_missing(gallery *g, int64_t d) {
    int64_t images = 0, captions = 0;
    for (int64_t i = 0, j = 0; i < g->n; i++) {
        for (; j < g->m && g->owner[j] == i; j++) {
            if (g->missing[i]) continue;
            memmove(g->captions + captions * d, g->captions + j * d, (size_t)d * sizeof(float));
            g->owner[captions++] = images;
        }
        if (g->missing[i]) continue;
        memmove(g->images + images * d, g->images + i * d, (size_t)d * sizeof(float));
        images++;
    }
    g->n = images;
    g->m = captions;
}

static th_status measure_retrieval(work *w, th_clip_eval *out) {
    gallery g = {.n = th_dataset_images(w->p->pairs)};
    TH_TRY(th_clip_eval_captions(w->p, &g.m));
    g.texts = th_arena_alloc(w->arena, (size_t)g.m, sizeof *g.texts);
    g.owner = th_arena_alloc(w->arena, (size_t)g.m, sizeof *g.owner);
    g.missing = th_arena_alloc(w->arena, (size_t)g.n, sizeof *g.missing);
    g.images = th_alloc((size_t)(g.n * w->d), sizeof *g.images);
    g.captions = th_alloc((size_t)(g.m * w->d), sizeof *g.captions);
    th_status s = g.texts && g.owner && g.missing && g.images && g.captions ? TH_OK : th_fail_memory();
    if (s == TH_OK) s = list_captions(w, &g);
    if (s == TH_OK) s = embed_texts(w, g.texts, g.m, g.captions);
    if (s == TH_OK) s = embed_set(w, w->p->pairs, g.images, g.missing);
    if (s == TH_OK) drop_missing(&g, w->d);
    if (s == TH_OK) s = th_retrieval_measure(g.images, g.n, g.captions, g.owner, g.m, w->d, &out->retrieval);
    th_free(g.images);
    th_free(g.captions);
    out->has_retrieval = s == TH_OK;
    return s;
}

static int64_t passed_over(th_dataset *set) { return set ? th_dataset_skipped(set, NULL) : 0; }

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
    out->passed_over = passed_over(p->labelled) + passed_over(p->triggered) + passed_over(p->pairs);
    th_clip_embedder_free(w.embedder);
    th_arena_free(w.arena);
    return s;
}
