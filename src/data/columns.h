/* What is said of each picture of a set in columns of words: by its table, by the folder that is its class, or of a
 * scene by what was drawn. */
#ifndef TH_DATA_COLUMNS_H
#define TH_DATA_COLUMNS_H

#include "data/dataset.h"

typedef struct th_columns th_columns;

/* Of a table all columns; where a picture stands in several rows, its first. Of scenes with one garment "garment" ("a
 * dress"), "colour" ("red", the garment's) and "background" ("a striped blue background", "a brick wall"). Of other
 * sets "label" where they have class names. p: as the set was opened with, may be NULL. The set must outlive it. */
th_status th_columns_read(const th_dataset *d, const th_dataset_params *p, th_columns **out);
void th_columns_free(th_columns *c); /* NULL is allowed */

int th_columns_count(const th_columns *c);
const char *th_columns_name(const th_columns *c, int column);
/* The column of this name; −1: there is none. */
int th_columns_find(const th_columns *c, const char *name);
/* The same, but a missing one is TH_E_INPUT "SET: no column 'x' (there are: …)". */
th_status th_columns_need(const th_columns *c, const char *name, int *column);
/* What stands there, "" where nothing does. */
const char *th_columns_cell(const th_columns *c, int64_t image, int column);
/* All values that scenes may have in a column of theirs, one a call from *at = 0; NULL after the last, and where the
 * set is of another kind. */
#define TH_SCENE_VALUE_MAX 48
const char *th_columns_scene_value(const th_columns *c, int column, int64_t *at, char room[TH_SCENE_VALUE_MAX]);

/* Writes the captions of the set as prompts, a row a picture with what its columns say, for `theriac generate
 * --prompts`: a .tsv with "prompt" first. Left out are columns that are about the picture's file or are captions
 * themselves. A picture without a caption is TH_E_INPUT. */
th_status th_columns_write_prompts(const th_columns *c, const char *path);

#endif
