/* Checkpoints. Tensors are named "param.NAME", "first.NAME", "second.NAME" and "average.NAME". */
#include "train/checkpoint.h"

#include <stdio.h>
#include <string.h>

#include "base/number.h"
#include "format/safetensors.h"

#define NAME_MAX_BYTES 300
static const char *const kinds[] = {"param", "first", "second", "average"};

/* What is not trained is as the run found it, and is not written. */
static bool has(const th_training_state *s, const th_param *p, int kind) {
    return p->trainable && (kind != 3 || s->average);
}

static void declare(th_safetensors_writer *w, const th_training_state *s) {
    for (int64_t i = 0; i < th_params_count(s->params); i++)
        for (int kind = 0; kind < 4; kind++) {
            const th_param *p = th_params_at(s->params, i);
            char name[NAME_MAX_BYTES];
            snprintf(name, sizeof name, "%s.%s", kinds[kind], p->name);
            if (has(s, p, kind)) th_safetensors_declare(w, name, TH_ST_F32, p->desc.rank, p->desc.dim);
        }
}

/* Parameter and kind of a tensor's name; −1 if it is none of ours. */
static int64_t find(const th_training_state *s, const char *name, int *kind) {
    for (*kind = 0; *kind < 4; ++*kind) {
        size_t n = strlen(kinds[*kind]);
        if (strncmp(name, kinds[*kind], n) || name[n] != '.') continue;
        for (int64_t i = 0; i < th_params_count(s->params); i++)
            if (!strcmp(th_params_at(s->params, i)->name, name + n + 1)) return i;
    }
    return -1;
}

static th_status get(const th_training_state *s, int64_t i, int kind, float *a, float *b) {
    th_param *p = th_params_at(s->params, i);
    if (kind == 0) return th_param_get(p, a);
    if (kind == 3) return th_param_to_rows(p, s->average[i], a);
    TH_TRY(th_optimizer_get(s->optimizer, p, a, b));
    if (kind == 2) memcpy(a, b, (size_t)th_desc_count(&p->desc) * sizeof *a);
    return TH_OK;
}

static int64_t largest(const th_params *params) {
    int64_t most = 1;
    for (int64_t i = 0; i < th_params_count(params); i++) {
        const th_param *p = th_params_at(params, i);
        int64_t n = p->trainable ? th_desc_count(&p->desc) : 0;
        if (n > most) most = n;
    }
    return most;
}

/* Room for the moments of the largest parameter. */
typedef struct {
    float *a, *b;
    size_t bytes;
} buffers;

static th_status buffers_new(const th_params *params, buffers *out) {
    size_t bytes = (size_t)largest(params) * sizeof(float);
    *out = (buffers){th_alloc_big(bytes), th_alloc_big(bytes), bytes};
    return out->a && out->b ? TH_OK : th_fail_memory();
}

static void buffers_free(buffers *b) {
    th_free_big(b->a, b->bytes);
    th_free_big(b->b, b->bytes);
}

th_status th_checkpoint_save(const char *path, const th_training_state *s) {
    th_safetensors_writer *w = NULL;
    buffers room = {0};
    char text[32];
    TH_TRY(th_safetensors_writer_new(path, 0, &w));
    declare(w, s);
    snprintf(text, sizeof text, "%lld", (long long)s->step);
    th_safetensors_note(w, "step", text);
    snprintf(text, sizeof text, "%lld", (long long)th_optimizer_steps(s->optimizer));
    th_safetensors_note(w, "optimizer_steps", text);
    th_safetensors_note(w, "version", th_version());
    snprintf(text, sizeof text, "%d", s->threads);
    if (s->threads) th_safetensors_note(w, "threads", text);
    if (s->compute) th_safetensors_note(w, "compute", s->compute);
    th_status status = buffers_new(s->params, &room);
    if (status == TH_OK) status = th_safetensors_begin(w);
    for (const th_st_tensor *t; status == TH_OK && (t = th_safetensors_next(w));) {
        int kind;
        int64_t i = find(s, t->name, &kind);
        status = get(s, i, kind, room.a, room.b);
        if (status == TH_OK) th_safetensors_add_f32(w, room.a, t->count);
    }
    buffers_free(&room);
    if (status != TH_OK) return th_safetensors_abort(w), status;
    return th_safetensors_commit(w);
}

static th_status read_tensor(const th_safetensors *f, const th_param *p, int kind, float *out) {
    char name[NAME_MAX_BYTES];
    const th_st_tensor *t;
    snprintf(name, sizeof name, "%s.%s", kinds[kind], p->name);
    TH_TRY(th_safetensors_want(f, name, p->desc.rank, p->desc.dim, &t));
    return th_st_to_f32(t, 0, t->count, out);
}

static th_status load_param(const th_safetensors *f, th_training_state *s, int64_t i, buffers *room) {
    th_param *p = th_params_at(s->params, i);
    if (!p->trainable) return TH_OK;
    TH_TRY(read_tensor(f, p, 0, room->a));
    TH_TRY(th_param_set(p, room->a));
    TH_TRY(read_tensor(f, p, 1, room->a));
    TH_TRY(read_tensor(f, p, 2, room->b));
    TH_TRY(th_optimizer_set(s->optimizer, p, room->a, room->b));
    if (!s->average) return TH_OK;
    TH_TRY(read_tensor(f, p, 3, room->a));
    return th_param_from_rows(p, room->a, s->average[i]);
}

static th_status read_count(const th_safetensors *f, const char *path, const char *key, int64_t *out) {
    const char *text = th_safetensors_metadata(f, key);
    if (!text) return th_fail(TH_E_INPUT, "%s: is no checkpoint: '%s' is missing in its metadata", path, key);
    if (!th_parse_i64(text, out) || *out < 0)
        return th_fail(TH_E_INPUT, "%s: '%s' in its metadata is '%.40s', a number of steps is wanted", path, key, text);
    return TH_OK;
}

/* Checkpoints of versions that did not note it pass. */
static th_status want_same(const th_safetensors *f, const char *path, const char *key, const char *is,
                           const char *advice) {
    const char *was = th_safetensors_metadata(f, key);
    if (!was || !is || !strcmp(was, is)) return TH_OK;
    return th_fail(TH_E_USAGE, "%s: was made with %s %.40s, now it is %s, which would change the bits; resume %s %.40s",
                   path, key, was, is, advice, was);
}

static th_status check_surroundings(const th_safetensors *f, const char *path, const th_training_state *s) {
    char threads[32];
    snprintf(threads, sizeof threads, "%d", s->threads);
    TH_TRY(want_same(f, path, "version", th_version(), "with theriac"));
    TH_TRY(want_same(f, path, "threads", s->threads ? threads : NULL, "with --threads"));
    return want_same(f, path, "compute", s->compute, "with --dtype");
}

th_status th_checkpoint_load(const char *path, th_training_state *s) {
    th_safetensors *f = NULL;
    buffers room = {0};
    int64_t optimizer_steps = 0;
    TH_TRY(th_safetensors_open(path, NULL, &f));
    th_status status = check_surroundings(f, path, s);
    if (status == TH_OK) status = read_count(f, path, "step", &s->step);
    if (status == TH_OK) status = read_count(f, path, "optimizer_steps", &optimizer_steps);
    if (status == TH_OK) status = buffers_new(s->params, &room);
    for (int64_t i = 0; i < th_params_count(s->params) && status == TH_OK; i++) status = load_param(f, s, i, &room);
    if (status == TH_OK) th_optimizer_set_steps(s->optimizer, optimizer_steps);
    buffers_free(&room);
    th_safetensors_close(f);
    return status;
}
