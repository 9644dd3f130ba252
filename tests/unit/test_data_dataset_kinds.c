/* Data sets of shards, IDX files and scenes, and what holds for every kind: bad pictures, threads, the hash. */
#include "dataset_fixture.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/memory.h"
#include "data/dataset_parts.h"
#include "format/tar.h"

#define ROOT "dataset_test"

static char room[TH_DATASET_ROOM];

static int set_up(void **state) {
    (void)state;
    th_remove_tree(ROOT);
    return th_make_dirs(ROOT) == TH_OK ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    return th_remove_tree(ROOT) == TH_OK ? 0 : -1;
}

/* ---- shards */

typedef struct {
    const char *key;
    int level; /* −1: no picture */
    const char *txt, *json, *cls;
} shard_sample;

static void put_shard(const char *prefix, const shard_sample *samples, int count) {
    th_tar_writer_params p;
    th_tar_writer_params_init(&p, prefix);
    p.samples_max = 3;
    th_tar_writer *w;
    assert_ok(th_tar_writer_open(&p, &w));
    for (int i = 0; i < count; i++) {
        const shard_sample *s = &samples[i];
        th_tar_file files[4];
        int n = 0;
        th_image im = {0};
        th_bytes png = {0};
        if (s->level >= 0) {
            assert_ok(th_image_new(&im, 5, 2));
            memset(im.pixels, s->level, th_image_bytes(&im));
            assert_ok(th_image_encode_png(&im, NULL, 0, &png));
            files[n++] = (th_tar_file){"png", png.data, png.length};
        }
        if (s->txt) files[n++] = (th_tar_file){"txt", s->txt, strlen(s->txt)};
        if (s->json) files[n++] = (th_tar_file){"json", s->json, strlen(s->json)};
        if (s->cls) files[n++] = (th_tar_file){"cls", s->cls, strlen(s->cls)};
        assert_ok(th_tar_writer_add(w, &(th_tar_sample){s->key, files, n}));
        th_free(png.data);
        th_image_free(&im);
    }
    assert_ok(th_tar_writer_close(w, NULL));
}

static void shards_give_samples_in_any_order(void **state) {
    (void)state;
    static const shard_sample samples[] = {
        {"000", 60, "first\n", "{\"captions\": [\"first\", \"second\"]}", "4"},
        {"001", 61, NULL, "{\"caption\": \"from json\", \"width\": 5}", "0"},
        {"002", 62, "third", NULL, "1"},
        {"003", 63, NULL, "{\"text\": [\"x\", \"y\", \"\"]}", "1"},
    };
    put_shard(ROOT "/s", samples, 4);
    static const char *const specs[] = {ROOT "/s-{000000..000001}.tar", ROOT "/s-*.tar", ROOT "/s-00000?.tar"};
    for (int k = 0; k < 3; k++) {
        th_dataset *d = open_with(specs[k], NULL);
        assert_string_equal(th_dataset_kind(d), "shards");
        assert_int_equal(th_dataset_images(d), 4);
        assert_int_equal(th_dataset_count(d), 6);
        static const char *const captions[] = {"first", "second", "from json", "third", "x", "y"};
        for (int i = 5; i >= 0; i--) {
            assert_caption(d, i, captions[i]);
            assert_int_equal(level_of(d, i), 60 + th_dataset_image(d, i));
        }
        assert_string_equal(th_dataset_key(d, 3, room), "003");
        assert_int_equal(th_dataset_label(d, 0), 4);
        assert_int_equal(th_dataset_classes(d), 5);
        th_dataset_close(d);
    }
    th_dataset_params p;
    th_dataset_params_init(&p);
    p.captions = TH_CAPTIONS_FIRST;
    th_dataset *d = open_with(ROOT "/s-000000.tar", &p);
    assert_int_equal(th_dataset_count(d), 3);
    assert_caption(d, 1, "from json");
    th_dataset_close(d);
}

static void folder_of_shards_is_read(void **state) {
    (void)state;
    static const shard_sample samples[] = {{"a", 70, "x", NULL, NULL}, {"b", 71, "y", NULL, NULL}};
    assert_ok(th_make_dirs(ROOT "/shards"));
    put_shard(ROOT "/shards/p", samples, 2);
    th_dataset *d = open_with(ROOT "/shards", NULL);
    assert_int_equal(th_dataset_count(d), 2);
    assert_int_equal(level_of(d, 1), 71);
    th_dataset_close(d);
}

static void folders_in_keys_are_classes_where_nothing_else_is_said(void **state) {
    (void)state;
    static const shard_sample samples[] = {
        {"n2/x", 1, NULL, NULL, NULL}, {"n2/y", 2, NULL, NULL, NULL}, {"n10/z", 3, NULL, NULL, NULL}};
    put_shard(ROOT "/c", samples, 3);
    th_dataset *d = open_with(ROOT "/c-000000.tar", NULL);
    assert_int_equal(th_dataset_classes(d), 2);
    assert_string_equal(th_dataset_class_name(d, 0), "n10");
    assert_int_equal(th_dataset_label(d, 1), 1);
    assert_caption(d, 2, "n10");
    th_dataset_close(d);
    put_shard(ROOT "/c", samples, 2);
    d = open_with(ROOT "/c-000000.tar", NULL); /* one folder is no class */
    assert_int_equal(th_dataset_classes(d), 0);
    assert_null(th_dataset_caption(d, 0, NULL, room));
    th_dataset_close(d);
}

static void broken_samples_are_refused_or_counted(void **state) {
    (void)state;
    static const shard_sample samples[] = {{"000", 80, "a", NULL, NULL},
                                           {"001", -1, "b", NULL, NULL},
                                           {"002", 82, NULL, "{\"caption\": 5}", NULL},
                                           {"003", 83, NULL, "{\"caption\":", NULL},
                                           {"004", 84, NULL, NULL, NULL},
                                           {"005", 85, "f", NULL, ""},
                                           {"006", 86, "g", NULL, "2"}};
    static const char *const messages[] = {
        "b-000000.tar: '001' has no picture", "b-000000.tar: '002.json': field 'caption' should be a string",
        "b-000000.tar: '003.json': line 1", "'004' has no caption, and 1 of 2 have one", "'005' has an empty .cls"};
    for (int i = 0; i < 5; i++) {
        shard_sample two[] = {samples[0], samples[i + 1]};
        put_shard(ROOT "/b", two, 2);
        open_fails(ROOT "/b-000000.tar", NULL, TH_E_INPUT, messages[i]);
    }
    put_shard(ROOT "/b", samples, 7);
    th_dataset_params p;
    th_dataset_params_init(&p);
    p.skip_bad = true;
    th_dataset *d = open_with(ROOT "/b-*.tar", &p);
    char message[TH_MESSAGE_MAX];
    assert_int_equal(th_dataset_count(d), 2);
    assert_int_equal(level_of(d, 1), 86);
    assert_caption(d, 1, "g");
    assert_int_equal(th_dataset_label(d, 0), -1);
    assert_int_equal(th_dataset_label(d, 1), 2);
    assert_int_equal(th_dataset_skipped(d, message), 5);
    assert_non_null(strstr(message, "'001' has no picture"));
    th_dataset_close(d);
}

static void picture_errors_name_shard_and_key(void **state) {
    (void)state;
    static const shard_sample samples[] = {{"dir/000", 80, "a", NULL, NULL}};
    put_shard(ROOT "/e", samples, 1);
    th_bytes file;
    assert_ok(th_file_read(ROOT "/e-000000.tar", 1 << 20, &file));
    char *inside = memmem(file.data, file.length, "IDAT", 4);
    assert_non_null(inside);
    inside[6] ^= 0x55;
    assert_ok(th_file_write(ROOT "/e-000000.tar", file.data, file.length));
    th_dataset *d = open_with(ROOT "/e-000000.tar", NULL);
    read_fails(d, 0, TH_E_INPUT, "e-000000.tar: 'dir/000': PNG:");
    read_fails(d, 1, TH_E_BUG, "sample 1 of 1");
    th_dataset_close(d);
    d = open_with(ROOT "/e-000000.tar", NULL);
    assert_int_equal(truncate(ROOT "/e-000000.tar", inside - file.data), 0);
    read_fails(d, 0, TH_E_INPUT, "has become shorter");
    th_dataset_close(d);
    th_free(file.data);
}

/* ---- skipping when reading */

static void make_holes(void) {
    char text[400] = "image\tcaption\n";
    for (int i = 0; i < 10; i++) {
        char path[100];
        snprintf(path, sizeof path, ROOT "/holes/%d.png", i);
        if (i == 2 || i == 3 || i == 9)
            put_text(path, "no picture");
        else if (i != 5)
            put_picture(path, 100 + i);
        snprintf(text + strlen(text), 40, "%d.png\tcaption %d\n", i, i);
    }
    put_text(ROOT "/holes/pairs.tsv", text);
}

static void bad_pictures_are_replaced_by_the_next_good_ones(void **state) {
    (void)state;
    static const int used[] = {0, 1, 4, 4, 4, 6, 6, 7, 8, 0};
    make_holes();
    th_dataset_params p;
    th_dataset_params_init(&p);
    p.skip_bad = true;
    th_dataset *d = open_with(ROOT "/holes", &p);
    th_dataset_reader *r;
    assert_ok(th_dataset_reader_new(NULL, &r));
    th_image im = {0};
    char message[TH_MESSAGE_MAX];
    for (int round = 0; round < 2; round++)
        for (int i = 9; i >= 0; i--) {
            int64_t at = -1;
            assert_ok(th_dataset_read(d, r, i, &im, &at));
            assert_int_equal(at, used[i]);
            assert_int_equal(im.pixels[0], 100 + used[i]);
        }
    assert_int_equal(th_dataset_skipped(d, message), 4);
    assert_non_null(strstr(message, "2.png: is neither JPEG, PNG nor WebP"));
    assert_fails(th_dataset_read(d, r, 0, &im, NULL), TH_E_BUG, "sample 0");
    th_dataset_close(d);
    d = open_with(ROOT "/holes", NULL);
    read_fails(d, 3, TH_E_INPUT, "holes/3.png: is neither");
    read_fails(d, 5, TH_E_IO, "holes/5.png");
    th_dataset_close(d);
    static const int64_t bad[] = {2, 5};
    p.indices = bad, p.index_count = 2;
    d = open_with(ROOT "/holes", &p);
    read_fails(d, 1, TH_E_INPUT, "holes/pairs.tsv: none of its pictures can be read; " ROOT "/holes/2.png: is neither");
    th_dataset_close(d);
    th_dataset_reader_free(r);
    th_image_free(&im);
}

/* Threads that read at once get what one thread gets; the count is each bad picture's once. */
typedef struct {
    th_dataset *d;
    int from, wrong;
} reading;

static void *read_all(void *argument) {
    static const int used[] = {0, 1, 4, 4, 4, 6, 6, 7, 8, 0};
    reading *t = argument;
    th_dataset_reader *r;
    th_image im = {0};
    if (th_dataset_reader_new(NULL, &r) != TH_OK) return t->wrong = 1, NULL;
    for (int i = 0; i < 100; i++) {
        int want = (i * 3 + t->from) % 10;
        int64_t at;
        if (th_dataset_read(t->d, r, want, &im, &at) != TH_OK || at != used[want] || im.pixels[0] != 100 + used[want])
            t->wrong = 1;
    }
    th_image_free(&im);
    th_dataset_reader_free(r);
    return NULL;
}

static void reading_is_safe_for_threads(void **state) {
    (void)state;
    make_holes();
    th_dataset_params p;
    th_dataset_params_init(&p);
    p.skip_bad = true;
    th_dataset *d = open_with(ROOT "/holes", &p);
    pthread_t threads[3];
    reading readings[3];
    for (int t = 0; t < 3; t++) {
        readings[t] = (reading){d, t * 3, 0};
        assert_int_equal(pthread_create(&threads[t], NULL, read_all, &readings[t]), 0);
    }
    for (int t = 0; t < 3; t++) {
        pthread_join(threads[t], NULL);
        assert_int_equal(readings[t].wrong, 0);
    }
    assert_int_equal(th_dataset_skipped(d, NULL), 4);
    th_dataset_close(d);
}

static void *read_shards(void *argument) {
    reading *t = argument;
    th_dataset_reader *r;
    th_image im = {0};
    if (th_dataset_reader_new(NULL, &r) != TH_OK) return t->wrong = 1, NULL;
    for (int i = 0; i < 60; i++) {
        int want = (i * 5 + t->from) % 12;
        if (th_dataset_read(t->d, r, want, &im, NULL) != TH_OK || im.pixels[0] != want) t->wrong = 1;
    }
    th_image_free(&im);
    th_dataset_reader_free(r);
    return NULL;
}

/* They open the shards at once, too. */
static void shards_are_safe_for_threads(void **state) {
    (void)state;
    shard_sample samples[12];
    char keys[12][8];
    for (int i = 0; i < 12; i++) {
        snprintf(keys[i], sizeof keys[i], "k%d", i);
        samples[i] = (shard_sample){keys[i], i, "x", NULL, NULL};
    }
    put_shard(ROOT "/threads", samples, 12);
    th_dataset *d = open_with(ROOT "/threads-*.tar", NULL);
    pthread_t threads[3];
    reading readings[3];
    for (int t = 0; t < 3; t++) {
        readings[t] = (reading){d, t, 0};
        assert_int_equal(pthread_create(&threads[t], NULL, read_shards, &readings[t]), 0);
    }
    for (int t = 0; t < 3; t++) {
        pthread_join(threads[t], NULL);
        assert_int_equal(readings[t].wrong, 0);
    }
    th_dataset_close(d);
}

/* ---- IDX */

static void put_idx(const char *path, const uint8_t *header, size_t n, int items) {
    uint8_t bytes[200];
    memcpy(bytes, header, n);
    for (int i = 0; i < items; i++) bytes[n + (size_t)i] = (uint8_t)i;
    assert_ok(th_file_write(path, bytes, n + (size_t)items));
}

static void idx_pictures_find_their_labels(void **state) {
    (void)state;
    static const uint8_t pictures[] = {0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4};
    static const uint8_t colour[] = {0, 0, 8, 4, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 3};
    static const uint8_t labels[] = {0, 0, 8, 1, 0, 0, 0, 2}, wrong[] = {0, 0, 8, 1, 0, 0, 0, 3};
    static const uint8_t flat[] = {0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 12};
    put_idx(ROOT "/my-images-idx3-ubyte", pictures, sizeof pictures, 24);
    th_dataset *d = open_with(ROOT "/my-images-idx3-ubyte", NULL);
    assert_string_equal(th_dataset_kind(d), "IDX file");
    assert_int_equal(th_dataset_count(d), 2);
    assert_int_equal(th_dataset_label(d, 0), -1);
    assert_null(th_dataset_caption(d, 0, NULL, room));
    assert_string_equal(th_dataset_key(d, 1, room), "1");
    th_dataset_reader *r;
    th_image im = {0};
    assert_ok(th_dataset_reader_new(NULL, &r));
    assert_ok(th_dataset_read(d, r, 1, &im, NULL));
    assert_true(im.width == 4 && im.height == 3);
    for (int i = 0; i < 36; i++) assert_int_equal(im.pixels[i], 12 + i / 3);
    th_dataset_close(d);
    put_idx(ROOT "/my-labels-idx1-ubyte", labels, sizeof labels, 2);
    d = open_with(ROOT "/my-images-idx3-ubyte", NULL);
    assert_int_equal(th_dataset_label(d, 1), 1);
    assert_int_equal(th_dataset_classes(d), 2);
    th_dataset_close(d);
    put_idx(ROOT "/my-labels-idx1-ubyte", wrong, sizeof wrong, 3);
    open_fails(ROOT "/my-images-idx3-ubyte", NULL, TH_E_INPUT, "my-labels-idx1-ubyte: holds 3 labels");
    put_idx(ROOT "/plain", colour, sizeof colour, 24);
    d = open_with(ROOT "/plain", NULL);
    assert_ok(th_dataset_read(d, r, 1, &im, NULL));
    assert_true(im.width == 4 && im.height == 1 && im.pixels[5] == 17);
    th_dataset_close(d);
    put_idx(ROOT "/flat-idx2-ubyte", flat, sizeof flat, 24);
    open_fails(ROOT "/flat-idx2-ubyte", NULL, TH_E_INPUT, "should hold bytes of [n, height, width]");
    th_dataset_reader_free(r);
    th_image_free(&im);
}

/* ---- scenes */

static bool has_garments(void) { return th_path_is_dir(TH_SCENE_DATA_DIR); }

static void scenes_are_chosen_by_their_text(void **state) {
    (void)state;
    if (!has_garments()) {
        print_message("skipped: dataset-fashion-mnist is not installed\n");
        skip();
    }
    th_dataset *d = open_with("fashion-scenes?split=validation&side=32&seed=7&count=40&garments=2-3&offset=100", NULL);
    assert_int_equal(th_dataset_count(d), 40);
    assert_string_equal(th_dataset_key(d, 3, room), "103");
    assert_int_equal(th_dataset_classes(d), 0);
    assert_int_equal(th_dataset_label(d, 0), -1);
    th_scenes_params sp;
    th_scenes_params_init(&sp);
    sp.split = TH_SCENE_VALIDATION, sp.side = 32, sp.seed = 7, sp.garments_min = 2;
    th_scenes *s;
    assert_ok(th_scenes_open(&sp, &s));
    uint8_t rgb[32 * 32 * 3];
    char caption[TH_SCENE_CAPTION_MAX];
    th_scene_info info, ours;
    th_scenes_render(s, 105, rgb, &info, caption);
    assert_caption(d, 5, caption);
    assert_true(th_dataset_scene(d, 5, &ours));
    assert_int_equal(ours.count, info.count);
    assert_true(ours.count >= 2);
    th_dataset_reader *r;
    th_image im = {0};
    assert_ok(th_dataset_reader_new(NULL, &r));
    assert_ok(th_dataset_read(d, r, 5, &im, NULL));
    assert_memory_equal(im.pixels, rgb, sizeof rgb);
    th_dataset_close(d);
    th_dataset_params p;
    th_dataset_params_init(&p);
    p.captions = TH_CAPTIONS_RANDOM, p.offset = 5, p.limit = 1;
    d = open_with("fashion-scenes?split=validation&side=32&seed=7&count=40&garments=2-3&offset=100", &p);
    th_scenes_caption(s, &info, 9, th_scenes_noun_share(s, 0.1f), caption);
    assert_string_equal(th_dataset_caption(d, 0, &(th_moment){9, 0.1f}, room), caption);
    th_dataset_close(d);
    th_scenes_close(s);
    th_dataset_reader_free(r);
    th_image_free(&im);
    d = open_with("fashion-scenes?split=test&single=1&side=28", NULL);
    assert_int_equal(th_dataset_count(d), 10000);
    assert_int_equal(th_dataset_classes(d), TH_GARMENT_COUNT);
    assert_string_equal(th_dataset_class_name(d, TH_GARMENT_BAG), "a bag");
    assert_true(th_dataset_scene(d, 77, &info));
    assert_int_equal(th_dataset_label(d, 77), info.garments[0].garment);
    th_dataset_close(d);
}

static void wrong_scene_options_are_refused_by_name(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"fashion-scenes?sides=3", "there is no 'sides'; did you mean 'side'?"},
        {"fashion-scenes?x=3", "there is no 'x' (there are: split, side"},
        {"fashion-scenes?side", "side=: should be given as name=value"},
        {"fashion-scenes?side=8", "side=8: should be a number from 16 to 256"},
        {"fashion-scenes?side=9x", "side=9x: should be a number"},
        {"fashion-scenes?split=val", "split=val: should be train, validation or test"},
        {"fashion-scenes?garments=4", "garments=4: should be 0 to 3"},
        {"fashion-scenes?nouns=1.5", "nouns=1.5: should be a share"},
        {"fashion-scenes?nouns=0.5-", "nouns=0.5-: should be"},
        {"fashion-scenes?nouns=-0.5", "nouns=-0.5: should be"},
        {"fashion-scenes?garments=3-2", "garments=3-2: should be"},
        {"fashion-scenes?garments=1-33", "garments=1-33: should be"},
        {"fashion-scenes?count=0", "count=0: should be a number from 1"},
        {"fashion-scenes?offset=-1", "offset=-1: should be a number from 0"},
        {"fashion-scenes?single=yes", "single=yes: should be 0 or 1"},
        {"fashion-scenes?seed=1&seed=2", "'seed' is given twice"},
        {"fashion-scenes?data=", "data=: should be a folder"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) open_fails(cases[i][0], NULL, TH_E_USAGE, cases[i][1]);
    open_fails("fashion-scenes?data=/nowhere", NULL, TH_E_IO, "dataset-fashion-mnist");
    th_scene_spec s;
    assert_ok(th_scene_spec_parse("fashion-scenes?", &s));
    assert_ok(th_scene_spec_parse("fashion-scenes?nouns=0.5", &s));
    assert_true(s.params.noun_first == 0.5f && s.params.noun_last == 0.5f);
    assert_ok(th_scene_spec_parse("fashion-scenes?nouns=1-0.25", &s));
    assert_true(s.params.noun_first == 1 && s.params.noun_last == 0.25f);
    assert_ok(th_scene_spec_parse("fashion-scenes?garments=2&data=a/b&seed=5", &s));
    assert_true(s.params.garments_min == 2 && s.params.garments_max == 2 && s.params.seed == 5);
    assert_string_equal(s.data_dir, "a/b");
    assert_false(th_scene_spec_is("fashion-scenes.tsv"));
}

/* ---- hash */

static void hash_of(const char *spec, const th_dataset_params *p, char out[TH_HASH_TEXT]) {
    th_dataset *d = open_with(spec, p);
    assert_ok(th_dataset_hash(d, NULL, out));
    th_dataset_close(d);
}

static void hash_is_that_of_the_chosen_content(void **state) {
    (void)state;
    static const char table[] = "image\tcaption\na.png\tone\nb.png\ttwo\nc.png\tthree\n";
    char first[TH_HASH_TEXT], second[TH_HASH_TEXT];
    for (int i = 0; i < 2; i++) {
        put_text(i ? ROOT "/hash1/pairs.tsv" : ROOT "/hash2/pairs.tsv", table);
        put_picture(i ? ROOT "/hash1/a.png" : ROOT "/hash2/a.png", 1);
        put_picture(i ? ROOT "/hash1/b.png" : ROOT "/hash2/b.png", 2);
        put_picture(i ? ROOT "/hash1/c.png" : ROOT "/hash2/c.png", 3);
    }
    hash_of(ROOT "/hash1", NULL, first);
    hash_of(ROOT "/hash2/pairs.tsv", NULL, second);
    assert_string_equal(first, second);
    th_dataset_params p;
    th_dataset_params_init(&p);
    p.limit = 2;
    hash_of(ROOT "/hash1", &p, second);
    assert_string_not_equal(first, second);
    put_text(ROOT "/hash2/pairs.tsv", "image\tcaption\na.png\tone\nb.png\ttwo\nc.png\t3\n");
    hash_of(ROOT "/hash2", &p, first); /* what is not chosen does not count */
    assert_string_equal(first, second);
    put_text(ROOT "/hash2/b.png", "other");
    hash_of(ROOT "/hash2", &p, first);
    assert_string_not_equal(first, second);
    unlink(ROOT "/hash2/b.png");
    th_dataset *d = open_with(ROOT "/hash2", &p);
    assert_fails(th_dataset_hash(d, NULL, first), TH_E_IO, "hash2/b.png");
    th_dataset_close(d);
    p.skip_bad = true;
    hash_of(ROOT "/hash2", &p, first);
    if (!has_garments()) return;
    hash_of("fashion-scenes?split=test&count=50", NULL, first);
    hash_of("fashion-scenes?count=50&split=test", NULL, second);
    assert_string_equal(first, second);
    hash_of("fashion-scenes?count=50&split=test&seed=1", NULL, second);
    assert_string_not_equal(first, second);
}

static void stop_is_seen_when_opening(void **state) {
    (void)state;
    static const shard_sample samples[] = {{"a", 70, "x", NULL, NULL}};
    volatile sig_atomic_t stop = 1;
    th_watch w = {.stop = &stop};
    th_dataset *d;
    put_shard(ROOT "/stop", samples, 1);
    put_picture(ROOT "/stopped/a.png", 1);
    put_picture(ROOT "/stopping/k/a.png", 1);
    assert_fails(th_dataset_open(ROOT "/stop-000000.tar", NULL, &w, &d), TH_E_INTERRUPTED, "stopped");
    assert_fails(th_dataset_open(ROOT "/stopped", NULL, &w, &d), TH_E_INTERRUPTED, "stopped");
    assert_fails(th_dataset_open(ROOT "/stopping", NULL, &w, &d), TH_E_INTERRUPTED, "stopped");
}

static void no_failed_allocation_leaks(void **state) {
    (void)state;
    static const shard_sample samples[] = {{"n/a", 1, "x", "{\"caption\": [\"y\"]}", "c"}, {"m/b", 2, "z", NULL, "d"}};
    static const uint8_t pictures[] = {0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 2};
    put_shard(ROOT "/leak", samples, 2);
    put_text(ROOT "/leak.tsv", "image\tcaption\tlabel\nx\t['a', 'b']\tu\ny\tc\tv\nx\td\tu\n");
    put_picture(ROOT "/leaks/k/a.png", 1);
    put_picture(ROOT "/leaky/a.png", 1);
    put_text(ROOT "/leaky/a.txt", "a");
    put_idx(ROOT "/leak-images-idx3-ubyte", pictures, sizeof pictures, 4);
    static const char *const specs[] = {ROOT "/leak-*.tar", ROOT "/leak.tsv", ROOT "/leaks", ROOT "/leaky",
                                        ROOT "/leak-images-idx3-ubyte"};
    th_dataset_params p;
    th_dataset_params_init(&p);
    static const int64_t all[] = {0};
    p.indices = all, p.index_count = 1, p.skip_bad = true;
    for (int i = 0; i < 5; i++) {
        size_t before = th_bytes_in_use();
        th_status s = TH_E_MEMORY;
        for (int n = 1; s != TH_OK; n++) {
            th_dataset *d = NULL;
            th_alloc_fail_at(n, false);
            s = th_dataset_open(specs[i], &p, NULL, &d);
            th_alloc_fail_at(0, false);
            if (s == TH_OK) th_dataset_close(d);
            if (s != TH_OK && s != TH_E_MEMORY) fail_msg("%s: allocation %d: %s", specs[i], n, th_error_message());
            assert_int_equal(th_bytes_in_use(), before);
        }
    }
}

/* ---- the data set beside the checkout */

static void flickr_is_read_where_it_is(void **state) {
    (void)state;
    if (!th_path_is_dir(TH_SHARED "/data/flickr8k")) {
        print_message("skipped: the shared data are not here\n");
        skip();
    }
    th_dataset_params p;
    th_dataset_params_init(&p);
    th_dataset *d = open_with(TH_SHARED "/data/flickr8k/flickr8k-{000000..000006}.tar", NULL);
    assert_int_equal(th_dataset_images(d), 7091);
    assert_int_equal(th_dataset_count(d), 5 * 7091);
    th_dataset_reader *r;
    th_image im = {0};
    assert_ok(th_dataset_reader_new(NULL, &r));
    for (int64_t i = 0; i < th_dataset_count(d); i += 997) {
        assert_ok(th_dataset_read(d, r, i, &im, NULL));
        assert_true(im.width == 128 && im.height == 128);
    }
    th_dataset_close(d);
    d = open_with(TH_SHARED "/data/flickr8k/sample", NULL);
    assert_string_equal(th_dataset_kind(d), "table");
    assert_ok(th_dataset_read(d, r, 0, &im, NULL));
    th_dataset_close(d);
    d = open_with(TH_SHARED "/data/dreambooth", NULL);
    assert_int_equal(th_dataset_classes(d), 20);
    th_dataset_close(d);
    d = open_with(TH_SHARED "/data/miniimagenet/val.tar", NULL);
    assert_int_equal(th_dataset_classes(d), 16);
    assert_int_equal(th_dataset_count(d), 1600);
    th_dataset_close(d);
    th_dataset_reader_free(r);
    th_image_free(&im);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shards_give_samples_in_any_order),
        cmocka_unit_test(folder_of_shards_is_read),
        cmocka_unit_test(folders_in_keys_are_classes_where_nothing_else_is_said),
        cmocka_unit_test(broken_samples_are_refused_or_counted),
        cmocka_unit_test(picture_errors_name_shard_and_key),
        cmocka_unit_test(bad_pictures_are_replaced_by_the_next_good_ones),
        cmocka_unit_test(reading_is_safe_for_threads),
        cmocka_unit_test(shards_are_safe_for_threads),
        cmocka_unit_test(idx_pictures_find_their_labels),
        cmocka_unit_test(scenes_are_chosen_by_their_text),
        cmocka_unit_test(wrong_scene_options_are_refused_by_name),
        cmocka_unit_test(hash_is_that_of_the_chosen_content),
        cmocka_unit_test(stop_is_seen_when_opening),
        cmocka_unit_test(no_failed_allocation_leaks),
        cmocka_unit_test(flickr_is_read_where_it_is),
    };
    return cmocka_run_group_tests_name("data sets of all kinds", tests, set_up, tear_down);
}
