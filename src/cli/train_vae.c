/* theriac train vae: an autoencoder for latent diffusion, from scratch or from a folder. */
#include "base/file.h"
#include "cli/fit_job.h"
#include "train/vae_fit.h"

static const th_option sizes[] = {
    TH_OPT_STRING("channels", "32,64,128", "channels of each level; each but the last halves the picture's side",
                  .argument = "N,N…"),
    TH_OPT_INT("latent-channels", 4, "channels of the latents", TH_WITHIN(1, 64)),
    TH_OPT_INT("layers-per-block", 1, "residual layers of a level in the encoder; the decoder has one more",
               TH_WITHIN(1, 16)),
    TH_OPT_BOOL("mid-attention", true, "attention at the lowest level"),
    TH_OPT_END,
};

static const th_option options[] = {
    TH_OPT_PATH("model", NULL, "VAE folder, or Stable Diffusion folder, to start from; without it, random weights",
                .argument = "DIR"),
    TH_OPT_INT("image-size", 64, "side of a picture in pixels", TH_WITHIN(8, 4096)),
    TH_OPT_INT("settle-on", 2048, "pictures whose latents set the scaling factor", TH_AT_LEAST(1)),
    TH_OPT_END,
};

#define QUIET (-6.0f) /* the logarithm of new latents' variance */

typedef struct {
    th_cli *cli;
    th_dataset *pictures, *held_out;
    th_vae *vae;
    th_vae_fit_params p;
    th_vae_fit *fit;
    th_run_folder *run;
    json_t *inputs;
    char from[TH_PATH_MAX]; /* the VAE's own folder; "" for a new model */
    th_train_result result;
    th_vae_quality quality;
} work;

static th_status new_model(work *w) {
    th_options *o = w->cli->options;
    th_vae_config c;
    th_vae_config_init(&c);
    TH_TRY(th_cli_read_sizes(w->cli, "channels", c.channels, TH_VAE_MOST_LEVELS, &c.levels));
    c.sample_size = w->p.side;
    c.latent_channels = th_get_i64(o, "latent-channels");
    c.layers_per_block = th_get_i64(o, "layers-per-block");
    c.mid_attention = th_get_bool(o, "mid-attention");
    c.groups = th_cli_groups_of(c.channels, c.levels);
    c.scaling_factor = 1;
    TH_TRY(th_vae_new(&c, &w->vae));
    TH_TRY(th_vae_randomize(w->vae, w->p.fit.train.seed));
    return th_vae_quieten(w->vae, QUIET);
}

/* DIR, or DIR/vae where that is there. */
static th_status load_model(work *w, const char *dir) {
    th_vae_config c;
    char path[TH_PATH_MAX];
    TH_TRY(th_cli_refuse_sizes(w->cli, sizes));
    TH_TRY(th_path_join(path, dir, "vae"));
    TH_TRY(th_path_join(w->from, th_path_is_dir(path) ? path : dir, ""));
    TH_TRY(th_vae_read_config(w->from, &c));
    TH_TRY(th_vae_new(&c, &w->vae));
    return th_vae_load(w->vae, w->from, NULL);
}

static th_status find_inputs(work *w) {
    char hash[TH_HASH_TEXT];
    TH_TRY(th_cli_fit_inputs(w->cli, w->pictures, &w->inputs));
    if (!*w->from) return TH_OK;
    TH_TRY(th_clip_weights_hash(w->from, hash));
    return th_cli_note_model(w->inputs, "model", th_get_str(w->cli->options, "model"), hash);
}

static th_status write_card(const work *w, const char *dir) {
    const th_vae_config *c = th_vae_get_config(w->vae);
    th_str card;
    th_str_init(&card, 1 << 16);
    th_str_printf(&card, "# An autoencoder for latent diffusion\n\n%lld×%lld pixels become %lld×%lld×%lld latents. ",
                  (long long)w->p.side, (long long)w->p.side, (long long)(w->p.side / th_vae_factor(c)),
                  (long long)(w->p.side / th_vae_factor(c)), (long long)c->latent_channels);
    th_str_printf(&card,
                  "Trained on `%s` by %s errors of pixels, errors of the differences between neighbouring pixels "
                  "(weight %g) and the latents' divergence from the normal distribution (weight %g).\n\n",
                  th_get_str(w->cli->options, "data"), w->p.l2 ? "squared" : "absolute", (double)w->p.edges,
                  (double)w->p.kl);
    if (w->quality.count)
        th_str_printf(&card, "On %lld pictures of `%s`: PSNR %.2f dB, mean absolute error %.2f of 255.\n\n",
                      (long long)w->quality.count, th_get_str(w->cli->options, "eval"), w->quality.psnr,
                      w->quality.l1 * 127.5);
    th_str_printf(&card,
                  "Made by theriac %s: `theriac train vae`, see `run.json` beside this folder for every option.\n",
                  th_version());
    th_status s = th_cli_write_card(dir, &card);
    th_str_free(&card);
    return s;
}

static th_status save(work *w, char dir[TH_PATH_MAX]) {
    TH_TRY(th_path_join(dir, th_get_str(w->cli->options, "out"), "model"));
    TH_TRY(th_vae_save(w->vae, dir, th_get_str(w->cli->options, "save-dtype")));
    TH_TRY(write_card(w, dir));
    TH_TRY(th_run_folder_note(w->run, "seconds", json_real(w->result.seconds_in_all)));
    if (!w->quality.count) return TH_OK;
    return th_run_folder_note(
        w->run, "results",
        json_pack("{s:f, s:f, s:f}", "psnr", w->quality.psnr, "l1", w->quality.l1, "kl", w->quality.kl));
}

static th_status train(work *w) {
    char dir[TH_PATH_MAX];
    int64_t side = w->p.side, settle = th_get_i64(w->cli->options, "settle-on");
    int threads = w->p.fit.threads;
    TH_TRY(find_inputs(w));
    w->p.fit.train.resume = th_get_bool(w->cli->options, "resume");
    TH_TRY(th_cli_fit_open(w->cli, "train vae", w->inputs, &w->run));
    th_vae_fit_set_run(w->fit, w->run);
    TH_TRY(th_vae_fit_run(w->fit, &w->cli->watch, &w->result));
    TH_TRY(th_vae_settle_latents(w->vae, w->pictures, side, settle, !*w->from, threads, &w->cli->watch));
    if (w->held_out) TH_TRY(th_vae_measure(w->vae, w->held_out, side, 0, threads, &w->cli->watch, &w->quality));
    TH_TRY(save(w, dir));
    th_cli_figure figures[] = {
        {"scaling_factor", "Scaling factor", th_vae_get_config(w->vae)->scaling_factor, 4},
        {"psnr", "PSNR of held-out pictures, dB", w->quality.psnr, 2},
        {"l1", "Mean absolute error of a value in [−1, 1]", w->quality.l1, 4},
        {"kl", "Divergence of a latent, nats", w->quality.kl, 2},
    };
    return th_cli_fit_report(w->cli, &w->result, figures, w->quality.count ? 4 : 1,
                             th_cli_note_skipped(w->cli, w->pictures), dir);
}

static th_status run_all(work *w) {
    th_options *o = w->cli->options;
    const char *from = th_get_str(o, "model");
    TH_TRY(th_cli_open_data(w->cli, "data", &w->pictures));
    TH_TRY(th_cli_open_held_out(w->cli, &w->held_out));
    th_vae_fit_params_init(&w->p);
    w->p.fit.train.schedule.lr = from ? 1e-5 : 1e-3;
    TH_TRY(th_fit_read(o, &w->p.fit));
    TH_TRY(th_vae_fit_read(o, &w->p));
    w->p.side = th_get_i64(o, "image-size");
    w->p.held_out = w->held_out;
    TH_TRY(from ? load_model(w, from) : new_model(w));
    TH_TRY(th_vae_fit_new(w->vae, w->pictures, &w->p, &w->fit));
    th_fit_cost cost;
    th_vae_fit_get_cost(w->fit, &cost);
    return th_get_bool(o, "plan") ? th_cli_fit_plan(w->cli, &w->p.fit, &cost) : train(w);
}

static th_status run(th_cli *cli) {
    work w = {.cli = cli};
    TH_TRY(th_cli_job_check(cli));
    th_status s = run_all(&w); /* which opens the run */
    s = th_cli_fit_stopped(s, w.run);
    th_vae_fit_free(w.fit);
    th_run_folder_close(w.run);
    th_vae_free(w.vae);
    th_dataset_close(w.pictures);
    th_dataset_close(w.held_out);
    json_decref(w.inputs);
    return s;
}

static const th_option_group groups[] = {{"New models", sizes},
                                         {"Data", th_data_options},
                                         {"Loss", th_vae_fit_options},
                                         {"Training", th_fit_options},
                                         {"Evaluation", th_fit_eval_options},
                                         {"Run", th_run_options},
                                         {NULL, NULL}};

const th_cli_method th_train_vae = {
    .name = "vae",
    .summary = "an autoencoder for latent diffusion",
    .options = options,
    .groups = groups,
    .about =
        "Writes a folder as diffusers' AutoencoderKL has it. When training is done, the latents' channels are brought "
        "to mean 0 and deviation 1 on pictures of the training set, and the scaling factor is set by them.",
    .examples =
        "theriac train vae --data 'fashion-scenes?split=train&side=64&garments=1&count=100000' --epochs 1 --eval "
        "'fashion-scenes?split=validation&side=64&garments=1' -o out/vae\n"
        "theriac train vae --model stable-diffusion-v1-5 --data photos --image-size 512 --batch 1 --plan",
    .run = run,
};
