/* theriac guard anti-dreambooth: pictures changed so that personalising on them fails. Options, setting up, the order
 * of things. */
#include <string.h>

#include "base/file.h"
#include "base/template.h"
#include "cli/guard/anti_dreambooth_parts.h"
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

static const char *option(const th_anti_job *j, const char *name) { return th_get_str(j->cli->options, name); }

th_status th_anti_job_path(const th_anti_job *j, const char *name, char path[TH_PATH_MAX]) {
    return th_path_join(path, th_run_folder_path(j->run), name);
}

/* ---- what is asked for */

static const char *prompt_of(th_anti_job *j) {
    const char *word = th_arena_printf(j->arena, "%s %s", option(j, "identifier"), option(j, "class"));
    return word ? th_template_fill(j->arena, option(j, "instance-prompt"), word) : NULL;
}

static void set_where(int64_t *value, int64_t given, int64_t none) {
    if (given != none) *value = given;
}

static th_status read_options(th_anti_job *j) {
    th_options *o = j->cli->options;
    th_anti_params *p = &j->p;
    if (!(j->arena = th_arena_new())) return th_fail_memory();
    th_anti_params_init(p, th_get_choice(o, "method") == 0 ? TH_ANTI_FSMG : TH_ANTI_ASPL);
    p->prompt = prompt_of(j);
    p->prior_weight = th_get_f32(o, "prior-weight");
    if (p->prior_weight > 0)
        p->class_prompt = option(j, "class-prompt") ? option(j, "class-prompt")
                                                    : th_arena_printf(j->arena, "a photo of a %s", option(j, "class"));
    j->prior = (th_prior){.cli = j->cli, .prompt = p->class_prompt};
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
    p->compute = th_fit_read_dtype(o);
    return th_arena_failed(j->arena) ? th_fail_memory() : th_options_check(o);
}

static th_status check_options(const th_anti_job *j) {
    if (!option(j, "class")[strspn(option(j, "class"), " ")])
        return th_fail(TH_E_USAGE, "--class: is empty; the noun of what the pictures show is wanted, such as dog");
    return th_prior_check(&j->prior, "--prior-weight 0 uses no pictures of the class");
}

/* ---- the model */

static void close_model(th_anti_job *j) {
    th_anti_free(j->anti);
    j->anti = NULL;
    th_sd_free(&j->sd);
}

th_status th_anti_job_prepare(th_anti_job *j, unsigned parts) {
    close_model(j);
    TH_TRY(th_cli_load_sd(j->cli, parts, &j->sd));
    TH_TRY(th_anti_new(&j->sd, &j->p, j->pictures, &j->anti));
    th_anti_get_cost(j->anti, &j->cost);
    return TH_OK;
}

/* ---- the order of things */

static th_status find_inputs(th_anti_job *j) {
    if (!(j->inputs = json_object())) return th_fail_memory();
    TH_TRY(th_sd_weights_hash(option(j, "model"), j->model_hash));
    TH_TRY(th_cli_note_model(j->inputs, "model", option(j, "model"), j->model_hash));
    TH_TRY(th_cli_note_set(j->cli, j->inputs, "protect", j->set, j->set_hash));
    return th_prior_note(&j->prior, j->inputs);
}

static th_status protect(th_anti_job *j) {
    char dir[TH_PATH_MAX];
    TH_TRY(find_inputs(j));
    TH_TRY(th_cli_fit_open(j->cli, "guard anti-dreambooth", j->inputs, &j->run));
    close_model(j);
    TH_TRY(th_anti_job_cut(j));
    TH_TRY(th_anti_job_find_class(j));
    TH_TRY(th_anti_job_rounds(j));
    TH_TRY(th_anti_job_measure(j));
    TH_TRY(th_anti_job_write_pictures(j, dir));
    TH_TRY(th_anti_job_write_sheet(j));
    return th_anti_job_report(j, dir);
}

static th_status run_all(th_anti_job *j) {
    TH_TRY(th_cli_job_check(j->cli));
    TH_TRY(read_options(j));
    TH_TRY(check_options(j));
    TH_TRY(th_cli_open_set(j->cli, "protect", &j->set));
    TH_TRY(th_prior_open(&j->prior));
    j->pictures = th_dataset_images(j->set);
    TH_TRY(th_anti_job_prepare(j, 0));
    j->p.side = j->cost.side;
    j->prior.drawing = (th_drawn_params){.side = j->cost.side,
                                         .seed = j->p.seed,
                                         .threads = j->p.threads,
                                         .compute = j->p.compute,
                                         .memory = j->p.memory};
    j->size = j->cost.side * j->cost.side * 3;
    if (j->cost.cut) th_cli_note(j->cli, "a prompt has more tokens than the model reads, and the end is cut off");
    return th_get_bool(j->cli->options, "plan") ? th_anti_job_plan(j) : protect(j);
}

static th_status run(th_cli *cli) {
    th_anti_job j = {.cli = cli};
    th_status s = run_all(&j);
    s = th_cli_fit_stopped(s, j.run);
    close_model(&j);
    th_run_folder_close(j.run);
    th_dataset_close(j.set);
    th_prior_close(&j.prior);
    th_free(j.clean);
    th_free(j.changed);
    th_free(j.floats);
    th_arena_free(j.arena);
    json_decref(j.inputs);
    return s;
}

static const th_option_group groups[] = {{"Model", model_options},    {"Protected", protected_options},
                                         {"Changes", change_options}, {"Class", class_options},
                                         {"Class", th_prior_options}, {"Training", training_options},
                                         {"Run", th_run_options},     {NULL, NULL}};

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
