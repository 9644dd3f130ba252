/* Where every file of a plain tar archive lies: one pass over its headers by way of libarchive, then pread. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "format/tar_archive.h"

#define BLOCK 65536

typedef struct {
    const char *key;
    int64_t first; /* its files are first … */
    int count;
} sample;

struct th_tar_index {
    int fd;
    int64_t length; /* of the archive, bytes */
    char *path;
    th_arena *names;
    sample *samples;
    int64_t count, capacity;
    th_tar_place *places;
    int64_t place_count, place_capacity;
};

void th_tar_index_close(th_tar_index *x) {
    if (!x) return;
    if (x->fd >= 0) close(x->fd);
    th_free(x->path);
    th_arena_free(x->names);
    th_free(x->samples);
    th_free(x->places);
    th_free(x);
}

int64_t th_tar_index_count(const th_tar_index *x) { return x->count; }
const char *th_tar_index_key(const th_tar_index *x, int64_t i) { return x->samples[i].key; }

const th_tar_place *th_tar_index_files(const th_tar_index *x, int64_t i, int *count) {
    *count = x->samples[i].count;
    return x->places + x->samples[i].first;
}

const th_tar_place *th_tar_index_find(const th_tar_index *x, int64_t i, const char *extensions) {
    int count;
    const th_tar_place *places = th_tar_index_files(x, i, &count);
    const char *one;
    size_t n;
    while (th_tar_next_extension(&extensions, &one, &n))
        for (int k = 0; k < count; k++)
            if (strlen(places[k].extension) == n && !memcmp(places[k].extension, one, n)) return &places[k];
    return NULL;
}

th_status th_tar_index_read(const th_tar_index *x, const th_tar_place *place, void *out) {
    for (int64_t have = 0; have < place->size;) {
        ssize_t n = pread(x->fd, (char *)out + have, (size_t)(place->size - have), place->offset + have);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return th_fail_errno(x->path, "read it");
        if (n == 0) return th_fail(TH_E_INPUT, "%s: has become shorter since it was opened", x->path);
        have += n;
    }
    return TH_OK;
}

static th_status fail_entry(const th_tar_index *x, const th_tar_header *h, const char *what) {
    char shown[TH_TAR_NAME_SHOWN];
    th_tar_show(h->path, shown);
    return th_fail(TH_E_INPUT, "%s: '%s' %s", x->path, shown, what);
}

static th_status start_sample(th_tar_index *x, const th_tar_header *h) {
    char *key = th_arena_alloc(x->names, h->key_length + 1, 1);
    if (!key || !th_grow(x->samples, x->count, x->capacity)) return th_fail_memory();
    memcpy(key, h->path, h->key_length);
    x->samples[x->count++] = (sample){key, x->place_count, 0};
    return TH_OK;
}

/* The lower-cased extension. Most files have the one that the same file of the sample before has: that is shared. */
static const char *extension_of(th_tar_index *x, const th_tar_header *h) {
    const char *extension = h->path + h->key_length + 1;
    const sample *now = &x->samples[x->count - 1], *before = now - 1;
    if (x->count > 1 && now->count < before->count) {
        const char *known = x->places[before->first + now->count].extension;
        if (!strcmp(known, extension)) return known;
    }
    char *copy = th_arena_strdup(x->names, extension);
    for (char *p = copy; p && *p; p++) *p = (char)tolower((unsigned char)*p);
    return copy;
}

static th_status add_file(th_tar_index *x, const th_tar_header *h, int64_t offset, const th_tar_params *params) {
    const sample *last = x->count ? &x->samples[x->count - 1] : NULL;
    if (!last || strlen(last->key) != h->key_length || memcmp(last->key, h->path, h->key_length))
        TH_TRY(start_sample(x, h));
    sample *s = &x->samples[x->count - 1];
    if (s->count == params->sample_files_max)
        return th_fail(TH_E_INPUT, "%s: the sample '%.100s' has more than %d files", x->path, s->key,
                       params->sample_files_max);
    if (offset < 0 || h->size > x->length - offset) return fail_entry(x, h, "ends early");
    const char *extension = extension_of(x, h);
    if (!extension || !th_grow(x->places, x->place_count, x->place_capacity)) return th_fail_memory();
    for (int i = 0; i < s->count; i++)
        if (!strcmp(x->places[s->first + i].extension, extension))
            return fail_entry(x, h, "is there twice in one sample");
    x->places[x->place_count++] = (th_tar_place){extension, offset, h->size};
    s->count++;
    return TH_OK;
}

static th_status scan(th_tar_index *x, struct archive *a, const th_tar_params *params) {
    if (archive_read_open_fd(a, x->fd, BLOCK) != ARCHIVE_OK) return th_tar_fail(a, x->path);
    for (;;) {
        th_tar_header h;
        bool more;
        TH_TRY(th_tar_advance(a, x->path, params, &h, &more));
        if (!more) return TH_OK;
        if (h.sparse) return fail_entry(x, &h, "is sparse, which only reading in order can handle");
        TH_TRY(add_file(x, &h, archive_filter_bytes(a, 0), params));
    }
}

static th_status open_file(th_tar_index *x) {
    x->fd = open(x->path, O_RDONLY | O_CLOEXEC);
    if (x->fd < 0) return th_fail_errno(x->path, "open it");
    struct stat st;
    if (fstat(x->fd, &st) != 0) return th_fail_errno(x->path, "stat it");
    if (!S_ISREG(st.st_mode)) return th_fail(TH_E_INPUT, "%s: is not a regular file", x->path);
    x->length = st.st_size;
    if (!x->length) return th_fail(TH_E_INPUT, "%s: is empty, a tar archive is wanted", x->path);
    uint8_t magic[2] = {0};
    if (pread(x->fd, magic, 2, 0) < 0) return th_fail_errno(x->path, "read it");
    if (magic[0] == 0x1f && magic[1] == 0x8b)
        return th_fail(TH_E_INPUT, "%s: is compressed; reading in any order needs it decompressed (gunzip)", x->path);
    return TH_OK;
}

static th_status build(th_tar_index *x, const char *path, const th_tar_params *params) {
    x->path = th_strdup(path);
    x->names = th_arena_new();
    if (!x->path || !x->names) return th_fail_memory();
    TH_TRY(open_file(x));
    struct archive *a = th_tar_archive(false);
    if (!a) return th_fail_memory();
    th_status s = scan(x, a, params);
    archive_read_free(a);
    return s;
}

th_status th_tar_index_open(const char *path, const th_tar_params *params, th_tar_index **out) {
    th_tar_params defaults;
    th_tar_params_init(&defaults);
    th_tar_index *x = th_alloc(1, sizeof *x);
    if (!x) return th_fail_memory();
    x->fd = -1;
    th_status s = build(x, path, params ? params : &defaults);
    if (s != TH_OK) return th_tar_index_close(x), s;
    *out = x;
    return TH_OK;
}
