/* Status codes and the message of the last error, one a thread. */
#include "base/status.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char message[TH_MESSAGE_MAX];

static const struct {
    int exit_code;
    const char *text;
} table[] = {
#define TH_STATUS_ROW(name, exit_code, text) {exit_code, text},
    TH_STATUS_TABLE(TH_STATUS_ROW)
#undef TH_STATUS_ROW
};

const char *th_version(void) { return TH_VERSION_STRING; }

const char *th_status_text(th_status s) { return (unsigned)s < TH_STATUS_COUNT ? table[s].text : "an unknown status"; }

int th_status_exit(th_status s) { return (unsigned)s < TH_STATUS_COUNT ? table[s].exit_code : 70; }

const char *th_error_message(void) { return message; }

th_status th_fail(th_status s, const char *format, ...) {
    char text[TH_MESSAGE_MAX]; /* an argument may be the old message */
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    memcpy(message, text, sizeof message);
    return s;
}

th_status th_fail_in(th_status s, const char *format, ...) {
    if (s == TH_OK) return s;
    char context[TH_MESSAGE_MAX], text[TH_MESSAGE_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(context, sizeof context, format, args);
    va_end(args);
    snprintf(text, sizeof text, "%.250s: %.250s", context, message);
    memcpy(message, text, sizeof message);
    return s;
}

th_status th_fail_errno(const char *path, const char *doing) {
    int e = errno;
    th_status s = e == ENOSPC || e == EDQUOT || e == EFBIG ? TH_E_DISK : e == ENOMEM ? TH_E_MEMORY : TH_E_IO;
    return th_fail(s, "%s: cannot %s: %s", path, doing, strerror(e));
}

th_status th_fail_memory(void) { return th_fail(TH_E_MEMORY, "out of memory"); }
