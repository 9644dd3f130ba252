/* Text in columns of a terminal. */
#ifndef TH_CLI_TEXT_H
#define TH_CLI_TEXT_H

#include "base/str.h"

/* Columns that UTF-8 text takes up: wide characters two, combining ones none. */
int th_text_width(const char *text);
/* Appends text with control characters, which could steer the terminal, as '?'. */
void th_text_add(th_str *out, const char *text);
/* Appends so many spaces; none for counts below 1. */
void th_text_space(th_str *out, int count);
/* Appends words, breaking lines before `columns` (0: never) and indenting what follows a break. `at` is the column
 * where the text begins. Newlines in the text begin a new line. */
void th_text_wrap(th_str *out, const char *text, int at, int indent, int columns);
/* The bytes of the longest beginning of text that fits so many columns. */
size_t th_text_fit(const char *text, int columns);

#endif
