/* What a guarded model's card says of the pictures that the demonstration protects. */
#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/template.h"
#include "cli/demo/guard.h"
#include "data/picture_hash.h"
#include "diffusion/sd.h"
#include "format/json.h"

enum { CARD_MAX = 64 << 20 };

typedef struct {
    th_demo_guard *g;
    th_json json;
    json_t *subjects;
    const json_t *subject; /* whose pictures they are */
} card;

/* ---- whose pictures they are */

static bool lists(const json_t *subject, const char *hash) {
    const json_t *all = json_object_get(subject, "pictures_sha256");
    for (size_t i = 0; i < json_array_size(all); i++) {
        const char *one = json_string_value(json_array_get(all, i));
        if (one && !strcmp(one, hash)) return true;
    }
    return false;
}

static const json_t *subject_with(const card *c, const char *hash) {
    for (size_t i = 0; i < json_array_size(c->subjects); i++)
        if (lists(json_array_get(c->subjects, i), hash)) return json_array_get(c->subjects, i);
    return NULL;
}

/* All pictures of one protected subject, or none of any. */
static th_status check_pictures(card *c, const char *option, const char (*hashes)[TH_HASH_TEXT], int64_t n) {
    bool wanted = !strcmp(option, "protected");
    for (int64_t i = 0; i < n; i++) {
        const json_t *found = subject_with(c, hashes[i]);
        if (!wanted && found)
            return th_fail(TH_E_INPUT, "--unprotected: picture %lld is among those that %s protects", (long long)i,
                           c->json.file);
        if (wanted && !found)
            return th_fail(TH_E_INPUT, "--protected: picture %lld is none of those that %s protects", (long long)i,
                           c->json.file);
        if (wanted && c->subject && found != c->subject)
            return th_fail(TH_E_INPUT, "--protected: pictures of several protected subjects; give those of one");
        if (wanted) c->subject = found;
    }
    return TH_OK;
}

static th_status find_pictures(card *c, const th_demo_job *j, th_demo_subject which, const char *option) {
    th_dataset *d = c->g->real[which].set;
    int64_t n = th_dataset_images(d);
    char(*hashes)[TH_HASH_TEXT] = th_alloc((size_t)n, sizeof *hashes);
    th_status s =
        hashes ? th_fail_in(th_dataset_hash_pictures(d, &j->cli->watch, hashes), "--%s", option) : th_fail_memory();
    if (s == TH_OK) s = check_pictures(c, option, (const char(*)[TH_HASH_TEXT])hashes, n);
    th_free(hashes);
    return s;
}

/* Side by side they say something where one was made from the other. */
static th_status check_open(const card *c) {
    const char *made_from = NULL;
    char hash[TH_HASH_TEXT];
    TH_TRY(th_json_string(&c->json, "open_model_sha256", &made_from));
    TH_TRY(th_json_require(&c->json, "open_model_sha256"));
    TH_TRY(th_sd_weights_hash(c->g->dirs[TH_DEMO_IS_OPEN], hash));
    if (!strcmp(made_from, hash)) return TH_OK;
    return th_fail(TH_E_INPUT, "%s: field 'open_model_sha256': the guarded model was made from another one than %s",
                   c->json.file, c->g->dirs[TH_DEMO_IS_OPEN]);
}

/* ---- what it says of them */

static const char *keep(const card *c, const char *text) { return th_arena_strdup(c->g->arena, text); }

static th_status subject_fail(const card *c, const char *field, const char *what) {
    return th_fail(TH_E_INPUT, "%s: field 'subjects': a subject's '%s' should be %s", c->json.file, field, what);
}

static th_status text_of(const card *c, const char *field, const char **out) {
    const char *text = json_string_value(json_object_get(c->subject, field));
    if (!text) return subject_fail(c, field, "a text");
    *out = keep(c, text);
    return *out ? TH_OK : th_fail_memory();
}

/* The first of a list of texts. */
static th_status first_of(const card *c, const char *field, const char **out) {
    *out = json_string_value(json_array_get(json_object_get(c->subject, field), 0));
    return *out ? TH_OK : subject_fail(c, field, "a list of texts");
}

static th_status read_words(card *c) {
    th_demo_guard *g = c->g;
    th_demo_card *to = &g->card;
    const char *identifier, *instance, *target = json_string_value(json_object_get(c->subject, "target"));
    TH_TRY(text_of(c, "name", &to->name));
    TH_TRY(text_of(c, "class", &to->class));
    TH_TRY(text_of(c, "mode", &to->mode));
    TH_TRY(first_of(c, "identifiers", &identifier));
    TH_TRY(first_of(c, "instance_prompts", &instance));
    if (target) to->target = keep(c, target);
    to->what = th_arena_printf(g->arena, "%s %s", identifier, to->class);
    if (to->what) to->prompt = th_template_fill(g->arena, instance, to->what);
    to->plain = th_template_fill(g->arena, "a photo of a {}", to->class);
    for (int i = 0; i < TH_DEMO_CONTEXTS && to->what; i++)
        g->prompts[i] = th_template_fill(g->arena, th_demo_contexts[i].with, to->what);
    return th_arena_failed(g->arena) ? th_fail_memory() : TH_OK;
}

static th_status read_training(card *c) {
    th_demo_card *to = &c->g->card;
    json_t *retention = NULL;
    const char *method = "guard";
    to->retention = "";
    TH_TRY(th_json_string(&c->json, "method", &method));
    TH_TRY(th_json_int(&c->json, "steps", 0, INT64_MAX, &to->steps));
    TH_TRY(th_json_double(&c->json, "learning_rate", &to->lr));
    TH_TRY(th_json_array(&c->json, "retention", &retention));
    to->method = keep(c, method);
    for (size_t i = 0; i < json_array_size(retention) && to->retention; i++) {
        const char *one = json_string_value(json_array_get(retention, i));
        if (one) to->retention = th_arena_printf(c->g->arena, "%s%s%s", to->retention, i ? " and " : "", one);
    }
    return th_arena_failed(c->g->arena) ? th_fail_memory() : TH_OK;
}

/* How many of the demonstration's prompts are no news to the guard. */
static th_status count_known(card *c) {
    json_t *texts = NULL;
    th_demo_guard *g = c->g;
    TH_TRY(th_json_array(&c->json, "texts", &texts));
    g->card.texts = (int64_t)json_array_size(texts);
    for (int i = 0; i < TH_DEMO_CONTEXTS; i++)
        for (size_t k = 0; k < json_array_size(texts); k++) {
            const char *text = json_string_value(json_array_get(texts, k));
            if (!text || strcmp(text, g->prompts[i]) != 0) continue;
            g->card.known++;
            break;
        }
    return TH_OK;
}

static double number_of(const json_t *v) { return json_is_number(v) ? json_number_value(v) : NAN; }

static th_estimate estimate_of(const json_t *gate, const char *name) {
    const json_t *e = json_object_get(gate, name);
    return (th_estimate){number_of(json_object_get(e, "value")), number_of(json_object_get(e, "low")),
                         number_of(json_object_get(e, "high"))};
}

static th_status read_gates(card *c) {
    json_t *gates = NULL;
    TH_TRY(th_json_object(&c->json, "gates", &gates));
    const json_t *gate = json_object_get(gates, c->g->card.name);
    c->g->card.checked = gate != NULL;
    c->g->card.gates = (th_demo_gates){
        .captions = estimate_of(gate, "captions"),
        .open_captions = estimate_of(gate, "open_captions"),
        .others = estimate_of(gate, "others"),
        .open_others = estimate_of(gate, "open_others"),
        .leak = estimate_of(gate, "leak"),
        .instances = estimate_of(gate, "other_instances"),
        .class_holds = json_is_true(json_object_get(gate, "class_holds")),
        .leak_holds = json_is_true(json_object_get(gate, "leak_holds")),
    };
    return TH_OK;
}

static th_status read_all(card *c, const th_demo_job *j) {
    TH_TRY(th_json_array(&c->json, "subjects", &c->subjects));
    TH_TRY(find_pictures(c, j, TH_DEMO_PROTECTED, "protected"));
    TH_TRY(find_pictures(c, j, TH_DEMO_UNPROTECTED, "unprotected"));
    TH_TRY(check_open(c));
    TH_TRY(read_words(c));
    TH_TRY(read_training(c));
    TH_TRY(count_known(c));
    return read_gates(c);
}

th_status th_demo_card_read(const th_demo_job *j, th_demo_guard *g) {
    card c = {.g = g};
    char path[TH_PATH_MAX];
    TH_TRY(th_path_join(path, g->dirs[TH_DEMO_IS_GUARDED], "guard.json"));
    if (!th_path_exists(path))
        return th_fail(TH_E_INPUT, "%s: has no guard.json, so nothing says what it protects; theriac guard writes one",
                       g->dirs[TH_DEMO_IS_GUARDED]);
    th_status s = th_json_load(path, CARD_MAX, &c.json);
    if (s == TH_OK) s = read_all(&c, j);
    th_json_free(&c.json);
    return s;
}
