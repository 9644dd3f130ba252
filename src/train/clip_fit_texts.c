/* How long texts get: captions, their views, sub-texts. */
#include <string.h>

#include "train/clip_fit_parts.h"

th_status th_fit_view_text(const th_clip_fit *f, uint32_t epoch, int64_t sample, const char *caption, th_str *out) {
    th_rng r = th_rng_at(f->p.train.seed, TH_RNG_TEXT, epoch, (uint64_t)sample);
    return th_eda_apply(f->eda, caption, &r, out);
}

/* The longest text of all, in tokens. */
typedef struct {
    th_tokenizer_work *words;
    th_str view;
    int64_t longest, enough; /* enough: beyond so many nothing is looked at any more */
} ruler;

static th_status measure(ruler *r, const char *text) {
    const int32_t *ids;
    int64_t count;
    TH_TRY(th_tokenizer_ids(r->words, text, strlen(text), true, &ids, &count));
    if (count > r->longest) r->longest = count;
    return TH_OK;
}

static th_status measure_sample(const th_clip_fit *f, ruler *r, uint32_t epoch, int64_t sample) {
    char room[TH_DATASET_ROOM];
    th_moment when = {epoch, 1};
    const char *caption = th_dataset_caption(f->pairs, sample, &when, room);
    if (!caption) return TH_OK;
    TH_TRY(measure(r, caption));
    if (!f->views) return TH_OK;
    TH_TRY(th_fit_view_text(f, epoch, sample, caption, &r->view));
    return measure(r, th_str_text(&r->view));
}

/* Whether an epoch may have other texts than the one before. */
static bool texts_vary(const th_clip_fit *f) {
    th_scene_info info;
    int64_t n = th_dataset_images(f->pairs);
    bool several = false; /* captions of one picture; all of them, where there are more samples than pictures */
    for (int64_t i = 0; i < n && n == th_dataset_count(f->pairs) && !several; i++)
        several = th_dataset_captions(f->pairs, i) > 1;
    return f->views || several || th_dataset_scene(f->pairs, 0, &info);
}

/* Of sets so large that every epoch would take minutes, only the first epochs are looked at. */
#define MEASURED (1 << 20)

static th_status measure_epochs(const th_clip_fit *f, ruler *r, const th_watch *w) {
    const th_train_params *t = &f->p.train;
    int64_t n = th_dataset_count(f->pairs), epochs = th_order_epoch(f->order, t->steps * t->accumulate - 1) + 1;
    if (epochs > MEASURED / n) epochs = MEASURED / n;
    if (epochs < 1 || !texts_vary(f)) epochs = 1;
    for (int64_t i = 0; i < epochs * n && r->longest < r->enough; i++) {
        TH_TRY(measure_sample(f, r, (uint32_t)(i / n), i % n));
        if (i % 1024 == 0) th_report(w, "reading captions", i, epochs * n, NULL);
        if (i % 1024 == 0 && th_stopped(w)) return th_fail(TH_E_INTERRUPTED, "stopped");
    }
    return TH_OK;
}

static th_status measure_subtexts(const th_clip_fit *f, ruler *r) {
    for (int64_t i = 0; f->p.subtexts && i < th_subtexts_captions(f->p.subtexts); i++) {
        int count;
        const th_subtext *all = th_subtexts_of(f->p.subtexts, i, &count);
        for (int k = 0; k < count && r->longest < r->enough; k++) TH_TRY(measure(r, all[k].text));
    }
    return TH_OK;
}

th_status th_fit_find_tokens(th_clip_fit *f, const th_watch *w) {
    int64_t context = th_clip_get_config(f->bundle->model)->context;
    f->tokens = f->p.text_tokens > 0 && f->p.text_tokens < context ? f->p.text_tokens : context;
    if (f->p.text_tokens > 0) return TH_OK;
    ruler r = {.enough = context};
    th_str_init(&r.view, 1 << 20);
    TH_TRY(th_tokenizer_work_new(f->bundle->tokenizer, &r.words));
    th_tokenizer_work_clean(r.words, f->bundle->cleaning);
    th_status s = measure_epochs(f, &r, w);
    if (s == TH_OK) s = measure_subtexts(f, &r);
    if (r.longest < context) f->tokens = r.longest;
    th_tokenizer_work_free(r.words);
    th_str_free(&r.view);
    return s;
}
