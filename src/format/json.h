/* JSON by way of jansson: whole files with a stated maximum, duplicate keys refused, getters that name file and field
 * in their errors, and text written in one fixed layout. */
#ifndef TH_FORMAT_JSON_H
#define TH_FORMAT_JSON_H

#include <jansson.h>

#include "base/str.h"

#define TH_JSON_MAX ((size_t)256 << 20) /* for files whose kind sets no limit of its own */

/* An object read from a file, and the name its errors carry. Zeroed is valid for th_json_free. */
typedef struct {
    char *file;
    json_t *root;
} th_json;

/* Errors: "FILE: line N column M: what the parser says". Integers beyond 64 bits are read as real numbers. */
th_status th_json_load(const char *path, size_t max, th_json *out);
th_status th_json_parse(const char *name, const char *text, size_t length, th_json *out);
void th_json_free(th_json *j);

/* Getters. `field` is a key, or keys joined by dots ("text_config.hidden_size"). *value holds the default on entry and
 * stays where the field is absent or null. Strings, arrays and objects are borrowed from j. */
th_status th_json_int(const th_json *j, const char *field, int64_t min, int64_t max, int64_t *value);
th_status th_json_double(const th_json *j, const char *field, double *value);
th_status th_json_bool(const th_json *j, const char *field, bool *value);
th_status th_json_string(const th_json *j, const char *field, const char **value);
th_status th_json_array(const th_json *j, const char *field, json_t **value);
th_status th_json_object(const th_json *j, const char *field, json_t **value);
/* Whether the field is there and not null. */
bool th_json_has(const th_json *j, const char *field);
/* TH_E_INPUT "FILE: field 'a.b' is missing" unless it is. */
th_status th_json_require(const th_json *j, const char *field);
/* "FILE: field 'a.b' should be WHAT". */
th_status th_json_fail(const th_json *j, const char *field, const char *what);

/* Appends the value as text. indent 0: one line without spaces after separators; else so many spaces a level. Keys
 * stand in the order they were set, reals are the shortest decimals that read back the same. */
th_status th_json_text(const json_t *value, int indent, th_str *out);
/* Writes the value with indent 2 and a newline at the end; PATH appears whole or not at all. */
th_status th_json_write(const char *path, const json_t *value);
/* A list with one item more; NULL, and both are gone, where that fails or either is NULL: to be told once, at the end,
 * by what takes the list. */
json_t *th_json_with(json_t *list, json_t *item);
json_t *th_json_numbers(const int64_t *values, int count);

/* Text from a file, made fit for an error message: control characters become '?', and what goes beyond the room '…'. */
#define TH_SHOWN_MAX 128
const char *th_shown(char out[TH_SHOWN_MAX], const char *text, size_t length);

#endif
