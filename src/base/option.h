/* Options: one table of rows feeds the parser, --help, the man page, shell completion and the config file. A set of
 * resolved values stands over several tables (a verb's, a method's, the common one) and knows where each value came
 * from: defaults < a config file < flags. */
#ifndef TH_BASE_OPTION_H
#define TH_BASE_OPTION_H

#include "base/str.h"

typedef enum {
    TH_OPTION_NUMBER,
    TH_OPTION_INT,
    TH_OPTION_SIZE, /* bytes: 512M, 2G */
    TH_OPTION_BOOL,
    TH_OPTION_STRING,
    TH_OPTION_PATH,
    TH_OPTION_CHOICE,
    TH_OPTION_LIST, /* of strings: the flag may be given many times */
} th_option_type;

typedef struct {
    const char *const *items;
    int64_t count;
} th_list;

typedef union {
    double number;   /* NaN: not set */
    int64_t integer; /* sizes too */
    bool flag;
    const char *text; /* NULL: not set */
    th_list list;
} th_value;

typedef struct {
    const char *name;     /* "weight-decay": the flag --weight-decay, the config key "weight-decay" */
    const char *help;     /* one line, no full stop */
    const char *argument; /* what stands for the value in help: "DIR". NULL: by type */
    const char *choices;  /* "a|b|c" */
    th_option_type type;
    char letter;    /* the short form, '\0' for none */
    bool required;  /* must be set by config or flag */
    bool flag_only; /* about this run of the command only: neither read from a config file nor written to one */
    bool hidden;    /* works, and is not shown */
    bool has_least, has_most, above; /* above: `least` itself is not allowed */
    double least, most;
    th_value initial;
} th_option;

/* Rows. After the help text further members may follow: TH_OPT_INT("steps", 1000, "optimizer steps", TH_AT_LEAST(1)).
 */
#define TH_OPT_F32(n, value, ...) \
    { .name = (n), .type = TH_OPTION_NUMBER, .initial.number = (value), .help = __VA_ARGS__ }
#define TH_OPT_INT(n, value, ...) \
    { .name = (n), .type = TH_OPTION_INT, .initial.integer = (value), .help = __VA_ARGS__ }
#define TH_OPT_SIZE(n, value, ...) \
    { .name = (n), .type = TH_OPTION_SIZE, .initial.integer = (value), .help = __VA_ARGS__ }
#define TH_OPT_BOOL(n, value, ...) \
    { .name = (n), .type = TH_OPTION_BOOL, .initial.flag = (value), .help = __VA_ARGS__ }
#define TH_OPT_STRING(n, value, ...) \
    { .name = (n), .type = TH_OPTION_STRING, .initial.text = (value), .help = __VA_ARGS__ }
#define TH_OPT_PATH(n, value, ...) \
    { .name = (n), .type = TH_OPTION_PATH, .initial.text = (value), .help = __VA_ARGS__ }
#define TH_OPT_CHOICE(n, all, value, ...) \
    { .name = (n), .type = TH_OPTION_CHOICE, .choices = (all), .initial.text = (value), .help = __VA_ARGS__ }
#define TH_OPT_LIST(n, ...) \
    { .name = (n), .type = TH_OPTION_LIST, .help = __VA_ARGS__ }
#define TH_OPT_END \
    { .name = NULL }

#define TH_AT_LEAST(x) .has_least = true, .least = (x)
#define TH_ABOVE(x) .has_least = true, .above = true, .least = (x)
#define TH_AT_MOST(x) .has_most = true, .most = (x)
#define TH_WITHIN(low, high) TH_AT_LEAST(low), TH_AT_MOST(high)

/* What stands for the option's value in help: "N", "SIZE", "a|b|c"; "" for a bool. */
const char *th_option_argument(const th_option *o);
/* Whether the value names a file or a folder. */
bool th_option_is_path(const th_option *o);
/* Appends the value as a flag would spell it; nothing where it is not set. */
void th_option_print(const th_option *o, const th_value *v, th_str *out);
/* The i-th choice into out (of TH_CHOICE_MAX bytes); false past the last. */
#define TH_CHOICE_MAX 64
bool th_option_choice(const th_option *o, int64_t i, char out[TH_CHOICE_MAX]);

typedef enum { TH_FROM_DEFAULT, TH_FROM_CONFIG, TH_FROM_FLAG } th_origin;

typedef struct {
    const th_option *option;
    const char *group; /* as given to th_options_add */
    th_value value;
    th_origin from;
} th_setting;

typedef struct th_options th_options;

/* whose: what errors call the set, such as "clean par". NULL when out of memory. */
th_options *th_options_new(const char *whose);
void th_options_free(th_options *o);
/* Adds the rows of a table, which must outlive the set. A name that is there already, a default out of its range and
 * the like are TH_E_BUG. */
th_status th_options_add(th_options *o, const char *group, const th_option *table);

/* Reads "--name value", "--name=value", "--flag", "--no-flag", "-x value", "-xvalue"; "--" ends the options. What is no
 * option is kept, in order, for th_options_args. Errors are TH_E_USAGE. */
th_status th_options_parse(th_options *o, int64_t argc, const char *const *argv);
th_list th_options_args(const th_options *o);

/* Sets one value. A value that a later origin has set already stays, but the new one is checked all the same. `file`
 * begins the message of an error where it comes from a config file (TH_E_INPUT), else NULL (TH_E_USAGE). Texts are
 * copied; a list replaces the list. */
th_status th_options_set_text(th_options *o, th_origin from, const char *file, const char *name, const char *text);
th_status th_options_set(th_options *o, th_origin from, const char *file, const char *name, const th_value *v);
/* The status and message for a name that no table has, with the nearest one that some table has. */
th_status th_options_unknown(const th_options *o, th_origin from, const char *file, const char *name);

/* TH_OK when all that is required is set; else TH_E_USAGE that names the first that is not. And TH_E_BUG if a getter
 * was called amiss. */
th_status th_options_check(const th_options *o);

/* Rows in the order in which they were added. */
int64_t th_options_count(const th_options *o);
const th_setting *th_options_at(const th_options *o, int64_t i);
const th_setting *th_options_find(const th_options *o, const char *name); /* NULL: no such option */
const char *th_options_whose(const th_options *o);

/* Values by name and type. A name that no table has, or that is of another type there, is a bug of the caller: the
 * getter gives zero, and th_options_check says which it was. */
float th_get_f32(th_options *o, const char *name);
double th_get_f64(th_options *o, const char *name);
int64_t th_get_i64(th_options *o, const char *name); /* ints and sizes */
bool th_get_bool(th_options *o, const char *name);
const char *th_get_str(th_options *o, const char *name); /* strings, paths, choices; NULL where not set */
int64_t th_get_choice(th_options *o, const char *name);  /* the choice's place in the row, from 0 */
th_list th_get_list(th_options *o, const char *name);
bool th_is_set(th_options *o, const char *name); /* by config or flag */

#endif
