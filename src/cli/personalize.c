/* theriac personalize: teach a text-to-image model one subject from a few pictures. */
#include "personalize/personalize.h"

#include <string.h>

#include "base/file.h"
#include "base/number.h"
#include "cli/plan_table.h"
#include "cli/prior.h"
#include "train/tune_options.h"

static const th_option model_options[] = {
    TH_OPT_PATH("model", NULL, "Stable Diffusion folder that learns", .argument = "DIR", .required = true),
    TH_OPT_END,
};

static const th_option strength_options[] = {
    TH_OPT_STRING("save-at", NULL,
                  "also keep the model after these numbers of steps, such as 0,100,200, as OUT/model-100; wants a "
                  "constant learning rate, so that each is what a training of so many steps gives",
                  .argument = "N,N…"),
    TH_OPT_END,
};

enum { MOST_STRENGTHS = 64 };

typedef struct {
    th_cli *cli;
    const th_personalizer *method;
    th_dataset *subject;
    th_prior prior;
    th_sd sd;
    th_personal_params p;
    th_personal *personal;
    th_personal_cost cost;
    char model_hash[TH_HASH_TEXT], subject_hash[TH_HASH_TEXT];
    json_t *inputs;
    th_run_folder *run;
    th_moments subject_moments;
    th_train_result result;
    int64_t draws;                     /* of the measurements; 0: none */
    int64_t strengths[MOST_STRENGTHS]; /* of --save-at */
    int strength_count;
    double before[2], after[2];
} work;

static const char *option(const work *w, const char *name) { return th_get_str(w->cli->options, name); }

static bool has_prior(const work *w) { return w->prior.prompt != NULL; }
static const th_moments *class_moments(const work *w) { return has_prior(w) ? &w->prior.moments : NULL; }

/* ---- before anything long */

static th_status read_prior(work *w) {
    w->prior = (th_prior){.cli = w->cli};
    if (!w->method->prior) return TH_OK;
    w->prior.prompt = option(w, "class-prompt");
    return th_prior_check(&w->prior, "--class-prompt is wanted too: what the pictures of the class show");
}

static th_status read_strengths(work *w) {
    const char *at = option(w, "save-at"), *end;
    for (w->strength_count = 0; at; at = *end ? end + 1 : NULL) {
        char number[24];
        int64_t steps = -1;
        end = at + strcspn(at, ",");
        snprintf(number, sizeof number, "%.*s", (int)(end - at < 24 ? end - at : 23), at);
        if (w->strength_count == MOST_STRENGTHS)
            return th_fail(TH_E_USAGE, "--save-at: more than %d numbers", MOST_STRENGTHS);
        if (end - at >= (int)sizeof number || !th_parse_i64(number, &steps) || steps < 0)
            return th_fail(TH_E_USAGE, "--save-at: '%.80s' should be numbers of steps with commas, such as 0,100,200",
                           option(w, "save-at"));
        w->strengths[w->strength_count++] = steps;
    }
    return TH_OK;
}

/* Once the steps of the training are known. */
static th_status check_strengths(const work *w) {
    for (int i = 0; i < w->strength_count; i++)
        if (w->strengths[i] > w->cost.steps)
            return th_fail(TH_E_USAGE, "--save-at %lld: the training has %lld steps", (long long)w->strengths[i],
                           (long long)w->cost.steps);
    if (!w->strength_count || (w->p.train.schedule.kind == TH_CONSTANT && !w->p.train.schedule.warmup)) return TH_OK;
    return th_fail(TH_E_USAGE,
                   "--save-at wants --schedule constant without --warmup: with another the first steps of a "
                   "long training are not those of a short one");
}

static void close_model(work *w) {
    th_personal_free(w->personal);
    w->personal = NULL;
    th_sd_free(&w->sd);
}

/* The most that can be encoded, before the pictures are known. */
static int64_t count_entries(const work *w) {
    int64_t n = th_dataset_images(w->subject) * th_get_i64(w->cli->options, "views");
    return n + (has_prior(w) ? th_get_i64(w->cli->options, "class-count") : 0);
}

static th_status prepare(work *w, unsigned parts) {
    close_model(w);
    TH_TRY(th_cli_load_sd(w->cli, parts, &w->sd));
    w->p.entries = count_entries(w);
    TH_TRY(th_personal_new(&w->sd, w->method, w->cli->options, &w->p, &w->personal));
    th_personal_get_cost(w->personal, &w->cost);
    return TH_OK;
}

static th_status note_prompts(work *w) {
    char word[80];
    int64_t tokens = 0;
    if (w->cost.cut)
        th_cli_note(w->cli, "%s more tokens than the model reads, and the end is cut off",
                    w->cost.cut == 1 ? "a prompt has" : "prompts have");
    TH_TRY(th_personal_identifier(w->personal, word, sizeof word, &tokens));
    if (tokens > 1)
        th_cli_note(w->cli, "'%s' is %lld tokens to this model: a rarer, shorter word would be bound more easily", word,
                    (long long)tokens);
    return TH_OK;
}

/* ---- --plan */

typedef struct {
    double seconds[TH_PLAN_MACHINES]; /* of training */
    double class_seconds;
} forecast;

static th_status make_forecast(work *w, forecast *f) {
    th_ceilings c;
    TH_TRY(th_ceilings_measure(w->p.threads, w->p.compute, &c));
    double runs = (double)(w->cost.steps * w->cost.batches_a_step);
    int cores[TH_PLAN_MACHINES];
    th_cli_plan_cores(&c, cores);
    for (int i = 0; i < TH_PLAN_MACHINES; i++) f->seconds[i] = runs * th_ceilings_seconds(&c, &w->cost.step, cores[i]);
    return th_prior_seconds(&w->prior, &w->sd, &c, &f->class_seconds);
}

static void print_plan(const work *w, const forecast *f) {
    char text[200];
    th_table *t = th_cli_plan_table();
    snprintf(text, sizeof text, "%lld of the subject, %lld×%lld pixels", (long long)th_dataset_images(w->subject),
             (long long)w->cost.side, (long long)w->cost.side);
    th_table_pair(t, "Pictures", text);
    snprintf(text, sizeof text, "%lld", (long long)w->cost.steps);
    th_table_pair(t, "Steps", text);
    th_human_count(text, (double)w->cost.trained);
    th_table_pair(t, "Parameters that learn", text);
    th_cli_plan_memory(t, (double)w->cost.bytes);
    th_cli_plan_work(t, "Work of a step", (double)w->cost.batches_a_step * w->cost.step.flops, 0);
    th_cli_plan_time(t, f->seconds);
    th_prior_plan(&w->prior, t, f->class_seconds);
    th_cli_table(w->cli, t);
    th_table_free(t);
    if (th_prior_is_drawn(&w->prior))
        th_str_puts(&w->cli->out, "--class-images SET spares drawing them, --class-latents FILE of an earlier run "
                                  "encoding them too\n");
}

static th_status plan(work *w) {
    forecast f;
    TH_TRY(make_forecast(w, &f));
    if (!w->cli->json) return print_plan(w, &f), TH_OK;
    th_cli_json(w->cli, json_pack("{s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:f, s:f}", "steps", (json_int_t)w->cost.steps,
                                  "pictures", (json_int_t)th_dataset_images(w->subject), "trained",
                                  (json_int_t)w->cost.trained, "bytes", (json_int_t)w->cost.bytes, "flops_a_step",
                                  (double)w->cost.batches_a_step * w->cost.step.flops, "seconds_here", f.seconds[0],
                                  "seconds_16_cores", f.seconds[1], "seconds_64_cores", f.seconds[2],
                                  "class_seconds_here", f.class_seconds));
    return TH_OK;
}

/* ---- what goes in */

static th_status find_inputs(work *w) {
    if (!(w->inputs = json_object())) return th_fail_memory();
    TH_TRY(th_sd_weights_hash(option(w, "model"), w->model_hash));
    TH_TRY(th_cli_note_model(w->inputs, "model", option(w, "model"), w->model_hash));
    TH_TRY(th_cli_note_set(w->cli, w->inputs, "instances", w->subject, w->subject_hash));
    return th_prior_note(&w->prior, w->inputs);
}

static th_status in_run(const work *w, const char *name, char path[TH_PATH_MAX]) {
    return th_path_join(path, th_run_folder_path(w->run), name);
}

static th_status encode_subject(work *w, const th_encoding *e, const th_view_params *v) {
    const char *name = "instance-latents.safetensors";
    if (th_encoding_find(e, w->subject_hash, v, name, &w->subject_moments)) return TH_OK;
    return th_encoding_make(e, w->subject, 0, w->subject_hash, v, name, &w->subject_moments);
}

/* The subject's first, as drawing the class may take hours, and a picture that cannot be read is better known before.
 */
static th_status find_pictures(work *w) {
    const th_encoding e = {w->cli, w->model_hash, w->run, &w->sd, w->cost.height, w->cost.width, w->cost.channels};
    th_view_params v;
    th_personal_read_views(w->cli->options, w->method, &w->p, &v);
    TH_TRY(encode_subject(w, &e, &v));
    v.views = 1;
    v.flip = false;
    v.transforms.count = 0;
    v.filter = TH_RESIZE_BILINEAR;
    if (v.crop == TH_CROP_SQUASH) v.crop = TH_CROP_RANDOM;
    TH_TRY(th_prior_find(&w->prior, &e, &v));
    th_sd_free(&w->sd);
    return th_prior_check_vae(&w->prior, w->subject_moments.vae);
}

/* ---- what comes out */

static th_status write_card(const work *w, int64_t steps, const char *dir) {
    th_str card;
    th_str_init(&card, 1 << 16);
    th_str_printf(&card, "# A subject, learnt by %s\n\nFrom %lld pictures, `%s`: %s. ", w->method->name,
                  (long long)w->subject_moments.pictures, w->p.prompt ? w->p.prompt : option(w, "word"),
                  w->method->summary);
    th_str_printf(&card, "%lld steps at a learning rate of %g. ", (long long)steps, w->cost.lr);
    if (has_prior(w))
        th_str_printf(&card, "%lld pictures of the class, `%s`, with weight %g. ", (long long)w->prior.moments.pictures,
                      w->p.class_prompt, (double)w->p.prior_weight);
    th_str_printf(&card, "The model it began from: `%s` (SHA-256 of its weights %s).\n\n%s\n\n", option(w, "model"),
                  w->model_hash, w->method->usage);
    if (w->draws && steps == w->cost.steps) {
        th_str_printf(&card,
                      "Denoising loss on the subject's pictures, at %lld fixed times and noises: %.4f before, "
                      "%.4f after",
                      (long long)(w->draws * w->p.batch), w->before[0], w->after[0]);
        if (has_prior(w)) th_str_printf(&card, "; on the class' pictures %.4f and %.4f", w->before[1], w->after[1]);
        th_str_puts(&card, ".\n\n");
    }
    th_str_printf(&card,
                  "Made by theriac %s: `theriac personalize %s`, see `run.json` beside this folder for every "
                  "option.\n",
                  th_version(), w->method->name);
    th_status s = th_cli_write_card(dir, &card);
    th_str_free(&card);
    return s;
}

/* For th_personal_params: a model that is to be kept. Its card is written last, so a folder with one is whole. */
static th_status keep_strength(void *user, int64_t step) {
    const work *w = user;
    char name[32], dir[TH_PATH_MAX];
    for (int i = 0; i < w->strength_count; i++) {
        if (w->strengths[i] != step) continue;
        snprintf(name, sizeof name, "model-%lld", (long long)step);
        TH_TRY(in_run(w, name, dir));
        TH_TRY(th_personal_write(w->personal, dir, option(w, "save-dtype")));
        return write_card(w, step, dir);
    }
    return TH_OK;
}

/* ---- the training */

static th_status measure(work *w, double out[2]) {
    if (!w->draws) return TH_OK;
    return th_personal_measure(w->personal, &w->subject_moments, class_moments(w), w->draws, &out[0], &out[1]);
}

static th_status train(work *w) {
    TH_TRY(prepare(w, TH_SD_UNET | TH_SD_TEXT));
    TH_TRY(th_personal_read_prompts(w->personal));
    if (!w->cost.text_trained) th_sd_release(&w->sd, TH_SD_TEXT);
    TH_TRY(th_personal_start(w->personal));
    TH_TRY(measure(w, w->before));
    TH_TRY(th_personal_run(w->personal, &w->subject_moments, class_moments(w), w->run, &w->cli->watch, &w->result));
    return measure(w, w->after);
}

static th_status save(work *w, char dir[TH_PATH_MAX]) {
    TH_TRY(in_run(w, "model", dir));
    TH_TRY(th_personal_write(w->personal, dir, option(w, "save-dtype")));
    TH_TRY(write_card(w, w->cost.steps, dir));
    TH_TRY(th_run_folder_note(w->run, "seconds", json_real(w->result.seconds_in_all)));
    if (!w->draws) return TH_OK;
    return th_run_folder_note(w->run, "results",
                              json_pack("{s:f, s:f, s:f, s:f}", "subject_loss_before", w->before[0], "subject_loss",
                                        w->after[0], "class_loss_before", w->before[1], "class_loss", w->after[1]));
}

static th_status report(work *w, const char *dir) {
    const th_cli_figure figures[] = {
        {"subject_loss_before", "Loss on the subject at fixed noise, before", w->before[0], 4},
        {"subject_loss", "After", w->after[0], 4},
        {"class_loss_before", "Loss on the class, before", w->before[1], 4},
        {"class_loss", "After", w->after[1], 4},
    };
    return th_cli_fit_report(w->cli, &w->result, figures, !w->draws ? 0 : has_prior(w) ? 4 : 2, 0, dir);
}

static th_status personalize(work *w) {
    char command[64], dir[TH_PATH_MAX];
    snprintf(command, sizeof command, "personalize %s", w->method->name);
    TH_TRY(find_inputs(w));
    TH_TRY(th_cli_fit_open(w->cli, command, w->inputs, &w->run));
    close_model(w);
    TH_TRY(find_pictures(w));
    TH_TRY(train(w));
    TH_TRY(save(w, dir));
    return report(w, dir);
}

static th_status run_all(work *w) {
    th_options *o = w->cli->options;
    TH_TRY(th_cli_job_check(w->cli));
    TH_TRY(read_prior(w));
    TH_TRY(th_cli_open_set(w->cli, "instances", &w->subject));
    TH_TRY(th_prior_open(&w->prior));
    th_personal_params_init(&w->p);
    TH_TRY(th_personal_read(o, w->method, &w->p));
    w->p.train.resume = th_get_bool(o, "resume");
    w->p.passed = keep_strength;
    w->p.user = w;
    w->draws = th_get_i64(o, "eval-draws");
    TH_TRY(read_strengths(w));
    TH_TRY(prepare(w, 0));
    TH_TRY(check_strengths(w));
    w->p.side = w->cost.side;
    w->prior.drawing = (th_drawn_params){.side = w->cost.side,
                                         .seed = w->p.train.seed,
                                         .threads = w->p.threads,
                                         .compute = w->p.compute,
                                         .memory = w->p.memory};
    TH_TRY(note_prompts(w));
    return th_get_bool(o, "plan") ? plan(w) : personalize(w);
}

static th_status run(th_cli *cli) {
    work w = {.cli = cli, .method = th_personalizers[cli->method]};
    th_status s = run_all(&w);
    s = th_cli_fit_stopped(s, w.run);
    close_model(&w);
    th_moments_free(&w.subject_moments);
    th_run_folder_close(w.run);
    th_dataset_close(w.subject);
    th_prior_close(&w.prior);
    json_decref(w.inputs);
    return s;
}

static const th_option_group with_class[] = {{"Model", model_options},
                                             {"Subject", th_personal_subject_options},
                                             {"Class", th_personal_class_options},
                                             {"Class", th_prior_options},
                                             {"Training", th_personal_train_options},
                                             {"Training", th_tune_options},
                                             {"Run", th_run_options},
                                             {"Run", strength_options},
                                             {NULL, NULL}},
                             without_class[] = {{"Model", model_options},
                                                {"Subject", th_personal_subject_options},
                                                {"Training", th_personal_train_options},
                                                {"Training", th_tune_options},
                                                {"Run", th_run_options},
                                                {"Run", strength_options},
                                                {NULL, NULL}};

static bool method(int64_t i, th_cli_method *out) {
    const th_personalizer *m = th_personalizers[i];
    if (m)
        *out = (th_cli_method){.name = m->name,
                               .summary = m->summary,
                               .options = m->options,
                               .groups = m->prior ? with_class : without_class};
    return m != NULL;
}

const th_verb th_verb_personalize = {
    .name = "personalize",
    .summary = "teach a text-to-image model one subject",
    .about =
        "Pictures are encoded once and kept in the run's folder, with those of the class that the model draws where "
        "--class-prompt asks for prior preservation and no --class-images are given. The result lies in OUT/model, "
        "as diffusers loads it.",
    .examples =
        "theriac personalize dreambooth --model sd15 --instances my-dog --instance-prompt 'a photo of sks dog' "
        "--class-prompt 'a photo of a dog' -o out/dog\n"
        "theriac personalize lora --model sd15 --instances my-dog --instance-prompt 'a photo of sks dog' -o out/lora\n"
        "theriac personalize textual-inversion --model sd15 --instances my-dog --word '<my-dog>' --initializer dog "
        "-o out/word",
    .method = method,
    .computes = true,
    .run = run,
};
