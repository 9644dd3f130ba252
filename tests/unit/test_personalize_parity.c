/* Three optimizer steps of each personalisation, beside those that PyTorch, diffusers and peft make
 * (tests/fixtures/personalize.py). */
#include "personalize_fixture.h"

#include "format/safetensors.h"
#include "graph/param.h"

enum { SIDE = 4, CONTEXT = 8, CHANNELS = 4, STEPS = 3, MOST = 64, NEW = 514 };
#define LR 2e-3

static const double alphas_times[STEPS][2] = {{700, 150}, {20, 990}, {420, 333}};
static const int32_t plain_ids[2][CONTEXT] = {{512, 7, 90, 301, 5, 513, 513, 513},
                                              {512, 7, 301, 44, 513, 513, 513, 513}};

typedef struct {
    th_sd sd;
    th_options *options;
    th_personal *p;
    th_safetensors *expected;
    const char *added; /* what the added rows are called in the file */
    int32_t ids[2][CONTEXT];
    double *alphas;
    /* Sums of squares of what was compared. */
    double grad_error, change_error, change;
    double all_gradients;
} trial;

/* "unet.", "text." or "" and the parameter's name; the added rows are "rows". */
static const char *name_in_file(const trial *t, const th_param *q, char out[320]) {
    const char *name = th_param_name(q), *whose = "";
    const th_params *rows = th_text_encoder_added(t->sd.text);
    if (rows && th_params_at(rows, 0) == q) return "rows";
    if (th_params_find(th_text_encoder_params(t->sd.text), name)) whose = "text.";
    if (!strcmp(t->p->method->name, "dreambooth") && th_params_find(th_unet_params(t->sd.unet), name)) whose = "unet.";
    snprintf(out, 320, "%s%s", whose, name);
    return out;
}

static float *expected_of(const trial *t, const char *kind, const th_param *q, int64_t *count) {
    char name[320], full[340];
    snprintf(full, sizeof full, "%s.%s", kind, name_in_file(t, q, name));
    const th_st_tensor *s = th_safetensors_find(t->expected, full);
    if (!s) fail_msg("the fixture has no '%s'", full);
    float *v = malloc((size_t)s->count * sizeof *v);
    assert_non_null(v);
    assert_ok(th_st_to_f32(s, 0, s->count, v));
    *count = s->count;
    return v;
}

static float *values_of(const th_param *q, th_status (*get)(const th_param *, float *)) {
    float *v = malloc((size_t)th_desc_count(th_param_desc(q)) * sizeof *v);
    assert_non_null(v);
    assert_ok(get(q, v));
    return v;
}

/* The fixture keeps about MOST elements of each parameter. */
static int64_t stride_of(const th_param *q) { return th_desc_count(th_param_desc(q)) / MOST | 1; }

static double norm(const float *v, int64_t n) {
    double s = 0;
    for (int64_t i = 0; i < n; i++) s += (double)v[i] * (double)v[i];
    return s;
}

/* ‖Δg‖ ≤ 1e-4 ‖g‖ + 1e-6 ‖all gradients‖, parameter by parameter. A key's bias moves all scores of a row alike, so its
 * gradient is zero plus noise. */
static void check_gradients(trial *t) {
    th_params *ps = t->p->trained;
    for (int pass = 0; pass < 2; pass++)
        for (int64_t i = 0; i < th_params_count(ps); i++) {
            th_param *q = th_params_at(ps, i);
            if (!th_param_trainable(q)) continue;
            int64_t n;
            float *want = expected_of(t, "grad", q, &n), *is = values_of(q, th_param_get_grad);
            double error = 0;
            for (int64_t k = 0; k < n; k++) error += pow((double)is[k * stride_of(q)] - (double)want[k], 2);
            if (!pass) t->all_gradients += norm(want, n);
            double allowed = 1e-4 * sqrt(norm(want, n)) + 1e-6 * sqrt(t->all_gradients);
            if (pass && sqrt(error) > allowed && !strstr(th_param_name(q), "k_proj.bias"))
                fail_msg("%s: gradient is off by %g, %g is allowed", th_param_name(q), sqrt(error), allowed);
            free(want);
            free(is);
        }
}

static th_status feed(void *user, int64_t step, th_plan *plan) {
    trial *t = user;
    int64_t n = t->p->rows, count = n * SIDE * SIDE * CHANNELS;
    char name[32];
    float *z = th_plan_input(plan, "latents"), *noise = th_plan_input(plan, "noise"), times[2];
    if (step == 1) check_gradients(t);
    snprintf(name, sizeof name, "latents.%d", (int)step);
    fixture_numbers(name, count, z);
    snprintf(name, sizeof name, "noise.%d", (int)step);
    fixture_numbers(name, count, noise);
    for (int64_t i = 0; i < count; i++) z[i] *= 2, noise[i] *= 1.7f;
    for (int64_t i = 0; i < n; i++) {
        double alpha = t->alphas[(int)alphas_times[step][i]];
        times[i] = (float)alphas_times[step][i];
        ((float *)th_plan_input(plan, "signal"))[i] = (float)sqrt(alpha);
        ((float *)th_plan_input(plan, "sigma"))[i] = (float)sqrt(1 - alpha);
        ((float *)th_plan_input(plan, "weight"))[i] = t->p->weights[i];
    }
    th_unet_embed_times(th_unet_get_config(t->sd.unet), times, n, th_plan_input(plan, "times"));
    if (!t->p->shape.states) memcpy(th_plan_input(plan, "ids"), t->ids, (size_t)n * sizeof t->ids[0]);
    if (t->p->shape.states) {
        size_t bytes = (size_t)(n * CONTEXT * 8) * sizeof(float);
        memcpy(th_plan_input(plan, "states"), t->p->states, bytes);
    }
    return TH_OK;
}

static void open_trial(trial *t, const char *method, const char *const *words, bool prior) {
    char path[512];
    const th_personalizer *m = th_personalizer_find(method);
    th_personal_params p;
    assert_non_null(m);
    fixture_open(SIDE, CONTEXT, &t->sd);
    t->options = fixture_options(m, words);
    th_personal_params_init(&p);
    p.prompt = m->prior && strcmp(method, "custom-diffusion") ? "a b" : "a <w>";
    p.class_prompt = prior ? "a c" : NULL;
    p.prior_weight = 0.7f;
    p.train.steps = STEPS;
    p.train.schedule.lr = LR;
    assert_ok(th_personal_new(&t->sd, m, t->options, &p, &t->p));
    snprintf(path, sizeof path, TH_TEST_DATA "/personalize/%s.safetensors", method);
    assert_ok(th_safetensors_open(path, NULL, &t->expected));
    t->alphas = malloc((size_t)t->sd.scheduler.train_steps * sizeof *t->alphas);
    assert_non_null(t->alphas);
    assert_ok(th_scheduler_alphas(&t->sd.scheduler, t->alphas));
    memcpy(t->ids, plain_ids, sizeof plain_ids);
    if (th_text_encoder_added(t->sd.text))
        fixture_fill(th_params_at(th_text_encoder_added(t->sd.text), 0), "added.embedding");
    if (th_unet_lora(t->sd.unet)) fixture_fill_all(th_unet_lora(t->sd.unet));
    /* States of the ids of the fixture, not of the prompts. */
    if (t->p->shape.states) memcpy(t->p->ids, t->ids, (size_t)t->p->prompt_count * sizeof t->ids[0]);
    assert_ok(th_personal_read_prompts(t->p));
}

static void close_trial(trial *t) {
    th_personal_free(t->p);
    th_options_free(t->options);
    th_safetensors_close(t->expected);
    th_sd_free(&t->sd);
    free(t->alphas);
}

/* ‖Δ(θ′ − θ)‖ ≤ 1e-3 ‖θ′ − θ‖ over all that is trained. */
static void run_trial(trial *t) {
    th_params *ps = t->p->trained;
    int64_t count = th_params_count(ps);
    float **start = calloc((size_t)count, sizeof *start);
    th_train_task task = {.params = ps, .plan = t->p->plan, .feed = feed, .user = t};
    th_train_result result;
    assert_non_null(start);
    for (int64_t i = 0; i < count; i++) start[i] = values_of(th_params_at(ps, i), th_param_get);
    assert_ok(th_train(&task, &t->p->p.train, NULL, &result));
    for (int64_t i = 0; i < count; i++) {
        th_param *q = th_params_at(ps, i);
        int64_t n, stride = stride_of(q);
        float *is = values_of(q, th_param_get);
        bool moved = memcmp(is, start[i], (size_t)th_desc_count(th_param_desc(q)) * sizeof *is) != 0;
        if (!th_param_trainable(q)) assert_false(moved);
        if (th_param_trainable(q) && !strstr(th_param_name(q), "k_proj.bias")) {
            float *want = expected_of(t, "change", q, &n);
            for (int64_t k = 0; k < n; k++) {
                double change = (double)is[k * stride] - (double)start[i][k * stride];
                t->change_error += pow(change - (double)want[k], 2);
                t->change += pow((double)want[k], 2);
            }
            free(want);
        }
        free(is);
        free(start[i]);
    }
    free(start);
    print_message("changes are off by %.2e of their size\n", sqrt(t->change_error / t->change));
    if (sqrt(t->change_error) > 1e-3 * sqrt(t->change))
        fail_msg("after %d steps the changes are off by %g, their norm is %g", STEPS, sqrt(t->change_error),
                 sqrt(t->change));
}

static void dreambooth_steps_as_diffusers_does(void **state) {
    (void)state;
    trial t = {0};
    open_trial(&t, "dreambooth", (const char *const[]){"train-text-encoder", "true", NULL}, true);
    run_trial(&t);
    close_trial(&t);
}

static void lora_steps_as_peft_does(void **state) {
    (void)state;
    trial t = {0};
    open_trial(&t, "lora", (const char *const[]){"rank", "2", "alpha", "3", NULL}, true);
    run_trial(&t);
    close_trial(&t);
}

static void textual_inversion_steps_as_diffusers_does(void **state) {
    (void)state;
    trial t = {0};
    open_trial(&t, "textual-inversion", (const char *const[]){"word", "<w>", "initializer", "a", "vectors", "2", NULL},
               false);
    t.ids[0][2] = NEW, t.ids[0][3] = NEW + 1;
    run_trial(&t);
    close_trial(&t);
}

static void custom_diffusion_steps_as_diffusers_does(void **state) {
    (void)state;
    trial t = {0};
    open_trial(&t, "custom-diffusion", (const char *const[]){"word", "<w>", "initializer", "a", NULL}, true);
    t.ids[0][2] = NEW;
    run_trial(&t);
    close_trial(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dreambooth_steps_as_diffusers_does),
        cmocka_unit_test(lora_steps_as_peft_does),
        cmocka_unit_test(textual_inversion_steps_as_diffusers_does),
        cmocka_unit_test(custom_diffusion_steps_as_diffusers_does),
    };
    return cmocka_run_group_tests_name("personalize parity", tests, NULL, NULL);
}
