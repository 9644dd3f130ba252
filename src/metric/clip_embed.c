/* Embedding data sets by CLIP's image tower. */
#include "metric/clip_eval.h"
#include "metric/embed.h"

static th_status run(void *model, const float *images, int64_t n, float *out) {
    return th_clip_embedder_images(model, images, n, out);
}

th_status th_clip_embed_dataset(const th_clip_bundle *b, th_clip_embedder *e, th_dataset *d, int64_t batch,
                                int loader_threads, const th_watch *w, float *out, bool *missing) {
    const th_clip_config *c = th_clip_get_config(b->model);
    th_embedding how = {.name = b->dir ? b->dir : "the model",
                        .preprocess = &b->preprocess,
                        .side = c->image_size,
                        .width = c->projection,
                        .run = run,
                        .model = e,
                        .batch = batch,
                        .loader_threads = loader_threads};
    return th_embed_pictures(&how, d, w, out, missing);
}
