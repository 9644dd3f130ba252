/* Batches of pictures or latents with captions. */
#include "train/picture_batches.h"

#include <string.h>

#include "base/memory.h"
#include "base/rng.h"
#include "data/augment.h"
#include "data/order.h"
#include "data/preprocess.h"
#include "diffusion/denoise.h"

/* What one thread of the loader needs. */
typedef struct {
    th_dataset_reader *reader;
    th_preprocessor *preprocessor;
    th_tokenizer_work *words;
    th_image read, image;
    float *moments; /* of one picture */
} bench;

enum { PICTURE, LATENT, IDS, SAMPLE, FIELDS };

struct th_picture_batches {
    th_picture_batches_params p;
    th_order *order;
    th_loader *loader;
    bench benches[TH_LOADER_THREADS_MAX];
    th_loader_field fields[FIELDS];
    int place[FIELDS]; /* of each field among the loader's; −1: not needed */
    int n_fields;
};

/* --- rows --- */

static th_status fill_picture(const th_picture_batches *b, bench *t, int64_t step, int64_t row, float *out,
                              int64_t *sample) {
    int64_t wanted = *sample;
    TH_TRY(th_dataset_read(b->p.data, t->reader, wanted, &t->read, sample));
    TH_TRY(th_preprocess_u8(t->preprocessor, &t->read, &t->image));
    th_rng r = th_rng_at(b->p.seed, TH_RNG_AUGMENT, (uint32_t)step, (uint64_t)row);
    if (b->p.flip && th_rng_below(&r, 2)) th_flip_horizontal(&t->image);
    th_preprocess_normalise(t->preprocessor, &t->image, out);
    return TH_OK;
}

/* Drawn from the row's moments with noise of the step's own. */
static void fill_latent(const th_picture_batches *b, bench *t, int64_t step, int64_t row, float *out, int64_t *sample) {
    int64_t picture = th_dataset_image(b->p.data, *sample);
    int64_t of = th_latent_cache_read(b->p.latents, picture, t->moments);
    if (th_dataset_image(b->p.data, of) != picture) *sample = of;
    int64_t values = th_latent_cache_size(b->p.latents) / 2, c = b->p.vae->latent_channels;
    th_latents_draw(b->p.vae, t->moments, values / c, &b->p.seed, (uint32_t)step, (uint64_t)(row * values), out);
}

static th_status fill_ids(const th_picture_batches *b, bench *t, int64_t step, int64_t row, int64_t sample,
                          int32_t *ids) {
    char room[TH_DATASET_ROOM];
    double all = b->p.steps > 0 ? (double)b->p.steps : 1;
    th_moment when = {(uint32_t)th_order_epoch(b->order, step), (float)((double)step / all)};
    const char *text = th_dataset_caption(b->p.data, sample, b->p.shuffle ? &when : NULL, room);
    th_rng r = th_rng_at(b->p.seed, TH_RNG_CAPTION, (uint32_t)step, (uint64_t)row);
    if (!text || (b->p.drop > 0 && th_rng_f32(&r) < b->p.drop)) text = "";
    return th_tokenizer_encode(t->words, text, strlen(text), b->p.tokens, ids, NULL);
}

static th_status fill(void *user, int thread, int64_t step, int64_t k, void *const *rows) {
    th_picture_batches *b = user;
    bench *t = &b->benches[thread];
    int64_t sample;
    TH_TRY(th_order_at(b->order, step, k, &sample));
    if (b->p.each_once) sample = th_dataset_sample(b->p.data, sample);
    if (b->p.latents)
        fill_latent(b, t, step, k, rows[b->place[LATENT]], &sample);
    else
        TH_TRY(fill_picture(b, t, step, k, rows[b->place[PICTURE]], &sample));
    *(int64_t *)rows[b->place[SAMPLE]] = sample;
    return b->p.tokenizer ? fill_ids(b, t, step, k, sample, rows[b->place[IDS]]) : TH_OK;
}

/* --- setting up --- */

static void free_bench(bench *t) {
    th_dataset_reader_free(t->reader);
    th_preprocessor_free(t->preprocessor);
    th_tokenizer_work_free(t->words);
    th_image_free(&t->read);
    th_image_free(&t->image);
    th_free(t->moments);
}

static th_status new_bench(const th_picture_batches *b, bench *t) {
    th_preprocess_params p;
    th_preprocess_params_init(&p, (int32_t)b->p.side);
    for (int i = 0; i < 3; i++) p.mean[i] = p.std[i] = 0.5; /* to [−1, 1] */
    if (b->p.latents) {
        t->moments = th_alloc((size_t)th_latent_cache_size(b->p.latents), sizeof *t->moments);
        if (!t->moments) return th_fail_memory();
    } else {
        TH_TRY(th_dataset_reader_new(NULL, &t->reader));
        TH_TRY(th_preprocessor_new(&p, &t->preprocessor));
    }
    return b->p.tokenizer ? th_tokenizer_work_new(b->p.tokenizer, &t->words) : TH_OK;
}

static void name_fields(const th_picture_batches_params *p, th_picture_batches *b) {
    size_t latent = p->latents ? (size_t)th_latent_cache_size(p->latents) / 2 : 0;
    const struct {
        const char *name;
        size_t bytes;
        bool wanted;
    } all[FIELDS] = {
        [PICTURE] = {"pictures", (size_t)(p->side * p->side * 3) * sizeof(float), !p->latents},
        [LATENT] = {"latents", latent * sizeof(float), p->latents != NULL},
        [IDS] = {"texts", (size_t)p->tokens * sizeof(int32_t), p->tokenizer != NULL},
        [SAMPLE] = {"samples", sizeof(int64_t), true},
    };
    for (int i = 0; i < FIELDS; i++) {
        b->place[i] = all[i].wanted ? b->n_fields : -1;
        if (all[i].wanted) b->fields[b->n_fields++] = (th_loader_field){all[i].name, all[i].bytes};
    }
}

static th_loader_params loader_params(th_picture_batches *b) {
    th_loader_params l;
    th_loader_params_init(&l);
    l.batch = b->p.batch;
    l.threads = b->p.threads;
    l.fields = b->fields;
    l.field_count = b->n_fields;
    l.fill = fill;
    l.user = b;
    l.end = b->p.steps;
    l.watch = b->p.watch;
    return l;
}

size_t th_picture_batches_bytes(const th_picture_batches_params *p) {
    th_picture_batches b = {.p = *p};
    name_fields(p, &b);
    th_loader_params l = loader_params(&b);
    return th_loader_bytes(&l);
}

static th_status set_up(th_picture_batches *b) {
    th_order_params o;
    int64_t n = b->p.each_once ? th_dataset_images(b->p.data) : th_dataset_count(b->p.data);
    th_order_params_init(&o, n, b->p.batch, b->p.seed);
    o.shuffle = b->p.shuffle;
    o.drop_last = b->p.shuffle && n >= b->p.batch;
    TH_TRY(th_order_new(&o, &b->order));
    name_fields(&b->p, b);
    for (int i = 0; i < (b->p.threads > 0 ? b->p.threads : 1); i++) TH_TRY(new_bench(b, &b->benches[i]));
    th_loader_params l = loader_params(b);
    return th_loader_new(&l, &b->loader);
}

th_status th_picture_batches_new(const th_picture_batches_params *p, th_picture_batches **out) {
    th_picture_batches *b = th_alloc(1, sizeof *b);
    if (!b) return th_fail_memory();
    b->p = *p;
    if (b->p.threads > TH_LOADER_THREADS_MAX) b->p.threads = TH_LOADER_THREADS_MAX;
    th_status s = set_up(b);
    if (s != TH_OK) return th_picture_batches_free(b), s;
    *out = b;
    return TH_OK;
}

void th_picture_batches_free(th_picture_batches *b) {
    if (!b) return;
    th_loader_free(b->loader);
    for (int i = 0; i < TH_LOADER_THREADS_MAX; i++) free_bench(&b->benches[i]);
    th_order_free(b->order);
    th_free(b);
}

int64_t th_picture_batches_epoch(const th_picture_batches *b) { return th_order_steps(b->order); }

th_status th_picture_batches_next(th_picture_batches *b, int64_t step, th_picture_batch *out) {
    void *const *fields;
    TH_TRY(th_loader_next(b->loader, step, &fields));
    const void *at[FIELDS];
    for (int i = 0; i < FIELDS; i++) at[i] = b->place[i] < 0 ? NULL : fields[b->place[i]];
    *out = (th_picture_batch){at[PICTURE], at[LATENT], at[IDS], at[SAMPLE]};
    return TH_OK;
}
