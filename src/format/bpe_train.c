/* Training BPE: counts of all pairs are kept up to date merge by merge, by visiting only the words that hold the pair;
 * a heap gives the most frequent one. */
#include "format/bpe_train.h"

#include <string.h>

#include "format/tokenizer_parts.h"

#define BYTE_TOKENS 512
#define REPORT_EVERY 256

typedef struct {
    int64_t count;
    int64_t first; /* its symbols: symbols[first … first + length − 1] */
    int32_t length;
} word;

typedef struct {
    th_pair pair;
    int64_t count; /* over all words, each as often as it was seen */
    int32_t *words;
    int64_t n_words, cap_words; /* the words that hold it, or did once */
} pair_info;

/* A pair with the count it had when it was put on the heap. */
typedef struct {
    int64_t count;
    int64_t at;
} candidate;

struct th_bpe_trainer {
    th_tokenizer *bytes; /* knows how CLIP cuts text into words; has no merges */
    th_tokenizer_work *work;
    th_map *word_index;
    word *words;
    int64_t n_words, cap_words;
    int32_t *symbols;
    int64_t n_symbols, cap_symbols;
    int32_t symbol_of[256]; /* of a byte inside a word; 256 more at its end */
    int64_t times;

    th_merges pair_index; /* pair → position in pairs, in `id` */
    pair_info *pairs;
    int64_t n_pairs, cap_pairs;
    candidate *heap;
    int64_t n_heap, cap_heap;
    th_tokenizer *result;
};

void th_bpe_train_params_init(th_bpe_train_params *p) {
    *p = (th_bpe_train_params){.vocab_size = 49408, .min_count = 2, .max_length = 77};
}

static th_status make_bytes(th_tokenizer **out) {
    th_tokenizer *t = th_tokenizer_new();
    if (!t) return th_fail_memory();
    th_status s = th_tokenizer_begin_clip(t, "a new vocabulary");
    if (s == TH_OK) s = th_tokenizer_end_clip(t, "a new vocabulary", 0);
    if (s == TH_OK)
        *out = t;
    else
        th_tokenizer_free(t);
    return s;
}

th_status th_bpe_trainer_new(th_bpe_trainer **out) {
    *out = NULL;
    th_bpe_trainer *b = th_alloc(1, sizeof *b);
    if (!b) return th_fail_memory();
    for (int i = 0; i < 256; i++) b->symbol_of[th_clip_byte(i)] = i;
    th_status s = make_bytes(&b->bytes);
    if (s == TH_OK) s = th_tokenizer_work_new(b->bytes, &b->work);
    if (s == TH_OK && !(b->word_index = th_map_new())) s = th_fail_memory();
    if (s == TH_OK)
        *out = b;
    else
        th_bpe_trainer_free(b);
    return s;
}

void th_bpe_trainer_free(th_bpe_trainer *b) {
    if (!b) return;
    th_tokenizer_work_free(b->work);
    th_tokenizer_free(b->bytes);
    th_tokenizer_free(b->result);
    th_map_free(b->word_index);
    th_free(b->words);
    th_free(b->symbols);
    th_merges_free(&b->pair_index);
    for (int64_t i = 0; i < b->n_pairs; i++) th_free(b->pairs[i].words);
    th_free(b->pairs);
    th_free(b->heap);
    th_free(b);
}

static th_status count_word(void *user, const char *text, size_t length) {
    th_bpe_trainer *b = user;
    int64_t at = th_map_get(b->word_index, text, length, -1);
    if (at < 0) {
        at = b->n_words;
        if (at == INT32_MAX) return th_fail(TH_E_INPUT, "more than %d different words", INT32_MAX);
        if (!th_grow(b->words, b->n_words, b->cap_words)) return th_fail_memory();
        word w = {.first = b->n_symbols, .length = (int32_t)length};
        for (size_t i = 0; i < length; i++) {
            if (!th_grow(b->symbols, b->n_symbols, b->cap_symbols)) return th_fail_memory();
            b->symbols[b->n_symbols++] = b->symbol_of[(uint8_t)text[i]] + (i + 1 == length ? 256 : 0);
        }
        TH_TRY(th_map_set(b->word_index, text, length, at));
        b->words[b->n_words++] = w;
    }
    if (__builtin_add_overflow(b->words[at].count, b->times, &b->words[at].count))
        return th_fail(TH_E_INPUT, "a word was counted more than 2^63 times");
    return TH_OK;
}

th_status th_bpe_trainer_add(th_bpe_trainer *b, const char *text, size_t length, int64_t times) {
    if (times < 1) return th_fail(TH_E_USAGE, "a text is counted at least once");
    b->times = times;
    return th_tokenizer_words(b->work, text, length, count_word, b);
}

static bool before(const th_bpe_trainer *b, candidate x, candidate y) {
    if (x.count != y.count) return x.count > y.count;
    th_pair p = b->pairs[x.at].pair, q = b->pairs[y.at].pair;
    return p.left != q.left ? p.left < q.left : p.right < q.right;
}

static th_status heap_push(th_bpe_trainer *b, candidate c) {
    if (!th_grow(b->heap, b->n_heap, b->cap_heap)) return th_fail_memory();
    int64_t i = b->n_heap++;
    for (int64_t up; i > 0 && before(b, c, b->heap[up = (i - 1) / 2]); i = up) b->heap[i] = b->heap[up];
    b->heap[i] = c;
    return TH_OK;
}

static candidate heap_pop(th_bpe_trainer *b) {
    candidate top = b->heap[0], last = b->heap[--b->n_heap];
    int64_t i = 0, n = b->n_heap;
    for (int64_t down; (down = 2 * i + 1) < n; i = down) {
        if (down + 1 < n && before(b, b->heap[down + 1], b->heap[down])) down++;
        if (!before(b, b->heap[down], last)) break;
        b->heap[i] = b->heap[down];
    }
    b->heap[i] = last;
    return top;
}

static th_status find_pair(th_bpe_trainer *b, th_pair pair, pair_info **out) {
    const th_merge *known = th_merges_get(&b->pair_index, pair);
    if (!known) {
        if (!th_grow(b->pairs, b->n_pairs, b->cap_pairs)) return th_fail_memory();
        TH_TRY(th_merges_set(&b->pair_index, pair, 0, (int32_t)b->n_pairs));
        b->pairs[b->n_pairs++] = (pair_info){.pair = pair};
    }
    *out = &b->pairs[known ? known->id : b->n_pairs - 1];
    return TH_OK;
}

/* Adds the word's pairs to the counts, or takes them off. Pairs with the symbol `fresh` (all of them when it is −1) had
 * not been in this word before: it joins their lists. */
static th_status count_pairs(th_bpe_trainer *b, int32_t at, int64_t sign, int32_t fresh) {
    const word *w = &b->words[at];
    for (int32_t i = 0; i + 1 < w->length; i++) {
        th_pair pair = {b->symbols[w->first + i], b->symbols[w->first + i + 1]};
        pair_info *p = NULL;
        TH_TRY(find_pair(b, pair, &p));
        if (__builtin_add_overflow(p->count, sign * w->count, &p->count))
            return th_fail(TH_E_INPUT, "a pair was counted more than 2^63 times");
        bool is_new = sign > 0 && (fresh < 0 || pair.left == fresh || pair.right == fresh);
        if (!is_new || (p->n_words && p->words[p->n_words - 1] == at)) continue;
        if (!th_grow(p->words, p->n_words, p->cap_words)) return th_fail_memory();
        p->words[p->n_words++] = at;
    }
    return TH_OK;
}

static bool holds(const th_bpe_trainer *b, const word *w, th_pair pair) {
    const int32_t *s = b->symbols + w->first;
    for (int32_t i = 0; i + 1 < w->length; i++)
        if (s[i] == pair.left && s[i + 1] == pair.right) return true;
    return false;
}

static void replace(th_bpe_trainer *b, word *w, th_pair pair, int32_t id) {
    int32_t *s = b->symbols + w->first, n = 0;
    for (int32_t i = 0; i < w->length; i++) {
        bool here = i + 1 < w->length && s[i] == pair.left && s[i + 1] == pair.right;
        s[n++] = here ? id : s[i];
        i += here;
    }
    w->length = n;
}

/* Merges the pair in every word that holds it, and puts the pairs that this makes on the heap. */
static th_status merge(th_bpe_trainer *b, int64_t at, int32_t id) {
    th_pair pair = b->pairs[at].pair;
    int32_t *words = b->pairs[at].words; /* taken out: the array of pairs may move */
    int64_t n = b->pairs[at].n_words, first = b->n_pairs;
    b->pairs[at].words = NULL;
    b->pairs[at].n_words = b->pairs[at].cap_words = 0;
    th_status s = TH_OK;
    for (int64_t i = 0; s == TH_OK && i < n; i++) {
        word *w = &b->words[words[i]];
        if (!holds(b, w, pair)) continue;
        s = count_pairs(b, words[i], -1, -1);
        replace(b, w, pair, id);
        if (s == TH_OK) s = count_pairs(b, words[i], 1, id);
    }
    th_free(words);
    for (int64_t i = first; s == TH_OK && i < b->n_pairs; i++) s = heap_push(b, (candidate){b->pairs[i].count, i});
    return s;
}

/* The token that the pair makes, into the result. *id is −1 where that text is a token already: such a pair never
 * merges, since CLIP numbers its merges and its tokens alike. */
static th_status add_result(th_bpe_trainer *b, th_pair pair, int32_t *id) {
    th_tokenizer *t = b->result;
    const char *left = t->tokens[pair.left], *right = t->tokens[pair.right];
    th_str joined;
    th_str_init(&joined, 1 << 24);
    th_str_puts(&joined, left);
    th_str_puts(&joined, right);
    *id = -1;
    th_status s = th_str_status(&joined);
    if (s == TH_OK && th_tokenizer_id(t, th_str_text(&joined)) < 0) {
        *id = (int32_t)t->size;
        s = th_tokenizer_add_token(t, "a new vocabulary", joined.data, joined.length, *id);
        if (s == TH_OK)
            s = th_tokenizer_add_merge(t, "a new vocabulary", t->n_merges + 1, left, strlen(left), right,
                                       strlen(right));
    }
    th_str_free(&joined);
    return s;
}

static th_status count_all(th_bpe_trainer *b) {
    for (int64_t i = 0; i < b->n_words; i++) TH_TRY(count_pairs(b, (int32_t)i, 1, -1));
    for (int64_t i = 0; i < b->n_pairs; i++) TH_TRY(heap_push(b, (candidate){b->pairs[i].count, i}));
    return TH_OK;
}

static th_status learn(th_bpe_trainer *b, const th_bpe_train_params *p, const th_watch *watch) {
    int64_t wanted = p->vocab_size - BYTE_TOKENS - 2;
    TH_TRY(count_all(b));
    while (b->result->n_merges < wanted && b->n_heap) {
        candidate c = heap_pop(b);
        int64_t now = b->pairs[c.at].count;
        if (now != c.count) { /* other merges took some: it waits for its turn with the new count */
            if (now >= p->min_count) TH_TRY(heap_push(b, (candidate){now, c.at}));
            continue;
        }
        if (now < p->min_count) break;
        int32_t id;
        TH_TRY(add_result(b, b->pairs[c.at].pair, &id));
        if (id >= 0) TH_TRY(merge(b, c.at, id));
        if (b->result->n_merges % REPORT_EVERY) continue;
        th_report(watch, "merges", b->result->n_merges, wanted, NULL);
        if (th_stopped(watch)) return th_fail(TH_E_INTERRUPTED, "interrupted while learning a vocabulary");
    }
    return TH_OK;
}

th_status th_bpe_trainer_run(th_bpe_trainer *b, const th_bpe_train_params *p, const th_watch *watch,
                             th_tokenizer **out) {
    *out = NULL;
    if (b->n_pairs) return th_fail(TH_E_USAGE, "a BPE trainer runs once");
    if (p->vocab_size < BYTE_TOKENS + 2 || p->vocab_size > TH_TOKEN_IDS_MAX || p->min_count < 1 || p->max_length < 0)
        return th_fail(TH_E_USAGE, "a vocabulary has between %d and %d tokens, of pairs seen at least once",
                       BYTE_TOKENS + 2, TH_TOKEN_IDS_MAX);
    if (!b->n_words) return th_fail(TH_E_INPUT, "there are no words to learn a vocabulary from");
    b->result = th_tokenizer_new();
    if (!b->result) return th_fail_memory();
    TH_TRY(th_tokenizer_begin_clip(b->result, "a new vocabulary"));
    TH_TRY(learn(b, p, watch));
    TH_TRY(th_tokenizer_end_clip(b->result, "a new vocabulary", p->max_length));
    *out = b->result;
    b->result = NULL;
    return TH_OK;
}
