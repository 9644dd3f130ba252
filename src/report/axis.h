/* One axis of a plot: its range, where its ticks stand, what they say. */
#ifndef TH_REPORT_AXIS_H
#define TH_REPORT_AXIS_H

#include "base/status.h"

#define TH_TICKS_MAX 64
#define TH_TICK_LABEL 32

typedef struct {
    double value;
    char label[TH_TICK_LABEL]; /* "" for a minor tick of a logarithmic axis */
} th_tick;

typedef struct {
    bool log;     /* logarithmic: values above 0 only */
    bool percent; /* values are shares; 0.5 reads "50 %" */
    double low, high;
    th_tick ticks[TH_TICKS_MAX];
    int count;
} th_axis;

/* What can stand on the axis: finite, not absurdly large, above 0 on a logarithmic one. */
bool th_axis_holds(const th_axis *a, double v);
/* Chooses about `wanted` round ticks for values from low to high. With `widen` the range grows: to the ticks around it
 * on a linear axis, by a margin on a logarithmic one. An empty range grows around its value. */
void th_axis_fit(th_axis *a, double low, double high, int wanted, bool widen);
/* The place of v along the axis, 0 at its low end and 1 at its high end. */
double th_axis_place(const th_axis *a, double v);
/* v as a tick beside others this far apart would say it: "0.25", "25", "12.5 k", "3×10⁻⁵". step 0: about three digits.
 */
void th_axis_label(const th_axis *a, double v, double step, char out[TH_TICK_LABEL]);

#endif
