/* SHA-256 as text. */
#include "base/hash.h"

#include "base/file.h"

void th_hash_init(th_hash *h) { sha256_init(&h->sha); }

void th_hash_add(th_hash *h, const void *bytes, size_t n) { sha256_update(&h->sha, n, bytes); }

void th_hash_text(th_hash *h, char out[TH_HASH_TEXT]) {
    uint8_t digest[SHA256_DIGEST_SIZE];
    sha256_digest(&h->sha, sizeof digest, digest);
    for (int i = 0; i < SHA256_DIGEST_SIZE; i++) {
        out[2 * i] = "0123456789abcdef"[digest[i] >> 4];
        out[2 * i + 1] = "0123456789abcdef"[digest[i] & 15];
    }
    out[TH_HASH_TEXT - 1] = '\0';
}

void th_hash_bytes(const void *bytes, size_t n, char out[TH_HASH_TEXT]) {
    th_hash h;
    th_hash_init(&h);
    th_hash_add(&h, bytes, n);
    th_hash_text(&h, out);
}

th_status th_hash_file(const char *path, char out[TH_HASH_TEXT]) {
    th_mapping m;
    TH_TRY(th_file_map(path, &m));
    th_hash_bytes(m.data, m.length, out);
    th_file_unmap(&m);
    return TH_OK;
}
