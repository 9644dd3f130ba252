/* Pictures: their memory, which decoder they need, and files. */
#include "format/image.h"

#include <string.h>

#include "base/memory.h"
#include "format/codec.h"

th_status th_image_new(th_image *im, int64_t width, int64_t height) {
    if (width < 1 || height < 1 || width > TH_IMAGE_SIDE_MAX || height > TH_IMAGE_SIDE_MAX)
        return th_fail(TH_E_INPUT, "a picture of %lld by %lld pixels: each side must be 1 to %d", (long long)width,
                       (long long)height, TH_IMAGE_SIDE_MAX);
    size_t bytes = (size_t)width * (size_t)height * 3;
    if (bytes > im->capacity) {
        th_image_free(im);
        im->pixels = th_alloc_big(bytes);
        if (!im->pixels) return th_fail_memory();
        im->capacity = bytes;
    }
    im->width = (int32_t)width;
    im->height = (int32_t)height;
    return TH_OK;
}

void th_image_free(th_image *im) {
    th_free_big(im->pixels, im->capacity);
    *im = (th_image){0};
}

void th_image_params_init(th_image_params *p) {
    *p = (th_image_params){.max_pixels = 178956970, .max_bytes = (size_t)1 << 30, .alpha = TH_ALPHA_DROP};
}

struct th_image_decoder {
    th_jpeg *jpeg;
};

th_status th_image_decoder_new(th_image_decoder **out) {
    th_image_decoder *d = th_alloc(1, sizeof *d);
    if (!d) return th_fail_memory();
    th_status s = th_jpeg_new(&d->jpeg);
    if (s != TH_OK) return th_free(d), s;
    *out = d;
    return TH_OK;
}

void th_image_decoder_free(th_image_decoder *d) {
    if (!d) return;
    th_jpeg_free(d->jpeg);
    th_free(d);
}

th_image_format th_image_sniff(const void *bytes, size_t n) {
    const char *b = bytes;
    if (n >= 3 && !memcmp(b, "\xff\xd8\xff", 3)) return TH_IMAGE_JPEG;
    if (n >= 8 && !memcmp(b, "\x89PNG\r\n\x1a\n", 8)) return TH_IMAGE_PNG;
    if (n >= 12 && !memcmp(b, "RIFF", 4) && !memcmp(b + 8, "WEBP", 4)) return TH_IMAGE_WEBP;
    return TH_IMAGE_UNKNOWN;
}

static th_status fail_unknown(const uint8_t *b, size_t n) {
    if (n == 0) return th_fail(TH_E_INPUT, "the picture is empty");
    char hex[3 * 8 + 1] = "";
    for (size_t i = 0; i < n && i < 8; i++) {
        hex[3 * i] = ' ';
        hex[3 * i + 1] = "0123456789abcdef"[b[i] >> 4];
        hex[3 * i + 2] = "0123456789abcdef"[b[i] & 15];
    }
    return th_fail(TH_E_INPUT, "is neither JPEG, PNG nor WebP: it begins with%s", hex);
}

static th_status decode_jpeg_once(const uint8_t *bytes, size_t n, const th_image_params *params, th_image *out) {
    th_jpeg *jpeg;
    TH_TRY(th_jpeg_new(&jpeg));
    th_status s = th_jpeg_decode(jpeg, bytes, n, params, out);
    th_jpeg_free(jpeg);
    return s;
}

th_status th_image_decode(th_image_decoder *d, const void *bytes, size_t n, const th_image_params *params,
                          th_image *out) {
    th_image_params defaults;
    th_image_params_init(&defaults);
    if (!params) params = &defaults;
    switch (th_image_sniff(bytes, n)) {
    case TH_IMAGE_JPEG:
        return d ? th_jpeg_decode(d->jpeg, bytes, n, params, out) : decode_jpeg_once(bytes, n, params, out);
    case TH_IMAGE_PNG: return th_png_decode(bytes, n, params, out);
    case TH_IMAGE_WEBP: return th_webp_decode(bytes, n, params, out);
    case TH_IMAGE_UNKNOWN: break;
    }
    return fail_unknown(bytes, n);
}

th_status th_image_read(th_image_decoder *d, const char *path, const th_image_params *params, th_image *out) {
    th_image_params defaults;
    th_image_params_init(&defaults);
    th_bytes file;
    TH_TRY(th_file_read(path, params ? params->max_bytes : defaults.max_bytes, &file));
    th_status s = th_image_decode(d, file.data, file.length, params, out);
    th_free(file.data);
    return th_fail_in(s, "%s", path);
}

th_status th_image_write(const char *path, const th_image *im, int quality) {
    th_bytes bytes;
    th_status s;
    if (th_path_ends(path, ".png"))
        s = th_image_encode_png(im, NULL, 0, &bytes);
    else if (th_path_ends(path, ".jpg") || th_path_ends(path, ".jpeg"))
        s = th_image_encode_jpeg(im, quality, &bytes);
    else
        s = th_fail(TH_E_USAGE, "a picture is written as .png, .jpg or .jpeg");
    if (s != TH_OK) return th_fail_in(s, "%s", path);
    s = th_file_write(path, bytes.data, bytes.length);
    th_free(bytes.data);
    return s;
}

th_status th_codec_check_size(const char *what, int64_t width, int64_t height, const th_image_params *params) {
    if (width < 1 || height < 1)
        return th_fail(TH_E_INPUT, "%s: %lld by %lld pixels", what, (long long)width, (long long)height);
    if (width > TH_IMAGE_SIDE_MAX || height > TH_IMAGE_SIDE_MAX || width * height > params->max_pixels)
        return th_fail(TH_E_INPUT, "%s: %lld by %lld pixels, at most %lld are allowed", what, (long long)width,
                       (long long)height, (long long)params->max_pixels);
    return TH_OK;
}

/* Pillow blends with 7 fractional bits and divides by 255 through shifts. Over an opaque ground the weight of the upper
 * picture is its alpha, exactly. */
static inline uint8_t over_white(uint32_t value, uint32_t alpha) {
    uint32_t upper = alpha << 7, t = value * upper + 255 * ((255 << 7) - upper) + (128 << 7);
    return (uint8_t)((((t >> 8) + t) >> 8) >> 7);
}

void th_codec_over_white(const uint8_t *rgba, int64_t n, uint8_t *rgb) {
    for (int64_t i = 0; i < n; i++)
        for (int c = 0; c < 3; c++) rgb[3 * i + c] = over_white(rgba[4 * i + c], rgba[4 * i + 3]);
}
