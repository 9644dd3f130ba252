/* What pictures should show, one attribute after the other, and whether a judge finds it there: a CLIP model that
 * chooses among an attribute's values by zero-shot classification. */
#ifndef TH_METRIC_ATTRIBUTES_H
#define TH_METRIC_ATTRIBUTES_H

#include "base/memory.h"
#include "data/columns.h"
#include "metric/clip_eval.h"
#include "metric/interval.h"

/* phrases: what a value is called in the templates, where {} stands for it; "a {}" becomes "an {}" before a vowel. */
typedef struct {
    const char *name, *column;
    th_texts values, phrases, templates; /* values and phrases: as many */
} th_attribute;

#define TH_ATTRIBUTES_MAX 64
typedef struct {
    th_attribute *items;
    int64_t count;
    th_arena *arena; /* of all texts */
} th_attributes;

/* A file of attributes, {"colour": {"column": "colour", "values": ["red", …], "templates": ["a {} bag", …]}, …}. values
 * may be an object of values with their phrases; without `values` and `templates` they come from
 * th_attributes_complete. */
th_status th_attributes_load(const char *path, th_attributes *out);
/* The same from memory; name is for errors. */
th_status th_attributes_parse(const char *name, const char *text, size_t length, th_attributes *out);
/* Attributes that are columns by these names, without values. */
th_status th_attributes_of_columns(const char *const *names, int64_t count, th_attributes *out);
void th_attributes_free(th_attributes *a); /* a zeroed one is allowed */
/* Writes them as th_attributes_load reads them. */
th_status th_attributes_write(const char *path, const th_attributes *a);

/* A set of pictures with what is said of them. */
typedef struct {
    const char *name; /* for messages: "--images DIR" */
    th_dataset *set;
    const th_columns *columns;
} th_picture_set;

/* Where an attribute has no values, all that scenes may have where one of the sets is of such, else the distinct cells
 * of both, sorted; where it has no templates, those given, else those of scenes by the column, else "a photo of a {}"
 * and the like. The first set must have the column and something in it; `real`, which may be NULL, need not. Fewer than
 * two values, or a cell that is none of them, is TH_E_INPUT. */
th_status th_attributes_complete(th_attributes *a, const th_picture_set *images, const th_picture_set *real,
                                 th_texts templates);

/* The texts that ask for an attribute's values, [values · templates], into the arena; a value's one after the other. */
th_status th_attribute_texts(th_arena *arena, const th_attribute *x, const char **texts);
/* The value that a picture should show, −1 where its cell is empty. */
int32_t th_attribute_value(const th_attribute *x, const th_columns *c, int column, int64_t image);

#endif
