/* Painting a scene: the background, then each garment's shadow or string, then the garments, then light and noise. */
#include <math.h>
#include <string.h>

#include "data/scene_parts.h"

static inline int clamp(int v, int low, int high) { return v < low ? low : v > high ? high : v; }

int32_t th_scene_sin(int degrees) { return (int32_t)lround(sin(degrees * (3.14159265358979323846 / 180)) * 65536); }

/* Below this a pixel of Fashion-MNIST is background. */
enum { DARK = 8 };

/* Bits of row y that are open: dark, or outside of the picture. Bit x + 1 is column x, so a border is all around. */
static uint32_t open_bits(const uint8_t *grey, int y) {
    uint32_t bits = ~0u;
    if (y < 0 || y >= TH_GARMENT_SIDE) return bits;
    for (int x = 0; x < TH_GARMENT_SIDE; x++)
        if (grey[y * TH_GARMENT_SIDE + x] > DARK) bits &= ~(1u << (x + 1));
    return bits;
}

/* Spreads the outside from the border through open pixels, sideways and up and down, until nothing changes; what it
 * does not reach is garment, its dark inner parts included. inside: 28 rows, bit x + 1 is column x. */
static void find_inside(const uint8_t *grey, uint32_t inside[TH_GARMENT_SIDE]) {
    uint32_t open[TH_GARMENT_SIDE + 2], out[TH_GARMENT_SIDE + 2] = {0};
    for (int y = 0; y < TH_GARMENT_SIDE + 2; y++) open[y] = open_bits(grey, y - 1);
    out[0] = out[TH_GARMENT_SIDE + 1] = ~0u;
    for (bool changed = true; changed;) {
        changed = false;
        for (int k = 1; k <= 2 * TH_GARMENT_SIDE; k++) { /* once down, once up */
            int y = k <= TH_GARMENT_SIDE ? k : 2 * TH_GARMENT_SIDE + 1 - k;
            uint32_t now = out[y] | ((out[y - 1] | out[y + 1] | 1u | 1u << (TH_GARMENT_SIDE + 1)) & open[y]);
            for (uint32_t wider; (wider = (now | now << 1 | now >> 1) & open[y]) != now;) now = wider;
            changed |= now != out[y];
            out[y] = now;
        }
    }
    for (int y = 0; y < TH_GARMENT_SIDE; y++) inside[y] = ~out[y + 1];
}

static inline bool has(const uint32_t inside[TH_GARMENT_SIDE], int x, int y) {
    return y >= 0 && y < TH_GARMENT_SIDE && (inside[y] >> (x + 1) & 1);
}

static void find_box(const uint32_t inside[TH_GARMENT_SIDE], th_scene_cut *c) {
    uint32_t columns = 0;
    c->left = c->top = c->right = c->bottom = 0;
    for (int y = TH_GARMENT_SIDE - 1; y >= 0; y--) {
        if (!(inside[y] & 0x1ffffffe)) continue;
        columns |= inside[y] & 0x1ffffffe;
        c->top = y;
        if (!c->bottom) c->bottom = y + 1;
    }
    for (int x = TH_GARMENT_SIDE - 1; x >= 0; x--) {
        if (!(columns >> (x + 1) & 1)) continue;
        c->left = x;
        if (!c->right) c->right = x + 1;
    }
    if (!columns) c->right = c->bottom = 1;
}

static int isqrt(int64_t v) { return (int)sqrt((double)v); }

/* Shading is kept relative: the mean grey becomes 86 % of the colour, and the contrast is brought towards one measure,
 * so that a photographed black shirt shows its folds in red as well as a white one does. */
void th_scene_cut_out(const uint8_t *grey, th_garment garment, th_scene_cut *out) {
    uint32_t inside[TH_GARMENT_SIDE];
    /* The gaps between straps and under handles are background; a garment's dark inside is not. */
    bool gaps = garment == TH_GARMENT_SANDAL || garment == TH_GARMENT_BAG;
    find_inside(grey, inside);
    find_box(inside, out);
    int64_t n = 0, sum = 0, squares = 0;
    for (int i = 0; i < TH_GARMENT_SIDE * TH_GARMENT_SIDE; i++) {
        if (grey[i] <= DARK) continue;
        n++, sum += grey[i], squares += grey[i] * grey[i];
    }
    int mean = n ? (int)(sum / n) : 1;
    int deviation = n ? isqrt(squares / n - (sum / n) * (sum / n)) : 1;
    int contrast = clamp(256 * 44 / (deviation + 1), 110, 480); /* in 1/256 */
    memset(out->texel, 0, sizeof out->texel);
    for (int y = 0; y < TH_GARMENT_SIDE; y++)
        for (int x = 0; x < TH_GARMENT_SIDE; x++) {
            if (!has(inside, x, y)) continue;
            int g = grey[y * TH_GARMENT_SIDE + x], alpha = 255;
            bool edge =
                !has(inside, x - 1, y) || !has(inside, x + 1, y) || !has(inside, x, y - 1) || !has(inside, x, y + 1);
            /* At an edge the photograph has mixed the garment with black: take the mixture as its coverage, and keep
             * some of the darkness as an outline, which looks the same whatever the colours on both sides are. */
            if (edge || (gaps && g < mean / 3)) alpha = clamp(g * 500 / mean, 0, 255);
            if (edge && g < mean) g = (g + 3 * mean) / 4;
            int shade = clamp(214 + (g - mean) * contrast / 256, 95, 300);
            if (edge) shade = shade * 5 / 9;
            uint16_t *t = out->texel[(y + 2) * TH_CUT_STRIDE + x + 2];
            t[0] = (uint16_t)alpha;
            t[1] = (uint16_t)(alpha * shade / 255);
        }
}

typedef struct {
    int alpha, shaded; /* 0…255, 0…~285 */
} sample;

/* Bilinear at (u, v) in 1/65536 texels, where 0 is the middle of the first texel of the 28 × 28. */
static inline sample sample_at(const th_scene_cut *c, int64_t u, int64_t v) {
    int64_t i = u >> 16, j = v >> 16;
    if (i < -1 || i > TH_GARMENT_SIDE - 1 || j < -1 || j > TH_GARMENT_SIDE - 1) return (sample){0, 0};
    uint32_t fx = (uint32_t)(u >> 8 & 255), fy = (uint32_t)(v >> 8 & 255);
    const uint16_t(*t)[2] = &c->texel[(j + 2) * TH_CUT_STRIDE + i + 2];
    uint32_t w00 = (256 - fx) * (256 - fy), w10 = fx * (256 - fy), w01 = (256 - fx) * fy, w11 = fx * fy;
    uint32_t a = w00 * t[0][0] + w10 * t[1][0] + w01 * t[TH_CUT_STRIDE][0] + w11 * t[TH_CUT_STRIDE + 1][0];
    uint32_t p = w00 * t[0][1] + w10 * t[1][1] + w01 * t[TH_CUT_STRIDE][1] + w11 * t[TH_CUT_STRIDE + 1][1];
    return (sample){(int)(a >> 16), (int)(p >> 16)};
}

/* How much of the second colour a place of the garment has, 0…256. (along, down): q8 pixels on the garment's own axes,
 * so that stripes turn with it but keep their width in pixels, which would else be lost on small scenes. */
static int pattern_at(const th_scene_sprite *s, int side, int32_t along, int32_t down) {
    if (s->pattern == TH_PATTERN_STRIPED) {
        int32_t period = clamp(side * 256 / 9, 4 * 256, 32 * 256);
        int32_t at = (s->across ? along : down) + s->phase_y;
        at = ((at % period) + period) % period;
        int32_t from_middle = at > period / 2 ? period - at : at;
        return clamp(128 + period * 3 / 16 - from_middle, 0, 256); /* 3/8 of the period */
    }
    int32_t period = clamp(side * 256 / 7, 5 * 256, 40 * 256), radius = period * 3 / 10;
    int32_t dx = (along + s->phase_x) % period, dy = (down + s->phase_y) % period;
    dx = (dx + period) % period - period / 2, dy = (dy + period) % period - period / 2;
    /* r² − d² over 2r is the distance to the rim where it is small. */
    return clamp(128 + (radius * radius - dx * dx - dy * dy) / (2 * radius), 0, 256);
}

/* second/256 of the way from a to b. */
static th_rgb8 between(th_rgb8 a, th_rgb8 b, int second) {
    int first = 256 - second;
    return (th_rgb8){(uint8_t)((a.red * first + b.red * second) >> 8),
                     (uint8_t)((a.green * first + b.green * second) >> 8),
                     (uint8_t)((a.blue * first + b.blue * second) >> 8)};
}

static inline uint8_t mix(int under, int alpha, int colour, int shaded) {
    return (uint8_t)clamp((under * (255 - alpha) + colour * shaded + 127) / 255, 0, 255);
}

/* Where a garment's pixels come from: how far a pixel to the right and one down move on the cut-out, in 1/65536 texels.
 */
typedef struct {
    int64_t right_u, right_v, down_u, down_v;
} steps;

static steps steps_of(const th_scene_sprite *s) {
    int width = s->cut.right - s->cut.left, height = s->cut.bottom - s->cut.top;
    int64_t texels = ((int64_t)(width > height ? width : height) << 24) / s->side; /* a pixel, in 1/65536 */
    int64_t cosine = th_scene_sin(s->degrees + 90) * texels >> 16, sine = th_scene_sin(s->degrees) * texels >> 16;
    if (s->mirrored) return (steps){-cosine, -sine, -sine, cosine};
    return (steps){cosine, -sine, sine, cosine};
}

/* The mean of four samples a quarter pixel off the middle: shrunk, a pixel is more than a texel. */
static inline sample sample_four(const th_scene_cut *c, const steps *t, int64_t u, int64_t v) {
    sample sum = {0, 0};
    for (int k = 0; k < 4; k++) {
        int x = k & 1 ? 1 : -1, y = k & 2 ? 1 : -1;
        sample one = sample_at(c, u + (x * t->right_u + y * t->down_u) / 4, v + (x * t->right_v + y * t->down_v) / 4);
        sum.alpha += one.alpha, sum.shaded += one.shaded;
    }
    return (sample){sum.alpha / 4, sum.shaded / 4};
}

static void paint_garment(const th_scene_sprite *s, int side, uint8_t *rgb) {
    const th_scene_cut *c = &s->cut;
    steps t = steps_of(s);
    bool shrunk = t.right_u * t.right_u + t.right_v * t.right_v > (int64_t)78000 * 78000; /* by more than 1.19 */
    int32_t cosine = th_scene_sin(s->degrees + 90), sine = th_scene_sin(s->degrees);
    int x0 = clamp((s->x - s->half_width) / 256 - 1, 0, side), x1 = clamp((s->x + s->half_width) / 256 + 2, 0, side);
    int y0 = clamp((s->y - s->half_height) / 256 - 1, 0, side), y1 = clamp((s->y + s->half_height) / 256 + 2, 0, side);
    /* The middle of the box, from where texels are counted: at their middles, in 1/65536. */
    int64_t middle_u = ((int64_t)(c->left + c->right) << 15) - 32768;
    int64_t middle_v = ((int64_t)(c->top + c->bottom) << 15) - 32768;
    for (int y = y0; y < y1; y++) {
        int32_t dx = x0 * 256 + 128 - s->x, dy = y * 256 + 128 - s->y;
        int64_t u = middle_u + (dx * t.right_u + dy * t.down_u) / 256;
        int64_t v = middle_v + (dx * t.right_v + dy * t.down_v) / 256;
        uint8_t *p = rgb + 3 * (y * side + x0);
        for (int x = x0; x < x1; x++, p += 3, dx += 256, u += t.right_u, v += t.right_v) {
            sample one = shrunk ? sample_four(c, &t, u, v) : sample_at(c, u, v);
            if (!one.alpha) continue;
            th_rgb8 colour = s->colour;
            if (s->pattern != TH_PATTERN_NONE) {
                int64_t along = (int64_t)cosine * dx + (int64_t)sine * dy,
                        down = (int64_t)cosine * dy - (int64_t)sine * dx;
                colour =
                    between(s->colour, s->second, pattern_at(s, side, (int32_t)(along >> 16), (int32_t)(down >> 16)));
            }
            p[0] = mix(p[0], one.alpha, colour.red, one.shaded);
            p[1] = mix(p[1], one.alpha, colour.green, one.shaded);
            p[2] = mix(p[2], one.alpha, colour.blue, one.shaded);
        }
    }
}

/* A soft flat shadow about (x, y), all in q8. */
static void paint_shadow(int32_t x, int32_t y, int32_t half_width, int32_t half_height, int strength, int side,
                         uint8_t *rgb) {
    int x0 = clamp((x - half_width) / 256, 0, side), x1 = clamp((x + half_width) / 256 + 1, 0, side);
    int y0 = clamp((y - half_height) / 256, 0, side), y1 = clamp((y + half_height) / 256 + 1, 0, side);
    for (int j = y0; j < y1; j++)
        for (int i = x0; i < x1; i++) {
            int64_t dx = ((int64_t)(i * 256 + 128 - x) * 256) / half_width;
            int64_t dy = ((int64_t)(j * 256 + 128 - y) * 256) / half_height;
            int cover = clamp((int)(65536 - dx * dx - dy * dy) / 128, 0, 256);
            for (int k = 0; k < 3; k++) {
                uint8_t *p = rgb + 3 * (j * side + i) + k;
                *p = (uint8_t)(*p - ((*p * strength * cover) >> 16));
            }
        }
}

/* A line one pixel wide, at 48 pixels a side, from (x0, y0) to (x1, y1) in q8. */
static void paint_line(int32_t x0, int32_t y0, int32_t x1, int32_t y1, int grey, int side, uint8_t *rgb) {
    int64_t ax = x1 - x0, ay = y1 - y0, length = isqrt(ax * ax + ay * ay) + 1;
    int32_t half = clamp(side * 256 / 96, 128, 1024);
    int left = (x0 < x1 ? x0 : x1) / 256 - 2, right = (x0 < x1 ? x1 : x0) / 256 + 3;
    for (int j = clamp(y0 / 256, 0, side); j < clamp(y1 / 256 + 1, 0, side); j++)
        for (int i = clamp(left, 0, side); i < clamp(right, 0, side); i++) {
            int64_t dx = i * 256 + 128 - x0, dy = j * 256 + 128 - y0;
            int64_t off = (dx * ay - dy * ax) / length;
            int cover = clamp((int)(half + 128 - (off < 0 ? -off : off)), 0, 256);
            for (int k = 0; k < 3; k++) {
                uint8_t *p = rgb + 3 * (j * side + i) + k;
                *p = (uint8_t)((*p * (256 - cover) + grey * cover) >> 8);
            }
        }
}

/* What makes a pose visible beside the garment itself. */
static void paint_pose(const th_scene_drawing *d, const th_scene_sprite *s, uint8_t *rgb) {
    int32_t bottom = s->y + s->half_height, thin = d->side * 256 / 20;
    if (s->pose == TH_POSE_STANDS)
        paint_shadow(s->x, bottom - thin / 4, s->half_width * 9 / 8, thin, 170, d->side, rgb);
    if (s->pose == TH_POSE_FLOATS)
        paint_shadow(s->x, bottom + d->side * 256 / 11, s->half_width * 3 / 4, thin * 7 / 8, 150, d->side, rgb);
    if (s->pose == TH_POSE_HANGS) {
        int grey = d->base.green < 60 ? 210 : 30;
        int32_t top = s->y - s->half_height, hook = top - d->side * 256 / 24, reach = s->half_width / 2;
        paint_line(s->x, 0, s->x, hook, grey, d->side, rgb);
        paint_line(s->x, hook, s->x - reach, top + d->side * 256 / 24, grey, d->side, rgb);
        paint_line(s->x, hook, s->x + reach, top + d->side * 256 / 24, grey, d->side, rgb);
    }
}

static void put(uint8_t *p, int red, int green, int blue) {
    p[0] = (uint8_t)clamp(red, 0, 255), p[1] = (uint8_t)clamp(green, 0, 255), p[2] = (uint8_t)clamp(blue, 0, 255);
}

static void paint_plain(const th_scene_drawing *d, uint8_t *rgb) {
    for (int i = 0; i < d->side * d->side; i++) put(rgb + 3 * i, d->base.red, d->base.green, d->base.blue);
}

/* Stripes of the colour and of a lighter one, or a darker one where it is light itself. */
static void paint_stripes(const th_scene_drawing *d, th_rng *r, uint8_t *rgb) {
    int light = d->base.red + d->base.green + d->base.blue > 480 ? 0 : 255;
    int period = clamp(d->side * 256 / 6, 5 * 256, 64 * 256), phase = (int)th_rng_below(r, (uint32_t)period);
    for (int y = 0; y < d->side; y++)
        for (int x = 0; x < d->side; x++) {
            int at = d->direction == 0 ? y * 256 : d->direction == 1 ? x * 256 : (x + y) * 181; /* 256 / √2 */
            at = (at + phase) % period;
            int from_middle = at > period / 2 ? period - at : at;
            int cover = clamp(128 + period / 4 - from_middle, 0, 256) * 90 >> 8; /* up to 90/256 of the way */
            put(rgb + 3 * (y * d->side + x), d->base.red + ((light - d->base.red) * cover >> 8),
                d->base.green + ((light - d->base.green) * cover >> 8),
                d->base.blue + ((light - d->base.blue) * cover >> 8));
        }
}

/* A number that stays the same over a plank, brick or blade: 0…255 from its place. */
static inline int speck(uint32_t salt, int x, int y) {
    uint32_t h = salt ^ (uint32_t)x * 0x9E3779B1u ^ (uint32_t)y * 0x85EBCA77u;
    h = (h ^ h >> 15) * 0x2C1B3C6Du;
    return (int)(h >> 24);
}

static void paint_wood(const th_scene_drawing *d, th_rng *r, uint8_t *rgb) {
    uint32_t salt = th_rng_u32(r);
    int plank = clamp(d->side / 6, 4, 64), length = d->side * 2 / 3, thick = clamp(d->side / 48, 1, 4);
    for (int y = 0; y < d->side; y++)
        for (int x = 0; x < d->side; x++) {
            int row = y / plank, along = x + speck(salt, row, 77) * length / 256, board = along / length;
            int tone = (speck(salt, board, row) - 128) / 6 + (speck(salt, x / (2 * plank), y * 31) - 128) / 14;
            bool seam = y % plank < thick || along % length < thick;
            if (seam) tone = -75;
            put(rgb + 3 * (y * d->side + x), 178 + tone, 124 + tone * 4 / 5, 74 + tone * 3 / 5);
        }
}

static void paint_brick(const th_scene_drawing *d, th_rng *r, uint8_t *rgb) {
    uint32_t salt = th_rng_u32(r);
    int height = clamp(d->side / 8, 4, 64), width = 2 * height, thick = clamp(d->side / 40, 1, 6);
    for (int y = 0; y < d->side; y++)
        for (int x = 0; x < d->side; x++) {
            int row = y / height, along = x + (row & 1) * height, tone = (speck(salt, along / width, row) - 128) / 6;
            if (y % height < thick || along % width < thick)
                put(rgb + 3 * (y * d->side + x), 205, 196, 186);
            else
                put(rgb + 3 * (y * d->side + x), 160 + tone, 72 + tone / 2, 56 + tone / 2);
        }
}

static void paint_grass(const th_scene_drawing *d, th_rng *r, uint8_t *rgb) {
    uint32_t salt = th_rng_u32(r);
    int blade = clamp(d->side / 10, 3, 24), width = clamp(d->side / 48, 1, 6);
    for (int y = 0; y < d->side; y++)
        for (int x = 0; x < d->side; x++) {
            int shift = speck(salt, x / width, 9), tone = speck(salt, x / width, (y + shift % blade) / blade) - 128;
            put(rgb + 3 * (y * d->side + x), 84 + tone / 5, 144 + tone / 4, 54 + tone / 6);
        }
}

static void paint_tiles(const th_scene_drawing *d, th_rng *r, uint8_t *rgb) {
    uint32_t salt = th_rng_u32(r);
    int tile = clamp(d->side / 5, 6, 64), thick = clamp(d->side / 40, 1, 6);
    for (int y = 0; y < d->side; y++)
        for (int x = 0; x < d->side; x++) {
            bool dark = (x / tile + y / tile) & 1;
            int tone = (speck(salt, x / tile, y / tile) - 128) / 16 - (dark ? 22 : 0);
            if (x % tile < thick || y % tile < thick) tone = -62;
            put(rgb + 3 * (y * d->side + x), 200 + tone, 216 + tone, 222 + tone);
        }
}

static void paint_background(const th_scene_drawing *d, th_rng *r, uint8_t *rgb) {
    switch (d->background) {
    case TH_BACKGROUND_STRIPED: paint_stripes(d, r, rgb); break;
    case TH_BACKGROUND_WOOD: paint_wood(d, r, rgb); break;
    case TH_BACKGROUND_BRICK: paint_brick(d, r, rgb); break;
    case TH_BACKGROUND_GRASS: paint_grass(d, r, rgb); break;
    case TH_BACKGROUND_TILES: paint_tiles(d, r, rgb); break;
    default: paint_plain(d, rgb); break;
    }
}

/* Light falls off to one side, and every pixel is off by a little: the sum of two 4-bit numbers, whose standard
 * deviation is 6.5, one byte of random numbers a pixel. */
static void paint_light(const th_scene_drawing *d, th_rng *r, uint8_t *rgb) {
    int side = d->side, i = 0, noise[31];
    uint32_t word = 0;
    for (int k = 0; k < 31; k++) noise[k] = (k - 15) * d->noise / 104;
    for (int y = 0; y < side; y++)
        for (int x = 0; x < side; x++, i++, rgb += 3) {
            if (i % 4 == 0) word = th_rng_u32(r);
            int off = noise[(word & 15) + (word >> 4 & 15)];
            word >>= 8;
            int light = d->gain + (d->slope_x * (2 * x - side) + d->slope_y * (2 * y - side)) / side;
            for (int k = 0; k < 3; k++) rgb[k] = (uint8_t)clamp((rgb[k] * light >> 8) + off, 0, 255);
        }
}

void th_scene_paint(const th_scene_drawing *d, th_rng r, uint8_t *rgb) {
    paint_background(d, &r, rgb);
    for (int i = 0; i < d->count; i++) paint_pose(d, &d->sprites[i], rgb);
    for (int i = 0; i < d->count; i++) paint_garment(&d->sprites[i], d->side, rgb);
    paint_light(d, &r, rgb);
}
