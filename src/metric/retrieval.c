/* Recall at k, both ways. */
#include "base/memory.h"
#include "metric/dot.h"
#include "metric/zeroshot.h"

const int th_recall_k[TH_RECALL_COUNT] = {1, 5, 10};

/* Rank of each caption's image among the images. Here and below "not farther" is also what is not a number. hits
 * [TH_RECALL_COUNT, n]: captions of each image that find it. */
static void find_images(const float *images, int64_t n, const float *captions, const int64_t *owner, int64_t m,
                        int64_t d, int64_t *hits) {
    for (int64_t j = 0; j < m; j++) {
        const float *caption = captions + j * d;
        float own = th_dot(caption, images + owner[j] * d, d);
        int64_t nearer = 0;
        for (int64_t i = 0; i < n; i++) nearer += i != owner[j] && !(th_dot(caption, images + i * d, d) < own);
        for (int k = 0; k < TH_RECALL_COUNT; k++) hits[k * n + owner[j]] += nearer < th_recall_k[k];
    }
}

/* For each image the best of its own captions, and how many of others' are nearer. */
static void find_captions(const float *images, int64_t n, const float *captions, const int64_t *owner, int64_t m,
                          int64_t d, float *score, int64_t *hits, int64_t *counted) {
    for (int64_t i = 0; i < n; i++) {
        float best = -2.0f;
        bool any = false;
        for (int64_t j = 0; j < m; j++) {
            score[j] = th_dot(images + i * d, captions + j * d, d);
            if (owner[j] == i && score[j] > best) best = score[j];
            any |= owner[j] == i;
        }
        if (!any) continue;
        int64_t nearer = 0;
        for (int64_t j = 0; j < m; j++) nearer += owner[j] != i && !(score[j] < best);
        for (int k = 0; k < TH_RECALL_COUNT; k++) hits[k] += nearer < th_recall_k[k];
        ++*counted;
    }
}

static th_status measure(const float *images, int64_t n, const float *captions, const int64_t *owner, int64_t m,
                         int64_t d, th_retrieval *out, int64_t *hits, int64_t *own, float *score) {
    int64_t to_text[TH_RECALL_COUNT] = {0}, counted = 0;
    for (int64_t j = 0; j < m; j++) own[owner[j]]++;
    find_images(images, n, captions, owner, m, d, hits);
    find_captions(images, n, captions, owner, m, d, score, to_text, &counted);
    for (int k = 0; k < TH_RECALL_COUNT; k++) {
        TH_TRY(th_share_of_groups(hits + k * n, own, n, &out->text_to_image[k]));
        out->image_to_text[k] = th_share(to_text[k], counted);
    }
    out->images = n;
    out->captions = m;
    return TH_OK;
}

th_status th_retrieval_measure(const float *images, int64_t n, const float *captions, const int64_t *owner, int64_t m,
                               int64_t d, th_retrieval *out) {
    int64_t *hits = th_alloc((size_t)n * TH_RECALL_COUNT + 1, sizeof *hits),
            *own = th_alloc((size_t)n + 1, sizeof *own); /* captions of each image */
    float *score = th_alloc((size_t)m + 1, sizeof *score);
    th_status s =
        hits && own && score ? measure(images, n, captions, owner, m, d, out, hits, own, score) : th_fail_memory();
    th_free(hits);
    th_free(own);
    th_free(score);
    return s;
}
