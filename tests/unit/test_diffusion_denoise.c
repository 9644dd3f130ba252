/* The loss of denoising, against what its formulas give outside of the graph. */
#include "test.h"

#include <math.h>
#include <stdlib.h>

#include "base/memory.h"
#include "diffusion/denoise.h"

enum { N = 3, SIDE = 4, TOKENS = 5, CHANNELS = 4, VALUES = SIDE * SIDE * CHANNELS };

static const th_denoise_shape shape = {.batch = N, .height = SIDE, .width = SIDE, .tokens = TOKENS};

static th_sd make_sd(th_prediction prediction) {
    th_sd_config c;
    th_sd sd;
    assert_ok(th_sd_config_named("sd15", &c));
    c.unet.levels = 2;
    c.unet.channels[0] = 16, c.unet.channels[1] = 32;
    c.unet.heads[0] = c.unet.heads[1] = 2;
    c.unet.attends_down[0] = c.unet.attends_up[1] = true;
    c.unet.attends_down[1] = c.unet.attends_up[0] = false;
    c.unet.layers_per_block = 1;
    c.unet.groups = 8;
    c.unet.sample_size = SIDE;
    c.unet.cross_attention_dim = 16;
    c.vae.levels = 1;
    c.vae.channels[0] = 8;
    c.vae.groups = 4;
    c.text.tower = (th_clip_tower){.width = 16, .heads = 2, .layers = 1, .mlp = 32, .quick_gelu = true, .eps = 1e-5f};
    c.text.vocab_size = 20;
    c.text.context = TOKENS;
    c.text.bos_token_id = 18;
    c.text.eos_token_id = c.text.pad_token_id = 19;
    c.text.projection_dim = 16;
    c.scheduler.prediction = prediction;
    assert_ok(th_sd_new(&c, &sd));
    assert_ok(th_unet_randomize(sd.unet, 1));
    assert_ok(th_text_encoder_randomize(sd.text, 2));
    /* It starts at zero, and then the prediction would tell nothing. */
    assert_ok(th_init_normal(th_params_find(th_unet_params(sd.unet), "conv_out.weight"), 5, 0, 0.1f));
    return sd;
}

typedef struct {
    th_plan *plan;
    th_denoiser *denoiser;
} work;

static work make(const th_sd *sd, float min_snr) {
    work w;
    th_graph *g = th_graph_new();
    th_denoise_loss l = th_denoise_record(g, sd, &shape);
    th_output(g, "prediction", l.prediction);
    th_output(g, "target", l.target);
    th_output(g, "each", l.each);
    th_output(g, "loss", l.loss);
    th_grad_params(g, l.loss, th_unet_params(sd->unet));
    th_plan_params p;
    th_plan_params_init(&p);
    p.threads = 1;
    assert_ok(th_plan_new(g, &p, &w.plan));
    th_graph_free(g);
    th_denoiser_params d = {.min_snr = min_snr, .seed = 7};
    assert_ok(th_denoiser_new(sd, &d, &w.denoiser));
    return w;
}

static void drop(work *w) {
    th_plan_free(w->plan);
    th_denoiser_free(w->denoiser);
}

static void fill(const work *w, uint32_t step, int64_t first, const float *weights) {
    float *z = th_plan_input(w->plan, "latents");
    int32_t *ids = th_plan_input(w->plan, "ids");
    for (int i = 0; i < N * VALUES; i++) z[i] = sinf((float)i);
    for (int i = 0; i < N * TOKENS; i++) ids[i] = i % TOKENS ? i % 17 : 18;
    assert_ok(th_denoiser_fill(w->denoiser, w->plan, &shape, step, first, weights));
}

/* What the UNet says of the noisy latents, made outside of the graph. */
static float *predict(const th_sd *sd, const float *noisy, const float *times, const int32_t *ids) {
    th_plan *plan;
    th_plan_params p;
    th_graph *g = th_graph_new();
    th_tensor *x = th_input(g, "x", TH_DESC(TH_F32, N, SIDE, SIDE, CHANNELS));
    th_tensor *t = th_input(g, "t", TH_DESC(TH_F32, N, 16)), *i = th_input(g, "i", TH_DESC(TH_I32, N, TOKENS));
    th_output(g, "y", th_unet_apply(g, sd->unet, x, t, th_text_encoder_apply(g, sd->text, i)));
    th_plan_params_init(&p);
    p.threads = 1;
    assert_ok(th_plan_new(g, &p, &plan));
    th_graph_free(g);
    memcpy(th_plan_input(plan, "x"), noisy, N * VALUES * sizeof *noisy);
    memcpy(th_plan_input(plan, "t"), times, N * 16 * sizeof *times);
    memcpy(th_plan_input(plan, "i"), ids, N * TOKENS * sizeof *ids);
    assert_ok(th_plan_run(plan, 0, 0));
    float *y = test_malloc(N * VALUES * sizeof *y);
    memcpy(y, th_plan_output(plan, "y"), N * VALUES * sizeof *y);
    th_plan_free(plan);
    return y;
}

static void near(const char *what, double is, double wanted, double tolerance) {
    if (!(fabs(is - wanted) <= tolerance * (1 + fabs(wanted)))) fail_msg("%s: %.9g, should be %.9g", what, is, wanted);
}

static void check_loss(th_prediction prediction) {
    th_sd sd = make_sd(prediction);
    work w = make(&sd, 5);
    const float weights[N] = {1, 0.5f, 2};
    float noisy[N * VALUES];
    fill(&w, 3, 0, weights);
    const float *z = th_plan_input(w.plan, "latents"), *e = th_plan_input(w.plan, "noise"),
                *signal = th_plan_input(w.plan, "signal"), *sigma = th_plan_input(w.plan, "sigma"),
                *weight = th_plan_input(w.plan, "weight");
    for (int i = 0; i < N * VALUES; i++) noisy[i] = signal[i / VALUES] * z[i] + sigma[i / VALUES] * e[i];
    float *y = predict(&sd, noisy, th_plan_input(w.plan, "times"), th_plan_input(w.plan, "ids"));
    assert_ok(th_plan_run(w.plan, 0, 0));
    double loss = 0, bias[CHANNELS] = {0};
    for (int n = 0; n < N; n++) {
        double each = 0, s = (double)signal[n], o = (double)sigma[n];
        for (int k = n * VALUES; k < (n + 1) * VALUES; k++) {
            double a = (double)z[k], b = (double)e[k];
            double target = prediction == TH_PREDICT_V ? s * b - o * a : prediction == TH_PREDICT_NOISE ? b : a;
            double error = (double)y[k] - target;
            each += error * error / VALUES;
            bias[k % CHANNELS] += (double)weight[n] / N * 2 * error / VALUES;
        }
        near("each", (double)((const float *)th_plan_output(w.plan, "each"))[n], each, 1e-5);
        loss += (double)weight[n] * each / N;
    }
    near("loss", (double)*(const float *)th_plan_output(w.plan, "loss"), loss, 1e-5);
    float grad[CHANNELS];
    assert_ok(th_param_get_grad(th_params_find(th_unet_params(sd.unet), "conv_out.bias"), grad));
    for (int k = 0; k < CHANNELS; k++) near("gradient", (double)grad[k], bias[k], 1e-5);
    test_free(y);
    drop(&w);
    th_sd_free(&sd);
}

static void loss_and_gradient_are_those_of_the_formulas(void **state) {
    (void)state;
    check_loss(TH_PREDICT_NOISE);
    check_loss(TH_PREDICT_V);
    check_loss(TH_PREDICT_SAMPLE);
}

static void times_noise_and_weights_are_as_said(void **state) {
    (void)state;
    static double alphas[TH_SCHEDULER_MOST_STEPS];
    for (int p = 0; p < 2; p++) {
        th_sd sd = make_sd(p ? TH_PREDICT_V : TH_PREDICT_NOISE);
        work w = make(&sd, 5);
        assert_ok(th_scheduler_alphas(&sd.scheduler, alphas));
        double sum = 0, squares = 0, times = 0;
        int64_t least = 1000, most = 0;
        for (uint32_t step = 0; step < 200; step++) {
            fill(&w, step, 0, NULL);
            const float *e = th_plan_input(w.plan, "noise"), *signal = th_plan_input(w.plan, "signal"),
                        *sigma = th_plan_input(w.plan, "sigma"), *weight = th_plan_input(w.plan, "weight");
            for (int i = 0; i < N * VALUES; i++) sum += (double)e[i], squares += (double)e[i] * (double)e[i];
            for (int n = 0; n < N; n++) {
                int64_t t = th_denoiser_time(w.denoiser, step, (uint64_t)n);
                double snr = alphas[t] / (1 - alphas[t]);
                least = t < least ? t : least, most = t > most ? t : most, times += (double)t;
                near("signal", (double)signal[n], sqrt(alphas[t]), 1e-6);
                near("sigma", (double)sigma[n], sqrt(1 - alphas[t]), 1e-6);
                near("weight", (double)weight[n], fmin(snr, 5) / (p ? snr + 1 : snr), 1e-5);
            }
        }
        double n = 200 * N * VALUES;
        near("mean of the noise", sum / n, 0, 0.02);
        near("its variance", squares / n, 1, 0.02);
        near("mean of the times", times / (200 * N), 499.5, 0.06);
        assert_true(least < 10 && most > 989);
        drop(&w);
        th_sd_free(&sd);
    }
}

static void a_sample_does_not_depend_on_its_place(void **state) {
    (void)state;
    th_sd sd = make_sd(TH_PREDICT_V);
    work w = make(&sd, 0);
    float noise[VALUES], signal;
    fill(&w, 5, 0, NULL);
    memcpy(noise, (const float *)th_plan_input(w.plan, "noise") + 2 * VALUES, sizeof noise);
    signal = ((const float *)th_plan_input(w.plan, "signal"))[2];
    fill(&w, 5, 2, NULL);
    assert_memory_equal(noise, th_plan_input(w.plan, "noise"), sizeof noise);
    assert_memory_equal(&signal, th_plan_input(w.plan, "signal"), sizeof signal);
    assert_true(*(const float *)th_plan_input(w.plan, "weight") == 1);
    drop(&w);
    th_sd_free(&sd);
}

/* Each in its own share of them, the whole of it; where that is everything, rows are as without. */
static void rows_keep_to_their_times(void **state) {
    (void)state;
    static double alphas[TH_SCHEDULER_MOST_STEPS];
    th_sd sd = make_sd(TH_PREDICT_V);
    work w = make(&sd, 0);
    const th_denoise_row all[N] = {{1, 0, 1}, {2, 0.5f, 1}, {1, 0, 0.25f}};
    double least[N] = {2, 2, 2}, most[N] = {0};
    assert_ok(th_scheduler_alphas(&sd.scheduler, alphas));
    for (uint32_t step = 0; step < 400; step++) {
        assert_ok(th_denoiser_fill_rows(w.denoiser, w.plan, &shape, step, 0, all));
        const float *signal = th_plan_input(w.plan, "signal"), *weight = th_plan_input(w.plan, "weight");
        assert_true(signal[0] == (float)sqrt(alphas[th_denoiser_time(w.denoiser, step, 0)]) && weight[1] == 2);
        for (int n = 0; n < N; n++) {
            least[n] = fmin(least[n], (double)signal[n]);
            most[n] = fmax(most[n], (double)signal[n]);
        }
    }
    assert_true(most[1] <= sqrt(alphas[500]) + 1e-6 && most[1] > sqrt(alphas[520]));
    assert_true(least[2] >= sqrt(alphas[249]) - 1e-6 && least[2] < sqrt(alphas[230]));
    assert_true(least[1] < sqrt(alphas[980]) && most[2] > sqrt(alphas[20]));
    drop(&w);
    th_sd_free(&sd);
}

/* Where nothing of the picture is left, weights are still numbers. */
static void weights_are_finite_without_any_signal(void **state) {
    (void)state;
    th_sd sd = make_sd(TH_PREDICT_V);
    sd.scheduler.rescale_betas_zero_snr = true;
    for (int p = 0; p < 2; p++) {
        sd.scheduler.prediction = p ? TH_PREDICT_V : TH_PREDICT_NOISE;
        work w = make(&sd, 5);
        for (uint32_t step = 0; step < 3000; step++) {
            if (th_denoiser_time(w.denoiser, step, 0) != 999) continue;
            fill(&w, step, 0, NULL);
            assert_true(isfinite(*(const float *)th_plan_input(w.plan, "weight")));
            assert_true(*(const float *)th_plan_input(w.plan, "signal") < 1e-6f);
        }
        drop(&w);
    }
    th_sd_free(&sd);
}

static void latents_are_drawn_from_the_moments(void **state) {
    (void)state;
    enum { POSITIONS = 5000 };
    th_vae_config c;
    th_vae_config_init(&c);
    c.latent_channels = 2, c.scaling_factor = 2, c.shift_factor = 1;
    float *moments = test_malloc(POSITIONS * 4 * sizeof *moments), *z = test_malloc(POSITIONS * 2 * sizeof *z),
          again[2];
    for (int i = 0; i < POSITIONS; i++) {
        const float one[4] = {3, -1, 2 * logf(0.5f), 50}; /* means, then logarithms of variances; 50 is cut to 20 */
        memcpy(moments + 4 * i, one, sizeof one);
    }
    uint64_t seed = 3;
    double sum = 0, squares = 0, most = 0;
    th_latents_draw(&c, moments, POSITIONS, &seed, 1, 0, z);
    for (int i = 0; i < POSITIONS; i++) {
        sum += (double)z[2 * i], squares += (double)z[2 * i] * (double)z[2 * i];
        most = fmax(most, fabs((double)z[2 * i + 1]));
    }
    near("mean", sum / POSITIONS, 2 * (3 - 1), 0.02);
    near("deviation", sqrt(squares / POSITIONS - pow(sum / POSITIONS, 2)), 2 * 0.5, 0.03);
    assert_true(most < 2 * 6 * exp(10));
    th_latents_draw(&c, moments, 1, &seed, 1, 2 * 77, again);
    assert_memory_equal(again, z + 2 * 77, sizeof again);
    th_latents_draw(&c, moments, 1, NULL, 1, 0, again);
    assert_true(again[0] == 4 && again[1] == -4);
    test_free(moments);
    test_free(z);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loss_and_gradient_are_those_of_the_formulas),
        cmocka_unit_test(times_noise_and_weights_are_as_said),
        cmocka_unit_test(a_sample_does_not_depend_on_its_place),
        cmocka_unit_test(rows_keep_to_their_times),
        cmocka_unit_test(weights_are_finite_without_any_signal),
        cmocka_unit_test(latents_are_drawn_from_the_moments),
    };
    return cmocka_run_group_tests_name("diffusion_denoise", tests, NULL, NULL);
}
