/* Encoding pictures into the run's folder. */
#include "cli/encoding.h"

#include "base/file.h"

th_status th_cli_load_sd(th_cli *cli, unsigned parts, th_sd *out) {
    th_sd_load_params p = {.parts = parts};
    return th_sd_load(th_get_str(cli->options, "model"), &p, out);
}

th_status th_encoding_path(const th_encoding *e, const char *name, char path[TH_PATH_MAX]) {
    return th_path_join(path, th_run_folder_path(e->run), name);
}

static void make_key(const th_encoding *e, const char *set, const th_view_params *v, char out[TH_HASH_TEXT]) {
    char text[512 + TH_TRANSFORMS_TEXT], changes[TH_TRANSFORMS_TEXT];
    int n = snprintf(text, sizeof text, "%s %s %lld %d %d %d %lld %llu%s%s", e->model_hash, set, (long long)v->side,
                     (int)v->crop, (int)v->filter, (int)v->flip, (long long)v->views, (unsigned long long)v->seed,
                     v->transforms.count ? " " : "", th_transforms_text(&v->transforms, changes));
    th_hash_bytes(text, (size_t)n, out);
}

static bool find(const th_encoding *e, const char *key, const char *path, th_moments *out) {
    return th_path_exists(path) && th_moments_load(path, key, e->height, e->width, e->channels, out) == TH_OK;
}

static th_status make(const th_encoding *e, th_dataset *d, int64_t limit, const th_view_params *v, const char *key,
                      const char *path, th_moments *out) {
    if (!e->sd->vae) TH_TRY(th_cli_load_sd(e->cli, TH_SD_VAE, e->sd));
    TH_TRY(th_moments_make(d, limit, e->sd->vae, v, &e->cli->watch, out));
    return th_moments_save(out, key, path);
}

bool th_encoding_find(const th_encoding *e, const char *hash, const th_view_params *v, const char *name,
                      th_moments *out) {
    char path[TH_PATH_MAX], key[TH_HASH_TEXT];
    make_key(e, hash, v, key);
    return th_encoding_path(e, name, path) == TH_OK && find(e, key, path, out);
}

th_status th_encoding_make(const th_encoding *e, th_dataset *d, int64_t limit, const char *hash,
                           const th_view_params *v, const char *name, th_moments *out) {
    char path[TH_PATH_MAX], key[TH_HASH_TEXT];
    make_key(e, hash, v, key);
    TH_TRY(th_encoding_path(e, name, path));
    return make(e, d, limit, v, key, path, out);
}

th_status th_encoding_at(const th_encoding *e, th_dataset *d, const th_view_params *v, const char *key,
                         const char *path, th_moments *out) {
    return find(e, key, path, out) ? TH_OK : make(e, d, 0, v, key, path, out);
}
