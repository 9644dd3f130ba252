/* The text encoder's files. */
#ifndef TH_MODEL_TEXT_ENCODER_FILES_H
#define TH_MODEL_TEXT_ENCODER_FILES_H

#include "model/text_encoder.h"
#include "model/weights.h"

/* The sizes make a model. */
th_status th_text_encoder_check(const th_text_encoder_config *c);
/* config.json from memory; name is for errors. */
th_status th_text_encoder_parse_config(const char *name, const char *text, size_t length, th_text_encoder_config *c);

/* Where its parameters lie in a file: for weights.h. */
th_status th_text_encoder_weight_source(const void *model, const th_param *p, th_weight_source *out);

#endif
