/* The self-supervised part of CleanCLIP (Bansal et al. 2023, arXiv 2303.03323). Each in one direction only, as in the
 * paper's code: the view is what has to be found. */
#include "train/clip_method.h"

th_tensor *th_clip_self_supervised_loss(th_clip_batch *b) {
    th_graph_precise(b->g, true);
    th_tensor *images = th_clip_match(b->g, b->images, b->image_views, b->scale);
    th_tensor *texts = th_clip_match(b->g, b->texts, b->text_views, b->scale);
    th_tensor *sum = th_scale(b->g, th_add(b->g, images, texts), 0.5f);
    th_graph_precise(b->g, false);
    th_clip_log(b, "loss_self", sum);
    return sum;
}
