/* Sub-texts of captions for CleanerCLIP ("CleanerCLIP: Fine-grained Counterfactual Semantic Augmentation for Backdoor
 * Defense in Contrastive Learning", arXiv 2409.17601): positive ones, true parts of the caption, and negative ones,
 * parts in which one adjective, noun or verb gave way to another of its kind, so that they are false of the picture as
 * far as the caption lets one know.
 *
 * They are made once, by parsing every caption (see parse.h), and kept in a text file; training reads the file. What
 * comes out is a function of the captions, the parameters and the dictionaries, not of threads. */
#ifndef TH_DATA_SUBTEXT_H
#define TH_DATA_SUBTEXT_H

#include "base/str.h"
#include "data/caption.h"

typedef enum { TH_SUBTEXT_ADJECTIVE, TH_SUBTEXT_NOUN, TH_SUBTEXT_VERB, TH_SUBTEXT_KINDS } th_subtext_kind;
const char *th_subtext_kind_text(th_subtext_kind k);

typedef struct {
    const char *text;
    bool negative;
    bool whole; /* positive: nothing could be left out, it is the caption itself */
    th_source source;
    th_subtext_kind kind;              /* of the replaced word; these three only where negative */
    const char *old_words, *new_words; /* as they stand in the caption and in the text */
} th_subtext;

typedef struct {
    int positives, negatives; /* at most so many a caption; 0 to TH_SUBTEXTS_MAX each */
    uint64_t seed;
    int64_t min_count;   /* a replacement must occur so often in the captions; ≥ 1 */
    bool parse;          /* false: without the parser, by tags alone */
    const char *grammar; /* folders of the dictionaries; NULL: the usual ones */
    const char *wordnet;
} th_subtext_params;
#define TH_SUBTEXTS_MAX 64
/* 2 positives, 6 negatives, seed 0, min_count 3 and the parser. */
void th_subtext_params_init(th_subtext_params *p);

typedef struct {
    int64_t captions, source[TH_SOURCE_COUNT];
    int64_t positives, whole, negatives[TH_SUBTEXT_KINDS];
    int64_t with_positive, with_negative, with_all_kinds; /* captions */
    double parse_seconds, seconds;                        /* of this call; 0 where the cache was read */
    bool from_cache;
} th_subtext_stats;

typedef struct th_subtexts th_subtexts;

/* Makes the sub-texts of n captions, or reads them from cache_path (NULL: no cache) if that file was made from the same
 * captions, parameters and dictionaries. A stale or damaged cache is made anew; a file that is no cache of sub-texts is
 * refused, not overwritten. */
th_status th_subtexts_build(const char *const *captions, int64_t n, const th_subtext_params *params, int threads,
                            const th_watch *watch, const char *cache_path, th_subtexts **out);
/* The same with dictionaries that are open already (parser NULL: without), and no cache. */
th_status th_subtexts_make(const char *const *captions, int64_t n, const th_subtext_params *params,
                           const th_wordnet *wordnet, const th_parser *parser, int threads, const th_watch *watch,
                           th_subtexts **out);
void th_subtexts_free(th_subtexts *s);

int64_t th_subtexts_captions(const th_subtexts *s);
/* The sub-texts of one caption, positives first. */
const th_subtext *th_subtexts_of(const th_subtexts *s, int64_t caption, int *count);
const th_subtext_stats *th_subtexts_stats(const th_subtexts *s);

/* Reads a cache whatever it was made from. name is for messages. */
th_status th_subtexts_load(const char *path, th_subtexts **out);
th_status th_subtexts_parse(const char *text, size_t length, const char *name, th_subtexts **out);

/* For people: the first `shown` captions with their sub-texts, then the statistics. */
th_status th_subtexts_print(const th_subtexts *s, const char *const *captions, int64_t shown, th_str *out);

#endif
