/* theriac man: the manual pages in roff, from the tables. Hidden: the build makes the pages. */
#include <string.h>

#include "base/file.h"
#include "cli/frame.h"

static const th_option table[] = {
    TH_OPT_PATH("out", NULL, "write all pages into this folder", .argument = "DIR"),
    TH_OPT_END,
};

/* Text as roff takes it literally: a backslash and a hyphen are commands, and so is a dot or quote that begins a line.
 */
static void literal(th_str *out, const char *text) {
    for (const char *p = text; *p; p++) {
        if ((*p == '.' || *p == '\'') && (p == text || p[-1] == '\n')) th_str_puts(out, "\\&");
        if (*p == '\\')
            th_str_puts(out, "\\e");
        else if (*p == '-')
            th_str_puts(out, "\\-");
        else
            th_str_add(out, p, 1);
    }
}

static void header(th_str *out, const char *name, const char *summary) {
    th_str_puts(out, ".TH ");
    for (const char *p = name; *p; p++) th_str_printf(out, "%c", *p >= 'a' && *p <= 'z' ? *p - 32 : *p);
    th_str_printf(out, " 1 \"\" \"theriac %s\" \"User Commands\"\n.SH NAME\n", th_version());
    literal(out, name);
    th_str_puts(out, " \\- ");
    literal(out, summary);
    th_str_puts(out, "\n");
}

static void paragraphs(th_str *out, const char *text) {
    for (const char *p = text; *p; p++) {
        size_t n = strcspn(p, "\n");
        char line[2048];
        snprintf(line, sizeof line, "%.*s", (int)n, p);
        literal(out, line);
        th_str_puts(out, p[n] ? "\n.PP\n" : "\n");
        p += n;
        if (!*p) break;
    }
}

static void option(th_str *out, const th_option *o) {
    const char *argument = th_option_argument(o);
    th_str limits;
    th_str_init(&limits, 512);
    th_help_limits(&limits, o);
    th_str_puts(out, ".TP\n");
    if (o->letter) th_str_printf(out, "\\fB\\-%c\\fR, ", o->letter);
    th_str_puts(out, o->type == TH_OPTION_BOOL && o->initial.flag ? "\\fB\\-\\-\\fR[\\fBno\\-\\fR]\\fB" : "\\fB\\-\\-");
    literal(out, o->name);
    th_str_puts(out, *argument ? "\\fR \\fI" : "");
    literal(out, argument);
    th_str_puts(out, "\\fR\n");
    literal(out, o->help);
    if (limits.length) {
        th_str_puts(out, " (");
        literal(out, th_str_text(&limits));
        th_str_puts(out, ")");
    }
    th_str_puts(out, ".\n");
    th_str_free(&limits);
}

/* The options under their headings. A page of a verb with methods has each method's own rows under the method, and the
 * rows that all methods share once, at the end. */
static void options(th_str *out, const th_options *o, const char *only, const char *but) {
    const char *group = NULL;
    for (int64_t i = 0; i < th_options_count(o); i++) {
        const th_setting *row = th_options_at(o, i);
        if (row->option->hidden || (only && strcmp(row->group, only)) || (but && !strcmp(row->group, but))) continue;
        if (!only && (!group || strcmp(group, row->group))) {
            th_str_puts(out, ".SS ");
            literal(out, row->group);
            th_str_puts(out, "\n");
        }
        group = row->group;
        option(out, row->option);
    }
}

static th_status method_sections(th_str *out, const th_verb *v) {
    th_cli_method m;
    th_str_puts(out, ".SH METHODS\n");
    for (int64_t i = 0; v->method(i, &m); i++) {
        th_options *o;
        TH_TRY(th_verb_options(v, i, &o));
        th_str_puts(out, ".SS ");
        literal(out, m.name);
        th_str_puts(out, "\n");
        literal(out, m.summary);
        th_str_puts(out, ".\n");
        if (m.about) paragraphs(out, m.about);
        /* One with groups of its own shares only the common options with the others. */
        options(out, o, m.groups ? NULL : m.name, m.groups ? TH_COMMON_OPTIONS : NULL);
        th_options_free(o);
    }
    return TH_OK;
}

static void examples(th_str *out, const char *lines) {
    th_str_puts(out, ".SH EXAMPLES\n.EX\n");
    literal(out, lines);
    th_str_puts(out, "\n.EE\n");
}

static const char exit_codes[] =
    ".SH EXIT STATUS\n"
    ".TP\n0\nDone.\n.TP\n1\nDone, and a scan found something.\n.TP\n2\nWrong usage.\n.TP\n3\nBad input.\n"
    ".TP\n4\nOut of memory or disk.\n.TP\n5\nInterrupted; the run can be resumed.\n.TP\n70\nA bug in theriac.\n";

static th_status verb_page(th_str *out, const th_verb *v) {
    char name[64];
    th_cli_method first = {0};
    th_options *o;
    bool methods = v->method && v->method(0, &first);
    snprintf(name, sizeof name, "theriac-%s", v->name);
    header(out, name, v->summary);
    th_str_printf(out, ".SH SYNOPSIS\n\\fBtheriac %s\\fR%s [\\fIoptions\\fR]%s", v->name,
                  methods ? " \\fIMETHOD\\fR" : "", v->usage ? " " : "");
    literal(out, v->usage ? v->usage : "");
    th_str_puts(out, "\n");
    if (v->about) th_str_puts(out, ".SH DESCRIPTION\n"), paragraphs(out, v->about);
    if (methods) TH_TRY(method_sections(out, v));
    th_str_puts(out, ".SH OPTIONS\n");
    TH_TRY(th_verb_options(v, methods ? 0 : -1, &o));
    options(out, o, NULL, first.name);
    th_options_free(o);
    if (v->examples) examples(out, v->examples);
    th_str_puts(out, exit_codes);
    th_str_puts(out, ".SH SEE ALSO\n.BR theriac (1)\n");
    return th_str_status(out);
}

static th_status program_page(th_str *out) {
    header(out, "theriac", "find, clean and guard against backdoors in image models");
    th_str_puts(out,
                ".SH SYNOPSIS\n\\fBtheriac\\fR \\fICOMMAND\\fR [\\fIMETHOD\\fR] [\\fIoptions\\fR] [\\fIarguments\\fR]\n"
                ".SH COMMANDS\n");
    for (const th_verb *const *v = th_verbs; *v; v++) {
        if ((*v)->hidden) continue;
        th_str_printf(out, ".TP\n.BR theriac\\-%s (1)\n", (*v)->name);
        literal(out, (*v)->summary);
        th_str_puts(out, ".\n");
    }
    th_str_puts(out, ".SH CONFIGURATION\nOptions are taken from their defaults, then from the JSON file that "
                     "\\fB\\-\\-config\\fR names, then from the command line; the later wins. The keys of the file are "
                     "the long names of the options, without the dashes. A run's run.json can serve as one.\n");
    th_str_puts(out, exit_codes);
    th_str_puts(out, ".SH ENVIRONMENT\n.TP\nNO_COLOR\nWhere it is set, no colors and no escape sequences.\n");
    return th_str_status(out);
}

static th_status write_page(const char *dir, const th_verb *v) {
    char path[TH_PATH_MAX], name[80];
    th_str page;
    th_str_init(&page, (size_t)4 << 20);
    snprintf(name, sizeof name, "theriac%s%s.1", v ? "-" : "", v ? v->name : "");
    th_status status = v ? verb_page(&page, v) : program_page(&page);
    if (status == TH_OK) status = th_path_join(path, dir, name);
    if (status == TH_OK) status = th_file_write(path, th_str_text(&page), page.length);
    th_str_free(&page);
    return status;
}

static th_status write_pages(const char *dir) {
    TH_TRY(th_make_dirs(dir));
    TH_TRY(write_page(dir, NULL));
    for (const th_verb *const *v = th_verbs; *v; v++)
        if (!(*v)->hidden) TH_TRY(write_page(dir, *v));
    return TH_OK;
}

static th_status run(th_cli *cli) {
    const char *dir = th_get_str(cli->options, "out");
    if (dir) return write_pages(dir);
    if (cli->args.count == 0) return program_page(&cli->out);
    const th_verb *v = th_verb_find(cli->args.items[0]);
    return v ? verb_page(&cli->out, v) : th_verb_unknown(cli->args.items[0]);
}

const th_verb th_verb_man = {
    .name = "man",
    .summary = "print the manual page of theriac or of a command, in roff",
    .usage = "[COMMAND]",
    .groups = {{"Options", table}},
    .most_args = 1,
    .hidden = true,
    .run = run,
};
