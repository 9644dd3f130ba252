/* Encoding pictures. */
#include "diffusion/encoder.h"

#include <string.h>

#include "base/memory.h"

struct th_vae_encoder {
    th_plan *plan;
    int64_t batch, in, out; /* in, out: floats of a picture and of its moments */
};

static th_status make_plan(const th_vae *v, int64_t height, int64_t width, int threads, th_vae_encoder *e) {
    th_graph *g = th_graph_new();
    if (!g) return th_fail_memory();
    th_output(g, "moments", th_vae_encode(g, v, th_input(g, "pictures", TH_DESC(TH_F32, e->batch, height, width, 3))));
    th_plan_params p;
    th_plan_params_init(&p);
    p.threads = threads;
    th_status s = th_plan_new(g, &p, &e->plan);
    th_graph_free(g);
    return s;
}

th_status th_vae_encoder_new(const th_vae *v, int64_t batch, int64_t height, int64_t width, int threads,
                             th_vae_encoder **out) {
    const th_vae_config *c = th_vae_get_config(v);
    int64_t f = th_vae_factor(c);
    th_vae_encoder *e = th_alloc(1, sizeof *e);
    if (!e) return th_fail_memory();
    *e = (th_vae_encoder){.batch = batch, .in = height * width * 3};
    e->out = (height / f) * (width / f) * 2 * c->latent_channels;
    th_status s = make_plan(v, height, width, threads, e);
    if (s != TH_OK) return th_vae_encoder_free(e), s;
    *out = e;
    return TH_OK;
}

void th_vae_encoder_free(th_vae_encoder *e) {
    if (!e) return;
    th_plan_free(e->plan);
    th_free(e);
}

void th_vae_encoder_get_cost(const th_vae_encoder *e, th_plan_cost *cost) { th_plan_get_cost(e->plan, cost); }

int64_t th_vae_encoder_size(const th_vae_encoder *e) { return e->out; }

th_status th_vae_encoder_run(th_vae_encoder *e, const float *pictures, int64_t n, float *moments) {
    TH_TRY(th_plan_allocate(e->plan));
    float *in = th_plan_input(e->plan, "pictures");
    for (int64_t i = 0; i < n; i += e->batch) {
        int64_t count = n - i < e->batch ? n - i : e->batch;
        memcpy(in, pictures + i * e->in, (size_t)(count * e->in) * sizeof *in);
        TH_TRY(th_plan_run(e->plan, 0, 0));
        memcpy(moments + i * e->out, th_plan_output(e->plan, "moments"), (size_t)(count * e->out) * sizeof *moments);
    }
    return TH_OK;
}
