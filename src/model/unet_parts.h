/* Inside the UNet. */
#ifndef TH_MODEL_UNET_PARTS_H
#define TH_MODEL_UNET_PARTS_H

#include "model/resnet.h"
#include "model/spatial_transformer.h"
#include "model/unet.h"
#include "model/weights.h"

/* Residual blocks of one resolution, each followed by attention where `attends`, and then a change of resolution. */
typedef struct {
    char name[32]; /* "down_blocks.0" */
    int64_t count;
    th_resnet *resnets;
    bool attends;
    th_spatial_transformer *attentions;
    bool resizes;
    th_conv_layer resize; /* downsamplers.0.conv or upsamplers.0.conv */
} th_unet_level;

struct th_unet {
    th_unet_config config;
    th_params *params, *lora;
    th_linear_layer time1, time2;
    th_conv_layer conv_in, conv_out;
    th_norm_layer norm_out;
    th_unet_level down[TH_UNET_MOST_LEVELS], up[TH_UNET_MOST_LEVELS]; /* in the order they are gone through */
    th_resnet middle[2];
    th_spatial_transformer attention; /* of the middle */
    bool hold_first_token;
};

/* The sizes make a model. */
th_status th_unet_check(const th_unet_config *c);
/* config.json from memory; name is for errors. */
th_status th_unet_parse_config(const char *name, const char *text, size_t length, th_unet_config *c);
/* Where its parameters lie in a file: for weights.h. */
th_status th_unet_weight_source(const void *model, const th_param *p, th_weight_source *out);

#endif
