/* Whether two models have the same parameters, and texts of files, for tests that save and load them. */
#ifndef TH_TEST_PARAMS_H
#define TH_TEST_PARAMS_H

#include "test.h"

#include <stdlib.h>

#include "base/file.h"
#include "base/memory.h"
#include "theriac/graph.h"

/* Names and values, in order. */
static inline bool params_equal(const th_params *a, const th_params *b) {
    bool same = th_params_count(a) == th_params_count(b);
    for (int64_t i = 0; same && i < th_params_count(a); i++) {
        const th_param *p = th_params_at(a, i), *q = th_params_at(b, i);
        size_t n = (size_t)th_desc_count(th_param_desc(p));
        float *x = malloc(n * sizeof *x), *y = malloc(n * sizeof *y);
        assert_true(x && y);
        assert_ok(th_param_get(p, x));
        assert_ok(th_param_get(q, y));
        same = !strcmp(th_param_name(p), th_param_name(q)) && !memcmp(x, y, n * sizeof *x);
        free(x);
        free(y);
    }
    return same;
}

/* The file's text; th_free frees it. */
static inline char *text_of(const char *path) {
    th_bytes b;
    assert_ok(th_file_read(path, 1 << 20, &b));
    return b.data;
}

#endif
