/* Shapes and types. */
#include <stdio.h>

#include "graph/graph.h"

size_t th_dtype_bytes(th_dtype t) { return t == TH_BF16 ? 2 : 4; }

const char *th_dtype_name(th_dtype t) {
    static const char *const names[] = {"f32", "bf16", "i32"};
    return names[t];
}

int64_t th_desc_count(const th_desc *d) {
    int64_t n = 1;
    for (int i = 0; i < d->rank; i++) n *= d->dim[i];
    return n;
}

size_t th_desc_bytes(const th_desc *d) { return (size_t)th_desc_count(d) * th_dtype_bytes(d->dtype); }

bool th_desc_same_shape(const th_desc *a, const th_desc *b) {
    if (a->rank != b->rank) return false;
    for (int i = 0; i < a->rank; i++)
        if (a->dim[i] != b->dim[i]) return false;
    return true;
}

char *th_desc_text(const th_desc *d, char *out) {
    size_t n = (size_t)snprintf(out, TH_DESC_TEXT, "[");
    for (int i = 0; i < d->rank; i++)
        n += (size_t)snprintf(out + n, TH_DESC_TEXT - n, "%s%lld", i ? ", " : "", (long long)d->dim[i]);
    snprintf(out + n, TH_DESC_TEXT - n, "]");
    return out;
}

th_desc th_desc_make(th_dtype t, int rank, const int64_t *dim) {
    th_desc d = {.dtype = t, .rank = rank};
    for (int i = 0; i < rank && i < TH_MAX_RANK; i++) d.dim[i] = dim[i];
    return d;
}
