/* Hashes of pictures. */
#include "data/picture_hash.h"

#include <stdio.h>

void th_picture_hash(const th_image *im, char out[TH_HASH_TEXT]) {
    char size[48];
    th_hash h;
    th_hash_init(&h);
    th_hash_add(&h, size, (size_t)snprintf(size, sizeof size, "%d %d\n", (int)im->width, (int)im->height));
    th_hash_add(&h, im->pixels, th_image_bytes(im));
    th_hash_text(&h, out);
}

th_status th_dataset_hash_pictures(th_dataset *d, const th_watch *w, char (*out)[TH_HASH_TEXT]) {
    int64_t n = th_dataset_images(d), used;
    th_dataset_reader *r = NULL;
    th_image im = {0};
    th_status s = th_dataset_reader_new(NULL, &r);
    for (int64_t i = 0; i < n && s == TH_OK; i++) {
        if (th_stopped(w)) s = th_fail(TH_E_INTERRUPTED, "stopped while pictures were read");
        if (s == TH_OK) s = th_dataset_read(d, r, th_dataset_sample(d, i), &im, &used);
        if (s == TH_OK) th_picture_hash(&im, out[i]);
        th_report(w, "reading pictures", i + 1, n, NULL);
    }
    th_image_free(&im);
    th_dataset_reader_free(r);
    return s;
}
