/* Merging: a word is a linked list in an array, the pairs that could merge wait in a heap. */
#include "format/bpe.h"

#include <string.h>

#include "base/memory.h"

struct th_bpe_symbol {
    int32_t id; /* −1: merged into its left neighbour */
    int32_t before, after;
};

/* order: rank above position, so that the smallest is the next to merge. */
struct th_bpe_candidate {
    uint64_t order;
    int32_t id;
};
typedef struct th_bpe_candidate candidate;

static uint64_t key_of(th_pair p) { return (uint64_t)(uint32_t)p.left << 32 | (uint32_t)p.right; }

static th_merge *find(th_merge *slots, int64_t capacity, uint64_t key) {
    uint64_t hash = key * 0x9E3779B97F4A7C15u;
    for (uint64_t i = hash ^ hash >> 32;; i++) {
        th_merge *s = &slots[i & (uint64_t)(capacity - 1)];
        if (s->key == key || s->key == UINT64_MAX) return s;
    }
}

static bool grow(th_merges *m) {
    int64_t capacity = m->capacity ? m->capacity * 2 : 64;
    th_merge *slots = th_alloc((size_t)capacity, sizeof *slots);
    if (!slots) return false;
    for (int64_t i = 0; i < capacity; i++) slots[i].key = UINT64_MAX;
    for (int64_t i = 0; i < m->capacity; i++)
        if (m->slots[i].key != UINT64_MAX) *find(slots, capacity, m->slots[i].key) = m->slots[i];
    th_free(m->slots);
    m->slots = slots;
    m->capacity = capacity;
    return true;
}

th_status th_merges_set(th_merges *m, th_pair pair, int32_t rank, int32_t id) {
    if (m->count * 2 >= m->capacity && !grow(m)) return th_fail_memory();
    th_merge *s = find(m->slots, m->capacity, key_of(pair));
    m->count += s->key == UINT64_MAX;
    *s = (th_merge){key_of(pair), rank, id};
    return TH_OK;
}

const th_merge *th_merges_get(const th_merges *m, th_pair pair) {
    if (!m->capacity) return NULL;
    const th_merge *s = find(m->slots, m->capacity, key_of(pair));
    return s->key == UINT64_MAX ? NULL : s;
}

void th_merges_free(th_merges *m) {
    th_free(m->slots);
    *m = (th_merges){0};
}

static void heap_push(th_bpe_work *w, candidate c) {
    int64_t i = w->n_heap++;
    for (int64_t up; i > 0 && w->heap[up = (i - 1) / 2].order > c.order; i = up) w->heap[i] = w->heap[up];
    w->heap[i] = c;
}

static candidate heap_pop(th_bpe_work *w) {
    candidate top = w->heap[0], last = w->heap[--w->n_heap];
    int64_t i = 0, n = w->n_heap;
    for (int64_t down; (down = 2 * i + 1) < n; i = down) {
        if (down + 1 < n && w->heap[down + 1].order < w->heap[down].order) down++;
        if (w->heap[down].order >= last.order) break;
        w->heap[i] = w->heap[down];
    }
    w->heap[i] = last;
    return top;
}

/* Puts the pair that begins at `at` on the heap, if it merges. */
static void offer(const th_merges *m, th_bpe_work *w, int32_t at) {
    const struct th_bpe_symbol *s = &w->symbols[at];
    if (s->after < 0) return;
    const th_merge *merge = th_merges_get(m, (th_pair){s->id, w->symbols[s->after].id});
    if (merge) heap_push(w, (candidate){(uint64_t)(uint32_t)merge->rank << 32 | (uint32_t)at, merge->id});
}

/* A candidate is stale once one of its two symbols took part in another merge. */
static bool still_there(const th_merges *m, const th_bpe_work *w, int32_t at, int32_t id) {
    const struct th_bpe_symbol *s = &w->symbols[at];
    if (s->id < 0 || s->after < 0) return false;
    const th_merge *merge = th_merges_get(m, (th_pair){s->id, w->symbols[s->after].id});
    return merge && merge->id == id;
}

static void join(const th_merges *m, th_bpe_work *w, int32_t at, int32_t id) {
    struct th_bpe_symbol *s = &w->symbols[at], *gone = &w->symbols[s->after];
    s->id = id;
    s->after = gone->after;
    gone->id = -1;
    if (s->after >= 0) w->symbols[s->after].before = at;
    if (s->before >= 0) offer(m, w, s->before);
    offer(m, w, at);
}

/* Each merge offers at most two pairs: 3n candidates are room enough. */
static th_status reserve(th_bpe_work *w, int64_t n) {
    if (n <= w->capacity) return TH_OK;
    if (n > INT32_MAX / 4) return th_fail(TH_E_INPUT, "a word of %lld bytes is too long", (long long)n);
    void *symbols = th_realloc(w->symbols, (size_t)n, sizeof *w->symbols);
    if (!symbols) return th_fail_memory();
    w->symbols = symbols;
    void *heap = th_realloc(w->heap, (size_t)n * 3, sizeof *w->heap);
    if (!heap) return th_fail_memory();
    w->heap = heap;
    w->capacity = n;
    return TH_OK;
}

th_status th_bpe_apply(const th_merges *m, th_bpe_work *w, int32_t *symbols, int64_t *n) {
    if (*n < 2) return TH_OK;
    TH_TRY(reserve(w, *n));
    int32_t count = (int32_t)*n;
    for (int32_t i = 0; i < count; i++)
        w->symbols[i] = (struct th_bpe_symbol){symbols[i], i - 1, i + 1 < count ? i + 1 : -1};
    w->n_heap = 0;
    for (int32_t i = 0; i + 1 < count; i++) offer(m, w, i);
    while (w->n_heap) {
        candidate c = heap_pop(w);
        int32_t at = (int32_t)(uint32_t)c.order;
        if (still_there(m, w, at, c.id)) join(m, w, at, c.id);
    }
    *n = 0;
    for (int32_t i = 0; i >= 0; i = w->symbols[i].after) symbols[(*n)++] = w->symbols[i].id;
    return TH_OK;
}

void th_bpe_work_free(th_bpe_work *w) {
    th_free(w->symbols);
    th_free(w->heap);
    *w = (th_bpe_work){0};
}

static bool stands_for_itself(int b) { return (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174; }

/* The others, in order: 0–32, 127–160, 173. */
int32_t th_byte_to_char(uint8_t b) {
    if (stands_for_itself(b)) return b;
    return 256 + (b <= 32 ? b : b <= 160 ? b - 127 + 33 : 67);
}

int th_char_to_byte(int32_t c) {
    if (c >= 0 && c < 256) return stands_for_itself(c) ? c : -1;
    int k = c - 256;
    if (k < 0 || k > 67) return -1;
    return k <= 32 ? k : k <= 66 ? k - 33 + 127 : 173;
}

uint8_t th_clip_byte(int i) {
    if (i < 94) return (uint8_t)(33 + i);
    if (i < 106) return (uint8_t)(161 + i - 94);
    if (i < 188) return (uint8_t)(174 + i - 106);
    return (uint8_t)th_char_to_byte(256 + i - 188);
}
