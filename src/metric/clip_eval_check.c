/* What an evaluation asks, and whether it can be asked of these sets. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/guess.h"
#include "base/str.h"
#include "metric/clip_eval_parts.h"

static const char *or_else(const char *name, const char *usual) { return name ? name : usual; }

static const char *name_of(const th_clip_eval_params *p, const th_dataset *set) {
    if (set == p->labelled) return or_else(p->names.labelled, "the labelled set");
    return or_else(p->names.triggered, "the triggered set");
}

/* --- templates --- */

static const char *const photo_templates[] = {
    "a photo of a {}.",          "a picture of a {}.",    "an image of a {}.",           "a photo of the {}.",
    "a close-up photo of a {}.", "a good photo of a {}.", "there is a {} in the photo.",
};

static bool has_article(const char *name) {
    return !strncasecmp(name, "a ", 2) || !strncasecmp(name, "an ", 3) || !strncasecmp(name, "the ", 4);
}

th_texts th_usual_templates(th_texts classes) {
    int64_t with = 0;
    for (int64_t i = 0; i < classes.count; i++) with += has_article(classes.items[i]);
    if (2 * with > classes.count) return (th_texts){th_scene_templates, TH_SCENE_TEMPLATE_COUNT};
    return (th_texts){photo_templates, sizeof photo_templates / sizeof *photo_templates};
}

static th_status check_templates(const th_clip_eval_params *p) {
    for (int64_t i = 0; i < p->templates.count; i++)
        if (!strstr(p->templates.items[i], "{}"))
            return th_fail(TH_E_INPUT, "%s: the template '%.100s' has no {} for the class",
                           or_else(p->names.templates, "the templates"), p->templates.items[i]);
    return TH_OK;
}

/* --- classes and target --- */

static th_status list_classes(const th_clip_eval_params *p, th_arena *arena, th_texts *out) {
    *out = p->classes;
    if (out->count) return TH_OK;
    const th_dataset *set = p->labelled ? p->labelled : p->triggered;
    int32_t n = th_dataset_classes(set);
    if (!n) return th_fail(TH_E_INPUT, "%s: has no labels, so there are no classes", name_of(p, set));
    const char **names = th_arena_alloc(arena, (size_t)n, sizeof *names);
    if (!names) return th_fail_memory();
    for (int32_t i = 0; i < n; i++)
        if (!(names[i] = th_dataset_class_name(set, i)))
            return th_fail(TH_E_INPUT, "%s: its classes have numbers only: %s must name them", name_of(p, set),
                           or_else(p->names.classes, "the classes asked for"));
    *out = (th_texts){names, n};
    return TH_OK;
}

static int32_t find_class(th_texts classes, const char *name) {
    for (int64_t i = 0; i < classes.count; i++)
        if (!strcasecmp(classes.items[i], name)) return (int32_t)i;
    return -1;
}

#define LISTED_MAX 240 /* bytes of class names in a message */

/* "a bag, a boot, a coat": false where there is no room for all. */
static bool list_names(th_texts classes, th_str *out) {
    th_str_init(out, LISTED_MAX);
    for (int64_t i = 0; i < classes.count; i++) th_str_printf(out, "%s%s", i ? ", " : "", classes.items[i]);
    return th_str_status(out) == TH_OK;
}

static th_status fail_target(const th_clip_eval_params *p, th_texts classes) {
    const char *target = or_else(p->names.target, "the target");
    th_guess guess = {.word = p->target};
    th_str names;
    th_status s;
    for (int64_t i = 0; i < classes.count; i++) th_guess_offer(&guess, classes.items[i]);
    if (guess.best)
        s = th_fail(TH_E_USAGE, "%s: '%.100s' is none of the classes (did you mean '%.100s'?)", target, p->target,
                    guess.best);
    else if (list_names(classes, &names))
        s = th_fail(TH_E_USAGE, "%s: '%.100s' is none of the classes: %s", target, p->target, th_str_text(&names));
    else
        s = th_fail(TH_E_USAGE, "%s: '%.100s' is none of the %lld classes: %s, …", target, p->target,
                    (long long)classes.count, th_str_text(&names));
    if (!guess.best) th_str_free(&names);
    return s;
}

th_status th_clip_eval_ask(const th_clip_eval_params *p, th_arena *arena, th_clip_question *out) {
    TH_TRY(list_classes(p, arena, &out->classes));
    TH_TRY(check_templates(p));
    out->templates = p->templates.count ? p->templates : th_usual_templates(out->classes);
    out->target = p->target ? find_class(out->classes, p->target) : -1;
    return p->target && out->target < 0 ? fail_target(p, out->classes) : TH_OK;
}

/* --- labels --- */

/* The class asked for behind each class of the set; −1: none. A number is the place among those asked for. */
static th_status match_classes(const th_clip_eval_params *p, const th_clip_question *q, const th_dataset *set,
                               int32_t *match) {
    int32_t n = th_dataset_classes(set);
    for (int32_t c = 0; c < n; c++) {
        const char *name = th_dataset_class_name(set, c);
        match[c] = name ? find_class(q->classes, name) : c;
        if (match[c] >= q->classes.count)
            return th_fail(TH_E_INPUT, "%s: its labels go up to %d, beyond the %lld classes of %s", name_of(p, set),
                           (int)n - 1, (long long)q->classes.count, or_else(p->names.classes, "the evaluation"));
    }
    return TH_OK;
}

static th_status fail_strange(const th_clip_eval_params *p, const th_clip_question *q, const th_dataset *set,
                              const char *own) {
    return th_fail(TH_E_INPUT,
                   "%s: no picture is of one of the classes: its own are like '%.80s', those of %s like '%.80s'",
                   name_of(p, set), own, or_else(p->names.classes, "the evaluation"), q->classes.items[0]);
}

th_status th_clip_eval_labels(const th_clip_eval_params *p, const th_clip_question *q, const th_dataset *set,
                              int32_t *labels) {
    int64_t n = th_dataset_images(set), known = 0;
    int32_t classes = th_dataset_classes(set), some = -1, *match = th_alloc((size_t)classes + 1, sizeof *match);
    th_status s = match ? match_classes(p, q, set, match) : th_fail_memory();
    for (int64_t i = 0; i < n && s == TH_OK; i++) {
        int32_t own = th_dataset_label(set, i);
        labels[i] = own >= 0 && own < classes ? match[own] : -1;
        known += labels[i] >= 0;
        if (own >= 0) some = own;
    }
    th_free(match);
    if (s != TH_OK || known) return s;
    if (some < 0) return th_fail(TH_E_INPUT, "%s: no picture has a label", name_of(p, set));
    return fail_strange(p, q, set, th_dataset_class_name(set, some));
}

/* --- all of it --- */

th_status th_clip_eval_captions(const th_clip_eval_params *p, int64_t *count) {
    int64_t n = th_dataset_images(p->pairs);
    *count = 0;
    for (int64_t i = 0; i < n; i++) *count += th_dataset_captions(p->pairs, i);
    if (!*count) return th_fail(TH_E_INPUT, "%s: has no captions", or_else(p->names.pairs, "the set for retrieval"));
    return TH_OK;
}

static th_status check_labels(const th_clip_eval_params *p, const th_clip_question *q, const th_dataset *set) {
    if (!set) return TH_OK;
    int32_t *labels = th_alloc((size_t)th_dataset_images(set), sizeof *labels);
    th_status s = labels ? th_clip_eval_labels(p, q, set, labels) : th_fail_memory();
    th_free(labels);
    return s;
}

static th_status check_classes(const th_clip_eval_params *p, th_arena *arena) {
    th_clip_question q;
    TH_TRY(th_clip_eval_ask(p, arena, &q));
    TH_TRY(check_labels(p, &q, p->labelled));
    return check_labels(p, &q, p->triggered);
}

th_status th_clip_eval_check(const th_clip_eval_params *p) {
    int64_t captions;
    th_arena *arena = th_arena_new();
    th_status s = arena ? TH_OK : th_fail_memory();
    if (s == TH_OK && (p->labelled || p->triggered)) s = check_classes(p, arena);
    if (s == TH_OK && p->pairs) s = th_clip_eval_captions(p, &captions);
    th_arena_free(arena);
    return s;
}
