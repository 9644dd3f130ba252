/* theriac bench: how close to the machine's limit a step of training or a look of inference runs, and what memory it
 * takes against what was planned. */
#include <stdlib.h>
#include <string.h>

#include "base/machine.h"
#include "base/memory.h"
#include "base/number.h"
#include "cli/bench_kind.h"
#include "cli/frame.h"
#include "theriac/ops.h"
#include "train/optimizer.h"

static const th_option options[] = {
    TH_OPT_INT("batch", 0, "pairs or pictures in a batch; 0: 64 of CLIP, 1 of Stable Diffusion, 2 to denoise",
               TH_AT_LEAST(0)),
    TH_OPT_INT("size", 0, "side of a picture in pixels; 0: the model's own", TH_WITHIN(0, 4096)),
    TH_OPT_CHOICE("dtype", "f32|bf16", "f32", "what products are computed in"),
    TH_OPT_INT("repeat", 3, "steps that are timed; the best counts", TH_AT_LEAST(1)),
    TH_OPT_INT("threads", 0, "threads; 0: all", TH_AT_LEAST(0)),
    TH_OPT_SIZE("memory", 0, "budget for all of it; 0: none"),
    TH_OPT_BOOL("profile", false, "show the time of each kind of operation"),
    TH_OPT_END,
};

/* The last one takes every name. */
static const th_bench_kind *const steps[] = {
    &th_bench_sd_unet, &th_bench_sd_unet_text, &th_bench_sd_lora, &th_bench_clip, NULL,
};
static const th_bench_kind *const looks[] = {&th_bench_sd_denoise, NULL};

/* This process' anonymous memory: the most so far, as the system counts it, and what is in use now. Files that are
 * mapped, such as the program itself, are no part of it. */
static size_t most_anonymous_bytes(void) {
    size_t most = 0, files = 0, shared = 0;
    FILE *f = fopen("/proc/self/status", "re");
    char line[256];
    while (f && fgets(line, sizeof line, f)) {
        (void)sscanf(line, "VmHWM: %zu kB", &most);
        (void)sscanf(line, "RssFile: %zu kB", &files);
        (void)sscanf(line, "RssShmem: %zu kB", &shared);
    }
    if (f) fclose(f);
    return most > files + shared ? (most - files - shared) << 10 : 0;
}

/* A square product as a plan of its own: what the machine can do at best in this dtype. */
#define PEAK_SIDE 2048
static th_status peak_plan(const th_plan_params *params, th_plan **out) {
    th_graph *g = th_graph_new();
    if (!g) return th_fail_memory();
    th_tensor *a = th_input(g, "a", TH_DESC(TH_F32, PEAK_SIDE, PEAK_SIDE));
    th_tensor *b = th_input(g, "b", TH_DESC(TH_F32, PEAK_SIDE, PEAK_SIDE));
    th_output(g, "y", th_matmul(g, a, b, false, false));
    th_status s = th_plan_new(g, params, out);
    th_graph_free(g);
    return s;
}

typedef struct {
    const th_bench_kind *kind;
    th_bench_size size;
    void *model;
    th_params *trained; /* the model's; NULL: nothing is */
    th_plan *step, *peak;
    th_optimizer *optimizer;
    int threads;
    double seconds, gflops, peak_gflops;
    size_t used;
    th_plan_cost cost;
} work;

/* Values come after the plan, which says how they lie. */
static th_status make_step(work *w, const th_plan_params *params) {
    th_graph *g = th_graph_new();
    if (!g) return th_fail_memory();
    w->kind->record(g, w->model, &w->size);
    th_status s = th_plan_new(g, params, &w->step);
    th_graph_free(g);
    if (s != TH_OK) return s;
    th_plan_get_cost(w->step, &w->cost);
    w->threads = th_plan_threads(w->step);
    TH_TRY(w->kind->randomize(w->model));
    th_adamw_params adamw;
    th_adamw_params_init(&adamw);
    return w->trained ? th_optimizer_new(w->trained, &adamw, NULL, &w->optimizer) : TH_OK;
}

static th_status one_step(work *w, double *seconds) {
    double begin = th_seconds();
    TH_TRY(th_plan_run(w->step, 0, 0));
    if (w->optimizer) TH_TRY(th_optimizer_step(w->optimizer, 1e-5f, w->threads, NULL));
    *seconds = th_seconds() - begin;
    return TH_OK;
}

static th_status best_peak(work *w) {
    const double flops = 2.0 * PEAK_SIDE * PEAK_SIDE * PEAK_SIDE;
    for (int i = 0; i < 5; i++) {
        double begin = th_seconds();
        TH_TRY(th_plan_run(w->peak, 0, 0));
        double rate = flops / (th_seconds() - begin) * 1e-9;
        if (rate > w->peak_gflops) w->peak_gflops = rate;
    }
    return TH_OK;
}

static th_status measure(th_cli *cli, work *w) {
    double seconds;
    int64_t repeat = th_get_i64(cli->options, "repeat");
    w->kind->fill(w->step, w->model, &w->size);
    TH_TRY(one_step(w, &seconds)); /* first touches of memory are no part of a step */
    w->used = most_anonymous_bytes();
    th_plan_profile(w->step, th_get_bool(cli->options, "profile"));
    for (int64_t i = 0; i < repeat; i++) {
        if (th_stopped(&cli->watch)) return th_fail(TH_E_INTERRUPTED, "stopped");
        TH_TRY(best_peak(w));
        TH_TRY(one_step(w, &seconds));
        if (i == 0 || seconds < w->seconds) w->seconds = seconds;
        th_report(&cli->watch, "steps", i + 1, repeat, NULL);
    }
    TH_TRY(best_peak(w));
    w->gflops = w->cost.flops / w->seconds * 1e-9;
    return TH_OK;
}

static void print_profile(th_cli *cli, const work *w) {
    th_profile_row rows[64];
    int n = th_plan_profile_rows(w->step, rows, 64);
    double total = 0;
    for (int i = 0; i < n; i++) total += rows[i].seconds;
    th_table *t = th_table_new("Time by operation");
    th_table_column(t, TH_LEFT, "Operation");
    th_table_column(t, TH_RIGHT, "Runs");
    th_table_column(t, TH_RIGHT, "% of time");
    th_table_column(t, TH_RIGHT, "GFLOP/s");
    th_table_column(t, TH_RIGHT, "GB/s");
    for (int i = 0; i < n; i++) {
        th_table_cell(t, "%s", rows[i].op);
        th_table_cell(t, "%lld", (long long)rows[i].count);
        th_table_number(t, 100 * rows[i].seconds / total, 2);
        th_table_number(t, rows[i].flops / rows[i].seconds * 1e-9, 1);
        th_table_number(t, rows[i].bytes / rows[i].seconds * 1e-9, 1);
    }
    th_cli_table(cli, t);
    th_table_free(t);
}

static void print(th_cli *cli, const work *w) {
    char planned[TH_NUMBER_TEXT], used[TH_NUMBER_TEXT], seconds[TH_NUMBER_TEXT];
    th_human_bytes(planned, (double)w->cost.bytes);
    th_human_bytes(used, (double)w->used);
    th_human_seconds(seconds, w->seconds);
    th_str_printf(&cli->out, "%s a step, %.0f GFLOP/s: %.1f %% of the %.0f that a product of %d reaches here\n",
                  seconds, w->gflops, 100 * w->gflops / w->peak_gflops, w->peak_gflops, PEAK_SIDE);
    th_str_printf(&cli->out, "memory: planned %s, used %s\n", planned, used);
    if (th_get_bool(cli->options, "profile")) print_profile(cli, w);
}

static const th_bench_kind *kind_of(const th_bench_kind *const *kinds, const char *model) {
    while (kinds[1] && !(*kinds)->knows(model)) kinds++;
    return *kinds;
}

static th_status bench(th_cli *cli, const th_bench_kind *const *kinds, work *w) {
    const char *name = cli->args.items[0];
    th_plan_params params;
    w->kind = kind_of(kinds, name);
    w->size = (th_bench_size){th_get_i64(cli->options, "batch"), th_get_i64(cli->options, "size")};
    if (!w->size.batch) w->size.batch = w->kind->batch;
    TH_TRY(w->kind->make(name, &w->size, &w->model));
    w->trained = w->kind->trained(w->model);
    th_plan_params_init(&params);
    params.compute = th_get_choice(cli->options, "dtype") ? TH_BF16 : TH_F32;
    params.threads = (int)th_get_i64(cli->options, "threads");
    TH_TRY(peak_plan(&params, &w->peak));
    params.memory_budget = (size_t)th_get_i64(cli->options, "memory");
    params.trained_bytes = TH_ADAMW_BYTES_EACH;
    TH_TRY(make_step(w, &params));
    TH_TRY(measure(cli, w));
    if (cli->json)
        th_cli_json(cli, json_pack("{s:f, s:f, s:f, s:f, s:I, s:I}", "seconds", w->seconds, "gflops", w->gflops,
                                   "peak_gflops", w->peak_gflops, "share", w->gflops / w->peak_gflops, "planned_bytes",
                                   (json_int_t)w->cost.bytes, "peak_bytes", (json_int_t)w->used));
    else
        print(cli, w);
    return TH_OK;
}

static th_status run_kinds(th_cli *cli, const th_bench_kind *const *kinds) {
    work w = {0};
    th_status s = bench(cli, kinds, &w);
    th_optimizer_free(w.optimizer);
    th_plan_free(w.step);
    th_plan_free(w.peak);
    if (w.kind) w.kind->free(w.model);
    return s;
}

static th_status run_step(th_cli *cli) { return run_kinds(cli, steps); }
static th_status run_look(th_cli *cli) { return run_kinds(cli, looks); }

static const th_cli_method methods[] = {
    {
        .name = "step",
        .summary = "a whole training step of a known model, optimizer included",
    },
    {
        .name = "denoise",
        .summary = "one look of a Stable Diffusion UNet, as drawing takes it",
        .about = "MODEL is sd15, sd21, sd21-base or a Stable Diffusion folder, whose sizes count and not its weights. "
                 "With guidance, a picture takes two in the batch.",
        .examples = "theriac bench denoise sd15 --dtype bf16",
        .run = run_look,
    },
};

static bool method(int64_t i, th_cli_method *out) {
    if (i >= (int64_t)(sizeof methods / sizeof *methods)) return false;
    *out = methods[i];
    return true;
}

const th_verb th_verb_bench = {
    .name = "bench",
    .summary = "measure speed and memory against the machine's limits",
    .usage = "MODEL",
    .about = "MODEL is clip-vit-b32, clip-vit-b16, clip-vit-l14 or a CLIP folder; sd15-unet (DreamBooth's loss, at 512 "
             "pixels), sd15-unet-text (with the text encoder), sd15-lora (additions of rank 4), the same of sd21 and "
             "sd21-base; or a Stable Diffusion folder. Of a folder the sizes count and not the weights. The step's "
             "work is counted without recomputation, and held against the best of products of 2048 that run between "
             "the steps.",
    .examples = "theriac bench step clip-vit-b32 --batch 64 --dtype bf16\n"
                "theriac bench step sd15-unet --dtype bf16 --memory 16G",
    .groups = {{"Measuring", options}},
    .method = method,
    .least_args = 1,
    .most_args = 1,
    .computes = true,
    .run = run_step,
};
