/* Inside of a personalisation: what its set-up and run (fit.c), its prompts (prompts.c) and the methods share. */
#ifndef TH_PERSONALIZE_PERSONALIZE_PARTS_H
#define TH_PERSONALIZE_PERSONALIZE_PARTS_H

#include "base/memory.h"
#include "diffusion/denoise.h"
#include "personalize/personalize.h"

struct th_personal {
    th_sd *sd;
    const th_personalizer *method;
    th_options *options;
    th_personal_params p;
    /* Set by prepare. */
    th_params *trained; /* borrowed from the models; what is not trainable in it stays */
    bool text_trained;  /* the text encoder, or words that it reads */
    const char *word;   /* the new word; NULL: none */
    int32_t word_like;  /* the token whose embedding it starts from */
    /* Prompts: those of the subject, one of which is drawn for each picture, and the one of the class last. */
    th_arena *arena;
    const char **prompts;
    int64_t prompt_count, subject_prompts, cut;
    int32_t *ids;  /* [prompts, tokens] */
    float *states; /* [prompts, tokens, width]; NULL until read, and where the text encoder is trained */
    /* The plan. */
    int64_t rows; /* of a batch: the subject's, then the class' */
    th_denoise_shape shape;
    th_denoiser *denoiser;
    th_plan *plan;
    float *weights; /* [rows] */
    /* While it runs. */
    bool started;
    const th_moments *subject, *class;
    int64_t *order, order_count, order_epoch;
    uint64_t seed; /* of what is drawn for a batch */
};

/* For prepare. */
/* All of these, as their trainable flags say. */
th_status th_personal_train(th_personal *p, const th_params *ps);
/* A new word of so many rows, which are trained. like: the word that it starts from, which is a single token. */
th_status th_personal_add_word(th_personal *p, const char *word, const char *like, int64_t rows);
/* For start: each row of the new word as the embedding that it starts from. */
th_status th_personal_start_word(th_personal *p);

/* Fills prompts and ids. */
th_status th_personal_find_prompts(th_personal *p);
/* The templates of textual inversion: neutral sentences with a %s, NULL at the end. */
extern const char *const th_personal_object_templates[], *const th_personal_style_templates[];

#endif
