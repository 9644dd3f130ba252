/* What may stand in for a word so that the phrase is no longer true of the picture.
 *
 * Candidates come from the captions' own words: for adjectives the other values of the same attribute, then antonyms;
 * for nouns the sisters in WordNet's tree, two or three levels up and down; for verbs the other values of the table of
 * postures and deeds, then antonyms (sisters among verbs are mostly near synonyms: to engage, to participate). Dropped
 * are those that may name the same thing (synonyms, hypernyms, hyponyms, parts, lookalikes). The rest is weighed by how
 * often it occurs, how near it is in meaning, and how much its neighbours in the captions are those of the word it
 * replaces. */
#ifndef TH_DATA_SWAP_H
#define TH_DATA_SWAP_H

#include "base/rng.h"
#include "base/str.h"
#include "data/usage.h"

typedef struct th_swaps th_swaps;

/* Finds the candidates of every item. A replacement must occur min_count times. The usage must outlive it. `threads`
 * share the work; the outcome does not depend on them. */
th_status th_swaps_build(const th_usage *u, int64_t min_count, int threads, th_swaps **out);
void th_swaps_free(th_swaps *s);

/* Whether anything could replace the slot's word. */
bool th_swaps_any(const th_swaps *s, const th_slot *slot);

typedef struct {
    int begin, end; /* tokens that give way: the slot's, or the whole compound around it */
    char text[TH_WORD_MAX];
} th_swap;
/* Draws a replacement for a slot; false when there is none that is false of the caption as far as one can know. `slots`
 * are all of the caption's; what occurs among them, or may name the same as one of them, is not taken. */
bool th_swaps_draw(const th_swaps *s, const th_caption *c, const th_parts *p, const th_slot *slots, int slot_count,
                   int slot, th_rng *rng, th_swap *out);

/* The candidates of a word with their weights, for looking at: "word weight, …". */
th_status th_swaps_print(const th_swaps *s, int class, const char *lemma, th_str *out);

#endif
