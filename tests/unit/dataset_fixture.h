/* For tests of data sets: pictures and tables made on the spot, and what is read from them again. */
#ifndef TH_TEST_DATASET_FIXTURE_H
#define TH_TEST_DATASET_FIXTURE_H

#include "test.h"

#include "base/file.h"
#include "data/dataset.h"

static inline void put_text(const char *path, const char *text) {
    assert_ok(th_make_parents(path));
    assert_ok(th_file_write(path, text, strlen(text)));
}

/* A picture of 4 by 3 pixels that is `level` all over; PNG keeps it. */
static inline void put_picture(const char *path, int level) {
    th_image im = {0};
    assert_ok(th_make_parents(path));
    assert_ok(th_image_new(&im, 4, 3));
    memset(im.pixels, level, th_image_bytes(&im));
    assert_ok(th_image_write(path, &im, 90));
    th_image_free(&im);
}

static inline th_dataset *open_with(const char *spec, const th_dataset_params *p) {
    th_dataset *d;
    assert_ok(th_dataset_open(spec, p, NULL, &d));
    return d;
}

static inline void open_fails(const char *spec, const th_dataset_params *p, th_status status, const char *text) {
    th_dataset *d;
    assert_fails(th_dataset_open(spec, p, NULL, &d), status, text);
}

/* The level of a sample's picture. */
static inline int level_of(th_dataset *d, int64_t sample) {
    th_dataset_reader *r;
    th_image im = {0};
    assert_ok(th_dataset_reader_new(NULL, &r));
    assert_ok(th_dataset_read(d, r, sample, &im, &sample));
    int level = im.pixels[0];
    th_image_free(&im);
    th_dataset_reader_free(r);
    return level;
}

static inline void read_fails(th_dataset *d, int64_t sample, th_status status, const char *text) {
    th_dataset_reader *r;
    th_image im = {0};
    int64_t used;
    assert_ok(th_dataset_reader_new(NULL, &r));
    assert_fails(th_dataset_read(d, r, sample, &im, &used), status, text);
    th_image_free(&im);
    th_dataset_reader_free(r);
}

static inline void assert_caption(th_dataset *d, int64_t sample, const char *want) {
    char own[TH_DATASET_ROOM];
    const char *got = th_dataset_caption(d, sample, NULL, own);
    assert_non_null(got);
    assert_string_equal(got, want);
}

#endif
