/* A growing string with a stated maximum. Errors stick: a failed append leaves the string unchanged from then on, and
 * th_str_status tells. Zeroed is a valid empty string once `max` is set by th_str_init. */
#ifndef TH_BASE_STR_H
#define TH_BASE_STR_H

#include "base/status.h"

typedef struct {
    char *data; /* always ends in NUL once something was appended; NULL before */
    size_t length, capacity, max;
    th_status status;
} th_str;

void th_str_init(th_str *s, size_t max);
void th_str_free(th_str *s);
void th_str_clear(th_str *s); /* empties, keeps the memory, forgets the error */
void th_str_add(th_str *s, const void *bytes, size_t n);
void th_str_puts(th_str *s, const char *text);
void th_str_printf(th_str *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Appends text with &, <, >, " and ' escaped for HTML and SVG. */
void th_str_html(th_str *s, const char *text);
th_status th_str_status(const th_str *s);
/* The text, "" when empty. */
const char *th_str_text(const th_str *s);

#endif
