/* The heap with its counters, large blocks, and the arena. */
#include "base/memory.h"

#include <malloc.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static atomic_size_t in_use;
static atomic_llong fail_countdown; /* 0: off; 1: the next one fails */
static atomic_bool fail_sticky;

static bool must_fail(void) {
    if (atomic_load_explicit(&fail_countdown, memory_order_relaxed) == 0) return false;
    long long left = atomic_load(&fail_countdown);
    if (left == 1) {
        if (!atomic_load(&fail_sticky)) atomic_store(&fail_countdown, 0);
        return true;
    }
    atomic_store(&fail_countdown, left - 1);
    return false;
}

void th_alloc_fail_at(int64_t n, bool sticky) {
    atomic_store(&fail_sticky, sticky);
    atomic_store(&fail_countdown, n);
}

size_t th_bytes_in_use(void) { return atomic_load(&in_use); }

void *th_alloc(size_t count, size_t size) {
    if (must_fail()) return NULL;
    void *p = calloc(count ? count : 1, size ? size : 1);
    if (p) atomic_fetch_add(&in_use, malloc_usable_size(p));
    return p;
}

void *th_realloc(void *old, size_t count, size_t size) {
    size_t bytes;
    if (must_fail() || __builtin_mul_overflow(count, size, &bytes)) return NULL;
    size_t before = old ? malloc_usable_size(old) : 0;
    void *p = realloc(old, bytes ? bytes : 1);
    if (!p) return NULL;
    atomic_fetch_add(&in_use, malloc_usable_size(p) - before);
    return p;
}

void th_free(void *p) {
    if (p) atomic_fetch_sub(&in_use, malloc_usable_size(p));
    free(p);
}

#define HUGE_PAGE ((size_t)2 << 20)

static size_t big_size(size_t bytes) {
    return bytes >= HUGE_PAGE ? (bytes + 4095) & ~(size_t)4095 : ((bytes ? bytes : 1) + 63) & ~(size_t)63;
}

void *th_alloc_big(size_t bytes) {
    if (must_fail() || bytes > (size_t)PTRDIFF_MAX - HUGE_PAGE) return NULL;
    size_t size = big_size(bytes);
    void *p;
    if (bytes >= HUGE_PAGE) {
        p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED) return NULL;
        madvise(p, size, MADV_HUGEPAGE); /* a wish: without it only the TLB suffers */
    } else {
        p = aligned_alloc(64, size);
        if (!p) return NULL;
    }
    atomic_fetch_add(&in_use, size);
    return p;
}

void *th_alloc_big_zeroed(size_t bytes) {
    void *p = th_alloc_big(bytes);
    return p && bytes < HUGE_PAGE ? memset(p, 0, bytes) : p;
}

void th_free_big(void *p, size_t bytes) {
    if (!p) return;
    size_t size = big_size(bytes);
    atomic_fetch_sub(&in_use, size);
    if (bytes >= HUGE_PAGE)
        munmap(p, size);
    else
        free(p);
}

char *th_strndup(const char *s, size_t n) {
    size_t length = strnlen(s, n);
    char *copy = th_alloc(length + 1, 1);
    if (copy) memcpy(copy, s, length);
    return copy;
}

char *th_strdup(const char *s) { return th_strndup(s, strlen(s)); }

bool th_grow_array(void **items, int64_t *capacity, size_t size) {
    int64_t more = *capacity ? *capacity * 2 : 16;
    void *p = th_realloc(*items, (size_t)more, size);
    if (!p) return false;
    *items = p;
    *capacity = more;
    return true;
}

typedef struct block {
    struct block *next;
    size_t used, size;
    _Alignas(16) char data[];
} block;

struct th_arena {
    block *head;
    bool failed;
};

th_arena *th_arena_new(void) { return th_alloc(1, sizeof(th_arena)); }

void th_arena_free(th_arena *a) {
    if (!a) return;
    for (block *b = a->head, *next; b; b = next) {
        next = b->next;
        th_free(b);
    }
    th_free(a);
}

bool th_arena_failed(const th_arena *a) { return a->failed; }

void *th_arena_alloc(th_arena *a, size_t count, size_t size) {
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes) || bytes > SIZE_MAX / 2) return a->failed = true, NULL;
    bytes = (bytes + 15) & ~(size_t)15;
    if (!a->head || a->head->size - a->head->used < bytes) {
        size_t room = bytes > 16384 ? bytes : 16384;
        block *b = th_alloc(1, sizeof(block) + room);
        if (!b) return a->failed = true, NULL;
        b->size = room;
        b->next = a->head;
        a->head = b;
    }
    void *p = a->head->data + a->head->used;
    a->head->used += bytes;
    return p;
}

void *th_arena_copy(th_arena *a, const void *p, size_t bytes) {
    void *copy = th_arena_alloc(a, bytes, 1);
    if (copy && bytes) memcpy(copy, p, bytes);
    return copy;
}

char *th_arena_strdup(th_arena *a, const char *s) { return th_arena_copy(a, s, strlen(s) + 1); }

char *th_arena_printf(th_arena *a, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *s = th_arena_alloc(a, (size_t)n + 1, 1);
    if (!s) return NULL;
    va_start(args, format);
    vsnprintf(s, (size_t)n + 1, format, args);
    va_end(args);
    return s;
}
