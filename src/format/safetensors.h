/* Safetensors (https://huggingface.co/docs/safetensors): 8 bytes header length, a JSON header, the tensors' bytes.
 * Reading maps the files and checks everything before any tensor is handed out; writing streams. */
#ifndef TH_FORMAT_SAFETENSORS_H
#define TH_FORMAT_SAFETENSORS_H

#include "base/status.h"

/* name in the file, bytes an element */
#define TH_ST_DTYPE_TABLE(X) \
    X(F64, 8)                \
    X(F32, 4)                \
    X(F16, 2)                \
    X(BF16, 2)               \
    X(F8_E4M3, 1)            \
    X(F8_E5M2, 1)            \
    X(I64, 8)                \
    X(I32, 4)                \
    X(I16, 2)                \
    X(I8, 1)                 \
    X(U64, 8)                \
    X(U32, 4)                \
    X(U16, 2)                \
    X(U8, 1)                 \
    X(BOOL, 1)

typedef enum {
#define TH_ST_ENUM(name, bytes) TH_ST_##name,
    TH_ST_DTYPE_TABLE(TH_ST_ENUM)
#undef TH_ST_ENUM
        TH_ST_DTYPE_COUNT
} th_st_dtype;

const char *th_st_dtype_name(th_st_dtype d);
size_t th_st_dtype_bytes(th_st_dtype d);
/* "F16" and the like; false when unknown. */
bool th_st_dtype_parse(const char *name, th_st_dtype *out);

#define TH_ST_RANK_MAX 8

/* A tensor of an open file. All pointers live as long as the th_safetensors it came from. The data may lie at any
 * address: files with a header of odd length are valid. */
typedef struct {
    const char *name;
    const char *file;
    th_st_dtype dtype;
    int rank; /* 0: a scalar */
    int64_t shape[TH_ST_RANK_MAX];
    int64_t count; /* product of shape */
    const void *data;
    size_t bytes;
} th_st_tensor;

/* One file, or the shards of a folder, seen as one set of named tensors, read-only and safe to share by threads. The
 * data is file-backed memory: whoever truncates a file while it is open ends the process by SIGBUS. */
typedef struct th_safetensors th_safetensors;

/* path: a .safetensors file, a shard index (….json), or a folder. In a folder the stems "model",
 * "diffusion_pytorch_model", "open_clip_model" and "open_clip_pytorch_model" are tried, each as STEM.safetensors and
 * then as STEM.safetensors.index.json with its shards. variant ("fp16", or NULL) asks for STEM.fp16.safetensors or
 * STEM.safetensors.index.fp16.json. Shards lie beside the index: other paths are refused. */
th_status th_safetensors_open(const char *path, const char *variant, th_safetensors **out);
/* The same from memory, which must outlive *out; name is for errors. */
th_status th_safetensors_parse(const char *name, const void *bytes, size_t length, th_safetensors **out);
void th_safetensors_close(th_safetensors *s);

int64_t th_safetensors_count(const th_safetensors *s);
/* i-th tensor: files in order of their names, within a file in order of the data. */
const th_st_tensor *th_safetensors_at(const th_safetensors *s, int64_t i);
/* NULL when there is none of that name. */
const th_st_tensor *th_safetensors_find(const th_safetensors *s, const char *name);
/* Finds a tensor of this very shape: else TH_E_INPUT "FILE: tensor 'n' is [2, 3], [3, 2] is wanted", or "… is missing".
 */
th_status th_safetensors_want(const th_safetensors *s, const char *name, int rank, const int64_t *shape,
                              const th_st_tensor **out);
/* A value of __metadata__ (the first file's that has the key), or NULL. */
const char *th_safetensors_metadata(const th_safetensors *s, const char *key);
/* The i-th entry of all files' metadata; false past the end. */
bool th_safetensors_metadata_at(const th_safetensors *s, int64_t i, const char **key, const char **value);

/* Elements first … first+n−1 as f32, from F64, F32, F16 or BF16; other types are TH_E_INPUT. */
th_status th_st_to_f32(const th_st_tensor *t, int64_t first, int64_t n, float *out);
/* The same as integers, from I64, I32, I16, I8, U32, U16, U8 or BOOL. */
th_status th_st_to_i64(const th_st_tensor *t, int64_t first, int64_t n, int64_t *out);
/* "[768, 512]" */
#define TH_ST_SHAPE_TEXT 192
const char *th_st_shape_text(char out[TH_ST_SHAPE_TEXT], int rank, const int64_t *shape);

/* Writing. Declare every tensor, begin, then hand over the bytes of each in the order that `next` names them:
 *
 *     th_safetensors_writer_new("model.safetensors", 0, &w);
 *     for (each tensor) th_safetensors_declare(w, name, TH_ST_F16, rank, shape);
 *     th_safetensors_begin(w);
 *     for (const th_st_tensor *t; (t = th_safetensors_next(w));) th_safetensors_add_f32(w, data_of(t->name), t->count);
 *     status = th_safetensors_commit(w);
 *
 * The first error sticks, makes `next` return NULL, and is what commit returns. Until commit the files have temporary
 * names, so a model that was there before stays whole. */
typedef struct th_safetensors_writer th_safetensors_writer;

/* path ends in .safetensors. Beyond shard_max bytes (0: no limit) of data the model is split into
 * STEM-00001-of-0000N.safetensors and PATH.index.json. */
th_status th_safetensors_writer_new(const char *path, int64_t shard_max, th_safetensors_writer **out);
void th_safetensors_declare(th_safetensors_writer *w, const char *name, th_st_dtype dtype, int rank,
                            const int64_t *shape);
/* Adds to __metadata__, which has {"format": "pt"} from the start. */
void th_safetensors_note(th_safetensors_writer *w, const char *key, const char *value);
th_status th_safetensors_begin(th_safetensors_writer *w);
/* The next tensor to be written (its data is NULL), or NULL after the last one. The order is that of the official
 * library: wider dtypes first, then by name, so that data is aligned to its type. */
const th_st_tensor *th_safetensors_next(th_safetensors_writer *w);
/* Bytes of the current tensor, in as many pieces as you like. */
void th_safetensors_add(th_safetensors_writer *w, const void *bytes, size_t n);
/* n elements, converted to the current tensor's type: F32, F16 or BF16. A finite value beyond half precision's range is
 * TH_E_INPUT: an infinity in its place would break the model silently. */
void th_safetensors_add_f32(th_safetensors_writer *w, const float *values, int64_t n);
/* Completes and renames all files, and removes the index or the single file that an earlier save in the other layout
 * left under this name. Frees w. */
th_status th_safetensors_commit(th_safetensors_writer *w);
void th_safetensors_abort(th_safetensors_writer *w); /* frees w; NULL is allowed */

#endif
