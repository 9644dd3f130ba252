/* Judging the pictures of a study. The encoder sees every picture once; what CLIP says of prompts may come from another
 * network, or from the same. */
#include "metric/guard_judge.h"

#include <math.h>
#include <string.h>

#include "base/map.h"
#include "base/memory.h"
#include "metric/attribute_judge.h"
#include "metric/distance.h"
#include "metric/dot.h"
#include "metric/guard_tally.h"
#include "metric/probe.h"
#include "metric/similarity.h"

enum {
    LEAST = 4,         /* pictures of a set: two to learn from, two to tell how right the judge is */
    LESSONS_MOST = 500 /* of a class */
};

void th_guard_judge_params_init(th_guard_judge_params *p) {
    *p = (th_guard_judge_params){0};
    th_feature_params_init(&p->net);
}

void th_guard_judgement_free(th_guard_judgement *j) {
    th_free(j->subjects);
    th_free(j->protective);
    th_free(j->attributes);
    *j = (th_guard_judgement){0};
}

/* --- checking --- */

static th_status check_set(const th_picture_set *s) {
    int64_t n = th_dataset_images(s->set);
    if (n >= LEAST) return TH_OK;
    return th_fail(TH_E_INPUT, "%s: holds %lld picture%s, at least %d are wanted: half of them to learn from", s->name,
                   (long long)n, n == 1 ? "" : "s", LEAST);
}

static th_status check_sets(const th_guard_judge_params *p, const th_study *s) {
    if (s->subject_count + p->distractor_count < 2)
        return th_fail(TH_E_INPUT, "one subject and no distractors: there is nothing to tell a subject from");
    for (int64_t i = 0; i < s->subject_count; i++) TH_TRY(check_set(&p->subjects[i]));
    for (int64_t i = 0; i < p->distractor_count; i++) TH_TRY(check_set(&p->distractors[i]));
    for (int64_t i = 0; i < s->model_count; i++) {
        if (!p->yes[i].set != !p->no[i].set)
            return th_fail(TH_E_INPUT,
                           "%s: has pictures of only one kind: with the protective output, and without, are wanted",
                           s->models[i].name);
        if (p->yes[i].set) TH_TRY(check_set(&p->yes[i]));
        if (p->no[i].set) TH_TRY(check_set(&p->no[i]));
    }
    return TH_OK;
}

static th_status check_attributes(const th_guard_judge_params *p, bool clip) {
    int column;
    if (!p->lessons.set && !clip)
        return th_fail(TH_E_INPUT, "%s: is no CLIP folder, and only such can judge attributes without lessons",
                       p->encoder);
    for (int64_t i = 0; i < p->attributes->count; i++) {
        TH_TRY(th_columns_need(p->pictures.columns, p->attributes->items[i].column, &column));
        if (p->lessons.set) TH_TRY(th_columns_need(p->lessons.columns, p->attributes->items[i].column, &column));
    }
    return TH_OK;
}

th_status th_guard_judge_check(const th_guard_judge_params *p, const th_study *s) {
    bool clip, reads;
    int column;
    if (th_dataset_images(p->pictures.set) != s->row_count)
        return th_fail(TH_E_INPUT, "%s: holds %lld pictures, the study has %lld", p->pictures.name,
                       (long long)th_dataset_images(p->pictures.set), (long long)s->row_count);
    TH_TRY(check_sets(p, s));
    TH_TRY(th_feature_net_check(p->encoder, &clip));
    if (p->attributes) TH_TRY(check_attributes(p, clip));
    if (!p->clip) return TH_OK;
    TH_TRY(th_feature_net_check(p->clip, &reads));
    if (!reads) return th_fail(TH_E_INPUT, "%s: is no CLIP folder, and only such reads prompts", p->clip);
    return th_columns_need(p->pictures.columns, p->text_column, &column);
}

/* --- features --- */

/* Unit rows of a set, [n, d]. */
typedef struct {
    float *rows;
    int64_t n;
} features;

typedef struct {
    const th_guard_judge_params *p;
    th_study *s;
    const th_watch *watch;
    th_guard_judgement *out;
    th_feature_net *net;
    int64_t d;
    float *pictures;   /* [rows, d] */
    features *classes; /* [subjects + distractors] */
    float *means;      /* [subjects, d]: of held-out rows */
    int32_t *answers;  /* [rows], scratch */
} work;

static th_status embed(const work *w, th_dataset *set, features *f) {
    f->n = th_dataset_images(set);
    f->rows = th_alloc((size_t)(f->n * w->d) + 1, sizeof *f->rows);
    if (!f->rows) return th_fail_memory();
    TH_TRY(th_feature_net_pictures(w->net, set, w->watch, f->rows));
    th_unit_rows(f->rows, f->n, w->d);
    return TH_OK;
}

/* Of pairs of ordinary pictures, as the network gives their features. */
static th_status measure_kernel(const work *w, int32_t model, th_estimate *out) {
    th_study_filter open = {TH_STUDY_ORDINARY, 0, -1, TH_ANY_GROUP, 0, -1}, guarded = open;
    th_study_pair *pairs = NULL;
    int64_t n = 0;
    guarded.model = model;
    *out = (th_estimate){NAN, NAN, NAN};
    TH_TRY(th_study_match(w->s, &open, &guarded, &pairs, &n));
    float *rows = th_alloc((size_t)(2 * n * w->d) + 1, sizeof *rows);
    th_status s = rows ? TH_OK : th_fail_memory();
    for (int64_t i = 0; i < n && s == TH_OK; i++) {
        memcpy(rows + i * w->d, w->pictures + pairs[i].a * w->d, (size_t)w->d * sizeof *rows);
        memcpy(rows + (n + i) * w->d, w->pictures + pairs[i].b * w->d, (size_t)w->d * sizeof *rows);
    }
    if (s == TH_OK && n > 1) s = th_kernel_paired_estimate(rows, rows + n * w->d, n, w->d, w->s->seed, out);
    th_free(rows);
    th_free(pairs);
    return s;
}

static th_status see_pictures(work *w) {
    th_study *s = w->s;
    w->pictures = th_alloc((size_t)(s->row_count * w->d) + 1, sizeof *w->pictures);
    w->answers = th_alloc((size_t)s->row_count + 1, sizeof *w->answers);
    s->kernel = th_arena_alloc(s->arena, (size_t)s->model_count, sizeof *s->kernel);
    if (!w->pictures || !w->answers || !s->kernel) return th_fail_memory();
    if (s->row_count) TH_TRY(th_feature_net_pictures(w->net, w->p->pictures.set, w->watch, w->pictures));
    for (int32_t m = 0; m < s->model_count; m++) TH_TRY(measure_kernel(w, m, &s->kernel[m]));
    th_unit_rows(w->pictures, s->row_count, w->d);
    return TH_OK;
}

/* --- fidelity --- */

/* The mean of rows, and of the cosines between different ones. */
static double find_mean(const features *f, int64_t d, float *mean) {
    double square = 0, n = (double)f->n;
    for (int64_t k = 0; k < d; k++) {
        double sum = 0;
        for (int64_t i = 0; i < f->n; i++) sum += (double)f->rows[i * d + k];
        mean[k] = (float)(sum / n);
        square += sum * sum;
    }
    for (int64_t i = 0; i < f->n; i++) square -= (double)th_dot(f->rows + i * d, f->rows + i * d, d);
    return square / (n * (n - 1));
}

static th_status measure_fidelity(work *w) {
    th_study *s = w->s;
    int64_t subjects = s->subject_count, d = w->d;
    w->means = th_alloc((size_t)(subjects * d), sizeof *w->means);
    s->likeness = th_arena_alloc(s->arena, (size_t)(subjects * subjects), sizeof *s->likeness);
    s->fidelity = th_arena_alloc(s->arena, (size_t)(s->row_count * subjects) + 1, sizeof *s->fidelity);
    if (!w->means || !s->likeness || !s->fidelity) return th_fail_memory();
    for (int64_t i = 0; i < subjects; i++)
        s->likeness[i * subjects + i] = (float)find_mean(&w->classes[i], d, w->means + i * d);
    for (int64_t i = 0; i < subjects * subjects; i++)
        if (i / subjects != i % subjects)
            s->likeness[i] = th_dot(w->means + i / subjects * d, w->means + i % subjects * d, d);
    for (int64_t i = 0; i < s->row_count; i++)
        for (int64_t k = 0; k < subjects; k++)
            s->fidelity[i * subjects + k] = th_dot(w->pictures + i * d, w->means + k * d, d);
    return TH_OK;
}

/* --- judges by probes --- */

static int64_t lesson_count(const features *f) { return (f->n + 1) / 2; } /* those of even number */

/* So that all classes weigh the same, each gives as many rows, its own over and over. */
static int64_t rows_of_a_class(const features *classes, int64_t count) {
    int64_t most = 0;
    for (int64_t c = 0; c < count; c++) most = lesson_count(&classes[c]) > most ? lesson_count(&classes[c]) : most;
    return most < LESSONS_MOST ? most : LESSONS_MOST;
}

static void lay_out_lessons(const features *classes, int64_t count, int64_t each, int64_t d, float *rows,
                            int32_t *labels) {
    for (int64_t c = 0; c < count; c++)
        for (int64_t i = 0; i < each; i++) {
            int64_t n = lesson_count(&classes[c]), which = n > each ? i * n / each : i % n;
            memcpy(rows + (c * each + i) * d, classes[c].rows + 2 * which * d, (size_t)d * sizeof *rows);
            labels[c * each + i] = (int32_t)c;
        }
}

static th_status learn(const work *w, const features *classes, int64_t count, th_probe **out) {
    int64_t each = rows_of_a_class(classes, count), n = each * count;
    th_probe_params p;
    th_probe_params_init(&p);
    p.threads = w->p->net.threads;
    float *rows = th_alloc((size_t)(n * w->d), sizeof *rows);
    int32_t *labels = th_alloc((size_t)n, sizeof *labels);
    th_status s = rows && labels ? TH_OK : th_fail_memory();
    if (s == TH_OK) {
        lay_out_lessons(classes, count, each, w->d, rows, labels);
        s = th_probe_fit(rows, labels, n, w->d, count, &p, w->watch, out);
    }
    th_free(rows);
    th_free(labels);
    return s;
}

/* Of a class' pictures of odd number, how many are taken for one from `begin` to `end`. */
static void count_answers(const work *w, const th_probe *probe, const features *f, int64_t begin, int64_t end,
                          int64_t *hits, int64_t *trials) {
    for (int64_t i = 1; i < f->n; i += 2) {
        int32_t answer;
        th_probe_classify(probe, f->rows + i * w->d, 1, &answer);
        *hits += answer >= begin && answer < end;
        ++*trials;
    }
}

static th_judge_accuracy accuracy_of(int64_t hits, int64_t trials) {
    return (th_judge_accuracy){th_share(hits, trials), trials};
}

static void examine_subjects(const work *w, const th_probe *probe) {
    int64_t subjects = w->s->subject_count, all_hits = 0, all = 0, taken = 0, distractors = 0;
    for (int64_t c = 0; c < subjects + w->p->distractor_count; c++) {
        int64_t hits = 0, trials = 0;
        count_answers(w, probe, &w->classes[c], c, c + 1, &hits, &trials);
        all_hits += hits, all += trials;
        if (c < subjects)
            w->out->subjects[c] = accuracy_of(hits, trials);
        else
            count_answers(w, probe, &w->classes[c], 0, subjects, &taken, &distractors);
    }
    w->out->subject = accuracy_of(all_hits, all);
    w->out->false_shown = accuracy_of(taken, distractors);
}

static th_status judge_subjects(work *w) {
    th_probe *probe = NULL;
    th_study *s = w->s;
    TH_TRY(learn(w, w->classes, s->subject_count + w->p->distractor_count, &probe));
    examine_subjects(w, probe);
    th_probe_classify(probe, w->pictures, s->row_count, w->answers);
    for (int64_t i = 0; i < s->row_count; i++) s->rows[i].found = w->answers[i];
    th_probe_free(probe);
    return TH_OK;
}

/* sets: without the protective output, and with it. */
static th_status judge_protective_of(work *w, int32_t model, const features sets[2]) {
    th_probe *probe = NULL;
    int64_t hits = 0, trials = 0;
    TH_TRY(learn(w, sets, 2, &probe));
    for (int c = 0; c < 2; c++) count_answers(w, probe, &sets[c], c, c + 1, &hits, &trials);
    w->out->protective[model] = accuracy_of(hits, trials);
    th_probe_classify(probe, w->pictures, w->s->row_count, w->answers);
    for (int64_t i = 0; i < w->s->row_count; i++)
        if (w->answers[i]) w->s->rows[i].protective |= (uint64_t)1 << model;
    th_probe_free(probe);
    return TH_OK;
}

static th_status judge_protective(work *w, int32_t model) {
    features sets[2] = {{NULL, 0}, {NULL, 0}};
    if (!w->p->yes[model].set) return TH_OK;
    th_status s = embed(w, w->p->no[model].set, &sets[0]);
    if (s == TH_OK) s = embed(w, w->p->yes[model].set, &sets[1]);
    if (s == TH_OK) s = th_fail_in(judge_protective_of(w, model, sets), "%s", w->s->models[model].name);
    th_free(sets[0].rows);
    th_free(sets[1].rows);
    return s;
}

/* --- attributes of class captions --- */

static th_status mark_captions(work *w, const th_attribute_judge *j, int64_t number) {
    th_study *s = w->s;
    bool *found = th_alloc((size_t)s->row_count + 1, sizeof *found);
    if (!found) return th_fail_memory();
    th_attribute_labels(&w->p->attributes->items[number], &w->p->pictures, w->answers);
    th_status status = s->row_count ? th_attribute_judge_find(j, w->pictures, w->answers, s->row_count, found) : TH_OK;
    for (int64_t i = 0; i < s->row_count && status == TH_OK; i++) {
        if (s->rows[i].kind != TH_STUDY_CLASS || w->answers[i] < 0) continue;
        s->rows[i].wanted |= (uint64_t)1 << number;
        if (found[i]) s->rows[i].right |= (uint64_t)1 << number;
    }
    th_free(found);
    return status;
}

/* From lessons of even number; how right it is on the others. labels: [lessons]; found: scratch. */
static th_status learn_attribute(const work *w, int64_t number, const features *lessons, int32_t *labels, bool *found,
                                 th_attribute_judge **out) {
    const th_attribute *x = &w->p->attributes->items[number];
    int64_t hits = 0, trials = 0;
    th_attribute_labels(x, &w->p->lessons, labels);
    for (int64_t i = 1; i < lessons->n; i += 2) labels[i] = -1;
    TH_TRY(th_fail_in(
        th_attribute_judge_learn(x, lessons->rows, labels, lessons->n, w->d, w->p->net.threads, w->watch, out), "%s",
        w->p->lessons.name));
    th_attribute_labels(x, &w->p->lessons, labels);
    TH_TRY(th_attribute_judge_find(*out, lessons->rows, labels, lessons->n, found));
    for (int64_t i = 1; i < lessons->n; i += 2)
        if (labels[i] >= 0) hits += found[i], trials++;
    w->out->attributes[number] = accuracy_of(hits, trials);
    return TH_OK;
}

static th_status judge_attribute(work *w, int64_t number, const features *lessons) {
    th_attribute_judge *j = NULL;
    int32_t *labels = th_alloc((size_t)lessons->n + 1, sizeof *labels);
    bool *found = th_alloc((size_t)lessons->n + 1, sizeof *found);
    th_status s = labels && found ? TH_OK : th_fail_memory();
    if (s == TH_OK)
        s = w->p->lessons.set ? learn_attribute(w, number, lessons, labels, found, &j)
                              : th_attribute_judge_read(&w->p->attributes->items[number], w->net, &j);
    if (s == TH_OK) s = mark_captions(w, j, number);
    th_attribute_judge_free(j);
    th_free(labels);
    th_free(found);
    return s;
}

static th_status judge_attributes(work *w) {
    const th_attributes *a = w->p->attributes;
    th_study *s = w->s;
    features lessons = {NULL, 0};
    const char **names = th_arena_alloc(s->arena, (size_t)a->count + 1, sizeof *names);
    th_status status = names ? TH_OK : th_fail_memory();
    for (int64_t i = 0; i < a->count && status == TH_OK; i++)
        if (!(names[i] = th_arena_strdup(s->arena, a->items[i].name))) status = th_fail_memory();
    s->attributes = names, s->attribute_count = status == TH_OK ? a->count : 0;
    if (status == TH_OK && w->p->lessons.set) status = embed(w, w->p->lessons.set, &lessons);
    for (int64_t i = 0; i < a->count && status == TH_OK; i++) status = judge_attribute(w, i, &lessons);
    th_free(lessons.rows);
    return status;
}

/* --- prompts --- */

typedef struct {
    th_map *seen;
    const char **texts; /* the different ones, borrowed from the columns */
    int32_t *of;        /* [rows]: which one; −1: none */
    int64_t count;
} prompts;

static th_status list_texts(const work *w, prompts *t) {
    int column = th_columns_find(w->p->pictures.columns, w->p->text_column);
    t->seen = th_map_new();
    t->texts = th_alloc((size_t)w->s->row_count + 1, sizeof *t->texts);
    t->of = th_alloc((size_t)w->s->row_count + 1, sizeof *t->of);
    if (!t->seen || !t->texts || !t->of) return th_fail_memory();
    for (int64_t i = 0; i < w->s->row_count; i++) {
        const char *text = th_columns_cell(w->p->pictures.columns, i, column);
        size_t n = strlen(text);
        t->of[i] = n ? (int32_t)th_map_get(t->seen, text, n, t->count) : -1;
        if (t->of[i] < t->count) continue;
        TH_TRY(th_map_set(t->seen, text, n, t->count));
        t->texts[t->count++] = text;
    }
    return TH_OK;
}

static th_status hold_texts(work *w, const prompts *t) {
    float *rows = th_alloc((size_t)(t->count * w->d) + 1, sizeof *rows);
    if (!rows) return th_fail_memory();
    th_status s = t->count ? th_feature_net_texts(w->net, t->texts, t->count, rows) : TH_OK;
    for (int64_t i = 0; i < w->s->row_count && s == TH_OK; i++)
        if (t->of[i] >= 0) w->s->rows[i].text = (double)th_dot(w->pictures + i * w->d, rows + t->of[i] * w->d, w->d);
    th_free(rows);
    return s;
}

static th_status judge_texts(work *w) {
    prompts t = {0};
    th_status s = list_texts(w, &t);
    if (s == TH_OK) s = hold_texts(w, &t);
    th_map_free(t.seen);
    th_free(t.texts);
    th_free(t.of);
    return s;
}

/* The CLIP folder is another than the encoder. */
static th_status judge_texts_apart(work *w) {
    th_feature_net_close(w->net);
    w->net = NULL;
    TH_TRY(th_feature_net_open(w->p->clip, &w->p->net, &w->net));
    features f = {NULL, 0};
    w->d = th_feature_net_width(w->net);
    th_free(w->pictures);
    w->pictures = NULL;
    if (!w->s->row_count) return TH_OK;
    th_status s = embed(w, w->p->pictures.set, &f);
    w->pictures = f.rows;
    return s == TH_OK ? judge_texts(w) : s;
}

/* --- all of it --- */

static th_status see_classes(work *w) {
    int64_t subjects = w->s->subject_count;
    w->classes = th_alloc((size_t)(subjects + w->p->distractor_count), sizeof *w->classes);
    if (!w->classes) return th_fail_memory();
    for (int64_t i = 0; i < subjects; i++) TH_TRY(embed(w, w->p->subjects[i].set, &w->classes[i]));
    for (int64_t i = 0; i < w->p->distractor_count; i++)
        TH_TRY(embed(w, w->p->distractors[i].set, &w->classes[subjects + i]));
    return TH_OK;
}

static th_status judge(work *w) {
    bool same = w->p->clip && !strcmp(w->p->clip, w->p->encoder);
    TH_TRY(th_feature_net_open(w->p->encoder, &w->p->net, &w->net));
    w->d = th_feature_net_width(w->net);
    w->out->kind = th_feature_net_kind(w->net);
    w->out->width = w->d;
    TH_TRY(see_pictures(w));
    TH_TRY(see_classes(w));
    TH_TRY(measure_fidelity(w));
    TH_TRY(th_fail_in(judge_subjects(w), "judging subjects"));
    for (int32_t m = 0; m < w->s->model_count; m++) TH_TRY(judge_protective(w, m));
    if (w->p->attributes) TH_TRY(judge_attributes(w));
    if (!w->p->clip) return TH_OK;
    return same ? judge_texts(w) : judge_texts_apart(w);
}

static th_status make_room(work *w) {
    th_guard_judgement *j = w->out;
    j->subject_count = w->s->subject_count;
    j->model_count = w->s->model_count;
    j->attribute_count = w->p->attributes ? w->p->attributes->count : 0;
    j->subjects = th_alloc((size_t)j->subject_count, sizeof *j->subjects);
    j->protective = th_alloc((size_t)j->model_count, sizeof *j->protective);
    j->attributes = th_alloc((size_t)j->attribute_count + 1, sizeof *j->attributes);
    return j->subjects && j->protective && j->attributes ? TH_OK : th_fail_memory();
}

th_status th_guard_judge(const th_guard_judge_params *p, th_study *s, const th_watch *watch, th_guard_judgement *out) {
    work w = {.p = p, .s = s, .watch = watch, .out = out};
    TH_TRY(th_guard_judge_check(p, s));
    *out = (th_guard_judgement){0};
    for (int64_t i = 0; i < s->row_count; i++) s->rows[i].protective = s->rows[i].wanted = s->rows[i].right = 0;
    th_status status = make_room(&w);
    if (status == TH_OK) status = judge(&w);
    int64_t classes = w.classes ? s->subject_count + p->distractor_count : 0;
    for (int64_t i = 0; i < classes; i++) th_free(w.classes[i].rows);
    th_free(w.classes);
    th_free(w.means);
    th_free(w.pictures);
    th_free(w.answers);
    th_feature_net_close(w.net);
    if (status != TH_OK) th_guard_judgement_free(out);
    return status;
}
