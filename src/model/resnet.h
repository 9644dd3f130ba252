/* The residual block that the UNet and the autoencoder of Stable Diffusion are built of: norm, SiLU, convolution, and
 * again, beside a shortcut. Names are diffusers' (ResnetBlock2D). */
#ifndef TH_MODEL_RESNET_H
#define TH_MODEL_RESNET_H

#include "model/layers.h"

typedef struct {
    int64_t in, out, time; /* channels; width of the time's embedding, 0: the block does not see the time */
    int64_t groups;
    float eps;
} th_resnet_config;

typedef struct {
    th_norm_layer norm1, norm2;
    th_conv_layer conv1, conv2;
    th_linear_layer time;     /* time_emb_proj; weight NULL: no time */
    th_linear_layer shortcut; /* conv_shortcut, 1 × 1 in the file; weight NULL where in == out */
    int64_t groups;
} th_resnet;

void th_resnet_init(th_maker *m, th_resnet *r, const char *prefix, const th_resnet_config *c);
/* x [n, h, w, in], time [n, time] with its SiLU applied already, or NULL → [n, h, w, out]. */
th_tensor *th_resnet_apply(th_graph *g, const th_resnet *r, th_tensor *x, th_tensor *time);
th_status th_resnet_randomize(const th_resnet *r, uint64_t seed, uint32_t *which);

#endif
