/* Raising errors: set this thread's message and hand the status up. */
#ifndef TH_BASE_STATUS_H
#define TH_BASE_STATUS_H

#include "theriac/base.h"

#define TH_MESSAGE_MAX 512

/* Sets the message and returns s, so that `return th_fail(TH_E_INPUT, "%s: …", path);` reads as it acts. */
th_status th_fail(th_status s, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Puts "context: " before the message that is there and returns s. Does nothing on TH_OK. */
th_status th_fail_in(th_status s, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* For a failed system call: errno decides between TH_E_DISK, TH_E_MEMORY and TH_E_IO. */
th_status th_fail_errno(const char *path, const char *doing);
th_status th_fail_memory(void);

#define TH_TRY(call)                                      \
    do {                                                  \
        th_status th_try_status = (call);                 \
        if (th_try_status != TH_OK) return th_try_status; \
    } while (0)

/* As TH_TRY, for functions with one exit: sets `status` and jumps to `done`. */
#define TH_GO(call)                     \
    do {                                \
        status = (call);                \
        if (status != TH_OK) goto done; \
    } while (0)

static inline bool th_stopped(const th_watch *w) { return w && w->stop && *w->stop; }
static inline void th_report(const th_watch *w, const char *what, int64_t done, int64_t total, const char *detail) {
    if (w && w->progress) w->progress(w->user, what, done, total, detail);
}

#endif
