/* Round ticks: steps of 1, 2 or 5 times a power of ten (Heckbert, "Nice numbers for graph labels", Graphics Gems,
 * 1990), decades and their parts on a logarithmic axis. */
#include "report/axis.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/number.h"

#define LARGEST 1e100 /* keeps every difference and quotient below far from overflow */

bool th_axis_holds(const th_axis *a, double v) {
    return isfinite(v) && fabs(v) < LARGEST && (!a->log || v > 1 / LARGEST);
}

/* "3×10⁻⁵", "10⁶" */
static void power_label(double v, char out[TH_TICK_LABEL]) {
    static const char *const digits[] = {"⁰", "¹", "²", "³", "⁴", "⁵", "⁶", "⁷", "⁸", "⁹"};
    int exponent = (int)floor(log10(fabs(v)) + 1e-9);
    double mantissa = v / pow(10, exponent);
    char factor[TH_NUMBER_TEXT] = "", power[12];
    const char *times = "";
    if (fabs(mantissa - 1) > 1e-6) {
        th_print_fixed(factor, mantissa, fabs(mantissa - round(mantissa)) < 1e-6 ? 0 : 1);
        times = "×";
    }
    snprintf(power, sizeof power, "%d", exponent < 0 ? -exponent : exponent);
    int n = snprintf(out, TH_TICK_LABEL, "%.12s%s10%s", factor, times, exponent < 0 ? "⁻" : "");
    for (const char *p = power; *p && n < TH_TICK_LABEL - 4; p++)
        n += snprintf(out + n, (size_t)(TH_TICK_LABEL - n), "%s", digits[*p - '0']);
}

static int digits_for(double step) {
    int digits = (int)ceil(-log10(step) - 1e-9);
    return digits < 0 ? 0 : digits > 12 ? 12 : digits;
}

void th_axis_label(const th_axis *a, double v, double step, char out[TH_TICK_LABEL]) {
    char text[TH_NUMBER_TEXT];
    if (a->percent) v *= 100, step *= 100;
    double size = fabs(v);
    if (!isfinite(v)) {
        snprintf(out, TH_TICK_LABEL, "–");
        return;
    }
    if (size > 0 && (size < 0.99e-3 || size >= 1e15)) {
        power_label(v, out);
    } else if (size >= 1e4) {
        th_human_count(text, v);
        snprintf(out, TH_TICK_LABEL, "%.24s", text);
    } else {
        if (step <= 0) step = size > 0 ? pow(10, floor(log10(size)) - 2) : 1;
        th_print_fixed(text, v, digits_for(step));
        snprintf(out, TH_TICK_LABEL, "%.24s", text);
    }
    size_t n = strlen(out);
    if (a->percent) snprintf(out + n, TH_TICK_LABEL - n, " %%");
}

static double round_step(double rough) {
    double power = pow(10, floor(log10(rough))), part = rough / power;
    return power * (part < 1.5 ? 1 : part < 3.5 ? 2 : part < 7.5 ? 5 : 10);
}

static void add_tick(th_axis *a, double v) {
    if (a->count < TH_TICKS_MAX) a->ticks[a->count++] = (th_tick){.value = v};
}

/* Makes room around a single value, and around values closer than a double can count steps between. */
static void open_up(double *low, double *high) {
    double size = fmax(fabs(*low), fabs(*high));
    if (*high - *low > size * 1e-9) return;
    double margin = size > 0 ? size * 0.1 : 1;
    *low -= margin, *high += margin;
}

static void linear_ticks(th_axis *a, double low, double high, int wanted, bool widen) {
    open_up(&low, &high);
    double step = round_step((high - low) / wanted);
    int64_t first = (int64_t)ceil(low / step - 1e-6), last = (int64_t)floor(high / step + 1e-6);
    if (widen) {
        first = (int64_t)floor(low / step + 1e-6), last = (int64_t)ceil(high / step - 1e-6);
        low = (double)first * step, high = (double)last * step;
    } else {
        /* An end just short of a tick reaches it: 3,999 steps are 4,000 to the eye. */
        double margin = 0.02 * (high - low);
        if ((double)(last + 1) * step - high < margin) high = (double)++last * step;
        if (low - (double)(first - 1) * step < margin) low = (double)--first * step;
    }
    a->low = low, a->high = high;
    for (int64_t i = first; i <= last; i++) {
        add_tick(a, (double)i * step);
        th_axis_label(a, (double)i * step, step, a->ticks[a->count - 1].label);
    }
}

/* Ticks at 1 … 9 times each power of ten; those labelled whose leading digit is in `which`, at every stride-th power.
 */
static int decade_ticks(th_axis *a, const char *which, int stride) {
    int labelled = 0;
    int first = (int)floor(log10(a->low) - 1e-9), last = (int)ceil(log10(a->high) + 1e-9);
    for (int e = first; e <= last; e++) {
        for (int digit = 1; digit <= (stride > 1 ? 1 : 9); digit++) {
            double v = digit * pow(10, e);
            if (v < a->low * (1 - 1e-9) || v > a->high * (1 + 1e-9) || a->count == TH_TICKS_MAX) continue;
            add_tick(a, v);
            if (!strchr(which, '0' + digit) || e % stride) continue;
            th_axis_label(a, v, digit * pow(10, e), a->ticks[a->count - 1].label);
            labelled++;
        }
    }
    return labelled;
}

static void log_ticks(th_axis *a, double low, double high, int wanted, bool widen) {
    double margin = high > low * 1.0000001 ? pow(high / low, 0.04) : 2;
    if (widen || high <= low * 1.0000001) low /= margin, high *= margin;
    a->low = low, a->high = high;
    double decades = log10(high / low);
    int stride = decades > wanted ? (int)ceil(decades / wanted) : 1;
    if (decade_ticks(a, "1", stride) >= 3 || decades > 3) return;
    a->count = 0;
    if (decade_ticks(a, "125", 1) >= 2) return;
    a->count = 0;
    linear_ticks(a, low, high, wanted, false); /* less than a factor of about two: places stay logarithmic */
}

void th_axis_fit(th_axis *a, double low, double high, int wanted, bool widen) {
    a->count = 0;
    if (!th_axis_holds(a, low) || !th_axis_holds(a, high) || high < low) low = a->log ? 1 : 0, high = a->log ? 10 : 1;
    if (wanted < 2) wanted = 2;
    if (wanted > 16) wanted = 16;
    if (a->log)
        log_ticks(a, low, high, wanted, widen);
    else
        linear_ticks(a, low, high, wanted, widen);
}

double th_axis_place(const th_axis *a, double v) {
    if (a->log) return log(v / a->low) / log(a->high / a->low);
    return (v - a->low) / (a->high - a->low);
}
