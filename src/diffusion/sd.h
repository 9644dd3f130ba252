/* A Stable Diffusion folder in diffusers' layout: model_index.json, unet, vae, text_encoder, tokenizer, scheduler. */
#ifndef TH_DIFFUSION_SD_H
#define TH_DIFFUSION_SD_H

#include "base/hash.h"
#include "diffusion/scheduler.h"
#include "format/tokenizer.h"
#include "model/text_encoder.h"
#include "model/unet.h"
#include "model/vae.h"

typedef enum { TH_SD_UNET = 1, TH_SD_VAE = 2, TH_SD_TEXT = 4, TH_SD_ALL = 7 } th_sd_parts;

/* A word that the tokenizer does not know: it stands for rows beside the text encoder's table, whose ids go on from
 * `first`. */
typedef struct {
    char *text;
    int32_t first;
    int64_t rows;
} th_sd_word;

typedef struct {
    th_unet *unet;
    th_vae *vae;
    th_text_encoder *text;
    th_tokenizer *tokenizer;
    th_scheduler_config scheduler;
    char *dir;         /* where it came from; NULL for a new one */
    char *variant;     /* which was asked for there; NULL: none */
    th_sd_word *words; /* added by th_sd_add_words */
    int64_t word_count;
} th_sd;

typedef struct {
    th_unet_config unet;
    th_vae_config vae;
    th_text_encoder_config text;
    th_scheduler_config scheduler;
} th_sd_config;

typedef struct {
    unsigned parts;      /* whose values are read; the other models are made without values */
    const char *variant; /* "fp16"; NULL: of each part the plain files, or the only variant that there is */
} th_sd_load_params;

/* "sd15", "sd21" (768 px, v-prediction), "sd21-base"; TH_E_USAGE for other names. */
th_status th_sd_config_named(const char *name, th_sd_config *c);
/* A folder's configs alone. Parts that do not fit each other (cross_attention_dim, latent channels) are TH_E_INPUT. */
th_status th_sd_read_config(const char *dir, th_sd_config *c);
/* Models without values, and no tokenizer. */
th_status th_sd_new(const th_sd_config *c, th_sd *out);
/* p may be NULL: all parts. */
th_status th_sd_load(const char *dir, const th_sd_load_params *p, th_sd *out);
void th_sd_free(th_sd *sd); /* a zeroed one is allowed */
/* Whether a folder has model_index.json. */
bool th_sd_is_folder(const char *dir);
/* model_index.json alone; what other parts than these five the pipeline would have is ignored where it is a safety
 * checker or what that needs, else TH_E_INPUT by name. */
th_status th_sd_check_index(const char *dir);
/* The same from memory; name is for errors. */
th_status th_sd_parse_index(const char *name, const char *text, size_t length);
/* Drops the values of parts, and with them their memory; plans that use them must be gone. */
void th_sd_release(th_sd *sd, unsigned parts);
/* Writes the whole folder in this type. Parts in `same` are taken from sd->dir as they are, file by file. */
th_status th_sd_save(const th_sd *sd, const char *dir, const char *dtype, unsigned same);
/* What names the weights: SHA-256 over those of unet, vae and text_encoder. */
th_status th_sd_weights_hash(const char *dir, char out[TH_HASH_TEXT]);
/* The same by a thread beside other work, such as loading the folder: at full size it takes seconds. variant as in
 * th_sd_load_params. The thread's errors come from _finish, which waits; _free (NULL is allowed) breaks off. */
typedef struct th_sd_hasher th_sd_hasher;
th_status th_sd_hasher_start(const char *dir, const char *variant, th_sd_hasher **out);
th_status th_sd_hasher_finish(th_sd_hasher *h, char out[TH_HASH_TEXT]);
void th_sd_hasher_free(th_sd_hasher *h);

/* Texts as the text encoder takes them: ids [n, context], cut and padded. *cut (may be NULL): how many had to be cut.
 */
th_status th_sd_encode_texts(const th_sd *sd, const char *const *texts, int64_t n, int32_t *ids, int64_t *cut);

/* One text, added words in it replaced by their rows' ids: ids [context], cut and padded; *count (may be NULL): ids
 * before cutting, ends included. */
th_status th_sd_encode_text(const th_sd *sd, th_tokenizer_work *w, const char *text, int32_t *ids, int64_t *count);
/* Gives the model words, word i with rows[i] rows (th_text_encoder_add_tokens, so once for each model), and values from
 * th_param_set of th_text_encoder_added. Words are found in texts wherever they stand, letters compared without case,
 * as transformers finds added tokens. One that the tokenizer reads as a single token already is TH_E_INPUT. */
th_status th_sd_add_words(th_sd *sd, const char *const *words, const int64_t *rows, int64_t n);
void th_sd_free_words(th_sd *sd); /* part of th_sd_free */

#endif
