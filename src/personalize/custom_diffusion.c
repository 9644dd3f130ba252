/* Custom diffusion (Kumari et al. 2023, arXiv 2212.04488): the keys' and values' projections of every cross-attention
 * learn the subject, together with a new word. The keys and values of a text's first token, which is the same for all
 * texts, pass no gradient on, as in diffusers' processor. */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "personalize/custom_file.h"
#include "personalize/embedding_file.h"
#include "personalize/personalize_parts.h"

static const th_option options[] = {
    TH_OPT_STRING("word", "<new1>", "the new word; empty: none, the projections alone learn", .argument = "WORD"),
    TH_OPT_STRING("initializer", "ktn", "a rare word that is one token, whose embedding it starts from",
                  .argument = "WORD"),
    TH_OPT_END,
};

static bool has_word(const th_personal *p) {
    const char *word = th_get_str(p->options, "word");
    return word && *word;
}

static th_status prepare(th_personal *p) {
    const th_params *ps = th_unet_params(p->sd->unet);
    for (int64_t i = 0; i < th_params_count(ps); i++) {
        th_param *q = th_params_at(ps, i);
        th_param_set_trainable(q, th_custom_has(th_param_name(q)));
    }
    th_unet_hold_first_token(p->sd->unet, true);
    TH_TRY(th_personal_train(p, ps));
    if (!has_word(p)) return TH_OK;
    return th_personal_add_word(p, th_get_str(p->options, "word"), th_get_str(p->options, "initializer"), 1);
}

static th_status start(th_personal *p) { return has_word(p) ? th_personal_start_word(p) : TH_OK; }

static th_status save(const th_personal *p, const char *dir, const char *dtype) {
    char path[TH_PATH_MAX], name[256];
    TH_TRY(th_custom_save(p->sd->unet, dir, dtype));
    if (!has_word(p)) return TH_OK;
    if (snprintf(name, sizeof name, "%s.safetensors", p->word) >= (int)sizeof name || strchr(p->word, '/'))
        return th_fail(TH_E_USAGE, "--word: is no name for a file");
    TH_TRY(th_path_join(path, dir, name));
    return th_embedding_save(p->sd, 0, path);
}

const th_personalizer th_personalizer_custom_diffusion = {
    .name = "custom-diffusion",
    .summary = "train the cross-attentions' keys and values, and a new word",
    .options = options,
    .recipe = {.lr = 1e-5, .steps = 250, .clip = 1, .crop = TH_CROP_SQUASH, .filter = TH_RESIZE_BILINEAR},
    .prior = true,
    .prepare = prepare,
    .start = start,
    .write = save,
    .usage = "Keys and values of the cross-attentions, and the embedding of the new word: "
             "`theriac generate --custom DIR --embedding 'DIR/WORD.safetensors'`, or "
             "`pipe.unet.load_attn_procs(DIR, weight_name=\"" TH_CUSTOM_FILE "\", _pipeline=pipe)` and "
             "`pipe.load_textual_inversion(DIR, weight_name=\"WORD.safetensors\")`.",
};
