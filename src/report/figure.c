/* The frame of HTML around figures. */
#include "report/figure.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/number.h"
#include "report/svg.h"

void th_figure_begin(th_str *out, const char *class, const char *title, const char *caption) {
    th_str_printf(out, "<figure class=\"%s\">\n<figcaption>", class);
    if (title) {
        th_str_puts(out, "<strong>");
        th_str_html(out, title);
        th_str_puts(out, "</strong>");
    }
    if (caption) {
        th_str_puts(out, title ? " " : "");
        th_str_html(out, caption);
    }
    th_str_puts(out, "</figcaption>\n");
}

void th_figure_end(th_str *out) { th_str_puts(out, "</figure>\n"); }

void th_figure_note(th_str *out, const char *format, ...) {
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    th_str_puts(out, "<p class=\"aside\">");
    th_str_html(out, text);
    th_str_puts(out, "</p>\n");
}

void th_figure_cell(th_str *out, double v) {
    char text[TH_NUMBER_TEXT] = "–";
    double scale = v == 0 ? 1 : pow(10, 5 - floor(log10(fabs(v))));
    double six = round(v * scale) / scale;
    if (isfinite(v)) th_print_f64(text, isfinite(six) ? six : v);
    th_str_printf(out, "<td>%s</td>", text);
}

void th_svg_begin(th_str *out, bool narrow, double width, double height, const char *title) {
    th_str_printf(out, "<svg class=\"%s\" viewBox=\"0 0 ", narrow ? "narrow" : "wide");
    th_svg_number(out, width);
    th_str_puts(out, " ");
    th_svg_number(out, height);
    th_str_puts(out, "\" role=\"img\" aria-label=\"");
    th_str_html(out, title ? title : "figure");
    th_str_puts(out, "\">\n");
}

void th_svg_end(th_str *out) { th_str_puts(out, "</svg>\n"); }

void th_legend(th_str *out, const char *const *names, int64_t count, bool line, bool bar) {
    int64_t named = 0;
    for (int64_t i = 0; i < count; i++) named += names[i] && *names[i];
    if (named < 2) return;
    th_str_puts(out, "<ul class=\"legend\">\n");
    for (int64_t i = 0; i < count; i++) {
        if (!names[i] || !*names[i]) continue;
        th_str_printf(out, "<li class=\"s%d\"><svg viewBox=\"0 0 26 14\" aria-hidden=\"true\">",
                      (int)(i % TH_SERIES_COLORS));
        if (bar)
            th_str_puts(out, "<rect class=\"m\" x=\"5\" y=\"1\" width=\"16\" height=\"12\" rx=\"2\"/>");
        else {
            if (line) th_svg_line(out, "l", 1, 7, 25, 7);
            th_svg_marker(out, (int)i, 13, 7, 4, NULL);
        }
        th_str_puts(out, "</svg>");
        th_str_html(out, names[i]);
        th_str_puts(out, "</li>\n");
    }
    th_str_puts(out, "</ul>\n");
}
