/* Statistics of studies of guards, on rows made by hand. */
#include "test.h"

#include <math.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/rng.h"
#include "metric/guard_tally.h"

#define ROOT "guard_protocol_test"

static void near_to(double value, double want) {
    if (!(fabs(value - want) < 1e-9)) fail_msg("%.12g is not %.12g", value, want);
}

/* Two models, two attackers; bags 0, 1 (protected), 2 and a boot 3. */
static const th_study_model models[] = {{"open", NULL, 0}, {"guard", "target", 3}};
static const th_study_subject subjects[] = {{"a", "bag"}, {"b", "bag"}, {"c", "bag"}, {"d", "boot"}};
static const th_study_attacker attackers[] = {{"dreambooth"}, {"lora"}};
static const char *const groups[] = {"plain", "others"};
enum { SUBJECTS = 4, MOST = 4000, NOBODY = 9 };

typedef struct {
    th_study s;
    th_study_row rows[MOST];
    float fidelity[MOST * SUBJECTS], likeness[SUBJECTS * SUBJECTS];
    th_study_rules rules;
} fixture;

static fixture *new_fixture(void) {
    fixture *f = th_alloc(1, sizeof *f);
    assert_non_null(f);
    th_study_rules_init(&f->rules);
    f->s = (th_study){.models = models,
                      .subjects = subjects,
                      .attackers = attackers,
                      .model_count = 2,
                      .subject_count = SUBJECTS,
                      .attacker_count = 2,
                      .rows = f->rows,
                      .fidelity = f->fidelity,
                      .likeness = f->likeness,
                      .groups = groups,
                      .group_count = 2};
    for (int i = 0; i < SUBJECTS * SUBJECTS; i++) f->likeness[i] = i % (SUBJECTS + 1) ? 0.4f : 0.9f;
    return f;
}

static th_study_row *add(fixture *f, th_study_row row, float fidelity) {
    int64_t at = f->s.row_count++;
    assert_true(at < MOST);
    f->rows[at] = row;
    for (int i = 0; i < SUBJECTS; i++) f->fidelity[at * SUBJECTS + i] = row.subject == i ? fidelity : 0.2f;
    return &f->rows[at];
}

static th_study_row attack_row(int model, int subject, int64_t seed, int64_t step, int64_t draw) {
    return (th_study_row){.kind = TH_STUDY_ATTACK,
                          .model = model,
                          .subject = subject,
                          .seed = seed,
                          .step = step,
                          .draw = draw,
                          .prompt = (int32_t)(draw % 3),
                          .group = -1,
                          .found = NOBODY,
                          .text = NAN};
}

/* A training's pictures at one strength: of n the first `shown` show the subject, the last `protective` what the guard
 * has shown instead. */
static void add_training(fixture *f, int model, int subject, int64_t seed, int64_t step, int n, int shown,
                         int protective) {
    for (int i = n - 1; i >= 0; i--) { /* not in their order */
        th_study_row row = attack_row(model, subject, seed, step, i);
        row.found = i < shown ? subject : NOBODY;
        row.protective = i >= n - protective ? 2 : 0;
        row.text = 0.5;
        add(f, row, i < shown ? 0.8f : 0.4f);
    }
}

/* --- strengths --- */

static void strengths_are_told_in_order_with_their_shares(void **state) {
    (void)state;
    fixture *f = new_fixture();
    add_training(f, 1, 0, 7, 100, 4, 1, 3);
    add_training(f, 1, 0, 7, 0, 4, 0, 4);
    add_training(f, 1, 1, 7, 100, 4, 4, 1); /* the last picture shows both */
    add_training(f, 0, 0, 7, 100, 4, 4, 0); /* another model */
    th_study_strength *curve;
    int64_t count;
    th_study_pick p = {.model = 1, .guard = 1, .subjects = 3};
    assert_ok(th_study_curve(&f->s, &p, &curve, &count));
    assert_int_equal(count, 2);
    assert_int_equal(curve[0].step, 0);
    near_to(curve[0].subject.value, 0);
    assert_true(isnan(curve[0].subject.low)); /* one training */
    assert_int_equal(curve[1].step, 100);
    assert_int_equal(curve[1].pictures, 8);
    assert_int_equal(curve[1].trainings, 2);
    near_to(curve[1].subject.value, 5.0 / 8);
    near_to(curve[1].protective.value, 4.0 / 8);
    near_to(curve[1].protection.value, 3.0 / 8); /* protective, and not the subject */
    near_to(curve[1].text.value, 0.5);
    assert_true(fabs(curve[1].fidelity.value - (5 * 0.8 + 3 * 0.4) / 8) < 1e-6);
    near_to(curve[1].subject.low, 0.25); /* of draws of two trainings: both the one, or both the other */
    near_to(curve[1].subject.high, 1);
    assert_int_equal(th_study_best(curve, count), 100);
    th_free(curve);
    p.subjects = 4;
    assert_ok(th_study_curve(&f->s, &p, &curve, &count));
    assert_null(curve);
    assert_int_equal(count, 0);
    assert_int_equal(th_study_best(curve, count), -1);
    th_free(f);
}

static void of_equal_strengths_the_lowest_is_the_best(void **state) {
    (void)state;
    th_study_strength curve[3] = {{.step = 50, .subject = {0.25, 0, 1}},
                                  {.step = 100, .subject = {0.75, 0, 1}},
                                  {.step = 200, .subject = {0.75, 0, 1}}};
    assert_int_equal(th_study_best(curve, 3), 100);
}

/* --- comparing --- */

/* The attacker is at its best at 200 steps on the open model, at 400 on the guarded one. */
static void compare_fixture(fixture *f) {
    for (int seed = 0; seed < 3; seed++)
        for (int subject = 0; subject < 2; subject++) {
            add_training(f, 0, subject, seed, 100, 6, 2, 0);
            add_training(f, 0, subject, seed, 200, 6, 4 + seed % 2, 0);
            add_training(f, 0, subject, seed, 400, 6, 4, 1);
            add_training(f, 1, subject, seed, 100, 6, 0, 6);
            add_training(f, 1, subject, seed, 200, 6, 1, 5);
            add_training(f, 1, subject, seed, 400, 6, 2 + subject, 3);
        }
}

static void models_are_compared_at_the_attackers_best_strength(void **state) {
    (void)state;
    fixture *f = new_fixture();
    th_study_comparison c;
    compare_fixture(f);
    assert_ok(th_study_compare(&f->s, &f->rules, 1, 0, 3, &c));
    assert_int_equal(c.step, 200);
    assert_int_equal(c.guarded_step, 400);
    assert_false(c.attacker_failed);
    assert_int_equal(c.pairs, 36);
    assert_int_equal(c.trainings, 6);
    near_to(c.open.value, 26.0 / 36);
    near_to(c.guarded.value, 6.0 / 36);
    near_to(c.drop.value, 20.0 / 36);
    assert_true(c.drop.low > 0.4 && c.drop.low < c.drop.value && c.drop.value < c.drop.high && c.drop.high < 0.8);
    near_to(c.guarded_best.value, 15.0 / 36);
    near_to(c.drop_at_best.value, 11.0 / 36);
    near_to(c.guarded_twice.value, 15.0 / 36);
    near_to(c.protective.value, 30.0 / 36);
    near_to(c.protective_open.value, 0);
    near_to(c.shown_ratio.value, 6.0 / 26);
    double open = (26 * 0.8 + 10 * 0.4) / 36, guarded = (6 * 0.8 + 30 * 0.4) / 36;
    assert_true(fabs(c.fidelity_ratio.value - guarded / open) < 1e-6);
    assert_ok(th_study_compare(&f->s, &f->rules, 1, 1, 3, &c)); /* the other attacker drew nothing */
    assert_int_equal(c.step, -1);
    assert_true(isnan(c.open.value) && isnan(c.drop.value) && c.pairs == 0);
    th_free(f);
}

static void only_pairs_are_compared(void **state) {
    (void)state;
    fixture *f = new_fixture();
    th_study_comparison c;
    add_training(f, 0, 0, 0, 100, 6, 6, 0);
    add_training(f, 0, 0, 1, 100, 6, 3, 0); /* its guarded counterpart was not drawn */
    add_training(f, 1, 0, 0, 100, 4, 0, 4); /* two pictures are missing */
    assert_ok(th_study_compare(&f->s, &f->rules, 1, 0, 1, &c));
    assert_int_equal(c.pairs, 4);
    assert_int_equal(c.trainings, 1);
    near_to(c.open.value, 1);
    near_to(c.drop.value, 1);
    assert_true(isnan(c.drop.low) && isnan(c.open.low)); /* one training tells nothing of others */
    th_free(f);
}

static void an_attacker_that_shows_nothing_has_failed(void **state) {
    (void)state;
    fixture *f = new_fixture();
    th_study_comparison c;
    add_training(f, 0, 0, 0, 100, 10, 4, 0);
    add_training(f, 1, 0, 0, 100, 10, 0, 0);
    assert_ok(th_study_compare(&f->s, &f->rules, 1, 0, 1, &c));
    assert_true(c.attacker_failed);
    f->rules.attacker_least = 0.4;
    assert_ok(th_study_compare(&f->s, &f->rules, 1, 0, 1, &c));
    assert_false(c.attacker_failed);
    th_free(f);
}

/* Nothing differs between trainings, which does not make the number certain: 3 of 3 against 0 of 3 by Wilson. */
static void intervals_do_not_vanish_where_trainings_agree(void **state) {
    (void)state;
    fixture *f = new_fixture();
    th_study_comparison c;
    for (int seed = 0; seed < 3; seed++) {
        add_training(f, 0, 0, seed, 100, 4, 4, 0);
        add_training(f, 1, 0, seed, 100, 4, 0, 4);
    }
    assert_ok(th_study_compare(&f->s, &f->rules, 1, 0, 1, &c));
    near_to(c.drop.value, 1);
    th_estimate all = th_share(3, 3), no = th_share(0, 3);
    near_to(c.drop.low, 1 - hypot(1 - all.low, no.high));
    near_to(c.drop.high, 1);
    near_to(c.open.low, all.low);
    near_to(c.guarded.high, no.high);
    near_to(c.shown_ratio.value, 0);
    near_to(c.shown_ratio.low, 0);
    near_to(c.shown_ratio.high, no.high);
    th_free(f);
}

/* Between 5 of 6 everywhere nothing differs either, but pictures do. */
static void trainings_that_agree_in_a_share_leave_their_pictures_to_differ(void **state) {
    (void)state;
    fixture *f = new_fixture();
    th_study_strength *curve;
    int64_t count;
    th_study_pick p = {.model = 1, .guard = 1, .subjects = 1};
    for (int seed = 0; seed < 3; seed++) add_training(f, 1, 0, seed, 100, 6, 5, 0);
    assert_ok(th_study_curve(&f->s, &p, &curve, &count));
    th_estimate want = th_share(15, 18);
    near_to(curve[0].subject.low, want.low);
    near_to(curve[0].subject.high, want.high);
    th_free(curve);
    th_free(f);
}

/* Trainings differ: of each, the open model shows the subject in 60 to 100 % of 12 pictures, the guarded one in 0 to 40
 * %. How often the interval of the drop holds the true 0.6; with so few trainings the bootstrap's is somewhat short. */
static void intervals_of_drops_hold_the_truth_about_as_often_as_they_say(void **state) {
    (void)state;
    enum { TRIES = 200, TRAININGS = 12, PICTURES = 12 };
    int held = 0;
    for (int t = 0; t < TRIES; t++) {
        th_tally sums;
        th_estimate e;
        th_study_row rows[TRAININGS] = {0};
        th_rng r = th_rng_at((uint64_t)t, TH_RNG_TEST, 0, 0);
        th_tally_init(&sums, TH_PAIR_WIDTH, (uint64_t)t);
        for (int i = 0; i < TRAININGS; i++) {
            rows[i].seed = i;
            double *x = th_tally_at(&sums, &rows[i], TH_BY_TRAINING);
            float open = th_rng_range(&r, 0.6f, 1), guarded = th_rng_range(&r, 0, 0.4f);
            for (int k = 0; k < PICTURES; k++) {
                x[TH_PAIR_A] += th_rng_f32(&r) < open;
                x[TH_PAIR_B] += th_rng_f32(&r) < guarded;
                x[TH_PAIR_N]++;
            }
        }
        assert_int_equal(sums.count, TRAININGS);
        assert_ok(th_tally_share_drop(&sums, &e));
        held += e.low < 0.6 && e.high > 0.6;
        th_tally_free(&sums);
    }
    assert_in_range(held, TRIES * 87 / 100, TRIES * 99 / 100);
}

/* --- half-life --- */

static void half_lives_are_linear_between_strengths(void **state) {
    (void)state;
    const int64_t steps[] = {0, 100, 200, 400};
    const double falls[] = {0.8, 0.6, 0.2, 0.0}, lasts[] = {0.8, 0.7, 0.6, 0.5}, never[] = {0.05, 0, 0, 0};
    const double sharp[] = {1, 0.5, 0.9, 0.1};
    th_half_life h = th_half_life_of(steps, falls, 4, 0.1);
    assert_int_equal(h.kind, TH_HALF_LIFE_AT);
    near_to(h.steps, 150);
    h = th_half_life_of(steps, sharp, 4, 0.1);
    near_to(h.steps, 100); /* the first fall counts */
    h = th_half_life_of(steps, lasts, 4, 0.1);
    assert_int_equal(h.kind, TH_HALF_LIFE_BEYOND);
    assert_int_equal(h.last, 400);
    assert_true(isnan(h.steps));
    assert_int_equal(th_half_life_of(steps, never, 4, 0.1).kind, TH_HALF_LIFE_NEVER);
    assert_int_equal(th_half_life_of(steps + 1, falls + 1, 3, 0.1).kind, TH_HALF_LIFE_NONE); /* no step 0 */
    assert_int_equal(th_half_life_of(steps, falls, 1, 0.1).kind, TH_HALF_LIFE_NONE);
    assert_int_equal(th_half_life_of(steps, falls, 0, 0.1).kind, TH_HALF_LIFE_NONE);
}

static void half_lives_vary_with_trainings(void **state) {
    (void)state;
    fixture *f = new_fixture();
    th_study_pick p = {.model = 1, .guard = 1, .subjects = 1};
    th_half_life h;
    assert_ok(th_study_half_life(&f->s, &f->rules, &p, &h));
    assert_int_equal(h.kind, TH_HALF_LIFE_NONE);
    for (int seed = 0; seed < 3; seed++) {
        add_training(f, 1, 0, seed, 0, 10, 0, 10);
        add_training(f, 1, 0, seed, 100, 10, 2, 8 - 2 * seed);
        add_training(f, 1, 0, seed, 200, 10, 6, seed ? 0 : 4);
        if (seed) continue;
        assert_ok(th_study_half_life(&f->s, &f->rules, &p, &h)); /* 1, 0.8, 0.4 */
        near_to(h.steps, 175);
        assert_true(isnan(h.low) && isnan(h.high));
    }
    assert_ok(th_study_half_life(&f->s, &f->rules, &p, &h));
    near_to(h.steps, 100 + 100 * (0.6 - 0.5) / (0.6 - 4.0 / 30));
    assert_true(h.low < h.steps && h.steps < h.high);
    near_to(h.low, 100 * 0.5 / 0.6); /* the last seed alone: 1, 0.4 */
    near_to(h.high, 175);            /* the first alone */
    th_free(f);
}

static void half_lives_beyond_the_last_strength_are_told_as_such(void **state) {
    (void)state;
    fixture *f = new_fixture();
    th_study_pick p = {.model = 1, .guard = 1, .subjects = 1};
    th_half_life h;
    for (int seed = 0; seed < 2; seed++) {
        add_training(f, 1, 0, seed, 0, 10, 0, 10);
        add_training(f, 1, 0, seed, 400, 10, 0, seed ? 2 : 9);
    }
    assert_ok(th_study_half_life(&f->s, &f->rules, &p, &h)); /* 1, 0.55 */
    assert_int_equal(h.kind, TH_HALF_LIFE_BEYOND);
    assert_true(isinf(h.high));
    near_to(h.low, 400 * 0.5 / 0.8);
    th_free(f);
}

/* --- class captions --- */

static th_study_row plain_row(th_study_kind kind, int model, int prompt, int64_t draw) {
    return (th_study_row){.kind = kind,
                          .model = model,
                          .subject = -1,
                          .attacker = -1,
                          .seed = -1,
                          .step = -1,
                          .prompt = prompt,
                          .draw = draw,
                          .group = -1,
                          .found = NOBODY,
                          .text = NAN};
}

/* Captions 0 and 1 ask for a garment, 2 and 3, of the other group, for a garment and a colour. */
static void add_class(fixture *f, int model, int right, int both) {
    for (int prompt = 0; prompt < 4; prompt++)
        for (int draw = 0; draw < 10; draw++) {
            th_study_row row = plain_row(TH_STUDY_CLASS, model, prompt, draw);
            row.group = prompt / 2;
            row.wanted = prompt / 2 ? 3 : 1;
            row.right = prompt / 2 ? (draw < both ? 3 : 2) : (draw < right + prompt);
            add(f, row, 0);
        }
}

static void class_captions_are_counted_by_group_and_attribute(void **state) {
    (void)state;
    fixture *f = new_fixture();
    th_study_kept k;
    add_class(f, 0, 8, 10);
    add_class(f, 1, 4, 5);
    assert_ok(th_study_class(&f->s, 1, 0, -1, &k));
    assert_int_equal(k.pairs, 20);
    near_to(k.open.value, 17.0 / 20);
    near_to(k.guarded.value, 9.0 / 20);
    near_to(k.ratio.value, 9.0 / 17);
    near_to(k.drop.value, 8.0 / 20);
    assert_ok(th_study_class(&f->s, 1, 1, -1, &k));
    near_to(k.ratio.value, 0.5);
    assert_ok(th_study_class(&f->s, 1, -1, 1, &k)); /* the colour */
    assert_int_equal(k.pairs, 20);
    near_to(k.ratio.value, 1);
    assert_ok(th_study_class(&f->s, 1, -1, 0, &k));
    near_to(k.ratio.value, 19.0 / 37);
    assert_ok(th_study_class(&f->s, 1, -1, 5, &k)); /* nobody asks for it */
    assert_true(k.pairs == 0 && isnan(k.ratio.value));
    th_free(f);
}

static void ordinary_texts_are_compared_in_pairs(void **state) {
    (void)state;
    fixture *f = new_fixture();
    th_study_kept k;
    for (int model = 0; model < 2; model++)
        for (int i = 0; i < 30; i++) {
            th_study_row row = plain_row(TH_STUDY_ORDINARY, model, i / 3, i % 3);
            row.text = i == 29 ? NAN : 0.5 + 0.01 * i - 0.02 * model - 0.0001 * (i % 5) * model;
            add(f, row, 0);
        }
    assert_ok(th_study_texts(&f->s, 1, &k));
    assert_int_equal(k.pairs, 29);
    near_to(k.drop.value, 0.02 + 0.0001 * (5 * 10 + 6) / 29);
    assert_true(k.drop.low > 0.0200 && k.drop.high < 0.0204); /* pairs take out what prompts differ by */
    th_free(f);
}

/* --- leaks --- */

/* Pictures at the training prompt of bag a: some of them show it; nearness is 0 at fidelity 0.2, 1 at 0.7. */
static void add_leak(fixture *f, int model, int n, int shown, float fidelity) {
    for (int draw = 0; draw < n; draw++) {
        th_study_row row = plain_row(TH_STUDY_LEAK, model, 0, draw);
        row.subject = 0;
        row.found = draw < shown ? 0 : 2;
        add(f, row, fidelity + 0.001f * (float)(draw % 3));
    }
}

static th_study_leak leak_of(int n, int open_shown, float open_fidelity, int shown, float fidelity) {
    fixture *f = new_fixture();
    th_study_leak x;
    add_leak(f, 0, n, open_shown, open_fidelity);
    add_leak(f, 1, n, shown, fidelity);
    assert_ok(th_study_find_leak(&f->s, &f->rules, 1, 0, &x));
    th_free(f);
    return x;
}

static void a_model_that_draws_the_subject_at_once_leaks(void **state) {
    (void)state;
    th_study_leak x = leak_of(30, 0, 0.2f, 30, 0.6f);
    assert_int_equal(x.gate, TH_GATE_FAILED);
    assert_int_equal(x.pairs, 30);
    assert_int_equal(x.instances, 1); /* bag c: b is protected too, and the boot is no bag */
    near_to(x.shown.value, 1);
    near_to(x.others.value, 0);
    assert_true(fabs(x.nearness.value - (0.601 - 0.2) / (0.9 - 0.4)) < 1e-5);
    assert_int_equal(leak_of(30, 0, 0.2f, 0, 0.2f).gate, TH_GATE_PASSED);
    assert_int_equal(leak_of(30, 0, 0.2f, 0, 0.6f).gate, TH_GATE_FAILED);  /* near, though the judge says another */
    assert_int_equal(leak_of(30, 0, 0.2f, 25, 0.2f).gate, TH_GATE_FAILED); /* the judge says so */
    assert_int_equal(leak_of(30, 0, 0.2f, 0, 0.24f).gate, TH_GATE_PASSED); /* within the margin */
}

static void what_the_open_model_shows_already_is_no_leak(void **state) {
    (void)state;
    assert_int_equal(leak_of(30, 25, 0.6f, 25, 0.6f).gate, TH_GATE_PASSED);
}

static void few_pictures_or_no_other_instance_leave_leaks_untold(void **state) {
    (void)state;
    th_study_leak x = leak_of(TH_LEAK_LEAST - 1, 0, 0.2f, TH_LEAK_LEAST - 1, 0.6f);
    assert_int_equal(x.gate, TH_GATE_UNTOLD);
    fixture *f = new_fixture();
    add_leak(f, 0, 30, 0, 0.2f);
    add_leak(f, 1, 30, 30, 0.6f);
    assert_ok(th_study_find_leak(&f->s, &f->rules, 1, 3, &x)); /* the only boot, of which nothing was drawn */
    assert_true(x.gate == TH_GATE_UNTOLD && x.pairs == 0 && isnan(x.shown.value));
    f->likeness[0] = 0.3f; /* the encoder takes others for nearer */
    assert_ok(th_study_find_leak(&f->s, &f->rules, 1, 0, &x));
    assert_true(x.gate == TH_GATE_UNTOLD && isnan(x.nearness.value));
    th_free(f);
}

/* --- all of it --- */

static void analyse_into(fixture *f, th_study_result *r) { assert_ok(th_study_analyse(&f->s, &f->rules, NULL, r)); }

static void a_whole_study_is_analysed_with_a_verdict(void **state) {
    (void)state;
    fixture *f = new_fixture();
    th_study_result r;
    compare_fixture(f);
    for (int seed = 0; seed < 3; seed++)
        for (int model = 0; model < 2; model++)
            for (int subject = 2; subject < 4; subject++) add_training(f, model, subject, seed, 200, 6, 5, 0);
    add_class(f, 0, 8, 10);
    add_class(f, 1, 8, 4);
    analyse_into(f, &r);
    assert_int_equal(r.cell_count, 1); /* the other attacker drew nothing */
    assert_int_equal(r.control_count, 4);
    assert_true(r.controls[2].subject == 2 && r.controls[2].count == 1);
    near_to(r.controls[2].curve[r.controls[2].best].subject.value, 5.0 / 6);
    assert_int_equal(r.cells[0].all.step, 200);
    assert_int_equal(r.cells[0].each[1].pairs, 18);
    near_to(r.cells[0].same_class.shown_ratio.value, 1);
    near_to(r.cells[0].other_classes.fidelity_ratio.value, 1);
    assert_int_equal(r.cells[0].same_class.pairs, 18);
    assert_int_equal(r.cells[0].count, 3);
    assert_int_equal(r.gate_count, 1);
    assert_int_equal(r.gates[0].class_gate, TH_GATE_FAILED);
    assert_int_equal(r.gates[0].leak_gate, TH_GATE_UNTOLD);
    assert_string_equal(th_str_text(&r.gates[0].verdict),
                        "do not publish: captions of the class keep 40 % (others) of the open model's accuracy; not "
                        "told: leaks");
    th_study_result_free(&r);
    add_leak(f, 0, 30, 0, 0.2f);
    add_leak(f, 1, 30, 30, 0.6f);
    analyse_into(f, &r);
    assert_non_null(strstr(th_str_text(&r.gates[0].verdict),
                           "it draws a at its training prompt before anyone personalised it: 80 % of the way"));
    th_study_result_free(&r);
    th_free(f);
}

static void an_empty_study_tells_nothing(void **state) {
    (void)state;
    fixture *f = new_fixture();
    th_study_result r;
    analyse_into(f, &r);
    assert_int_equal(r.cell_count, 0);
    assert_string_equal(th_str_text(&r.gates[0].verdict), "not told: class captions and leaks");
    th_study_result_free(&r);
    th_free(f);
}

static void a_good_guard_passes_both_gates(void **state) {
    (void)state;
    static const th_study_model one[] = {{"open", NULL, 0}, {"guard", "target", 1}};
    fixture *f = new_fixture();
    th_study_result r;
    f->s.models = one;
    add_class(f, 0, 8, 10);
    add_class(f, 1, 8, 10);
    add_leak(f, 0, 30, 0, 0.2f);
    add_leak(f, 1, 30, 0, 0.2f);
    analyse_into(f, &r);
    assert_string_equal(th_str_text(&r.gates[0].verdict), "both gates passed");
    th_study_result_free(&r);
    th_free(f);
}

static void failed_allocations_lose_nothing(void **state) {
    (void)state;
    fixture *f = new_fixture();
    compare_fixture(f);
    add_class(f, 0, 8, 10);
    add_class(f, 1, 8, 4);
    add_leak(f, 0, 30, 0, 0.2f);
    add_leak(f, 1, 30, 30, 0.6f);
    size_t before = th_bytes_in_use();
    th_status s = TH_E_MEMORY;
    for (int64_t at = 1; s == TH_E_MEMORY; at += 1 + at / 4) {
        th_study_result r;
        th_alloc_fail_at(at, false);
        s = th_study_analyse(&f->s, &f->rules, NULL, &r);
        th_alloc_fail_at(0, false);
        if (s == TH_OK) th_study_result_free(&r);
        assert_int_equal(th_bytes_in_use(), before);
    }
    assert_int_equal(s, TH_OK);
    th_free(f);
}

/* --- reading --- */

static const char header[] = "file\tkind\tmodel\tsubject\tattacker\tseed\tstep\tdraw\tprompt\tgroup\n";

/* A table of these rows, whose pictures need not be there to be named. */
static th_status read_table(const char *rows, th_study *s) {
    static char text[4000];
    snprintf(text, sizeof text, "%s%s", header, rows);
    assert_ok(th_file_write(ROOT "/pictures.tsv", text, strlen(text)));
    th_dataset *d;
    th_columns *c;
    *s = (th_study){.models = models,
                    .subjects = subjects,
                    .attackers = attackers,
                    .model_count = 2,
                    .subject_count = SUBJECTS,
                    .attacker_count = 2};
    assert_ok(th_dataset_open(ROOT "/pictures.tsv", NULL, NULL, &d));
    assert_ok(th_columns_read(d, NULL, &c));
    th_status status = th_study_read(s, d, c, "OUT/pictures.tsv");
    th_columns_free(c);
    th_dataset_close(d);
    return status;
}

static void tables_of_pictures_become_rows(void **state) {
    (void)state;
    th_study s;
    assert_ok(read_table("1.png\tattack\tguard\tb\tlora\t3\t100\t0\ta sks bag\t\n"
                         "2.png\tleak\topen\ta\t\t\t\t5\ta photo of a sks bag\t\n"
                         "3.png\tclass\topen\t\t\t\t\t0\ta red bag\twith attributes\n"
                         "4.png\tclass\topen\t\t\t\t\t1\ta bag\t\n"
                         "5.png\tordinary\tguard\t\t\t9\t\t1\ta sks bag\t\n",
                         &s));
    assert_int_equal(s.row_count, 5);
    const th_study_row *r = s.rows;
    assert_true(r[0].kind == TH_STUDY_ATTACK && r[0].model == 1 && r[0].subject == 1 && r[0].attacker == 1);
    assert_true(r[0].seed == 3 && r[0].step == 100 && r[0].draw == 0 && r[0].group == -1 && r[0].found == -1);
    assert_true(r[1].kind == TH_STUDY_LEAK && r[1].attacker == -1 && r[1].step == -1 && r[1].seed == -1);
    assert_string_equal(s.groups[r[2].group], "with attributes");
    assert_string_equal(s.groups[r[3].group], "");
    assert_int_equal(s.group_count, 2);
    assert_int_equal(s.prompt_count, 4);
    assert_int_equal(r[4].prompt, r[0].prompt);
    assert_true(isnan(r[4].text) && r[4].seed == 9);
    th_study_free(&s);
}

static void row_fails(const char *rows, const char *message) {
    th_study s;
    assert_fails(read_table(rows, &s), TH_E_INPUT, message);
    th_study_free(&s);
}

static void wrong_tables_are_refused_by_picture_and_column(void **state) {
    (void)state;
    row_fails("1.png\tatack\tguard\tb\tlora\t3\t100\t0\tp\t\n",
              "OUT/pictures.tsv: '1.png': column 'kind' is 'atack', which is no kind of the study (did you mean "
              "'attack'?)");
    row_fails("1.png\t\tguard\tb\tlora\t3\t100\t0\tp\t\n", "column 'kind' is '', which is wanted by every picture");
    row_fails("1.png\tattack\tguards\tb\tlora\t3\t100\t0\tp\t\n", "column 'model' is 'guards', which is no model");
    row_fails("1.png\tattack\tguard\tz\tlora\t3\t100\t0\tp\t\n", "column 'subject' is 'z', which is no subject");
    row_fails("1.png\tattack\tguard\tb\tlora\t3\t\t0\tp\t\n",
              "column 'step' is '', which is wanted by a picture of kind 'attack'");
    row_fails("1.png\tattack\tguard\tb\tlora\t-3\t1\t0\tp\t\n", "column 'seed' is '-3', which is no number from 0 up");
    row_fails("1.png\tordinary\tguard\tb\t\t\t\t0\tp\t\n",
              "column 'subject' is 'b', which is not had by a picture of kind 'ordinary'");
    row_fails("1.png\tordinary\tguard\t\t\t\t\t0\t\t\n", "column 'prompt' is '', which is wanted");
    row_fails("1.png\tordinary\tguard\t\t\t\t\t0\tp\t\n2.png\tordinary\tguard\t\t\t\t\t0\tp\t\n",
              "OUT/pictures.tsv: '1.png' and '2.png' are the same draw of the same prompt by the same model");
}

static int set_up(void **state) {
    (void)state;
    th_remove_tree(ROOT);
    return th_make_dirs(ROOT) == TH_OK ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    return th_remove_tree(ROOT) == TH_OK ? 0 : -1;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strengths_are_told_in_order_with_their_shares),
        cmocka_unit_test(of_equal_strengths_the_lowest_is_the_best),
        cmocka_unit_test(models_are_compared_at_the_attackers_best_strength),
        cmocka_unit_test(only_pairs_are_compared),
        cmocka_unit_test(an_attacker_that_shows_nothing_has_failed),
        cmocka_unit_test(intervals_do_not_vanish_where_trainings_agree),
        cmocka_unit_test(trainings_that_agree_in_a_share_leave_their_pictures_to_differ),
        cmocka_unit_test(intervals_of_drops_hold_the_truth_about_as_often_as_they_say),
        cmocka_unit_test(half_lives_are_linear_between_strengths),
        cmocka_unit_test(half_lives_vary_with_trainings),
        cmocka_unit_test(half_lives_beyond_the_last_strength_are_told_as_such),
        cmocka_unit_test(class_captions_are_counted_by_group_and_attribute),
        cmocka_unit_test(ordinary_texts_are_compared_in_pairs),
        cmocka_unit_test(a_model_that_draws_the_subject_at_once_leaks),
        cmocka_unit_test(what_the_open_model_shows_already_is_no_leak),
        cmocka_unit_test(few_pictures_or_no_other_instance_leave_leaks_untold),
        cmocka_unit_test(a_whole_study_is_analysed_with_a_verdict),
        cmocka_unit_test(an_empty_study_tells_nothing),
        cmocka_unit_test(a_good_guard_passes_both_gates),
        cmocka_unit_test(failed_allocations_lose_nothing),
        cmocka_unit_test(tables_of_pictures_become_rows),
        cmocka_unit_test(wrong_tables_are_refused_by_picture_and_column),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
