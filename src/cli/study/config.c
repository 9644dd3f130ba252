/* Reading the file of a study of guards. */
#include "cli/study/config.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/guess.h"
#include "base/template.h"
#include "cli/frame.h"
#include "data/inflect.h"
#include "format/options_json.h"

enum { FIELD_MAX = 256, LIST_MAX = 100000 };

/* ---- fields */

static void path_to(char out[FIELD_MAX], const char *where, const char *key) {
    snprintf(out, FIELD_MAX, "%.120s%s%.120s", where, *where ? "." : "", key);
}

/* allowed: "a|b|c". */
static th_status check_keys(const th_trial *t, const char *where, const json_t *object, const char *allowed) {
    const th_option keys = {.choices = allowed};
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value) {
        char one[TH_CHOICE_MAX], field[FIELD_MAX], shown[TH_SHOWN_MAX];
        th_guess guess = {.word = key};
        bool found = false;
        for (int64_t i = 0; !found && th_option_choice(&keys, i, one); i++) found = !strcmp(one, key);
        if (found) continue;
        path_to(field, where, th_shown(shown, key, strlen(key)));
        char near[TH_CHOICE_MAX] = "";
        for (int64_t i = 0; th_option_choice(&keys, i, one); i++) {
            th_guess_offer(&guess, one);
            if (guess.best == one) snprintf(near, sizeof near, "%s", one), guess.best = near;
        }
        if (*near) return th_fail(TH_E_INPUT, "%s: field '%s' is not known (did you mean '%s'?)", t->file, field, near);
        return th_fail(TH_E_INPUT, "%s: field '%s' is not known (there are: %s)", t->file, field, allowed);
    }
    return TH_OK;
}

static th_status read_text(const th_trial *t, const char *where, const char *key, bool required, const char **out) {
    char field[FIELD_MAX];
    path_to(field, where, key);
    if (required) TH_TRY(th_json_require(&t->json, field));
    TH_TRY(th_json_string(&t->json, field, out));
    if (*out && !**out) return th_json_fail(&t->json, field, "more than an empty text");
    return TH_OK;
}

static th_status read_number(const th_trial *t, const char *where, const char *key, int64_t least, int64_t most,
                             int64_t *out) {
    char field[FIELD_MAX];
    path_to(field, where, key);
    return th_json_int(&t->json, field, least, most, out);
}

static th_status read_object(const th_trial *t, const char *where, const char *key, json_t **out) {
    char field[FIELD_MAX];
    path_to(field, where, key);
    *out = NULL;
    return th_json_object(&t->json, field, out);
}

/* A list of texts; absent: none. */
static th_status read_texts(th_trial *t, const char *where, const char *key, const char ***out, int64_t *count) {
    char field[FIELD_MAX];
    json_t *list = NULL;
    path_to(field, where, key);
    TH_TRY(th_json_array(&t->json, field, &list));
    *count = (int64_t)json_array_size(list);
    if (*count > LIST_MAX) return th_json_fail(&t->json, field, "a list of at most 100000 texts");
    if (!(*out = th_arena_alloc(t->arena, (size_t)*count + 1, sizeof **out))) return th_fail_memory();
    for (int64_t i = 0; i < *count; i++) {
        (*out)[i] = json_string_value(json_array_get(list, (size_t)i));
        if (!(*out)[i] || !*(*out)[i]) return th_json_fail(&t->json, field, "a list of texts");
    }
    return TH_OK;
}

static th_status read_integers(th_trial *t, const char *where, const char *key, int most, int64_t *out,
                               int64_t *count) {
    char field[FIELD_MAX];
    json_t *list = NULL;
    path_to(field, where, key);
    TH_TRY(th_json_require(&t->json, field));
    TH_TRY(th_json_array(&t->json, field, &list));
    *count = (int64_t)json_array_size(list);
    if (*count < 1 || *count > most) return th_json_fail(&t->json, field, "a list of numbers, neither empty nor long");
    for (int64_t i = 0; i < *count; i++) {
        const json_t *n = json_array_get(list, (size_t)i);
        out[i] = json_integer_value(n);
        if (!json_is_integer(n) || out[i] < 0)
            return th_json_fail(&t->json, field, "a list of whole numbers from 0 on");
        for (int64_t k = 0; k < i; k++)
            if (out[k] == out[i]) return th_json_fail(&t->json, field, "a list of different numbers");
    }
    return TH_OK;
}

/* Names of things that are there, as bits. */
typedef const char *(*name_of)(const th_trial *t, int64_t i);
static const char *model_name(const th_trial *t, int64_t i) { return t->models[i].name; }
static const char *subject_name(const th_trial *t, int64_t i) { return t->subjects[i].name; }

static th_status find_name(const th_trial *t, const char *field, const char *what, const char *name, name_of of,
                           int64_t count, int64_t *out) {
    char shown[TH_SHOWN_MAX];
    for (*out = 0; *out < count; (*out)++)
        if (!strcmp(of(t, *out), name)) return TH_OK;
    return th_fail(TH_E_INPUT, "%s: field '%s' names '%s', which is no %s", t->file, field,
                   th_shown(shown, name, strlen(name)), what);
}

static th_status read_names(th_trial *t, const char *where, const char *key, const char *what, name_of of,
                            int64_t count, uint64_t *bits) {
    char field[FIELD_MAX];
    const char **names;
    int64_t n, at;
    path_to(field, where, key);
    if (!th_json_has(&t->json, field)) return TH_OK;
    TH_TRY(read_texts(t, where, key, &names, &n));
    for (*bits = 0; n-- > 0; *bits |= UINT64_C(1) << at) TH_TRY(find_name(t, field, what, names[n], of, count, &at));
    return TH_OK;
}

static th_status check_name(const th_trial *t, const char *where, const char *name) {
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_");
    char shown[TH_SHOWN_MAX];
    if (n && !name[n] && n <= 64 && name[0] != '-') return TH_OK;
    return th_fail(TH_E_INPUT, "%s: '%s' under '%s' should be a name of at most 64 letters, digits, - and _", t->file,
                   th_shown(shown, name, strlen(name)), where);
}

/* The members of an object whose keys are names. *first: where they begin in an array that is made for them. */
static th_status read_members(th_trial *t, const char *where, bool required, json_t **object, int64_t *count) {
    const char *key;
    json_t *value;
    if (required) TH_TRY(th_json_require(&t->json, where));
    TH_TRY(read_object(t, "", where, object));
    *count = (int64_t)json_object_size(*object);
    if (required && !*count) return th_json_fail(&t->json, where, "an object with something in it");
    if (*count >= TH_STUDY_NAMES_MAX) return th_json_fail(&t->json, where, "an object of fewer than 64");
    json_object_foreach(*object, key, value) {
        TH_TRY(check_name(t, where, key));
        char field[FIELD_MAX];
        path_to(field, where, key);
        if (!json_is_object(value)) return th_json_fail(&t->json, field, "an object");
    }
    return TH_OK;
}

/* ---- models and subjects */

static const char *with_article(th_trial *t, const char *noun) {
    return th_arena_printf(t->arena, "%s %s", th_takes_an(noun) ? "an" : "a", noun);
}

static th_status read_subject(th_trial *t, const char *name, const json_t *object, th_trial_subject *s) {
    char where[FIELD_MAX];
    path_to(where, "subjects", name);
    s->name = name;
    TH_TRY(check_keys(t, where, object, "noun|called|pictures|held_out|others"));
    TH_TRY(read_text(t, where, "noun", true, &s->noun));
    TH_TRY(read_text(t, where, "pictures", true, &s->pictures));
    TH_TRY(read_text(t, where, "held_out", true, &s->held_out));
    TH_TRY(read_text(t, where, "others", false, &s->others));
    if (!(s->called = with_article(t, s->noun))) return th_fail_memory();
    return read_text(t, where, "called", false, &s->called);
}

static th_status read_subjects(th_trial *t) {
    json_t *object, *value;
    const char *name;
    TH_TRY(read_members(t, "subjects", true, &object, &t->subject_count));
    if (!(t->subjects = th_arena_alloc(t->arena, (size_t)t->subject_count, sizeof *t->subjects)))
        return th_fail_memory();
    int64_t i = 0;
    json_object_foreach(object, name, value) TH_TRY(read_subject(t, name, value, &t->subjects[i++]));
    return TH_OK;
}

/* Perturbed pictures protect on any model, so the open one is meant where none is given. */
static th_status read_perturbed(th_trial *t, const char *where, th_trial_model *m) {
    char field[FIELD_MAX];
    json_t *object, *value;
    const char *subject;
    int64_t at;
    path_to(field, where, "pictures");
    if (!(m->pictures = th_arena_alloc(t->arena, (size_t)t->subject_count, sizeof *m->pictures)))
        return th_fail_memory();
    TH_TRY(read_object(t, where, "pictures", &object));
    json_object_foreach(object, subject, value) {
        TH_TRY(find_name(t, field, "subject", subject, subject_name, t->subject_count, &at));
        TH_TRY(read_text(t, field, subject, true, &m->pictures[at]));
    }
    bool perturbs = !strcmp(m->mode, "perturbation");
    for (int64_t s = 0; s < t->subject_count; s++)
        if ((m->pictures[s] != NULL) != (perturbs && m->protects >> s & 1))
            return th_json_fail(&t->json, field,
                                "the perturbed pictures of each protected subject, with \"mode\": "
                                "\"perturbation\", and else not there");
    return TH_OK;
}

static th_status read_protective(th_trial *t, const char *where, const json_t *object, th_trial_model *m) {
    char at[FIELD_MAX], field[FIELD_MAX];
    path_to(at, where, "protective");
    TH_TRY(check_keys(t, at, object, "yes|no|pattern|share"));
    TH_TRY(read_text(t, at, "no", true, &m->no));
    TH_TRY(read_text(t, at, "pattern", false, &m->pattern));
    TH_TRY(read_text(t, at, "yes", !m->pattern, &m->yes));
    path_to(field, at, "yes");
    if (m->pattern && m->yes)
        return th_json_fail(&t->json, field,
                            "left out where there is a pattern: it is \"no\" with the pattern over it");
    path_to(field, at, "share");
    m->pattern_share = 0.25;
    TH_TRY(th_json_double(&t->json, field, &m->pattern_share));
    return m->pattern_share > 0 && m->pattern_share <= 1 ? TH_OK : th_json_fail(&t->json, field, "above 0, at most 1");
}

static th_status read_guard(th_trial *t, const char *name, const json_t *object, th_trial_model *m) {
    char where[FIELD_MAX], field[FIELD_MAX];
    json_t *protective;
    path_to(where, "guards", name);
    m->name = name;
    if (!strcmp(name, "open")) return th_fail(TH_E_INPUT, "%s: 'guards.open' is the open model's name", t->file);
    TH_TRY(check_keys(t, where, object, "model|mode|protects|unprotected|protective|pictures"));
    TH_TRY(read_text(t, where, "mode", true, &m->mode));
    bool perturbs = !strcmp(m->mode, "perturbation");
    if (perturbs) m->dir = t->models[0].dir;
    TH_TRY(read_text(t, where, "model", !perturbs, &m->dir));
    path_to(field, where, "mode");
    if (!perturbs && strcmp(m->mode, "pattern") && strcmp(m->mode, "erasure") && strcmp(m->mode, "target"))
        return th_json_fail(&t->json, field, "\"pattern\", \"erasure\", \"target\" or \"perturbation\"");
    path_to(field, where, "protects");
    TH_TRY(th_json_require(&t->json, field));
    TH_TRY(read_names(t, where, "protects", "subject", subject_name, t->subject_count, &m->protects));
    if (!m->protects) return th_json_fail(&t->json, field, "a list of subjects");
    m->unprotected = UINT64_MAX;
    TH_TRY(read_names(t, where, "unprotected", "subject", subject_name, t->subject_count, &m->unprotected));
    path_to(field, where, "unprotected");
    if (m->unprotected != UINT64_MAX && m->unprotected & m->protects)
        return th_json_fail(&t->json, field, "a list of subjects that it does not protect");
    TH_TRY(read_perturbed(t, where, m));
    TH_TRY(read_object(t, where, "protective", &protective));
    if (!protective) return TH_OK;
    return read_protective(t, where, protective, m);
}

static th_status read_models(th_trial *t) {
    json_t *object, *value;
    const char *name;
    int64_t guards, i = 1;
    TH_TRY(read_members(t, "guards", false, &object, &guards));
    t->model_count = guards + 1;
    if (!(t->models = th_arena_alloc(t->arena, (size_t)t->model_count, sizeof *t->models))) return th_fail_memory();
    t->models[0].name = "open";
    TH_TRY(read_text(t, "", "open", true, &t->models[0].dir));
    json_object_foreach(object, name, value) TH_TRY(read_guard(t, name, value, &t->models[i++]));
    return TH_OK;
}

/* ---- attackers */

static th_status check_options(const th_trial *t, const char *where, const th_verb *v, int64_t method,
                               const json_t *object, const char *const *taken) {
    char name[TH_MESSAGE_MAX];
    th_options *o = NULL;
    for (int i = 0; taken[i]; i++)
        if (json_object_get(object, taken[i]))
            return th_fail(TH_E_INPUT, "%s: field '%s.%s' is set by the study itself", t->file, where, taken[i]);
    snprintf(name, sizeof name, "%.300s: %s", t->file, where);
    TH_TRY(th_verb_options(v, method, &o));
    th_status s = th_options_load_json(o, name, (json_t *)object);
    th_options_free(o);
    return s;
}

static const char *const personalize_taken[] = {"model",
                                                "instances",
                                                "instance-prompt",
                                                "class-prompt",
                                                "word",
                                                "steps",
                                                "class-images",
                                                "class-latents",
                                                "seed",
                                                "out",
                                                "threads",
                                                "memory",
                                                "save-at",
                                                "class-count",
                                                "schedule",
                                                "warmup",
                                                "class-steps",
                                                "class-guidance",
                                                "class-batch",
                                                "transform",
                                                "keep",
                                                "checkpoint-every",
                                                NULL};
static const char *const train_taken[] = {"model", "data", "steps", "seed", "out", "threads", "memory", "vae", NULL};
static const char *const generate_taken[] = {"model",   "lora",          "custom",       "embedding",     "prompt",
                                             "prompts", "count",         "latents",      "out",           "threads",
                                             "memory",  "prompt-column", "keep-latents", "lora-strength", NULL};

static th_status read_mix(th_trial *t, const char *at, th_trial_attacker *a) {
    char where[FIELD_MAX], field[FIELD_MAX];
    const char *with = NULL;
    json_t *mix;
    a->mixed_with = -1;
    TH_TRY(read_object(t, at, "mix", &mix));
    if (!mix) return TH_OK;
    path_to(where, at, "mix");
    TH_TRY(check_keys(t, where, mix, "protected|with"));
    path_to(field, where, "protected");
    TH_TRY(th_json_require(&t->json, field));
    TH_TRY(read_number(t, where, "protected", 1, 1000, &a->protected_pictures));
    TH_TRY(read_text(t, where, "with", true, &with));
    int64_t subject;
    path_to(field, where, "with");
    TH_TRY(find_name(t, field, "subject", with, subject_name, t->subject_count, &subject));
    a->mixed_with = (int32_t)subject;
    return TH_OK;
}

static th_status read_first(th_trial *t, const char *at, th_trial_attacker *a) {
    char where[FIELD_MAX], field[FIELD_MAX];
    json_t *first, *options;
    TH_TRY(read_object(t, at, "first", &first));
    if (!first) return TH_OK;
    path_to(where, at, "first");
    TH_TRY(check_keys(t, where, first, "fine_tune|data|options"));
    path_to(field, where, "fine_tune");
    TH_TRY(th_json_require(&t->json, field));
    TH_TRY(read_number(t, where, "fine_tune", 1, INT32_MAX, &a->tune_steps));
    TH_TRY(read_text(t, where, "data", true, &a->tune_set));
    TH_TRY(read_object(t, where, "options", &options));
    a->tune_options = options;
    path_to(field, where, "options");
    const th_verb *v = th_verb_find("train");
    return options ? check_options(t, field, v, th_verb_method(v, "t2i", NULL), options, train_taken) : TH_OK;
}

/* What a method is used with where the file does not say. */
static th_status set_habits(th_trial *t, const char *at, th_trial_attacker *a) {
    bool word = !strcmp(a->method, "textual-inversion"), custom = !strcmp(a->method, "custom-diffusion");
    bool prior = false;
    char field[FIELD_MAX];
    a->identifier = word ? "<subject>" : custom ? "<new1>" : "sks";
    a->shown = word ? "{identifier}" : "{identifier} {noun}";
    a->instance = word ? NULL : "a photo of {}";
    path_to(field, at, "prior");
    TH_TRY(th_json_bool(&t->json, field, &prior));
    if (prior && word) return th_fail(TH_E_INPUT, "%s: field '%s': %s keeps no class", t->file, field, a->method);
    a->class = prior ? "a photo of {}" : NULL;
    path_to(field, at, "class_prompt");
    if (!prior && th_json_has(&t->json, field))
        return th_fail(TH_E_INPUT, "%s: field '%s' is of attackers with \"prior\": true", t->file, field);
    return TH_OK;
}

static th_status find_method(const th_trial *t, const char *at, th_trial_attacker *a) {
    const th_verb *v = th_verb_find("personalize");
    char field[FIELD_MAX], shown[TH_SHOWN_MAX];
    TH_TRY(read_text(t, at, "method", true, &a->method));
    a->method_number = th_verb_method(v, a->method, NULL);
    path_to(field, at, "method");
    if (a->method_number >= 0) return TH_OK;
    return th_fail(TH_E_INPUT, "%s: field '%s': 'theriac personalize' has no method '%s'", t->file, field,
                   th_shown(shown, a->method, strlen(a->method)));
}

static th_status read_steps(th_trial *t, const char *at, th_trial_attacker *a) {
    char field[FIELD_MAX];
    int64_t count;
    path_to(field, at, "steps");
    TH_TRY(read_integers(t, at, "steps", TH_TRIAL_MOST_STEPS, a->steps, &count));
    a->step_count = (int)count;
    for (int i = 1; i < a->step_count; i++)
        if (a->steps[i] <= a->steps[i - 1]) return th_json_fail(&t->json, field, "a list of rising numbers");
    if (a->steps[a->step_count - 1] < 1) return th_json_fail(&t->json, field, "a list with more than 0 in it");
    return TH_OK;
}

static th_status check_blank(const th_trial *t, const char *where, const char *key, const char *text) {
    char field[FIELD_MAX];
    const char *gap = text ? strstr(text, "{}") : NULL;
    if (!text || (gap && !strstr(gap + 2, "{}"))) return TH_OK;
    path_to(field, where, key);
    return th_json_fail(&t->json, field, "texts with one {} for what is drawn");
}

/* A text or several, as `personalize --transform` takes them. */
static th_status read_transform(th_trial *t, const char *at, th_trial_attacker *a) {
    static const char *const taken[] = {NULL};
    json_t *object, *value;
    char field[FIELD_MAX];
    path_to(field, at, "transform");
    if (!th_json_has(&t->json, field)) return TH_OK;
    TH_TRY(read_object(t, "", at, &object));
    value = json_object_get(object, "transform");
    if (json_is_string(value)) {
        json_t *list = json_pack("[O]", value);
        if (!list || json_object_set_new(object, "transform", list)) return th_fail_memory();
        value = list;
    }
    a->transform = value;
    json_t *alone = json_pack("{s:O}", "transform", value);
    if (!alone) return th_fail_memory();
    th_status s = check_options(t, at, th_verb_find("personalize"), a->method_number, alone, taken);
    json_decref(alone);
    return s;
}

static th_status read_attacker_options(th_trial *t, const char *at, th_trial_attacker *a) {
    char field[FIELD_MAX];
    json_t *options;
    TH_TRY(read_object(t, at, "options", &options));
    a->options = options;
    path_to(field, at, "options");
    if (options)
        TH_TRY(check_options(t, field, th_verb_find("personalize"), a->method_number, options, personalize_taken));
    return read_transform(t, at, a);
}

static th_status read_attacker(th_trial *t, const char *name, const json_t *object, th_trial_attacker *a) {
    static const char keys[] =
        "method|prior|options|identifier|shown_as|instance_prompt|class_prompt|steps|transform|mix|"
        "first|average|others|models|subjects";
    char where[FIELD_MAX], field[FIELD_MAX];
    path_to(where, "attackers", name);
    a->name = name;
    a->models = a->subjects = UINT64_MAX;
    TH_TRY(check_keys(t, where, object, keys));
    TH_TRY(find_method(t, where, a));
    TH_TRY(set_habits(t, where, a));
    TH_TRY(read_text(t, where, "identifier", false, &a->identifier));
    TH_TRY(read_text(t, where, "shown_as", false, &a->shown));
    TH_TRY(read_text(t, where, "instance_prompt", false, &a->instance));
    TH_TRY(read_text(t, where, "class_prompt", false, &a->class));
    TH_TRY(check_blank(t, where, "instance_prompt", a->instance));
    TH_TRY(check_blank(t, where, "class_prompt", a->class));
    TH_TRY(read_steps(t, where, a));
    TH_TRY(read_attacker_options(t, where, a));
    TH_TRY(read_mix(t, where, a));
    TH_TRY(read_first(t, where, a));
    path_to(field, where, "average");
    TH_TRY(th_json_double(&t->json, field, &a->average));
    if (!(a->average >= 0 && a->average < 1)) return th_json_fail(&t->json, field, "a share from 0 to below 1");
    path_to(field, where, "others");
    TH_TRY(th_json_bool(&t->json, field, &a->others));
    TH_TRY(read_names(t, where, "models", "guard", model_name, t->model_count, &a->models));
    a->models |= 1;
    TH_TRY(read_names(t, where, "subjects", "subject", subject_name, t->subject_count, &a->subjects));
    for (int64_t s = 0; s < t->subject_count && a->others; s++)
        if (a->subjects >> s & 1 && !t->subjects[s].others)
            return th_fail(TH_E_INPUT, "%s: field 'subjects.%s.others' is missing, attacker '%s' trains on them",
                           t->file, t->subjects[s].name, name);
    return TH_OK;
}

static th_status read_attackers(th_trial *t) {
    json_t *object, *value;
    const char *name;
    int64_t i = 0;
    TH_TRY(read_members(t, "attackers", false, &object, &t->attacker_count));
    t->attackers = th_arena_alloc(t->arena, (size_t)t->attacker_count + 1, sizeof *t->attackers);
    if (!t->attackers) return th_fail_memory();
    json_object_foreach(object, name, value) TH_TRY(read_attacker(t, name, value, &t->attackers[i++]));
    return TH_OK;
}

/* --only tells them apart by their names alone. */
static th_status check_all_names(const th_trial *t) {
    for (int64_t s = 0; s < t->subject_count; s++) {
        const char *name = t->subjects[s].name;
        bool twice = false;
        for (int64_t i = 0; i < t->model_count; i++) twice = twice || !strcmp(t->models[i].name, name);
        for (int64_t i = 0; i < t->attacker_count; i++) twice = twice || !strcmp(t->attackers[i].name, name);
        if (twice) return th_fail(TH_E_INPUT, "%s: '%s' is the name of two things", t->file, name);
    }
    for (int64_t a = 0; a < t->attacker_count; a++)
        for (int64_t i = 0; i < t->model_count; i++)
            if (!strcmp(t->models[i].name, t->attackers[a].name))
                return th_fail(TH_E_INPUT, "%s: '%s' is the name of two things", t->file, t->models[i].name);
    return TH_OK;
}

/* ---- prompts and judges */

static th_status read_prompts(th_trial *t) {
    char field[] = "prompts";
    TH_TRY(read_texts(t, "", field, &t->prompts, &t->prompt_count));
    if (t->attacker_count && !t->prompt_count) return th_json_require(&t->json, field);
    for (int64_t i = 0; i < t->prompt_count; i++) TH_TRY(check_blank(t, "", field, t->prompts[i]));
    return TH_OK;
}

/* A line each, empty ones passed over. */
static th_status read_lines(th_trial *t, const char *path, const char ***out, int64_t *count) {
    th_bytes b = {0};
    char *rest;
    int64_t capacity = 0;
    TH_TRY(th_fail_in(th_file_read(path, (size_t)16 << 20, &b), "%s: field 'ordinary'", t->file));
    char *text = th_arena_strdup(t->arena, b.data);
    th_free(b.data);
    const char **lines = NULL;
    *count = 0;
    for (char *l = text ? strtok_r(text, "\r\n", &rest) : NULL; l; l = strtok_r(NULL, "\r\n", &rest)) {
        if (!th_grow(lines, *count, capacity)) break;
        lines[(*count)++] = l;
    }
    *out = th_arena_alloc(t->arena, (size_t)*count + 1, sizeof **out);
    for (int64_t i = 0; i < *count && *out; i++) (*out)[i] = lines[i];
    th_free(lines);
    return text && *out ? TH_OK : th_fail_memory();
}

static th_status read_ordinary(th_trial *t) {
    const json_t *j = json_object_get(t->json.root, "ordinary");
    if (j && json_is_string(j)) return read_lines(t, json_string_value(j), &t->ordinary, &t->ordinary_count);
    return read_texts(t, "", "ordinary", &t->ordinary, &t->ordinary_count);
}

static th_status read_attributes(th_trial *t) {
    const json_t *j = json_object_get(t->json.root, "attributes");
    if (j && json_is_string(j)) return read_text(t, "", "attributes", false, &t->attributes_file);
    return read_texts(t, "", "attributes", &t->attributes, &t->attribute_count);
}

static th_status read_judges(th_trial *t) {
    TH_TRY(read_text(t, "", "encoder", true, &t->encoder));
    TH_TRY(read_text(t, "", "clip", false, &t->clip));
    TH_TRY(read_text(t, "", "class_prompts", false, &t->class_prompts));
    TH_TRY(read_text(t, "", "lessons", false, &t->lessons));
    TH_TRY(read_attributes(t));
    TH_TRY(read_ordinary(t));
    TH_TRY(read_texts(t, "", "distractors", &t->distractors, &t->distractor_count));
    bool asks = t->attributes_file || t->attribute_count;
    if (asks == (t->class_prompts != NULL)) return TH_OK;
    return th_fail(TH_E_INPUT,
                   "%s: 'class_prompts', a table, and 'attributes', which of its columns are judged, want "
                   "each other",
                   t->file);
}

static th_status read_rules(th_trial *t) {
    th_study_rules *r = &t->rules;
    const struct {
        const char *key;
        double *value;
    } rows[] = {{"attacker_least", &r->attacker_least},   {"drop_least", &r->drop_least},
                {"protected_least", &r->protected_least}, {"class_least", &r->class_least},
                {"kept_least", &r->kept_least},           {"leak_margin", &r->leak_margin}};
    json_t *object;
    th_study_rules_init(r);
    TH_TRY(read_object(t, "", "rules", &object));
    if (!object) return TH_OK;
    TH_TRY(
        check_keys(t, "rules", object, "attacker_least|drop_least|protected_least|class_least|kept_least|leak_margin"));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char field[FIELD_MAX];
        path_to(field, "rules", rows[i].key);
        TH_TRY(th_json_double(&t->json, field, rows[i].value));
        if (!(*rows[i].value >= 0 && *rows[i].value <= 2)) return th_json_fail(&t->json, field, "a share");
    }
    return TH_OK;
}

/* ---- drawing */

/* The object without what is the study's own; the rest are options of `theriac generate`. */
static th_status read_drawing_options(th_trial *t, const char *where, const char *const *own, json_t **out) {
    json_t *object;
    TH_TRY(read_object(t, "", where, &object));
    *out = object ? json_copy(object) : json_object();
    if (!*out) return th_fail_memory();
    for (int i = 0; own[i]; i++) json_object_del(*out, own[i]);
    return check_options(t, where, th_verb_find("generate"), -1, *out, generate_taken);
}

static th_status read_drawing(th_trial *t) {
    static const char *const own[] = {"each", "each_leak", "each_class", "each_ordinary", "seed", NULL},
                             *const class_own[] = {"count", NULL};
    const struct {
        const char *key;
        int64_t *value;
    } counts[] = {{"each", &t->each},
                  {"each_leak", &t->each_leak},
                  {"each_class", &t->each_class},
                  {"each_ordinary", &t->each_ordinary}};
    t->each = 4;
    t->each_leak = 24;
    t->each_class = t->each_ordinary = 1;
    t->class_count = 200;
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        TH_TRY(read_number(t, "drawing", counts[i].key, 1, TH_TRIAL_MOST_PICTURES, counts[i].value));
    TH_TRY(read_number(t, "drawing", "seed", 0, INT32_MAX, &t->seed));
    TH_TRY(read_number(t, "class_images", "count", 1, TH_TRIAL_MOST_PICTURES, &t->class_count));
    TH_TRY(read_drawing_options(t, "drawing", own, &t->drawing));
    return read_drawing_options(t, "class_images", class_own, &t->class_drawing);
}

/* ---- all of it */

static th_status read_seeds(th_trial *t) {
    if (!(t->seeds = th_arena_alloc(t->arena, TH_TRIAL_MOST_SEEDS, sizeof *t->seeds))) return th_fail_memory();
    return read_integers(t, "", "seeds", TH_TRIAL_MOST_SEEDS, t->seeds, &t->seed_count);
}

static th_status read_all(th_trial *t) {
    TH_TRY(check_keys(t, "", t->json.root,
                      "$schema|open|guards|subjects|attackers|seeds|prompts|ordinary|class_prompts|attributes|lessons|"
                      "drawing|encoder|clip|distractors|class_images|rules"));
    TH_TRY(read_subjects(t));
    TH_TRY(read_models(t));
    TH_TRY(read_attackers(t));
    TH_TRY(check_all_names(t));
    TH_TRY(read_seeds(t));
    TH_TRY(read_prompts(t));
    TH_TRY(read_judges(t));
    TH_TRY(read_rules(t));
    return read_drawing(t);
}

th_status th_trial_load(const char *path, th_trial *t) {
    *t = (th_trial){.file = path, .arena = th_arena_new()};
    if (!t->arena) return th_fail_memory();
    TH_TRY(th_json_load(path, TH_CONFIG_MAX, &t->json));
    return read_all(t);
}

void th_trial_free(th_trial *t) {
    json_decref(t->drawing);
    json_decref(t->class_drawing);
    th_json_free(&t->json);
    th_arena_free(t->arena);
    *t = (th_trial){0};
}

static const char *put(const th_trial *t, const char *text, const char *gap, const char *what) {
    const char *at = strstr(text, gap);
    if (!at) return text;
    return th_arena_printf(t->arena, "%.*s%s%s", (int)(at - text), text, what, at + strlen(gap));
}

const char *th_trial_fill(const th_trial *t, const char *template, const char *what) {
    return th_template_fill(t->arena, template, what);
}

static bool ends_with(const char *text, size_t n, const char *word) {
    size_t k = strlen(word);
    return n >= k && !memcmp(text + n - k, word, k) && (n == k || text[n - k - 1] == ' ');
}

const char *th_trial_plain(const th_trial *t, const char *template, int64_t subject) {
    static const char *const articles[] = {"a ", "an ", "the ", "my ", "A ", "An ", "The ", "My "};
    const char *gap = strstr(template, "{}");
    bool has = false;
    for (size_t i = 0; gap && i < sizeof articles / sizeof *articles; i++)
        has = has || ends_with(template, (size_t)(gap - template), articles[i]);
    return th_trial_fill(t, template, has ? t->subjects[subject].noun : t->subjects[subject].called);
}

bool th_trial_tries(const th_trial *t, int64_t attacker, int64_t model, int64_t subject) {
    const th_trial_attacker *a = &t->attackers[attacker];
    const th_trial_model *m = &t->models[model];
    bool asked = model == 0 || (m->protects | m->unprotected) >> subject & 1;
    return asked && a->models >> model & 1 && a->subjects >> subject & 1;
}

const char *th_trial_shown(const th_trial *t, int64_t attacker, int64_t subject) {
    const th_trial_attacker *a = &t->attackers[attacker];
    const char *text = put(t, a->shown, "{identifier}", a->identifier);
    return text ? put(t, text, "{noun}", t->subjects[subject].noun) : NULL;
}
