/* IDX, plain and gzip. */
#include "format/idx.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    th_idx x;
    if (th_idx_parse(data, size, &x) != TH_OK) return 0;
    volatile uint32_t sum = 0;
    for (size_t i = 0; i < x.bytes; i++) sum = sum + ((const uint8_t *)x.data)[i];
    th_idx_free(&x);
    return 0;
}
