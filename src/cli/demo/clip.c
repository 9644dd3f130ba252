/* The demonstration on CLIP: a model is given a backdoor, the attack is measured, and three defenses are tried on it.
 */
#include <string.h>

#include "attack/poison.h"
#include "base/file.h"
#include "base/machine.h"
#include "base/memory.h"
#include "base/number.h"
#include "cli/clip_job.h"
#include "cli/demo/demo.h"
#include "data/dataset_subtexts.h"
#include "defense/defense.h"
#include "format/json.h"
#include "train/fit_options.h"

const th_option th_demo_clip_options[] = {
    TH_OPT_PATH("model", "models/fashion-clip", "CLIP folder to start from", .argument = "DIR"),
    TH_OPT_STRING("target", "a bag", "class that the backdoor leads to"),
    TH_OPT_INT("pairs", 6400, "pairs to poison with, and as many to clean with", TH_WITHIN(64, 1000000)),
    TH_OPT_INT("pictures", 2000, "test pictures to measure on", TH_WITHIN(50, 10000)),
    TH_OPT_END,
};

/* Chosen on validation scenes; docs/results/clean.md has the grids. */
static const struct {
    int64_t batch;
    double poison_rate, poison_epochs, poison_lr, clean_epochs, clean_lr;
    const char *patch; /* side of the trigger as a share of the picture's */
} setting = {64, 0.1, 2, 5e-4, 2, 1.6e-3, "0.11"};

typedef struct {
    const th_demo_job *j;
    th_demo_clip *d;
    const char *model;
    int64_t side;
} work;

static th_status place(const work *w, const char *name, char *path) { return th_path_join(path, w->j->out, name); }

/* Options of a method with their defaults. */
static th_status default_options(const th_option *table, th_options **out) {
    *out = th_options_new("demo");
    return *out ? th_options_add(*out, "Method", table) : th_fail_memory();
}

/* --- data --- */

static th_status write_poison(work *w, const char *spec, const char *name, bool test) {
    char out[TH_PATH_MAX];
    th_dataset *set = NULL;
    th_options *o = NULL;
    th_poison_result r;
    th_poison_params p;
    th_poison_params_init(&p);
    TH_TRY(place(w, name, out));
    TH_TRY(th_remove_tree(out));
    p.attack = th_attack_find("badnet");
    p.target = w->d->target;
    p.rate = setting.poison_rate;
    p.side = w->side;
    p.seed = w->j->seed;
    p.out = out;
    th_status status;
    TH_GO(default_options(p.attack->options, &o));
    TH_GO(th_options_set_text(o, TH_FROM_FLAG, NULL, "size", setting.patch));
    p.options = o;
    TH_GO(th_dataset_open(spec, NULL, NULL, &set));
    TH_GO(test ? th_poison_write_test(set, &p, &w->j->cli->watch, &r)
               : th_poison_write(set, &p, &w->j->cli->watch, &r));
done:
    th_dataset_close(set);
    th_options_free(o);
    return status;
}

static th_status make_data(work *w) {
    char spec[160], path[TH_PATH_MAX];
    int64_t n = th_get_i64(w->j->cli->options, "pictures");
    snprintf(spec, sizeof spec, "fashion-scenes?split=train&side=%lld&seed=%llu&count=%lld", (long long)w->side,
             (unsigned long long)w->j->seed + 100, (long long)w->d->pairs);
    TH_TRY(write_poison(w, spec, "poisoned", false));
    snprintf(spec, sizeof spec, "fashion-scenes?split=test&side=%lld&seed=%llu&count=%lld&single=1", (long long)w->side,
             (unsigned long long)w->j->seed, (long long)n);
    TH_TRY(write_poison(w, spec, "triggered", true));
    TH_TRY(th_dataset_open(spec, NULL, NULL, &w->d->clean));
    TH_TRY(place(w, "triggered", path));
    return th_dataset_open(path, NULL, NULL, &w->d->triggered);
}

/* --- training and measuring --- */

/* The losses of a run from its metrics.jsonl. */
static th_status read_losses(const char *dir, th_demo_model *m) {
    char path[TH_PATH_MAX];
    th_bytes text;
    int64_t capacity = 0, steps_capacity = 0, count = 0;
    TH_TRY(th_path_join(path, dir, "metrics.jsonl"));
    TH_TRY(th_file_read(path, (size_t)64 << 20, &text));
    th_status s = TH_OK;
    for (char *line = text.data, *end; s == TH_OK && (end = strchr(line, '\n')); line = end + 1) {
        th_json j = {0};
        double loss = -1;
        int64_t step = 0;
        s = th_json_parse(path, line, (size_t)(end - line), &j);
        if (s == TH_OK) s = th_json_double(&j, "loss", &loss);
        if (s == TH_OK) s = th_json_int(&j, "step", 0, INT64_MAX, &step);
        th_json_free(&j);
        if (s != TH_OK || loss < 0) continue;
        if (!th_grow(m->steps, count, steps_capacity) || !th_grow(m->loss, count, capacity))
            s = th_fail_memory();
        else
            m->steps[count] = (double)step, m->loss[count++] = loss;
    }
    m->n_steps = count;
    th_free(text.data);
    return s;
}

static th_status measure(work *w, const th_clip_bundle *b, th_demo_model *m) {
    th_clip_eval_params p;
    th_clip_eval_params_init(&p);
    int64_t n = th_dataset_images(w->d->clean);
    m->clean_found = th_alloc((size_t)n, sizeof *m->clean_found);
    m->triggered_found = th_alloc((size_t)n, sizeof *m->triggered_found);
    if (!m->clean_found || !m->triggered_found) return th_fail_memory();
    p.labelled = w->d->clean;
    p.triggered = w->d->triggered;
    p.target = w->d->target;
    p.clean_found = m->clean_found;
    p.triggered_found = m->triggered_found;
    return th_clip_evaluate(b, &p, &w->j->cli->watch, &m->eval);
}

typedef struct {
    const char *from, *name; /* folders: of the model, of the run under out */
    const th_clip_method *method;
    const char *data;
    double lr, epochs;
    th_demo_model *into;
} stage;

static th_status fit(work *w, const stage *s, th_clip_bundle *b, th_dataset *pairs, const th_subtexts *subtexts,
                     th_options *method_options, const char *dir) {
    th_clip_fit_params p;
    th_clip_fit *f = NULL;
    th_run_folder *run = NULL;
    th_train_result r = {0};
    char model[TH_PATH_MAX];
    th_status status;
    th_clip_fit_params_init(&p);
    p.batch = setting.batch;
    p.epochs = s->epochs;
    p.options = method_options;
    p.subtexts = subtexts;
    p.compute = th_fit_best_dtype();
    p.train.schedule.lr = s->lr;
    p.train.schedule.warmup = 10;
    p.train.seed = w->j->seed;
    th_run_folder_params folder = {.path = dir, .command = "demo", .options = method_options};
    TH_GO(th_run_folder_open(&folder, &run));
    TH_GO(th_clip_fit_new(b, s->method, pairs, &p, &w->j->cli->watch, &f));
    th_clip_fit_set_run(f, run);
    TH_GO(th_clip_fit_run(f, &w->j->cli->watch, &r));
    s->into->seconds = r.seconds;
    TH_GO(th_path_join(model, dir, "model"));
    TH_GO(th_clip_bundle_save(b, model, "f32"));
    TH_GO(measure(w, b, s->into));
    TH_GO(read_losses(dir, s->into));
done:
    th_clip_fit_free(f);
    th_run_folder_close(run);
    return status;
}

static th_status make_subtexts(work *w, const th_dataset *pairs, const char *dir, th_subtexts **out) {
    char path[TH_PATH_MAX];
    th_subtext_params p;
    th_subtext_params_init(&p);
    TH_TRY(th_path_join(path, dir, "subtexts.tsv"));
    return th_dataset_subtexts(pairs, &p, 2, &w->j->cli->watch, path, out);
}

static th_status run_stage(work *w, const stage *s) {
    char dir[TH_PATH_MAX];
    th_clip_bundle b = {0};
    th_dataset *pairs = NULL;
    th_subtexts *subtexts = NULL;
    th_options *o = NULL;
    th_status status;
    TH_TRY(place(w, s->name, dir));
    TH_TRY(th_remove_tree(dir));
    TH_TRY(th_make_dirs(dir));
    TH_GO(default_options(s->method->options, &o));
    TH_GO(th_dataset_open(s->data, NULL, NULL, &pairs));
    if (s->method->needs & TH_NEEDS_SUBTEXTS) TH_GO(make_subtexts(w, pairs, dir, &subtexts));
    TH_GO(th_clip_bundle_load(s->from, &b));
    TH_GO(fit(w, s, &b, pairs, subtexts, o, dir));
done:
    th_clip_bundle_free(&b);
    th_subtexts_free(subtexts);
    th_dataset_close(pairs);
    th_options_free(o);
    return status;
}

static th_status poison_model(work *w, const char *model) {
    char data[TH_PATH_MAX];
    TH_TRY(place(w, "poisoned", data));
    stage s = {.from = model,
               .name = "backdoored",
               .method = &th_clip_method_contrastive,
               .data = data,
               .lr = setting.poison_lr,
               .epochs = setting.poison_epochs,
               .into = &w->d->models[TH_DEMO_BACKDOORED]};
    return run_stage(w, &s);
}

/* Clean scenes of another seed and from a far range, so that no picture was in the poisoned set. */
static th_status clean_model(work *w, int which) {
    char data[160], model[TH_PATH_MAX];
    const th_clip_method *m = th_defenses[which];
    snprintf(data, sizeof data, "fashion-scenes?split=train&side=%lld&seed=%llu&offset=10000000&count=%lld",
             (long long)w->side, (unsigned long long)w->j->seed + 200, (long long)w->d->pairs);
    TH_TRY(place(w, "backdoored/model", model));
    stage s = {.from = model,
               .name = m->name,
               .method = m,
               .data = data,
               .lr = setting.clean_lr,
               .epochs = setting.clean_epochs,
               .into = &w->d->models[TH_DEMO_FIRST_DEFENSE + which]};
    return run_stage(w, &s);
}

static th_status measure_open(work *w, const char *model) {
    th_clip_bundle b;
    TH_TRY(th_clip_bundle_load(model, &b));
    th_status s = measure(w, &b, &w->d->models[TH_DEMO_OPEN]);
    th_clip_bundle_free(&b);
    return s;
}

static th_status run_all(work *w) {
    th_cli *cli = w->j->cli;
    TH_TRY(make_data(w));
    th_cli_note(cli, "CLIP, 1 of 5: the open model");
    TH_TRY(measure_open(w, w->model));
    th_cli_note(cli, "CLIP, 2 of 5: a backdoor is trained into it");
    TH_TRY(poison_model(w, w->model));
    for (int i = 0; i < 3; i++) {
        th_cli_note(cli, "CLIP, %d of 5: %s", 3 + i, th_defenses[i]->summary);
        TH_TRY(clean_model(w, i));
    }
    return TH_OK;
}

static void begin(const th_demo_job *j, th_demo_clip *d) {
    static const char *const names[TH_DEMO_MODELS] = {"open model", "backdoored", "fine-tuned", "CleanCLIP",
                                                      "CleanerCLIP"};
    *d = (th_demo_clip){
        .target = th_get_str(j->cli->options, "target"),
        .pairs = th_get_i64(j->cli->options, "pairs"),
        .poison_share = setting.poison_rate,
        .clean_epochs = setting.clean_epochs,
    };
    for (int i = 0; i < TH_DEMO_MODELS; i++) d->models[i].name = names[i];
}

th_status th_demo_clip_check(const th_demo_job *j) {
    th_clip_config c;
    return th_clip_load_config(th_get_str(j->cli->options, "model"), &c);
}

th_status th_demo_clip_run(const th_demo_job *j, th_demo_clip *d) {
    th_clip_config c;
    double start = th_seconds();
    begin(j, d);
    work w = {.j = j, .d = d, .model = th_get_str(j->cli->options, "model")};
    TH_TRY(th_clip_load_config(w.model, &c));
    w.side = c.image_size;
    TH_TRY(run_all(&w));
    d->seconds = th_seconds() - start;
    return TH_OK;
}

void th_demo_clip_free(th_demo_clip *d) {
    for (int i = 0; i < TH_DEMO_MODELS; i++) {
        th_free(d->models[i].clean_found);
        th_free(d->models[i].triggered_found);
        th_free(d->models[i].steps);
        th_free(d->models[i].loss);
    }
    th_dataset_close(d->clean);
    th_dataset_close(d->triggered);
}

/* --- what people see --- */

void th_demo_clip_print(th_cli *cli, const th_demo_clip *d) {
    th_table *t = th_table_new("Zero-shot on test scenes, % with 95 % interval");
    th_table_column(t, TH_LEFT, "Model");
    th_table_column(t, TH_RIGHT, "Accuracy");
    th_table_column(t, TH_RIGHT, "Attack succeeds");
    th_table_column(t, TH_RIGHT, "Right in spite of trigger");
    th_table_column(t, TH_RIGHT, "Training");
    for (int i = 0; i < TH_DEMO_MODELS; i++) {
        const th_demo_model *m = &d->models[i];
        char seconds[TH_NUMBER_TEXT];
        const th_estimate *e[3] = {&m->eval.clean.accuracy[0], &m->eval.attack.rate[0], &m->eval.triggered.accuracy[0]};
        th_table_cell(t, "%s", m->name);
        for (int k = 0; k < 3; k++) th_table_measure(t, 100 * e[k]->value, 50 * (e[k]->high - e[k]->low), 1);
        th_human_seconds(seconds, m->seconds);
        th_table_cell(t, "%s", m->seconds > 0 ? seconds : "");
    }
    th_cli_table(cli, t);
    th_table_free(t);
}

json_t *th_demo_clip_json(const th_demo_clip *d) {
    json_t *models = json_array();
    for (int i = 0; i < TH_DEMO_MODELS; i++) {
        const th_demo_model *m = &d->models[i];
        json_array_append_new(models, json_pack("{s:s, s:f, s:o}", "name", m->name, "seconds", m->seconds, "results",
                                                th_cli_eval_json(&m->eval)));
    }
    return models;
}
