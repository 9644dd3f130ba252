/* Horizontal bars: the name of a group above its bars, so that it may be long and the screen narrow. */
#include <math.h>
#include <stdio.h>

#include "base/number.h"
#include "report/axis.h"
#include "report/figure.h"
#include "report/plot.h"
#include "report/svg.h"

enum { WIDE = 880, NARROW = 440, BAR = 17, BAR_GAP = 4, GROUP_GAP = 18, NAME = 19, TEXT = 13 };

typedef struct {
    const th_bars *bars;
    th_str *out;
    th_axis axis;
    double left, right;
    bool narrow;
} canvas;

static double across(const canvas *c, double v) { return c->left + th_axis_place(&c->axis, v) * (c->right - c->left); }

static void number_at(const canvas *c, int64_t i, char out[2 * TH_NUMBER_TEXT]) {
    char text[TH_NUMBER_TEXT];
    th_print_fixed(text, c->bars->percent ? 100 * c->bars->values[i] : c->bars->values[i], c->bars->digits);
    snprintf(out, 2 * TH_NUMBER_TEXT, "%s%s", text, c->bars->percent && isfinite(c->bars->values[i]) ? " %" : "");
}

/* The axis holds zero, every bar and every interval. */
static bool fit(canvas *c) {
    const th_bars *b = c->bars;
    double low = 0, high = 0;
    int64_t count = 0;
    for (int64_t i = 0; i < b->group_count * b->series_count; i++) {
        const double ends[] = {b->values[i], b->low ? b->low[i] : NAN, b->high ? b->high[i] : NAN};
        count += th_axis_holds(&c->axis, b->values[i]);
        for (int k = 0; k < 3; k++)
            if (th_axis_holds(&c->axis, ends[k])) low = fmin(low, ends[k]), high = fmax(high, ends[k]);
    }
    if (low == high) high = 1;
    th_axis_fit(&c->axis, low, high, c->narrow ? 4 : 6, true);
    if (b->percent && c->axis.high > 1 && high <= 1) c->axis.high = 1;
    return count > 0;
}

/* Where the number stands: past the bar and its interval. */
static double end_of(const canvas *c, int64_t i) {
    double v = c->bars->values[i], end = across(c, v);
    if (c->bars->high && v >= 0 && th_axis_holds(&c->axis, c->bars->high[i]))
        end = fmax(end, across(c, c->bars->high[i]));
    return fmax(end, across(c, 0));
}

static void draw_bar(const canvas *c, int64_t i, double top) {
    const th_bars *b = c->bars;
    char text[2 * TH_NUMBER_TEXT];
    double zero = across(c, 0), middle = top + BAR / 2.0;
    number_at(c, i, text);
    if (!th_axis_holds(&c->axis, b->values[i])) {
        th_svg_text(c->out, "t", zero + 6, middle + 4.5, "start", "–");
        return;
    }
    double end = across(c, b->values[i]);
    th_str_puts(c->out, "<rect class=\"m\"");
    th_svg_attribute(c->out, "x", fmin(zero, end));
    th_svg_attribute(c->out, "y", top);
    th_svg_attribute(c->out, "width", fmax(fabs(end - zero), 0.5));
    th_str_printf(c->out, " height=\"%d\" rx=\"1.5\"/>\n", BAR);
    if (b->low && b->high && th_axis_holds(&c->axis, b->low[i]) && th_axis_holds(&c->axis, b->high[i]))
        th_svg_line(c->out, "e over", across(c, b->low[i]), middle, across(c, b->high[i]), middle);
    th_svg_text(c->out, "v", end_of(c, i) + 7, middle + 4.5, "start", text);
}

static double group_height(const th_bars *b) { return NAME + (double)b->series_count * (BAR + BAR_GAP) + GROUP_GAP; }

static void draw_axis(const canvas *c, double bottom) {
    for (int i = 0; i < c->axis.count; i++) {
        double x = across(c, c->axis.ticks[i].value);
        if (x > c->right + 0.5) continue;
        th_svg_line(c->out, "g", x, 4, x, bottom);
        th_svg_text(c->out, "t", x, bottom + 17, i ? "middle" : "start", c->axis.ticks[i].label);
    }
    th_svg_line(c->out, "axis", across(c, 0), 4, across(c, 0), bottom);
    if (c->bars->value_name) th_svg_text(c->out, "n", c->right, bottom + 37, "end", c->bars->value_name);
}

static void draw(canvas *c) {
    const th_bars *b = c->bars;
    double bottom = (double)b->group_count * group_height(b) + 4, widest = 0;
    char text[2 * TH_NUMBER_TEXT];
    fit(c);
    for (int64_t i = 0; i < b->group_count * b->series_count; i++) {
        number_at(c, i, text);
        widest = fmax(widest, th_svg_text_width(text, TEXT));
    }
    c->left = 2;
    c->right = (c->narrow ? NARROW : WIDE) - widest - 12;
    th_svg_begin(c->out, c->narrow, c->narrow ? NARROW : WIDE, bottom + (b->value_name ? 44 : 24), b->title);
    draw_axis(c, bottom);
    for (int64_t g = 0; g < b->group_count; g++) {
        double top = 4 + (double)g * group_height(b) + GROUP_GAP / 2.0;
        th_svg_text(c->out, "k", c->left + 4, top + 12, "start", b->groups[g]);
        for (int64_t s = 0; s < b->series_count; s++) {
            th_str_printf(c->out, "<g class=\"s%d\">", (int)(s % TH_SERIES_COLORS));
            draw_bar(c, g * b->series_count + s, top + NAME + (double)s * (BAR + BAR_GAP));
            th_str_puts(c->out, "</g>\n");
        }
    }
    th_svg_end(c->out);
}

static void data_table(const th_bars *b, th_str *out) {
    th_str_puts(out, "<details><summary>The numbers</summary>\n<div class=\"scroll\"><table>\n<thead><tr><td></td>");
    for (int64_t s = 0; s < b->series_count; s++) {
        th_str_puts(out, "<th scope=\"col\" class=\"right\">");
        th_str_html(out, b->series && b->series[s] ? b->series[s] : b->value_name ? b->value_name : "value");
        th_str_puts(out, "</th>");
    }
    th_str_puts(out, "</tr></thead>\n<tbody>\n");
    for (int64_t g = 0; g < b->group_count; g++) {
        th_str_puts(out, "<tr><th scope=\"row\">");
        th_str_html(out, b->groups[g]);
        th_str_puts(out, "</th>");
        for (int64_t s = 0; s < b->series_count; s++) th_figure_cell(out, b->values[g * b->series_count + s]);
        th_str_puts(out, "</tr>\n");
    }
    th_str_puts(out, "</tbody></table></div></details>\n");
}

th_status th_bars_html(const th_bars *b, th_str *out) {
    canvas c = {.bars = b, .out = out, .axis = {.percent = b->percent}};
    th_figure_begin(out, "plot", b->title, b->caption);
    if (fit(&c)) {
        if (b->series) th_legend(out, b->series, b->series_count, false, true);
        draw(&c);
        c.narrow = true;
        draw(&c);
        data_table(b, out);
    } else {
        th_figure_note(out, "There is nothing to draw: no bar has a finite value.");
    }
    th_figure_end(out);
    return th_str_status(out);
}
