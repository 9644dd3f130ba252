/* Anti-DreamBooth on a tiny model: its gradient, its budget, that it does what it is for, and going on with it. */
#include "sd_fixture.h"

#include "base/file.h"
#include "guard/anti_dreambooth.h"

#define ROOT "anti_dreambooth_test"
enum { LATENTS = 4, SIDE = 2 * LATENTS, CONTEXT = 16, PICTURES = 3, SIZE = SIDE * SIDE * 3, ALL = PICTURES * SIZE };

static int set_up(void **state) {
    (void)state;
    return th_remove_tree(ROOT) == TH_OK && th_make_dirs(ROOT) == TH_OK ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    return th_remove_tree(ROOT) == TH_OK ? 0 : -1;
}

typedef struct {
    th_sd sd;
    th_anti_params p;
    th_anti *a;
    uint8_t bytes[ALL];
    float clean[ALL];
    th_moments class;
} trial;

static th_moments make_class(void) {
    th_moments m = {.pictures = 2, .entries = 2, .height = LATENTS, .width = LATENTS, .channels = 8};
    int64_t n = m.entries * th_moments_size(&m);
    m.moments = th_alloc_big((size_t)n * sizeof *m.moments);
    m.first = th_alloc(3, sizeof *m.first);
    assert_true(m.moments && m.first);
    fixture_numbers("class", n, m.moments);
    for (int64_t i = 0; i <= 2; i++) m.first[i] = i;
    return m;
}

static void begin(trial *t, th_anti_kind kind) {
    memset(t, 0, sizeof *t);
    fixture_open(LATENTS, CONTEXT, &t->sd);
    fixture_numbers("pictures", ALL, t->clean);
    for (int i = 0; i < ALL; i++) {
        t->bytes[i] = (uint8_t)lrintf((t->clean[i] + 1) * 127.5f);
        t->clean[i] = (float)t->bytes[i] / 127.5f - 1;
    }
    th_anti_params_init(&t->p, kind);
    t->p.prompt = "a b c";
    t->p.threads = 1;
    t->p.seed = 7;
    t->class = make_class();
}

static void start(trial *t) {
    assert_ok(th_anti_new(&t->sd, &t->p, PICTURES, &t->a));
    assert_ok(th_anti_begin(t->a, t->clean, &t->class));
}

static void end(trial *t) {
    th_anti_free(t->a);
    th_moments_free(&t->class);
    th_sd_free(&t->sd);
}

/* Σ of the losses along one direction through all pictures, by central differences, against the gradient. */
static void check_direction(trial *t, const char *name, const float *gradient, int from, int to) {
    static float moved[2][ALL], d[ALL], scratch[ALL];
    float each[PICTURES];
    double sides[2] = {0}, wanted = 0, length = 1e-3;
    fixture_numbers(name, ALL, d);
    for (int i = 0; i < ALL; i++) {
        float v = i >= from && i < to ? (float)length * d[i] : 0;
        moved[0][i] = t->clean[i] - v;
        moved[1][i] = t->clean[i] + v;
        wanted += (double)gradient[i] * (moved[1][i] - moved[0][i]);
    }
    for (int s = 0; s < 2; s++) {
        assert_ok(th_anti_gradient(t->a, moved[s], 0, scratch, each));
        for (int k = 0; k < PICTURES; k++) sides[s] += (double)each[k];
    }
    double is = sides[1] - sides[0];
    if (fabs(is - wanted) > 5e-3 * fabs(wanted) + 2e-6)
        fail_msg("%s: the losses differ by %g, the gradient says %g", name, is, wanted);
}

static void the_gradient_by_pixels_is_the_slope_of_the_loss(void **state) {
    static const th_prediction kinds[] = {TH_PREDICT_NOISE, TH_PREDICT_V};
    static float g[ALL];
    (void)state;
    for (int k = 0; k < 4; k++) {
        trial t;
        float each[PICTURES];
        begin(&t, TH_ANTI_FSMG);
        t.sd.scheduler.prediction = kinds[k % 2];
        t.p.mean = k >= 2;
        t.p.batch = 2; /* the last batch is not full */
        start(&t);
        assert_ok(th_anti_gradient(t.a, t.clean, 0, g, each));
        check_direction(&t, "first", g, 0, ALL);
        check_direction(&t, "second", g, 0, ALL);
        for (int i = 0; i < PICTURES; i++) check_direction(&t, "one picture", g, i * SIZE, (i + 1) * SIZE);
        end(&t);
    }
}

/* Every single pixel of a picture, not only directions. */
static void each_pixel_has_its_own_slope(void **state) {
    static float g[ALL], moved[ALL], scratch[ALL];
    float each[PICTURES];
    double off = 0, all = 0;
    trial t;
    (void)state;
    begin(&t, TH_ANTI_FSMG);
    t.p.batch = PICTURES;
    start(&t);
    assert_ok(th_anti_gradient(t.a, t.clean, 3, g, each));
    for (int i = SIZE; i < 2 * SIZE; i++) {
        double sides[2];
        for (int s = 0; s < 2; s++) {
            memcpy(moved, t.clean, sizeof moved);
            moved[i] += s ? 0.02f : -0.02f;
            assert_ok(th_anti_gradient(t.a, moved, 3, scratch, each));
            sides[s] = (double)each[1];
        }
        double slope = (sides[1] - sides[0]) / 0.04;
        off += (slope - (double)g[i]) * (slope - (double)g[i]);
        all += (double)g[i] * (double)g[i];
    }
    if (sqrt(off) > 5e-3 * sqrt(all)) fail_msg("‖difference‖ is %g, ‖gradient‖ %g", sqrt(off), sqrt(all));
    end(&t);
}

/* Other pictures and how many go together do not matter to a picture. */
static void batches_change_no_gradient(void **state) {
    static float one[ALL], two[ALL];
    float each[2][PICTURES];
    (void)state;
    for (int k = 0; k < 2; k++) {
        trial t;
        begin(&t, TH_ANTI_FSMG);
        t.p.batch = k ? 2 : 1;
        start(&t);
        assert_ok(th_anti_gradient(t.a, t.clean, 5, k ? two : one, each[k]));
        end(&t);
    }
    for (int i = 0; i < PICTURES; i++) assert_true(fabsf(each[0][i] - each[1][i]) < 1e-5f * each[0][i]);
    for (int i = 0; i < ALL; i++) assert_true(fabsf(one[i] - two[i]) < 1e-4f * fabsf(one[i]) + 1e-6f);
}

static void settle(trial *t) {
    t->p.rounds = 3;
    t->p.surrogate_steps = 4;
    t->p.pixel_steps = 5;
    t->p.victim_steps = t->p.kind == TH_ANTI_ASPL ? 4 : 0;
    t->p.lr = 1e-3f;
}

static void run_rounds(trial *t, int64_t count) {
    for (int64_t i = 0; i < count; i++) assert_ok(th_anti_round(t->a, NULL));
}

static void the_loss_rises_and_the_budget_holds(void **state) {
    (void)state;
    for (int kind = TH_ANTI_FSMG; kind <= TH_ANTI_ASPL; kind++) {
        trial t;
        uint8_t out[ALL];
        static float signs[ALL];
        double clean, now, random;
        int moved = 0;
        begin(&t, (th_anti_kind)kind);
        settle(&t);
        t.p.budget = 0.3f, t.p.stride = 0.05f;
        if (kind == TH_ANTI_ASPL) t.p.lr = 1e-5f; /* else the victim has learnt what the pictures became */
        start(&t);
        run_rounds(&t, 3);
        assert_int_equal(th_anti_rounds_made(t.a), 3);
        assert_ok(th_anti_measure(t.a, t.clean, 32, &clean));
        assert_ok(th_anti_measure(t.a, th_anti_pictures(t.a), 32, &now));
        /* Changes of the same size that follow no gradient do much less. */
        fixture_numbers("signs", ALL, signs);
        for (int i = 0; i < ALL; i++)
            signs[i] = fminf(1, fmaxf(-1, t.clean[i] + (signs[i] > 0 ? t.p.budget : -t.p.budget)));
        assert_ok(th_anti_measure(t.a, signs, 32, &random));
        if (!(now > 1.002 * clean && now - clean > 3 * fabs(random - clean)))
            fail_msg("kind %d: the loss was %g and is %g, by chance %g", kind, clean, now, random);
        for (int i = 0; i < ALL; i++) {
            float x = th_anti_pictures(t.a)[i];
            assert_true(fabsf(x - t.clean[i]) <= t.p.budget + 1e-6f && x >= -1 && x <= 1);
        }
        th_anti_to_bytes(th_anti_pictures(t.a), t.bytes, ALL, t.p.budget, out);
        for (int i = 0; i < ALL; i++) {
            assert_true(abs(out[i] - t.bytes[i]) <= 38);
            moved += out[i] != t.bytes[i];
        }
        assert_true(moved > ALL / 2);
        end(&t);
    }
}

static void prior_preservation_takes_part(void **state) {
    static float with[ALL];
    (void)state;
    for (int k = 0; k < 2; k++) {
        trial t;
        begin(&t, TH_ANTI_ASPL);
        settle(&t);
        t.p.lr = 1e-2f;
        if (k) t.p.class_prompt = "a c";
        start(&t);
        run_rounds(&t, 2);
        if (!k)
            memcpy(with, th_anti_pictures(t.a), sizeof with);
        else
            assert_memory_not_equal(with, th_anti_pictures(t.a), sizeof with);
        end(&t);
    }
}

static void going_on_gives_the_same_bits(void **state) {
    (void)state;
    for (int kind = TH_ANTI_FSMG; kind <= TH_ANTI_ASPL; kind++) {
        static float whole[ALL];
        const char *path = ROOT "/state.safetensors";
        trial t;
        begin(&t, (th_anti_kind)kind);
        settle(&t);
        start(&t);
        run_rounds(&t, 3);
        memcpy(whole, th_anti_pictures(t.a), sizeof whole);
        end(&t);
        begin(&t, (th_anti_kind)kind);
        settle(&t);
        start(&t);
        run_rounds(&t, 2);
        assert_ok(th_anti_save(t.a, path));
        end(&t);
        begin(&t, (th_anti_kind)kind);
        settle(&t);
        start(&t);
        assert_ok(th_anti_load(t.a, path));
        assert_int_equal(th_anti_rounds_made(t.a), 2);
        run_rounds(&t, 1);
        assert_memory_equal(whole, th_anti_pictures(t.a), sizeof whole);
        end(&t);
    }
}

static void count_down(void *user, const char *what, int64_t done, int64_t total, const char *detail) {
    (void)what, (void)done, (void)total, (void)detail;
    *(volatile sig_atomic_t *)user = 1;
}

static void a_stopped_round_leaves_what_was_before(void **state) {
    static float before[ALL];
    volatile sig_atomic_t stop = 0;
    th_watch w = {.progress = count_down, .user = (void *)(uintptr_t)&stop, .stop = &stop};
    trial t;
    (void)state;
    begin(&t, TH_ANTI_ASPL);
    settle(&t);
    start(&t);
    run_rounds(&t, 1);
    memcpy(before, th_anti_pictures(t.a), sizeof before);
    assert_ok(th_anti_save(t.a, ROOT "/a.safetensors"));
    assert_int_equal(th_anti_round(t.a, &w), TH_E_INTERRUPTED);
    assert_memory_equal(before, th_anti_pictures(t.a), sizeof before);
    assert_int_equal(th_anti_rounds_made(t.a), 1);
    assert_ok(th_anti_save(t.a, ROOT "/b.safetensors"));
    th_bytes a, b;
    assert_ok(th_file_read(ROOT "/a.safetensors", 1 << 26, &a));
    assert_ok(th_file_read(ROOT "/b.safetensors", 1 << 26, &b));
    assert_int_equal(a.length, b.length);
    assert_memory_equal(a.data, b.data, a.length);
    th_free(a.data), th_free(b.data);
    end(&t);
}

static void files_of_something_else_are_refused(void **state) {
    const char *path = ROOT "/other.safetensors";
    trial t;
    (void)state;
    begin(&t, TH_ANTI_FSMG);
    settle(&t);
    start(&t);
    assert_ok(th_anti_save(t.a, path));
    end(&t);
    begin(&t, TH_ANTI_FSMG);
    settle(&t);
    t.p.compute = TH_BF16;
    start(&t);
    assert_fails(th_anti_load(t.a, path), TH_E_USAGE, "f32; going on with");
    assert_fails(th_anti_load(t.a, ROOT "/none.safetensors"), TH_E_IO, "none.safetensors");
    end(&t);
    begin(&t, TH_ANTI_FSMG);
    settle(&t);
    assert_ok(th_anti_new(&t.sd, &t.p, 1, &t.a));
    assert_ok(th_anti_begin(t.a, t.clean, NULL));
    assert_fails(th_anti_load(t.a, path), TH_E_INPUT, "tensor 'pictures' is [3, 8, 8, 3]");
    end(&t);
}

static void settings_out_of_range_are_refused(void **state) {
    static const struct {
        float budget, stride;
        int64_t side, rounds, pictures;
        const char *said;
        th_status status;
    } rows[] = {
        {0.05f, 0.005f, 0, 1, 0, "no pictures", TH_E_INPUT},
        {0, 0.005f, 0, 1, 1, "--budget 0: should be above 0", TH_E_USAGE},
        {1.5f, 0.005f, 0, 1, 1, "--budget 1.5", TH_E_USAGE},
        {0.005f, 0.005f, 0, 1, 1, "cannot be changed by less than a level", TH_E_USAGE},
        {0.05f, 0, 0, 1, 1, "--stride 0", TH_E_USAGE},
        {0.05f, 0.2f, 0, 1, 1, "at most twice the budget", TH_E_USAGE},
        {0.05f, 0.005f, 7, 1, 1, "--size 7: this model's sides are multiples of 4", TH_E_USAGE},
        {0.05f, 0.005f, 0, 0, 1, "out of range", TH_E_USAGE},
    };
    trial t;
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        begin(&t, TH_ANTI_FSMG);
        t.p.budget = rows[i].budget, t.p.stride = rows[i].stride;
        t.p.side = rows[i].side, t.p.rounds = rows[i].rounds;
        assert_fails(th_anti_new(&t.sd, &t.p, rows[i].pictures, &t.a), rows[i].status, rows[i].said);
        end(&t);
    }
    begin(&t, TH_ANTI_FSMG);
    t.p.class_prompt = "a c";
    assert_ok(th_anti_new(&t.sd, &t.p, PICTURES, &t.a));
    assert_fails(th_anti_begin(t.a, t.clean, NULL), TH_E_INPUT, "no pictures of the class");
    end(&t);
}

static void bytes_keep_within_the_budget(void **state) {
    const uint8_t clean[4] = {0, 255, 100, 3};
    const float x[4] = {-0.9f, 0.8f, 100 / 127.5f - 1 + 0.0333f, -1};
    uint8_t out[4];
    (void)state;
    assert_int_equal(th_anti_levels(0.05f), 6);
    assert_int_equal(th_anti_levels((float)(8 / 127.5)), 8);
    assert_int_equal(th_anti_levels(0.0078f), 0);
    th_anti_to_bytes(x, clean, 4, 0.05f, out);
    assert_int_equal(out[0], 6);
    assert_int_equal(out[1], 249);
    assert_int_equal(out[2], 104);
    assert_int_equal(out[3], 0);
}

static void a_budget_is_kept_or_told(void **state) {
    th_anti_cost free_cost, tight;
    trial t;
    (void)state;
    begin(&t, TH_ANTI_FSMG);
    start(&t);
    th_anti_get_cost(t.a, &free_cost);
    end(&t);
    assert_true(free_cost.bytes > 0 && free_cost.pixel_runs == 10 * 10 * PICTURES && free_cost.training_runs == 400);
    begin(&t, TH_ANTI_FSMG);
    t.p.memory = free_cost.bytes;
    start(&t);
    th_anti_get_cost(t.a, &tight);
    assert_true(tight.bytes <= free_cost.bytes);
    end(&t);
    begin(&t, TH_ANTI_FSMG);
    t.p.memory = 1000;
    assert_fails(th_anti_new(&t.sd, &t.p, PICTURES, &t.a), TH_E_MEMORY, "of memory is needed here");
    end(&t);
}

static void running_out_of_memory_is_told(void **state) {
    (void)state;
    for (int64_t at = 1; at < 3000; at += at < 40 ? 3 : 389) {
        trial t;
        size_t used = th_bytes_in_use();
        begin(&t, TH_ANTI_ASPL);
        settle(&t);
        th_alloc_fail_at(at, false);
        th_status s = th_anti_new(&t.sd, &t.p, PICTURES, &t.a);
        if (s == TH_OK) s = th_anti_begin(t.a, t.clean, &t.class);
        if (s == TH_OK) s = th_anti_round(t.a, NULL);
        th_alloc_fail_at(0, false);
        if (s != TH_OK) assert_int_equal(s, TH_E_MEMORY);
        end(&t);
        assert_int_equal(th_bytes_in_use(), used);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_gradient_by_pixels_is_the_slope_of_the_loss),
        cmocka_unit_test(each_pixel_has_its_own_slope),
        cmocka_unit_test(batches_change_no_gradient),
        cmocka_unit_test(the_loss_rises_and_the_budget_holds),
        cmocka_unit_test(prior_preservation_takes_part),
        cmocka_unit_test(going_on_gives_the_same_bits),
        cmocka_unit_test(a_stopped_round_leaves_what_was_before),
        cmocka_unit_test(files_of_something_else_are_refused),
        cmocka_unit_test(settings_out_of_range_are_refused),
        cmocka_unit_test(bytes_keep_within_the_budget),
        cmocka_unit_test(a_budget_is_kept_or_told),
        cmocka_unit_test(running_out_of_memory_is_told),
    };
    return cmocka_run_group_tests_name("guard_anti_dreambooth", tests, set_up, tear_down);
}
