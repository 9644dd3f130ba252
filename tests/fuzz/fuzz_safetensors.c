/* Safetensors from arbitrary bytes: whatever is accepted can be read to the last element. */
#include <stdlib.h>

#include "base/memory.h"
#include "format/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_all(const th_st_tensor *t) {
    if (t->count > 4096) return;
    float *x = malloc((size_t)t->count * sizeof *x + 1);
    int64_t *n = malloc((size_t)t->count * sizeof *n + 1);
    if (x && n) {
        th_st_to_f32(t, 0, t->count, x);
        th_st_to_i64(t, 0, t->count, n);
    }
    free(x);
    free(n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    th_safetensors *s;
    size_t before = th_bytes_in_use();
    if (th_safetensors_parse("fuzz.safetensors", data, size, &s) == TH_OK) {
        const char *key, *value;
        char text[TH_ST_SHAPE_TEXT];
        for (int64_t i = 0; i < th_safetensors_count(s); i++) {
            const th_st_tensor *t = th_safetensors_at(s, i);
            read_all(t);
            th_st_shape_text(text, t->rank, t->shape);
            if (th_safetensors_find(s, t->name) != t) abort();
        }
        for (int64_t i = 0; th_safetensors_metadata_at(s, i, &key, &value); i++)
            if (!th_safetensors_metadata(s, key)) abort();
        th_safetensors_close(s);
    }
    if (th_bytes_in_use() != before) abort();
    return 0;
}
