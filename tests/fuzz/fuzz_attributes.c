/* Files of attributes: one that is accepted has texts for every value. */
#include <stdlib.h>
#include <string.h>

#include "metric/attributes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ask(const th_attributes *a, const th_attribute *x) {
    int64_t n = x->values.count * x->templates.count;
    if (x->values.count != x->phrases.count || !x->name || !*x->column) abort();
    if (!n || n > 10000) return;
    const char **texts = th_alloc((size_t)n, sizeof *texts);
    if (!texts || th_attribute_texts(a->arena, x, texts) != TH_OK) abort();
    for (int64_t i = 0; i < n; i++)
        if (!strstr(texts[i], x->phrases.items[i / x->templates.count])) abort();
    th_free(texts);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    size_t before = th_bytes_in_use();
    th_attributes a;
    if (th_attributes_parse("fuzz.json", (const char *)data, size, &a) == TH_OK) {
        for (int64_t i = 0; i < a.count; i++) ask(&a, &a.items[i]);
        th_attributes_free(&a);
    }
    if (th_bytes_in_use() != before) abort();
    return 0;
}
