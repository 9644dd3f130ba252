/* What a command of theriac is: one file in this folder, one row in verbs.c. The row feeds dispatch, --help, the man
 * page, shell completion and the config schema; the frame (frame.c) parses, loads the config file, checks, runs, writes
 * the output and turns the status into the exit code. */
#ifndef TH_CLI_VERB_H
#define TH_CLI_VERB_H

#include <jansson.h>

#include "base/option.h"
#include "cli/progress.h"
#include "report/table.h"

typedef struct th_cli th_cli;

/* Rows under a heading in help; several verbs may share one. */
typedef struct {
    const char *title; /* "Training" */
    const th_option *rows;
} th_option_group;

/* A method as the command sees it: the part of a defense's, an attack's or a trainer's row that help and parser need.
 */
typedef struct {
    const char *name, *summary;
    const th_option *options; /* NULL: none */
    /* Where a method is of another kind than its verb's others, what stands in place of the verb's; NULL: the verb's.
     */
    const th_option_group *groups; /* NULL title at the end */
    const char *about, *examples;
    th_status (*run)(th_cli *cli);
} th_cli_method;

typedef struct {
    const char *name;
    const char *summary;  /* half a line, no capital, no full stop */
    const char *usage;    /* what stands after the options: "DIR", "[FILE]…". NULL: nothing may */
    const char *about;    /* paragraphs, a newline between them; NULL: the summary says it all */
    const char *examples; /* command lines, a newline between them */
    th_option_group groups[8];
    /* The i-th method into out; false past the last. NULL where the verb has no methods, else the word after the verb
     * must name one, unless the first stands for none. */
    bool (*method)(int64_t i, th_cli_method *out);
    bool first_is_default;
    int least_args, most_args; /* −1: any number */
    bool hidden;               /* works, and is not shown */
    bool computes;             /* with all cores: see main.c */
    th_status (*run)(th_cli *cli);
} th_verb;

struct th_cli {
    const th_verb *verb;
    int64_t method;      /* its place in the verb's methods; −1 where the verb has none */
    th_options *options; /* resolved: th_get_…(cli->options, "name") */
    th_list args;
    bool json, quiet;
    bool color;      /* standard output is a terminal that wants it */
    int columns;     /* of that terminal; 0 where it is none */
    th_str out;      /* what goes to standard output: appended to, written by the frame or by th_cli_flush */
    bool found;      /* set by a scan that found something: exit code 1 */
    th_watch watch;  /* to be handed to the library: progress on the terminal, stop on Ctrl-C */
    th_progress bar; /* behind watch */
    bool reader_gone;
};

/* The table of commands, in the order of help; ends with a NULL. */
extern const th_verb *const th_verbs[];

/* Prints the table for people. */
void th_cli_table(th_cli *cli, const th_table *t);
/* Prints the object on one line, and drops the caller's reference. This is all that --json may print. */
void th_cli_json(th_cli *cli, json_t *object);
/* Writes what was appended so far, for outputs that are long. A reader that went away is no error. */
th_status th_cli_flush(th_cli *cli);
/* A line to people on standard error, past the progress line; nothing with --quiet. */
void th_cli_note(th_cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* "\x1b[1m" and the like, or "" without color; TH_PLAIN gives what ends it. */
const char *th_cli_style(bool color, th_mark mark);

/* The whole program. */
int th_cli_main(int argc, const char *const *argv);

#endif
