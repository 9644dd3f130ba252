/* Pieces of SVG that all figures are made of. Colours are CSS variables of the report's style sheet. */
#ifndef TH_REPORT_SVG_H
#define TH_REPORT_SVG_H

#include "base/str.h"

#define TH_SERIES_COLORS 8

/* A coordinate with at most two digits after the point; the same text in every locale. */
void th_svg_number(th_str *out, double v);
/* ` name="v"` */
void th_svg_attribute(th_str *out, const char *name, double v);
void th_svg_line(th_str *out, const char *class, double x1, double y1, double x2, double y2);
/* anchor: "start", "middle", "end". The text is escaped. */
void th_svg_text(th_str *out, const char *class, double x, double y, const char *anchor, const char *text);
/* The mark of a series: circle, square, triangle, … of about this radius. */
void th_svg_marker(th_str *out, int series, double x, double y, double radius, const char *tip);
/* Columns that the text will take up in the sans-serif of figures at this size, within a tenth or so. */
double th_svg_text_width(const char *text, double size);

/* A box of a label, for keeping labels apart. */
typedef struct {
    double x0, y0, x1, y1;
} th_box;

/* Where texts and points lie already. */
typedef struct {
    th_box *boxes;
    int64_t count, capacity;
    th_box frame; /* labels stay within */
} th_layout_boxes;

th_status th_boxes_add(th_layout_boxes *l, th_box b);
void th_boxes_free(th_layout_boxes *l);
/* How much of a box placed there would lie over others or outside the frame, as an area; outside counts thrice. */
double th_boxes_cost(const th_layout_boxes *l, const th_box *b);
/* The best of eight places around the point (x, y) for a box of this size, at this distance: *out is the box. False
 * where each place would lie over something else. */
bool th_boxes_place(const th_layout_boxes *l, double x, double y, double width, double height, double distance,
                    th_box *out);

#endif
