/* Figures with axes: lines with bands, points with error bars and labels, frontiers; and bars. A zeroed struct with
 * its series is a valid figure; nothing is copied, the arrays must live until the call that draws it returns. */
#ifndef TH_REPORT_PLOT_H
#define TH_REPORT_PLOT_H

#include "base/str.h"

typedef enum {
    TH_LINE,     /* points in order, joined; gaps where one is not finite */
    TH_POINTS,   /* points alone */
    TH_FRONTIER, /* points, and a line through those that no other of the series beats (see th_plot.better) */
} th_series_kind;

typedef struct {
    const char *name;
    th_series_kind kind;
    int64_t count;
    const double *x, *y;          /* [count]; x NULL: 0, 1, 2, … */
    const double *low, *high;     /* [count] an interval of y: a band along a line, bars at points. NULL: none */
    const double *x_low, *x_high; /* [count] the same for x, at points */
    const char *const *labels;    /* [count] a label at each point; NULL, also of single ones: none */
    int64_t smooth;               /* above 1, at lines: a mean over so many points around each, the line itself faint */
} th_series;

typedef struct {
    bool vertical; /* at this x, else at this y */
    double at;
    const char *label;
} th_rule;

typedef struct {
    bool fixed;
    double low, high;
} th_span;

/* The corner where a point would be best. */
typedef enum {
    TH_BETTER_UNSAID,
    TH_BETTER_TOP_LEFT,
    TH_BETTER_TOP_RIGHT,
    TH_BETTER_BOTTOM_LEFT,
    TH_BETTER_BOTTOM_RIGHT
} th_corner;

typedef struct {
    const char *title, *caption; /* what it shows, in a few words; what to see in it (NULL: nothing to say) */
    const char *x_name, *y_name;
    bool x_log, y_log;
    bool x_percent, y_percent; /* shares, shown as percentages */
    th_span x_span, y_span;    /* the range, where it is not to follow the data */
    th_corner better;
    const th_series *series;
    int64_t series_count;
    const th_rule *rules;
    int64_t rule_count;
} th_plot;

/* Horizontal bars from zero: for every group, one for each series. */
typedef struct {
    const char *title, *caption;
    const char *value_name; /* of the axis */
    bool percent;
    int digits;                /* after the point, in the numbers at the bars */
    const char *const *groups; /* [group_count] */
    const char *const *series; /* [series_count] */
    const double *values;      /* [group_count, series_count]; not finite: no bar */
    const double *low, *high;  /* the same shape, or NULL: intervals */
    int64_t group_count, series_count;
} th_bars;

/* Appends the figure as HTML with inline SVG; figure is its number in the document. What cannot be drawn is said in a
 * note in its place. */
th_status th_plot_html(const th_plot *p, th_str *out, int figure);
th_status th_bars_html(const th_bars *b, th_str *out);

/* Marks in keep[i] the points of the frontier: those that no other finite point beats in one direction without losing
 * in the other. Of equal points the first is kept. */
void th_frontier(const th_series *s, th_corner better, bool *keep);

#endif
