/* Recording CLIP. */
#include "model/clip_graph.h"

#include "model/clip.h"

th_clip_rows th_clip_record_towers(th_graph *g, const th_clip *c, int64_t n, int64_t m, int64_t tokens) {
    int64_t side = c->config.image_size;
    th_clip_rows rows;
    th_tensor *ids = th_input(g, "ids", TH_DESC(TH_I32, m, tokens));
    rows.images = th_clip_embed_images(g, c, th_input(g, "images", TH_DESC(TH_F32, n, side, side, 3)));
    rows.texts = th_clip_embed_texts(g, c, ids, th_input(g, "ends", TH_DESC(TH_I32, m)));
    return rows;
}

void th_clip_record_training(th_graph *g, const th_clip *c, th_tensor *loss) {
    th_output(g, "loss", loss);
    th_grad_params(g, loss, c->params);
}

void th_clip_record_step(th_graph *g, const th_clip *c, int64_t n) {
    th_clip_rows rows = th_clip_record_towers(g, c, n, n, c->config.context);
    th_clip_record_training(g, c, th_clip_contrastive(g, rows.images, rows.texts, th_clip_scale(g, c)));
}
