/* What texts mean to a text encoder that stays as it is: its states, made once. */
#ifndef TH_DIFFUSION_TEXT_STATES_H
#define TH_DIFFUSION_TEXT_STATES_H

#include "diffusion/sd.h"

/* Floats of one text's states [context, width]. */
int64_t th_text_states_size(const th_sd *sd);
/* ids [n, context] → states [n, context, width], in f32. Wants the text encoder's values, which may be released
 * afterwards. threads 0: all. */
th_status th_text_states(const th_sd *sd, const int32_t *ids, int64_t n, int threads, float *states);

#endif
