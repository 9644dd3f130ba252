/* Pictures: decoding JPEG, PNG and WebP to 8-bit RGB, and writing PNG and JPEG.
 *
 * The pixels are those of Pillow's Image.open(...).convert("RGB"), equal to the bit where both stand on the same
 * libjpeg-turbo: JPEG by the accurate integer IDCT with smooth chroma upsampling, CMYK and YCCK taken as Adobe writes
 * them (inverted), no turning by the EXIF orientation, no gamma and no colour profile. As in Pillow, a 16-bit grey PNG
 * is clipped to 255, not scaled, and other 16-bit PNGs keep the upper byte.
 *
 * Stricter than Pillow: a file that ends early is an error in every format, even where all of its pixels were there,
 * and so is entropy-coded JPEG data that stops before its image does. Animated WebP is refused. Animated PNG gives its
 * default picture. */
#ifndef TH_FORMAT_IMAGE_H
#define TH_FORMAT_IMAGE_H

#include "base/file.h"

/* pixels: [height, width, 3], rows one after another. A zeroed struct is a valid empty picture. */
typedef struct {
    uint8_t *pixels;
    int32_t width, height;
    size_t capacity; /* bytes that pixels has room for */
} th_image;

#define TH_IMAGE_SIDE_MAX 1000000 /* pixels; keeps width × height × 3 far from overflow */

/* Gives im this size and undefined pixels. Memory that is there and large enough is kept, so that a loop over pictures
 * allocates only when one is larger than all before it. */
th_status th_image_new(th_image *im, int64_t width, int64_t height);
void th_image_free(th_image *im);
static inline size_t th_image_bytes(const th_image *im) { return (size_t)im->width * (size_t)im->height * 3; }
static inline uint8_t *th_image_row(const th_image *im, int64_t y) { return im->pixels + y * im->width * 3; }

typedef enum { TH_IMAGE_UNKNOWN, TH_IMAGE_JPEG, TH_IMAGE_PNG, TH_IMAGE_WEBP } th_image_format;
/* By the first bytes. */
th_image_format th_image_sniff(const void *bytes, size_t n);

/* What becomes of transparency. */
typedef enum {
    TH_ALPHA_DROP,  /* ignored: Pillow's convert("RGB"), and transformers up to version 4 */
    TH_ALPHA_WHITE, /* blended over white, as transformers 5 does before a CLIP model */
} th_alpha;

typedef struct {
    int64_t max_pixels; /* larger pictures are refused before they are decoded; 178,956,970 as in Pillow */
    size_t max_bytes;   /* of a file, for th_image_read; 1 GiB */
    th_alpha alpha;     /* TH_ALPHA_DROP */
    /* Where both are above 0, a JPEG is decoded at 1/2, 1/4 or 1/8 of its size, the smallest that still covers this
     * one: Pillow's draft mode. Several times faster for large photos, but not the same pixels. Off by default. */
    int32_t draft_width, draft_height;
} th_image_params;
void th_image_params_init(th_image_params *p);

/* The state that decoding can reuse; one a thread. */
typedef struct th_image_decoder th_image_decoder;
th_status th_image_decoder_new(th_image_decoder **out);
void th_image_decoder_free(th_image_decoder *d);

/* Decodes a picture in memory into out (see th_image_new). d may be NULL, params too. After an error out's pixels are
 * undefined and it is still to be freed. Messages begin with the format ("JPEG: …"); the caller knows the name. */
th_status th_image_decode(th_image_decoder *d, const void *bytes, size_t n, const th_image_params *params,
                          th_image *out);
/* The same from a file, whose path is in the message. */
th_status th_image_read(th_image_decoder *d, const char *path, const th_image_params *params, th_image *out);

/* A key and a value to be kept in a PNG, in UTF-8: as tEXt where both are ASCII, as iTXt else. Keys have 1 to 79
 * bytes. */
typedef struct {
    const char *key, *value;
} th_image_text;

/* Encoding into memory; free out->data with th_free. quality is 1 to 100; JPEG is written as Pillow does by default,
 * with 4:2:0 chroma. */
th_status th_image_encode_png(const th_image *im, const th_image_text *texts, int count, th_bytes *out);
th_status th_image_encode_jpeg(const th_image *im, int quality, th_bytes *out);
/* To a file: JPEG of this quality where path ends in .jpg or .jpeg, PNG where it ends in .png. */
th_status th_image_write(const char *path, const th_image *im, int quality);

#endif
