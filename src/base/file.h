/* Files: reading whole or mapped, writing so that a crash leaves the old file or the new one and never a half. */
#ifndef TH_BASE_FILE_H
#define TH_BASE_FILE_H

#include <stdio.h>

#include "base/status.h"

/* A file's bytes, followed by a NUL that is not counted. More than max bytes is TH_E_INPUT. Free data with th_free. */
typedef struct {
    char *data;
    size_t length;
} th_bytes;
th_status th_file_read(const char *path, size_t max, th_bytes *out);

/* A read-only mapping: file-backed, so it does not count as the process' own memory. */
typedef struct {
    const uint8_t *data;
    size_t length;
} th_mapping;
th_status th_file_map(const char *path, th_mapping *out);
void th_file_unmap(th_mapping *m);

/* A file under construction: bytes go to PATH.tmp; th_writer_commit syncs it and renames it to PATH; th_writer_abort
 * removes it. The first error sticks and is what commit returns. */
typedef struct th_writer th_writer;
th_status th_writer_open(const char *path, th_writer **out);
void th_writer_add(th_writer *w, const void *bytes, size_t n);
th_status th_writer_commit(th_writer *w); /* frees w */
void th_writer_abort(th_writer *w);       /* frees w; NULL is allowed */
th_status th_file_write(const char *path, const void *bytes, size_t n);

th_status th_make_dirs(const char *path);    /* with its parents; existing ones are fine */
th_status th_make_parents(const char *path); /* the folders above a file */
bool th_path_exists(const char *path);
bool th_path_is_dir(const char *path);
th_status th_remove_tree(const char *path);
/* a "/" b into out (of TH_PATH_MAX bytes); too long is TH_E_INPUT. */
#define TH_PATH_MAX 4096
th_status th_path_join(char *out, const char *a, const char *b);
/* The part after the last slash. */
const char *th_path_base(const char *path);
/* Whether path ends in suffix, letters compared without case. */
bool th_path_ends(const char *path, const char *suffix);

/* Names in a folder, sorted by bytes, without "." and "..". */
typedef struct {
    char **names;
    int64_t count, capacity;
} th_names;
th_status th_list_dir(const char *path, th_names *out);
void th_names_free(th_names *n);

#endif
