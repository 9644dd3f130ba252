/* Runs of theriac clean, gathered and grouped. */
#include "cli/clean_runs.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "defense/defense.h"
#include "format/json.h"
#include "format/options_json.h"

#define PREFIX "clean "

/* Options that make up the budget: runs that differ in one of them are no fair comparison. */
static const char *const budget[] = {"data",       "limit",    "epochs",   "steps",  "batch",
                                     "accumulate", "schedule", "captions", "offset", "stride"};

/* results.accuracy.top1 is [value, low, high]. */
static th_status read_share(const th_json *j, const char *where, const char *what, double *out) {
    char field[80];
    json_t *list = NULL;
    *out = NAN;
    snprintf(field, sizeof field, "%s.%s.top1", where, what);
    TH_TRY(th_json_array(j, field, &list));
    json_t *value = json_array_get(list, 0);
    if (!list) return TH_OK;
    if (!json_is_number(value)) return th_json_fail(j, field, "a list of numbers");
    *out = json_number_value(value);
    return TH_OK;
}

static th_status read_shares(const th_json *j, const char *where, th_clean_shares *out) {
    TH_TRY(read_share(j, where, "accuracy", &out->accuracy));
    TH_TRY(read_share(j, where, "asr", &out->asr));
    return read_share(j, where, "accuracy_triggered", &out->triggered);
}

static const th_clip_method *find_method(const char *command) {
    if (strncmp(command, PREFIX, strlen(PREFIX)) != 0) return NULL;
    for (int i = 0; th_defenses[i]; i++)
        if (!strcmp(th_defenses[i]->name, command + strlen(PREFIX))) return th_defenses[i];
    return NULL;
}

/* ", subset 1, subtexts positives": the method's options that are not at their defaults. */
static th_status add_options(const th_clip_method *m, const json_t *given, th_str *label) {
    th_options *o = th_options_new(m->name);
    json_t *usual = NULL, *value;
    const char *name;
    th_status s = o ? th_options_add(o, "Method", m->options) : th_fail_memory();
    if (s == TH_OK) s = th_options_json(o, &usual);
    json_object_foreach(usual, name, value) {
        const json_t *was = json_object_get(given, name);
        if (!was || json_equal(was, value)) continue;
        if (json_is_number(was) && json_is_number(value) && json_number_value(was) == json_number_value(value))
            continue;
        th_str_printf(label, ", %s ", name);
        if (json_is_string(was))
            th_str_puts(label, json_string_value(was));
        else if (s == TH_OK)
            s = th_json_text(was, 0, label);
    }
    json_decref(usual);
    th_options_free(o);
    return s;
}

static th_status name_method(th_clean_runs *r, const th_clip_method *m, const json_t *options, const char **out) {
    th_str label;
    th_str_init(&label, 1 << 12);
    th_str_puts(&label, m->name);
    th_status s = m->options ? add_options(m, options, &label) : TH_OK;
    if (s == TH_OK) s = th_str_status(&label);
    if (s == TH_OK && !(*out = th_arena_strdup(r->arena, th_str_text(&label)))) s = th_fail_memory();
    th_str_free(&label);
    return s;
}

static void compare_budget(th_clean_runs *r, const json_t *first, const json_t *options) {
    for (size_t i = 0; i < sizeof budget / sizeof *budget && !r->difference; i++) {
        const json_t *a = json_object_get(first, budget[i]), *b = json_object_get(options, budget[i]);
        if (a && b && !json_equal(a, b)) r->difference = budget[i];
    }
}

static th_status read_run(th_clean_runs *r, const th_json *j, th_clean_run *run) {
    const char *command = "", *model = NULL;
    json_t *options = NULL;
    TH_TRY(th_json_string(j, "command", &command));
    const th_clip_method *m = find_method(command);
    if (!m) return th_json_fail(j, "command", "\"clean\" and one of its methods");
    if (!th_json_has(j, "seconds")) return th_fail(TH_E_INPUT, "%s: the run is not finished", j->file);
    TH_TRY(th_json_double(j, "seconds", &run->seconds));
    TH_TRY(th_json_object(j, "options", &options));
    TH_TRY(th_json_require(j, "options.model"));
    TH_TRY(th_json_string(j, "options.model", &model));
    TH_TRY(th_json_double(j, "options.lr", &run->lr));
    TH_TRY(th_json_int(j, "options.seed", 0, INT64_MAX, &run->seed));
    if (!(run->model = th_arena_strdup(r->arena, model))) return th_fail_memory();
    TH_TRY(name_method(r, m, options, &run->method));
    if (!th_json_has(j, "results.accuracy") || !th_json_has(j, "before.results.accuracy"))
        return th_fail(TH_E_INPUT, "%s: the run was not measured before and after; it wants --eval", j->file);
    bool tested = th_json_has(j, "test.accuracy");
    r->tested = r->tested && tested;
    TH_TRY(read_shares(j, "results", &run->validation));
    TH_TRY(read_shares(j, "before.results", &run->validation_before));
    TH_TRY(read_shares(j, tested ? "test" : "results", &run->test));
    return read_shares(j, tested ? "before.test" : "before.results", &run->test_before);
}

static int by_group(const void *a, const void *b) {
    const th_clean_run *x = a, *y = b;
    int c = strcmp(x->model, y->model);
    if (!c) c = strcmp(x->method, y->method);
    if (!c) c = (x->lr > y->lr) - (x->lr < y->lr);
    return c ? c : (x->seed > y->seed) - (x->seed < y->seed);
}

static bool same_point(const th_clean_run *a, const th_clean_run *b) {
    return !strcmp(a->model, b->model) && !strcmp(a->method, b->method) && a->lr == b->lr;
}

/* Mean and standard deviation of the double at `offset` of each run's test shares. */
static void average(const th_clean_run *runs, int64_t n, size_t offset, double *mean, double *std) {
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < n; i++) sum += *(const double *)((const char *)&runs[i].test + offset);
    *mean = sum / (double)n;
    for (int64_t i = 0; i < n; i++) {
        double d = *(const double *)((const char *)&runs[i].test + offset) - *mean;
        squares += d * d;
    }
    *std = n > 1 ? sqrt(squares / (double)(n - 1)) : 0;
}

static void make_point(const th_clean_run *runs, int64_t n, th_clean_point *p) {
    *p = (th_clean_point){
        .model = runs->model, .method = runs->method, .lr = runs->lr, .runs = n, .before = runs->test_before};
    average(runs, n, offsetof(th_clean_shares, accuracy), &p->mean.accuracy, &p->std.accuracy);
    average(runs, n, offsetof(th_clean_shares, asr), &p->mean.asr, &p->std.asr);
    average(runs, n, offsetof(th_clean_shares, triggered), &p->mean.triggered, &p->std.triggered);
    for (int64_t i = 0; i < n; i++) {
        p->seconds += runs[i].seconds / (double)n;
        p->validation_drop += (runs[i].validation_before.accuracy - runs[i].validation.accuracy) / (double)n;
    }
}

static th_status group(th_clean_runs *r) {
    qsort(r->runs, (size_t)r->n_runs, sizeof *r->runs, by_group);
    r->points = th_alloc((size_t)r->n_runs, sizeof *r->points);
    if (!r->points) return th_fail_memory();
    for (int64_t i = 0, n; i < r->n_runs; i += n) {
        for (n = 1; i + n < r->n_runs && same_point(&r->runs[i], &r->runs[i + n]);) n++;
        make_point(&r->runs[i], n, &r->points[r->n_points++]);
    }
    return TH_OK;
}

static th_status read_all(const char *const *folders, int64_t count, th_clean_runs *r, th_json *first) {
    for (int64_t i = 0; i < count; i++) {
        char path[TH_PATH_MAX];
        th_json j = {0};
        TH_TRY(th_path_join(path, folders[i], "run.json"));
        th_status s = th_json_load(path, TH_CONFIG_MAX, &j);
        if (s == TH_OK) s = read_run(r, &j, &r->runs[r->n_runs]);
        if (s == TH_OK && first->root)
            compare_budget(r, json_object_get(first->root, "options"), json_object_get(j.root, "options"));
        if (s == TH_OK && !first->root) *first = j, j = (th_json){0};
        th_json_free(&j);
        TH_TRY(s);
        r->n_runs++;
    }
    return TH_OK;
}

th_status th_clean_runs_read(const char *const *folders, int64_t count, th_clean_runs *out) {
    th_json first = {0};
    *out = (th_clean_runs){.arena = th_arena_new(), .runs = th_alloc((size_t)count, sizeof *out->runs), .tested = true};
    th_status s = out->arena && out->runs ? read_all(folders, count, out, &first) : th_fail_memory();
    th_json_free(&first);
    if (s == TH_OK) s = group(out);
    if (s != TH_OK) th_clean_runs_free(out);
    return s;
}

void th_clean_runs_free(th_clean_runs *r) {
    th_arena_free(r->arena);
    th_free(r->runs);
    th_free(r->points);
    *r = (th_clean_runs){0};
}

const th_clean_point *th_clean_runs_choose(const th_clean_runs *r, const char *model, const char *method, double drop) {
    const th_clean_point *best = NULL;
    for (int64_t i = 0; i < r->n_points; i++) {
        const th_clean_point *p = &r->points[i];
        if (!strcmp(p->model, model) && !strcmp(p->method, method) && p->validation_drop <= drop) best = p;
    }
    return best; /* they stand by learning rate */
}

th_plot th_clean_plot(const th_series *series, int64_t count) {
    return (th_plot){.title = "Accuracy against the attack's success",
                     .x_name = "attack success rate",
                     .y_name = "zero-shot accuracy",
                     .x_percent = true,
                     .y_percent = true,
                     .x_span = {true, 0, 1},
                     .better = TH_BETTER_TOP_LEFT,
                     .series = series,
                     .series_count = count};
}
