/* A tokenizer's vocabulary from a set's captions. */
#ifndef TH_DATA_VOCABULARY_H
#define TH_DATA_VOCABULARY_H

#include "data/dataset.h"
#include "format/tokenizer.h"

/* At most `size` tokens from the captions of all samples, cleaned as the model will read them.
 * context: what its files give as the longest text. */
th_status th_dataset_learn_tokenizer(const th_dataset *d, th_text_cleaning cleaning, int64_t size, int64_t context,
                                     const th_watch *w, th_tokenizer **out);

#endif
