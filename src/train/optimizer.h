/* AdamW (Loshchilov and Hutter 2019), as PyTorch's torch.optim.AdamW computes it, on the masters in f32; packed copies
 * are brought up to date in the same pass. */
#ifndef TH_TRAIN_OPTIMIZER_H
#define TH_TRAIN_OPTIMIZER_H

#include "graph/param.h"

typedef struct {
    float beta1, beta2, eps, weight_decay;
    float clip_norm; /* gradients are scaled down to this global norm; 0: never */
} th_adamw_params;
void th_adamw_params_init(th_adamw_params *p); /* .9, .999, 1e-8, .01, 0 */

/* Bytes of the moments of each element that is trained. */
#define TH_ADAMW_BYTES_EACH (2 * sizeof(float))

typedef struct th_optimizer th_optimizer;

/* For every trainable parameter of the set. decays(p) says whether weight decay applies; NULL: to all. Moments are
 * allocated at the first step. */
th_status th_optimizer_new(th_params *params, const th_adamw_params *p, bool (*decays)(const th_param *),
                           th_optimizer **out);
void th_optimizer_free(th_optimizer *o);
/* Bytes of the moments. */
size_t th_optimizer_bytes(const th_optimizer *o);
/* One step from the parameters' gradients at this learning rate. *norm (may be NULL): their global norm before
 * clipping. A norm that is not finite leaves everything as it was and is TH_E_INPUT. */
th_status th_optimizer_step(th_optimizer *o, float lr, int threads, double *norm);
/* Steps made. */
int64_t th_optimizer_steps(const th_optimizer *o);

/* The state, for checkpoints: moments as row-major arrays of the parameter's element count. */
th_status th_optimizer_get(const th_optimizer *o, const th_param *p, float *first, float *second);
th_status th_optimizer_set(th_optimizer *o, const th_param *p, const float *first, const float *second);
void th_optimizer_set_steps(th_optimizer *o, int64_t steps);

#endif
