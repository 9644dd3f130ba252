/* Drawing a set of pictures. */
#include "train/drawn.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "diffusion/generate.h"

#define KEY_FILE ".drawn-by" /* beside the pictures */

static th_status path_of(const char *dir, int64_t i, char path[TH_PATH_MAX]) {
    char name[40];
    snprintf(name, sizeof name, "%06lld.png", (long long)i);
    return th_path_join(path, dir, name);
}

void th_drawn_key(const th_drawn_params *p, const char *model, char out[TH_HASH_TEXT]) {
    th_hash h;
    char text[160];
    int n = snprintf(text, sizeof text, "%lld %lld %.9g %llu %s", (long long)p->side, (long long)p->steps,
                     (double)p->guidance, (unsigned long long)p->seed, th_dtype_name(p->compute));
    th_hash_init(&h);
    th_hash_add(&h, text, (size_t)n + 1);
    th_hash_add(&h, model, strlen(model) + 1);
    for (int64_t i = 0; i < p->prompt_count; i++) th_hash_add(&h, p->prompts[i], strlen(p->prompts[i]) + (i > 0));
    th_hash_text(&h, out);
}

static bool has_key(const char *path, const char *key) {
    th_bytes was;
    if (!th_path_exists(path) || th_file_read(path, 4096, &was) != TH_OK) return false;
    bool same = !strcmp(was.data, key);
    th_free(was.data);
    return same;
}

/* Files appear whole or not at all, so those that are there are done. */
th_status th_drawn_begin(const th_drawn_params *p, const char *key, const char *dir, int64_t *count) {
    char path[TH_PATH_MAX];
    *count = 0;
    TH_TRY(th_path_join(path, dir, KEY_FILE));
    if (!has_key(path, key)) {
        if (th_path_exists(dir)) TH_TRY(th_remove_tree(dir));
        TH_TRY(th_make_dirs(dir));
        TH_TRY(th_file_write(path, key, strlen(key)));
    }
    for (int64_t i = 0; i < p->count; i++) {
        TH_TRY(path_of(dir, i, path));
        *count += th_path_exists(path);
    }
    return TH_OK;
}

static th_status new_generator(th_sd *sd, const th_drawn_params *p, th_generator **out) {
    th_generate_params g;
    th_generate_params_init(&g);
    g.steps = p->steps;
    g.batch = p->batch < p->count ? p->batch : p->count;
    g.width = g.height = p->side;
    g.guidance = p->guidance;
    g.threads = p->threads;
    g.compute = p->compute;
    g.memory = p->memory;
    th_params_set_trainable(th_unet_params(sd->unet), false);
    th_params_set_trainable(th_vae_params(sd->vae), false);
    th_params_set_trainable(th_text_encoder_params(sd->text), false);
    return th_generator_new(sd, &g, out);
}

typedef struct {
    const char *dir;
    int64_t *numbers; /* of the pictures that are missing */
} drawing;

static th_status keep(void *user, const th_generated *picture) {
    const drawing *d = user;
    char path[TH_PATH_MAX];
    TH_TRY(path_of(d->dir, d->numbers[picture->index], path));
    return th_image_write(path, picture->image, 100);
}

static th_status list_missing(const th_drawn_params *p, const char *dir, drawing *d, th_generate_request *r,
                              int64_t *n) {
    char path[TH_PATH_MAX];
    *n = 0;
    for (int64_t i = 0; i < p->count; i++) {
        TH_TRY(path_of(dir, i, path));
        if (th_path_exists(path)) continue;
        d->numbers[*n] = i;
        r[(*n)++] = (th_generate_request){.prompt = p->prompts[i % p->prompt_count], .seed = p->seed + (uint64_t)i};
    }
    return TH_OK;
}

th_status th_drawn_make(th_sd *sd, const th_drawn_params *p, const char *dir, const th_watch *w) {
    drawing d = {.dir = dir};
    th_generator *g = NULL;
    int64_t n = 0;
    TH_TRY(th_make_dirs(dir));
    th_generate_request *requests = th_alloc((size_t)p->count, sizeof *requests);
    d.numbers = th_alloc((size_t)p->count, sizeof *d.numbers);
    th_status s = requests && d.numbers ? TH_OK : th_fail_memory();
    if (s == TH_OK) s = list_missing(p, dir, &d, requests, &n);
    if (s == TH_OK && n) s = new_generator(sd, p, &g);
    if (s == TH_OK && n) s = th_generator_run(g, requests, n, w, keep, &d);
    th_generator_free(g);
    th_free(requests);
    th_free(d.numbers);
    return s;
}

th_status th_drawn_seconds(th_sd *sd, const th_drawn_params *p, const th_ceilings *c, double *seconds) {
    th_generator *g;
    th_generate_cost cost;
    TH_TRY(new_generator(sd, p, &g));
    th_status s = th_generator_get_cost(g, p->count, p->prompt_count + 1, &cost);
    th_generator_free(g);
    if (s == TH_OK) *seconds = th_generate_seconds(&cost, c, c->threads);
    return s;
}
