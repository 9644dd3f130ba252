/* Fashion scenes: the same everywhere, from disjoint garments, with captions that are true. */
#include "test.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/memory.h"
#include "data/scenes.h"

static th_scenes *open_scenes(th_scene_split split, bool one_garment_each) {
    if (!th_path_exists(TH_SCENE_DATA_DIR "/train-images-idx3-ubyte.gz"))
        skip_because("Debian's package dataset-fashion-mnist is not installed");
    th_scenes_params p;
    th_scenes *s;
    th_scenes_params_init(&p);
    p.split = split, p.one_garment_each = one_garment_each, p.seed = 7;
    assert_ok(th_scenes_open(&p, &s));
    return s;
}

enum { SIDE = 48, BYTES = SIDE * SIDE * 3 };

static void add_scene(th_hash *h, const th_scenes *s, uint64_t index) {
    uint8_t rgb[BYTES];
    char caption[TH_SCENE_CAPTION_MAX];
    th_scene_info info;
    th_scenes_render(s, index, rgb, &info, caption);
    th_hash_add(h, rgb, sizeof rgb);
    th_hash_add(h, caption, strlen(caption) + 1);
}

static void first_hundred_scenes_never_change(void **state) {
    (void)state;
    static const char *const expected[3] = {
        "50746b36e508ff95a8c50a4bb387fa455a3237c10c8ac23ef627247e49c81a27",
        "f90b3c193cce5336e00d0d064636f4cc182f5fe3f48fdb36c7a2a86803e20d11",
        "0db543241b175eb3a65ed684d2528b6d08cddddccbea4114f2df9b78951a463e",
    };
    for (int split = 0; split < 3; split++) {
        th_scenes *s = open_scenes((th_scene_split)split, false);
        th_hash h;
        char text[TH_HASH_TEXT];
        th_hash_init(&h);
        for (uint64_t i = 0; i < 100; i++) add_scene(&h, s, i);
        th_hash_text(&h, text);
        th_scenes_close(s);
        assert_string_equal(text, expected[split]);
    }
}

typedef struct {
    const th_scenes *scenes;
    int first;
    char text[200][TH_HASH_TEXT];
} half;

static void *render_half(void *arg) {
    half *h = arg;
    for (int i = 199; i >= 0; i--) { /* backwards, every other one */
        if (i % 2 != h->first) continue;
        th_hash one;
        th_hash_init(&one);
        add_scene(&one, h->scenes, (uint64_t)i);
        th_hash_text(&one, h->text[i]);
    }
    return NULL;
}

static void neither_order_nor_threads_matter(void **state) {
    (void)state;
    static half halves[2];
    th_scenes *s = open_scenes(TH_SCENE_TRAIN, false);
    pthread_t threads[2];
    for (int k = 0; k < 2; k++) {
        halves[k].scenes = s, halves[k].first = k;
        assert_int_equal(pthread_create(&threads[k], NULL, render_half, &halves[k]), 0);
    }
    for (int k = 0; k < 2; k++) pthread_join(threads[k], NULL);
    for (int i = 0; i < 200; i++) {
        char text[TH_HASH_TEXT];
        th_hash one;
        th_hash_init(&one);
        add_scene(&one, s, (uint64_t)i);
        th_hash_text(&one, text);
        assert_string_equal(text, halves[i % 2].text[i]);
    }
    th_scenes_close(s);
}

static void description_and_caption_need_no_pixels(void **state) {
    (void)state;
    th_scenes *s = open_scenes(TH_SCENE_TRAIN, false);
    for (uint64_t i = 0; i < 50; i++) {
        uint8_t rgb[BYTES];
        char a[TH_SCENE_CAPTION_MAX], b[TH_SCENE_CAPTION_MAX], c[TH_SCENE_CAPTION_MAX];
        th_scene_info with, without;
        th_scenes_render(s, i, rgb, &with, a);
        th_scenes_render(s, i, NULL, &without, b);
        assert_string_equal(a, b);
        assert_memory_equal(&with, &without, sizeof with);
        th_scenes_caption(s, &with, 0, 0.15f, c);
        assert_string_equal(a, c);
    }
    th_scenes_close(s);
}

static void splits_share_no_garment(void **state) {
    (void)state;
    static const int64_t first[2] = {0, 55000}, end[2] = {55000, 60000};
    for (int split = 0; split < 2; split++) {
        th_scenes *s = open_scenes((th_scene_split)split, false);
        assert_int_equal(th_scenes_garment_count(s), end[split] - first[split]);
        for (uint64_t i = 0; i < 5000; i++) {
            th_scene_info info;
            th_scenes_render(s, i, NULL, &info, NULL);
            for (int k = 0; k < info.count; k++) assert_in_range(info.garments[k].image, first[split], end[split] - 1);
        }
        th_scenes_close(s);
    }
    th_scenes *s = open_scenes(TH_SCENE_TEST, false); /* from the other file */
    assert_int_equal(th_scenes_garment_count(s), 10000);
    th_scenes_close(s);
}

static void one_garment_each_shows_every_test_garment_once(void **state) {
    (void)state;
    th_scenes *s = open_scenes(TH_SCENE_TEST, true);
    int counts[TH_GARMENT_COUNT] = {0};
    for (int i = 0; i < 10000; i++) {
        th_scene_info info;
        th_scenes_render(s, (uint64_t)i, NULL, &info, NULL);
        assert_int_equal(info.count, 1);
        assert_int_equal(info.garments[0].image, i);
        assert_int_not_equal(info.garments[0].size, TH_SIZE_SMALL);
        assert_int_not_equal(info.garments[0].pose, TH_POSE_LIES);
        assert_int_equal(info.garments[0].pattern, TH_PATTERN_NONE);
        counts[info.garments[0].garment]++;
    }
    for (int c = 0; c < TH_GARMENT_COUNT; c++) assert_int_equal(counts[c], 1000);
    th_scenes_close(s);
}

/* The real labels of the first test garments, as published: ankle boot, pullover, trouser, trouser, shirt, … */
static void a_subject_is_the_same_garment_everywhere(void **state) {
    (void)state;
    if (!th_path_exists(TH_SCENE_DATA_DIR "/train-images-idx3-ubyte.gz"))
        skip_because("Debian's package dataset-fashion-mnist is not installed");
    th_scenes_params p;
    th_scenes_params_init(&p);
    p.split = TH_SCENE_TEST, p.garment = TH_GARMENT_BAG, p.subject = 3;
    th_scene_info first = {0}, other = {0};
    unsigned backgrounds = 0;
    for (uint64_t seed = 0; seed < 2; seed++) {
        th_scenes *s;
        p.seed = seed;
        assert_ok(th_scenes_open(&p, &s));
        for (uint64_t i = 0; i < 100; i++) {
            th_scene_info info;
            char caption[TH_SCENE_CAPTION_MAX];
            th_scenes_render(s, i, NULL, &info, caption);
            const th_scene_garment *g = &info.garments[0], *f = &first.garments[0];
            if (seed == 0 && i == 0) first = info;
            assert_int_equal(info.count, 1);
            assert_true(g->image == f->image && g->colour == f->colour && g->pattern == f->pattern);
            assert_int_equal(g->garment, TH_GARMENT_BAG);
            assert_int_not_equal(g->pattern, TH_PATTERN_NONE);
            assert_int_not_equal(g->size, TH_SIZE_SMALL);
            assert_true(info.background_colour != g->colour);
            backgrounds |= 1u << info.background;
        }
        th_scenes_close(s);
    }
    assert_int_equal(backgrounds, (1u << TH_BACKGROUND_COUNT) - 1);
    th_scenes *s;
    p.subject = 4;
    assert_ok(th_scenes_open(&p, &s));
    th_scenes_render(s, 0, NULL, &other, NULL);
    th_scenes_close(s);
    assert_true(other.garments[0].image != first.garments[0].image);
}

static void a_scene_may_be_its_background_alone(void **state) {
    (void)state;
    if (!th_path_exists(TH_SCENE_DATA_DIR "/train-images-idx3-ubyte.gz"))
        skip_because("Debian's package dataset-fashion-mnist is not installed");
    th_scenes_params p;
    th_scenes *s;
    th_scenes_params_init(&p);
    p.garments_min = 0, p.garments_max = 1, p.full_captions = true;
    assert_ok(th_scenes_open(&p, &s));
    int empty = 0;
    for (uint64_t i = 0; i < 1000; i++) {
        th_scene_info info;
        char caption[TH_SCENE_CAPTION_MAX];
        th_scenes_render(s, i, NULL, &info, caption);
        assert_true(*caption);
        if (info.count) continue;
        empty++;
        for (int k = 0; k < th_scene_word_count; k++)
            if (th_scene_words[k].kind == TH_WORD_GARMENT) assert_null(strstr(caption, th_scene_words[k].text));
    }
    assert_in_range(empty, 110, 195); /* 8 in 53 */
    th_scenes_close(s);
}

static void labels_are_those_of_the_files(void **state) {
    (void)state;
    static const th_garment first[] = {TH_GARMENT_BOOT,   TH_GARMENT_PULLOVER, TH_GARMENT_TROUSERS, TH_GARMENT_TROUSERS,
                                       TH_GARMENT_SHIRT,  TH_GARMENT_TROUSERS, TH_GARMENT_COAT,     TH_GARMENT_SHIRT,
                                       TH_GARMENT_SANDAL, TH_GARMENT_SNEAKER};
    th_scenes *s = open_scenes(TH_SCENE_TEST, true);
    for (uint64_t i = 0; i < 10; i++) {
        th_scene_info info;
        th_scenes_render(s, i, NULL, &info, NULL);
        assert_int_equal(info.garments[0].garment, first[i]);
    }
    th_scenes_close(s);
}

/* One noun phrase of a caption as a reader takes it. -1: not said. */
typedef struct {
    int garment, colour, size, pattern, number, plural;
    char link[64]; /* the words between it and the next one, or the end */
} phrase;

typedef struct {
    phrase p[4];
    int count, pose, place_first; /* pose: of the one verb, or -1 */
    char before[64];              /* the words before the first noun phrase */
    int background, background_colour;
} reading;

static const th_scene_word *find_word(const char *text, size_t n) {
    for (int i = 0; i < th_scene_word_count; i++)
        if (strlen(th_scene_words[i].text) == n && !memcmp(th_scene_words[i].text, text, n)) return &th_scene_words[i];
    return NULL;
}

/* Whether words has this word, between spaces. */
static bool says(const char *words, const char *word) {
    size_t n = strlen(word);
    for (const char *at = words; (at = strstr(at, word)); at++)
        if ((at == words || at[-1] == ' ') && (at[n] == ' ' || !at[n])) return true;
    return false;
}

static bool is_function_word(const char *w) {
    static const char *const all[] = {
        "a",      "an",      "the",        "and",  "is",    "are",  "there", "photo",   "picture", "image",
        "of",     "to",      "in",         "on",   "side",  "by",   "front", "against", "over",    "next",
        "beside", "between", "background", "wall", "floor", "pair", "pairs", "two",     "three",
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (!strcmp(w, all[i])) return true;
    return false;
}

static void add_link(reading *r, const char *word) {
    char *to = r->count ? r->p[r->count - 1].link : r->before;
    size_t n = strlen(to);
    assert_true(n + strlen(word) + 2 < sizeof r->before);
    snprintf(to + n, sizeof r->before - n, "%s%s", n ? " " : "", word);
}

static const phrase nothing = {-1, -1, -1, -1, 1, 0, ""};

/* Cuts a caption into noun phrases and what stands between them. Adjectives gather until a noun, or until the noun of
 * the background, takes them. */
static void read_caption(const char *caption, reading *r) {
    char copy[TH_SCENE_CAPTION_MAX], *rest = NULL;
    *r = (reading){.pose = -1, .background = -1, .background_colour = -1};
    phrase now = nothing;
    int textured = -1;
    snprintf(copy, sizeof copy, "%s", caption);
    for (char *w = strtok_r(copy, " ", &rest); w; w = strtok_r(NULL, " ", &rest)) {
        size_t n = strlen(w);
        bool comma = w[n - 1] == ',';
        if (comma) w[--n] = '\0';
        const th_scene_word *known = find_word(w, n);
        if (!strcmp(w, "ankle")) {
            char both[32];
            w = strtok_r(NULL, " ", &rest);
            snprintf(both, sizeof both, "ankle %s", w);
            n = strlen(w);
            if (w[n - 1] == ',') both[strlen(both) - 1] = '\0', w[--n] = '\0', comma = true;
            known = find_word(both, strlen(both));
        }
        if (!known && !is_function_word(w)) fail_msg("'%s': unknown word '%s'", caption, w);
        bool place = !strcmp(w, "background") || !strcmp(w, "wall") || !strcmp(w, "floor");
        if (place || (known && known->kind == TH_WORD_BACKGROUND && known->value == TH_BACKGROUND_GRASS)) {
            r->background = now.pattern == TH_PATTERN_STRIPED ? TH_BACKGROUND_STRIPED : place ? textured : known->value;
            r->background_colour = now.colour;
            if (!r->count) r->place_first = 1;
            now = nothing;
        } else if (known && known->kind == TH_WORD_GARMENT) {
            assert_true(r->count < 4);
            now.garment = known->value, now.plural = w[n - 1] == 's' && strcmp(w, "dress") != 0;
            now.link[0] = '\0';
            r->p[r->count++] = now;
            now = nothing;
            if (comma) add_link(r, "and");
        } else if (known && known->kind == TH_WORD_COLOUR) {
            now.colour = known->value;
        } else if (known && known->kind == TH_WORD_SIZE) {
            now.size = known->value;
        } else if (known && known->kind == TH_WORD_PATTERN) {
            now.pattern = known->value;
        } else if (known && known->kind == TH_WORD_BACKGROUND) {
            textured = known->value;
        } else if (!strcmp(w, "two") || !strcmp(w, "three")) {
            now.number = w[1] == 'w' ? 2 : 3;
        } else {
            if (known && known->kind == TH_WORD_POSE) r->pose = known->value;
            if (strcmp(w, "a") != 0 && strcmp(w, "an") != 0) add_link(r, w);
        }
    }
}

static bool fits(const th_scene_garment *g, const phrase *p) {
    return (int)g->garment == p->garment && (p->colour < 0 || (int)g->colour == p->colour) &&
           (p->size < 0 || (int)g->size == p->size) && (p->pattern < 0 || (int)g->pattern == p->pattern);
}

static int count_fitting(const th_scene_info *info, const phrase *p, int pose) {
    int n = 0;
    for (int i = 0; i < info->count; i++)
        n += fits(&info->garments[i], p) && (pose < 0 || (int)info->garments[i].pose == pose);
    return n;
}

/* Whether the words between two phrases hold for two garments, by their centres alone. */
static bool holds(const char *link, const th_scene_garment *a, const th_scene_garment *b) {
    float dx = b->x - a->x, dy = b->y - a->y;
    if (says(link, "left")) return dx > 0 && dx > fabsf(dy);
    if (says(link, "right")) return dx < 0 && -dx > fabsf(dy);
    if (says(link, "next") || says(link, "beside")) return fabsf(dx) > fabsf(dy);
    if (says(link, "above")) return dy > 0 && a->y - a->half_height < b->y - b->half_height;
    if (says(link, "below") || says(link, "beneath")) return dy < 0 && a->y + a->half_height > b->y + b->half_height;
    return true;
}

/* "A and B above C": each phrase before the relation's words against each after them. */
static void check_relation(const char *caption, const th_scene_info *info, const reading *r, int at) {
    for (int p = 0; p <= at; p++)
        for (int q = at + 1; q < r->count; q++) {
            int found = 0;
            for (int i = 0; i < info->count; i++)
                for (int j = 0; j < info->count; j++)
                    found += i != j && fits(&info->garments[i], &r->p[p]) && fits(&info->garments[j], &r->p[q]) &&
                             holds(r->p[at].link, &info->garments[i], &info->garments[j]);
            if (found < r->p[p].number * r->p[q].number)
                fail_msg("'%s' (scene %llu): '%s' does not hold between phrases %d and %d", caption,
                         (unsigned long long)info->index, r->p[at].link, p, q);
        }
}

static void check_between(const char *caption, const th_scene_info *info, const reading *r) {
    const th_scene_garment *g = info->garments;
    assert_int_equal(r->count, 3);
    bool in_order = fits(&g[0], &r->p[1]) && fits(&g[2], &r->p[2]),
         other = fits(&g[0], &r->p[2]) && fits(&g[2], &r->p[1]);
    if (info->count != 3 || !fits(&g[1], &r->p[0]) || !(in_order || other) || g[0].x >= g[1].x || g[1].x >= g[2].x)
        fail_msg("'%s' (scene %llu): not between", caption, (unsigned long long)info->index);
}

static void check_truth(const char *caption, const th_scene_info *info) {
    reading r;
    read_caption(caption, &r);
    assert_true(r.count > 0);
    for (int k = 0; k < r.count; k++) {
        if (count_fitting(info, &r.p[k], -1) < r.p[k].number)
            fail_msg("'%s' (scene %llu): nothing fits phrase %d", caption, (unsigned long long)info->index, k);
        if (r.p[k].number > 1) assert_true(r.p[k].plural);
    }
    if (r.pose >= 0 && count_fitting(info, &r.p[0], r.pose) < r.p[0].number)
        fail_msg("'%s' (scene %llu): the pose is another", caption, (unsigned long long)info->index);
    if (r.background >= 0 && r.background != (int)info->background)
        fail_msg("'%s' (scene %llu): the background is another", caption, (unsigned long long)info->index);
    if (r.background_colour >= 0 && r.background_colour != (int)info->background_colour)
        fail_msg("'%s' (scene %llu): the background's colour is another", caption, (unsigned long long)info->index);
    for (int k = 0; k + 1 < r.count; k++) {
        if (says(r.p[k].link, "between"))
            check_between(caption, info, &r);
        else if (strcmp(r.p[k].link, "and") != 0)
            check_relation(caption, info, &r, k);
    }
}

/* Articles and verbs agree. */
static void check_grammar(const char *caption) {
    static const char *const one[] = {"hangs", "lies", "stands", "floats", "hovers", "is"};
    static const char *const many[] = {"hang", "lie", "stand", "float", "hover", "are"};
    for (const char *at = caption; *at; at++) {
        bool starts = at == caption || at[-1] == ' ';
        if (starts && !strncmp(at, "a ", 2)) assert_null(strchr("aeiou", at[2]));
        if (starts && !strncmp(at, "an ", 3)) assert_non_null(strchr("aeiou", at[3]));
        assert_false(at[0] == ' ' && (at[1] == ' ' || !at[1] || at[1] == ','));
    }
    reading r;
    read_caption(caption, &r);
    const char *words = r.before[0] && !says(r.before, "photo") ? r.before : r.p[0].link;
    bool pair = says(r.before, "pair") || says(r.p[0].link, "pair");
    for (int k = 0; k < 6; k++) {
        if (pair && r.p[0].number == 1) continue; /* "a pair of trousers hangs": one, of a plural noun */
        if (says(words, one[k]) && r.p[0].plural) fail_msg("'%s': '%s' for several", caption, one[k]);
        if (says(words, many[k]) && !r.p[0].plural) fail_msg("'%s': '%s' for one", caption, many[k]);
    }
}

static void every_caption_is_true_and_grammatical(void **state) {
    (void)state;
    th_scenes *s = open_scenes(TH_SCENE_TRAIN, false);
    size_t longest = 0;
    int counts[TH_SCENE_GARMENTS_MAX + 1] = {0};
    for (uint64_t i = 0; i < 20000; i++) {
        char caption[TH_SCENE_CAPTION_MAX];
        th_scene_info info;
        th_scenes_render(s, i, NULL, &info, NULL);
        counts[info.count]++;
        for (uint32_t variant = 0; variant < 3; variant++) {
            th_scenes_caption(s, &info, variant, 0.1f, caption);
            check_truth(caption, &info);
            check_grammar(caption);
            if (strlen(caption) > longest) longest = strlen(caption);
        }
    }
    /* The writer would cut at the maximum: stay well below it. */
    if (longest > TH_SCENE_CAPTION_MAX - 60) fail_msg("a caption has %zu bytes", longest);
    for (int n = 1; n <= TH_SCENE_GARMENTS_MAX; n++) assert_true(counts[n] > 2000);
    th_scenes_close(s);
}

/* What a reader takes from the caption of a scene of one garment is all that there is to say. */
static void check_complete(const char *caption, const th_scene_info *info) {
    const th_scene_garment *g = &info->garments[0];
    reading r;
    read_caption(caption, &r);
    bool size = g->size == TH_SIZE_MEDIUM || r.p[0].size == (int)g->size;
    bool pattern = g->pattern == TH_PATTERN_NONE || r.p[0].pattern == (int)g->pattern;
    bool pose = g->pose == TH_POSE_NONE || r.pose == (int)g->pose;
    /* Grass is green by itself. */
    bool colour = info->background_colour == TH_COLOUR_COUNT || info->background == TH_BACKGROUND_GRASS ||
                  r.background_colour == (int)info->background_colour;
    bool background = info->background == TH_BACKGROUND_PLAIN || r.background == (int)info->background;
    if (r.p[0].colour != (int)g->colour || !size || !pattern || !pose || !background || !colour)
        fail_msg("'%s' (scene %llu): leaves something out", caption, (unsigned long long)info->index);
}

static void full_captions_leave_nothing_out(void **state) {
    (void)state;
    if (!th_path_exists(TH_SCENE_DATA_DIR "/train-images-idx3-ubyte.gz"))
        skip_because("Debian's package dataset-fashion-mnist is not installed");
    th_scenes_params p;
    th_scenes *s;
    th_scenes_params_init(&p);
    p.full_captions = true;
    for (p.garments_max = 1; p.garments_max <= 3; p.garments_max++) {
        p.garments_min = p.garments_max;
        assert_ok(th_scenes_open(&p, &s));
        for (uint64_t i = 0; i < 4000; i++) {
            char caption[TH_SCENE_CAPTION_MAX];
            th_scene_info info;
            th_scenes_render(s, i, NULL, &info, NULL);
            th_scenes_caption(s, &info, (uint32_t)i, 0, caption);
            check_truth(caption, &info);
            check_grammar(caption);
            if (info.count == 1) check_complete(caption, &info);
        }
        th_scenes_close(s);
    }
}

static void truth_check_sees_what_is_false(void **state) {
    (void)state;
    th_scene_info info = {
        .count = 2, .side = 48, .background = TH_BACKGROUND_PLAIN, .background_colour = TH_COLOUR_GREY};
    info.garments[0] = (th_scene_garment){.garment = TH_GARMENT_DRESS,
                                          .colour = TH_COLOUR_RED,
                                          .pose = TH_POSE_HANGS,
                                          .size = TH_SIZE_MEDIUM,
                                          .x = 10,
                                          .y = 20,
                                          .half_width = 6,
                                          .half_height = 10};
    info.garments[1] = (th_scene_garment){.garment = TH_GARMENT_SNEAKER,
                                          .colour = TH_COLOUR_BLUE,
                                          .size = TH_SIZE_SMALL,
                                          .x = 36,
                                          .y = 24,
                                          .half_width = 8,
                                          .half_height = 4};
    check_truth("a red dress hangs to the left of a small blue sneaker on a grey background", &info);
    reading r;
    read_caption("a blue dress hangs to the right of a small sneaker on a pink background", &r);
    assert_int_equal(r.count, 2);
    assert_int_equal(count_fitting(&info, &r.p[0], -1), 0);
    assert_int_equal(count_fitting(&info, &r.p[1], -1), 1);
    assert_int_equal(r.pose, TH_POSE_HANGS);
    assert_int_equal(r.background_colour, TH_COLOUR_PINK);
    assert_false(holds(r.p[0].link, &info.garments[0], &info.garments[1]));
    assert_true(holds(r.p[0].link, &info.garments[1], &info.garments[0]));
}

static void short_captions_name_garments_only(void **state) {
    (void)state;
    th_scenes *s = open_scenes(TH_SCENE_TRAIN, false);
    int nouns_only = 0;
    for (uint64_t i = 0; i < 4000; i++) {
        char caption[TH_SCENE_CAPTION_MAX];
        th_scene_info info;
        th_scenes_render(s, i, NULL, &info, NULL);
        for (int share = 0; share < 2; share++) {
            reading r;
            th_scenes_caption(s, &info, 1, (float)share, caption);
            read_caption(caption, &r);
            bool bare = r.pose < 0 && r.background < 0;
            for (int k = 0; k < r.count; k++) bare = bare && r.p[k].colour < 0 && r.p[k].size < 0 && r.p[k].pattern < 0;
            if (share) assert_true(bare);
            if (!share) nouns_only += bare;
            for (int k = 0; k < info.count; k++)
                if (share) assert_non_null(info.garments[k].noun);
        }
    }
    assert_true(nouns_only < 400);
    th_scenes_close(s);
}

static void noun_share_falls_and_stays(void **state) {
    (void)state;
    th_scenes *s = open_scenes(TH_SCENE_TEST, false);
    assert_float_equal(th_scenes_noun_share(s, 0), 0.6, 1e-6);
    assert_float_equal(th_scenes_noun_share(s, 0.15f), 0.375, 1e-6);
    assert_float_equal(th_scenes_noun_share(s, 0.3f), 0.15, 1e-6);
    assert_float_equal(th_scenes_noun_share(s, 1), 0.15, 1e-6);
    assert_float_equal(th_scenes_noun_share(s, -1), 0.6, 1e-6);
    th_scenes_close(s);
}

/* Garments stay inside (up to a pixel of rounding), and only medium sizes go without a word. */
static void garments_are_inside_and_as_large_as_said(void **state) {
    (void)state;
    th_scenes *s = open_scenes(TH_SCENE_VALIDATION, false);
    for (uint64_t i = 0; i < 5000; i++) {
        th_scene_info info;
        th_scenes_render(s, i, NULL, &info, NULL);
        for (int k = 0; k < info.count; k++) {
            const th_scene_garment *g = &info.garments[k];
            assert_true(g->x - g->half_width > -1 && g->x + g->half_width < SIDE + 1);
            assert_true(g->y - g->half_height > -1 && g->y + g->half_height < SIDE + 1);
            assert_true(g->colour != TH_COLOUR_GREY && g->colour != info.background_colour);
            if (g->pose != TH_POSE_LIES) assert_true(abs(g->degrees) <= 10);
            if (g->pose == TH_POSE_LIES) assert_true(abs(g->degrees) >= 78);
        }
    }
    th_scenes_close(s);
}

static void no_noun_serves_two_classes(void **state) {
    (void)state;
    for (int i = 0; i < th_scene_word_count; i++)
        for (int j = 0; j < i; j++) assert_string_not_equal(th_scene_words[i].text, th_scene_words[j].text);
    for (int c = 0; c < TH_GARMENT_COUNT; c++) {
        const char *name = th_scene_class_names[c], *noun = strncmp(name, "a ", 2) ? name : name + 2;
        const th_scene_word *w = find_word(noun, strlen(noun));
        assert_non_null(w);
        assert_int_equal(w->kind, TH_WORD_GARMENT);
        assert_int_equal(w->value, c);
    }
    for (int t = 0; t < TH_SCENE_TEMPLATE_COUNT; t++) assert_non_null(strstr(th_scene_templates[t], "{}"));
}

static void missing_data_names_the_package(void **state) {
    (void)state;
    th_scenes_params p;
    th_scenes *s;
    th_scenes_params_init(&p);
    p.data_dir = "nowhere";
    assert_fails(th_scenes_open(&p, &s), TH_E_IO, "nowhere/train-images-idx3-ubyte.gz: no such file");
    assert_null(s);
    assert_fails(th_scenes_open(&p, &s), TH_E_IO, "apt install dataset-fashion-mnist");
}

static void wrong_parameters_are_refused(void **state) {
    (void)state;
    th_scenes_params p;
    th_scenes *s;
    th_scenes_params_init(&p);
    p.side = 15;
    assert_fails(th_scenes_open(&p, &s), TH_E_USAGE, "15 pixels");
    th_scenes_params_init(&p);
    p.garments_max = 4;
    assert_fails(th_scenes_open(&p, &s), TH_E_USAGE, "0 to 3");
    th_scenes_params_init(&p);
    p.garments_min = 3, p.garments_max = 2;
    assert_fails(th_scenes_open(&p, &s), TH_E_USAGE, "3 to 2 garments");
    th_scenes_params_init(&p);
    p.split = (th_scene_split)5;
    assert_fails(th_scenes_open(&p, &s), TH_E_USAGE, "split 5");
    th_scenes_params_init(&p);
    p.noun_first = NAN;
    assert_fails(th_scenes_open(&p, &s), TH_E_USAGE, "between 0 and 1");
}

/* A test split of `count` garments of `side` pixels in the folder "scenes_test", with these labels. */
static void write_split(int count, int side, int labels, int last_label) {
    static uint8_t bytes[16 + 40 * 28 * 28];
    const uint8_t images_head[16] = {
        0, 0, 8, 3, 0, 0, 0, (uint8_t)count, 0, 0, 0, (uint8_t)side, 0, 0, 0, (uint8_t)side};
    const uint8_t labels_head[8] = {0, 0, 8, 1, 0, 0, 0, (uint8_t)labels};
    assert_ok(th_make_dirs("scenes_test"));
    memset(bytes, 0, sizeof bytes);
    memcpy(bytes, images_head, 16);
    for (int i = 0; i < count; i++)
        for (int y = 4; y < 24 && i > 0; y++) /* the first one is empty: a picture without a garment */
            for (int x = 6; x < 20 && side == 28; x++) bytes[16 + i * 784 + y * 28 + x] = (uint8_t)(40 + 9 * x);
    assert_ok(th_file_write("scenes_test/t10k-images-idx3-ubyte.gz", bytes, 16 + (size_t)(count * side * side)));
    memset(bytes, 0, sizeof bytes);
    memcpy(bytes, labels_head, 8);
    for (int i = 0; i < labels; i++) bytes[8 + i] = (uint8_t)(i + 1 == labels ? last_label : i % 10);
    assert_ok(th_file_write("scenes_test/t10k-labels-idx1-ubyte.gz", bytes, 8 + (size_t)labels));
}

static void broken_data_is_refused_by_name(void **state) {
    (void)state;
    th_scenes_params p;
    th_scenes *s;
    th_scenes_params_init(&p);
    p.data_dir = "scenes_test", p.split = TH_SCENE_TEST;
    write_split(20, 28, 20, 9);
    assert_ok(th_scenes_open(&p, &s));
    for (uint64_t i = 0; i < 300; i++) { /* the empty picture among them */
        uint8_t rgb[BYTES];
        char caption[TH_SCENE_CAPTION_MAX];
        th_scene_info info;
        th_scenes_render(s, i, rgb, &info, caption);
    }
    th_scenes_close(s);
    write_split(20, 27, 20, 9);
    assert_fails(th_scenes_open(&p, &s), TH_E_INPUT, "t10k-images-idx3-ubyte.gz: not Fashion-MNIST's 28 × 28 pictures");
    write_split(20, 28, 19, 8);
    assert_fails(th_scenes_open(&p, &s), TH_E_INPUT, "scenes_test: 20 pictures, but 19 labels");
    write_split(20, 28, 20, 10);
    assert_fails(th_scenes_open(&p, &s), TH_E_INPUT, "scenes_test: a label is above 9");
    write_split(9, 28, 9, 8);
    assert_fails(th_scenes_open(&p, &s), TH_E_INPUT, "scenes_test: no garment has label 9");
    write_split(0, 28, 0, 0);
    assert_fails(th_scenes_open(&p, &s), TH_E_INPUT, "0 pictures");
    p.split = TH_SCENE_TRAIN;
    assert_fails(th_scenes_open(&p, &s), TH_E_IO, "no such file");
    assert_ok(th_file_write("scenes_test/t10k-labels-idx1-ubyte.gz", "x", 1));
    p.split = TH_SCENE_TEST;
    assert_fails(th_scenes_open(&p, &s), TH_E_INPUT, "scenes_test/t10k-labels-idx1-ubyte.gz");
    assert_ok(th_remove_tree("scenes_test"));
}

static void failed_allocations_leak_nothing(void **state) {
    (void)state;
    th_scenes_params p;
    th_scenes *s;
    th_scenes_params_init(&p);
    p.data_dir = "scenes_test", p.split = TH_SCENE_TEST;
    write_split(20, 28, 20, 9);
    size_t before = th_bytes_in_use();
    th_status status = TH_E_MEMORY;
    for (int n = 1; status != TH_OK; n++) {
        assert_true(n < 50);
        th_alloc_fail_at(n, false);
        status = th_scenes_open(&p, &s);
        th_alloc_fail_at(0, false);
        if (status != TH_OK) {
            assert_int_equal(status, TH_E_MEMORY);
            assert_null(s);
            assert_int_equal(th_bytes_in_use(), before);
        }
    }
    th_scenes_close(s);
    th_scenes_close(NULL);
    assert_int_equal(th_bytes_in_use(), before);
    assert_ok(th_remove_tree("scenes_test"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_hundred_scenes_never_change),
        cmocka_unit_test(neither_order_nor_threads_matter),
        cmocka_unit_test(description_and_caption_need_no_pixels),
        cmocka_unit_test(splits_share_no_garment),
        cmocka_unit_test(one_garment_each_shows_every_test_garment_once),
        cmocka_unit_test(a_subject_is_the_same_garment_everywhere),
        cmocka_unit_test(a_scene_may_be_its_background_alone),
        cmocka_unit_test(labels_are_those_of_the_files),
        cmocka_unit_test(every_caption_is_true_and_grammatical),
        cmocka_unit_test(full_captions_leave_nothing_out),
        cmocka_unit_test(truth_check_sees_what_is_false),
        cmocka_unit_test(short_captions_name_garments_only),
        cmocka_unit_test(noun_share_falls_and_stays),
        cmocka_unit_test(garments_are_inside_and_as_large_as_said),
        cmocka_unit_test(no_noun_serves_two_classes),
        cmocka_unit_test(missing_data_names_the_package),
        cmocka_unit_test(wrong_parameters_are_refused),
        cmocka_unit_test(broken_data_is_refused_by_name),
        cmocka_unit_test(failed_allocations_leak_nothing),
    };
    return cmocka_run_group_tests_name("data_scenes", tests, NULL, NULL);
}
