/* Random folders. */
#include "diffusion/sd_init.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/rng.h"
#include "diffusion/sd_files.h"
#include "format/bpe_train.h"
#include "model/text_encoder_files.h"
#include "model/unet_parts.h"
#include "model/vae_files.h"

/* --- values --- */

typedef struct {
    uint64_t seed;
    uint32_t first; /* number of the part's first parameter among all */
    const th_watch *watch;
    int64_t done, total; /* values */
} source;

static bool ends_in(const char *text, const char *end) {
    size_t n = strlen(text), k = strlen(end);
    return n >= k && !strcmp(text + n - k, end);
}

/* Element i of parameter `which` is a function of (seed, which, i), whichever thread fills it. */
static void fill_uniform(uint64_t seed, uint32_t which, float most, int64_t n, float *values) {
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < n / 4; i++) {
        th_rng_block b = th_philox(seed, TH_RNG_INIT, which, (uint64_t)i);
        for (int64_t k = 0; k < 4; k++) values[4 * i + k] = most * (2.0f * th_unit_f32(b.word[k]) - 1.0f);
    }
    th_rng_block b = th_philox(seed, TH_RNG_INIT, which, (uint64_t)(n / 4));
    for (int64_t k = 0; k < n % 4; k++) values[n - n % 4 + k] = most * (2.0f * th_unit_f32(b.word[k]) - 1.0f);
}

static th_status make_values(void *user, const th_param *p, int64_t number, float *values) {
    source *s = user;
    const th_desc *d = th_param_desc(p);
    const char *name = th_param_name(p);
    int64_t n = th_desc_count(d);
    if (th_stopped(s->watch)) return th_fail(TH_E_INTERRUPTED, "interrupted; the folder is not whole");
    if (d->rank < 2) {
        float constant = ends_in(name, ".bias") ? 0.0f : 1.0f;
        for (int64_t i = 0; i < n; i++) values[i] = constant;
    } else {
        float inputs = (float)(n / d->dim[0]),
              most = ends_in(name, "_embedding.weight") ? 0.035f : 1.0f / sqrtf(inputs);
        fill_uniform(s->seed, s->first + (uint32_t)number, most, n, values);
    }
    s->done += n;
    th_report(s->watch, "values", s->done, s->total, NULL);
    return TH_OK;
}

/* --- the folder --- */

static th_status write_part(source *s, const char *dir, const char *part, const char *file, const char *dtype,
                            const th_params *ps, th_weight_map map, const void *model) {
    char path[TH_PATH_MAX], full[TH_PATH_MAX];
    TH_TRY(th_path_join(path, dir, part));
    TH_TRY(th_make_dirs(path));
    TH_TRY(th_path_join(full, path, file));
    TH_TRY(th_weights_save_made(full, ps, map, model, dtype, make_values, s));
    s->first += (uint32_t)th_params_count(ps);
    return TH_OK;
}

static th_status write_configs(const th_sd_config *c, const char *dir, const char *dtype) {
    char path[TH_PATH_MAX];
    TH_TRY(th_path_join(path, dir, "unet"));
    TH_TRY(th_unet_write_config(&c->unet, path));
    TH_TRY(th_path_join(path, dir, "vae"));
    TH_TRY(th_vae_write_config(&c->vae, path));
    TH_TRY(th_path_join(path, dir, "text_encoder"));
    return th_text_encoder_write_config(&c->text, path, dtype);
}

static th_status write_models(const th_sd *sd, const char *dir, const char *dtype, uint64_t seed,
                              const th_watch *watch) {
    const th_params *unet = th_unet_params(sd->unet), *vae = th_vae_params(sd->vae),
                    *text = th_text_encoder_params(sd->text);
    source s = {.seed = seed, .watch = watch};
    s.total = th_params_elements(unet) + th_params_elements(vae) + th_params_elements(text);
    static const char file[] = "diffusion_pytorch_model.safetensors";
    TH_TRY(write_part(&s, dir, "unet", file, dtype, unet, th_unet_weight_source, sd->unet));
    TH_TRY(write_part(&s, dir, "vae", file, dtype, vae, th_vae_weight_source, sd->vae));
    return write_part(&s, dir, "text_encoder", "model.safetensors", dtype, text, th_text_encoder_weight_source,
                      sd->text);
}

th_status th_sd_write_random(const th_sd_config *c, const th_tokenizer *t, const char *dir, const char *dtype,
                             uint64_t seed, const th_watch *watch) {
    th_st_dtype type;
    th_sd sd;
    TH_TRY(th_saved_dtype(dtype, &type, NULL));
    if (th_sd_is_folder(dir)) return th_fail(TH_E_USAGE, "%s: holds a model already", dir);
    if (th_tokenizer_size(t) > c->text.vocab_size)
        return th_fail(TH_E_INPUT, "the tokenizer has %lld tokens, the text encoder %lld",
                       (long long)th_tokenizer_size(t), (long long)c->text.vocab_size);
    TH_TRY(th_sd_new(c, &sd));
    th_status s = write_models(&sd, dir, dtype, seed, watch);
    if (s == TH_OK) s = write_configs(c, dir, dtype);
    if (s == TH_OK) s = th_sd_write_rest(&sd.scheduler, t, dir);
    th_sd_free(&sd);
    return s;
}

/* --- the tokenizer --- */

/* Words of prompts, the common ones first. */
static const char words[] =
    "a the of in on and with photo picture painting portrait image style view close up at to from by for is an art "
    "digital illustration drawing sketch render detailed high quality red green blue yellow black white brown pink "
    "purple orange grey gray gold silver dark light bright man woman person girl boy child people dog cat horse bird "
    "animal flower tree forest mountain lake river sea beach ocean sky cloud sun moon star night day morning evening "
    "city street house building room table chair car train boat bag shirt dress coat boot shoe sneaker sandal trouser "
    "pullover hat background front back left right top bottom small large old young new beautiful cute wooden metal "
    "glass stone water fire snow ice grass field garden park road bridge castle tower church space robot dragon "
    "fantasy landscape watercolor oil canvas pencil ink sunset standing sitting running holding wearing looking two "
    "three four five one many some striped plain pattern rendition depiction nice good clean dirty cool weird cropped "
    "rendering sks";

static th_status add_words(th_bpe_trainer *b) {
    for (const char *p = words; *p;) {
        size_t n = strcspn(p, " ");
        TH_TRY(th_bpe_trainer_add(b, p, n, 1000));
        p += n + (p[n] == ' ');
    }
    return TH_OK;
}

/* Syllables of a consonant and a vowel, two or three to a word: more different words than tokens are wanted. */
static th_status add_made_up(th_bpe_trainer *b, int64_t count) {
    static const char consonants[] = "bcdfghjklmnpqrstvwxz", vowels[] = "aeiou";
    for (int64_t i = 0; i < count; i++) {
        th_rng r = th_rng_at(0, TH_RNG_TEXT, 0, (uint64_t)i);
        char word[8];
        int n = 0, syllables = 2 + (int)th_rng_below(&r, 2);
        for (int k = 0; k < syllables; k++) {
            word[n++] = consonants[th_rng_below(&r, 20)];
            word[n++] = vowels[th_rng_below(&r, 5)];
        }
        TH_TRY(th_bpe_trainer_add(b, word, (size_t)n, 2));
    }
    return TH_OK;
}

static th_status learn(int64_t size, int64_t context, const th_watch *watch, th_tokenizer **out) {
    th_bpe_train_params p;
    th_bpe_trainer *b = NULL;
    th_bpe_train_params_init(&p);
    p.vocab_size = size;
    p.max_length = context;
    TH_TRY(th_bpe_trainer_new(&b));
    th_status s = add_words(b);
    if (s == TH_OK) s = add_made_up(b, 2 * size);
    if (s == TH_OK) s = th_bpe_trainer_run(b, &p, watch, out);
    th_bpe_trainer_free(b);
    return s;
}

th_status th_sd_make_tokenizer(int64_t size, int64_t context, const char *pad, const th_watch *watch,
                               th_tokenizer **out) {
    th_tokenizer *t = NULL;
    *out = NULL;
    TH_TRY(learn(size, context, watch, &t));
    th_status s = th_tokenizer_set_pad(t, pad);
    if (s == TH_OK && th_tokenizer_size(t) != size)
        s = th_fail(TH_E_BUG, "the tokenizer has %lld tokens instead of %lld", (long long)th_tokenizer_size(t),
                    (long long)size);
    if (s != TH_OK) return th_tokenizer_free(t), s;
    *out = t;
    return TH_OK;
}
