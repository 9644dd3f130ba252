/* Inside the command: the frame and the generators that go over the table of verbs. */
#ifndef TH_CLI_FRAME_H
#define TH_CLI_FRAME_H

#include "cli/verb.h"

#define TH_COMMON_OPTIONS "Common options" /* the heading of those that every command takes */

/* The verb of this name, hidden ones too; NULL if none. */
const th_verb *th_verb_find(const char *name);
/* The method's place, and itself in *out (where not NULL); −1 if the verb has none of this name. */
int64_t th_verb_method(const th_verb *v, const char *name, th_cli_method *out);
/* A new set of all options that the verb takes with this method (−1: none): the method's, the verb's, the common
 * ones. */
th_status th_verb_options(const th_verb *v, int64_t method, th_options **out);
/* Calls visit for every form of every visible verb: once for a verb without methods, once for each of its methods.
 * Stops at the first error. */
typedef th_status (*th_form_fn)(void *user, const th_verb *v, const char *method, const th_options *o);
th_status th_verb_forms(th_form_fn visit, void *user);
/* "'claen' is no command (did you mean 'clean'?)", and the like for methods. */
th_status th_verb_unknown(const char *name);
th_status th_method_unknown(const th_verb *v, const char *name);

/* The help of the program (v NULL), a verb, or a verb with a method. columns 0: 80. */
th_status th_help(th_str *out, const th_verb *v, int64_t method, bool color, int columns);
/* "12 (at least 1)": what help says of an option's default and limits; "" where there is nothing to say. */
void th_help_limits(th_str *out, const th_option *o);

#endif
