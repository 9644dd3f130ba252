/* WebDataset shards: each is indexed once, then read by place. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "data/dataset_parts.h"
#include "format/paths.h"

#define TEXT_MAX 1048576    /* bytes of a .txt, .json or .cls */
#define OPEN_MAX_SHARDS 256 /* files kept open; others are opened for each read */
#define PICTURES "jpg;jpeg;png;webp"

/* ---- reading */

/* The shard's file; *keep says that it stays open. Two threads may open it at once: one of the two is kept. */
static th_status open_shard(th_dataset *d, int32_t shard, int *fd, bool *keep) {
    *keep = true;
    *fd = atomic_load(&d->fds[shard]);
    if (*fd >= 0) return TH_OK;
    *fd = open(d->shards.names[shard], O_RDONLY | O_CLOEXEC);
    if (*fd < 0) return th_fail_errno(d->shards.names[shard], "open it");
    *keep = atomic_fetch_add(&d->open_fds, 1) < OPEN_MAX_SHARDS;
    int none = -1;
    if (*keep) *keep = atomic_compare_exchange_strong(&d->fds[shard], &none, *fd);
    if (!*keep) atomic_fetch_sub(&d->open_fds, 1);
    return TH_OK;
}

static th_status read_bytes(int fd, const th_entry *e, const char *path, char *out) {
    for (size_t have = 0; have < e->size;) {
        ssize_t n = pread(fd, out + have, e->size - have, e->offset + (off_t)have);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return th_fail_errno(path, "read it");
        if (n == 0) return th_fail(TH_E_INPUT, "%s: has become shorter since it was opened", path);
        have += (size_t)n;
    }
    return TH_OK;
}

static th_status read_sample(th_dataset *d, th_dataset_reader *r, int64_t image, th_image *out) {
    const th_entry *e = &d->entries[image];
    const char *path = d->shards.names[e->shard];
    if (e->size > r->capacity) {
        char *more = th_realloc(r->bytes, e->size, 1);
        if (!more) return th_fail_memory();
        r->bytes = more;
        r->capacity = e->size;
    }
    int fd;
    bool keep;
    TH_TRY(open_shard(d, e->shard, &fd, &keep));
    th_status s = read_bytes(fd, e, path, r->bytes);
    if (!keep) close(fd);
    TH_TRY(s);
    char shown[TH_SHOWN_MAX];
    return th_fail_in(th_image_decode(r->decoder, r->bytes, e->size, &r->params, out), "%s: '%s'", path,
                      th_shown(shown, e->key, strlen(e->key)));
}

static th_status hash_sample(const th_dataset *d, int64_t image, th_hash *h) {
    char text[32];
    snprintf(text, sizeof text, "%lu", (unsigned long)d->entries[image].size);
    th_hash_add(h, text, strlen(text) + 1);
    return TH_OK;
}

static void close_shards(th_dataset *d) {
    for (int64_t i = 0; d->fds && i < d->shards.count; i++)
        if (atomic_load(&d->fds[i]) >= 0) close(atomic_load(&d->fds[i]));
    th_free(d->fds);
    th_names_free(&d->shards);
}

const th_dataset_source th_source_shards = {
    .name = "shards", .read = read_sample, .hash = hash_sample, .close = close_shards};

/* ---- indexing */

typedef struct {
    th_gather *g;
    th_tar_index *index;
    const char *path;
    int32_t shard;
    int64_t sample;
    th_str text; /* of the file read last */
} place;

static th_status fail_sample(const place *w, const char *what) {
    const char *key = th_tar_index_key(w->index, w->sample);
    char shown[TH_SHOWN_MAX];
    return th_fail(TH_E_INPUT, "%s: '%s' %s", w->path, th_shown(shown, key, strlen(key)), what);
}

/* The text of the sample's file of this kind, or NULL without one. */
static th_status read_text(place *w, const char *extension, const char **text, size_t *length) {
    const th_tar_place *file = th_tar_index_find(w->index, w->sample, extension);
    *text = NULL;
    if (!file) return TH_OK;
    if (file->size > TEXT_MAX) return fail_sample(w, "has a text of more than 1 MiB");
    th_str_clear(&w->text);
    static const char zeros[4096];
    for (int64_t n = file->size + 1; n > 0; n -= (int64_t)sizeof zeros)
        th_str_add(&w->text, zeros, n < (int64_t)sizeof zeros ? (size_t)n : sizeof zeros);
    TH_TRY(th_str_status(&w->text));
    TH_TRY(th_tar_index_read(w->index, file, w->text.data));
    *text = w->text.data;
    *length = (size_t)file->size;
    return TH_OK;
}

static th_status add_json(place *w, int64_t image, const char *known) {
    const char *text, *key = th_tar_index_key(w->index, w->sample);
    size_t n;
    TH_TRY(read_text(w, "json", &text, &n));
    if (!text) return TH_OK;
    char name[TH_PATH_MAX + TH_SHOWN_MAX], shown[TH_SHOWN_MAX];
    snprintf(name, sizeof name, "%s: '%s.json'", w->path, th_shown(shown, key, strlen(key)));
    th_json j;
    TH_TRY(th_json_parse(name, text, n, &j));
    th_status s = th_dataset_json_captions(w->g, image, &j, known);
    th_json_free(&j);
    return s;
}

/* The .txt is the first caption; the .json is read where others are wanted, or where there is no .txt. */
static th_status add_captions(place *w, int64_t image) {
    const char *text;
    char *first = NULL;
    size_t n;
    TH_TRY(read_text(w, "txt", &text, &n));
    if (text) {
        first = th_gather_text(w->g, text, strnlen(text, n));
        if (!first) return th_fail_memory();
        if (*first) TH_TRY(th_gather_caption(w->g, image, first));
    }
    return first && w->g->p->captions == TH_CAPTIONS_FIRST ? TH_OK : add_json(w, image, first);
}

static th_status add_label(place *w, int64_t image) {
    const char *text;
    size_t n;
    TH_TRY(read_text(w, "cls", &text, &n));
    if (!text) return TH_OK;
    char *label = th_gather_text(w->g, text, strnlen(text, n));
    if (!label) return th_fail_memory();
    if (!*label) return fail_sample(w, "has an empty .cls");
    w->g->labels[image] = label;
    return TH_OK;
}

static th_status add_parts(place *w, int64_t image) {
    TH_TRY(add_captions(w, image));
    return add_label(w, image);
}

/* A sample whose captions are broken goes as if it had never been there. */
static void forget_last(th_gather *g, int64_t captions) {
    g->d->entry_count--;
    g->d->caption_count = captions;
}

static th_status add_sample(place *w) {
    th_dataset *d = w->g->d;
    const th_tar_place *picture = th_tar_index_find(w->index, w->sample, PICTURES);
    if (!picture) return fail_sample(w, "has no picture (.jpg, .jpeg, .png or .webp)");
    char *key = th_arena_strdup(d->text, th_tar_index_key(w->index, w->sample));
    if (!key) return th_fail_memory();
    int64_t captions = d->caption_count;
    TH_TRY(th_gather_image(w->g, key));
    th_entry *e = &d->entries[d->entry_count - 1];
    e->offset = picture->offset;
    e->size = (uint32_t)picture->size; /* below th_tar_params' 256 MiB */
    e->shard = w->shard;
    th_status s = add_parts(w, d->entry_count - 1);
    if (s != TH_OK) forget_last(w->g, captions);
    return s;
}

static th_status index_shard(th_gather *g, int32_t shard) {
    place w = {.g = g, .path = g->d->shards.names[shard], .shard = shard};
    TH_TRY(th_tar_index_open(w.path, NULL, &w.index));
    th_str_init(&w.text, TEXT_MAX + 1);
    th_status s = TH_OK;
    int64_t n = th_tar_index_count(w.index);
    for (w.sample = 0; w.sample < n && s == TH_OK; w.sample++) {
        s = th_stopped(g->watch) ? th_fail(TH_E_INTERRUPTED, "stopped") : add_sample(&w);
        if (s != TH_OK) s = th_gather_drop(g, s);
    }
    th_str_free(&w.text);
    th_tar_index_close(w.index);
    return s;
}

/* ---- classes by folders */

/* The last folder of a key, [*name, *name + length); an empty one where it has none. */
static void folder_of(const char *key, const char **name, size_t *length) {
    const char *end = strrchr(key, '/'), *from = end ? end : key;
    while (end && from > key && from[-1] != '/') from--;
    *name = from;
    *length = end ? (size_t)(end - from) : 0;
}

static bool same_folder(const char *a, const char *b) {
    const char *p, *q;
    size_t n, m;
    folder_of(a, &p, &n);
    folder_of(b, &q, &m);
    return n == m && !memcmp(p, q, n);
}

/* Whether there is nothing but pictures, in different folders. */
static bool has_class_folders(const th_gather *g) {
    const th_dataset *d = g->d;
    bool differ = false;
    for (int64_t i = 0; i < d->entry_count; i++) {
        if (g->labels[i] || !strchr(d->entries[i].key, '/')) return false;
        differ |= !same_folder(d->entries[i].key, d->entries[0].key);
    }
    return differ && !d->caption_count;
}

static th_status label_by_folder(th_gather *g) {
    th_dataset *d = g->d;
    for (int64_t i = 0; i < d->entry_count; i++) {
        const char *name, *key = d->entries[i].key;
        size_t n;
        folder_of(key, &name, &n);
        if (i && same_folder(key, d->entries[i - 1].key))
            g->labels[i] = g->labels[i - 1];
        else
            g->labels[i] = th_gather_text(g, name, n);
        if (!g->labels[i]) return th_fail_memory();
        TH_TRY(th_gather_caption(g, i, g->labels[i]));
    }
    return TH_OK;
}

th_status th_dataset_index_shards(th_gather *g) {
    th_dataset *d = g->d;
    d->source = &th_source_shards;
    d->fds = th_alloc((size_t)d->shards.count, sizeof *d->fds);
    if (!d->fds) return th_fail_memory();
    for (int64_t i = 0; i < d->shards.count; i++) atomic_init(&d->fds[i], -1);
    for (int64_t i = 0; i < d->shards.count; i++) {
        th_report(g->watch, "shards indexed", i, d->shards.count, d->shards.names[i]);
        TH_TRY(index_shard(g, (int32_t)i));
    }
    bool folders = d->entry_count && has_class_folders(g);
    if (folders) TH_TRY(label_by_folder(g));
    return th_gather_finish(g, folders);
}

th_status th_dataset_open_shards(th_gather *g, const char *pattern) {
    g->d->source = &th_source_shards;
    TH_TRY(th_paths_expand(pattern, &g->d->shards));
    return th_dataset_index_shards(g);
}
