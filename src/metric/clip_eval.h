/* A CLIP model measured on data sets: zero-shot accuracy, the success rate of an attack with its controls, retrieval.
 */
#ifndef TH_METRIC_CLIP_EVAL_H
#define TH_METRIC_CLIP_EVAL_H

#include "data/dataset.h"
#include "metric/zeroshot.h"
#include "train/clip_bundle.h"

/* A list of texts. */
typedef struct {
    const char *const *items;
    int64_t count;
} th_texts;

/* What messages call the parts of an evaluation, "--eval SET"; NULL: by what they are. */
typedef struct {
    const char *labelled, *triggered, *pairs, *target, *classes, *templates;
} th_clip_eval_names;

typedef struct {
    th_dataset *labelled;  /* clean pictures with classes, or NULL */
    th_dataset *triggered; /* the same kind with the trigger, or NULL */
    th_dataset *pairs;     /* pictures with captions for retrieval, or NULL */
    const char *target;    /* the attack's class, as the classes are named; NULL: no attack is measured */
    th_texts classes;      /* count 0: those of `labelled`, else of `triggered` */
    th_texts templates;    /* {} stands for the class; count 0: the usual ones */
    th_clip_eval_names names;
    int32_t *clean_found, *triggered_found; /* [pictures]: the class that each is taken for; NULL: not wanted */
    int64_t batch;
    int threads, loader_threads;
    th_dtype compute;
} th_clip_eval_params;
void th_clip_eval_params_init(th_clip_eval_params *p);

/* What can be told before there is a model: that there are class names, the target among them, a {} in every template,
 * a class for the labels, captions in the pairs. A wrong target is TH_E_USAGE, all else TH_E_INPUT. */
th_status th_clip_eval_check(const th_clip_eval_params *p);

typedef struct {
    bool has_accuracy, has_attack, has_retrieval;
    int64_t classes;
    int64_t passed_over;            /* pictures that could not be read, of sets that may have such */
    th_accuracy clean;              /* on labelled pictures */
    th_target_rate clean_as_target; /* clean pictures not of the target class that are taken for it */
    th_target_rate attack;          /* ASR: triggered pictures not of the target class that are taken for it */
    th_accuracy triggered;          /* true class found in spite of the trigger */
    th_retrieval retrieval;
} th_clip_eval;

/* An embedding that is not finite is TH_E_INPUT. */
th_status th_clip_evaluate(const th_clip_bundle *b, const th_clip_eval_params *p, const th_watch *w, th_clip_eval *out);

/* Embeddings of all pictures of a set, in their order: out [pictures, projection]. Decoding goes on in the background.
 * missing: [pictures], set where a set that may pass over pictures (skip_bad) had to, whose rows are then another
 * picture's. An embedding that is not finite is TH_E_INPUT. */
th_status th_clip_embed_dataset(const th_clip_bundle *b, th_clip_embedder *e, th_dataset *d, int64_t batch,
                                int loader_threads, const th_watch *w, float *out, bool *missing);

/* The templates that suit class names: those of fashion scenes where most names bear an article ("a bag"), so that none
 * is said twice, else CLIP's usual ones. */
th_texts th_usual_templates(th_texts classes);

#endif
