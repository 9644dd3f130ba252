/* What the reader, the index and the writer of tar archives share. The rest of the tree uses format/tar.h. */
#ifndef TH_FORMAT_TAR_ARCHIVE_H
#define TH_FORMAT_TAR_ARCHIVE_H

#include <archive.h>
#include <archive_entry.h>

#include "format/tar.h"

#define TH_TAR_NAME_SHOWN 128

/* A name from an archive, fit for a message of one line. */
void th_tar_show(const char *name, char out[TH_TAR_NAME_SHOWN]);

/* A libarchive reader for tar, and for gzip around it where packed is set. NULL when out of memory. */
struct archive *th_tar_archive(bool packed);

/* Raises what libarchive says, as an error of the archive `name`. */
th_status th_tar_fail(struct archive *a, const char *name);

/* Moves to the next file that belongs to a sample. path stays libarchive's; its first key_length bytes are the key, and
 * what follows the dot behind them is the extension, as written. *more is false at the end. */
typedef struct {
    const char *path;
    size_t key_length;
    int64_t size;
    bool sparse; /* has holes: its bytes do not lie side by side */
} th_tar_header;
th_status th_tar_advance(struct archive *a, const char *name, const th_tar_params *params, th_tar_header *out,
                         bool *more);

/* Whether the extension is in the list "jpg;png" at this place; moves on to the next one. */
bool th_tar_next_extension(const char **list, const char **one, size_t *length);

#endif
