/* How the nouns, verbs and adjectives of a set of captions are used: how often, in which forms, beside which words. A
 * replacement is taken from here alone, in a form that was met, and by preference one that is used as the word it
 * replaces is. */
#ifndef TH_DATA_USAGE_H
#define TH_DATA_USAGE_H

#include "data/kinds.h"
#include "data/parts.h"

/* A place in a caption where one word of a kind stands. */
typedef struct {
    int begin, end; /* tokens that give way: the word, or the nouns of one compound */
    int class;      /* TH_CLASS_NOUN, TH_CLASS_VERB or TH_CLASS_ADJ */
    int chunk;      /* that it stands in */
    th_form form;
    char lemma[TH_WORD_MAX]; /* "ankle boot"; with blanks between its words */
    bool with_object;        /* verb: a noun phrase follows as its object */
    bool after_a;            /* singular noun under "a" or "an" */
} th_slot;

typedef struct {
    uint32_t word; /* feature: number in the lexicon times four, plus the place: 0 left, 1 right, 2 left but one, 3
                      right but one */
    uint32_t count;
} th_context;

#define TH_ITEM_SENSES 2

typedef struct {
    const char *lemma;
    const char *wordnet; /* the lemma as WordNet has it, or of its last noun */
    int class;
    int64_t count, forms[TH_FORM_COUNT], after_a;
    const char *texts[TH_FORM_COUNT]; /* how it is written in that form; NULL: not met */
    th_context *contexts;             /* sorted by word */
    int context_count;
    float norm; /* of the vector of weighted contexts */
    bool living, concrete, generic;
    th_synset senses[TH_ITEM_SENSES]; /* that captions are likely to mean */
    int sense_count;
    int file; /* of the first of them, or −1 */
    th_person person;
} th_item;

typedef struct {
    const th_lexicon *lexicon;
    const th_kinds *kinds;
    th_arena *arena;
    th_item *items;
    int64_t item_count, item_capacity;
    struct th_map *by_lemma; /* class letter and lemma → item */
    struct th_map *pairs;    /* "boot", "ankle boot" → times met */
    struct th_map *together; /* two nouns' items → captions that hold both */
    int64_t captions;
    struct th_map *seen; /* item and feature → place in `tally` */
    struct tally_row *tally;
    int64_t tally_count, tally_capacity;
    float *rarity; /* by feature: how telling a neighbour is */
    int64_t features;
} th_usage;

/* Learns from tagged captions. The lexicon and kinds must outlive it. */
th_status th_usage_build(const th_caption *captions, int64_t n, const th_lexicon *l, const th_kinds *k, th_usage *out);
void th_usage_free(th_usage *u);

#define TH_SLOTS_MAX 64
/* The nouns, verbs and adjectives of a caption that its parts are made of; at most TH_SLOTS_MAX. */
int th_usage_slots(const th_usage *u, const th_caption *c, const th_parts *p, th_slot *out);
/* The item of a word, or −1. */
int64_t th_usage_find(const th_usage *u, int class, const char *lemma);
/* How alike two items are used: the cosine of their contexts, 0 to 1. */
float th_usage_alike(const th_usage *u, const th_item *a, const th_item *b);
/* Whether two nouns are met in one caption so much more often than by chance that where one is the other is likely. */
bool th_usage_together(const th_usage *u, int64_t a, int64_t b);
/* Times the item stood with this word at that place (0 left, 1 right). */
uint32_t th_usage_beside(const th_item *i, int32_t word, int place);

#endif
