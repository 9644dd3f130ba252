/* What the files of `theriac generate` share: one run, from its prompts to its folder. */
#ifndef TH_CLI_GENERATE_PARTS_H
#define TH_CLI_GENERATE_PARTS_H

#include "cli/verb.h"
#include "diffusion/generate.h"
#include "diffusion/latents_file.h"
#include "diffusion/prompts.h"

enum { TH_DRAWING_MOST_TEXTS = 24 };

typedef struct {
    th_cli *cli;
    const char *out; /* the folder; NULL with --plan */
    th_arena *arena;
    th_sd_hasher *hasher; /* of the model's weights, while they are loaded; NULL with --plan */
    th_sd sd;
    th_generator *generator;
    th_generate_params p;
    th_prompts file;            /* of --prompts */
    const char **prompts;       /* [prompt_count]: those of --prompt, then the file's */
    int64_t prompt_count, each; /* pictures of a prompt */
    th_latents latents;         /* of --latents */
    th_generate_request *requests;
    int64_t count;                              /* pictures: prompt_count · each, each prompt's side by side */
    th_image_text texts[TH_DRAWING_MOST_TEXTS]; /* what every picture's PNG says of how it was made; then its own */
    int text_count;
    char hash[TH_HASH_TEXT]; /* of the model's weights */
    json_t *inputs;          /* for run.json: files and their hashes */
    int64_t first;           /* picture that this run begins with; those before were there */
    int64_t finished;        /* pictures that are there */
    double seconds;          /* for those of this run */
} th_drawing;

static inline const char *th_drawing_prompt(const th_drawing *d, int64_t picture) {
    return d->prompts[picture / d->each];
}

/* --- generate_out.c --- */

/* "OUT/00007.png" */
th_status th_drawing_path(const th_drawing *d, int64_t picture, const char *ending, char path[TH_PATH_MAX]);
/* Gathers what every PNG says, and the hashes of files that were used. */
th_status th_drawing_describe(th_drawing *d);
/* Makes the folder ready: a new one must hold no pictures; in one to go on with those that are there must have been
 * made with the same settings. Sets `first` and `finished`. */
th_status th_drawing_open(th_drawing *d);
/* th_generated_fn; user: the drawing. The picture's index counts from `first`. */
th_status th_drawing_keep(void *drawing, const th_generated *picture);
/* images.tsv and the contact sheet, of all pictures that are there. */
th_status th_drawing_close(th_drawing *d);

#endif
