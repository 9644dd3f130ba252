/* Inside of a guarding: its texts, the terms of its losses, batches of them, imagined attackers. */
#ifndef TH_GUARD_GUARD_PARTS_H
#define TH_GUARD_GUARD_PARTS_H

#include "base/map.h"
#include "base/memory.h"
#include "diffusion/denoise.h"
#include "guard/guard.h"
#include "train/snapshot.h"

/* How much of a part of a loss there is in a batch: rows, the weight of their mean, and of all times of noise those
 * that they are drawn from, [least, most) as shares; most 0: 1. */
typedef struct {
    int64_t count;
    float weight, least, most;
} th_guard_rows;

/* A part of a loss: the weighted mean over its rows of ‖ε_θ(z_t(x), t, τ(asked)) − target‖², where the target is the
 * noise, or what the open model answers to another text. Picture x of number i is of prompt i mod prompts, and one of
 * the prompt's variants is drawn. */
typedef struct {
    const char *name; /* of the log: "loss/backdoor" */
    const th_moments *pictures;
    int64_t prompts, variants;
    int32_t *asked;    /* [prompts, variants]: numbers of texts */
    int32_t *answered; /* the same, of the open model; NULL: the noise is the target */
    th_guard_rows rows;
} th_guard_term;

#define TH_GUARD_MOST_TERMS 40

typedef struct {
    th_guard_term items[TH_GUARD_MOST_TERMS];
    int count;
} th_guard_terms;

/* A plan for the loss of some terms, those that the open model answers first. Other terms of as many rows in the same
 * order may be fed to it. */
typedef struct {
    th_guard_terms terms;
    int64_t rows, open_rows;
    th_denoise_shape shape;
    th_plan *plan;
    const char *logged[TH_GUARD_MOST_TERMS + 1];
} th_guard_batch;

/* What the publisher does about personalising to come. */
typedef struct {
    float trajectory, unrolled, flat; /* weights; 0: not done */
    float spared;                     /* weight of attackers on bystanders, with trajectory; 0: there are none */
    float lr;                         /* of imagined attackers */
    int64_t count, spared_count;      /* attackers at a time: on protected subjects, on bystanders */
    int64_t each;                     /* of their steps for each step of the guard */
    int64_t least, most;              /* steps after which one begins anew */
    float reach;                      /* of flat's differences, in lengths of the gradient */
    /* [kinds + spared_kinds]: what an attacker of this kind minimises, and what the guard wants there; bystanders'
     * last. */
    th_guard_terms *attack, *outer;
    int64_t kinds, spared_kinds;
} th_guard_imagined;

typedef struct th_guard_attackers th_guard_attackers;

struct th_guard {
    th_sd *sd, *open;
    const th_guard_method *method;
    th_options *options;
    th_guard_params p;
    const th_guard_data *data;
    th_arena *arena;
    /* Texts. */
    const char **texts;
    int64_t text_count, text_capacity, cut;
    th_map *text_numbers;
    int32_t *ids;  /* [texts, tokens] */
    float *states; /* [texts, tokens, width]; NULL until read */
    /* Set by build. */
    th_guard_terms terms;
    th_guard_imagined imagined;
    th_guard_texts retention;
    /* The rest. */
    th_params *trained;
    th_denoiser *denoiser;
    th_guard_batch batch;
    th_guard_attackers *attackers; /* NULL: none are imagined */
    th_denoise_row *rows;          /* [most rows of a batch] */
};

/* ---- texts.c */

/* The number of a text; −1 when out of memory (the guard's arena has failed). */
int32_t th_guard_text(th_guard *g, const char *text);
/* The template with {} filled in, in the guard's arena; NULL when out of memory. */
const char *th_guard_fill(th_guard *g, const char *template, const char *what);
/* Numbers of templates[i] with "V noun" for every identifier V and noun: [count, identifiers · nouns]. */
int32_t *th_guard_bound(th_guard *g, const char *const *templates, int64_t count, th_guard_texts identifiers,
                        th_guard_texts nouns);
/* Numbers of texts as they stand, each `variants` times. */
int32_t *th_guard_plain(th_guard *g, const char *const *texts, int64_t count, int64_t variants);
/* Ids of all texts, once they are all known. */
th_status th_guard_find_ids(th_guard *g);

/* ---- terms.c: what losses consist of, each for one subject; nothing where there are no rows or the weight is 0 */

/* So many rows with a weight, as an option says the number of them. */
th_guard_rows th_guard_rows_of(const th_guard *g, const char *option, float weight);

/* The protective output wherever the subject is asked for: L_BB. */
th_status th_guard_add_backdoor(th_guard *g, th_guard_terms *ts, const th_guard_subject *s, th_guard_rows rows);
/* The protective output again, from noisy pictures of the subject itself in each context: what has begun to look like
 * it turns away. Nothing with patterns, which the open model cannot answer with. */
th_status th_guard_add_own(th_guard *g, th_guard_terms *ts, const th_guard_subject *s, th_guard_rows rows);
/* The class by its own prompt, as DreamBooth's prior preservation: L_PP. */
th_status th_guard_add_prior(th_guard *g, th_guard_terms *ts, const th_guard_subject *s, th_guard_rows rows);
/* The class by many captions, as the open model has it. */
th_status th_guard_add_captions(th_guard *g, th_guard_terms *ts, const th_guard_subject *s, th_guard_rows rows);
/* The class under other identifiers, as the open model has them. */
th_status th_guard_add_others(th_guard *g, th_guard_terms *ts, const th_guard_subject *s, th_guard_rows rows);
/* The subject's own identifiers, in its contexts and in captions of the class, as the open model has them. */
th_status th_guard_add_asleep(th_guard *g, th_guard_terms *ts, const th_guard_subject *s, th_guard_rows in_scenes,
                              th_guard_rows described);
/* Everything else, as the open model has it. */
th_status th_guard_add_generic(th_guard *g, th_guard_terms *ts, th_guard_rows rows);
/* Pictures by the prompts that attackers train on: DreamBooth's loss, L_BR where they are the protected ones. */
th_status th_guard_add_instances(th_guard *g, th_guard_terms *ts, const th_guard_subject *s, const th_moments *pictures,
                                 th_guard_rows rows);

/* A bystander in each context, as an open model draws it that was personalised on it. */
th_status th_guard_add_bystander(th_guard *g, th_guard_terms *ts, const th_guard_subject *s,
                                 const th_guard_bystander *b, th_guard_rows rows);

/* ---- batch.c */

th_status th_guard_terms_add(th_guard_terms *ts, const th_guard_term *t);
/* Records and plans the loss of these terms; grads: by the guard's trained parameters. other_bytes: beside it. */
th_status th_guard_batch_new(th_guard *g, const th_guard_terms *ts, size_t other_bytes, size_t trained_bytes,
                             th_guard_batch *b);
void th_guard_batch_free(th_guard_batch *b);
/* Fills the plan's inputs for terms of its shape. stream: keeps draws of different uses apart. */
th_status th_guard_feed(th_guard *g, const th_guard_batch *b, const th_guard_terms *ts, int64_t stream, uint32_t step);

/* ---- attackers.c */

th_status th_guard_attackers_new(th_guard *g, th_guard_attackers **out);
void th_guard_attackers_free(th_guard_attackers *a); /* NULL is allowed */
/* Of the loss that attackers minimise: for tests. */
th_guard_batch *th_guard_attack_batch(th_guard_attackers *a);
size_t th_guard_attackers_bytes(const th_guard_attackers *a);
void th_guard_attackers_cost(const th_guard_attackers *a, th_guard_cost *out);
/* th_train_task's add_gradients: moves the attackers on, and adds what the guard wants at their weights. Metrics: the
 * means of its losses there. */
th_status th_guard_attackers_add(th_guard_attackers *a, int64_t step, th_metric *metrics, int max, int *count);
th_status th_guard_attackers_save(th_guard_attackers *a, int64_t step);
th_status th_guard_attackers_load(th_guard_attackers *a, int64_t step);

#endif
