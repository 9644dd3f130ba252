/* Strided copies. */
#include "ops/strided.h"

#include <string.h>

void th_strided_add(th_strided *s, int64_t dim, int64_t from, int64_t to) {
    if (dim == 1 && s->rank) return;
    if (s->rank) {
        int i = s->rank - 1;
        if (s->dim[i] == 1) {
            s->rank = i; /* a leading 1 gives way */
        } else if (s->from[i] == dim * from && s->to[i] == dim * to) {
            s->dim[i] *= dim;
            s->from[i] = from;
            s->to[i] = to;
            return;
        }
    }
    s->dim[s->rank] = dim;
    s->from[s->rank] = from;
    s->to[s->rank++] = to;
}

int64_t th_strided_rows(const th_strided *s) {
    int64_t rows = 1;
    for (int i = 0; i + 1 < s->rank; i++) rows *= s->dim[i];
    return rows;
}

static void copy_row(size_t size, const char *from, int64_t from_stride, char *to, int64_t to_stride, int64_t n) {
    if (from_stride == 1 && to_stride == 1) {
        memcpy(to, from, (size_t)n * size);
    } else if (size == 4) {
        for (int64_t i = 0; i < n; i++) ((uint32_t *)to)[i * to_stride] = ((const uint32_t *)from)[i * from_stride];
    } else {
        for (int64_t i = 0; i < n; i++) ((uint16_t *)to)[i * to_stride] = ((const uint16_t *)from)[i * from_stride];
    }
}

void th_strided_copy(const th_strided *s, size_t size, const void *from, void *to, int64_t begin, int64_t end) {
    int last = s->rank - 1;
    if (last < 0) {
        if (begin < end) memcpy(to, from, size);
        return;
    }
    for (int64_t row = begin; row < end; row++) {
        int64_t rest = row, f = 0, t = 0;
        for (int i = last - 1; i >= 0; i--) {
            int64_t at = rest % s->dim[i];
            rest /= s->dim[i];
            f += at * s->from[i];
            t += at * s->to[i];
        }
        copy_row(size, (const char *)from + f * (int64_t)size, s->from[last], (char *)to + t * (int64_t)size,
                 s->to[last], s->dim[last]);
    }
}

void th_strided_copy_f64(const th_strided *s, const double *from, double *to) {
    int64_t count = 1;
    for (int i = 0; i < s->rank; i++) count *= s->dim[i];
    for (int64_t e = 0; e < count; e++) {
        int64_t rest = e, f = 0, t = 0;
        for (int i = s->rank - 1; i >= 0; i--) {
            int64_t at = rest % s->dim[i];
            rest /= s->dim[i];
            f += at * s->from[i];
            t += at * s->to[i];
        }
        to[t] = from[f];
    }
}

int64_t th_strided_inner(const th_desc *d, int64_t axis) {
    int64_t inner = 1;
    for (int i = (int)axis + 1; i < d->rank; i++) inner *= d->dim[i];
    return inner;
}

th_strided th_strided_part(const th_desc *whole, int64_t axis, int64_t size) {
    int64_t outer = 1, inner = th_strided_inner(whole, axis);
    for (int i = 0; i < axis; i++) outer *= whole->dim[i];
    th_strided s = {0};
    th_strided_add(&s, outer, size * inner, whole->dim[axis] * inner);
    th_strided_add(&s, size * inner, 1, 1);
    return s;
}
