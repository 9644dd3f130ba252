/* The state of Anti-DreamBooth between rounds, in one safetensors file: the pictures as they are, the weights of FSMG's
 * surrogate or ASPL's victim, all in f32, and what the bits to come depend on. */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/number.h"
#include "format/safetensors.h"
#include "guard/anti_dreambooth_parts.h"

#define ROUND "round"
#define PICTURES "pictures"
#define HOW "made_by"

static void list_pictures(const th_anti *a, int64_t shape[4]) {
    shape[0] = a->pictures;
    shape[1] = shape[2] = a->p.side;
    shape[3] = 3;
}

/* Version, threads and type: others round otherwise. */
static void how(const th_anti *a, char out[96]) {
    snprintf(out, 96, "theriac %s, %d threads, %s", th_version(), th_plan_threads(a->training),
             th_dtype_name(a->p.compute));
}

static th_status add_param(th_safetensors_writer *w, const th_anti *a, const th_st_tensor *t) {
    const th_param *p = th_params_find(a->trained, t->name);
    size_t bytes = (size_t)t->count * sizeof(float);
    float *v = th_alloc_big(bytes);
    if (!v) return th_fail_memory();
    th_status s = th_param_get(p, v);
    if (s == TH_OK) th_safetensors_add_f32(w, v, t->count);
    th_free_big(v, bytes);
    return s;
}

th_status th_anti_save(const th_anti *a, const char *path) {
    th_safetensors_writer *w = NULL;
    int64_t shape[4];
    char number[24], made_by[96];
    list_pictures(a, shape);
    how(a, made_by);
    snprintf(number, sizeof number, "%lld", (long long)a->made);
    TH_TRY(th_safetensors_writer_new(path, 0, &w));
    th_safetensors_note(w, ROUND, number);
    th_safetensors_note(w, HOW, made_by);
    th_safetensors_declare(w, PICTURES, TH_ST_F32, 4, shape);
    for (int64_t i = 0; i < th_params_count(a->trained); i++) {
        const th_param *p = th_params_at(a->trained, i);
        const th_desc *d = th_param_desc(p);
        th_safetensors_declare(w, th_param_name(p), TH_ST_F32, d->rank, d->dim);
    }
    th_status s = th_safetensors_begin(w);
    for (const th_st_tensor *t; s == TH_OK && (t = th_safetensors_next(w));) {
        if (!strcmp(t->name, PICTURES))
            th_safetensors_add_f32(w, a->now, t->count);
        else
            s = add_param(w, a, t);
    }
    if (s != TH_OK) return th_safetensors_abort(w), s;
    return th_safetensors_commit(w);
}

static th_status read_param(const th_safetensors *f, th_param *p) {
    const th_desc *d = th_param_desc(p);
    const th_st_tensor *t;
    TH_TRY(th_safetensors_want(f, th_param_name(p), d->rank, d->dim, &t));
    size_t bytes = (size_t)t->count * sizeof(float);
    float *v = th_alloc_big(bytes);
    if (!v) return th_fail_memory();
    th_status s = th_st_to_f32(t, 0, t->count, v);
    if (s == TH_OK) s = th_param_set(p, v);
    th_free_big(v, bytes);
    return s;
}

static th_status read_all(th_anti *a, const th_safetensors *f, const char *path) {
    const char *number = th_safetensors_metadata(f, ROUND), *was = th_safetensors_metadata(f, HOW);
    const th_st_tensor *t;
    int64_t shape[4], made;
    char now[96];
    list_pictures(a, shape);
    how(a, now);
    if (!number || !th_parse_i64(number, &made) || made < 0 || made > a->p.rounds || !was)
        return th_fail(TH_E_INPUT, "%s: does not say after which of %lld rounds it was written ('" ROUND "')", path,
                       (long long)a->p.rounds);
    if (strcmp(was, now) != 0)
        return th_fail(TH_E_USAGE, "%s: was made by %.90s; going on with %.90s would give other bits", path, was, now);
    TH_TRY(th_safetensors_want(f, PICTURES, 4, shape, &t));
    for (int64_t i = 0; i < th_params_count(a->trained); i++) TH_TRY(read_param(f, th_params_at(a->trained, i)));
    TH_TRY(th_st_to_f32(t, 0, t->count, a->now));
    a->made = made;
    return TH_OK;
}

th_status th_anti_load(th_anti *a, const char *path) {
    th_safetensors *f = NULL;
    if (!a->clean) return th_fail(TH_E_BUG, "anti-dreambooth has no pictures yet");
    TH_TRY(th_safetensors_open(path, NULL, &f));
    th_status s = read_all(a, f, path);
    th_safetensors_close(f);
    return s;
}
