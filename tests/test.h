/* What every test program includes: cmocka with the headers it wants before it, and a check that names what failed. */
#ifndef TH_TEST_H
#define TH_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "theriac/base.h"

/* The call succeeds; else its message is printed. */
#define assert_ok(call)                                                                          \
    do {                                                                                         \
        th_status assert_ok_status = (call);                                                     \
        if (assert_ok_status != TH_OK)                                                           \
            fail_msg("%s: %s: %s", #call, th_status_text(assert_ok_status), th_error_message()); \
    } while (0)

/* The call fails with this status, and its message holds this text. */
#define assert_fails(call, status, text)                                                              \
    do {                                                                                              \
        th_status assert_fails_status = (call);                                                       \
        if (assert_fails_status != (status))                                                          \
            fail_msg("%s: gave \"%s\", expected \"%s\"", #call, th_status_text(assert_fails_status),  \
                     th_status_text(status));                                                         \
        if (!strstr(th_error_message(), (text)))                                                      \
            fail_msg("%s: the message is \"%s\", without \"%s\"", #call, th_error_message(), (text)); \
    } while (0)

/* Ends this test as skipped, with a line that says why: `make check` repeats it in its summary. */
#define skip_because(...) (print_message("skipped: " __VA_ARGS__), print_message("\n"), skip())

#endif
