/* The words of a set of captions: how often each occurs, what it can be by WordNet, what the parser took it for. */
#ifndef TH_DATA_LEXICON_H
#define TH_DATA_LEXICON_H

#include "data/inflect.h"
#include "data/parse.h"
#include "data/words.h"

enum { TH_CLASS_NOUN, TH_CLASS_VERB, TH_CLASS_ADJ, TH_CLASS_ADV, TH_CLASS_COUNT }; /* in the order of th_wn_pos */

typedef struct {
    const char *text;
    int64_t count;
    uint32_t closed;                 /* bits of the closed classes' tags; 0 for the open classes */
    th_tag forms[TH_CLASS_COUNT];    /* the tag that its spelling gives it as a noun, verb, adjective, adverb */
    float known[TH_CLASS_COUNT];     /* shares by WordNet's counts or, for unknown words, by the ending; sum 1 */
    uint32_t parsed[TH_CLASS_COUNT]; /* times the parser took it for one, in captions without null words */
    bool in_wordnet;
} th_lex_word;

typedef struct {
    const th_wordnet *wordnet;
    th_lex_word *words;
    int64_t count, capacity;
    struct th_map *ids;
    th_arena *arena;
} th_lexicon;

/* The WordNet must outlive it. */
th_status th_lexicon_init(th_lexicon *l, const th_wordnet *wordnet);
void th_lexicon_free(th_lexicon *l);
/* Counts one occurrence of a word (lower case) and gives its number, or −1 when out of memory. closed: its token's
 * tags. */
int32_t th_lexicon_add(th_lexicon *l, const char *text, uint32_t closed);
/* The number of a word, or −1. */
int32_t th_lexicon_find(const th_lexicon *l, const char *text);
/* The class of an open tag, or −1. */
int th_tag_class(th_tag t);
/* Shares of the classes, the parser's counts and WordNet's together; sum 1. */
void th_lexicon_shares(const th_lex_word *w, float out[TH_CLASS_COUNT]);
/* The same by WordNet alone, for the parser. */
th_word_prior th_lexicon_prior(const th_lex_word *w);

#endif
