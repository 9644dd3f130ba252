/* What was typed, to be typed again. */
#ifndef TH_CLI_TYPED_H
#define TH_CLI_TYPED_H

#include "base/option.h"
#include "base/str.h"

/* Appends "theriac COMMAND --name value …", fit for a shell: what was set, by flags or a file, apart from what is of
 * one run alone (flag_only) and from the options named in without (NULL at its end; NULL: none). */
th_status th_cli_typed(const th_options *o, const char *command, const char *const *without, th_str *out);

#endif
