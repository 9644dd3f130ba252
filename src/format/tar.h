/* WebDataset shards: tar archives in which the files of a sample follow each other and share a name up to its first dot
 * ("000/0017.jpg", "000/0017.txt"). Nothing is ever extracted to disk, so names are only names.
 *
 * A reader streams the samples of an archive in their order, plain or compressed with gzip. An index of a plain archive
 * says where each file lies, so that samples can be read in any order: the order of training is a function of the seed.
 *
 * The key is the path up to the first dot of its last part; the extension is the rest, in lower case. Files whose last
 * part begins with a dot or has none belong to no sample and are passed over, as are folders and links. */
#ifndef TH_FORMAT_TAR_H
#define TH_FORMAT_TAR_H

#include "base/status.h"

typedef struct {
    size_t entry_bytes_max; /* larger files are an error; 256 MiB */
    int sample_files_max;   /* as are samples of more files; 64 */
} th_tar_params;
void th_tar_params_init(th_tar_params *p);

typedef struct {
    const char *extension; /* "jpg", "seg.png" */
    const void *data;
    size_t size;
} th_tar_file;

typedef struct {
    const char *key;
    const th_tar_file *files;
    int count;
} th_tar_sample;

/* The first file that has one of these extensions, "jpg;jpeg;png", in their order; NULL if there is none. */
const th_tar_file *th_tar_find(const th_tar_sample *s, const char *extensions);

typedef struct th_tar_reader th_tar_reader;
th_status th_tar_open(const char *path, const th_tar_params *params, th_tar_reader **out);
/* The bytes must stay; name is for messages. */
th_status th_tar_open_memory(const void *bytes, size_t n, const char *name, const th_tar_params *params,
                             th_tar_reader **out);
/* The next sample, valid until the next call; *more is false at the end. After an error the reader can only be closed.
 */
th_status th_tar_next(th_tar_reader *r, th_tar_sample *out, bool *more);
void th_tar_close(th_tar_reader *r);

/* Where a file lies in an archive. */
typedef struct {
    const char *extension;
    int64_t offset, size; /* bytes */
} th_tar_place;

/* An index keeps its archive open, so there can be as many as the process may open files. Reading is safe from several
 * threads at once. */
typedef struct th_tar_index th_tar_index;
th_status th_tar_index_open(const char *path, const th_tar_params *params, th_tar_index **out);
void th_tar_index_close(th_tar_index *x);
int64_t th_tar_index_count(const th_tar_index *x); /* samples, in the archive's order */
const char *th_tar_index_key(const th_tar_index *x, int64_t sample);
/* The sample's files. */
const th_tar_place *th_tar_index_files(const th_tar_index *x, int64_t sample, int *count);
/* As th_tar_find. */
const th_tar_place *th_tar_index_find(const th_tar_index *x, int64_t sample, const char *extensions);
/* Reads place->size bytes into out. */
th_status th_tar_index_read(const th_tar_index *x, const th_tar_place *place, void *out);

/* Writing PREFIX-000000.tar, PREFIX-000001.tar, … Their bytes depend on the samples alone: no times, owners or modes of
 * this machine. A shard gets its name when it is complete. */
typedef struct {
    const char *prefix;
    int64_t samples_max; /* of a shard; 10,000 */
    int64_t bytes_max;   /* of a shard, headers counted, unless one sample is larger; 1 GiB */
} th_tar_writer_params;
void th_tar_writer_params_init(th_tar_writer_params *p, const char *prefix);

typedef struct th_tar_writer th_tar_writer;
th_status th_tar_writer_open(const th_tar_writer_params *params, th_tar_writer **out);
/* Wrong names are refused and change nothing; after any other error the shard is lost. */
th_status th_tar_writer_add(th_tar_writer *w, const th_tar_sample *sample);
/* Completes the last shard and frees w in any case; shards (may be NULL) gets their number. */
th_status th_tar_writer_close(th_tar_writer *w, int64_t *shards);
/* Frees w without the shard that is not complete; NULL is allowed. */
void th_tar_writer_abort(th_tar_writer *w);

#endif
