/* Notes about a guard's words, pictures and model. */
#include "guard/checks.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/map.h"
#include "base/memory.h"
#include "data/picture_hash.h"
#include "format/json.h"

#define FEWEST_PICTURES 3
#define JSON_MAX ((size_t)16 << 20)

/* ---- words */

#define TOKENS_TEXT 512

/* What a word is to the model. */
typedef struct {
    char text[TOKENS_TEXT]; /* "'zw' 'xk' 'q'"; cut where it is longer */
    int64_t count;
    int32_t first;
} tokens;

/* The end of a word, which tokenizers write as </w>, is left out. */
static void tell(const th_tokenizer *t, const int32_t *ids, tokens *out) {
    size_t at = 0;
    out->text[0] = 0;
    out->first = out->count ? ids[0] : 0;
    for (int64_t i = 0; i < out->count && at < sizeof out->text; i++) {
        const char *token = th_tokenizer_token(t, ids[i]);
        const char *end = token ? strstr(token, "</w>") : NULL;
        int length = !token ? 0 : end ? (int)(end - token) : (int)strlen(token);
        int n = snprintf(out->text + at, sizeof out->text - at, "%s'%.*s'", i ? " " : "", length, token ? token : "");
        at += n > 0 ? (size_t)n : 0;
    }
}

static th_status split(const th_tokenizer *t, const char *text, tokens *out) {
    th_tokenizer_work *w = NULL;
    const int32_t *ids;
    TH_TRY(th_tokenizer_work_new(t, &w));
    th_status s = th_tokenizer_ids(w, text, strlen(text), false, &ids, &out->count);
    if (s == TH_OK) tell(t, ids, out);
    th_tokenizer_work_free(w);
    return s;
}

th_status th_guard_check_noun(const th_tokenizer *t, const char *noun, th_str *notes) {
    tokens k;
    TH_TRY(split(t, noun, &k));
    if (k.count > 1 && !strchr(noun, ' '))
        th_str_printf(
            notes,
            "the noun '%.80s' is %lld tokens to this model, %.200s: one that it knows as a word would tell it "
            "more\n",
            noun, (long long)k.count, k.text);
    if (!k.count) th_str_printf(notes, "the noun '%.80s' is no token at all to this model\n", noun);
    return th_str_status(notes);
}

/* Byte-pair encoding numbers tokens as they were merged, frequent ones first: what is a token of its own in the first
 * half is a word that texts are full of, while rare words, such as sks, come late or in pieces. */
th_status th_guard_check_identifier(const th_tokenizer *t, const char *word, th_str *notes) {
    tokens k;
    TH_TRY(split(t, word, &k));
    if (k.count == 1 && k.first < th_tokenizer_size(t) / 2)
        th_str_printf(
            notes,
            "the identifier '%.80s' is a common word to this model, its token %s number %d of %lld: a rare one "
            "has less of a meaning to lose\n",
            word, k.text, (int)k.first, (long long)th_tokenizer_size(t));
    return th_str_status(notes);
}

/* ---- pictures */

typedef char hash_text[TH_HASH_TEXT];

static th_status hash_all(th_dataset *d, hash_text **out) {
    *out = th_alloc((size_t)th_dataset_images(d), sizeof **out);
    return *out ? th_dataset_hash_pictures(d, NULL, *out) : th_fail_memory();
}

/* Numbers of the protected pictures by their pixels; tells those that are there twice. */
static th_status remember(th_dataset *d, hash_text *hashes, th_map *seen, th_str *notes) {
    char a[TH_DATASET_ROOM], b[TH_DATASET_ROOM];
    for (int64_t i = 0; i < th_dataset_images(d); i++) {
        int64_t other = th_map_get(seen, hashes[i], strlen(hashes[i]), -1);
        if (other >= 0)
            th_str_printf(notes, "%.200s and %.200s are the same picture\n", th_dataset_key(d, other, a),
                          th_dataset_key(d, i, b));
        else
            TH_TRY(th_map_set(seen, hashes[i], strlen(hashes[i]), i));
    }
    return TH_OK;
}

static th_status find_overlap(th_dataset *protect, th_dataset *held_out, const th_map *seen, th_str *notes) {
    char a[TH_DATASET_ROOM], b[TH_DATASET_ROOM];
    hash_text *hashes = NULL;
    th_status s = hash_all(held_out, &hashes);
    for (int64_t i = 0; s == TH_OK && i < th_dataset_images(held_out); i++) {
        int64_t other = th_map_get(seen, hashes[i], strlen(hashes[i]), -1);
        if (other >= 0)
            th_str_printf(notes, "%.200s is protected and held out too, as %.200s: scores on it would flatter\n",
                          th_dataset_key(protect, other, a), th_dataset_key(held_out, i, b));
    }
    th_free(hashes);
    return s;
}

th_status th_guard_check_pictures(th_dataset *protect, th_dataset *held_out, th_str *notes) {
    hash_text *hashes = NULL;
    int64_t n = th_dataset_images(protect);
    if (n < FEWEST_PICTURES)
        th_str_printf(notes, "%lld picture%s to protect: with fewer than %d a guard learns those alone\n", (long long)n,
                      n == 1 ? "" : "s", FEWEST_PICTURES);
    th_map *seen = th_map_new();
    th_status s = seen ? hash_all(protect, &hashes) : th_fail_memory();
    if (s == TH_OK) s = remember(protect, hashes, seen, notes);
    if (s == TH_OK && held_out) s = find_overlap(protect, held_out, seen, notes);
    th_map_free(seen);
    th_free(hashes);
    return s == TH_OK ? th_str_status(notes) : s;
}

/* ---- the model */

static void tell_subject(const json_t *subject, bool first, th_str *out) {
    const char *name = json_string_value(json_object_get(subject, "name"));
    const char *noun = json_string_value(json_object_get(subject, "class"));
    th_str_printf(out, "%s%.80s (%.80s)", first ? "" : ", ", name ? name : "a subject", noun ? noun : "of some class");
}

th_status th_guard_check_model(const char *dir, th_str *notes) {
    char path[TH_PATH_MAX];
    th_json j = {0};
    json_t *subjects = NULL, *one;
    size_t i;
    TH_TRY(th_path_join(path, dir, "guard.json"));
    if (!th_path_exists(path)) return TH_OK;
    TH_TRY(th_json_load(path, JSON_MAX, &j));
    th_status s = th_json_array(&j, "subjects", &subjects);
    if (s == TH_OK) {
        th_str_printf(notes, "%.200s is guarded already and protects ", dir);
        json_array_foreach(subjects, i, one) tell_subject(one, !i, notes);
        if (!json_array_size(subjects)) th_str_puts(notes, "what it does not say");
        th_str_puts(notes, ": a second guard may undo the first, so begin from the open model\n");
    }
    th_json_free(&j);
    return s == TH_OK ? th_str_status(notes) : s;
}
