/* The symmetric contrastive loss of CLIP (Radford et al. 2021) and nothing else. */
#include "train/clip_method.h"

void th_clip_log(th_clip_batch *b, const char *name, th_tensor *value) {
    int n = 0;
    while (b->logged[n]) n++;
    if (n == TH_CLIP_MAX_LOGGED) return;
    b->logged[n] = name;
    th_output(b->g, name, value);
}

th_tensor *th_clip_contrastive_loss(th_clip_batch *b) {
    return th_clip_contrastive(b->g, b->images, b->texts, b->scale);
}

static const th_option options[] = {TH_OPT_END};

const th_clip_method th_clip_method_contrastive = {
    .name = "contrastive",
    .summary = "CLIP's symmetric contrastive loss",
    .options = options,
    .loss = th_clip_contrastive_loss,
};
