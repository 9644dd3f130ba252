/* "Did you mean …?": the known word nearest to a mistyped one. */
#ifndef TH_BASE_GUESS_H
#define TH_BASE_GUESS_H

#include "base/status.h"

/* Start with {.word = …}, offer candidates, and read `best`: NULL when none is near enough to be meant. */
typedef struct {
    const char *word;
    const char *best;
    int distance;
} th_guess;

void th_guess_offer(th_guess *g, const char *candidate);
/* Edits from a to b: insertions, deletions, replacements, swaps of neighbours. Words beyond 63 bytes are cut. */
int th_edit_distance(const char *a, const char *b);

#endif
