/* Parameters and sets of them. */
#include "graph/param.h"

#include <string.h>

#include "base/half.h"
#include "base/map.h"

typedef struct {
    th_param *param;
    bool borrowed; /* another set owns it */
} member;

struct th_params {
    member *items;
    int64_t count, capacity;
    th_map *names;
};

th_params *th_params_new(void) {
    th_params *ps = th_alloc(1, sizeof *ps);
    if (!ps) return NULL;
    ps->names = th_map_new();
    if (!ps->names) return th_free(ps), NULL;
    return ps;
}

static size_t value_bytes(const th_param *p) { return (size_t)th_param_elements(p) * sizeof(float); }

size_t th_param_copy_bytes(const th_param *p, th_dtype dtype, const th_layout *layout) {
    int64_t n = layout->elements ? (int64_t)layout->elements : th_desc_count(&p->desc);
    return (size_t)n * th_dtype_bytes(dtype);
}

static size_t pack_bytes(const th_param *p, const th_pack *k) {
    return k->users ? th_param_copy_bytes(p, k->dtype, &k->layout) : 0;
}

/* Back to a parameter without values, of which no plan knows. */
static void param_drop(th_param *p) {
    th_free_big(p->value, value_bytes(p));
    th_free_big(p->grad, value_bytes(p));
    for (int i = 0; i < p->n_packs; i++) th_free_big(p->packs[i].data, pack_bytes(p, &p->packs[i]));
    *p = (th_param){.name = p->name, .desc = p->desc, .trainable = p->trainable};
}

static void param_free(th_param *p) {
    param_drop(p);
    th_free(p->name);
    th_free(p);
}

void th_params_free(th_params *ps) {
    if (!ps) return;
    for (int64_t i = 0; i < ps->count; i++)
        if (!ps->items[i].borrowed) param_free(ps->items[i].param);
    th_free(ps->items);
    th_map_free(ps->names);
    th_free(ps);
}

/* Under a name that is free. */
static th_status append(th_params *ps, th_param *p, bool borrowed) {
    if (!th_grow(ps->items, ps->count, ps->capacity)) return th_fail_memory();
    TH_TRY(th_map_set(ps->names, p->name, strlen(p->name), ps->count));
    ps->items[ps->count++] = (member){p, borrowed};
    return TH_OK;
}

static th_status want_free(const th_params *ps, const char *name) {
    if (th_map_get(ps->names, name, strlen(name), -1) < 0) return TH_OK;
    return th_fail(TH_E_BUG, "two parameters named '%s'", name);
}

th_param *th_params_add(th_params *ps, const char *name, th_desc d) {
    if (want_free(ps, name) != TH_OK) return NULL;
    th_param *p = th_alloc(1, sizeof *p);
    if (!p) return th_fail_memory(), NULL;
    *p = (th_param){.name = th_strdup(name), .desc = d, .trainable = true};
    if (!p->name || append(ps, p, false) != TH_OK) return param_free(p), th_fail_memory(), NULL;
    return p;
}

th_status th_params_borrow(th_params *ps, const th_params *from) {
    for (int64_t i = 0; i < from->count; i++) TH_TRY(want_free(ps, from->items[i].param->name));
    int64_t before = ps->count;
    th_status s = TH_OK;
    for (int64_t i = 0; i < from->count && s == TH_OK; i++) s = append(ps, from->items[i].param, true);
    if (s == TH_OK) return TH_OK;
    while (ps->count > before) { /* a name that is there is replaced without allocating */
        const char *name = ps->items[--ps->count].param->name;
        (void)th_map_set(ps->names, name, strlen(name), -1);
    }
    return s;
}

void th_params_release(th_params *ps) {
    for (int64_t i = 0; i < ps->count; i++)
        if (!ps->items[i].borrowed) param_drop(ps->items[i].param);
}

th_param *th_params_find(const th_params *ps, const char *name) {
    int64_t i = th_map_get(ps->names, name, strlen(name), -1);
    return i < 0 ? NULL : ps->items[i].param;
}

int64_t th_params_count(const th_params *ps) { return ps->count; }
th_param *th_params_at(const th_params *ps, int64_t i) { return ps->items[i].param; }

int64_t th_params_elements(const th_params *ps) {
    int64_t n = 0;
    for (int64_t i = 0; i < ps->count; i++) n += th_desc_count(&ps->items[i].param->desc);
    return n;
}

th_status th_params_allocate(th_params *ps) {
    for (int64_t i = 0; i < ps->count; i++) TH_TRY(th_param_allocate(ps->items[i].param, false));
    return TH_OK;
}

const char *th_param_name(const th_param *p) { return p->name; }
const th_desc *th_param_desc(const th_param *p) { return &p->desc; }
bool th_param_trainable(const th_param *p) { return p->trainable; }
void th_param_set_trainable(th_param *p, bool trainable) { p->trainable = trainable; }

void th_params_set_trainable(th_params *ps, bool trainable) {
    for (int64_t i = 0; ps && i < ps->count; i++) ps->items[i].param->trainable = trainable;
}

bool th_layout_same(const th_layout *a, const th_layout *b) {
    if (!a->move || !b->move) return !a->move && !b->move;
    return a->move == b->move && a->same(a->blob, b->blob);
}

int64_t th_param_elements(const th_param *p) {
    return p->home.elements ? (int64_t)p->home.elements : th_desc_count(&p->desc);
}

/* Elements that a thread copies at a time. */
#define CHUNK ((int64_t)1 << 16)

/* Row-major on both sides needs no layout's help. */
static th_status move(const th_desc *d, const th_layout *from, th_dtype from_type, const void *src, const th_layout *to,
                      th_dtype to_type, void *dst) {
    if (from->move || to->move)
        return (from->move ? from : to)
            ->move(d, from->move ? from : NULL, from_type, src, to->move ? to : NULL, to_type, dst);
    int64_t n = th_desc_count(d), chunks = (n + CHUNK - 1) / CHUNK;
#pragma omp parallel for schedule(static) if (chunks > 2)
    for (int64_t k = 0; k < chunks; k++) {
        int64_t at = k * CHUNK, count = n - at < CHUNK ? n - at : CHUNK;
        if (to_type == TH_BF16)
            th_bf16_write((uint16_t *)dst + at, (const float *)src + at, count);
        else
            memcpy((float *)dst + at, (const float *)src + at, (size_t)count * sizeof(float));
    }
    return TH_OK;
}

th_status th_param_allocate(th_param *p, bool with_grad) {
    if (!p->value && !(p->value = th_alloc_big_zeroed(value_bytes(p)))) return th_fail_memory();
    if (with_grad && !p->grad && !(p->grad = th_alloc_big_zeroed(value_bytes(p)))) return th_fail_memory();
    bool fresh = false;
    for (int i = 0; i < p->n_packs; i++) {
        th_pack *k = &p->packs[i];
        if (k->data || !k->users) continue;
        if (!(k->data = th_alloc_big_zeroed(pack_bytes(p, k)))) return th_fail_memory();
        fresh = true;
    }
    return fresh ? th_param_refresh(p, -1) : TH_OK;
}

th_status th_param_settle(th_param *p, const th_layout *home) {
    if (p->home_settled) return TH_OK;
    th_param new = *p;
    new.home = *home;
    new.home_settled = true;
    if (p->value && !th_layout_same(&p->home, home)) {
        size_t bytes = value_bytes(&new);
        new.value = th_alloc_big_zeroed(bytes);
        new.grad = p->grad ? th_alloc_big_zeroed(bytes) : NULL;
        th_status s = new.value && (new.grad || !p->grad) ? TH_OK : th_fail_memory();
        if (s == TH_OK) s = move(&p->desc, &p->home, TH_F32, p->value, home, TH_F32, new.value);
        th_param *gone = s == TH_OK ? p : &new; /* on failure the parameter stays as it was */
        th_free_big(gone->value, value_bytes(gone));
        th_free_big(gone->grad, value_bytes(gone));
        if (s != TH_OK) return s;
    }
    *p = new;
    return TH_OK;
}

void th_param_join(th_param *p) { p->plans++; }

void th_param_leave(th_param *p) {
    if (--p->plans == 0) p->home_settled = false;
}

int th_param_find_pack(const th_param *p, th_dtype dtype, const th_layout *layout) {
    if (dtype == TH_F32 && th_layout_same(layout, &p->home)) return -1;
    for (int i = 0; i < p->n_packs; i++)
        if (p->packs[i].users && p->packs[i].dtype == dtype && th_layout_same(&p->packs[i].layout, layout)) return i;
    return TH_PARAM_NO_PACK;
}

th_status th_param_pack(th_param *p, th_dtype dtype, const th_layout *layout, int *pack) {
    *pack = th_param_find_pack(p, dtype, layout);
    if (*pack == -1) return TH_OK;
    if (*pack != TH_PARAM_NO_PACK) return p->packs[*pack].users++, TH_OK;
    int i = 0;
    while (i < p->n_packs && p->packs[i].users) i++;
    if (i == TH_PARAM_MAX_PACKS)
        return th_fail(TH_E_BUG, "%s: more than %d layouts are wanted of one parameter", p->name, TH_PARAM_MAX_PACKS);
    p->packs[i] = (th_pack){dtype, *layout, NULL, 1};
    if (i == p->n_packs) p->n_packs++;
    *pack = i;
    return TH_OK;
}

void th_param_unpack(th_param *p, int pack) {
    if (pack < 0 || --p->packs[pack].users) return;
    th_pack *k = &p->packs[pack];
    th_free_big(k->data, th_param_copy_bytes(p, k->dtype, &k->layout));
    *k = (th_pack){0};
}

const void *th_param_data(const th_param *p, int pack) { return pack < 0 ? p->value : p->packs[pack].data; }

th_status th_param_copy(const th_param *p, th_dtype dtype, const th_layout *layout, void *to) {
    return move(&p->desc, &p->home, TH_F32, p->value, layout, dtype, to);
}

th_status th_param_refresh(th_param *p, int but) {
    for (int i = 0; i < p->n_packs; i++) {
        const th_pack *k = &p->packs[i];
        if (i != but && k->data) TH_TRY(th_param_copy(p, k->dtype, &k->layout, k->data));
    }
    return TH_OK;
}

size_t th_param_bytes(const th_param *p, bool with_grad) {
    size_t bytes = value_bytes(p) * (with_grad ? 2 : 1);
    for (int i = 0; i < p->n_packs; i++) bytes += pack_bytes(p, &p->packs[i]);
    return bytes;
}

static const th_layout row_major;

th_status th_param_to_rows(const th_param *p, const float *home, float *rows) {
    return move(&p->desc, &p->home, TH_F32, home, &row_major, TH_F32, rows);
}

th_status th_param_from_rows(const th_param *p, const float *rows, float *home) {
    return move(&p->desc, &row_major, TH_F32, rows, &p->home, TH_F32, home);
}

th_status th_param_get(const th_param *p, float *values) {
    if (!p->value) return th_fail(TH_E_BUG, "%s: has no values yet", p->name);
    return th_param_to_rows(p, p->value, values);
}

th_status th_param_get_grad(const th_param *p, float *values) {
    if (!p->grad) return th_fail(TH_E_BUG, "%s: has no gradient yet", p->name);
    return th_param_to_rows(p, p->grad, values);
}

th_status th_param_set(th_param *p, const float *values) {
    TH_TRY(th_param_allocate(p, false));
    TH_TRY(th_param_from_rows(p, values, p->value));
    return th_param_refresh(p, -1);
}
