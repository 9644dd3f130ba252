/* A tokenizer's parts put together: the vocabulary, the merges, added tokens, and what follows from them. */
#include <stdio.h>
#include <string.h>

#include "format/json.h"
#include "format/tokenizer_parts.h"
#include "format/unicode.h"

th_tokenizer *th_tokenizer_new(void) {
    th_tokenizer *t = th_alloc(1, sizeof *t);
    if (!t) return NULL;
    t->arena = th_arena_new();
    t->ids = th_map_new();
    t->end_suffix = "";
    t->bos = t->eos = t->pad = t->unk = -1;
    if (t->arena && t->ids) return t;
    th_tokenizer_free(t);
    return NULL;
}

void th_tokenizer_free(th_tokenizer *t) {
    if (!t) return;
    pcre2_code_free(t->split);
    pcre2_code_free(t->byte_level);
    th_merges_free(&t->merges);
    th_free(t->merge_list);
    th_free(t->tokens);
    th_free(t->added);
    th_map_free(t->ids);
    th_arena_free(t->arena);
    th_free(t);
}

/* Makes tokens[id] exist; the ids between stay NULL. */
static th_status make_room(th_tokenizer *t, int64_t id) {
    if (id >= t->cap_tokens) {
        int64_t capacity = t->cap_tokens ? t->cap_tokens : 1024;
        while (capacity <= id) capacity *= 2;
        const char **tokens = th_realloc(t->tokens, (size_t)capacity, sizeof *tokens);
        if (!tokens) return th_fail_memory();
        t->tokens = tokens;
        t->cap_tokens = capacity;
    }
    while (t->size <= id) t->tokens[t->size++] = NULL;
    return TH_OK;
}

th_status th_tokenizer_add_token(th_tokenizer *t, const char *file, const char *text, size_t length, int64_t id) {
    char a[TH_SHOWN_MAX], b[TH_SHOWN_MAX];
    if (id < 0 || id >= TH_TOKEN_IDS_MAX)
        return th_fail(TH_E_INPUT, "%s: token '%s' has the id %lld, it should lie in [0, %d]", file,
                       th_shown(a, text, length), (long long)id, TH_TOKEN_IDS_MAX - 1);
    TH_TRY(make_room(t, id));
    if (t->tokens[id])
        return th_fail(TH_E_INPUT, "%s: tokens '%s' and '%s' have the same id %lld", file,
                       th_shown(a, t->tokens[id], strlen(t->tokens[id])), th_shown(b, text, length), (long long)id);
    if (th_map_get(t->ids, text, length, -1) >= 0)
        return th_fail(TH_E_INPUT, "%s: token '%s' stands in the vocabulary twice", file, th_shown(a, text, length));
    char *copy = th_arena_alloc(t->arena, length + 1, 1);
    if (!copy) return th_fail_memory();
    if (length) memcpy(copy, text, length);
    t->tokens[id] = copy;
    return th_map_set(t->ids, text, length, id);
}

static int32_t id_of(const th_tokenizer *t, const char *text, size_t length) {
    return (int32_t)th_map_get(t->ids, text, length, -1);
}

th_status th_tokenizer_add_merge(th_tokenizer *t, const char *file, int64_t line, const char *left, size_t left_length,
                                 const char *right, size_t right_length) {
    char shown[TH_SHOWN_MAX], joined[512], *both = joined;
    th_pair pair = {id_of(t, left, left_length), id_of(t, right, right_length)};
    if (pair.left < 0 || pair.right < 0)
        return th_fail(TH_E_INPUT, "%s: merge %lld: '%s' is not in the vocabulary", file, (long long)line,
                       pair.left < 0 ? th_shown(shown, left, left_length) : th_shown(shown, right, right_length));
    size_t length = left_length + right_length;
    if (length > sizeof joined && !(both = th_arena_alloc(t->arena, length, 1))) return th_fail_memory();
    memcpy(both, left, left_length);
    memcpy(both + left_length, right, right_length);
    int32_t id = id_of(t, both, length);
    if (id < 0)
        return th_fail(TH_E_INPUT, "%s: merge %lld: what it makes, '%s', is not in the vocabulary", file,
                       (long long)line, th_shown(shown, both, length));
    if (!th_grow(t->merge_list, t->n_merges, t->cap_merges)) return th_fail_memory();
    TH_TRY(th_merges_set(&t->merges, pair, (int32_t)t->n_merges, id));
    t->merge_list[t->n_merges++] = pair;
    return TH_OK;
}

th_status th_tokenizer_add_added(th_tokenizer *t, const th_added *a) {
    for (int64_t i = 0; i < t->n_added; i++) {
        th_added *old = &t->added[i];
        if (old->length != a->length || memcmp(old->content, a->content, a->length) != 0) continue;
        const char *content = old->content;
        *old = *a;
        old->content = content;
        return TH_OK;
    }
    char *content = th_arena_alloc(t->arena, a->length + 1, 1);
    if (!content || !th_grow(t->added, t->n_added, t->cap_added)) return th_fail_memory();
    memcpy(content, a->content, a->length);
    t->added[t->n_added] = *a;
    t->added[t->n_added++].content = content;
    return TH_OK;
}

void th_tokenizer_use_clip_steps(th_tokenizer *t) {
    static const th_normalizer steps[] = {TH_NORMALIZE_NFC, TH_NORMALIZE_SPACE, TH_NORMALIZE_LOWER};
    memcpy(t->normalizers, steps, sizeof steps);
    t->n_normalizers = 3;
    t->split_text = TH_CLIP_SPLIT_SPECIAL;
    t->split_keeps_gaps = false;
    t->byte_level_splits = true;
    t->end_suffix = "</w>";
}

static th_status normalize_step(th_normalizer step, const char *text, size_t n, th_str *out) {
    switch (step) {
    case TH_NORMALIZE_NFC: return th_unicode_normalize(text, n, TH_NFC, out);
    case TH_NORMALIZE_NFD: return th_unicode_normalize(text, n, TH_NFD, out);
    case TH_NORMALIZE_NFKC: return th_unicode_normalize(text, n, TH_NFKC, out);
    case TH_NORMALIZE_NFKD: return th_unicode_normalize(text, n, TH_NFKD, out);
    case TH_NORMALIZE_SPACE: th_unicode_collapse(text, n, out); break;
    case TH_NORMALIZE_LOWER: th_unicode_lower(text, n, out); break;
    }
    return th_str_status(out);
}

th_status th_tokenizer_normalize(const th_tokenizer *t, const char *text, size_t n, th_str *scratch, th_str *out) {
    th_str_clear(out);
    if (t->n_normalizers == 0) th_str_add(out, text, n);
    for (int i = 0; i < t->n_normalizers; i++) {
        if (i > 0) {
            th_str before = *out;
            *out = *scratch;
            *scratch = before;
            th_str_clear(out);
            text = th_str_text(scratch);
            n = scratch->length;
        }
        TH_TRY(normalize_step(t->normalizers[i], text, n, out));
    }
    return th_str_status(out);
}

static th_status prepare_added(th_tokenizer *t) {
    th_str scratch, out;
    th_str_init(&scratch, TH_TOKENIZER_FILE_MAX);
    th_str_init(&out, TH_TOKENIZER_FILE_MAX);
    th_status status = TH_OK;
    for (int64_t i = 0; i < t->n_added; i++) {
        th_added *a = &t->added[i];
        a->pattern = a->content;
        a->pattern_length = a->length;
        if (a->normalized) {
            TH_GO(th_tokenizer_normalize(t, a->content, a->length, &scratch, &out));
            a->pattern = th_arena_copy(t->arena, th_str_text(&out), out.length + 1);
            a->pattern_length = out.length;
            if (!a->pattern) TH_GO(th_fail_memory());
        }
        if (!a->pattern_length) continue; /* would match everywhere: never looked for */
        bool *starts = a->normalized ? t->starts_normalized : t->starts_raw;
        starts[(uint8_t)a->pattern[0]] = true;
    }
done:
    th_str_free(&scratch);
    th_str_free(&out);
    return status;
}

static void look_up_bytes(th_tokenizer *t) {
    size_t suffix = strlen(t->end_suffix);
    for (int b = 0; b < 256; b++) {
        char text[64];
        size_t n = th_utf8_put(text, th_byte_to_char((uint8_t)b));
        memcpy(text + n, t->end_suffix, suffix);
        t->byte_id[b] = id_of(t, text, n);
        t->byte_end_id[b] = id_of(t, text, n + suffix);
    }
}

/* Rewrites \s, whose meaning differs between the libraries, and leaves the rest of the pattern to PCRE2. */
static th_status translate(const char *file, const char *pattern, th_str *out) {
    bool in_class = false;
    for (const char *p = pattern; *p; p++) {
        if (p[0] == '\\' && p[1] == 's') {
            th_str_puts(out, in_class ? TH_SPACE_RANGES : "[" TH_SPACE_RANGES "]");
            p++;
        } else if (p[0] == '\\' && p[1] == 'S') {
            if (in_class)
                return th_fail(TH_E_INPUT, "%s: pre_tokenizer: \\S inside a character class is not supported", file);
            th_str_puts(out, "[^" TH_SPACE_RANGES "]");
            p++;
        } else if (p[0] == '\\' && p[1]) {
            th_str_add(out, p++, 2);
        } else {
            in_class = in_class ? *p != ']' : *p == '[';
            th_str_add(out, p, 1);
        }
    }
    return th_str_status(out);
}

#define PATTERN_MAX 16384 /* bytes; CLIP's has under 200 */

static void *pcre_alloc(size_t n, void *user) {
    (void)user;
    return th_alloc(n, 1);
}

static void pcre_free(void *p, void *user) {
    (void)user;
    th_free(p);
}

static th_status compile_text(const char *file, const th_str *text, pcre2_compile_context *context, pcre2_code **out) {
    int error;
    size_t at;
    pcre2_set_max_pattern_length(context, PATTERN_MAX);
    *out = pcre2_compile((PCRE2_SPTR)th_str_text(text), text->length, PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C,
                         &error, &at, context);
    if (!*out && error == PCRE2_ERROR_HEAP_FAILED) return th_fail_memory();
    if (!*out) {
        char message[160] = "";
        pcre2_get_error_message(error, (PCRE2_UCHAR *)message, sizeof message);
        return th_fail(TH_E_INPUT, "%s: pre_tokenizer: its pattern cannot be compiled: %s", file, message);
    }
    pcre2_jit_compile(*out, PCRE2_JIT_COMPLETE); /* without it, matching is slower and no different */
    return TH_OK;
}

static th_status compile(const char *file, const char *pattern, pcre2_code **out) {
    th_str text;
    th_str_init(&text, 1 << 20);
    pcre2_general_context *general = pcre2_general_context_create(pcre_alloc, pcre_free, NULL);
    pcre2_compile_context *context = general ? pcre2_compile_context_create(general) : NULL;
    th_status status = context ? translate(file, pattern, &text) : th_fail_memory();
    if (status == TH_OK) status = compile_text(file, &text, context, out);
    pcre2_compile_context_free(context);
    pcre2_general_context_free(general);
    th_str_free(&text);
    return status;
}

#define GPT2_SPLIT "'(?:s|t|re|ve|m|ll|d)| ?\\p{L}++| ?\\p{N}++| ?[^\\s\\p{L}\\p{N}]++|\\s+(?!\\S)|\\s++"
#define CLIP_WORDS "'(?:s|t|re|ve|m|ll|d)|\\p{L}++|\\p{N}|[^\\s\\p{L}\\p{N}]++"

/* CLIP's own patterns are compiled in a form that never backtracks. ByteLevel cuts what they leave once more, by
 * GPT-2's pattern, which takes nothing apart but special tokens: those written in capitals come here after lowercasing.
 */
static th_status compile_patterns(th_tokenizer *t, const char *file) {
    bool special = t->split_text && !strcmp(t->split_text, TH_CLIP_SPLIT_SPECIAL);
    bool clip = t->split_text && !strcmp(t->split_text, TH_CLIP_SPLIT);
    t->only_special_is_cut = (clip || special) && !t->split_keeps_gaps;
    if (clip)
        TH_TRY(compile(file, CLIP_WORDS, &t->split));
    else if (special)
        TH_TRY(compile(file, "<\\|(?:start|end)oftext\\|>|" CLIP_WORDS, &t->split));
    else if (t->split_text)
        TH_TRY(compile(file, t->split_text, &t->split));
    return t->byte_level_splits ? compile(file, GPT2_SPLIT, &t->byte_level) : TH_OK;
}

th_status th_tokenizer_finish(th_tokenizer *t, const char *file) {
    if (t->size == 0) return th_fail(TH_E_INPUT, "%s: the vocabulary is empty", file);
    look_up_bytes(t);
    TH_TRY(compile_patterns(t, file));
    TH_TRY(prepare_added(t));
    if (t->pad < 0) t->pad = t->eos >= 0 ? t->eos : 0;
    return TH_OK;
}

int64_t th_tokenizer_size(const th_tokenizer *t) { return t->size; }
int32_t th_tokenizer_bos(const th_tokenizer *t) { return t->bos; }
int32_t th_tokenizer_eos(const th_tokenizer *t) { return t->eos; }
int32_t th_tokenizer_pad(const th_tokenizer *t) { return t->pad; }
int32_t th_tokenizer_unk(const th_tokenizer *t) { return t->unk; }
th_status th_tokenizer_set_pad(th_tokenizer *t, const char *token) {
    int32_t id = th_tokenizer_id(t, token);
    if (id < 0) return th_fail(TH_E_INPUT, "the padding '%.60s' is not in the vocabulary", token);
    t->pad = id;
    return TH_OK;
}

int64_t th_tokenizer_max_length(const th_tokenizer *t) { return t->max_length; }
int32_t th_tokenizer_id(const th_tokenizer *t, const char *token) { return id_of(t, token, strlen(token)); }
const char *th_tokenizer_token(const th_tokenizer *t, int32_t id) {
    return id >= 0 && id < t->size ? t->tokens[id] : NULL;
}

static bool is_special(const th_tokenizer *t, int32_t id) {
    for (int64_t i = 0; i < t->n_added; i++)
        if (t->added[i].id == id) return t->added[i].special;
    return false;
}

/* A token's characters stand for bytes; one with any other character is taken as it is. */
static void add_token_bytes(const char *token, th_str *out) {
    size_t before = out->length, n = strlen(token);
    for (size_t i = 0; i < n;) {
        int32_t c;
        i += th_utf8_next(token + i, n - i, &c);
        int b = th_char_to_byte(c);
        if (b < 0) {
            if (out->status == TH_OK) out->length = before;
            th_str_puts(out, token);
            return;
        }
        th_str_add(out, &(char){(char)b}, 1);
    }
}

/* Each end of a word becomes a space, and both ends of the text are stripped. */
static void add_readable(const th_tokenizer *t, const char *text, size_t n, th_str *out) {
    size_t mark = strlen(t->end_suffix);
    th_str spaced;
    th_str_init(&spaced, out->max);
    for (size_t i = 0; i < n;) {
        bool end = mark && n - i >= mark && !memcmp(text + i, t->end_suffix, mark);
        th_str_add(&spaced, end ? " " : text + i, 1);
        i += end ? mark : 1;
    }
    const char *from = th_str_text(&spaced);
    size_t length = spaced.length;
    th_strip(&from, &length);
    th_str_add(out, from, length);
    if (spaced.status != TH_OK && out->status == TH_OK) out->status = spaced.status;
    th_str_free(&spaced);
}

th_status th_tokenizer_decode(const th_tokenizer *t, const int32_t *ids, int64_t n, bool skip_special, th_str *out) {
    th_str bytes, text;
    th_str_init(&bytes, out->max);
    th_str_init(&text, out->max);
    th_status status = TH_OK;
    for (int64_t i = 0; i < n; i++) {
        const char *token = th_tokenizer_token(t, ids[i]);
        if (!token) TH_GO(th_fail(TH_E_INPUT, "id %d is not in the vocabulary of %lld", ids[i], (long long)t->size));
        if (!skip_special || !is_special(t, ids[i])) add_token_bytes(token, &bytes);
    }
    th_utf8_mend(th_str_text(&bytes), bytes.length, &text);
    TH_GO(th_str_status(&bytes));
    TH_GO(th_str_status(&text));
    add_readable(t, th_str_text(&text), text.length, out);
    status = th_str_status(out);
done:
    th_str_free(&bytes);
    th_str_free(&text);
    return status;
}
