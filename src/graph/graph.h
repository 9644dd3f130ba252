/* Inside a graph: nodes, tensors, and how an operation is recorded. */
#ifndef TH_GRAPH_GRAPH_H
#define TH_GRAPH_GRAPH_H

#include "base/memory.h"
#include "graph/op.h"
#include "theriac/graph.h"

struct th_tensor {
    th_desc desc;
    th_node *node;
    int index;  /* which output of its node */
    int64_t id; /* position among all tensors of the graph */
};

struct th_node {
    const th_op *op;
    const void *attr; /* the operation's own constants, in the graph's arena */
    size_t attr_bytes;
    int n_in, n_out;
    th_tensor **in;
    th_tensor *out;
    const char *scope; /* "vision.3", or "" */
    bool precise;      /* stays f32 when the plan computes in bf16 */
};

typedef struct {
    th_tensor *tensor;
    const char *name;
    th_param *param; /* not NULL: the tensor is this parameter's gradient */
} th_graph_output;

struct th_graph {
    th_arena *arena;
    th_node **nodes; /* in the order recorded, which is an order of execution */
    int64_t n_nodes, cap_nodes;
    int64_t n_tensors;
    th_graph_output *outputs;
    int64_t n_outputs, cap_outputs;
    const char *scope;
    bool precise;
    th_status status;
    char message[TH_MESSAGE_MAX];
    th_tensor failed; /* what every call returns once an error stuck */
};

/* Records one operation and returns its first output; the attributes are copied, and inferring the outputs' shapes may
 * fail the graph. */
th_tensor *th_record(th_graph *g, const th_op *op, const void *attr, size_t attr_bytes, int n_in, th_tensor *const *in);
/* Output i of the node that made t. */
th_tensor *th_output_of(th_tensor *t, int i);
/* Sets the graph's error, if it has none yet; returns the tensor that stands for failure. */
th_tensor *th_graph_fail(th_graph *g, th_status s, const char *format, ...) __attribute__((format(printf, 3, 4)));
static inline bool th_graph_failed(const th_graph *g) { return g->status != TH_OK; }

#define TH_RECORD(g, op, attr, ...)                                                                           \
    th_record(g, op, attr, sizeof *(attr), (int)(sizeof((th_tensor *[]){__VA_ARGS__}) / sizeof(th_tensor *)), \
              (th_tensor *[]){__VA_ARGS__})
#define TH_RECORD0(g, op, ...)                                                                   \
    th_record(g, op, NULL, 0, (int)(sizeof((th_tensor *[]){__VA_ARGS__}) / sizeof(th_tensor *)), \
              (th_tensor *[]){__VA_ARGS__})

#endif
