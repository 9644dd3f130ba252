/* Embedding data sets: pictures are read and prepared in the background while the model is at work. */
#include "metric/embed.h"

#include "base/memory.h"
#include "data/loader.h"
#include "metric/zeroshot.h"

typedef struct {
    const th_embedding *e;
    th_dataset *set;
    int64_t count;
    bool *missing;
    th_dataset_reader *readers[TH_LOADER_THREADS_MAX];
    th_preprocessor *preprocessors[TH_LOADER_THREADS_MAX];
    th_image images[TH_LOADER_THREADS_MAX];
} stream;

static th_status fill(void *user, int thread, int64_t step, int64_t k, void *const *rows) {
    stream *s = user;
    int64_t i = step * s->e->batch + k, used;
    bool real = i < s->count;
    if (!real) i = s->count - 1; /* fills up the last batch */
    int64_t sample = th_dataset_sample(s->set, i);
    TH_TRY(th_dataset_read(s->set, s->readers[thread], sample, &s->images[thread], &used));
    if (real) s->missing[i] = used != sample;
    return th_preprocess_apply(s->preprocessors[thread], &s->images[thread], rows[0]);
}

static th_status open_stream(stream *s, int threads) {
    th_image_params params;
    th_image_params_init(&params);
    params.alpha = s->e->preprocess->alpha;
    for (int i = 0; i < (threads > 0 ? threads : 1); i++) {
        TH_TRY(th_dataset_reader_new(&params, &s->readers[i]));
        TH_TRY(th_preprocessor_new(s->e->preprocess, &s->preprocessors[i]));
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

static th_status check_finite(const stream *s, const float *rows, int64_t at, int64_t n) {
    int64_t bad = th_find_not_finite(rows, n, s->e->width);
    char room[TH_DATASET_ROOM];
    if (bad < 0) return TH_OK;
    return th_fail(TH_E_INPUT, "%s: the embedding of picture '%.200s' is not finite", s->e->name,
                   th_dataset_key(s->set, at + bad, room));
}

static th_status run_batches(stream *s, th_loader *l, const th_watch *w, float *out) {
    const th_embedding *e = s->e;
    for (int64_t at = 0; at < s->count; at += e->batch) {
        void *const *fields;
        int64_t n = s->count - at < e->batch ? s->count - at : e->batch;
        if (th_stopped(w)) return th_fail(TH_E_INTERRUPTED, "stopped");
        TH_TRY(th_loader_next(l, at / e->batch, &fields));
        TH_TRY(e->run(e->model, fields[0], n, out + at * e->width));
        TH_TRY(check_finite(s, out + at * e->width, at, n));
        th_report(w, "embedding", at + n, s->count, NULL);
    }
    return TH_OK;
}

th_status th_embed_pictures(const th_embedding *e, th_dataset *d, const th_watch *w, float *out, bool *missing) {
    stream *s = th_alloc(1, sizeof *s);
    if (!s) return th_fail_memory();
    s->e = e, s->set = d, s->count = th_dataset_images(d), s->missing = missing;
    th_loader_field field = {"images", (size_t)(e->side * e->side * 3) * sizeof(float)};
    th_loader_params p;
    th_loader *l = NULL;
    th_loader_params_init(&p);
    p.batch = e->batch;
    p.threads = e->loader_threads;
    p.fields = &field;
    p.field_count = 1;
    p.fill = fill;
    p.user = s;
    p.end = (s->count + e->batch - 1) / e->batch;
    th_status status = open_stream(s, e->loader_threads);
    if (status == TH_OK) status = th_loader_new(&p, &l);
    if (status == TH_OK) status = run_batches(s, l, w, out);
    th_loader_free(l);
    close_stream(s);
    th_free(s);
    return status;
}
