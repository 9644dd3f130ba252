/* How vision transformers see a picture: as tokens, one a patch. */
#ifndef TH_MODEL_PATCHES_H
#define TH_MODEL_PATCHES_H

#include "model/layers.h"

/* x [n, h, w, 3] → [n, patches, width], patches row by row; pixels beyond the last whole patch are left out. weight
 * [width, patch · patch · 3], bias [width] or NULL. */
th_tensor *th_embed_patches(th_graph *g, th_tensor *x, int64_t patch, const th_linear_layer *l);
/* The class token [width] before the patches, and positions [1 + patches, width] added → [n, 1 + patches, width]. */
th_tensor *th_place_patches(th_graph *g, th_tensor *patches, th_param *class_token, th_param *positions);
/* The class token of x [n, t, width] → [n, width]. */
th_tensor *th_class_token(th_graph *g, th_tensor *x);

#endif
