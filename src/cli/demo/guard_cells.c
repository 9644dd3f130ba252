/* The four cells of the demonstration on guarded models, and what both models draw before. */
#include <string.h>

#include "base/file.h"
#include "cli/demo/guard.h"
#include "personalize/personalize.h"
#include "train/drawn.h"
#include "train/fit_options.h"

const th_demo_context th_demo_contexts[TH_DEMO_CONTEXTS] = {
    {"a picture of a {} on the tiled floor", "a picture of the tiled floor"},
    {"a {} before a brick wall", "a brick wall"},
    {"a picture of a {} lying on the grass", "a picture of the grass"},
    {"an image of a {} on the wooden floor", "an image of the wooden floor"},
    {"a {} against a plain white background", "a plain white background"},
    {"a picture of a {} on a blue background", "a picture of a blue background"},
    {"a {} in front of a yellow wall", "a yellow wall"},
    {"an image of a {} on a striped pink background", "an image of a striped pink background"},
};

/* As docs/results/t2i.md has personalising the shipped model, and examples/guard-fashion its scoring. */
static const struct {
    int64_t rows, steps, batch;
    float guidance;
} setting = {4, 20, 16, 4};

/* Apart from what a guard was trained with and is gated by. */
#define DRAW_SEED UINT64_C(0x64656d6f)

typedef struct {
    const th_demo_job *j;
    th_demo_guard *g;
    th_demo_sd model;
    th_sd sd;
    th_moments class, subject;
    th_options *options; /* DreamBooth's */
    th_personal *personal;
} work;

static const th_personalizer *method(void) { return th_personalizer_find("dreambooth"); }

static th_status load(work *w) {
    th_sd_load_params all = {.parts = TH_SD_ALL};
    th_sd_free(&w->sd);
    return th_sd_load(w->g->dirs[w->model], &all, &w->sd);
}

/* ---- drawing: the same noise for all of a kind */

static th_status place(const work *w, const char *what, char path[TH_PATH_MAX]) {
    char name[64];
    snprintf(name, sizeof name, "guard/%s/%s", w->model == TH_DEMO_IS_OPEN ? "open" : "guarded", what);
    return th_path_join(path, w->j->out, name);
}

static th_status draw(work *w, const char *what, const char *const *prompts, int64_t n, int64_t count,
                      th_demo_look *out) {
    char dir[TH_PATH_MAX], key[TH_HASH_TEXT];
    int64_t made;
    th_drawn_params p = {
        .prompts = prompts,
        .prompt_count = n,
        .count = count,
        .side = w->g->side,
        .steps = setting.steps,
        .batch = setting.batch,
        .guidance = setting.guidance,
        .seed = w->j->seed ^ DRAW_SEED,
        .compute = th_fit_best_dtype(),
    };
    TH_TRY(place(w, what, dir));
    th_drawn_key(&p, w->g->dirs[w->model], key);
    TH_TRY(th_drawn_begin(&p, key, dir, &made));
    TH_TRY(th_drawn_make(&w->sd, &p, dir, &w->j->cli->watch));
    TH_TRY(th_dataset_open(dir, NULL, &w->j->cli->watch, &out->set));
    out->count = count;
    return TH_OK;
}

/* ---- personalising */

static th_status encode(const work *w, th_dataset *d, th_moments *out) {
    const th_view_params v = {.side = w->g->side, .crop = TH_CROP_CENTER, .filter = TH_RESIZE_BILINEAR, .views = 1};
    th_moments_free(out);
    return th_moments_make(d, 0, w->sd.vae, &v, &w->j->cli->watch, out);
}

static th_status prepare(work *w) {
    th_personal_params p;
    th_personal_params_init(&p);
    p.train.steps = w->g->steps;
    p.train.schedule.lr = w->g->lr;
    p.train.seed = w->j->seed;
    p.prompt = w->g->card.prompt;
    p.class_prompt = w->g->card.plain;
    p.side = w->g->side;
    p.batch = setting.rows;
    p.entries = w->subject.pictures + w->class.pictures;
    p.compute = th_fit_best_dtype();
    return th_personal_new(&w->sd, method(), w->options, &p, &w->personal);
}

static th_status train(work *w) {
    th_train_result r;
    TH_TRY(prepare(w));
    th_status s = th_personal_run(w->personal, &w->subject, &w->class, NULL, &w->j->cli->watch, &r);
    th_personal_free(w->personal);
    w->personal = NULL;
    return s;
}

static th_status make_cell(work *w, th_demo_subject which) {
    static const char *const names[TH_DEMO_SUBJECTS] = {"protected", "unprotected"};
    static const char *const models[TH_DEMO_SDS] = {"open", "guarded"};
    th_demo_guard *g = w->g;
    th_cli_note(w->j->cli, "guard, %d of 4: the %s model learns %s pictures",
                1 + (int)w->model * TH_DEMO_SUBJECTS + (int)which, models[w->model], names[which]);
    TH_TRY(load(w));
    TH_TRY(th_fail_in(encode(w, g->real[which].set, &w->subject), "--%s", names[which]));
    TH_TRY(train(w));
    return draw(w, names[which], g->prompts, TH_DEMO_CONTEXTS, g->draw, &g->cells[w->model][which]);
}

/* ---- a model's all */

static th_status make_model(work *w) {
    th_demo_guard *g = w->g;
    w->options = th_options_new("dreambooth");
    if (!w->options) return th_fail_memory();
    TH_TRY(th_options_add(w->options, "Method", method()->options));
    TH_TRY(load(w));
    TH_TRY(draw(w, "class", &g->card.plain, 1, g->class_pictures, &g->plain[w->model]));
    TH_TRY(draw(w, "before", &g->card.prompt, 1, g->draw, &g->before[w->model]));
    TH_TRY(encode(w, g->plain[w->model].set, &w->class));
    for (int i = 0; i < TH_DEMO_SUBJECTS; i++) TH_TRY(make_cell(w, (th_demo_subject)i));
    return TH_OK;
}

static void close_model(work *w) {
    th_personal_free(w->personal);
    th_sd_free(&w->sd);
    th_moments_free(&w->class);
    th_moments_free(&w->subject);
    th_options_free(w->options);
}

th_status th_demo_guard_draw(const th_demo_job *j, th_demo_guard *g) {
    char dir[TH_PATH_MAX];
    TH_TRY(th_path_join(dir, j->out, "guard"));
    TH_TRY(th_remove_tree(dir));
    for (int i = 0; i < TH_DEMO_SDS; i++) {
        work w = {.j = j, .g = g, .model = (th_demo_sd)i};
        th_status s = make_model(&w);
        close_model(&w);
        TH_TRY(s);
    }
    return TH_OK;
}
