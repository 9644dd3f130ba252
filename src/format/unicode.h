/* Text as the tokenizer needs it: UTF-8 checked and mended, normal forms and lower case as Rust's tokenizers library
 * makes them. Character properties are those of the installed utf8proc: characters that Unicode assigned later than it
 * knows are left as they are. */
#ifndef TH_FORMAT_UNICODE_H
#define TH_FORMAT_UNICODE_H

#include "base/str.h"

/* The character at p (n bytes are there, n > 0) into *c, and the bytes it takes. Where p does not start a valid
 * sequence *c is −1 and the count is that of the longest prefix of a valid sequence, at least 1: what Python's
 * errors="replace" turns into one U+FFFD. */
size_t th_utf8_next(const char *p, size_t n, int32_t *c);
/* Writes c and returns its bytes, 1 to 4. c is no surrogate and at most 0x10FFFF. */
size_t th_utf8_put(char out[4], int32_t c);
bool th_utf8_valid(const char *text, size_t n);
/* Appends the text with each invalid part replaced by U+FFFD, as bytes.decode("utf-8", errors="replace") does. */
void th_utf8_mend(const char *text, size_t n, th_str *out);

typedef enum { TH_NFC, TH_NFD, TH_NFKC, TH_NFKD } th_normal_form;

/* The following append to out; text is valid UTF-8. */
th_status th_unicode_normalize(const char *text, size_t n, th_normal_form form, th_str *out);
/* Each character by itself: İ becomes i and U+0307, a final Σ becomes σ and not ς. */
void th_unicode_lower(const char *text, size_t n, th_str *out);
/* Each run of White_Space becomes one space. */
void th_unicode_collapse(const char *text, size_t n, th_str *out);

/* White_Space=yes (PropList.txt); the list has not changed since Unicode 6.3. */
bool th_is_space(int32_t c);
/* The same as ranges for a character class of PCRE2. Its own \s takes U+180E in. */
#define TH_SPACE_RANGES \
    "\\x{9}-\\x{D}\\x{20}\\x{85}\\x{A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{3000}"
/* Letters, marks, decimal digits and connectors: about what regular expressions call \w. */
bool th_is_word(int32_t c);
/* What Python's str.strip takes: White_Space and U+001C to U+001F. */
bool th_is_python_space(int32_t c);
/* Moves both ends of text inwards past Python's white space. */
void th_strip(const char **text, size_t *n);

#endif
