/* Reading pictures, passing over those that cannot be read, and the hash of what is there. */
#include <endian.h>
#include <string.h>

#include "data/dataset_parts.h"

th_status th_dataset_reader_new(const th_image_params *params, th_dataset_reader **out) {
    th_dataset_reader *r = th_alloc(1, sizeof *r);
    if (!r) return th_fail_memory();
    if (params)
        r->params = *params;
    else
        th_image_params_init(&r->params);
    th_status s = th_image_decoder_new(&r->decoder);
    if (s != TH_OK) return th_dataset_reader_free(r), s;
    *out = r;
    return TH_OK;
}

void th_dataset_reader_free(th_dataset_reader *r) {
    if (!r) return;
    th_image_decoder_free(r->decoder);
    th_free(r->bytes);
    th_free(r);
}

/* Which threads find a bad picture first is chance, so of all messages the one of the lowest picture is kept. */
static void mark_bad(th_dataset *d, int64_t image) {
    pthread_mutex_lock(&d->lock);
    if (!atomic_exchange(&d->bad[image], 1)) {
        if (!d->skipped++ || d->first_skipped > image) {
            snprintf(d->first_message, sizeof d->first_message, "%s", th_error_message());
            d->first_skipped = image;
        }
    }
    pthread_mutex_unlock(&d->lock);
}

static th_status fail_all(th_dataset *d) {
    char first[TH_MESSAGE_MAX];
    th_dataset_skipped(d, first);
    return th_fail(TH_E_INPUT, "%s: none of its pictures can be read; %.300s", d->name, first);
}

static th_status read_or_next(th_dataset *d, th_dataset_reader *r, int64_t sample, th_image *out, int64_t *used) {
    for (int64_t tried = 0; tried < d->samples; tried++) {
        int64_t at = sample + tried < d->samples ? sample + tried : sample + tried - d->samples;
        int64_t image = th_dataset_image(d, at);
        if (atomic_load(&d->bad[image])) continue;
        th_status s = d->source->read(d, r, th_dataset_source_image(d, image), out);
        if (s == TH_OK) return *used = at, TH_OK;
        if (s != TH_E_INPUT && s != TH_E_IO) return s;
        mark_bad(d, image);
    }
    return fail_all(d);
}

th_status th_dataset_read(th_dataset *d, th_dataset_reader *r, int64_t sample, th_image *out, int64_t *used) {
    if (sample < 0 || sample >= d->samples || (d->bad && !used))
        return th_fail(TH_E_BUG, "%s: sample %lld of %lld was asked for", d->name, (long long)sample,
                       (long long)d->samples);
    if (d->bad) return read_or_next(d, r, sample, out, used);
    if (used) *used = sample;
    return d->source->read(d, r, th_dataset_source_image(d, th_dataset_image(d, sample)), out);
}

int64_t th_dataset_skipped(th_dataset *d, char message[TH_MESSAGE_MAX]) {
    pthread_mutex_lock(&d->lock);
    int64_t n = d->skipped;
    if (message) memcpy(message, d->first_message, TH_MESSAGE_MAX);
    pthread_mutex_unlock(&d->lock);
    return n;
}

/* ---- hash; texts with their NUL, numbers as eight bytes, so that no two contents give the same sequence */

static void add_text(th_hash *h, const char *text) { th_hash_add(h, text, strlen(text) + 1); }

static void add_number(th_hash *h, int64_t n) {
    uint64_t little = htole64((uint64_t)n);
    th_hash_add(h, &little, sizeof little);
}

static th_status add_image(const th_dataset *d, int64_t image, th_hash *h) {
    char room[TH_DATASET_ROOM];
    add_text(h, th_dataset_key(d, image, room));
    if (d->scenes) return TH_OK;
    int64_t captions = th_dataset_captions(d, image);
    int32_t label = th_dataset_label(d, image);
    const char *name = label >= 0 ? th_dataset_class_name(d, label) : NULL;
    add_number(h, label);
    add_text(h, name ? name : "");
    add_number(h, captions);
    for (int64_t k = 0; k < captions; k++) add_text(h, th_dataset_caption_of(d, image, k, room));
    return d->source->hash(d, th_dataset_source_image(d, image), h);
}

#define SCENES_LOOKED_AT 16

/* Scenes are what their parameters say, as long as the drawing and the garments are the same: a few tell. */
static th_status add_scenes(const th_dataset *d, th_hash *h) {
    int64_t n = d->images < SCENES_LOOKED_AT ? d->images : SCENES_LOOKED_AT;
    for (int64_t i = 0; i < n; i++) {
        int64_t image = i * (d->images / n);
        char room[TH_DATASET_ROOM];
        add_text(h, th_dataset_caption_of(d, image, 0, room));
        TH_TRY(d->source->hash(d, th_dataset_source_image(d, image), h));
    }
    return TH_OK;
}

th_status th_dataset_hash(const th_dataset *d, const th_watch *w, char out[TH_HASH_TEXT]) {
    th_hash h;
    th_hash_init(&h);
    add_text(&h, d->scenes ? "theriac scenes 1" : "theriac data 1");
    add_number(&h, d->choice);
    add_number(&h, d->images);
    if (d->scenes) TH_TRY(add_scenes(d, &h));
    for (int64_t i = 0; i < d->images; i++) {
        if (i % 1024 == 0) th_report(w, "pictures hashed", i, d->images, NULL);
        if (th_stopped(w)) return th_fail(TH_E_INTERRUPTED, "stopped");
        TH_TRY(add_image(d, i, &h));
    }
    th_hash_text(&h, out);
    return TH_OK;
}
