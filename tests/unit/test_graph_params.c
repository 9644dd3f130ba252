/* Sets of parameters: what they own and borrow, and what is left of one whose values were let go. */
#include "test.h"

#include "base/memory.h"
#include "graph/param.h"

#define D(...) TH_DESC(TH_F32, __VA_ARGS__)

static th_params *set_of(const char *const *names, int count) {
    th_params *ps = th_params_new();
    assert_non_null(ps);
    for (int i = 0; i < count; i++) assert_non_null(th_params_add(ps, names[i], D(2, 3)));
    return ps;
}

static void a_borrowed_parameter_is_the_owner_s_own(void **state) {
    (void)state;
    static const char *const unet[] = {"conv.weight", "conv.bias"}, *const text[] = {"token.weight"};
    th_params *a = set_of(unet, 2), *b = set_of(text, 1), *both = th_params_new();
    assert_ok(th_params_borrow(both, a));
    assert_ok(th_params_borrow(both, b));
    assert_non_null(th_params_add(both, "own", D(4)));
    assert_int_equal(th_params_count(both), 4);
    assert_int_equal(th_params_elements(both), 3 * 6 + 4);
    assert_ptr_equal(th_params_find(both, "conv.bias"), th_params_at(a, 1));
    assert_ptr_equal(th_params_at(both, 2), th_params_find(b, "token.weight"));
    float values[6] = {1, 2, 3, 4, 5, 6}, got[6];
    assert_ok(th_param_set(th_params_find(both, "token.weight"), values));
    assert_ok(th_params_allocate(both));
    th_params_release(both); /* lets go of its own alone */
    assert_fails(th_param_get(th_params_find(both, "own"), got), TH_E_BUG, "own: has no values yet");
    th_params_free(both);
    assert_ok(th_param_get(th_params_at(b, 0), got));
    assert_memory_equal(got, values, sizeof got);
    th_params_free(a);
    th_params_free(b);
}

static void a_name_that_is_taken_is_borrowed_by_nobody(void **state) {
    (void)state;
    static const char *const first[] = {"x", "y"}, *const second[] = {"z", "y"};
    th_params *a = set_of(first, 2), *b = set_of(second, 2);
    assert_fails(th_params_borrow(a, b), TH_E_BUG, "two parameters named 'y'");
    assert_int_equal(th_params_count(a), 2);
    assert_null(th_params_find(a, "z"));
    th_params_free(a);
    th_params_free(b);
}

static void borrowing_without_memory_leaves_the_set_as_it_was(void **state) {
    (void)state;
    th_params *many = th_params_new();
    for (int i = 0; i < 200; i++) {
        char name[16];
        snprintf(name, sizeof name, "p%d", i);
        assert_non_null(th_params_add(many, name, D(1)));
    }
    th_status s;
    int64_t n = 0;
    do {
        th_params *ps = th_params_new();
        assert_non_null(th_params_add(ps, "own", D(2)));
        th_alloc_fail_at(++n, true);
        s = th_params_borrow(ps, many);
        th_alloc_fail_at(0, false);
        assert_true(s == TH_OK || s == TH_E_MEMORY);
        if (s != TH_OK) {
            assert_int_equal(th_params_count(ps), 1);
            assert_null(th_params_find(ps, "p0"));
            assert_ok(th_params_borrow(ps, many));
        }
        assert_int_equal(th_params_count(ps), 201);
        assert_ptr_equal(th_params_find(ps, "p17"), th_params_at(many, 17));
        th_params_free(ps);
    } while (s != TH_OK);
    assert_true(n > 3);
    th_params_free(many);
}

static void a_released_set_can_be_filled_again(void **state) {
    (void)state;
    size_t before = th_bytes_in_use();
    th_params *ps = th_params_new();
    th_param *p = th_params_add(ps, "p", D(1000, 1000));
    size_t empty = th_bytes_in_use();
    th_param_set_trainable(p, false);
    assert_ok(th_param_allocate(p, true));
    assert_true(th_bytes_in_use() >= empty + 8000000);
    th_params_release(ps);
    assert_int_equal(th_bytes_in_use(), empty);
    assert_false(th_param_trainable(p));
    float got[6];
    assert_fails(th_param_get(p, got), TH_E_BUG, "p: has no values yet");
    assert_ok(th_params_allocate(ps));
    for (int64_t i = 0; i < 1000000; i++) assert_true(p->value[i] == 0.0f);
    th_params_free(ps);
    assert_int_equal(th_bytes_in_use(), before);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_borrowed_parameter_is_the_owner_s_own),
        cmocka_unit_test(a_name_that_is_taken_is_borrowed_by_nobody),
        cmocka_unit_test(borrowing_without_memory_leaves_the_set_as_it_was),
        cmocka_unit_test(a_released_set_can_be_filled_again),
    };
    return cmocka_run_group_tests_name("graph: parameters", tests, NULL, NULL);
}
