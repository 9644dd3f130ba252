/* Judges of a study of guards, by rules that are told: linear probes (metric/probe.h) on the features of one encoder,
 * which must not be one that a guard was trained with.
 *
 * Subject: the classes are every subject, by its held-out pictures, and every set of distractors; a picture shows the
 * likeliest. Protective output: of each guard, between its sets "yes" and "no". Of every set the pictures with an even
 * number are learnt from, and the judges' accuracy is that on the others. Attributes of class captions: as `eval
 * images` judges them (metric/attribute_judge.h). Fidelity: the mean cosine with a subject's held-out pictures. */
#ifndef TH_METRIC_GUARD_JUDGE_H
#define TH_METRIC_GUARD_JUDGE_H

#include "metric/attributes.h"
#include "metric/feature_net.h"
#include "metric/guard_protocol.h"

typedef struct {
    const char *encoder;            /* folder of the judges' network, CLIP or ViT */
    const char *clip;               /* CLIP folder that holds pictures against prompts; NULL: not measured */
    th_picture_set pictures;        /* what was drawn: as many as the study has rows, in their order */
    const char *text_column;        /* of prompts without an identifier; pictures with an empty cell are not held */
    const th_picture_set *subjects; /* [subjects]: held-out pictures; columns are not needed */
    const th_picture_set *distractors;
    int64_t distractor_count;
    const th_picture_set *yes, *no; /* [models]: of what a guard's protective output looks like; set NULL: none */
    th_picture_set lessons;         /* that the attributes' judges learn from; set NULL: the encoder is a CLIP folder */
    const th_attributes *attributes; /* completed; NULL: class captions are not judged */
    th_feature_params net;
} th_guard_judge_params;
void th_guard_judge_params_init(th_guard_judge_params *p);

/* How right the judges are on real pictures that they did not learn from. */
typedef struct {
    th_estimate accuracy;
    int64_t pictures;
} th_judge_accuracy;

typedef struct {
    const char *kind; /* of the encoder: "clip" or "vit" */
    int64_t width;
    th_judge_accuracy subject;     /* over all subjects and distractors */
    th_judge_accuracy *subjects;   /* [subjects]: its own pictures that are taken for it */
    th_judge_accuracy false_shown; /* distractors' pictures that are taken for any subject */
    th_judge_accuracy *protective; /* [models]: of both sets together; 0 pictures: not judged */
    th_judge_accuracy *attributes; /* [attributes]: on lessons that were kept back */
    int64_t subject_count, model_count, attribute_count;
} th_guard_judgement;

/* What can be told without reading a picture or a weight: that sets have pictures enough (4 each), that columns and
 * networks are there, that the pictures are the rows'. */
th_status th_guard_judge_check(const th_guard_judge_params *p, const th_study *s);
/* Fills the rows' verdicts, fidelity, likeness, kernel and the attributes' names. */
th_status th_guard_judge(const th_guard_judge_params *p, th_study *s, const th_watch *w, th_guard_judgement *out);
void th_guard_judgement_free(th_guard_judgement *j);

#endif
