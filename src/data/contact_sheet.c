/* Contact sheets. */
#include "data/contact_sheet.h"

#include <string.h>

#include "base/memory.h"
#include "data/resize.h"

enum { MOST_SIDE = 16384 };

struct th_contact_sheet {
    th_image sheet, small;
    th_resizer *resizer;
    int64_t columns, rows;
    int32_t width, height; /* of a cell */
};

static int64_t span(int64_t cells, int32_t side) { return cells * (side + TH_CONTACT_GAP) + TH_CONTACT_GAP; }

static th_status begin(th_contact_sheet *s) {
    int64_t fit = (MOST_SIDE - TH_CONTACT_GAP) / (s->height + TH_CONTACT_GAP);
    if (s->rows > fit) s->rows = fit;
    if (span(s->columns, s->width) > MOST_SIDE)
        return th_fail(TH_E_USAGE, "%lld pictures of %d pixels side by side are too wide for a sheet",
                       (long long)s->columns, (int)s->width);
    TH_TRY(th_resizer_new(&s->resizer));
    TH_TRY(th_image_new(&s->sheet, span(s->columns, s->width), span(s->rows, s->height)));
    memset(s->sheet.pixels, 255, th_image_bytes(&s->sheet));
    return TH_OK;
}

th_status th_contact_sheet_new(int64_t columns, int64_t rows, int32_t cell_width, int32_t cell_height,
                               th_contact_sheet **out) {
    *out = NULL;
    if (columns < 1 || columns > MOST_SIDE || rows < 1 || cell_width < 1 || cell_width > MOST_SIDE / 2 ||
        cell_height < 1 || cell_height > MOST_SIDE / 2)
        return th_fail(TH_E_USAGE, "a sheet of %lld by %lld cells of %dx%d pixels cannot be made", (long long)columns,
                       (long long)rows, (int)cell_width, (int)cell_height);
    th_contact_sheet *s = th_alloc(1, sizeof *s);
    if (!s) return th_fail_memory();
    s->columns = columns, s->rows = rows, s->width = cell_width, s->height = cell_height;
    th_status status = begin(s);
    if (status != TH_OK) return th_contact_sheet_free(s), status;
    *out = s;
    return TH_OK;
}

void th_contact_sheet_free(th_contact_sheet *s) {
    if (!s) return;
    th_resizer_free(s->resizer);
    th_image_free(&s->sheet);
    th_image_free(&s->small);
    th_free(s);
}

int64_t th_contact_sheet_rows(const th_contact_sheet *s) { return s->rows; }
const th_image *th_contact_sheet_image(const th_contact_sheet *s) { return &s->sheet; }

/* The largest size of im's proportions within the cell, at most its own. */
static void fit(const th_contact_sheet *s, const th_image *im, int32_t *width, int32_t *height) {
    int64_t w = im->width, h = im->height;
    if (w > s->width) h = (h * s->width + w / 2) / w, w = s->width;
    if (h > s->height) w = (w * s->height + h / 2) / h, h = s->height;
    *width = w > 0 ? (int32_t)w : 1, *height = h > 0 ? (int32_t)h : 1;
}

static void copy(th_contact_sheet *s, int64_t x, int64_t y, const th_image *im) {
    for (int32_t i = 0; i < im->height; i++)
        memcpy(th_image_row(&s->sheet, y + i) + 3 * x, th_image_row(im, i), (size_t)im->width * 3);
}

th_status th_contact_sheet_put(th_contact_sheet *s, int64_t row, int64_t column, const th_image *im) {
    if (row < 0 || column < 0 || column >= s->columns) return th_fail(TH_E_BUG, "there is no such cell in the sheet");
    if (row >= s->rows || im->width < 1 || im->height < 1) return TH_OK;
    int32_t width, height;
    fit(s, im, &width, &height);
    if (width != im->width || height != im->height) {
        th_resize_params p;
        th_resize_params_init(&p, width, height);
        TH_TRY(th_resize(s->resizer, im, &p, &s->small));
        im = &s->small;
    }
    copy(s, span(column, s->width) + (s->width - width) / 2, span(row, s->height) + (s->height - height) / 2, im);
    return TH_OK;
}

th_status th_contact_sheet_write(const th_contact_sheet *s, const char *path) {
    th_bytes png;
    TH_TRY(th_image_encode_png(&s->sheet, NULL, 0, &png));
    th_status status = th_file_write(path, png.data, png.length);
    th_free(png.data);
    return status;
}
