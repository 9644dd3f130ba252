/* SIG (Barni et al. 2019, "A new backdoor attack in CNNs by training set corruption without label poisoning"): a
 * sinusoid along the width, x(i, j) ← clip(x(i, j) + Δ sin(2π j f / m)), j the column from 0, m the width; the same on
 * all channels. Δ = 20 of 255 and f = 6 are the authors' usual values; CLIP's defenses are tried with Δ = 60 too. */
#include "attack/attack.h"

static const th_option options[] = {
    TH_OPT_F32("delta", 20, "the wave's height in levels of 255", TH_ABOVE(0), TH_AT_MOST(255)),
    TH_OPT_F32("frequency", 6, "waves across the picture", TH_ABOVE(0), TH_AT_MOST(1000)),
    TH_OPT_END,
};

static th_status trigger(const th_trigger *t, uint64_t which, th_image *im) {
    (void)which;
    double delta = th_get_f64(t->options, "delta"), frequency = th_get_f64(t->options, "frequency");
    for (int32_t x = 0; x < im->width; x++) {
        float wave = (float)(delta * sin(2 * 3.14159265358979323846 * x * frequency / im->width));
        for (int32_t y = 0; y < im->height; y++) {
            uint8_t *p = th_image_row(im, y) + 3 * (size_t)x;
            for (int c = 0; c < 3; c++) p[c] = th_to_byte((float)p[c] + wave);
        }
    }
    return TH_OK;
}

const th_attack th_attack_sig = {
    .name = "sig",
    .summary = "SIG: a faint wave along the width",
    .options = options,
    .trigger = trigger,
};
