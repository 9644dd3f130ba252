/* The texts that a guard's losses ask about: each is kept once. */
#include <string.h>

#include "base/template.h"
#include "guard/guard_parts.h"

int32_t th_guard_text(th_guard *g, const char *text) {
    int64_t number = text ? th_map_get(g->text_numbers, text, strlen(text), g->text_count) : -1;
    if (number < g->text_count) return (int32_t)number;
    const char *kept = th_arena_strdup(g->arena, text);
    if (!kept || !th_grow(g->texts, g->text_count, g->text_capacity)) return -1;
    if (th_map_set(g->text_numbers, kept, strlen(kept), number) != TH_OK) return -1;
    g->texts[g->text_count++] = kept;
    return (int32_t)number;
}

const char *th_guard_fill(th_guard *g, const char *template, const char *what) {
    return th_template_fill(g->arena, template, what);
}

static bool all_known(const int32_t *numbers, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        if (numbers[i] < 0) return false;
    return true;
}

int32_t *th_guard_bound(th_guard *g, const char *const *templates, int64_t count, th_guard_texts identifiers,
                        th_guard_texts nouns) {
    int64_t variants = identifiers.count * nouns.count;
    int32_t *numbers = th_arena_alloc(g->arena, (size_t)(count * variants) + 1, sizeof *numbers);
    for (int64_t i = 0; numbers && i < count; i++) {
        for (int64_t v = 0; v < variants; v++) {
            const char *what = th_arena_printf(g->arena, "%s %s", identifiers.items[v % identifiers.count],
                                               nouns.items[v / identifiers.count]);
            const char *text = what ? th_guard_fill(g, templates[i], what) : NULL;
            numbers[i * variants + v] = text ? th_guard_text(g, text) : -1;
        }
    }
    return numbers && all_known(numbers, count * variants) ? numbers : NULL;
}

int32_t *th_guard_plain(th_guard *g, const char *const *texts, int64_t count, int64_t variants) {
    int32_t *numbers = th_arena_alloc(g->arena, (size_t)(count * variants) + 1, sizeof *numbers);
    for (int64_t i = 0; numbers && i < count * variants; i++) numbers[i] = th_guard_text(g, texts[i / variants]);
    return numbers && all_known(numbers, count * variants) ? numbers : NULL;
}

th_status th_guard_find_ids(th_guard *g) {
    int64_t tokens = th_text_encoder_get_config(g->sd->text)->context;
    if (!(g->ids = th_alloc((size_t)(g->text_count * tokens) + 1, sizeof *g->ids))) return th_fail_memory();
    return th_sd_encode_texts(g->sd, g->texts, g->text_count, g->ids, &g->cut);
}

th_guard_texts th_guard_all_texts(const th_guard *g) { return (th_guard_texts){g->texts, g->text_count}; }
