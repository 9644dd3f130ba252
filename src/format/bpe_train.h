/* Learning a vocabulary in CLIP's format: 256 byte symbols, the same 256 at the end of a word, one token a merge,
 * <|startoftext|>, <|endoftext|>. A function of the counts of words alone: neither the order of the captions nor
 * threads change it. Of pairs with equal counts the one with the smaller ids (left, then right) merges first. */
#ifndef TH_FORMAT_BPE_TRAIN_H
#define TH_FORMAT_BPE_TRAIN_H

#include "format/tokenizer.h"

typedef struct {
    int64_t
        vocab_size;    /* tokens in all, at least 514; fewer come out when no pair is frequent enough. Default 49,408 */
    int64_t min_count; /* a pair seen less often does not merge. Default 2 */
    int64_t max_length; /* model_max_length of the tokenizer, 0 for none. Default 77 */
} th_bpe_train_params;
void th_bpe_train_params_init(th_bpe_train_params *p);

typedef struct th_bpe_trainer th_bpe_trainer;
th_status th_bpe_trainer_new(th_bpe_trainer **out);
void th_bpe_trainer_free(th_bpe_trainer *b);
/* Counts the words of a text, `times` times (at least 1). */
th_status th_bpe_trainer_add(th_bpe_trainer *b, const char *text, size_t length, int64_t times);
/* Learns from what was added, once: then the trainer can only be freed. watch may be NULL. */
th_status th_bpe_trainer_run(th_bpe_trainer *b, const th_bpe_train_params *p, const th_watch *watch,
                             th_tokenizer **out);

#endif
