/* theriac report: finished runs side by side, as a page, as Markdown, as JSON. */
#include <math.h>
#include <string.h>

#include "base/file.h"
#include "cli/clean_runs.h"
#include "cli/verb.h"
#include "report/page.h"

static const th_option options[] = {
    TH_OPT_PATH("out", NULL, "page to write, self-contained HTML", .argument = "FILE", .letter = 'o'),
    TH_OPT_PATH("markdown", NULL, "the tables as a Markdown file", .argument = "FILE"),
    TH_OPT_END,
};

static bool method(int64_t i, th_cli_method *out) {
    *out =
        (th_cli_method){.name = "clean", .summary = "runs of theriac clean: frontiers of accuracy and attack success"};
    return i == 0;
}

static const double drops[] = {0.01, 0.03, 0.05};
enum { DROPS = sizeof drops / sizeof *drops };

/* The points from `begin` on that share its model, or its model and its method. */
static int64_t points_like(const th_clean_runs *r, int64_t begin, bool method_too) {
    int64_t end = begin + 1;
    const th_clean_point *p = r->points;
    while (end < r->n_points && !strcmp(p[end].model, p[begin].model) &&
           (!method_too || !strcmp(p[end].method, p[begin].method)))
        end++;
    return end;
}

static th_table *points_table(const th_clean_runs *r, int64_t begin, int64_t end) {
    char title[TH_PATH_MAX + 80];
    snprintf(title, sizeof title, "%s, %% on %s, mean ± standard deviation over seeds", r->points[begin].model,
             r->tested ? "test pictures" : "the pictures of --eval");
    th_table *t = th_table_new(title);
    static const char *const names[] = {"Learning rate", "Runs", "Accuracy", "ASR", "Right in spite of the trigger",
                                        "Seconds"};
    th_table_column(t, TH_LEFT, "Method");
    for (int i = 0; i < 6; i++) th_table_column(t, TH_RIGHT, names[i]);
    const th_clean_shares *b = &r->points[begin].before;
    th_table_cell(t, "undefended");
    th_table_cell(t, "–");
    th_table_cell(t, "–");
    th_table_number(t, 100 * b->accuracy, 1);
    th_table_number(t, 100 * b->asr, 1);
    th_table_number(t, 100 * b->triggered, 1);
    th_table_cell(t, "–");
    for (int64_t i = begin; i < end; i++) {
        const th_clean_point *p = &r->points[i];
        th_table_cell(t, "%s", p->method);
        th_table_cell(t, "%g", p->lr);
        th_table_cell(t, "%lld", (long long)p->runs);
        th_table_measure(t, 100 * p->mean.accuracy, 100 * p->std.accuracy, 1);
        th_table_measure(t, 100 * p->mean.asr, 100 * p->std.asr, 1);
        th_table_measure(t, 100 * p->mean.triggered, 100 * p->std.triggered, 1);
        th_table_number(t, p->seconds, 0);
    }
    return t;
}

static th_table *chosen_table(const th_clean_runs *r, int64_t begin, int64_t end) {
    char title[TH_PATH_MAX + 160], name[64];
    snprintf(title, sizeof title,
             "%s, chosen by clean %s alone: the highest learning rate that costs at most so many points of accuracy "
             "there",
             r->points[begin].model, r->tested ? "validation pictures" : "pictures");
    th_table *t = th_table_new(title);
    th_table_column(t, TH_LEFT, "Method");
    for (int d = 0; d < DROPS; d++) {
        snprintf(name, sizeof name, "≤ %g: rate", 100 * drops[d]);
        th_table_column(t, TH_RIGHT, name);
        th_table_column(t, TH_RIGHT, "Accuracy");
        th_table_column(t, TH_RIGHT, "ASR");
    }
    for (int64_t i = begin; i < end; i = points_like(r, i, true)) {
        th_table_cell(t, "%s", r->points[i].method);
        for (int d = 0; d < DROPS; d++) {
            const th_clean_point *p = th_clean_runs_choose(r, r->points[i].model, r->points[i].method, drops[d]);
            if (p)
                th_table_cell(t, "%g", p->lr);
            else
                th_table_cell(t, "none");
            th_table_number(t, p ? 100 * p->mean.accuracy : NAN, 1);
            th_table_number(t, p ? 100 * p->mean.asr : NAN, 1);
        }
    }
    return t;
}

/* Mean and one standard deviation to both sides, within [0, 1]: low, mean, high. */

static void set_bounds(double mean, double std, double out[3]) {
    out[0] = fmax(mean - std, 0);
    out[1] = mean;
    out[2] = fmin(mean + std, 1);
}

#define SERIES_MAX 16

typedef struct {
    th_series series[SERIES_MAX];
    double *numbers; /* six rows of points */
    const char **labels;
    char (*texts)[24];
    th_rule rule;
} frontier;

static th_status plot_frontier(th_page *page, const th_clean_runs *r, int64_t begin, int64_t end) {
    int64_t n = end - begin, count = 0;
    frontier f = {.numbers = th_alloc((size_t)n * 6, sizeof(double)),
                  .labels = th_alloc((size_t)n, sizeof *f.labels),
                  .texts = th_alloc((size_t)n, sizeof *f.texts)};
    th_status s = f.numbers && f.labels && f.texts ? TH_OK : th_fail_memory();
    for (int64_t i = 0; s == TH_OK && i < n; i++) {
        const th_clean_point *p = &r->points[begin + i];
        double x[3], y[3];
        set_bounds(p->mean.asr, p->std.asr, x);
        set_bounds(p->mean.accuracy, p->std.accuracy, y);
        for (int k = 0; k < 3; k++) f.numbers[k * n + i] = x[k], f.numbers[(3 + k) * n + i] = y[k];
        snprintf(f.texts[i], sizeof f.texts[i], "%g", p->lr);
        f.labels[i] = f.texts[i];
    }
    for (int64_t i = begin; s == TH_OK && i < end && count < SERIES_MAX; i = points_like(r, i, true)) {
        double *at = f.numbers + (i - begin);
        f.series[count++] = (th_series){.name = r->points[i].method,
                                        .kind = TH_FRONTIER,
                                        .count = points_like(r, i, true) - i,
                                        .x_low = at,
                                        .x = at + n,
                                        .x_high = at + 2 * n,
                                        .low = at + 3 * n,
                                        .y = at + 4 * n,
                                        .high = at + 5 * n,
                                        .labels = f.labels + (i - begin)};
    }
    f.rule = (th_rule){.at = r->points[begin].before.accuracy, .label = "undefended"};
    th_plot p = th_clean_plot(f.series, count);
    p.caption = "Bars are one standard deviation over seeds. The backdoored model stands at the right, on the "
                "dashed line.";
    p.title = "Accuracy against the attack's success, by learning rate";
    p.rules = &f.rule;
    p.rule_count = 1;
    if (s == TH_OK) th_page_plot(page, &p);
    th_free(f.numbers);
    th_free(f.labels);
    th_free(f.texts);
    return s;
}

/* What is to be said of the comparison as a whole; NULL: nothing. */
static const char *caveat(const th_clean_runs *r, char text[200]) {
    if (!r->difference) return NULL;
    snprintf(text, 200, "The runs differ in --%s, so this is no comparison at one budget.", r->difference);
    return text;
}

static th_status write_page(const th_clean_runs *r, const char *path) {
    char text[200];
    th_page *page = th_page_new("Cleaning a CLIP model: what it takes off, and what it costs");
    if (caveat(r, text)) th_page_note(page, text);
    th_status s = TH_OK;
    for (int64_t i = 0, end; s == TH_OK && i < r->n_points; i = end) {
        end = points_like(r, i, false);
        th_table *chosen = chosen_table(r, i, end), *all = points_table(r, i, end);
        th_page_section(page, r->points[i].model);
        s = plot_frontier(page, r, i, end);
        th_page_table(page, chosen);
        th_page_table(page, all);
        th_table_free(chosen);
        th_table_free(all);
    }
    if (s == TH_OK) s = th_page_write(page, path);
    th_page_free(page);
    return s;
}

static th_status write_markdown(const th_clean_runs *r, const char *path) {
    char text[200];
    th_str out;
    th_str_init(&out, 1 << 24);
    if (caveat(r, text)) th_str_printf(&out, "%s\n\n", text);
    for (int64_t i = 0, end; i < r->n_points; i = end) {
        end = points_like(r, i, false);
        th_table *chosen = chosen_table(r, i, end), *all = points_table(r, i, end);
        th_table_markdown(chosen, &out);
        th_str_puts(&out, "\n");
        th_table_markdown(all, &out);
        if (end < r->n_points) th_str_puts(&out, "\n");
        th_table_free(chosen);
        th_table_free(all);
    }
    th_status s = th_str_status(&out);
    if (s == TH_OK) s = th_file_write(path, th_str_text(&out), out.length);
    th_str_free(&out);
    return s;
}

static json_t *shares_json(const th_clean_shares *s) {
    json_t *j = json_object();
    if (isfinite(s->accuracy)) json_object_set_new(j, "accuracy", json_real(s->accuracy));
    if (isfinite(s->asr)) json_object_set_new(j, "asr", json_real(s->asr));
    if (isfinite(s->triggered)) json_object_set_new(j, "accuracy_triggered", json_real(s->triggered));
    return j;
}

static void print_json(th_cli *cli, const th_clean_runs *r) {
    json_t *list = json_array();
    for (int64_t i = 0; i < r->n_points; i++) {
        const th_clean_point *p = &r->points[i];
        json_array_append_new(list,
                              json_pack("{s:s, s:s, s:f, s:I, s:f, s:f, s:o, s:o, s:o}", "model", p->model, "method",
                                        p->method, "lr", p->lr, "runs", (json_int_t)p->runs, "seconds", p->seconds,
                                        "validation_drop", p->validation_drop, "before", shares_json(&p->before),
                                        "mean", shares_json(&p->mean), "std", shares_json(&p->std)));
    }
    th_cli_json(cli, json_pack("{s:o, s:s*}", "points", list, "differs_in", r->difference));
}

static void print(th_cli *cli, const th_clean_runs *r) {
    char text[200];
    for (int64_t i = 0, end; i < r->n_points; i = end) {
        end = points_like(r, i, false);
        th_table *t = points_table(r, i, end);
        th_cli_table(cli, t);
        th_table_free(t);
    }
    if (caveat(r, text)) th_str_printf(&cli->out, "%s\n", text);
}

static th_status run(th_cli *cli) {
    th_clean_runs r;
    const char *page = th_get_str(cli->options, "out"), *markdown = th_get_str(cli->options, "markdown");
    TH_TRY(th_clean_runs_read(cli->args.items, cli->args.count, &r));
    th_status s = page ? write_page(&r, page) : TH_OK;
    if (s == TH_OK && markdown) s = write_markdown(&r, markdown);
    if (s == TH_OK && cli->json)
        print_json(cli, &r);
    else if (s == TH_OK)
        print(cli, &r);
    th_clean_runs_free(&r);
    return s;
}

const th_verb th_verb_report = {
    .name = "report",
    .summary = "lay finished runs side by side",
    .usage = "RUN...",
    .about =
        "Runs that differ by nothing but the seed are one point, the points of a method over learning rates are its "
        "frontier. Every run must have been measured: --eval, and better --test too.",
    .least_args = 1,
    .most_args = -1,
    .examples = "theriac report clean out/clean-* -o out/report.html",
    .groups = {{"Output", options}},
    .method = method,
    .run = run,
};
