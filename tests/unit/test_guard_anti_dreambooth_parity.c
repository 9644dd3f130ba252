/* Anti-DreamBooth beside the same rounds by PyTorch and diffusers (tests/fixtures/anti_dreambooth.py): gradients by
 * pixels, steps of the pictures, surrogates and victims. */
#include "sd_fixture.h"

#include "format/safetensors.h"
#include "graph/param.h"
#include "guard/anti_dreambooth_parts.h"

enum { LATENTS = 4, SIDE = 2 * LATENTS, CONTEXT = 8, PICTURES = 3, SIZE = SIDE * SIDE * 3, ALL = PICTURES * SIZE };
enum { Z = LATENTS * LATENTS * 4, MOST = 64 }; /* floats of a picture's latents; values kept of a parameter */

static const int32_t ids[2][CONTEXT] = {{512, 7, 90, 301, 5, 513, 513, 513}, {512, 7, 301, 44, 513, 513, 513, 513}};

typedef struct {
    th_sd sd;
    th_anti_params p;
    th_anti *a;
    th_moments class;
    th_safetensors *expected;
    double *alphas;
    float clean[ALL];
} trial;

static void put_noise(const char *kind, int use, int64_t at, int64_t row, float *out) {
    char name[64];
    snprintf(name, sizeof name, "%s.%d.%d.%d", kind, use, (int)at, (int)row);
    fixture_numbers(name, Z, out);
    for (int i = 0; i < Z; i++) out[i] *= 1.7f;
}

static int64_t time_of(int use, int64_t at, int64_t row) {
    char name[64];
    float v;
    snprintf(name, sizeof name, "time.%d.%d.%d", use, (int)at, (int)row);
    fixture_numbers(name, 1, &v);
    return (int64_t)(((double)v + 1) * 500);
}

/* The fixture's times and noises. */
static void redraw(void *user, th_plan *plan, int use, int64_t at, int64_t first) {
    const trial *t = user;
    int64_t rows = use == TH_ANTI_PIXELS ? t->a->pixel_shape.batch : t->a->training_shape.batch;
    float times[8];
    for (int64_t k = 0; k < rows; k++) {
        int64_t time = time_of(use, at, first + k);
        times[k] = (float)time;
        ((float *)th_plan_input(plan, "signal"))[k] = (float)sqrt(t->alphas[time]);
        ((float *)th_plan_input(plan, "sigma"))[k] = (float)sqrt(1 - t->alphas[time]);
        put_noise("noise", use, at, first + k, (float *)th_plan_input(plan, "noise") + k * Z);
        if (use == TH_ANTI_PIXELS)
            put_noise("latent", use, at, first + k, (float *)th_plan_input(plan, "latent_noise") + k * Z);
    }
    th_unet_embed_times(th_unet_get_config(t->sd.unet), times, rows, th_plan_input(plan, "times"));
}

static void begin(trial *t, th_anti_kind kind, const char *file, th_prediction prediction) {
    char path[512];
    memset(t, 0, sizeof *t);
    fixture_open(LATENTS, CONTEXT, &t->sd);
    t->sd.scheduler.prediction = prediction;
    fixture_numbers("pictures", ALL, t->clean);
    t->class = fixture_moments("class", LATENTS, 4, 1, 1);
    float z[Z];
    fixture_numbers("class", Z, z);
    for (int i = 0; i < Z; i++) t->class.moments[i / 4 * 8 + i % 4] = 4 * z[i];
    th_anti_params_init(&t->p, kind);
    t->p.prompt = "a b c";
    t->p.class_prompt = "a c";
    t->p.prior_weight = 0.7f;
    t->p.budget = 0.05f, t->p.stride = 0.03f;
    t->p.rounds = 2;
    t->p.surrogate_steps = kind == TH_ANTI_ASPL ? 2 : 3;
    t->p.pixel_steps = kind == TH_ANTI_ASPL ? 3 : 2;
    t->p.victim_steps = kind == TH_ANTI_ASPL ? 2 : 0;
    t->p.lr = 2e-3f;
    t->p.mean = true; /* while personalising; the gradient's noise is the fixture's */
    t->p.batch = 2;   /* the last batch is not full, and pictures go round */
    t->p.threads = 1;
    assert_ok(th_anti_new(&t->sd, &t->p, PICTURES, &t->a));
    memcpy(t->a->ids, ids, sizeof ids);
    t->a->redraw = redraw;
    t->a->user = t;
    t->alphas = malloc((size_t)t->sd.scheduler.train_steps * sizeof *t->alphas);
    assert_non_null(t->alphas);
    assert_ok(th_scheduler_alphas(&t->sd.scheduler, t->alphas));
    assert_ok(th_anti_begin(t->a, t->clean, &t->class));
    snprintf(path, sizeof path, TH_TEST_DATA "/anti_dreambooth/%s.safetensors", file);
    assert_ok(th_safetensors_open(path, NULL, &t->expected));
}

static void end(trial *t) {
    th_anti_free(t->a);
    th_moments_free(&t->class);
    th_safetensors_close(t->expected);
    th_sd_free(&t->sd);
    free(t->alphas);
}

static void read_expected(const trial *t, const char *name, int64_t count, float *out) {
    const th_st_tensor *s = th_safetensors_find(t->expected, name);
    if (!s || s->count != count) fail_msg("the fixture has no '%s' of %lld values", name, (long long)count);
    assert_ok(th_st_to_f32(s, 0, count, out));
}

/* ‖difference‖ / ‖wanted‖ */
static double relative(const float *is, const float *wanted, int64_t n) {
    double off = 0, all = 0;
    for (int64_t i = 0; i < n; i++) {
        off += pow((double)is[i] - (double)wanted[i], 2);
        all += pow((double)wanted[i], 2);
    }
    return sqrt(off / all);
}

/* ‖Δg‖ ≤ 1e-4 ‖g‖, picture by picture. */
static void check_gradient(th_prediction prediction, const char *name) {
    static float g[ALL], wanted[ALL];
    float each[PICTURES], losses[PICTURES];
    char tensor[64];
    trial t;
    begin(&t, TH_ANTI_FSMG, "gradients", prediction);
    assert_ok(th_anti_gradient(t.a, t.clean, 0, g, each));
    snprintf(tensor, sizeof tensor, "gradient.%s", name);
    read_expected(&t, tensor, ALL, wanted);
    snprintf(tensor, sizeof tensor, "losses.%s", name);
    read_expected(&t, tensor, PICTURES, losses);
    for (int i = 0; i < PICTURES; i++) {
        double off = relative(g + i * SIZE, wanted + i * SIZE, SIZE);
        print_message("%s, picture %d: the gradient is off by %.1e of its size\n", name, i, off);
        if (off > 1e-4) fail_msg("%s, picture %d: the gradient is off by %g of its size", name, i, off);
        if (fabsf(each[i] - losses[i]) > 1e-5f * losses[i])
            fail_msg("%s, picture %d: the loss is %.8g, %.8g is wanted", name, i, (double)each[i], (double)losses[i]);
    }
    end(&t);
}

static void the_gradient_by_pixels_is_that_of_pytorch(void **state) {
    (void)state;
    check_gradient(TH_PREDICT_NOISE, "epsilon");
    check_gradient(TH_PREDICT_V, "v_prediction");
}

/* ‖Δ(θ′ − θ)‖ ≤ 1e-3 ‖θ′ − θ‖ over the values that the fixture keeps. AdamW begins anew in each round, so that its
 * first step is the gradient's sign; where rounding decides on that the fixture has NaN. */
static void check_weights(const trial *t, float *const *start) {
    double off = 0, all = 0;
    for (int64_t i = 0; i < th_params_count(t->a->trained); i++) {
        const th_param *q = th_params_at(t->a->trained, i);
        int64_t n = th_desc_count(th_param_desc(q)), stride = n / MOST | 1, kept = (n + stride - 1) / stride;
        char name[320];
        float *is = malloc((size_t)n * sizeof *is), *wanted = malloc((size_t)kept * sizeof *wanted);
        assert_true(is && wanted);
        assert_ok(th_param_get(q, is));
        snprintf(name, sizeof name, "change.%s", th_param_name(q));
        read_expected(t, name, kept, wanted);
        for (int64_t k = 0; k < kept; k++) {
            if (isnan(wanted[k])) continue;
            double change = (double)is[k * stride] - (double)start[i][k * stride];
            off += pow(change - (double)wanted[k], 2);
            all += pow((double)wanted[k], 2);
        }
        free(is);
        free(wanted);
    }
    print_message("changes of weights are off by %.1e of their size\n", sqrt(off / all));
    if (sqrt(off) > 1e-3 * sqrt(all)) fail_msg("changes of weights are off by %g of their size", sqrt(off / all));
}

static float **values_of(const th_params *ps) {
    int64_t count = th_params_count(ps);
    float **v = calloc((size_t)count, sizeof *v);
    assert_non_null(v);
    for (int64_t i = 0; i < count; i++) {
        v[i] = malloc((size_t)th_desc_count(th_param_desc(th_params_at(ps, i))) * sizeof **v);
        assert_non_null(v[i]);
        assert_ok(th_param_get(th_params_at(ps, i), v[i]));
    }
    return v;
}

/* Signs, the budget and the range leave no room for rounding: no gradient of the fixture is near zero. */
static void check_pictures(const trial *t, int round) {
    static float wanted[ALL];
    char name[32];
    snprintf(name, sizeof name, "pictures.%d", round);
    read_expected(t, name, ALL, wanted);
    for (int i = 0; i < ALL; i++)
        if (fabsf(th_anti_pictures(t->a)[i] - wanted[i]) > 1e-6f)
            fail_msg("round %d, picture %d, value %d: is %.8g, was %.8g, %.8g is wanted", round, i / SIZE, i % SIZE,
                     (double)th_anti_pictures(t->a)[i], (double)t->clean[i], (double)wanted[i]);
}

static void check_rounds(th_anti_kind kind, const char *file) {
    trial t;
    begin(&t, kind, file, TH_PREDICT_NOISE);
    float **start = values_of(t.a->trained);
    for (int i = 0; i < t.p.rounds; i++) {
        assert_ok(th_anti_round(t.a, NULL));
        check_pictures(&t, i);
    }
    check_weights(&t, start);
    for (int64_t i = 0; i < th_params_count(t.a->trained); i++) free(start[i]);
    free(start);
    end(&t);
}

static void fsmg_makes_the_rounds_that_pytorch_makes(void **state) {
    (void)state;
    check_rounds(TH_ANTI_FSMG, "fsmg");
}

static void aspl_makes_the_rounds_that_pytorch_makes(void **state) {
    (void)state;
    check_rounds(TH_ANTI_ASPL, "aspl");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_gradient_by_pixels_is_that_of_pytorch),
        cmocka_unit_test(fsmg_makes_the_rounds_that_pytorch_makes),
        cmocka_unit_test(aspl_makes_the_rounds_that_pytorch_makes),
    };
    return cmocka_run_group_tests_name("anti-dreambooth parity", tests, NULL, NULL);
}
