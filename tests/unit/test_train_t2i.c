/* Fitting a text-to-image model: it learns, goes on with the same bits, and kept latents are those of the pictures. */
#include "test.h"

#include <math.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/memory.h"
#include "data/vocabulary.h"
#include "diffusion/encoder.h"
#include "train/picture_batches.h"
#include "train/t2i_fit.h"
#include "train/vae_fit.h"

#define ROOT "train_t2i_test"
enum { SIDE = 16, PICTURES = 12, LATENTS = SIDE / 2 * SIDE / 2 * 4 };

static const char *const colours[] = {"red", "green", "blue"};

/* Three colours, four shades each, with captions that say so; `bad`: the fourth picture cannot be read. */
static int put_set(const char *folder, bool bad) {
    char path[96], table[1024] = "filepath\ttitle\n";
    if (th_make_dirs(folder) != TH_OK) return -1;
    for (int i = 0; i < PICTURES; i++) {
        th_image im = {0};
        if (th_image_new(&im, SIDE, SIDE) != TH_OK) return -1;
        memset(im.pixels, 20, th_image_bytes(&im));
        for (int p = 0; p < SIDE * SIDE; p++) im.pixels[3 * p + i % 3] = (uint8_t)(120 + 30 * (i / 3));
        snprintf(path, sizeof path, "%s/p%02d.png", folder, i);
        if (th_image_write(path, &im, 90) != TH_OK) return -1;
        if (bad && i == 3 && th_file_write(path, "no picture", 10) != TH_OK) return -1;
        th_image_free(&im);
        size_t n = strlen(table);
        snprintf(table + n, sizeof table - n, "p%02d.png\ta %s square\n", i, colours[i % 3]);
    }
    snprintf(path, sizeof path, "%s/pairs.tsv", folder);
    return th_file_write(path, table, strlen(table)) == TH_OK ? 0 : -1;
}

static int set_up(void **state) {
    (void)state;
    if (th_remove_tree(ROOT) != TH_OK || put_set(ROOT "/set", false)) return -1;
    return put_set(ROOT "/bad", true);
}

static int tear_down(void **state) {
    (void)state;
    return th_remove_tree(ROOT) == TH_OK ? 0 : -1;
}

static th_dataset *open_set(const char *name) {
    th_dataset *d;
    th_dataset_params p;
    char path[96];
    th_dataset_params_init(&p);
    p.skip_bad = true;
    snprintf(path, sizeof path, "%s/%s/pairs.tsv", ROOT, name);
    assert_ok(th_dataset_open(path, &p, NULL, &d));
    return d;
}

static th_sd make_sd(th_dataset *d) {
    th_sd_config c;
    th_sd sd;
    th_tokenizer *t;
    assert_ok(th_dataset_learn_tokenizer(d, TH_CLEAN_NONE, 530, 8, NULL, &t));
    assert_ok(th_sd_config_named("sd15", &c));
    c.unet.levels = 2;
    c.unet.channels[0] = 16, c.unet.channels[1] = 32;
    c.unet.heads[0] = c.unet.heads[1] = 2;
    c.unet.attends_down[0] = c.unet.attends_up[1] = true;
    c.unet.attends_down[1] = c.unet.attends_up[0] = false;
    c.unet.layers_per_block = 1;
    c.unet.groups = 4;
    c.unet.sample_size = SIDE / 2;
    c.unet.cross_attention_dim = 16;
    c.vae.levels = 2;
    c.vae.channels[0] = 8, c.vae.channels[1] = 16;
    c.vae.layers_per_block = 1;
    c.vae.groups = 1;
    c.vae.sample_size = SIDE;
    c.vae.scaling_factor = 1;
    c.text.tower = (th_clip_tower){.width = 16, .heads = 2, .layers = 1, .mlp = 32, .quick_gelu = true, .eps = 1e-5f};
    c.text.vocab_size = th_tokenizer_size(t);
    c.text.context = 8;
    c.text.bos_token_id = th_tokenizer_bos(t);
    c.text.eos_token_id = th_tokenizer_eos(t);
    c.text.pad_token_id = th_tokenizer_pad(t);
    c.text.projection_dim = 16;
    c.scheduler.prediction = TH_PREDICT_V;
    assert_ok(th_sd_new(&c, &sd));
    sd.tokenizer = t;
    assert_ok(th_unet_randomize(sd.unet, 1));
    assert_ok(th_text_encoder_randomize(sd.text, 2));
    assert_ok(th_vae_randomize(sd.vae, 3));
    assert_ok(th_vae_quieten(sd.vae, -6));
    assert_ok(th_vae_settle_latents(sd.vae, d, SIDE, 0, true, 1, NULL));
    return sd;
}

static th_t2i_fit_params settings(int64_t steps) {
    th_t2i_fit_params p;
    th_t2i_fit_params_init(&p);
    p.side = SIDE;
    p.fit.batch = 4;
    p.fit.threads = 1;
    p.fit.train.steps = steps;
    p.fit.train.schedule.lr = 5e-3;
    p.fit.train.schedule.warmup = 5;
    p.fit.train.average = 0.9;
    p.latents_key = "set 1";
    return p;
}

static th_status open_run(const char *path, bool resume, th_run_folder **out) {
    th_options *o = th_options_new("test");
    th_run_folder_params p = {.path = path, .command = "test", .options = o, .resume = resume};
    th_status s = th_run_folder_open(&p, out);
    th_options_free(o);
    return s;
}

/* One call of the fit of a new model, stopped after so many steps (0: at the end). */
static th_status fit(th_dataset *d, const th_t2i_fit_params *p, const char *path, bool resume, int64_t stop_after,
                     th_t2i_loss *measured) {
    th_t2i_fit_params q = *p;
    th_train_result result;
    th_t2i_fit *f;
    th_run_folder *run = NULL;
    th_sd sd = make_sd(d);
    q.fit.train.resume = resume;
    q.fit.train.stop_after = stop_after;
    assert_ok(th_t2i_fit_new(&sd, d, &q, &f));
    if (path) assert_ok(open_run(path, resume, &run));
    th_t2i_fit_set_run(f, run);
    th_status s = th_t2i_fit_run(f, NULL, &result);
    if (measured) *measured = *th_t2i_fit_measured(f);
    th_t2i_fit_free(f);
    th_run_folder_close(run);
    th_sd_free(&sd);
    return s;
}

static void loss_falls_on_pairs_that_are_held_out(void **state) {
    (void)state;
    th_dataset *d = open_set("set");
    th_t2i_loss before, after;
    th_t2i_fit_params p = settings(1);
    p.held_out = d;
    p.fit.train.schedule.lr = 1e-12;
    assert_ok(fit(d, &p, NULL, false, 0, &before));
    p = settings(150);
    p.held_out = d;
    assert_ok(fit(d, &p, NULL, false, 0, &after));
    assert_int_equal(after.count, PICTURES);
    if (!(after.loss < 0.7 * before.loss)) fail_msg("from %g to %g", before.loss, after.loss);
    th_dataset_close(d);
}

static void same_file(const char *a, const char *b) {
    th_bytes x, y;
    assert_ok(th_file_read(a, 1 << 26, &x));
    assert_ok(th_file_read(b, 1 << 26, &y));
    assert_int_equal(x.length, y.length);
    assert_memory_equal(x.data, y.data, x.length);
    th_free(x.data);
    th_free(y.data);
}

static void check_resume(const char *name, const th_t2i_fit_params *p) {
    char whole[96], parts[96], a[160], b[160];
    th_dataset *d = open_set("set");
    snprintf(whole, sizeof whole, ROOT "/%s-whole", name);
    snprintf(parts, sizeof parts, ROOT "/%s-parts", name);
    assert_ok(fit(d, p, whole, false, 0, NULL));
    assert_int_equal(fit(d, p, parts, false, 7, NULL), TH_E_INTERRUPTED);
    assert_ok(fit(d, p, parts, true, 0, NULL));
    snprintf(a, sizeof a, "%s/checkpoints/step-000000012.safetensors", whole);
    snprintf(b, sizeof b, "%s/checkpoints/step-000000012.safetensors", parts);
    same_file(a, b);
    snprintf(a, sizeof a, "%s/metrics.jsonl", whole);
    snprintf(b, sizeof b, "%s/metrics.jsonl", parts);
    same_file(a, b);
    th_dataset_close(d);
}

static void resume_is_bit_equal(void **state) {
    (void)state;
    th_dataset *d = open_set("set");
    th_t2i_fit_params p = settings(12);
    p.held_out = d;
    p.fit.train.eval_every = 4;
    p.fit.train.checkpoint_every = 5;
    p.latents = ROOT "/latents";
    check_resume("kept", &p);
    p.latents = NULL;
    p.fit.flip = true;
    p.fit.train.accumulate = 2;
    check_resume("flipped", &p);
    th_dataset_close(d);
}

static th_latent_cache_params cache_params(th_dataset *d, const th_sd *sd) {
    return (th_latent_cache_params){
        .dir = ROOT "/cache", .data = d, .vae = sd->vae, .key = "key", .side = SIDE, .threads = 1};
}

/* Batches with their latents drawn from a cache, and moments encoded anew, have the same middle. */
static void kept_latents_are_those_of_the_pictures(void **state) {
    (void)state;
    th_dataset *d = open_set("bad");
    th_sd sd = make_sd(d);
    th_latent_cache *c;
    th_latent_cache_params p = cache_params(d, &sd);
    th_vae_encoder *e;
    th_picture_batches *b;
    th_picture_batch batch;
    assert_int_equal(th_latent_cache_bytes(&p), PICTURES * (2 * LATENTS * 2 + 8));
    assert_ok(th_latent_cache_open(&p, NULL, &c));
    assert_int_equal(th_latent_cache_size(c), 2 * LATENTS);
    th_picture_batches_params q = {.data = d, .batch = PICTURES, .each_once = true, .side = SIDE};
    assert_ok(th_picture_batches_new(&q, &b));
    assert_ok(th_picture_batches_next(b, 0, &batch));
    assert_ok(th_vae_encoder_new(sd.vae, 5, SIDE, SIDE, 1, &e));
    static float wanted[PICTURES * 2 * LATENTS], kept[2 * LATENTS];
    assert_ok(th_vae_encoder_run(e, batch.pictures, PICTURES, wanted));
    for (int i = 0; i < PICTURES; i++) {
        int64_t sample = th_latent_cache_read(c, i, kept);
        assert_int_equal(sample, batch.samples[i]);
        assert_int_equal(sample, i == 3 ? 4 : i); /* the fourth is passed over */
        for (int k = 0; k < 2 * LATENTS; k++) {
            float v = wanted[i * 2 * LATENTS + k];
            if (fabsf(kept[k] - v) > 1e-3f * (fabsf(v) + 1e-3f)) fail_msg("%g for %g", (double)kept[k], (double)v);
        }
    }
    th_picture_batches_free(b);
    th_vae_encoder_free(e);
    th_latent_cache_close(c);
    /* The files are taken as they are, without a look at the pictures, and only for what they are of. */
    assert_ok(th_latent_cache_open(&p, NULL, &c));
    th_latent_cache_close(c);
    p.key = "another";
    assert_fails(th_latent_cache_open(&p, NULL, &c), TH_E_INPUT, "00000.safetensors: has latents of other pictures");
    th_sd_free(&sd);
    th_dataset_close(d);
}

static void captions_are_dropped_as_often_as_said(void **state) {
    (void)state;
    enum { STEPS = 300, BATCH = 4 };
    th_dataset *d = open_set("set");
    th_sd sd = make_sd(d);
    th_picture_batches *b;
    th_picture_batch batch;
    int dropped = 0;
    th_picture_batches_params q = {
        .data = d, .batch = BATCH, .steps = STEPS, .shuffle = true, .side = SIDE, .tokenizer = sd.tokenizer};
    q.tokens = 8;
    q.drop = 0.25;
    assert_ok(th_picture_batches_new(&q, &b));
    for (int step = 0; step < STEPS; step++) {
        assert_ok(th_picture_batches_next(b, step, &batch));
        for (int i = 0; i < BATCH; i++) {
            const int32_t *ids = batch.ids + 8 * i;
            assert_int_equal(ids[0], th_tokenizer_bos(sd.tokenizer));
            dropped += ids[1] == th_tokenizer_eos(sd.tokenizer);
        }
    }
    assert_true(abs(dropped - STEPS * BATCH / 4) < 60);
    th_picture_batches_free(b);
    th_sd_free(&sd);
    th_dataset_close(d);
}

/* Parameters that are not trained stay as they were to the bit. */
static void what_is_not_trained_stays(void **state) {
    (void)state;
    th_dataset *d = open_set("set");
    th_sd sd = make_sd(d);
    th_params *text = th_text_encoder_params(sd.text), *vae = th_vae_params(sd.vae);
    th_param *kept[2] = {th_params_at(text, 0), th_params_at(vae, 0)};
    static float before[2][16384], after[16384];
    for (int i = 0; i < 2; i++) {
        assert_true(th_desc_count(th_param_desc(kept[i])) <= 16384);
        assert_ok(th_param_get(kept[i], before[i]));
    }
    th_t2i_fit_params p = settings(3);
    th_t2i_fit *f;
    th_train_result result;
    p.train_text = false;
    assert_ok(th_t2i_fit_new(&sd, d, &p, &f));
    assert_ok(th_t2i_fit_run(f, NULL, &result));
    for (int i = 0; i < 2; i++) {
        assert_ok(th_param_get(kept[i], after));
        assert_memory_equal(after, before[i], (size_t)th_desc_count(th_param_desc(kept[i])) * sizeof *after);
    }
    th_t2i_fit_free(f);
    th_sd_free(&sd);
    th_dataset_close(d);
}

static void what_cannot_be_trained_is_refused(void **state) {
    (void)state;
    th_dataset *d = open_set("set"), *bare;
    th_sd sd = make_sd(d);
    th_t2i_fit_params p = settings(1);
    th_t2i_fit *f;
    p.side = 18;
    assert_fails(th_t2i_fit_new(&sd, d, &p, &f), TH_E_USAGE, "a multiple of 4");
    p = settings(1);
    p.fit.flip = true;
    p.latents = ROOT "/latents";
    assert_fails(th_t2i_fit_new(&sd, d, &p, &f), TH_E_USAGE, "mirrored");
    p = settings(1);
    p.fit.memory = 1 << 16;
    assert_fails(th_t2i_fit_new(&sd, d, &p, &f), TH_E_MEMORY, "");
    assert_ok(th_make_dirs(ROOT "/bare"));
    th_image im = {0};
    assert_ok(th_image_new(&im, SIDE, SIDE));
    memset(im.pixels, 0, th_image_bytes(&im));
    assert_ok(th_image_write(ROOT "/bare/a.png", &im, 90));
    th_image_free(&im);
    assert_ok(th_dataset_open(ROOT "/bare", NULL, NULL, &bare));
    p = settings(1);
    assert_fails(th_t2i_fit_new(&sd, bare, &p, &f), TH_E_INPUT, "no captions");
    th_sd_free(&sd);
    th_dataset_close(bare);
    th_dataset_close(d);
}

static void failed_allocations_leak_nothing(void **state) {
    (void)state;
    th_dataset *d = open_set("set");
    th_sd sd = make_sd(d);
    th_picture_batches_params q = {.data = d, .batch = 2, .steps = 4, .side = SIDE, .tokenizer = sd.tokenizer};
    q.tokens = 8;
    q.threads = 1;
    size_t before = th_bytes_in_use();
    th_status s = TH_E_MEMORY;
    for (int64_t n = 1; s == TH_E_MEMORY; n++) {
        th_picture_batches *b = NULL;
        th_denoiser *e = NULL;
        th_denoiser_params p = {.min_snr = 5};
        th_alloc_fail_at(n, false);
        s = th_picture_batches_new(&q, &b);
        if (s == TH_OK) s = th_denoiser_new(&sd, &p, &e);
        th_alloc_fail_at(0, false);
        if (s == TH_OK) th_denoiser_free(e);
        th_picture_batches_free(b);
        assert_int_equal(th_bytes_in_use(), before);
    }
    assert_int_equal(s, TH_OK);
    th_sd_free(&sd);
    th_dataset_close(d);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loss_falls_on_pairs_that_are_held_out),
        cmocka_unit_test(resume_is_bit_equal),
        cmocka_unit_test(kept_latents_are_those_of_the_pictures),
        cmocka_unit_test(captions_are_dropped_as_often_as_said),
        cmocka_unit_test(what_is_not_trained_stays),
        cmocka_unit_test(what_cannot_be_trained_is_refused),
        cmocka_unit_test(failed_allocations_leak_nothing),
    };
    return cmocka_run_group_tests_name("train_t2i", tests, set_up, tear_down);
}
