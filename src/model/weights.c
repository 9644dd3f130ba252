/* Weights in and out. */
#include "model/weights.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/map.h"
#include "base/memory.h"
#include "graph/param.h"

th_status th_saved_dtype(const char *name, th_st_dtype *out, const char **torch) {
    static const struct {
        const char *name, *torch;
        th_st_dtype dtype;
    } types[] = {{"f32", "float32", TH_ST_F32}, {"f16", "float16", TH_ST_F16}, {"bf16", "bfloat16", TH_ST_BF16}};
    for (size_t k = 0; k < sizeof types / sizeof *types; k++) {
        if (strcmp(types[k].name, name) != 0) continue;
        *out = types[k].dtype;
        if (torch) *torch = types[k].torch;
        return TH_OK;
    }
    return th_fail(TH_E_USAGE, "'%s' is no dtype: f32, f16 or bf16", name);
}

th_status th_weight_as_is(const void *model, const th_param *p, th_weight_source *out) {
    (void)model;
    const th_desc *d = th_param_desc(p);
    if (d->rank > 4) return th_fail(TH_E_BUG, "%s: has %d dimensions", th_param_name(p), d->rank);
    *out = (th_weight_source){.form = TH_AS_IS, .rank = d->rank};
    snprintf(out->name, sizeof out->name, "%s", th_param_name(p));
    memcpy(out->shape, d->dim, sizeof(int64_t) * (size_t)d->rank);
    return TH_OK;
}

/* [out, in, 1, 1] is as good as [out, in]. */
static bool same_but_for_ones(const th_st_tensor *t, const th_weight_source *s) {
    int most = t->rank > s->rank ? t->rank : s->rank;
    if (t->rank < 2 || s->rank < 2) return false;
    for (int i = 0; i < most; i++)
        if ((i < t->rank ? t->shape[i] : 1) != (i < s->rank ? s->shape[i] : 1)) return false;
    return true;
}

static th_status find(const th_safetensors *file, const th_param *p, th_weight_map map, const void *model,
                      th_weight_source *s, const th_st_tensor **out) {
    TH_TRY(map(model, p, s));
    const th_st_tensor *t = th_safetensors_find(file, s->name);
    const char *name = t || !*s->old_name || !th_safetensors_find(file, s->old_name) ? s->name : s->old_name;
    if (!t) t = th_safetensors_find(file, name);
    if (t && same_but_for_ones(t, s)) return *out = t, TH_OK;
    return th_safetensors_want(file, name, s->rank, s->shape, out);
}

/* A piece of a tensor, to be converted to f32. */
typedef struct {
    const th_st_tensor *tensor;
    int64_t first, count;
    float *to;
} piece;

typedef struct {
    piece *items;
    int64_t count, capacity;
} pieces;

#define PIECE ((int64_t)1 << 20) /* elements */

static th_status add_pieces(pieces *all, const th_st_tensor *t, int64_t first, int64_t n, float *to) {
    float one;
    if (n) TH_TRY(th_st_to_f32(t, first, 1, &one)); /* its type can be read, so the rest cannot fail */
    for (int64_t at = 0; at < n; at += PIECE) {
        if (!th_grow(all->items, all->count, all->capacity)) return th_fail_memory();
        all->items[all->count++] = (piece){t, first + at, n - at < PIECE ? n - at : PIECE, to + at};
    }
    return TH_OK;
}

/* By all cores, and whoever is done takes the next: the first touch of memory and of the file is most of the work. */
static void convert_pieces(const pieces *all) {
#pragma omp parallel for schedule(dynamic)
    for (int64_t i = 0; i < all->count; i++) {
        const piece *p = &all->items[i];
        (void)th_st_to_f32(p->tensor, p->first, p->count, p->to);
    }
}

static void rearrange(const th_desc *d, const th_weight_source *s, const float *from, float *to) {
    int64_t rows = d->dim[0], columns = d->dim[1];
    if (s->form == TH_TRANSPOSED) {
        for (int64_t i = 0; i < rows; i++)
            for (int64_t j = 0; j < columns; j++) to[i * columns + j] = from[j * rows + i];
        return;
    }
    int64_t area = s->shape[2] * s->shape[3];
    for (int64_t i = 0; i < rows; i++)
        for (int64_t c = 0; c < 3; c++)
            for (int64_t k = 0; k < area; k++) to[i * columns + k * 3 + c] = from[i * columns + c * area + k];
}

/* The inverse for patches, which alone are written otherwise than they are. */
static void unpatch(const th_desc *d, const th_weight_source *s, const float *from, float *to) {
    int64_t columns = d->dim[1], area = s->shape[2] * s->shape[3];
    for (int64_t i = 0; i < d->dim[0]; i++)
        for (int64_t c = 0; c < 3; c++)
            for (int64_t k = 0; k < area; k++) to[i * columns + c * area + k] = from[i * columns + k * 3 + c];
}

static bool is_plain(const th_param *p) { return !p->home.move && !p->n_packs; }

/* What needs no rearranging is only noted. */
static th_status load_param(const th_st_tensor *t, const th_weight_source *s, th_param *p, float *a, float *b,
                            pieces *all) {
    const th_desc *d = th_param_desc(p);
    int64_t count = th_desc_count(d), first = s->form == TH_PART ? s->part * count : 0;
    bool straight = s->form == TH_AS_IS || s->form == TH_PART;
    if (straight && is_plain(p)) {
        TH_TRY(th_param_allocate(p, false));
        return add_pieces(all, t, first, count, p->value);
    }
    TH_TRY(th_st_to_f32(t, first, count, a));
    if (!straight) rearrange(d, s, a, b);
    return th_param_set(p, straight ? a : b);
}

static th_status check_all(const th_safetensors *file, th_params *ps, th_weight_map map, const void *model,
                           int64_t *most) {
    for (int64_t i = 0; i < th_params_count(ps); i++) {
        const th_param *p = th_params_at(ps, i);
        th_weight_source s;
        const th_st_tensor *t;
        TH_TRY(find(file, p, map, model, &s, &t));
        bool buffered = !is_plain(p) || s.form == TH_PATCHES || s.form == TH_TRANSPOSED;
        if (buffered && th_desc_count(th_param_desc(p)) > *most) *most = th_desc_count(th_param_desc(p));
    }
    return TH_OK;
}

th_status th_weights_read(const th_safetensors *file, th_params *ps, th_weight_map map, const void *model) {
    int64_t most = 1;
    TH_TRY(check_all(file, ps, map, model, &most));
    size_t bytes = (size_t)most * sizeof(float);
    float *a = th_alloc_big(bytes), *b = th_alloc_big(bytes);
    pieces all = {0};
    th_status s = a && b ? TH_OK : th_fail_memory();
    for (int64_t i = 0; i < th_params_count(ps) && s == TH_OK; i++) {
        th_weight_source source;
        const th_st_tensor *t;
        s = find(file, th_params_at(ps, i), map, model, &source, &t);
        if (s == TH_OK) s = load_param(t, &source, th_params_at(ps, i), a, b, &all);
    }
    if (s == TH_OK) convert_pieces(&all);
    th_free(all.items);
    th_free_big(a, bytes);
    th_free_big(b, bytes);
    return s;
}

/* "STEM.fp16.safetensors" or "STEM.safetensors.index.fp16.json" → "fp16"; the same without a variant → "". False for
 * other files, shards among them. */
static bool variant_of(const char *name, char out[TH_VARIANT_MAX]) {
    static const char *const stems[] = {"model.", "diffusion_pytorch_model."};
    static const char single[] = ".safetensors", index[] = "safetensors.index";
    const char *rest = NULL, *end;
    for (size_t i = 0; i < sizeof stems / sizeof *stems && !rest; i++)
        if (!strncmp(name, stems[i], strlen(stems[i]))) rest = name + strlen(stems[i]) - 1; /* at the dot */
    if (!rest) return false;
    if (!strncmp(rest + 1, index, strlen(index))) {
        rest += strlen(index) + 1;
        end = strlen(rest) >= 5 ? rest + strlen(rest) - 5 : rest;
        if (strcmp(end, ".json") != 0) return false;
    } else {
        end = strlen(rest) >= strlen(single) ? rest + strlen(rest) - strlen(single) : rest;
        if (strcmp(end, single) != 0) return false;
    }
    if (end - rest >= TH_VARIANT_MAX || strstr(rest, "-of-")) return false;
    snprintf(out, TH_VARIANT_MAX, "%.*s", end > rest ? (int)(end - rest) - 1 : 0, rest + 1);
    return true;
}

static th_status choose_variant(const char *dir, const th_names *names, char out[TH_VARIANT_MAX]) {
    char v[TH_VARIANT_MAX];
    int found = 0;
    for (int64_t i = 0; i < names->count; i++) /* files without one win, wherever they stand in the list */
        if (variant_of(names->names[i], v) && !*v) return TH_OK;
    for (int64_t i = 0; i < names->count; i++) {
        if (!variant_of(names->names[i], v)) continue;
        if (found && strcmp(out, v) != 0)
            return th_fail(TH_E_INPUT,
                           "%s: holds the variants '%s' and '%s' of the weights, and none without: say which", dir, out,
                           v);
        memcpy(out, v, sizeof v);
        found = 1;
    }
    return TH_OK;
}

th_status th_weights_find_variant(const char *dir, char out[TH_VARIANT_MAX]) {
    th_names names;
    *out = '\0';
    TH_TRY(th_list_dir(dir, &names));
    th_status s = choose_variant(dir, &names, out);
    th_names_free(&names);
    return s;
}

/* A folder's weights are those of the variant, or what there is. */
static th_status open_weights(const char *path, const char *variant, th_safetensors **out) {
    char v[TH_VARIANT_MAX] = "";
    if (!variant && th_path_is_dir(path)) TH_TRY(th_weights_find_variant(path, v));
    return th_safetensors_open(path, *v ? v : variant, out);
}

th_status th_weights_load(const char *path, const char *variant, th_params *ps, th_weight_map map, const void *model) {
    th_safetensors *file = NULL;
    TH_TRY(open_weights(path, variant, &file));
    th_status s = th_weights_read(file, ps, map, model);
    th_safetensors_close(file);
    return s;
}

/* Every tensor of the file is some parameter's. */
static th_status check_rest(const th_safetensors *file, const th_params *ps, th_weight_map map, const void *model,
                            th_map *used) {
    for (int64_t i = 0; i < th_params_count(ps); i++) {
        th_weight_source s;
        const th_st_tensor *t;
        TH_TRY(find(file, th_params_at(ps, i), map, model, &s, &t));
        TH_TRY(th_map_set(used, t->name, strlen(t->name), 1));
    }
    for (int64_t i = 0; i < th_safetensors_count(file); i++) {
        const th_st_tensor *t = th_safetensors_at(file, i);
        if (th_map_get(used, t->name, strlen(t->name), 0) || th_path_ends(t->name, "position_ids")) continue;
        return th_fail(TH_E_INPUT, "%s: tensor '%.100s' has no place in the model that config.json describes", t->file,
                       t->name);
    }
    return TH_OK;
}

th_status th_weights_load_whole(const char *path, const char *variant, th_params *ps, th_weight_map map,
                                const void *model) {
    th_safetensors *file = NULL;
    TH_TRY(open_weights(path, variant, &file));
    th_map *used = th_map_new();
    th_status s = used ? check_rest(file, ps, map, model, used) : th_fail_memory();
    th_map_free(used);
    if (s == TH_OK) s = th_weights_read(file, ps, map, model);
    th_safetensors_close(file);
    return s;
}

th_status th_weights_hash(const char *path, const char *variant, th_hash *h) {
    th_safetensors *f = NULL;
    TH_TRY(open_weights(path, variant, &f));
    const char *last = NULL;
    th_status s = TH_OK;
    for (int64_t i = 0; i < th_safetensors_count(f) && s == TH_OK; i++) {
        const char *file = th_safetensors_at(f, i)->file; /* tensors of one file follow each other */
        th_mapping m;
        if (file == last || (s = th_file_map(file, &m)) != TH_OK) continue;
        th_hash_add(h, m.data, m.length);
        th_file_unmap(&m);
        last = file;
    }
    th_safetensors_close(f);
    return s;
}

/* ---- out */

/* What is written, and where values come from that parameters do not hold. */
typedef struct {
    const th_params *ps;
    th_weight_map map;
    const void *model;
    th_weight_maker make; /* NULL: they hold them */
    void *user;
    th_map *numbers; /* of parameters, by the names of their tensors */
} saving;

static th_status values_of(const saving *v, const th_param *p, int64_t i, float *to) {
    return v->make ? v->make(v->user, p, i, to) : th_param_get(p, to);
}

static th_status add(th_safetensors_writer *w, const saving *v, const char *name) {
    int64_t at = th_map_get(v->numbers, name, strlen(name), -1);
    const th_param *p = th_params_at(v->ps, at);
    th_weight_source source;
    TH_TRY(v->map(v->model, p, &source));
    const th_desc *d = th_param_desc(p);
    int64_t count = th_desc_count(d);
    if (!v->make && source.form == TH_AS_IS && !p->home.move && p->value)
        return th_safetensors_add_f32(w, p->value, count), TH_OK;
    size_t bytes = (size_t)count * sizeof(float);
    float *a = th_alloc_big(bytes), *b = source.form == TH_PATCHES ? th_alloc_big(bytes) : NULL;
    th_status s = a && (b || source.form != TH_PATCHES) ? values_of(v, p, at, a) : th_fail_memory();
    if (s == TH_OK) {
        if (b) unpatch(d, &source, a, b);
        th_safetensors_add_f32(w, b ? b : a, count);
    }
    th_free_big(a, bytes);
    th_free_big(b, bytes);
    return s;
}

static th_status write_all(th_safetensors_writer *w, const saving *v, th_st_dtype dtype) {
    for (int64_t i = 0; i < th_params_count(v->ps); i++) {
        th_weight_source s;
        TH_TRY(v->map(v->model, th_params_at(v->ps, i), &s));
        if (s.form != TH_AS_IS && s.form != TH_PATCHES) return th_fail(TH_E_BUG, "%s: cannot be written so", s.name);
        th_safetensors_declare(w, s.name, dtype, s.rank, s.shape);
        TH_TRY(th_map_set(v->numbers, s.name, strlen(s.name), i));
    }
    TH_TRY(th_safetensors_begin(w));
    for (const th_st_tensor *t; (t = th_safetensors_next(w));) TH_TRY(add(w, v, t->name));
    return TH_OK;
}

static th_status save(const char *path, saving *v, const char *dtype) {
    th_st_dtype type = TH_ST_F32;
    th_safetensors_writer *w = NULL;
    TH_TRY(th_saved_dtype(dtype, &type, NULL));
    TH_TRY(th_safetensors_writer_new(path, 0, &w));
    v->numbers = th_map_new();
    th_status s = v->numbers ? write_all(w, v, type) : th_fail_memory();
    th_map_free(v->numbers);
    if (s == TH_OK) return th_safetensors_commit(w);
    th_safetensors_abort(w);
    return s;
}

th_status th_weights_save(const char *path, const th_params *ps, th_weight_map map, const void *model,
                          const char *dtype) {
    return save(path, &(saving){ps, map, model, NULL, NULL, NULL}, dtype);
}

th_status th_weights_save_made(const char *path, const th_params *ps, th_weight_map map, const void *model,
                               const char *dtype, th_weight_maker make, void *user) {
    return save(path, &(saving){ps, map, model, make, user, NULL}, dtype);
}
