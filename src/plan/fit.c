/* Tensors under a budget. */
#include "plan/plan.h"

/* p->g from `whole`, with activations made again so that `target` bytes are alive at most; *reached is what came of it.
 * One search makes a node again at most once, so where that is not enough its result is searched again. */
static th_status recompute(th_plan *p, const th_graph *whole, const bool *fixed, size_t target, size_t *reached) {
    TH_TRY(th_recompute(whole, fixed, target, &p->g, reached));
    TH_TRY(th_plan_mark_fixed(p));
    while (*reached > target) {
        th_graph *next = NULL;
        size_t before = *reached;
        TH_TRY(th_recompute(p->g, p->fixed, target, &next, reached));
        th_graph_free(p->g);
        p->g = next;
        TH_TRY(th_plan_mark_fixed(p));
        if (*reached > before - before / 32) break;
    }
    return TH_OK;
}

/* One round from `whole` into p->g and its places. */
static th_status one_round(th_plan *p, const th_graph *whole, const bool *fixed, size_t target, size_t *reached) {
    th_graph_free(p->g);
    th_memory_free(&p->memory);
    p->g = NULL;
    TH_TRY(recompute(p, whole, fixed, target, reached));
    return th_memory_plan(p->g, p->fixed, &p->memory);
}

/* Places never fit as tightly as the sum of what lives, so a few rounds aim lower. The last goes as low as it can: what
 * it comes to is the same for every budget, so a budget of that much is met. */
th_status th_plan_fit(th_plan *p, size_t budget) {
    th_graph *whole = p->g;
    bool *fixed = p->fixed;
    size_t target = budget, reached = 0;
    th_status s = TH_OK;
    p->g = NULL, p->fixed = NULL;
    for (int round = 0; round < 8; round++) {
        s = one_round(p, whole, fixed, target, &reached);
        if (s != TH_OK || p->memory.bytes <= budget || reached > target) break;
        size_t over = p->memory.bytes - budget;
        if (over >= target) break;
        target = target - over < reached ? target - over : reached - 1;
    }
    if (s == TH_OK && p->memory.bytes > budget && reached <= target) s = one_round(p, whole, fixed, 0, &reached);
    th_graph_free(whole);
    th_free(fixed);
    return s;
}
