/* From a data set to sub-texts. */
#include "data/dataset_subtexts.h"

th_status th_dataset_all_captions(const th_dataset *d, th_arena *arena, const char ***out) {
    int64_t n = th_dataset_count(d);
    const char **all = th_arena_alloc(arena, (size_t)n, sizeof *all);
    if (!all) return th_fail_memory();
    for (int64_t i = 0; i < n; i++) {
        char room[TH_DATASET_ROOM];
        const char *text = th_dataset_caption(d, i, NULL, room);
        if (!text) return th_fail(TH_E_INPUT, "the data set has no captions, and sub-texts are made from them");
        if (!(all[i] = th_arena_strdup(arena, text))) return th_fail_memory();
    }
    *out = all;
    return TH_OK;
}

th_status th_dataset_subtexts(const th_dataset *d, const th_subtext_params *p, int threads, const th_watch *w,
                              const char *cache_path, th_subtexts **out) {
    th_arena *arena = th_arena_new();
    const char **captions = NULL;
    if (!arena) return th_fail_memory();
    th_status s = th_dataset_all_captions(d, arena, &captions);
    if (s == TH_OK) s = th_subtexts_build(captions, th_dataset_count(d), p, threads, w, cache_path, out);
    th_arena_free(arena);
    return s;
}
