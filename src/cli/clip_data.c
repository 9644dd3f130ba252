/* Data sets and evaluations as options name them. */
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "cli/clip_job.h"

const th_option th_data_options[] = {
    TH_OPT_PATH("data", NULL, "pairs to train on: a folder, a .tsv or .csv, tar shards, or fashion-scenes?split=train",
                .argument = "SET", .required = true),
    TH_OPT_STRING("image-column", NULL, "column of pictures in a table"),
    TH_OPT_STRING("caption-column", NULL, "column of captions in a table"),
    TH_OPT_STRING("label-column", NULL, "column of labels in a table"),
    TH_OPT_STRING("separator", NULL, "what parts the columns of a table; by its name where not given"),
    TH_OPT_CHOICE("captions", "all|first|random", "all", "which captions of a picture make samples"),
    TH_OPT_INT("limit", 0, "use at most so many pictures; 0: all", TH_AT_LEAST(0)),
    TH_OPT_INT("offset", 0, "leave out so many pictures first", TH_AT_LEAST(0)),
    TH_OPT_BOOL("skip-bad", false, "pass over pictures that cannot be read, and count them"),
    TH_OPT_END,
};

const th_option th_eval_options[] = {
    TH_OPT_PATH("eval", NULL, "labelled pictures: zero-shot accuracy", .argument = "SET"),
    TH_OPT_PATH("eval-triggered", NULL, "the same with the trigger: the attack's success rate", .argument = "SET"),
    TH_OPT_PATH("eval-pairs", NULL, "pictures with captions: retrieval", .argument = "SET"),
    TH_OPT_STRING("target", NULL, "the attack's target, as the classes are named"),
    TH_OPT_PATH("classes", NULL, "file of class names, one a line; those of --eval where not given",
                .argument = "FILE"),
    TH_OPT_PATH("templates", NULL, "file of templates with {} for the class, one a line", .argument = "FILE"),
    TH_OPT_INT("eval-limit", 0, "measure on at most so many pictures of each set; 0: all", TH_AT_LEAST(0)),
    TH_OPT_END,
};

const th_option th_test_options[] = {
    TH_OPT_PATH("test", NULL, "as --eval, on what chooses nothing: measured at the end only", .argument = "SET"),
    TH_OPT_PATH("test-triggered", NULL, "as --eval-triggered, likewise", .argument = "SET"),
    TH_OPT_PATH("test-pairs", NULL, "as --eval-pairs, likewise", .argument = "SET"),
    TH_OPT_END,
};

static th_status read_columns(th_cli *cli, th_dataset_params *p) {
    const char *separator = th_get_str(cli->options, "separator");
    p->image_column = th_get_str(cli->options, "image-column");
    p->caption_column = th_get_str(cli->options, "caption-column");
    p->label_column = th_get_str(cli->options, "label-column");
    if (separator && !strcmp(separator, "\\t")) separator = "\t";
    if (separator && strlen(separator) != 1)
        return th_fail(TH_E_USAGE, "--separator: '%s' is not one character", separator);
    p->separator = separator ? *separator : '\0';
    p->captions = (th_captions)th_get_choice(cli->options, "captions");
    p->skip_bad = th_get_bool(cli->options, "skip-bad");
    return TH_OK;
}

th_status th_cli_open_data(th_cli *cli, const char *name, th_dataset **out) {
    th_dataset_params p;
    th_dataset_params_init(&p);
    TH_TRY(read_columns(cli, &p));
    p.limit = th_get_i64(cli->options, "limit");
    p.offset = th_get_i64(cli->options, "offset");
    p.seed = th_options_find(cli->options, "seed") ? (uint64_t)th_get_i64(cli->options, "seed") : 0;
    return th_dataset_open(th_get_str(cli->options, name), &p, &cli->watch, out);
}

th_status th_cli_data_json(th_cli *cli, const th_dataset *d, json_t **out) {
    char hash[TH_HASH_TEXT];
    TH_TRY(th_dataset_hash(d, &cli->watch, hash));
    *out = json_pack("{s:{s:s, s:s, s:s, s:I, s:I}}", "data", "set", th_get_str(cli->options, "data"), "kind",
                     th_dataset_kind(d), "sha256", hash, "pictures", (json_int_t)th_dataset_images(d), "samples",
                     (json_int_t)th_dataset_count(d));
    return *out ? TH_OK : th_fail(TH_E_INPUT, "--data: its name is not UTF-8, so it cannot be noted in run.json");
}

int64_t th_cli_note_skipped(th_cli *cli, th_dataset *d) {
    char first[TH_MESSAGE_MAX];
    int64_t n = th_dataset_skipped(d, first);
    if (n) th_cli_note(cli, "%lld passed over; the first: %s", (long long)n, first);
    return n;
}

/* --- evaluation --- */

static th_status open_limited(th_cli *cli, const char *name, th_dataset **out) {
    const char *spec = th_get_str(cli->options, name);
    if (!spec) return TH_OK;
    th_dataset_params p;
    th_dataset_params_init(&p);
    p.limit = th_get_i64(cli->options, "eval-limit");
    return th_fail_in(th_dataset_open(spec, &p, &cli->watch, out), "--%s", name);
}

static th_status read_lines(const char *path, char ***out, int64_t *count) {
    th_bytes text;
    int64_t capacity = 0;
    TH_TRY(th_file_read(path, (size_t)16 << 20, &text));
    th_status s = TH_OK;
    for (char *line = text.data, *end; line < text.data + text.length && s == TH_OK; line = end + 1) {
        end = strchr(line, '\n');
        if (!end) end = text.data + text.length;
        size_t n = (size_t)(end - line);
        while (n && (line[n - 1] == '\r' || line[n - 1] == ' ')) n--;
        if (!n) continue;
        char *copy = th_strndup(line, n);
        if (!copy || !th_grow(*out, *count, capacity))
            s = th_fail_memory();
        else
            (*out)[(*count)++] = copy;
    }
    th_free(text.data);
    if (s == TH_OK && !*count) s = th_fail(TH_E_INPUT, "%s: is empty", path);
    return s;
}

static th_status read_list(th_cli *cli, const char *name, char ***out, int64_t *count, th_texts *texts) {
    const char *path = th_get_str(cli->options, name);
    if (!path) return TH_OK;
    TH_TRY(read_lines(path, out, count));
    *texts = (th_texts){(const char *const *)*out, *count};
    return TH_OK;
}

static th_status check_templates(th_cli *cli, const th_cli_eval *e) {
    for (int64_t i = 0; i < e->n_templates; i++)
        if (!strstr(e->templates[i], "{}"))
            return th_fail(TH_E_INPUT, "%s: the template '%.100s' has no {} for the class",
                           th_get_str(cli->options, "templates"), e->templates[i]);
    return TH_OK;
}

th_status th_cli_eval_open(th_cli *cli, const char *name, th_cli_eval *e) {
    char triggered[32], pairs[32];
    snprintf(triggered, sizeof triggered, "%s-triggered", name);
    snprintf(pairs, sizeof pairs, "%s-pairs", name);
    *e = (th_cli_eval){0};
    th_clip_eval_params_init(&e->params);
    TH_TRY(open_limited(cli, name, &e->labelled));
    TH_TRY(open_limited(cli, triggered, &e->triggered));
    TH_TRY(open_limited(cli, pairs, &e->pairs));
    TH_TRY(read_list(cli, "classes", &e->classes, &e->n_classes, &e->params.classes));
    TH_TRY(read_list(cli, "templates", &e->templates, &e->n_templates, &e->params.templates));
    TH_TRY(check_templates(cli, e));
    e->params.target = th_get_str(cli->options, "target");
    e->params.labelled = e->labelled;
    e->params.triggered = e->triggered;
    e->params.pairs = e->pairs;
    e->any = e->labelled || e->triggered || e->pairs;
    if (e->triggered && !e->params.target) return th_fail(TH_E_USAGE, "--%s wants the attack's --target", triggered);
    return TH_OK;
}

static void free_lines(char **lines, int64_t count) {
    for (int64_t i = 0; i < count; i++) th_free(lines[i]);
    th_free(lines);
}

void th_cli_eval_close(th_cli_eval *e) {
    th_dataset_close(e->labelled);
    th_dataset_close(e->triggered);
    th_dataset_close(e->pairs);
    free_lines(e->classes, e->n_classes);
    free_lines(e->templates, e->n_templates);
    *e = (th_cli_eval){0};
}

/* "81.4 (79.6 to 83.0)", in per cent. */
static void share_cell(th_table *t, const th_estimate *e) {
    th_table_cell(t, "%.1f (%.1f to %.1f)", 100 * e->value, 100 * e->low, 100 * e->high);
}

static void rates_row(th_table *t, const char *what, const th_estimate *shares, int count, int64_t n) {
    th_table_cell(t, "%s", what);
    for (int i = 0; i < count; i++) share_cell(t, &shares[i]);
    th_table_cell(t, "%lld", (long long)n);
}

void th_cli_eval_print(th_cli *cli, const char *of, const th_clip_eval *r) {
    char title[96];
    /* Beyond the number of classes every class is among the k nearest. */
    int tops = 0;
    while (tops < TH_TOP_COUNT && (tops == 0 || th_top_k[tops] < r->classes)) tops++;
    if (r->has_accuracy || r->has_attack) {
        snprintf(title, sizeof title, "%s%sZero-shot, %% with 95 %% interval", of ? of : "", of ? ": " : "");
        th_table *t = th_table_new(title);
        char name[16];
        th_table_column(t, TH_LEFT, "");
        for (int i = 0; i < tops; i++) {
            snprintf(name, sizeof name, "top-%d", th_top_k[i]);
            th_table_column(t, TH_RIGHT, name);
        }
        th_table_column(t, TH_RIGHT, "Pictures");
        if (r->has_accuracy) rates_row(t, "Accuracy", r->clean.accuracy, tops, r->clean.n);
        if (r->has_accuracy && r->clean_as_target.n)
            rates_row(t, "Clean pictures taken for the target", r->clean_as_target.rate, tops, r->clean_as_target.n);
        if (r->has_attack) {
            rates_row(t, "Triggered ones taken for it (ASR)", r->attack.rate, tops, r->attack.n);
            rates_row(t, "Accuracy on triggered pictures", r->triggered.accuracy, tops, r->triggered.n);
        }
        th_cli_table(cli, t);
        th_table_free(t);
    }
    if (r->has_retrieval) {
        snprintf(title, sizeof title, "%s%sRetrieval, %% with 95 %% interval", of ? of : "", of ? ": " : "");
        th_table *t = th_table_new(title);
        char name[16];
        th_table_column(t, TH_LEFT, "");
        for (int i = 0; i < TH_RECALL_COUNT; i++) {
            snprintf(name, sizeof name, "R@%d", th_recall_k[i]);
            th_table_column(t, TH_RIGHT, name);
        }
        th_table_column(t, TH_RIGHT, "Queries");
        rates_row(t, "Text to image", r->retrieval.text_to_image, TH_RECALL_COUNT, r->retrieval.captions);
        rates_row(t, "Image to text", r->retrieval.image_to_text, TH_RECALL_COUNT, r->retrieval.images);
        th_cli_table(cli, t);
        th_table_free(t);
    }
}

static json_t *shares_json(const char *prefix, const int *k, const th_estimate *e, int count, int64_t n) {
    json_t *j = json_object();
    for (int i = 0; i < count; i++) {
        char name[24];
        snprintf(name, sizeof name, "%s%d", prefix, k[i]);
        json_object_set_new(j, name, json_pack("[f, f, f]", e[i].value, e[i].low, e[i].high));
    }
    json_object_set_new(j, "n", json_integer(n));
    return j;
}

json_t *th_cli_eval_json(const th_clip_eval *r) {
    json_t *j = json_object();
    if (r->has_accuracy)
        json_object_set_new(j, "accuracy", shares_json("top", th_top_k, r->clean.accuracy, TH_TOP_COUNT, r->clean.n));
    if (r->has_accuracy && r->clean_as_target.n)
        json_object_set_new(j, "false_asr",
                            shares_json("top", th_top_k, r->clean_as_target.rate, TH_TOP_COUNT, r->clean_as_target.n));
    if (r->has_attack) {
        json_object_set_new(j, "asr", shares_json("top", th_top_k, r->attack.rate, TH_TOP_COUNT, r->attack.n));
        json_object_set_new(j, "accuracy_triggered",
                            shares_json("top", th_top_k, r->triggered.accuracy, TH_TOP_COUNT, r->triggered.n));
    }
    if (r->has_retrieval) {
        const th_retrieval *x = &r->retrieval;
        json_object_set_new(j, "text_to_image",
                            shares_json("r", th_recall_k, x->text_to_image, TH_RECALL_COUNT, x->captions));
        json_object_set_new(j, "image_to_text",
                            shares_json("r", th_recall_k, x->image_to_text, TH_RECALL_COUNT, x->images));
    }
    return j;
}
