/* theriac guard anti-dreambooth: pictures changed so that personalising on them fails. */
#include "guard/anti_dreambooth.h"

#include <string.h>

#include "base/file.h"
#include "base/number.h"
#include "cli/fit_job.h"
#include "data/contact_sheet.h"
#include "train/drawn.h"
#include "train/fit_options.h"

static const th_option model_options[] = {
    TH_OPT_PATH("model", NULL, "Stable Diffusion folder that attackers are expected to personalise", .argument = "DIR",
                .required = true),
    TH_OPT_INT("size", 0, "side of the pictures in pixels; 0: the model's own", TH_WITHIN(0, 4096)),
    TH_OPT_END,
};

static const th_option protected_options[] = {
    TH_OPT_PATH("protect", NULL, "pictures to protect: a folder, a table, or fashion-scenes?subject=1",
                .argument = "SET", .required = true),
    TH_OPT_STRING("class", NULL, "noun of what they show, such as dog", .argument = "NOUN", .required = true),
    TH_OPT_STRING("identifier", "sks", "word that attackers are expected to use", .argument = "WORD"),
    TH_OPT_STRING("instance-prompt", "a photo of {}", "what they are expected to train on, {} for word and noun",
                  .argument = "TEXT"),
    TH_OPT_STRING("class-prompt", NULL, "the class alone (default 'a photo of a NOUN')", .argument = "TEXT"),
    TH_OPT_END,
};

static const th_option change_options[] = {
    TH_OPT_CHOICE("method", "fsmg|aspl", "aspl",
                  "against a surrogate that was personalised once, or in turn with one that learns on"),
    TH_OPT_F32("budget", 0.05, "ε: how far a value may move, where pictures are in [-1, 1]", TH_ABOVE(0),
               TH_AT_MOST(1)),
    TH_OPT_F32("stride", 0.005, "α: how far it moves in a step", TH_ABOVE(0), TH_AT_MOST(2)),
    TH_OPT_INT("rounds", 0, "rounds; 0: the method's own, 50 for aspl and 10 for fsmg", TH_WITHIN(0, 100000)),
    TH_OPT_INT("pixel-steps", 0, "steps of the pictures in a round; 0: the method's own, 6 and 10",
               TH_WITHIN(0, 100000)),
    TH_OPT_INT("surrogate-steps", -1,
               "steps of personalising the surrogate, of aspl in a round, of fsmg in all; -1: the method's own, 3 and "
               "400; 0 where --model is personalised already",
               TH_WITHIN(-1, 1000000)),
    TH_OPT_INT("victim-steps", -1, "steps of the victim in a round of aspl; -1: 3", TH_WITHIN(-1, 1000000)),
    TH_OPT_CHOICE("latents", "drawn|mean", "drawn",
                  "what stands for a picture: latents drawn as in DreamBooth's training, or their mean"),
    TH_OPT_END,
};

static const th_option class_options[] = {
    TH_OPT_F32("prior-weight", 1, "weight of the class' loss while personalising; 0: no prior preservation",
               TH_AT_LEAST(0)),
    TH_OPT_PATH("class-images", NULL, "pictures of the class; where not given, the model draws them first",
                .argument = "SET"),
    TH_OPT_PATH("class-latents", NULL,
                "the class-latents.safetensors of another run of the same autoencoder, instead of pictures",
                .argument = "FILE"),
    TH_OPT_INT("class-count", 200, "pictures of the class; of --class-images the first", TH_WITHIN(1, 100000)),
    TH_OPT_INT("class-steps", 50, "sampling steps of each drawn picture of the class", TH_WITHIN(1, 1000)),
    TH_OPT_F32("class-guidance", 7.5, "guidance of each drawn picture of the class", TH_AT_LEAST(0)),
    TH_OPT_INT("class-batch", 4, "pictures of the class drawn at a time", TH_WITHIN(1, 1024)),
    TH_OPT_END,
};

static const th_option training_options[] = {
    TH_OPT_F32("lr", 0, "learning rate of surrogate and victim; 0: the method's own, 5e-7 for aspl, 5e-6 for fsmg",
               TH_AT_LEAST(0)),
    TH_OPT_INT("batch", 1, "pictures at a time, beside as many of the class", TH_WITHIN(1, 4096)),
    TH_OPT_F32("weight-decay", 0.01, "AdamW's", TH_AT_LEAST(0)),
    TH_OPT_F32("clip", 1, "gradients are scaled down to this norm; 0: never", TH_AT_LEAST(0)),
    TH_OPT_INT("seed", 0, "of times, noise and what is drawn", TH_AT_LEAST(0)),
    TH_OPT_CHOICE("dtype", "auto|f32|bf16", "auto",
                  "what products are computed in; auto: bf16 where the processor has it"),
    TH_OPT_INT("threads", 0, "threads that compute; 0: all", TH_WITHIN(0, 1024)),
    TH_OPT_SIZE("memory", 0, "budget for all of it, such as 16G; 0: none", TH_AT_LEAST(0)),
    TH_OPT_INT("checkpoint-every", 10, "rounds between checkpoints; 0: at the end only, and where it is interrupted",
               TH_AT_LEAST(0)),
    TH_OPT_INT("eval-draws", 16, "times and noises for each picture at which the losses are measured",
               TH_WITHIN(1, 100000)),
    TH_OPT_END,
};

typedef struct {
    th_cli *cli;
    th_arena *arena;
    th_dataset *set, *class;
    th_sd sd;
    th_anti_params p;
    th_anti *anti;
    th_anti_cost cost;
    char model_hash[TH_HASH_TEXT], set_hash[TH_HASH_TEXT], class_hash[TH_HASH_TEXT];
    json_t *inputs;
    th_run_folder *run;
    int64_t pictures, size;   /* size: values of a picture */
    uint8_t *clean, *changed; /* [pictures, side, side, 3] */
    float *floats;            /* of clean */
    th_moments class_moments;
    int64_t saved;                /* round of the newest checkpoint; −1: there is none */
    double surrogate[2], open[2]; /* losses: of clean pictures, of changed ones */
    int most;                     /* levels that a value moved by, at most */
    double mean;                  /* and in the mean */
} work;

static const char *option(const work *w, const char *name) { return th_get_str(w->cli->options, name); }
static bool has_prior(const work *w) { return w->p.class_prompt != NULL; }
static bool draws_class(const work *w) {
    return has_prior(w) && !option(w, "class-images") && !option(w, "class-latents");
}

/* ---- what is asked for */

static const char *prompt_of(work *w) {
    const char *text = option(w, "instance-prompt"), *gap = strstr(text, "{}");
    if (!gap) return th_arena_strdup(w->arena, text);
    return th_arena_printf(w->arena, "%.*s%s %s%s", (int)(gap - text), text, option(w, "identifier"),
                           option(w, "class"), gap + 2);
}

static void set_where(int64_t *value, int64_t given, int64_t none) {
    if (given != none) *value = given;
}

static th_status read_options(work *w) {
    th_options *o = w->cli->options;
    int64_t dtype = th_get_choice(o, "dtype");
    th_anti_params *p = &w->p;
    if (!(w->arena = th_arena_new())) return th_fail_memory();
    th_anti_params_init(p, th_get_choice(o, "method") == 0 ? TH_ANTI_FSMG : TH_ANTI_ASPL);
    p->prompt = prompt_of(w);
    p->prior_weight = th_get_f32(o, "prior-weight");
    if (p->prior_weight > 0)
        p->class_prompt = option(w, "class-prompt") ? option(w, "class-prompt")
                                                    : th_arena_printf(w->arena, "a photo of a %s", option(w, "class"));
    p->side = th_get_i64(o, "size");
    p->budget = th_get_f32(o, "budget");
    p->stride = th_get_f32(o, "stride");
    set_where(&p->rounds, th_get_i64(o, "rounds"), 0);
    set_where(&p->pixel_steps, th_get_i64(o, "pixel-steps"), 0);
    set_where(&p->surrogate_steps, th_get_i64(o, "surrogate-steps"), -1);
    set_where(&p->victim_steps, th_get_i64(o, "victim-steps"), -1);
    if (th_get_f32(o, "lr") > 0) p->lr = th_get_f32(o, "lr");
    p->mean = th_get_choice(o, "latents") == 1;
    p->batch = th_get_i64(o, "batch");
    p->adamw.weight_decay = th_get_f32(o, "weight-decay");
    p->adamw.clip_norm = th_get_f32(o, "clip");
    p->seed = (uint64_t)th_get_i64(o, "seed");
    p->threads = (int)th_get_i64(o, "threads");
    p->memory = (size_t)th_get_i64(o, "memory");
    p->compute = dtype == 0 ? th_fit_best_dtype() : dtype == 2 ? TH_BF16 : TH_F32;
    return th_arena_failed(w->arena) ? th_fail_memory() : th_options_check(o);
}

static th_status check_options(const work *w) {
    if (!option(w, "class")[strspn(option(w, "class"), " ")])
        return th_fail(TH_E_USAGE, "--class: is empty; the noun of what the pictures show is wanted, such as dog");
    if (!has_prior(w) && (option(w, "class-images") || option(w, "class-latents")))
        return th_fail(TH_E_USAGE, "--prior-weight 0 uses no pictures of the class");
    if (option(w, "class-images") && option(w, "class-latents"))
        return th_fail(TH_E_USAGE, "--class-images and --class-latents: one of them is enough");
    return TH_OK;
}

static th_status open_set(work *w, const char *name, th_dataset **out) {
    th_dataset_params p;
    th_dataset_params_init(&p);
    p.captions = TH_CAPTIONS_FIRST;
    return th_fail_in(th_dataset_open(option(w, name), &p, &w->cli->watch, out), "--%s", name);
}

static void close_model(work *w) {
    th_anti_free(w->anti);
    w->anti = NULL;
    th_sd_free(&w->sd);
}

static th_status open_model(work *w, unsigned parts) {
    th_sd_load_params p = {.parts = parts};
    return th_sd_load(option(w, "model"), &p, &w->sd);
}

static th_status prepare(work *w, unsigned parts) {
    close_model(w);
    TH_TRY(open_model(w, parts));
    TH_TRY(th_anti_new(&w->sd, &w->p, w->pictures, &w->anti));
    th_anti_get_cost(w->anti, &w->cost);
    return TH_OK;
}

/* ---- --plan */

static th_drawn_params class_params(const work *w) {
    th_options *o = w->cli->options;
    return (th_drawn_params){
        .prompts = &w->p.class_prompt,
        .prompt_count = 1,
        .count = th_get_i64(o, "class-count"),
        .side = w->cost.side,
        .steps = th_get_i64(o, "class-steps"),
        .batch = th_get_i64(o, "class-batch"),
        .guidance = th_get_f32(o, "class-guidance"),
        .seed = w->p.seed,
        .threads = w->p.threads,
        .compute = w->p.compute,
        .memory = w->p.memory,
    };
}

typedef struct {
    double seconds[3]; /* of all rounds: here, on 16 cores, on 64 */
    double class_seconds;
} forecast;

static void print_plan(const work *w, const forecast *f) {
    char text[200], number[3][TH_NUMBER_TEXT];
    const th_anti_params *p = &w->p;
    th_table *t = th_table_new(NULL);
    th_table_column(t, TH_LEFT, "Plan");
    th_table_column(t, TH_LEFT, "");
    snprintf(text, sizeof text, "%lld, %lld×%lld pixels, by at most %d of 255 levels", (long long)w->pictures,
             (long long)w->cost.side, (long long)w->cost.side, th_anti_levels(p->budget));
    th_table_pair(t, "Pictures", text);
    if (p->kind == TH_ANTI_ASPL)
        snprintf(text, sizeof text, "%lld of %lld steps of the surrogate, %lld of the pictures, %lld of the victim",
                 (long long)p->rounds, (long long)p->surrogate_steps, (long long)p->pixel_steps,
                 (long long)p->victim_steps);
    else
        snprintf(text, sizeof text, "%lld of %lld steps of the pictures, after %lld of the surrogate",
                 (long long)p->rounds, (long long)p->pixel_steps, (long long)p->surrogate_steps);
    th_table_pair(t, "Rounds", text);
    th_human_bytes(text, (double)w->cost.bytes);
    th_table_pair(t, "Memory", text);
    th_human_count(number[0],
                   w->cost.training_runs * w->cost.training.flops + w->cost.pixel_runs * w->cost.pixels.flops);
    snprintf(text, sizeof text, "%sFLOP", number[0]);
    th_table_pair(t, "Work in all", text);
    for (int i = 0; i < 3; i++) th_human_seconds(number[i], f->seconds[i]);
    snprintf(text, sizeof text, "at least %s here, %s on 16 such cores, %s on 64", number[0], number[1], number[2]);
    th_table_pair(t, "Time", text);
    if (draws_class(w)) {
        th_human_seconds(number[0], f->class_seconds);
        snprintf(text, sizeof text, "%lld to draw first, at least %s here",
                 (long long)th_get_i64(w->cli->options, "class-count"), number[0]);
        th_table_pair(t, "Class pictures", text);
    }
    th_cli_table(w->cli, t);
    th_table_free(t);
}

static th_status plan(work *w) {
    forecast f = {0};
    th_ceilings c;
    TH_TRY(th_ceilings_measure(w->p.threads, w->p.compute, &c));
    const int cores[3] = {c.threads, 16, 64};
    for (int i = 0; i < 3; i++) f.seconds[i] = th_anti_seconds(&w->cost, &c, cores[i]);
    if (draws_class(w)) {
        th_drawn_params p = class_params(w);
        TH_TRY(th_drawn_seconds(&w->sd, &p, &c, &f.class_seconds));
    }
    if (!w->cli->json) return print_plan(w, &f), TH_OK;
    th_cli_json(w->cli,
                json_pack("{s:I, s:I, s:i, s:I, s:f, s:f, s:f, s:f}", "pictures", (json_int_t)w->pictures, "rounds",
                          (json_int_t)w->p.rounds, "levels", th_anti_levels(w->p.budget), "bytes",
                          (json_int_t)w->cost.bytes, "seconds_here", f.seconds[0], "seconds_16_cores", f.seconds[1],
                          "seconds_64_cores", f.seconds[2], "class_seconds_here", f.class_seconds));
    return TH_OK;
}

/* ---- what goes in */

static th_status note_set(work *w, const char *name, const th_dataset *d, char hash[TH_HASH_TEXT]) {
    TH_TRY(th_dataset_hash(d, &w->cli->watch, hash));
    json_t *j = json_pack("{s:s, s:s, s:I}", "set", option(w, name), "sha256", hash, "pictures",
                          (json_int_t)th_dataset_images(d));
    if (j && !json_object_set_new(w->inputs, name, j)) return TH_OK;
    return th_fail(TH_E_INPUT, "--%s: a name that is not UTF-8 cannot be noted in run.json", name);
}

static th_status find_inputs(work *w) {
    const char *latents = option(w, "class-latents");
    if (!(w->inputs = json_object())) return th_fail_memory();
    TH_TRY(th_sd_weights_hash(option(w, "model"), w->model_hash));
    TH_TRY(th_cli_note_model(w->inputs, "model", option(w, "model"), w->model_hash));
    TH_TRY(note_set(w, "protect", w->set, w->set_hash));
    if (w->class) TH_TRY(note_set(w, "class-images", w->class, w->class_hash));
    if (!latents) return TH_OK;
    TH_TRY(th_hash_file(latents, w->class_hash));
    return th_cli_note_model(w->inputs, "class-latents", latents, w->class_hash);
}

static th_status in_run(const work *w, const char *name, char path[TH_PATH_MAX]) {
    return th_path_join(path, th_run_folder_path(w->run), name);
}

static void views_of(const work *w, th_view_params *v) {
    *v = (th_view_params){.side = w->cost.side,
                          .crop = TH_CROP_CENTER,
                          .filter = TH_RESIZE_BILINEAR,
                          .views = 1,
                          .seed = w->p.seed,
                          .threads = w->p.threads};
}

/* The protected pictures, cut to the model's size from the middle. */
static th_status cut_pictures(work *w) {
    th_viewer *viewer = NULL;
    th_view_params v;
    int64_t count = w->pictures * w->size, views;
    w->clean = th_alloc((size_t)count, 1);
    w->changed = th_alloc((size_t)count, 1);
    w->floats = th_alloc((size_t)count, sizeof *w->floats);
    if (!w->clean || !w->changed || !w->floats) return th_fail_memory();
    views_of(w, &v);
    TH_TRY(th_viewer_new(w->set, &v, &viewer));
    th_status s = TH_OK;
    for (int64_t i = 0; i < w->pictures && s == TH_OK; i++) {
        const th_image *im = NULL;
        s = th_viewer_read(viewer, i, &views);
        if (s == TH_OK) s = th_viewer_cut(viewer, 0, &im);
        if (s != TH_OK) break;
        memcpy(w->clean + i * w->size, im->pixels, (size_t)w->size);
        th_view_to_floats(im, w->floats + i * w->size);
    }
    th_viewer_free(viewer);
    return s;
}

static th_status draw_class(work *w) {
    char dir[TH_PATH_MAX];
    int64_t made = 0;
    th_drawn_params p = class_params(w);
    TH_TRY(in_run(w, "class-images", dir));
    TH_TRY(th_drawn_begin(&p, w->class_hash, dir, &made));
    if (made < p.count) {
        TH_TRY(open_model(w, TH_SD_ALL));
        TH_TRY(th_fail_in(th_drawn_make(&w->sd, &p, dir, &w->cli->watch), "pictures of the class"));
        th_sd_free(&w->sd);
    }
    return th_dataset_open(dir, NULL, &w->cli->watch, &w->class);
}

static th_status encode_class(work *w, const char *key, const char *path) {
    th_view_params v;
    views_of(w, &v);
    if (!w->class) TH_TRY(draw_class(w));
    TH_TRY(open_model(w, TH_SD_VAE));
    TH_TRY(th_moments_make(w->class, th_get_i64(w->cli->options, "class-count"), w->sd.vae, &v, &w->cli->watch,
                           &w->class_moments));
    th_sd_free(&w->sd);
    return th_moments_save(&w->class_moments, key, path);
}

/* Encoded pictures of the class: those given, those that the run's folder holds, or made now. */
static th_status find_class(work *w) {
    const char *latents = option(w, "class-latents");
    const th_anti_cost *c = &w->cost;
    char path[TH_PATH_MAX], text[4 * TH_HASH_TEXT], key[TH_HASH_TEXT];
    if (!has_prior(w)) return TH_OK;
    if (latents) return th_moments_load(latents, NULL, c->height, c->width, c->channels, &w->class_moments);
    if (draws_class(w)) {
        th_drawn_params p = class_params(w);
        th_drawn_key(&p, w->model_hash, w->class_hash);
    }
    int n = snprintf(text, sizeof text, "%s %s %lld %lld", w->model_hash, w->class_hash, (long long)c->side,
                     (long long)th_get_i64(w->cli->options, "class-count"));
    th_hash_bytes(text, (size_t)n, key);
    TH_TRY(in_run(w, "class-latents.safetensors", path));
    if (th_path_exists(path) &&
        th_moments_load(path, key, c->height, c->width, c->channels, &w->class_moments) == TH_OK)
        return TH_OK;
    return encode_class(w, key, path);
}

/* ---- rounds */

static th_status begin(work *w) {
    TH_TRY(prepare(w, TH_SD_ALL));
    TH_TRY(th_anti_read_texts(w->anti));
    th_sd_release(&w->sd, TH_SD_TEXT);
    return th_anti_begin(w->anti, w->floats, &w->class_moments);
}

static th_status save(work *w) {
    char path[TH_PATH_MAX];
    int64_t round = th_anti_rounds_made(w->anti);
    if (round == w->saved || !round) return TH_OK;
    TH_TRY(th_run_folder_checkpoint(w->run, round, path));
    TH_TRY(th_make_parents(path));
    TH_TRY(th_anti_save(w->anti, path));
    w->saved = round;
    return th_run_folder_prune(w->run, 1);
}

static th_status go_on(work *w) {
    char path[TH_PATH_MAX];
    w->saved = -1;
    if (th_get_bool(w->cli->options, "resume")) TH_TRY(th_run_folder_newest(w->run, &w->saved, path));
    if (w->saved > 0) TH_TRY(th_anti_load(w->anti, path));
    return th_run_folder_begin_log(w->run, w->saved > 0 ? w->saved : -1);
}

static th_status rounds(work *w) {
    int64_t every = th_get_i64(w->cli->options, "checkpoint-every");
    TH_TRY(go_on(w));
    for (int64_t i = th_anti_rounds_made(w->anti); i < w->p.rounds; i = th_anti_rounds_made(w->anti)) {
        th_status s = th_anti_round(w->anti, &w->cli->watch);
        if (s == TH_E_INTERRUPTED) {
            TH_TRY(save(w));
            return th_fail(s, "stopped after %lld of %lld rounds", (long long)i, (long long)w->p.rounds);
        }
        TH_TRY(s);
        TH_TRY(th_run_folder_log(w->run, i + 1, &(th_metric){"loss", th_anti_loss(w->anti)}, 1));
        if (every && (i + 1) % every == 0) TH_TRY(save(w));
    }
    return save(w);
}

/* ---- what comes out */

static void measure_changes(work *w) {
    int64_t count = w->pictures * w->size;
    double sum = 0;
    th_anti_to_bytes(th_anti_pictures(w->anti), w->clean, count, w->p.budget, w->changed);
    for (int64_t i = 0; i < count; i++) {
        int d = abs(w->changed[i] - w->clean[i]);
        if (d > w->most) w->most = d;
        sum += d;
    }
    w->mean = sum / (double)count;
    for (int64_t i = 0; i < count; i++) w->floats[i] = (float)w->changed[i] / 127.5f - 1;
}

/* Losses of what is written, its 8 bits and all, to the model that the rounds ended with and to the open one. */
static th_status measure(work *w) {
    int64_t draws = th_get_i64(w->cli->options, "eval-draws"), count = w->pictures * w->size;
    th_status s = TH_OK;
    float *clean = th_alloc((size_t)count, sizeof *clean);
    if (!clean) return th_fail_memory();
    for (int64_t i = 0; i < count; i++) clean[i] = (float)w->clean[i] / 127.5f - 1;
    measure_changes(w);
    for (int k = 0; k < 2 && s == TH_OK; k++) {
        double *to = k ? w->open : w->surrogate;
        if (k) s = begin(w);
        if (s == TH_OK) s = th_anti_measure(w->anti, clean, draws, &to[0]);
        if (s == TH_OK) s = th_anti_measure(w->anti, w->floats, draws, &to[1]);
    }
    th_free(clean);
    return s;
}

static uint8_t enlarged(int difference) {
    int v = 128 + 10 * difference;
    return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
}

/* A line of the sheet: before, after, ten times the difference around grey. */
static th_status put_on_sheet(const work *w, th_contact_sheet *sheet, int64_t i, th_image *scratch) {
    const uint8_t *clean = w->clean + i * w->size, *changed = w->changed + i * w->size;
    int32_t side = (int32_t)w->cost.side;
    th_image before = {.pixels = (uint8_t *)clean, .width = side, .height = side},
             after = {.pixels = (uint8_t *)changed, .width = side, .height = side};
    for (int64_t k = 0; k < w->size; k++) scratch->pixels[k] = enlarged(changed[k] - clean[k]);
    TH_TRY(th_contact_sheet_put(sheet, i, 0, &before));
    TH_TRY(th_contact_sheet_put(sheet, i, 1, &after));
    return th_contact_sheet_put(sheet, i, 2, scratch);
}

static th_status write_sheet(const work *w) {
    char path[TH_PATH_MAX];
    th_contact_sheet *sheet = NULL;
    th_image scratch = {0};
    int32_t side = (int32_t)w->cost.side;
    th_status s = th_image_new(&scratch, side, side);
    if (s == TH_OK) s = th_contact_sheet_new(3, w->pictures, side, side, &sheet);
    for (int64_t i = 0; s == TH_OK && i < th_contact_sheet_rows(sheet); i++) s = put_on_sheet(w, sheet, i, &scratch);
    if (s == TH_OK) s = in_run(w, "sheet.png", path);
    if (s == TH_OK) s = th_contact_sheet_write(sheet, path);
    th_contact_sheet_free(sheet);
    th_image_free(&scratch);
    return s;
}

static th_status write_picture(const work *w, int64_t i, const char *dir, json_t *list) {
    char name[32], path[TH_PATH_MAX], hash[TH_HASH_TEXT], room[TH_DATASET_ROOM];
    int32_t side = (int32_t)w->cost.side;
    th_image im = {.pixels = w->changed + i * w->size, .width = side, .height = side};
    snprintf(name, sizeof name, "%06lld.png", (long long)i);
    TH_TRY(th_path_join(path, dir, name));
    TH_TRY(th_image_write(path, &im, 0));
    TH_TRY(th_hash_file(path, hash));
    json_t *j = json_pack("{s:s, s:s, s:s}", "from", th_dataset_key(w->set, i, room), "to", name, "sha256", hash);
    if (j && !json_array_append_new(list, j)) return TH_OK;
    return th_fail(TH_E_INPUT, "%s: a name that is not UTF-8 cannot be noted in run.json",
                   th_dataset_key(w->set, i, room));
}

static th_status write_pictures(const work *w, char dir[TH_PATH_MAX]) {
    json_t *list = json_array();
    if (!list) return th_fail_memory();
    th_status s = in_run(w, "pictures", dir);
    if (s == TH_OK) s = th_make_dirs(dir);
    for (int64_t i = 0; i < w->pictures && s == TH_OK; i++) s = write_picture(w, i, dir, list);
    if (s != TH_OK) return json_decref(list), s;
    return th_run_folder_note(w->run, "pictures", list);
}

static json_t *results_of(const work *w) {
    return json_pack("{s:I, s:I, s:i, s:f, s:f, s:f, s:f, s:f}", "pictures", (json_int_t)w->pictures, "rounds",
                     (json_int_t)w->p.rounds, "most_levels", w->most, "mean_levels", w->mean, "surrogate_loss_clean",
                     w->surrogate[0], "surrogate_loss", w->surrogate[1], "open_loss_clean", w->open[0], "open_loss",
                     w->open[1]);
}

static th_status report(work *w, const char *dir) {
    TH_TRY(th_run_folder_note(w->run, "results", results_of(w)));
    if (w->cli->json) {
        json_t *j = results_of(w);
        if (j) json_object_set_new(j, "folder", json_string(dir));
        th_cli_json(w->cli, j);
        return TH_OK;
    }
    th_str_printf(&w->cli->out,
                  "%lld pictures changed by at most %d of 255 levels, %.1f in the mean\n"
                  "Loss of the open model: %.4f on the clean pictures, %.4f on the changed ones\n"
                  "Loss of the %s: %.4f and %.4f\n%s\n",
                  (long long)w->pictures, w->most, w->mean, w->open[0], w->open[1],
                  w->p.kind == TH_ANTI_ASPL ? "victim" : "surrogate", w->surrogate[0], w->surrogate[1], dir);
    return TH_OK;
}

static th_status protect(work *w) {
    char dir[TH_PATH_MAX];
    TH_TRY(find_inputs(w));
    TH_TRY(th_cli_fit_open(w->cli, "guard anti-dreambooth", w->inputs, &w->run));
    close_model(w);
    TH_TRY(cut_pictures(w));
    TH_TRY(find_class(w));
    TH_TRY(begin(w));
    TH_TRY(rounds(w));
    TH_TRY(measure(w));
    TH_TRY(write_pictures(w, dir));
    TH_TRY(write_sheet(w));
    return report(w, dir);
}

static th_status run_all(work *w) {
    TH_TRY(th_cli_job_check(w->cli));
    TH_TRY(read_options(w));
    TH_TRY(check_options(w));
    TH_TRY(open_set(w, "protect", &w->set));
    if (option(w, "class-images")) TH_TRY(open_set(w, "class-images", &w->class));
    w->pictures = th_dataset_images(w->set);
    TH_TRY(prepare(w, 0));
    w->p.side = w->cost.side;
    w->size = w->cost.side * w->cost.side * 3;
    if (w->cost.cut) th_cli_note(w->cli, "a prompt has more tokens than the model reads, and the end is cut off");
    return th_get_bool(w->cli->options, "plan") ? plan(w) : protect(w);
}

static th_status run(th_cli *cli) {
    work w = {.cli = cli};
    th_status s = run_all(&w);
    s = th_cli_fit_stopped(s, w.run);
    close_model(&w);
    th_moments_free(&w.class_moments);
    th_run_folder_close(w.run);
    th_dataset_close(w.set);
    th_dataset_close(w.class);
    th_free(w.clean);
    th_free(w.changed);
    th_free(w.floats);
    th_arena_free(w.arena);
    json_decref(w.inputs);
    return s;
}

static const th_option_group groups[] = {{"Model", model_options},
                                         {"Protected", protected_options},
                                         {"Changes", change_options},
                                         {"Class", class_options},
                                         {"Training", training_options},
                                         {"Run", th_run_options},
                                         {NULL, NULL}};

const th_cli_method th_guard_cli_anti_dreambooth = {
    .name = "anti-dreambooth",
    .summary = "Anti-DreamBooth: change the pictures themselves, as a baseline",
    .about = "Changes pictures by a little, within --budget, so that models personalised on them learn less of the "
             "subject. No model is changed: it protects these very pictures, wherever they are used from then on. They "
             "lie in OUT/pictures, cut to the model's size, and before, after and difference side by side in "
             "OUT/sheet.png.",
    .examples = "theriac guard anti-dreambooth --model sd15 --protect my-dog --class dog -o out/pictures\n"
                "theriac guard anti-dreambooth --model sd15 --protect my-dog --class dog --method fsmg -o out/fsmg",
    .groups = groups,
    .run = run,
};
