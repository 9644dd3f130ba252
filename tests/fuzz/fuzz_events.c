/* What is kept of an event file when a run goes on. The bytes are tried as a file, and as the second record of one
 * whose checksums are right, which no mutation would make. */
#include <stdlib.h>
#include <string.h>

#include "format/events.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const uint8_t *data, size_t size) {
    size_t all = th_events_whole(data, size, INT64_MAX), some = th_events_whole(data, size, 100);
    if (all > size || some > all || th_events_whole(data, all, INT64_MAX) != all) __builtin_trap();
}

static uint32_t masked(const uint8_t *b, size_t n) {
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < n; i++) {
        crc ^= b[i];
        for (int k = 0; k < 8; k++) crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
    }
    crc = ~crc;
    return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

/* Appends a record; the machine is little-endian, as the format. */
static size_t frame(uint8_t *to, const void *data, uint64_t n) {
    memcpy(to, &n, 8);
    uint32_t crc = masked(to, 8);
    memcpy(to + 8, &crc, 4);
    memcpy(to + 12, data, n);
    crc = masked(to + 12, n);
    memcpy(to + 12 + n, &crc, 4);
    return n + 16;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char version[] = "\x1a\x0d"
                                  "brain.Event:2";
    check(data, size);
    uint8_t *file = malloc(size + sizeof version + 31);
    if (!file) return 0;
    size_t n = frame(file, version, sizeof version - 1);
    n += frame(file + n, data, size);
    check(file, n);
    free(file);
    return 0;
}
