/* JPEG, PNG and WebP. The first byte chooses the options, the rest is the file. */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "format/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint32_t u32(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Makes the checksums of a PNG's chunks right, which no mutation would: what they guard is to be tested too. */
static void mend_checksums(uint8_t *png, size_t n) {
    for (size_t at = 8; at + 12 <= n && u32(png + at) <= n - at - 12;) {
        size_t length = u32(png + at);
        uint32_t crc = (uint32_t)crc32(0, png + at + 4, (uInt)length + 4);
        for (int i = 0; i < 4; i++) png[at + 8 + length + (size_t)i] = (uint8_t)(crc >> (24 - 8 * i));
        at += 12 + length;
    }
}

static void decode(const uint8_t *data, size_t size, const th_image_params *p) {
    static th_image_decoder *decoder; /* kept, so that what one input leaves in it meets the next */
    if (!decoder && th_image_decoder_new(&decoder) != TH_OK) return;
    th_image im = {0};
    if (th_image_decode(decoder, data, size, p, &im) == TH_OK) {
        volatile uint32_t sum = 0;
        for (size_t i = 0; i < th_image_bytes(&im); i++) sum = sum + im.pixels[i];
    }
    th_image_free(&im);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!size) return 0;
    th_image_params p;
    th_image_params_init(&p);
    p.max_pixels = 1 << 16;
    p.alpha = data[0] & 1 ? TH_ALPHA_WHITE : TH_ALPHA_DROP;
    p.draft_width = p.draft_height = data[0] & 2 ? 8 : 0;
    uint8_t *copy = malloc(size);
    if (!copy) return 0;
    memcpy(copy, data + 1, size - 1);
    if (th_image_sniff(copy, size - 1) == TH_IMAGE_PNG && !(data[0] & 4)) mend_checksums(copy, size - 1);
    decode(copy, size - 1, &p);
    free(copy);
    return 0;
}
