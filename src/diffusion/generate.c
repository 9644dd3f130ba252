/* Texts are encoded once, then one plan of the UNet is run for every call of the sampler, a batch at a time. With
 * guidance the batch is twice as long: the negative texts first. */
#include "diffusion/generate.h"

#include <math.h>
#include <string.h>

#include "base/map.h"
#include "base/memory.h"
#include "base/rng.h"
#include "diffusion/decode.h"

enum { TEXTS_AT_ONCE = 4 };

struct th_generator {
    th_sd *sd;
    th_generate_params p;
    int64_t h, w, c, size; /* of the latents of one picture; size = h · w · c */
    int64_t tokens, width; /* of a text's states */
    bool guided;
    th_sampler *sampler;
    th_plan *unet;
    th_vae_decoder *decoder;
    float *x, *output, *noise; /* [batch, size] */
    float *times;              /* [rows of the UNet's batch] */
    th_image image;
};

/* The different texts of a run and their states. */
typedef struct {
    th_map *places;
    const char **texts;
    int64_t count;
    float *states; /* [count, tokens, width] */
} texts;

void th_generate_params_init(th_generate_params *p) {
    *p = (th_generate_params){.steps = 50, .batch = 1, .guidance = 7.5f, .compute = TH_F32};
}

void th_generate_noise(uint64_t seed, int64_t n, float *out) {
    for (int64_t i = 0; i < n; i += 2) {
        th_rng_block b = th_philox(seed, TH_RNG_NOISE, 0, (uint64_t)(i / 2));
        out[i] = th_normal_f32(b.word[0], b.word[1]);
        if (i + 1 < n) out[i + 1] = th_normal_f32(b.word[2], b.word[3]);
    }
}

/* --- plans --- */

static int64_t rows(const th_generator *g) { return g->p.batch * (g->guided ? 2 : 1); }

static th_status plan_text(const th_generator *g, int64_t n, th_plan **out) {
    th_graph *graph = th_graph_new();
    if (!graph) return th_fail_memory();
    th_tensor *ids = th_input(graph, "ids", TH_DESC(TH_I32, n, g->tokens));
    th_output(graph, "states", th_text_encoder_apply(graph, g->sd->text, ids));
    th_plan_params params;
    th_plan_params_init(&params);
    params.threads = g->p.threads, params.compute = g->p.compute;
    th_status s = th_plan_new(graph, &params, out);
    th_graph_free(graph);
    return s;
}

/* Bytes of values of a set, as they lie in memory without any plan. */
static size_t bytes_of(const th_params *ps) { return ps ? (size_t)th_params_elements(ps) * sizeof(float) : 0; }

static size_t text_bytes(const th_generator *g) {
    return bytes_of(th_text_encoder_params(g->sd->text)) + bytes_of(th_text_encoder_added(g->sd->text));
}

/* What is in memory beside the UNet and its plan while it runs, but for the texts' states. */
static size_t beside(const th_generator *g) {
    th_plan_cost decode;
    th_vae_decoder_get_cost(g->decoder, &decode);
    return (g->p.release_text ? 0 : text_bytes(g)) + decode.bytes +
           (size_t)(3 * g->p.batch * g->size + 3 * g->p.width * g->p.height) * sizeof(float);
}

static th_status plan_unet(th_generator *g) {
    const th_unet_config *c = th_unet_get_config(g->sd->unet);
    th_graph *graph = th_graph_new();
    if (!graph) return th_fail_memory();
    th_tensor *x = th_input(graph, "x", TH_DESC(TH_F32, rows(g), g->h, g->w, g->c));
    th_tensor *times = th_input(graph, "times", TH_DESC(TH_F32, rows(g), c->channels[0]));
    th_tensor *states = th_input(graph, "states", TH_DESC(TH_F32, rows(g), g->tokens, g->width));
    th_output(graph, "y", th_unet_apply(graph, g->sd->unet, x, times, states));
    th_plan_params params;
    th_plan_params_init(&params);
    params.threads = g->p.threads, params.compute = g->p.compute;
    params.memory_budget = g->p.memory, params.other_bytes = beside(g);
    th_status s = th_plan_new(graph, &params, &g->unet);
    th_graph_free(graph);
    return s;
}

/* --- making one --- */

static th_status check(const th_generate_params *p) {
    if (p->batch < 1) return th_fail(TH_E_USAGE, "a batch of %lld pictures", (long long)p->batch);
    if (!(fabsf(p->guidance) <= 1e6f)) return th_fail(TH_E_USAGE, "guidance %g", (double)p->guidance);
    if (!(p->rescale >= 0 && p->rescale <= 1))
        return th_fail(TH_E_USAGE, "guidance rescaled by %g: it should be between 0 and 1", (double)p->rescale);
    return TH_OK;
}

/* Pixels to latents. */
static th_status settle_size(th_generator *g) {
    const th_unet_config *u = th_unet_get_config(g->sd->unet);
    int64_t factor = th_vae_factor(th_vae_get_config(g->sd->vae)), multiple = factor * th_unet_multiple(u);
    if (!g->p.width) g->p.width = u->sample_size * factor;
    if (!g->p.height) g->p.height = u->sample_size * factor;
    const int64_t sides[] = {g->p.width, g->p.height};
    for (int i = 0; i < 2; i++) {
        if (sides[i] > 0 && sides[i] % multiple == 0 && sides[i] <= TH_GENERATE_MOST_SIDE) continue;
        return th_fail(TH_E_USAGE, "size %lldx%lld: sides must be multiples of %lld for this model, up to %d",
                       (long long)sides[0], (long long)sides[1], (long long)multiple, TH_GENERATE_MOST_SIDE);
    }
    g->w = g->p.width / factor, g->h = g->p.height / factor, g->c = u->in_channels;
    g->size = g->w * g->h * g->c;
    return TH_OK;
}

static th_status make_sampler(th_generator *g) {
    th_scheduler_config c = g->sd->scheduler;
    if (g->p.scheduler) TH_TRY(th_scheduler_become(&c, g->p.scheduler));
    return th_sampler_new(&c, g->p.steps, &g->sampler);
}

/* Tiles no larger than the autoencoder was made for, and smaller than the picture. */
static th_status make_decoder(th_generator *g) {
    const th_vae_config *c = th_vae_get_config(g->sd->vae);
    int64_t tile = th_vae_tile(c), longer = g->h > g->w ? g->h : g->w;
    while (tile >= longer && tile > 8) tile /= 2;
    th_vae_decoder_params d;
    th_vae_decoder_params_init(&d);
    d.height = g->h, d.width = g->w, d.threads = g->p.threads;
    d.tile = g->p.tiles ? tile : 0;
    return th_vae_decoder_new(g->sd->vae, &d, &g->decoder);
}

static th_status make(th_generator *g) {
    TH_TRY(check(&g->p));
    TH_TRY(settle_size(g));
    TH_TRY(make_sampler(g));
    const th_text_encoder_config *t = th_text_encoder_get_config(g->sd->text);
    g->tokens = t->context, g->width = t->tower.width;
    g->guided = g->p.guidance > 1;
    TH_TRY(make_decoder(g));
    th_status s = plan_unet(g);
    if (s == TH_E_MEMORY && !g->p.tiles) th_fail(s, "%s; pictures decoded in tiles take less", th_error_message());
    return s;
}

th_status th_generator_new(th_sd *sd, const th_generate_params *p, th_generator **out) {
    *out = NULL;
    th_generator *g = th_alloc(1, sizeof *g);
    if (!g) return th_fail_memory();
    g->sd = sd, g->p = *p;
    th_status s = make(g);
    if (s != TH_OK) return th_generator_free(g), s;
    *out = g;
    return TH_OK;
}

void th_generator_free(th_generator *g) {
    if (!g) return;
    th_plan_free(g->unet);
    th_vae_decoder_free(g->decoder);
    th_sampler_free(g->sampler);
    th_free(g->x);
    th_free(g->output);
    th_free(g->noise);
    th_free(g->times);
    th_image_free(&g->image);
    th_free(g);
}

void th_generator_latents(const th_generator *g, int64_t *height, int64_t *width, int64_t *channels) {
    *height = g->h, *width = g->w, *channels = g->c;
}

void th_generator_size(const th_generator *g, int64_t *width, int64_t *height) {
    *width = g->p.width, *height = g->p.height;
}

/* --- texts --- */

static const char *or_empty(const char *text) { return text ? text : ""; }

static th_status add_text(texts *t, const char *text) {
    if (th_map_get(t->places, text, strlen(text), -1) >= 0) return TH_OK;
    t->texts[t->count] = text;
    return th_map_set(t->places, text, strlen(text), t->count++);
}

static th_status gather_texts(const th_generator *g, texts *t, const th_generate_request *r, int64_t n) {
    t->places = th_map_new();
    t->texts = th_alloc((size_t)(2 * n), sizeof *t->texts);
    if (!t->places || !t->texts) return th_fail_memory();
    for (int64_t i = 0; i < n; i++) {
        TH_TRY(add_text(t, or_empty(r[i].prompt)));
        if (g->guided) TH_TRY(add_text(t, or_empty(r[i].negative)));
    }
    t->states = th_alloc((size_t)t->count, (size_t)(g->tokens * g->width) * sizeof *t->states);
    return t->states ? TH_OK : th_fail_memory();
}

static th_status run_texts(const th_generator *g, texts *t, th_plan *plan, const th_watch *watch) {
    int64_t at_once = th_plan_input_desc(plan, "ids")->dim[0], size = g->tokens * g->width;
    int32_t *ids = th_plan_input(plan, "ids");
    for (int64_t i = 0; i < t->count; i += at_once) {
        if (th_stopped(watch)) return th_fail(TH_E_INTERRUPTED, "stopped");
        int64_t n = t->count - i < at_once ? t->count - i : at_once;
        TH_TRY(th_sd_encode_texts(g->sd, t->texts + i, n, ids, NULL));
        TH_TRY(th_plan_run(plan, 0, 0));
        memcpy(t->states + i * size, th_plan_output(plan, "states"), (size_t)(n * size) * sizeof *t->states);
    }
    return TH_OK;
}

static th_status encode_texts(const th_generator *g, texts *t, const th_watch *watch) {
    th_plan *plan;
    TH_TRY(plan_text(g, t->count < TEXTS_AT_ONCE ? t->count : TEXTS_AT_ONCE, &plan));
    th_status s = th_plan_allocate(plan);
    if (s == TH_OK) s = run_texts(g, t, plan, watch);
    th_plan_free(plan);
    if (s == TH_OK && g->p.release_text) th_sd_release(g->sd, TH_SD_TEXT);
    return s;
}

static void free_texts(texts *t) {
    th_map_free(t->places);
    th_free(t->texts);
    th_free(t->states);
}

static const float *states_of(const th_generator *g, const texts *t, const char *text) {
    return t->states + th_map_get(t->places, text, strlen(text), 0) * g->tokens * g->width;
}

/* --- a batch --- */

typedef struct {
    const th_generate_request *requests; /* of this batch */
    int64_t first, count;
    int64_t calls_before, calls; /* of the run: done, and in all */
    const th_watch *watch;
} batch;

/* The last batch is filled up with its last request. */
static const th_generate_request *request(const batch *b, int64_t i) {
    return &b->requests[i < b->count ? i : b->count - 1];
}

static void set_states(th_generator *g, const texts *t, const batch *b) {
    int64_t size = g->tokens * g->width;
    float *states = th_plan_input(g->unet, "states");
    for (int64_t i = 0; i < g->p.batch; i++) {
        const th_generate_request *r = request(b, i);
        float *positive = states + (g->guided ? g->p.batch + i : i) * size;
        memcpy(positive, states_of(g, t, or_empty(r->prompt)), (size_t)size * sizeof *states);
        if (g->guided) memcpy(states + i * size, states_of(g, t, or_empty(r->negative)), (size_t)size * sizeof *states);
    }
}

static void set_noise(th_generator *g, const batch *b) {
    float sigma = th_sampler_init_sigma(g->sampler);
    for (int64_t i = 0; i < g->p.batch; i++) {
        const th_generate_request *r = request(b, i);
        float *x = g->x + i * g->size;
        if (r->noise)
            memcpy(x, r->noise, (size_t)g->size * sizeof *x);
        else
            th_generate_noise(r->seed, g->size, x);
        for (int64_t k = 0; k < g->size; k++) x[k] *= sigma;
    }
}

/* What the sampler adds on its way, of each picture's own seed. */
static void draw_sampling_noise(th_generator *g, const batch *b, int64_t call) {
    for (int64_t i = 0; i < g->p.batch; i++) {
        uint64_t seed = request(b, i)->seed;
        float *z = g->noise + i * g->size;
        for (int64_t k = 0; k < g->size; k++) {
            th_rng_block r = th_philox(seed, TH_RNG_SAMPLING, (uint32_t)call, (uint64_t)k);
            z[k] = th_normal_f32(r.word[0], r.word[1]);
        }
    }
}

static double deviation(const float *v, int64_t n) {
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)v[i];
    double mean = sum / (double)n;
    for (int64_t i = 0; i < n; i++) squares += ((double)v[i] - mean) * ((double)v[i] - mean);
    return sqrt(squares / (double)n);
}

/* out = negative + guidance (positive − negative), of one picture; then brought back to the positive one's spread, by a
 * share of φ. */
static void guide(const th_generator *g, const float *negative, const float *positive, float *out) {
    for (int64_t k = 0; k < g->size; k++) out[k] = negative[k] + g->p.guidance * (positive[k] - negative[k]);
    if (g->p.rescale <= 0) return;
    double spread = deviation(out, g->size), phi = (double)g->p.rescale;
    float scale = spread > 0 ? (float)(phi * deviation(positive, g->size) / spread + 1 - phi) : 1;
    for (int64_t k = 0; k < g->size; k++) out[k] *= scale;
}

static th_status check_finite(const th_generator *g, const batch *b, int64_t call) {
    for (int64_t i = 0; i < g->p.batch * g->size; i++)
        if (!isfinite(g->output[i]))
            return th_fail(TH_E_INPUT, "picture %lld: the UNet's output is not finite at call %lld of %lld",
                           (long long)(b->first + i / g->size), (long long)call + 1,
                           (long long)th_sampler_calls(g->sampler));
    return TH_OK;
}

static th_status call_unet(th_generator *g, const batch *b, int64_t call) {
    int64_t n = g->p.batch * g->size;
    float *seen = th_plan_input(g->unet, "x");
    th_sampler_input(g->sampler, call, g->x, n, seen);
    if (g->guided) memcpy(seen + n, seen, (size_t)n * sizeof *seen);
    for (int64_t i = 0; i < rows(g); i++) g->times[i] = th_sampler_time(g->sampler, call);
    th_unet_embed_times(th_unet_get_config(g->sd->unet), g->times, rows(g), th_plan_input(g->unet, "times"));
    TH_TRY(th_plan_run(g->unet, 0, 0));
    const float *y = th_plan_output(g->unet, "y");
    for (int64_t i = 0; i < g->p.batch; i++) {
        const float *own = y + i * g->size;
        if (g->guided)
            guide(g, own, own + n, g->output + i * g->size);
        else
            memcpy(g->output + i * g->size, own, (size_t)g->size * sizeof *own);
    }
    return check_finite(g, b, call);
}

static th_status denoise(th_generator *g, const batch *b) {
    int64_t calls = th_sampler_calls(g->sampler);
    bool noisy = th_sampler_noisy(g->sampler);
    set_noise(g, b);
    for (int64_t call = 0; call < calls; call++) {
        if (th_stopped(b->watch)) return th_fail(TH_E_INTERRUPTED, "stopped");
        TH_TRY(call_unet(g, b, call));
        if (noisy) draw_sampling_noise(g, b, call);
        TH_TRY(th_sampler_step(g->sampler, call, g->output, noisy ? g->noise : NULL, g->p.batch * g->size, g->x));
        th_report(b->watch, "denoising", b->calls_before + call + 1, b->calls, NULL);
    }
    return TH_OK;
}

static th_status hand_over(th_generator *g, const batch *b, th_generated_fn done, void *user) {
    for (int64_t i = 0; i < b->count; i++) {
        const float *latents = g->x + i * g->size;
        TH_TRY(th_vae_decoder_bytes(g->decoder, latents, 1, g->image.pixels));
        th_generated picture = {.index = b->first + i, .image = &g->image, .latents = latents};
        TH_TRY(done(user, &picture));
    }
    return TH_OK;
}

/* --- a run --- */

static th_status allocate(th_generator *g) {
    size_t n = (size_t)(g->p.batch * g->size);
    if (!g->x) g->x = th_alloc(n, sizeof *g->x);
    if (!g->output) g->output = th_alloc(n, sizeof *g->output);
    if (!g->noise && th_sampler_noisy(g->sampler)) g->noise = th_alloc(n, sizeof *g->noise);
    if (!g->times) g->times = th_alloc((size_t)rows(g), sizeof *g->times);
    if (!g->x || !g->output || !g->times || (th_sampler_noisy(g->sampler) && !g->noise)) return th_fail_memory();
    TH_TRY(th_image_new(&g->image, g->p.width, g->p.height));
    return th_plan_allocate(g->unet);
}

static th_status draw(th_generator *g, const texts *t, const th_generate_request *requests, int64_t n,
                      const th_watch *watch, th_generated_fn done, void *user) {
    int64_t calls = th_sampler_calls(g->sampler), batches = (n + g->p.batch - 1) / g->p.batch;
    TH_TRY(allocate(g));
    for (int64_t i = 0; i < batches; i++) {
        int64_t first = i * g->p.batch, left = n - first;
        batch b = {.requests = requests + first,
                   .first = first,
                   .count = left < g->p.batch ? left : g->p.batch,
                   .calls_before = i * calls,
                   .calls = batches * calls,
                   .watch = watch};
        set_states(g, t, &b);
        TH_TRY(denoise(g, &b));
        TH_TRY(hand_over(g, &b, done, user));
    }
    return TH_OK;
}

th_status th_generator_run(th_generator *g, const th_generate_request *requests, int64_t n, const th_watch *watch,
                           th_generated_fn done, void *user) {
    texts t = {0};
    if (n < 1) return TH_OK;
    th_status s = gather_texts(g, &t, requests, n);
    if (s == TH_OK) s = encode_texts(g, &t, watch);
    if (s == TH_OK) s = draw(g, &t, requests, n, watch, done, user);
    free_texts(&t);
    return s;
}

/* --- what it takes --- */

th_status th_generator_get_cost(const th_generator *g, int64_t n, int64_t texts_count, th_generate_cost *out) {
    int64_t batches = (n + g->p.batch - 1) / g->p.batch,
            at_once = texts_count < TEXTS_AT_ONCE ? texts_count : TEXTS_AT_ONCE;
    th_plan *plan;
    *out = (th_generate_cost){0};
    if (n < 1 || texts_count < 1) return TH_OK;
    TH_TRY(plan_text(g, at_once, &plan));
    th_plan_get_cost(plan, &out->text);
    th_plan_free(plan);
    th_plan_get_cost(g->unet, &out->step);
    th_vae_decoder_get_cost(g->decoder, &out->decode);
    out->text_runs = (texts_count + at_once - 1) / at_once;
    out->step_runs = batches * th_sampler_calls(g->sampler);
    out->decode_runs = th_vae_decoder_runs(g->decoder, 1) * n;
    size_t states = (size_t)(texts_count * g->tokens * g->width) * sizeof(float);
    size_t before = out->text.bytes + bytes_of(th_unet_params(g->sd->unet)) + bytes_of(th_unet_lora(g->sd->unet)) +
                    bytes_of(th_vae_params(g->sd->vae));
    out->bytes = (before > out->step.bytes ? before : out->step.bytes) + states;
    return TH_OK;
}

double th_generate_seconds(const th_generate_cost *c, const th_ceilings *ceilings, int cores) {
    return (double)c->text_runs * th_ceilings_seconds(ceilings, &c->text, cores) +
           (double)c->step_runs * th_ceilings_seconds(ceilings, &c->step, cores) +
           (double)c->decode_runs * th_ceilings_seconds(ceilings, &c->decode, cores);
}
