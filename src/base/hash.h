/* SHA-256 (FIPS 180-4), by way of nettle: names cached stages, states what was changed, proves that inputs are the
 * same. */
#ifndef TH_BASE_HASH_H
#define TH_BASE_HASH_H

#include <nettle/sha2.h>

#include "base/status.h"

#define TH_HASH_TEXT 65 /* 64 hexadecimal digits and a NUL */

typedef struct {
    struct sha256_ctx sha;
} th_hash;

void th_hash_init(th_hash *h);
void th_hash_add(th_hash *h, const void *bytes, size_t n);
void th_hash_text(th_hash *h, char out[TH_HASH_TEXT]); /* and starts anew */
void th_hash_bytes(const void *bytes, size_t n, char out[TH_HASH_TEXT]);
th_status th_hash_file(const char *path, char out[TH_HASH_TEXT]);

#endif
