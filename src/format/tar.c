/* Streaming the samples of a tar archive by way of libarchive. */
#include "format/tar.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "format/tar_archive.h"

#define BLOCK 65536 /* bytes asked from a file at a time */

void th_tar_params_init(th_tar_params *p) {
    *p = (th_tar_params){.entry_bytes_max = (size_t)256 << 20, .sample_files_max = 64};
}

void th_tar_show(const char *name, char out[TH_TAR_NAME_SHOWN]) {
    size_t n = strnlen(name, TH_TAR_NAME_SHOWN - 1);
    for (size_t i = 0; i < n; i++) out[i] = (unsigned char)name[i] < 32 || name[i] == 127 ? '?' : name[i];
    out[n] = '\0';
}

struct archive *th_tar_archive(bool packed) {
    struct archive *a = archive_read_new();
    if (!a) return NULL;
    archive_read_support_format_tar(a);
    if (packed) archive_read_support_filter_gzip(a);
    /* Names are bytes, whatever the locale. */
    archive_read_set_format_option(a, "tar", "hdrcharset", "BINARY");
    return a;
}

th_status th_tar_fail(struct archive *a, const char *name) {
    const char *text = archive_error_string(a);
    if (!text) text = "libarchive gives no reason";
    th_status s = archive_errno(a) == ENOMEM ? TH_E_MEMORY : TH_E_INPUT;
    return th_fail(s, "%s: is damaged or no tar archive: %s", name, text);
}

/* The length of the key of a path; 0 if the file belongs to no sample. */
static size_t key_length(const char *path) {
    const char *last = th_path_base(path), *dot = strchr(last, '.');
    return dot && dot > last && dot[1] ? (size_t)(dot - path) : 0;
}

static bool belongs(struct archive_entry *e) {
    const char *path = archive_entry_pathname(e);
    return path && archive_entry_filetype(e) == AE_IFREG && !archive_entry_hardlink(e) && key_length(path) > 0;
}

th_status th_tar_advance(struct archive *a, const char *name, const th_tar_params *params, th_tar_header *out,
                         bool *more) {
    struct archive_entry *e;
    int code;
    do {
        code = archive_read_next_header(a, &e);
        if (code == ARCHIVE_EOF) return *more = false, TH_OK;
        if (code != ARCHIVE_OK && code != ARCHIVE_WARN) return th_tar_fail(a, name);
    } while (!belongs(e));
    out->path = archive_entry_pathname(e);
    out->key_length = key_length(out->path);
    out->size = archive_entry_size(e);
    out->sparse = archive_entry_sparse_count(e) > 0;
    if (out->size < 0 || (uint64_t)out->size > params->entry_bytes_max) {
        char shown[TH_TAR_NAME_SHOWN];
        th_tar_show(out->path, shown);
        return th_fail(TH_E_INPUT, "%s: '%s' is %lld bytes long, at most %zu are allowed", name, shown,
                       (long long)out->size, params->entry_bytes_max);
    }
    *more = true;
    return TH_OK;
}

bool th_tar_next_extension(const char **list, const char **one, size_t *length) {
    if (!**list) return false;
    *one = *list;
    *length = strcspn(*list, ";");
    *list += *length + ((*list)[*length] == ';');
    return true;
}

const th_tar_file *th_tar_find(const th_tar_sample *s, const char *extensions) {
    const char *one;
    size_t n;
    while (th_tar_next_extension(&extensions, &one, &n))
        for (int i = 0; i < s->count; i++)
            if (strlen(s->files[i].extension) == n && !memcmp(s->files[i].extension, one, n)) return &s->files[i];
    return NULL;
}

/* A file of the sample being read: its name and its bytes lie in two growing buffers, so these are offsets. */
typedef struct {
    size_t extension, data, size;
} part;

typedef struct {
    char *bytes;
    size_t length, capacity;
} buffer;

struct th_tar_reader {
    struct archive *archive;
    char *name;
    th_tar_params params;
    th_tar_header header; /* of a file that was reached but not read yet, if `pending` */
    bool pending, ended;
    buffer names, data; /* of the current sample; names begins with its key */
    part *parts;
    th_tar_file *files;
    int64_t count, capacity, files_capacity;
};

/* Room for n more bytes; NULL when out of memory. */
static char *buffer_extend(buffer *b, size_t n) {
    if (n > b->capacity - b->length) {
        size_t capacity = b->capacity ? b->capacity : 4096;
        while (capacity - b->length < n) capacity *= 2;
        char *bytes = th_realloc(b->bytes, capacity, 1);
        if (!bytes) return NULL;
        b->bytes = bytes;
        b->capacity = capacity;
    }
    b->length += n;
    return b->bytes + b->length - n;
}

/* NULL when out of memory. */
static th_tar_reader *reader_new(const char *name, const th_tar_params *params) {
    th_tar_reader *r = th_alloc(1, sizeof *r);
    if (!r) return NULL;
    if (params)
        r->params = *params;
    else
        th_tar_params_init(&r->params);
    r->name = th_strdup(name);
    r->archive = r->name ? th_tar_archive(true) : NULL;
    if (r->archive) return r;
    th_tar_close(r);
    return NULL;
}

void th_tar_close(th_tar_reader *r) {
    if (!r) return;
    if (r->archive) archive_read_free(r->archive);
    th_free(r->name);
    th_free(r->names.bytes);
    th_free(r->data.bytes);
    th_free(r->parts);
    th_free(r->files);
    th_free(r);
}

static th_status opened(th_tar_reader *r, int code, th_tar_reader **out) {
    if (code == ARCHIVE_OK) return *out = r, TH_OK;
    th_status s = th_tar_fail(r->archive, r->name);
    th_tar_close(r);
    return s;
}

th_status th_tar_open(const char *path, const th_tar_params *params, th_tar_reader **out) {
    th_mapping m; /* for the messages of a missing file, a folder and an empty one */
    TH_TRY(th_file_map(path, &m));
    size_t length = m.length;
    th_file_unmap(&m);
    if (!length) return th_fail(TH_E_INPUT, "%s: is empty, a tar archive is wanted", path);
    th_tar_reader *r = reader_new(path, params);
    if (!r) return th_fail_memory();
    return opened(r, archive_read_open_filename(r->archive, path, BLOCK), out);
}

th_status th_tar_open_memory(const void *bytes, size_t n, const char *name, const th_tar_params *params,
                             th_tar_reader **out) {
    if (!n) return th_fail(TH_E_INPUT, "%s: is empty, a tar archive is wanted", name);
    th_tar_reader *r = reader_new(name, params);
    if (!r) return th_fail_memory();
    return opened(r, archive_read_open_memory(r->archive, bytes, n), out);
}

static th_status read_data(th_tar_reader *r, char *to, size_t n) {
    for (size_t have = 0; have < n;) {
        la_ssize_t got = archive_read_data(r->archive, to + have, n - have);
        if (got < 0 && got != ARCHIVE_WARN) return th_tar_fail(r->archive, r->name);
        if (got <= 0) {
            char shown[TH_TAR_NAME_SHOWN];
            th_tar_show(r->header.path, shown);
            return th_fail(TH_E_INPUT, "%s: '%s' ends early", r->name, shown);
        }
        have += (size_t)got;
    }
    return TH_OK;
}

/* The lower-cased extension goes to the names. */
static th_status add_name(th_tar_reader *r, part *p) {
    const char *extension = r->header.path + r->header.key_length + 1;
    size_t n = strlen(extension) + 1;
    p->extension = r->names.length;
    char *copy = buffer_extend(&r->names, n);
    if (!copy) return th_fail_memory();
    for (size_t i = 0; i < n; i++) copy[i] = (char)tolower((unsigned char)extension[i]);
    for (int64_t i = 0; i < r->count; i++)
        if (!strcmp(r->names.bytes + r->parts[i].extension, copy)) {
            char shown[TH_TAR_NAME_SHOWN];
            th_tar_show(r->header.path, shown);
            return th_fail(TH_E_INPUT, "%s: '%s' is there twice in one sample", r->name, shown);
        }
    return TH_OK;
}

/* Reads the file whose header is pending into the current sample. */
static th_status add_file(th_tar_reader *r) {
    if (r->count == r->params.sample_files_max)
        return th_fail(TH_E_INPUT, "%s: the sample '%.100s' has more than %d files", r->name, r->names.bytes,
                       r->params.sample_files_max);
    part p = {.data = r->data.length, .size = (size_t)r->header.size};
    TH_TRY(add_name(r, &p));
    /* A byte more than the data, so that text can be used as a string. */
    char *to = buffer_extend(&r->data, p.size + 1);
    if (!to || !th_grow(r->parts, r->count, r->capacity)) return th_fail_memory();
    TH_TRY(read_data(r, to, p.size));
    to[p.size] = '\0';
    r->parts[r->count++] = p;
    r->pending = false;
    return TH_OK;
}

static th_status advance(th_tar_reader *r) {
    bool more;
    TH_TRY(th_tar_advance(r->archive, r->name, &r->params, &r->header, &more));
    r->pending = more;
    r->ended = !more;
    return TH_OK;
}

static th_status start_sample(th_tar_reader *r) {
    r->names.length = r->data.length = 0;
    r->count = 0;
    char *key = buffer_extend(&r->names, r->header.key_length + 1);
    if (!key) return th_fail_memory();
    memcpy(key, r->header.path, r->header.key_length);
    key[r->header.key_length] = '\0';
    return TH_OK;
}

static bool same_sample(const th_tar_reader *r) {
    return strlen(r->names.bytes) == r->header.key_length &&
           !memcmp(r->names.bytes, r->header.path, r->header.key_length);
}

static th_status finish_sample(th_tar_reader *r, th_tar_sample *out) {
    while (r->files_capacity < r->count)
        if (!th_grow_array((void **)&r->files, &r->files_capacity, sizeof *r->files)) return th_fail_memory();
    for (int64_t i = 0; i < r->count; i++) {
        const part *p = &r->parts[i];
        r->files[i] = (th_tar_file){r->names.bytes + p->extension, r->data.bytes + p->data, p->size};
    }
    *out = (th_tar_sample){r->names.bytes, r->files, (int)r->count};
    return TH_OK;
}

th_status th_tar_next(th_tar_reader *r, th_tar_sample *out, bool *more) {
    *more = false;
    if (!r->pending && !r->ended) TH_TRY(advance(r));
    if (r->ended) return TH_OK;
    TH_TRY(start_sample(r));
    while (r->pending && same_sample(r)) {
        TH_TRY(add_file(r));
        TH_TRY(advance(r));
    }
    TH_TRY(finish_sample(r, out));
    *more = true;
    return TH_OK;
}
