/* A CLIP folder as people use it: the model with its tokenizer and its preprocessing. */
#ifndef TH_TRAIN_CLIP_BUNDLE_H
#define TH_TRAIN_CLIP_BUNDLE_H

#include "base/hash.h"
#include "base/option.h"
#include "data/preprocess.h"
#include "format/tokenizer.h"
#include "theriac/clip.h"

typedef struct {
    th_clip *model;
    th_tokenizer *tokenizer;
    th_preprocess_params preprocess;
    th_text_cleaning cleaning; /* of texts before they are tokenized; none after loading */
    char *dir;                 /* where it came from; NULL for a new model */
} th_clip_bundle;

/* The option that says how texts are cleaned. */
#define TH_OPT_CLEAN                    \
    TH_OPT_CHOICE(                      \
        "clean", "none|openai", "none", \
        "what texts go through before they are tokenized; openai: HTML entities and broken Unicode are mended")

/* A tokenizer with ids that the model does not have is TH_E_INPUT. */
th_status th_clip_bundle_load(const char *dir, th_clip_bundle *out);
void th_clip_bundle_free(th_clip_bundle *b);
/* Writes model, tokenizer (the very files it came from, where these are such as transformers reads) and
 * preprocessor_config.json. */
th_status th_clip_bundle_save(const th_clip_bundle *b, const char *dir, const char *dtype);

/* What names the weights in a folder: SHA-256 of its .safetensors file, or of its shards one after the other, as
 * `cat model-*.safetensors | sha256sum` prints it. */
th_status th_clip_weights_hash(const char *dir, char out[TH_HASH_TEXT]);

/* Texts as the model's text tower takes them: ids [n, tokens], cut and padded. texts: n strings. */
th_status th_clip_bundle_encode(const th_clip_bundle *b, const char *const *texts, int64_t n, int64_t tokens,
                                int32_t *ids);
/* Embeddings of texts, unit rows [n, projection]. */
th_status th_clip_bundle_embed_texts(const th_clip_bundle *b, th_clip_embedder *e, const char *const *texts, int64_t n,
                                     float *out);
/* The embedding of one picture file [projection]. */
th_status th_clip_bundle_embed_file(const th_clip_bundle *b, th_clip_embedder *e, const char *path, float *out);

#endif
