/* Prompts from files, and what of a prompt the model does not see. */
#ifndef TH_DIFFUSION_PROMPTS_H
#define TH_DIFFUSION_PROMPTS_H

#include "diffusion/sd.h"
#include "format/table.h"

typedef struct {
    const char **items; /* [count] */
    int64_t count;
    th_sheet sheet; /* where they came from a table: row i is prompt i's; no rows for a text file */
    char *text;     /* of a text file */
} th_prompts;

/* A .tsv or .csv file, whose column of this name holds the prompts; any other file has one on each line, and empty
 * lines are passed over. A file without prompts is TH_E_INPUT. After an error there is nothing to free. */
th_status th_prompts_read(const char *path, const char *column, th_prompts *out);
void th_prompts_free(th_prompts *p);

/* Appends the words at the end of the text that are cut off, since the text encoder's context ends before them; nothing
 * where all of it fits. Words end at spaces. */
th_status th_prompt_cut(const th_sd *sd, const char *text, th_str *cut);

#endif
