/* The frame around every command: finds it, resolves its options, runs it, writes its output, gives the exit code. */
#include "cli/frame.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/guess.h"
#include "format/options_json.h"

static const th_option common[] = {
    TH_OPT_PATH("config", NULL, "read options from this JSON file; flags win over it", .argument = "FILE",
                .flag_only = true),
    TH_OPT_BOOL("json", false, "print one JSON object and nothing else", .flag_only = true),
    TH_OPT_BOOL("quiet", false, "no progress and no notes", .letter = 'q', .flag_only = true),
    TH_OPT_BOOL("help", false, "print this help", .letter = 'h', .flag_only = true),
    TH_OPT_END,
};

const th_verb *th_verb_find(const char *name) {
    for (const th_verb *const *v = th_verbs; *v; v++)
        if (!strcmp((*v)->name, name)) return *v;
    return NULL;
}

int64_t th_verb_method(const th_verb *v, const char *name, th_cli_method *out) {
    th_cli_method m;
    for (int64_t i = 0; v->method && v->method(i, &m); i++) {
        if (strcmp(m.name, name)) continue;
        if (out) *out = m;
        return i;
    }
    return -1;
}

th_status th_verb_unknown(const char *name) {
    th_guess guess = {.word = name};
    for (const th_verb *const *v = th_verbs; *v; v++)
        if (!(*v)->hidden) th_guess_offer(&guess, (*v)->name);
    if (guess.best) return th_fail(TH_E_USAGE, "'%.80s' is no command (did you mean '%s'?)", name, guess.best);
    return th_fail(TH_E_USAGE, "'%.80s' is no command", name);
}

th_status th_method_unknown(const th_verb *v, const char *name) {
    th_guess guess = {.word = name};
    th_cli_method m;
    for (int64_t i = 0; v->method && v->method(i, &m); i++) th_guess_offer(&guess, m.name);
    if (guess.best)
        return th_fail(TH_E_USAGE, "'%.80s' is no method of '%s' (did you mean '%s'?)", name, v->name, guess.best);
    return th_fail(TH_E_USAGE, "'%.80s' is no method of '%s'", name, v->name);
}

static th_status add_groups(th_options *o, const th_verb *v, int64_t method) {
    th_cli_method m = {0};
    if (method >= 0 && v->method(method, &m)) TH_TRY(th_options_add(o, m.name, m.options));
    for (const th_option_group *own = m.groups; own && own->title; own++)
        TH_TRY(th_options_add(o, own->title, own->rows));
    for (size_t i = 0; !m.groups && i < sizeof v->groups / sizeof *v->groups; i++)
        TH_TRY(th_options_add(o, v->groups[i].title, v->groups[i].rows));
    return th_options_add(o, TH_COMMON_OPTIONS, common);
}

th_status th_verb_options(const th_verb *v, int64_t method, th_options **out) {
    th_cli_method m = {0};
    char whose[96];
    if (method >= 0) v->method(method, &m);
    snprintf(whose, sizeof whose, "%s%s%s", v->name, m.name ? " " : "", m.name ? m.name : "");
    th_options *o = th_options_new(whose);
    if (!o) return th_fail_memory();
    th_status s = add_groups(o, v, method);
    if (s != TH_OK) return th_options_free(o), s;
    *out = o;
    return TH_OK;
}

static th_status visit_form(const th_verb *v, int64_t method, const char *name, th_form_fn visit, void *user) {
    th_options *o;
    TH_TRY(th_verb_options(v, method, &o));
    th_status s = visit(user, v, name, o);
    th_options_free(o);
    return s;
}

th_status th_verb_forms(th_form_fn visit, void *user) {
    for (const th_verb *const *v = th_verbs; *v; v++) {
        th_cli_method m;
        if ((*v)->hidden) continue;
        if (!(*v)->method) TH_TRY(visit_form(*v, -1, NULL, visit, user));
        for (int64_t i = 0; (*v)->method && (*v)->method(i, &m); i++) TH_TRY(visit_form(*v, i, m.name, visit, user));
    }
    return TH_OK;
}

static volatile sig_atomic_t stop;

/* The first signal asks for a clean stop, the second ends the process at once: files appear whole or not at all, so a
 * run folder stays resumable. Only calls that signal handlers may make. */
static void on_signal(int number) {
    static const char note[] = "\nstopping at the next safe point; once more to stop at once\n";
    (void)number;
    if (stop) _exit(th_status_exit(TH_E_INTERRUPTED));
    stop = 1;
    int e = errno;
    if (isatty(STDERR_FILENO) && write(STDERR_FILENO, note, sizeof note - 1) < 0) errno = e;
    errno = e;
}

static void set_signals(void) {
    struct sigaction a = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigaction(SIGINT, &a, NULL);
    sigaction(SIGTERM, &a, NULL);
    signal(SIGPIPE, SIG_IGN); /* a reader that went away ends the output, not the work */
}

/* With a standard stream closed, the next file opened would take its number and what is printed would go into it. */
static void open_standard_streams(void) {
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd) _exit(th_status_exit(TH_E_IO));
}

static void look_at_terminal(th_cli *cli) {
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
    struct winsize size;
    bool terminal = isatty(STDOUT_FILENO) == 1;
    cli->color = terminal && !(no_color && *no_color) && term && strcmp(term, "dumb") != 0;
    cli->columns = terminal && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

static bool asks_for_help(int64_t argc, const char *const *argv) {
    for (int64_t i = 0; i < argc && strcmp(argv[i], "--"); i++)
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) return true;
    return false;
}

static th_status check_args(const th_cli *cli) {
    const th_verb *v = cli->verb;
    const char *whose = th_options_whose(cli->options), *usage = v->usage ? v->usage : "";
    if (cli->args.count < v->least_args) return th_fail(TH_E_USAGE, "'%s' wants %s", whose, usage);
    if (v->most_args < 0 || cli->args.count <= v->most_args) return TH_OK;
    const char *extra = cli->args.items[v->most_args];
    if (v->most_args == 0) return th_fail(TH_E_USAGE, "'%s' takes no arguments, '%.80s' is one", whose, extra);
    return th_fail(TH_E_USAGE, "'%s' takes %s, '%.80s' is one too many", whose, usage, extra);
}

/* Flags, then the config file that they may name, then what must be there. */
static th_status resolve(th_cli *cli, int64_t argc, const char *const *argv) {
    th_options *o = cli->options;
    TH_TRY(th_options_parse(o, argc, argv));
    const char *config = th_get_str(o, "config");
    if (config) TH_TRY(th_options_load(o, config));
    TH_TRY(th_options_check(o));
    cli->args = th_options_args(o);
    cli->json = th_get_bool(o, "json");
    cli->quiet = th_get_bool(o, "quiet");
    return check_args(cli);
}

static th_status method_missing(const th_verb *v) {
    char all[256] = "";
    th_cli_method m;
    for (int64_t i = 0; v->method(i, &m); i++) {
        size_t n = strlen(all);
        snprintf(all + n, sizeof all - n, "%s%s", i ? ", " : "", m.name);
    }
    return th_fail(TH_E_USAGE, "'%s' wants one of: %s", v->name, all);
}

/* The word after the verb, where it has methods. */
static th_status choose_method(th_cli *cli, int64_t *argc, const char *const **argv) {
    cli->method = -1;
    if (!cli->verb->method) return TH_OK;
    if (*argc == 0 || (*argv)[0][0] == '-') {
        cli->method = 0;
        return cli->verb->first_is_default ? TH_OK : method_missing(cli->verb);
    }
    cli->method = th_verb_method(cli->verb, (*argv)[0], NULL);
    if (cli->method < 0) return th_method_unknown(cli->verb, (*argv)[0]);
    *argc -= 1, *argv += 1;
    return TH_OK;
}

static th_status run_verb(th_cli *cli, int64_t argc, const char *const *argv) {
    if (asks_for_help(argc, argv)) {
        int64_t method = argc ? th_verb_method(cli->verb, argv[0], NULL) : -1;
        return th_help(&cli->out, cli->verb, method, cli->color, cli->columns);
    }
    TH_TRY(choose_method(cli, &argc, &argv));
    TH_TRY(th_verb_options(cli->verb, cli->method, &cli->options));
    TH_TRY(resolve(cli, argc, argv));
    th_progress_open(&cli->bar, cli->quiet);
    cli->watch = (th_watch){.progress = th_progress_show, .user = &cli->bar, .stop = &stop};
    th_cli_method m = {0};
    if (cli->method >= 0) cli->verb->method(cli->method, &m);
    th_status s = (m.run ? m.run : cli->verb->run)(cli);
    th_progress_clear(&cli->bar);
    return s == TH_OK ? th_options_check(cli->options) : s; /* a getter called amiss is found here */
}

/* "theriac help [VERB [METHOD]]" */
static th_status help(th_cli *cli, int64_t argc, const char *const *argv) {
    if (argc == 0) return th_help(&cli->out, NULL, -1, cli->color, cli->columns);
    const th_verb *v = th_verb_find(argv[0]);
    if (!v) return th_verb_unknown(argv[0]);
    int64_t method = argc > 1 ? th_verb_method(v, argv[1], NULL) : -1;
    if (argc > 1 && method < 0) return th_method_unknown(v, argv[1]);
    return th_help(&cli->out, v, method, cli->color, cli->columns);
}

static bool is_one_of(const char *word, const char *a, const char *b, const char *c) {
    return !strcmp(word, a) || !strcmp(word, b) || !strcmp(word, c);
}

static th_status dispatch(th_cli *cli, int64_t argc, const char *const *argv) {
    if (argc < 1) return th_fail(TH_E_USAGE, "a command is wanted");
    if (is_one_of(argv[0], "--version", "-V", "version"))
        return th_str_printf(&cli->out, "theriac %s\n", th_version()), TH_OK;
    if (is_one_of(argv[0], "--help", "-h", "help")) return help(cli, argc - 1, argv + 1);
    cli->verb = th_verb_find(argv[0]);
    if (!cli->verb && argv[0][0] == '-') return th_fail(TH_E_USAGE, "%.80s: options stand after the command", argv[0]);
    return cli->verb ? run_verb(cli, argc - 1, argv + 1) : th_verb_unknown(argv[0]);
}

static void print_error(const th_cli *cli, th_status s) {
    fprintf(stderr, "theriac: %s\n", th_error_message());
    if (s == TH_E_BUG) fputs("This is a bug of theriac itself.\n", stderr);
    if (s != TH_E_USAGE) return;
    const char *whose = cli->options ? th_options_whose(cli->options) : cli->verb ? cli->verb->name : NULL;
    fprintf(stderr, "Try 'theriac %s%s--help'.\n", whose ? whose : "", whose ? " " : "");
}

int th_cli_main(int argc, const char *const *argv) {
    th_cli cli = {.method = -1};
    open_standard_streams();
    set_signals();
    look_at_terminal(&cli);
    th_str_init(&cli.out, (size_t)1 << 30);
    th_status s = dispatch(&cli, argc - 1, argv + 1);
    /* Who asked for JSON gets an object or nothing; people get what was found before it failed. */
    if (s != TH_OK && cli.json) th_str_clear(&cli.out);
    if (s != TH_OK) print_error(&cli, s);
    th_status written = th_cli_flush(&cli);
    if (written != TH_OK && s == TH_OK) print_error(&cli, s = written);
    th_str_free(&cli.out);
    th_options_free(cli.options);
    return s == TH_OK && cli.found ? 1 : th_status_exit(s);
}
