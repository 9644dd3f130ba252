/* Contact sheets. */
#include "test.h"

#include "base/memory.h"
#include "data/contact_sheet.h"

static th_image picture(int32_t width, int32_t height, uint8_t value) {
    th_image im = {0};
    assert_ok(th_image_new(&im, width, height));
    memset(im.pixels, value, th_image_bytes(&im));
    return im;
}

static uint8_t at(const th_contact_sheet *s, int64_t x, int64_t y) {
    return th_image_row(th_contact_sheet_image(s), y)[3 * x];
}

static void put(th_contact_sheet *s, int64_t row, int64_t column, th_image im) {
    assert_ok(th_contact_sheet_put(s, row, column, &im));
    th_image_free(&im);
}

static void pictures_stand_in_their_cells(void **state) {
    (void)state;
    th_contact_sheet *s;
    assert_ok(th_contact_sheet_new(2, 3, 10, 8, &s));
    const th_image *sheet = th_contact_sheet_image(s);
    assert_int_equal(sheet->width, 2 * 14 + 4);
    assert_int_equal(sheet->height, 3 * 12 + 4);
    put(s, 0, 0, picture(10, 8, 50));
    put(s, 1, 1, picture(40, 16, 90)); /* is shrunk to 10 by 4 */
    put(s, 2, 0, picture(2, 2, 70));
    assert_int_equal(at(s, 3, 3), 255);
    assert_int_equal(at(s, 4, 4), 50);
    assert_int_equal(at(s, 13, 11), 50);
    assert_int_equal(at(s, 14, 11), 255);
    assert_int_equal(at(s, 18, 17), 255);
    assert_int_equal(at(s, 18, 18), 90);
    assert_int_equal(at(s, 27, 21), 90);
    assert_int_equal(at(s, 27, 22), 255);
    assert_int_equal(at(s, 8, 31), 70);
    assert_int_equal(at(s, 10, 31), 255);
    th_contact_sheet_free(s);
}

static void rows_that_do_not_fit_are_left_out(void **state) {
    (void)state;
    th_contact_sheet *s;
    assert_ok(th_contact_sheet_new(1, 100, 100, 1000, &s));
    assert_int_equal(th_contact_sheet_rows(s), 16);
    put(s, 99, 0, picture(1, 1, 0));
    th_image one = picture(1, 1, 0);
    assert_fails(th_contact_sheet_put(s, 0, 1, &one), TH_E_BUG, "cell");
    th_image_free(&one);
    th_contact_sheet_free(s);
    assert_fails(th_contact_sheet_new(100, 1, 1000, 10, &s), TH_E_USAGE, "too wide");
    assert_fails(th_contact_sheet_new(0, 1, 10, 10, &s), TH_E_USAGE, "0 by 1");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pictures_stand_in_their_cells),
        cmocka_unit_test(rows_that_do_not_fit_are_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
