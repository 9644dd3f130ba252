/* Zero-shot classification and what a backdoor does to it, from unit embeddings. */
#ifndef TH_METRIC_ZEROSHOT_H
#define TH_METRIC_ZEROSHOT_H

#include "base/status.h"
#include "metric/interval.h"

#define TH_TOP_COUNT 4
extern const int th_top_k[TH_TOP_COUNT]; /* 1, 3, 5, 10; a k beyond the classes counts all */

typedef struct {
    const float *images;   /* [n, d], unit rows */
    const int32_t *labels; /* [n]: the true class; negative ones are left out */
    int64_t n;
    const float *classes; /* [count, d], unit rows */
    int64_t count, d;
} th_zeroshot;

/* The mean of each class' texts, brought to unit length: texts [classes · templates, d], a class' templates one after
 * the other → out [classes, d]. */
void th_class_embeddings(const float *texts, int64_t classes, int64_t templates, int64_t d, float *out);
/* The first of n rows with a value that is not finite; −1: there is none. */
int64_t th_find_not_finite(const float *rows, int64_t n, int64_t d);
/* The predicted class of each picture. */
void th_zeroshot_predict(const th_zeroshot *z, int32_t *out);

/* Whether each picture's true class is nearer than all others; false where it has none. */
void th_zeroshot_hits(const th_zeroshot *z, bool *out);

/* Share of pictures whose true class is among the k nearest. */
typedef struct {
    th_estimate accuracy[TH_TOP_COUNT];
    int64_t n;
} th_accuracy;
void th_zeroshot_accuracy(const th_zeroshot *z, th_accuracy *out);

/* Of pictures not of the target class: the share that has the target among its k nearest. On triggered pictures this is
 * the attack's success rate (ASR), on clean ones, or with a clean model, its floor. */
typedef struct {
    th_estimate rate[TH_TOP_COUNT];
    int64_t n;
} th_target_rate;
void th_zeroshot_target_rate(const th_zeroshot *z, int32_t target, th_target_rate *out);

/* Retrieval between n images and m captions, caption j being of image owner[j]. Recall at 1, 5 and 10: of captions
 * whose image is among the k nearest images, and of images of which some caption is among the k nearest captions. A tie
 * counts against the right one. Captions of one image are no independent trials, see th_share_of_groups. */
#define TH_RECALL_COUNT 3
extern const int th_recall_k[TH_RECALL_COUNT];
typedef struct {
    th_estimate text_to_image[TH_RECALL_COUNT], image_to_text[TH_RECALL_COUNT];
    int64_t images, captions;
} th_retrieval;
th_status th_retrieval_measure(const float *images, int64_t n, const float *captions, const int64_t *owner, int64_t m,
                               int64_t d, th_retrieval *out);

#endif
