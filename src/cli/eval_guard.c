/* theriac eval guard: attackers against open and guarded models, side by side. docs/methods/guard-protocol.md */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/machine.h"
#include "base/number.h"
#include "cli/plan_table.h"
#include "cli/study/parts.h"

static const th_option options[] = {
    TH_OPT_PATH("study", NULL, "file of models, subjects, attackers, prompts and judges", .argument = "FILE",
                .required = true),
    TH_OPT_PATH("out", NULL, "folder of the study: pictures, tables, the report", .argument = "DIR", .letter = 'o'),
    TH_OPT_LIST("only", "a model, subject or attacker: other cells are left for later; may be given many times",
                .argument = "NAME"),
    TH_OPT_END,
};

static const th_option run_options[] = {
    TH_OPT_BOOL("resume", false, "go on with the study in --out", .flag_only = true),
    TH_OPT_BOOL("plan", false, "say what it will take, and stop", .flag_only = true),
    TH_OPT_BOOL("keep-models", false, "keep what attackers trained, of every cell"),
    TH_OPT_INT("jobs", 0, "cells side by side; 0: as many as there are threads, as far as memory goes",
               TH_WITHIN(0, 256)),
    TH_OPT_INT("threads", 0, "threads that compute, of all cells together; 0: all", TH_WITHIN(0, 1024)),
    TH_OPT_SIZE("memory", 0, "budget for all cells together, such as 16G; 0: four fifths of what is free",
                TH_AT_LEAST(0)),
    TH_OPT_END,
};

/* ---- how many at a time */

static void read_machine(th_trial_run *r) {
    th_machine m;
    th_machine_look(&m);
    r->threads = (int)th_get_i64(r->cli->options, "threads");
    r->memory = th_get_i64(r->cli->options, "memory");
    r->side_by_side = th_get_i64(r->cli->options, "jobs");
    if (r->threads < 1) r->threads = m.processors > 0 ? m.processors : 1;
    if (r->memory <= 0) r->memory = m.available / 5 * 4;
    r->threads_each = r->side_by_side > 0 && r->side_by_side < r->threads ? r->threads / (int)r->side_by_side : 1;
}

static int64_t most_bytes(const th_trial_run *r) {
    int64_t most = r->picture.bytes;
    for (int64_t a = 0; a < r->trial.attacker_count; a++) {
        if (r->attack_costs[a].bytes > most) most = r->attack_costs[a].bytes;
        if (r->tune_costs[a].bytes > most) most = r->tune_costs[a].bytes;
    }
    return most;
}

/* As many cells as there are threads, or as the largest of them fit into memory; each then has more threads. */
static th_status choose_side_by_side(th_trial_run *r) {
    int64_t fit = r->memory / most_bytes(r);
    if (!fit) {
        char needs[TH_NUMBER_TEXT], has[TH_NUMBER_TEXT];
        th_human_bytes(needs, (double)most_bytes(r));
        th_human_bytes(has, (double)r->memory);
        return th_fail(TH_E_USAGE, "the largest cell takes %s, and --memory allows %s", needs, has);
    }
    if (r->side_by_side <= 0) r->side_by_side = r->threads;
    if (r->side_by_side > fit) r->side_by_side = fit;
    r->threads_each = r->threads > r->side_by_side ? r->threads / (int)r->side_by_side : 1;
    return TH_OK;
}

/* ---- --plan */

typedef struct {
    int64_t cells, plain, first, pictures;
    double seconds; /* of all jobs, one after the other */
} sums;

static sums add_up(const th_trial_run *r) {
    sums s = {.first = r->first.count};
    for (int64_t i = 0; i < r->first.count; i++) s.seconds += r->first.items[i].seconds;
    for (int64_t i = 0; i < r->cells.count; i++) {
        const th_job *j = &r->cells.items[i];
        bool attack = r->cells.after[i].scratch != NULL;
        s.cells += attack, s.plain += !attack;
        s.seconds += j->seconds;
    }
    for (int64_t i = 0; i < r->block_count; i++) {
        const th_trial_block *b = &r->blocks[i];
        if (th_trial_wanted(r, b->model, b->subject, b->attacker)) s.pictures += b->count * b->each;
    }
    return s;
}

static void print_plan(th_trial_run *r, const sums *s, double seconds) {
    char text[200], number[TH_NUMBER_TEXT];
    th_table *t = th_cli_plan_table();
    snprintf(text, sizeof text, "%lld: model, subject, attacker, seed", (long long)s->cells);
    th_table_pair(t, "Cells", text);
    snprintf(text, sizeof text, "%lld before them, %lld drawings by models as they are", (long long)s->first,
             (long long)s->plain);
    th_table_pair(t, "Other jobs", text);
    snprintf(text, sizeof text, "%lld", (long long)s->pictures);
    th_table_pair(t, "Pictures", text);
    snprintf(text, sizeof text, "%lld jobs of %d threads", (long long)r->side_by_side, r->threads_each);
    th_table_pair(t, "Side by side", text);
    th_human_bytes(number, (double)(most_bytes(r) * r->side_by_side));
    snprintf(text, sizeof text, "at most %s", number);
    th_table_pair(t, "Memory", text);
    th_human_seconds(number, seconds);
    snprintf(text, sizeof text, "at least %s here", number);
    th_table_pair(t, "Time", text);
    th_cli_table(r->cli, t);
    th_table_free(t);
}

static th_status plan(th_trial_run *r) {
    const sums s = add_up(r);
    double seconds = s.seconds / (double)r->side_by_side;
    if (!r->cli->json) return print_plan(r, &s, seconds), TH_OK;
    th_cli_json(r->cli,
                json_pack("{s:I, s:I, s:I, s:I, s:I, s:i, s:I, s:f}", "cells", (json_int_t)s.cells, "first",
                          (json_int_t)s.first, "drawings", (json_int_t)s.plain, "pictures", (json_int_t)s.pictures,
                          "jobs", (json_int_t)r->side_by_side, "threads_each", r->threads_each, "bytes",
                          (json_int_t)(most_bytes(r) * r->side_by_side), "seconds_here", seconds));
    return TH_OK;
}

/* ---- the run */

static th_status keep_failures(th_trial_run *r, const th_jobs_result *result) {
    const char **more =
        th_arena_alloc(r->trial.arena, (size_t)(r->failure_count + result->failure_count) + 1, sizeof *more);
    if (!more) return th_fail_memory();
    for (int64_t i = 0; i < r->failure_count; i++) more[i] = r->failures[i];
    for (int64_t i = 0; i < result->failure_count; i++)
        if (!(more[r->failure_count + i] = th_arena_strdup(r->trial.arena, result->failures[i].text)))
            return th_fail_memory();
    r->failures = more;
    r->failure_count += result->failure_count;
    return TH_OK;
}

static th_status run_jobs(th_trial_run *r, const th_trial_jobs *jobs, const char *what,
                          th_status (*finished)(void *, int64_t)) {
    th_jobs_result result;
    const th_jobs_params p = {.what = what,
                              .most = r->side_by_side,
                              .threads = r->threads,
                              .memory = r->memory,
                              .finished = finished,
                              .user = r};
    th_status s = th_cli_jobs_run(r->cli, jobs->items, jobs->count, &p, &result);
    r->seconds += result.seconds;
    if (s == TH_OK) s = keep_failures(r, &result);
    th_cli_jobs_free(&result);
    if (s == TH_E_INTERRUPTED) return th_fail(s, "%s; --resume goes on with %s", th_error_message(), r->out);
    return s;
}

static th_status end(th_trial_run *r) {
    int64_t blocks = 0;
    TH_TRY(th_trial_write_pictures(r, &blocks));
    th_status judged = blocks ? th_trial_judge(r) : TH_OK;
    if (!r->failure_count) return judged;
    if (judged != TH_OK) th_cli_note(r->cli, "%s", th_error_message());
    return th_fail(TH_E_INPUT, "%lld %s failed, and --resume tries again; the first: %s", (long long)r->failure_count,
                   r->failure_count == 1 ? "job" : "jobs", r->failures[0]);
}

/* Empty folders are left of cells that were done. */
static th_status clear_cells(const th_trial_run *r) {
    char path[TH_PATH_MAX];
    if (r->failure_count || th_get_bool(r->cli->options, "keep-models")) return TH_OK;
    TH_TRY(th_path_join(path, r->out, "cells"));
    return th_path_exists(path) ? th_remove_tree(path) : TH_OK;
}

static th_status run_study(th_trial_run *r) {
    TH_TRY(th_trial_open(r));
    TH_TRY(th_trial_make_jobs(r));
    TH_TRY(th_trial_write_sets(r));
    TH_TRY(run_jobs(r, &r->first, "preparations", th_trial_first_done));
    TH_TRY(th_trial_average(r));
    TH_TRY(run_jobs(r, &r->cells, "cells", th_trial_cell_done));
    TH_TRY(clear_cells(r));
    return end(r);
}

/* A folder for what plans print, which is gone afterwards. */
static th_status find_costs(th_trial_run *r) {
    const char *room = getenv("TMPDIR");
    char dir[TH_PATH_MAX];
    if (snprintf(dir, sizeof dir, "%s/theriac-XXXXXX", room && *room ? room : "/tmp") >= (int)sizeof dir ||
        !mkdtemp(dir))
        return th_fail_errno(dir, "cannot make a folder");
    th_status s = th_trial_find_costs(r, dir);
    char message[TH_MESSAGE_MAX];
    snprintf(message, sizeof message, "%s", th_error_message());
    th_remove_tree(dir);
    return s == TH_OK ? s : th_fail(s, "%s", message);
}

static th_status run_all(th_trial_run *r) {
    th_options *o = r->cli->options;
    bool only_plan = th_get_bool(o, "plan");
    int lock = -1;
    r->out = th_get_str(o, "out");
    if (!only_plan && !r->out) return th_fail(TH_E_USAGE, "--out is wanted: the folder of the study");
    if (!r->out) r->out = "OUT";
    TH_TRY(th_trial_load(th_get_str(o, "study"), &r->trial));
    TH_TRY(th_trial_check(r));
    read_machine(r);
    TH_TRY(find_costs(r));
    TH_TRY(choose_side_by_side(r));
    if (only_plan) {
        TH_TRY(th_trial_make_jobs(r));
        return plan(r);
    }
    th_status s = th_cli_lock(r->cli, r->out, &lock);
    if (s == TH_OK) s = run_study(r);
    if (lock >= 0) close(lock);
    return s;
}

static th_status run(th_cli *cli) {
    th_trial_run r = {.cli = cli};
    th_status s = run_all(&r);
    th_trial_free_jobs(&r);
    th_sheet_free(&r.class_prompts);
    th_map_free(r.guarded);
    th_trial_free(&r.trial);
    return s;
}

static const th_option_group groups[] = {{"Study", options}, {"Run", run_options}, {NULL, NULL}};

extern const th_cli_method th_eval_guard;
const th_cli_method th_eval_guard = {
    .name = "guard",
    .summary = "guarded text-to-image models against attackers who personalise them",
    .groups = groups,
    .about =
        "Every attacker personalises every model on every subject with every seed, and what comes of it draws the "
        "scoring prompts after 0, 100, 200, … steps, with the same noise for all models. Beside that all models draw "
        "the attackers' training prompts, captions of the class and ordinary prompts as they are. Judges that are told "
        "of then say what is on the pictures.\n"
        "Cells are processes side by side; a study that was stopped or killed goes on with --resume, where models, "
        "subjects, attackers and seeds may be added to its file. The report lies in OUT/report.html, its tables in "
        "OUT/report.md.",
    .examples = "theriac eval guard --study examples/guard-fashion/study.json -o out/study --plan\n"
                "theriac eval guard --study examples/guard-fashion/study.json -o out/study --jobs 2 --memory 8G\n"
                "theriac eval guard --study examples/guard-fashion/study.json -o out/study --resume --only bag-1",
    .run = run,
};
