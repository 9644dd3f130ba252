/* What several record or plan of CLIP in the same way: its towers over inputs of their own, a training step, and the
 * memory of an embedder. */
#ifndef TH_MODEL_CLIP_GRAPH_H
#define TH_MODEL_CLIP_GRAPH_H

#include "theriac/clip.h"

/* Unit rows: images [n, projection], texts [m, projection]. */
typedef struct {
    th_tensor *images, *texts;
} th_clip_rows;

/* The towers over the inputs "images" f32 [n, side, side, 3], "ids" i32 [m, tokens] and "ends" i32 [m]. */
th_clip_rows th_clip_record_towers(th_graph *g, const th_clip *c, int64_t n, int64_t m, int64_t tokens);
/* What a step of training computes: the output "loss" and the gradients of all parameters. */
void th_clip_record_training(th_graph *g, const th_clip *c, th_tensor *loss);
/* Both of n pairs with texts of the model's context, by the contrastive loss. */
void th_clip_record_step(th_graph *g, const th_clip *c, int64_t n);

/* Bytes that an embedder holds beside the parameters when it has embedded both pictures and texts. */
th_status th_clip_embedder_bytes(const th_clip *c, const th_clip_embedder_params *p, size_t *bytes);

#endif
