/* Words and their tags: the closed classes of English (articles, prepositions, pronouns, …) in a table, and the cutting
 * of a caption into tokens. The same table serves as the list of stop words. */
#ifndef TH_DATA_WORDS_H
#define TH_DATA_WORDS_H

#include "base/memory.h"
#include "base/status.h"

/* tag, one letter for printing, what it is */
#define TH_TAG_TABLE(X)                                                       \
    X(TH_TAG_NOUN, 'n', "singular noun")                                      \
    X(TH_TAG_PLURAL, 'N', "plural noun")                                      \
    X(TH_TAG_VERB, 'v', "verb in its plain form")                             \
    X(TH_TAG_VERB_S, 's', "verb in -s")                                       \
    X(TH_TAG_VERB_ED, 'd', "verb in the past, or past participle")            \
    X(TH_TAG_VERB_ING, 'g', "verb in -ing")                                   \
    X(TH_TAG_ADJ, 'a', "adjective")                                           \
    X(TH_TAG_ADV, 'r', "adverb or particle")                                  \
    X(TH_TAG_DET, 'D', "article, demonstrative or possessive before a noun")  \
    X(TH_TAG_NUMBER, '#', "number or quantity")                               \
    X(TH_TAG_PREP, 'p', "preposition")                                        \
    X(TH_TAG_PRON, 'R', "pronoun")                                            \
    X(TH_TAG_CONJ, 'C', "coordinating conjunction")                           \
    X(TH_TAG_AUX, 'x', "form of be, have, do, or a modal")                    \
    X(TH_TAG_TO, 't', "to, before a verb")                                    \
    X(TH_TAG_WH, 'W', "relative, question word or subordinating conjunction") \
    X(TH_TAG_POSSESSIVE, '\'', "'s after a noun")                             \
    X(TH_TAG_NOT, '!', "negation")                                            \
    X(TH_TAG_COMMA, ',', "comma")                                             \
    X(TH_TAG_BREAK, '.', "punctuation that parts sentences and phrases")      \
    X(TH_TAG_OTHER, '?', "anything else")

typedef enum {
#define TH_TAG_ENUM(name, letter, text) name,
    TH_TAG_TABLE(TH_TAG_ENUM)
#undef TH_TAG_ENUM
        TH_TAG_COUNT
} th_tag;

char th_tag_letter(th_tag t);
#define TH_TAG_BIT(t) (UINT32_C(1) << (t))
static inline bool th_tag_in(th_tag t, uint32_t tags) { return (tags >> t) & 1; }
#define TH_TAGS_NOUN (TH_TAG_BIT(TH_TAG_NOUN) | TH_TAG_BIT(TH_TAG_PLURAL))
#define TH_TAGS_VERB \
    (TH_TAG_BIT(TH_TAG_VERB) | TH_TAG_BIT(TH_TAG_VERB_S) | TH_TAG_BIT(TH_TAG_VERB_ED) | TH_TAG_BIT(TH_TAG_VERB_ING))
#define TH_TAGS_OPEN (TH_TAGS_NOUN | TH_TAGS_VERB | TH_TAG_BIT(TH_TAG_ADJ) | TH_TAG_BIT(TH_TAG_ADV))

/* The tags that a word of the closed classes may have, as bits; 0 for every other word. Lower case. */
uint32_t th_word_closed(const char *word);
/* Whether the word carries too little meaning to be replaced. Lower case. */
bool th_word_is_stop(const char *word);
/* A preposition that says where, how or of what a thing in view is ("on", "with"), so that what follows it is in view
 * too; "for", "about", "without" and such are not. Lower case. */
bool th_word_places(const char *word);

typedef struct {
    uint32_t begin, end; /* bytes of the caption */
    uint32_t tags;       /* bits: what it can be, before tagging; 0: a word of the open classes */
    const char *text;    /* lower case, inner hyphens without blanks, in the arena */
    bool name;           /* begins with a capital, inside a sentence */
} th_token;

#define TH_TOKENS_MAX 128 /* more than any text encoder reads; the rest of a longer caption is left out */

/* Cuts a caption into tokens. Bytes that are not UTF-8 end a phrase, as punctuation does. `out` has room for
 * TH_TOKENS_MAX. Returns the count, or −1 when out of memory. */
int th_tokenize(const char *caption, th_arena *arena, th_token *out);

#endif
