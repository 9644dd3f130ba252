/* Files by way of POSIX. */
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"

static th_status open_regular(const char *path, int *fd, size_t *length) {
    *fd = open(path, O_RDONLY | O_CLOEXEC);
    if (*fd < 0) return th_fail_errno(path, "open it");
    struct stat st;
    th_status s = TH_OK;
    if (fstat(*fd, &st) != 0)
        s = th_fail_errno(path, "stat it");
    else if (S_ISDIR(st.st_mode))
        s = th_fail(TH_E_INPUT, "%s: is a folder, a file is wanted", path);
    else if (!S_ISREG(st.st_mode))
        s = th_fail(TH_E_INPUT, "%s: is not a regular file", path);
    if (s != TH_OK) return close(*fd), s;
    *length = (size_t)st.st_size;
    return TH_OK;
}

th_status th_file_read(const char *path, size_t max, th_bytes *out) {
    *out = (th_bytes){0};
    int fd;
    size_t length = 0;
    TH_TRY(open_regular(path, &fd, &length));
    th_status s = TH_OK;
    char *data = NULL;
    if (length > max)
        s = th_fail(TH_E_INPUT, "%s: is %zu bytes long, at most %zu are allowed", path, length, max);
    else if (!(data = th_alloc(length + 1, 1)))
        s = th_fail_memory();
    for (size_t have = 0; s == TH_OK && have < length;) {
        ssize_t n = read(fd, data + have, length - have);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0)
            s = th_fail_errno(path, "read it");
        else if (n == 0)
            s = th_fail(TH_E_INPUT, "%s: ended at byte %zu of %zu while being read", path, have, length);
        else
            have += (size_t)n;
    }
    close(fd);
    if (s != TH_OK) return th_free(data), s;
    *out = (th_bytes){data, length};
    return TH_OK;
}

th_status th_file_map(const char *path, th_mapping *out) {
    *out = (th_mapping){0};
    int fd;
    size_t length = 0;
    TH_TRY(open_regular(path, &fd, &length));
    th_status s = TH_OK;
    if (length) {
        void *p = mmap(NULL, length, PROT_READ, MAP_PRIVATE, fd, 0);
        if (p == MAP_FAILED)
            s = th_fail_errno(path, "map it");
        else
            *out = (th_mapping){p, length};
    }
    close(fd);
    return s;
}

void th_file_unmap(th_mapping *m) {
    if (m->data) munmap((void *)m->data, m->length);
    *m = (th_mapping){0};
}

struct th_writer {
    char *path, *part;
    FILE *file;
    th_status status;
};

static void writer_free(th_writer *w) {
    if (w->file) fclose(w->file);
    th_free(w->path);
    th_free(w->part);
    th_free(w);
}

th_status th_writer_open(const char *path, th_writer **out) {
    th_writer *w = th_alloc(1, sizeof *w);
    if (!w) return th_fail_memory();
    size_t n = strlen(path);
    w->path = th_strdup(path);
    w->part = th_alloc(n + 5, 1);
    if (!w->path || !w->part) return writer_free(w), th_fail_memory();
    memcpy(w->part, path, n);
    memcpy(w->part + n, ".tmp", 5);
    w->file = fopen(w->part, "wbe");
    if (!w->file) {
        th_status s = th_fail_errno(path, "write it");
        writer_free(w);
        return s;
    }
    *out = w;
    return TH_OK;
}

void th_writer_add(th_writer *w, const void *bytes, size_t n) {
    if (w->status == TH_OK && n && fwrite(bytes, 1, n, w->file) != n) w->status = th_fail_errno(w->path, "write it");
}

void th_writer_abort(th_writer *w) {
    if (!w) return;
    unlink(w->part);
    writer_free(w);
}

th_status th_writer_commit(th_writer *w) {
    if (w->status == TH_OK && (fflush(w->file) != 0 || fsync(fileno(w->file)) != 0))
        w->status = th_fail_errno(w->path, "write it");
    if (fclose(w->file) != 0 && w->status == TH_OK) w->status = th_fail_errno(w->path, "write it");
    w->file = NULL;
    if (w->status == TH_OK && rename(w->part, w->path) != 0)
        w->status = th_fail_errno(w->path, "rename the new file to it");
    th_status s = w->status;
    if (s != TH_OK) unlink(w->part);
    writer_free(w);
    return s;
}

th_status th_file_write(const char *path, const void *bytes, size_t n) {
    th_writer *w;
    TH_TRY(th_writer_open(path, &w));
    th_writer_add(w, bytes, n);
    return th_writer_commit(w);
}

static th_status make_dirs(char *path) {
    for (char *p = path + 1;; p++) {
        if (*p != '/' && *p != '\0') continue;
        char c = *p;
        *p = '\0';
        bool made = mkdir(path, 0777) == 0 || (errno == EEXIST && th_path_is_dir(path));
        th_status s = made ? TH_OK : th_fail_errno(path, "make the folder");
        *p = c;
        if (s != TH_OK || c == '\0') return s;
    }
}

th_status th_make_dirs(const char *path) {
    if (!*path) return TH_OK;
    char *copy = th_strdup(path);
    if (!copy) return th_fail_memory();
    th_status s = make_dirs(copy);
    th_free(copy);
    return s;
}

th_status th_make_parents(const char *path) {
    const char *base = th_path_base(path);
    if (base == path) return TH_OK;
    char *copy = th_strndup(path, (size_t)(base - path - 1));
    if (!copy) return th_fail_memory();
    th_status s = *copy ? make_dirs(copy) : TH_OK;
    th_free(copy);
    return s;
}

bool th_path_exists(const char *path) { return access(path, F_OK) == 0; }

bool th_path_is_dir(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw) {
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

th_status th_remove_tree(const char *path) {
    if (!th_path_exists(path)) return TH_OK;
    return nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS) == 0 ? TH_OK : th_fail_errno(path, "remove it");
}

th_status th_path_join(char *out, const char *a, const char *b) {
    size_t n = strlen(a);
    const char *slash = n == 0 || a[n - 1] == '/' ? "" : "/";
    if (snprintf(out, TH_PATH_MAX, "%s%s%s", a, slash, b) >= TH_PATH_MAX)
        return th_fail(TH_E_INPUT, "%.200s…: the path is too long", a);
    return TH_OK;
}

const char *th_path_base(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

bool th_path_ends(const char *path, const char *suffix) {
    size_t n = strlen(path), m = strlen(suffix);
    return n >= m && strcasecmp(path + n - m, suffix) == 0;
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

th_status th_list_dir(const char *path, th_names *out) {
    *out = (th_names){0};
    DIR *dir = opendir(path);
    if (!dir) return th_fail_errno(path, "list it");
    th_status s = TH_OK;
    struct dirent *e;
    while (s == TH_OK && (errno = 0, e = readdir(dir))) {
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..")) continue;
        char *name = th_strdup(e->d_name);
        if (!name || !th_grow(out->names, out->count, out->capacity)) {
            th_free(name);
            s = th_fail_memory();
        } else {
            out->names[out->count++] = name;
        }
    }
    closedir(dir);
    if (s != TH_OK) return th_names_free(out), s;
    if (out->count) qsort(out->names, (size_t)out->count, sizeof *out->names, by_name);
    return TH_OK;
}

void th_names_free(th_names *n) {
    for (int64_t i = 0; i < n->count; i++) th_free(n->names[i]);
    th_free(n->names);
    *n = (th_names){0};
}
