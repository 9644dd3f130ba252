/* Bystanders: other subjects of a protected one's class, whose personalising is to come out as from the open model.
 * What that would be is found out first: the open model is personalised on each by DreamBooth, as the imagined
 * attackers do it, and draws it in the guard's contexts. */
#include <string.h>

#include "base/file.h"
#include "base/template.h"
#include "cli/guard/model.h"
#include "personalize/personalize.h"

const th_option th_guard_bystander_options[] = {
    TH_OPT_LIST("bystander",
                "pictures of another subject of the class, whose personalising is to work as before; may be given "
                "several times, and several matter: without them all subjects of the class end up protected",
                .argument = "SET"),
    TH_OPT_INT(
        "bystander-steps", 400,
        "steps in which the open model is personalised on each, and on the subject for --own-rows, at --attack-lr",
        TH_WITHIN(1, 1000000)),
    TH_OPT_INT("bystander-draw", 50, "pictures that the personalised model draws then, in the contexts",
               TH_WITHIN(1, 100000)),
    TH_OPT_END,
};

/* One personalising under way. */
typedef struct {
    th_guard_job *j;
    const th_guard_subject *subject; /* whose class and words it is of */
    const char *called, *set, *hash; /* of the pictures it is of: what is drawn, their name, their hash */
    const th_moments *pictures;
    th_moments *shown;
    const char *word; /* "sks bag" */
    th_sd sd;
    th_options *options; /* DreamBooth's */
    th_personal *personal;
    th_drawn_params drawn;
    char key[TH_HASH_TEXT], dir[TH_PATH_MAX], training[TH_PATH_MAX];
} work;

static const th_personalizer *method(void) { return th_personalizer_find("dreambooth"); }

static th_personal_params personal_params(const work *w, const char *prompt) {
    const th_guard_job *j = w->j;
    th_options *o = j->cli->options;
    th_personal_params p;
    th_personal_params_init(&p);
    p.train.steps = th_get_i64(o, "bystander-steps");
    p.train.schedule.lr = th_get_f64(o, "attack-lr");
    p.train.seed = j->p.train.seed;
    p.train.keep = 1;
    p.train.checkpoint_every = j->p.train.checkpoint_every;
    p.prompt = prompt;
    p.class_prompt = w->subject->class_prompt;
    p.side = j->p.side;
    p.batch = th_get_i64(o, "attack-rows");
    p.entries = w->pictures->pictures + w->subject->plain.pictures.pictures;
    p.threads = j->p.threads;
    p.compute = j->p.compute;
    p.memory = j->p.memory;
    return p;
}

/* number: of the bystander; −1: the subject itself. */
static th_status begin(work *w, th_guard_job *j, int64_t subject, int64_t number) {
    const th_guard_wish *wish = &j->wishes[subject];
    th_guard_subject *own = &j->subjects[subject];
    *w = (work){.j = j,
                .subject = own,
                .called = "subject",
                .set = wish->protect,
                .hash = wish->hash,
                .pictures = &own->pictures,
                .shown = &own->own.pictures};
    if (number >= 0) {
        w->called = "bystander";
        w->set = wish->bystanders.items[number];
        w->hash = wish->neighbours[number].hash;
        w->pictures = &own->bystanders[number].pictures;
        w->shown = &own->bystanders[number].shown.pictures;
    }
    const th_guard_subject *s = w->subject;
    int64_t n = s->shown.prompts;
    const char **prompts = th_arena_alloc(j->arena, (size_t)n, sizeof *prompts);
    w->word = th_arena_printf(j->arena, "%s %s", s->identifiers.items[0], s->noun);
    for (int64_t i = 0; prompts && i < n; i++) prompts[i] = th_template_fill(j->arena, s->contexts[i], w->word);
    if (th_arena_failed(j->arena)) return th_fail_memory();
    w->drawn = th_guard_drawn_params(j);
    w->drawn.prompts = prompts;
    w->drawn.prompt_count = n;
    w->drawn.count = th_get_i64(j->cli->options, "bystander-draw");
    w->options = th_options_new("dreambooth");
    return w->options ? th_options_add(w->options, "Method", method()->options) : th_fail_memory();
}

static void end(work *w) {
    th_personal_free(w->personal);
    th_sd_free(&w->sd);
    th_options_free(w->options);
}

static th_status prepare(work *w) {
    const char *prompt = th_template_fill(w->j->arena, w->subject->instances.items[0], w->word);
    if (!prompt) return th_fail_memory();
    th_personal_params p = personal_params(w, prompt);
    return th_personal_new(&w->sd, method(), w->options, &p, &w->personal);
}

/* −1 where the subject itself is wanted too. */
static int64_t first(const th_guard_job *j, int64_t i) { return j->subjects[i].own.prompts ? -1 : 0; }

/* ---- --plan */

static th_status add_seconds(work *w, const th_ceilings *c, double *seconds, int64_t *pictures) {
    double drawing;
    th_personal_cost cost;
    TH_TRY(th_cli_load_sd(w->j->cli, 0, &w->sd));
    TH_TRY(prepare(w));
    th_personal_get_cost(w->personal, &cost);
    TH_TRY(th_drawn_seconds(&w->sd, &w->drawn, c, &drawing));
    *seconds += (double)cost.steps * th_ceilings_seconds(c, &cost.step, c->threads) + drawing;
    *pictures += w->drawn.count;
    return TH_OK;
}

th_status th_guard_bystander_seconds(th_guard_job *j, const th_ceilings *c, double *seconds, int64_t *pictures) {
    for (int64_t i = 0; i < j->count; i++) {
        for (int64_t k = first(j, i); k < j->subjects[i].bystander_count; k++) {
            work w;
            th_status s = begin(&w, j, i, k);
            if (s == TH_OK) s = add_seconds(&w, c, seconds, pictures);
            end(&w);
            TH_TRY(s);
        }
    }
    return TH_OK;
}

/* ---- personalising and drawing */

/* All that its pictures depend on. */
static void find_key(work *w) {
    th_personal_params p = personal_params(w, NULL);
    const th_moments *class = &w->subject->plain.pictures;
    char of[TH_HASH_TEXT], text[512];
    th_hash h;
    int n = snprintf(text, sizeof text, "%s %s %lld %.9g %lld", w->j->model_hash, w->hash, (long long)p.train.steps,
                     p.train.schedule.lr, (long long)p.batch);
    th_hash_init(&h);
    th_hash_add(&h, text, (size_t)n);
    th_hash_add(&h, class->moments, (size_t)(class->entries * th_moments_size(class)) * sizeof *class->moments);
    th_hash_add(&h, w->subject->instances.items[0], strlen(w->subject->instances.items[0]) + 1);
    th_hash_add(&h, w->subject->class_prompt, strlen(w->subject->class_prompt));
    th_hash_text(&h, of);
    th_drawn_key(&w->drawn, of, w->key);
}

/* The training's own folder beside the pictures, so that a stopped one goes on; it is gone once they are drawn. */
static th_status open_training(work *w, th_run_folder **run) {
    char path[TH_PATH_MAX];
    TH_TRY(th_path_join(path, w->training, "run.json"));
    th_run_folder_params p = {
        .path = w->training, .command = "guard, a bystander", .options = w->options, .resume = th_path_exists(path)};
    return th_run_folder_open(&p, run);
}

static th_status personalise(work *w) {
    th_run_folder *run = NULL;
    th_train_result result;
    TH_TRY(prepare(w));
    TH_TRY(open_training(w, &run));
    th_status s =
        th_personal_run(w->personal, w->pictures, &w->subject->plain.pictures, run, &w->j->cli->watch, &result);
    th_run_folder_close(run);
    th_personal_free(w->personal);
    w->personal = NULL;
    return s;
}

static th_status draw(work *w) {
    int64_t made;
    TH_TRY(th_drawn_begin(&w->drawn, w->key, w->dir, &made));
    if (made == w->drawn.count) return TH_OK;
    th_guard_drop_model(w->j); /* one model at a time */
    TH_TRY(th_cli_load_sd(w->j->cli, TH_SD_ALL, &w->sd));
    TH_TRY(personalise(w));
    TH_TRY(th_drawn_make(&w->sd, &w->drawn, w->dir, &w->j->cli->watch));
    th_sd_free(&w->sd);
    return th_remove_tree(w->training);
}

static th_status find(work *w) {
    find_key(w);
    TH_TRY(th_guard_drawn_dir(w->j, w->called, w->key, w->dir));
    if (snprintf(w->training, sizeof w->training, "%s.training", w->dir) >= (int)sizeof w->training)
        return th_fail(TH_E_INPUT, "%s: the path is too long", w->dir);
    TH_TRY(draw(w));
    return th_guard_encode_drawn(w->j, w->dir, w->key, w->shown);
}

static th_status encode_bystander(th_guard_job *j, int64_t subject, int64_t number) {
    char name[96];
    const th_guard_neighbour *b = &j->wishes[subject].neighbours[number];
    snprintf(name, sizeof name, "bystander-%.12s.safetensors", b->hash);
    return th_guard_encode_given(j, b->set, b->hash, name, &j->subjects[subject].bystanders[number].pictures);
}

th_status th_guard_find_bystanders(th_guard_job *j) {
    for (int64_t i = 0; i < j->count; i++) {
        for (int64_t k = first(j, i); k < j->subjects[i].bystander_count; k++) {
            work w;
            th_status s = begin(&w, j, i, k);
            if (s == TH_OK && k >= 0) s = encode_bystander(j, i, k);
            if (s == TH_OK) s = find(&w);
            end(&w);
            TH_TRY(th_fail_in(s, "personalising on '%.200s'", w.set));
        }
    }
    return TH_OK;
}
