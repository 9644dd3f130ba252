/* Tensors, graphs of operations, and parameters: what models are written in.
 *
 * A graph records; nothing is computed while it does. Errors stick: a call on wrong shapes returns a tensor all the
 * same, the graph keeps the first error, and th_plan_new (plan.h) returns it. So a model's code needs no checks between
 * its lines. */
#ifndef THERIAC_GRAPH_H
#define THERIAC_GRAPH_H

#include "theriac/base.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TH_MAX_RANK 6

typedef enum { TH_F32, TH_BF16, TH_I32, TH_DTYPE_COUNT } th_dtype;

/* The shape and type of a tensor; row-major, the last dimension contiguous. Images are [n, h, w, c]. Rank 0 is a
 * scalar. */
typedef struct {
    th_dtype dtype;
    int rank;
    int64_t dim[TH_MAX_RANK];
} th_desc;

typedef struct th_graph th_graph;
typedef struct th_tensor th_tensor;
typedef struct th_param th_param;
typedef struct th_params th_params;

size_t th_dtype_bytes(th_dtype t);
const char *th_dtype_name(th_dtype t);
/* Elements of a tensor; 1 for a scalar. */
int64_t th_desc_count(const th_desc *d);
size_t th_desc_bytes(const th_desc *d);
bool th_desc_same_shape(const th_desc *a, const th_desc *b);
#define TH_DESC_TEXT 128
/* "[2, 3]" into out, of TH_DESC_TEXT bytes; returns out. */
char *th_desc_text(const th_desc *d, char *out);
th_desc th_desc_make(th_dtype t, int rank, const int64_t *dim);
#define TH_DESC(dtype, ...) \
    th_desc_make(dtype, (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (const int64_t[]){__VA_ARGS__})

th_graph *th_graph_new(void); /* NULL when out of memory */
void th_graph_free(th_graph *g);
/* TH_OK, or the first error of the recording; its message is then this thread's. */
th_status th_graph_status(const th_graph *g);
/* Names the nodes recorded from here to the matching pop, for profiles and messages. */
void th_graph_push(th_graph *g, const char *format, ...) __attribute__((format(printf, 2, 3)));
void th_graph_pop(th_graph *g);

/* What is recorded while this is set, and its gradients, stays f32 even in a plan that computes in bf16: for losses. */
void th_graph_precise(th_graph *g, bool precise);

const th_desc *th_tensor_desc(const th_tensor *t);

/* A tensor whose values the caller gives before each run, under a name unique in the graph. */
th_tensor *th_input(th_graph *g, const char *name, th_desc d);
/* A parameter: f32, with the logical shape it was made with. */
th_tensor *th_use(th_graph *g, th_param *p);
/* Values fixed now; they are copied. */
th_tensor *th_constant(th_graph *g, th_desc d, const void *values);

/* Keeps t after the run, under a name. */
void th_output(th_graph *g, const char *name, th_tensor *t);
/* Keeps t, the gradient of p, in p's own gradient buffer. */
void th_output_grad(th_graph *g, th_param *p, th_tensor *t);

/* Appends the gradients of a scalar loss: out[i] = ∂loss/∂wrt[i], zeros where the loss does not depend on it. They are
 * tensors like any other, so they can be differentiated again. */
void th_grad(th_graph *g, th_tensor *loss, int count, th_tensor *const *wrt, th_tensor **out);

/* The gradients by every trainable parameter of the set, each kept in its parameter's gradient buffer. */
void th_grad_params(th_graph *g, th_tensor *loss, const th_params *ps);

/* A set of parameters, in the order they were added. */
th_params *th_params_new(void);
void th_params_free(th_params *ps);
/* Adds one, or returns NULL when out of memory or when the name is taken (see th_error_message). Its values are not
 * allocated yet: th_params_allocate does that for all. */
th_param *th_params_add(th_params *ps, const char *name, th_desc d);
/* Adds those of another set, which keeps owning them and must live longer: all of them, or none. */
th_status th_params_borrow(th_params *ps, const th_params *from);
th_param *th_params_find(const th_params *ps, const char *name);
int64_t th_params_count(const th_params *ps);
th_param *th_params_at(const th_params *ps, int64_t i);
/* Elements of all. */
int64_t th_params_elements(const th_params *ps);
/* Zeroed values for every parameter that has none yet. */
th_status th_params_allocate(th_params *ps);
/* Drops values, gradients and copies of those that the set owns, and their memory with them; plans that use them must
 * be gone. They can be allocated or set again. */
void th_params_release(th_params *ps);

const char *th_param_name(const th_param *p);
const th_desc *th_param_desc(const th_param *p);
bool th_param_trainable(const th_param *p);
void th_param_set_trainable(th_param *p, bool trainable);
/* Of all of the set; NULL is allowed. */
void th_params_set_trainable(th_params *ps, bool trainable);
/* Row-major values in and out; the caller's array has the parameter's element count. */
th_status th_param_get(const th_param *p, float *values);
th_status th_param_set(th_param *p, const float *values); /* allocates it if it is not yet */
th_status th_param_get_grad(const th_param *p, float *values);

#ifdef __cplusplus
}
#endif
#endif
