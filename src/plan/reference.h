/* A graph evaluated in double precision, one operation after the other, by reference kernels: what every plan, every
 * gradient and every rewrite is held against. Slow. */
#ifndef TH_PLAN_REFERENCE_H
#define TH_PLAN_REFERENCE_H

#include "graph/graph.h"

typedef struct th_reference th_reference;

th_status th_reference_new(const th_graph *g, th_reference **out);
void th_reference_free(th_reference *r);
/* Values of an input, a parameter (by its name) or an output; filled or read by the caller. NULL if there is none. */
double *th_reference_values(th_reference *r, const char *name);
double *th_reference_output(th_reference *r, const char *name);
void th_reference_run(th_reference *r);

#endif
