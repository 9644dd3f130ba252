/* The configs of a Stable Diffusion folder from hostile bytes: the first byte says which. What is read makes a model,
 * or is refused. */
#include <stdlib.h>
#include <string.h>

#include "diffusion/sd.h"
#include "model/text_encoder_files.h"
#include "model/unet_parts.h"
#include "model/vae_files.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A model of many blocks takes long to make and shows nothing more. */
static bool is_small(int64_t levels, int64_t layers) { return levels * layers <= 64; }

static void try_vae(const char *text, size_t length) {
    th_vae_config c;
    th_vae *v = NULL;
    if (th_vae_parse_config("fuzz", text, length, &c) != TH_OK) return;
    if (!is_small(c.levels, c.layers_per_block)) return;
    if (th_vae_new(&c, &v) != TH_OK) abort();
    th_vae_free(v);
}

static void try_text(const char *text, size_t length) {
    th_text_encoder_config c;
    th_text_encoder *m = NULL;
    if (th_text_encoder_parse_config("fuzz", text, length, &c) != TH_OK) return;
    if (!is_small(1, c.tower.layers)) return;
    if (th_text_encoder_new(&c, &m) != TH_OK) abort();
    th_text_encoder_free(m);
}

static void try_unet(const char *text, size_t length) {
    th_unet_config c;
    th_unet *u = NULL;
    if (th_unet_parse_config("fuzz", text, length, &c) != TH_OK) return;
    if (!is_small(c.levels, c.layers_per_block)) return;
    if (th_unet_new(&c, &u) != TH_OK) abort();
    th_unet_free(u);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1) return 0;
    const char *text = (const char *)data + 1;
    switch (data[0]) {
    case 'v': try_vae(text, size - 1); break;
    case 't': try_text(text, size - 1); break;
    case 'u': try_unet(text, size - 1); break;
    default: (void)th_sd_parse_index("fuzz", text, size - 1);
    }
    return 0;
}
