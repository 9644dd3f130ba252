/* theriac inspect: what is in a model's folder, and what memory it wants. */
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/number.h"
#include "cli/inspect.h"
#include "diffusion/sd.h"
#include "model/clip_graph.h"
#include "theriac/plan.h"

static const th_option options[] = {
    TH_OPT_BOOL("tensors", false, "list every tensor"),
    TH_OPT_INT("batch", 0, "batch for the memory that running and training want; 0: 64, or 1 for Stable Diffusion",
               TH_AT_LEAST(0)),
    TH_OPT_END,
};

enum { CLIP_BATCH = 64 };

th_inspect_totals th_inspect_add_up(const th_safetensors *f) {
    th_inspect_totals t = {.tensors = th_safetensors_count(f)};
    for (int64_t i = 0; i < t.tensors; i++) {
        const th_st_tensor *x = th_safetensors_at(f, i);
        t.count[x->dtype]++;
        t.elements += x->count;
        t.bytes += x->bytes;
    }
    return t;
}

void th_inspect_types(const th_inspect_totals *t, char *text, size_t room) {
    text[0] = '\0';
    for (int d = 0; d < TH_ST_DTYPE_COUNT; d++) {
        size_t n = strlen(text);
        if (t->count[d])
            snprintf(text + n, room - n, "%s%s: %lld", n ? ", " : "", th_st_dtype_name((th_st_dtype)d),
                     (long long)t->count[d]);
    }
}

/* Memory of a CLIP model, by plans for it: to embed a batch, and to train on one in f32 with AdamW. Other models have
 * tensors and no known needs. */
typedef struct {
    bool known;
    char why_not[TH_MESSAGE_MAX]; /* what a configuration lacks to be CLIP's; "": there is none */
    th_clip_config config;
    double run_bytes, train_bytes;
} needs;

static th_status plan_bytes(const th_clip *m, int64_t n, bool train, double *bytes) {
    th_graph *g = th_graph_new();
    if (!g) return th_fail_memory();
    if (train) {
        th_clip_record_step(g, m, n);
    } else {
        th_clip_rows rows = th_clip_record_towers(g, m, n, n, th_clip_get_config(m)->context);
        th_output(g, "images", rows.images);
        th_output(g, "texts", rows.texts);
    }
    th_plan_params params;
    th_plan_params_init(&params);
    th_plan *p = NULL;
    th_status s = th_plan_new(g, &params, &p);
    th_graph_free(g);
    if (s != TH_OK) return s;
    th_plan_cost cost;
    th_plan_get_cost(p, &cost);
    double moments = train ? 2.0 * (double)cost.grad_bytes : 0;
    *bytes = (double)(cost.tensor_bytes + cost.scratch_bytes + cost.param_bytes + cost.grad_bytes) + moments;
    th_plan_free(p);
    return TH_OK;
}

static th_status find_needs(const char *dir, int64_t batch, needs *n) {
    char path[TH_PATH_MAX], other[TH_PATH_MAX];
    TH_TRY(th_path_join(path, dir, "config.json"));
    TH_TRY(th_path_join(other, dir, "open_clip_config.json"));
    if (!th_path_exists(path) && !th_path_exists(other)) return TH_OK;
    th_clip *m = NULL;
    th_status s = th_clip_load_config(dir, &n->config);
    if (s == TH_E_INPUT) return snprintf(n->why_not, sizeof n->why_not, "%s", th_error_message()), TH_OK;
    TH_TRY(s);
    TH_TRY(th_clip_new(&n->config, &m));
    s = plan_bytes(m, batch, false, &n->run_bytes);
    if (s == TH_OK) s = plan_bytes(m, batch, true, &n->train_bytes);
    th_clip_free(m);
    n->known = s == TH_OK;
    return s;
}

void th_inspect_tensors(th_cli *cli, const th_safetensors *f, const char *title) {
    th_table *t = th_table_new(title);
    th_table_column(t, TH_LEFT, "Tensor");
    th_table_column(t, TH_LEFT, "Shape");
    th_table_column(t, TH_LEFT, "Type");
    for (int64_t i = 0; i < th_safetensors_count(f); i++) {
        const th_st_tensor *x = th_safetensors_at(f, i);
        char shape[TH_ST_SHAPE_TEXT];
        th_table_cell(t, "%s", x->name);
        th_table_cell(t, "%s", th_st_shape_text(shape, x->rank, x->shape));
        th_table_cell(t, "%s", th_st_dtype_name(x->dtype));
    }
    th_cli_table(cli, t);
    th_table_free(t);
}

void th_inspect_row(th_table *t, const char *what, const char *value) {
    th_table_cell(t, "%s", what);
    th_table_cell(t, "%s", value);
}

static void describe_config(th_table *t, const needs *n, int64_t batch) {
    const th_clip_config *c = &n->config;
    char text[160], bytes[TH_NUMBER_TEXT];
    snprintf(text, sizeof text, "%lld px in patches of %lld, width %lld, %lld layers, %lld heads, %s",
             (long long)c->image_size, (long long)c->patch_size, (long long)c->vision.width,
             (long long)c->vision.layers, (long long)c->vision.heads, c->vision.quick_gelu ? "quick_gelu" : "gelu");
    th_inspect_row(t, "Image tower", text);
    snprintf(text, sizeof text, "%lld tokens of %lld, width %lld, %lld layers, %lld heads, %s", (long long)c->context,
             (long long)c->vocab_size, (long long)c->text.width, (long long)c->text.layers, (long long)c->text.heads,
             c->text.quick_gelu ? "quick_gelu" : "gelu");
    th_inspect_row(t, "Text tower", text);
    th_human_bytes(bytes, n->run_bytes);
    snprintf(text, sizeof text, "%s for a batch of %lld", bytes, (long long)batch);
    th_inspect_row(t, "Memory to embed", text);
    th_human_bytes(bytes, n->train_bytes);
    snprintf(text, sizeof text, "%s for a batch of %lld, f32, AdamW; less with a memory budget", bytes,
             (long long)batch);
    th_inspect_row(t, "Memory to train", text);
}

static void print(th_cli *cli, const th_safetensors *f, const needs *n, int64_t batch) {
    th_inspect_totals sum = th_inspect_add_up(f);
    char text[160], number[TH_NUMBER_TEXT];
    th_table *t = th_table_new(NULL);
    th_table_column(t, TH_LEFT, "Model");
    th_table_column(t, TH_LEFT, "");
    th_human_count(number, (double)sum.elements);
    snprintf(text, sizeof text, "%s in %lld tensors", number, (long long)sum.tensors);
    th_inspect_row(t, "Parameters", text);
    th_inspect_types(&sum, text, sizeof text);
    th_inspect_row(t, "Types", text);
    th_human_bytes(number, (double)sum.bytes);
    th_inspect_row(t, "Size", number);
    if (n->known) describe_config(t, n, batch);
    if (*n->why_not) th_inspect_row(t, "Memory", "not known: the configuration is not CLIP's");
    th_cli_table(cli, t);
    th_table_free(t);
    if (*n->why_not) th_cli_note(cli, "%s", n->why_not);
    if (th_get_bool(cli->options, "tensors")) th_inspect_tensors(cli, f, NULL);
}

static json_t *tensor_json(const th_st_tensor *x) {
    json_t *shape = json_array();
    for (int k = 0; k < x->rank; k++) json_array_append_new(shape, json_integer(x->shape[k]));
    return json_pack("{s:s, s:o, s:s}", "name", x->name, "shape", shape, "dtype", th_st_dtype_name(x->dtype));
}

json_t *th_inspect_tensors_json(const th_safetensors *f) {
    json_t *tensors = json_array();
    for (int64_t i = 0; i < th_safetensors_count(f); i++)
        json_array_append_new(tensors, tensor_json(th_safetensors_at(f, i)));
    return tensors;
}

static void print_json(th_cli *cli, const th_safetensors *f, const needs *n, int64_t batch) {
    th_inspect_totals sum = th_inspect_add_up(f);
    json_t *j = json_pack("{s:I, s:I, s:o}", "parameters", (json_int_t)sum.elements, "bytes", (json_int_t)sum.bytes,
                          "tensors", th_inspect_tensors_json(f));
    if (n->known) {
        json_object_set_new(j, "batch", json_integer(batch));
        json_object_set_new(j, "bytes_to_embed", json_integer((json_int_t)n->run_bytes));
        json_object_set_new(j, "bytes_to_train", json_integer((json_int_t)n->train_bytes));
    }
    if (*n->why_not) json_object_set_new(j, "not_clip", json_string(n->why_not));
    th_cli_json(cli, j);
}

static th_status run(th_cli *cli) {
    const char *dir = cli->args.items[0];
    int64_t batch = th_get_i64(cli->options, "batch");
    th_safetensors *f = NULL;
    needs n = {0};
    if (th_sd_is_folder(dir)) return th_inspect_sd(cli, dir, batch);
    if (!batch) batch = CLIP_BATCH;
    TH_TRY(th_safetensors_open(dir, NULL, &f));
    th_status s = th_path_is_dir(dir) ? find_needs(dir, batch, &n) : TH_OK;
    if (s == TH_OK) {
        if (cli->json)
            print_json(cli, f, &n, batch);
        else
            print(cli, f, &n, batch);
    }
    th_safetensors_close(f);
    return s;
}

const th_verb th_verb_inspect = {
    .name = "inspect",
    .summary = "show what is in a model's folder and what memory it wants",
    .usage = "DIR",
    .least_args = 1,
    .most_args = 1,
    .examples = "theriac inspect models/fashion-clip --tensors\n"
                "theriac inspect stable-diffusion-v1-5",
    .groups = {{"Inspecting", options}},
    .run = run,
};
