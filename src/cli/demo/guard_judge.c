/* The judge of the demonstration on guarded models: likeness by its features of pictures, and what is shown by the
 * nouns that it reads. */
#include <math.h>
#include <string.h>

#include "base/template.h"
#include "cli/demo/guard.h"
#include "metric/feature_net.h"
#include "metric/similarity.h"
#include "metric/zeroshot.h"

enum { SUBJECT, INSTEAD, NOUNS };

typedef struct {
    const th_demo_job *j;
    th_demo_guard *g;
    th_feature_net *net;
    int64_t d;
    float *nouns; /* [2, d]: the class, and the protective output; NULL: it has no words */
} work;

static float dot(const float *a, const float *b, int64_t d) {
    float s = 0;
    for (int64_t i = 0; i < d; i++) s += a[i] * b[i];
    return s;
}

/* ---- what the protective output is called */

static const char *phrase(const work *w, int which, const th_demo_context *c) {
    const th_demo_card *card = &w->g->card;
    if (which == INSTEAD && !card->target) return c->instead;
    return th_template_fill(w->g->arena, c->with, which == INSTEAD ? card->target : card->class);
}

/* Means over all contexts, since a picture may show any of them. */
static th_status read_nouns(work *w) {
    const char *texts[NOUNS * TH_DEMO_CONTEXTS];
    const th_demo_card *card = &w->g->card;
    if (!card->target && strcmp(card->mode, "erasure") != 0) return TH_OK;
    for (int i = 0; i < NOUNS * TH_DEMO_CONTEXTS; i++)
        texts[i] = phrase(w, i / TH_DEMO_CONTEXTS, &th_demo_contexts[i % TH_DEMO_CONTEXTS]);
    float *rows = th_alloc((size_t)(NOUNS * TH_DEMO_CONTEXTS * w->d), sizeof *rows);
    w->nouns = th_alloc((size_t)(NOUNS * w->d), sizeof *w->nouns);
    th_status s = rows && w->nouns && !th_arena_failed(w->g->arena) ? TH_OK : th_fail_memory();
    if (s == TH_OK) s = th_feature_net_texts(w->net, texts, NOUNS * TH_DEMO_CONTEXTS, rows);
    if (s == TH_OK) th_class_embeddings(rows, NOUNS, TH_DEMO_CONTEXTS, w->d, w->nouns);
    th_free(rows);
    return s;
}

/* ---- pictures */

static th_status look(const work *w, th_demo_look *l) {
    l->rows = th_alloc((size_t)(l->count * w->d), sizeof *l->rows);
    l->likeness = th_alloc((size_t)l->count, sizeof *l->likeness);
    l->protective = th_alloc((size_t)l->count, sizeof *l->protective);
    if (!l->rows || !l->likeness || !l->protective) return th_fail_memory();
    TH_TRY(th_feature_net_pictures(w->net, l->set, &w->j->cli->watch, l->rows));
    th_unit_rows(l->rows, l->count, w->d);
    return TH_OK;
}

static void judge_shown(const work *w, th_demo_look *l) {
    int64_t hits = 0;
    l->shown = (th_estimate){NAN, NAN, NAN};
    if (!w->nouns) return;
    for (int64_t i = 0; i < l->count; i++) {
        const float *row = l->rows + i * w->d;
        l->protective[i] = dot(row, w->nouns + INSTEAD * w->d, w->d) > dot(row, w->nouns + SUBJECT * w->d, w->d);
        hits += l->protective[i];
    }
    l->shown = th_share(hits, l->count);
}

static void judge_each(const work *w, const th_demo_look *real, th_demo_look *l) {
    for (int64_t i = 0; i < l->count; i++) {
        double sum = 0;
        for (int64_t k = 0; k < real->count; k++) sum += (double)dot(l->rows + i * w->d, real->rows + k * w->d, w->d);
        l->likeness[i] = (float)(sum / (double)real->count);
    }
}

static th_status fidelity(const work *w, const th_demo_look *l, const th_demo_look *real, th_estimate *out) {
    if (l == real) return th_own_similarity(l->rows, l->count, w->d, out);
    return th_pair_similarity(l->rows, l->count, real->rows, real->count, w->d, w->j->seed, out);
}

/* Whichever it is most like of the other subject and the controls. */
static th_status judge_other(const work *w, th_demo_subject which, th_demo_look *l) {
    const th_demo_guard *g = w->g;
    th_estimate e;
    TH_TRY(fidelity(w, l, &g->real[TH_DEMO_SUBJECTS - 1 - (int)which], &l->other));
    for (int64_t i = 0; i < g->control_count; i++) {
        TH_TRY(fidelity(w, l, &g->controls[i], &e));
        if (e.value > l->other.value) l->other = e;
    }
    return TH_OK;
}

static th_status judge(const work *w, th_demo_subject which, th_demo_look *l) {
    judge_shown(w, l);
    judge_each(w, &w->g->real[which], l);
    TH_TRY(fidelity(w, l, &w->g->real[which], &l->own));
    return judge_other(w, which, l);
}

/* Real ones are looked at first, as the others are held against them. */
static th_status look_at_all(const work *w) {
    th_demo_guard *g = w->g;
    for (int i = 0; i < TH_DEMO_SUBJECTS; i++) TH_TRY(look(w, &g->real[i]));
    for (int64_t i = 0; i < g->control_count; i++) TH_TRY(look(w, &g->controls[i]));
    for (int m = 0; m < TH_DEMO_SDS; m++) {
        TH_TRY(look(w, &g->plain[m]));
        TH_TRY(look(w, &g->before[m]));
        for (int i = 0; i < TH_DEMO_SUBJECTS; i++) TH_TRY(look(w, &g->cells[m][i]));
    }
    return TH_OK;
}

static th_status judge_all(const work *w) {
    th_demo_guard *g = w->g;
    for (int i = 0; i < TH_DEMO_SUBJECTS; i++) TH_TRY(judge(w, (th_demo_subject)i, &g->real[i]));
    for (int m = 0; m < TH_DEMO_SDS; m++) {
        TH_TRY(judge(w, TH_DEMO_PROTECTED, &g->plain[m]));
        TH_TRY(judge(w, TH_DEMO_PROTECTED, &g->before[m]));
        for (int i = 0; i < TH_DEMO_SUBJECTS; i++) TH_TRY(judge(w, (th_demo_subject)i, &g->cells[m][i]));
    }
    return TH_OK;
}

static th_status open_and_judge(work *w) {
    th_feature_params p;
    th_feature_params_init(&p);
    TH_TRY(th_feature_net_open(w->g->judge, &p, &w->net));
    w->d = th_feature_net_width(w->net);
    TH_TRY(read_nouns(w));
    TH_TRY(look_at_all(w));
    return judge_all(w);
}

th_status th_demo_guard_judge(const th_demo_job *j, th_demo_guard *g) {
    work w = {.j = j, .g = g};
    th_status s = open_and_judge(&w);
    th_feature_net_close(w.net);
    th_free(w.nouns);
    return s;
}
