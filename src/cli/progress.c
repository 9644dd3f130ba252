/* The progress line. The rate is a mean over about the last ten seconds, weighted so that it is right from the first
 * redraw on: r ← r + a (Δunits/Δt − r), n ← n + a (1 − n), shown as r / n, with a = 1 − exp(−Δt / 10 s). */
#include "cli/progress.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/machine.h"
#include "base/number.h"
#include "cli/text.h"

enum { REDRAWS_A_SECOND = 10, SMOOTHING_SECONDS = 10 };

void th_progress_open(th_progress *p, bool quiet) {
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
    *p = (th_progress){.on = !quiet && isatty(STDERR_FILENO)};
    p->plain = (no_color && *no_color) || !term || !strcmp(term, "dumb");
}

static void begin(th_progress *p, double now, const char *what, int64_t done) {
    snprintf(p->what, sizeof p->what, "%s", what);
    p->began = p->last = now;
    p->first = p->at = done;
    p->rate = p->norm = 0;
}

static void add_speed(const th_progress *p, int64_t done, int64_t total, char *out, size_t room) {
    double rate = p->norm > 0 ? p->rate / p->norm : 0;
    char speed[TH_NUMBER_TEXT], left[TH_NUMBER_TEXT];
    if (rate <= 0) return;
    if (rate < 1)
        th_human_seconds(speed, 1 / rate);
    else
        th_human_count(speed, rate);
    int n = snprintf(out, room, rate < 1 ? "  %s each" : "  %s/s", speed);
    if (total <= done || n < 0 || (size_t)n >= room) return;
    th_human_seconds(left, (double)(total - done) / rate);
    snprintf(out + n, room - (size_t)n, "  %s left", left);
}

bool th_progress_line(th_progress *p, double now, const char *what, int64_t done, int64_t total, const char *detail,
                      char out[TH_PROGRESS_MAX]) {
    bool new_phase = strncmp(p->what, what, sizeof p->what - 1) != 0 || done < p->at;
    if (new_phase) begin(p, now, what, done);
    double passed = now - p->last;
    if (!new_phase && passed < 1.0 / REDRAWS_A_SECOND) return false;
    if (passed > 0) {
        double a = 1 - exp(-passed / SMOOTHING_SECONDS);
        p->rate += a * ((double)(done - p->at) / passed - p->rate);
        p->norm += a * (1 - p->norm);
    }
    p->last = now, p->at = done;
    char count[64] = "", speed[96] = "";
    if (total > 0)
        snprintf(count, sizeof count, "%lld/%lld  %d%%", (long long)done, (long long)total,
                 (int)(100.0 * (double)done / (double)total));
    else if (done != TH_PROGRESS_UNCOUNTED)
        snprintf(count, sizeof count, "%lld", (long long)done);
    add_speed(p, done, total, speed, sizeof speed);
    snprintf(out, TH_PROGRESS_MAX, "%s  %s%s%s%.200s", p->what, count, speed, detail ? "  " : "", detail ? detail : "");
    return true;
}

static int columns_of_terminal(void) {
    struct winsize size;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

void th_progress_show(void *user, const char *what, int64_t done, int64_t total, const char *detail) {
    th_progress *p = user;
    char line[TH_PROGRESS_MAX];
    if (!p->on || !th_progress_line(p, th_seconds(), what, done, total, detail, line)) return;
    /* One column stays free, for some terminals break the line in the last. */
    line[th_text_fit(line, columns_of_terminal() - 1)] = '\0';
    int width = th_text_width(line);
    if (p->plain)
        fprintf(stderr, "\r%s%*s", line, p->shown > width ? p->shown - width : 0, "");
    else
        fprintf(stderr, "\r%s\x1b[K", line);
    fflush(stderr);
    p->shown = width;
}

void th_progress_clear(th_progress *p) {
    if (!p->shown) return;
    if (p->plain)
        fprintf(stderr, "\r%*s\r", p->shown, "");
    else
        fputs("\r\x1b[K", stderr);
    fflush(stderr);
    p->shown = 0;
}
