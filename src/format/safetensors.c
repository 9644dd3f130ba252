/* Reading safetensors: nothing of a file is believed until it was compared with the file's size. */
#include "format/safetensors.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/half.h"
#include "base/map.h"
#include "base/memory.h"
#include "format/json.h"

#define HEADER_MAX 100000000 /* as in the official library */
#define TENSORS_MAX ((int64_t)1 << 20)
#define SHARDS_MAX 4096

static const struct {
    const char *name;
    size_t bytes;
} dtypes[] = {
#define TH_ST_ROW(name, bytes) {#name, bytes},
    TH_ST_DTYPE_TABLE(TH_ST_ROW)
#undef TH_ST_ROW
};

const char *th_st_dtype_name(th_st_dtype d) { return (unsigned)d < TH_ST_DTYPE_COUNT ? dtypes[d].name : "?"; }
size_t th_st_dtype_bytes(th_st_dtype d) { return (unsigned)d < TH_ST_DTYPE_COUNT ? dtypes[d].bytes : 0; }

bool th_st_dtype_parse(const char *name, th_st_dtype *out) {
    for (int i = 0; i < TH_ST_DTYPE_COUNT; i++)
        if (!strcmp(dtypes[i].name, name)) return *out = (th_st_dtype)i, true;
    return false;
}

typedef struct {
    const char *key, *value;
} note;

struct th_safetensors {
    th_arena *arena; /* names, file names, metadata */
    th_mapping *maps;
    int64_t n_maps, cap_maps;
    th_st_tensor *tensors;
    int64_t count, capacity;
    th_map *index; /* name → position in tensors */
    note *notes;
    int64_t n_notes, cap_notes;
};

/* One file while it is being parsed. */
typedef struct {
    th_safetensors *s;
    const char *file; /* in the arena */
    const uint8_t *data;
    size_t length;
    int64_t first; /* its first tensor in s->tensors */
} parse;

static th_status fail(const parse *p, const char *tensor, const char *what) {
    char shown[TH_SHOWN_MAX];
    return th_fail(TH_E_INPUT, "%s: tensor '%s' %s", p->file, th_shown(shown, tensor, strlen(tensor)), what);
}

static th_status read_shape(const parse *p, const json_t *shape, th_st_tensor *t) {
    if (!json_is_array(shape)) return fail(p, t->name, "should have an array 'shape'");
    size_t rank = json_array_size(shape);
    if (rank > TH_ST_RANK_MAX) return fail(p, t->name, "has more than 8 dimensions");
    t->rank = (int)rank;
    t->count = 1;
    for (size_t i = 0; i < rank; i++) {
        const json_t *d = json_array_get(shape, i);
        if (!json_is_integer(d) || json_integer_value(d) < 0)
            return fail(p, t->name, "should have a shape of integers, none below zero");
        t->shape[i] = json_integer_value(d);
        if (__builtin_mul_overflow(t->count, t->shape[i], &t->count))
            return fail(p, t->name, "has a shape whose product overflows");
    }
    if (__builtin_mul_overflow((size_t)t->count, th_st_dtype_bytes(t->dtype), &t->bytes))
        return fail(p, t->name, "has a shape whose product overflows");
    return TH_OK;
}

static th_status read_offsets(const parse *p, const json_t *offsets, th_st_tensor *t) {
    const json_t *b = json_array_get(offsets, 0), *e = json_array_get(offsets, 1);
    if (json_array_size(offsets) != 2 || !json_is_integer(b) || !json_is_integer(e))
        return fail(p, t->name, "should have two integers in 'data_offsets'");
    int64_t begin = json_integer_value(b), end = json_integer_value(e);
    if (begin < 0 || end < begin) return fail(p, t->name, "has data_offsets that run backwards or below zero");
    char text[200];
    if ((uint64_t)end > p->length) {
        snprintf(text, sizeof text, "ends at byte %lld of the data, the file has %zu: is it truncated?", (long long)end,
                 p->length);
        return fail(p, t->name, text);
    }
    if ((uint64_t)(end - begin) != t->bytes) {
        snprintf(text, sizeof text, "has %lld bytes of data, its shape and type %s take %zu", (long long)(end - begin),
                 th_st_dtype_name(t->dtype), t->bytes);
        return fail(p, t->name, text);
    }
    t->data = p->data + begin;
    return TH_OK;
}

static th_status read_tensor(parse *p, const char *name, const json_t *entry) {
    th_safetensors *s = p->s;
    if (!json_is_object(entry)) return fail(p, name, "should be described by an object");
    if (s->count >= TENSORS_MAX)
        return th_fail(TH_E_INPUT, "%s: holds more than %lld tensors", p->file, (long long)TENSORS_MAX);
    th_st_tensor t = {.name = th_arena_strdup(s->arena, name), .file = p->file};
    if (!t.name) return th_fail_memory();
    const char *dtype = json_string_value(json_object_get(entry, "dtype"));
    if (!dtype) return fail(p, name, "should have a string 'dtype'");
    if (!th_st_dtype_parse(dtype, &t.dtype)) {
        char shown[TH_SHOWN_MAX], text[TH_SHOWN_MAX + 32];
        snprintf(text, sizeof text, "has the unknown type '%s'", th_shown(shown, dtype, strlen(dtype)));
        return fail(p, name, text);
    }
    TH_TRY(read_shape(p, json_object_get(entry, "shape"), &t));
    TH_TRY(read_offsets(p, json_object_get(entry, "data_offsets"), &t));
    if (!th_grow(s->tensors, s->count, s->capacity)) return th_fail_memory();
    s->tensors[s->count++] = t;
    return TH_OK;
}

static th_status read_metadata(parse *p, json_t *metadata) {
    th_safetensors *s = p->s;
    if (!json_is_object(metadata)) return th_fail(TH_E_INPUT, "%s: __metadata__ should be an object", p->file);
    const char *key;
    json_t *value;
    json_object_foreach(metadata, key, value) {
        if (!json_is_string(value)) return th_fail(TH_E_INPUT, "%s: __metadata__ should hold strings only", p->file);
        note n = {th_arena_strdup(s->arena, key), th_arena_strdup(s->arena, json_string_value(value))};
        if (!n.key || !n.value || !th_grow(s->notes, s->n_notes, s->cap_notes)) return th_fail_memory();
        s->notes[s->n_notes++] = n;
    }
    return TH_OK;
}

static int by_data(const void *a, const void *b) {
    const th_st_tensor *s = a, *t = b;
    const uint8_t *p = s->data, *q = t->data;
    if (p != q) return p < q ? -1 : 1;
    if (s->bytes != t->bytes) return s->bytes < t->bytes ? -1 : 1;
    return strcmp(s->name, t->name);
}

/* The tensors of this file, sorted by position, must follow each other without overlap, gap or rest. */
static th_status check_layout(parse *p) {
    int64_t n = p->s->count - p->first;
    th_st_tensor *t = n ? p->s->tensors + p->first : NULL;
    if (n) qsort(t, (size_t)n, sizeof *t, by_data);
    size_t end = 0;
    for (int64_t i = 0; i < n; i++) {
        size_t begin = (size_t)((const uint8_t *)t[i].data - p->data);
        char a[TH_SHOWN_MAX], b[TH_SHOWN_MAX];
        if (begin < end)
            return th_fail(TH_E_INPUT, "%s: tensors '%s' and '%s' overlap", p->file,
                           th_shown(a, t[i - 1].name, strlen(t[i - 1].name)),
                           th_shown(b, t[i].name, strlen(t[i].name)));
        if (begin > end)
            return th_fail(TH_E_INPUT, "%s: bytes %zu to %zu of the data, before tensor '%s', belong to no tensor",
                           p->file, end, begin, th_shown(a, t[i].name, strlen(t[i].name)));
        end = begin + t[i].bytes;
    }
    if (end < p->length)
        return th_fail(TH_E_INPUT, "%s: %zu bytes after the last tensor belong to none", p->file, p->length - end);
    return TH_OK;
}

static th_status index_tensors(parse *p) {
    th_safetensors *s = p->s;
    for (int64_t i = p->first; i < s->count; i++) {
        const char *name = s->tensors[i].name;
        int64_t other = th_map_get(s->index, name, strlen(name), -1);
        char shown[TH_SHOWN_MAX];
        if (other >= 0)
            return th_fail(TH_E_INPUT, "%s: tensor '%s' stands in %s too", p->file, th_shown(shown, name, strlen(name)),
                           s->tensors[other].file);
        TH_TRY(th_map_set(s->index, name, strlen(name), i));
    }
    return TH_OK;
}

static th_status parse_header(parse *p, json_t *header) {
    const char *key;
    json_t *value;
    json_object_foreach(header, key, value)
        TH_TRY(strcmp(key, "__metadata__") ? read_tensor(p, key, value) : read_metadata(p, value));
    TH_TRY(check_layout(p));
    return index_tensors(p);
}

static th_status add_bytes(th_safetensors *s, const char *name, const uint8_t *bytes, size_t length) {
    if (length < 8) return th_fail(TH_E_INPUT, "%s: is %zu bytes long, too short for safetensors", name, length);
    uint64_t n = 0;
    for (int i = 7; i >= 0; i--) n = n << 8 | bytes[i];
    if (n > HEADER_MAX)
        return th_fail(TH_E_INPUT, "%s: claims a header of %llu bytes, at most %d are allowed: is it safetensors?",
                       name, (unsigned long long)n, HEADER_MAX);
    if (n > length - 8)
        return th_fail(TH_E_INPUT, "%s: is truncated: the header takes %llu bytes, %zu are there", name,
                       (unsigned long long)n, length - 8);
    parse p = {s, th_arena_strdup(s->arena, name), bytes + 8 + n, length - 8 - (size_t)n, s->count};
    if (!p.file) return th_fail_memory();
    th_json header;
    TH_TRY(th_fail_in(th_json_parse("the header", (const char *)bytes + 8, (size_t)n, &header), "%s", name));
    th_status status = parse_header(&p, header.root);
    th_json_free(&header);
    return status;
}

static th_status add_file(th_safetensors *s, const char *path) {
    if (!th_grow(s->maps, s->n_maps, s->cap_maps)) return th_fail_memory();
    TH_TRY(th_file_map(path, &s->maps[s->n_maps]));
    const th_mapping *m = &s->maps[s->n_maps++];
    return add_bytes(s, path, m->data, m->length);
}

static int by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* A shard stands beside its index; anything else could name a file that is none of the model's. */
static bool plain_name(const char *name) {
    return *name && *name != '.' && !strpbrk(name, "/\\") && th_path_ends(name, ".safetensors");
}

static th_status collect_shards(const char *index, json_t *map, const char **files, size_t *count) {
    const char *key;
    json_t *value;
    size_t n = 0;
    json_object_foreach(map, key, value) {
        char a[TH_SHOWN_MAX], b[TH_SHOWN_MAX];
        th_shown(a, key, strlen(key));
        const char *name = json_string_value(value);
        if (!name) return th_fail(TH_E_INPUT, "%s: weight_map['%s'] should be a string", index, a);
        if (!plain_name(name))
            return th_fail(TH_E_INPUT, "%s: weight_map['%s'] is '%s', a .safetensors file beside the index is wanted",
                           index, a, th_shown(b, name, strlen(name)));
        files[n++] = name;
    }
    if (n) qsort(files, n, sizeof *files, by_text);
    size_t distinct = 0;
    for (size_t i = 0; i < n; i++)
        if (i == 0 || strcmp(files[i], files[i - 1]) != 0) files[distinct++] = files[i];
    if (distinct > SHARDS_MAX) return th_fail(TH_E_INPUT, "%s: names more than %d shards", index, SHARDS_MAX);
    *count = distinct;
    return TH_OK;
}

static th_status check_map(const th_safetensors *s, const char *index, json_t *map) {
    const char *key;
    json_t *value;
    json_object_foreach(map, key, value) {
        const th_st_tensor *t = th_safetensors_find(s, key);
        char shown[TH_SHOWN_MAX];
        if (!t || strcmp(th_path_base(t->file), json_string_value(value)) != 0)
            return th_fail(TH_E_INPUT, "%s: tensor '%s' is not in %s", index, th_shown(shown, key, strlen(key)),
                           json_string_value(value));
    }
    return TH_OK;
}

static th_status add_shards(th_safetensors *s, const char *path, const th_json *index) {
    json_t *map = NULL;
    TH_TRY(th_json_require(index, "weight_map"));
    TH_TRY(th_json_object(index, "weight_map", &map));
    const char **files = th_alloc(json_object_size(map), sizeof *files);
    if (!files) return th_fail_memory();
    th_status status;
    char folder[TH_PATH_MAX], file[TH_PATH_MAX];
    size_t count = 0;
    TH_GO(collect_shards(path, map, files, &count));
    TH_GO(th_path_join(folder, path, "")); /* checks the length */
    folder[th_path_base(path) - path] = '\0';
    for (size_t i = 0; i < count; i++) {
        TH_GO(th_path_join(file, folder, files[i]));
        TH_GO(add_file(s, file));
    }
    status = check_map(s, path, map);
done:
    th_free(files);
    return status;
}

static th_status add_index(th_safetensors *s, const char *path) {
    th_json index;
    TH_TRY(th_json_load(path, TH_JSON_MAX, &index));
    th_status status = add_shards(s, path, &index);
    th_json_free(&index);
    return status;
}

/* Pickled weights run whatever code is in them, so they are not read; but who has only those should hear it. */
static th_status only_pickled(const char *folder) {
    static const char *const names[] = {"pytorch_model.bin", "pytorch_model.bin.index.json",
                                        "open_clip_pytorch_model.bin", "diffusion_pytorch_model.bin"};
    char path[TH_PATH_MAX];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        TH_TRY(th_path_join(path, folder, names[i]));
        if (th_path_exists(path))
            return th_fail(TH_E_INPUT, "%s: is PyTorch's pickle, which is not read: save the model as safetensors",
                           path);
    }
    return TH_OK;
}

/* The file of a folder that holds the model, or starts it. */
static th_status find_in_folder(const char *folder, const char *variant, char path[TH_PATH_MAX]) {
    static const char *const stems[] = {"model", "diffusion_pytorch_model", "open_clip_model",
                                        "open_clip_pytorch_model"};
    const char *dot = variant ? "." : "";
    if (!variant) variant = "";
    if (strlen(variant) > 64 || strchr(variant, '/'))
        return th_fail(TH_E_USAGE, "the variant '%.64s' is not a plain name", variant);
    for (size_t i = 0; i < sizeof stems / sizeof *stems; i++) {
        char name[160];
        snprintf(name, sizeof name, "%s%s%s.safetensors", stems[i], dot, variant);
        TH_TRY(th_path_join(path, folder, name));
        if (th_path_exists(path)) return TH_OK;
        snprintf(name, sizeof name, "%s.safetensors.index%s%s.json", stems[i], dot, variant);
        TH_TRY(th_path_join(path, folder, name));
        if (th_path_exists(path)) return TH_OK;
    }
    TH_TRY(only_pickled(folder));
    return th_fail(TH_E_INPUT, "%s: holds no model%s%s.safetensors and no index of shards", folder, dot, variant);
}

static th_safetensors *new_set(void) {
    th_safetensors *s = th_alloc(1, sizeof *s);
    if (!s) return NULL;
    s->arena = th_arena_new();
    s->index = th_map_new();
    if (s->arena && s->index) return s;
    th_safetensors_close(s);
    return NULL;
}

static th_status finish(th_safetensors *s, th_status status, th_safetensors **out) {
    if (status == TH_OK)
        *out = s;
    else
        th_safetensors_close(s);
    return status;
}

th_status th_safetensors_open(const char *path, const char *variant, th_safetensors **out) {
    char found[TH_PATH_MAX];
    *out = NULL;
    if (th_path_is_dir(path)) {
        TH_TRY(find_in_folder(path, variant, found));
        path = found;
    }
    th_safetensors *s = new_set();
    if (!s) return th_fail_memory();
    return finish(s, th_path_ends(path, ".json") ? add_index(s, path) : add_file(s, path), out);
}

th_status th_safetensors_parse(const char *name, const void *bytes, size_t length, th_safetensors **out) {
    *out = NULL;
    th_safetensors *s = new_set();
    return s ? finish(s, add_bytes(s, name, bytes, length), out) : th_fail_memory();
}

void th_safetensors_close(th_safetensors *s) {
    if (!s) return;
    for (int64_t i = 0; i < s->n_maps; i++) th_file_unmap(&s->maps[i]);
    th_free(s->maps);
    th_free(s->tensors);
    th_free(s->notes);
    th_map_free(s->index);
    th_arena_free(s->arena);
    th_free(s);
}

int64_t th_safetensors_count(const th_safetensors *s) { return s->count; }

const th_st_tensor *th_safetensors_at(const th_safetensors *s, int64_t i) { return &s->tensors[i]; }

const th_st_tensor *th_safetensors_find(const th_safetensors *s, const char *name) {
    int64_t i = th_map_get(s->index, name, strlen(name), -1);
    return i < 0 ? NULL : &s->tensors[i];
}

const char *th_st_shape_text(char out[TH_ST_SHAPE_TEXT], int rank, const int64_t *shape) {
    size_t n = 1;
    memcpy(out, "[", 2);
    for (int i = 0; i < rank && i < TH_ST_RANK_MAX; i++)
        n += (size_t)snprintf(out + n, TH_ST_SHAPE_TEXT - n, i ? ", %lld" : "%lld", (long long)shape[i]);
    snprintf(out + n, TH_ST_SHAPE_TEXT - n, "]");
    return out;
}

th_status th_safetensors_want(const th_safetensors *s, const char *name, int rank, const int64_t *shape,
                              const th_st_tensor **out) {
    const th_st_tensor *t = th_safetensors_find(s, name);
    if (!t) return th_fail(TH_E_INPUT, "%s: tensor '%s' is missing", s->count ? s->tensors[0].file : "the model", name);
    bool same = t->rank == rank;
    for (int i = 0; same && i < rank; i++) same = t->shape[i] == shape[i];
    char is[TH_ST_SHAPE_TEXT], wanted[TH_ST_SHAPE_TEXT];
    if (!same)
        return th_fail(TH_E_INPUT, "%s: tensor '%s' is %s, %s is wanted", t->file, name,
                       th_st_shape_text(is, t->rank, t->shape), th_st_shape_text(wanted, rank, shape));
    *out = t;
    return TH_OK;
}

bool th_safetensors_metadata_at(const th_safetensors *s, int64_t i, const char **key, const char **value) {
    if (i < 0 || i >= s->n_notes) return false;
    *key = s->notes[i].key;
    *value = s->notes[i].value;
    return true;
}

const char *th_safetensors_metadata(const th_safetensors *s, const char *key) {
    for (int64_t i = 0; i < s->n_notes; i++)
        if (!strcmp(s->notes[i].key, key)) return s->notes[i].value;
    return NULL;
}

/* The file's values, at any address. */
typedef double unaligned_f64 __attribute__((aligned(1), may_alias));
typedef float unaligned_f32 __attribute__((aligned(1), may_alias));
typedef int64_t unaligned_i64 __attribute__((aligned(1), may_alias));
typedef int32_t unaligned_i32 __attribute__((aligned(1), may_alias));
typedef uint32_t unaligned_u32 __attribute__((aligned(1), may_alias));
typedef int16_t unaligned_i16 __attribute__((aligned(1), may_alias));
typedef uint16_t unaligned_u16 __attribute__((aligned(1), may_alias));

static th_status check_range(const th_st_tensor *t, int64_t first, int64_t n) {
    if (first >= 0 && n >= 0 && first <= t->count && n <= t->count - first) return TH_OK;
    return th_fail(TH_E_USAGE, "%s: tensor '%.100s' has %lld elements, %lld from %lld were asked for", t->file, t->name,
                   (long long)t->count, (long long)n, (long long)first);
}

#define CONVERT(type, expression)                            \
    do {                                                     \
        const type *x = (const type *)t->data + first;       \
        for (int64_t i = 0; i < n; i++) out[i] = expression; \
        return TH_OK;                                        \
    } while (0)

th_status th_st_to_f32(const th_st_tensor *t, int64_t first, int64_t n, float *out) {
    TH_TRY(check_range(t, first, n));
    switch (t->dtype) {
    case TH_ST_F64: CONVERT(unaligned_f64, (float)x[i]);
    case TH_ST_F32: CONVERT(unaligned_f32, x[i]);
    case TH_ST_F16: CONVERT(unaligned_u16, th_f16_to_f32(x[i]));
    case TH_ST_BF16: CONVERT(unaligned_u16, th_bf16_to_f32(x[i]));
    default: break;
    }
    char shown[TH_SHOWN_MAX];
    return th_fail(TH_E_INPUT, "%s: tensor '%s' is %s, a floating type is wanted", t->file,
                   th_shown(shown, t->name, strlen(t->name)), th_st_dtype_name(t->dtype));
}

th_status th_st_to_i64(const th_st_tensor *t, int64_t first, int64_t n, int64_t *out) {
    TH_TRY(check_range(t, first, n));
    switch (t->dtype) {
    case TH_ST_I64: CONVERT(unaligned_i64, x[i]);
    case TH_ST_I32: CONVERT(unaligned_i32, x[i]);
    case TH_ST_I16: CONVERT(unaligned_i16, x[i]);
    case TH_ST_I8: CONVERT(int8_t, x[i]);
    case TH_ST_U32: CONVERT(unaligned_u32, x[i]);
    case TH_ST_U16: CONVERT(unaligned_u16, x[i]);
    case TH_ST_U8: CONVERT(uint8_t, x[i]);
    case TH_ST_BOOL: CONVERT(uint8_t, x[i] != 0);
    default: break;
    }
    char shown[TH_SHOWN_MAX];
    return th_fail(TH_E_INPUT, "%s: tensor '%s' is %s, an integer type is wanted", t->file,
                   th_shown(shown, t->name, strlen(t->name)), th_st_dtype_name(t->dtype));
}
