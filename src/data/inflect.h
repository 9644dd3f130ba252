/* English inflection: base forms by WordNet's morphology, and back again: a base form in the plural, with -ing, in the
 * past. Irregular forms come from WordNet's exception lists, turned round; the rest follows the rules of spelling. */
#ifndef TH_DATA_INFLECT_H
#define TH_DATA_INFLECT_H

#include "data/wordnet.h"

typedef enum {
    TH_FORM_BASE, /* a singular noun, a plain adjective, a verb as in "to walk" and "they walk" */
    TH_FORM_PLURAL,
    TH_FORM_S,    /* walks */
    TH_FORM_ING,  /* walking */
    TH_FORM_PAST, /* walked */
    TH_FORM_PARTICIPLE,
    TH_FORM_COUNT
} th_form;

/* The likeliest base form of a word, and whether WordNet knows one; out holds the word itself where it does not. Words
 * of a noun ("ankle boots") are parted by blanks and only the last is inflected. */
bool th_lemma(const th_wordnet *w, const char *word, th_wn_pos pos, char out[TH_WORD_MAX]);
/* Which form of its base form the word is. Past and participle are told apart only where they are spelled so. */
th_form th_form_of(const char *word, const char *lemma, th_wn_pos pos);
/* The base form in that form; false when it would not fit. */
bool th_inflect(const th_wordnet *w, const char *lemma, th_wn_pos pos, th_form form, char out[TH_WORD_MAX]);

/* Whether a word is said with "an" before it: by its sound, as far as spelling shows it ("an hour", "a uniform"). */
bool th_takes_an(const char *word);

#endif
