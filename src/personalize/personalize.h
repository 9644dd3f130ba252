/* Teaching a text-to-image model one subject from a few pictures. A way of doing so is one file and one row of the
 * table: which parameters it trains, from which prompts, and what it writes; one trainer runs them all. */
#ifndef TH_PERSONALIZE_PERSONALIZE_H
#define TH_PERSONALIZE_PERSONALIZE_H

#include "base/option.h"
#include "diffusion/sd.h"
#include "train/moments.h"
#include "train/trainer.h"

/* One personalisation under way. */
typedef struct th_personal th_personal;

/* What a method does where nobody says otherwise: diffusers' scripts as their guides run them. */
typedef struct {
    double lr, lr_with_text; /* with the text encoder trained; 0: the same */
    int64_t steps, steps_with_prior;
    float clip; /* of the gradients' norm; 0: never */
    th_crop crop;
    th_resize_filter filter;
    bool flip;
} th_recipe;

typedef struct {
    const char *name, *summary;
    const th_option *options; /* its own */
    th_recipe recipe;
    bool prior; /* may keep its class, by pictures and a prompt of it */
    /* Gives the model what is trained beside its own parameters, and says what that is (personalize_parts.h). The
     * models may be without values. */
    th_status (*prepare)(th_personal *p);
    /* First values of what was added, where they come from the model's; NULL: none do. */
    th_status (*start)(th_personal *p);
    /* The result, as diffusers loads it. */
    th_status (*write)(const th_personal *p, const char *dir, const char *dtype);
    /* A paragraph for the model's card: how it is loaded. */
    const char *usage;
} th_personalizer;

/* Ends with NULL. */
extern const th_personalizer *const th_personalizers[];
const th_personalizer *th_personalizer_find(const char *name);

typedef struct {
    th_train_params train;    /* steps 0, schedule.lr 0, clip_norm below 0: the method's own */
    const char *prompt;       /* of the subject's pictures: "a photo of sks bag"; NULL: the method's templates */
    const char *class_prompt; /* "a photo of a bag"; NULL: nothing keeps the class */
    int64_t side;             /* pixels; 0: the model's own */
    int64_t batch;            /* pictures of the subject in a micro-step, and as many of the class */
    float prior_weight, min_snr;
    th_transforms transforms; /* of the subject's pictures, once they are cut */
    int64_t entries;          /* encoded pictures that will be given: their memory is counted */
    int threads;
    th_dtype compute;
    size_t memory; /* bytes for all of it; 0: no limit */
    /* As th_train_task has it; may be NULL. */
    th_status (*passed)(void *user, int64_t step);
    void *user;
} th_personal_params;
void th_personal_params_init(th_personal_params *p); /* as in the scripts: batch 1, weight 1, no min-SNR */

/* Prepares the model, reads the prompts, plans; nothing large is allocated yet. The model's parts may be without
 * values, but its tokenizer is there. All that is given must outlive it. */
th_status th_personal_new(th_sd *sd, const th_personalizer *m, th_options *options, const th_personal_params *p,
                          th_personal **out);
void th_personal_free(th_personal *p); /* NULL is allowed */

typedef struct {
    int64_t steps, batches_a_step, side;
    int64_t height, width, channels; /* of encoded pictures: moments */
    th_plan_cost step;               /* of one batch */
    size_t bytes;                    /* of the whole training */
    double lr;
    int64_t trained;   /* elements of the parameters that change */
    bool text_trained; /* so that the text encoder is needed to the end */
    int64_t cut;       /* prompts that are longer than the model's context */
} th_personal_cost;
void th_personal_get_cost(const th_personal *p, th_personal_cost *out);

/* How many tokens the model's tokenizer makes of the prompt's words that it does not share with the class prompt, the
 * identifier; 0 where there is none, or no class prompt. */
th_status th_personal_identifier(const th_personal *p, char *word, size_t room, int64_t *tokens);

/* What the prompts mean to a text encoder that stays as it is; its values may be released afterwards. Wants the text
 * encoder's values, and does nothing where it is trained. th_personal_run calls it if nobody has. */
th_status th_personal_read_prompts(th_personal *p);
/* First values of what was added, from the text encoder's where a new word begins as another; again, nothing is done.
 * th_personal_run calls it too. */
th_status th_personal_start(th_personal *p);
/* Trains on the subject's pictures, and those of the class where there is a class prompt. Wants the values of the UNet
 * (and of the text encoder where it is trained). */
th_status th_personal_run(th_personal *p, const th_moments *subject, const th_moments *class, th_run_folder *run,
                          const th_watch *w, th_train_result *result);
/* Mean denoising losses over `draws` batches at times and noises that do not depend on the steps made, of the subject's
 * pictures and the class' (0 where there are none). Between th_personal_read_prompts and the end of a run. */
th_status th_personal_measure(th_personal *p, const th_moments *subject, const th_moments *class, int64_t draws,
                              double *subject_loss, double *class_loss);
th_status th_personal_write(const th_personal *p, const char *dir, const char *dtype);

/* Options: of the subject's pictures, of the class (for methods with a prior), of the training. */
extern const th_option th_personal_subject_options[], th_personal_class_options[], th_personal_train_options[];
th_status th_personal_read(th_options *o, const th_personalizer *m, th_personal_params *p);
/* How the subject's pictures are cut. */
void th_personal_read_views(th_options *o, const th_personalizer *m, const th_personal_params *p, th_view_params *out);

#endif
