/* A parameter inside: its values in their home layout, its gradient, its packed copies. */
#ifndef TH_GRAPH_PARAM_H
#define TH_GRAPH_PARAM_H

#include "graph/graph.h"

/* How a parameter's bytes lie. Kernels may want blocked layouts; only they know what is in `blob`, and `move` is
 * theirs. A zeroed layout (move NULL) is row-major and dense. Layouts live as long as the program. */
typedef struct th_layout {
    size_t elements; /* padding included; 0 for row-major: the desc knows */
    const void *blob;
    bool (*same)(const void *a, const void *b);
    /* Copies values of shape d between layouts and dtypes; NULL stands for row-major. */
    th_status (*move)(const th_desc *d, const struct th_layout *from, th_dtype from_type, const void *src,
                      const struct th_layout *to, th_dtype to_type, void *dst);
} th_layout;

typedef struct {
    th_dtype dtype;
    th_layout layout;
    void *data;
    int users; /* plans that read it; 0: the place is free */
} th_pack;

#define TH_PARAM_MAX_PACKS 6

struct th_param {
    char *name;
    th_desc desc;
    th_layout home;
    bool home_settled; /* a plan chose it, others must adapt */
    bool trainable;
    int plans;           /* that use it: when the last is gone, another may choose the home */
    float *value, *grad; /* home layout; NULL until allocated */
    th_pack packs[TH_PARAM_MAX_PACKS];
    int n_packs; /* places taken so far, free ones included */
};

bool th_layout_same(const th_layout *a, const th_layout *b);
/* Elements that value, grad and optimizer state have: those of the home layout. */
int64_t th_param_elements(const th_param *p);
/* Moves the values to another home; the gradient buffer follows empty. */
th_status th_param_settle(th_param *p, const th_layout *home);
/* A plan uses the parameter from now on, or no longer. */
void th_param_join(th_param *p);
void th_param_leave(th_param *p);

/* The number of the copy in this dtype and layout: −1 stands for the values themselves, TH_PARAM_NO_PACK for none. */
int th_param_find_pack(const th_param *p, th_dtype dtype, const th_layout *layout);
enum { TH_PARAM_NO_PACK = -2 };
/* The same, where one that is not there is made; it has one user more. */
th_status th_param_pack(th_param *p, th_dtype dtype, const th_layout *layout, int *pack);
/* One user less; the last takes the copy with it. −1 is allowed. */
void th_param_unpack(th_param *p, int pack);
const void *th_param_data(const th_param *p, int pack);
/* Brings the packed copies up to date with the values, all but number `but` (−1: all). */
th_status th_param_refresh(th_param *p, int but);
/* The values in this dtype and layout into `to`, of th_param_copy_bytes; by all of OpenMP's threads. */
th_status th_param_copy(const th_param *p, th_dtype dtype, const th_layout *layout, void *to);
size_t th_param_copy_bytes(const th_param *p, th_dtype dtype, const th_layout *layout);
/* What lies as the values do, such as their moments, to row-major order and back: [th_param_elements(p)] and the count
 * of the desc. */
th_status th_param_to_rows(const th_param *p, const float *home, float *rows);
th_status th_param_from_rows(const th_param *p, const float *rows, float *home);
th_status th_param_allocate(th_param *p, bool with_grad);
/* Bytes of values and packs, and of the gradient if asked, allocated or not. */
size_t th_param_bytes(const th_param *p, bool with_grad);

/* A parameter as a leaf of another dtype than f32. */
th_tensor *th_use_as(th_graph *g, th_param *p, th_dtype dtype);

#endif
