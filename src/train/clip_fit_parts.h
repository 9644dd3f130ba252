/* Inside of the fit of CLIP: what its set-up and run (clip_fit.c), its batches (clip_fit_batches.c) and the lengths of
 * its texts (clip_fit_texts.c) share. */
#ifndef TH_TRAIN_CLIP_FIT_PARTS_H
#define TH_TRAIN_CLIP_FIT_PARTS_H

#include "data/augment.h"
#include "data/eda.h"
#include "data/loader.h"
#include "data/order.h"
#include "train/clip_fit.h"

/* The fields of a row of a batch. */
enum {
    TH_FIT_IMAGE,
    TH_FIT_VIEW,
    TH_FIT_IDS,
    TH_FIT_VIEW_IDS,
    TH_FIT_POSITIVE_IDS,
    TH_FIT_NEGATIVE_IDS,
    TH_FIT_MASK,
    TH_FIT_FIELDS
};

/* What one thread of the loader needs. */
typedef struct {
    th_dataset_reader *reader;
    th_preprocessor *preprocessor;
    th_augmenter *augmenter;
    th_resizer *resizer;
    th_tokenizer_work *words;
    th_image read, image, view;
    th_str text;
} th_fit_bench;

struct th_clip_fit {
    th_clip_bundle *bundle;
    const th_clip_method *method;
    th_dataset *pairs;
    th_clip_fit_params p;
    int64_t batch, tokens, subset, negatives; /* subset and negatives 0 where there are no sub-texts */
    size_t evaluate_bytes;
    bool views;
    th_plan *plan;
    const char *logged[TH_CLIP_MAX_LOGGED + 1];
    th_order *order;
    th_eda *eda;
    th_fit_bench benches[TH_LOADER_THREADS_MAX];
    th_loader_field fields[TH_FIT_FIELDS];
    int place[TH_FIT_FIELDS]; /* of each field among the loader's; −1: not needed */
    int n_fields;
    th_loader *loader;
};

/* Rows of the plan's inputs: the batch's, those of its views, those of its sub-texts. */
static inline int64_t th_fit_image_rows(const th_clip_fit *f) { return f->batch * (f->views ? 2 : 1); }
static inline int64_t th_fit_text_rows(const th_clip_fit *f) {
    return th_fit_image_rows(f) + f->subset * (1 + f->negatives);
}

th_status th_fit_bench_new(const th_clip_fit *f, th_fit_bench *b);
void th_fit_bench_free(th_fit_bench *b); /* one that was not made is allowed */
/* The fields of a row, once the length of texts is known. */
void th_fit_name_fields(th_clip_fit *f);
th_loader_params th_fit_loader(const th_clip_fit *f);
/* A th_train_task's feed; user is the fit. */
th_status th_fit_feed(void *user, int64_t step, th_plan *plan);
/* Whether the sample's caption has a true part and a false one. */
bool th_fit_has_subtexts(const th_clip_fit *f, int64_t sample);

/* A caption's other view in this epoch. */
th_status th_fit_view_text(const th_clip_fit *f, uint32_t epoch, int64_t sample, const char *caption, th_str *out);
/* As many tokens as the longest of all captions, views and sub-texts has; at most the model's context. */
th_status th_fit_find_tokens(th_clip_fit *f, const th_watch *w);

#endif
