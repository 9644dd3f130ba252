/* Pieces of SVG. */
#include "report/svg.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"

void th_svg_number(th_str *out, double v) {
    if (!(fabs(v) < 1e7)) v = 0;
    long long hundredths = llround(v * 100), size = hundredths < 0 ? -hundredths : hundredths;
    th_str_printf(out, "%s%lld", hundredths < 0 ? "-" : "", size / 100);
    if (size % 100) th_str_printf(out, size % 10 ? ".%02lld" : ".%lld", size % 10 ? size % 100 : size % 100 / 10);
}

void th_svg_attribute(th_str *out, const char *name, double v) {
    th_str_printf(out, " %s=\"", name);
    th_svg_number(out, v);
    th_str_puts(out, "\"");
}

void th_svg_line(th_str *out, const char *class, double x1, double y1, double x2, double y2) {
    th_str_printf(out, "<line class=\"%s\"", class);
    th_svg_attribute(out, "x1", x1);
    th_svg_attribute(out, "y1", y1);
    th_svg_attribute(out, "x2", x2);
    th_svg_attribute(out, "y2", y2);
    th_str_puts(out, "/>\n");
}

void th_svg_text(th_str *out, const char *class, double x, double y, const char *anchor, const char *text) {
    th_str_printf(out, "<text class=\"%s\"", class);
    th_svg_attribute(out, "x", x);
    th_svg_attribute(out, "y", y);
    if (strcmp(anchor, "start")) th_str_printf(out, " text-anchor=\"%s\"", anchor);
    th_str_puts(out, ">");
    th_str_html(out, text);
    th_str_puts(out, "</text>\n");
}

/* Corners of the marks other than the circle, in units of their radius; sized to look equally heavy. */
static const struct {
    int count;
    double xy[12][2];
} shapes[TH_SERIES_COLORS] = {
    {0, {{0}}},
    {4, {{-.89, -.89}, {.89, -.89}, {.89, .89}, {-.89, .89}}},
    {3, {{0, -1.25}, {1.12, .75}, {-1.12, .75}}},
    {4, {{0, -1.3}, {1.3, 0}, {0, 1.3}, {-1.3, 0}}},
    {3, {{0, 1.25}, {1.12, -.75}, {-1.12, -.75}}},
    {12,
     {{-.4, -1.2},
      {.4, -1.2},
      {.4, -.4},
      {1.2, -.4},
      {1.2, .4},
      {.4, .4},
      {.4, 1.2},
      {-.4, 1.2},
      {-.4, .4},
      {-1.2, .4},
      {-1.2, -.4},
      {-.4, -.4}}},
    {5, {{0, -1.2}, {1.14, -.37}, {.71, .97}, {-.71, .97}, {-1.14, -.37}}},
    {4, {{-.55, -1.2}, {.55, -1.2}, {.55, 1.2}, {-.55, 1.2}}},
};

void th_svg_marker(th_str *out, int series, double x, double y, double radius, const char *tip) {
    int kind = series % TH_SERIES_COLORS;
    if (shapes[kind].count == 0) {
        th_str_puts(out, "<circle class=\"m\"");
        th_svg_attribute(out, "cx", x);
        th_svg_attribute(out, "cy", y);
        th_svg_attribute(out, "r", radius);
    } else {
        th_str_puts(out, "<path class=\"m\" d=\"");
        for (int i = 0; i < shapes[kind].count; i++) {
            th_str_puts(out, i ? "L" : "M");
            th_svg_number(out, x + radius * shapes[kind].xy[i][0]);
            th_str_puts(out, " ");
            th_svg_number(out, y + radius * shapes[kind].xy[i][1]);
        }
        th_str_puts(out, "Z\"");
    }
    if (!tip) {
        th_str_puts(out, "/>\n");
        return;
    }
    th_str_puts(out, "><title>");
    th_str_html(out, tip);
    th_str_printf(out, "</title></%s>\n", shapes[kind].count ? "path" : "circle");
}

double th_svg_text_width(const char *text, double size) {
    double ems = 0;
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        if ((*p & 0xC0) == 0x80) continue; /* the rest of a character */
        bool narrow = strchr("iljtfr.,:;|!'()[] ", *p) != NULL;
        bool broad = strchr("mwMW@%", *p) != NULL;
        ems += *p >= 0xE3 ? 1.0 : narrow ? 0.32 : broad ? 0.88 : *p >= 'A' && *p <= 'Z' ? 0.68 : 0.57;
    }
    return ems * size;
}

th_status th_boxes_add(th_layout_boxes *l, th_box b) {
    if (!th_grow(l->boxes, l->count, l->capacity)) return th_fail_memory();
    l->boxes[l->count++] = b;
    return TH_OK;
}

void th_boxes_free(th_layout_boxes *l) {
    th_free(l->boxes);
    *l = (th_layout_boxes){0};
}

static double overlap(const th_box *a, const th_box *b) {
    double w = fmin(a->x1, b->x1) - fmax(a->x0, b->x0), h = fmin(a->y1, b->y1) - fmax(a->y0, b->y0);
    return w > 0 && h > 0 ? w * h : 0;
}

double th_boxes_cost(const th_layout_boxes *l, const th_box *b) {
    double cost = 3 * ((b->x1 - b->x0) * (b->y1 - b->y0) - overlap(b, &l->frame));
    for (int64_t k = 0; k < l->count; k++) cost += overlap(b, &l->boxes[k]);
    return cost;
}

bool th_boxes_place(const th_layout_boxes *l, double x, double y, double width, double height, double distance,
                    th_box *out) {
    /* Where the box's centre lies from the point, in half sizes; the places liked best come first. */
    static const double places[8][2] = {{1, 0}, {0, -1}, {-1, 0}, {0, 1}, {1, -1}, {-1, -1}, {1, 1}, {-1, 1}};
    double area = width * height, best = 1e30;
    for (int i = 0; i < 8; i++) {
        double gap = i < 4 ? distance : distance * 0.6;
        double cx = x + places[i][0] * (width / 2 + gap), cy = y + places[i][1] * (height / 2 + gap);
        th_box b = {cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2};
        double cost = 0.01 * i * area + th_boxes_cost(l, &b);
        if (cost < best) best = cost, *out = b;
    }
    return best < 0.35 * area;
}
