/* A caption, cut, parsed and tagged: what the sub-texts are made of. */
#ifndef TH_DATA_CAPTION_H
#define TH_DATA_CAPTION_H

#include "data/lexicon.h"

typedef enum {
    TH_SOURCE_PARSED,   /* every part was linked without null words */
    TH_SOURCE_PARTLY,   /* linked, but some words were left out */
    TH_SOURCE_FALLBACK, /* no linkage: tagged by lexicon and WordNet, structure guessed from tags alone */
    TH_SOURCE_COUNT
} th_source;
const char *th_source_text(th_source s);

typedef struct {
    const char *text;
    th_token *tokens; /* count of each of these: */
    int32_t *words;   /* numbers in the lexicon; −1 for punctuation */
    th_tag *tags;
    th_tag *parsed; /* what the parser took them for; TH_TAG_OTHER where it says nothing */
    bool *linked;
    int count;
    th_link *links; /* between tokens */
    int link_count;
    int nulls;
    th_source source;
} th_caption;

/* Cuts the caption and counts its words in the lexicon. All memory comes from the arena. */
th_status th_caption_read(const char *text, th_lexicon *l, th_arena *arena, th_caption *out);
/* Parses its parts between the marks that end sentences and phrases. The lexicon is only read, so threads may parse
 * captions side by side, each with an arena of its own. */
th_status th_caption_parse(th_caption *c, const th_parser *p, const th_lexicon *l, th_arena *arena);
/* Counts in the lexicon what the parser took the words for. */
void th_caption_teach(const th_caption *c, th_lexicon *l);
/* Gives every token its tag: the best sequence by the words' shares, the parser's opinion, and which tags follow which.
 */
void th_caption_tag(th_caption *c, const th_lexicon *l);

/* Whether the best linkage has a link between two tokens (in either order) whose label begins so. */
bool th_caption_linked(const th_caption *c, int a, int b, const char *label);
/* Whether it links token i as a modifier to a noun on its right; a participle is an adjective then ("smiling bride").
 */
bool th_caption_modifies(const th_caption *c, int i);

#endif
