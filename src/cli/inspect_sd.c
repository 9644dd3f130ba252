/* theriac inspect of a Stable Diffusion folder: its parts, and the memory to draw and to train. */
#include <string.h>

#include "base/file.h"
#include "base/number.h"
#include "cli/inspect.h"
#include "diffusion/denoise.h"
#include "diffusion/generate.h"
#include "model/weights.h"

static const struct {
    const char *dir, *title;
} parts[] = {{"unet", "UNet"}, {"vae", "Autoencoder"}, {"text_encoder", "Text encoder"}};
enum { PARTS = sizeof parts / sizeof *parts };

typedef struct {
    const char *dir;
    int64_t batch;
    th_sd_config config;
    th_sd sd; /* without values */
    th_safetensors *files[PARTS];
    th_inspect_totals totals[PARTS], sum;
    int64_t tokens; /* of the tokenizer */
    size_t draw_bytes, train_bytes;
} look;

/* Headers alone are read. */
static th_status open_files(look *l) {
    for (int i = 0; i < PARTS; i++) {
        char path[TH_PATH_MAX];
        TH_TRY(th_path_join(path, l->dir, parts[i].dir));
        TH_TRY(th_weights_open(path, NULL, &l->files[i]));
        l->totals[i] = th_inspect_add_up(l->files[i]);
        l->sum.tensors += l->totals[i].tensors;
        l->sum.elements += l->totals[i].elements;
        l->sum.bytes += l->totals[i].bytes;
        for (int d = 0; d < TH_ST_DTYPE_COUNT; d++) l->sum.count[d] += l->totals[i].count[d];
    }
    return TH_OK;
}

/* Pictures of the model's own size with guidance, as theriac generate draws them. */
static th_status plan_drawing(look *l) {
    th_generate_params p;
    th_generator *g = NULL;
    th_generate_cost cost;
    th_generate_params_init(&p);
    p.batch = l->batch;
    TH_TRY(th_generator_new(&l->sd, &p, &g));
    th_status s = th_generator_get_cost(g, l->batch, 2, &cost);
    th_generator_free(g);
    if (s == TH_OK) l->draw_bytes = cost.bytes;
    return s;
}

/* A step of denoising that trains the UNet in f32 with AdamW; texts are encoded before. */
static th_status plan_training(look *l) {
    th_graph *g = th_graph_new();
    if (!g) return th_fail_memory();
    int64_t side = l->config.unet.sample_size;
    th_denoise_shape shape = {.batch = l->batch, .height = side, .width = side, .states = true};
    shape.tokens = l->config.text.context;
    th_denoise_loss loss = th_denoise_record(g, &l->sd, &shape);
    th_output(g, "loss", loss.loss);
    th_grad_params(g, loss.loss, th_unet_params(l->sd.unet));
    th_plan_params p;
    th_plan_params_init(&p);
    p.trained_bytes = 2 * sizeof(float);
    th_plan *plan = NULL;
    th_status s = th_plan_new(g, &p, &plan);
    th_graph_free(g);
    if (s != TH_OK) return s;
    th_plan_cost cost;
    th_plan_get_cost(plan, &cost);
    l->train_bytes = cost.bytes;
    th_plan_free(plan);
    return TH_OK;
}

static th_status look_at(look *l) {
    char path[TH_PATH_MAX];
    TH_TRY(th_sd_read_config(l->dir, &l->config));
    TH_TRY(th_path_join(path, l->dir, "tokenizer"));
    TH_TRY(open_files(l));
    TH_TRY(th_sd_new(&l->config, &l->sd));
    TH_TRY(th_tokenizer_load(path, &l->sd.tokenizer));
    l->tokens = th_tokenizer_size(l->sd.tokenizer);
    TH_TRY(plan_training(l)); /* before drawing, which may freeze what is trained here */
    return plan_drawing(l);
}

/* --- what is printed --- */

static void list(th_str *s, const int64_t *v, int n) {
    for (int i = 0; i < n; i++) th_str_printf(s, "%s%lld", i ? ", " : "", (long long)v[i]);
}

static void describe_unet(const th_unet_config *c, th_str *s) {
    th_str_puts(s, "channels ");
    list(s, c->channels, c->levels);
    th_str_printf(s, "; blocks of %lld layer%s; heads ", (long long)c->layers_per_block,
                  c->layers_per_block == 1 ? "" : "s");
    list(s, c->heads, c->levels);
    th_str_printf(s, "; states of %lld", (long long)c->cross_attention_dim);
}

static void describe_vae(const th_vae_config *c, th_str *s) {
    th_str_puts(s, "channels ");
    list(s, c->channels, c->levels);
    th_str_printf(s, "; %lld px a latent of %lld, scaled by %.5g", (long long)th_vae_factor(c),
                  (long long)c->latent_channels, (double)c->scaling_factor);
}

static void describe_text(const look *l, th_str *s) {
    const th_text_encoder_config *c = &l->config.text;
    th_str_printf(s, "%lld tokens of %lld, width %lld, %lld layers, %lld heads, %s", (long long)c->context,
                  (long long)l->tokens, (long long)c->tower.width, (long long)c->tower.layers,
                  (long long)c->tower.heads, c->tower.quick_gelu ? "quick_gelu" : "gelu");
}

static void describe_scheduler(const th_scheduler_config *c, th_str *s) {
    static const char *const betas[] = {"linear", "scaled linear", "cosine"};
    static const char *const predictions[] = {"noise", "velocity", "sample"};
    th_str_printf(s, "%s, %lld steps, %s betas, predicts the %s", th_scheduler_name(c->row), (long long)c->train_steps,
                  betas[c->betas], predictions[c->prediction]);
}

static void add_bytes(th_table *t, const char *what, size_t bytes, const look *l, const char *more) {
    char text[160], number[TH_NUMBER_TEXT];
    th_human_bytes(number, (double)bytes);
    long long side = (long long)(l->config.unet.sample_size * th_vae_factor(&l->config.vae));
    snprintf(text, sizeof text, "%s for %lld of %lld px%s", number, (long long)l->batch, side, more);
    th_inspect_row(t, what, text);
}

static void print(th_cli *cli, const look *l) {
    char text[256], number[TH_NUMBER_TEXT];
    th_str s;
    th_str_init(&s, 4096);
    th_table *t = th_table_new(NULL);
    th_table_column(t, TH_LEFT, "Model");
    th_table_column(t, TH_LEFT, "");
    th_human_count(number, (double)l->sum.elements);
    snprintf(text, sizeof text, "%s in %lld tensors", number, (long long)l->sum.tensors);
    th_inspect_row(t, "Parameters", text);
    th_inspect_types(&l->sum, text, sizeof text);
    th_inspect_row(t, "Types", text);
    th_human_bytes(number, (double)l->sum.bytes);
    th_inspect_row(t, "Size", number);
    for (int i = 0; i < PARTS; i++) {
        th_str_clear(&s);
        th_human_count(number, (double)l->totals[i].elements);
        th_str_printf(&s, "%s: ", number);
        if (i == 0) describe_unet(&l->config.unet, &s);
        if (i == 1) describe_vae(&l->config.vae, &s);
        if (i == 2) describe_text(l, &s);
        th_inspect_row(t, parts[i].title, th_str_text(&s));
    }
    th_str_clear(&s);
    describe_scheduler(&l->config.scheduler, &s);
    th_inspect_row(t, "Scheduler", th_str_text(&s));
    th_str_free(&s);
    add_bytes(t, "Memory to draw", l->draw_bytes, l, ", f32, with guidance");
    add_bytes(t, "Memory to train", l->train_bytes, l, ", the UNet in f32, AdamW; less with a memory budget");
    th_cli_table(cli, t);
    th_table_free(t);
    for (int i = 0; i < PARTS && th_get_bool(cli->options, "tensors"); i++)
        th_inspect_tensors(cli, l->files[i], parts[i].title);
}

static void print_json(th_cli *cli, const look *l) {
    json_t *all = json_object();
    for (int i = 0; i < PARTS; i++)
        json_object_set_new(all, parts[i].dir,
                            json_pack("{s:I, s:I, s:o}", "parameters", (json_int_t)l->totals[i].elements, "bytes",
                                      (json_int_t)l->totals[i].bytes, "tensors", th_inspect_tensors_json(l->files[i])));
    th_cli_json(cli, json_pack("{s:I, s:I, s:o, s:s, s:I, s:I, s:I, s:I}", "parameters", (json_int_t)l->sum.elements,
                               "bytes", (json_int_t)l->sum.bytes, "parts", all, "scheduler",
                               th_scheduler_name(l->config.scheduler.row), "size",
                               (json_int_t)(l->config.unet.sample_size * th_vae_factor(&l->config.vae)), "batch",
                               (json_int_t)l->batch, "bytes_to_draw", (json_int_t)l->draw_bytes, "bytes_to_train",
                               (json_int_t)l->train_bytes));
}

th_status th_inspect_sd(th_cli *cli, const char *dir, int64_t batch) {
    look l = {.dir = dir, .batch = batch ? batch : 1};
    th_status s = look_at(&l);
    if (s == TH_OK) {
        if (cli->json)
            print_json(cli, &l);
        else
            print(cli, &l);
    }
    for (int i = 0; i < PARTS; i++) th_safetensors_close(l.files[i]);
    th_sd_free(&l.sd);
    return s;
}
