/* CleanCLIP (Bansal et al. 2023, arXiv 2303.03323): beside the contrastive loss, images and texts each learn to agree
 * with an augmented view of themselves, which loosens the tie of a trigger to a caption. L = L_CLIP + λ ½ [CE(s I Ĩᵀ,
 * diagonal) + CE(s T T̃ᵀ, diagonal)], views by AutoAugment and EDA. */
#include "defense/defense.h"

static const th_option options[] = {
    TH_OPT_F32("self-weight", 1.0, "weight of the self-supervised part", TH_AT_LEAST(0)),
    TH_OPT_END,
};

static th_tensor *loss(th_clip_batch *b) {
    th_tensor *contrastive = th_clip_contrastive(b->g, b->images, b->texts, b->scale);
    th_clip_log(b, "loss_clip", contrastive);
    th_tensor *self = th_clip_self_supervised_loss(b);
    return th_add(b->g, contrastive, th_scale(b->g, self, th_get_f32(b->options, "self-weight")));
}

const th_clip_method th_defense_cleanclip = {
    .name = "cleanclip",
    .summary = "CleanCLIP: agree with augmented views of each image and caption",
    .options = options,
    .needs = TH_NEEDS_VIEWS,
    .loss = loss,
};
