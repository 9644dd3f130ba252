/* Whether pictures show the values of an attribute that they should: by a linear probe on a network's features, or by
 * what the values are called, as a CLIP model reads it. */
#ifndef TH_METRIC_ATTRIBUTE_JUDGE_H
#define TH_METRIC_ATTRIBUTE_JUDGE_H

#include "metric/attributes.h"
#include "metric/feature_net.h"

/* The values that pictures of a set should show, [pictures]; −1 where nothing is said of one. */
void th_attribute_labels(const th_attribute *x, const th_picture_set *s, int32_t *labels);

typedef struct th_attribute_judge th_attribute_judge;

/* Learns from features rows [n, d] of pictures with these labels; those below 0 are left out. */
th_status th_attribute_judge_learn(const th_attribute *x, const float *rows, const int32_t *labels, int64_t n,
                                   int64_t d, int threads, const th_watch *w, th_attribute_judge **out);
/* Reads what the values are called; the network is a CLIP folder's. */
th_status th_attribute_judge_read(const th_attribute *x, th_feature_net *net, th_attribute_judge **out);
void th_attribute_judge_free(th_attribute_judge *j); /* NULL is allowed */

/* found[i]: picture i, of features rows [n, d], shows labels[i]. A tie counts against. What is said of pictures with a
 * label below 0 means nothing. */
th_status th_attribute_judge_find(const th_attribute_judge *j, const float *rows, const int32_t *labels, int64_t n,
                                  bool *found);

#endif
