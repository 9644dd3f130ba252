/* What image.c shares with the files of the single formats. The rest of the tree uses format/image.h. */
#ifndef TH_FORMAT_CODEC_H
#define TH_FORMAT_CODEC_H

#include "format/image.h"

/* Refuses a picture of no pixels or of more than params allow; what names the format. */
th_status th_codec_check_size(const char *what, int64_t width, int64_t height, const th_image_params *params);

/* n pixels of RGBA over white, exactly as Pillow's alpha_composite onto an opaque white picture. */
void th_codec_over_white(const uint8_t *rgba, int64_t n, uint8_t *rgb);

typedef struct th_jpeg th_jpeg; /* a decompressor that is used again and again */
th_status th_jpeg_new(th_jpeg **out);
void th_jpeg_free(th_jpeg *d);
th_status th_jpeg_decode(th_jpeg *d, const uint8_t *bytes, size_t n, const th_image_params *params, th_image *out);
th_status th_png_decode(const uint8_t *bytes, size_t n, const th_image_params *params, th_image *out);
th_status th_webp_decode(const uint8_t *bytes, size_t n, const th_image_params *params, th_image *out);

#endif
