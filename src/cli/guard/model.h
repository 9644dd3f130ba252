/* What the files of `theriac guard` for models share: one run, from its pictures to its folder. */
#ifndef TH_CLI_GUARD_MODEL_H
#define TH_CLI_GUARD_MODEL_H

#include "cli/encoding.h"
#include "guard/guard.h"
#include "guard/prompts.h"
#include "train/drawn.h"

/* Another subject of its class, whose personalising is to work as before. */
typedef struct {
    th_dataset *set;
    char hash[TH_HASH_TEXT];
} th_guard_neighbour;

/* One protected subject as people give it. */
typedef struct {
    const char *name, *protect, *class, *mode, *target, *pattern, *class_prompt;
    th_guard_texts identifiers, nouns, instances, bystanders;
    th_dataset *set;
    char hash[TH_HASH_TEXT];                      /* of the set */
    th_guard_neighbour *neighbours;               /* [bystanders.count] */
    const char *const *drawn_with, *const *named; /* prompts: of the protective output, of captions filled in */
} th_guard_wish;

#define TH_GUARD_MOST_SUBJECTS 16
#define TH_GUARD_MOST_BYSTANDERS 256 /* of one subject */

typedef struct {
    th_cli *cli;
    const th_guard_method *method;
    th_arena *arena;
    th_guard_prompts prompts;
    th_guard_wish wishes[TH_GUARD_MOST_SUBJECTS];
    th_guard_subject subjects[TH_GUARD_MOST_SUBJECTS];
    int64_t count;
    th_guard_data data;
    th_guard_params p;
    th_guard *guard;
    th_guard_cost cost;
    th_sd sd, open;
    bool draws;           /* sd has all its values, as drawing wants them */
    th_encoding encoding; /* of pictures, by sd */
    char model_hash[TH_HASH_TEXT], attackers[TH_PATH_MAX];
    json_t *inputs;
    th_run_folder *run;
    th_train_result result;
} th_guard_job;

/* The method's row, for the verb. */
void th_cli_guard_model(const th_guard_method *m, th_cli_method *out);

/* Lets go of the model that draws and encodes; the next who wants it loads it again. */
void th_guard_drop_model(th_guard_job *j);

/* --- guard/wishes.c --- */

/* --protect and what belongs to it. */
extern const th_option th_guard_subject_options[], th_guard_text_options[];
/* Who is protected and how, from options or --subjects; opens the pictures; reads the files of texts. Fills the job's
 * subjects, as yet without pictures. */
th_status th_guard_read_wishes(th_guard_job *j);
void th_guard_drop_wishes(th_guard_job *j);

/* --- guard/pictures.c --- */

extern const th_option th_guard_drawing_options[];
/* Seconds that drawing everything takes at least, and how many pictures that are; of what is not there yet nothing is
 * known before. The model may be without values. */
th_status th_guard_drawing_seconds(th_guard_job *j, const th_ceilings *c, double *seconds, int64_t *pictures);
/* Draws and encodes what is not there yet. */
th_status th_guard_find_pictures(th_guard_job *j);
/* How it draws, with prompts left open; and where, for prompts of that name and key. */
th_drawn_params th_guard_drawn_params(const th_guard_job *j);
th_status th_guard_drawn_dir(const th_guard_job *j, const char *name, const char *key, char path[TH_PATH_MAX]);
/* The drawn pictures of a folder, encoded beside it as DIR.safetensors; key: that of what was drawn. */
th_status th_guard_encode_drawn(th_guard_job *j, const char *dir, const char *key, th_moments *out);
/* Pictures given by people, encoded into the run's folder; hash: of the set. */
th_status th_guard_encode_given(th_guard_job *j, th_dataset *d, const char *hash, const char *name, th_moments *out);

/* --- guard/bystanders.c --- */

extern const th_option th_guard_bystander_options[];
/* Personalises the open model on each bystander and draws it in the contexts, where that is not there yet. The
 * subjects' pictures of the class are there. */
th_status th_guard_find_bystanders(th_guard_job *j);
/* Adds what this takes at least. */
th_status th_guard_bystander_seconds(th_guard_job *j, const th_ceilings *c, double *seconds, int64_t *pictures);

#endif
