/* theriac train t2i: a text-to-image model in latents, from scratch over an autoencoder or from a folder. */
#include <string.h>

#include "base/file.h"
#include "cli/fit_job.h"
#include "data/vocabulary.h"
#include "train/t2i_fit.h"
#include "train/t2i_samples.h"

static const th_option sizes[] = {
    TH_OPT_PATH("vae", NULL, "folder of the autoencoder, such as train vae writes", .argument = "DIR"),
    TH_OPT_STRING("channels", "64,128,192", "channels of each level of the UNet; the lowest has no cross-attention",
                  .argument = "N,N…"),
    TH_OPT_INT("layers-per-block", 1, "residual layers of a level on the way down; one more on the way up",
               TH_WITHIN(1, 16)),
    TH_OPT_INT("head-width", 32, "channels of an attention head of the UNet", TH_WITHIN(1, 1024)),
    TH_OPT_INT("text-width", 192, "width of the text encoder and of its states", TH_WITHIN(8, 1 << 16)),
    TH_OPT_INT("text-layers", 4, "its layers", TH_WITHIN(1, 256)),
    TH_OPT_INT("text-heads", 4, "its heads", TH_WITHIN(1, 1024)),
    TH_OPT_INT("context", 32, "tokens of a text; longer ones are cut", TH_WITHIN(4, 4096)),
    TH_OPT_INT("vocab", 1024, "tokens that the tokenizer learns from the captions, at most", TH_AT_LEAST(514)),
    TH_OPT_PATH("tokenizer", NULL, "folder of a tokenizer to use instead of a new one", .argument = "DIR"),
    TH_OPT_CHOICE("prediction", "epsilon|v", "v", "what the UNet predicts: the noise, or the velocity"),
    TH_OPT_CHOICE("betas", "scaled-linear|linear|cosine", "scaled-linear", "how noise grows with time"),
    TH_OPT_BOOL("zero-snr", true, "rescale it so that nothing of the picture is left at the end; with v only"),
    TH_OPT_END,
};

static const th_option options[] = {
    TH_OPT_PATH("model", NULL, "Stable Diffusion folder to start from; without it, random weights over --vae",
                .argument = "DIR"),
    TH_OPT_INT("image-size", 0, "side of a picture in pixels; 0: as the model or the autoencoder says",
               TH_WITHIN(0, 4096)),
    TH_OPT_BOOL("cache", true, "encode each picture once and keep the result"),
    TH_OPT_PATH("latents", NULL, "folder for that; OUT/latents where not given", .argument = "DIR"),
    TH_OPT_END,
};

static const th_option sample_options[] = {
    TH_OPT_LIST("sample", "prompt to draw at each evaluation, onto OUT/samples/step-N.png; may be given many times",
                .argument = "PROMPT"),
    TH_OPT_INT("sample-count", 4, "pictures of each prompt", TH_WITHIN(1, 64)),
    TH_OPT_INT("sample-steps", 25, "steps of the sampler", TH_WITHIN(1, 1000)),
    TH_OPT_F32("sample-guidance", 4, "how strongly the prompt is followed; 1: as it is", TH_AT_LEAST(0)),
    TH_OPT_END,
};

typedef struct {
    th_cli *cli;
    th_dataset *pairs, *held_out;
    th_sd sd;
    th_t2i_fit_params p;
    th_t2i_samples samples;
    th_t2i_fit *fit;
    th_run_folder *run;
    json_t *inputs;
    char latents[TH_PATH_MAX], drawn[TH_PATH_MAX], key[TH_HASH_TEXT]; /* drawn: folder of samples */
    th_train_result result;
} work;

/* --- models --- */

static th_status choose_unet(work *w, const th_vae_config *vae, th_unet_config *c) {
    th_options *o = w->cli->options;
    th_unet_config_init(c);
    TH_TRY(th_cli_read_sizes(w->cli, "channels", c->channels, TH_UNET_MOST_LEVELS, &c->levels));
    c->sample_size = w->p.side / th_vae_factor(vae);
    c->in_channels = c->out_channels = vae->latent_channels;
    c->layers_per_block = th_get_i64(o, "layers-per-block");
    c->cross_attention_dim = th_get_i64(o, "text-width");
    c->groups = th_cli_groups_of(c->channels, c->levels);
    int64_t width = th_get_i64(o, "head-width");
    for (int i = 0; i < c->levels; i++) {
        c->heads[i] = c->channels[i] / width;
        c->attends_down[i] = i + 1 < c->levels; /* as in SD, the lowest level leaves it to the middle block */
        c->attends_up[i] = i > 0;
        if (c->channels[i] % width)
            return th_fail(TH_E_USAGE, "--head-width %lld does not divide %lld --channels", (long long)width,
                           (long long)c->channels[i]);
    }
    return TH_OK;
}

static void choose_text(const work *w, const th_tokenizer *t, th_text_encoder_config *c) {
    th_options *o = w->cli->options;
    int64_t width = th_get_i64(o, "text-width");
    th_text_encoder_config_init(c);
    c->tower = (th_clip_tower){
        .width = width, .heads = th_get_i64(o, "text-heads"), .layers = th_get_i64(o, "text-layers"), .mlp = 4 * width};
    c->tower.quick_gelu = true;
    c->tower.eps = 1e-5f;
    c->projection_dim = width;
    c->vocab_size = th_tokenizer_size(t);
    c->context = th_get_i64(o, "context");
    c->bos_token_id = th_tokenizer_bos(t);
    c->eos_token_id = th_tokenizer_eos(t);
    c->pad_token_id = th_tokenizer_pad(t);
}

/* DDIM as SD's folders have it. */
static th_status choose_scheduler(const work *w, th_scheduler_config *c) {
    static const th_betas betas[] = {TH_BETAS_SCALED_LINEAR, TH_BETAS_LINEAR, TH_BETAS_COSINE};
    th_options *o = w->cli->options;
    th_scheduler_config_init(c);
    c->row = th_scheduler_find("ddim");
    c->betas = betas[th_get_choice(o, "betas")];
    c->prediction = th_get_choice(o, "prediction") == 1 ? TH_PREDICT_V : TH_PREDICT_NOISE;
    c->clip_sample = false;
    c->rescale_betas_zero_snr = th_get_bool(o, "zero-snr") && c->prediction == TH_PREDICT_V;
    if (c->rescale_betas_zero_snr) c->spacing = TH_SPACING_TRAILING; /* or sampling would not begin at pure noise */
    if (c->prediction == TH_PREDICT_V || !th_is_set(o, "zero-snr") || !th_get_bool(o, "zero-snr")) return TH_OK;
    return th_fail(TH_E_USAGE, "--zero-snr wants --prediction v: noise alone says nothing of a picture");
}

static th_status take_tokenizer(work *w) {
    th_options *o = w->cli->options;
    const char *from = th_get_str(o, "tokenizer");
    if (from) return th_tokenizer_load(from, &w->sd.tokenizer);
    return th_dataset_learn_tokenizer(w->pairs, TH_CLEAN_NONE, th_get_i64(o, "vocab"), th_get_i64(o, "context"),
                                      &w->cli->watch, &w->sd.tokenizer);
}

static th_status new_model(work *w) {
    const char *vae = th_get_str(w->cli->options, "vae");
    uint64_t seed = w->p.fit.train.seed;
    th_tokenizer *tokenizer;
    th_sd_config c;
    if (!vae) return th_fail(TH_E_USAGE, "--vae is wanted, the autoencoder of a new model; or --model");
    TH_TRY(th_vae_read_config(vae, &c.vae));
    if (!w->p.side) w->p.side = c.vae.sample_size;
    TH_TRY(take_tokenizer(w));
    TH_TRY(choose_unet(w, &c.vae, &c.unet));
    TH_TRY(choose_scheduler(w, &c.scheduler));
    tokenizer = w->sd.tokenizer;
    choose_text(w, tokenizer, &c.text);
    w->sd.tokenizer = NULL;
    th_status s = th_sd_new(&c, &w->sd);
    w->sd.tokenizer = tokenizer;
    TH_TRY(s);
    TH_TRY(th_vae_load(w->sd.vae, vae, NULL));
    TH_TRY(th_unet_randomize(w->sd.unet, seed));
    return th_text_encoder_randomize(w->sd.text, seed);
}

static th_status load_model(work *w, const char *dir) {
    th_sd_load_params p = {.parts = th_get_bool(w->cli->options, "plan") ? 0 : TH_SD_ALL};
    TH_TRY(th_cli_refuse_sizes(w->cli, sizes));
    TH_TRY(th_sd_load(dir, &p, &w->sd));
    const th_unet_config *c = th_unet_get_config(w->sd.unet);
    if (!w->p.side) w->p.side = c->sample_size * th_vae_factor(th_vae_get_config(w->sd.vae));
    return TH_OK;
}

/* --- what is noted of the inputs --- */

/* Names pictures, autoencoder and size: what latents depend on. */
static void find_key(work *w, const char *data, const char *weights) {
    th_hash h;
    int64_t side = w->p.side;
    th_hash_init(&h);
    th_hash_add(&h, data, strlen(data) + 1);
    th_hash_add(&h, weights, strlen(weights) + 1);
    th_hash_add(&h, &side, sizeof side);
    th_hash_text(&h, w->key);
}

static th_status find_inputs(work *w) {
    th_options *o = w->cli->options;
    const char *from = th_get_str(o, "model"), *vae = th_get_str(o, "vae");
    char hash[TH_HASH_TEXT];
    TH_TRY(th_cli_fit_inputs(w->cli, w->pairs, &w->inputs));
    if (from)
        TH_TRY(th_sd_weights_hash(from, hash));
    else
        TH_TRY(th_clip_weights_hash(vae, hash));
    find_key(w, json_string_value(json_object_get(json_object_get(w->inputs, "data"), "sha256")), hash);
    return th_cli_note_model(w->inputs, from ? "model" : "vae", from ? from : vae, hash);
}

/* --- samples --- */

static th_status draw_samples(void *user, int64_t step) {
    work *w = user;
    return th_t2i_samples_draw(&w->sd, &w->samples, w->drawn, step, &w->cli->watch);
}

static th_status choose_samples(work *w) {
    th_options *o = w->cli->options;
    th_list prompts = th_get_list(o, "sample");
    const char *out = th_get_str(o, "out");
    if (!prompts.count) return TH_OK;
    w->samples = (th_t2i_samples){
        .prompts = prompts.items,
        .count = prompts.count,
        .each = th_get_i64(o, "sample-count"),
        .side = w->p.side,
        .steps = th_get_i64(o, "sample-steps"),
        .guidance = th_get_f32(o, "sample-guidance"),
        .threads = w->p.fit.threads,
        .compute = w->p.fit.compute,
    };
    w->p.look = draw_samples;
    w->p.user = w;
    if (out) TH_TRY(th_path_join(w->drawn, out, "samples"));
    return th_t2i_samples_bytes(&w->sd, &w->samples, &w->p.look_bytes);
}

/* --- the run --- */

static void card_loss(th_str *card, const work *w, const th_t2i_loss *l) {
    th_str_printf(card,
                  "Denoising loss on %lld pairs of `%s`: %.4f; by quarter of the times, from little noise to much: "
                  "%.4f, %.4f, %.4f, %.4f.\n\n",
                  (long long)l->count, th_get_str(w->cli->options, "eval"), l->loss, l->quarters[0], l->quarters[1],
                  l->quarters[2], l->quarters[3]);
}

static th_status write_card(const work *w, const char *dir) {
    const char *from = th_get_str(w->cli->options, "model");
    const th_t2i_loss *l = th_t2i_fit_measured(w->fit);
    th_str card;
    th_str_init(&card, 1 << 16);
    th_str_printf(&card,
                  "# A text-to-image model\n\nStable Diffusion in diffusers' layout, %lld×%lld pixels: a UNet of ",
                  (long long)w->p.side, (long long)w->p.side);
    th_str_printf(&card, "%.1f M parameters, a text encoder of %.1f M, an autoencoder of %.1f M.\n\n",
                  1e-6 * (double)th_params_elements(th_unet_params(w->sd.unet)),
                  1e-6 * (double)th_params_elements(th_text_encoder_params(w->sd.text)),
                  1e-6 * (double)th_params_elements(th_vae_params(w->sd.vae)));
    th_str_printf(&card, "Trained on `%s`%s%s%s, predicting %s.\n\n", th_get_str(w->cli->options, "data"),
                  from ? " from `" : "", from ? from : "", from ? "`" : "",
                  w->sd.scheduler.prediction == TH_PREDICT_V ? "the velocity" : "the noise");
    if (l->count) card_loss(&card, w, l);
    th_str_printf(&card,
                  "Made by theriac %s: `theriac train t2i`, see `run.json` beside this folder for every option.\n",
                  th_version());
    th_status s = th_cli_write_card(dir, &card);
    th_str_free(&card);
    return s;
}

static th_status save(work *w, char dir[TH_PATH_MAX]) {
    const th_t2i_loss *l = th_t2i_fit_measured(w->fit);
    unsigned same = w->sd.dir ? TH_SD_VAE | (w->p.train_text ? 0u : (unsigned)TH_SD_TEXT) : 0u;
    TH_TRY(th_path_join(dir, th_get_str(w->cli->options, "out"), "model"));
    TH_TRY(th_sd_save(&w->sd, dir, th_get_str(w->cli->options, "save-dtype"), same));
    TH_TRY(write_card(w, dir));
    TH_TRY(th_run_folder_note(w->run, "seconds", json_real(w->result.seconds_in_all)));
    if (!l->count) return TH_OK;
    return th_run_folder_note(w->run, "results",
                              json_pack("{s:f, s:[f, f, f, f]}", "loss", l->loss, "quarters", l->quarters[0],
                                        l->quarters[1], l->quarters[2], l->quarters[3]));
}

static th_status report(work *w, const char *dir) {
    static const char *const keys[] = {"eval_loss_q1", "eval_loss_q2", "eval_loss_q3", "eval_loss_q4"},
                             *const called[] = {"  first quarter of the times, little noise", "  second", "  third",
                                                "  last"};
    const th_t2i_loss *l = th_t2i_fit_measured(w->fit);
    th_cli_figure f[1 + TH_DENOISE_QUARTERS] = {{"eval_loss", "Loss on held-out pairs", l->loss, 4}};
    for (int q = 0; q < TH_DENOISE_QUARTERS; q++) f[1 + q] = (th_cli_figure){keys[q], called[q], l->quarters[q], 4};
    return th_cli_fit_report(w->cli, &w->result, f, l->count ? 1 + TH_DENOISE_QUARTERS : 0,
                             th_cli_note_skipped(w->cli, w->pairs), dir);
}

static th_status train(work *w) {
    char dir[TH_PATH_MAX];
    TH_TRY(find_inputs(w));
    TH_TRY(th_cli_fit_open(w->cli, "train t2i", w->inputs, &w->run));
    th_t2i_fit_set_run(w->fit, w->run);
    if (w->p.latents) th_t2i_fit_set_latents(w->fit, w->latents, w->key);
    TH_TRY(th_t2i_fit_run(w->fit, &w->cli->watch, &w->result));
    TH_TRY(save(w, dir));
    return report(w, dir);
}

static th_status read_options(work *w) {
    th_options *o = w->cli->options;
    const char *out = th_get_str(o, "out"), *latents = th_get_str(o, "latents");
    th_t2i_fit_params_init(&w->p);
    w->p.fit.train.schedule.lr = th_get_str(o, "model") ? 1e-5 : 1e-3;
    TH_TRY(th_fit_read(o, &w->p.fit));
    TH_TRY(th_t2i_fit_read(o, &w->p));
    w->p.side = th_get_i64(o, "image-size");
    w->p.held_out = w->held_out;
    w->p.fit.train.resume = th_get_bool(o, "resume");
    if (latents)
        TH_TRY(th_path_join(w->latents, latents, ""));
    else if (out)
        TH_TRY(th_path_join(w->latents, out, "latents"));
    if (th_get_bool(o, "cache") && !w->p.fit.flip) w->p.latents = w->latents;
    return TH_OK;
}

static th_status run_all(work *w) {
    th_options *o = w->cli->options;
    const char *from = th_get_str(o, "model");
    TH_TRY(th_cli_open_data(w->cli, "data", &w->pairs));
    TH_TRY(th_cli_open_held_out(w->cli, &w->held_out));
    TH_TRY(read_options(w));
    TH_TRY(from ? load_model(w, from) : new_model(w));
    TH_TRY(choose_samples(w));
    th_status s = th_t2i_fit_new(&w->sd, w->pairs, &w->p, &w->fit);
    if (s == TH_E_INPUT) th_fail_in(s, "%s", th_get_str(o, "data")); /* it is about the pairs */
    TH_TRY(s);
    th_fit_cost cost;
    th_t2i_fit_get_cost(w->fit, &cost);
    return th_get_bool(o, "plan") ? th_cli_fit_plan(w->cli, &w->p.fit, &cost) : train(w);
}

static th_status run(th_cli *cli) {
    work w = {.cli = cli};
    TH_TRY(th_cli_job_check(cli));
    th_status s = run_all(&w); /* which opens the run */
    s = th_cli_fit_stopped(s, w.run);
    th_t2i_fit_free(w.fit);
    th_run_folder_close(w.run);
    th_sd_free(&w.sd);
    th_dataset_close(w.pairs);
    th_dataset_close(w.held_out);
    json_decref(w.inputs);
    return s;
}

static const th_option_group groups[] = {{"New models", sizes},
                                         {"Data", th_data_options},
                                         {"Loss", th_t2i_fit_options},
                                         {"Training", th_fit_options},
                                         {"Evaluation", th_fit_eval_options},
                                         {"Samples", sample_options},
                                         {"Run", th_run_options},
                                         {NULL, NULL}};

const th_cli_method th_train_t2i = {
    .name = "t2i",
    .summary = "a text-to-image model: UNet and text encoder over an autoencoder",
    .options = options,
    .groups = groups,
    .about = "Writes a Stable Diffusion folder as diffusers has it. Pictures are encoded once, into files of the run's "
             "folder, and latents drawn from them anew in each epoch.",
    .examples =
        "theriac train t2i --vae out/vae/model --data "
        "'fashion-scenes?split=train&side=64&garments=1&captions=full&nouns=0.1&count=200000' --captions random "
        "--epochs 10 --batch 64 -o out/t2i\n"
        "theriac train t2i --model stable-diffusion-v1-5 --data photos --batch 1 --memory 24G --plan",
    .run = run,
};
