/* What describes a data set: tables of pictures, lists of captions, the JSON of a sample, the options of scenes, and
 * configurations of preprocessing. The first byte chooses which, the rest is the text. No file is opened. */
#include <string.h>

#include "data/dataset_parts.h"
#include "data/preprocess.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile size_t sum;

static void use_set(th_dataset *d, int64_t limit) {
    char room[TH_DATASET_ROOM];
    int64_t n = th_dataset_count(d), images = th_dataset_images(d);
    if (n < 1 || images < 1 || (limit && images > limit)) __builtin_trap();
    for (int64_t i = 0; i < n; i++) {
        int64_t image = th_dataset_image(d, i);
        if (image < 0 || image >= images || th_dataset_sample(d, image) > i) __builtin_trap();
        th_moment when = {.epoch = (uint32_t)i};
        const char *caption = th_dataset_caption(d, i, &when, room);
        sum = sum + strlen(th_dataset_key(d, image, room)) + (caption ? strlen(caption) : 0);
    }
    for (int64_t i = 0; i < images; i++) {
        int32_t label = th_dataset_label(d, i);
        if (label < -1 || label >= th_dataset_classes(d)) __builtin_trap();
        const char *name = label >= 0 ? th_dataset_class_name(d, label) : NULL;
        sum = sum + (name ? strlen(name) : 0);
        for (int64_t k = 0; k < th_dataset_captions(d, i); k++)
            sum = sum + strlen(th_dataset_caption_of(d, i, k, room));
    }
}

static void fuzz_table(uint8_t how, const uint8_t *data, size_t size) {
    th_dataset_params p;
    th_dataset_params_init(&p);
    p.captions = (th_captions)(how % 3);
    p.skip_bad = how & 4;
    p.plain_quotes = how & 8;
    p.offset = how & 16 ? 1 : 0;
    p.stride = how & 32 ? 2 : 1;
    p.limit = how & 64 ? 3 : 0;
    th_dataset *d;
    if (th_dataset_parse_table(how & 128 ? "x.csv" : "x.tsv", data, size, &p, &d) != TH_OK) return;
    use_set(d, p.limit);
    th_dataset_close(d);
}

static th_status take(void *context, const char *item) {
    (void)context;
    sum = sum + strlen(item);
    return TH_OK;
}

static void fuzz_list(const char *text) {
    char *copy = th_strdup(text);
    th_status s;
    if (copy && !th_caption_list(copy, take, NULL, &s) && strcmp(copy, text) != 0) __builtin_trap();
    th_free(copy);
}

/* A set of one picture, whose captions are those of the JSON. */
static th_status fill(th_gather *g, const void *what) {
    const th_json *j = what;
    g->d->source = &th_source_table;
    TH_TRY(th_gather_image(g, "x"));
    TH_TRY(th_dataset_json_captions(g, 0, j, "known"));
    return th_gather_finish(g, false);
}

static void fuzz_json(const char *text, size_t n) {
    th_json j;
    th_dataset *d;
    if (th_json_parse("x.json", text, n, &j) != TH_OK) return;
    if (th_dataset_make("x", NULL, NULL, fill, &j, &d) == TH_OK) {
        use_set(d, 0);
        th_dataset_close(d);
    }
    th_json_free(&j);
}

static void fuzz_scenes(const char *text) {
    static th_scene_spec s;
    if (!th_scene_spec_is(text)) return;
    if (th_scene_spec_parse(text, &s) == TH_OK && (s.offset < 0 || s.count < 0)) __builtin_trap();
}

static void fuzz_preprocess(const char *text, size_t n) {
    th_preprocess_params p;
    if (th_preprocess_parse("x.json", text, n, 0, &p) != TH_OK) return;
    if (p.crop_width < 1 || p.crop_height < 1 || !(p.std[0] > 0)) __builtin_trap();
    if (p.resize && p.shortest_side < 1 && (p.resize_width < 1 || p.resize_height < 1)) __builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2) return 0;
    char *text = th_strndup((const char *)data + 1, size - 1); /* up to a NUL */
    if (!text) return 0;
    switch (data[0] % 8) {
    case 0: fuzz_list(text); break;
    case 1: fuzz_json((const char *)data + 1, size - 1); break;
    case 2: fuzz_scenes(text); break;
    case 3: fuzz_preprocess((const char *)data + 1, size - 1); break;
    default: fuzz_table(data[1], data + 2, size - 2);
    }
    th_free(text);
    return 0;
}
