/* Plots: the range of the data, the axes, and each series drawn twice, for wide screens and for narrow ones. */
#include "report/plot.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "report/axis.h"
#include "report/figure.h"
#include "report/svg.h"

enum {
    WIDE_WIDTH = 880,
    WIDE_HEIGHT = 440,
    NARROW_WIDTH = 440,
    NARROW_HEIGHT = 380,
    TEXT = 13,        /* size of text, in units of the drawing */
    MARK_ALL = 40,    /* a line of no more points has a mark at each */
    MARK_EVERY = 110, /* else at about this distance */
    TABLE_POINTS = 160,
};

typedef struct {
    const th_plot *plot;
    th_str *out;
    th_axis x, y;
    double left, top, right, bottom; /* of the area that the axes span */
    bool narrow;
    th_layout_boxes taken; /* by marks and labels */
    th_status status;
} canvas;

static double x_of(const th_series *s, int64_t i) { return s->x ? s->x[i] : (double)i; }
static double across(const canvas *c, double x) { return c->left + th_axis_place(&c->x, x) * (c->right - c->left); }
static double down(const canvas *c, double y) { return c->bottom - th_axis_place(&c->y, y) * (c->bottom - c->top); }

static bool drawable(const canvas *c, const th_series *s, int64_t i) {
    return th_axis_holds(&c->x, x_of(s, i)) && th_axis_holds(&c->y, s->y[i]);
}

static bool has_interval(const th_axis *a, const double *low, const double *high, int64_t i) {
    return low && high && th_axis_holds(a, low[i]) && th_axis_holds(a, high[i]);
}

/* The range of the data: every point that can be drawn, its intervals, the rules. */
typedef struct {
    double low, high;
    int64_t count;
} extent;

static void extend(extent *e, const th_axis *a, double v) {
    if (!th_axis_holds(a, v)) return;
    if (!e->count || v < e->low) e->low = v;
    if (!e->count || v > e->high) e->high = v;
    e->count++;
}

static void measure(const canvas *c, extent *x, extent *y, int64_t *left_out) {
    const th_plot *p = c->plot;
    for (int64_t k = 0; k < p->series_count; k++) {
        const th_series *s = &p->series[k];
        for (int64_t i = 0; i < s->count; i++) {
            if (!drawable(c, s, i)) {
                ++*left_out;
                continue;
            }
            extend(x, &c->x, x_of(s, i));
            extend(y, &c->y, s->y[i]);
            if (has_interval(&c->y, s->low, s->high, i)) extend(y, &c->y, s->low[i]), extend(y, &c->y, s->high[i]);
            if (has_interval(&c->x, s->x_low, s->x_high, i))
                extend(x, &c->x, s->x_low[i]), extend(x, &c->x, s->x_high[i]);
        }
    }
    for (int64_t i = 0; i < p->rule_count && x->count; i++) {
        if (p->rules[i].vertical)
            extend(x, &c->x, p->rules[i].at);
        else
            extend(y, &c->y, p->rules[i].at);
    }
}

static bool only_lines(const th_plot *p) {
    for (int64_t i = 0; i < p->series_count; i++)
        if (p->series[i].kind != TH_LINE) return false;
    return true;
}

static void fit(th_axis *a, const th_span *span, const extent *e, int wanted, bool widen) {
    bool fixed = span->fixed && th_axis_holds(a, span->low) && th_axis_holds(a, span->high) && span->low < span->high;
    th_axis_fit(a, fixed ? span->low : e->low, fixed ? span->high : e->high, wanted, widen && !fixed);
}

/* Axes and the place that their labels leave. */
static void lay_out(canvas *c, const extent *x, const extent *y) {
    const th_plot *p = c->plot;
    double width = c->narrow ? NARROW_WIDTH : WIDE_WIDTH, height = c->narrow ? NARROW_HEIGHT : WIDE_HEIGHT, widest = 0;
    fit(&c->y, &p->y_span, y, 6, true);
    for (int i = 0; i < c->y.count; i++) widest = fmax(widest, th_svg_text_width(c->y.ticks[i].label, TEXT));
    c->left = widest + 12;
    c->right = width - 16;
    c->top = p->y_name ? 34 : 14;
    c->bottom = height - (p->x_name ? 50 : 30);
    fit(&c->x, &p->x_span, x, (int)((c->right - c->left) / (c->narrow ? 70 : 100)), !only_lines(p));
    c->taken.frame = (th_box){c->left, c->top, c->right, c->bottom};
}

static void draw_y_axis(canvas *c) {
    for (int i = 0; i < c->y.count; i++) {
        double y = down(c, c->y.ticks[i].value);
        bool minor = !*c->y.ticks[i].label;
        th_svg_line(c->out, "g", minor ? c->left - 5 : c->left, y, minor ? c->left : c->right, y);
        if (!minor) th_svg_text(c->out, "t", c->left - 8, y + 4.5, "end", c->y.ticks[i].label);
    }
    if (c->plot->y_name) th_svg_text(c->out, "n", 0, 14, "start", c->plot->y_name);
}

/* Lines run along x and need no rulers there; points want to be read off both ways. */
static void draw_x_axis(canvas *c) {
    bool rulers = !only_lines(c->plot);
    double last_end = -1e9;
    for (int i = 0; i < c->x.count; i++) {
        const char *label = c->x.ticks[i].label;
        double x = across(c, c->x.ticks[i].value), half = th_svg_text_width(label, TEXT) / 2;
        bool shown = *label && x - half > last_end + 6;
        th_svg_line(c->out, "g", x, rulers && *label ? c->top : c->bottom, x, c->bottom + (shown ? 5 : 3));
        if (!shown) continue;
        th_svg_text(c->out, "t", fmin(x, c->right + 14 - half), c->bottom + 20, "middle", label);
        last_end = x + half;
    }
    th_svg_line(c->out, "axis", c->left, c->bottom, c->right, c->bottom);
    if (c->plot->x_name) th_svg_text(c->out, "n", c->right, c->bottom + 41, "end", c->plot->x_name);
}

static void take(canvas *c, th_box b) {
    if (c->status == TH_OK) c->status = th_boxes_add(&c->taken, b);
}

/* Every mark and every bar takes its place first, so that labels find what is free. */
static void take_marks(canvas *c) {
    for (int64_t k = 0; k < c->plot->series_count; k++) {
        const th_series *s = &c->plot->series[k];
        for (int64_t i = 0; i < s->count && (s->kind != TH_LINE || s->count <= MARK_ALL); i++) {
            if (!drawable(c, s, i)) continue;
            double x = across(c, x_of(s, i)), y = down(c, s->y[i]);
            take(c, (th_box){x - 6, y - 6, x + 6, y + 6});
            if (s->kind == TH_LINE) continue;
            if (has_interval(&c->y, s->low, s->high, i))
                take(c, (th_box){x - 1.5, down(c, s->high[i]), x + 1.5, down(c, s->low[i])});
            if (has_interval(&c->x, s->x_low, s->x_high, i))
                take(c, (th_box){across(c, s->x_low[i]), y - 1.5, across(c, s->x_high[i]), y + 1.5});
        }
    }
}

/* The label of a rule, at whichever of the places along it least is covered. */
static void label_rule(canvas *c, const th_rule *r, double at) {
    double w = th_svg_text_width(r->label, 12) + 4, h = 15;
    th_box places[4], *best = NULL;
    for (int i = 0; i < 4; i++) {
        double x = r->vertical ? (i & 1 ? at - w - 4 : at + 4) : i & 1 ? c->left + 4 : c->right - w - 4;
        double y = r->vertical ? (i & 2 ? c->bottom - h - 4 : c->top + 2) : i & 2 ? at + 3 : at - h - 3;
        places[i] = (th_box){x, y, x + w, y + h};
    }
    double least = 1e30;
    for (int i = 0; i < 4; i++) {
        double cost = th_boxes_cost(&c->taken, &places[i]);
        if (cost < least) least = cost, best = &places[i];
    }
    th_svg_text(c->out, "r", best->x0 + 2, best->y1 - 3.5, "start", r->label);
    take(c, *best);
}

static void draw_rules(canvas *c) {
    for (int64_t i = 0; i < c->plot->rule_count; i++) {
        const th_rule *r = &c->plot->rules[i];
        const th_axis *a = r->vertical ? &c->x : &c->y;
        if (!th_axis_holds(a, r->at) || r->at < a->low || r->at > a->high) continue;
        double at = r->vertical ? across(c, r->at) : down(c, r->at);
        if (r->vertical)
            th_svg_line(c->out, "rule", at, c->top, at, c->bottom);
        else
            th_svg_line(c->out, "rule", c->left, at, c->right, at);
        if (r->label) label_rule(c, r, at);
    }
}

static void draw_better(canvas *c) {
    static const char *const says[] = {"", "↖ better", "better ↗", "↙ better", "better ↘"};
    th_corner k = c->plot->better;
    if (k == TH_BETTER_UNSAID) return;
    bool left = k == TH_BETTER_TOP_LEFT || k == TH_BETTER_BOTTOM_LEFT;
    bool top = k == TH_BETTER_TOP_LEFT || k == TH_BETTER_TOP_RIGHT;
    double w = th_svg_text_width(says[k], 12) + 8, y = top ? c->top + 16 : c->bottom - 10;
    th_svg_text(c->out, "r", left ? c->left + 8 : c->right - 8, y, left ? "start" : "end", says[k]);
    take(c, left ? (th_box){c->left, y - 14, c->left + w + 8, y + 4}
                 : (th_box){c->right - w - 8, y - 14, c->right, y + 4});
}

/* To a tenth of a unit, which is less than anyone sees. */
static void move_or_line(th_str *out, bool *pen, double x, double y) {
    th_str_puts(out, *pen ? "L" : "M");
    th_svg_number(out, round(x * 10) / 10);
    th_str_puts(out, " ");
    th_svg_number(out, round(y * 10) / 10);
    *pen = true;
}

/* The points of a long line that fall into one column of the picture, of a unit's width. The path goes through the
 * first, the extremes in their order, and the last, which looks the same as going through all of them. */
typedef struct {
    double x, first, last, least, most; /* down the picture */
    int64_t least_at, most_at, count;
} column;

static void flush_column(th_str *out, bool *pen, column *k) {
    if (k->count == 0) return;
    move_or_line(out, pen, k->x, k->first);
    bool flat = k->most - k->least < 1;
    if (!flat && k->count > 1) {
        bool least_first = k->least_at < k->most_at;
        move_or_line(out, pen, k->x, least_first ? k->least : k->most);
        move_or_line(out, pen, k->x, least_first ? k->most : k->least);
        move_or_line(out, pen, k->x, k->last);
    }
    k->count = 0;
}

static void add_to_column(column *k, double x, double y, int64_t i) {
    if (k->count == 0) *k = (column){x, y, y, y, y, i, i, 0};
    k->count++;
    k->last = y;
    if (y < k->least) k->least = y, k->least_at = i;
    if (y > k->most) k->most = y, k->most_at = i;
}

/* A path through the series' points with y from `y`; long ones are thinned to what the picture can show. */
static void draw_path(canvas *c, const th_series *s, const double *y, const char *class) {
    bool pen = false, thin = (double)s->count > c->right - c->left;
    column k = {0};
    th_str_printf(c->out, "<path class=\"%s\" d=\"", class);
    for (int64_t i = 0; i < s->count; i++) {
        if (!th_axis_holds(&c->x, x_of(s, i)) || !th_axis_holds(&c->y, y[i])) {
            flush_column(c->out, &pen, &k);
            pen = false;
            continue;
        }
        double px = across(c, x_of(s, i));
        if (k.count && (!thin || fabs(px - k.x) >= 1)) flush_column(c->out, &pen, &k);
        add_to_column(&k, px, down(c, y[i]), i);
    }
    flush_column(c->out, &pen, &k);
    th_str_puts(c->out, "\"/>\n");
}

static void draw_band(canvas *c, const th_series *s) {
    int64_t i = 0;
    while (i < s->count) {
        int64_t end = i;
        while (end < s->count && drawable(c, s, end) && has_interval(&c->y, s->low, s->high, end)) end++;
        if (end - i >= 2) {
            bool pen = false;
            th_str_puts(c->out, "<path class=\"band\" d=\"");
            for (int64_t k = i; k < end; k++) move_or_line(c->out, &pen, across(c, x_of(s, k)), down(c, s->high[k]));
            for (int64_t k = end; k-- > i;) move_or_line(c->out, &pen, across(c, x_of(s, k)), down(c, s->low[k]));
            th_str_puts(c->out, "Z\"/>\n");
        }
        i = end > i ? end : i + 1;
    }
}

/* The mean of the points that are finite among those up to window/2 away; NaN where the point itself is not. */
static double *smoothed(const canvas *c, const th_series *s) {
    double *mean = th_alloc((size_t)s->count, sizeof *mean);
    if (!mean) return NULL;
    int64_t half = s->smooth / 2, from = 0, to = 0, n = 0;
    double sum = 0;
    for (int64_t i = 0; i < s->count; i++) {
        for (; to < s->count && to <= i + half; to++)
            if (th_axis_holds(&c->y, s->y[to])) sum += s->y[to], n++;
        for (; from < i - half; from++)
            if (th_axis_holds(&c->y, s->y[from])) sum -= s->y[from], n--;
        mean[i] = th_axis_holds(&c->y, s->y[i]) && n ? sum / (double)n : NAN;
    }
    return mean;
}

static void point_tip(const canvas *c, const th_series *s, int64_t i, char *tip, size_t room) {
    char x[TH_TICK_LABEL], y[TH_TICK_LABEL];
    th_axis_label(&c->x, x_of(s, i), 0, x);
    th_axis_label(&c->y, s->y[i], 0, y);
    bool labelled = s->labels && s->labels[i];
    snprintf(tip, room, "%.80s%s%.80s%s%s, %s", s->name ? s->name : "", labelled ? " " : "",
             labelled ? s->labels[i] : "", s->name || labelled ? ": " : "", x, y);
}

static void draw_mark(canvas *c, const th_series *s, int number, int64_t i) {
    char tip[256];
    double x = across(c, x_of(s, i)), y = down(c, s->y[i]);
    point_tip(c, s, i, tip, sizeof tip);
    th_svg_marker(c->out, number, x, y, s->kind == TH_LINE ? 3.5 : 5, tip);
}

/* Marks tell lines apart without colour: at every point of a short line, else spread along it, shifted from line to
 * line. */
static void draw_line_marks(canvas *c, const th_series *s, int number, const double *y) {
    double next = c->left + (s->count > MARK_ALL ? MARK_EVERY * (0.3 + 0.21 * (number % 4)) : -1e9);
    for (int64_t i = 0; i < s->count; i++) {
        if (!th_axis_holds(&c->x, x_of(s, i)) || !th_axis_holds(&c->y, y[i])) continue;
        double x = across(c, x_of(s, i));
        if (s->count <= MARK_ALL && y == s->y) {
            draw_mark(c, s, number, i);
        } else if (x >= next) {
            th_svg_marker(c->out, number, x, down(c, y[i]), 4, NULL);
            next = x + MARK_EVERY;
        }
    }
}

static void draw_line(canvas *c, const th_series *s, int number) {
    bool smooth = s->smooth > 1 && s->count > 2;
    double *mean = smooth ? smoothed(c, s) : NULL;
    if (smooth && !mean) c->status = th_fail_memory();
    draw_band(c, s);
    if (mean) draw_path(c, s, s->y, "l raw");
    draw_path(c, s, mean ? mean : s->y, "l");
    draw_line_marks(c, s, number, mean ? mean : s->y);
    th_free(mean);
}

static void draw_bars(canvas *c, const th_series *s, int64_t i) {
    double x = across(c, x_of(s, i)), y = down(c, s->y[i]);
    if (has_interval(&c->y, s->low, s->high, i))
        th_svg_line(c->out, "e", x, down(c, s->low[i]), x, down(c, s->high[i]));
    if (has_interval(&c->x, s->x_low, s->x_high, i))
        th_svg_line(c->out, "e", across(c, s->x_low[i]), y, across(c, s->x_high[i]), y);
}

/* Whether j is at least as good as i both ways, and better one way (or the same and earlier). */
static bool beats(const th_series *s, int64_t j, int64_t i, double right, double up) {
    double dx = right * (x_of(s, j) - x_of(s, i)), dy = up * (s->y[j] - s->y[i]);
    return dx >= 0 && dy >= 0 && (dx > 0 || dy > 0 || j < i);
}

void th_frontier(const th_series *s, th_corner better, bool *keep) {
    double right = better == TH_BETTER_TOP_RIGHT || better == TH_BETTER_BOTTOM_RIGHT ? 1 : -1;
    double up = better == TH_BETTER_BOTTOM_LEFT || better == TH_BETTER_BOTTOM_RIGHT ? -1 : 1;
    for (int64_t i = 0; i < s->count; i++) {
        keep[i] = isfinite(x_of(s, i)) && isfinite(s->y[i]);
        for (int64_t j = 0; j < s->count && keep[i]; j++)
            keep[i] = j == i || !(isfinite(x_of(s, j)) && isfinite(s->y[j])) || !beats(s, j, i, right, up);
    }
}

/* From left to right through the points kept. Labels keep off the line too. */
static void draw_frontier(canvas *c, const th_series *s) {
    bool *keep = th_alloc((size_t)s->count, sizeof *keep), pen = false;
    if (!keep) {
        c->status = th_fail_memory();
        return;
    }
    th_frontier(s, c->plot->better, keep);
    double before_x = 0, before_y = 0;
    th_str_puts(c->out, "<path class=\"l\" d=\"");
    for (;;) {
        int64_t next = -1;
        for (int64_t i = 0; i < s->count; i++)
            if (keep[i] && drawable(c, s, i) && (next < 0 || x_of(s, i) < x_of(s, next))) next = i;
        if (next < 0) break;
        keep[next] = false;
        double x = across(c, x_of(s, next)), y = down(c, s->y[next]);
        for (int k = 1; pen && k < 24; k++) {
            double px = before_x + (x - before_x) * k / 24, py = before_y + (y - before_y) * k / 24;
            take(c, (th_box){px - 1.5, py - 1.5, px + 1.5, py + 1.5});
        }
        move_or_line(c->out, &pen, x, y);
        before_x = x, before_y = y;
    }
    th_str_puts(c->out, "\"/>\n");
    th_free(keep);
}

static void draw_points(canvas *c, const th_series *s, int number) {
    if (s->kind == TH_FRONTIER) draw_frontier(c, s);
    for (int64_t i = 0; i < s->count; i++)
        if (drawable(c, s, i)) draw_bars(c, s, i);
    for (int64_t i = 0; i < s->count; i++)
        if (drawable(c, s, i)) draw_mark(c, s, number, i);
}

static void draw_labels(canvas *c, const th_series *s) {
    for (int64_t i = 0; s->labels && i < s->count; i++) {
        th_box box;
        if (!s->labels[i] || !*s->labels[i] || !drawable(c, s, i)) continue;
        double width = th_svg_text_width(s->labels[i], 12) + 2, x = across(c, x_of(s, i)), y = down(c, s->y[i]);
        if (!th_boxes_place(&c->taken, x, y, width, 14, 7, &box)) continue;
        th_svg_text(c->out, "p", (box.x0 + box.x1) / 2, box.y1 - 3, "middle", s->labels[i]);
        take(c, box);
    }
}

static void draw_all_series(canvas *c) {
    const th_plot *p = c->plot;
    for (int64_t k = 0; k < p->series_count; k++) {
        const th_series *s = &p->series[k];
        th_str_printf(c->out, "<g class=\"s%d\">\n", (int)(k % TH_SERIES_COLORS));
        if (s->kind == TH_LINE)
            draw_line(c, s, (int)k);
        else
            draw_points(c, s, (int)k);
        th_str_puts(c->out, "</g>\n");
    }
    for (int64_t k = 0; k < p->series_count; k++) {
        th_str_printf(c->out, "<g class=\"s%d\">\n", (int)(k % TH_SERIES_COLORS));
        draw_labels(c, &p->series[k]);
        th_str_puts(c->out, "</g>\n");
    }
}

/* What lies beyond a fixed range is cut off at the frame. */
static th_status draw(canvas *c, const extent *x, const extent *y, int figure) {
    lay_out(c, x, y);
    th_svg_begin(c->out, c->narrow, c->narrow ? NARROW_WIDTH : WIDE_WIDTH, c->narrow ? NARROW_HEIGHT : WIDE_HEIGHT,
                 c->plot->title);
    th_str_printf(c->out, "<clipPath id=\"clip%d%s\"><rect", figure, c->narrow ? "n" : "w");
    th_svg_attribute(c->out, "x", c->left - 6);
    th_svg_attribute(c->out, "y", c->top - 6);
    th_svg_attribute(c->out, "width", c->right - c->left + 12);
    th_svg_attribute(c->out, "height", c->bottom - c->top + 12);
    th_str_puts(c->out, "/></clipPath>\n");
    take_marks(c);
    draw_y_axis(c);
    draw_x_axis(c);
    draw_better(c);
    draw_rules(c);
    th_str_printf(c->out, "<g clip-path=\"url(#clip%d%s)\">\n", figure, c->narrow ? "n" : "w");
    draw_all_series(c);
    th_str_puts(c->out, "</g>\n");
    th_svg_end(c->out);
    th_boxes_free(&c->taken);
    return c->status;
}

static void point_rows(th_str *out, const th_series *s) {
    for (int64_t i = 0; i < s->count; i++) {
        th_str_puts(out, "<tr><th scope=\"row\">");
        th_str_html(out, s->name ? s->name : "");
        th_str_puts(out, "</th><td class=\"left\">");
        th_str_html(out, s->labels && s->labels[i] ? s->labels[i] : "");
        th_str_puts(out, "</td>");
        th_figure_cell(out, x_of(s, i));
        th_figure_cell(out, s->y[i]);
        th_str_puts(out, "</tr>\n");
    }
}

static void summary_row(th_str *out, const th_series *s) {
    double least = NAN, most = NAN;
    for (int64_t i = 0; i < s->count; i++) {
        if (!isfinite(s->y[i])) continue;
        least = !(least <= s->y[i]) ? s->y[i] : least;
        most = !(most >= s->y[i]) ? s->y[i] : most;
    }
    th_str_puts(out, "<tr><th scope=\"row\">");
    th_str_html(out, s->name ? s->name : "");
    th_str_printf(out, "</th><td>%lld</td>", (long long)s->count);
    th_figure_cell(out, s->count ? s->y[0] : NAN);
    th_figure_cell(out, s->count ? s->y[s->count - 1] : NAN);
    th_figure_cell(out, least);
    th_figure_cell(out, most);
    th_str_puts(out, "</tr>\n");
}

/* The numbers behind the figure, for those who cannot see it or want them; a summary where they are many. */
static void data_table(const th_plot *p, th_str *out) {
    int64_t points = 0;
    for (int64_t i = 0; i < p->series_count; i++) points += p->series[i].count;
    bool all = points <= TABLE_POINTS;
    th_str_puts(out, "<details><summary>The numbers</summary>\n<div class=\"scroll\"><table>\n<thead><tr>"
                     "<th scope=\"col\">Series</th>");
    if (all) {
        th_str_puts(out, "<th scope=\"col\">Point</th><th scope=\"col\" class=\"right\">");
        th_str_html(out, p->x_name ? p->x_name : "x");
        th_str_puts(out, "</th><th scope=\"col\" class=\"right\">");
        th_str_html(out, p->y_name ? p->y_name : "y");
        th_str_puts(out, "</th>");
    } else {
        static const char *const names[] = {"Points", "First", "Last", "Least", "Greatest"};
        for (int i = 0; i < 5; i++) th_str_printf(out, "<th scope=\"col\" class=\"right\">%s</th>", names[i]);
    }
    th_str_puts(out, "</tr></thead>\n<tbody>\n");
    for (int64_t i = 0; i < p->series_count; i++) {
        if (all)
            point_rows(out, &p->series[i]);
        else
            summary_row(out, &p->series[i]);
    }
    th_str_puts(out, "</tbody></table></div></details>\n");
}

static void plot_legend(const th_plot *p, th_str *out) {
    const char **names = th_alloc((size_t)p->series_count, sizeof *names);
    bool line = false;
    if (!names) {
        out->status = th_fail_memory();
        return;
    }
    for (int64_t i = 0; i < p->series_count; i++) {
        names[i] = p->series[i].name;
        line |= p->series[i].kind != TH_POINTS;
    }
    th_legend(out, names, p->series_count, line, false);
    th_free(names);
}

th_status th_plot_html(const th_plot *p, th_str *out, int figure) {
    canvas c = {.plot = p,
                .out = out,
                .x = {.log = p->x_log, .percent = p->x_percent},
                .y = {.log = p->y_log, .percent = p->y_percent}};
    extent x = {0}, y = {0};
    int64_t left_out = 0;
    measure(&c, &x, &y, &left_out);
    th_figure_begin(out, "plot", p->title, p->caption);
    if (x.count == 0) {
        th_figure_note(out, "There is nothing to draw: no series has a point with finite coordinates%s.",
                       p->x_log || p->y_log ? " above zero, as the logarithmic axis wants" : "");
    } else {
        plot_legend(p, out);
        TH_TRY(draw(&c, &x, &y, figure));
        c.narrow = true;
        TH_TRY(draw(&c, &x, &y, figure));
        if (left_out)
            th_figure_note(out, "%lld point%s cannot be drawn: not finite%s.", (long long)left_out,
                           left_out == 1 ? "" : "s", p->x_log || p->y_log ? ", or not above zero" : "");
        data_table(p, out);
    }
    th_figure_end(out);
    return th_str_status(out);
}
