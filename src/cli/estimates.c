/* Values with their intervals. */
#include "cli/estimates.h"

#include <math.h>

#include "base/number.h"

void th_cli_estimate_cell(th_table *t, const th_estimate *e, double scale, int digits) {
    char value[TH_NUMBER_TEXT], low[TH_NUMBER_TEXT], high[TH_NUMBER_TEXT];
    th_print_fixed(value, scale * e->value, digits);
    th_print_fixed(low, scale * e->low, digits);
    th_print_fixed(high, scale * e->high, digits);
    if (isfinite(e->low) && isfinite(e->high))
        th_table_cell(t, "%s (%s to %s)", value, low, high);
    else
        th_table_cell(t, "%s", value);
}

static json_t *number(double v) { return isfinite(v) ? json_real(v) : json_null(); }

void th_cli_set_estimate(json_t *j, const char *name, const th_estimate *e) {
    if (isnan(e->value)) return;
    json_object_set_new(j, name, json_pack("[o, o, o]", number(e->value), number(e->low), number(e->high)));
}
