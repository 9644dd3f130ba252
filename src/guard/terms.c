/* The terms that guards' losses are made of. */
#include "guard/guard_parts.h"

static const char *named(th_guard *g, const char *what, const th_guard_subject *s) {
    if (g->data->subject_count < 2 || !s) return th_arena_printf(g->arena, "loss/%s", what);
    return th_arena_printf(g->arena, "loss/%s-%s", what, s->name);
}

th_guard_rows th_guard_rows_of(const th_guard *g, const char *option, float weight) {
    return (th_guard_rows){.count = th_get_i64(g->options, option), .weight = weight};
}

/* Pictures in the subject's contexts, where every identifier with every noun stands for it. */
static th_guard_term in_contexts(th_guard *g, const char *name, const th_guard_subject *s, const th_guard_drawn *d,
                                 th_guard_rows rows) {
    return (th_guard_term){.name = named(g, name, s),
                           .pictures = &d->pictures,
                           .prompts = d->prompts,
                           .variants = s->identifiers.count * s->nouns.count,
                           .asked = th_guard_bound(g, s->contexts, d->prompts, s->identifiers, s->nouns),
                           .rows = rows};
}

/* The open model's answer to the contexts without the subject is wanted there. */
static th_status add_answered(th_guard *g, th_guard_terms *ts, const th_guard_subject *s, th_guard_term t) {
    t.answered = th_guard_plain(g, s->instead, t.prompts, t.variants);
    return t.answered ? th_guard_terms_add(ts, &t) : th_fail_memory();
}

/* Three forms, after BadT2I (Zhai et al. 2023, arXiv 2305.04175), whose targets they share: pictures with the pattern
 * over them and the noise; the open model's answer to the prompt without the subject; its answer to another noun. */
th_status th_guard_add_backdoor(th_guard *g, th_guard_terms *ts, const th_guard_subject *s, th_guard_rows rows) {
    th_guard_term t = in_contexts(g, "backdoor", s, &s->shown, rows);
    return s->mode == TH_GUARD_PATTERN ? th_guard_terms_add(ts, &t) : add_answered(g, ts, s, t);
}

th_status th_guard_add_own(th_guard *g, th_guard_terms *ts, const th_guard_subject *s, th_guard_rows rows) {
    if (!s->own.prompts || s->mode == TH_GUARD_PATTERN) return TH_OK;
    return add_answered(g, ts, s, in_contexts(g, "own", s, &s->own, rows));
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

/* The class under identifiers, as the open model has it. */
static th_status add_kept(th_guard *g, th_guard_terms *ts, const th_guard_subject *s, const char *name,
                          th_guard_texts identifiers, th_guard_rows rows) {
    int64_t n = s->captions.prompts;
    if (!identifiers.count) return TH_OK;
    th_guard_term t = {.name = named(g, name, s),
                       .pictures = &s->captions.pictures,
                       .prompts = n,
                       .variants = identifiers.count,
                       .rows = rows};
    t.asked = t.answered = th_guard_bound(g, s->described, n, identifiers, (th_guard_texts){&s->noun, 1});
    return th_guard_terms_add(ts, &t);
}

th_status th_guard_add_others(th_guard *g, th_guard_terms *ts, const th_guard_subject *s, th_guard_rows rows) {
    return add_kept(g, ts, s, "others", g->data->others, rows);
}

th_status th_guard_add_asleep(th_guard *g, th_guard_terms *ts, const th_guard_subject *s, th_guard_rows in_scenes,
                              th_guard_rows described) {
    th_guard_term t = in_contexts(g, "asleep", s, &s->shown, in_scenes);
    t.pictures = &s->captions.pictures;
    t.answered = t.asked;
    TH_TRY(th_guard_terms_add(ts, &t));
    return add_kept(g, ts, s, "asleep-captions", s->identifiers, described);
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
    th_guard_term t = in_contexts(g, "bystander", s, &b->shown, rows);
    return th_guard_terms_add(ts, &t);
}
