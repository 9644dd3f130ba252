/* fashion-scenes?split=train&side=48&…: scenes drawn when asked for. */
#include <string.h>

#include "base/guess.h"
#include "base/number.h"
#include "data/dataset_parts.h"

#define COUNT_MAX ((int64_t)1 << 40)

bool th_scene_spec_is(const char *spec) {
    size_t n = strlen(TH_SCENES_NAME);
    return !strncmp(spec, TH_SCENES_NAME, n) && (spec[n] == '\0' || spec[n] == '?');
}

/* ---- the options */

static th_status fail_value(const char *name, const char *value, const char *what) {
    char shown[TH_SHOWN_MAX];
    return th_fail(TH_E_USAGE, TH_SCENES_NAME ": %s=%s: should be %s", name, th_shown(shown, value, strlen(value)),
                   what);
}

static th_status read_number(const char *name, const char *value, int64_t least, int64_t most, int64_t *out) {
    int64_t n;
    if (!th_parse_i64(value, &n) || n < least || n > most) {
        char what[80];
        snprintf(what, sizeof what, "a number from %lld to %lld", (long long)least, (long long)most);
        return fail_value(name, value, what);
    }
    *out = n;
    return TH_OK;
}

static th_status set_split(th_scene_spec *s, const char *value) {
    static const char *const names[] = {
        [TH_SCENE_TRAIN] = "train", [TH_SCENE_VALIDATION] = "validation", [TH_SCENE_TEST] = "test"};
    for (int i = 0; i <= TH_SCENE_TEST; i++)
        if (!strcmp(value, names[i])) return s->params.split = (th_scene_split)i, TH_OK;
    return fail_value("split", value, "train, validation or test");
}

static th_status set_side(th_scene_spec *s, const char *value) {
    int64_t n = 0;
    TH_TRY(read_number("side", value, TH_SCENE_SIDE_MIN, TH_SCENE_SIDE_MAX, &n));
    s->params.side = (int)n;
    return TH_OK;
}

static th_status set_seed(th_scene_spec *s, const char *value) {
    int64_t n = 0;
    TH_TRY(read_number("seed", value, 0, INT64_MAX, &n));
    s->params.seed = (uint64_t)n;
    return TH_OK;
}

static th_status set_count(th_scene_spec *s, const char *value) {
    return read_number("count", value, 1, COUNT_MAX, &s->count);
}

static th_status set_offset(th_scene_spec *s, const char *value) {
    return read_number("offset", value, 0, COUNT_MAX, &s->offset);
}

/* "2" or "0-3" */
static th_status set_garments(th_scene_spec *s, const char *value) {
    bool one = value[0] >= '0' && value[0] <= '3';
    bool range = one && value[1] == '-' && value[2] >= value[0] && value[2] <= '3' && !value[3];
    if (!one || (value[1] && !range)) return fail_value("garments", value, "0 to 3, or a range such as 1-3");
    s->params.garments_min = value[0] - '0';
    s->params.garments_max = value[range ? 2 : 0] - '0';
    return TH_OK;
}

/* "0.5", or "0.6-0.15" for a share that falls as training goes on */
static th_status set_nouns(th_scene_spec *s, const char *value) {
    char first[16];
    double from, to;
    const char *dash = strchr(value, '-');
    int n = dash ? (int)(dash - value) : (int)strlen(value);
    snprintf(first, sizeof first, "%.*s", n, value);
    bool good = n < (int)sizeof first && th_parse_f64(first, &from) && from >= 0 && from <= 1;
    if (good && dash) good = th_parse_f64(dash + 1, &to) && to >= 0 && to <= 1;
    if (!good) return fail_value("nouns", value, "a share from 0 to 1, or two such as 0.6-0.15");
    s->params.noun_first = (float)from;
    s->params.noun_last = (float)(dash ? to : from);
    return TH_OK;
}

static th_status set_captions(th_scene_spec *s, const char *value) {
    if (strcmp(value, "full") != 0 && strcmp(value, "free") != 0) return fail_value("captions", value, "free or full");
    s->params.full_captions = value[1] == 'u';
    return TH_OK;
}

static th_status set_single(th_scene_spec *s, const char *value) {
    if (strcmp(value, "0") != 0 && strcmp(value, "1") != 0) return fail_value("single", value, "0 or 1");
    s->params.one_garment_each = *value == '1';
    return TH_OK;
}

static th_status set_class(th_scene_spec *s, const char *value) {
    for (int i = 0; i < th_scene_word_count; i++)
        if (th_scene_words[i].kind == TH_WORD_GARMENT && !strcmp(th_scene_words[i].text, value))
            return s->params.garment = th_scene_words[i].value, TH_OK;
    return fail_value("class", value, "a garment such as bag, dress or trousers");
}

static th_status set_subject(th_scene_spec *s, const char *value) {
    return read_number("subject", value, 0, INT32_MAX, &s->params.subject);
}

static th_status set_data(th_scene_spec *s, const char *value) {
    if (!*value) return fail_value("data", value, "a folder");
    memcpy(s->data_dir, value, strlen(value) + 1); /* the whole spec is below TH_PATH_MAX */
    return TH_OK;
}

static const struct {
    const char *name;
    th_status (*set)(th_scene_spec *s, const char *value);
} options[] = {{"split", set_split},       {"side", set_side},       {"seed", set_seed},         {"count", set_count},
               {"garments", set_garments}, {"offset", set_offset},   {"single", set_single},     {"nouns", set_nouns},
               {"class", set_class},       {"subject", set_subject}, {"captions", set_captions}, {"data", set_data}};
enum { OPTION_COUNT = sizeof options / sizeof *options };

static th_status fail_option(const char *name) {
    char shown[TH_SHOWN_MAX];
    th_guess near = {.word = name};
    for (int i = 0; i < OPTION_COUNT; i++) th_guess_offer(&near, options[i].name);
    th_shown(shown, name, strlen(name));
    if (near.best)
        return th_fail(TH_E_USAGE, TH_SCENES_NAME ": there is no '%s'; did you mean '%s'?", shown, near.best);
    return th_fail(TH_E_USAGE,
                   TH_SCENES_NAME ": there is no '%s' (there are: split, side, seed, count, garments, offset, single, "
                                  "nouns, class, subject, captions, data)",
                   shown);
}

/* "name=value"; `given` has a bit for each option seen. */
static th_status set_option(th_scene_spec *s, char *text, unsigned *given) {
    char *value = strchr(text, '=');
    if (!value) return fail_value(text, "", "given as name=value");
    *value++ = '\0';
    for (int i = 0; i < OPTION_COUNT; i++) {
        if (strcmp(text, options[i].name) != 0) continue;
        if (*given & 1u << i) return th_fail(TH_E_USAGE, TH_SCENES_NAME ": '%s' is given twice", text);
        *given |= 1u << i;
        return options[i].set(s, value);
    }
    return fail_option(text);
}

th_status th_scene_spec_parse(const char *spec, th_scene_spec *out) {
    char text[TH_PATH_MAX];
    unsigned given = 0;
    *out = (th_scene_spec){0};
    th_scenes_params_init(&out->params);
    size_t n = strlen(TH_SCENES_NAME);
    if (strlen(spec) >= sizeof text) return th_fail(TH_E_USAGE, TH_SCENES_NAME ": the text is too long");
    snprintf(text, sizeof text, "%s", spec[n] ? spec + n + 1 : "");
    for (char *save, *at = strtok_r(text, "&", &save); at; at = strtok_r(NULL, "&", &save))
        TH_TRY(set_option(out, at, &given));
    return TH_OK;
}

/* ---- the set */

static uint64_t number_of(const th_dataset *d, int64_t image) { return (uint64_t)(d->scene_spec->offset + image); }

bool th_dataset_scene_info(const th_dataset *d, int64_t image, th_scene_info *info) {
    th_scenes_render(d->scenes, number_of(d, image), NULL, info, NULL);
    return true;
}

/* Random captions are numbered by the epoch; the others, and those asked for without a moment, are variant 0. */
const char *th_dataset_scene_caption(const th_dataset *d, int64_t image, const th_moment *when, char *room) {
    th_scene_info info;
    th_scenes_render(d->scenes, number_of(d, image), NULL, &info, NULL);
    float share = th_scenes_noun_share(d->scenes, when ? when->progress : 1);
    th_scenes_caption(d->scenes, &info, when ? when->epoch : 0, share, room);
    return room;
}

static th_status draw_scene(th_dataset *d, th_dataset_reader *r, int64_t image, th_image *out) {
    (void)r;
    th_scene_info info;
    int side = th_scenes_side(d->scenes);
    TH_TRY(th_image_new(out, side, side));
    th_scenes_render(d->scenes, number_of(d, image), out->pixels, &info, NULL);
    return TH_OK;
}

static th_status hash_scene(const th_dataset *d, int64_t image, th_hash *h) {
    th_scene_info info;
    th_image im = {0};
    int side = th_scenes_side(d->scenes);
    TH_TRY(th_image_new(&im, side, side));
    th_scenes_render(d->scenes, number_of(d, image), im.pixels, &info, NULL);
    th_hash_add(h, im.pixels, th_image_bytes(&im));
    th_image_free(&im);
    return TH_OK;
}

static void close_scenes(th_dataset *d) {
    th_scenes_close(d->scenes);
    th_free(d->scene_spec);
}

const th_dataset_source th_source_scenes = {
    .name = "fashion scenes", .read = draw_scene, .hash = hash_scene, .close = close_scenes};

th_status th_dataset_open_scenes(th_gather *g, const char *spec) {
    th_dataset *d = g->d;
    d->source = &th_source_scenes;
    th_scene_spec *s = d->scene_spec = th_alloc(1, sizeof *s);
    if (!s) return th_fail_memory();
    TH_TRY(th_scene_spec_parse(spec, s));
    s->params.data_dir = *s->data_dir ? s->data_dir : NULL;
    TH_TRY(th_scenes_open(&s->params, &d->scenes));
    d->source_images = s->count ? s->count : th_scenes_garment_count(d->scenes);
    if (s->params.one_garment_each) d->classes = TH_GARMENT_COUNT;
    return TH_OK;
}
