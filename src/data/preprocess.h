/* From a picture to a CLIP model's or a ViT's input, as transformers' processors do it on their Pillow backend, to the
 * bit, or as OpenCLIP's transform for evaluation, within 1e-6: resized, cut to the middle, scaled and normalised. */
#ifndef TH_DATA_PREPROCESS_H
#define TH_DATA_PREPROCESS_H

#include "data/resize.h"

/* What stands in preprocessor_config.json. Sizes are in pixels. */
typedef struct {
    bool resize, center_crop;
    int32_t shortest_side;               /* where above 0: th_resize_shortest; else to resize_width × resize_height */
    int32_t resize_width, resize_height; /* where shortest_side is 0 */
    th_resize_filter filter;
    int32_t crop_width, crop_height;
    /* An odd margin is halved to the even number, as torchvision's CenterCrop does for OpenCLIP, not downwards. */
    bool crop_to_even;
    double rescale;         /* 1/255; 1 where do_rescale is off */
    double mean[3], std[3]; /* 0 and 1 where do_normalize is off */
    th_alpha alpha;         /* for who decodes the pictures: over white as transformers 5, dropped as OpenCLIP */
    int32_t side;           /* of the square that the model takes; other results are refused. 0: any size is right */
} th_preprocess_params;

/* transformers' ViT at this side: both sides by bilinear, mean and deviation 0.5, no transparency. */
void th_preprocess_params_init_vit(th_preprocess_params *p, int32_t side);
/* OpenAI's CLIP at this side: shortest side and square from the middle by bicubic, OpenAI's mean and deviation. */
void th_preprocess_params_init(th_preprocess_params *p, int32_t side);

/* What the files of a model's folder say, the first that is there: processor_config.json where it has an
 * "image_processor" (transformers 5), preprocessor_config.json, open_clip_config.json with a "preprocess_cfg". Without
 * any, the above. A field that is absent has its default. side: as above; a size that the model cannot take is an
 * error that names file and field. */
th_status th_preprocess_load(const char *dir, int32_t side, th_preprocess_params *out);
/* The same from the text of one of these files. */
th_status th_preprocess_parse(const char *name, const char *text, size_t length, int32_t side,
                              th_preprocess_params *out);
/* DIR/preprocessor_config.json of a ViT, as transformers' ViTImageProcessor reads it on its Pillow backend: its own
 * defaults, and a number as the size is that of both sides. Published models differ in what they are normalised by, so
 * a folder without the file is TH_E_INPUT. */
th_status th_preprocess_load_vit(const char *dir, int32_t side, th_preprocess_params *out);
th_status th_preprocess_parse_vit(const char *name, const char *text, size_t length, int32_t side,
                                  th_preprocess_params *out);
/* Writes preprocessor_config.json, whose path this is. crop_to_even and alpha have no field there. */
th_status th_preprocess_write(const char *path, const th_preprocess_params *p);

/* Does it; one a thread. */
typedef struct th_preprocessor th_preprocessor;
th_status th_preprocessor_new(const th_preprocess_params *p, th_preprocessor **out);
void th_preprocessor_free(th_preprocessor *p); /* NULL is allowed */

/* The steps on 8-bit pixels alone, resizing and cutting, for what changes pictures after them. */
th_status th_preprocess_u8(th_preprocessor *p, const th_image *in, th_image *out);
/* The steps behind: (byte · rescale − mean) / std, in transformers' roundings. out: [height, width, 3]. */
void th_preprocess_normalise(const th_preprocessor *p, const th_image *in, float *out);
/* Both. out: [side, side, 3], so params.side must be set. */
th_status th_preprocess_apply(th_preprocessor *p, const th_image *in, float *out);

#endif
