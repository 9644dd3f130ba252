/* The captions of a data set as a list, and the sub-texts made from them. */
#ifndef TH_DATA_DATASET_SUBTEXTS_H
#define TH_DATA_DATASET_SUBTEXTS_H

#include "base/memory.h"
#include "data/dataset.h"
#include "data/subtext.h"

/* The caption of every sample, in the arena: [th_dataset_count]. A set without captions is TH_E_INPUT. */
th_status th_dataset_all_captions(const th_dataset *d, th_arena *arena, const char ***out);
/* th_subtexts_build for every sample. */
th_status th_dataset_subtexts(const th_dataset *d, const th_subtext_params *p, int threads, const th_watch *w,
                              const char *cache_path, th_subtexts **out);

#endif
