/* The progress line on the terminal: what, how far, how fast, how long still. */
#ifndef TH_CLI_PROGRESS_H
#define TH_CLI_PROGRESS_H

#include "base/status.h"

typedef struct {
    bool on;            /* standard error is a terminal and nobody asked for quiet */
    bool plain;         /* no escape sequences: NO_COLOR, or a terminal that knows none */
    int shown;          /* columns that the line on the screen takes up; 0: none is there */
    char what[48];      /* the phase that goes on */
    double began, last; /* seconds: the phase's first report; the last redraw */
    int64_t first, at;  /* units done then */
    double rate, norm;  /* smoothed units a second, and the weight it has gathered */
} th_progress;

#define TH_PROGRESS_MAX 512
#define TH_PROGRESS_UNCOUNTED (-1) /* for `done`: what goes on tells itself how far it is */

void th_progress_open(th_progress *p, bool quiet);
/* A th_progress_fn whose user is a th_progress. Redraws at most ten times a second. */
void th_progress_show(void *p, const char *what, int64_t done, int64_t total, const char *detail);
/* Takes the line away, so that others may print. */
void th_progress_clear(th_progress *p);

/* The line at time `now` (seconds) into out; false when it is too early to draw again. */
bool th_progress_line(th_progress *p, double now, const char *what, int64_t done, int64_t total, const char *detail,
                      char out[TH_PROGRESS_MAX]);

#endif
