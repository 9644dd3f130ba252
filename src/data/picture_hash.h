/* What names single pictures: SHA-256 over their size and pixels, whatever file they lie in. Tells whether two sets
 * share a picture, and says which pictures something was made for without showing them. */
#ifndef TH_DATA_PICTURE_HASH_H
#define TH_DATA_PICTURE_HASH_H

#include "data/dataset.h"

void th_picture_hash(const th_image *im, char out[TH_HASH_TEXT]);
/* Of every picture of a set, in its order: out [pictures]. */
th_status th_dataset_hash_pictures(th_dataset *d, const th_watch *w, char (*out)[TH_HASH_TEXT]);

#endif
