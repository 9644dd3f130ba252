/* theriac guard for models: pictures, training, the guarded folder. */
#include "cli/guard/card.h"

#include <string.h>

#include "base/file.h"
#include "base/number.h"
#include "cli/plan_table.h"
#include "guard/checks.h"
#include "train/tune_options.h"

static const th_option model_options[] = {
    TH_OPT_PATH("model", NULL, "Stable Diffusion folder to guard", .argument = "DIR", .required = true),
    TH_OPT_INT("size", 0, "side of the pictures in pixels; 0: the model's own", TH_WITHIN(0, 4096)),
    TH_OPT_END,
};

static const char *option(const th_guard_job *j, const char *name) { return th_get_str(j->cli->options, name); }

/* ---- setting up */

/* The guard first, whose plans use the models. */
static void close_models(th_guard_job *j) {
    th_guard_free(j->guard);
    j->guard = NULL;
    th_guard_drop_model(j);
    th_sd_free(&j->open);
}

static th_status open_models(th_guard_job *j, unsigned parts) {
    th_sd_load_params p = {.parts = parts}, open = {.parts = parts & TH_SD_UNET};
    close_models(j);
    TH_TRY(th_sd_load(option(j, "model"), &p, &j->sd));
    return th_sd_load(option(j, "model"), &open, &j->open);
}

static th_status prepare(th_guard_job *j, unsigned parts) {
    TH_TRY(open_models(j, parts));
    if (!j->p.side)
        j->p.side = th_unet_get_config(j->sd.unet)->sample_size * th_vae_factor(th_vae_get_config(j->sd.vae));
    TH_TRY(th_guard_new(&j->sd, &j->open, j->method, j->cli->options, &j->p, &j->data, &j->guard));
    th_guard_get_cost(j->guard, &j->cost);
    return TH_OK;
}

static void read_training(th_guard_job *j) {
    th_options *o = j->cli->options;
    th_tune_params tune;
    th_train_params_init(&j->p.train);
    th_tune_read(o, &j->p.train, &tune);
    j->p.train.resume = th_get_bool(o, "resume");
    j->p.threads = tune.threads;
    j->p.compute = tune.compute;
    j->p.memory = tune.memory;
    j->p.side = th_get_i64(o, "size");
}

/* ---- --plan */

typedef struct {
    double seconds[TH_PLAN_MACHINES]; /* of training */
    double drawing;
    int64_t drawn;
} forecast;

static th_status make_forecast(th_guard_job *j, forecast *f) {
    th_ceilings c;
    TH_TRY(th_ceilings_measure(j->p.threads, j->p.compute, &c));
    int cores[TH_PLAN_MACHINES];
    th_cli_plan_cores(&c, cores);
    for (int i = 0; i < TH_PLAN_MACHINES; i++)
        f->seconds[i] = (double)j->cost.steps * th_guard_seconds(&j->cost, &c, cores[i]);
    return th_guard_drawing_seconds(j, &c, &f->drawing, &f->drawn);
}

static void print_plan(const th_guard_job *j, const forecast *f) {
    char text[200], seconds[TH_NUMBER_TEXT];
    const th_guard_cost *c = &j->cost;
    th_table *t = th_cli_plan_table();
    for (int64_t i = 0; i < j->count; i++) {
        const th_guard_wish *w = &j->wishes[i];
        int n =
            snprintf(text, sizeof text, "%lld of '%.80s', %s", (long long)th_dataset_images(w->set), w->class, w->mode);
        if (w->bystanders.count)
            snprintf(text + n, sizeof text - (size_t)n, "; %lld bystanders", (long long)w->bystanders.count);
        th_table_pair(t, j->count > 1 ? w->name : "Protected pictures", text);
    }
    snprintf(text, sizeof text, "%lld of %lld rows, %lld of them answered by the open model too", (long long)c->steps,
             (long long)c->rows, (long long)c->open_rows);
    th_table_pair(t, "Steps", text);
    if (c->attacks_a_step > 0) {
        snprintf(text, sizeof text,
                 "%.3g steps of theirs for each of the guard's, and %.3g gradients of the guard's there",
                 c->attacks_a_step, c->outers_a_step + c->spared_a_step);
        th_table_pair(t, "Imagined attackers", text);
    }
    th_cli_plan_memory(t, (double)c->bytes);
    th_cli_plan_work(t, "Work of a step", c->flops, 0);
    th_cli_plan_time(t, f->seconds);
    th_human_seconds(seconds, f->drawing);
    snprintf(text, sizeof text, "%lld pictures, at least %s here", (long long)f->drawn, seconds);
    th_table_pair(t, "Drawn first", text);
    th_cli_table(j->cli, t);
    th_table_free(t);
    th_str_puts(&j->cli->out, "--drawn DIR keeps what is drawn for other runs\n");
}

static th_status plan(th_guard_job *j) {
    forecast f;
    TH_TRY(make_forecast(j, &f));
    if (!j->cli->json) return print_plan(j, &f), TH_OK;
    th_cli_json(j->cli,
                json_pack("{s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:f, s:I, s:f}", "steps", (json_int_t)j->cost.steps,
                          "rows", (json_int_t)j->cost.rows, "open_rows", (json_int_t)j->cost.open_rows, "bytes",
                          (json_int_t)j->cost.bytes, "flops_a_step", j->cost.flops, "seconds_here", f.seconds[0],
                          "seconds_16_cores", f.seconds[1], "seconds_64_cores", f.seconds[2], "drawn",
                          (json_int_t)f.drawn, "drawing_seconds_here", f.drawing));
    return TH_OK;
}

/* ---- the run */

static json_t *neighbours_of(const th_guard_wish *w) {
    json_t *all = json_array();
    for (int64_t i = 0; i < w->bystanders.count; i++) json_array_append_new(all, json_string(w->neighbours[i].hash));
    return all;
}

static th_status find_inputs(th_guard_job *j) {
    if (!(j->inputs = json_object())) return th_fail_memory();
    TH_TRY(th_sd_weights_hash(option(j, "model"), j->model_hash));
    TH_TRY(th_cli_note_model(j->inputs, "model", option(j, "model"), j->model_hash));
    for (int64_t i = 0; i < j->count; i++) {
        const th_guard_wish *w = &j->wishes[i];
        json_t *v = json_pack("{s:s, s:s, s:I, s:o}", "set", w->protect, "sha256", w->hash, "pictures",
                              (json_int_t)th_dataset_images(w->set), "bystanders_sha256", neighbours_of(w));
        if (!v || json_object_set_new(j->inputs, w->name, v))
            return th_fail(TH_E_INPUT, "%s: a name that is not UTF-8 cannot be noted in run.json", w->name);
    }
    static const char *const files[] = {"subjects", "contexts", "captions", "generic"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char hash[TH_HASH_TEXT];
        if (!option(j, files[i])) continue;
        TH_TRY(th_hash_file(option(j, files[i]), hash));
        TH_TRY(th_cli_note_model(j->inputs, files[i], option(j, files[i]), hash));
    }
    return TH_OK;
}

static th_status train(th_guard_job *j) {
    TH_TRY(th_path_join(j->attackers, th_run_folder_path(j->run), "attackers"));
    j->p.attackers = j->attackers;
    TH_TRY(prepare(j, TH_SD_UNET | TH_SD_TEXT));
    TH_TRY(th_guard_read_texts(j->guard));
    th_sd_release(&j->sd, TH_SD_TEXT);
    return th_guard_run(j->guard, j->run, &j->cli->watch, &j->result);
}

static th_status save(th_guard_job *j, char dir[TH_PATH_MAX]) {
    TH_TRY(th_path_join(dir, th_run_folder_path(j->run), "model"));
    TH_TRY(th_sd_save(&j->sd, dir, option(j, "save-dtype"), TH_SD_VAE | TH_SD_TEXT));
    return th_run_folder_note(j->run, "seconds", json_real(j->result.seconds_in_all));
}

/* What was found, and whether the model may be published. */
static th_status report(th_guard_job *j, const th_guard_gate *gates, const char *dir) {
    bool holds = gates != NULL;
    for (int64_t i = 0; gates && i < j->count; i++) holds &= gates[i].class_holds && gates[i].leak_holds;
    if (j->cli->json) {
        th_cli_json(j->cli, json_pack("{s:I, s:f, s:f, s:o, s:o, s:s}", "steps", (json_int_t)j->result.steps, "loss",
                                      j->result.last_loss, "seconds", j->result.seconds, "gates",
                                      gates ? th_guard_gates_json(j, gates) : json_null(), "publish",
                                      gates ? json_boolean(holds) : json_null(), "model", dir));
        return TH_OK;
    }
    TH_TRY(th_cli_fit_report(j->cli, &j->result, NULL, 0, 0, dir));
    if (gates) th_guard_gates_print(j, gates);
    if (gates && !holds) th_str_puts(&j->cli->out, "This model should not be published: a gate fails.\n");
    if (!gates) th_str_puts(&j->cli->out, "The gates were not checked: --judge CLIP checks them.\n");
    return TH_OK;
}

static th_status check_and_report(th_guard_job *j, const char *dir) {
    th_guard_gate gates[TH_GUARD_MOST_SUBJECTS];
    bool checked = option(j, "judge") != NULL;
    if (checked) TH_TRY(th_guard_check_gates(j, dir, gates));
    TH_TRY(th_guard_write_card(j, dir, checked ? gates : NULL));
    if (checked) TH_TRY(th_run_folder_note(j->run, "gates", th_guard_gates_json(j, gates)));
    return report(j, checked ? gates : NULL, dir);
}

static void describe_encoding(th_guard_job *j) {
    const th_vae_config *c = th_vae_get_config(j->sd.vae);
    int64_t side = j->p.side / th_vae_factor(c);
    j->encoding = (th_encoding){j->cli, j->model_hash, j->run, &j->sd, side, side, 2 * c->latent_channels};
}

static th_status guard(th_guard_job *j) {
    char command[64], dir[TH_PATH_MAX];
    snprintf(command, sizeof command, "guard %s", j->method->name);
    TH_TRY(find_inputs(j));
    TH_TRY(th_cli_fit_open(j->cli, command, j->inputs, &j->run));
    describe_encoding(j);
    close_models(j);
    TH_TRY(th_guard_find_pictures(j));
    TH_TRY(train(j));
    TH_TRY(save(j, dir));
    return check_and_report(j, dir);
}

/* What works and is seldom meant. */
static th_status note_doubts(th_guard_job *j) {
    th_str notes;
    th_str_init(&notes, 1 << 16);
    th_status s = th_guard_check_model(option(j, "model"), &notes);
    for (int64_t i = 0; i < j->count && s == TH_OK; i++) {
        const th_guard_wish *w = &j->wishes[i];
        s = th_guard_check_noun(j->sd.tokenizer, w->class, &notes);
        for (int64_t k = 0; k < w->identifiers.count && s == TH_OK; k++)
            s = th_guard_check_identifier(j->sd.tokenizer, w->identifiers.items[k], &notes);
        if (s == TH_OK) s = th_guard_check_pictures(w->set, NULL, &notes);
    }
    if (s == TH_OK) s = th_str_status(&notes);
    for (char *line, *rest = (char *)th_str_text(&notes); s == TH_OK && (line = strsep(&rest, "\n"));)
        if (*line) th_cli_note(j->cli, "%s", line);
    th_str_free(&notes);
    return s;
}

static th_status run_all(th_guard_job *j) {
    TH_TRY(th_cli_job_check(j->cli));
    TH_TRY(th_guard_read_wishes(j));
    read_training(j);
    TH_TRY(prepare(j, 0));
    if (j->cost.cut)
        th_cli_note(j->cli, "%lld texts have more tokens than the model reads, and their ends are cut off",
                    (long long)j->cost.cut);
    TH_TRY(note_doubts(j));
    TH_TRY(th_options_check(j->cli->options));
    return th_get_bool(j->cli->options, "plan") ? plan(j) : guard(j);
}

static th_status run(th_cli *cli) {
    th_guard_job j = {.cli = cli, .method = th_guard_methods[cli->method]};
    th_status s = run_all(&j); /* which opens the run */
    s = th_cli_fit_stopped(s, j.run);
    close_models(&j);
    th_guard_drop_wishes(&j);
    th_run_folder_close(j.run);
    json_decref(j.inputs);
    return s;
}

#define BEFORE \
    {"Model", model_options}, { "Protected", th_guard_subject_options }
#define AFTER                                                                                               \
    {"Texts", th_guard_text_options}, {"Drawing", th_guard_drawing_options}, {"Training", th_tune_options}, \
        {"Gates", th_guard_gate_options}, {"Run", th_run_options}, {                                        \
        NULL, NULL                                                                                          \
    }
static const th_option_group groups[] = {BEFORE, AFTER},
                             with_bystanders[] = {BEFORE, {"Bystanders", th_guard_bystander_options}, AFTER};

void th_cli_guard_model(const th_guard_method *m, th_cli_method *out) {
    *out = (th_cli_method){.name = m->name,
                           .summary = m->summary,
                           .options = m->options,
                           .groups = m->bystanders ? with_bystanders : groups,
                           .run = run};
}
