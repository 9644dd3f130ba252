/* Commands of theriac as processes. */
#include "cli/jobs.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/machine.h"
#include "base/memory.h"
#include "base/number.h"
#include "cli/text.h"
#include "format/json.h"

enum {
    MOST_RUNNING = 256,
    MOST_WORDS = 128,
    LOOK_MILLISECONDS = 500, /* between looks at whether to stop, and redraws */
    BLIND_MILLISECONDS = 50, /* the same where the system cannot wake us when a process ends */
    LOCK_SECONDS = 20,       /* how long the last step of a killed run may take to end */
    TAIL_BYTES = 4096,       /* of a log are looked at */
    PLAN_MAX = 1 << 20,      /* bytes of a plan as JSON */
};

/* ---- one process */

/* Only what is allowed between fork and exec in a process that had threads. The group is its own, so that Ctrl-C on the
 * terminal reaches the parent alone, which passes it on once: a second signal would end a process on the spot. */
static _Noreturn void become(const char *const *argv, int out, int err, pid_t parent) {
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() == parent && dup2(out, STDOUT_FILENO) >= 0 && dup2(err, STDERR_FILENO) >= 0)
        execv("/proc/self/exe", (char *const *)(uintptr_t)argv);
    _exit(th_status_exit(TH_E_BUG));
}

static th_status start(const char *const *argv, bool resume, int out, int err, pid_t *pid) {
    const char *words[MOST_WORDS + 3] = {"theriac"};
    int n = 1;
    for (; argv[n - 1]; n++) {
        if (n == MOST_WORDS) return th_fail(TH_E_BUG, "a command has more than %d words", MOST_WORDS);
        words[n] = argv[n - 1];
    }
    if (resume) words[n++] = "--resume";
    words[n] = NULL;
    pid_t parent = getpid();
    *pid = fork();
    if (*pid == 0) become(words, out, err, parent);
    return *pid < 0 ? th_fail_errno("theriac", "cannot start it") : TH_OK;
}

static th_status open_log(const char *path, bool anew, int *fd) {
    TH_TRY(th_make_parents(path));
    *fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | (anew ? O_TRUNC : O_APPEND), 0666);
    return *fd < 0 ? th_fail_errno(path, "cannot write it") : TH_OK;
}

/* The last line that begins as errors do, else the last that says something. */
static void find_last_words(char *log, char out[TH_MESSAGE_MAX]) {
    char *rest = log;
    bool error = false;
    out[0] = '\0';
    for (char *line = strtok_r(log, "\r\n", &rest); line; line = strtok_r(NULL, "\r\n", &rest)) {
        bool is_error = !strncmp(line, "theriac: ", 9);
        if (error && !is_error) continue;
        error = is_error;
        snprintf(out, TH_MESSAGE_MAX, "%.300s", is_error ? line + 9 : line);
    }
    for (char *c = out; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f) *c = '?';
}

static void read_last_words(const char *path, char out[TH_MESSAGE_MAX]) {
    char tail[TAIL_BYTES + 1];
    struct stat st;
    ssize_t n = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && fstat(fd, &st) == 0)
        n = pread(fd, tail, TAIL_BYTES, st.st_size > TAIL_BYTES ? st.st_size - TAIL_BYTES : 0);
    if (fd >= 0) close(fd);
    tail[n > 0 ? n : 0] = '\0';
    find_last_words(tail, out);
}

/* How a process ended, in words; its status in those of the library. */
static th_status tell_end(int how, const char *log, char out[TH_MESSAGE_MAX]) {
    char words[TH_MESSAGE_MAX];
    int code = WIFEXITED(how) ? WEXITSTATUS(how) : -1;
    read_last_words(log, words);
    if (WIFSIGNALED(how))
        snprintf(out, TH_MESSAGE_MAX, "was ended by signal %d%s; see %.200s", WTERMSIG(how),
                 WTERMSIG(how) == SIGKILL ? ", as where memory is short" : "", log);
    else
        snprintf(out, TH_MESSAGE_MAX, "%.300s", words[0] ? words : "ended without a word");
    if (code == th_status_exit(TH_E_INTERRUPTED)) return TH_E_INTERRUPTED;
    if (code == th_status_exit(TH_E_USAGE)) return TH_E_USAGE;
    if (code == th_status_exit(TH_E_MEMORY)) return TH_E_MEMORY;
    return code == th_status_exit(TH_E_BUG) ? TH_E_BUG : TH_E_INPUT;
}

/* ---- many */

typedef struct {
    int64_t job, command;
    pid_t pid;
    int wake; /* a pidfd; −1: the system has none */
    double began;
} slot;

typedef struct {
    th_cli *cli;
    const th_job *jobs;
    int64_t count;
    const th_jobs_params *p;
    th_jobs_result *r;
    bool *taken;
    slot running[MOST_RUNNING];
    int64_t running_count, most;
    int threads;
    int64_t bytes;
    double planned, planned_done, began; /* planned: seconds of jobs that were not found */
    double last;                         /* when the newest of them ended */
    bool stopping;
} crew;

static bool is_done(const th_command *c) { return th_path_exists(c->result); }

/* The first command that is left. Where the last is done all are, though what they made may be gone. */
static int64_t next_command(const th_job *j, int64_t from) {
    if (is_done(&j->commands[j->command_count - 1])) return j->command_count;
    while (from < j->command_count && is_done(&j->commands[from])) from++;
    return from;
}

static th_status add_failure(crew *c, int64_t job, const char *why) {
    th_jobs_result *r = c->r;
    if (!th_grow(r->failures, r->failure_count, r->failure_capacity)) return th_fail_memory();
    th_job_failure *f = &r->failures[r->failure_count++];
    f->job = job;
    snprintf(f->text, sizeof f->text, "%.200s: %.300s", c->jobs[job].name, why);
    th_progress_clear(&c->cli->bar);
    th_cli_note(c->cli, "failed: %s", f->text);
    return TH_OK;
}

static th_status begin_command(crew *c, slot *s) {
    const th_job *j = &c->jobs[s->job];
    const th_command *k = &j->commands[s->command];
    int log = -1;
    TH_TRY(open_log(j->log, false, &log));
    th_status status = start(k->argv, k->begun && th_path_exists(k->begun), log, log, &s->pid);
    close(log);
    if (status == TH_OK) s->wake = pidfd_open(s->pid, 0);
    return status;
}

static th_status finish(crew *c, int64_t job) {
    c->r->done++;
    return c->p->finished ? c->p->finished(c->p->user, job) : TH_OK;
}

static bool fits(const crew *c, const th_job *j) {
    if (c->running_count == 0) return true;
    return c->running_count < c->most && c->threads + j->threads <= c->p->threads &&
           (!c->p->memory || c->bytes + j->bytes <= c->p->memory);
}

/* As many as there is room for, in their order. */
static th_status begin_jobs(crew *c) {
    for (int64_t i = 0; i < c->count && !c->stopping && c->running_count < c->most; i++) {
        if (c->taken[i] || !fits(c, &c->jobs[i])) continue;
        slot *s = &c->running[c->running_count];
        *s = (slot){.job = i, .command = next_command(&c->jobs[i], 0), .wake = -1, .began = th_seconds()};
        c->taken[i] = true;
        TH_TRY(begin_command(c, s));
        c->running_count++;
        c->threads += c->jobs[i].threads;
        c->bytes += c->jobs[i].bytes;
    }
    return TH_OK;
}

static void leave(crew *c, int64_t at) {
    const th_job *j = &c->jobs[c->running[at].job];
    c->threads -= j->threads;
    c->bytes -= j->bytes;
    c->planned_done += j->seconds;
    c->last = th_seconds();
    c->running[at] = c->running[--c->running_count];
}

/* At the pace so far, as it was when a job ended last: between, time alone goes on. */
static double seconds_left(const crew *c) {
    if (c->planned_done <= 0) return NAN;
    double left = (c->planned - c->planned_done) * (c->last - c->began) / c->planned_done;
    return fmax(left - (th_seconds() - c->last), 0);
}

static void say_done(const crew *c, const slot *s) {
    char took[TH_NUMBER_TEXT], left[TH_NUMBER_TEXT];
    if (c->cli->bar.on) return; /* its line says it */
    th_human_seconds(took, th_seconds() - s->began);
    th_human_seconds(left, seconds_left(c));
    th_cli_note(c->cli, "%lld of %lld %s: %s in %s; about %s left", (long long)c->r->done, (long long)c->count,
                c->p->what, c->jobs[s->job].name, took, left);
}

/* A command of the slot at `at` has ended. */
static th_status look_at(crew *c, int64_t at, int how) {
    slot *s = &c->running[at], was = *s;
    const th_job *j = &c->jobs[s->job];
    char why[TH_MESSAGE_MAX];
    if (s->wake >= 0) close(s->wake);
    s->wake = -1;
    if (is_done(&j->commands[s->command]) && WIFEXITED(how) && WEXITSTATUS(how) == 0) {
        s->command = next_command(j, s->command + 1);
        bool whole = s->command == j->command_count;
        th_status status = whole || c->stopping ? TH_OK : begin_command(c, s);
        if (!whole && !c->stopping && status == TH_OK) return TH_OK;
        leave(c, at);
        if (!whole || status != TH_OK) return status;
        TH_TRY(finish(c, was.job));
        return say_done(c, &was), TH_OK;
    }
    th_status status = tell_end(how, j->log, why);
    leave(c, at);
    return c->stopping && status == TH_E_INTERRUPTED ? TH_OK : add_failure(c, was.job, why);
}

static th_status reap(crew *c) {
    for (int64_t i = c->running_count - 1; i >= 0; i--) {
        int how = 0;
        pid_t pid = waitpid(c->running[i].pid, &how, WNOHANG);
        if (pid < 0 && errno != EINTR) return th_fail_errno("theriac", "cannot wait for it");
        if (pid > 0) TH_TRY(look_at(c, i, how));
    }
    return TH_OK;
}

static void show(crew *c) {
    char what[40], detail[96], left[TH_NUMBER_TEXT];
    double seconds = seconds_left(c);
    snprintf(what, sizeof what, "%s %lld/%lld", c->p->what, (long long)c->r->done, (long long)c->count);
    int n = snprintf(detail, sizeof detail, "%lld at a time", (long long)c->running_count);
    th_human_seconds(left, seconds);
    if (isfinite(seconds)) n += snprintf(detail + n, sizeof detail - (size_t)n, ", %s left", left);
    if (c->r->failure_count)
        snprintf(detail + n, sizeof detail - (size_t)n, ", %lld failed", (long long)c->r->failure_count);
    th_report(&c->cli->watch, what, TH_PROGRESS_UNCOUNTED, 0, detail);
}

static void stop_all(crew *c) {
    if (c->stopping) return;
    c->stopping = true;
    for (int64_t i = 0; i < c->running_count; i++) kill(c->running[i].pid, SIGTERM);
}

static void wait_a_little(const crew *c) {
    struct pollfd fds[MOST_RUNNING];
    int patience = LOOK_MILLISECONDS;
    for (int64_t i = 0; i < c->running_count; i++) {
        fds[i] = (struct pollfd){.fd = c->running[i].wake, .events = POLLIN};
        if (fds[i].fd < 0) patience = BLIND_MILLISECONDS;
    }
    poll(fds, (nfds_t)c->running_count, patience);
}

/* Ends with no process running, whatever happens. */
static th_status go(crew *c) {
    th_status s = begin_jobs(c);
    while (c->running_count) {
        if (s != TH_OK || th_stopped(&c->cli->watch)) stop_all(c);
        show(c);
        wait_a_little(c);
        th_status reaped = reap(c);
        if (s == TH_OK) s = reaped;
        if (s == TH_OK) s = begin_jobs(c);
    }
    if (s != TH_OK || !c->stopping) return s;
    return th_fail(TH_E_INTERRUPTED, "stopped; %lld of %lld %s are done", (long long)c->r->done, (long long)c->count,
                   c->p->what);
}

static th_status check_budget(const crew *c) {
    for (int64_t i = 0; i < c->count && c->p->memory; i++) {
        char needs[TH_NUMBER_TEXT], has[TH_NUMBER_TEXT];
        if (c->jobs[i].bytes <= c->p->memory) continue;
        th_human_bytes(needs, (double)c->jobs[i].bytes);
        th_human_bytes(has, (double)c->p->memory);
        return th_fail(TH_E_USAGE, "%s: takes %s, and --memory allows %s", c->jobs[i].name, needs, has);
    }
    return TH_OK;
}

static th_status find_done(crew *c) {
    for (int64_t i = 0; i < c->count; i++) {
        const th_job *j = &c->jobs[i];
        if (next_command(j, 0) < j->command_count) {
            c->planned += j->seconds;
            continue;
        }
        c->taken[i] = true;
        c->r->found++;
        TH_TRY(finish(c, i));
    }
    return TH_OK;
}

th_status th_cli_jobs_run(th_cli *cli, const th_job *jobs, int64_t count, const th_jobs_params *p, th_jobs_result *r) {
    crew *c = th_alloc(1, sizeof *c);
    *r = (th_jobs_result){0};
    if (!c) return th_fail_memory();
    *c = (crew){.cli = cli, .jobs = jobs, .count = count, .p = p, .r = r, .began = th_seconds()};
    c->most = p->most > 0 && p->most < MOST_RUNNING ? p->most : MOST_RUNNING;
    c->taken = th_alloc((size_t)count + 1, sizeof *c->taken);
    th_status s = c->taken ? check_budget(c) : th_fail_memory();
    if (s == TH_OK) s = find_done(c);
    if (s == TH_OK) s = go(c);
    r->seconds = th_seconds() - c->began;
    th_free(c->taken);
    th_free(c);
    return s;
}

void th_cli_jobs_free(th_jobs_result *r) {
    th_free(r->failures);
    *r = (th_jobs_result){0};
}

/* ---- one, for what it prints */

static th_status wait_for(th_cli *cli, pid_t pid, int *how) {
    struct pollfd wake = {.fd = pidfd_open(pid, 0), .events = POLLIN};
    bool asked = false;
    pid_t ended;
    while ((ended = waitpid(pid, how, WNOHANG)) == 0) {
        if (th_stopped(&cli->watch) && !asked) asked = kill(pid, SIGTERM) == 0;
        poll(&wake, 1, wake.fd < 0 ? BLIND_MILLISECONDS : LOOK_MILLISECONDS);
    }
    if (wake.fd >= 0) close(wake.fd);
    return ended < 0 ? th_fail_errno("theriac", "cannot wait for it") : TH_OK;
}

static th_status run_one(th_cli *cli, const char *const *argv, const char *out, const char *err) {
    int fd[2] = {-1, -1}, how = 0;
    pid_t pid = 0;
    th_status s = open_log(out, true, &fd[0]);
    if (s == TH_OK) s = open_log(err, true, &fd[1]);
    if (s == TH_OK) s = start(argv, false, fd[0], fd[1], &pid);
    for (int i = 0; i < 2; i++)
        if (fd[i] >= 0) close(fd[i]);
    if (s != TH_OK) return s;
    TH_TRY(wait_for(cli, pid, &how));
    if (WIFEXITED(how) && WEXITSTATUS(how) == 0) return TH_OK;
    char why[TH_MESSAGE_MAX];
    s = tell_end(how, err, why);
    return th_fail(s, "%s", why);
}

th_status th_cli_command_json(th_cli *cli, const char *const *argv, const char *dir, json_t **out) {
    char paths[2][TH_PATH_MAX];
    th_json j = {0};
    TH_TRY(th_path_join(paths[0], dir, "command.json"));
    TH_TRY(th_path_join(paths[1], dir, "command.log"));
    th_status s = run_one(cli, argv, paths[0], paths[1]);
    if (s == TH_OK) s = th_json_load(paths[0], PLAN_MAX, &j);
    if (s == TH_OK) *out = json_incref(j.root);
    th_json_free(&j);
    for (int i = 0; i < 2; i++) unlink(paths[i]);
    return s;
}

/* ---- the folder */

th_status th_cli_lock(th_cli *cli, const char *dir, int *fd) {
    char path[TH_PATH_MAX];
    TH_TRY(th_make_dirs(dir));
    TH_TRY(th_path_join(path, dir, "lock"));
    *fd = open(path, O_RDWR | O_CREAT, 0666); /* and handed on: held until the last process of ours has ended */
    if (*fd < 0) return th_fail_errno(path, "cannot write it");
    for (int waited = 0; flock(*fd, LOCK_EX | LOCK_NB) < 0; waited++) {
        if (errno != EWOULDBLOCK && errno != EINTR) return th_fail_errno(path, "cannot lock it");
        if (waited == 10 * LOCK_SECONDS || th_stopped(&cli->watch))
            return th_fail(TH_E_USAGE, "%s: another process is at work there", dir);
        if (waited == 10) th_cli_note(cli, "%s: waiting for processes of an earlier run to end", dir);
        poll(NULL, 0, 100);
    }
    return TH_OK;
}
