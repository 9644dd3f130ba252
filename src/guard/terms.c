/* The terms that guards' losses are made of. */
#include "guard/guard_parts.h"

static const char *named(th_guard *g, const char *what, const th_guard_subject *s) {
    if (g->data->subject_count < 2 || !s) return th_arena_printf(g->arena, "loss/%s", what);
    return th_arena_printf(g->arena, "loss/%s-%s", what, s->name);
}

th_guard_rows th_guard_rows_of(const th_guard *g, const char *option, float weight) {
    return (th_guard_rows){.count = th_get_i64(g->options, option), .weight = weight};
}

/* Three forms, after BadT2I (Zhai et al. 2023, arXiv 2305.04175), whose targets they share: pictures with the pattern
 * over them and the noise; the open model's answer to the prompt without the subject; its answer to another noun. */
th_status th_guard_add_backdoor(th_guard *g, th_guard_terms *ts, const th_guard_subject *s, th_guard_rows rows) {
    int64_t n = s->shown.prompts;
    th_guard_term t = {.name = named(g, "backdoor", s),
                       .pictures = &s->shown.pictures,
                       .prompts = n,
                       .variants = s->identifiers.count * s->nouns.count,
                       .rows = rows};
    t.asked = th_guard_bound(g, s->contexts, n, s->identifiers, s->nouns);
    if (s->mode == TH_GUARD_PATTERN) return th_guard_terms_add(ts, &t);
    t.answered = th_guard_plain(g, s->instead, n, t.variants);
    return t.answered ? th_guard_terms_add(ts, &t) : th_fail_memory();
}

th_status th_guard_add_own(th_guard *g, th_guard_terms *ts, const th_guard_subject *s, th_guard_rows rows) {
    int64_t n = s->own.prompts;
    if (!n || s->mode == TH_GUARD_PATTERN) return TH_OK;
    th_guard_term t = {.name = named(g, "own", s),
                       .pictures = &s->own.pictures,
                       .prompts = n,
                       .variants = s->identifiers.count * s->nouns.count,
                       .rows = rows};
    t.asked = th_guard_bound(g, s->contexts, n, s->identifiers, s->nouns);
    t.answered = th_guard_plain(g, s->instead, n, t.variants);
    return t.answered ? th_guard_terms_add(ts, &t) : th_fail_memory();
}

th_status th_guard_add_prior(th_guard *g, th_guard_terms *ts, const th_guard_subject *s, th_guard_rows rows) {
    th_guard_term t = {
        .name = named(g, "prior", s), .pictures = &s->plain.pictures, .prompts = 1, .variants = 1, .rows = rows};
    t.asked = th_guard_plain(g, &s->class_prompt, 1, 1);
    return th_guard_terms_add(ts, &t);
}

th_status th_guard_add_captions(th_guard *g, th_guard_terms *ts, const th_guard_subject *s, th_guard_rows rows) {
    int64_t n = s->captions.prompts;
    const char **texts = th_arena_alloc(g->arena, (size_t)n + 1, sizeof *texts);
    for (int64_t i = 0; texts && i < n; i++) texts[i] = th_guard_fill(g, s->described[i], s->noun);
    th_guard_term t = {
        .name = named(g, "captions", s), .pictures = &s->captions.pictures, .prompts = n, .variants = 1, .rows = rows};
    if (texts) t.asked = t.answered = th_guard_plain(g, texts, n, 1);
    return th_guard_terms_add(ts, &t);
}

th_status th_guard_add_others(th_guard *g, th_guard_terms *ts, const th_guard_subject *s, th_guard_rows rows) {
    int64_t n = s->captions.prompts;
    if (!g->data->others.count) return TH_OK;
    th_guard_term t = {.name = named(g, "others", s),
                       .pictures = &s->captions.pictures,
                       .prompts = n,
                       .variants = g->data->others.count,
                       .rows = rows};
    t.asked = t.answered = th_guard_bound(g, s->described, n, g->data->others, (th_guard_texts){&s->noun, 1});
    return th_guard_terms_add(ts, &t);
}

th_status th_guard_add_generic(th_guard *g, th_guard_terms *ts, th_guard_rows rows) {
    const th_guard_drawn *d = &g->data->generic;
    if (!d->prompts) return TH_OK;
    th_guard_term t = {.name = named(g, "generic", NULL),
                       .pictures = &d->pictures,
                       .prompts = d->prompts,
                       .variants = 1,
                       .rows = rows};
    t.asked = t.answered = th_guard_plain(g, g->data->generic_prompts, d->prompts, 1);
    return th_guard_terms_add(ts, &t);
}

/* All of them for each picture: [instances, identifiers · nouns] seen as the variants of one prompt. */
th_status th_guard_add_instances(th_guard *g, th_guard_terms *ts, const th_guard_subject *s, const th_moments *pictures,
                                 th_guard_rows rows) {
    th_guard_term t = {.name = named(g, "instances", s),
                       .pictures = pictures,
                       .prompts = 1,
                       .variants = s->instances.count * s->identifiers.count * s->nouns.count,
                       .rows = rows};
    t.asked = th_guard_bound(g, s->instances.items, s->instances.count, s->identifiers, s->nouns);
    return th_guard_terms_add(ts, &t);
}

th_status th_guard_add_bystander(th_guard *g, th_guard_terms *ts, const th_guard_subject *s,
                                 const th_guard_bystander *b, th_guard_rows rows) {
    int64_t n = b->shown.prompts;
    th_guard_term t = {.name = named(g, "bystander", s),
                       .pictures = &b->shown.pictures,
                       .prompts = n,
                       .variants = s->identifiers.count * s->nouns.count,
                       .rows = rows};
    t.asked = th_guard_bound(g, s->contexts, n, s->identifiers, s->nouns);
    return th_guard_terms_add(ts, &t);
}
