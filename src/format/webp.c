/* WebP, still pictures, by way of libwebp. */
#include <webp/decode.h>

#include "base/memory.h"
#include "format/codec.h"

static th_status fail_from(VP8StatusCode code) {
    switch (code) {
    case VP8_STATUS_OUT_OF_MEMORY: return th_fail_memory();
    case VP8_STATUS_SUSPENDED:
    case VP8_STATUS_NOT_ENOUGH_DATA: return th_fail(TH_E_INPUT, "WebP: the file ends early");
    case VP8_STATUS_UNSUPPORTED_FEATURE: return th_fail(TH_E_INPUT, "WebP: uses a feature that libwebp does not know");
    default: return th_fail(TH_E_INPUT, "WebP: the data are damaged");
    }
}

/* Decodes into rows of `stride` bytes. */
static VP8StatusCode decode_into(const uint8_t *bytes, size_t n, WEBP_CSP_MODE mode, uint8_t *pixels, size_t size,
                                 size_t stride) {
    WebPDecoderConfig config;
    if (!WebPInitDecoderConfig(&config)) return VP8_STATUS_INVALID_PARAM;
    config.output.colorspace = mode;
    config.output.is_external_memory = 1;
    config.output.u.RGBA = (WebPRGBABuffer){.rgba = pixels, .stride = (int)stride, .size = size};
    return WebPDecode(bytes, n, &config);
}

static th_status decode_over_white(const uint8_t *bytes, size_t n, th_image *out) {
    size_t stride = (size_t)out->width * 4, size = stride * (size_t)out->height;
    uint8_t *rgba = th_alloc_big(size);
    if (!rgba) return th_fail_memory();
    VP8StatusCode code = decode_into(bytes, n, MODE_RGBA, rgba, size, stride);
    if (code == VP8_STATUS_OK) th_codec_over_white(rgba, (int64_t)out->width * out->height, out->pixels);
    th_free_big(rgba, size);
    return code == VP8_STATUS_OK ? TH_OK : fail_from(code);
}

th_status th_webp_decode(const uint8_t *bytes, size_t n, const th_image_params *params, th_image *out) {
    WebPBitstreamFeatures features;
    VP8StatusCode code = WebPGetFeatures(bytes, n, &features);
    if (code != VP8_STATUS_OK) return fail_from(code);
    if (features.has_animation) return th_fail(TH_E_INPUT, "WebP: is animated, a still picture is wanted");
    TH_TRY(th_codec_check_size("WebP", features.width, features.height, params));
    TH_TRY(th_image_new(out, features.width, features.height));
    if (features.has_alpha && params->alpha == TH_ALPHA_WHITE) return decode_over_white(bytes, n, out);
    code = decode_into(bytes, n, MODE_RGB, out->pixels, th_image_bytes(out), (size_t)out->width * 3);
    return code == VP8_STATUS_OK ? TH_OK : fail_from(code);
}
