/* Open addressing with linear probing, at most 5/8 full; the keys' bytes lie in an arena. */
#include "base/map.h"

#include <string.h>

#include "base/memory.h"

typedef struct {
    const char *key; /* NULL: free */
    size_t length;
    uint64_t hash;
    int64_t value;
} slot;

struct th_map {
    slot *slots;
    int64_t capacity, count; /* capacity is a power of two */
    th_arena *keys;
};

/* FNV-1a, then a final mix so that the low bits are good for masking. */
static uint64_t hash_of(const char *key, size_t length) {
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < length; i++) h = (h ^ (unsigned char)key[i]) * 0x100000001b3u;
    return h ^ (h >> 29);
}

th_map *th_map_new(void) {
    th_map *m = th_alloc(1, sizeof *m);
    if (!m) return NULL;
    m->keys = th_arena_new();
    m->capacity = 64;
    m->slots = th_alloc((size_t)m->capacity, sizeof(slot));
    if (m->keys && m->slots) return m;
    th_map_free(m);
    return NULL;
}

void th_map_free(th_map *m) {
    if (!m) return;
    th_arena_free(m->keys);
    th_free(m->slots);
    th_free(m);
}

static slot *find(slot *slots, int64_t capacity, const char *key, size_t length, uint64_t hash) {
    for (uint64_t i = hash;; i++) {
        slot *s = &slots[i & (uint64_t)(capacity - 1)];
        if (!s->key || (s->hash == hash && s->length == length && !memcmp(s->key, key, length))) return s;
    }
}

static bool grow(th_map *m) {
    int64_t capacity = m->capacity * 2;
    slot *slots = th_alloc((size_t)capacity, sizeof(slot));
    if (!slots) return false;
    for (int64_t i = 0; i < m->capacity; i++) {
        slot *s = &m->slots[i];
        if (s->key) *find(slots, capacity, s->key, s->length, s->hash) = *s;
    }
    th_free(m->slots);
    m->slots = slots;
    m->capacity = capacity;
    return true;
}

th_status th_map_set(th_map *m, const char *key, size_t length, int64_t value) {
    uint64_t hash = hash_of(key, length);
    slot *s = find(m->slots, m->capacity, key, length, hash);
    if (!s->key) {
        if (m->count * 8 >= m->capacity * 5) {
            if (!grow(m)) return th_fail_memory();
            s = find(m->slots, m->capacity, key, length, hash);
        }
        char *copy = th_arena_alloc(m->keys, length + 1, 1);
        if (!copy) return th_fail_memory();
        if (length) memcpy(copy, key, length);
        *s = (slot){copy, length, hash, 0};
        m->count++;
    }
    s->value = value;
    return TH_OK;
}

int64_t th_map_get(const th_map *m, const char *key, size_t length, int64_t missing) {
    if (!m) return missing;
    const slot *s = find(m->slots, m->capacity, key, length, hash_of(key, length));
    return s->key ? s->value : missing;
}

int64_t th_map_count(const th_map *m) { return m ? m->count : 0; }
