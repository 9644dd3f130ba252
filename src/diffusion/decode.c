/* Decoding latents. */
#include "diffusion/decode.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"

#define LEAST_TILE 8 /* latents; the overlap is then two */

/* Tiles along one side: `count` of them, `tile` latents long. */
typedef struct {
    int64_t whole, tile, overlap, count;
} side;

struct th_vae_decoder {
    const th_vae *vae;
    th_vae_decoder_params p;
    th_plan *plan;
    side rows, columns;
    int64_t batch, factor, channels; /* of a run; of latents */
    float *weights;                  /* where tiled: [f · height, f · width], how much of each pixel has been added */
};

void th_vae_decoder_params_init(th_vae_decoder_params *p) { *p = (th_vae_decoder_params){.batch = 1}; }

int64_t th_vae_tile(const th_vae_config *c) {
    int64_t t = c->sample_size / th_vae_factor(c);
    return t > LEAST_TILE ? t : LEAST_TILE;
}

static side divide(int64_t whole, int64_t tile) {
    if (tile == 0 || tile >= whole) return (side){whole, whole, 0, 1};
    int64_t overlap = tile / 4, step = tile - overlap;
    return (side){whole, tile, overlap, (whole - overlap + step - 1) / step};
}

static int64_t begin(const side *s, int64_t i) { return s->count < 2 ? 0 : i * (s->whole - s->tile) / (s->count - 1); }

static bool is_tiled(const th_vae_decoder *d) { return d->rows.count > 1 || d->columns.count > 1; }

static th_status make_plan(th_vae_decoder *d, int64_t tile) {
    d->rows = divide(d->p.height, tile), d->columns = divide(d->p.width, tile);
    d->batch = is_tiled(d) ? 1 : d->p.batch;
    th_graph *g = th_graph_new();
    if (!g) return th_fail_memory();
    th_tensor *z = th_input(g, "z", TH_DESC(TH_F32, d->batch, d->rows.tile, d->columns.tile, d->channels));
    th_output(g, "pictures", th_vae_decode(g, d->vae, z));
    th_plan_params p;
    th_plan_params_init(&p);
    p.threads = d->p.threads;
    p.memory_budget = d->p.memory;
    p.other_bytes = d->p.other_bytes;
    th_status s = th_plan_new(g, &p, &d->plan);
    th_graph_free(g);
    return s;
}

/* The largest tiles, from those asked for, that fit into memory. */
static th_status find_tiles(th_vae_decoder *d) {
    th_status s = make_plan(d, d->p.tile);
    int64_t longer = d->p.height > d->p.width ? d->p.height : d->p.width;
    int64_t tile = d->p.tile && d->p.tile < longer ? d->p.tile : longer;
    while (s == TH_E_MEMORY && d->p.memory && tile > LEAST_TILE) {
        tile = tile / 2 > LEAST_TILE ? tile / 2 : LEAST_TILE;
        s = make_plan(d, tile);
    }
    return s;
}

th_status th_vae_decoder_new(const th_vae *v, const th_vae_decoder_params *p, th_vae_decoder **out) {
    if (p->height < 1 || p->width < 1 || p->batch < 1 || (p->tile && p->tile < LEAST_TILE))
        return th_fail(TH_E_USAGE, "latents of %lld by %lld in batches of %lld and tiles of %lld cannot be decoded",
                       (long long)p->height, (long long)p->width, (long long)p->batch, (long long)p->tile);
    th_vae_decoder *d = th_alloc(1, sizeof *d);
    if (!d) return th_fail_memory();
    const th_vae_config *c = th_vae_get_config(v);
    *d = (th_vae_decoder){.vae = v, .p = *p, .factor = th_vae_factor(c), .channels = c->latent_channels};
    th_status s = find_tiles(d);
    if (s != TH_OK) return th_vae_decoder_free(d), s;
    *out = d;
    return TH_OK;
}

static size_t weight_count(const th_vae_decoder *d) {
    return (size_t)(d->p.height * d->factor) * (size_t)(d->p.width * d->factor);
}

void th_vae_decoder_free(th_vae_decoder *d) {
    if (!d) return;
    th_plan_free(d->plan);
    th_free(d->weights);
    th_free(d);
}

void th_vae_decoder_get_cost(const th_vae_decoder *d, th_plan_cost *cost) { th_plan_get_cost(d->plan, cost); }

int64_t th_vae_decoder_runs(const th_vae_decoder *d, int64_t n) {
    return is_tiled(d) ? n * d->rows.count * d->columns.count : (n + d->batch - 1) / d->batch;
}

int64_t th_vae_decoder_tile(const th_vae_decoder *d) {
    if (!is_tiled(d)) return 0;
    return d->rows.tile > d->columns.tile ? d->rows.tile : d->columns.tile;
}

static void unscale(const th_vae_decoder *d, const float *from, int64_t n, float *to) {
    const th_vae_config *c = th_vae_get_config(d->vae);
    for (int64_t i = 0; i < n; i++) to[i] = from[i] / c->scaling_factor + c->shift_factor;
}

static th_status decode_whole(th_vae_decoder *d, const float *latents, int64_t n, float *pictures) {
    int64_t in = d->p.height * d->p.width * d->channels, out = d->p.height * d->p.width * d->factor * d->factor * 3;
    float *z = th_plan_input(d->plan, "z");
    for (int64_t i = 0; i < n; i += d->batch) {
        int64_t count = n - i < d->batch ? n - i : d->batch;
        unscale(d, latents + i * in, count * in, z);
        TH_TRY(th_plan_run(d->plan, 0, 0));
        memcpy(pictures + i * out, th_plan_output(d->plan, "pictures"), (size_t)(count * out) * sizeof *pictures);
    }
    return TH_OK;
}

/* How much pixel k of tile i counts: rising from each end that meets another tile. */
static float fade(const side *s, int64_t i, int64_t k, int64_t factor) {
    float length = (float)(s->overlap * factor), w = 1.0f;
    int64_t left = k, right = s->tile * factor - 1 - k;
    if (i > 0) w = fminf(w, ((float)left + 0.5f) / length);
    if (i + 1 < s->count) w = fminf(w, ((float)right + 0.5f) / length);
    return w;
}

static void add_tile(th_vae_decoder *d, int64_t i, int64_t j, const float *tile, float *picture) {
    int64_t f = d->factor, height = d->rows.tile * f, width = d->columns.tile * f, stride = d->p.width * f;
    int64_t top = begin(&d->rows, i) * f, left = begin(&d->columns, j) * f;
    for (int64_t y = 0; y < height; y++)
        for (int64_t x = 0; x < width; x++) {
            int64_t at = (top + y) * stride + left + x;
            float w = fade(&d->rows, i, y, f) * fade(&d->columns, j, x, f);
            d->weights[at] += w;
            for (int64_t c = 0; c < 3; c++) picture[3 * at + c] += w * tile[3 * (y * width + x) + c];
        }
}

static th_status decode_tile(th_vae_decoder *d, const float *latents, int64_t i, int64_t j, float *picture) {
    int64_t row = d->columns.tile * d->channels;
    const float *corner = latents + (begin(&d->rows, i) * d->p.width + begin(&d->columns, j)) * d->channels;
    float *z = th_plan_input(d->plan, "z");
    for (int64_t y = 0; y < d->rows.tile; y++) unscale(d, corner + y * d->p.width * d->channels, row, z + y * row);
    TH_TRY(th_plan_run(d->plan, 0, 0));
    add_tile(d, i, j, th_plan_output(d->plan, "pictures"), picture);
    return TH_OK;
}

static th_status decode_tiles(th_vae_decoder *d, const float *latents, float *picture) {
    size_t pixels = weight_count(d);
    if (!d->weights && !(d->weights = th_alloc(pixels, sizeof *d->weights))) return th_fail_memory();
    memset(d->weights, 0, pixels * sizeof *d->weights);
    memset(picture, 0, 3 * pixels * sizeof *picture);
    for (int64_t i = 0; i < d->rows.count; i++)
        for (int64_t j = 0; j < d->columns.count; j++) TH_TRY(decode_tile(d, latents, i, j, picture));
    for (size_t k = 0; k < 3 * pixels; k++) picture[k] /= d->weights[k / 3];
    return TH_OK;
}

th_status th_vae_decoder_run(th_vae_decoder *d, const float *latents, int64_t n, float *pictures) {
    int64_t in = d->p.height * d->p.width * d->channels, out = 3 * (int64_t)weight_count(d);
    TH_TRY(th_plan_allocate(d->plan));
    if (!is_tiled(d)) return decode_whole(d, latents, n, pictures);
    for (int64_t i = 0; i < n; i++) TH_TRY(decode_tiles(d, latents + i * in, pictures + i * out));
    return TH_OK;
}

/* [−1, 1] → 0 … 255, halves to the even number; what is not a number becomes 0. */
static uint8_t to_byte(float x) {
    float v = 0.5f * x + 0.5f;
    return (uint8_t)rintf(255.0f * (v > 0.0f ? fminf(v, 1.0f) : 0.0f));
}

th_status th_vae_decoder_bytes(th_vae_decoder *d, const float *latents, int64_t n, uint8_t *rgb) {
    size_t size = 3 * weight_count(d);
    int64_t in = d->p.height * d->p.width * d->channels;
    float *picture = th_alloc(size, sizeof *picture * (size_t)d->batch);
    if (!picture) return th_fail_memory();
    th_status s = TH_OK;
    for (int64_t i = 0; i < n && s == TH_OK; i += d->batch) {
        int64_t count = n - i < d->batch ? n - i : d->batch;
        s = th_vae_decoder_run(d, latents + i * in, count, picture);
        for (size_t k = 0; k < size * (size_t)count && s == TH_OK; k++) rgb[(size_t)i * size + k] = to_byte(picture[k]);
    }
    th_free(picture);
    return s;
}
