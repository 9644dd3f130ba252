/* States of texts, one at a time. */
#include "diffusion/text_states.h"

#include <string.h>

#include "theriac/plan.h"

static int64_t context(const th_sd *sd) { return th_text_encoder_get_config(sd->text)->context; }

int64_t th_text_states_size(const th_sd *sd) { return context(sd) * th_text_encoder_get_config(sd->text)->tower.width; }

static th_status make_plan(const th_sd *sd, int threads, th_plan **out) {
    th_graph *g = th_graph_new();
    if (!g) return th_fail_memory();
    th_tensor *ids = th_input(g, "ids", TH_DESC(TH_I32, 1, context(sd)));
    th_output(g, "states", th_text_encoder_apply(g, sd->text, ids));
    th_plan_params params;
    th_plan_params_init(&params);
    params.threads = threads;
    th_status s = th_plan_new(g, &params, out);
    th_graph_free(g);
    return s;
}

static th_status run(const th_sd *sd, th_plan *plan, const int32_t *ids, int64_t n, float *states) {
    int64_t size = th_text_states_size(sd), tokens = context(sd);
    TH_TRY(th_plan_allocate(plan));
    for (int64_t i = 0; i < n; i++) {
        memcpy(th_plan_input(plan, "ids"), ids + i * tokens, (size_t)tokens * sizeof *ids);
        TH_TRY(th_plan_run(plan, 0, 0));
        memcpy(states + i * size, th_plan_output(plan, "states"), (size_t)size * sizeof *states);
    }
    return TH_OK;
}

th_status th_text_states(const th_sd *sd, const int32_t *ids, int64_t n, int threads, float *states) {
    th_plan *plan = NULL;
    TH_TRY(make_plan(sd, threads, &plan));
    th_status s = run(sd, plan, ids, n, states);
    th_plan_free(plan);
    return s;
}
