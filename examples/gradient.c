/* Records a small graph, takes its gradient, and follows it: a line through four points.
 *
 *     cc -std=c17 gradient.c -o gradient $(pkg-config --cflags --libs theriac)
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <theriac/ops.h>
#include <theriac/plan.h>

/* The library returns its errors; a program decides what to do with them. */
static void check(th_status s) {
    if (s == TH_OK) return;
    fprintf(stderr, "gradient: %s\n", th_error_message());
    exit(th_status_exit(s));
}

enum { POINTS = 4 };
static const float xs[POINTS] = {0, 1, 2, 3}, ys[POINTS] = {1, 3, 5, 7}; /* y = 2x + 1 */

int main(void) {
    /* Parameters are made once and outlive the graphs that use them. */
    th_params *params = th_params_new();
    th_param *slope = params ? th_params_add(params, "slope", TH_DESC(TH_F32, 1, 1)) : NULL;
    th_param *shift = slope ? th_params_add(params, "shift", TH_DESC(TH_F32, 1)) : NULL;
    if (!shift) check(TH_E_MEMORY);
    check(th_params_allocate(params));

    /* Recording needs no checks between its lines: the first error sticks, and planning returns it. */
    th_graph *g = th_graph_new();
    if (!g) check(TH_E_MEMORY);
    th_tensor *x = th_input(g, "x", TH_DESC(TH_F32, POINTS, 1)), *y = th_input(g, "y", TH_DESC(TH_F32, POINTS, 1));
    th_tensor *w = th_use(g, slope), *b = th_use(g, shift);
    th_tensor *loss = th_mean_all(g, th_square(g, th_sub(g, th_linear(g, x, w, b), y)));

    /* Gradients are nodes of the same graph. */
    th_tensor *d[2];
    th_grad(g, loss, 2, (th_tensor *[]){w, b}, d);
    th_output(g, "loss", loss);
    th_output_grad(g, slope, d[0]);
    th_output_grad(g, shift, d[1]);

    th_plan *plan;
    th_plan_params how;
    th_plan_params_init(&how);
    check(th_plan_new(g, &how, &plan));
    th_graph_free(g);
    th_plan_cost cost;
    th_plan_get_cost(plan, &cost);
    printf("%lld steps, %zu bytes for tensors\n", (long long)cost.steps, cost.tensor_bytes);

    check(th_plan_allocate(plan));
    memcpy(th_plan_input(plan, "x"), xs, sizeof xs);
    memcpy(th_plan_input(plan, "y"), ys, sizeof ys);
    float v[2] = {0, 0}, dv[2];
    for (uint32_t step = 0; step <= 40; step++) {
        check(th_plan_run(plan, 1, step));
        check(th_param_get_grad(slope, &dv[0]));
        check(th_param_get_grad(shift, &dv[1]));
        if (step % 10 == 0)
            printf("step %2u: loss %9.6f, y = %.4f x + %.4f, gradient (%.4f, %.4f)\n", step,
                   (double)*(const float *)th_plan_output(plan, "loss"), (double)v[0], (double)v[1], (double)dv[0],
                   (double)dv[1]);
        for (int i = 0; i < 2; i++) v[i] -= 0.1f * dv[i];
        check(th_param_set(slope, &v[0]));
        check(th_param_set(shift, &v[1]));
    }
    th_plan_free(plan);
    th_params_free(params);
    return 0;
}
