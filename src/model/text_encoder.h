/* The text encoder of Stable Diffusion, as transformers' CLIPTextModel without projection. */
#ifndef TH_MODEL_TEXT_ENCODER_H
#define TH_MODEL_TEXT_ENCODER_H

#include "model/transformer.h"
#include "theriac/clip.h"

typedef struct {
    th_clip_tower tower;
    int64_t vocab_size, context; /* tokens */
    int64_t bos_token_id, eos_token_id, pad_token_id;
    int64_t projection_dim; /* kept for the file */
} th_text_encoder_config;

typedef struct th_text_encoder th_text_encoder;

void th_text_encoder_config_init(th_text_encoder_config *c); /* the sizes of SD 1.5 */
th_status th_text_encoder_read_config(const char *dir, th_text_encoder_config *c);
th_status th_text_encoder_write_config(const th_text_encoder_config *c, const char *dir, const char *dtype);
th_status th_text_encoder_new(const th_text_encoder_config *config, th_text_encoder **out);
void th_text_encoder_free(th_text_encoder *m);
const th_text_encoder_config *th_text_encoder_get_config(const th_text_encoder *m);
th_params *th_text_encoder_params(const th_text_encoder *m);
th_status th_text_encoder_randomize(th_text_encoder *m, uint64_t seed);
th_status th_text_encoder_load(th_text_encoder *m, const char *dir, const char *variant);
th_status th_text_encoder_save(const th_text_encoder *m, const char *dir, const char *dtype);

/* Rows for `count` new tokens beside the table of embeddings, with ids from vocab_size on, as textual inversion learns
 * them: a parameter [count, width] in a set of its own, "string_to_param". Values: th_param_set. Once for each model.
 */
th_status th_text_encoder_add_tokens(th_text_encoder *m, int64_t count);
th_params *th_text_encoder_added(const th_text_encoder *m); /* NULL: there are none */
/* The embedding of a token into out [width]. */
th_status th_text_encoder_get_row(const th_text_encoder *m, int32_t id, float *out);

/* ids i32 [n, t], t ≤ context → the last hidden states after the final norm [n, t, width]. Ids of added tokens are
 * allowed: they are told apart in the graph. */
th_tensor *th_text_encoder_apply(th_graph *g, const th_text_encoder *m, th_tensor *ids);

#endif
