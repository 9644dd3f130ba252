/* What all figures share: the frame of HTML around them. */
#ifndef TH_REPORT_FIGURE_H
#define TH_REPORT_FIGURE_H

#include "base/str.h"

/* <figure> and its caption; class is "plot" or "grid". */
void th_figure_begin(th_str *out, const char *class, const char *title, const char *caption);
void th_figure_end(th_str *out);
void th_figure_note(th_str *out, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* <td> with the number to six digits, "–" where it is not finite. */
void th_figure_cell(th_str *out, double v);
/* <svg> of this size for wide or narrow screens. The title is what is read out. */
void th_svg_begin(th_str *out, bool narrow, double width, double height, const char *title);
void th_svg_end(th_str *out);
/* The legend, for names[count], where more than one has a name; the mark of each is its colour and shape. */
void th_legend(th_str *out, const char *const *names, int64_t count, bool line, bool bar);

#endif
