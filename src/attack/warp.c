/* Warps, one row of the picture at a time. */
#include "attack/warp.h"

#include <math.h>
#include <string.h>

#include "attack/attack.h"
#include "base/memory.h"

/* Four neighbours on an axis of k values and their weights (Keys 1981, a = −0.75); beyond the ends the last one stands
 * again. */
typedef struct {
    int32_t at[4];
    float weight[4];
} taps;

static float keys_near(float t) { return (1.25f * t - 2.25f) * t * t + 1.0f; }          /* t ≤ 1 */
static float keys_far(float t) { return ((-0.75f * t + 3.75f) * t - 6.0f) * t + 3.0f; } /* 1 < t < 2 */
static int32_t clamped(int32_t i, int32_t n) { return i < 0 ? 0 : i >= n ? n - 1 : i; }

static taps taps_at(int32_t i, int32_t n, int32_t k) {
    float place = n > 1 ? (float)i * (float)(k - 1) / (float)(n - 1) : 0.0f;
    int32_t low = (int32_t)place;
    float t = place - (float)low;
    taps all = {.weight = {keys_far(t + 1), keys_near(t), keys_near(1 - t), keys_far(2 - t)}};
    for (int32_t j = 0; j < 4; j++) all.at[j] = clamped(low + j - 1, k);
    return all;
}

/* Where on an axis of n pixels the i-th is taken from. */
static float source(int32_t i, int32_t n, float offset) {
    if (n == 1) return 0.0f;
    float v = -1.0f + 2.0f * (float)i / (float)(n - 1) + offset / (float)n;
    v = v < -1.0f ? -1.0f : v > 1.0f ? 1.0f : v;
    return (v + 1.0f) * 0.5f * (float)(n - 1);
}

static void sample(const th_image *from, float x, float y, uint8_t out[3]) {
    int32_t left = (int32_t)x, top = (int32_t)y;
    int32_t right = clamped(left + 1, from->width), below = clamped(top + 1, from->height);
    float u = x - (float)left, v = y - (float)top;
    const uint8_t *a = th_image_row(from, top), *b = th_image_row(from, below);
    for (int c = 0; c < 3; c++) {
        float upper = (1 - u) * a[3 * (size_t)left + c] + u * a[3 * (size_t)right + c];
        float lower = (1 - u) * b[3 * (size_t)left + c] + u * b[3 * (size_t)right + c];
        out[c] = th_to_byte((1 - v) * upper + v * lower);
    }
}

static void warp_row(const float *grid, int32_t k, float strength, const th_image *from, int32_t y, float *line,
                     uint8_t *out) {
    taps down = taps_at(y, from->height, k);
    for (int32_t i = 0; i < 2 * k; i++) { /* line: [2, k], the grid at this row of the picture */
        const float *plane = grid + (size_t)(i / k) * (size_t)k * (size_t)k + i % k;
        line[i] = 0;
        for (int j = 0; j < 4; j++) line[i] += down.weight[j] * plane[(size_t)down.at[j] * (size_t)k];
    }
    for (int32_t x = 0; x < from->width; x++) {
        taps along = taps_at(x, from->width, k);
        float dx = 0, dy = 0;
        for (int j = 0; j < 4; j++) {
            dx += along.weight[j] * line[along.at[j]];
            dy += along.weight[j] * line[k + along.at[j]];
        }
        sample(from, source(x, from->width, strength * dx), source(y, from->height, strength * dy),
               out + 3 * (size_t)x);
    }
}

th_status th_warp(const float *grid, int32_t k, float strength, th_image *im) {
    th_image from = {.width = im->width, .height = im->height};
    float *line = th_alloc(2 * (size_t)k, sizeof *line);
    from.pixels = th_alloc(th_image_bytes(im), 1);
    th_status s = line && from.pixels ? TH_OK : th_fail_memory();
    if (s == TH_OK) {
        memcpy(from.pixels, im->pixels, th_image_bytes(im));
        for (int32_t y = 0; y < im->height; y++) warp_row(grid, k, strength, &from, y, line, th_image_row(im, y));
    }
    th_free(from.pixels);
    th_free(line);
    return s;
}
