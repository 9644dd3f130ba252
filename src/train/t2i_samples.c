/* Drawing samples. */
#include "train/t2i_samples.h"

#include <stdio.h>

#include "base/file.h"
#include "base/memory.h"
#include "data/contact_sheet.h"

#define MOST_AT_ONCE 8

static th_status new_generator(th_sd *sd, const th_t2i_samples *s, th_generator **out) {
    th_generate_params p;
    int64_t n = s->count * s->each;
    th_generate_params_init(&p);
    p.steps = s->steps;
    p.guidance = s->guidance;
    p.batch = n < MOST_AT_ONCE ? n : MOST_AT_ONCE;
    p.width = p.height = s->side;
    p.threads = s->threads;
    p.compute = s->compute;
    return th_generator_new(sd, &p, out);
}

static size_t beside_parameters(const th_plan_cost *c) { return c->tensor_bytes + c->scratch_bytes; }

th_status th_t2i_samples_bytes(th_sd *sd, const th_t2i_samples *s, size_t *bytes) {
    th_generator *g;
    th_generate_cost c;
    TH_TRY(new_generator(sd, s, &g));
    th_status status = th_generator_get_cost(g, s->count * s->each, s->count + 1, &c);
    th_generator_free(g);
    TH_TRY(status);
    *bytes = beside_parameters(&c.text) + beside_parameters(&c.step) + beside_parameters(&c.decode);
    return TH_OK;
}

typedef struct {
    const th_t2i_samples *s;
    th_contact_sheet *sheet;
} drawing;

static th_status put(void *user, const th_generated *picture) {
    drawing *d = user;
    return th_contact_sheet_put(d->sheet, picture->index / d->s->each, picture->index % d->s->each, picture->image);
}

static th_status draw(th_generator *g, drawing *d, const th_watch *w) {
    int64_t n = d->s->count * d->s->each;
    th_generate_request *all = th_alloc((size_t)n, sizeof *all);
    if (!all) return th_fail_memory();
    for (int64_t i = 0; i < n; i++)
        all[i] = (th_generate_request){.prompt = d->s->prompts[i / d->s->each], .seed = (uint64_t)(i % d->s->each)};
    th_status s = th_generator_run(g, all, n, w, put, d);
    th_free(all);
    return s;
}

th_status th_t2i_samples_draw(th_sd *sd, const th_t2i_samples *s, const char *dir, int64_t step, const th_watch *w) {
    char name[32], path[TH_PATH_MAX];
    drawing d = {.s = s};
    th_generator *g = NULL;
    snprintf(name, sizeof name, "step-%09lld.png", (long long)step);
    TH_TRY(th_path_join(path, dir, name));
    TH_TRY(th_make_dirs(dir));
    th_status status = th_contact_sheet_new(s->each, s->count, (int32_t)s->side, (int32_t)s->side, &d.sheet);
    if (status == TH_OK) status = new_generator(sd, s, &g);
    if (status == TH_OK) status = draw(g, &d, w);
    if (status == TH_OK) status = th_contact_sheet_write(d.sheet, path);
    th_generator_free(g);
    th_contact_sheet_free(d.sheet);
    return status;
}
