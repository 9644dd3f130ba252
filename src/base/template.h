/* Texts with a gap: "a photo of a {}". */
#ifndef TH_BASE_TEMPLATE_H
#define TH_BASE_TEMPLATE_H

#include "base/memory.h"

/* The text with its first {} filled in; "a {}" becomes "an …" before a vowel. Without a gap it is the text itself. NULL
 * when out of memory. */
char *th_template_fill(th_arena *arena, const char *form, const char *phrase);

#endif
