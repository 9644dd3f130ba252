/* Patches. */
#include "model/patches.h"

th_tensor *th_embed_patches(th_graph *g, th_tensor *x, int64_t patch, const th_linear_layer *l) {
    const th_desc *d = th_tensor_desc(x);
    int64_t n = d->dim[0], rows = d->dim[1] / patch, columns = d->dim[2] / patch;
    x = th_slice(g, th_slice(g, x, 1, 0, rows * patch), 2, 0, columns * patch);
    x = th_reshape(g, x, TH_DESC(TH_F32, n, rows, patch, columns, patch * 3));
    x = th_permute(g, x, (int[]){0, 1, 3, 2, 4});
    return th_linear_apply(g, l, th_reshape(g, x, TH_DESC(TH_F32, n, rows * columns, patch * patch * 3)));
}

th_tensor *th_place_patches(th_graph *g, th_tensor *patches, th_param *class_token, th_param *positions) {
    const th_desc *d = th_tensor_desc(patches);
    th_tensor *first = th_broadcast(g, th_use(g, class_token), TH_DESC(TH_F32, d->dim[0], 1, d->dim[2]));
    return th_add(g, th_concat(g, 1, 2, (th_tensor *[]){first, patches}), th_use(g, positions));
}

th_tensor *th_class_token(th_graph *g, th_tensor *x) {
    const th_desc *d = th_tensor_desc(x);
    return th_reshape(g, th_slice(g, x, 1, 0, 1), TH_DESC(TH_F32, d->dim[0], d->dim[2]));
}
