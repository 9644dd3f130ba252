/* Weights out, in Hugging Face's layout. */
#include "base/file.h"
#include "model/clip_files.h"

static th_status source(const void *model, const th_param *p, th_weight_source *out) {
    return th_clip_weight_source(model, p, false, out);
}

th_status th_clip_save(const th_clip *m, const char *dir, const char *dtype) {
    char path[TH_PATH_MAX];
    th_st_dtype type;
    const char *torch;
    TH_TRY(th_saved_dtype(dtype, &type, &torch));
    TH_TRY(th_make_dirs(dir));
    TH_TRY(th_path_join(path, dir, "model.safetensors"));
    TH_TRY(th_weights_save(path, m->params, source, m, dtype));
    return th_clip_write_config(&m->config, dir, torch);
}
