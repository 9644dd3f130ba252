/* A loop over independent items on several threads. */
#ifndef TH_DATA_PARALLEL_H
#define TH_DATA_PARALLEL_H

#include "base/status.h"

#define TH_PARALLEL_MAX 64

/* Calls each(context, worker, i) for every i in [0, n), in any order, on `threads` threads with worker numbers from 0;
 * the calling thread is worker 0 and reports to watch. The first failure ends it and is returned, message and all. */
typedef th_status (*th_parallel_fn)(void *context, int worker, int64_t i);
th_status th_parallel_for(int64_t n, int threads, th_parallel_fn each, void *context, const th_watch *watch,
                          const char *what);

#endif
