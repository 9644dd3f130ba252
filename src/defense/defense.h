/* Ways to clean a CLIP model that may carry a backdoor. Each is one file and one row of the table. */
#ifndef TH_DEFENSE_DEFENSE_H
#define TH_DEFENSE_DEFENSE_H

#include "train/clip_method.h"

/* Ends with NULL. */
extern const th_clip_method *const th_defenses[];
const th_clip_method *th_defense_find(const char *name);

#endif
