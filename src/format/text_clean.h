/* Cleaning captions as OpenAI's CLIP does before it tokenizes: ftfy.fix_text, html.unescape twice, white space
 * collapsed.
 *
 * Entities: the 252 named characters of HTML 4 and &apos; (HTML 5 knows 2,231 names), and all numeric forms, by the
 * rules of Python's html.unescape.
 *
 * Of ftfy this much is done, in its order:
 * - entities are replaced, repeatedly, if the text has no '<';
 * - terminal escapes (ESC [ 31 m) go;
 * - UTF-8 that was read as Windows-1252 or Latin-1 once is mended where it is one of: Ã with any second character but
 *   ‚ ƒ … Œ Ž ’ (À to ÿ); Â with one from NBSP to ¿; â€ with any third (U+2000 to U+203F: quotes, dashes, bullets, …);
 *   â‚¬ (€); ï»¿ (U+FEFF); ðŸ with any two (U+1F000 to U+1FFFF: emoji); and any sequence that shows a C1
 *   control. A text that has one of these and is UTF-8 throughout when read so is mended throughout. ftfy weighs how
 *   bad a text looks, and mends other code pages and what was misread twice: that is not done;
 * - ligatures (ﬁ, ŉ, ǆ, …) are spelled out, full-width and half-width forms take their ordinary width, curly quotes
 *   become straight, C1 controls are read as Windows-1252, other control characters, byte-order marks and interlinear
 *   marks go.
 * Its NFC is left to the tokenizer, which does it in any case. */
#ifndef TH_FORMAT_TEXT_CLEAN_H
#define TH_FORMAT_TEXT_CLEAN_H

#include "base/str.h"

typedef enum { TH_CLEAN_NONE, TH_CLEAN_OPENAI } th_text_cleaning;

/* Appends the cleaned text. Invalid UTF-8 becomes U+FFFD first. */
th_status th_text_clean_openai(const char *text, size_t length, th_str *out);
/* Appends the text with its entities replaced, once, as html.unescape does. text is valid UTF-8. */
void th_text_unescape_html(const char *text, size_t length, th_str *out);

#endif
