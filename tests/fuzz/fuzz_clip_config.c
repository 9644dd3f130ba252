/* CLIP's configs, of both kinds: one that is accepted makes a model whose every weight has a name in the file, and is
 * written so that it reads back the same. */
#include <stdlib.h>

#include "base/memory.h"
#include "base/str.h"
#include "model/clip_files.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool same_tower(const th_clip_tower *a, const th_clip_tower *b) {
    return a->width == b->width && a->heads == b->heads && a->layers == b->layers && a->mlp == b->mlp &&
           a->quick_gelu == b->quick_gelu && a->eps == b->eps;
}

static bool same(const th_clip_config *a, const th_clip_config *b) {
    return same_tower(&a->vision, &b->vision) && same_tower(&a->text, &b->text) && a->image_size == b->image_size &&
           a->patch_size == b->patch_size && a->vocab_size == b->vocab_size && a->context == b->context &&
           a->eos_token_id == b->eos_token_id && a->bos_token_id == b->bos_token_id &&
           a->pad_token_id == b->pad_token_id && a->projection == b->projection && a->logit_scale == b->logit_scale;
}

static void make(const th_clip_config *c, bool open_clip) {
    th_clip *m;
    if (c->vision.layers > 4 || c->text.layers > 4) return; /* for speed */
    if (th_clip_new(c, &m) != TH_OK) abort();
    if (th_params_elements(th_clip_params(m)) < 1) abort();
    for (int64_t i = 0; i < th_params_count(th_clip_params(m)); i++) {
        th_weight_source source;
        const th_param *p = th_params_at(th_clip_params(m), i);
        if (th_desc_count(th_param_desc(p)) < 1) abort();
        if (th_clip_weight_source(m, p, open_clip, &source) != TH_OK) abort();
    }
    th_clip_free(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    size_t before = th_bytes_in_use();
    for (int open_clip = 0; open_clip < 2; open_clip++) {
        th_clip_config c, again;
        if (th_clip_parse_config("fuzz.json", (const char *)data, size, open_clip, &c) != TH_OK) continue;
        th_str text;
        th_str_init(&text, 1 << 16);
        if (th_clip_print_config(&c, "float32", &text) != TH_OK) abort();
        if (th_clip_parse_config("again.json", text.data, text.length, false, &again) != TH_OK) abort();
        if (!same(&c, &again)) abort();
        th_str_free(&text);
        make(&c, open_clip);
    }
    if (th_bytes_in_use() != before) abort();
    return 0;
}
