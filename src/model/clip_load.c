/* Weights in. */
#include "model/clip_files.h"

static th_status named_by_transformers(const void *model, const th_param *p, th_weight_source *out) {
    return th_clip_weight_source(model, p, false, out);
}

static th_status named_by_open_clip(const void *model, const th_param *p, th_weight_source *out) {
    return th_clip_weight_source(model, p, true, out);
}

th_status th_clip_load(const char *dir, th_clip **out) {
    th_clip_config config;
    bool open_clip;
    th_clip *m = NULL;
    TH_TRY(th_clip_read_config(dir, &config, &open_clip));
    TH_TRY(th_clip_new(&config, &m));
    th_status s = th_weights_load(dir, NULL, m->params, open_clip ? named_by_open_clip : named_by_transformers, m);
    if (s != TH_OK) return th_clip_free(m), s;
    *out = m;
    return TH_OK;
}
