/* The words of a set of captions. */
#include "data/lexicon.h"

#include <math.h>
#include <string.h>

#include "base/map.h"

th_status th_lexicon_init(th_lexicon *l, const th_wordnet *wordnet) {
    *l = (th_lexicon){.wordnet = wordnet, .ids = th_map_new(), .arena = th_arena_new()};
    if (l->ids && l->arena) return TH_OK;
    th_lexicon_free(l);
    return th_fail_memory();
}

void th_lexicon_free(th_lexicon *l) {
    th_map_free(l->ids);
    th_arena_free(l->arena);
    th_free(l->words);
    *l = (th_lexicon){0};
}

int32_t th_lexicon_find(const th_lexicon *l, const char *text) {
    return (int32_t)th_map_get(l->ids, text, strlen(text), -1);
}

int th_tag_class(th_tag t) {
    if (th_tag_in(t, TH_TAGS_NOUN)) return TH_CLASS_NOUN;
    if (th_tag_in(t, TH_TAGS_VERB)) return TH_CLASS_VERB;
    return t == TH_TAG_ADJ ? TH_CLASS_ADJ : t == TH_TAG_ADV ? TH_CLASS_ADV : -1;
}

static bool ends(const char *word, const char *ending) {
    size_t n = strlen(word), m = strlen(ending);
    return n > m + 1 && memcmp(word + n - m, ending, m) == 0;
}

/* Nouns that are plural without looking it. */
static bool plural_by_nature(const char *word) {
    static const char *const words[] = {"people", "police", "cattle",   "clothes", "pants",
                                        "jeans",  "shorts", "scissors", "slacks",  "trousers"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (!strcmp(words[i], word)) return true;
    return false;
}

/* "stairs" and "shorts" are entries of their own, beside "stair" and "short". */
static bool plural_beside_singular(const th_wordnet *w, const char *word) {
    char singular[TH_WORD_MAX];
    size_t n = strlen(word);
    if (n < 5 || n >= sizeof singular || !ends(word, "s") || ends(word, "ss") || ends(word, "us") || ends(word, "is"))
        return false;
    memcpy(singular, word, n - 1);
    singular[n - 1] = '\0';
    return th_wordnet_has(w, singular, TH_WN_NOUN);
}

static th_tag noun_tag(const th_wordnet *w, const char *word, const char *lemma, bool known) {
    if (plural_by_nature(word) || plural_beside_singular(w, word)) return TH_TAG_PLURAL;
    if (known) return strcmp(word, lemma) ? TH_TAG_PLURAL : TH_TAG_NOUN;
    return ends(word, "s") && !ends(word, "ss") && !ends(word, "us") && !ends(word, "is") ? TH_TAG_PLURAL : TH_TAG_NOUN;
}

static th_tag verb_tag(const char *word, const char *lemma, bool known) {
    th_form f = known               ? th_form_of(word, lemma, TH_WN_VERB)
                : ends(word, "ing") ? TH_FORM_ING
                : ends(word, "ed")  ? TH_FORM_PAST
                : ends(word, "s")   ? TH_FORM_S
                                    : TH_FORM_BASE;
    return f == TH_FORM_ING    ? TH_TAG_VERB_ING
           : f == TH_FORM_S    ? TH_TAG_VERB_S
           : f == TH_FORM_BASE ? TH_TAG_VERB
                               : TH_TAG_VERB_ED;
}

/* Shares by the ending, for words that WordNet does not have. */
static void guess(const char *word, float share[TH_CLASS_COUNT]) {
    static const struct {
        const char *ending;
        float share[TH_CLASS_COUNT];
    } rules[] = {
        {"ing", {.3f, .5f, .2f, 0}}, {"ed", {.05f, .55f, .4f, 0}}, {"ly", {.1f, 0, .2f, .7f}},
        {"like", {.1f, 0, .9f, 0}},  {"ish", {.2f, 0, .8f, 0}},    {"-style", {.1f, 0, .9f, 0}},
        {"-looking", {0, 0, 1, 0}},  {"-filled", {0, 0, 1, 0}},    {"-free", {0, 0, 1, 0}},
        {"-shaped", {0, 0, 1, 0}},   {"-covered", {0, 0, 1, 0}},   {"-colored", {0, 0, 1, 0}},
    };
    static const float unknown[TH_CLASS_COUNT] = {.85f, .02f, .13f, 0}, hyphened[TH_CLASS_COUNT] = {.5f, 0, .5f, 0};
    memcpy(share, strchr(word, '-') ? hyphened : unknown, sizeof unknown);
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (ends(word, rules[i].ending)) memcpy(share, rules[i].share, sizeof rules[i].share);
}

static void know(const th_lexicon *l, th_lex_word *w) {
    char lemma[TH_CLASS_COUNT][TH_WORD_MAX];
    bool known[TH_CLASS_COUNT];
    float sum = 0;
    for (int c = 0; c < TH_CLASS_COUNT; c++) {
        known[c] = th_lemma(l->wordnet, w->text, (th_wn_pos)c, lemma[c]);
        if (known[c]) w->known[c] = 0.5f + (float)th_wordnet_tagged(l->wordnet, lemma[c], (th_wn_pos)c);
        w->in_wordnet |= known[c];
        sum += w->known[c];
    }
    if (!w->in_wordnet)
        guess(w->text, w->known);
    else
        for (int c = 0; c < TH_CLASS_COUNT; c++) w->known[c] /= sum;
    w->forms[TH_CLASS_NOUN] = noun_tag(l->wordnet, w->text, lemma[0], known[0]);
    w->forms[TH_CLASS_VERB] = verb_tag(w->text, lemma[1], known[1]);
    w->forms[TH_CLASS_ADJ] = TH_TAG_ADJ;
    w->forms[TH_CLASS_ADV] = TH_TAG_ADV;
}

int32_t th_lexicon_add(th_lexicon *l, const char *text, uint32_t closed) {
    int32_t id = th_lexicon_find(l, text);
    if (id < 0) {
        if (l->count == INT32_MAX || !th_grow(l->words, l->count, l->capacity)) return th_fail_memory(), -1;
        th_lex_word w = {.text = th_arena_strdup(l->arena, text), .closed = closed};
        if (!w.text || th_map_set(l->ids, text, strlen(text), l->count) != TH_OK) return th_fail_memory(), -1;
        if (!closed) know(l, &w);
        id = (int32_t)l->count;
        l->words[l->count++] = w;
    }
    l->words[id].count++;
    return id;
}

/* WordNet's counts weigh as much as this many captions. */
#define PRIOR_WEIGHT 4.0f

void th_lexicon_shares(const th_lex_word *w, float out[TH_CLASS_COUNT]) {
    float n = PRIOR_WEIGHT;
    for (int c = 0; c < TH_CLASS_COUNT; c++) n += (float)w->parsed[c];
    for (int c = 0; c < TH_CLASS_COUNT; c++) out[c] = ((float)w->parsed[c] + PRIOR_WEIGHT * w->known[c]) / n;
}

th_word_prior th_lexicon_prior(const th_lex_word *w) {
    if (w->closed) return (th_word_prior){0};
    float p[TH_CLASS_COUNT];
    for (int c = 0; c < TH_CLASS_COUNT; c++) p[c] = logf(0.02f + w->known[c]);
    return (th_word_prior){p[0], p[1], p[2], p[3]};
}
