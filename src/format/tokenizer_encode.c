/* From text to ids: added tokens are found, what lies between is normalised, cut into words, and each word's bytes are
 * merged; the ids of words seen before come from a cache. */
#include <string.h>

#include "format/tokenizer_parts.h"
#include "format/unicode.h"

#define TEXT_MAX ((size_t)1 << 28)
#define MATCH_LIMIT 1000000     /* steps back that a pattern may take; CLIP's takes none */
#define CACHED_WORD_MAX 64      /* bytes, hence also the most ids of a cached word */
#define CACHED_WORDS_MAX 100000 /* then the cache starts anew */

struct th_tokenizer_work {
    const th_tokenizer *t;
    th_text_cleaning cleaning;
    th_str mended, scratch, normal;
    pcre2_match_data *match;
    pcre2_match_context *limits;
    th_map *cache; /* word → position in pool × 256 + number of ids */
    int32_t *pool;
    int64_t n_pool, cap_pool;
    int32_t *symbols; /* of the word at hand */
    int64_t cap_symbols;
    th_bpe_work bpe;
    int32_t *ids; /* the result */
    int64_t n_ids, cap_ids;
    th_word_fn visit; /* not NULL: words are shown to it and not encoded */
    void *user;
};

th_status th_tokenizer_work_new(const th_tokenizer *t, th_tokenizer_work **out) {
    *out = NULL;
    th_tokenizer_work *w = th_alloc(1, sizeof *w);
    if (!w) return th_fail_memory();
    w->t = t;
    th_str_init(&w->mended, TEXT_MAX);
    th_str_init(&w->scratch, TEXT_MAX);
    th_str_init(&w->normal, TEXT_MAX);
    w->match = pcre2_match_data_create(1, NULL);
    w->limits = pcre2_match_context_create(NULL);
    w->cache = th_map_new();
    if (!w->match || !w->limits || !w->cache) return th_tokenizer_work_free(w), th_fail_memory();
    pcre2_set_match_limit(w->limits, MATCH_LIMIT);
    *out = w;
    return TH_OK;
}

void th_tokenizer_work_free(th_tokenizer_work *w) {
    if (!w) return;
    th_str_free(&w->mended);
    th_str_free(&w->scratch);
    th_str_free(&w->normal);
    pcre2_match_data_free(w->match);
    pcre2_match_context_free(w->limits);
    th_map_free(w->cache);
    th_free(w->pool);
    th_free(w->symbols);
    th_free(w->ids);
    th_bpe_work_free(&w->bpe);
    th_free(w);
}

void th_tokenizer_work_clean(th_tokenizer_work *w, th_text_cleaning how) { w->cleaning = how; }

static th_status reserve(int32_t **items, int64_t *capacity, int64_t need) {
    if (need <= *capacity) return TH_OK;
    int64_t more = *capacity ? *capacity : 256;
    while (more < need) more *= 2;
    int32_t *p = th_realloc(*items, (size_t)more, sizeof *p);
    if (!p) return th_fail_memory();
    *items = p;
    *capacity = more;
    return TH_OK;
}

static th_status append(th_tokenizer_work *w, const int32_t *ids, int64_t n) {
    TH_TRY(reserve(&w->ids, &w->cap_ids, w->n_ids + n));
    if (n) memcpy(w->ids + w->n_ids, ids, (size_t)n * sizeof *ids);
    w->n_ids += n;
    return TH_OK;
}

static th_status remember(th_tokenizer_work *w, const char *word, size_t length, int64_t n) {
    if (th_map_count(w->cache) >= CACHED_WORDS_MAX) {
        th_map *fresh = th_map_new();
        if (!fresh) return th_fail_memory();
        th_map_free(w->cache);
        w->cache = fresh;
        w->n_pool = 0;
    }
    TH_TRY(reserve(&w->pool, &w->cap_pool, w->n_pool + n));
    memcpy(w->pool + w->n_pool, w->symbols, (size_t)n * sizeof *w->pool);
    TH_TRY(th_map_set(w->cache, word, length, w->n_pool * 256 + n));
    w->n_pool += n;
    return TH_OK;
}

/* The symbols of the word's bytes; a byte without a symbol is the unknown token, or nothing where there is none. */
static int64_t fill_symbols(const th_tokenizer *t, const char *word, size_t length, int32_t *symbols) {
    int64_t n = 0;
    for (size_t i = 0; i < length; i++) {
        uint8_t b = (uint8_t)word[i];
        int32_t id = i + 1 == length ? t->byte_end_id[b] : t->byte_id[b];
        bool known = id >= 0;
        if (!known) id = t->unk;
        if (id < 0 || (!known && t->fuse_unk && n && symbols[n - 1] == id)) continue;
        symbols[n++] = id;
    }
    return n;
}

static th_status take_word(th_tokenizer_work *w, const char *word, size_t length) {
    if (w->visit) return w->visit(w->user, word, length);
    bool cached = length <= CACHED_WORD_MAX;
    int64_t at = cached ? th_map_get(w->cache, word, length, -1) : -1;
    if (at >= 0) return append(w, w->pool + at / 256, at % 256);
    TH_TRY(reserve(&w->symbols, &w->cap_symbols, (int64_t)length));
    int64_t n = fill_symbols(w->t, word, length, w->symbols);
    TH_TRY(th_bpe_apply(&w->t->merges, &w->bpe, w->symbols, &n));
    if (cached) TH_TRY(remember(w, word, length, n));
    return append(w, w->symbols, n);
}

/* Finds the next match at or after *at: its ends, or false when there is none. */
static th_status find(th_tokenizer_work *w, const pcre2_code *code, const char *text, size_t n, size_t at, bool *found,
                      size_t *begin, size_t *end) {
    PCRE2_SPTR subject = (PCRE2_SPTR)text;
    int rc = pcre2_match(code, subject, n, at, PCRE2_NO_UTF_CHECK, w->match, w->limits);
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT)
        rc = pcre2_match(code, subject, n, at, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, w->match, w->limits);
    if (rc == PCRE2_ERROR_NOMEMORY) return th_fail_memory();
    if (rc < 0 && rc != PCRE2_ERROR_NOMATCH) {
        char message[160] = "";
        pcre2_get_error_message(rc, (PCRE2_UCHAR *)message, sizeof message);
        return th_fail(TH_E_INPUT, "the tokenizer's pattern fails on this text: %s", message);
    }
    if ((*found = rc >= 0)) {
        const size_t *ends = pcre2_get_ovector_pointer(w->match);
        *begin = ends[0];
        *end = ends[1];
    }
    return TH_OK;
}

typedef th_status (*piece_fn)(th_tokenizer_work *w, const char *text, size_t n);

/* Hands the matches on and, if asked for, what lies between them. */
static th_status cut(th_tokenizer_work *w, const pcre2_code *code, bool keep_gaps, const char *text, size_t n,
                     piece_fn next) {
    size_t done = 0, at = 0;
    while (at < n) {
        bool found = false;
        size_t begin = n, end = n;
        TH_TRY(find(w, code, text, n, at, &found, &begin, &end));
        if (begin < done || end < begin) /* a pattern with \K or lookarounds can say so */
            return th_fail(TH_E_INPUT, "the tokenizer's pattern matches backwards");
        if (keep_gaps && begin > done) TH_TRY(next(w, text + done, begin - done));
        if (!found) return TH_OK;
        if (end > begin) TH_TRY(next(w, text + begin, end - begin));
        if (end > begin || keep_gaps) done = end;
        int32_t c;
        at = end > at ? end : at + th_utf8_next(text + at, n - at, &c); /* past an empty match */
    }
    if (keep_gaps && n > done) TH_TRY(next(w, text + done, n - done));
    return TH_OK;
}

static th_status cut_byte_level(th_tokenizer_work *w, const char *text, size_t n) {
    if (!w->t->byte_level || (w->t->only_special_is_cut && *text != '<')) return take_word(w, text, n);
    return cut(w, w->t->byte_level, true, text, n, take_word);
}

static th_status take_normal(th_tokenizer_work *w, const char *text, size_t n) {
    if (!w->t->split) return cut_byte_level(w, text, n);
    return cut(w, w->t->split, w->t->split_keeps_gaps, text, n, cut_byte_level);
}

/* The longest added token of this kind that begins at text, or NULL. */
static const th_added *longest_at(const th_tokenizer *t, bool normalized, const char *text, size_t n) {
    const th_added *best = NULL;
    for (int64_t i = 0; i < t->n_added; i++) {
        const th_added *a = &t->added[i];
        if (a->normalized != normalized || a->pattern_length > n || !a->pattern_length) continue;
        if (best && a->pattern_length <= best->pattern_length) continue;
        if (!memcmp(a->pattern, text, a->pattern_length)) best = a;
    }
    return best;
}

/* Where the character before text[at] begins; at > 0. */
static size_t before(const char *text, size_t at) {
    do at--;
    while (at > 0 && ((unsigned char)text[at] & 0xC0) == 0x80);
    return at;
}

static bool word_before(const char *text, size_t at) {
    int32_t c;
    if (at == 0) return false;
    size_t from = before(text, at);
    th_utf8_next(text + from, at - from, &c);
    return th_is_word(c);
}

static bool word_after(const char *text, size_t at, size_t n) {
    int32_t c;
    if (at >= n) return false;
    th_utf8_next(text + at, n - at, &c);
    return th_is_word(c);
}

static size_t skip_space_back(const char *text, size_t floor, size_t at) {
    while (at > floor) {
        int32_t c;
        size_t from = before(text, at);
        th_utf8_next(text + from, at - from, &c);
        if (from < floor || !th_is_space(c)) break;
        at = from;
    }
    return at;
}

static size_t skip_space(const char *text, size_t at, size_t n) {
    while (at < n) {
        int32_t c;
        size_t length = th_utf8_next(text + at, n - at, &c);
        if (!th_is_space(c)) break;
        at += length;
    }
    return at;
}

/* Takes the added tokens of one kind out of the text and hands on what lies between. */
static th_status cut_added(th_tokenizer_work *w, bool normalized, const char *text, size_t n, piece_fn next) {
    const bool *starts = normalized ? w->t->starts_normalized : w->t->starts_raw;
    size_t done = 0;
    for (size_t i = 0; i < n;) {
        const th_added *a = starts[(uint8_t)text[i]] ? longest_at(w->t, normalized, text + i, n - i) : NULL;
        if (!a) {
            i++;
            continue;
        }
        size_t begin = i, end = i + a->pattern_length;
        i = end;
        if (a->single_word && (word_before(text, begin) || word_after(text, end, n))) continue;
        if (a->lstrip) begin = skip_space_back(text, done, begin);
        if (a->rstrip) i = end = skip_space(text, end, n);
        if (begin > done) TH_TRY(next(w, text + done, begin - done));
        if (!w->visit) TH_TRY(append(w, &a->id, 1));
        done = end;
    }
    return done < n ? next(w, text + done, n - done) : TH_OK;
}

static th_status take_raw(th_tokenizer_work *w, const char *text, size_t n) {
    TH_TRY(th_tokenizer_normalize(w->t, text, n, &w->scratch, &w->normal));
    return cut_added(w, true, th_str_text(&w->normal), w->normal.length, take_normal);
}

static th_status run(th_tokenizer_work *w, const char *text, size_t length) {
    if (length > TEXT_MAX) return th_fail(TH_E_INPUT, "a text of %zu bytes is too long", length);
    bool clean = w->cleaning == TH_CLEAN_OPENAI; /* which mends too */
    if (clean || !th_utf8_valid(text, length)) {
        th_str_clear(&w->mended);
        if (clean)
            TH_TRY(th_text_clean_openai(text, length, &w->mended));
        else
            th_utf8_mend(text, length, &w->mended);
        TH_TRY(th_str_status(&w->mended));
        text = th_str_text(&w->mended);
        length = w->mended.length;
    }
    return cut_added(w, false, text, length, take_raw);
}

th_status th_tokenizer_ids(th_tokenizer_work *w, const char *text, size_t length, bool with_ends, const int32_t **ids,
                           int64_t *count) {
    w->n_ids = 0;
    w->visit = NULL;
    if (with_ends) TH_TRY(append(w, w->t->prefix, w->t->n_prefix));
    TH_TRY(run(w, text, length));
    if (with_ends) TH_TRY(append(w, w->t->suffix, w->t->n_suffix));
    *ids = w->ids;
    *count = w->n_ids;
    return TH_OK;
}

th_status th_tokenizer_encode(th_tokenizer_work *w, const char *text, size_t length, int64_t max_length, int32_t *ids,
                              int64_t *count) {
    const th_tokenizer *t = w->t;
    int64_t room = max_length - t->n_prefix - t->n_suffix, n;
    if (room < 0)
        return th_fail(TH_E_USAGE, "a length of %lld tokens leaves no room for the %d special ones",
                       (long long)max_length, t->n_prefix + t->n_suffix);
    const int32_t *found;
    TH_TRY(th_tokenizer_ids(w, text, length, false, &found, &n));
    if (n > room) n = room;
    int32_t *to = ids;
    for (int i = 0; i < t->n_prefix; i++) *to++ = t->prefix[i];
    for (int64_t i = 0; i < n; i++) *to++ = found[i];
    for (int i = 0; i < t->n_suffix; i++) *to++ = t->suffix[i];
    if (count) *count = to - ids;
    while (to < ids + max_length) *to++ = t->pad;
    return TH_OK;
}

th_status th_tokenizer_words(th_tokenizer_work *w, const char *text, size_t length, th_word_fn visit, void *user) {
    w->visit = visit;
    w->user = user;
    return run(w, text, length);
}
