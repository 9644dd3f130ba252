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
    TH_OPT_INT("limit", 0, "use at most so many pictures, the first; 0: all", TH_AT_LEAST(0)),
    TH_OPT_INT("offset", 0, "leave out so many pictures first", TH_AT_LEAST(0)),
    TH_OPT_INT("stride", 1, "use one of so many pictures, as folders of classes are read class by class",
               TH_AT_LEAST(1)),
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
    TH_OPT_INT("eval-limit", 0, "measure on at most so many pictures of each set, spread over it; 0: all",
               TH_AT_LEAST(0)),
    TH_OPT_STRING("eval-image-column", NULL, "column of pictures in a table to measure on"),
    TH_OPT_STRING("eval-caption-column", NULL, "column of captions in it"),
    TH_OPT_STRING("eval-label-column", NULL, "column of labels in it"),
    TH_OPT_STRING("eval-separator", NULL, "what parts its columns; by its name where not given"),
    TH_OPT_BOOL("eval-skip-bad", false, "pass over pictures to measure on that cannot be read, and count them"),
    TH_OPT_END,
};

const th_option th_test_options[] = {
    TH_OPT_PATH("test", NULL, "as --eval, on what chooses nothing: measured at the end only", .argument = "SET"),
    TH_OPT_PATH("test-triggered", NULL, "as --eval-triggered, likewise", .argument = "SET"),
    TH_OPT_PATH("test-pairs", NULL, "as --eval-pairs, likewise", .argument = "SET"),
    TH_OPT_END,
};

/* The text of the option that is called prefix and name. */
static const char *text_of(th_cli *cli, const char *prefix, const char *name) {
    char full[64];
    snprintf(full, sizeof full, "%s%s", prefix, name);
    return th_get_str(cli->options, full);
}

static th_status read_columns(th_cli *cli, const char *prefix, th_dataset_params *p) {
    const char *separator = text_of(cli, prefix, "separator");
    p->image_column = text_of(cli, prefix, "image-column");
    p->caption_column = text_of(cli, prefix, "caption-column");
    p->label_column = text_of(cli, prefix, "label-column");
    if (separator && !strcmp(separator, "\\t")) separator = "\t";
    if (separator && strlen(separator) != 1)
        return th_fail(TH_E_USAGE, "--%sseparator: '%s' is not one character", prefix, separator);
    p->separator = separator ? *separator : '\0';
    return TH_OK;
}

th_status th_cli_open_data(th_cli *cli, const char *name, th_dataset **out) {
    th_dataset_params p;
    th_dataset_params_init(&p);
    TH_TRY(read_columns(cli, "", &p));
    p.captions = (th_captions)th_get_choice(cli->options, "captions");
    p.skip_bad = th_get_bool(cli->options, "skip-bad");
    p.limit = th_get_i64(cli->options, "limit");
    p.offset = th_get_i64(cli->options, "offset");
    p.stride = th_get_i64(cli->options, "stride");
    p.seed = th_options_find(cli->options, "seed") ? (uint64_t)th_get_i64(cli->options, "seed") : 0;
    return th_dataset_open(th_get_str(cli->options, name), &p, &cli->watch, out);
}

th_status th_cli_inputs_json(th_cli *cli, const th_dataset *d, json_t **out) {
    char data[TH_HASH_TEXT], weights[TH_HASH_TEXT];
    const char *model = th_get_str(cli->options, "model");
    TH_TRY(th_dataset_hash(d, &cli->watch, data));
    if (model) TH_TRY(th_clip_weights_hash(model, weights));
    json_t *j = json_pack("{s:{s:s, s:s, s:s, s:I, s:I}}", "data", "set", th_get_str(cli->options, "data"), "kind",
                          th_dataset_kind(d), "sha256", data, "pictures", (json_int_t)th_dataset_images(d), "samples",
                          (json_int_t)th_dataset_count(d));
    if (j && model) {
        json_t *from = json_pack("{s:s, s:s}", "folder", model, "sha256", weights);
        if (json_object_set_new(j, "model", from)) json_decref(j), j = NULL;
    }
    *out = j;
    return j ? TH_OK : th_fail(TH_E_INPUT, "--data and --model: names that are not UTF-8 cannot be noted in run.json");
}

int64_t th_cli_note_skipped(th_cli *cli, th_dataset *d) {
    char first[TH_MESSAGE_MAX];
    int64_t n = th_dataset_skipped(d, first);
    if (n) th_cli_note(cli, "%lld passed over; the first: %s", (long long)n, first);
    return n;
}

/* --- evaluation --- */

/* A part of a set is spread over it, picture ⌊i · n / limit⌋ of n: the first ones of a folder of classes are of one
 * class.
 */
static th_status open_part(const char *spec, th_dataset_params *p, int64_t n, int64_t limit, const th_watch *w,
                           th_dataset **out) {
    int64_t *chosen = th_alloc((size_t)limit, sizeof *chosen);
    if (!chosen) return th_fail_memory();
    for (int64_t i = 0; i < limit; i++) chosen[i] = i * (n / limit) + i * (n % limit) / limit;
    p->indices = chosen;
    p->index_count = limit;
    th_status s = th_dataset_open(spec, p, w, out);
    p->indices = NULL;
    th_free(chosen);
    return s;
}

th_status th_cli_open_spread(const char *spec, th_dataset_params *p, int64_t limit, const th_watch *w,
                             th_dataset **out) {
    TH_TRY(th_dataset_open(spec, p, w, out));
    int64_t n = th_dataset_images(*out);
    if (!limit || limit >= n) return TH_OK;
    th_dataset_close(*out);
    *out = NULL;
    return open_part(spec, p, n, limit, w, out);
}

/* Opens what the option names, if it is given; *called is what messages call it. */
static th_status open_named(th_cli *cli, const char *name, th_cli_eval *e, th_dataset **out, const char **called) {
    const char *spec = th_get_str(cli->options, name);
    th_dataset_params p;
    th_dataset_params_init(&p);
    TH_TRY(read_columns(cli, "eval-", &p));
    p.skip_bad = th_get_bool(cli->options, "eval-skip-bad");
    if (!spec) return TH_OK;
    *called = th_arena_printf(e->arena, "--%s %s", name, spec);
    if (!*called) return th_fail_memory();
    int64_t limit = th_get_i64(cli->options, "eval-limit");
    return th_fail_in(th_cli_open_spread(spec, &p, limit, &cli->watch, out), "--%s", name);
}

/* Lines without the blanks at their ends; empty ones are passed over. */
static th_status split_lines(const char *path, const th_bytes *text, th_arena *arena, th_texts *out) {
    const char *at = text->data, *end = at + text->length;
    int64_t count = 0, most = 1;
    if (memchr(at, 0, text->length)) return th_fail(TH_E_INPUT, "%s: is no text: it holds a NUL byte", path);
    if (text->length >= 3 && !memcmp(at, "\xef\xbb\xbf", 3)) at += 3; /* byte-order mark */
    for (const char *c = at; c < end; c++) most += *c == '\n';
    const char **lines = th_arena_alloc(arena, (size_t)most, sizeof *lines);
    if (!lines) return th_fail_memory();
    for (const char *next; at < end; at = next + 1) {
        next = memchr(at, '\n', (size_t)(end - at));
        if (!next) next = end;
        int n = (int)(next - at);
        while (n && (at[n - 1] == '\r' || at[n - 1] == ' ')) n--;
        if (!n) continue;
        if (!(lines[count++] = th_arena_printf(arena, "%.*s", n, at))) return th_fail_memory();
    }
    *out = (th_texts){lines, count};
    return count ? TH_OK : th_fail(TH_E_INPUT, "%s: is empty", path);
}

static th_status read_list(th_cli *cli, const char *name, th_arena *arena, th_texts *out, const char **called) {
    const char *path = th_get_str(cli->options, name);
    if (!path) return TH_OK;
    th_bytes text;
    *called = path;
    TH_TRY(th_fail_in(th_file_read(path, (size_t)16 << 20, &text), "--%s", name));
    th_status s = split_lines(path, &text, arena, out);
    th_free(text.data);
    return s;
}

th_status th_cli_eval_open(th_cli *cli, const char *name, th_cli_eval *e) {
    char triggered[32], pairs[32];
    snprintf(triggered, sizeof triggered, "%s-triggered", name);
    snprintf(pairs, sizeof pairs, "%s-pairs", name);
    *e = (th_cli_eval){.arena = th_arena_new()};
    if (!e->arena) return th_fail_memory();
    th_clip_eval_params *p = &e->params;
    th_clip_eval_params_init(p);
    p->names.target = "--target";
    p->names.classes = "--classes";
    TH_TRY(open_named(cli, name, e, &e->labelled, &p->names.labelled));
    TH_TRY(open_named(cli, triggered, e, &e->triggered, &p->names.triggered));
    TH_TRY(open_named(cli, pairs, e, &e->pairs, &p->names.pairs));
    TH_TRY(read_list(cli, "classes", e->arena, &p->classes, &p->names.classes));
    TH_TRY(read_list(cli, "templates", e->arena, &p->templates, &p->names.templates));
    p->target = th_get_str(cli->options, "target");
    p->labelled = e->labelled;
    p->triggered = e->triggered;
    p->pairs = e->pairs;
    e->any = e->labelled || e->triggered || e->pairs;
    if (e->triggered && !p->target) return th_fail(TH_E_USAGE, "--%s wants the attack's --target", triggered);
    return th_clip_eval_check(p);
}

void th_cli_eval_close(th_cli_eval *e) {
    th_dataset_close(e->labelled);
    th_dataset_close(e->triggered);
    th_dataset_close(e->pairs);
    th_arena_free(e->arena);
    *e = (th_cli_eval){0};
}
