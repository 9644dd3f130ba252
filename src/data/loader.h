/* Batches made in the background, ahead of who uses them. What a batch holds is the business of a function that fills
 * one row; threads share out the rows as they come, so the function must depend on step and row alone. */
#ifndef TH_DATA_LOADER_H
#define TH_DATA_LOADER_H

#include "base/status.h"

/* A buffer of [batch] rows of so many bytes. */
typedef struct {
    const char *name; /* for messages */
    size_t bytes_per_sample;
} th_loader_field;

/* Fills row k of this step's batch: rows[i] is that row in field i, with undefined content. thread is in
 * [0, max(threads, 1)), for scratch of its own. */
typedef th_status (*th_loader_fill)(void *user, int thread, int64_t step, int64_t k, void *const *rows);

#define TH_LOADER_FIELDS_MAX 16
#define TH_LOADER_THREADS_MAX 64

typedef struct {
    int64_t batch;
    int depth;   /* batches made ahead of the one in use; 2 */
    int threads; /* 1. 0: no thread; batches are made when asked for. Threads that cannot be had are done without */
    const th_loader_field *fields;
    int field_count;
    th_loader_fill fill;
    void *user;
    int64_t end;           /* no step from this one on is made; 0, the default: there is no end */
    const th_watch *watch; /* for its stop; looked at by th_loader_next, in its thread. NULL is allowed */
} th_loader_params;
void th_loader_params_init(th_loader_params *p);

/* Bytes of all buffers. */
size_t th_loader_bytes(const th_loader_params *p);

typedef struct th_loader th_loader;
th_status th_loader_new(const th_loader_params *p, th_loader **out);
/* At any time: waits for the rows being filled, not for the batches. NULL is allowed. */
void th_loader_free(th_loader *l);

/* The batch of this step: (*fields)[i] is [batch, bytes_per_sample], valid until the next call. Steps must rise; the
 * first may be any, and what is left out was made in vain. An error of fill is that of the lowest failing row of the
 * step, with its message; the steps behind can still be asked for. One thread calls this. */
th_status th_loader_next(th_loader *l, int64_t step, void *const **fields);

/* Seconds spent waiting in th_loader_next so far. */
double th_loader_waited(const th_loader *l);

#endif
