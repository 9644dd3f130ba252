/* What a fashion scene shows: reading the garments, and deciding layout, colours, poses and background from the random
 * numbers. scene_paint.c paints what is decided here, scene_captions.c tells it. */
#include "data/scenes.h"

#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "data/scene_parts.h"
#include "format/idx.h"

enum {
    PIXELS = TH_GARMENT_SIDE * TH_GARMENT_SIDE,
    TRAIN_IMAGES = 60000,
    TEST_IMAGES = 10000,
    VALIDATION_IMAGES = 5000
};

struct th_scenes {
    th_scenes_params p;
    uint8_t *grey;  /* [count, 28, 28] */
    uint8_t *label; /* [count] */
    int64_t count;
    int first;                                 /* of the split in its file */
    int32_t *of_class;                         /* [count], the images of class 0, then of class 1, … */
    int64_t class_first[TH_GARMENT_COUNT + 1]; /* where each begins there */
};

void th_scenes_params_init(th_scenes_params *p) {
    *p = (th_scenes_params){
        .side = 48,
        .garments_min = 1,
        .garments_max = TH_SCENE_GARMENTS_MAX,
        .garment = -1,
        .subject = -1,
        .noun_first = 0.6f,
        .noun_last = 0.15f,
        .noun_until = 0.3f,
    };
}

static th_status check(const th_scenes_params *p) {
    if (p->side < TH_SCENE_SIDE_MIN || p->side > TH_SCENE_SIDE_MAX)
        return th_fail(TH_E_USAGE, "fashion scenes: the side is %d pixels, it must be %d to %d", p->side,
                       TH_SCENE_SIDE_MIN, TH_SCENE_SIDE_MAX);
    if (p->garments_min < 0 || p->garments_max > TH_SCENE_GARMENTS_MAX || p->garments_min > p->garments_max)
        return th_fail(TH_E_USAGE, "fashion scenes: %d to %d garments, it must be 0 to %d", p->garments_min,
                       p->garments_max, TH_SCENE_GARMENTS_MAX);
    if (p->split != TH_SCENE_TRAIN && p->split != TH_SCENE_VALIDATION && p->split != TH_SCENE_TEST)
        return th_fail(TH_E_USAGE, "fashion scenes: there is no split %d", (int)p->split);
    if (p->garment < -1 || p->garment >= TH_GARMENT_COUNT || p->subject < -1)
        return th_fail(TH_E_USAGE, "fashion scenes: class %d, subject %lld, there are none", p->garment,
                       (long long)p->subject);
    if (p->one_garment_each && (p->garment >= 0 || p->subject >= 0))
        return th_fail(TH_E_USAGE, "fashion scenes: single takes all garments in turn, so no class or subject");
    if (!(p->noun_first >= 0 && p->noun_first <= 1 && p->noun_last >= 0 && p->noun_last <= 1))
        return th_fail(TH_E_USAGE, "fashion scenes: the share of noun captions must be between 0 and 1");
    return TH_OK;
}

/* Reads one IDX file of unsigned bytes with this many dimensions out of the folder. */
static th_status read_idx(const char *dir, const char *name, int dimensions, th_idx *out) {
    char path[TH_PATH_MAX];
    TH_TRY(th_path_join(path, dir, name));
    if (!th_path_exists(path))
        return th_fail(TH_E_IO,
                       "%s: no such file; install Debian's package dataset-fashion-mnist "
                       "(apt install dataset-fashion-mnist), or name the folder that holds Fashion-MNIST's four files",
                       path);
    TH_TRY(th_idx_read(path, out));
    if (out->type == TH_IDX_U8 && out->dimensions == dimensions &&
        (dimensions == 1 || (out->shape[1] == TH_GARMENT_SIDE && out->shape[2] == TH_GARMENT_SIDE)))
        return TH_OK;
    th_idx_free(out);
    return th_fail(TH_E_INPUT, "%s: not Fashion-MNIST's %s", path, dimensions == 1 ? "labels" : "28 × 28 pictures");
}

/* Copies the split's part, so that the rest of the file is not kept. */
static th_status take_split(th_scenes *s, const char *dir, const th_idx *images, const th_idx *labels) {
    int64_t all = images->shape[0];
    if (labels->shape[0] != all)
        return th_fail(TH_E_INPUT, "%s: %lld pictures, but %lld labels", dir, (long long)all,
                       (long long)labels->shape[0]);
    int64_t least = s->p.split == TH_SCENE_TEST ? 0 : VALIDATION_IMAGES;
    if (all > INT32_MAX || all <= least)
        return th_fail(TH_E_INPUT, "%s: %lld pictures in the file, it must be more than %lld", dir, (long long)all,
                       (long long)least);
    if (s->p.split == TH_SCENE_VALIDATION) s->first = (int)all - VALIDATION_IMAGES;
    s->count = s->p.split == TH_SCENE_TRAIN ? all - VALIDATION_IMAGES : all - s->first;
    s->grey = th_alloc((size_t)s->count, PIXELS);
    s->label = th_alloc((size_t)s->count, 1);
    s->of_class = th_alloc((size_t)s->count, sizeof *s->of_class);
    if (!s->grey || !s->label || !s->of_class) return th_fail_memory();
    memcpy(s->grey, (const uint8_t *)images->data + (int64_t)s->first * PIXELS, (size_t)s->count * PIXELS);
    memcpy(s->label, (const uint8_t *)labels->data + s->first, (size_t)s->count);
    return TH_OK;
}

static th_status sort_by_class(th_scenes *s, const char *dir) {
    int64_t filled = 0;
    for (int c = 0; c < TH_GARMENT_COUNT; c++) {
        s->class_first[c] = filled;
        for (int64_t i = 0; i < s->count; i++)
            if (s->label[i] == c) s->of_class[filled++] = (int32_t)i;
        if (filled == s->class_first[c]) return th_fail(TH_E_INPUT, "%s: no garment has label %d", dir, c);
    }
    s->class_first[TH_GARMENT_COUNT] = filled;
    if (filled != s->count) return th_fail(TH_E_INPUT, "%s: a label is above 9", dir);
    return TH_OK;
}

static th_status load(th_scenes *s, const char *dir) {
    bool test = s->p.split == TH_SCENE_TEST;
    th_idx images, labels;
    TH_TRY(read_idx(dir, test ? "t10k-images-idx3-ubyte.gz" : "train-images-idx3-ubyte.gz", 3, &images));
    th_status status = read_idx(dir, test ? "t10k-labels-idx1-ubyte.gz" : "train-labels-idx1-ubyte.gz", 1, &labels);
    if (status == TH_OK) {
        status = take_split(s, dir, &images, &labels);
        th_idx_free(&labels);
    }
    th_idx_free(&images);
    return status == TH_OK ? sort_by_class(s, dir) : status;
}

th_status th_scenes_open(const th_scenes_params *p, th_scenes **out) {
    *out = NULL;
    TH_TRY(check(p));
    th_scenes *s = th_alloc(1, sizeof *s);
    if (!s) return th_fail_memory();
    s->p = *p;
    s->p.data_dir = NULL; /* the caller's string may go */
    th_status status = load(s, p->data_dir ? p->data_dir : TH_SCENE_DATA_DIR);
    if (status != TH_OK) {
        th_scenes_close(s);
        return status;
    }
    *out = s;
    return TH_OK;
}

void th_scenes_close(th_scenes *s) {
    if (!s) return;
    th_free(s->grey);
    th_free(s->label);
    th_free(s->of_class);
    th_free(s);
}

int64_t th_scenes_garment_count(const th_scenes *s) { return s->count; }
int th_scenes_side(const th_scenes *s) { return s->p.side; }

float th_scenes_noun_share(const th_scenes *s, float progress) {
    if (!(progress < s->p.noun_until)) return s->p.noun_last;
    return s->p.noun_first + (s->p.noun_last - s->p.noun_first) * (progress > 0 ? progress : 0) / s->p.noun_until;
}

/* What keeps the random numbers of splits, of the two ways to draw, of captions (use 1 + variant) and of subjects
 * apart.
 */
enum { SUBJECTS = 0x0fffffff };
static uint32_t stream(const th_scenes *s, uint32_t use) {
    return (uint32_t)s->p.split | (uint32_t)s->p.one_garment_each << 2 | use << 3;
}

#define ONE(colour) (1u << TH_COLOUR_##colour)

static const th_rgb8 garment_colours[TH_COLOUR_COUNT] = {
    [TH_COLOUR_RED] = {218, 30, 36},     [TH_COLOUR_ORANGE] = {250, 130, 20}, [TH_COLOUR_YELLOW] = {252, 224, 40},
    [TH_COLOUR_GREEN] = {34, 150, 56},   [TH_COLOUR_BLUE] = {36, 82, 220},    [TH_COLOUR_PURPLE] = {132, 46, 176},
    [TH_COLOUR_PINK] = {250, 130, 190},  [TH_COLOUR_BROWN] = {122, 72, 38},   [TH_COLOUR_BLACK] = {44, 44, 50},
    [TH_COLOUR_WHITE] = {252, 252, 252}, [TH_COLOUR_GREY] = {128, 128, 128},
};

/* A plain or striped background: its colour, and the garments' colours that would be lost on it. */
typedef struct {
    th_colour colour;
    th_rgb8 rgb;
    uint32_t avoid;
} plain_background;
static const plain_background plain_backgrounds[] = {
    {TH_COLOUR_GREY, {128, 128, 130}, 0},
    {TH_COLOUR_WHITE, {242, 242, 242}, ONE(WHITE)},
    {TH_COLOUR_BLACK, {22, 22, 24}, ONE(BLACK) | ONE(BROWN)},
    {TH_COLOUR_PINK, {240, 170, 204}, ONE(PINK)},
    {TH_COLOUR_GREEN, {92, 172, 104}, ONE(GREEN)},
    {TH_COLOUR_BLUE, {94, 140, 222}, ONE(BLUE)},
    {TH_COLOUR_YELLOW, {240, 222, 116}, ONE(YELLOW)},
    {TH_COLOUR_PURPLE, {164, 122, 206}, ONE(PURPLE)},
};
enum { PLAIN_COUNT = sizeof plain_backgrounds / sizeof plain_backgrounds[0] };

/* The same for backgrounds without a colour's name; base says whether a string before it is dark or light. */
typedef struct {
    int weight; /* of 100 */
    th_rgb8 base;
    uint32_t avoid;
} background_kind;
static const background_kind background_kinds[TH_BACKGROUND_COUNT] = {
    [TH_BACKGROUND_PLAIN] = {66, {0, 0, 0}, 0},
    [TH_BACKGROUND_STRIPED] = {10, {0, 0, 0}, 0},
    [TH_BACKGROUND_WOOD] = {6, {178, 124, 74}, ONE(BROWN) | ONE(ORANGE)},
    [TH_BACKGROUND_BRICK] = {6, {160, 72, 56}, ONE(RED) | ONE(BROWN) | ONE(ORANGE)},
    [TH_BACKGROUND_GRASS] = {6, {78, 138, 48}, ONE(GREEN)},
    [TH_BACKGROUND_TILES] = {6, {190, 206, 212}, ONE(WHITE)},
};

static th_rgb8 vary(th_rng *r, th_rgb8 c) {
    int by[3] = {th_scene_draw(r, -8, 8), th_scene_draw(r, -8, 8), th_scene_draw(r, -8, 8)};
    int v[3] = {c.red + by[0], c.green + by[1], c.blue + by[2]};
    for (int k = 0; k < 3; k++) v[k] = v[k] < 0 ? 0 : v[k] > 255 ? 255 : v[k];
    return (th_rgb8){(uint8_t)v[0], (uint8_t)v[1], (uint8_t)v[2]};
}

/* Chooses the background; returns the set of colours that garments on it may have. */
static uint32_t choose_background(th_rng *r, th_scene_drawing *d, th_scene_info *info) {
    int at = (int)th_rng_below(r, 100), kind = 0;
    while (at >= background_kinds[kind].weight) at -= background_kinds[kind++].weight;
    const plain_background *plain = &plain_backgrounds[th_rng_below(r, PLAIN_COUNT)];
    bool coloured = kind == TH_BACKGROUND_PLAIN || kind == TH_BACKGROUND_STRIPED;
    d->background = info->background = (th_background)kind;
    d->base = vary(r, coloured ? plain->rgb : background_kinds[kind].base);
    d->direction = th_scene_draw(r, 0, 2);
    info->background_colour = coloured                      ? plain->colour
                              : kind == TH_BACKGROUND_GRASS ? TH_COLOUR_GREEN
                                                            : TH_COLOUR_COUNT;
    return ~(coloured ? plain->avoid : background_kinds[kind].avoid) & ~ONE(GREY) & ((1u << TH_COLOUR_COUNT) - 1);
}

static th_colour choose_colour(th_rng *r, uint32_t allowed) {
    int k = (int)th_rng_below(r, (uint32_t)__builtin_popcount(allowed)), c = 0;
    for (;; c++)
        if (allowed >> c & 1 && k-- == 0) return (th_colour)c;
}

static void choose_garment(const th_scenes *s, th_rng *r, uint32_t colours, th_scene_garment *g) {
    int c = s->p.garment < 0 ? (int)th_rng_below(r, TH_GARMENT_COUNT) : s->p.garment;
    int64_t n = s->class_first[c + 1] - s->class_first[c];
    g->image = s->of_class[s->class_first[c] + (int64_t)th_rng_below(r, (uint32_t)n)];
    g->garment = (th_garment)c;
    g->colour = choose_colour(r, colours);
    g->mirrored = th_scene_chance(r, 50);
}

/* What stays of a subject from scene to scene, in *g and *look. Its numbers are its own: neither the seed of the scenes
 * nor their index enters. */
static void find_subject(const th_scenes *s, th_scene_garment *g, th_scene_sprite *look) {
    th_rng r = th_rng_at(0, TH_RNG_SCENE, stream(s, SUBJECTS), (uint64_t)s->p.subject);
    uint32_t all = (1u << TH_COLOUR_COUNT) - 1;
    choose_garment(s, &r, all & ~ONE(GREY), g);
    th_colour second = choose_colour(&r, all & ~ONE(GREY) & ~(1u << g->colour));
    g->pattern = th_scene_chance(&r, 50) ? TH_PATTERN_STRIPED : TH_PATTERN_DOTTED;
    look->colour = garment_colours[g->colour], look->second = garment_colours[second];
    look->pattern = g->pattern;
    look->across = th_scene_chance(&r, 50);
    look->phase_x = th_scene_draw(&r, 0, 4095), look->phase_y = th_scene_draw(&r, 0, 4095);
}

/* Makes b another garment of a's class and colour, so that "two black bags" is true. */
static void choose_twin(const th_scenes *s, th_rng *r, const th_scene_garment *a, th_scene_garment *b) {
    int64_t n = s->class_first[a->garment + 1] - s->class_first[a->garment];
    *b = *a;
    b->image = s->of_class[s->class_first[a->garment] + (int64_t)th_rng_below(r, (uint32_t)n)];
}

static bool twins(const th_scene_garment *a, const th_scene_garment *b) {
    return a->garment == b->garment && a->colour == b->colour;
}

static void choose_garments(const th_scenes *s, th_rng *r, uint32_t colours, th_scene_info *info) {
    th_scene_garment *g = info->garments;
    for (int i = 0; i < info->count; i++) choose_garment(s, r, colours, &g[i]);
    if (info->count > 1 && th_scene_chance(r, 18)) choose_twin(s, r, &g[0], &g[1]);
    if (info->count > 2 && twins(&g[0], &g[1]) && th_scene_chance(r, 40)) choose_twin(s, r, &g[0], &g[2]);
    if (s->p.one_garment_each) {
        g[0].image = (int)(info->index % (uint64_t)s->count);
        g[0].garment = (th_garment)s->label[g[0].image];
    }
}

/* In percent of the scene's side, by how many garments share it. The ranges of the three sizes are apart, so that their
 * words can be learnt. */
static int draw_size(th_rng *r, th_garment_size size, int count) {
    static const int low[3][3] = {{36, 56, 74}, {33, 47, 72}, {33, 44, 72}};
    static const int high[3][3] = {{42, 66, 90}, {41, 58, 82}, {40, 49, 72}};
    return th_scene_draw(r, low[count - 1][size], high[count - 1][size]);
}

static th_garment_size choose_size(th_rng *r, int count) {
    static const int small_percent[] = {10, 30, 45}, large_percent[] = {45, 20, 0};
    int at = (int)th_rng_below(r, 100);
    if (at < small_percent[count - 1]) return TH_SIZE_SMALL;
    return at < small_percent[count - 1] + large_percent[count - 1] ? TH_SIZE_LARGE : TH_SIZE_MEDIUM;
}

/* Shoes do not hang and clothes do not stand. A string needs a free way up, so only the upper row hangs; a shadow is
 * not seen on black. */
static th_pose choose_pose(th_rng *r, th_garment garment, int row, bool dark, int count) {
    bool shoe = garment == TH_GARMENT_SANDAL || garment == TH_GARMENT_SNEAKER || garment == TH_GARMENT_BOOT;
    bool hangs = !shoe && row == 0, stands = (shoe || garment == TH_GARMENT_BAG) && !dark, floats = !dark && count < 3;
    int at = (int)th_rng_below(r, 100);
    if (at < 12) return TH_POSE_LIES;
    if (at < 32 && hangs) return TH_POSE_HANGS;
    if (at < 32 && stands) return TH_POSE_STANDS;
    if (at < 48 && floats) return TH_POSE_FLOATS;
    return TH_POSE_NONE;
}

static int choose_degrees(th_rng *r, th_pose pose) {
    static const int most[TH_POSE_COUNT] = {
        [TH_POSE_NONE] = 5, [TH_POSE_HANGS] = 5, [TH_POSE_STANDS] = 2, [TH_POSE_FLOATS] = 10};
    if (pose != TH_POSE_LIES) return th_scene_draw(r, -most[pose], most[pose]);
    int degrees = th_scene_draw(r, 78, 102);
    return th_scene_chance(r, 50) ? degrees : -degrees;
}

static th_pattern choose_pattern(th_rng *r, th_garment_size size) {
    bool patterned = th_scene_chance(r, 14) && size != TH_SIZE_SMALL, dotted = th_scene_chance(r, 45);
    return !patterned ? TH_PATTERN_NONE : dotted ? TH_PATTERN_DOTTED : TH_PATTERN_STRIPED;
}

/* One garment's room, q8: what its box and the marks of its pose take up. */
typedef struct {
    int32_t half_width, half_height, above, below; /* above and below: from its centre, marks included */
} room;

static room room_of(const th_scene_sprite *s, int side) {
    int64_t w = s->cut.right - s->cut.left, h = s->cut.bottom - s->cut.top, longer = w > h ? w : h;
    int64_t sine = th_scene_sin(s->degrees), cosine = th_scene_sin(s->degrees + 90);
    if (sine < 0) sine = -sine;
    room m;
    m.half_width = (int32_t)(((cosine * w + sine * h) * s->side / longer) >> 17);
    m.half_height = (int32_t)(((cosine * h + sine * w) * s->side / longer) >> 17);
    m.above = m.half_height + (s->pose == TH_POSE_HANGS ? side * 256 / 10 : 0);
    m.below = m.half_height + (s->pose == TH_POSE_FLOATS   ? side * 256 / 8
                               : s->pose == TH_POSE_STANDS ? side * 256 / 24
                                                           : 0);
    return m;
}

/* Parts what is free into n + 1 gaps about n things; where it is negative the things overlap evenly instead. */
static void part(th_rng *r, int32_t free, int n, int32_t gaps[TH_SCENE_GARMENTS_MAX + 1]) {
    int weights[TH_SCENE_GARMENTS_MAX + 1], sum = 0;
    for (int i = 0; i <= n; i++) sum += weights[i] = th_scene_draw(r, 1, 100);
    for (int i = 0; i <= n; i++) {
        bool inner = i > 0 && i < n;
        gaps[i] = free >= 0 ? (int32_t)((int64_t)free * weights[i] / sum)
                  : n == 1  ? free / 2
                            : (inner ? free / (n - 1) : 0);
    }
}

/* Row by row, each garment at its own height in its row. False when it does not fit, with up to 8 % of overlap. */
static bool place(th_rng *r, th_scene_info *info, th_scene_drawing *d, const int rows[2], bool level) {
    int32_t full = d->side * 256, most = info->count == 1 ? full : full * 108 / 100, heights[2] = {0, 0}, gaps[4];
    room rooms[TH_SCENE_GARMENTS_MAX];
    for (int i = 0; i < info->count; i++) {
        rooms[i] = room_of(&d->sprites[i], d->side);
        int32_t height = rooms[i].above + rooms[i].below, *row = &heights[info->garments[i].row];
        if (height > *row) *row = height;
    }
    if (heights[0] + heights[1] > most) return false;
    part(r, full - heights[0] - heights[1], rows[1] ? 2 : 1, gaps);
    int32_t row_top = gaps[0], between = gaps[1];
    for (int row = 0, i = 0; row < 2; row++) {
        int32_t width = 0;
        for (int k = 0; k < rows[row]; k++) width += 2 * rooms[i + k].half_width;
        if (width > most) return false;
        part(r, full - width, rows[row], gaps);
        int32_t x = 0;
        for (int k = 0; k < rows[row]; k++, i++) {
            int32_t spare = heights[row] - rooms[i].above - rooms[i].below;
            int32_t down = level ? spare / 2 : (int32_t)th_rng_below(r, (uint32_t)spare + 1);
            x += gaps[k] + rooms[i].half_width;
            d->sprites[i].x = x, d->sprites[i].y = row_top + down + rooms[i].above;
            d->sprites[i].half_width = rooms[i].half_width, d->sprites[i].half_height = rooms[i].half_height;
            x += rooms[i].half_width;
        }
        row_top += heights[row] + between;
    }
    for (int i = 0; i < info->count; i++) {
        th_scene_garment *g = &info->garments[i];
        g->x = (float)d->sprites[i].x / 256, g->half_width = (float)d->sprites[i].half_width / 256;
        g->y = (float)d->sprites[i].y / 256, g->half_height = (float)d->sprites[i].half_height / 256;
    }
    return true;
}

/* Neighbours in a row must stand clearly side by side, and one garment above one other clearly above. */
static bool is_clear(const th_scene_info *info, const int rows[2]) {
    for (int i = 0; i + 1 < info->count; i++) {
        bool same_row = info->garments[i].row == info->garments[i + 1].row;
        if (same_row && th_scene_relation(info, i, i + 1) != TH_RELATION_LEFT) return false;
        if (!same_row && rows[0] == 1 && rows[1] == 1 && th_scene_relation(info, i, i + 1) != TH_RELATION_ABOVE)
            return false;
    }
    return true;
}

/* How much of the smaller extent two ranges about a and b share, in 1/100. */
static float shared(float distance, float half_a, float half_b) {
    float smaller = half_a < half_b ? half_a : half_b;
    return (half_a + half_b - distance) / (2 * smaller + 1e-6f) * 100;
}

th_relation th_scene_relation(const th_scene_info *info, int a, int b) {
    const th_scene_garment *p = &info->garments[a], *q = &info->garments[b];
    float dx = q->x - p->x, dy = q->y - p->y, ax = dx < 0 ? -dx : dx, ay = dy < 0 ? -dy : dy;
    if (ay <= 0.7f * ax && shared(ax, p->half_width, q->half_width) <= 25)
        return dx > 0 ? TH_RELATION_LEFT : TH_RELATION_RIGHT;
    if (ax <= 0.7f * ay && shared(ay, p->half_height, q->half_height) <= 25)
        return dy > 0 ? TH_RELATION_ABOVE : TH_RELATION_BELOW;
    return TH_RELATION_NONE;
}

static void choose_rows(th_rng *r, int count, int rows[2]) {
    rows[0] = count, rows[1] = 0;
    int at = (int)th_rng_below(r, 100);
    if (count == 2 && at < 42) rows[0] = 1, rows[1] = 1;
    if (count == 3 && at < 70) rows[0] = at < 35 ? 1 : 2, rows[1] = 3 - rows[0];
}

/* Draws sizes, poses and angles and tries to place them. A plain attempt uses small garments without poses in rows of
 * at most two, which always fit. */
static bool try_layout(th_rng *r, th_scene_info *info, th_scene_drawing *d, bool plain) {
    int rows[2];
    choose_rows(r, info->count, rows);
    if (plain && info->count) rows[0] = info->count > 1 ? 2 : 1, rows[1] = info->count - rows[0];
    bool dark = info->background_colour == TH_COLOUR_BLACK;
    for (int i = 0; i < info->count; i++) {
        th_scene_garment *g = &info->garments[i];
        th_scene_sprite *s = &d->sprites[i];
        g->row = i >= rows[0];
        g->size = choose_size(r, info->count);
        g->pose = choose_pose(r, g->garment, g->row, dark, info->count);
        if ((d->catalogue || d->subject) && g->size == TH_SIZE_SMALL) g->size = TH_SIZE_MEDIUM;
        if (d->catalogue && g->pose == TH_POSE_LIES) g->pose = TH_POSE_NONE;
        if (plain) g->size = TH_SIZE_SMALL, g->pose = TH_POSE_NONE;
        if (i && twins(g - 1, g)) g->size = (g - 1)->size; /* so that "two small bags" can be said of both */
        if (i && twins(g - 1, g) && g->row == (g - 1)->row) g->pose = (g - 1)->pose;
        s->side = d->side * 256 * draw_size(r, g->size, info->count) / 100;
        s->degrees = g->degrees = choose_degrees(r, g->pose);
        s->pose = g->pose;
    }
    return place(r, info, d, rows, plain) && is_clear(info, rows);
}

static bool is_alone(const th_scenes *s) { return s->p.one_garment_each || s->p.garment >= 0 || s->p.subject >= 0; }

static int choose_count(const th_scenes *s, th_rng *r) {
    static const int weights[TH_SCENE_GARMENTS_MAX + 1] = {8, 45, 40, 15};
    int low = s->p.garments_min, high = s->p.garments_max, sum = 0;
    for (int n = low; n <= high; n++) sum += weights[n];
    int at = (int)th_rng_below(r, (uint32_t)sum), count = low;
    while (at >= weights[count]) at -= weights[count++];
    return is_alone(s) ? 1 : count;
}

/* Two thirds of the way from a to b. */
static th_rgb8 towards(th_rgb8 a, th_rgb8 b) {
    return (th_rgb8){(uint8_t)((a.red + 2 * b.red) / 3), (uint8_t)((a.green + 2 * b.green) / 3),
                     (uint8_t)((a.blue + 2 * b.blue) / 3)};
}

static void finish_sprite(th_rng *r, th_scene_garment *g, th_scene_sprite *s, bool catalogue) {
    bool light = g->colour == TH_COLOUR_WHITE || g->colour == TH_COLOUR_YELLOW;
    s->colour = vary(r, garment_colours[g->colour]);
    s->second = towards(s->colour, light ? (th_rgb8){30, 30, 40} : (th_rgb8){255, 255, 255});
    s->across = th_scene_chance(r, 35);
    s->phase_x = th_scene_draw(r, 0, 4095), s->phase_y = th_scene_draw(r, 0, 4095);
    g->pattern = choose_pattern(r, g->size);
    if (catalogue) g->pattern = TH_PATTERN_NONE;
    s->pattern = g->pattern;
    s->mirrored = g->mirrored;
}

/* The subject's own colours and pattern. */
static void wear(th_scene_sprite *s, th_scene_garment *g, const th_scene_sprite *look) {
    s->colour = look->colour, s->second = look->second;
    s->pattern = g->pattern = look->pattern;
    s->across = look->across, s->phase_x = look->phase_x, s->phase_y = look->phase_y;
}

static void compose(const th_scenes *s, th_rng *r, th_scene_info *info, th_scene_drawing *d) {
    d->side = info->side = s->p.side;
    d->catalogue = s->p.one_garment_each;
    d->count = info->count = choose_count(s, r);
    d->subject = s->p.subject >= 0;
    th_scene_garment own = {0};
    th_scene_sprite look = {0};
    if (d->subject) find_subject(s, &own, &look);
    uint32_t colours = choose_background(r, d, info);
    while (d->subject && !(colours >> own.colour & 1)) colours = choose_background(r, d, info);
    choose_garments(s, r, colours, info);
    if (d->subject)
        info->garments[0].image = own.image, info->garments[0].garment = own.garment,
        info->garments[0].colour = own.colour;
    for (int i = 0; i < info->count; i++)
        th_scene_cut_out(s->grey + (int64_t)info->garments[i].image * PIXELS, info->garments[i].garment,
                         &d->sprites[i].cut);
    bool placed = false;
    for (int attempt = 0; !placed; attempt++) placed = try_layout(r, info, d, attempt >= 24) || attempt > 24;
    for (int i = 0; i < info->count; i++) {
        th_scene_garment *g = &info->garments[i];
        finish_sprite(r, g, &d->sprites[i], d->catalogue);
        if (d->subject) wear(&d->sprites[i], g, &look);
        if (i && twins(g - 1, g)) {
            g->pattern = (g - 1)->pattern;
            d->sprites[i].pattern = g->pattern, d->sprites[i].across = d->sprites[i - 1].across;
        }
        g->image += s->first;
    }
    d->gain = th_scene_draw(r, 236, 270);
    d->slope_x = th_scene_draw(r, -22, 22), d->slope_y = th_scene_draw(r, -22, 22);
    d->noise = th_scene_draw(r, 8, 56);
}

void th_scenes_render(const th_scenes *s, uint64_t index, uint8_t *rgb, th_scene_info *info, char *caption) {
    th_scene_drawing d;
    th_rng r = th_rng_at(s->p.seed, TH_RNG_SCENE, stream(s, 0), index);
    memset(info, 0, sizeof *info);
    info->index = index;
    compose(s, &r, info, &d);
    if (rgb) th_scene_paint(&d, r, rgb);
    if (caption) th_scenes_caption(s, info, 0, s->p.noun_last, caption);
}

void th_scenes_caption(const th_scenes *s, th_scene_info *info, uint32_t variant, float noun_share,
                       char caption[TH_SCENE_CAPTION_MAX]) {
    th_rng r = th_rng_at(s->p.seed, TH_RNG_SCENE, stream(s, 1 + variant), info->index);
    th_scene_tell(info, &r, noun_share, s->p.full_captions, caption);
}
