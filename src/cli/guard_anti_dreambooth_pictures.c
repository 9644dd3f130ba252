/* Pictures of a protection: the protected ones and those of the class, as they go in, and what came of them. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "cli/guard_anti_dreambooth_parts.h"
#include "data/contact_sheet.h"

/* ---- in */

static void views_of(const th_anti_job *j, th_view_params *v) {
    *v = (th_view_params){.side = j->cost.side,
                          .crop = TH_CROP_CENTER,
                          .filter = TH_RESIZE_BILINEAR,
                          .views = 1,
                          .seed = j->p.seed,
                          .threads = j->p.threads};
}

th_status th_anti_job_cut(th_anti_job *j) {
    th_viewer *viewer = NULL;
    th_view_params v;
    int64_t count = j->pictures * j->size, views;
    j->clean = th_alloc((size_t)count, 1);
    j->changed = th_alloc((size_t)count, 1);
    j->floats = th_alloc((size_t)count, sizeof *j->floats);
    if (!j->clean || !j->changed || !j->floats) return th_fail_memory();
    views_of(j, &v);
    TH_TRY(th_viewer_new(j->set, &v, &viewer));
    th_status s = TH_OK;
    for (int64_t i = 0; i < j->pictures && s == TH_OK; i++) {
        const th_image *im = NULL;
        s = th_viewer_read(viewer, i, &views);
        if (s == TH_OK) s = th_viewer_cut(viewer, 0, &im);
        if (s != TH_OK) break;
        memcpy(j->clean + i * j->size, im->pixels, (size_t)j->size);
        th_view_to_floats(im, j->floats + i * j->size);
    }
    th_viewer_free(viewer);
    return s;
}

th_drawn_params th_anti_job_class_params(const th_anti_job *j) {
    th_options *o = j->cli->options;
    return (th_drawn_params){
        .prompts = &j->p.class_prompt,
        .prompt_count = 1,
        .count = th_get_i64(o, "class-count"),
        .side = j->cost.side,
        .steps = th_get_i64(o, "class-steps"),
        .batch = th_get_i64(o, "class-batch"),
        .guidance = th_get_f32(o, "class-guidance"),
        .seed = j->p.seed,
        .threads = j->p.threads,
        .compute = j->p.compute,
        .memory = j->p.memory,
    };
}

static th_status draw_class(th_anti_job *j) {
    char dir[TH_PATH_MAX];
    int64_t made = 0;
    th_drawn_params p = th_anti_job_class_params(j);
    TH_TRY(th_anti_job_path(j, "class-images", dir));
    TH_TRY(th_drawn_begin(&p, j->class_hash, dir, &made));
    if (made < p.count) {
        TH_TRY(th_anti_job_open_model(j, TH_SD_ALL));
        TH_TRY(th_fail_in(th_drawn_make(&j->sd, &p, dir, &j->cli->watch), "pictures of the class"));
        th_sd_free(&j->sd);
    }
    return th_dataset_open(dir, NULL, &j->cli->watch, &j->class);
}

static th_status encode_class(th_anti_job *j, const char *key, const char *path) {
    th_view_params v;
    views_of(j, &v);
    if (!j->class) TH_TRY(draw_class(j));
    TH_TRY(th_anti_job_open_model(j, TH_SD_VAE));
    TH_TRY(th_moments_make(j->class, th_get_i64(j->cli->options, "class-count"), j->sd.vae, &v, &j->cli->watch,
                           &j->class_moments));
    th_sd_free(&j->sd);
    return th_moments_save(&j->class_moments, key, path);
}

th_status th_anti_job_find_class(th_anti_job *j) {
    const char *latents = th_get_str(j->cli->options, "class-latents");
    const th_anti_cost *c = &j->cost;
    char path[TH_PATH_MAX], text[4 * TH_HASH_TEXT], key[TH_HASH_TEXT];
    if (!th_anti_job_has_prior(j)) return TH_OK;
    if (latents) return th_moments_load(latents, NULL, c->height, c->width, c->channels, &j->class_moments);
    if (th_anti_job_draws_class(j)) {
        th_drawn_params p = th_anti_job_class_params(j);
        th_drawn_key(&p, j->model_hash, j->class_hash);
    }
    int n = snprintf(text, sizeof text, "%s %s %lld %lld", j->model_hash, j->class_hash, (long long)c->side,
                     (long long)th_get_i64(j->cli->options, "class-count"));
    th_hash_bytes(text, (size_t)n, key);
    TH_TRY(th_anti_job_path(j, "class-latents.safetensors", path));
    if (th_path_exists(path) &&
        th_moments_load(path, key, c->height, c->width, c->channels, &j->class_moments) == TH_OK)
        return TH_OK;
    return encode_class(j, key, path);
}

/* ---- out */

static th_status write_picture(const th_anti_job *j, int64_t i, const char *dir, json_t *list) {
    char name[32], path[TH_PATH_MAX], hash[TH_HASH_TEXT], room[TH_DATASET_ROOM];
    int32_t side = (int32_t)j->cost.side;
    th_image im = {.pixels = j->changed + i * j->size, .width = side, .height = side};
    snprintf(name, sizeof name, "%06lld.png", (long long)i);
    TH_TRY(th_path_join(path, dir, name));
    TH_TRY(th_image_write(path, &im, 0));
    TH_TRY(th_hash_file(path, hash));
    json_t *entry = json_pack("{s:s, s:s, s:s}", "from", th_dataset_key(j->set, i, room), "to", name, "sha256", hash);
    if (entry && !json_array_append_new(list, entry)) return TH_OK;
    return th_fail(TH_E_INPUT, "%s: a name that is not UTF-8 cannot be noted in run.json",
                   th_dataset_key(j->set, i, room));
}

th_status th_anti_job_write_pictures(const th_anti_job *j, char dir[TH_PATH_MAX]) {
    json_t *list = json_array();
    if (!list) return th_fail_memory();
    th_status s = th_anti_job_path(j, "pictures", dir);
    if (s == TH_OK) s = th_make_dirs(dir);
    for (int64_t i = 0; i < j->pictures && s == TH_OK; i++) s = write_picture(j, i, dir, list);
    if (s != TH_OK) return json_decref(list), s;
    return th_run_folder_note(j->run, "pictures", list);
}

static uint8_t enlarged(int difference) {
    int v = 128 + 10 * difference;
    return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
}

/* A line of the sheet: before, after, ten times the difference around grey. */
static th_status put_on_sheet(const th_anti_job *j, th_contact_sheet *sheet, int64_t i, th_image *scratch) {
    const uint8_t *clean = j->clean + i * j->size, *changed = j->changed + i * j->size;
    int32_t side = (int32_t)j->cost.side;
    th_image before = {.pixels = (uint8_t *)clean, .width = side, .height = side},
             after = {.pixels = (uint8_t *)changed, .width = side, .height = side};
    for (int64_t k = 0; k < j->size; k++) scratch->pixels[k] = enlarged(changed[k] - clean[k]);
    TH_TRY(th_contact_sheet_put(sheet, i, 0, &before));
    TH_TRY(th_contact_sheet_put(sheet, i, 1, &after));
    return th_contact_sheet_put(sheet, i, 2, scratch);
}

th_status th_anti_job_write_sheet(const th_anti_job *j) {
    char path[TH_PATH_MAX];
    th_contact_sheet *sheet = NULL;
    th_image scratch = {0};
    int32_t side = (int32_t)j->cost.side;
    th_status s = th_image_new(&scratch, side, side);
    if (s == TH_OK) s = th_contact_sheet_new(3, j->pictures, side, side, &sheet);
    for (int64_t i = 0; s == TH_OK && i < th_contact_sheet_rows(sheet); i++) s = put_on_sheet(j, sheet, i, &scratch);
    if (s == TH_OK) s = th_anti_job_path(j, "sheet.png", path);
    if (s == TH_OK) s = th_contact_sheet_write(sheet, path);
    th_contact_sheet_free(sheet);
    th_image_free(&scratch);
    return s;
}
