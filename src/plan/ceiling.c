/* The machine's two ceilings, measured in a few hundredths of a second. */
#include <omp.h>
#include <string.h>

#include "base/machine.h"
#include "base/memory.h"
#include "base/status.h"
#include "theriac/ops.h"
#include "theriac/plan.h"

#define SIDE 1024
#define STREAM ((size_t)64 << 20)

static th_status measure_flops(int threads, th_dtype compute, double *rate) {
    th_graph *g = th_graph_new();
    if (!g) return th_fail_memory();
    th_tensor *a = th_input(g, "a", TH_DESC(TH_F32, SIDE, SIDE)), *b = th_input(g, "b", TH_DESC(TH_F32, SIDE, SIDE));
    /* Three products a cast: what is measured is the product. */
    th_tensor *y = th_matmul(g, th_matmul(g, th_matmul(g, a, b, false, false), b, false, false), b, false, false);
    th_output(g, "y", y);
    th_plan_params params;
    th_plan_params_init(&params);
    params.threads = threads;
    params.compute = compute;
    th_plan *p = NULL;
    th_status s = th_plan_new(g, &params, &p);
    th_graph_free(g);
    if (s != TH_OK) return s;
    *rate = 0;
    for (int i = 0; i < 4 && s == TH_OK; i++) {
        double begin = th_seconds();
        s = th_plan_run(p, 0, 0);
        double own = 3.0 * 2.0 * SIDE * SIDE * SIDE / (th_seconds() - begin);
        if (own > *rate) *rate = own;
    }
    th_plan_free(p);
    return s;
}

static th_status measure_bytes(int threads, double *rate) {
    char *from = th_alloc_big(STREAM), *to = th_alloc_big(STREAM);
    if (!from || !to) {
        th_free_big(from, STREAM);
        th_free_big(to, STREAM);
        return th_fail_memory();
    }
    *rate = 0;
    for (int i = 0; i < 3; i++) { /* the first touches the pages */
        double begin = th_seconds();
#pragma omp parallel for num_threads(threads) schedule(static)
        for (int t = 0; t < threads; t++) {
            size_t a = STREAM / (size_t)threads * (size_t)t, n = STREAM / (size_t)threads;
            if (i == 0) memset(from + a, 1, n);
            memcpy(to + a, from + a, n);
        }
        double own = 2.0 * (double)STREAM / (th_seconds() - begin);
        if (i && own > *rate) *rate = own;
    }
    th_free_big(from, STREAM);
    th_free_big(to, STREAM);
    return TH_OK;
}

th_status th_ceilings_measure(int threads, th_dtype compute, th_ceilings *out) {
    if (threads <= 0) threads = omp_get_max_threads();
    out->threads = threads;
    TH_TRY(measure_flops(threads, compute, &out->flops_per_second));
    return measure_bytes(threads, &out->bytes_per_second);
}

double th_ceilings_seconds(const th_ceilings *c, const th_plan_cost *cost, int cores) {
    double more = (double)cores / (double)c->threads, wider = more > 8 ? 8 : more;
    return (cost->flops + cost->recomputed_flops) / (c->flops_per_second * more) +
           cost->moved_bytes / (c->bytes_per_second * wider);
}
