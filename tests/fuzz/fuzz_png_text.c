/* Texts of PNG files: what is found is made of strings that end, and nothing is left behind. */
#include <stdlib.h>
#include <string.h>

#include "format/png_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    size_t before = th_bytes_in_use();
    th_png_texts t;
    if (th_png_texts_parse(data, size, &t) == TH_OK) {
        for (int64_t i = 0; i < t.count; i++)
            if (strlen(t.items[i].key) + strlen(t.items[i].value) > size) abort();
        th_png_texts_free(&t);
    }
    if (th_bytes_in_use() != before) abort();
    return 0;
}
