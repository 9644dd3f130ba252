/* Rows of --plan. */
#include "cli/plan_table.h"

#include <stdio.h>

#include "base/number.h"

void th_cli_plan_cores(const th_ceilings *c, int cores[TH_PLAN_MACHINES]) {
    cores[0] = c->threads;
    cores[1] = 16;
    cores[2] = 64;
}

th_table *th_cli_plan_table(void) {
    th_table *t = th_table_new(NULL);
    th_table_column(t, TH_LEFT, "Plan");
    th_table_column(t, TH_LEFT, "");
    return t;
}

void th_cli_plan_memory(th_table *t, double bytes) {
    char text[TH_NUMBER_TEXT];
    th_human_bytes(text, bytes);
    th_table_pair(t, "Memory", text);
}

void th_cli_plan_work(th_table *t, const char *called, double flops, double again) {
    char text[80 + 2 * TH_NUMBER_TEXT], number[2][TH_NUMBER_TEXT];
    th_human_count(number[0], flops);
    th_human_count(number[1], again);
    if (again > 0)
        snprintf(text, sizeof text, "%sFLOP, and %sFLOP again to fit the memory", number[0], number[1]);
    else
        snprintf(text, sizeof text, "%sFLOP", number[0]);
    th_table_pair(t, called, text);
}

void th_cli_plan_time(th_table *t, const double seconds[TH_PLAN_MACHINES]) {
    char text[80 + TH_PLAN_MACHINES * TH_NUMBER_TEXT], number[TH_PLAN_MACHINES][TH_NUMBER_TEXT];
    for (int i = 0; i < TH_PLAN_MACHINES; i++) th_human_seconds(number[i], seconds[i]);
    snprintf(text, sizeof text, "at least %s here, %s on 16 such cores, %s on 64", number[0], number[1], number[2]);
    th_table_pair(t, "Time", text);
}
