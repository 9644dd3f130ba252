/* One training on pictures from the command line. */
#include "cli/fit_job.h"

#include <string.h>

#include "base/file.h"
#include "base/number.h"
#include "cli/plan_table.h"

const th_option th_fit_eval_options[] = {
    TH_OPT_PATH("eval", NULL, "pictures to measure on that are not trained on", .argument = "SET"),
    TH_OPT_INT("eval-limit", 512, "measure on at most so many of them, spread over the set; 0: all", TH_AT_LEAST(0)),
    TH_OPT_END,
};

th_status th_cli_open_held_out(th_cli *cli, th_dataset **out) {
    const char *spec = th_get_str(cli->options, "eval");
    int64_t limit = th_get_i64(cli->options, "eval-limit");
    th_dataset_params p;
    th_dataset_params_init(&p);
    p.captions = TH_CAPTIONS_FIRST;
    if (!spec) return TH_OK;
    TH_TRY(th_fail_in(th_dataset_open(spec, &p, &cli->watch, out), "--eval"));
    int64_t n = th_dataset_images(*out);
    if (!limit || limit >= n) return TH_OK;
    th_dataset_close(*out);
    *out = NULL;
    p.stride = n / limit;
    p.limit = limit;
    return th_fail_in(th_dataset_open(spec, &p, &cli->watch, out), "--eval");
}

th_status th_cli_open_set(th_cli *cli, const char *name, th_dataset **out) {
    th_dataset_params p;
    th_dataset_params_init(&p);
    p.captions = TH_CAPTIONS_FIRST;
    return th_fail_in(th_dataset_open(th_get_str(cli->options, name), &p, &cli->watch, out), "--%s", name);
}

th_status th_cli_read_sizes(th_cli *cli, const char *name, int64_t *sizes, int most, int *count) {
    const char *at = th_get_str(cli->options, name);
    for (*count = 0; at; (*count)++) {
        char one[24];
        const char *comma = strchr(at, ',');
        int n = comma ? (int)(comma - at) : (int)strlen(at);
        snprintf(one, sizeof one, "%.*s", n, at);
        if (*count == most) return th_fail(TH_E_USAGE, "--%s: more than %d numbers", name, most);
        if (n >= (int)sizeof one || !th_parse_i64(one, &sizes[*count]) || sizes[*count] < 1)
            return th_fail(TH_E_USAGE, "--%s: '%.40s' should be whole numbers with commas, such as 32,64,128", name,
                           th_get_str(cli->options, name));
        at = comma ? comma + 1 : NULL;
    }
    return TH_OK;
}

int64_t th_cli_groups_of(const int64_t *channels, int count) {
    int64_t groups = 32;
    for (int i = 0; i < count; i++)
        while (groups > 1 && (channels[i] % groups || channels[i] < 8 * groups)) groups /= 2;
    return groups;
}

th_status th_cli_refuse_sizes(th_cli *cli, const th_option *sizes) {
    for (const th_option *o = sizes; o->name; o++)
        if (th_is_set(cli->options, o->name))
            return th_fail(TH_E_USAGE, "--%s is of new models, and --model brings its own", o->name);
    return TH_OK;
}

/* --- the plan --- */

static void print_plan(th_cli *cli, const th_fit_cost *c, const double seconds[TH_PLAN_MACHINES]) {
    char text[160];
    th_table *t = th_cli_plan_table();
    snprintf(text, sizeof text, "%lld of %lld pictures each, %.3g times through %lld", (long long)c->steps,
             (long long)c->pictures_a_step,
             (double)c->steps * (double)c->pictures_a_step / (double)c->pictures_an_epoch,
             (long long)c->pictures_an_epoch);
    th_table_pair(t, "Steps", text);
    th_cli_plan_memory(t, (double)c->step.bytes);
    if (c->disk) {
        th_human_bytes(text, (double)c->disk);
        th_table_pair(t, "Latents on disk", text);
    }
    double parts = (double)c->batches_a_step;
    th_cli_plan_work(t, "Work of a step", parts * c->step.flops, parts * c->step.recomputed_flops);
    th_cli_plan_time(t, seconds);
    th_cli_table(cli, t);
    th_table_free(t);
}

th_status th_cli_fit_plan(th_cli *cli, const th_fit_params *fit, const th_fit_cost *cost) {
    th_ceilings c;
    int cores[TH_PLAN_MACHINES];
    double seconds[TH_PLAN_MACHINES], runs = (double)(cost->steps * cost->batches_a_step);
    TH_TRY(th_ceilings_measure(fit->threads, fit->compute, &c));
    th_cli_plan_cores(&c, cores);
    for (int i = 0; i < TH_PLAN_MACHINES; i++)
        seconds[i] = runs * th_ceilings_seconds(&c, &cost->step, cores[i]) +
                     cost->before / c.flops_per_second * (double)c.threads / (double)cores[i];
    if (!cli->json) return print_plan(cli, cost, seconds), TH_OK;
    th_cli_json(cli, json_pack("{s:I, s:I, s:I, s:f, s:f, s:f, s:f}", "steps", (json_int_t)cost->steps, "bytes",
                               (json_int_t)cost->step.bytes, "disk_bytes", (json_int_t)cost->disk, "flops_a_step",
                               (double)cost->batches_a_step * cost->step.flops, "seconds_here", seconds[0],
                               "seconds_16_cores", seconds[1], "seconds_64_cores", seconds[2]));
    return TH_OK;
}

/* --- the run --- */

th_status th_cli_fit_inputs(th_cli *cli, const th_dataset *d, json_t **out) {
    char hash[TH_HASH_TEXT];
    TH_TRY(th_dataset_hash(d, &cli->watch, hash));
    *out = json_pack("{s:{s:s, s:s, s:s, s:I, s:I}}", "data", "set", th_get_str(cli->options, "data"), "kind",
                     th_dataset_kind(d), "sha256", hash, "pictures", (json_int_t)th_dataset_images(d), "samples",
                     (json_int_t)th_dataset_count(d));
    return *out ? TH_OK : th_fail(TH_E_INPUT, "--data: a name that is not UTF-8 cannot be noted in run.json");
}

th_status th_cli_note_set(th_cli *cli, json_t *inputs, const char *name, const th_dataset *d, char hash[TH_HASH_TEXT]) {
    TH_TRY(th_dataset_hash(d, &cli->watch, hash));
    json_t *j = json_pack("{s:s, s:s, s:I}", "set", th_get_str(cli->options, name), "sha256", hash, "pictures",
                          (json_int_t)th_dataset_images(d));
    if (j && !json_object_set_new(inputs, name, j)) return TH_OK;
    return th_fail(TH_E_INPUT, "--%s: a name that is not UTF-8 cannot be noted in run.json", name);
}

th_status th_cli_note_model(json_t *inputs, const char *name, const char *folder, const char *hash) {
    if (!json_object_set_new(inputs, name, json_pack("{s:s, s:s}", "folder", folder, "sha256", hash))) return TH_OK;
    return th_fail(TH_E_INPUT, "--%s: a name that is not UTF-8 cannot be noted in run.json", name);
}

/* Where things lie, how they are read, kept and measured. Threads and type are compared as they came out. */
static const char *const may_differ[] = {
    "out",   "save-dtype", "keep",  "checkpoint-every", "loader-threads", "memory", "threads", "dtype",
    "eval*", "judge*",     "drawn", "sample*",          "latents",        NULL};

th_status th_cli_fit_open(th_cli *cli, const char *command, const json_t *inputs, th_run_folder **out) {
    th_run_folder_params p = {
        .path = th_get_str(cli->options, "out"),
        .command = command,
        .options = cli->options,
        .inputs = inputs,
        .resume = th_get_bool(cli->options, "resume"),
        .may_differ = may_differ,
    };
    return th_run_folder_open(&p, out);
}

th_status th_cli_fit_stopped(th_status s, const th_run_folder *run) {
    if (s == TH_E_INTERRUPTED && run && !strstr(th_error_message(), "--resume"))
        th_fail(s, "%s; --resume goes on with %s", th_error_message(), th_run_folder_path(run));
    return s;
}

th_status th_cli_write_card(const char *dir, const th_str *card) {
    char path[TH_PATH_MAX];
    TH_TRY(th_str_status(card));
    TH_TRY(th_path_join(path, dir, "README.md"));
    return th_file_write(path, th_str_text(card), card->length);
}

th_status th_cli_fit_report(th_cli *cli, const th_train_result *r, const th_cli_figure *figures, int count,
                            int64_t skipped, const char *model) {
    if (cli->json) {
        json_t *j = json_pack("{s:I, s:f, s:f, s:I, s:s}", "steps", (json_int_t)r->steps, "loss", r->last_loss,
                              "seconds", r->seconds, "skipped", (json_int_t)skipped, "model", model);
        for (int i = 0; i < count; i++) json_object_set_new(j, figures[i].key, json_real(figures[i].value));
        th_cli_json(cli, j);
        return TH_OK;
    }
    char text[TH_NUMBER_TEXT];
    th_human_seconds(text, r->seconds);
    if (r->steps)
        th_str_printf(&cli->out, "%lld steps in %s (%.0f %% of it waiting for data), loss %.4f → %.4f\n",
                      (long long)r->steps, text, 100 * r->waited / (r->seconds + 1e-9), r->first_loss, r->last_loss);
    else
        th_str_puts(&cli->out, "all steps had been made\n");
    for (int i = 0; i < count; i++) {
        th_print_fixed(text, figures[i].value, figures[i].digits);
        th_str_printf(&cli->out, "%s: %s\n", figures[i].called, text);
    }
    th_str_printf(&cli->out, "%s\n", model);
    return TH_OK;
}
