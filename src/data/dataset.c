/* Opening a set by what its name is, choosing pictures, and what is known without reading them. */
#include "data/dataset.h"

#include <string.h>

#include "base/rng.h"
#include "data/dataset_parts.h"

void th_dataset_params_init(th_dataset_params *p) { *p = (th_dataset_params){.stride = 1}; }

/* ---- what it is */

static bool has_patterns(const char *spec) { return strpbrk(spec, "{*?[") != NULL; }

/* "train-images-idx3-ubyte.gz", or a first item that is an IDX header of pictures. */
static bool is_idx(const char *path) {
    const char *base = th_path_base(path);
    if (strstr(base, "idx") && (strstr(base, "ubyte") || th_path_ends(base, ".idx") || th_path_ends(base, ".idx.gz")))
        return true;
    th_mapping m;
    if (th_file_map(path, &m) != TH_OK) return false;
    bool yes = m.length >= 4 && !memcmp(m.data, "\0\0\10", 3) && (m.data[3] == 3 || m.data[3] == 4);
    th_file_unmap(&m);
    return yes;
}

static th_status open_file(th_gather *g, const char *spec) {
    if (th_path_ends(spec, ".tsv") || th_path_ends(spec, ".csv")) return th_dataset_open_table(g, spec);
    bool there = th_path_exists(spec);
    if (strstr(th_path_base(spec), ".tar") || (!there && has_patterns(spec))) return th_dataset_open_shards(g, spec);
    if (!there) return th_fail(TH_E_IO, "%s: no such file or folder", spec);
    if (is_idx(spec)) return th_dataset_open_idx(g, spec);
    return th_fail(TH_E_INPUT,
                   "%s: is no data set: a folder, a table (.tsv, .csv), shards (.tar), an IDX file or "
                   "fashion-scenes is wanted",
                   spec);
}

static th_status open_source(th_gather *g, const void *what) {
    const char *spec = what;
    if (th_scene_spec_is(spec)) return th_dataset_open_scenes(g, spec);
    return th_path_is_dir(spec) ? th_dataset_open_folder(g, spec) : open_file(g, spec);
}

/* ---- which pictures */

static th_status check(const th_dataset_params *p) {
    if (p->offset < 0 || p->limit < 0 || p->stride < 1 || p->index_count < 0)
        return th_fail(TH_E_USAGE, "pictures from %lld on, every %lldth, at most %lld: not a choice",
                       (long long)p->offset, (long long)p->stride, (long long)p->limit);
    if ((unsigned)p->captions > TH_CAPTIONS_RANDOM)
        return th_fail(TH_E_USAGE, "there is no choice of captions %d", (int)p->captions);
    return TH_OK;
}

static th_status pick(th_dataset *d, const th_dataset_params *p) {
    d->picked = th_alloc((size_t)d->images, sizeof *d->picked);
    if (!d->picked) return th_fail_memory();
    for (int64_t i = 0; i < d->images; i++) {
        int64_t index = p->indices[p->offset + i * p->stride];
        if (index < 0 || index >= d->source_images)
            return th_fail(TH_E_USAGE, "%s: picture %lld was chosen, there are %lld", d->name, (long long)index,
                           (long long)d->source_images);
        d->picked[i] = index;
    }
    return TH_OK;
}

static th_status choose_images(th_dataset *d, const th_dataset_params *p) {
    int64_t all = p->indices ? p->index_count : d->source_images;
    int64_t left = p->offset < all ? (all - p->offset - 1) / p->stride + 1 : 0;
    d->images = p->limit && p->limit < left ? p->limit : left;
    d->first = p->offset, d->stride = p->stride;
    if (!d->source_images) return th_fail(TH_E_INPUT, "%s: holds no pictures", d->name);
    if (!d->images)
        return th_fail(TH_E_INPUT, "%s: of %lld pictures none is left from number %lld on", d->name, (long long)all,
                       (long long)p->offset);
    return p->indices ? pick(d, p) : TH_OK;
}

static const th_entry *entry_of(const th_dataset *d, int64_t image) {
    return &d->entries[th_dataset_source_image(d, image)];
}

int64_t th_dataset_captions(const th_dataset *d, int64_t image) {
    if (d->scenes) return 1;
    if (!d->caption_count) return 0;
    const th_entry *e = entry_of(d, image);
    return e[1].captions - e->captions;
}

static th_status number_samples(th_dataset *d) {
    d->samples = d->images;
    if (d->choice != TH_CAPTIONS_ALL || !d->caption_count) return TH_OK;
    int64_t samples = 0;
    for (int64_t i = 0; i < d->images; i++) samples += th_dataset_captions(d, i);
    if (samples == d->images) return TH_OK; /* each has one */
    d->samples = samples;
    d->sample_first = th_alloc((size_t)d->images + 1, sizeof *d->sample_first);
    if (!d->sample_first) return th_fail_memory();
    for (int64_t i = 0; i < d->images; i++) d->sample_first[i + 1] = d->sample_first[i] + th_dataset_captions(d, i);
    return TH_OK;
}

/* ---- opening */

static th_status build(th_dataset *d, const char *name, const th_dataset_params *p, th_gather *g, th_dataset_fill fill,
                       const void *what) {
    TH_TRY(check(p));
    d->choice = p->captions;
    d->seed = p->seed;
    d->name = th_strdup(name);
    d->text = th_arena_new();
    if (!d->name || !d->text || pthread_mutex_init(&d->lock, NULL) != 0) return th_fail_memory();
    d->lock_made = true;
    TH_TRY(fill(g, what));
    TH_TRY(choose_images(d, p));
    TH_TRY(number_samples(d));
    if (!p->skip_bad) return TH_OK;
    d->bad = th_alloc((size_t)d->images, sizeof *d->bad);
    return d->bad ? TH_OK : th_fail_memory();
}

th_status th_dataset_make(const char *name, const th_dataset_params *p, const th_watch *w, th_dataset_fill fill,
                          const void *what, th_dataset **out) {
    th_dataset_params defaults;
    th_dataset_params_init(&defaults);
    th_dataset *d = th_alloc(1, sizeof *d);
    if (!d) return th_fail_memory();
    th_gather g = {.d = d, .p = p ? p : &defaults, .watch = w};
    th_status s = build(d, name, g.p, &g, fill, what);
    th_gather_free(&g);
    if (s != TH_OK) return th_dataset_close(d), s;
    *out = d;
    return TH_OK;
}

th_status th_dataset_open(const char *spec, const th_dataset_params *p, const th_watch *w, th_dataset **out) {
    return th_dataset_make(spec, p, w, open_source, spec, out);
}

void th_dataset_close(th_dataset *d) {
    if (!d) return;
    if (d->source && d->source->close) d->source->close(d);
    if (d->lock_made) pthread_mutex_destroy(&d->lock);
    th_arena_free(d->text);
    th_free(d->name);
    th_free(d->folder);
    th_free(d->entries);
    th_free(d->captions);
    th_free(d->table);
    th_free(d->class_names);
    th_free(d->picked);
    th_free(d->sample_first);
    th_free(d->bad);
    th_free(d);
}

/* ---- what is known */

const char *th_dataset_kind(const th_dataset *d) { return d->source->name; }
int64_t th_dataset_count(const th_dataset *d) { return d->samples; }
int64_t th_dataset_images(const th_dataset *d) { return d->images; }

int64_t th_dataset_image(const th_dataset *d, int64_t sample) {
    if (!d->sample_first) return sample;
    int64_t low = 0, high = d->images; /* the sample is one of those of low … high − 1 */
    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2;
        if (d->sample_first[middle] <= sample)
            low = middle;
        else
            high = middle;
    }
    return low;
}

int64_t th_dataset_sample(const th_dataset *d, int64_t image) {
    return d->sample_first ? d->sample_first[image] : image;
}

const char *th_dataset_key(const th_dataset *d, int64_t image, char room[TH_DATASET_ROOM]) {
    if (d->entries) return entry_of(d, image)->key;
    int64_t number = th_dataset_source_image(d, image) + (d->scene_spec ? d->scene_spec->offset : 0);
    snprintf(room, TH_DATASET_ROOM, "%lld", (long long)number);
    return room;
}

const char *th_dataset_caption_of(const th_dataset *d, int64_t image, int64_t k, char room[TH_DATASET_ROOM]) {
    if (d->scenes) return th_dataset_scene_caption(d, th_dataset_source_image(d, image), NULL, room);
    return d->caption_count ? d->captions[entry_of(d, image)->captions + k] : NULL;
}

/* In the upper half of the elements: the lower half of TH_RNG_TEXT is for those who change texts. */
#define CAPTION_DRAW ((uint64_t)1 << 63)

const char *th_dataset_caption(const th_dataset *d, int64_t sample, const th_moment *when, char room[TH_DATASET_ROOM]) {
    int64_t image = th_dataset_image(d, sample), k = 0;
    if (d->scenes && d->choice == TH_CAPTIONS_RANDOM)
        return th_dataset_scene_caption(d, th_dataset_source_image(d, image), when, room);
    if (d->sample_first) k = sample - d->sample_first[image];
    if (d->choice == TH_CAPTIONS_RANDOM && d->caption_count) {
        uint64_t element = CAPTION_DRAW | (uint64_t)th_dataset_source_image(d, image);
        th_rng r = th_rng_at(d->seed, TH_RNG_TEXT, when ? when->epoch : 0, element);
        k = th_rng_below(&r, (uint32_t)th_dataset_captions(d, image));
    }
    return th_dataset_caption_of(d, image, k, room);
}

int32_t th_dataset_label(const th_dataset *d, int64_t image) {
    int64_t at = th_dataset_source_image(d, image);
    if (d->entries) return d->entries[at].label;
    if (d->labels.data) return ((const uint8_t *)d->labels.data)[at];
    th_scene_info info;
    bool one = d->scenes && d->scene_spec->params.one_garment_each && th_dataset_scene_info(d, at, &info);
    return one ? (int32_t)info.garments[0].garment : -1;
}

int32_t th_dataset_classes(const th_dataset *d) { return d->classes; }

const char *th_dataset_class_name(const th_dataset *d, int32_t c) {
    if (d->scenes) return th_scene_class_names[c];
    return d->class_names ? d->class_names[c] : NULL;
}

bool th_dataset_scene(const th_dataset *d, int64_t image, th_scene_info *info) {
    return d->scenes && th_dataset_scene_info(d, th_dataset_source_image(d, image), info);
}
