/* Between the files of clip_eval.h. */
#ifndef TH_METRIC_CLIP_EVAL_PARTS_H
#define TH_METRIC_CLIP_EVAL_PARTS_H

#include "base/memory.h"
#include "metric/clip_eval.h"

/* What zero-shot classification asks, as far as it needs no model. */
typedef struct {
    th_texts classes, templates;
    int32_t target; /* −1: none */
} th_clip_question;

/* Finds classes, templates and target; names are put into the arena or borrowed from the sets. */
th_status th_clip_eval_ask(const th_clip_eval_params *p, th_arena *arena, th_clip_question *out);
/* The class of each picture of p->labelled or p->triggered among those asked for, by name where the set has names; −1:
 * none of them. No picture of any is TH_E_INPUT, and so is a label beyond the classes where labels are numbers only. */
th_status th_clip_eval_labels(const th_clip_eval_params *p, const th_clip_question *q, const th_dataset *set,
                              int32_t *labels);
/* How many captions the pairs have; none is TH_E_INPUT. */
th_status th_clip_eval_captions(const th_clip_eval_params *p, int64_t *count);

#endif
