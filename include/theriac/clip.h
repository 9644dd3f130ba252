/* CLIP (Radford et al. 2021): an image tower and a text tower whose unit embeddings meet. Folders are those of Hugging
 * Face's CLIPModel; OpenCLIP's ViT weights load too. */
#ifndef THERIAC_CLIP_H
#define THERIAC_CLIP_H

#include "theriac/graph.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct th_clip th_clip;

typedef struct {
    int64_t width, heads, layers, mlp;
    bool quick_gelu; /* else gelu */
    float eps;       /* of the norms */
} th_clip_tower;

typedef struct {
    th_clip_tower vision, text;
    int64_t image_size, patch_size; /* pixels; a remainder of the side over the patch is left out */
    int64_t vocab_size, context;    /* tokens */
    int64_t eos_token_id;           /* 2 stands for the old rule: the largest id of a text is its end */
    int64_t bos_token_id, pad_token_id;
    int64_t projection; /* length of an embedding */
    float logit_scale;  /* initial logarithm of the temperature */
} th_clip_config;

/* ViT-B/32 as OpenAI published it. */
void th_clip_config_init(th_clip_config *c);
/* The sizes of a named model ("clip-vit-b32", "clip-vit-b16", "clip-vit-l14"); TH_E_USAGE for other names. */
th_status th_clip_config_named(const char *name, th_clip_config *c);

/* A model without values: they come from th_clip_randomize or a load. The config is checked. */
th_status th_clip_new(const th_clip_config *config, th_clip **out);
void th_clip_free(th_clip *m);
const th_clip_config *th_clip_get_config(const th_clip *m);
th_params *th_clip_params(const th_clip *m);
/* Random values to train from, a function of the seed. */
th_status th_clip_randomize(th_clip *m, uint64_t seed);

/* Loads a folder: config.json with model.safetensors (or shards), or OpenCLIP's open_clip_config.json with
 * open_clip_model.safetensors. */
th_status th_clip_load(const char *dir, th_clip **out);
/* Only the shapes: what planning and `inspect` need. */
th_status th_clip_load_config(const char *dir, th_clip_config *out);
/* Writes config.json and model.safetensors in f32, f16 or bf16 ("f32", "f16", "bf16"). */
th_status th_clip_save(const th_clip *m, const char *dir, const char *dtype);

/* images [n, side, side, 3], normalised → unit rows [n, projection]. */
th_tensor *th_clip_embed_images(th_graph *g, const th_clip *m, th_tensor *images);
/* ids i32 [n, t], t ≤ context; ends i32 [n]: i · t + the place of text i's end token → unit rows [n, projection]. */
th_tensor *th_clip_embed_texts(th_graph *g, const th_clip *m, th_tensor *ids, th_tensor *ends);
/* e^logit_scale: []. */
th_tensor *th_clip_scale(th_graph *g, const th_clip *m);
/* Where text `ids` of `count` tokens ends, by the model's rule. */
int64_t th_clip_find_end(const th_clip_config *c, const int32_t *ids, int64_t count);
/* Mean cross-entropy of logits [n, m], m ≥ n, where row i should find column i → []. */
th_tensor *th_clip_diagonal(th_graph *g, th_tensor *logits);
/* CE(s a bᵀ, diagonal) for unit rows a: [n, d], b: [m, d] → []. */
th_tensor *th_clip_match(th_graph *g, th_tensor *a, th_tensor *b, th_tensor *scale);
/* ½ (CE(s a bᵀ, diagonal) + CE(s b aᵀ, diagonal)) for unit rows a, b: [n, d]; the symmetric loss of CLIP → []. */
th_tensor *th_clip_contrastive(th_graph *g, th_tensor *a, th_tensor *b, th_tensor *scale);

/* Embeddings without gradients, batch by batch. The model must outlive it; changed parameters are seen. */
typedef struct th_clip_embedder th_clip_embedder;
typedef struct {
    int64_t batch, tokens; /* texts are [n, tokens]; 0: the model's context */
    int threads;
    th_dtype compute;
} th_clip_embedder_params;
void th_clip_embedder_params_init(th_clip_embedder_params *p); /* 64, 0, all, f32 */
th_status th_clip_embedder_new(const th_clip *m, const th_clip_embedder_params *p, th_clip_embedder **out);
void th_clip_embedder_free(th_clip_embedder *e);
/* images [n, side, side, 3], normalised → out [n, projection], unit rows. Any n. */
th_status th_clip_embedder_images(th_clip_embedder *e, const float *images, int64_t n, float *out);
/* ids [n, tokens] → out [n, projection]. Ids outside the vocabulary are TH_E_INPUT. */
th_status th_clip_embedder_texts(th_clip_embedder *e, const int32_t *ids, int64_t n, float *out);

#ifdef __cplusplus
}
#endif
#endif
