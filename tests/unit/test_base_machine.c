/* What is read of /proc/cpuinfo, and that the machine at hand has something to say. */
#include "test.h"

#include "base/machine.h"

static void processors_of_one_core_count_once(void **state) {
    (void)state;
    static const char text[] = "processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\nphysical id\t: 0\ncore id\t\t: 0\n"
                               "flags\t\t: fpu avx2 fma avx512_bf16x\n\n"
                               "processor\t: 1\nmodel name\t: Some CPU @ 2 GHz\nphysical id\t: 0\ncore id\t\t: 0\n\n"
                               "processor\t: 2\nphysical id\t: 0\ncore id\t\t: 7\n\n"
                               "processor\t: 3\nphysical id\t: 1\ncore id\t\t: 7\nflags\t\t: avx2 fma";
    th_machine m = {0};
    th_machine_read_cpu(&m, text);
    assert_string_equal(m.cpu, "Some CPU @ 2 GHz");
    assert_int_equal(m.cores, 3);
    assert_true(m.avx2 && m.fma && !m.avx512f && !m.avx512_bf16 && !m.amx_bf16);
    th_machine_read_cpu(&m, "");
    assert_int_equal(m.cores, 0);
}

static void this_machine_is_seen(void **state) {
    (void)state;
    th_machine m;
    th_machine_look(&m);
    assert_true(m.processors >= 1 && m.cores >= 1);
    assert_true(m.memory > 0 && m.available > 0 && m.available <= m.memory);
    assert_true(m.disk >= 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(processors_of_one_core_count_once),
        cmocka_unit_test(this_machine_is_seen),
    };
    return cmocka_run_group_tests_name("base_machine", tests, NULL, NULL);
}
