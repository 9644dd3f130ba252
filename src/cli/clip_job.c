/* One training from the command line. */
#include "cli/clip_job.h"

#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/number.h"
#include "cli/plan_table.h"

const th_option th_run_options[] = {
    TH_OPT_PATH("out", NULL, "folder of the run: logs, checkpoints, the model", .argument = "DIR", .letter = 'o'),
    TH_OPT_BOOL("resume", false, "go on with the run in --out", .flag_only = true),
    TH_OPT_BOOL("plan", false, "say what it will take, and stop", .flag_only = true),
    TH_OPT_CHOICE("save-dtype", "f32|f16|bf16", "f32", "type of the weights that are written"),
    TH_OPT_END,
};

typedef struct {
    th_cli *cli;
    th_cli_job *job;
    th_clip_fit *fit;
    th_run_folder *run;
    th_cli_eval eval, test;
    th_clip_eval before, after, test_before, test_after;
    bool is_measured; /* after */
    th_train_result result;
} work;

/* --- --plan --- */

#define LONG_RUN (3600.0)  /* seconds beyond which a shorter recipe is offered */
#define SHORT_RUN (1200.0) /* that it takes */
#define FEW_STEPS 50       /* below which it would teach nothing */

typedef struct {
    th_clip_fit_cost cost;
    double seconds[TH_PLAN_MACHINES];
    int64_t short_steps; /* that fit SHORT_RUN here; 0 where the whole is short enough or too few would */
} forecast;

static th_status make_forecast(const work *w, forecast *f) {
    th_ceilings c;
    th_clip_fit_get_cost(w->fit, &f->cost);
    TH_TRY(th_ceilings_measure(w->job->fit.threads, w->job->fit.compute, &c));
    double runs = (double)(f->cost.steps * f->cost.batches_a_step);
    int cores[TH_PLAN_MACHINES];
    th_cli_plan_cores(&c, cores);
    for (int i = 0; i < TH_PLAN_MACHINES; i++) f->seconds[i] = runs * th_ceilings_seconds(&c, &f->cost.step, cores[i]);
    f->short_steps = (int64_t)(SHORT_RUN / f->seconds[0] * (double)f->cost.steps);
    if (f->seconds[0] <= LONG_RUN || f->short_steps < FEW_STEPS) f->short_steps = 0;
    return TH_OK;
}

/* The options that make a run of about SHORT_RUN: fewer pictures, each seen once. */
static void print_short(const work *w, const forecast *f) {
    if (f->seconds[0] <= LONG_RUN) return;
    char text[TH_NUMBER_TEXT];
    int64_t pairs = f->short_steps * f->cost.pairs_a_step;
    th_human_seconds(text, SHORT_RUN);
    if (f->short_steps)
        th_str_printf(&w->cli->out, "A short recipe, %s here at best: --limit %lld --epochs 1\n", text,
                      (long long)pairs);
    else
        th_str_printf(&w->cli->out, "Not even %d steps of it fit into %s here: a smaller --batch or a smaller model\n",
                      FEW_STEPS, text);
}

static th_status print_plan(work *w) {
    forecast f;
    TH_TRY(make_forecast(w, &f));
    int64_t parts = f.cost.batches_a_step;
    if (w->cli->json) {
        th_cli_json(w->cli, json_pack("{s:I, s:I, s:I, s:f, s:f, s:f, s:f, s:I}", "steps", (json_int_t)f.cost.steps,
                                      "text_tokens", (json_int_t)f.cost.text_tokens, "bytes", (json_int_t)f.cost.bytes,
                                      "flops_a_step", (double)parts * f.cost.step.flops, "seconds_here", f.seconds[0],
                                      "seconds_16_cores", f.seconds[1], "seconds_64_cores", f.seconds[2], "short_steps",
                                      (json_int_t)f.short_steps));
        return TH_OK;
    }
    char text[160];
    th_table *t = th_cli_plan_table();
    snprintf(text, sizeof text, "%lld, %lld of them an epoch, %lld pairs each", (long long)f.cost.steps,
             (long long)f.cost.steps_an_epoch, (long long)f.cost.pairs_a_step);
    th_table_pair(t, "Steps", text);
    snprintf(text, sizeof text, "%lld tokens each", (long long)f.cost.text_tokens);
    th_table_pair(t, "Texts", text);
    th_cli_plan_memory(t, (double)f.cost.bytes);
    th_cli_plan_work(t, "Work of a step", (double)parts * f.cost.step.flops,
                     (double)parts * f.cost.step.recomputed_flops);
    th_cli_plan_time(t, f.seconds);
    th_cli_table(w->cli, t);
    th_table_free(t);
    print_short(w, &f);
    return TH_OK;
}

/* --- the run --- */

/* Nothing where there is nothing to measure on. */
static th_status evaluate(work *w, th_cli_eval *on, th_clip_eval *out) {
    if (!on->any) return TH_OK;
    on->params.threads = w->job->fit.threads;
    on->params.loader_threads = w->job->fit.loader_threads;
    return th_clip_evaluate(w->job->bundle, &on->params, &w->cli->watch, out);
}

static th_status evaluate_now(void *user, int64_t step, th_metric *metrics, int max, int *count) {
    (void)step, (void)max;
    work *w = user;
    TH_TRY(evaluate(w, &w->eval, &w->after));
    w->is_measured = true;
    int n = 0;
    if (w->after.has_accuracy) metrics[n++] = (th_metric){"eval/accuracy", w->after.clean.accuracy[0].value};
    if (w->after.has_attack) metrics[n++] = (th_metric){"eval/asr", w->after.attack.rate[0].value};
    if (w->after.has_attack)
        metrics[n++] = (th_metric){"eval/accuracy_triggered", w->after.triggered.accuracy[0].value};
    if (w->after.has_retrieval)
        metrics[n++] = (th_metric){"eval/text_to_image_r1", w->after.retrieval.text_to_image[0].value};
    *count = n;
    return TH_OK;
}

/* Rows of a card's table: what, the value before (where it is known) and after. */
static void card_row(th_str *card, const char *what, const th_estimate *before, const th_estimate *after, int64_t n) {
    th_str_printf(card, "| %s |", what);
    if (before)
        th_str_printf(card, " %.1f (%.1f to %.1f) |", 100 * before->value, 100 * before->low, 100 * before->high);
    th_str_printf(card, " %.1f (%.1f to %.1f) | %lld |\n", 100 * after->value, 100 * after->low, 100 * after->high,
                  (long long)n);
}

static void card_table(th_str *card, const char *title, const th_clip_eval *before, const th_clip_eval *after) {
    th_str_printf(card, "%s, in %% with 95 %% intervals:\n\n| |%s pictures |\n|---|---|---|%s\n", title,
                  before ? " before | after |" : " value |", before ? "---|" : "");
    if (after->has_accuracy)
        card_row(card, "zero-shot accuracy", before ? &before->clean.accuracy[0] : NULL, &after->clean.accuracy[0],
                 after->clean.n);
    if (after->has_attack) {
        card_row(card, "attack success rate", before ? &before->attack.rate[0] : NULL, &after->attack.rate[0],
                 after->attack.n);
        card_row(card, "accuracy on triggered pictures", before ? &before->triggered.accuracy[0] : NULL,
                 &after->triggered.accuracy[0], after->triggered.n);
    }
    if (after->has_retrieval)
        card_row(card, "text to image, R@1", before ? &before->retrieval.text_to_image[0] : NULL,
                 &after->retrieval.text_to_image[0], after->retrieval.captions);
    th_str_puts(card, "\n");
}

static th_status write_card(const work *w, const char *dir) {
    char path[TH_PATH_MAX];
    th_str card;
    th_str_init(&card, 1 << 20);
    th_str_printf(&card, "# %s\n\n%s\n\n", w->job->card_title, w->job->card_about);
    th_str_printf(&card, "Made by theriac %s: `theriac %s`, see `run.json` beside this folder for every option.\n\n",
                  th_version(), w->job->command);
    if (w->eval.any) card_table(&card, "Evaluation", w->job->compare ? &w->before : NULL, &w->after);
    if (w->test.any) card_table(&card, "Test", w->job->compare ? &w->test_before : NULL, &w->test_after);
    th_status s = th_str_status(&card);
    if (s == TH_OK) s = th_path_join(path, dir, "README.md");
    if (s == TH_OK) s = th_file_write(path, th_str_text(&card), card.length);
    th_str_free(&card);
    return s;
}

/* {"results": …, "test": …, "before": {"results": …, "test": …}} as far as they were measured. */
static json_t *results_json(const work *w) {
    json_t *j = json_object(), *before = json_object();
    if (w->eval.any) json_object_set_new(j, "results", th_cli_eval_json(&w->after));
    if (w->test.any) json_object_set_new(j, "test", th_cli_eval_json(&w->test_after));
    if (w->eval.any) json_object_set_new(before, "results", th_cli_eval_json(&w->before));
    if (w->test.any) json_object_set_new(before, "test", th_cli_eval_json(&w->test_before));
    if (w->job->compare && json_object_size(before)) json_object_set(j, "before", before);
    json_decref(before);
    return j;
}

static th_status save(work *w) {
    char dir[TH_PATH_MAX];
    TH_TRY(th_path_join(dir, th_get_str(w->cli->options, "out"), "model"));
    TH_TRY(th_clip_bundle_save(w->job->bundle, dir, th_get_str(w->cli->options, "save-dtype")));
    TH_TRY(write_card(w, dir));
    json_t *results = results_json(w), *value;
    const char *name;
    th_status s = results ? TH_OK : th_fail_memory();
    json_object_foreach(results, name, value) if (s == TH_OK) s = th_run_folder_note(w->run, name, json_incref(value));
    json_decref(results);
    TH_TRY(s);
    return th_run_folder_note(w->run, "seconds", json_real(w->result.seconds_in_all));
}

static void print_results(work *w) {
    const struct {
        const th_cli_eval *on;
        const char *of;
        const th_clip_eval *result;
    } tables[] = {{&w->eval, "Before", &w->before},
                  {&w->eval, w->job->compare ? "After" : NULL, &w->after},
                  {&w->test, "Before, on test data", &w->test_before},
                  {&w->test, w->job->compare ? "After, on test data" : "On test data", &w->test_after}};
    for (int i = 0; i < 4; i++)
        if (tables[i].on->any && (w->job->compare || i % 2))
            th_cli_eval_print(w->cli, tables[i].of, tables[i].result, NULL);
}

static th_status report(work *w) {
    int64_t skipped = th_cli_note_skipped(w->cli, w->job->pairs);
    if (w->cli->json) {
        json_t *j = json_pack("{s:I, s:f, s:f, s:I, s:s}", "steps", (json_int_t)w->result.steps, "loss",
                              w->result.last_loss, "seconds", w->result.seconds, "skipped", (json_int_t)skipped, "out",
                              th_get_str(w->cli->options, "out"));
        json_t *results = results_json(w);
        json_object_update(j, results);
        json_decref(results);
        th_cli_json(w->cli, j);
        return TH_OK;
    }
    char seconds[TH_NUMBER_TEXT];
    th_human_seconds(seconds, w->result.seconds);
    if (w->result.steps)
        th_str_printf(&w->cli->out, "%lld steps in %s (%.0f %% of it waiting for data), loss %.4f → %.4f\n",
                      (long long)w->result.steps, seconds, 100 * w->result.waited / (w->result.seconds + 1e-9),
                      w->result.first_loss, w->result.last_loss);
    else
        th_str_puts(&w->cli->out, "all steps had been made\n");
    print_results(w);
    th_str_printf(&w->cli->out, "%s/model\n", th_get_str(w->cli->options, "out"));
    return TH_OK;
}

/* Where things lie, how they are read, kept and measured. Threads and type are compared as they came out. */
static const char *const may_differ[] = {
    "out",           "save-dtype", "keep",    "checkpoint-every", "loader-threads", "memory", "threads", "dtype",
    "subtext-cache", "target",     "classes", "templates",        "eval*",          "test*",  NULL};

static th_status run_all(work *w) {
    th_cli_job *job = w->job;
    const char *out = th_get_str(w->cli->options, "out");
    TH_TRY(th_cli_eval_open(w->cli, "eval", &w->eval));
    TH_TRY(th_cli_eval_open(w->cli, "test", &w->test));
    if (w->eval.any) job->fit.evaluate = evaluate_now, job->fit.user = w;
    job->fit.train.resume = th_get_bool(w->cli->options, "resume");
    th_status s = th_clip_fit_new(job->bundle, job->method, job->pairs, &job->fit, &w->cli->watch, &w->fit);
    if (s == TH_E_INPUT) th_fail_in(s, "%s", th_get_str(w->cli->options, "data")); /* it is about the pairs */
    TH_TRY(s);
    if (th_get_bool(w->cli->options, "plan")) return print_plan(w);
    th_run_folder_params folder = {out, job->command, w->cli->options, job->inputs, job->fit.train.resume, may_differ};
    TH_TRY(th_run_folder_open(&folder, &w->run));
    th_clip_fit_set_run(w->fit, w->run);
    if (job->compare) {
        TH_TRY(evaluate(w, &w->eval, &w->before));
        TH_TRY(evaluate(w, &w->test, &w->test_before));
    }
    TH_TRY(th_clip_fit_run(w->fit, &w->cli->watch, &w->result));
    if (!w->is_measured) TH_TRY(evaluate(w, &w->eval, &w->after));
    TH_TRY(evaluate(w, &w->test, &w->test_after));
    TH_TRY(save(w));
    return report(w);
}

th_status th_cli_job_check(th_cli *cli) {
    if (th_get_bool(cli->options, "plan") || th_get_str(cli->options, "out")) return TH_OK;
    return th_fail(TH_E_USAGE, "--out is wanted: the folder of the run");
}

th_status th_cli_job_run(th_cli *cli, th_cli_job *job) {
    work w = {.cli = cli, .job = job};
    th_status s = run_all(&w);
    /* From the folder on all can be taken up again, be it from the start; the trainer itself knows from which step. */
    if (s == TH_E_INTERRUPTED && w.run && !strstr(th_error_message(), "--resume"))
        th_fail(s, "%s; --resume goes on with %s", th_error_message(), th_run_folder_path(w.run));
    th_clip_fit_free(w.fit);
    th_run_folder_close(w.run);
    th_cli_eval_close(&w.eval);
    th_cli_eval_close(&w.test);
    json_decref(job->inputs);
    return s;
}
