/* Judges of attributes. */
#include "metric/attribute_judge.h"

#include "base/memory.h"
#include "metric/probe.h"
#include "metric/zeroshot.h"

struct th_attribute_judge {
    int64_t values, d;
    th_probe *probe; /* NULL: by names */
    float *classes;  /* [values, d], unit rows: what the values are called */
};

void th_attribute_labels(const th_attribute *x, const th_picture_set *s, int32_t *labels) {
    int column = th_columns_find(s->columns, x->column);
    for (int64_t i = 0; i < th_dataset_images(s->set); i++)
        labels[i] = column < 0 ? -1 : th_attribute_value(x, s->columns, column, i);
}

static th_status new_judge(const th_attribute *x, int64_t d, th_attribute_judge **out) {
    th_attribute_judge *j = th_alloc(1, sizeof *j);
    if (!j) return th_fail_memory();
    *j = (th_attribute_judge){.values = x->values.count, .d = d};
    *out = j;
    return TH_OK;
}

void th_attribute_judge_free(th_attribute_judge *j) {
    if (!j) return;
    th_probe_free(j->probe);
    th_free(j->classes);
    th_free(j);
}

th_status th_attribute_judge_learn(const th_attribute *x, const float *rows, const int32_t *labels, int64_t n,
                                   int64_t d, int threads, const th_watch *w, th_attribute_judge **out) {
    th_probe_params p;
    th_attribute_judge *j = NULL;
    TH_TRY(new_judge(x, d, &j));
    th_probe_params_init(&p);
    p.threads = threads;
    th_status s = th_probe_fit(rows, labels, n, d, j->values, &p, w, &j->probe);
    if (s != TH_OK) return th_attribute_judge_free(j), th_fail_in(s, "attribute '%s'", x->name);
    *out = j;
    return TH_OK;
}

/* --- by names --- */

static th_status embed_values(const th_attribute *x, th_feature_net *net, int64_t d, float *classes) {
    int64_t count = x->values.count * x->templates.count;
    th_arena *arena = th_arena_new();
    const char **texts = arena ? th_arena_alloc(arena, (size_t)count, sizeof *texts) : NULL;
    float *rows = th_alloc((size_t)(count * d), sizeof *rows);
    th_status s = texts && rows ? TH_OK : th_fail_memory();
    if (s == TH_OK) s = th_attribute_texts(arena, x, texts);
    if (s == TH_OK) s = th_feature_net_texts(net, texts, count, rows);
    if (s == TH_OK) th_class_embeddings(rows, x->values.count, x->templates.count, d, classes);
    th_arena_free(arena);
    th_free(rows);
    return s;
}

th_status th_attribute_judge_read(const th_attribute *x, th_feature_net *net, th_attribute_judge **out) {
    th_attribute_judge *j = NULL;
    TH_TRY(new_judge(x, th_feature_net_width(net), &j));
    j->classes = th_alloc((size_t)(j->values * j->d), sizeof *j->classes);
    th_status s = j->classes ? embed_values(x, net, j->d, j->classes) : th_fail_memory();
    if (s != TH_OK) return th_attribute_judge_free(j), s;
    *out = j;
    return TH_OK;
}

/* --- judging --- */

static th_status ask_probe(const th_attribute_judge *j, const float *rows, const int32_t *labels, int64_t n,
                           bool *found) {
    int32_t *answers = th_alloc((size_t)n, sizeof *answers);
    if (!answers) return th_fail_memory();
    th_probe_classify(j->probe, rows, n, answers);
    for (int64_t i = 0; i < n; i++) found[i] = answers[i] == labels[i];
    th_free(answers);
    return TH_OK;
}

th_status th_attribute_judge_find(const th_attribute_judge *j, const float *rows, const int32_t *labels, int64_t n,
                                  bool *found) {
    if (j->probe) return ask_probe(j, rows, labels, n, found);
    th_zeroshot_hits(&(th_zeroshot){rows, labels, n, j->classes, j->values, j->d}, found);
    return TH_OK;
}
