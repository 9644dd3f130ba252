/* A tower of CLIP's, which the text encoder of Stable Diffusion is too: its sizes, and how config.json has them. */
#ifndef TH_MODEL_CLIP_TOWER_H
#define TH_MODEL_CLIP_TOWER_H

#include "format/json.h"
#include "model/transformer.h"
#include "theriac/clip.h"

/* The sizes make a tower; its name is for errors. */
th_status th_clip_tower_check(const char *name, const th_clip_tower *t);
/* A size of `owner` lies in [1, most], or TH_E_INPUT. */
th_status th_clip_size_check(const char *owner, const char *what, int64_t value, int64_t most);
th_transformer_config th_clip_tower_transformer(const th_clip_tower *t, bool causal);
/* Fields of the object `group`, or of the file itself where group is "". What is left out stays. */
th_status th_clip_tower_read(const th_json *j, const char *group, th_clip_tower *t);
/* The fields in an object; NULL when out of memory. type: model_type. */
json_t *th_clip_tower_json(const th_clip_tower *t, const char *type, int64_t projection);
/* "group.name", or the name alone where group is "". */
#define TH_CLIP_FIELD 128
const char *th_clip_field(char out[TH_CLIP_FIELD], const char *group, const char *name);

/* The double with the fewest digits that is this float again: what somebody would have written. */
double th_shortest(float f);

#endif
