/* Schedulers: their trajectories beside diffusers', and their files. */
#include "test.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "diffusion/scheduler.h"
#include "format/json.h"
#include "format/safetensors.h"

#define FIXTURE TH_TEST_DATA "/scheduler/trajectories.safetensors"
enum { N = 6 }; /* as in tests/fixtures/scheduler.py, like the formulas below */

static void start(float *x, float sigma) {
    for (int i = 0; i < N; i++) x[i] = (float)(1.2 * cos(2.0 * i + 0.3)) * sigma;
}

static void model(const float *x, float t, float *m) {
    for (int i = 0; i < N; i++) {
        double v = (double)x[i];
        m[i] = (float)(0.8 * sin(1.1 * v + 0.002 * (double)t + i) + 0.1 * v);
    }
}

static void draw(int64_t call, float *z) {
    for (int i = 0; i < N; i++) z[i] = (float)(1.5 * sin(12.9898 * (i + 1) + 78.233 * (double)(call + 1)));
}

typedef struct {
    th_safetensors *file;
    th_json note;
    th_scheduler_config config;
    int64_t steps;
    float *times, *x, sigma; /* [calls], [calls, N] */
    int64_t calls;
} fixture;

static float *values(const th_safetensors *file, const char *name, const char *part, int64_t *count) {
    char full[64];
    snprintf(full, sizeof full, "%s.%s", name, part);
    const th_st_tensor *t = th_safetensors_find(file, full);
    assert_non_null(t);
    float *v = th_alloc((size_t)t->count, sizeof *v);
    assert_ok(th_st_to_f32(t, 0, t->count, v));
    *count = t->count;
    return v;
}

static void parse_note(const char *name, const char *note, fixture *f) {
    const char *text = NULL;
    assert_ok(th_json_parse(name, note, strlen(note), &f->note));
    assert_ok(th_json_int(&f->note, "steps", 1, 10000, &f->steps));
    assert_ok(th_json_string(&f->note, "config", &text));
    assert_ok(th_scheduler_parse_config(name, text, strlen(text), &f->config));
}

static bool open_case(fixture *f, th_safetensors *file, int i) {
    char name[16];
    int64_t n;
    snprintf(name, sizeof name, "%03d", i);
    const char *note = th_safetensors_metadata(file, name);
    if (!note) return false;
    *f = (fixture){.file = file};
    parse_note(name, note, f);
    f->times = values(file, name, "times", &f->calls);
    f->x = values(file, name, "x", &n);
    assert_int_equal(n, f->calls * N);
    float *sigma = values(file, name, "sigma", &n);
    f->sigma = *sigma;
    th_free(sigma);
    return true;
}

static void close_case(fixture *f) {
    th_json_free(&f->note);
    th_free(f->times);
    th_free(f->x);
}

static void follow(const fixture *f, int i, th_sampler *s) {
    float x[N], seen[N], m[N], z[N];
    double worst = 0, largest = 0; /* cosine schedules begin at 2e4, where one bit of f32 is 2e-3 */
    start(x, th_sampler_init_sigma(s));
    for (int64_t call = 0; call < f->calls; call++) {
        if (fabs((double)th_sampler_time(s, call) - (double)f->times[call]) > 1e-3)
            fail_msg("case %d (%s), call %d: time %g, diffusers has %g", i, th_scheduler_name(f->config.row), (int)call,
                     (double)th_sampler_time(s, call), (double)f->times[call]);
        for (int k = 0; k < N; k++) largest = fmax(largest, fabs((double)x[k]));
        th_sampler_input(s, call, x, N, seen);
        model(seen, th_sampler_time(s, call), m);
        draw(call, z);
        assert_ok(th_sampler_step(s, call, m, th_sampler_noisy(s) ? z : NULL, N, x));
        for (int k = 0; k < N; k++) {
            double want = (double)f->x[call * N + k], bit = 0x1p-23 * largest;
            double off = fmax(fabs((double)x[k] - want) - bit, 0) / fmax(1, fabs(want));
            worst = fmax(worst, off);
            if (!(off <= 1e-4))
                fail_msg("case %d (%s), call %d, element %d: %.7g, diffusers has %.7g", i,
                         th_scheduler_name(f->config.row), (int)call, k, (double)x[k], want);
        }
    }
    if (getenv("TH_SHOW")) print_message("%03d %-12s %.1e\n", i, th_scheduler_name(f->config.row), worst);
}

static void trajectories_are_those_of_diffusers(void **state) {
    (void)state;
    th_safetensors *file;
    fixture f;
    int count = 0;
    assert_ok(th_safetensors_open(FIXTURE, NULL, &file));
    for (; open_case(&f, file, count); count++) {
        th_sampler *s;
        assert_ok(th_sampler_new(&f.config, f.steps, &s));
        assert_int_equal(th_sampler_calls(s), f.calls);
        assert_true(fabsf(th_sampler_init_sigma(s) - f.sigma) <= 1e-5f * f.sigma);
        follow(&f, count, s);
        if (count % 7 == 0) follow(&f, count, s); /* call 0 begins anew */
        th_sampler_free(s);
        close_case(&f);
    }
    assert_true(count > 100);
    th_safetensors_close(file);
}

static void schedules_are_those_of_diffusers(void **state) {
    (void)state;
    static const char *const names[] = {"sd", "sd.zero", "linear", "linear.zero", "cosine", "cosine.zero"};
    static double ours[1000];
    th_safetensors *file;
    assert_ok(th_safetensors_open(FIXTURE, NULL, &file));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char name[32];
        fixture f = {0};
        int64_t n;
        snprintf(name, sizeof name, "alphas.%s", names[i]);
        parse_note(name, th_safetensors_metadata(file, name), &f);
        float *theirs = values(file, "alphas", names[i], &n);
        assert_int_equal(n, 1000);
        assert_ok(th_scheduler_alphas(&f.config, ours));
        for (int t = 0; t < 1000; t++)
            if (!(fabs(ours[t] - (double)theirs[t]) <= 2e-7 + 2e-6 * (double)theirs[t]))
                fail_msg("%s: at %d %.9g, diffusers has %.9g", name, t, ours[t], (double)theirs[t]);
        th_free(theirs);
        th_json_free(&f.note);
    }
    th_safetensors_close(file);
}

static th_status parse(const char *text, th_scheduler_config *c) {
    return th_scheduler_parse_config("s.json", text, strlen(text), c);
}

static const char sd15[] =
    "{\"_class_name\": \"PNDMScheduler\", \"_diffusers_version\": \"0.6.0\", \"beta_end\": 0.012, "
    "\"beta_schedule\": \"scaled_linear\", \"beta_start\": 0.00085, \"num_train_timesteps\": 1000, "
    "\"set_alpha_to_one\": false, \"skip_prk_steps\": true, \"steps_offset\": 1, \"trained_betas\": null, "
    "\"clip_sample\": false}";

static void another_sampler_keeps_what_the_file_gave(void **state) {
    (void)state;
    th_scheduler_config c, init;
    assert_ok(parse(sd15, &c));
    th_scheduler_config_init(&init);
    assert_ptr_equal(c.row, init.row);
    assert_ok(th_scheduler_become(&c, th_scheduler_find("ddim")));
    assert_false(c.clip_sample); /* DDIM's own would be true */
    assert_false(c.set_alpha_to_one);
    assert_int_equal(c.spacing, TH_SPACING_LEADING);
    assert_int_equal(c.steps_offset, 1);
    assert_ok(parse(sd15, &c));
    assert_ok(th_scheduler_become(&c, th_scheduler_find("EulerDiscreteScheduler")));
    assert_int_equal(c.spacing, TH_SPACING_LINSPACE); /* was left out, so it is Euler's own */
    assert_true(c.beta_end == 0.012);
}

static void a_config_comes_back_as_it_was(void **state) {
    (void)state;
    th_scheduler_config a, b;
    char dir[] = "scheduler.XXXXXX", path[TH_PATH_MAX];
    assert_non_null(mkdtemp(dir));
    for (int64_t i = 0; th_scheduler_at(i); i++) {
        th_scheduler_config_init(&a);
        a.row = th_scheduler_at(i);
        a.prediction = TH_PREDICT_V, a.spacing = TH_SPACING_TRAILING, a.train_steps = 500;
        assert_ok(th_scheduler_write_config(&a, dir));
        assert_ok(th_scheduler_read_config(dir, &b));
        assert_ptr_equal(b.row, a.row);
        assert_int_equal(b.prediction, TH_PREDICT_V);
        assert_int_equal(b.spacing, TH_SPACING_TRAILING);
        assert_int_equal(b.betas, TH_BETAS_SCALED_LINEAR);
        assert_int_equal(b.train_steps, 500);
        assert_int_equal(b.steps_offset, 1);
        assert_true(b.beta_start == 0.00085);
    }
    assert_ok(th_path_join(path, dir, "scheduler_config.json"));
    unlink(path);
    rmdir(dir);
}

static void infinity_is_read_as_python_writes_it(void **state) {
    (void)state;
    th_scheduler_config c;
    assert_ok(parse("{\"_class_name\": \"DPMSolverMultistepScheduler\", \"lambda_min_clipped\": -Infinity, "
                    "\"_note\": \"-Infinity\\\" is far\", \"flow_shift\": 1.0}",
                    &c));
    assert_true(c.lambda_min_clipped < -1e300);
    assert_fails(parse("{\"_class_name\": \"DDIMScheduler\", \"beta_start\": -Infinity}", &c), TH_E_INPUT,
                 "beta_start");
    assert_fails(parse("{\"_class_name\": \"DDIMScheduler\", \"beta_start\": NaN}", &c), TH_E_INPUT, "s.json: line 1");
}

static void what_is_not_supported_is_refused_by_name(void **state) {
    (void)state;
    static const struct {
        const char *fields, *message;
    } rows[] = {
        {"\"_class_name\": \"HeunDiscreteScheduler\"", "'HeunDiscreteScheduler' is not supported"},
        {"\"_class_name\": \"ddim\"", "'ddim' is not supported"},
        {"\"beta_end\": 0.02", "'_class_name' is missing"},
        {"\"_class_name\": 7", "_class_name"},
        {"\"_class_name\": \"DDIMScheduler\", \"trained_betas\": [0.1, 0.2]", "trained_betas"},
        {"\"_class_name\": \"DDIMScheduler\", \"thresholding\": true", "thresholding"},
        {"\"_class_name\": \"DDIMScheduler\", \"beta_schedule\": \"laplace\"", "beta_schedule"},
        {"\"_class_name\": \"DDIMScheduler\", \"beta_start\": 0", "beta_start 0"},
        {"\"_class_name\": \"DDIMScheduler\", \"beta_end\": 1.5", "beta_end"},
        {"\"_class_name\": \"DDIMScheduler\", \"prediction_type\": \"flow\"", "prediction_type"},
        {"\"_class_name\": \"DDIMScheduler\", \"prediction_type\": 3", "prediction_type"},
        {"\"_class_name\": \"DDIMScheduler\", \"timestep_spacing\": \"odd\"", "timestep_spacing"},
        {"\"_class_name\": \"DDIMScheduler\", \"num_train_timesteps\": 0", "num_train_timesteps"},
        {"\"_class_name\": \"DDIMScheduler\", \"num_train_timesteps\": 20000", "num_train_timesteps"},
        {"\"_class_name\": \"DDIMScheduler\", \"steps_offset\": -1", "steps_offset"},
        {"\"_class_name\": \"DDIMScheduler\", \"clip_sample\": 1", "clip_sample"},
        {"\"_class_name\": \"DDIMScheduler\", \"clip_sample_range\": -1", "clip_sample_range"},
        {"\"_class_name\": \"DDIMScheduler\", \"a_new_idea\": true", "a_new_idea"},
        {"\"_class_name\": \"DDPMScheduler\", \"variance_type\": \"learned\"", "variance_type"},
        {"\"_class_name\": \"PNDMScheduler\", \"prediction_type\": \"sample\"", "'sample'"},
        {"\"_class_name\": \"PNDMScheduler\", \"rescale_betas_zero_snr\": true", "rescale_betas_zero_snr"},
        {"\"_class_name\": \"EulerDiscreteScheduler\", \"interpolation_type\": \"log_linear\"", "interpolation_type"},
        {"\"_class_name\": \"EulerDiscreteScheduler\", \"use_beta_sigmas\": true", "use_beta_sigmas"},
        {"\"_class_name\": \"EulerDiscreteScheduler\", \"timestep_type\": \"continuous\"", "timestep_type"},
        {"\"_class_name\": \"EulerDiscreteScheduler\", \"sigma_max\": 12.0", "sigma_max"},
        {"\"_class_name\": \"DPMSolverMultistepScheduler\", \"algorithm_type\": \"sde-dpmsolver++\"", "algorithm_type"},
        {"\"_class_name\": \"DPMSolverMultistepScheduler\", \"solver_order\": 3", "solver_order"},
        {"\"_class_name\": \"DPMSolverMultistepScheduler\", \"solver_type\": \"bh1\"", "solver_type"},
        {"\"_class_name\": \"DPMSolverMultistepScheduler\", \"final_sigmas_type\": \"one\"", "final_sigmas_type"},
        {"\"_class_name\": \"DPMSolverMultistepScheduler\", \"lambda_min_clipped\": true", "lambda_min_clipped"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[256];
        th_scheduler_config c;
        snprintf(text, sizeof text, "{%s}", rows[i].fields);
        assert_fails(parse(text, &c), TH_E_INPUT, rows[i].message);
        assert_non_null(strstr(th_error_message(), "s.json"));
    }
}

static void steps_that_cannot_be_are_refused(void **state) {
    (void)state;
    th_scheduler_config c;
    th_sampler *s;
    th_scheduler_config_init(&c);
    assert_fails(th_sampler_new(&c, 0, &s), TH_E_USAGE, "1 to 1000");
    assert_fails(th_sampler_new(&c, 1001, &s), TH_E_USAGE, "1001 steps");
    assert_fails(th_sampler_new(&c, 1000, &s), TH_E_USAGE, "steps_offset 1");
    c.skip_prk_steps = false;
    assert_fails(th_sampler_new(&c, 3, &s), TH_E_USAGE, "at least 4");
    c.lambda_min_clipped = 50;
    c.row = th_scheduler_find("dpm-solver++");
    assert_fails(th_sampler_new(&c, 10, &s), TH_E_INPUT, "lambda_min_clipped");
    th_scheduler_config_init(&c);
    c.row = th_scheduler_find("ddim");
    c.rescale_betas_zero_snr = true, c.spacing = TH_SPACING_TRAILING;
    assert_fails(th_sampler_new(&c, 10, &s), TH_E_INPUT, "v_prediction");
    c.spacing = TH_SPACING_LEADING; /* does not come to the time without signal */
    assert_ok(th_sampler_new(&c, 10, &s));
    th_sampler_free(s);
    c.rescale_betas_zero_snr = false;
    c.beta_start = c.beta_end = 1e-12;
    assert_fails(th_sampler_new(&c, 10, &s), TH_E_INPUT, "betas");
}

static void samplers_work_at_every_number_of_steps(void **state) {
    (void)state;
    for (int64_t i = 0; th_scheduler_at(i); i++)
        for (int spacing = 0; spacing < 3; spacing++)
            for (int64_t steps = 1; steps <= 60; steps++) {
                th_scheduler_config c;
                th_sampler *s;
                float x[N] = {0.5f, 1, -1}, m[N] = {0.1f}, z[N] = {0};
                th_scheduler_config_init(&c);
                c.row = th_scheduler_at(i), c.spacing = (th_spacing)spacing;
                c.train_steps = 60, c.steps_offset = 0, c.skip_prk_steps = steps % 2 || steps < 4;
                c.karras_sigmas = steps % 3 == 0;
                assert_ok(th_sampler_new(&c, steps, &s));
                for (int64_t call = 0; call < th_sampler_calls(s); call++)
                    assert_ok(th_sampler_step(s, call, m, z, N, x));
                for (int k = 0; k < N; k++) assert_true(isfinite(x[k]));
                th_sampler_free(s);
            }
}

static void failed_allocations_leave_nothing(void **state) {
    (void)state;
    for (int64_t i = 0; th_scheduler_at(i); i++) {
        size_t before = th_bytes_in_use();
        th_scheduler_config c;
        th_scheduler_config_init(&c);
        c.row = th_scheduler_at(i);
        for (int64_t n = 1;; n++) {
            th_sampler *s;
            float x[N] = {0}, m[N] = {0}, z[N] = {0};
            th_alloc_fail_at(n, false);
            th_status status = th_sampler_new(&c, 10, &s);
            if (status == TH_OK) status = th_sampler_step(s, 0, m, z, N, x);
            th_alloc_fail_at(0, false);
            th_sampler_free(s);
            assert_int_equal(th_bytes_in_use(), before);
            if (status == TH_OK) break;
            assert_int_equal(status, TH_E_MEMORY);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(schedules_are_those_of_diffusers),
        cmocka_unit_test(trajectories_are_those_of_diffusers),
        cmocka_unit_test(another_sampler_keeps_what_the_file_gave),
        cmocka_unit_test(a_config_comes_back_as_it_was),
        cmocka_unit_test(infinity_is_read_as_python_writes_it),
        cmocka_unit_test(what_is_not_supported_is_refused_by_name),
        cmocka_unit_test(steps_that_cannot_be_are_refused),
        cmocka_unit_test(samplers_work_at_every_number_of_steps),
        cmocka_unit_test(failed_allocations_leave_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
