/* CLIP's files: between the names and layouts of the ecosystem and the model's own. */
#ifndef TH_MODEL_CLIP_FILES_H
#define TH_MODEL_CLIP_FILES_H

#include "base/str.h"
#include "model/clip.h"
#include "model/weights.h"

/* Beyond any model there is, and small enough that no product of a few of them overflows. */
#define TH_CLIP_MOST_WIDTH (1 << 20)
#define TH_CLIP_MOST_LAYERS 1024
#define TH_CLIP_MOST_SIDE (1 << 16)
#define TH_CLIP_MOST_CONTEXT (1 << 20)
#define TH_CLIP_MOST_VOCAB INT32_MAX
#define TH_CLIP_MOST_SCALE 80 /* of logit_scale: its exponential fits f32 */

/* The sizes make a model. */
th_status th_clip_check(const th_clip_config *c);
/* Reads either kind of config and says which it was. */
th_status th_clip_read_config(const char *dir, th_clip_config *c, bool *open_clip);
/* The same from memory; name is for errors. */
th_status th_clip_parse_config(const char *name, const char *text, size_t length, bool open_clip, th_clip_config *c);
/* config.json; dtype as PyTorch spells it: "float16". */
th_status th_clip_write_config(const th_clip_config *c, const char *dir, const char *dtype);
/* Appends what th_clip_write_config writes. */
th_status th_clip_print_config(const th_clip_config *c, const char *dtype, th_str *out);

/* Where a parameter is in a file of Hugging Face's, or of OpenCLIP's. */
th_status th_clip_weight_source(const th_clip *c, const th_param *p, bool open_clip, th_weight_source *out);

#endif
