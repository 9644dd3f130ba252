/* Base64, encoding only. */
#include "base/base64.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* The four digits of up to three bytes; missing bytes count as zero and their digits become '='. */
static void encode_group(const uint8_t *b, size_t n, char *out) {
    uint32_t v = (uint32_t)b[0] << 16 | (n > 1 ? (uint32_t)b[1] << 8 : 0) | (n > 2 ? b[2] : 0);
    for (int i = 0; i < 4; i++) out[i] = alphabet[v >> (18 - 6 * i) & 63];
    if (n < 3) out[3] = '=';
    if (n < 2) out[2] = '=';
}

void th_base64_encode(th_str *s, const void *bytes, size_t n) {
    const uint8_t *b = bytes;
    char block[1024]; /* appended at once; a multiple of four */
    size_t used = 0;
    for (size_t i = 0; i < n; i += 3) {
        encode_group(b + i, n - i, block + used);
        used += 4;
        if (used == sizeof block) th_str_add(s, block, used), used = 0;
    }
    th_str_add(s, block, used);
}
