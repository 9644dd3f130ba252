/* Values with their intervals, in tables and in JSON. */
#ifndef TH_CLI_ESTIMATES_H
#define TH_CLI_ESTIMATES_H

#include <jansson.h>

#include "metric/interval.h"
#include "report/table.h"

/* "0.812 (0.804 to 0.819)", times scale, with so many digits; without an interval the value alone. */
void th_cli_estimate_cell(th_table *t, const th_estimate *e, double scale, int digits);
/* "name": [value, low, high], null for what is not finite; a value that was not measured is left out. */
void th_cli_set_estimate(json_t *j, const char *name, const th_estimate *e);

#endif
