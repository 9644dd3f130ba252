/* The true parts of a caption: stretches of it that still hold of the picture when the rest is left out. A caption is
 * cut into chunks (noun phrases, verb groups, prepositions); a part is a run of chunks that makes a phrase, from which
 * one inner stretch (adjectives, a phrase between noun and verb) may be dropped. Where the parser linked the words, its
 * links must agree that they belong together; elsewhere only what is safe by position is taken. */
#ifndef TH_DATA_PARTS_H
#define TH_DATA_PARTS_H

#include "data/caption.h"

typedef enum {
    TH_CHUNK_NP,
    TH_CHUNK_VP,
    TH_CHUNK_PREP, /* with what makes one with it: "next to", "in front of", "to the left of" */
    TH_CHUNK_CONJ,
    TH_CHUNK_COMMA,
    TH_CHUNK_ADJ,
    TH_CHUNK_ADV,
    TH_CHUNK_PRON,
    TH_CHUNK_WH,
    TH_CHUNK_TO,
    TH_CHUNK_OTHER, /* punctuation and what fits nowhere */
} th_chunk_kind;

typedef struct {
    th_chunk_kind kind;
    int begin, end; /* tokens */
    int head;       /* NP: its last noun; VP: its last verb; else begin */
    int nouns;      /* NP: where the run of nouns that ends in the head begins */
    int object;     /* VP: the chunk that is its object, or −1 */
    bool inverted;  /* VP: that chunk is its subject instead ("on the floor lies a coat") */
    bool places;    /* PREP: what follows is in view */
    bool hedged;    /* in a sentence that does not say how things are: a question, a wish, a negation */
} th_chunk;

typedef struct {
    int begin, end;           /* tokens */
    int drop_begin, drop_end; /* tokens left out; equal: none */
    int weight;               /* how good a part it is; ≥ 1 */
    bool whole;               /* nothing but marks was left out */
} th_part;

#define TH_PARTS_MAX 96

typedef struct {
    th_chunk chunks[TH_TOKENS_MAX];
    int chunk_count;
    th_part parts[TH_PARTS_MAX];
    int part_count;
} th_parts;

/* The chunks and the parts of a tagged caption, in the order of the text. */
void th_parts_find(const th_caption *c, const th_lexicon *l, th_parts *out);

/* Whether token i is in the part. */
static inline bool th_part_has(const th_part *p, int i) {
    return i >= p->begin && i < p->end && !(i >= p->drop_begin && i < p->drop_end);
}
/* Appends the part's text; replaced tokens [from, to) give way to `instead` (NULL: nothing is replaced), and articles
 * follow the word that now comes after them. */
th_status th_part_text(const th_caption *c, const th_part *p, int from, int to, const char *instead, th_arena *arena,
                       const char **out);

#endif
