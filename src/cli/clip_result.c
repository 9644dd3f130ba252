/* What an evaluation found, as tables for people and as JSON. */
#include "cli/clip_job.h"

/* "81.4 (79.6 to 83.0)", in per cent. */
static void share_cell(th_table *t, const th_estimate *e) {
    th_table_cell(t, "%.1f (%.1f to %.1f)", 100 * e->value, 100 * e->low, 100 * e->high);
}

static void rates_row(th_table *t, const char *what, const th_estimate *shares, int count, int64_t n) {
    th_table_cell(t, "%s", what);
    for (int i = 0; i < count; i++) share_cell(t, &shares[i]);
    th_table_cell(t, "%lld", (long long)n);
}

static th_table *new_table(const char *of, const char *what, const char *k_name, const int *k, int count,
                           const char *number) {
    char title[96], name[16];
    snprintf(title, sizeof title, "%s%s%s, %% with 95 %% interval", of ? of : "", of ? ": " : "", what);
    th_table *t = th_table_new(title);
    th_table_column(t, TH_LEFT, "");
    for (int i = 0; i < count; i++) {
        snprintf(name, sizeof name, "%s%d", k_name, k[i]);
        th_table_column(t, TH_RIGHT, name);
    }
    th_table_column(t, TH_RIGHT, number);
    return t;
}

static void class_rows(th_table *t, const th_clip_eval *r, int tops, const char *const names[4]) {
    if (r->has_accuracy) rates_row(t, names[0], r->clean.accuracy, tops, r->clean.n);
    if (r->has_accuracy && r->clean_as_target.n)
        rates_row(t, names[1], r->clean_as_target.rate, tops, r->clean_as_target.n);
    if (!r->has_attack) return;
    rates_row(t, names[2], r->attack.rate, tops, r->attack.n);
    rates_row(t, names[3], r->triggered.accuracy, tops, r->triggered.n);
}

static void print_classes(th_cli *cli, const char *of, const th_clip_eval *r, const th_clip_eval *reference) {
    static const char *const own[] = {"Accuracy", "Clean pictures taken for the target",
                                      "Triggered ones taken for it (ASR)", "Accuracy on triggered pictures"},
                             *const its[] = {"Reference: accuracy", "Reference: clean ones taken for the target",
                                             "Reference: triggered ones (false ASR)",
                                             "Reference: accuracy on triggered"};
    /* Beyond the number of classes every class is among the k nearest. */
    int tops = 0;
    while (tops < TH_TOP_COUNT && (tops == 0 || th_top_k[tops] < r->classes)) tops++;
    th_table *t = new_table(of, "Zero-shot", "top-", th_top_k, tops, "Pictures");
    class_rows(t, r, tops, own);
    if (reference) class_rows(t, reference, tops, its);
    th_cli_table(cli, t);
    th_table_free(t);
}

static void print_retrieval(th_cli *cli, const char *of, const th_retrieval *r, const th_retrieval *reference) {
    th_table *t = new_table(of, "Retrieval", "R@", th_recall_k, TH_RECALL_COUNT, "Queries");
    rates_row(t, "Text to image", r->text_to_image, TH_RECALL_COUNT, r->captions);
    rates_row(t, "Image to text", r->image_to_text, TH_RECALL_COUNT, r->images);
    if (reference) {
        rates_row(t, "Reference: text to image", reference->text_to_image, TH_RECALL_COUNT, reference->captions);
        rates_row(t, "Reference: image to text", reference->image_to_text, TH_RECALL_COUNT, reference->images);
    }
    th_cli_table(cli, t);
    th_table_free(t);
}

void th_cli_eval_print(th_cli *cli, const char *of, const th_clip_eval *r, const th_clip_eval *reference) {
    if (r->has_accuracy || r->has_attack) print_classes(cli, of, r, reference);
    if (r->has_retrieval) print_retrieval(cli, of, &r->retrieval, reference ? &reference->retrieval : NULL);
    if (r->passed_over)
        th_str_printf(&cli->out, "%lld pictures could not be read and are not counted\n", (long long)r->passed_over);
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
        json_object_set_new(j, "clean_as_target",
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
    if (r->passed_over) json_object_set_new(j, "skipped", json_integer(r->passed_over));
    return j;
}
