/* Run folders. */
#include "train/run_folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/machine.h"
#include "base/memory.h"
#include "base/number.h"
#include "format/events.h"
#include "format/json.h"
#include "format/options_json.h"

struct th_run_folder {
    char path[TH_PATH_MAX];
    int lock; /* the folder, held while it is open; −1: not */
    json_t *run;
    FILE *metrics;
    int lines; /* in metrics, of the step that they begin after */
    th_events *events;
};

#define CHECKPOINT "step-%09lld.safetensors"

static th_status inside(const th_run_folder *r, const char *name, char *out) {
    return th_path_join(out, r->path, name);
}

static th_status write_run(const th_run_folder *r) {
    char path[TH_PATH_MAX];
    TH_TRY(inside(r, "run.json", path));
    return th_json_write(path, r->run);
}

static json_t *machine_json(void) {
    th_machine m;
    th_machine_look(&m);
    return json_pack("{s:s, s:i, s:i, s:I}", "cpu", m.cpu, "cores", m.cores, "processors", m.processors, "memory",
                     (json_int_t)m.memory);
}

static th_status describe(th_run_folder *r, const th_run_folder_params *p) {
    json_t *options = NULL;
    TH_TRY(th_options_json(p->options, &options));
    r->run = json_pack("{s:s, s:s, s:o, s:o*, s:o}", "command", p->command, "version", th_version(), "options", options,
                       "inputs", p->inputs ? json_deep_copy(p->inputs) : NULL, "machine", machine_json());
    return r->run ? TH_OK : th_fail_memory();
}

/* An option that an older version did not have yet, and that nobody has set now. */
static bool is_news(const th_options *o, const char *key) {
    const th_setting *s = o ? th_options_find(o, key) : NULL;
    return s && s->from == TH_FROM_DEFAULT;
}

static bool may_differ(const th_run_folder_params *p, const char *key) {
    for (int i = 0; p->may_differ && p->may_differ[i]; i++) {
        const char *name = p->may_differ[i];
        size_t n = strlen(name);
        bool prefix = n && name[n - 1] == '*';
        if (prefix ? !strncmp(key, name, n - 1) : !strcmp(key, name)) return true;
    }
    return false;
}

/* The first member in which two objects differ; NULL if none. p: of the options; NULL where others are compared. */
static const char *difference(json_t *was, json_t *is, const th_run_folder_params *p) {
    const char *key;
    json_t *value;
    json_object_foreach(was, key, value) {
        if (!json_equal(value, json_object_get(is, key)) && !(p && may_differ(p, key))) return key;
    }
    json_object_foreach(is, key, value) {
        if (!json_object_get(was, key) && !(p && (may_differ(p, key) || is_news(p->options, key)))) return key;
    }
    return NULL;
}

static th_status compare(const char *file, const char *what, json_t *was, json_t *is, const th_run_folder_params *p) {
    const char *key = difference(was, is, p);
    if (!key) return TH_OK;
    th_str a, b;
    th_str_init(&a, 256), th_str_init(&b, 256);
    json_t *x = json_object_get(was, key), *y = json_object_get(is, key);
    if (x) (void)th_json_text(x, 0, &a);
    if (y) (void)th_json_text(y, 0, &b);
    th_status s =
        th_fail(TH_E_USAGE, "%s: the run was made with %s '%s' = %.80s, now it is %.80s: resume with the same", file,
                what, key, x ? th_str_text(&a) : "none", y ? th_str_text(&b) : "none");
    th_str_free(&a);
    th_str_free(&b);
    return s;
}

/* From then on run.json is the old one, with the options of now. */
static th_status check_same(th_run_folder *r, const th_run_folder_params *p) {
    char path[TH_PATH_MAX];
    TH_TRY(inside(r, "run.json", path));
    th_json was = {0};
    TH_TRY(th_json_load(path, TH_JSON_MAX, &was));
    const char *command = "";
    th_status s = th_json_string(&was, "command", &command);
    if (s == TH_OK && strcmp(command, json_string_value(json_object_get(r->run, "command"))))
        s = th_fail(TH_E_USAGE, "%s: is a run of '%s'", path, command);
    if (s == TH_OK)
        s = compare(path, "option", json_object_get(was.root, "options"), json_object_get(r->run, "options"), p);
    if (s == TH_OK)
        s = compare(path, "input", json_object_get(was.root, "inputs"), json_object_get(r->run, "inputs"), NULL);
    if (s == TH_OK && json_object_set(was.root, "options", json_object_get(r->run, "options"))) s = th_fail_memory();
    if (s == TH_OK) {
        json_decref(r->run);
        r->run = json_incref(was.root);
    }
    th_json_free(&was);
    return s;
}

/* Steps of all whole checkpoints, ascending (names sort as numbers do). */
static th_status list_steps(const th_run_folder *r, int64_t **steps, int64_t *count) {
    char dir[TH_PATH_MAX], name[64];
    th_names names;
    *steps = NULL;
    *count = 0;
    TH_TRY(inside(r, "checkpoints", dir));
    TH_TRY(th_list_dir(dir, &names));
    *steps = th_alloc((size_t)names.count + 1, sizeof **steps);
    for (int64_t i = 0; *steps && i < names.count; i++) {
        long long step;
        if (sscanf(names.names[i], "step-%lld", &step) != 1 || step < 0) continue;
        snprintf(name, sizeof name, CHECKPOINT, step);
        if (!strcmp(name, names.names[i])) (*steps)[(*count)++] = step;
    }
    th_names_free(&names);
    return *steps ? TH_OK : th_fail_memory();
}

th_status th_run_folder_newest(const th_run_folder *r, int64_t *step, char *path) {
    int64_t *steps, count;
    *step = -1;
    th_status s = list_steps(r, &steps, &count);
    if (s == TH_OK && count) *step = steps[count - 1];
    th_free(steps);
    if (s == TH_OK && *step >= 0 && path) s = th_run_folder_checkpoint(r, *step, path);
    return s;
}

/* Whether run.json tells of work that was kept; then it does not give way, and without a checkpoint cannot go on. */
static bool has_work(const json_t *run) {
    return json_object_get(run, TH_RUN_SECONDS) || json_object_get(run, "seconds");
}

static th_status check_resumable(const th_run_folder *r) {
    int64_t newest;
    TH_TRY(th_run_folder_newest(r, &newest, NULL));
    if (newest >= 0 || !has_work(r->run)) return TH_OK;
    return th_fail(TH_E_USAGE, "%s: had checkpoints and holds none any more, so it cannot go on", r->path);
}

/* Makes room for a new run: what ended before its first checkpoint has nothing to lose. */
static th_status clear(const th_run_folder *r, const char *run) {
    char checkpoints[TH_PATH_MAX], metrics[TH_PATH_MAX];
    th_json was = {0};
    int64_t newest = -1;
    TH_TRY(th_json_load(run, TH_JSON_MAX, &was));
    bool worked = has_work(was.root);
    th_json_free(&was);
    TH_TRY(inside(r, "checkpoints", checkpoints));
    if (th_path_is_dir(checkpoints)) TH_TRY(th_run_folder_newest(r, &newest, NULL));
    if (worked || newest >= 0)
        return th_fail(TH_E_USAGE, "%s: holds a run already; go on with it by --resume, or give another folder",
                       r->path);
    TH_TRY(inside(r, "metrics.jsonl", metrics));
    return unlink(metrics) == 0 || errno == ENOENT ? TH_OK : th_fail_errno(metrics, "remove it");
}

/* Two processes would write each other's checkpoints. The lock is on the folder, since run.json is replaced with every
 * note; it goes with the process, however that ends. A file system without locks has none. */
static th_status lock_folder(th_run_folder *r, const char *name) {
    r->lock = open(r->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (r->lock < 0) return th_fail_errno(name, "open it");
    if (flock(r->lock, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
        return th_fail(TH_E_USAGE, "%s: another process is at work on the run in it", name);
    return TH_OK;
}

static th_status open_folder(th_run_folder *r, const th_run_folder_params *p) {
    char run[TH_PATH_MAX], checkpoints[TH_PATH_MAX];
    TH_TRY(inside(r, "run.json", run));
    TH_TRY(inside(r, "checkpoints", checkpoints));
    TH_TRY(describe(r, p));
    if (p->resume && !th_path_exists(run))
        return th_fail(TH_E_USAGE, "%s: holds no run to resume (run.json is missing)", p->path);
    if (!p->resume) TH_TRY(th_make_dirs(r->path));
    TH_TRY(lock_folder(r, p->path));
    if (p->resume) {
        TH_TRY(check_same(r, p));
        return check_resumable(r);
    }
    if (th_path_exists(run)) TH_TRY(clear(r, run));
    TH_TRY(th_make_dirs(checkpoints));
    return write_run(r);
}

th_status th_run_folder_open(const th_run_folder_params *p, th_run_folder **out) {
    th_run_folder *r = th_alloc(1, sizeof *r);
    if (!r) return th_fail_memory();
    r->lock = -1;
    th_status s = th_path_join(r->path, p->path, "");
    if (s == TH_OK) s = open_folder(r, p);
    if (s != TH_OK) return th_run_folder_close(r), s;
    *out = r;
    return TH_OK;
}

void th_run_folder_close(th_run_folder *r) {
    if (!r) return;
    json_decref(r->run);
    if (r->metrics) fclose(r->metrics);
    th_events_close(r->events);
    if (r->lock >= 0) close(r->lock);
    th_free(r);
}

const char *th_run_folder_path(const th_run_folder *r) { return r->path; }

th_status th_run_folder_checkpoint(const th_run_folder *r, int64_t step, char *path) {
    char name[64];
    snprintf(name, sizeof name, "checkpoints/" CHECKPOINT, (long long)step);
    return inside(r, name, path);
}

th_status th_run_folder_prune(const th_run_folder *r, int64_t keep) {
    int64_t *steps, count;
    th_status s = list_steps(r, &steps, &count);
    for (int64_t i = 0; i + keep < count && s == TH_OK; i++) {
        char path[TH_PATH_MAX];
        s = th_run_folder_checkpoint(r, steps[i], path);
        if (s == TH_OK && unlink(path) != 0) s = th_fail_errno(path, "remove it");
    }
    th_free(steps);
    return s;
}

/* Bytes of the lines whose step is at most `last`, and how many are of it. */
static size_t kept_lines(const char *text, size_t length, int64_t last, int *of_last) {
    size_t kept = 0;
    *of_last = 0;
    while (kept < length) {
        const char *line = text + kept, *end = memchr(line, '\n', length - kept);
        long long step;
        if (!end || sscanf(line, "{\"step\":%lld", &step) != 1 || step > last) break;
        kept = (size_t)(end + 1 - text);
        *of_last += step == last;
    }
    return kept;
}

static th_status open_metrics(th_run_folder *r, int64_t step) {
    char path[TH_PATH_MAX];
    TH_TRY(inside(r, "metrics.jsonl", path));
    size_t kept = 0;
    if (step >= 0 && th_path_exists(path)) {
        th_bytes old;
        TH_TRY(th_file_read(path, (size_t)1 << 32, &old));
        kept = kept_lines(old.data, old.length, step, &r->lines);
        th_free(old.data);
    }
    r->metrics = fopen(path, kept ? "r+e" : "we");
    if (!r->metrics) return th_fail_errno(path, "write it");
    if (ftruncate(fileno(r->metrics), (off_t)kept) != 0 || fseek(r->metrics, 0, SEEK_END) != 0)
        return th_fail_errno(path, "write it");
    return TH_OK;
}

th_status th_run_folder_begin_log(th_run_folder *r, int64_t step) {
    char path[TH_PATH_MAX];
    TH_TRY(open_metrics(r, step));
    TH_TRY(inside(r, "events.out.tfevents.theriac", path));
    return th_events_open(path, (double)time(NULL), step, &r->events);
}

int th_run_folder_lines(const th_run_folder *r) { return r->lines; }

th_status th_run_folder_log(th_run_folder *r, int64_t step, const th_metric *metrics, int count) {
    if (!r->metrics) return TH_OK;
    th_event_scalar scalars[16];
    int n = count < 16 ? count : 16;
    fprintf(r->metrics, "{\"step\":%lld", (long long)step);
    for (int i = 0; i < n; i++) {
        char value[TH_NUMBER_TEXT];
        th_print_f32(value, (float)metrics[i].value);
        fprintf(r->metrics, ",\"%s\":%s", metrics[i].name, isfinite(metrics[i].value) ? value : "null");
        scalars[i] = (th_event_scalar){metrics[i].name, (float)metrics[i].value};
    }
    if (fputs("}\n", r->metrics) < 0 || fflush(r->metrics) != 0)
        return th_fail_errno(r->path, "write metrics.jsonl in it");
    return th_events_scalars(r->events, (double)time(NULL), step, scalars, n);
}

th_status th_run_folder_note(th_run_folder *r, const char *name, json_t *value) {
    if (!value || json_object_set_new(r->run, name, value)) return th_fail_memory();
    return write_run(r);
}

double th_run_folder_number(const th_run_folder *r, const char *name) {
    return json_number_value(json_object_get(r->run, name));
}
