/* The heap, and an arena above it. Every allocation of the library goes through here, so that a test can let any of
 * them fail and the bytes in use are known. */
#ifndef TH_BASE_MEMORY_H
#define TH_BASE_MEMORY_H

#include "base/status.h"

/* Zeroed memory for count items of size bytes; NULL when out of memory or when the product overflows. */
void *th_alloc(size_t count, size_t size);
/* Grows or shrinks; the tail is not zeroed. On failure NULL, and the old block stays. */
void *th_realloc(void *old, size_t count, size_t size);
void th_free(void *p);
/* Uninitialised, aligned to 64 bytes (a cache line, a zmm register). Free with th_free_big, giving the same size.
 * Blocks of 2 MiB and more come from the system directly, on huge pages where it has them, and go back to it at once.
 */
void *th_alloc_big(size_t bytes);
/* The same, zeroed; large blocks without touching them, since they come so from the system. */
void *th_alloc_big_zeroed(size_t bytes);
void th_free_big(void *p, size_t bytes);
char *th_strdup(const char *s);
char *th_strndup(const char *s, size_t n);

/* Bytes in use now, through the calls above. */
size_t th_bytes_in_use(void);
/* For tests: the n-th allocation from now (1 = the next) fails, and those after it too when sticky. 0 turns it off. */
void th_alloc_fail_at(int64_t n, bool sticky);

/* Arena: many small things that die together. A failed allocation is remembered: th_arena_failed. */
typedef struct th_arena th_arena;
th_arena *th_arena_new(void);
void th_arena_free(th_arena *a);
void *th_arena_alloc(th_arena *a, size_t count, size_t size); /* zeroed, 16-byte aligned */
char *th_arena_strdup(th_arena *a, const char *s);
char *th_arena_printf(th_arena *a, const char *format, ...) __attribute__((format(printf, 2, 3)));
void *th_arena_copy(th_arena *a, const void *p, size_t bytes);
bool th_arena_failed(const th_arena *a);

/* Makes room for one more item in a growing array: items, capacity and count are lvalues. Yields false when out of
 * memory. */
#define th_grow(items, count, capacity) \
    ((count) < (capacity) || th_grow_array((void **)&(items), &(capacity), sizeof *(items)))
bool th_grow_array(void **items, int64_t *capacity, size_t size);

#endif
