/* Inside a CLIP model. */
#ifndef TH_MODEL_CLIP_H
#define TH_MODEL_CLIP_H

#include "model/transformer.h"
#include "theriac/clip.h"

struct th_clip {
    th_clip_config config;
    th_params *params;
    /* vision */
    th_param *class_embedding, *patch_embedding, *vision_positions; /* [d], [d, p · p · 3], [1 + patches, d] */
    th_norm_layer pre_norm, post_norm;
    th_transformer vision;
    th_linear_layer visual_projection;
    /* text */
    th_param *tokens, *text_positions; /* [vocab, d], [context, d] */
    th_transformer text;
    th_norm_layer final_norm;
    th_linear_layer text_projection;
    th_param *logit_scale; /* [] */
};

/* Patches along a side. */
int64_t th_clip_grid(const th_clip_config *c);

#endif
