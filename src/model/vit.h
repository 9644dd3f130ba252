/* Vision transformers (Dosovitskiy et al. 2021) as transformers' ViTModel: what DINO (Caron et al. 2021) and plain
 * image classifiers are published as. A picture becomes the class token after the last norm; pooler and classifier are
 * left out. */
#ifndef TH_MODEL_VIT_H
#define TH_MODEL_VIT_H

#include "theriac/clip.h"

typedef struct {
    th_clip_tower tower;
    int64_t image_size, patch_size; /* pixels */
} th_vit_config;

typedef struct th_vit th_vit;

void th_vit_config_init(th_vit_config *c); /* transformers' defaults: ViT-B/16 at 224 px */
/* DIR/config.json, of which model_type must be "vit". What it asks for and this cannot do is TH_E_INPUT by name. */
th_status th_vit_read_config(const char *dir, th_vit_config *c);
/* The same from memory; name is for errors. */
th_status th_vit_parse_config(const char *name, const char *text, size_t length, th_vit_config *c);

/* A model without values. */
th_status th_vit_new(const th_vit_config *config, th_vit **out);
void th_vit_free(th_vit *m); /* NULL is allowed */
const th_vit_config *th_vit_get_config(const th_vit *m);
th_params *th_vit_params(const th_vit *m);
/* A folder of ViTModel, or of a model that holds one under "vit.". Pictures have the model's size: positions are not
 * interpolated, since the folder's preprocessor brings every picture to that size. */
th_status th_vit_load(const char *dir, th_vit **out);

/* images [n, side, side, 3], normalised → class tokens [n, width], of any length. */
th_tensor *th_vit_apply(th_graph *g, const th_vit *m, th_tensor *images);

#endif
