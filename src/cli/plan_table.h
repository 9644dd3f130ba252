/* The rows that the --plan of all long commands has in common. */
#ifndef TH_CLI_PLAN_TABLE_H
#define TH_CLI_PLAN_TABLE_H

#include "report/table.h"
#include "theriac/plan.h"

/* Machines that times are said of: this one, and 16 and 64 cores such as its own. */
enum { TH_PLAN_MACHINES = 3 };
void th_cli_plan_cores(const th_ceilings *c, int cores[TH_PLAN_MACHINES]);

/* A table of pairs, to be filled with th_table_pair and the rows below. */
th_table *th_cli_plan_table(void);
void th_cli_plan_memory(th_table *t, double bytes);
/* again: what of it is computed again to fit the memory; 0: nothing. */
void th_cli_plan_work(th_table *t, const char *called, double flops, double again);
void th_cli_plan_time(th_table *t, const double seconds[TH_PLAN_MACHINES]);

#endif
