/* Gates of a guarded model. */
#include "cli/guard/gates.h"

#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/template.h"
#include "metric/feature_net.h"
#include "metric/similarity.h"

const th_option th_guard_gate_options[] = {
    TH_OPT_PATH("judge", NULL, "CLIP folder that checks the guarded model; without it the gates are not checked",
                .argument = "DIR"),
    TH_OPT_LIST("judge-noun", "noun that the judge may find instead of the class (default a few common ones)",
                .argument = "NOUN"),
    TH_OPT_INT("judge-draw", 64, "pictures that each model draws for each gate", TH_WITHIN(8, 100000)),
    TH_OPT_END,
};

/* Apart from what the guard was trained on. */
#define GATE_SEED UINT64_C(0x67617465)

typedef struct {
    th_guard_job *j;
    th_feature_net *net;
    const char *dir, *open_hash;
    char hash[TH_HASH_TEXT];
    int64_t count, d;
    float *rows;            /* [count, d] */
    float *nouns;           /* [noun_count, d], the class' own first */
    const char **noun_list; /* [noun_count] */
    int64_t noun_count;
} work;

/* ---- drawing */

static th_status draw(const work *w, bool guarded, const char *what, const char *const *prompts, int64_t n,
                      th_dataset **out) {
    th_options *o = w->j->cli->options;
    char dir[TH_PATH_MAX], root[TH_PATH_MAX], key[TH_HASH_TEXT], name[120];
    int64_t made;
    th_drawn_params p = {
        .prompts = prompts,
        .prompt_count = n,
        .count = w->count,
        .side = w->j->p.side,
        .steps = th_get_i64(o, "draw-steps"),
        .batch = th_get_i64(o, "draw-batch"),
        .guidance = th_get_f32(o, "draw-guidance"),
        .seed = w->j->p.train.seed ^ GATE_SEED,
        .threads = w->j->p.threads,
        .compute = w->j->p.compute,
        .memory = w->j->p.memory,
    };
    th_drawn_key(&p, guarded ? w->hash : w->open_hash, key);
    snprintf(name, sizeof name, "%s-%s-%.12s", guarded ? "guarded" : "open", what, key);
    TH_TRY(th_path_join(root, th_run_folder_path(w->j->run), "gates"));
    TH_TRY(th_path_join(dir, root, name));
    TH_TRY(th_drawn_begin(&p, key, dir, &made));
    if (made < p.count) {
        th_sd sd = {0};
        th_sd_load_params all = {.parts = TH_SD_ALL};
        th_status s = th_sd_load(guarded ? w->dir : th_get_str(o, "model"), &all, &sd);
        if (s == TH_OK) s = th_drawn_make(&sd, &p, dir, &w->j->cli->watch);
        th_sd_free(&sd);
        TH_TRY(th_fail_in(s, "gates"));
    }
    return th_dataset_open(dir, NULL, &w->j->cli->watch, out);
}

/* Unit features of a set into out [pictures, d]. */
static th_status look(const work *w, th_dataset *d, float *out) {
    TH_TRY(th_feature_net_pictures(w->net, d, &w->j->cli->watch, out));
    th_unit_rows(out, th_dataset_images(d), w->d);
    return TH_OK;
}

static th_status draw_and_look(const work *w, bool guarded, const char *what, const char *const *prompts, int64_t n,
                               float *out) {
    th_dataset *d = NULL;
    th_status s = draw(w, guarded, what, prompts, n, &d);
    if (s == TH_OK) s = look(w, d, out);
    th_dataset_close(d);
    return s;
}

/* ---- the class */

static double dot(const float *a, const float *b, int64_t d) {
    double s = 0;
    for (int64_t i = 0; i < d; i++) s += (double)a[i] * (double)b[i];
    return s;
}

static th_estimate share_of_class(const work *w, const float *rows) {
    int64_t hits = 0;
    for (int64_t i = 0; i < w->count; i++) {
        double own = dot(rows + i * w->d, w->nouns, w->d), most = -2;
        for (int64_t k = 1; k < w->noun_count; k++) {
            double s = dot(rows + i * w->d, w->nouns + k * w->d, w->d);
            if (s > most) most = s;
        }
        hits += own > most;
    }
    return th_share(hits, w->count);
}

static double kept(th_estimate guarded, th_estimate open) { return open.value > 0 ? guarded.value / open.value : NAN; }

static th_status check_class(work *w, const char *what, const char *const *prompts, int64_t n, th_estimate *guarded,
                             th_estimate *open) {
    TH_TRY(draw_and_look(w, false, what, prompts, n, w->rows));
    *open = share_of_class(w, w->rows);
    TH_TRY(draw_and_look(w, true, what, prompts, n, w->rows));
    *guarded = share_of_class(w, w->rows);
    return TH_OK;
}

/* Captions with the first noun under other identifiers. */
static th_status other_prompts(work *w, const th_guard_subject *s, const char ***out, int64_t *n) {
    const th_guard_texts *ids = &w->j->data.others;
    *n = ids->count ? s->captions.prompts : 0;
    const char **texts = *out = th_arena_alloc(w->j->arena, (size_t)*n + 1, sizeof *texts);
    for (int64_t i = 0; texts && i < *n; i++) {
        const char *what = th_arena_printf(w->j->arena, "%s %s", ids->items[i % ids->count], s->noun);
        texts[i] = what ? th_template_fill(w->j->arena, s->described[i], what) : NULL;
    }
    return texts && !th_arena_failed(w->j->arena) ? TH_OK : th_fail_memory();
}

static th_status read_nouns(work *w, const th_guard_subject *s) {
    static const char *const common[] = {"cat",   "dog",  "bird", "horse", "car",   "boat",   "chair", "table",
                                         "house", "tree", "bag",  "shoe",  "dress", "person", "cup",   "book"};
    th_list given = th_get_list(w->j->cli->options, "judge-noun");
    const char *const *more = given.count ? given.items : common;
    int64_t n = given.count ? given.count : (int64_t)(sizeof common / sizeof *common);
    w->noun_list = th_arena_alloc(w->j->arena, (size_t)n + 2, sizeof *w->noun_list);
    if (!w->noun_list) return th_fail_memory();
    w->noun_count = 0;
    w->noun_list[w->noun_count++] = th_template_fill(w->j->arena, "a photo of a {}", s->noun);
    if (s->target) w->noun_list[w->noun_count++] = th_template_fill(w->j->arena, "a photo of a {}", s->target);
    for (int64_t i = 0; i < n; i++)
        if (strcasecmp(more[i], s->noun) != 0 && (!s->target || strcasecmp(more[i], s->target) != 0))
            w->noun_list[w->noun_count++] = th_template_fill(w->j->arena, "a photo of a {}", more[i]);
    if (th_arena_failed(w->j->arena)) return th_fail_memory();
    th_free(w->nouns);
    if (!(w->nouns = th_alloc((size_t)(w->noun_count * w->d), sizeof *w->nouns))) return th_fail_memory();
    return th_feature_net_texts(w->net, w->noun_list, w->noun_count, w->nouns);
}

/* ---- the leak */

static th_status check_leak(work *w, int64_t i, th_guard_gate *g) {
    const th_guard_wish *wish = &w->j->wishes[i];
    const th_guard_subject *s = &w->j->subjects[i];
    int64_t m = th_dataset_images(wish->set);
    float *protected = th_alloc((size_t)(m * w->d), sizeof *protected);
    const char *what = th_arena_printf(w->j->arena, "%s %s", s->identifiers.items[0], s->noun);
    const char *prompt = what ? th_template_fill(w->j->arena, s->instances.items[0], what) : NULL;
    if (!protected || !prompt) return th_free(protected), th_fail_memory();
    th_status status = look(w, wish->set, protected);
    if (status == TH_OK) status = draw_and_look(w, true, "training-prompt", &prompt, 1, w->rows);
    if (status == TH_OK) status = th_pair_similarity(w->rows, w->count, protected, m, w->d, 1, &g->leak);
    if (status == TH_OK) status = draw_and_look(w, false, "class", &s->class_prompt, 1, w->rows);
    if (status == TH_OK) status = th_pair_similarity(w->rows, w->count, protected, m, w->d, 1, &g->instances);
    th_free(protected);
    return status;
}

static th_status check_subject(work *w, int64_t i, th_guard_gate *g) {
    const th_guard_subject *s = &w->j->subjects[i];
    const char **others;
    int64_t n;
    *g = (th_guard_gate){.kept = NAN, .kept_others = NAN};
    TH_TRY(read_nouns(w, s));
    TH_TRY(check_class(w, "captions", w->j->wishes[i].named, s->captions.prompts, &g->captions, &g->open_captions));
    g->kept = kept(g->captions, g->open_captions);
    TH_TRY(other_prompts(w, s, &others, &n));
    if (n) {
        TH_TRY(check_class(w, "others", others, n, &g->others, &g->open_others));
        g->kept_others = kept(g->others, g->open_others);
    }
    TH_TRY(check_leak(w, i, g));
    g->class_holds = g->kept >= TH_GUARD_LEAST_KEPT && (!n || g->kept_others >= TH_GUARD_LEAST_KEPT);
    g->leak_holds = g->leak.value <= g->instances.high;
    return TH_OK;
}

static th_status check_all(work *w, th_guard_gate *gates) {
    th_feature_params p;
    bool clip;
    const char *judge = th_get_str(w->j->cli->options, "judge");
    th_feature_params_init(&p);
    p.threads = w->j->p.threads;
    TH_TRY(th_feature_net_check(judge, &clip));
    if (!clip) return th_fail(TH_E_INPUT, "%s: is no CLIP folder, and --judge wants one that reads nouns", judge);
    TH_TRY(th_feature_net_open(judge, &p, &w->net));
    w->d = th_feature_net_width(w->net);
    if (!(w->rows = th_alloc((size_t)(w->count * w->d), sizeof *w->rows))) return th_fail_memory();
    TH_TRY(th_sd_weights_hash(w->dir, w->hash));
    for (int64_t i = 0; i < w->j->count; i++) TH_TRY(check_subject(w, i, &gates[i]));
    return TH_OK;
}

th_status th_guard_check_gates(th_guard_job *j, const char *dir, th_guard_gate *gates) {
    work w = {.j = j, .dir = dir, .open_hash = j->model_hash, .count = th_get_i64(j->cli->options, "judge-draw")};
    th_status s = check_all(&w, gates);
    th_feature_net_close(w.net);
    th_free(w.rows);
    th_free(w.nouns);
    return s;
}

/* ---- telling */

static json_t *number(double v) { return isfinite(v) ? json_real(v) : json_null(); }

static json_t *estimate(th_estimate e) {
    return json_pack("{s:o, s:o, s:o}", "value", number(e.value), "low", number(e.low), "high", number(e.high));
}

json_t *th_guard_gates_json(const th_guard_job *j, const th_guard_gate *gates) {
    json_t *all = json_object();
    for (int64_t i = 0; i < j->count; i++) {
        const th_guard_gate *g = &gates[i];
        json_object_set_new(all, j->wishes[i].name,
                            json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:b, s:b}", "captions",
                                      estimate(g->captions), "open_captions", estimate(g->open_captions),
                                      "captions_kept", number(g->kept), "others", estimate(g->others), "open_others",
                                      estimate(g->open_others), "others_kept", number(g->kept_others), "leak",
                                      estimate(g->leak), "other_instances", estimate(g->instances), "class_holds",
                                      g->class_holds, "leak_holds", g->leak_holds));
    }
    return all;
}

static void cells(th_table *t, const char *what, th_estimate guarded, th_estimate open, const char *verdict,
                  double by) {
    th_table_cell(t, "%s", what);
    th_table_cell(t, "%.3g (%.3g to %.3g)", by * guarded.value, by * guarded.low, by * guarded.high);
    th_table_cell(t, "%.3g (%.3g to %.3g)", by * open.value, by * open.low, by * open.high);
    th_table_cell(t, "%s", verdict);
}

void th_guard_gates_print(th_guard_job *j, const th_guard_gate *gates) {
    for (int64_t i = 0; i < j->count; i++) {
        const th_guard_gate *g = &gates[i];
        th_table *t = th_table_new(NULL);
        th_table_column(t, TH_LEFT, j->count > 1 ? j->wishes[i].name : "Gate");
        th_table_column(t, TH_RIGHT, "Guarded");
        th_table_column(t, TH_RIGHT, "Open");
        th_table_column(t, TH_LEFT, "");
        cells(t, "Captions of the class show it, %", g->captions, g->open_captions,
              g->kept >= TH_GUARD_LEAST_KEPT ? "holds" : "FAILS: below 90 % of the open model", 100);
        if (isfinite(g->kept_others))
            cells(t, "With other identifiers, %", g->others, g->open_others,
                  g->kept_others >= TH_GUARD_LEAST_KEPT ? "holds" : "FAILS: below 90 % of the open model", 100);
        cells(t, "Likeness to the subject at the training prompt; of other instances", g->leak, g->instances,
              g->leak_holds ? "holds" : "FAILS: the model draws the subject", 1);
        th_cli_table(j->cli, t);
        th_table_free(t);
    }
}
