/* What a way of training CLIP is: a loss over the embeddings of one batch, what the batch must hold for it, and its
 * options. Pre-training, poisoning by fine-tuning and every defense are rows of this kind, run by the one trainer. */
#ifndef TH_TRAIN_CLIP_METHOD_H
#define TH_TRAIN_CLIP_METHOD_H

#include "base/option.h"
#include "theriac/clip.h"
#include "theriac/ops.h"

typedef enum {
    TH_NEEDS_VIEWS = 1,    /* a second, augmented view of every image and caption */
    TH_NEEDS_SUBTEXTS = 2, /* for the first rows of a batch: a true part of the caption, and false ones */
} th_clip_needs;

#define TH_CLIP_MAX_LOGGED 8

/* One batch, as a loss sees it: unit rows, [rows, projection]. */
typedef struct {
    th_graph *g;
    const th_clip *model;
    th_options *options;
    int64_t batch;                       /* N */
    th_tensor *images, *texts;           /* I, T: [N, d] */
    th_tensor *image_views, *text_views; /* Ĩ, T̃: [N, d], with TH_NEEDS_VIEWS */
    int64_t subset, negatives; /* S, M, with TH_NEEDS_SUBTEXTS: the first S rows have sub-texts, M false ones each */
    th_tensor *positive_texts; /* P: [S, d] */
    th_tensor *negative_texts; /* [S · M, d], the M of row i one after the other */
    th_tensor *negative_mask;  /* [S, M]: 0, or −10⁹ where a row has fewer than M */
    th_tensor *scale;          /* s: [] */
    const char *logged[TH_CLIP_MAX_LOGGED + 1];
} th_clip_batch;

typedef struct {
    const char *name, *summary;
    const th_option *options;
    unsigned needs;
    /* With TH_NEEDS_SUBTEXTS: those of the options that say S, as a share of the batch, and M. */
    const char *subset_option, *negatives_option;
    th_tensor *(*loss)(th_clip_batch *b); /* → [] */
} th_clip_method;

/* Keeps a part of the loss in the logs under this name. */
void th_clip_log(th_clip_batch *b, const char *name, th_tensor *value);

/* Parts that methods share. L_CLIP, which alone is pre-training and plain fine-tuning → []. */
th_tensor *th_clip_contrastive_loss(th_clip_batch *b);
/* CleanCLIP's self-supervised part, of batches with views: ½ [CE(s I Ĩᵀ, diagonal) + CE(s T T̃ᵀ, diagonal)], logged as
 * "loss_self" → []. */
th_tensor *th_clip_self_supervised_loss(th_clip_batch *b);
extern const th_clip_method th_clip_method_contrastive;

#endif
