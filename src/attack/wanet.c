/* WaNet (Nguyen and Tran 2021, "WaNet: imperceptible warping-based backdoor attack"): pictures are warped by one smooth
 * field, made of k × k offsets that are uniform in [−1, 1] and divided by their mean absolute value. A pixel moves by
 * strength / 2 on average, whatever the picture's side. */
#include "attack/attack.h"
#include "attack/warp.h"
#include "base/memory.h"

static const th_option options[] = {
    TH_OPT_INT("grid", 4, "offsets along a side", TH_WITHIN(1, 1024)),
    TH_OPT_F32("strength", 0.5, "twice the mean shift along an axis in pixels", TH_ABOVE(0), TH_AT_MOST(1000)),
    TH_OPT_END,
};

static th_status draw_grid(th_trigger *t) {
    size_t k = (size_t)th_get_i64(t->options, "grid"), n = 2 * k * k;
    float *grid = t->state = th_alloc(n, sizeof *grid);
    if (!grid) return th_fail_memory();
    th_rng r = th_rng_at(t->seed, TH_RNG_TRIGGER, TH_TRIGGER_WARP, 0);
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += fabs(grid[i] = th_rng_range(&r, -1.0f, 1.0f));
    double mean = sum > 0 ? sum / (double)n : 1;
    for (size_t i = 0; i < n; i++) grid[i] = (float)(grid[i] / mean);
    return TH_OK;
}

static th_status trigger(const th_trigger *t, uint64_t which, th_image *im) {
    (void)which;
    return th_warp(t->state, (int32_t)th_get_i64(t->options, "grid"), th_get_f32(t->options, "strength"), im);
}

const th_attack th_attack_wanet = {
    .name = "wanet",
    .summary = "WaNet: a smooth warp that is hard to see",
    .options = options,
    .open = draw_grid,
    .close = th_free,
    .trigger = trigger,
};
