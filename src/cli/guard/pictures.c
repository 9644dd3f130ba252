/* The pictures of a guard: protected ones encoded, all others drawn by the open model first. What is drawn lies in
 * folders named by what it is of, so that runs can share it. */
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "cli/guard/model.h"
#include "guard/pattern.h"

const th_option th_guard_drawing_options[] = {
    TH_OPT_INT("draw", 200,
               "pictures that the open model draws of each kind: protective output, captions of the class, "
               "the class alone, everything else",
               TH_WITHIN(1, 100000)),
    TH_OPT_INT("draw-steps", 50, "sampling steps of each", TH_WITHIN(1, 1000)),
    TH_OPT_F32("draw-guidance", 7.5, "guidance of each", TH_AT_LEAST(0)),
    TH_OPT_INT("draw-batch", 4, "drawn at a time", TH_WITHIN(1, 1024)),
    TH_OPT_PATH("drawn", NULL, "folder of drawn pictures that runs share; OUT/drawn where not given",
                .argument = "DIR"),
    TH_OPT_END,
};

/* A set to be drawn. */
typedef struct {
    const char *name;
    const char *const *prompts;
    int64_t count;
    const th_guard_wish *stamped; /* whose pattern is put over it; NULL: none is */
    th_guard_drawn *out;
} pool;

#define MOST_POOLS (3 * TH_GUARD_MOST_SUBJECTS + 1)

static int list_pools(th_guard_job *j, pool *pools) {
    int n = 0;
    for (int64_t i = 0; i < j->count; i++) {
        th_guard_wish *w = &j->wishes[i];
        th_guard_subject *s = &j->subjects[i];
        const char *shown = s->mode == TH_GUARD_TARGET ? s->target : s->mode == TH_GUARD_ERASURE ? "erased" : "pattern";
        pools[n++] = (pool){shown, w->drawn_with, s->shown.prompts, s->mode == TH_GUARD_PATTERN ? w : NULL, &s->shown};
        pools[n++] = (pool){"captions", w->named, s->captions.prompts, NULL, &s->captions};
        pools[n++] = (pool){"class", (const char *const *)&s->class_prompt, 1, NULL, &s->plain};
    }
    pools[n++] = (pool){"generic", j->prompts.generic.items, j->prompts.generic.count, NULL, &j->data.generic};
    return n;
}

th_drawn_params th_guard_drawn_params(const th_guard_job *j) {
    th_options *o = j->cli->options;
    return (th_drawn_params){
        .count = th_get_i64(o, "draw"),
        .side = j->p.side,
        .steps = th_get_i64(o, "draw-steps"),
        .batch = th_get_i64(o, "draw-batch"),
        .guidance = th_get_f32(o, "draw-guidance"),
        .seed = j->p.train.seed,
        .threads = j->p.threads,
        .compute = j->p.compute,
        .memory = j->p.memory,
    };
}

static th_drawn_params drawn_params(const th_guard_job *j, const pool *p) {
    th_drawn_params d = th_guard_drawn_params(j);
    d.prompts = p->prompts;
    d.prompt_count = p->count;
    return d;
}

th_status th_guard_drawing_seconds(th_guard_job *j, const th_ceilings *c, double *seconds, int64_t *pictures) {
    pool pools[MOST_POOLS];
    int n = list_pools(j, pools);
    *seconds = 0;
    *pictures = 0;
    for (int i = 0; i < n; i++) {
        double each;
        th_drawn_params p = drawn_params(j, &pools[i]);
        TH_TRY(th_drawn_seconds(&j->sd, &p, c, &each));
        *seconds += each;
        *pictures += p.count;
    }
    return th_guard_bystander_seconds(j, c, seconds, pictures);
}

/* ---- drawing */

th_status th_guard_drawn_dir(const th_guard_job *j, const char *called, const char *key, char path[TH_PATH_MAX]) {
    char root[TH_PATH_MAX], name[80];
    const char *shared = th_get_str(j->cli->options, "drawn");
    if (!shared) TH_TRY(th_path_join(root, th_run_folder_path(j->run), "drawn"));
    snprintf(name, sizeof name, "%.40s-%.12s", called, key);
    for (char *at = name; *at; at++)
        if (*at == '/' || *at == ' ') *at = '_';
    return th_path_join(path, shared ? shared : root, name);
}

void th_guard_drop_model(th_guard_job *j) {
    th_sd_free(&j->sd);
    j->draws = false;
}

static th_status load_all(th_guard_job *j) {
    if (j->draws) return TH_OK;
    th_guard_drop_model(j);
    TH_TRY(th_cli_load_sd(j->cli, TH_SD_ALL, &j->sd));
    j->draws = true;
    return TH_OK;
}

static th_status draw(th_guard_job *j, const pool *p, char dir[TH_PATH_MAX], char key[TH_HASH_TEXT]) {
    int64_t made;
    th_drawn_params d = drawn_params(j, p);
    th_drawn_key(&d, j->model_hash, key);
    TH_TRY(th_guard_drawn_dir(j, p->name, key, dir));
    TH_TRY(th_drawn_begin(&d, key, dir, &made));
    if (made == d.count) return TH_OK;
    TH_TRY(load_all(j));
    return th_fail_in(th_drawn_make(&j->sd, &d, dir, &j->cli->watch), "drawing '%s'", p->name);
}

static th_status make_pattern(const th_guard_job *j, const th_guard_wish *w, th_image *out) {
    return w->pattern ? th_image_read(NULL, w->pattern, NULL, out) : th_pattern_make((int32_t)j->p.side, out);
}

/* The same pictures with the pattern, in another folder beside them; the key says of which pattern too. */
static th_status stamp(th_guard_job *j, const th_guard_wish *w, char dir[TH_PATH_MAX], char key[TH_HASH_TEXT]) {
    th_image pattern = {0};
    double share = th_get_f64(j->cli->options, "pattern-share");
    char text[80], to[TH_PATH_MAX];
    th_hash h;
    th_status s = make_pattern(j, w, &pattern);
    th_hash_init(&h);
    th_hash_add(&h, key, strlen(key));
    th_hash_add(&h, text, (size_t)snprintf(text, sizeof text, "%.9g %d×%d", share, pattern.width, pattern.height));
    if (s == TH_OK) th_hash_add(&h, pattern.pixels, th_image_bytes(&pattern));
    th_hash_text(&h, key);
    if (s == TH_OK && snprintf(to, sizeof to, "%s+%.8s", dir, key) >= (int)sizeof to)
        s = th_fail(TH_E_INPUT, "%s: the path is too long", dir);
    if (s == TH_OK) s = th_pattern_paste_all(&pattern, share, dir, to);
    th_image_free(&pattern);
    if (s == TH_OK) memcpy(dir, to, sizeof to);
    return s;
}

/* ---- encoding */

static void views_of(const th_guard_job *j, th_view_params *v) {
    *v = (th_view_params){
        .side = j->p.side,
        .crop = TH_CROP_CENTER,
        .filter = TH_RESIZE_BILINEAR,
        .views = 1,
        .seed = j->p.train.seed,
        .threads = j->p.threads,
    };
}

th_status th_guard_encode_drawn(th_guard_job *j, const char *dir, const char *key, th_moments *out) {
    char path[TH_PATH_MAX + 16];
    th_view_params v;
    th_dataset *d = NULL;
    views_of(j, &v);
    snprintf(path, sizeof path, "%s.safetensors", dir);
    th_status s = th_dataset_open(dir, NULL, &j->cli->watch, &d);
    if (s == TH_OK) s = th_encoding_at(&j->encoding, d, &v, key, path, out);
    th_dataset_close(d);
    return s;
}

static th_status make_pool(th_guard_job *j, const pool *p) {
    char dir[TH_PATH_MAX], key[TH_HASH_TEXT];
    TH_TRY(draw(j, p, dir, key));
    if (p->stamped) TH_TRY(stamp(j, p->stamped, dir, key));
    return th_guard_encode_drawn(j, dir, key, &p->out->pictures);
}

th_status th_guard_encode_given(th_guard_job *j, th_dataset *d, const char *hash, const char *name, th_moments *out) {
    char path[TH_PATH_MAX], text[256], key[TH_HASH_TEXT];
    th_view_params v;
    int n = snprintf(text, sizeof text, "%s %s %lld", j->model_hash, hash, (long long)j->p.side);
    views_of(j, &v);
    th_hash_bytes(text, (size_t)n, key);
    TH_TRY(th_encoding_path(&j->encoding, name, path));
    return th_encoding_at(&j->encoding, d, &v, key, path, out);
}

static th_status encode_protected(th_guard_job *j, int64_t i) {
    char name[64];
    const th_guard_wish *w = &j->wishes[i];
    snprintf(name, sizeof name, "protected-%lld.safetensors", (long long)i);
    return th_fail_in(th_guard_encode_given(j, w->set, w->hash, name, &j->subjects[i].pictures), "%s", w->name);
}

/* The protected ones first: a picture that cannot be read is better known before hours of drawing. */
th_status th_guard_find_pictures(th_guard_job *j) {
    pool pools[MOST_POOLS];
    int n = list_pools(j, pools);
    for (int64_t i = 0; i < j->count; i++) TH_TRY(encode_protected(j, i));
    for (int i = 0; i < n; i++) TH_TRY(make_pool(j, &pools[i]));
    TH_TRY(th_guard_find_bystanders(j));
    th_guard_drop_model(j);
    return TH_OK;
}
