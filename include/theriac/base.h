/* What every part of theriac shares: status codes, the message of the last error, progress, version. */
#ifndef THERIAC_BASE_H
#define THERIAC_BASE_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TH_VERSION_STRING "0.1.0"

/* name, exit code of the command, what it means */
#define TH_STATUS_TABLE(X)                               \
    X(TH_OK, 0, "done")                                  \
    X(TH_E_USAGE, 2, "wrong usage")                      \
    X(TH_E_SHAPE, 2, "tensor shapes that do not fit")    \
    X(TH_E_INPUT, 3, "bad input")                        \
    X(TH_E_IO, 3, "a file could not be read or written") \
    X(TH_E_MEMORY, 4, "out of memory")                   \
    X(TH_E_DISK, 4, "out of disk space")                 \
    X(TH_E_INTERRUPTED, 5, "interrupted")                \
    X(TH_E_BUG, 70, "an internal error")

typedef enum {
#define TH_STATUS_ENUM(name, exit_code, text) name,
    TH_STATUS_TABLE(TH_STATUS_ENUM)
#undef TH_STATUS_ENUM
        TH_STATUS_COUNT
} th_status;

/* The version as MAJOR.MINOR.PATCH. */
const char *th_version(void);
/* The meaning of a status in a few words. */
const char *th_status_text(th_status s);
/* The exit code of the command for this status. */
int th_status_exit(th_status s);

/* The message of the last error on this thread: one line that names the file or tensor and what is wrong.
 * Valid until the next call that fails on this thread. Empty when nothing failed yet. */
const char *th_error_message(void);

/* Called now and then by long work, from the thread that started it. done of total units ("images", "steps");
 * total is 0 where it is not known. detail may be NULL. The library itself never prints. */
typedef void (*th_progress_fn)(void *user, const char *what, int64_t done, int64_t total, const char *detail);

/* What long work asks of its caller: where to report, and when to stop. A zeroed struct is valid: silent, never stops.
 */
typedef struct {
    th_progress_fn progress;
    void *user;
    const volatile sig_atomic_t *stop; /* non-zero asks for a clean stop: the call returns TH_E_INTERRUPTED */
} th_watch;

#ifdef __cplusplus
}
#endif
#endif
