/* Generated pictures measured: against real ones, against their prompts, among each other, and by what a judge finds in
 * them. docs/methods/image-metrics.md says what each number means. */
#ifndef TH_METRIC_IMAGE_EVAL_H
#define TH_METRIC_IMAGE_EVAL_H

#include "metric/attributes.h"
#include "metric/feature_net.h"

typedef struct {
    th_picture_set images; /* the generated ones */
    th_picture_set real;   /* set NULL: none */
    const char *const *features;
    int64_t feature_count;   /* folders of feature networks, none twice: fidelity, distances, diversity */
    const char *clip;        /* folder that holds pictures against prompts; NULL: not measured */
    const char *text_column; /* of the prompts, maybe without an identifier; NULL: the captions */
    const char *judge;       /* folder that looks for attributes; NULL: not measured */
    /* Pictures with the attributes' columns that the judge learns from: a linear probe for each attribute on its
     * features, instead of texts. set NULL: none, and the judge is a CLIP folder. */
    th_picture_set lessons;
    const th_attributes *attributes; /* completed */
    th_feature_params net;
    uint64_t seed; /* of what is drawn for intervals */
} th_image_eval_params;
void th_image_eval_params_init(th_image_eval_params *p);

/* By one feature network. Without real pictures all but diversity is NaN. */
typedef struct {
    const char *kind; /* "clip" or "vit" */
    int64_t width;
    th_estimate fidelity;   /* mean cosine between generated and real: CLIP-I, or DINO's */
    th_estimate nearest;    /* mean cosine of a generated one with the real one nearest to it */
    th_estimate among_real; /* mean cosine between different real ones: what fidelity can be held against */
    th_estimate frechet, kernel;
    th_estimate diversity;
    int64_t prompts; /* that have two pictures or more, of which diversity is the mean */
    bool low_rank;   /* fewer pictures of one kind than the width: see th_frechet_distance */
} th_feature_result;

typedef struct {
    th_estimate share, real, ratio; /* of pictures that show it; of real ones; the first over the second */
    int64_t n, real_n;              /* pictures that should show something, and real ones */
} th_attribute_result;

typedef struct {
    int64_t images, reals;
    th_feature_result *features;     /* [feature_count] */
    th_estimate text, real_text;     /* mean cosine of a picture with its prompt, of a real one with its caption */
    th_attribute_result *attributes; /* [attributes] */
    th_attribute_result all;         /* every attribute at once */
} th_image_eval;

/* What can be told without reading a picture or a weight: that there are pictures enough, prompts, and networks. */
th_status th_image_eval_check(const th_image_eval_params *p);
th_status th_image_evaluate(const th_image_eval_params *p, const th_watch *w, th_image_eval *out);
void th_image_eval_free(th_image_eval *e);

#endif
