/* Finding the pictures of a class. */
#include "cli/prior.h"

#include <string.h>

#include "base/file.h"
#include "base/number.h"

const th_option th_prior_options[] = {
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

#define LATENTS "class-latents"

static const char *images_of(const th_prior *p) {
    return p->prompt ? th_get_str(p->cli->options, "class-images") : NULL;
}
static const char *latents_of(const th_prior *p) { return p->prompt ? th_get_str(p->cli->options, LATENTS) : NULL; }

th_status th_prior_check(const th_prior *p, const char *without) {
    th_options *o = p->cli->options;
    const char *images = th_get_str(o, "class-images"), *latents = th_get_str(o, LATENTS);
    if (!p->prompt && (images || latents)) return th_fail(TH_E_USAGE, "%s", without);
    if (images && latents) return th_fail(TH_E_USAGE, "--class-images and --class-latents: one of them is enough");
    return TH_OK;
}

th_status th_prior_open(th_prior *p) { return images_of(p) ? th_cli_open_set(p->cli, "class-images", &p->set) : TH_OK; }

void th_prior_close(th_prior *p) {
    th_dataset_close(p->set);
    p->set = NULL;
    th_moments_free(&p->moments);
}

bool th_prior_is_drawn(const th_prior *p) { return p->prompt && !images_of(p) && !latents_of(p); }

static th_drawn_params drawing_of(const th_prior *p) {
    th_options *o = p->cli->options;
    th_drawn_params d = p->drawing;
    d.prompts = &p->prompt;
    d.prompt_count = 1;
    d.count = th_get_i64(o, "class-count");
    d.steps = th_get_i64(o, "class-steps");
    d.batch = th_get_i64(o, "class-batch");
    d.guidance = th_get_f32(o, "class-guidance");
    return d;
}

/* ---- --plan */

th_status th_prior_seconds(const th_prior *p, th_sd *sd, const th_ceilings *c, double *seconds) {
    *seconds = 0;
    if (!th_prior_is_drawn(p)) return TH_OK;
    th_drawn_params d = drawing_of(p);
    return th_drawn_seconds(sd, &d, c, seconds);
}

void th_prior_plan(const th_prior *p, th_table *t, double seconds) {
    char text[80 + TH_NUMBER_TEXT], number[TH_NUMBER_TEXT];
    if (!th_prior_is_drawn(p)) return;
    th_human_seconds(number, seconds);
    snprintf(text, sizeof text, "%lld to draw first, at least %s here",
             (long long)th_get_i64(p->cli->options, "class-count"), number);
    th_table_pair(t, "Class pictures", text);
}

/* ---- what goes in */

th_status th_prior_note(th_prior *p, json_t *inputs) {
    const char *latents = latents_of(p);
    if (p->set) TH_TRY(th_cli_note_set(p->cli, inputs, "class-images", p->set, p->hash));
    if (!latents) return TH_OK;
    TH_TRY(th_hash_file(latents, p->hash));
    return th_cli_note_model(inputs, LATENTS, latents, p->hash);
}

/* As far as they are not there yet. */
static th_status draw(th_prior *p, const th_encoding *e) {
    char dir[TH_PATH_MAX];
    int64_t made = 0;
    th_drawn_params d = drawing_of(p);
    TH_TRY(th_encoding_path(e, "class-images", dir));
    TH_TRY(th_drawn_begin(&d, p->hash, dir, &made));
    if (made < d.count) {
        th_sd_free(e->sd);
        TH_TRY(th_cli_load_sd(p->cli, TH_SD_ALL, e->sd));
        TH_TRY(th_fail_in(th_drawn_make(e->sd, &d, dir, &p->cli->watch), "pictures of the class"));
        th_sd_free(e->sd);
    }
    return th_dataset_open(dir, NULL, &p->cli->watch, &p->set);
}

th_status th_prior_find(th_prior *p, const th_encoding *e, const th_view_params *v) {
    const char *latents = latents_of(p), *name = LATENTS ".safetensors";
    if (!p->prompt) return TH_OK;
    if (latents) return th_moments_load(latents, NULL, e->height, e->width, e->channels, &p->moments);
    if (th_prior_is_drawn(p)) {
        th_drawn_params d = drawing_of(p);
        th_drawn_key(&d, e->model_hash, p->hash);
    }
    if (th_encoding_find(e, p->hash, v, name, &p->moments)) return TH_OK;
    if (!p->set) TH_TRY(draw(p, e));
    int64_t limit = th_get_i64(p->cli->options, "class-count");
    return th_encoding_make(e, p->set, limit, p->hash, v, name, &p->moments);
}

th_status th_prior_check_vae(const th_prior *p, const char *hash) {
    if (!p->prompt || !strcmp(p->moments.vae, hash)) return TH_OK;
    return th_fail(TH_E_INPUT, "%s: is of another autoencoder than the model's",
                   latents_of(p) ? latents_of(p) : LATENTS);
}
