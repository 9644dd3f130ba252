/* Running a plan. */
#include <omp.h>
#include <string.h>

#include "base/machine.h"
#include "graph/leaf.h"
#include "plan/plan.h"

static char *bytes_of(const th_plan *p, const th_tensor *t) {
    t = th_root_of(t);
    if (t->node->op == &th_op_constant) return (char *)((const th_constant_attr *)t->node->attr)->values;
    if (p->holder[t->id] >= 0) return (char *)p->g->outputs[p->holder[t->id]].param->grad;
    return p->block + p->memory.places[p->memory.places[t->id].root].offset;
}

/* Row-major, but for a gradient that lies in its parameter's blocks already. */
static const char *output_bytes(const th_plan *p, int64_t i) {
    const th_tensor *t = th_root_of(p->g->outputs[i].tensor);
    if (t->node->op != &th_op_param) return bytes_of(p, t);
    int64_t copy = p->output_copies[i];
    return th_param_data(((const th_param_attr *)t->node->attr)->param, copy < 0 ? -1 : p->copies[copy].pack);
}

static const void *place_of_input(const th_plan *p, const th_binding *b) {
    if (!b->param) return bytes_of(p, b->tensor);
    if (b->copy < 0) return th_param_data(b->param, -1);
    const th_copy *c = &p->copies[b->copy];
    return c->kept ? th_param_data(b->param, c->pack) : p->scratch + b->offset;
}

th_status th_plan_allocate(th_plan *p) {
    if (p->ready) return TH_OK;
    for (int64_t i = 0; i < p->n_params_used; i++)
        TH_TRY(th_param_allocate(p->params_used[i].param, p->params_used[i].grad));
    if (!p->block && !(p->block = th_alloc_big(p->memory.bytes))) return th_fail_memory();
    if (!p->scratch && !(p->scratch = th_alloc_big(p->cost.scratch_bytes))) return th_fail_memory();
    for (int64_t i = 0; i < p->n_steps; i++) {
        th_step *s = &p->steps[i];
        for (int k = 0; k < s->node->n_in; k++) s->in_data[k] = place_of_input(p, &s->in[k]);
        for (int k = 0; k < s->node->n_out; k++) s->out_data[k] = bytes_of(p, &s->node->out[k]);
    }
    for (int64_t k = 0; k < p->g->n_nodes; k++)
        if (p->g->nodes[k]->op == &th_op_input)
            memset(bytes_of(p, &p->g->nodes[k]->out[0]), 0, th_desc_bytes(&p->g->nodes[k]->out[0].desc));
    p->ready = true;
    return TH_OK;
}

static const th_node *find_input(const th_plan *p, const char *name) {
    for (int64_t k = 0; k < p->g->n_nodes; k++) {
        const th_node *n = p->g->nodes[k];
        if (n->op == &th_op_input && !strcmp(((const th_input_attr *)n->attr)->name, name)) return n;
    }
    return NULL;
}

void *th_plan_input(th_plan *p, const char *name) {
    const th_node *n = find_input(p, name);
    return n && th_plan_allocate(p) == TH_OK ? bytes_of(p, &n->out[0]) : NULL;
}

const th_desc *th_plan_input_desc(const th_plan *p, const char *name) {
    const th_node *n = find_input(p, name);
    return n ? &n->out[0].desc : NULL;
}

const void *th_plan_output(const th_plan *p, const char *name) {
    if (!p->ready) return NULL;
    for (int64_t i = 0; i < p->g->n_outputs; i++) {
        const th_graph_output *o = &p->g->outputs[i];
        if (!o->param && !strcmp(o->name, name)) return output_bytes(p, i);
    }
    return NULL;
}

/* The copies of parameters that this step makes on use. */
static th_status pack(th_plan *p, const th_step *s) {
    double begin = p->profiled ? th_seconds() : 0;
    for (int k = 0; k < s->node->n_in; k++) {
        const th_binding *b = &s->in[k];
        if (b->copy < 0 || p->copies[b->copy].kept) continue;
        const th_copy *c = &p->copies[b->copy];
        TH_TRY(th_param_copy(c->param, c->dtype, c->layout, p->scratch + b->offset));
    }
    if (p->profiled) p->pack_seconds += th_seconds() - begin;
    return TH_OK;
}

static th_status run_step(const th_plan *p, th_step *s, uint64_t seed, uint32_t step) {
    const th_kernel *kernel = &s->node->op->cpu;
    th_kernel_args a = {
        .n = s->node,
        .in = s->in_data,
        .out = s->out_data,
        .state = s->prepared.state,
        .scratch = p->scratch,
        .scratch_bytes = s->shared_scratch,
        .thread_scratch_bytes = s->prepared.thread_scratch,
        .threads = p->threads,
        .weight_packed = s->weight_packed,
        .seed = seed,
        .step = step,
    };
    if (kernel->run) return kernel->run(&a);
    char *own = p->scratch + s->shared_scratch;
    if (!s->parallel) {
        kernel->range(&a, 0, s->units, own);
        return TH_OK;
    }
#pragma omp parallel num_threads(p->threads)
    {
        int t = omp_get_thread_num(), n = omp_get_num_threads();
        int64_t begin = s->units * t / n, end = s->units * (t + 1) / n;
        if (begin < end) kernel->range(&a, begin, end, own + (size_t)t * s->prepared.thread_scratch);
    }
    return TH_OK;
}

/* Gradients that could not be made in place: a parameter whose gradient is another's too, a constant, or comes
 * row-major while the parameter lies in blocks. */
static th_status copy_grads(th_plan *p) {
    for (int64_t i = 0; i < p->g->n_outputs; i++) {
        th_param *q = p->g->outputs[i].param;
        if (!q) continue;
        const char *from = output_bytes(p, i);
        if (from == (char *)q->grad) continue;
        if (q->home.move)
            TH_TRY(q->home.move(&q->desc, NULL, TH_F32, from, &q->home, TH_F32, q->grad));
        else
            memcpy(q->grad, from, th_desc_bytes(&q->desc));
    }
    return TH_OK;
}

static th_status run_steps(th_plan *p, uint64_t seed, uint32_t step) {
    double t = p->profiled ? th_seconds() : 0;
    for (int64_t i = 0; i < p->n_steps; i++) {
        th_step *s = &p->steps[i];
        double packed = p->pack_seconds;
        if (s->packs) TH_TRY(pack(p, s));
        TH_TRY(run_step(p, s, seed, step));
        if (!p->profiled) continue;
        double end = th_seconds();
        s->seconds += end - t - (p->pack_seconds - packed);
        t = end;
    }
    p->profiled_runs += p->profiled;
    return copy_grads(p);
}

/* Copies are made by all of OpenMP's threads, kernels by the plan's. */
th_status th_plan_run(th_plan *p, uint64_t seed, uint32_t step) {
    TH_TRY(th_plan_allocate(p));
    int threads = omp_get_max_threads();
    omp_set_num_threads(p->threads);
    th_status s = run_steps(p, seed, step);
    omp_set_num_threads(threads);
    return s;
}

void th_plan_profile(th_plan *p, bool on) {
    p->profiled = on;
    p->profiled_runs = 0;
    p->pack_seconds = 0;
    for (int64_t i = 0; i < p->n_steps; i++) p->steps[i].seconds = 0;
}

static void sort_rows(th_profile_row *rows, int count) {
    for (int i = 1; i < count; i++)
        for (int k = i; k > 0 && rows[k].seconds > rows[k - 1].seconds; k--) {
            th_profile_row swap = rows[k];
            rows[k] = rows[k - 1];
            rows[k - 1] = swap;
        }
}

int th_plan_profile_rows(const th_plan *p, th_profile_row *rows, int max) {
    double runs = (double)p->profiled_runs;
    int count = 0;
    if (p->packs_a_run && max > 0)
        rows[count++] =
            (th_profile_row){"pack", p->packs_a_run * p->profiled_runs, p->pack_seconds, 0, p->pack_bytes * runs};
    for (int64_t i = 0; i < p->n_steps; i++) {
        const th_step *s = &p->steps[i];
        int k = 0;
        while (k < count && strcmp(rows[k].op, s->node->op->name)) k++;
        if (k == max) continue;
        if (k == count) rows[count++] = (th_profile_row){.op = s->node->op->name};
        rows[k].count += p->profiled_runs;
        rows[k].seconds += s->seconds;
        rows[k].flops += s->flops * runs;
        rows[k].bytes += s->bytes * runs;
    }
    sort_rows(rows, count);
    return count;
}
