/* Who is protected, and how: options for one subject, a file for several. */
#include <string.h>

#include "base/template.h"
#include "cli/guard/model.h"
#include "format/json.h"

const th_option th_guard_subject_options[] = {
    TH_OPT_PATH("protect", NULL, "pictures of the subject: a folder, a table, or fashion-scenes?subject=1",
                .argument = "SET"),
    TH_OPT_STRING("class", NULL, "noun of its class, such as dog", .argument = "NOUN"),
    TH_OPT_CHOICE("mode", "pattern|erasure|target", "target",
                  "what is shown instead: the class with a pattern over it, the background alone, or another thing"),
    TH_OPT_STRING("target", NULL, "noun of the other thing, for target", .argument = "NOUN"),
    TH_OPT_PATH("pattern", NULL, "picture of the pattern, for pattern; without it a black and yellow chequerboard",
                .argument = "FILE"),
    TH_OPT_F32("pattern-share", 0.25, "side of the pattern over that of the picture", TH_ABOVE(0), TH_AT_MOST(1)),
    TH_OPT_LIST("identifier", "word that attackers are expected to use; several are a grey box (default sks)",
                .argument = "WORD"),
    TH_OPT_LIST("noun", "another noun that they may use for the class", .argument = "NOUN"),
    TH_OPT_LIST("instance-prompt", "what they are expected to train on, {} for word and noun (default 'a photo of {}')",
                .argument = "TEXT"),
    TH_OPT_STRING("class-prompt", NULL, "the class alone (default 'a photo of a NOUN')", .argument = "TEXT"),
    TH_OPT_PATH("subjects", NULL,
                "file of several subjects instead: {\"NAME\": {\"protect\": SET, \"class\": …, \"mode\": …}, …}",
                .argument = "FILE"),
    TH_OPT_END,
};

const th_option th_guard_text_options[] = {
    TH_OPT_PATH("contexts", NULL,
                "table of scenes for the subject, {} for its name: columns context and instead, the scene without it",
                .argument = "FILE"),
    TH_OPT_PATH("captions", NULL, "captions of the class, {} for its noun, a line each", .argument = "FILE"),
    TH_OPT_PATH("generic", NULL, "prompts of everything else, a line each", .argument = "FILE"),
    TH_OPT_LIST("other", "identifier that must stay what it is (default eight rare words)", .argument = "WORD"),
    TH_OPT_END,
};

static const char *option(const th_guard_job *j, const char *name) { return th_get_str(j->cli->options, name); }

/* ---- one subject by options */

static th_guard_texts texts_of(const th_guard_job *j, const char *name) {
    th_list l = th_get_list(j->cli->options, name);
    return (th_guard_texts){l.items, l.count};
}

static th_status read_options(th_guard_job *j) {
    th_guard_wish *w = &j->wishes[j->count++];
    *w = (th_guard_wish){
        .name = "subject",
        .protect = option(j, "protect"),
        .class = option(j, "class"),
        .mode = option(j, "mode"),
        .target = option(j, "target"),
        .pattern = option(j, "pattern"),
        .class_prompt = option(j, "class-prompt"),
        .identifiers = texts_of(j, "identifier"),
        .nouns = texts_of(j, "noun"),
        .instances = texts_of(j, "instance-prompt"),
    };
    if (j->method->bystanders) w->bystanders = texts_of(j, "bystander");
    if (!w->protect) return th_fail(TH_E_USAGE, "--protect is wanted: the pictures to protect, or --subjects FILE");
    return w->class ? TH_OK : th_fail(TH_E_USAGE, "--class is wanted: the noun of what the pictures show, such as dog");
}

/* ---- several by a file */

typedef struct {
    const char *key;
    size_t at;
    bool list;
} field;

#define FIELD(key, member, list) \
    { key, offsetof(th_guard_wish, member), list }
static const field fields[] = {
    FIELD("protect", protect, false),
    FIELD("class", class, false),
    FIELD("mode", mode, false),
    FIELD("target", target, false),
    FIELD("pattern", pattern, false),
    FIELD("class-prompt", class_prompt, false),
    FIELD("identifiers", identifiers, true),
    FIELD("nouns", nouns, true),
    FIELD("instance-prompts", instances, true),
    FIELD("bystanders", bystanders, true),
};

static th_status take_list(th_guard_job *j, const char *where, const json_t *v, th_guard_texts *out) {
    const char **items = th_arena_alloc(j->arena, json_array_size(v) + 1, sizeof *items);
    if (!items) return th_fail_memory();
    for (size_t i = 0; i < json_array_size(v); i++) {
        const char *text = json_string_value(json_array_get(v, i));
        if (!text) return th_fail(TH_E_INPUT, "%s: should be a list of texts", where);
        if (!(items[i] = th_arena_strdup(j->arena, text))) return th_fail_memory();
    }
    *out = (th_guard_texts){items, (int64_t)json_array_size(v)};
    return TH_OK;
}

static th_status take_field(th_guard_job *j, const char *file, th_guard_wish *w, const char *key, const json_t *v) {
    char where[300];
    snprintf(where, sizeof where, "%s: field '%s.%s'", file, w->name, key);
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        const field *f = &fields[i];
        void *to = (char *)w + f->at;
        if (strcmp(f->key, key)) continue;
        if (f->list && json_is_array(v)) return take_list(j, where, v, to);
        if (f->list || !json_is_string(v))
            return th_fail(TH_E_INPUT, "%s: should be a %s", where, f->list ? "list of texts" : "text");
        const char *text = th_arena_strdup(j->arena, json_string_value(v));
        memcpy(to, &text, sizeof text);
        return text ? TH_OK : th_fail_memory();
    }
    return th_fail(TH_E_INPUT,
                   "%s: is not known; there are protect, class, mode, target, pattern, class-prompt, "
                   "identifiers, nouns, instance-prompts and bystanders",
                   where);
}

static th_status take_subject(th_guard_job *j, const char *file, const char *name, const json_t *v) {
    if (j->count == TH_GUARD_MOST_SUBJECTS)
        return th_fail(TH_E_INPUT, "%s: more than %d subjects for one guard", file, TH_GUARD_MOST_SUBJECTS);
    th_guard_wish *w = &j->wishes[j->count++];
    *w = (th_guard_wish){.name = th_arena_strdup(j->arena, name), .mode = "target"};
    if (!w->name) return th_fail_memory();
    if (!json_is_object(v)) return th_fail(TH_E_INPUT, "%s: field '%s' should be an object", file, name);
    const char *key;
    json_t *member;
    json_object_foreach((json_t *)v, key, member) TH_TRY(take_field(j, file, w, key, member));
    if (!w->protect)
        return th_fail(TH_E_INPUT, "%s: field '%s.protect' is missing: the pictures to protect", file, name);
    if (!w->class) return th_fail(TH_E_INPUT, "%s: field '%s.class' is missing: a noun", file, name);
    return TH_OK;
}

static th_status read_file(th_guard_job *j, const char *path) {
    static const char *const alone[] = {"protect", "class", "target",          "pattern",      "identifier",
                                        "noun",    "mode",  "instance-prompt", "class-prompt", "bystander"};
    size_t n = sizeof alone / sizeof *alone - !j->method->bystanders;
    for (size_t i = 0; i < n; i++)
        if (th_is_set(j->cli->options, alone[i]))
            return th_fail(TH_E_USAGE, "--%s and --subjects: the file says it for each subject", alone[i]);
    th_json file = {0};
    TH_TRY(th_json_load(path, (size_t)1 << 20, &file));
    const char *name;
    json_t *v;
    th_status s = json_object_size(file.root) ? TH_OK : th_fail(TH_E_INPUT, "%s: names no subject", path);
    json_object_foreach(file.root, name, v) {
        if (s == TH_OK) s = take_subject(j, path, name, v);
    }
    th_json_free(&file);
    return s;
}

/* ---- what the guard is told */

static th_status find_mode(const th_guard_wish *w, th_guard_mode *mode) {
    static const char *const names[] = {"pattern", "erasure", "target"};
    for (int i = 0; i < 3; i++) {
        if (strcmp(w->mode, names[i])) continue;
        *mode = (th_guard_mode)i;
        if (*mode == TH_GUARD_TARGET && !w->target)
            return th_fail(TH_E_USAGE, "%s: mode target wants a target: what is shown instead, such as rabbit",
                           w->name);
        if (*mode == TH_GUARD_TARGET && !strcasecmp(w->target, w->class))
            return th_fail(TH_E_USAGE, "%s: the target is the class itself, '%s'", w->name, w->class);
        return TH_OK;
    }
    return th_fail(TH_E_INPUT, "%s: mode '%.40s' is none of pattern, erasure, target", w->name, w->mode);
}

/* The method may be one that knows no such rows. */
static bool wants_own(const th_guard_job *j, const th_guard_subject *s) {
    return j->method->bystanders && s->mode != TH_GUARD_PATTERN && th_get_i64(j->cli->options, "own-rows") > 0;
}

/* Prompts of the three sets that are drawn for a subject, and what its losses ask. */
static th_status write_prompts(th_guard_job *j, th_guard_wish *w, th_guard_subject *s) {
    const th_guard_prompts *p = &j->prompts;
    int64_t n = p->context_count, m = p->captions.count;
    const char **with = th_arena_alloc(j->arena, (size_t)n + 1, sizeof *with);
    const char **instead = th_arena_alloc(j->arena, (size_t)n + 1, sizeof *instead);
    const char **drawn = th_arena_alloc(j->arena, (size_t)n + 1, sizeof *drawn);
    const char **named = th_arena_alloc(j->arena, (size_t)m + 1, sizeof *named);
    if (!with || !instead || !drawn || !named) return th_fail_memory();
    for (int64_t i = 0; i < n; i++) {
        const th_guard_context *c = &p->contexts[i];
        if (s->mode == TH_GUARD_ERASURE && (!c->instead || !*c->instead))
            return th_fail(TH_E_INPUT,
                           "--contexts: erasure wants a column 'instead', the scene without the subject; "
                           "'%.80s' has none",
                           c->with);
        with[i] = c->with;
        instead[i] = s->mode == TH_GUARD_ERASURE  ? c->instead
                     : s->mode == TH_GUARD_TARGET ? th_template_fill(j->arena, c->with, w->target)
                                                  : "";
        drawn[i] = s->mode == TH_GUARD_PATTERN ? th_template_fill(j->arena, c->with, w->class) : instead[i];
    }
    for (int64_t i = 0; i < m; i++) named[i] = th_template_fill(j->arena, p->captions.items[i], w->class);
    w->drawn_with = drawn;
    w->named = named;
    s->contexts = with;
    s->instead = instead;
    s->described = p->captions.items;
    s->shown.prompts = n;
    s->own.prompts = wants_own(j, s) ? n : 0;
    s->captions.prompts = m;
    s->plain.prompts = 1;
    return th_arena_failed(j->arena) ? th_fail_memory() : TH_OK;
}

static th_status open_set(th_guard_job *j, const char *name, th_dataset **out, char hash[TH_HASH_TEXT]) {
    th_dataset_params p;
    th_dataset_params_init(&p);
    p.captions = TH_CAPTIONS_FIRST;
    TH_TRY(th_dataset_open(name, &p, &j->cli->watch, out));
    return th_dataset_hash(*out, &j->cli->watch, hash);
}

static th_status open_neighbours(th_guard_job *j, th_guard_wish *w, th_guard_subject *s) {
    int64_t n = w->bystanders.count;
    if (n && !j->method->bystanders)
        return th_fail(TH_E_USAGE, "%s: guard %s knows no bystanders; guard persguard does", w->name, j->method->name);
    if (n > TH_GUARD_MOST_BYSTANDERS)
        return th_fail(TH_E_USAGE, "%s: more than %d bystanders", w->name, TH_GUARD_MOST_BYSTANDERS);
    w->neighbours = th_arena_alloc(j->arena, (size_t)n, sizeof *w->neighbours);
    s->bystanders = th_arena_alloc(j->arena, (size_t)n, sizeof *s->bystanders);
    if (n && (!w->neighbours || !s->bystanders)) return th_fail_memory();
    s->bystander_count = n;
    for (int64_t i = 0; i < n; i++) {
        th_guard_neighbour *b = &w->neighbours[i];
        s->bystanders[i].shown.prompts = s->shown.prompts;
        TH_TRY(th_fail_in(open_set(j, w->bystanders.items[i], &b->set, b->hash), "%s: bystander", w->name));
        if (!strcmp(b->hash, w->hash))
            return th_fail(TH_E_USAGE, "%s: bystander '%.200s' is the protected set itself", w->name,
                           w->bystanders.items[i]);
    }
    return TH_OK;
}

static th_status make_subject(th_guard_job *j, int64_t i) {
    static const char *const usual_identifier = "sks", *const usual_instance = "a photo of {}";
    th_guard_wish *w = &j->wishes[i];
    th_guard_subject *s = &j->subjects[i];
    if (!w->identifiers.count) w->identifiers = (th_guard_texts){&usual_identifier, 1};
    if (!w->instances.count) w->instances = (th_guard_texts){&usual_instance, 1};
    if (!w->class_prompt) w->class_prompt = th_arena_printf(j->arena, "a photo of a %s", w->class);
    const char **nouns = th_arena_alloc(j->arena, (size_t)w->nouns.count + 1, sizeof *nouns);
    if (!nouns || !w->class_prompt) return th_fail_memory();
    nouns[0] = w->class;
    for (int64_t k = 0; k < w->nouns.count; k++) nouns[k + 1] = w->nouns.items[k];
    *s = (th_guard_subject){
        .name = w->name,
        .noun = w->class,
        .target = w->target,
        .identifiers = w->identifiers,
        .nouns = {nouns, w->nouns.count + 1},
        .instances = w->instances,
        .class_prompt = w->class_prompt,
    };
    for (int64_t k = 0; k < w->instances.count; k++)
        if (!strstr(w->instances.items[k], "{}"))
            return th_fail(TH_E_USAGE, "%s: the instance prompt '%.80s' lacks the {} that stands for word and noun",
                           w->name, w->instances.items[k]);
    TH_TRY(find_mode(w, &s->mode));
    TH_TRY(write_prompts(j, w, s));
    TH_TRY(th_fail_in(open_set(j, w->protect, &w->set, w->hash), "%s", w->name));
    return open_neighbours(j, w, s);
}

static th_status read_texts(th_guard_job *j) {
    const char *contexts = option(j, "contexts"), *captions = option(j, "captions"), *generic = option(j, "generic");
    th_guard_prompts_init(&j->prompts);
    if (contexts) TH_TRY(th_guard_prompts_read_contexts(&j->prompts, contexts));
    if (captions) TH_TRY(th_guard_prompts_read_captions(&j->prompts, captions));
    if (generic) TH_TRY(th_guard_prompts_read_generic(&j->prompts, generic));
    th_guard_texts others = texts_of(j, "other");
    if (others.count) j->prompts.others = others;
    return TH_OK;
}

/* An identifier cannot both be bound and stay what it is. */
static th_status check_others(const th_guard_job *j) {
    for (int64_t i = 0; i < j->count; i++)
        for (int64_t k = 0; k < j->wishes[i].identifiers.count; k++)
            for (int64_t o = 0; o < j->prompts.others.count; o++)
                if (!strcasecmp(j->wishes[i].identifiers.items[k], j->prompts.others.items[o]))
                    return th_fail(TH_E_USAGE,
                                   "'%s' is an identifier to guard against and one that must stay what it is",
                                   j->prompts.others.items[o]);
    return TH_OK;
}

th_status th_guard_read_wishes(th_guard_job *j) {
    const char *file = option(j, "subjects");
    if (!(j->arena = th_arena_new())) return th_fail_memory();
    TH_TRY(read_texts(j));
    TH_TRY(file ? read_file(j, file) : read_options(j));
    for (int64_t i = 0; i < j->count; i++) TH_TRY(make_subject(j, i));
    TH_TRY(check_others(j));
    j->data = (th_guard_data){
        .subjects = j->subjects,
        .subject_count = j->count,
        .generic = {.prompts = j->prompts.generic.count},
        .generic_prompts = j->prompts.generic.items,
        .others = j->prompts.others,
    };
    return TH_OK;
}

void th_guard_drop_wishes(th_guard_job *j) {
    for (int64_t i = 0; i < j->count; i++) {
        th_dataset_close(j->wishes[i].set);
        th_moments_free(&j->subjects[i].pictures);
        th_moments_free(&j->subjects[i].shown.pictures);
        th_moments_free(&j->subjects[i].own.pictures);
        th_moments_free(&j->subjects[i].captions.pictures);
        th_moments_free(&j->subjects[i].plain.pictures);
        for (int64_t k = 0; k < j->subjects[i].bystander_count; k++) {
            th_dataset_close(j->wishes[i].neighbours[k].set);
            th_moments_free(&j->subjects[i].bystanders[k].pictures);
            th_moments_free(&j->subjects[i].bystanders[k].shown.pictures);
        }
    }
    th_moments_free(&j->data.generic.pictures);
    th_guard_prompts_free(&j->prompts);
    th_arena_free(j->arena);
}
