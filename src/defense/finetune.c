/* Plain fine-tuning on clean pairs by CLIP's own loss: the first control of every defense. */
#include "defense/defense.h"

static const th_option options[] = {TH_OPT_END};

const th_clip_method th_defense_finetune = {
    .name = "finetune",
    .summary = "fine-tune on clean pairs by CLIP's own loss",
    .options = options,
    .loss = th_clip_contrastive_loss,
};
