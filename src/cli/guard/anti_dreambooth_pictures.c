/* Pictures of a protection: the protected ones and those of the class, as they go in, and what came of them. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "cli/guard/anti_dreambooth_parts.h"
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

th_status th_anti_job_find_class(th_anti_job *j) {
    const th_anti_cost *c = &j->cost;
    const th_encoding e = {j->cli, j->model_hash, j->run, &j->sd, c->height, c->width, c->channels};
    th_view_params v;
    views_of(j, &v);
    th_status s = th_prior_find(&j->prior, &e, &v);
    th_sd_free(&j->sd);
    return s;
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
