/* --help, from the tables. */
#include <math.h>
#include <string.h>

#include "base/number.h"
#include "cli/frame.h"
#include "cli/text.h"

enum { HELP_COLUMN = 28, HELP_WIDTH = 80 };

typedef struct {
    th_str *out;
    bool color;
    int columns;
} page;

static void heading(page *p, const char *text) {
    th_str_printf(p->out, "\n%s%s%s\n", th_cli_style(p->color, TH_STRONG), text, th_cli_style(p->color, TH_PLAIN));
}

/* A name and what it means, in two columns; a name too long for its column has a line of its own. */
static void entry(page *p, const char *name, const char *meaning) {
    int width = th_text_width(name);
    th_str_puts(p->out, name);
    if (width > HELP_COLUMN - 2) th_str_puts(p->out, "\n");
    th_text_space(p->out, width > HELP_COLUMN - 2 ? HELP_COLUMN : HELP_COLUMN - width);
    th_text_wrap(p->out, meaning, HELP_COLUMN, HELP_COLUMN, p->columns);
    th_str_puts(p->out, "\n");
}

void th_help_limits(th_str *out, const th_option *o) {
    char text[TH_NUMBER_TEXT];
    th_str initial;
    th_str_init(&initial, 256);
    bool shown = !(o->type == TH_OPTION_BOOL && !o->initial.flag) && !o->required;
    if (shown) th_option_print(o, &o->initial, &initial);
    if (o->type == TH_OPTION_BOOL && o->initial.flag) th_str_clear(&initial), th_str_puts(&initial, "on");
    const char *comma = "";
    if (o->required) th_str_puts(out, "required"), comma = ", ";
    if (initial.length) th_str_printf(out, "default %s", th_str_text(&initial)), comma = ", ";
    th_str_free(&initial);
    if (o->has_least) {
        th_print_f64(text, o->least);
        th_str_printf(out, "%s%s %s", comma, o->above ? "above" : "at least", text), comma = ", ";
    }
    if (o->has_most) {
        th_print_f64(text, o->most);
        th_str_printf(out, "%sat most %s", comma, text);
    }
}

static void option(page *p, const th_option *o) {
    th_str name, meaning, limits;
    th_str_init(&name, 512);
    th_str_init(&meaning, 2048);
    th_str_init(&limits, 512);
    if (o->letter)
        th_str_printf(&name, "  -%c, --", o->letter);
    else
        th_str_puts(&name, "      --");
    if (o->type == TH_OPTION_BOOL && o->initial.flag) th_str_puts(&name, "[no-]");
    th_str_printf(&name, "%s%s%s", o->name, *th_option_argument(o) ? " " : "", th_option_argument(o));
    th_help_limits(&limits, o);
    th_str_puts(&meaning, o->help);
    if (limits.length) th_str_printf(&meaning, " (%s)", th_str_text(&limits));
    entry(p, th_str_text(&name), th_str_text(&meaning));
    th_str_free(&name);
    th_str_free(&meaning);
    th_str_free(&limits);
}

static void options(page *p, const th_options *o, const char *method) {
    const char *group = NULL;
    for (int64_t i = 0; i < th_options_count(o); i++) {
        const th_setting *row = th_options_at(o, i);
        if (row->option->hidden) continue;
        if (!group || strcmp(group, row->group)) {
            char title[96];
            group = row->group;
            snprintf(title, sizeof title, method && !strcmp(group, method) ? "Options of %s" : "%s", group);
            heading(p, title);
        }
        option(p, row->option);
    }
}

static void methods(page *p, const th_verb *v) {
    th_cli_method m;
    if (!v->method) return;
    heading(p, "Methods");
    for (int64_t i = 0; v->method(i, &m); i++) {
        char name[64];
        snprintf(name, sizeof name, "  %s", m.name);
        entry(p, name, m.summary);
    }
    th_str_printf(p->out, "\n'theriac %s METHOD --help' lists the options of one.\n", v->name);
}

static void paragraphs(page *p, const char *about) {
    th_str_puts(p->out, "\n");
    for (; *about; about++) {
        size_t n = strcspn(about, "\n");
        char line[1024];
        snprintf(line, sizeof line, "%.*s", (int)(n < sizeof line ? n : sizeof line - 1), about);
        th_text_wrap(p->out, line, 0, 0, p->columns);
        th_str_puts(p->out, about[n] ? "\n\n" : "\n");
        about += n;
        if (!*about) break;
    }
}

static void examples(page *p, const char *lines) {
    heading(p, "Examples");
    while (*lines) {
        size_t n = strcspn(lines, "\n");
        th_str_printf(p->out, "  %.*s\n", (int)n, lines);
        lines += n + (lines[n] == '\n');
    }
}

static th_status verb_help(page *p, const th_verb *v, int64_t method) {
    th_cli_method m = {0};
    th_options *o;
    if (method >= 0) v->method(method, &m);
    TH_TRY(th_verb_options(v, method, &o));
    const char *whose = th_options_whose(o), *choice = v->method && method < 0 ? " METHOD" : "";
    th_str_printf(p->out, "theriac %s: %s\n", whose, m.summary ? m.summary : v->summary);
    th_str_printf(p->out, "\nUsage: theriac %s%s [options]%s%s\n", whose, choice, v->usage ? " " : "",
                  v->usage ? v->usage : "");
    const char *about = method < 0 ? v->about : m.about, *shown = m.examples ? m.examples : v->examples;
    if (about) paragraphs(p, about);
    if (method < 0) methods(p, v);
    options(p, o, m.name);
    if (shown) examples(p, shown);
    th_options_free(o);
    return th_str_status(p->out);
}

static th_status program_help(page *p) {
    th_str_puts(p->out, "theriac: find, clean and guard against backdoors in image models\n"
                        "\nUsage: theriac COMMAND [METHOD] [options] [arguments]\n");
    heading(p, "Commands");
    for (const th_verb *const *v = th_verbs; *v; v++) {
        char name[64];
        snprintf(name, sizeof name, "  %s", (*v)->name);
        if (!(*v)->hidden) entry(p, name, (*v)->summary);
    }
    th_str_puts(p->out, "\n'theriac COMMAND --help' tells more about one, 'theriac --version' prints the version.\n");
    heading(p, "Exit codes");
    th_str_puts(p->out, "  0 done; 1 done, and a scan found something; 2 wrong usage; 3 bad input;\n"
                        "  4 out of memory or disk; 5 interrupted, resumable; 70 a bug\n");
    return th_str_status(p->out);
}

th_status th_help(th_str *out, const th_verb *v, int64_t method, bool color, int columns) {
    page p = {out, color, columns >= 60 && columns < 100 ? columns : columns >= 100 ? 100 : HELP_WIDTH};
    return v ? verb_help(&p, v, method) : program_help(&p);
}
