/* Ranks of classes. */
#include "metric/zeroshot.h"

#include <math.h>
#include <string.h>

#include "metric/dot.h"

const int th_top_k[TH_TOP_COUNT] = {1, 3, 5, 10};

void th_class_embeddings(const float *texts, int64_t classes, int64_t templates, int64_t d, float *out) {
    memset(out, 0, (size_t)(classes * d) * sizeof *out);
    for (int64_t c = 0; c < classes; c++) {
        float *sum = out + c * d;
        for (int64_t t = 0; t < templates; t++)
            for (int64_t i = 0; i < d; i++) sum[i] += texts[(c * templates + t) * d + i];
        float length = sqrtf(th_dot(sum, sum, d));
        for (int64_t i = 0; i < d && length > 0; i++) sum[i] /= length;
    }
}

int64_t th_find_not_finite(const float *rows, int64_t n, int64_t d) {
    for (int64_t i = 0; i < n * d; i++)
        if (!isfinite(rows[i])) return i / d;
    return -1;
}

void th_zeroshot_predict(const th_zeroshot *z, int32_t *out) {
    for (int64_t i = 0; i < z->n; i++) {
        float best = -INFINITY;
        out[i] = 0;
        for (int64_t c = 0; c < z->count; c++) {
            float s = th_dot(z->images + i * z->d, z->classes + c * z->d, z->d);
            if (s > best) best = s, out[i] = (int32_t)c;
        }
    }
}

/* How many classes are nearer to picture i than class `of`; a tie counts against it, and so does a similarity that is
 * not a number, on either side. */
static int64_t rank(const th_zeroshot *z, int64_t i, int64_t of) {
    const float *image = z->images + i * z->d;
    float own = th_dot(image, z->classes + of * z->d, z->d);
    int64_t nearer = 0;
    for (int64_t c = 0; c < z->count; c++) nearer += c != of && !(th_dot(image, z->classes + c * z->d, z->d) < own);
    return nearer;
}

void th_zeroshot_hits(const th_zeroshot *z, bool *out) {
    for (int64_t i = 0; i < z->n; i++) out[i] = z->labels[i] >= 0 && rank(z, i, z->labels[i]) == 0;
}

void th_zeroshot_accuracy(const th_zeroshot *z, th_accuracy *out) {
    int64_t hits[TH_TOP_COUNT] = {0}, n = 0;
    for (int64_t i = 0; i < z->n; i++) {
        if (z->labels[i] < 0) continue;
        int64_t r = rank(z, i, z->labels[i]);
        for (int k = 0; k < TH_TOP_COUNT; k++) hits[k] += r < th_top_k[k];
        n++;
    }
    for (int k = 0; k < TH_TOP_COUNT; k++) out->accuracy[k] = th_share(hits[k], n);
    out->n = n;
}

void th_zeroshot_target_rate(const th_zeroshot *z, int32_t target, th_target_rate *out) {
    int64_t hits[TH_TOP_COUNT] = {0}, n = 0;
    for (int64_t i = 0; i < z->n; i++) {
        if (z->labels[i] < 0 || z->labels[i] == target) continue;
        int64_t r = rank(z, i, target);
        for (int k = 0; k < TH_TOP_COUNT; k++) hits[k] += r < th_top_k[k];
        n++;
    }
    for (int k = 0; k < TH_TOP_COUNT; k++) out->rate[k] = th_share(hits[k], n);
    out->n = n;
}
