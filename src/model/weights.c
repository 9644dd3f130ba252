/* Weights in. */
#include "model/weights.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/map.h"
#include "base/memory.h"
#include "graph/param.h"

th_status th_weight_as_is(const void *model, const th_param *p, th_weight_source *out) {
    (void)model;
    const th_desc *d = th_param_desc(p);
    if (d->rank > 4) return th_fail(TH_E_BUG, "%s: has %d dimensions", th_param_name(p), d->rank);
    *out = (th_weight_source){.form = TH_AS_IS, .rank = d->rank};
    snprintf(out->name, sizeof out->name, "%s", th_param_name(p));
    memcpy(out->shape, d->dim, sizeof(int64_t) * (size_t)d->rank);
    return TH_OK;
}

void th_weight_is_convolution(th_weight_source *s, const char *end) {
    size_t n = strlen(s->name), k = strlen(end);
    if (n >= k && !strcmp(s->name + n - k, end)) s->rank = 4, s->shape[2] = s->shape[3] = 1;
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

th_status th_weights_load(const char *path, const char *variant, th_params *ps, th_weight_map map, const void *model) {
    th_safetensors *file = NULL;
    TH_TRY(th_weights_open(path, variant, &file));
    th_status s = th_weights_read(file, ps, map, model);
    th_safetensors_close(file);
    return s;
}

/* Every tensor of the file is some parameter's. */
static th_status check_rest(const th_safetensors *file, const th_params *ps, th_weight_map map, const void *model,
                            bool (*beside)(const char *name), th_map *used) {
    for (int64_t i = 0; i < th_params_count(ps); i++) {
        th_weight_source s;
        const th_st_tensor *t;
        TH_TRY(find(file, th_params_at(ps, i), map, model, &s, &t));
        TH_TRY(th_map_set(used, t->name, strlen(t->name), 1));
    }
    for (int64_t i = 0; i < th_safetensors_count(file); i++) {
        const th_st_tensor *t = th_safetensors_at(file, i);
        if (th_map_get(used, t->name, strlen(t->name), 0) || th_path_ends(t->name, "position_ids")) continue;
        if (beside && beside(t->name)) continue;
        return th_fail(TH_E_INPUT, "%s: tensor '%.100s' has no place in the model that config.json describes", t->file,
                       t->name);
    }
    return TH_OK;
}

th_status th_weights_load_whole(const char *path, const char *variant, th_params *ps, th_weight_map map,
                                const void *model, bool (*beside)(const char *name)) {
    th_safetensors *file = NULL;
    TH_TRY(th_weights_open(path, variant, &file));
    th_map *used = th_map_new();
    th_status s = used ? check_rest(file, ps, map, model, beside, used) : th_fail_memory();
    th_map_free(used);
    if (s == TH_OK) s = th_weights_read(file, ps, map, model);
    th_safetensors_close(file);
    return s;
}
