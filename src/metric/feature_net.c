/* Feature networks. */
#include "metric/feature_net.h"

#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "format/json.h"
#include "metric/embed.h"
#include "metric/zeroshot.h"
#include "model/vit.h"
#include "theriac/plan.h"

struct th_feature_net {
    char *dir;
    th_feature_params p;
    bool is_clip;
    int64_t side, width;
    th_clip_bundle clip;
    th_clip_embedder *embedder;
    th_vit *vit;
    th_preprocess_params preprocess; /* of the ViT */
    th_plan *plan;                   /* of the ViT */
};

void th_feature_params_init(th_feature_params *p) {
    *p = (th_feature_params){.batch = 64, .loader_threads = 2, .compute = TH_F32};
}

/* --- which kind --- */

/* model_type in DIR/config.json. */
static th_status read_type(const char *dir, const char *path, bool *clip) {
    th_json j = {0};
    const char *type = "clip"; /* transformers wrote CLIP's without it once */
    TH_TRY(th_json_load(path, (size_t)16 << 20, &j));
    th_status s = th_json_string(&j, "model_type", &type);
    *clip = !strcmp(type, "clip");
    if (s == TH_OK && !*clip && strcmp(type, "vit") != 0) {
        char shown[TH_SHOWN_MAX];
        s = th_fail(TH_E_INPUT, "%s: holds a model of type '%s'; \"clip\" or \"vit\" is wanted", dir,
                    th_shown(shown, type, strlen(type)));
    }
    th_json_free(&j);
    return s;
}

static th_status find_kind(const char *dir, bool *clip) {
    char path[TH_PATH_MAX];
    TH_TRY(th_path_join(path, dir, "config.json"));
    *clip = true; /* OpenCLIP's folder, or none at all: CLIP's reader knows what to say */
    return th_path_exists(path) ? read_type(dir, path, clip) : TH_OK;
}

th_status th_feature_net_check(const char *dir, bool *clip) {
    th_clip_config c;
    th_vit_config v;
    TH_TRY(find_kind(dir, clip));
    return *clip ? th_clip_load_config(dir, &c) : th_vit_read_config(dir, &v);
}

/* --- opening --- */

static th_status open_clip(th_feature_net *f) {
    th_clip_embedder_params e;
    TH_TRY(th_clip_bundle_load(f->dir, &f->clip));
    th_clip_embedder_params_init(&e);
    e.batch = f->p.batch;
    e.threads = f->p.threads;
    e.compute = f->p.compute;
    f->side = th_clip_get_config(f->clip.model)->image_size;
    f->width = th_clip_get_config(f->clip.model)->projection;
    return th_clip_embedder_new(f->clip.model, &e, &f->embedder);
}

static th_status plan_vit(th_feature_net *f) {
    th_graph *g = th_graph_new();
    if (!g) return th_fail_memory();
    th_plan_params p;
    th_plan_params_init(&p);
    p.threads = f->p.threads;
    p.compute = f->p.compute;
    th_tensor *images = th_input(g, "images", TH_DESC(TH_F32, f->p.batch, f->side, f->side, 3));
    th_output(g, "y", th_vit_apply(g, f->vit, images));
    th_status s = th_plan_new(g, &p, &f->plan);
    th_graph_free(g);
    return s == TH_OK ? th_plan_allocate(f->plan) : s;
}

static th_status open_vit(th_feature_net *f) {
    TH_TRY(th_vit_load(f->dir, &f->vit));
    f->side = th_vit_get_config(f->vit)->image_size;
    f->width = th_vit_get_config(f->vit)->tower.width;
    TH_TRY(th_preprocess_load_vit(f->dir, (int32_t)f->side, &f->preprocess));
    return plan_vit(f);
}

static th_status open_net(th_feature_net *f, const char *dir) {
    f->dir = th_strdup(dir);
    if (!f->dir) return th_fail_memory();
    TH_TRY(find_kind(dir, &f->is_clip));
    return f->is_clip ? open_clip(f) : open_vit(f);
}

th_status th_feature_net_open(const char *dir, const th_feature_params *p, th_feature_net **out) {
    th_feature_net *f = th_alloc(1, sizeof *f);
    if (!f) return th_fail_memory();
    f->p = *p;
    th_status s = open_net(f, dir);
    if (s != TH_OK) return th_feature_net_close(f), s;
    *out = f;
    return TH_OK;
}

void th_feature_net_close(th_feature_net *f) {
    if (!f) return;
    th_clip_embedder_free(f->embedder);
    th_clip_bundle_free(&f->clip);
    th_plan_free(f->plan);
    th_vit_free(f->vit);
    th_free(f->dir);
    th_free(f);
}

const char *th_feature_net_kind(const th_feature_net *f) { return f->is_clip ? "clip" : "vit"; }
int64_t th_feature_net_width(const th_feature_net *f) { return f->width; }

/* --- running --- */

/* One batch, of which n are wanted. */
static th_status run_vit(void *model, const float *images, int64_t n, float *out) {
    const th_feature_net *f = model;
    memcpy(th_plan_input(f->plan, "images"), images, (size_t)(n * f->side * f->side * 3) * sizeof *images);
    TH_TRY(th_plan_run(f->plan, 0, 0));
    memcpy(out, th_plan_output(f->plan, "y"), (size_t)(n * f->width) * sizeof *out);
    return TH_OK;
}

static th_status run_clip(void *model, const float *images, int64_t n, float *out) {
    const th_feature_net *f = model;
    return th_clip_embedder_images(f->embedder, images, n, out);
}

th_status th_feature_net_pictures(th_feature_net *f, th_dataset *d, const th_watch *w, float *out) {
    th_embedding how = {.name = f->dir,
                        .preprocess = f->is_clip ? &f->clip.preprocess : &f->preprocess,
                        .side = f->side,
                        .width = f->width,
                        .run = f->is_clip ? run_clip : run_vit,
                        .model = f,
                        .batch = f->p.batch,
                        .loader_threads = f->p.loader_threads};
    bool *missing = th_alloc((size_t)th_dataset_images(d), sizeof *missing);
    if (!missing) return th_fail_memory();
    th_status s = th_embed_pictures(&how, d, w, out, missing);
    th_free(missing);
    return s;
}

th_status th_feature_net_texts(th_feature_net *f, const char *const *texts, int64_t n, float *out) {
    if (!f->is_clip) return th_fail(TH_E_INPUT, "%s: is no CLIP folder, so it knows no texts", f->dir);
    TH_TRY(th_clip_bundle_embed_texts(&f->clip, f->embedder, texts, n, out));
    int64_t bad = th_find_not_finite(out, n, f->width);
    if (bad < 0) return TH_OK;
    return th_fail(TH_E_INPUT, "%s: the embedding of the text '%.200s' is not finite", f->dir, texts[bad]);
}
