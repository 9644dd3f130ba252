/* ViT's configs: one that is accepted makes a model. */
#include <stdlib.h>

#include "base/memory.h"
#include "model/vit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    size_t before = th_bytes_in_use();
    th_vit_config c;
    th_vit *m;
    if (th_vit_parse_config("fuzz.json", (const char *)data, size, &c) == TH_OK && c.tower.layers <= 4) {
        if (th_vit_new(&c, &m) != TH_OK) abort();
        if (th_params_elements(th_vit_params(m)) < 1) abort();
        th_vit_free(m);
    }
    if (th_bytes_in_use() != before) abort();
    return 0;
}
