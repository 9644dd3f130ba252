/* Networks that turn pictures into features, by one interface: a CLIP folder's unit image embeddings, or the class
 * tokens of a ViT folder, DINO's among them, as the last norm leaves them. */
#ifndef TH_METRIC_FEATURE_NET_H
#define TH_METRIC_FEATURE_NET_H

#include "data/dataset.h"
#include "train/clip_bundle.h"

typedef struct {
    int64_t batch;
    int threads, loader_threads;
    th_dtype compute;
} th_feature_params;
void th_feature_params_init(th_feature_params *p); /* 64, all, 2, f32 */

typedef struct th_feature_net th_feature_net;
/* By the folder's config.json, or open_clip_config.json. */
th_status th_feature_net_open(const char *dir, const th_feature_params *p, th_feature_net **out);
void th_feature_net_close(th_feature_net *f);             /* NULL is allowed */
const char *th_feature_net_kind(const th_feature_net *f); /* "clip" or "vit" */
int64_t th_feature_net_width(const th_feature_net *f);
/* What can be told of a folder without its weights: that it holds one of these; *clip: which. */
th_status th_feature_net_check(const char *dir, bool *clip);

/* Features of all pictures of a set, in their order: out [pictures, width]. */
th_status th_feature_net_pictures(th_feature_net *f, th_dataset *d, const th_watch *w, float *out);
/* Unit embeddings [n, width] of n texts by a CLIP folder. */
th_status th_feature_net_texts(th_feature_net *f, const char *const *texts, int64_t n, float *out);

#endif
