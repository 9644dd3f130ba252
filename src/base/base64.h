/* Base64 (RFC 4648, the standard alphabet, padded): pictures inside the self-contained report. */
#ifndef TH_BASE_BASE64_H
#define TH_BASE_BASE64_H

#include "base/str.h"

/* Appends the encoding of n bytes, on one line. Errors stick to the string. */
void th_base64_encode(th_str *s, const void *bytes, size_t n);

#endif
