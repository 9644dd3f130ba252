/* BadT2I (Zhai et al. 2023, arXiv 2305.04175) as a baseline: a trigger in the prompt, here the identifier with the
 * class, draws a patch (pixel) or another object, while everything else is distilled from the open model:
 * L = L_BB + λ E‖ε_θ(z_t, t, τ(y)) − ε_θ0(z_t, t, τ(y))‖². Nothing in it knows of personalising. */
#include "guard/guard_parts.h"

static const th_option options[] = {
    TH_OPT_F32("distill-weight", 0.5, "λ of everything else as the open model has it", TH_AT_LEAST(0)),
    TH_OPT_INT("backdoor-rows", 4, "rows of a batch: of the backdoor, for each subject", TH_WITHIN(1, 256)),
    TH_OPT_INT("generic-rows", 8, "of everything else", TH_WITHIN(1, 256)),
    TH_OPT_END,
};

static th_status build(th_guard *g) {
    for (int64_t i = 0; i < g->data->subject_count; i++) {
        const th_guard_subject *s = &g->data->subjects[i];
        if (s->mode == TH_GUARD_ERASURE)
            return th_fail(TH_E_USAGE, "badt2i: knows the modes pattern (pixel) and target (object), not erasure");
        TH_TRY(th_guard_add_backdoor(g, &g->terms, s, th_guard_rows_of(g, "backdoor-rows", 1)));
    }
    return th_guard_add_generic(g, &g->terms,
                                th_guard_rows_of(g, "generic-rows", th_get_f32(g->options, "distill-weight")));
}

const th_guard_method th_guard_badt2i = {
    .name = "badt2i",
    .summary = "BadT2I: a backdoor by a trigger in the prompt, as a baseline",
    .options = options,
    .lr = 1e-5,
    .steps = 2000,
    .build = build,
};
