/* guard.json and README.md of a guarded model. */
#ifndef TH_CLI_GUARD_CARD_H
#define TH_CLI_GUARD_CARD_H

#include "cli/guard/gates.h"

/* gates: NULL where they were not checked. */
th_status th_guard_write_card(th_guard_job *j, const char *dir, const th_guard_gate *gates);

#endif
