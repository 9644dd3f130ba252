/* The frame of the command, with a table of commands of its own: help, manual pages and completion of a verb with
 * methods, tables, progress, signals, exit codes. */
#include "test.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli/frame.h"
#include "cli/text.h"

extern const th_verb th_verb_man, th_verb_completion;

static const th_option par[] = {
    TH_OPT_F32("tau", 2.15, "stop pushing beyond this distance", TH_ABOVE(0)),
    TH_OPT_CHOICE("mode", "soft|hard", "soft", "how to push: 'soft' or not"),
    TH_OPT_END,
};
static const th_option training[] = {
    TH_OPT_INT("steps", 1000, "optimizer steps", TH_AT_LEAST(1), .letter = 'n'),
    TH_OPT_BOOL("augment", true, "augment the images"),
    TH_OPT_PATH("out", NULL, "the run folder", .argument = "DIR", .required = true),
    TH_OPT_LIST("image", "an image [or more]; may be given many times", .argument = "FILE"),
    TH_OPT_INT("secret", 0, "for tests", .hidden = true),
    TH_OPT_END,
};

static bool defense(int64_t i, th_cli_method *out) {
    static const th_cli_method all[] = {{.name = "par", .summary = "perturb and recover", .options = par},
                                        {.name = "finetune", .summary = "the control"}};
    if (i >= 2) return false;
    *out = all[i];
    return true;
}

static th_status clean(th_cli *cli) {
    th_str_printf(&cli->out, "%lld %.2f %s\n", (long long)cli->method, th_get_f64(cli->options, "tau"),
                  th_get_str(cli->options, "out"));
    return TH_OK;
}
static const th_verb verb_clean = {.name = "clean",
                                   .summary = "clean a model",
                                   .usage = "MODEL",
                                   .about = "The first paragraph.\nThe second - with .dots and \\slashes.",
                                   .examples = "theriac clean par --out run model",
                                   .groups = {{"Training", training}},
                                   .method = defense,
                                   .least_args = 1,
                                   .most_args = 1,
                                   .run = clean};

static void nap(void) { nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL); }
static th_status wait_for_stop(th_cli *cli) {
    if (write(STDOUT_FILENO, "!", 1) != 1) return TH_E_IO;
    for (int i = 0; i < 10000; i++, nap())
        if (th_stopped(&cli->watch)) return th_fail(TH_E_INTERRUPTED, "stopped at step %d", i);
    return TH_OK;
}
static th_status wait_deaf(th_cli *cli) {
    (void)cli;
    if (write(STDOUT_FILENO, "!", 1) != 1) return TH_E_IO;
    for (int i = 0; i < 10000; i++) nap();
    return TH_OK;
}
static th_status work(th_cli *cli) {
    for (int i = 0; i <= 30; i++) {
        th_report(&cli->watch, "train", i, 30, "loss 1.5");
        for (int k = 0; k < 10; k++) nap();
    }
    th_cli_note(cli, "a note");
    th_str_puts(&cli->out, "done\n");
    return TH_OK;
}
static th_status find_something(th_cli *cli) { return cli->found = true, TH_OK; }
static th_status ask_amiss(th_cli *cli) { return (void)th_get_i64(cli->options, "absent"), TH_OK; }
static th_status fail_halfway(th_cli *cli) {
    th_str_puts(&cli->out, "half\n");
    return th_fail(TH_E_INPUT, "x.tar: cut");
}
static const th_verb verb_wait = {.name = "wait", .summary = "wait", .run = wait_for_stop, .hidden = true};
static const th_verb verb_deaf = {.name = "deaf", .summary = "wait", .run = wait_deaf, .hidden = true};
static const th_verb verb_work = {.name = "work", .summary = "work", .run = work, .hidden = true};
static const th_verb verb_scan = {.name = "scan", .summary = "scan", .run = find_something, .hidden = true};
static const th_verb verb_bug = {.name = "bug", .summary = "bug", .run = ask_amiss, .hidden = true};
static const th_verb verb_half = {.name = "half", .summary = "fail", .run = fail_halfway, .hidden = true};

/* In place of the command's own. */
const th_verb *const th_verbs[] = {&verb_clean, &verb_wait, &verb_deaf, &verb_work,
                                   &verb_scan,  &verb_bug,  &verb_half, NULL};

/* A run of the command in a process of its own. */
typedef struct {
    pid_t pid;
    int out; /* both of its outputs */
} child;

static child start(const char *const *argv) {
    int ends[2], argc = 0;
    while (argv[argc]) argc++;
    assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        dup2(ends[1], STDOUT_FILENO);
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        _exit(th_cli_main(argc, argv));
    }
    close(ends[1]);
    return (child){pid, ends[0]};
}

static int finish(child c, char *out, size_t room) {
    size_t n = 0;
    for (ssize_t got; n + 1 < room && (got = read(c.out, out + n, room - 1 - n)) > 0;) n += (size_t)got;
    out[n] = '\0';
    close(c.out);
    int status;
    assert_int_equal(waitpid(c.pid, &status, 0), c.pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static char said[16384];
#define run_main(...) finish(start((const char *const[]){"theriac", __VA_ARGS__, NULL}), said, sizeof said)

static void options_reach_the_verb(void **state) {
    (void)state;
    assert_int_equal(run_main("clean", "par", "--tau=3", "--out", "run", "model"), 0);
    assert_string_equal(said, "0 3.00 run\n");
    assert_int_equal(run_main("clean", "par", "model"), 2);
    assert_string_equal(said, "theriac: 'clean par' needs --out DIR\nTry 'theriac clean par --help'.\n");
    assert_int_equal(run_main("clean", "par", "--out=x"), 2);
    assert_non_null(strstr(said, "'clean par' wants MODEL"));
    assert_int_equal(run_main("clean", "finetune", "--out=x", "--tau=1", "m"), 2);
    assert_non_null(strstr(said, "--tau is no option of 'clean finetune'"));
    assert_int_equal(run_main("clean"), 2);
    assert_non_null(strstr(said, "'clean' wants one of: par, finetune"));
}

static void exit_codes_are_as_documented(void **state) {
    (void)state;
    assert_int_equal(run_main("scan"), 1);
    assert_int_equal(run_main("bug"), 70);
    assert_non_null(strstr(said, "option 'absent' of 'bug' is asked for, and no table has it"));
    assert_non_null(strstr(said, "This is a bug of theriac itself."));
    assert_int_equal(run_main("half"), 3);
    assert_string_equal(said, "theriac: x.tar: cut\nhalf\n");
    assert_int_equal(run_main("half", "--json"), 3);
    assert_string_equal(said, "theriac: x.tar: cut\n");
}

static void wait_until_it_runs(child c) {
    char mark;
    assert_int_equal(read(c.out, &mark, 1), 1);
}

static void the_first_signal_asks_and_the_second_ends(void **state) {
    (void)state;
    static const int signals[] = {SIGINT, SIGTERM};
    for (int i = 0; i < 2; i++) {
        child c = start((const char *const[]){"theriac", "wait", NULL});
        wait_until_it_runs(c);
        kill(c.pid, signals[i]);
        assert_int_equal(finish(c, said, sizeof said), 5);
        assert_non_null(strstr(said, "theriac: stopped at step"));
    }
    child c = start((const char *const[]){"theriac", "deaf", NULL});
    wait_until_it_runs(c);
    kill(c.pid, SIGINT);
    nap();
    for (int i = 0; i < 50; i++, nap()) kill(c.pid, SIGINT); /* one may be lost while another is handled */
    assert_int_equal(finish(c, said, sizeof said), 5);
    assert_string_equal(said, "");
}

/* As run_main, on a terminal. */
static int run_on_terminal(const char *no_color, const char *const *argv) {
    int argc = 0, status, own = posix_openpt(O_RDWR | O_NOCTTY);
    while (argv[argc]) argc++;
    if (own < 0 || grantpt(own) != 0 || unlockpt(own) != 0) return -1;
    int terminal = open(ptsname(own), O_RDWR | O_NOCTTY);
    assert_true(terminal >= 0);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        setenv("TERM", "xterm", 1);
        setenv("NO_COLOR", no_color, 1);
        dup2(terminal, STDOUT_FILENO);
        dup2(terminal, STDERR_FILENO);
        close(terminal);
        close(own);
        _exit(th_cli_main(argc, argv));
    }
    close(terminal);
    size_t n = 0;
    for (ssize_t got; n + 1 < sizeof said && (got = read(own, said + n, sizeof said - 1 - n)) > 0;) n += (size_t)got;
    said[n] = '\0';
    close(own);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WEXITSTATUS(status);
}

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void progress_is_for_terminals(void **state) {
    (void)state;
    assert_int_equal(run_main("work"), 0);
    assert_string_equal(said, "a note\ndone\n");
    double began = seconds();
    if (run_on_terminal("", (const char *const[]){"theriac", "work", NULL}) < 0)
        skip_because("there is no pseudo terminal");
    assert_non_null(strstr(said, "\rtrain  0/30  0%  loss 1.5\x1b[K"));
    assert_non_null(strstr(said, "/s"));
    assert_non_null(strstr(said, "  loss 1.5\x1b[K\r\x1b[K")); /* taken away before the note */
    const char *end = strstr(said, "a note");
    assert_string_equal(end, "a note\r\ndone\r\n");
    int drawn = 0;
    for (const char *p = said; (p = strstr(p, "\rtrain")); p++) drawn++;
    assert_true(drawn >= 2 && drawn <= 10 * (seconds() - began) + 2); /* of 31 reports in a third of a second or more */
    assert_int_equal(run_on_terminal("1", (const char *const[]){"theriac", "work", NULL}), 0);
    assert_non_null(strstr(said, "\rtrain  0/30  0%  loss 1.5"));
    assert_null(strchr(said, '\x1b'));
    assert_int_equal(run_on_terminal("", (const char *const[]){"theriac", "work", "--quiet", NULL}), 0);
    assert_string_equal(said, "done\r\n");
}

static const char *help_of(const th_verb *v, int64_t method, int columns) {
    static th_str s;
    th_str_free(&s);
    th_str_init(&s, 1 << 16);
    assert_ok(th_help(&s, v, method, false, columns));
    return th_str_text(&s);
}

static void help_comes_from_the_tables(void **state) {
    (void)state;
    assert_string_equal(help_of(&verb_clean, 0, 0),
                        "theriac clean par: perturb and recover\n"
                        "\n"
                        "Usage: theriac clean par [options] MODEL\n"
                        "\n"
                        "Options of par\n"
                        "      --tau X               stop pushing beyond this distance (default 2.15,\n"
                        "                            above 0)\n"
                        "      --mode soft|hard      how to push: 'soft' or not (default soft)\n"
                        "\n"
                        "Training\n"
                        "  -n, --steps N             optimizer steps (default 1000, at least 1)\n"
                        "      --[no-]augment        augment the images (default on)\n"
                        "      --out DIR             the run folder (required)\n"
                        "      --image FILE          an image [or more]; may be given many times\n"
                        "\n"
                        "Common options\n"
                        "      --config FILE         read options from this JSON file; flags win over it\n"
                        "      --json                print one JSON object and nothing else\n"
                        "  -q, --quiet               no progress and no notes\n"
                        "  -h, --help                print this help\n"
                        "\n"
                        "Examples\n"
                        "  theriac clean par --out run model\n");
    const char *verb = help_of(&verb_clean, -1, 0);
    assert_non_null(strstr(verb, "Usage: theriac clean METHOD [options] MODEL\n"));
    assert_non_null(strstr(verb, "\nThe first paragraph.\n\nThe second - with .dots and \\slashes.\n"));
    assert_non_null(strstr(verb, "\nMethods\n  par                       perturb and recover\n"));
    assert_null(strstr(verb, "--tau"));
    assert_null(strstr(verb, "secret"));
}

static th_str *output_of(const th_verb *v, int64_t method, const char *arg) {
    static th_cli cli;
    th_str_free(&cli.out);
    th_options_free(cli.options);
    cli = (th_cli){.verb = v, .method = method, .args = {arg ? &arg : NULL, arg ? 1 : 0}};
    th_str_init(&cli.out, 1 << 20);
    assert_ok(th_verb_options(v, method, &cli.options));
    assert_ok(v->run(&cli));
    return &cli.out;
}

static void manual_page_has_each_method_once(void **state) {
    (void)state;
    const char *page = th_str_text(output_of(&th_verb_man, -1, "clean"));
    assert_non_null(strstr(page, ".TH THERIAC-CLEAN 1 "));
    assert_non_null(strstr(page, "\\fBtheriac clean\\fR \\fIMETHOD\\fR [\\fIoptions\\fR] MODEL\n"));
    assert_non_null(strstr(page, "The first paragraph.\n.PP\nThe second \\- with .dots and \\eslashes.\n"));
    assert_non_null(strstr(page, ".SS par\nperturb and recover.\n.TP\n\\fB\\-\\-tau\\fR \\fIX\\fR\n"));
    assert_non_null(strstr(page, ".SS finetune\nthe control.\n.SH OPTIONS\n.SS Training\n"));
    assert_non_null(strstr(page, "\\fB\\-\\-\\fR[\\fBno\\-\\fR]\\fBaugment\\fR\n"));
    const char *tau = strstr(page, "\\-\\-tau");
    assert_null(strstr(tau + 1, "\\-\\-tau"));
    assert_null(strstr(page, "secret"));
}

static void completion_knows_methods_choices_and_paths(void **state) {
    (void)state;
    const char *bash = th_str_text(output_of(&th_verb_completion, 0, NULL));
    assert_non_null(strstr(bash, "'clean') echo 'par finetune ' ;;"));
    assert_non_null(strstr(bash, "'clean par') echo '--tau --mode --steps --augment --no-augment --out --image "));
    assert_non_null(strstr(bash, "'clean par --mode') echo 'soft hard' ;;"));
    assert_non_null(strstr(bash, "'clean par --image') echo '<path>' ;;"));
    assert_non_null(strstr(bash, "'clean par --tau') echo '<any>' ;;"));
    const char *zsh = th_str_text(output_of(&th_verb_completion, 1, NULL));
    assert_non_null(strstr(zsh, "'*--image=[an image \\[or more\\]; may be given many times]:path:_files'"));
    assert_non_null(strstr(zsh, "'--mode=[how to push\\: ’soft’ or not]:value:(soft hard)'"));
    assert_non_null(strstr(zsh, "'(-n --steps)'{-n,--steps=}'[optimizer steps]:value: '"));
    const char *fish = th_str_text(output_of(&th_verb_completion, 2, NULL));
    assert_non_null(strstr(fish, "__fish_seen_subcommand_from par' -l mode -x -a 'soft hard' -d"));
}

static void tables_align_by_columns_of_the_terminal(void **state) {
    (void)state;
    th_cli cli = {0};
    th_str_init(&cli.out, 4096);
    th_table *t = th_table_new(NULL);
    th_table_column(t, TH_LEFT, "Name");
    th_table_column(t, TH_RIGHT, "Share");
    th_table_column(t, TH_LEFT, "");
    th_table_cell(t, "été 猫");
    th_table_number(t, 3.14159, 2);
    th_table_cell(t, "a\tb\x1b[2J");
    th_table_cell(t, "x");
    th_table_measure(t, 93.12, 0.44, 1);
    th_table_cell(t, "%s", "");
    th_cli_table(&cli, t);
    assert_string_equal(th_str_text(&cli.out), "Name         Share\n"
                                               "été 猫        3.14  a?b?[2J\n"
                                               "x       93.1 ± 0.4\n");
    th_table_free(t);
    th_str_free(&cli.out);
    t = th_table_new("short");
    th_table_column(t, TH_LEFT, "a");
    th_table_column(t, TH_LEFT, "b");
    th_table_cell(t, "alone");
    assert_fails(th_table_status(t), TH_E_BUG, "a table of 2 columns was given 1 cells");
    th_table_free(t);
    assert_fails(th_table_status(NULL), TH_E_MEMORY, "out of memory");
}

static void text_is_broken_between_words(void **state) {
    (void)state;
    th_str s;
    th_str_init(&s, 4096);
    th_text_wrap(&s, "one two three  four\nnext", 4, 4, 13);
    assert_string_equal(th_str_text(&s), "one two\n    three\n    four\n    next");
    th_str_free(&s);
    assert_int_equal(th_text_width("é猫\xff"), 4);
    assert_int_equal(th_text_fit("é猫猫", 4), strlen("é猫"));
}

static void progress_tells_rate_and_time_left(void **state) {
    (void)state;
    th_progress p = {0};
    char line[TH_PROGRESS_MAX];
    assert_true(th_progress_line(&p, 100, "train", 500, 4000, NULL, line));
    assert_string_equal(line, "train  500/4000  12%");
    assert_false(th_progress_line(&p, 100.05, "train", 501, 4000, NULL, line));
    for (int i = 1; i <= 40; i++)
        assert_true(th_progress_line(&p, 100 + 0.5 * i, "train", 500 + 5 * i, 4000, "loss 1.234", line));
    assert_string_equal(line, "train  700/4000  17%  10/s  5 min 30 s left  loss 1.234");
    assert_true(th_progress_line(&p, 120.01, "evaluate", 0, 0, NULL, line)); /* a new phase is shown at once */
    assert_string_equal(line, "evaluate  0");
    assert_true(th_progress_line(&p, 130.01, "evaluate", 2, 0, NULL, line));
    assert_string_equal(line, "evaluate  2  5 s each");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_reach_the_verb),
        cmocka_unit_test(exit_codes_are_as_documented),
        cmocka_unit_test(the_first_signal_asks_and_the_second_ends),
        cmocka_unit_test(progress_is_for_terminals),
        cmocka_unit_test(help_comes_from_the_tables),
        cmocka_unit_test(manual_page_has_each_method_once),
        cmocka_unit_test(completion_knows_methods_choices_and_paths),
        cmocka_unit_test(tables_align_by_columns_of_the_terminal),
        cmocka_unit_test(text_is_broken_between_words),
        cmocka_unit_test(progress_tells_rate_and_time_left),
    };
    return cmocka_run_group_tests_name("cli", tests, NULL, NULL);
}
