/* EDA's four operations over the words of a text. */
#include "data/eda.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "data/wordnet.h"
#include "data/words.h"

#define SYNONYMS 48       /* of a word, at most */
#define REMEMBERED 500000 /* words whose synonyms are kept */

typedef struct {
    char text[SYNONYMS][TH_WORD_MAX];
    int count;
} synonyms;

/* The same, kept: words one after another, each with its NUL. */
typedef struct {
    const char **words;
    int count;
} kept;

struct th_eda {
    float alpha;
    th_wordnet *wordnet;
    pthread_rwlock_t lock; /* over what follows */
    th_map *places;        /* word → place in lists */
    kept *lists;
    int64_t count, capacity;
    th_arena *arena;
};

void th_eda_params_init(th_eda_params *p) { *p = (th_eda_params){.alpha = 0.1f}; }

void th_eda_close(th_eda *e) {
    if (!e) return;
    pthread_rwlock_destroy(&e->lock);
    th_wordnet_close(e->wordnet);
    th_map_free(e->places);
    th_free(e->lists);
    th_arena_free(e->arena);
    th_free(e);
}

th_status th_eda_open(const th_eda_params *p, th_eda **out) {
    if (!(p->alpha >= 0 && p->alpha <= 1))
        return th_fail(TH_E_USAGE, "EDA: alpha is %g, it must be 0 to 1", (double)p->alpha);
    th_eda *e = th_alloc(1, sizeof *e);
    if (!e) return th_fail_memory();
    if (pthread_rwlock_init(&e->lock, NULL) != 0) return th_free(e), th_fail_memory();
    e->alpha = p->alpha;
    e->places = th_map_new();
    e->arena = th_arena_new();
    th_status status = e->places && e->arena ? th_wordnet_open(p->wordnet, &e->wordnet) : th_fail_memory();
    if (status != TH_OK) return th_eda_close(e), status;
    *out = e;
    return TH_OK;
}

/* --- synonyms --- */

static int by_text(const void *a, const void *b) { return strcmp(a, b); }

/* Letters and blanks only, as in the authors' code: "t-shirt" becomes "t shirt", "o'clock" is left out. */
static bool plain(char *word) {
    for (; *word; word++) {
        if (*word == '_' || *word == '-') *word = ' ';
        if (*word != ' ' && (*word < 'a' || *word > 'z')) return false;
    }
    return true;
}

static void add_synset(const th_wordnet *w, th_synset s, const char *word, synonyms *out) {
    char words[24][TH_WORD_MAX];
    int n = th_wordnet_words(w, s, words, 24);
    for (int i = 0; i < n && out->count < SYNONYMS; i++)
        if (plain(words[i]) && strcmp(words[i], word)) memcpy(out->text[out->count++], words[i], TH_WORD_MAX);
}

/* All synonyms in a fixed order, each once. */
static void find_synonyms(const th_wordnet *w, const char *word, synonyms *out) {
    out->count = 0;
    for (int pos = 0; pos < TH_WN_POS_COUNT; pos++) {
        char lemmas[4][TH_WORD_MAX];
        int n = th_wordnet_lemmas(w, word, (th_wn_pos)pos, lemmas, 4);
        for (int i = 0; i < n; i++) {
            th_sense senses[24];
            int m = th_wordnet_senses(w, lemmas[i], (th_wn_pos)pos, senses, 24);
            for (int k = 0; k < m; k++) add_synset(w, senses[k].synset, word, out);
        }
    }
    qsort(out->text, (size_t)out->count, sizeof *out->text, by_text);
    int unique = 0;
    for (int i = 0; i < out->count; i++)
        if (!unique || strcmp(out->text[i], out->text[unique - 1]))
            memmove(out->text[unique++], out->text[i], TH_WORD_MAX);
    out->count = unique;
}

/* Keeps a word's synonyms; called under the lock. Out of memory it keeps nothing, which costs time only. */
static void remember(th_eda *e, const char *word, const synonyms *s) {
    size_t n = strlen(word);
    if (e->count >= REMEMBERED || th_map_get(e->places, word, n, -1) >= 0) return;
    kept k = {th_arena_alloc(e->arena, (size_t)s->count, sizeof *k.words), s->count};
    for (int i = 0; k.words && i < s->count; i++)
        if (!(k.words[i] = th_arena_strdup(e->arena, s->text[i]))) return;
    if (!k.words || !th_grow(e->lists, e->count, e->capacity)) return;
    if (th_map_set(e->places, word, n, e->count) == TH_OK) e->lists[e->count++] = k;
}

/* Draws a synonym of a word; false when it has none. */
static bool draw_synonym(th_eda *e, const char *word, th_rng *rng, char out[TH_WORD_MAX]) {
    pthread_rwlock_rdlock(&e->lock);
    int64_t place = th_map_get(e->places, word, strlen(word), -1);
    kept k = place >= 0 ? e->lists[place] : (kept){NULL, 0};
    pthread_rwlock_unlock(&e->lock);
    if (place >= 0) { /* the words themselves never move */
        if (k.count) snprintf(out, TH_WORD_MAX, "%s", k.words[th_rng_below(rng, (uint32_t)k.count)]);
        return k.count > 0;
    }
    synonyms found;
    find_synonyms(e->wordnet, word, &found);
    pthread_rwlock_wrlock(&e->lock);
    remember(e, word, &found);
    pthread_rwlock_unlock(&e->lock);
    if (found.count) memcpy(out, found.text[th_rng_below(rng, (uint32_t)found.count)], TH_WORD_MAX);
    return found.count > 0;
}

/* --- words --- */

typedef struct {
    const char *before; /* marks, the word, marks */
    int before_length, word_length, after_length;
    const char *word;
    const char *synonym; /* stands in its place; NULL: none */
    bool gone;
} piece;

typedef struct {
    piece pieces[2 * TH_EDA_WORDS];
    int count;
    const char *rest; /* what is not looked at */
    char drawn[TH_EDA_WORDS][TH_WORD_MAX];
    int drawn_count;
} line;

static bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c & 0x80) || (c >= '0' && c <= '9');
}
static bool is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

static void cut(const char *text, line *l) {
    l->count = l->drawn_count = 0;
    while (is_blank(*text)) text++;
    while (*text && l->count < TH_EDA_WORDS) {
        const char *end = text, *first, *last;
        while (*end && !is_blank(*end)) end++;
        for (first = text; first < end && !is_letter(*first);) first++;
        for (last = end; last > first && !is_letter(last[-1]);) last--;
        l->pieces[l->count++] = (piece){.before = text,
                                        .before_length = (int)(first - text),
                                        .word = first,
                                        .word_length = (int)(last - first),
                                        .after_length = (int)(end - last)};
        for (text = end; is_blank(*text);) text++;
    }
    l->rest = text;
}

/* The word in lower case; false when it is empty, too long, or a stop word. */
static bool content_word(const piece *p, char out[TH_WORD_MAX]) {
    if (p->word_length < 1 || p->word_length >= TH_WORD_MAX) return false;
    for (int i = 0; i < p->word_length; i++)
        out[i] = p->word[i] >= 'A' && p->word[i] <= 'Z' ? (char)(p->word[i] + 32) : p->word[i];
    out[p->word_length] = '\0';
    return !th_word_is_stop(out);
}

static void put_piece(th_str *out, const piece *p) {
    if (p->gone) return;
    if (out->length) th_str_puts(out, " ");
    th_str_add(out, p->before, (size_t)p->before_length);
    if (p->synonym)
        th_str_puts(out, p->synonym);
    else
        th_str_add(out, p->word, (size_t)p->word_length);
    th_str_add(out, p->word + p->word_length, (size_t)p->after_length);
}

static void put(const line *l, th_str *out) {
    th_str_clear(out);
    for (int i = 0; i < l->count; i++) put_piece(out, &l->pieces[i]);
    if (*l->rest) {
        if (out->length) th_str_puts(out, " ");
        th_str_puts(out, l->rest);
    }
}

/* --- the operations --- */

/* Goes through the words in random order until n were replaced. */
static void replace(th_eda *e, line *l, int n, th_rng *rng) {
    int order[TH_EDA_WORDS];
    char word[TH_WORD_MAX];
    for (int i = 0; i < l->count; i++) {
        int j = (int)th_rng_below(rng, (uint32_t)i + 1);
        order[i] = order[j];
        order[j] = i;
    }
    for (int i = 0; i < l->count && n > 0; i++) {
        piece *p = &l->pieces[order[i]];
        if (!content_word(p, word) || !draw_synonym(e, word, rng, l->drawn[l->drawn_count])) continue;
        p->synonym = l->drawn[l->drawn_count++];
        n--;
    }
}

#define TRIES 10 /* for a word with synonyms, as in the authors' code */

static void insert(th_eda *e, line *l, int n, th_rng *rng) {
    char word[TH_WORD_MAX];
    for (; n > 0; n--) {
        char *drawn = l->drawn[l->drawn_count];
        bool found = false;
        for (int t = 0; t < TRIES && !found; t++) {
            const piece *p = &l->pieces[th_rng_below(rng, (uint32_t)l->count)];
            found = content_word(p, word) && draw_synonym(e, word, rng, drawn);
        }
        if (!found) return;
        l->drawn_count++;
        int at = (int)th_rng_below(rng, (uint32_t)l->count + 1);
        memmove(&l->pieces[at + 1], &l->pieces[at], (size_t)(l->count - at) * sizeof *l->pieces);
        l->pieces[at] = (piece){.before = "", .word = "", .synonym = drawn};
        l->count++;
    }
}

static void swap(line *l, int n, th_rng *rng) {
    for (; n > 0 && l->count > 1; n--) {
        int i = (int)th_rng_below(rng, (uint32_t)l->count), j = (int)th_rng_below(rng, (uint32_t)l->count - 1);
        if (j >= i) j++;
        piece p = l->pieces[i];
        l->pieces[i] = l->pieces[j];
        l->pieces[j] = p;
    }
}

static void delete (line *l, float alpha, th_rng *rng) {
    int left = 0;
    if (l->count == 1) return;
    for (int i = 0; i < l->count; i++) {
        l->pieces[i].gone = th_rng_f32(rng) < alpha;
        left += !l->pieces[i].gone;
    }
    if (!left) l->pieces[th_rng_below(rng, (uint32_t)l->count)].gone = false;
}

th_status th_eda_apply_op(th_eda *e, th_eda_op op, const char *text, th_rng *rng, th_str *out) {
    line *l = th_alloc(1, sizeof *l);
    if (!l) return th_fail_memory();
    cut(text, l);
    int n = (int)(e->alpha * (float)l->count);
    if (n < 1) n = 1;
    if (l->count) {
        if (op == TH_EDA_REPLACE) replace(e, l, n, rng);
        if (op == TH_EDA_INSERT) insert(e, l, n, rng);
        if (op == TH_EDA_SWAP) swap(l, n, rng);
        if (op == TH_EDA_DELETE) delete (l, e->alpha, rng);
    }
    put(l, out);
    th_free(l);
    return th_str_status(out);
}

th_status th_eda_apply(th_eda *e, const char *text, th_rng *rng, th_str *out) {
    return th_eda_apply_op(e, (th_eda_op)th_rng_below(rng, TH_EDA_OPS), text, rng, out);
}
