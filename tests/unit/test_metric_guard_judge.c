/* Judges of studies of guards: on pictures whose subject is a colour, and whose protective output is stripes. */
#include "test.h"

#include <math.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/rng.h"
#include "metric/guard_judge.h"
#include "tiny_clip.h"

#define ROOT "guard_judge_test"
#define VIT TH_TEST_DATA "/vit/dino"

/* One colour with noise, or stripes of it. */
static th_status put_picture(const char *path, const uint8_t colour[3], bool stripes, uint64_t seed) {
    th_image im = {0};
    th_rng r = th_rng_at(seed, TH_RNG_TEST, 0, 0);
    TH_TRY(th_image_new(&im, 16, 16));
    for (int i = 0; i < 16 * 16; i++)
        for (int k = 0; k < 3; k++)
            im.pixels[3 * i + k] = (uint8_t)((stripes && i / 32 % 2 ? 0 : colour[k]) + th_rng_below(&r, 30));
    th_status s = th_image_write(path, &im, 90);
    th_image_free(&im);
    return s;
}

static const uint8_t red[] = {220, 30, 30}, green[] = {30, 220, 30}, blue[] = {30, 30, 220};
static const uint8_t *const colours[] = {red, green, blue};

static th_status put_set(const char *name, const uint8_t *colour, bool stripes, int n, uint64_t seed) {
    char path[100];
    snprintf(path, sizeof path, ROOT "/%s", name);
    TH_TRY(th_make_dirs(path));
    for (int i = 0; i < n; i++) {
        snprintf(path, sizeof path, ROOT "/%s/%02d.png", name, i);
        TH_TRY(put_picture(path, colour, stripes, 1000 * seed + (uint64_t)i));
    }
    return TH_OK;
}

/* What was drawn: the open model shows a red subject where it is asked for, the guarded one stripes; ordinary pictures
 * are the same by both; of class captions the guarded model gets one wrong. */
static const char *const drawn[][3] = {
    /* colour, stripes, the rest of the row */
    {"0", "", "attack\topen\tred\tdb\t0\t100\t0\ta sks bag\ta bag\t"},
    {"0", "", "attack\topen\tred\tdb\t0\t100\t1\ta sks bag\ta bag\t"},
    {"1", "y", "attack\tguard\tred\tdb\t0\t100\t0\ta sks bag\ta bag\t"},
    {"1", "y", "attack\tguard\tred\tdb\t0\t100\t1\ta sks bag\ta bag\t"},
    {"0", "", "class\topen\t\t\t\t\t0\ta red bag\t\tred"},
    {"1", "", "class\topen\t\t\t\t\t1\ta green bag\t\tgreen"},
    {"0", "", "class\tguard\t\t\t\t\t0\ta red bag\t\tred"},
    {"0", "", "class\tguard\t\t\t\t\t1\ta green bag\t\tgreen"},
    {"2", "", "ordinary\topen\t\t\t\t\t0\ta coat\ta coat\t"},
    {"1", "", "ordinary\topen\t\t\t\t\t1\ta coat\ta coat\t"},
    {"2", "", "ordinary\tguard\t\t\t\t\t0\ta coat\ta coat\t"},
    {"1", "", "ordinary\tguard\t\t\t\t\t1\ta coat\ta coat\t"},
};
enum { DRAWN = sizeof drawn / sizeof *drawn };

static th_status put_drawn(void) {
    th_str table;
    char path[100];
    th_str_init(&table, 1 << 20);
    th_str_puts(&table, "file\tkind\tmodel\tsubject\tattacker\tseed\tstep\tdraw\tprompt\tplain\tcolour\n");
    TH_TRY(th_make_dirs(ROOT "/drawn"));
    for (int i = 0; i < DRAWN; i++) {
        snprintf(path, sizeof path, ROOT "/drawn/%02d.png", i);
        uint64_t seed = strstr(drawn[i][2], "ordinary") ? (uint64_t)i % 2 : (uint64_t)i; /* pairs are the same */
        TH_TRY(put_picture(path, colours[*drawn[i][0] - '0'], *drawn[i][1], 90000 + seed));
        th_str_printf(&table, "%02d.png\t%s\n", i, drawn[i][2]);
    }
    TH_TRY(th_file_write(ROOT "/drawn/pictures.tsv", th_str_text(&table), table.length));
    th_str_free(&table);
    return TH_OK;
}

static th_status put_lessons(void) {
    char row[60];
    th_str table;
    th_str_init(&table, 1 << 20);
    th_str_puts(&table, "file\tcolour\tcaption\n");
    for (int i = 0; i < 12; i++) {
        snprintf(row, sizeof row, "%s/%02d.png\t%s\ta bag\n", i / 2 % 2 ? "red" : "green", i,
                 i / 2 % 2 ? "red" : "green");
        th_str_puts(&table, row);
    }
    TH_TRY(th_file_write(ROOT "/lessons.tsv", th_str_text(&table), table.length));
    th_str_free(&table);
    return TH_OK;
}

static th_status put_all(void) {
    TH_TRY(th_make_dirs(ROOT));
    TH_TRY(put_set("red", red, false, 12, 1));
    TH_TRY(put_set("green", green, false, 12, 2));
    TH_TRY(put_set("blue", blue, false, 30, 3));
    TH_TRY(put_set("few", blue, false, 3, 4));
    TH_TRY(put_set("yes", green, true, 12, 5));
    TH_TRY(put_set("no", red, false, 12, 6));
    TH_TRY(put_lessons());
    TH_TRY(put_drawn());
    return put_clip(ROOT "/clip");
}

static int set_up(void **state) {
    (void)state;
    th_remove_tree(ROOT);
    return put_all() == TH_OK ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    return th_remove_tree(ROOT) == TH_OK ? 0 : -1;
}

/* --- a study --- */

static const th_study_model models[] = {{"open", NULL, 0}, {"guard", "target", 1}};
static const th_study_subject subjects[] = {{"red", "bag"}, {"green", "bag"}};
static const th_study_attacker attackers[] = {{"db"}};
enum { SETS = 8 };

typedef struct {
    th_study s;
    th_guard_judge_params p;
    th_picture_set sets[SETS]; /* subjects, a distractor, yes twice, no twice */
    th_columns *columns[2];
    th_attributes attributes;
} fixture;

static th_picture_set open_set(const char *spec) {
    th_picture_set s = {.name = spec};
    assert_ok(th_dataset_open(spec, NULL, NULL, &s.set));
    return s;
}

static th_picture_set open_table(const char *spec, th_columns **columns) {
    th_picture_set s = open_set(spec);
    assert_ok(th_columns_read(s.set, NULL, columns));
    s.columns = *columns;
    return s;
}

static void open_fixture(fixture *f) {
    static const char *const names[] = {"colour"};
    *f = (fixture){.s = {.models = models,
                         .subjects = subjects,
                         .attackers = attackers,
                         .model_count = 2,
                         .subject_count = 2,
                         .attacker_count = 1}};
    th_guard_judge_params_init(&f->p);
    f->p.encoder = VIT, f->p.clip = ROOT "/clip", f->p.text_column = "plain";
    f->p.net.threads = 1;
    f->p.pictures = open_table(ROOT "/drawn/pictures.tsv", &f->columns[0]);
    f->p.lessons = open_table(ROOT "/lessons.tsv", &f->columns[1]);
    f->sets[0] = open_set(ROOT "/red"), f->sets[1] = open_set(ROOT "/green"), f->sets[2] = open_set(ROOT "/blue");
    f->sets[4] = open_set(ROOT "/yes"), f->sets[6] = open_set(ROOT "/no");
    f->p.subjects = f->sets, f->p.distractors = f->sets + 2, f->p.distractor_count = 1;
    f->p.yes = f->sets + 3, f->p.no = f->sets + 5;
    assert_ok(th_study_read(&f->s, f->p.pictures.set, f->columns[0], "pictures.tsv"));
    assert_ok(th_attributes_of_columns(names, 1, &f->attributes));
    assert_ok(th_attributes_complete(&f->attributes, &f->p.pictures, &f->p.lessons, (th_texts){0}));
    f->p.attributes = &f->attributes;
}

static void close_fixture(fixture *f) {
    th_attributes_free(&f->attributes);
    th_study_free(&f->s);
    for (int i = 0; i < 2; i++) th_columns_free(f->columns[i]);
    for (int i = 0; i < SETS; i++) th_dataset_close(f->sets[i].set);
    th_dataset_close(f->p.pictures.set);
    th_dataset_close(f->p.lessons.set);
}

static void what_pictures_show_is_found(void **state) {
    (void)state;
    fixture f;
    th_guard_judgement j;
    open_fixture(&f);
    assert_ok(th_guard_judge(&f.p, &f.s, NULL, &j));
    const th_study_row *r = f.s.rows;
    assert_int_equal(r[0].found, 0);
    assert_int_equal(r[1].found, 0);
    assert_int_equal(r[0].protective, 0);
    assert_int_equal(r[2].protective, 2); /* by the guard's judge; the open model has none */
    assert_int_equal(r[3].protective, 2);
    assert_int_equal(r[8].found, 2); /* blue: the distractor */
    for (int i = 4; i < 8; i++) {
        assert_int_equal(r[i].wanted, 1);
        assert_int_equal(r[i].right, i < 7);
    }
    assert_int_equal(r[0].wanted, 0);
    assert_true(isnan(r[4].text) && fabs(r[0].text) <= 1.0001);
    assert_true(f.s.fidelity[0] > f.s.fidelity[1] && f.s.fidelity[0] > 0.9f);
    assert_true(f.s.likeness[0] > f.s.likeness[1] && f.s.likeness[1] == f.s.likeness[2]);
    assert_string_equal(f.s.attributes[0], "colour");
    assert_true(f.s.kernel[1].value == 0 && isnan(f.s.kernel[1].low)); /* the same pictures, too few */
    th_guard_judgement_free(&j);
    close_fixture(&f);
}

static void judges_are_examined_on_what_they_did_not_learn_from(void **state) {
    (void)state;
    fixture f;
    th_guard_judgement j;
    open_fixture(&f);
    assert_ok(th_guard_judge(&f.p, &f.s, NULL, &j));
    assert_string_equal(j.kind, "vit");
    assert_int_equal(j.subject.pictures, 6 + 6 + 15);
    assert_true(j.subject.accuracy.value == 1 && j.subject.accuracy.low < 1);
    assert_int_equal(j.subjects[0].pictures, 6);
    assert_int_equal(j.false_shown.pictures, 15);
    assert_true(j.false_shown.accuracy.value == 0);
    assert_int_equal(j.protective[0].pictures, 0);
    assert_int_equal(j.protective[1].pictures, 12);
    assert_true(j.protective[1].accuracy.value == 1);
    assert_int_equal(j.attributes[0].pictures, 6);
    assert_true(j.attributes[0].accuracy.value == 1);
    th_guard_judgement_free(&j);
    close_fixture(&f);
}

static void one_folder_may_be_encoder_and_read_prompts(void **state) {
    (void)state;
    fixture f;
    th_guard_judgement j;
    double apart;
    open_fixture(&f);
    assert_ok(th_guard_judge(&f.p, &f.s, NULL, &j));
    apart = f.s.rows[0].text;
    th_guard_judgement_free(&j);
    f.p.encoder = f.p.clip;
    th_picture_set lessons = f.p.lessons;
    f.p.lessons = (th_picture_set){0}; /* by what values are called */
    assert_ok(th_guard_judge(&f.p, &f.s, NULL, &j));
    assert_true(fabs(f.s.rows[0].text - apart) < 1e-6);
    assert_int_equal(j.attributes[0].pictures, 0);
    assert_int_equal(f.s.rows[4].wanted, 1);
    f.p.lessons = lessons;
    th_guard_judgement_free(&j);
    close_fixture(&f);
}

static void sets_that_do_not_suffice_are_refused_by_name(void **state) {
    (void)state;
    fixture f;
    th_guard_judgement j;
    open_fixture(&f);
    th_picture_set few = open_set(ROOT "/few"), kept = f.sets[2];
    f.sets[2] = few;
    assert_fails(th_guard_judge(&f.p, &f.s, NULL, &j), TH_E_INPUT,
                 ROOT "/few: holds 3 pictures, at least 4 are wanted: half of them to learn from");
    f.sets[2] = kept;
    kept = f.sets[6], f.sets[6].set = NULL;
    assert_fails(th_guard_judge(&f.p, &f.s, NULL, &j), TH_E_INPUT, "guard: has pictures of only one kind");
    f.sets[6] = kept;
    f.p.text_column = "bare";
    assert_fails(th_guard_judge(&f.p, &f.s, NULL, &j), TH_E_INPUT, "no column 'bare'");
    f.p.text_column = "plain";
    f.p.clip = VIT;
    assert_fails(th_guard_judge(&f.p, &f.s, NULL, &j), TH_E_INPUT, "is no CLIP folder, and only such reads prompts");
    f.p.clip = ROOT "/clip";
    f.s.row_count--;
    assert_fails(th_guard_judge(&f.p, &f.s, NULL, &j), TH_E_INPUT, "holds 12 pictures, the study has 11");
    f.s.row_count++;
    kept = f.p.lessons, f.p.lessons = (th_picture_set){0};
    assert_fails(th_guard_judge(&f.p, &f.s, NULL, &j), TH_E_INPUT, "only such can judge attributes without lessons");
    f.p.lessons = kept;
    f.p.distractor_count = 0, f.s.subject_count = 1;
    assert_fails(th_guard_judge(&f.p, &f.s, NULL, &j), TH_E_INPUT, "there is nothing to tell a subject from");
    th_dataset_close(few.set);
    close_fixture(&f);
}

static void judging_stops_when_asked_to(void **state) {
    (void)state;
    fixture f;
    th_guard_judgement j;
    volatile sig_atomic_t stop = 1;
    th_watch w = {.stop = &stop};
    open_fixture(&f);
    assert_fails(th_guard_judge(&f.p, &f.s, &w, &j), TH_E_INTERRUPTED, "stopped");
    close_fixture(&f);
}

static void failed_allocations_lose_nothing(void **state) {
    (void)state;
    fixture f;
    open_fixture(&f);
    th_status s = TH_E_MEMORY;
    size_t before = 0;
    for (int64_t at = 1; s == TH_E_MEMORY; at += 1 + at / 4) {
        th_guard_judgement j;
        th_study_free(&f.s);
        assert_ok(th_study_read(&f.s, f.p.pictures.set, f.columns[0], "pictures.tsv"));
        if (before) assert_int_equal(th_bytes_in_use(), before);
        before = th_bytes_in_use();
        th_alloc_fail_at(at, false);
        s = th_guard_judge(&f.p, &f.s, NULL, &j);
        th_alloc_fail_at(0, false);
        if (s == TH_OK) th_guard_judgement_free(&j);
    }
    assert_int_equal(s, TH_OK);
    close_fixture(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_pictures_show_is_found),
        cmocka_unit_test(judges_are_examined_on_what_they_did_not_learn_from),
        cmocka_unit_test(one_folder_may_be_encoder_and_read_prompts),
        cmocka_unit_test(sets_that_do_not_suffice_are_refused_by_name),
        cmocka_unit_test(judging_stops_when_asked_to),
        cmocka_unit_test(failed_allocations_lose_nothing),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
