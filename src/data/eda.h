/* Easy data augmentation of text (Wei and Zou, "EDA: Easy Data Augmentation Techniques for Boosting Performance on Text
 * Classification Tasks", 2019), as CleanCLIP uses it for its text view: each call picks one of four operations.
 *
 *   synonym replacement   n words that are no stop words give way to a synonym
 *   random insertion      n times, a synonym of such a word is put in anywhere
 *   random swap           n times, two words change places
 *   random deletion       each word goes with probability alpha; one always stays
 *
 * n is alpha times the number of words, at least 1. Words are what blanks part; marks around a word stay with it.
 * Synonyms are those of WordNet in all senses and parts of speech, not inflected. */
#ifndef TH_DATA_EDA_H
#define TH_DATA_EDA_H

#include "base/rng.h"
#include "base/str.h"

typedef enum { TH_EDA_REPLACE, TH_EDA_INSERT, TH_EDA_SWAP, TH_EDA_DELETE, TH_EDA_OPS } th_eda_op;

typedef struct {
    float alpha;         /* 0 to 1 */
    const char *wordnet; /* folder of the database; NULL: the usual one */
} th_eda_params;
void th_eda_params_init(th_eda_params *p); /* alpha 0.1 */

/* Holds WordNet open, and the synonyms of the words it has met. Any threads may share one. */
typedef struct th_eda th_eda;
th_status th_eda_open(const th_eda_params *p, th_eda **out);
void th_eda_close(th_eda *e); /* NULL is allowed */

#define TH_EDA_WORDS 256 /* the rest of a longer text stays as it is */

/* Writes the changed text into out (cleared first). What comes out is a function of text, alpha and the generator. A
 * text without words comes out as it is. */
th_status th_eda_apply(th_eda *e, const char *text, th_rng *rng, th_str *out);
/* The same with a given operation. */
th_status th_eda_apply_op(th_eda *e, th_eda_op op, const char *text, th_rng *rng, th_str *out);

#endif
