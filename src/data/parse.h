/* Link Grammar (link-grammar 5.12), set up for captions. A caption is rarely a sentence, so two things help it,
 * measured on 1,000 captions of Conceptual Captions: the dictionary's "headline" dialect, in which articles may be
 * missing, and the words "this is" put before a noun phrase. Without null words (words left unlinked) 44 % parse
 * plainly, 50 % with the prefix, 64 % with the dialect, 80 % with both. */
#ifndef TH_DATA_PARSE_H
#define TH_DATA_PARSE_H

#include "data/words.h"

/* The English dictionary. It may be shared by threads: each call makes its own sentence. */
typedef struct th_parser th_parser;

/* folder holds en/4.0.dict; NULL: where the library looks for it. Prints nothing and leaves the locale as it was; but
 * because the library sets the process' locale for a moment, open it before other threads format numbers. */
th_status th_parser_open(const char *folder, th_parser **out);
void th_parser_close(th_parser *p);
/* Versions of library and dictionary, for keys of cached results. */
const char *th_parser_version(const th_parser *p);

#define TH_PARSE_WORDS 28 /* longer sentences are refused: time grows with the cube of the length */

/* A link between two words, left < right. Its label is Link Grammar's: S subject, O object, A adjective, AN noun before
 * noun, M modifier after a noun, MV modifier of a verb, J object of a preposition, D article, … */
typedef struct {
    uint8_t left, right;
    char label[6]; /* cut off after five letters */
} th_link;

typedef struct {
    int count;                   /* words */
    int nulls;                   /* words that no link reaches */
    bool prefixed;               /* "this is" stood before it */
    th_tag tags[TH_PARSE_WORDS]; /* TH_TAG_OTHER where the dictionary does not say */
    bool linked[TH_PARSE_WORDS];
    th_link links[2 * TH_PARSE_WORDS]; /* of the best linkage */
    int link_count;
} th_parse;

/* How likely a word is a noun, verb, adjective or adverb, as natural logarithms; zeros where nothing is known. */
typedef struct {
    float noun, verb, adj, adv;
} th_word_prior;

/* Parses words (lower case, 1 to TH_PARSE_WORDS of them) and takes, of the first linkages with and without the prefix,
 * the one whose tags fit the priors (one a word) best. *ok tells whether there was any; where there was none, or more
 * than four words would have to be left out, out is empty. Those two limits, and no clock, bound the time (a caption
 * takes milliseconds, the worst word salad seconds), so that the outcome is the same on any machine. */
th_status th_parser_run(const th_parser *p, const char *const *words, const th_word_prior *priors, int count,
                        th_parse *out, bool *ok);

#endif
