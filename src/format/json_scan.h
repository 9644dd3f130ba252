/* Reading JSON by steps, without building it: for the two members of a tokenizer that hold a hundred thousand small
 * values, which jansson would take most of the loading time for. Strict: what jansson refuses is refused here. */
#ifndef TH_FORMAT_JSON_SCAN_H
#define TH_FORMAT_JSON_SCAN_H

#include "base/str.h"

typedef struct {
    const char *name; /* for errors */
    const char *text, *at, *end;
    th_str string; /* of the last string that had escapes */
} th_scan;

void th_scan_init(th_scan *s, const char *name, const char *text, size_t length);
void th_scan_free(th_scan *s);
/* TH_E_INPUT "NAME: line N column M: WHAT". */
th_status th_scan_fail(const th_scan *s, const char *what);
/* Passes white space, and the character if it comes next: whether it does. */
bool th_scan_take(th_scan *s, char c);
th_status th_scan_expect(th_scan *s, char c);
/* Steps through an object or array whose opening bracket has been passed: before each item, *n counts them, starting
 * from 0. *more turns false behind the closing bracket. */
th_status th_scan_next(th_scan *s, char close, int64_t *n, bool *more);
/* The string's bytes, without escapes; valid until the next one is read. NULs are refused. */
th_status th_scan_string(th_scan *s, const char **text, size_t *length);
/* The key of an object's item, and the colon. */
th_status th_scan_key(th_scan *s, const char **text, size_t *length);
th_status th_scan_int(th_scan *s, int64_t *out);
/* Passes one value of any kind. Brackets and strings are matched; numbers and words are not looked at. */
th_status th_scan_skip(th_scan *s);
/* Nothing but white space is left. */
th_status th_scan_end(th_scan *s);

#endif
