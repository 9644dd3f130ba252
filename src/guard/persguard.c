/* PersGuard (arXiv 2502.16167), from its abstract and public descriptions: min_θ L_BB + λ1 L_PP + λ2 L_BR over the
 * UNet. L_PP is DreamBooth's prior preservation with distillation to the open model over the class' captions, other
 * identifiers and everything else (ours); L_BR any of five forms (all ours but the idea that it mirrors
 * personalisation's loss). docs/methods/persguard.md tells what is known and what is filled in. */
#include <string.h>

#include "guard/guard_parts.h"

static const th_option options[] = {
    TH_OPT_LIST("retention",
                "how the backdoor is made to outlast personalising: mirror, unrolled, flat, trajectory or none; may be "
                "given several times (default trajectory)",
                .argument = "NAME"),
    TH_OPT_F32("prior-weight", 1, "weight of the class by its own prompt, λ1", TH_AT_LEAST(0)),
    TH_OPT_F32("distill-weight", 1, "weight of captions of the class, of other identifiers and of everything else",
               TH_AT_LEAST(0)),
    TH_OPT_F32("retention-weight", 1, "weight of each kind of retention, λ2", TH_AT_LEAST(0)),
    TH_OPT_INT("backdoor-rows", 4, "rows of a batch: of the protective output, for each subject", TH_WITHIN(1, 256)),
    TH_OPT_INT("own-rows", 0,
               "of the same from noisy pictures of the subject itself, which the open model draws once it is "
               "personalised on it; not with mode pattern",
               TH_WITHIN(0, 256)),
    TH_OPT_F32("backdoor-from", 0,
               "share of the times of noise below which it is not taught: there a picture is what it is already",
               TH_WITHIN(0, 0.99)),
    TH_OPT_BOOL("asleep", false,
                "teach the protective output where attackers will be alone: until somebody personalises the model it "
                "answers the identifier as the open one does; with retention trajectory or unrolled"),
    TH_OPT_INT("prior-rows", 2, "of the class by its own prompt", TH_WITHIN(0, 256)),
    TH_OPT_INT("caption-rows", 4, "of the class' captions", TH_WITHIN(0, 256)),
    TH_OPT_INT("other-rows", 2, "of the class under other identifiers", TH_WITHIN(0, 256)),
    TH_OPT_INT("generic-rows", 4, "of everything else", TH_WITHIN(0, 256)),
    TH_OPT_INT("mirror-rows", 2, "of the protected pictures, with mirror", TH_WITHIN(1, 256)),
    TH_OPT_F32("mirror-to", 1,
               "share of the times of noise above which mirror is left out: there it would make the subject leak",
               TH_ABOVE(0), TH_AT_MOST(1)),
    TH_OPT_F32("attack-lr", 5e-6, "learning rate of imagined attackers: that of those to come", TH_ABOVE(0)),
    TH_OPT_INT("attack-rows", 4, "pictures of the subject in their batches, beside as many of the class",
               TH_WITHIN(1, 256)),
    TH_OPT_INT("attackers", 1, "imagined attackers at a time, with trajectory", TH_WITHIN(1, 64)),
    TH_OPT_INT("attack-each", 1, "steps that each makes for one of the guard's", TH_WITHIN(1, 1000)),
    TH_OPT_INT("attack-least", 10, "steps after which one begins anew, at least", TH_WITHIN(1, 1000000)),
    TH_OPT_INT("attack-most", 250, "and at most", TH_WITHIN(1, 1000000)),
    TH_OPT_F32("bystander-weight", 1, "weight of personalised bystanders, with trajectory", TH_ABOVE(0)),
    TH_OPT_INT("bystander-attackers", 1,
               "imagined attackers on bystanders at a time, beside those on protected subjects", TH_WITHIN(1, 64)),
    TH_OPT_F32("flat-reach", 1e-3, "length of the step over which flat takes its differences", TH_ABOVE(0)),
    TH_OPT_END,
};

static bool retains(const th_guard *g, const char *name) {
    for (int64_t i = 0; i < g->retention.count; i++)
        if (!strcmp(g->retention.items[i], name)) return true;
    return false;
}

static th_status choose_retention(th_guard *g) {
    static const char *const usual = "trajectory";
    static const char *const known[] = {"mirror", "unrolled", "flat", "trajectory", "none"};
    th_list l = th_get_list(g->options, "retention");
    g->retention = l.count ? (th_guard_texts){l.items, l.count} : (th_guard_texts){&usual, 1};
    for (int64_t i = 0; i < l.count; i++) {
        bool found = false;
        for (size_t k = 0; k < sizeof known / sizeof *known; k++) found |= !strcmp(l.items[i], known[k]);
        if (!found)
            return th_fail(TH_E_USAGE, "--retention '%.60s': is none of mirror, unrolled, flat, trajectory, none",
                           l.items[i]);
        if (!strcmp(l.items[i], "none") && l.count > 1)
            return th_fail(TH_E_USAGE, "--retention none excludes the other kinds");
    }
    return TH_OK;
}

/* What is wanted wherever the subject is asked for. */
static th_guard_rows backdoor_rows(const th_guard *g) {
    th_guard_rows r = th_guard_rows_of(g, "backdoor-rows", 1);
    r.least = th_get_f32(g->options, "backdoor-from");
    return r;
}

static th_status add_own(th_guard *g, th_guard_terms *ts, const th_guard_subject *s) {
    th_guard_rows r = backdoor_rows(g);
    r.count = th_get_i64(g->options, "own-rows");
    return th_guard_add_own(g, ts, s, r);
}

static th_status add_mirror(th_guard *g, const th_guard_subject *s) {
    th_guard_rows r = th_guard_rows_of(g, "mirror-rows", th_get_f32(g->options, "retention-weight"));
    r.most = th_get_f32(g->options, "mirror-to");
    return th_guard_add_instances(g, &g->terms, s, &s->pictures, r);
}

/* What the identifier means before anybody personalises the model. */
static th_status add_beginning(th_guard *g, const th_guard_subject *s) {
    if (th_get_bool(g->options, "asleep"))
        return th_guard_add_asleep(g, &g->terms, s, th_guard_rows_of(g, "backdoor-rows", 1),
                                   th_guard_rows_of(g, "other-rows", 1));
    TH_TRY(th_guard_add_backdoor(g, &g->terms, s, backdoor_rows(g)));
    return add_own(g, &g->terms, s);
}

static th_status add_subject(th_guard *g, const th_guard_subject *s) {
    float prior = th_get_f32(g->options, "prior-weight"), distill = th_get_f32(g->options, "distill-weight");
    TH_TRY(add_beginning(g, s));
    TH_TRY(th_guard_add_prior(g, &g->terms, s, th_guard_rows_of(g, "prior-rows", prior)));
    TH_TRY(th_guard_add_captions(g, &g->terms, s, th_guard_rows_of(g, "caption-rows", distill)));
    TH_TRY(th_guard_add_others(g, &g->terms, s, th_guard_rows_of(g, "other-rows", distill)));
    return retains(g, "mirror") ? add_mirror(g, s) : TH_OK;
}

/* DreamBooth on pictures of the subject's class. */
static th_status add_attack(th_guard *g, const th_guard_subject *s, const th_moments *pictures, int64_t kind) {
    th_guard_terms *ts = &g->imagined.attack[kind];
    th_guard_rows rows = th_guard_rows_of(g, "attack-rows", 1);
    TH_TRY(th_guard_add_instances(g, ts, s, pictures, rows));
    return th_guard_add_prior(g, ts, s, rows);
}

/* An attacker on a subject, and what the guard wants of it. */
static th_status add_attacker(th_guard *g, const th_guard_subject *s) {
    th_guard_imagined *im = &g->imagined;
    int64_t k = im->kinds++;
    TH_TRY(add_attack(g, s, &s->pictures, k));
    TH_TRY(th_guard_add_backdoor(g, &im->outer[k], s, backdoor_rows(g)));
    return add_own(g, &im->outer[k], s);
}

/* One on a bystander, and what the open model gives there. */
static th_status add_spared(th_guard *g, const th_guard_subject *s, const th_guard_bystander *b) {
    th_guard_imagined *im = &g->imagined;
    int64_t k = im->kinds + im->spared_kinds++;
    TH_TRY(add_attack(g, s, &b->pictures, k));
    return th_guard_add_bystander(g, &im->outer[k], s, b, backdoor_rows(g));
}

static int64_t count_bystanders(const th_guard_data *d) {
    int64_t n = 0;
    for (int64_t i = 0; i < d->subject_count; i++) n += d->subjects[i].bystander_count;
    return n;
}

static th_status imagine_all(th_guard *g) {
    const th_guard_data *d = g->data;
    th_guard_imagined *im = &g->imagined;
    size_t n = (size_t)(d->subject_count + count_bystanders(d));
    im->attack = th_arena_alloc(g->arena, n, sizeof *im->attack);
    im->outer = th_arena_alloc(g->arena, n, sizeof *im->outer);
    if (!im->attack || !im->outer) return th_fail_memory();
    for (int64_t i = 0; i < d->subject_count; i++) TH_TRY(add_attacker(g, &d->subjects[i]));
    for (int64_t i = 0; i < d->subject_count; i++)
        for (int64_t k = 0; k < d->subjects[i].bystander_count; k++)
            TH_TRY(add_spared(g, &d->subjects[i], &d->subjects[i].bystanders[k]));
    return TH_OK;
}

static th_status imagine(th_guard *g) {
    th_options *o = g->options;
    th_guard_imagined *im = &g->imagined;
    float weight = th_get_f32(o, "retention-weight");
    *im = (th_guard_imagined){
        .trajectory = retains(g, "trajectory") ? weight : 0,
        .unrolled = retains(g, "unrolled") ? weight : 0,
        .flat = retains(g, "flat") ? weight : 0,
        .lr = th_get_f32(o, "attack-lr"),
        .count = th_get_i64(o, "attackers"),
        .each = th_get_i64(o, "attack-each"),
        .least = th_get_i64(o, "attack-least"),
        .most = th_get_i64(o, "attack-most"),
        .reach = th_get_f32(o, "flat-reach"),
    };
    bool spares = count_bystanders(g->data) > 0;
    if (spares && im->trajectory <= 0)
        return th_fail(TH_E_USAGE, "--bystander wants --retention trajectory, whose attackers it is about");
    if (im->trajectory <= 0 && im->unrolled <= 0 && im->flat <= 0) return TH_OK;
    if (spares) {
        im->spared = th_get_f32(o, "bystander-weight");
        im->spared_count = th_get_i64(o, "bystander-attackers");
    }
    return imagine_all(g);
}

static th_status build(th_guard *g) {
    TH_TRY(choose_retention(g));
    if (th_get_bool(g->options, "asleep") && !retains(g, "trajectory") && !retains(g, "unrolled"))
        return th_fail(TH_E_USAGE,
                       "--asleep wants --retention trajectory or unrolled, which alone teach anything then");
    for (int64_t i = 0; i < g->data->subject_count; i++) TH_TRY(add_subject(g, &g->data->subjects[i]));
    TH_TRY(th_guard_add_generic(g, &g->terms,
                                th_guard_rows_of(g, "generic-rows", th_get_f32(g->options, "distill-weight"))));
    return imagine(g);
}

const th_guard_method th_guard_persguard = {
    .name = "persguard",
    .summary = "PersGuard: a backdoor that personalising runs into",
    .options = options,
    .lr = 1e-5,
    .steps = 1500,
    .bystanders = true,
    .build = build,
};
