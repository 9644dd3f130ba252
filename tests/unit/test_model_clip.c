/* CLIP against transformers, by the folders of tests/data/clip (tests/fixtures/clip.py): embeddings, loss, gradients
 * and five steps of AdamW; folders in and out; what is wrong with a folder is said by file and field.
 *
 * Left out of the comparison of gradients and steps: key biases. A softmax does not see what all its scores have in
 * common, so their gradient is zero, and what PyTorch and we compute for it is noise, which AdamW blows up to whole
 * steps. */
#include "test.h"

#include "base/file.h"
#include "base/memory.h"
#include "clip_fixture.h"

#define SCRATCH "clip_test"

/* The largest difference, and the smallest cosine of two rows of unit length. */
static void compare_rows(const fixture *f, const th_plan *p, const char *name, double *most, double *cosine) {
    int64_t count, width = th_clip_get_config(f->model)->projection;
    float *want = expected_values(f, name, "", &count);
    const float *got = th_plan_output(p, name);
    assert_int_equal(count, f->n * width);
    *most = 0, *cosine = 2;
    for (int64_t i = 0; i < f->n; i++) {
        double dot = 0;
        for (int64_t k = 0; k < width; k++) {
            double x = (double)got[i * width + k], y = (double)want[i * width + k];
            dot += x * y;
            if (!(fabs(x - y) <= *most)) *most = fabs(x - y);
        }
        if (!(dot >= *cosine)) *cosine = dot;
    }
    free(want);
}

static void check_embeddings(const fixture *f, th_dtype compute, double tolerance, double least_cosine) {
    th_plan *p = make_plan(f, compute, false);
    assert_ok(th_plan_run(p, 0, 0));
    const char *const names[] = {"image_embeds", "text_embeds"};
    for (int i = 0; i < 2; i++) {
        double most, cosine;
        compare_rows(f, p, names[i], &most, &cosine);
        printf("  %s in %s: %s off by %.2e, cosine %.7f\n", f->name, th_dtype_name(compute), names[i], most, cosine);
        if (!(most <= tolerance && cosine >= least_cosine))
            fail_msg("%s in %s: %s off by %.3g, cosine %.6f", f->name, th_dtype_name(compute), names[i], most, cosine);
    }
    th_plan_free(p);
}

static void embeddings_match_transformers(void **state) {
    (void)state;
    for (int i = 0; i < FOLDERS; i++) {
        fixture f = open_fixture(folders[i], folders[i]);
        check_embeddings(&f, TH_F32, 1e-5, 0.999999);
        check_embeddings(&f, TH_BF16, 0.05, 0.999);
        close_fixture(&f);
    }
}

static void open_clip_folder_gives_the_same_embeddings(void **state) {
    (void)state;
    fixture f = open_fixture("open_clip", "legacy"), same = open_fixture("legacy", "legacy");
    check_embeddings(&f, TH_F32, 1e-5, 0.999999);
    th_params *a = th_clip_params(f.model), *b = th_clip_params(same.model);
    assert_int_equal(th_params_count(a), th_params_count(b));
    for (int64_t i = 0; i < th_params_count(a); i++) {
        const th_param *p = th_params_at(a, i), *q = th_params_find(b, th_param_name(p));
        int64_t n = th_desc_count(th_param_desc(p));
        float *x = malloc((size_t)n * sizeof *x), *y = malloc((size_t)n * sizeof *y);
        assert_true(q && x && y);
        assert_ok(th_param_get(p, x));
        assert_ok(th_param_get(q, y));
        assert_memory_equal(x, y, (size_t)n * sizeof *x);
        free(x);
        free(y);
    }
    close_fixture(&f);
    close_fixture(&same);
}

static void gradients_match_transformers(void **state) {
    (void)state;
    for (int k = 0; k < FOLDERS; k++) {
        fixture f = open_fixture(folders[k], folders[k]);
        th_params *ps = th_clip_params(f.model);
        th_plan *p = make_plan(&f, TH_F32, true);
        assert_ok(th_plan_run(p, 0, 0));
        float *loss = expected_values(&f, "loss", "", NULL), got = *(const float *)th_plan_output(p, "loss");
        if (!(fabsf(got - *loss) <= 1e-5f * *loss))
            fail_msg("%s: the loss is %.8f, not %.8f", f.name, (double)got, (double)*loss);
        free(loss);
        double all = 0, worst = 0;
        for (int64_t i = 0; i < th_params_count(ps); i++) {
            int64_t n;
            float *want = expected_values(&f, "grad.", th_param_name(th_params_at(ps, i)), &n);
            all += norm_of(want, n) * norm_of(want, n);
            free(want);
        }
        for (int64_t i = 0; i < th_params_count(ps); i++) {
            const th_param *q = th_params_at(ps, i);
            int64_t n;
            float *want = expected_values(&f, "grad.", th_param_name(q), &n),
                  *ours = param_values(&f, q, th_param_get_grad);
            double off = distance(want, ours, n), norm = norm_of(want, n),
                   share = off / (1e-4 * norm + 1e-6 * sqrt(all));
            if (is_noise(th_param_name(q)))
                assert_true(norm_of(ours, n) <= 1e-6 * sqrt(all));
            else if (!(share <= 1))
                fail_msg("%s: the gradient of %s is off by %.3g of %.3g", f.name, th_param_name(q), off, norm);
            else if (share > worst)
                worst = share;
            free(want);
            free(ours);
        }
        printf("  %s: the worst gradient is off by %.3f of what is allowed\n", f.name, worst);
        th_plan_free(p);
        close_fixture(&f);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(embeddings_match_transformers),
        cmocka_unit_test(open_clip_folder_gives_the_same_embeddings),
        cmocka_unit_test(gradients_match_transformers),
    };
    return cmocka_run_group_tests_name("model: CLIP", tests, NULL, NULL);
}
