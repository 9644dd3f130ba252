/* A CLIP folder of random values that sees 8 pixels and reads with the fixtures' tokenizer. */
#ifndef TH_TEST_TINY_CLIP_H
#define TH_TEST_TINY_CLIP_H

#include "test.h"

#include "train/clip_bundle.h"

static inline th_status put_clip(const char *dir) {
    th_clip_bundle b = {0};
    th_clip_config c;
    th_clip_config_init(&c);
    c.vision = (th_clip_tower){.width = 16, .heads = 2, .layers = 1, .mlp = 32, .eps = 1e-5f};
    c.text = c.vision;
    c.image_size = 8, c.patch_size = 4, c.projection = 8, c.context = 16;
    TH_TRY(th_tokenizer_load(TH_TEST_DATA "/tokenizer", &b.tokenizer));
    c.vocab_size = th_tokenizer_size(b.tokenizer);
    c.eos_token_id = 2; /* the largest id */
    TH_TRY(th_clip_new(&c, &b.model));
    TH_TRY(th_clip_randomize(b.model, 1));
    th_preprocess_params_init(&b.preprocess, 8);
    th_status s = th_clip_bundle_save(&b, dir, "f32");
    th_clip_bundle_free(&b);
    return s;
}

#endif
