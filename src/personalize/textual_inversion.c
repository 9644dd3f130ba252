/* Textual inversion (Gal et al. 2022, arXiv 2208.01618): everything stays but one new word, whose embedding is learned
 * from neutral sentences around it. As in diffusers' script, weight decay applies to the new rows and nothing is
 * clipped. */
#include "personalize/embedding_file.h"
#include "personalize/personalize_parts.h"

#include "base/file.h"

static const th_option options[] = {
    TH_OPT_STRING("word", NULL, "the new word, such as <my-bag>", .argument = "WORD", .required = true),
    TH_OPT_STRING("initializer", NULL, "a word that is one token, whose embedding it starts from: the class",
                  .argument = "WORD", .required = true),
    TH_OPT_INT("vectors", 1, "rows that stand for the word", TH_WITHIN(1, 32)),
    TH_OPT_CHOICE("teaches", "object|style", "object", "which sentences are used where no --instance-prompt is given"),
    TH_OPT_END,
};

static th_status prepare(th_personal *p) {
    th_options *o = p->options;
    return th_personal_add_word(p, th_get_str(o, "word"), th_get_str(o, "initializer"), th_get_i64(o, "vectors"));
}

static th_status save(const th_personal *p, const char *dir, const char *dtype) {
    char path[TH_PATH_MAX];
    (void)dtype;
    TH_TRY(th_path_join(path, dir, TH_EMBEDDING_FILE));
    return th_embedding_save(p->sd, 0, path);
}

const th_personalizer th_personalizer_textual_inversion = {
    .name = "textual-inversion",
    .summary = "learn one new word for a subject or a style; the model stays",
    .options = options,
    .recipe = {.lr = 5e-4, .steps = 3000, .crop = TH_CROP_SQUASH, .filter = TH_RESIZE_BICUBIC, .flip = true},
    .prepare = prepare,
    .start = th_personal_start_word,
    .write = save,
    .usage = "The embedding of a new word: `theriac generate --embedding DIR`, or `pipe.load_textual_inversion(DIR)`.",
};
