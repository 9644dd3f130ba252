/* Weights in files: between the names and shapes of the ecosystem and a model's parameters. A model says by a function
 * where each of its parameters lies; reading and writing are the same for all. */
#ifndef TH_MODEL_WEIGHTS_H
#define TH_MODEL_WEIGHTS_H

#include <stdatomic.h>

#include "base/hash.h"
#include "format/safetensors.h"
#include "theriac/graph.h"

/* How a parameter's values lie in the file. */
typedef enum {
    TH_AS_IS,
    TH_PATCHES,    /* [d, 3, p, p] for the parameter's [d, p · p · 3] */
    TH_TRANSPOSED, /* [b, a] for [a, b] */
    TH_PART,       /* rows part · n … of a tensor that holds three parameters, one below the other */
} th_weight_form;

typedef struct {
    char name[256], old_name[256]; /* the second is looked for where the first is not; "": there is none */
    int rank;                      /* of the tensor in the file. Ones at the end of a shape may be there or not */
    int64_t shape[4];
    th_weight_form form;
    int part;
} th_weight_source;

/* The source of a parameter of this model. */
typedef th_status (*th_weight_map)(const void *model, const th_param *p, th_weight_source *out);
/* A parameter that lies in the file under its own name and with its own shape: what most are. Usable as a map. */
th_status th_weight_as_is(const void *model, const th_param *p, th_weight_source *out);
/* A product's weight whose name ends so is a 1 × 1 convolution in the file: [out, in, 1, 1]. */
void th_weight_is_convolution(th_weight_source *s, const char *end);

/* Reads all parameters of the set from a file, or the files of a folder (see th_safetensors_open), of the variant that
 * is asked for ("fp16") or else of what th_weights_find_variant finds. All tensors are looked at before memory is taken
 * for any, so the file's size bounds what a config can ask for. */
th_status th_weights_load(const char *path, const char *variant, th_params *ps, th_weight_map map, const void *model);
/* The same for files that should hold nothing else: a tensor that is no parameter's is TH_E_INPUT, since it belongs to
 * another model than the config describes. Buffers that end in "position_ids" are let be, and what `beside` (may be
 * NULL) says belongs to other models in the same files. */
th_status th_weights_load_whole(const char *path, const char *variant, th_params *ps, th_weight_map map,
                                const void *model, bool (*beside)(const char *name));
/* The same as th_weights_load from an open file. */
th_status th_weights_read(const th_safetensors *file, th_params *ps, th_weight_map map, const void *model);
/* Writes PATH, a .safetensors file, in "f32", "f16" or "bf16". Sources that share a tensor cannot be written. */
th_status th_weights_save(const char *path, const th_params *ps, th_weight_map map, const void *model,
                          const char *dtype);

/* The same where values are made one parameter at a time instead of being held: `make` fills those of parameter number
 * i of the set, row-major. Memory for the largest is taken. */
typedef th_status (*th_weight_maker)(void *user, const th_param *p, int64_t i, float *values);
th_status th_weights_save_made(const char *path, const th_params *ps, th_weight_map map, const void *model,
                               const char *dtype, th_weight_maker make, void *user);

/* The variant of a folder's weights: "" where there are files without one, or else the only one there is, such as
 * "fp16". Several are TH_E_INPUT that names them. A folder without weights has "". */
#define TH_VARIANT_MAX 64
th_status th_weights_find_variant(const char *dir, char out[TH_VARIANT_MAX]);
/* The file, or the folder's weights of that variant (NULL: what th_weights_find_variant finds). */
th_status th_weights_open(const char *path, const char *variant, th_safetensors **out);
/* All bytes of the files, in order. TH_E_INTERRUPTED soon after *stop (NULL: never) becomes true. */
th_status th_weights_hash(const char *path, const char *variant, const atomic_bool *stop, th_hash *h);

/* "f16" → TH_ST_F16; torch (may be NULL): "float16". TH_E_USAGE for other names. */
th_status th_saved_dtype(const char *name, th_st_dtype *out, const char **torch);

#endif
