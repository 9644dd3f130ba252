/* WordNet 3.0, read from its database files (wndb(5WN), morphy(7WN)) rather than through its C library: the library
 * keeps its answers in global buffers, so it would need one lock around everything, prints on some errors, and formats
 * text where synset numbers are wanted. The files are mapped and searched in place: opening costs a millisecond,
 * nothing counts as the process' own memory but a table of irregular forms, and any number of threads may ask at once.
 *
 * Words are lower case, with '_' between the parts of a collocation ("ice_cream"). A damaged line reads as no entry. */
#ifndef TH_DATA_WORDNET_H
#define TH_DATA_WORDNET_H

#include "base/status.h"

typedef struct th_wordnet th_wordnet;

typedef enum { TH_WN_NOUN, TH_WN_VERB, TH_WN_ADJ, TH_WN_ADV, TH_WN_POS_COUNT } th_wn_pos;

/* A synset: its byte offset in data.POS times four, plus the part of speech. */
typedef uint32_t th_synset;
#define TH_SYNSET_NONE UINT32_MAX
static inline th_wn_pos th_synset_pos(th_synset s) { return (th_wn_pos)(s & 3); }

/* folder NULL: the environment's WNSEARCHDIR, else /usr/share/wordnet. */
th_status th_wordnet_open(const char *folder, th_wordnet **out);
void th_wordnet_close(th_wordnet *w);
/* Tells one database from another: release and file sizes, for keys of cached results. */
const char *th_wordnet_version(const th_wordnet *w);

#define TH_WORD_MAX 64 /* bytes of a word with its NUL; longer ones are not looked up */

/* The base forms of word that WordNet knows ("geese" → "goose"), the likeliest first; at most max (≤ 8). */
int th_wordnet_lemmas(const th_wordnet *w, const char *word, th_wn_pos pos, char (*out)[TH_WORD_MAX], int max);
/* The forms that the exception lists give for a base form ("go" → "went", "gone", "going"), as they are listed. */
int th_wordnet_irregular(const th_wordnet *w, const char *lemma, th_wn_pos pos, char (*out)[TH_WORD_MAX], int max);

typedef struct {
    th_synset synset;
    int tagged; /* times this sense was met in WordNet's hand-tagged texts */
} th_sense;
/* The senses of a base form, by falling frequency; at most max. */
int th_wordnet_senses(const th_wordnet *w, const char *lemma, th_wn_pos pos, th_sense *out, int max);
bool th_wordnet_has(const th_wordnet *w, const char *lemma, th_wn_pos pos);
/* Times any sense of the base form was met in the hand-tagged texts: how common it is as this part of speech. */
int th_wordnet_tagged(const th_wordnet *w, const char *lemma, th_wn_pos pos);

/* The words of a synset in lower case; at most max. */
int th_wordnet_words(const th_wordnet *w, th_synset s, char (*out)[TH_WORD_MAX], int max);
/* Number of the lexicographer's file (lexnames(5WN)): what sort of thing it is. -1 when the synset is damaged. */
int th_wordnet_file(const th_wordnet *w, th_synset s);
enum {
    TH_WN_FILE_ACT = 4,
    TH_WN_FILE_ANIMAL = 5,
    TH_WN_FILE_ARTIFACT = 6,
    TH_WN_FILE_BODY = 8,
    TH_WN_FILE_EVENT = 11,
    TH_WN_FILE_FOOD = 13,
    TH_WN_FILE_GROUP = 14,
    TH_WN_FILE_LOCATION = 15,
    TH_WN_FILE_OBJECT = 17,
    TH_WN_FILE_PERSON = 18,
    TH_WN_FILE_PHENOMENON = 19,
    TH_WN_FILE_PLANT = 20,
    TH_WN_FILE_SUBSTANCE = 27,
};

/* Targets of the synset's pointers of one kind: '@' hypernyms, 'i' what a single person or place is an instance of, '~'
 * hyponyms, '!' antonyms, '&' similar adjectives, '*' entailments, '>' causes, '$' verb group, '%' parts, members and
 * substances, '#' their wholes,
 * '=' attributes, '^' see also. At most max. */
int th_wordnet_pointers(const th_wordnet *w, th_synset s, char kind, th_synset *out, int max);
/* Whether it is a single person, place or thing ("crane" the writer), not a kind of them. */
bool th_wordnet_is_instance(const th_wordnet *w, th_synset s);
/* Antonyms are of words, not of synsets: the words that stand against `lemma` in synset s; at most max. */
int th_wordnet_antonyms(const th_wordnet *w, th_synset s, const char *lemma, char (*out)[TH_WORD_MAX], int max);
/* The sentence frames of a verb synset (wninput(5WN)): bit f for frame f, whichever of its words they hold for. */
uint64_t th_wordnet_frames(const th_wordnet *w, th_synset s);

typedef struct {
    th_synset synset;
    int distance; /* steps up; 0 for the synset itself */
} th_ancestor;
/* The synset and all above it, nearest first; at most max. */
int th_wordnet_ancestors(const th_wordnet *w, th_synset s, th_ancestor *out, int max);

/* Whether two base forms may name the same thing in one of their first `senses` senses: same synset, one above the
 * other, adjectives of one cluster, verbs of one group or one entailing the other. */
bool th_wordnet_related(const th_wordnet *w, const char *a, const char *b, th_wn_pos pos, int senses);
/* Whether one is a part, member or substance of the other in one of their first `senses` senses. */
bool th_wordnet_part_of(const th_wordnet *w, const char *a, const char *b, int senses);

#endif
