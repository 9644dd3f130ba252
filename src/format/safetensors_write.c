/* Writing safetensors: all sizes are known before the first byte, so headers and shards are laid out at once and the
 * data passes straight through. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/half.h"
#include "base/map.h"
#include "base/memory.h"
#include "format/json.h"
#include "format/safetensors.h"

#define HEADER_MAX 100000000
#define SHARDS_MAX 500 /* each holds a file open until commit */
#define BLOCK 4096     /* elements converted at a time */

typedef struct {
    char *path; /* in the arena */
    int64_t first, end;
    th_writer *file;
} shard;

struct th_safetensors_writer {
    th_arena *arena;
    char *path;
    int64_t shard_max;
    th_st_tensor *tensors;
    int64_t count, capacity;
    th_map *names;
    json_t *notes;
    shard *shards;
    int64_t n_shards, cap_shards;
    bool begun;
    int64_t current; /* the tensor being written; −1 before the first */
    size_t left;     /* its bytes still to come */
    int64_t at;      /* the shard it goes to */
    th_status status;
    char message[TH_MESSAGE_MAX];
};

static th_status stick(th_safetensors_writer *w, th_status s) {
    if (w->status == TH_OK && s != TH_OK) {
        w->status = s;
        snprintf(w->message, sizeof w->message, "%s", th_error_message());
    }
    return s;
}

th_status th_safetensors_writer_new(const char *path, int64_t shard_max, th_safetensors_writer **out) {
    *out = NULL;
    if (!th_path_ends(path, ".safetensors"))
        return th_fail(TH_E_USAGE, "%s: the name should end in .safetensors", path);
    if (shard_max < 0) return th_fail(TH_E_USAGE, "%s: a shard's size cannot be below zero", path);
    th_safetensors_writer *w = th_alloc(1, sizeof *w);
    if (!w) return th_fail_memory();
    w->arena = th_arena_new();
    w->names = th_map_new();
    w->notes = json_object();
    w->path = w->arena ? th_arena_strdup(w->arena, path) : NULL;
    w->shard_max = shard_max ? shard_max : INT64_MAX;
    w->current = -1;
    if (!w->path || !w->names || json_object_set_new(w->notes, "format", json_string("pt")) != 0)
        return th_safetensors_abort(w), th_fail_memory();
    *out = w;
    return TH_OK;
}

static th_status declare(th_safetensors_writer *w, const char *name, th_st_dtype dtype, int rank,
                         const int64_t *shape) {
    if (w->begun) return th_fail(TH_E_USAGE, "%s: tensor '%s' is declared after begin", w->path, name);
    if (rank < 0 || rank > TH_ST_RANK_MAX || th_st_dtype_bytes(dtype) == 0 || !strcmp(name, "__metadata__"))
        return th_fail(TH_E_USAGE, "%s: tensor '%s' cannot be written: its name, type or rank is wrong", w->path, name);
    if (th_map_get(w->names, name, strlen(name), 0))
        return th_fail(TH_E_USAGE, "%s: tensor '%s' is declared twice", w->path, name);
    th_st_tensor t = {.dtype = dtype, .rank = rank, .count = 1, .file = w->path};
    bool over = false;
    for (int i = 0; i < rank; i++) {
        t.shape[i] = shape[i];
        over |= shape[i] < 0 || __builtin_mul_overflow(t.count, shape[i], &t.count);
    }
    int64_t bytes;
    if (over || __builtin_mul_overflow(t.count, (int64_t)th_st_dtype_bytes(dtype), &bytes))
        return th_fail(TH_E_USAGE, "%s: tensor '%s' has an impossible shape", w->path, name);
    t.bytes = (size_t)bytes;
    t.name = th_arena_strdup(w->arena, name);
    if (!t.name || !th_grow(w->tensors, w->count, w->capacity)) return th_fail_memory();
    TH_TRY(th_map_set(w->names, name, strlen(name), 1));
    w->tensors[w->count++] = t;
    return TH_OK;
}

void th_safetensors_declare(th_safetensors_writer *w, const char *name, th_st_dtype dtype, int rank,
                            const int64_t *shape) {
    if (w->status == TH_OK) stick(w, declare(w, name, dtype, rank, shape));
}

void th_safetensors_note(th_safetensors_writer *w, const char *key, const char *value) {
    if (w->status != TH_OK) return;
    json_t *text = json_string(value);
    if (!text)
        stick(w, th_fail(TH_E_USAGE, "%s: the metadata '%s' is not UTF-8", w->path, key));
    else if (json_object_set_new(w->notes, key, text) != 0)
        stick(w, th_fail_memory());
}

static int by_width_and_name(const void *a, const void *b) {
    const th_st_tensor *s = a, *t = b;
    size_t p = th_st_dtype_bytes(s->dtype), q = th_st_dtype_bytes(t->dtype);
    return p != q ? (p > q ? -1 : 1) : strcmp(s->name, t->name);
}

/* Cuts the tensors into runs of at most shard_max bytes; a larger tensor stands alone. */
static th_status cut_shards(th_safetensors_writer *w) {
    int64_t bytes = 0;
    for (int64_t i = 0; i < w->count || i == 0; i++) {
        int64_t n = w->count ? (int64_t)w->tensors[i].bytes : 0;
        bool full = w->n_shards && bytes > 0 && n > w->shard_max - bytes;
        if (w->n_shards == 0 || full) {
            if (!th_grow(w->shards, w->n_shards, w->cap_shards)) return th_fail_memory();
            w->shards[w->n_shards++] = (shard){.first = i, .end = i};
            bytes = 0;
        }
        if (__builtin_add_overflow(bytes, n, &bytes)) return th_fail(TH_E_USAGE, "%s: would be too large", w->path);
        if (w->count) w->shards[w->n_shards - 1].end = i + 1;
    }
    if (w->n_shards > SHARDS_MAX)
        return th_fail(TH_E_USAGE, "%s: would become %lld shards, at most %d are allowed: take larger ones", w->path,
                       (long long)w->n_shards, SHARDS_MAX);
    int stem = (int)(strlen(w->path) - strlen(".safetensors"));
    for (int64_t i = 0; i < w->n_shards; i++) {
        w->shards[i].path = w->n_shards == 1 ? w->path
                                             : th_arena_printf(w->arena, "%.*s-%05lld-of-%05lld.safetensors", stem,
                                                               w->path, (long long)i + 1, (long long)w->n_shards);
        if (!w->shards[i].path) return th_fail_memory();
    }
    return TH_OK;
}

/* json_pack's errors are lack of memory, or a name that is not UTF-8. */
static json_t *describe(const th_st_tensor *t, int64_t begin) {
    json_t *shape = json_array();
    for (int i = 0; i < t->rank; i++) json_array_append_new(shape, json_integer(t->shape[i]));
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype", th_st_dtype_name(t->dtype), "shape", shape, "data_offsets",
                     (json_int_t)begin, (json_int_t)(begin + (int64_t)t->bytes));
}

static th_status header_text(const th_safetensors_writer *w, const shard *s, th_str *out) {
    json_t *root = json_object();
    bool ok = json_object_set(root, "__metadata__", w->notes) == 0;
    int64_t begin = 0;
    for (int64_t i = s->first; ok && i < s->end; i++) {
        ok = json_object_set_new(root, w->tensors[i].name, describe(&w->tensors[i], begin)) == 0;
        if (!ok)
            th_fail(TH_E_USAGE, "%s: tensor '%s': out of memory, or the name is not UTF-8", s->path,
                    w->tensors[i].name);
        begin += (int64_t)w->tensors[i].bytes;
    }
    th_status status = ok ? th_json_text(root, 0, out) : TH_E_USAGE;
    json_decref(root);
    if (status == TH_OK) th_str_add(out, "       ", -out->length % 8); /* the data starts at a multiple of 8 */
    return status == TH_OK ? th_str_status(out) : status;
}

static th_status open_shard(th_safetensors_writer *w, shard *s) {
    th_str header;
    th_str_init(&header, HEADER_MAX);
    th_status status;
    TH_GO(header_text(w, s, &header));
    TH_GO(th_writer_open(s->path, &s->file));
    uint8_t length[8];
    for (int i = 0; i < 8; i++) length[i] = (uint8_t)((uint64_t)header.length >> (8 * i));
    th_writer_add(s->file, length, sizeof length);
    th_writer_add(s->file, header.data, header.length);
done:
    th_str_free(&header);
    return status;
}

static th_status begin(th_safetensors_writer *w) {
    if (w->begun) return th_fail(TH_E_USAGE, "%s: was begun already", w->path);
    w->begun = true;
    if (w->count) qsort(w->tensors, (size_t)w->count, sizeof *w->tensors, by_width_and_name);
    TH_TRY(cut_shards(w));
    for (int64_t i = 0; i < w->n_shards; i++) TH_TRY(open_shard(w, &w->shards[i]));
    return TH_OK;
}

th_status th_safetensors_begin(th_safetensors_writer *w) {
    if (w->status == TH_OK) stick(w, begin(w));
    return w->status;
}

static th_status check_filled(const th_safetensors_writer *w) {
    if (w->left == 0) return TH_OK;
    return th_fail(TH_E_USAGE, "%s: tensor '%s' lacks %zu of its %zu bytes", w->path, w->tensors[w->current].name,
                   w->left, w->tensors[w->current].bytes);
}

const th_st_tensor *th_safetensors_next(th_safetensors_writer *w) {
    if (w->status != TH_OK || !w->begun || stick(w, check_filled(w)) != TH_OK) return NULL;
    if (w->current + 1 >= w->count) return NULL;
    const th_st_tensor *t = &w->tensors[++w->current];
    w->left = t->bytes;
    while (w->shards[w->at].end <= w->current) w->at++;
    return t;
}

void th_safetensors_add(th_safetensors_writer *w, const void *bytes, size_t n) {
    if (w->status != TH_OK || n == 0) return;
    if (w->current < 0) {
        stick(w, th_fail(TH_E_USAGE, "%s: bytes before the first tensor", w->path));
    } else if (n > w->left) {
        stick(w, th_fail(TH_E_USAGE, "%s: tensor '%s' gets more bytes than its shape holds", w->path,
                         w->tensors[w->current].name));
    } else {
        th_writer_add(w->shards[w->at].file, bytes, n);
        w->left -= n;
    }
}

/* Index of the first value that is finite and rounds to infinity in half precision, or n. */
static int64_t first_beyond_f16(const float *values, int64_t n) {
    int64_t beyond = 0;
    for (int64_t i = 0; i < n; i++) beyond += fabsf(values[i]) >= 65520.0f && fabsf(values[i]) < INFINITY;
    if (!beyond) return n;
    for (int64_t i = 0; i < n; i++)
        if (fabsf(values[i]) >= 65520.0f && fabsf(values[i]) < INFINITY) return i;
    return n;
}

static void add_f16(th_safetensors_writer *w, const float *values, int64_t n) {
    uint16_t block[BLOCK];
    int64_t bad = first_beyond_f16(values, n);
    if (bad < n) {
        stick(w, th_fail(TH_E_INPUT, "%s: tensor '%s' holds %g, beyond half precision's %g: save it as F32 or BF16",
                         w->path, w->tensors[w->current].name, (double)values[bad], (double)TH_F16_MAX));
        return;
    }
    for (int64_t i = 0; i < n; i++) block[i] = th_f32_to_f16(values[i]);
    th_safetensors_add(w, block, (size_t)n * 2);
}

static void add_bf16(th_safetensors_writer *w, const float *values, int64_t n) {
    uint16_t block[BLOCK];
    for (int64_t i = 0; i < n; i++) block[i] = th_f32_to_bf16(values[i]);
    th_safetensors_add(w, block, (size_t)n * 2);
}

void th_safetensors_add_f32(th_safetensors_writer *w, const float *values, int64_t n) {
    th_st_dtype d = w->current < 0 ? TH_ST_F32 : w->tensors[w->current].dtype;
    if (w->status != TH_OK) return;
    if (d != TH_ST_F32 && d != TH_ST_F16 && d != TH_ST_BF16) {
        stick(w, th_fail(TH_E_USAGE, "%s: tensor '%s' is %s and cannot be written from f32", w->path,
                         w->tensors[w->current].name, th_st_dtype_name(d)));
        return;
    }
    if (d == TH_ST_F32) {
        th_safetensors_add(w, values, (size_t)n * 4);
        return;
    }
    for (int64_t i = 0; i < n && w->status == TH_OK; i += BLOCK) {
        int64_t m = n - i < BLOCK ? n - i : BLOCK;
        if (d == TH_ST_F16)
            add_f16(w, values + i, m);
        else
            add_bf16(w, values + i, m);
    }
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const th_st_tensor *)a)->name, ((const th_st_tensor *)b)->name);
}

/* {"metadata": {"total_size": …}, "weight_map": {name: file}}. Sorts the tensors by name: they are written by now. */
static th_status write_index(th_safetensors_writer *w) {
    json_t *map = json_object();
    int64_t total = 0;
    for (int64_t i = 0; i < w->n_shards; i++)
        for (int64_t k = w->shards[i].first; k < w->shards[i].end; k++)
            w->tensors[k].file = w->shards[i].path, total += (int64_t)w->tensors[k].bytes;
    qsort(w->tensors, (size_t)w->count, sizeof *w->tensors, by_name);
    bool ok = map != NULL;
    for (int64_t i = 0; ok && i < w->count; i++)
        ok = json_object_set_new(map, w->tensors[i].name, json_string(th_path_base(w->tensors[i].file))) == 0;
    char path[TH_PATH_MAX];
    json_t *root = json_pack("{s:{s:I}, s:o}", "metadata", "total_size", (json_int_t)total, "weight_map", map);
    th_status s = ok && root ? TH_OK : th_fail_memory();
    if (s == TH_OK && snprintf(path, sizeof path, "%s.index.json", w->path) >= (int)sizeof path)
        s = th_fail(TH_E_INPUT, "%.200s…: the path is too long", w->path);
    if (s == TH_OK) s = th_json_write(path, root);
    json_decref(root);
    return s;
}

/* "model-00002-of-00003.safetensors" for the stem "model". */
static bool is_shard_of(const char *name, const char *stem, size_t stem_length) {
    if (strncmp(name, stem, stem_length) != 0) return false;
    for (const char *p = "-ddddd-of-ddddd.safetensors", *q = name + stem_length;; p++, q++) {
        if (*p == 'd' ? *q < '0' || *q > '9' : *p != *q) return false;
        if (!*p) return true;
    }
}

static bool is_ours(const th_safetensors_writer *w, const char *name) {
    for (int64_t i = 0; i < w->n_shards; i++)
        if (!strcmp(th_path_base(w->shards[i].path), name)) return true;
    return false;
}

/* What an earlier save under the same name left: readers would take it for the model, or it would only fill the disk.
 * A file that cannot be removed is left alone. */
static void remove_stale(const th_safetensors_writer *w) {
    char path[TH_PATH_MAX], folder[TH_PATH_MAX];
    if (w->n_shards > 1)
        unlink(w->path);
    else if (snprintf(path, sizeof path, "%s.index.json", w->path) < (int)sizeof path)
        unlink(path);
    const char *base = th_path_base(w->path);
    snprintf(folder, sizeof folder, "%.*s", (int)(base - w->path), w->path);
    th_names names;
    if (th_list_dir(*folder ? folder : ".", &names) != TH_OK) return;
    size_t stem = strlen(base) - strlen(".safetensors");
    for (int64_t i = 0; i < names.count; i++)
        if (is_shard_of(names.names[i], base, stem) && !is_ours(w, names.names[i]) &&
            th_path_join(path, folder, names.names[i]) == TH_OK)
            unlink(path);
    th_names_free(&names);
}

static th_status check_complete(const th_safetensors_writer *w) {
    if (!w->begun) return th_fail(TH_E_USAGE, "%s: commit before begin", w->path);
    TH_TRY(check_filled(w));
    if (w->current + 1 < w->count)
        return th_fail(TH_E_USAGE, "%s: tensor '%s' was never written", w->path, w->tensors[w->current + 1].name);
    return TH_OK;
}

static th_status commit(th_safetensors_writer *w) {
    TH_TRY(check_complete(w));
    for (int64_t i = 0; i < w->n_shards; i++) {
        th_writer *file = w->shards[i].file;
        w->shards[i].file = NULL;
        TH_TRY(th_writer_commit(file));
    }
    if (w->n_shards > 1) TH_TRY(write_index(w));
    remove_stale(w);
    return TH_OK;
}

th_status th_safetensors_commit(th_safetensors_writer *w) {
    if (w->status == TH_OK) stick(w, commit(w));
    th_status s = w->status == TH_OK ? TH_OK : th_fail(w->status, "%s", w->message);
    th_safetensors_abort(w);
    return s;
}

void th_safetensors_abort(th_safetensors_writer *w) {
    if (!w) return;
    for (int64_t i = 0; i < w->n_shards; i++) th_writer_abort(w->shards[i].file);
    th_free(w->shards);
    th_free(w->tensors);
    th_map_free(w->names);
    th_arena_free(w->arena);
    json_decref(w->notes);
    th_free(w);
}
