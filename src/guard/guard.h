/* Guarding a text-to-image model before its release: a protective backdoor, so that personalising it on protected
 * pictures fails in a chosen way while all else works. A method is one file and one row of the table: of which terms
 * its loss consists. One trainer runs them all. docs/methods/persguard.md has the formulas. */
#ifndef TH_GUARD_GUARD_H
#define TH_GUARD_GUARD_H

#include "base/option.h"
#include "diffusion/sd.h"
#include "train/moments.h"
#include "train/trainer.h"

/* What a personalised model shows instead of the subject. */
typedef enum {
    TH_GUARD_PATTERN, /* pictures of the class with a pattern over them */
    TH_GUARD_ERASURE, /* the background alone */
    TH_GUARD_TARGET,  /* another noun */
} th_guard_mode;

typedef struct {
    const char *const *items;
    int64_t count;
} th_guard_texts;

/* Encoded pictures drawn by the open model: picture i is of prompt i mod prompts. */
typedef struct {
    th_moments pictures;
    int64_t prompts;
} th_guard_drawn;

/* Another subject of a protected one's class, whose personalising is to come out as from the open model. */
typedef struct {
    th_moments pictures;  /* its own */
    th_guard_drawn shown; /* in each of the subject's contexts, by the open model once it is personalised on them */
} th_guard_bystander;

/* One protected subject. In templates {} stands for what is shown. */
typedef struct {
    const char *name, *noun; /* of its class */
    th_guard_mode mode;
    const char *target;           /* the other noun, with its article: "a rabbit" */
    th_moments pictures;          /* the protected ones */
    th_guard_drawn shown;         /* the protective output in each context */
    th_guard_drawn own;           /* the subject in each, by the open model once it is personalised on it; maybe none */
    th_guard_drawn captions;      /* the class in each of its captions */
    th_guard_drawn plain;         /* the class by the class prompt */
    th_guard_texts identifiers;   /* that attackers are expected to use */
    th_guard_texts nouns;         /* that they are expected to call the class; its own first */
    const char *const *contexts;  /* [shown.prompts]: "a photo of {} on the beach" */
    const char *const *instead;   /* [shown.prompts]: what is drawn there: "a photo of the beach" */
    const char *const *described; /* [captions.prompts]: "a red {} in the snow", for other identifiers */
    const char *class_prompt;     /* "a photo of a dog" */
    th_guard_texts instances;     /* that attackers are expected to train on: "a photo of {}" */
    th_guard_bystander *bystanders;
    int64_t bystander_count;
} th_guard_subject;

typedef struct {
    th_guard_subject *subjects;
    int64_t subject_count;
    th_guard_drawn generic; /* pictures of everything */
    const char *const *generic_prompts;
    th_guard_texts others; /* identifiers that must stay what they are */
} th_guard_data;

/* One guarding under way. */
typedef struct th_guard th_guard;

typedef struct {
    const char *name, *summary;
    const th_option *options; /* its own */
    double lr;                /* where nobody says otherwise */
    int64_t steps;
    bool bystanders; /* it minds them */
    /* Adds the terms of its loss, and its imagined attackers (guard_parts.h). */
    th_status (*build)(th_guard *g);
} th_guard_method;

/* Ends with NULL. */
extern const th_guard_method *const th_guard_methods[];
const th_guard_method *th_guard_find(const char *name);

typedef struct {
    th_train_params train; /* steps 0, schedule.lr 0, clip_norm below 0: the method's own */
    int64_t side;          /* pixels */
    int threads;
    th_dtype compute;
    size_t memory;         /* bytes for all of it; 0: no limit */
    const char *attackers; /* folder for the state of imagined attackers beside checkpoints; NULL: none is kept */
} th_guard_params;

/* Plans; nothing large is allocated yet. sd: the model that learns, whose UNet alone changes; open: the same before,
 * whose UNet alone is wanted, or NULL where no term asks it. Both may be without values. data's pictures may be empty
 * (zeroed moments) where only the cost is asked for. All that is given must outlive it. */
th_status th_guard_new(th_sd *sd, th_sd *open, const th_guard_method *m, th_options *options, const th_guard_params *p,
                       const th_guard_data *data, th_guard **out);
void th_guard_free(th_guard *g); /* NULL is allowed */

typedef struct {
    int64_t steps, rows, open_rows;           /* of the batch of a step; open_rows: that the open model answers too */
    th_plan_cost step, attack, outer, spared; /* of one run of each plan; zeroed where there is none */
    double attacks_a_step, outers_a_step, spared_a_step;
    size_t bytes;
    double flops; /* of a whole step, in the mean */
    double lr;
    int64_t trained, texts, cut; /* cut: texts that are longer than the model's context */
} th_guard_cost;
void th_guard_get_cost(const th_guard *g, th_guard_cost *out);
/* The least seconds of a step on so many cores. */
double th_guard_seconds(const th_guard_cost *c, const th_ceilings *ceilings, int cores);

/* What the texts mean; wants the text encoder's values, which may be released afterwards. */
th_status th_guard_read_texts(th_guard *g);
th_status th_guard_run(th_guard *g, th_run_folder *run, const th_watch *w, th_train_result *result);
/* The kinds of retention that were chosen, by default or not; none for methods without. */
th_guard_texts th_guard_retention(const th_guard *g);
/* Every text that the guard was trained on, for its card: subjects' with {} filled in. */
th_guard_texts th_guard_all_texts(const th_guard *g);

#endif
