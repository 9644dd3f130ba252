/* One training from the command line. */
#include "cli/clip_job.h"

#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/number.h"

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
    th_cli_eval eval;
    bool measured; /* there is something to evaluate on */
    th_clip_eval after;
    th_train_result result;
} work;

/* --- --plan --- */

typedef struct {
    th_clip_fit_cost cost;
    double seconds[3]; /* here, on 16 cores, on 64 */
} forecast;

static th_status make_forecast(const work *w, forecast *f) {
    th_ceilings c;
    th_clip_fit_get_cost(w->fit, &f->cost);
    TH_TRY(th_ceilings_measure(w->job->fit.threads, w->job->fit.compute, &c));
    double runs = (double)f->cost.steps * (double)w->job->fit.train.accumulate;
    const int cores[3] = {c.threads, 16, 64};
    for (int i = 0; i < 3; i++) f->seconds[i] = runs * th_ceilings_seconds(&c, &f->cost.step, cores[i]);
    return TH_OK;
}

static void row(th_table *t, const char *what, const char *value) {
    th_table_cell(t, "%s", what);
    th_table_cell(t, "%s", value);
}

static th_status print_plan(work *w) {
    forecast f;
    TH_TRY(make_forecast(w, &f));
    if (w->cli->json) {
        th_cli_json(w->cli, json_pack("{s:I, s:I, s:I, s:f, s:f, s:f, s:f}", "steps", (json_int_t)f.cost.steps,
                                      "text_tokens", (json_int_t)f.cost.text_tokens, "bytes", (json_int_t)f.cost.bytes,
                                      "flops_a_step", f.cost.step.flops, "seconds_here", f.seconds[0],
                                      "seconds_16_cores", f.seconds[1], "seconds_64_cores", f.seconds[2]));
        return TH_OK;
    }
    char text[160], number[3][TH_NUMBER_TEXT];
    th_table *t = th_table_new(NULL);
    th_table_column(t, TH_LEFT, "Plan");
    th_table_column(t, TH_LEFT, "");
    snprintf(text, sizeof text, "%lld, %lld of them an epoch, %lld pairs each", (long long)f.cost.steps,
             (long long)f.cost.steps_an_epoch, (long long)w->job->fit.batch);
    row(t, "Steps", text);
    snprintf(text, sizeof text, "%lld tokens each", (long long)f.cost.text_tokens);
    row(t, "Texts", text);
    th_human_bytes(text, (double)f.cost.bytes);
    row(t, "Memory", text);
    th_human_count(number[0], f.cost.step.flops);
    th_human_count(number[1], f.cost.step.recomputed_flops);
    snprintf(text, sizeof text, "%sFLOP%s%s%s", number[0], f.cost.step.recomputed_flops > 0 ? ", and " : "",
             f.cost.step.recomputed_flops > 0 ? number[1] : "",
             f.cost.step.recomputed_flops > 0 ? "FLOP again to fit the memory" : "");
    row(t, "Work of a step", text);
    for (int i = 0; i < 3; i++) th_human_seconds(number[i], f.seconds[i]);
    snprintf(text, sizeof text, "at least %s here, %s on 16 such cores, %s on 64", number[0], number[1], number[2]);
    row(t, "Time", text);
    th_cli_table(w->cli, t);
    th_table_free(t);
    if (f.seconds[0] > 4 * 3600)
        th_str_puts(&w->cli->out,
                    "A shorter run: fewer --epochs, --limit on the pictures, or a smaller --batch with --steps.\n");
    return TH_OK;
}

/* --- the run --- */

static th_status evaluate(work *w, th_clip_eval *out) {
    w->eval.params.threads = w->job->fit.threads;
    w->eval.params.loader_threads = w->job->fit.loader_threads;
    return th_clip_evaluate(w->job->bundle, &w->eval.params, &w->cli->watch, out);
}

static th_status evaluate_now(void *user, int64_t step, th_metric *metrics, int max, int *count) {
    (void)step, (void)max;
    work *w = user;
    TH_TRY(evaluate(w, &w->after));
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

static th_status write_card(const work *w, const char *dir) {
    char path[TH_PATH_MAX];
    th_str card;
    th_str_init(&card, 1 << 20);
    th_str_printf(&card, "# %s\n\n%s\n\n", w->job->card_title, w->job->card_about);
    th_str_printf(&card, "Made by theriac %s: `theriac %s`, see `run.json` beside this folder for every option.\n\n",
                  th_version(), w->job->command);
    if (w->measured) {
        th_str_puts(&card, "| measured | value | 95 % interval | pictures |\n|---|---|---|---|\n");
        const struct {
            bool has;
            const char *name;
            th_estimate e;
            int64_t n;
        } rows[] = {
            {w->after.has_accuracy, "zero-shot accuracy", w->after.clean.accuracy[0], w->after.clean.n},
            {w->after.has_attack, "attack success rate", w->after.attack.rate[0], w->after.attack.n},
            {w->after.has_attack, "accuracy on triggered pictures", w->after.triggered.accuracy[0],
             w->after.triggered.n},
        };
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
            if (rows[i].has)
                th_str_printf(&card, "| %s | %.1f %% | %.1f to %.1f | %lld |\n", rows[i].name, 100 * rows[i].e.value,
                              100 * rows[i].e.low, 100 * rows[i].e.high, (long long)rows[i].n);
    }
    th_status s = th_str_status(&card);
    if (s == TH_OK) s = th_path_join(path, dir, "README.md");
    if (s == TH_OK) s = th_file_write(path, th_str_text(&card), card.length);
    th_str_free(&card);
    return s;
}

static th_status save(work *w) {
    char dir[TH_PATH_MAX];
    TH_TRY(th_path_join(dir, th_get_str(w->cli->options, "out"), "model"));
    TH_TRY(th_clip_bundle_save(w->job->bundle, dir, th_get_str(w->cli->options, "save-dtype")));
    TH_TRY(write_card(w, dir));
    if (w->measured) TH_TRY(th_run_folder_note(w->run, "results", th_cli_eval_json(&w->after)));
    return th_run_folder_note(w->run, "seconds", json_real(w->result.seconds));
}

static th_status report(work *w) {
    if (w->cli->json) {
        json_t *j = json_pack("{s:I, s:f, s:f, s:s}", "steps", (json_int_t)w->result.steps, "loss", w->result.last_loss,
                              "seconds", w->result.seconds, "out", th_get_str(w->cli->options, "out"));
        if (w->measured) json_object_set_new(j, "results", th_cli_eval_json(&w->after));
        th_cli_json(w->cli, j);
        return TH_OK;
    }
    char seconds[TH_NUMBER_TEXT];
    th_human_seconds(seconds, w->result.seconds);
    th_str_printf(&w->cli->out, "%lld steps in %s (%.0f %% of it waiting for data), loss %.4f → %.4f\n",
                  (long long)w->result.steps, seconds, 100 * w->result.waited / (w->result.seconds + 1e-9),
                  w->result.first_loss, w->result.last_loss);
    if (w->measured) th_cli_eval_print(w->cli, &w->after);
    th_str_printf(&w->cli->out, "%s/model\n", th_get_str(w->cli->options, "out"));
    return TH_OK;
}

static th_status run_all(work *w) {
    th_cli_job *job = w->job;
    const char *out = th_get_str(w->cli->options, "out");
    TH_TRY(th_cli_eval_open(w->cli, &w->eval, &w->measured));
    if (w->measured) job->fit.evaluate = evaluate_now, job->fit.user = w;
    job->fit.train.resume = th_get_bool(w->cli->options, "resume");
    TH_TRY(th_clip_fit_new(job->bundle, job->method, job->pairs, &job->fit, &w->cli->watch, &w->fit));
    if (th_get_bool(w->cli->options, "plan")) return print_plan(w);
    if (!out) return th_fail(TH_E_USAGE, "--out is wanted: the folder of the run");
    th_run_folder_params folder = {out, job->command, w->cli->options, job->inputs, job->fit.train.resume};
    TH_TRY(th_run_folder_open(&folder, &w->run));
    th_clip_fit_set_run(w->fit, w->run);
    TH_TRY(th_clip_fit_run(w->fit, &w->cli->watch, &w->result));
    if (w->measured && !w->after.classes && !w->after.has_retrieval) TH_TRY(evaluate(w, &w->after));
    TH_TRY(save(w));
    return report(w);
}

th_status th_cli_job_run(th_cli *cli, th_cli_job *job) {
    work w = {.cli = cli, .job = job};
    th_status s = run_all(&w);
    th_clip_fit_free(w.fit);
    th_run_folder_close(w.run);
    th_cli_eval_close(&w.eval);
    json_decref(job->inputs);
    return s;
}
