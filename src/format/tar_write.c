/* Writing WebDataset shards by way of libarchive: ustar headers, pax ones only for long or non-ASCII names. */
#include <locale.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "format/tar_archive.h"

#define HEADER 512 /* bytes; data are padded to a multiple of it */

struct th_tar_writer {
    char *prefix;
    int64_t samples_max, bytes_max;
    int64_t shards;         /* complete ones */
    int64_t samples, bytes; /* in the open one */
    struct archive *archive;
    locale_t c_locale;
    th_writer *file;  /* NULL: no shard is open */
    th_status failed; /* the first error; nothing is written after it */
    char path[TH_PATH_MAX];
};

void th_tar_writer_params_init(th_tar_writer_params *p, const char *prefix) {
    *p = (th_tar_writer_params){.prefix = prefix, .samples_max = 10000, .bytes_max = (int64_t)1 << 30};
}

th_status th_tar_writer_open(const th_tar_writer_params *params, th_tar_writer **out) {
    if (params->samples_max < 1 || params->bytes_max < 1)
        return th_fail(TH_E_USAGE, "shards: at least one sample and one byte must fit into each");
    th_tar_writer *w = th_alloc(1, sizeof *w);
    if (!w) return th_fail_memory();
    w->prefix = th_strdup(params->prefix);
    w->samples_max = params->samples_max;
    w->bytes_max = params->bytes_max;
    w->c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (!w->prefix || !w->c_locale) return th_tar_writer_abort(w), th_fail_memory();
    *out = w;
    return TH_OK;
}

void th_tar_writer_abort(th_tar_writer *w) {
    if (!w) return;
    if (w->archive) archive_write_free(w->archive); /* still writes to the file, so before it goes */
    th_writer_abort(w->file);
    if (w->c_locale) freelocale(w->c_locale);
    th_free(w->prefix);
    th_free(w);
}

/* The file's own writer keeps the first error and tells it on commit. */
static la_ssize_t write_bytes(struct archive *a, void *writer, const void *bytes, size_t n) {
    (void)a;
    th_writer_add(((th_tar_writer *)writer)->file, bytes, n);
    return (la_ssize_t)n;
}

static th_status start_shard(th_tar_writer *w) {
    int n = snprintf(w->path, sizeof w->path, "%s-%06lld.tar", w->prefix, (long long)w->shards);
    if (n < 0 || (size_t)n >= sizeof w->path) return th_fail(TH_E_INPUT, "%.200s…: the path is too long", w->prefix);
    w->samples = w->bytes = 0;
    w->archive = archive_write_new();
    if (!w->archive) return th_fail_memory();
    if (archive_write_set_format_pax_restricted(w->archive) != ARCHIVE_OK) return th_tar_fail(w->archive, w->path);
    TH_TRY(th_writer_open(w->path, &w->file));
    if (archive_write_open(w->archive, w, NULL, write_bytes, NULL) != ARCHIVE_OK)
        return th_tar_fail(w->archive, w->path);
    return TH_OK;
}

static th_status finish_shard(th_tar_writer *w) {
    if (!w->file) return TH_OK;
    if (archive_write_close(w->archive) != ARCHIVE_OK) return th_tar_fail(w->archive, w->path);
    archive_write_free(w->archive);
    w->archive = NULL;
    th_writer *file = w->file;
    w->file = NULL;
    TH_TRY(th_writer_commit(file));
    w->shards++;
    return TH_OK;
}

/* Names that would come back as another sample, or not at all. */
static th_status check_names(const th_tar_sample *s) {
    const char *last = th_path_base(s->key);
    if (!*last || *s->key == '/' || strchr(last, '.'))
        return th_fail(TH_E_USAGE, "'%s' is no key for a sample: it must be relative, with a last part without dots",
                       s->key);
    for (int i = 0; i < s->count; i++) {
        const char *e = s->files[i].extension;
        if (!*e || strchr(e, '/')) return th_fail(TH_E_USAGE, "%s: '%s' is no extension for a file", s->key, e);
        for (const char *c = e; *c; c++)
            if (*c >= 'A' && *c <= 'Z') return th_fail(TH_E_USAGE, "%s: the extension '%s' has capitals", s->key, e);
        for (int k = 0; k < i; k++)
            if (!strcmp(e, s->files[k].extension)) return th_fail(TH_E_USAGE, "%s.%s is there twice", s->key, e);
    }
    return TH_OK;
}

static int64_t bytes_of(const th_tar_sample *s) {
    int64_t bytes = 0;
    for (int i = 0; i < s->count; i++) bytes += HEADER + ((int64_t)s->files[i].size + HEADER - 1) / HEADER * HEADER;
    return bytes;
}

static th_status write_file(th_tar_writer *w, struct archive_entry *e, const char *key, const th_tar_file *f) {
    char path[TH_PATH_MAX];
    int n = snprintf(path, sizeof path, "%s.%s", key, f->extension);
    if (n < 0 || (size_t)n >= sizeof path) return th_fail(TH_E_INPUT, "%s: '%.200s…': too long a name", w->path, key);
    archive_entry_clear(e);
    archive_entry_set_pathname(e, path);
    archive_entry_set_filetype(e, AE_IFREG);
    archive_entry_set_perm(e, 0644);
    archive_entry_set_size(e, (la_int64_t)f->size);
    archive_entry_set_mtime(e, 0, 0);
    archive_entry_set_uid(e, 0);
    archive_entry_set_gid(e, 0);
    /* How a name that is not ASCII is written depends on the locale. Asked to take all names as bytes, libarchive would
     * put a pax header of 1 KiB before every file; in the C locale it does before those only. */
    locale_t before = uselocale(w->c_locale);
    int code = archive_write_header(w->archive, e);
    uselocale(before);
    if (code != ARCHIVE_OK && code != ARCHIVE_WARN) return th_tar_fail(w->archive, w->path);
    if (f->size && archive_write_data(w->archive, f->data, f->size) != (la_ssize_t)f->size)
        return th_tar_fail(w->archive, w->path);
    return TH_OK;
}

static th_status write_sample(th_tar_writer *w, const th_tar_sample *s, int64_t bytes) {
    if (w->file && (w->samples >= w->samples_max || bytes > w->bytes_max - w->bytes)) TH_TRY(finish_shard(w));
    if (!w->file) TH_TRY(start_shard(w));
    struct archive_entry *e = archive_entry_new();
    if (!e) return th_fail_memory();
    th_status status = TH_OK;
    for (int i = 0; i < s->count && status == TH_OK; i++) status = write_file(w, e, s->key, &s->files[i]);
    archive_entry_free(e);
    w->samples++;
    w->bytes += bytes;
    return status;
}

th_status th_tar_writer_add(th_tar_writer *w, const th_tar_sample *s) {
    TH_TRY(check_names(s));
    if (w->failed == TH_OK) return w->failed = write_sample(w, s, bytes_of(s));
    return th_fail(w->failed, "%s: an earlier sample could not be written", w->path);
}

th_status th_tar_writer_close(th_tar_writer *w, int64_t *shards) {
    th_status s = w->failed;
    if (s == TH_OK)
        s = finish_shard(w);
    else
        th_fail(s, "%s: a sample could not be written, the shard is dropped", w->path);
    if (shards) *shards = w->shards;
    th_tar_writer_abort(w);
    return s;
}
