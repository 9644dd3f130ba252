/* theriac demo: pictures that a guarded model does not let anybody personalise, and a backdoor that goes into a CLIP
 * model and out again, all on real garments in small scenes. What takes minutes here is what the other commands do at
 * full size. */
#include <string.h>

#include "base/file.h"
#include "base/machine.h"
#include "cli/demo/guard.h"
#include "cli/typed.h"
#include "format/json.h"

static const th_option options[] = {
    TH_OPT_PATH("out", "out/demo", "folder for everything that is made", .argument = "DIR", .letter = 'o'),
    TH_OPT_CHOICE("only", "all|guard|clip", "all", "the section on guarded models, the one on CLIP, or both"),
    TH_OPT_INT("seed", 0, "of everything drawn", TH_AT_LEAST(0)),
    TH_OPT_END,
};

enum { COMMAND_MAX = 1 << 16 };

typedef struct {
    th_demo_job j;
    bool wants_guard, wants_clip;
    th_demo_guard guard;
    th_demo_clip clip;
    th_demo demo;
    th_str command;
    char left_out[TH_MESSAGE_MAX];
} work;

static th_status place(const work *w, const char *name, char *path) { return th_path_join(path, w->j.out, name); }

/* --- the folder --- */

/* Written first, so that a later run knows the folder for a demonstration's and may begin anew in it. */
#define MARK "demo.json"

/* Takes the references. */
static th_status write_mark(const work *w, json_t *guard, json_t *clip) {
    char path[TH_PATH_MAX];
    json_t *j =
        json_pack("{s:s, s:s, s:I, s:o*, s:o*}", "command", "demo", "target", th_get_str(w->j.cli->options, "target"),
                  "seed", (json_int_t)w->j.seed, "results", clip, "guard", guard);
    th_status s = j ? place(w, MARK, path) : th_fail_memory();
    if (s == TH_OK) s = th_json_write(path, j);
    json_decref(j);
    return s;
}

/* Nothing of somebody else's may be removed. */
static th_status take_folder(const work *w) {
    char path[TH_PATH_MAX];
    TH_TRY(th_make_dirs(w->j.out));
    TH_TRY(place(w, MARK, path));
    if (th_path_exists(path)) return TH_OK;
    th_names names;
    TH_TRY(th_list_dir(w->j.out, &names));
    int64_t count = names.count;
    th_names_free(&names);
    if (count)
        return th_fail(TH_E_USAGE, "--out %s: holds other things than a demonstration; name a new folder", w->j.out);
    return write_mark(w, NULL, NULL);
}

/* --- the sections --- */

/* A part that comes with theriac and is not there is passed over; what people name must be there. */
static th_status open_guard(work *w) {
    if (!w->wants_guard) return TH_OK;
    if (th_demo_guard_missing(&w->j, w->left_out)) {
        if (!w->wants_clip) return th_fail(TH_E_USAGE, "--only guard: %.300s", w->left_out);
        th_cli_note(w->j.cli, "the section on guarded models is left out: %s", w->left_out);
        return TH_OK;
    }
    TH_TRY(th_demo_guard_open(&w->j, &w->guard));
    w->demo.guard = &w->guard;
    return TH_OK;
}

static json_t *guard_json(const work *w) { return w->demo.guard ? th_demo_guard_json(&w->guard) : NULL; }
static json_t *clip_json(const work *w) { return w->demo.clip ? th_demo_clip_json(&w->clip) : NULL; }

static th_status tell(const work *w, const char *page) {
    th_cli *cli = w->j.cli;
    const char *left_out = w->left_out[0] ? w->left_out : NULL;
    if (cli->json) {
        th_cli_json(cli, json_pack("{s:o*, s:s*, s:o*, s:s, s:f}", "guard", guard_json(w), "guard_left_out", left_out,
                                   "models", clip_json(w), "report", page, "seconds", w->demo.seconds));
        return TH_OK;
    }
    if (w->demo.guard) TH_TRY(th_demo_guard_print(cli, &w->guard));
    if (w->demo.clip) th_demo_clip_print(cli, &w->clip);
    th_str_printf(&cli->out, "Open %s in a browser for the pictures, the plots and what to make of them.\n", page);
    return TH_OK;
}

/* What is to be typed for the same again. */
static th_status make_command(work *w) {
    TH_TRY(th_cli_typed(w->j.cli->options, "demo", NULL, &w->command));
    w->demo.command = th_str_text(&w->command);
    return TH_OK;
}

static th_status run_all(work *w) {
    char page[TH_PATH_MAX];
    double begin = th_seconds();
    TH_TRY(make_command(w));
    if (w->wants_clip) TH_TRY(th_demo_clip_check(&w->j));
    TH_TRY(open_guard(w));
    TH_TRY(take_folder(w));
    if (w->demo.guard) TH_TRY(th_demo_guard_run(&w->j, &w->guard));
    if (w->wants_clip) {
        TH_TRY(th_demo_clip_run(&w->j, &w->clip));
        w->demo.clip = &w->clip;
    }
    w->demo.seconds = th_seconds() - begin;
    w->demo.left_out = w->left_out[0] ? w->left_out : NULL;
    TH_TRY(place(w, "report.html", page));
    TH_TRY(th_demo_report(&w->demo, page));
    TH_TRY(write_mark(w, guard_json(w), clip_json(w)));
    return tell(w, page);
}

static th_status run(th_cli *cli) {
    const char *only = th_get_str(cli->options, "only");
    work w = {
        .j = {.cli = cli, .out = th_get_str(cli->options, "out"), .seed = (uint64_t)th_get_i64(cli->options, "seed")},
        .wants_guard = strcmp(only, "clip") != 0,
        .wants_clip = strcmp(only, "guard") != 0,
    };
    th_str_init(&w.command, COMMAND_MAX);
    th_status s = run_all(&w);
    th_str_free(&w.command);
    th_demo_guard_free(&w.guard);
    th_demo_clip_free(&w.clip);
    return s;
}

const th_verb th_verb_demo = {
    .name = "demo",
    .summary = "see a backdoor go in and come out, in a few minutes",
    .about = "First protected pictures are personalised, on the open text-to-image model and on a guarded one, beside "
             "those of a subject that is not protected. Then a small CLIP is poisoned, the attack measured, and the "
             "model cleaned by plain fine-tuning, CleanCLIP and CleanerCLIP, each measured.\n"
             "The folder gets report.html with tables, plots and pictures. The section on guarded models is left out "
             "where no guarded model is there.",
    .examples = "theriac demo\n"
                "theriac demo --target 'a sneaker' --seed 1 -o out/sneaker\n"
                "theriac demo --only guard --guarded out/guard/model --protected my-bag --unprotected another-bag",
    .groups = {{"Demonstration", options}, {"Guarded model", th_demo_guard_options}, {"CLIP", th_demo_clip_options}},
    .computes = true,
    .run = run,
};
