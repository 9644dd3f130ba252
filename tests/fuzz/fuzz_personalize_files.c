/* Files of personalisations: low-rank additions, projections and encoded pictures are taken whole or refused, and
 * nothing is left behind. */
#include <stdlib.h>

#include "base/memory.h"
#include "personalize/custom_file.h"
#include "personalize/lora_file.h"
#include "train/moments.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static th_unet *make_unet(void) {
    th_unet_config c;
    th_unet *u;
    th_unet_config_init(&c);
    c.sample_size = 4;
    c.levels = 2;
    c.channels[0] = c.channels[1] = 8;
    c.attends_down[0] = true, c.attends_down[1] = false;
    c.attends_up[0] = false, c.attends_up[1] = true;
    c.heads[0] = c.heads[1] = 2;
    c.layers_per_block = 1;
    c.cross_attention_dim = 4;
    c.groups = 4;
    if (th_unet_new(&c, &u) != TH_OK) abort();
    return u;
}

/* Views lie within the entries. */
static void check_moments(const th_moments *m) {
    if (m->pictures < 1 || m->first[0] != 0 || m->first[m->pictures] != m->entries) abort();
    for (int64_t i = 0; i < m->pictures; i++)
        if (m->first[i + 1] <= m->first[i]) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    size_t before = th_bytes_in_use();
    th_safetensors *f;
    if (th_safetensors_parse("fuzz.safetensors", data, size, &f) != TH_OK) return 0;
    th_unet *u = make_unet();
    th_moments m = {0};
    th_status s = th_lora_read(f, "fuzz", 1, u);
    if ((s == TH_OK) && !th_unet_lora(u)) abort();
    (void)th_custom_read(f, "fuzz", u);
    if (th_moments_read(f, "fuzz", NULL, 2, 2, 8, &m) == TH_OK) check_moments(&m);
    th_moments_free(&m);
    th_unet_free(u);
    th_safetensors_close(f);
    if (th_bytes_in_use() != before) abort();
    return 0;
}
