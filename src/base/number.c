/* Numbers as text. The C library's conversions follow the locale's decimal point, and linked libraries are known to set
 * the locale: each call here runs them in the "C" locale. */
#include "base/number.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* glibc and musl keep the "C" locale in static memory: nothing is allocated, nothing can fail. */
static locale_t enter_c_locale(void) { return uselocale(newlocale(LC_ALL_MASK, "C", (locale_t)0)); }
static void leave_c_locale(locale_t before) { uselocale(before); }

static void print(char out[TH_NUMBER_TEXT], const char *format, ...) __attribute__((format(printf, 2, 3)));
static void print(char out[TH_NUMBER_TEXT], const char *format, ...) {
    locale_t before = enter_c_locale();
    va_list args;
    va_start(args, format);
    vsnprintf(out, TH_NUMBER_TEXT, format, args);
    va_end(args);
    leave_c_locale(before);
}

bool th_parse_i64(const char *text, int64_t *out) {
    size_t sign = *text == '-' || *text == '+';
    if (!text[sign] || text[sign + strspn(text + sign, "0123456789")]) return false;
    errno = 0;
    long long v = strtoll(text, NULL, 10);
    if (errno) return false;
    *out = v;
    return true;
}

bool th_parse_f64(const char *text, double *out) {
    if (!*text || text[strspn(text, "0123456789+-.eE")]) return false;
    locale_t before = enter_c_locale();
    char *end;
    double v = strtod(text, &end);
    leave_c_locale(before);
    if (*end || end == text || !isfinite(v)) return false;
    *out = v;
    return true;
}

bool th_parse_size(const char *text, int64_t *out) {
    static const char units[] = "kmgtp";
    char number[TH_NUMBER_TEXT];
    size_t n = strspn(text, "0123456789.");
    if (n == 0 || n >= sizeof number) return false;
    memcpy(number, text, n);
    number[n] = '\0';
    const char *unit = text + n;
    double scale = 1;
    if (*unit && *unit != 'B') {
        const char *which = strchr(units, *unit | 0x20);
        if (!which) return false;
        for (const char *p = units; p <= which; p++) scale *= 1024;
        unit += unit[1] == 'i' ? 2 : 1;
    }
    if (*unit == 'B') unit++;
    double v;
    if (*unit || !th_parse_f64(number, &v)) return false;
    v *= scale;
    if (v >= 0x1p62 || v != floor(v)) return false;
    *out = (int64_t)v;
    return true;
}

void th_print_f64(char out[TH_NUMBER_TEXT], double v) {
    if (isnan(v)) {
        print(out, "nan");
        return;
    }
    if (fabs(v) < 1e15 && v == floor(v)) { /* "20", where %g would say "2e+01" */
        print(out, "%.0f", v);
        return;
    }
    for (int digits = 1; digits <= 17; digits++) {
        print(out, "%.*g", digits, v);
        double back;
        if (!isfinite(v) || (th_parse_f64(out, &back) && back == v)) return;
    }
}

void th_print_f32(char out[TH_NUMBER_TEXT], float v) {
    double back;
    for (int digits = 1; digits <= 9; digits++) {
        print(out, "%.*g", digits, (double)v);
        if (!isfinite(v) || (th_parse_f64(out, &back) && (float)back == v)) break;
    }
    if (isfinite(v) && th_parse_f64(out, &back) && fabs(back) < 1e15 && back == floor(back)) th_print_f64(out, back);
}

void th_print_fixed(char out[TH_NUMBER_TEXT], double v, int digits) {
    if (!isfinite(v)) {
        print(out, "–");
        return;
    }
    print(out, "%.*f", digits, v);
    /* "-0.00" says less than "0.00". */
    if (out[0] == '-' && !out[strspn(out, "-0.")]) memmove(out, out + 1, strlen(out));
}

void th_print_size(char out[TH_NUMBER_TEXT], int64_t bytes) {
    static const char units[] = "\0KMGTP";
    int unit = 0;
    while (bytes && bytes % 1024 == 0 && unit < 5) bytes /= 1024, unit++;
    print(out, "%lld%.1s", (long long)bytes, units + unit);
}

/* v over the largest power of base below it, to two digits after the point where there is room: 9.99, 99.9, 999. */
static void human(char out[TH_NUMBER_TEXT], double v, double base, const char *const *units, int count) {
    if (!isfinite(v)) {
        print(out, "–");
        return;
    }
    int unit = 0;
    while (unit + 1 < count && fabs(v) >= base * 0.9995) v /= base, unit++;
    int digits = fabs(v) < 9.995 ? 2 : fabs(v) < 99.95 ? 1 : 0;
    if (unit == 0) digits = v == floor(v) ? 0 : digits;
    char number[TH_NUMBER_TEXT];
    th_print_fixed(number, v, digits);
    if (strchr(number, '.')) {
        size_t n = strlen(number);
        while (number[n - 1] == '0') n--;
        number[n - (number[n - 1] == '.')] = '\0';
    }
    const char *space = *units[unit] ? " " : "";
    snprintf(out, TH_NUMBER_TEXT, "%.24s%s%s", number, space, units[unit]);
}

void th_human_count(char out[TH_NUMBER_TEXT], double v) {
    static const char *const units[] = {"", "k", "M", "G", "T", "P", "E"};
    human(out, v, 1000, units, 7);
}

void th_human_bytes(char out[TH_NUMBER_TEXT], double v) {
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    human(out, v, 1024, units, 7);
}

void th_human_seconds(char out[TH_NUMBER_TEXT], double v) {
    static const char *const small[] = {"ns", "µs", "ms", "s"};
    if (!isfinite(v) || v < 0 || v > 1e15) {
        print(out, "–");
    } else if (v < 59.95) {
        double ns = v * 1e9;
        human(out, v == 0 ? 0 : ns, 1000, small, 4);
        if (v == 0) print(out, "0 s");
    } else if (v < 3599.5) {
        int s = (int)(v + 0.5);
        print(out, s % 60 ? "%d min %d s" : "%d min", s / 60, s % 60);
    } else if (v < 48 * 3600) {
        int m = (int)(v / 60 + 0.5);
        print(out, m % 60 ? "%d h %d min" : "%d h", m / 60, m % 60);
    } else {
        int64_t h = (int64_t)(v / 3600 + 0.5);
        print(out, h % 24 ? "%lld d %lld h" : "%lld d", (long long)(h / 24), (long long)(h % 24));
    }
}
