/* Inside of th_subtexts, shared by what makes them (subtext.c) and what stores them (subtext_file.c). */
#ifndef TH_DATA_SUBTEXT_PARTS_H
#define TH_DATA_SUBTEXT_PARTS_H

#include "base/hash.h"
#include "data/parallel.h"
#include "data/subtext.h"

struct th_subtexts {
    int64_t n;
    th_subtext **items; /* by caption */
    int *counts;
    th_source *sources;
    th_arena *arenas[TH_PARALLEL_MAX]; /* hold the items and their texts */
    char key[TH_HASH_TEXT];            /* of what they were made from */
    th_subtext_stats stats;
};

th_status th_subtexts_new(int64_t n, th_subtexts **out);
/* Copies the sub-texts of one caption into the arena. Threads may put different captions at once. */
th_status th_subtexts_put(th_subtexts *s, int64_t caption, th_source source, const th_subtext *items, int count,
                          th_arena *arena);
/* Takes over the arenas (and clears the caller's) and counts. */
th_status th_subtexts_finish(th_subtexts *s, const char *key, th_arena **arenas, int arena_count,
                             const th_subtext_stats *times);
th_status th_subtexts_save(const th_subtexts *s, const char *path);
/* *found: the file holds what the key names. Missing, stale and damaged caches are not found; TH_E_INPUT when it is
 * some other file. */
th_status th_subtexts_try_cache(const char *path, const char *key, th_subtexts **out, bool *found);

#endif
