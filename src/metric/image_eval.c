/* Measuring generated pictures. A folder may be a feature network, the one that reads prompts and the judge at once: it
 * is loaded once, and sees every picture once. */
#include "metric/image_eval.h"

#include <math.h>
#include <string.h>

#include "base/map.h"
#include "metric/attribute_judge.h"
#include "metric/distance.h"
#include "metric/similarity.h"

void th_image_eval_params_init(th_image_eval_params *p) {
    *p = (th_image_eval_params){0};
    th_feature_params_init(&p->net);
}

#define LEAST 2 /* pictures of a set: below there is neither a covariance nor a pair */

typedef struct {
    const th_image_eval_params *p;
    const th_watch *watch;
    th_image_eval *out;
    int64_t n, m;   /* pictures, real ones */
    int64_t *group; /* [n]: which prompt a picture is of */
    int64_t groups;
    /* of the network that is open */
    th_feature_net *net;
    int64_t d;
    float *images, *reals; /* [n, d], [m, d] or NULL */
    float *lessons;        /* [lesson count, d] or NULL */
    int64_t lesson_count;
    /* of judging; [n] and [m]: how many attributes a picture should show, and how many of them it does */
    int32_t *wanted, *shown, *real_wanted, *real_shown;
} work;

static bool same(const char *a, const char *b) { return a && b && !strcmp(a, b); }

static const th_estimate none = {NAN, NAN, NAN};

/* --- checking --- */

static th_status check_count(const th_picture_set *s) {
    int64_t n = th_dataset_images(s->set);
    if (n >= LEAST) return TH_OK;
    return th_fail(TH_E_INPUT, "%s: holds %lld picture%s, at least %d are wanted", s->name, (long long)n,
                   n == 1 ? "" : "s", LEAST);
}

/* The text of a picture, NULL where it has none. */
static const char *text_of(const th_picture_set *s, int column, int64_t image, char room[TH_DATASET_ROOM]) {
    const char *text = column >= 0                          ? th_columns_cell(s->columns, image, column)
                       : th_dataset_captions(s->set, image) ? th_dataset_caption_of(s->set, image, 0, room)
                                                            : NULL;
    return text && *text ? text : NULL;
}

static th_status find_texts(const th_image_eval_params *p, int *column) {
    const th_picture_set *s = &p->images;
    *column = -1;
    if (p->text_column) TH_TRY(th_columns_need(s->columns, p->text_column, column));
    for (int64_t i = 0; i < th_dataset_images(s->set); i++) {
        char room[TH_DATASET_ROOM], key[TH_DATASET_ROOM];
        if (text_of(s, *column, i, room)) continue;
        return th_fail(TH_E_INPUT, "%s: there is no prompt for '%.200s' to hold it against", s->name,
                       th_dataset_key(s->set, i, key));
    }
    return TH_OK;
}

static th_status check_clip(const char *dir, const char *what) {
    bool clip;
    TH_TRY(th_feature_net_check(dir, &clip));
    return clip ? TH_OK : th_fail(TH_E_INPUT, "%s: is no CLIP folder, and %s", dir, what);
}

th_status th_image_eval_check(const th_image_eval_params *p) {
    bool clip;
    int column;
    TH_TRY(check_count(&p->images));
    if (p->real.set) TH_TRY(check_count(&p->real));
    for (int64_t i = 0; i < p->feature_count; i++) {
        TH_TRY(th_feature_net_check(p->features[i], &clip));
        for (int64_t k = 0; k < i; k++)
            if (same(p->features[k], p->features[i]))
                return th_fail(TH_E_USAGE, "the feature network %s: is given twice", p->features[i]);
    }
    if (p->judge && p->lessons.set) TH_TRY(th_feature_net_check(p->judge, &clip));
    if (p->judge && !p->lessons.set) TH_TRY(check_clip(p->judge, "only such can judge without lessons"));
    if (!p->clip) return TH_OK;
    TH_TRY(check_clip(p->clip, "only such reads prompts"));
    return find_texts(p, &column);
}

/* --- features --- */

/* Pictures of one prompt are a group; without prompts all are. */
static th_status find_groups(work *w) {
    th_map *seen = th_map_new();
    th_status s = seen ? TH_OK : th_fail_memory();
    for (int64_t i = 0; i < w->n && s == TH_OK; i++) {
        char room[TH_DATASET_ROOM];
        const char *text = text_of(&w->p->images, -1, i, room);
        if (!text) text = "";
        w->group[i] = th_map_get(seen, text, strlen(text), w->groups);
        if (w->group[i] < w->groups) continue;
        s = th_map_set(seen, text, strlen(text), w->groups++);
    }
    th_map_free(seen);
    return s;
}

static th_status measure_features(work *w, th_feature_result *r) {
    const float *a = w->images, *b = w->reals;
    int64_t n = w->n, m = w->m, d = w->d;
    uint64_t seed = w->p->seed;
    *r = (th_feature_result){th_feature_net_kind(w->net), d, none, none, none, none, none, none, 0, false};
    if (b) {
        r->low_rank = n <= d || m <= d;
        TH_TRY(th_frechet_estimate(a, n, b, m, d, seed, &r->frechet));
        TH_TRY(th_kernel_estimate(a, n, b, m, d, seed, &r->kernel));
    }
    if (strcmp(r->kind, "clip") != 0) { /* CLIP's are of unit length already, and stay as they are to the bit */
        th_unit_rows(w->images, n, d);
        if (b) th_unit_rows(w->reals, m, d);
    }
    if (th_stopped(w->watch)) return th_fail(TH_E_INTERRUPTED, "stopped");
    if (b) {
        TH_TRY(th_pair_similarity(a, n, b, m, d, seed, &r->fidelity));
        TH_TRY(th_nearest_similarity(a, n, b, m, d, seed, &r->nearest));
        TH_TRY(th_own_similarity(b, m, d, &r->among_real));
    }
    return th_diversity(a, w->group, n, w->groups, d, &r->diversity, &r->prompts);
}

/* --- prompts --- */

static th_status match_texts(work *w, const th_picture_set *s, int column, const float *rows, th_estimate *out) {
    int64_t n = th_dataset_images(s->set);
    th_arena *arena = th_arena_new();
    const char **texts = arena ? th_arena_alloc(arena, (size_t)n, sizeof *texts) : NULL;
    float *text_rows = th_alloc((size_t)(n * w->d), sizeof *text_rows);
    th_status status = texts && text_rows ? TH_OK : th_fail_memory();
    for (int64_t i = 0; i < n && status == TH_OK; i++) {
        char room[TH_DATASET_ROOM];
        if (!(texts[i] = th_arena_strdup(arena, text_of(s, column, i, room)))) status = th_fail_memory();
    }
    if (status == TH_OK) status = th_feature_net_texts(w->net, texts, n, text_rows);
    if (status == TH_OK) status = th_matched_similarity(rows, text_rows, n, w->d, w->p->seed, out);
    th_free(text_rows);
    th_arena_free(arena);
    return status;
}

/* Real pictures are held against their captions where each has one. */
static bool reals_have_texts(const work *w) {
    char room[TH_DATASET_ROOM];
    for (int64_t i = 0; i < w->m; i++)
        if (!text_of(&w->p->real, -1, i, room)) return false;
    return w->m > 0;
}

static th_status measure_texts(work *w) {
    int column;
    TH_TRY(find_texts(w->p, &column));
    TH_TRY(match_texts(w, &w->p->images, column, w->images, &w->out->text));
    return w->reals && reals_have_texts(w) ? match_texts(w, &w->p->real, -1, w->reals, &w->out->real_text) : TH_OK;
}

/* --- attributes --- */

/* Of one set: its hits and trials; wanted and shown count on. */
static th_status look_for(const th_attribute_judge *j, const th_attribute *x, const th_picture_set *s,
                          const float *rows, int32_t *wanted, int32_t *shown, int64_t *hits, int64_t *trials) {
    int64_t n = th_dataset_images(s->set);
    *hits = *trials = 0;
    int32_t *labels = th_alloc((size_t)n, sizeof *labels);
    bool *found = th_alloc((size_t)n, sizeof *found);
    th_status status = labels && found ? TH_OK : th_fail_memory();
    if (status == TH_OK) {
        th_attribute_labels(x, s, labels);
        status = th_attribute_judge_find(j, rows, labels, n, found);
    }
    for (int64_t i = 0; i < n && status == TH_OK; i++) {
        if (labels[i] < 0) continue;
        wanted[i]++, shown[i] += found[i];
        ++*trials, *hits += found[i];
    }
    th_free(labels);
    th_free(found);
    return status;
}

static void set_shares(th_attribute_result *r, int64_t hits, int64_t trials, int64_t real_hits, int64_t real_trials) {
    r->share = th_share(hits, trials);
    r->real = th_share(real_hits, real_trials);
    r->ratio = real_trials ? th_ratio_of_shares(hits, trials, real_hits, real_trials) : none;
    r->n = trials, r->real_n = real_trials;
}

static th_status learn_values(const work *w, const th_attribute *x, th_attribute_judge **out) {
    const th_picture_set *s = &w->p->lessons;
    int column;
    TH_TRY(th_columns_need(s->columns, x->column, &column));
    int32_t *labels = th_alloc((size_t)w->lesson_count, sizeof *labels);
    if (!labels) return th_fail_memory();
    th_attribute_labels(x, s, labels);
    th_status status =
        th_attribute_judge_learn(x, w->lessons, labels, w->lesson_count, w->d, w->p->net.threads, w->watch, out);
    th_free(labels);
    return th_fail_in(status, "%s", s->name);
}

static th_status measure_attribute(work *w, const th_attribute *x, th_attribute_result *r) {
    int64_t hits = 0, trials = 0, real_hits = 0, real_trials = 0;
    th_attribute_judge *j = NULL;
    th_status s = w->lessons ? learn_values(w, x, &j) : th_attribute_judge_read(x, w->net, &j);
    if (s == TH_OK) s = look_for(j, x, &w->p->images, w->images, w->wanted, w->shown, &hits, &trials);
    if (s == TH_OK && w->reals)
        s = look_for(j, x, &w->p->real, w->reals, w->real_wanted, w->real_shown, &real_hits, &real_trials);
    if (s == TH_OK) set_shares(r, hits, trials, real_hits, real_trials);
    th_attribute_judge_free(j);
    return s;
}

/* Pictures that should show all attributes, and those of them that do. */
static void count_all(const int32_t *wanted, const int32_t *shown, int64_t n, int64_t attributes, int64_t *hits,
                      int64_t *trials) {
    *hits = *trials = 0;
    for (int64_t i = 0; i < n; i++) {
        *trials += wanted[i] == attributes;
        *hits += wanted[i] == attributes && shown[i] == attributes;
    }
}

static th_status measure_attributes(work *w) {
    const th_attributes *a = w->p->attributes;
    int64_t hits, trials, real_hits, real_trials;
    for (int64_t i = 0; i < a->count; i++) TH_TRY(measure_attribute(w, &a->items[i], &w->out->attributes[i]));
    count_all(w->wanted, w->shown, w->n, a->count, &hits, &trials);
    count_all(w->real_wanted, w->real_shown, w->m, a->count, &real_hits, &real_trials);
    set_shares(&w->out->all, hits, trials, real_hits, real_trials);
    return TH_OK;
}

/* --- networks --- */

static th_status embed(work *w, const th_picture_set *s, int64_t n, float **rows) {
    *rows = th_alloc((size_t)(n * w->d), sizeof **rows);
    return *rows ? th_feature_net_pictures(w->net, s->set, w->watch, *rows) : th_fail_memory();
}

static th_status use_net(work *w, const char *dir) {
    const th_image_eval_params *p = w->p;
    w->d = th_feature_net_width(w->net);
    TH_TRY(embed(w, &p->images, w->n, &w->images));
    if (w->m) TH_TRY(embed(w, &p->real, w->m, &w->reals));
    for (int64_t i = 0; i < p->feature_count; i++)
        if (same(p->features[i], dir)) TH_TRY(measure_features(w, &w->out->features[i]));
    if (same(p->clip, dir)) TH_TRY(measure_texts(w));
    if (!same(p->judge, dir)) return TH_OK;
    if (w->lesson_count) TH_TRY(embed(w, &p->lessons, w->lesson_count, &w->lessons));
    return measure_attributes(w);
}

static th_status run_net(work *w, const char *dir) {
    TH_TRY(th_feature_net_open(dir, &w->p->net, &w->net));
    th_status s = use_net(w, dir);
    th_feature_net_close(w->net);
    th_free(w->images);
    th_free(w->reals);
    th_free(w->lessons);
    w->net = NULL, w->images = w->reals = w->lessons = NULL;
    return s;
}

static th_status run_nets(work *w) {
    const th_image_eval_params *p = w->p;
    bool clip_done = !p->clip, judge_done = !p->judge;
    for (int64_t i = 0; i < p->feature_count; i++) {
        TH_TRY(run_net(w, p->features[i]));
        clip_done |= same(p->clip, p->features[i]);
        judge_done |= same(p->judge, p->features[i]);
    }
    if (!clip_done) TH_TRY(run_net(w, p->clip));
    return judge_done || same(p->judge, p->clip) ? TH_OK : run_net(w, p->judge);
}

static th_status make_room(work *w) {
    const th_image_eval_params *p = w->p;
    size_t n = (size_t)w->n, m = (size_t)w->m + 1;
    int64_t attributes = p->attributes ? p->attributes->count : 0;
    w->group = th_alloc(n, sizeof *w->group);
    w->wanted = th_alloc(n, sizeof *w->wanted);
    w->shown = th_alloc(n, sizeof *w->shown);
    w->real_wanted = th_alloc(m, sizeof *w->real_wanted);
    w->real_shown = th_alloc(m, sizeof *w->real_shown);
    w->out->features = th_alloc((size_t)p->feature_count + 1, sizeof *w->out->features);
    w->out->attributes = th_alloc((size_t)attributes + 1, sizeof *w->out->attributes);
    bool good = w->group && w->wanted && w->shown && w->real_wanted && w->real_shown && w->out->features;
    return good && w->out->attributes ? TH_OK : th_fail_memory();
}

th_status th_image_evaluate(const th_image_eval_params *p, const th_watch *watch, th_image_eval *out) {
    work w = {.p = p, .watch = watch, .out = out};
    TH_TRY(th_image_eval_check(p));
    w.n = th_dataset_images(p->images.set);
    w.m = p->real.set ? th_dataset_images(p->real.set) : 0;
    w.lesson_count = p->lessons.set ? th_dataset_images(p->lessons.set) : 0;
    *out =
        (th_image_eval){.images = w.n, .reals = w.m, .text = none, .real_text = none, .all = {none, none, none, 0, 0}};
    th_status s = make_room(&w);
    if (s == TH_OK) s = find_groups(&w);
    if (s == TH_OK) s = run_nets(&w);
    th_free(w.group);
    th_free(w.wanted);
    th_free(w.shown);
    th_free(w.real_wanted);
    th_free(w.real_shown);
    if (s != TH_OK) th_image_eval_free(out);
    return s;
}

void th_image_eval_free(th_image_eval *e) {
    th_free(e->features);
    th_free(e->attributes);
    *e = (th_image_eval){0};
}
