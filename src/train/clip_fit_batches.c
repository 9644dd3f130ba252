/* Batches of pairs: what a row holds, how it is filled in the background, how a batch gets into the plan. */
#include <string.h>

#include "train/clip_fit_parts.h"

#define MASKED (-1e9f)

void th_fit_bench_free(th_fit_bench *b) {
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

th_status th_fit_bench_new(const th_clip_fit *f, th_fit_bench *b) {
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

static th_status encode(const th_clip_fit *f, th_fit_bench *b, const char *text, void *ids) {
    return th_tokenizer_encode(b->words, text, strlen(text), f->tokens, ids, NULL);
}

static th_status fill_images(th_clip_fit *f, th_fit_bench *b, uint32_t epoch, int64_t sample, void *const *rows) {
    TH_TRY(th_preprocess_u8(b->preprocessor, &b->read, &b->image));
    if (f->p.crop < 1) {
        th_rng r = th_rng_at(f->p.train.seed, TH_RNG_AUGMENT, 2 * epoch + 1, (uint64_t)sample);
        th_random_crop_params crop;
        th_random_crop_params_init(&crop, b->image.width, b->image.height);
        crop.scale_min = f->p.crop;
        crop.filter = TH_RESIZE_BICUBIC;
        TH_TRY(th_random_crop(b->augmenter, b->resizer, &b->image, &crop, &r));
    }
    th_preprocess_normalise(b->preprocessor, &b->image, rows[f->place[TH_FIT_IMAGE]]);
    if (!f->views) return TH_OK;
    th_rng r = th_rng_at(f->p.train.seed, TH_RNG_AUGMENT, 2 * epoch, (uint64_t)sample);
    TH_TRY(th_image_new(&b->view, b->image.width, b->image.height));
    memcpy(b->view.pixels, b->image.pixels, th_image_bytes(&b->image));
    TH_TRY(th_autoaugment_apply(b->augmenter, &b->view, &r));
    th_preprocess_normalise(b->preprocessor, &b->view, rows[f->place[TH_FIT_VIEW]]);
    return TH_OK;
}

static th_status fill_texts(th_clip_fit *f, th_fit_bench *b, uint32_t epoch, int64_t sample, const char *caption,
                            void *const *rows) {
    TH_TRY(encode(f, b, caption, rows[f->place[TH_FIT_IDS]]));
    if (!f->views) return TH_OK;
    TH_TRY(th_fit_view_text(f, epoch, sample, caption, &b->text));
    return encode(f, b, th_str_text(&b->text), rows[f->place[TH_FIT_VIEW_IDS]]);
}

bool th_fit_has_subtexts(const th_clip_fit *f, int64_t sample) {
    int count;
    const th_subtext *all = th_subtexts_of(f->p.subtexts, sample, &count); /* true ones first */
    return count > 1 && !all[0].negative && all[count - 1].negative;
}

/* Where bad pictures are passed over, another sample comes in their place; in rows that need sub-texts, the next one
 * that has some. */
static th_status read_sample(const th_clip_fit *f, th_fit_bench *b, bool with_subtexts, int64_t *sample) {
    int64_t n = th_dataset_count(f->pairs), at = *sample;
    for (int64_t passed = 0; passed < n;) {
        TH_TRY(th_dataset_read(f->pairs, b->reader, at, &b->read, sample));
        if (!with_subtexts || th_fit_has_subtexts(f, *sample)) return TH_OK;
        passed += (*sample - at + n) % n;
        at = *sample;
        do {
            at = (at + 1) % n;
            passed++;
        } while (!th_fit_has_subtexts(f, at)); /* there is one: see find_eligible */
    }
    char first[TH_MESSAGE_MAX];
    th_dataset_skipped(f->pairs, first);
    return th_fail(TH_E_INPUT, "no picture whose caption has sub-texts can be read; %.300s", first);
}

/* Whether nothing of the text is cut off. */
static th_status fits(const th_clip_fit *f, th_fit_bench *b, const char *text, bool *out) {
    const int32_t *ids;
    int64_t count;
    TH_TRY(th_tokenizer_ids(b->words, text, strlen(text), true, &ids, &count));
    *out = count <= f->tokens;
    return TH_OK;
}

/* One of the sample's true parts and up to M of its false ones, drawn anew in each epoch. A false one that does not fit
 * counts as none: without its end it might be true. */
static th_status fill_subtexts(th_clip_fit *f, th_fit_bench *b, uint32_t epoch, int64_t sample, void *const *rows) {
    int count, positives = 0;
    const th_subtext *all = th_subtexts_of(f->p.subtexts, sample, &count);
    while (positives < count && !all[positives].negative) positives++;
    int negatives = count - positives;
    th_rng r = th_rng_at(f->p.train.seed, TH_RNG_SUBTEXT, epoch + 1, (uint64_t)sample);
    TH_TRY(encode(f, b, all[th_rng_below(&r, (uint32_t)positives)].text, rows[f->place[TH_FIT_POSITIVE_IDS]]));
    int32_t *ids = rows[f->place[TH_FIT_NEGATIVE_IDS]];
    float *mask = rows[f->place[TH_FIT_MASK]];
    int start = (int)th_rng_below(&r, (uint32_t)negatives); /* consecutive ones from a random place: all different */
    for (int64_t m = 0; m < f->negatives; m++) {
        const th_subtext *s = &all[positives + (start + (int)m) % negatives];
        bool whole;
        TH_TRY(encode(f, b, s->text, ids + m * f->tokens));
        TH_TRY(fits(f, b, s->text, &whole));
        mask[m] = m < negatives && whole ? 0.0f : MASKED;
    }
    return TH_OK;
}

static th_status fill(void *user, int thread, int64_t step, int64_t k, void *const *rows) {
    th_clip_fit *f = user;
    th_fit_bench *b = &f->benches[thread];
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

void th_fit_name_fields(th_clip_fit *f) {
    size_t side = (size_t)th_clip_get_config(f->bundle->model)->image_size;
    size_t image = side * side * 3 * sizeof(float), ids = (size_t)f->tokens * sizeof(int32_t), m = (size_t)f->negatives;
    const struct {
        const char *name;
        size_t bytes;
        bool wanted;
    } all[TH_FIT_FIELDS] = {
        {"images", image, true},
        {"image views", image, f->views},
        {"texts", ids, true},
        {"text views", ids, f->views},
        {"true sub-texts", ids, f->subset > 0},
        {"false sub-texts", ids * m, f->subset > 0},
        {"mask", m * sizeof(float), f->subset > 0},
    };
    for (int i = 0; i < TH_FIT_FIELDS; i++) {
        f->place[i] = all[i].wanted ? f->n_fields : -1;
        if (all[i].wanted) f->fields[f->n_fields++] = (th_loader_field){all[i].name, all[i].bytes};
    }
}

th_loader_params th_fit_loader(const th_clip_fit *f) {
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

/* Rows of a field to the plan's input, from this row of it on; an input that the loss does not read is NULL. */
static char *put(th_clip_fit *f, void *const *fields, int field, int64_t rows, char *to) {
    if (f->place[field] < 0 || !to) return to;
    size_t bytes = (size_t)rows * f->fields[f->place[field]].bytes_per_sample;
    memcpy(to, fields[f->place[field]], bytes);
    return to + bytes;
}

th_status th_fit_feed(void *user, int64_t step, th_plan *plan) {
    th_clip_fit *f = user;
    void *const *fields;
    TH_TRY(th_loader_next(f->loader, step, &fields));
    char *images = th_plan_input(plan, "images"), *ids = th_plan_input(plan, "ids"),
         *mask = th_plan_input(plan, "mask");
    put(f, fields, TH_FIT_VIEW, f->batch, put(f, fields, TH_FIT_IMAGE, f->batch, images));
    char *after_views = put(f, fields, TH_FIT_VIEW_IDS, f->batch, put(f, fields, TH_FIT_IDS, f->batch, ids));
    put(f, fields, TH_FIT_NEGATIVE_IDS, f->subset, put(f, fields, TH_FIT_POSITIVE_IDS, f->subset, after_views));
    put(f, fields, TH_FIT_MASK, f->subset, mask);
    int32_t *ends = th_plan_input(plan, "ends");
    const th_clip_config *c = th_clip_get_config(f->bundle->model);
    for (int64_t i = 0; i < th_fit_text_rows(f); i++)
        ends[i] = (int32_t)(i * f->tokens + th_clip_find_end(c, (const int32_t *)ids + i * f->tokens, f->tokens));
    return TH_OK;
}
