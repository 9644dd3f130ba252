/* A contact sheet: many pictures side by side in one, each no larger than its cell. */
#ifndef TH_DATA_CONTACT_SHEET_H
#define TH_DATA_CONTACT_SHEET_H

#include "format/image.h"

#define TH_CONTACT_GAP 4 /* pixels between cells and around them, white */

typedef struct th_contact_sheet th_contact_sheet;

/* A white sheet. Beyond 16,384 pixels of height rows are left out, and pictures for them are passed over. */
th_status th_contact_sheet_new(int64_t columns, int64_t rows, int32_t cell_width, int32_t cell_height,
                               th_contact_sheet **out);
void th_contact_sheet_free(th_contact_sheet *s); /* NULL is allowed */
/* Rows that there are. */
int64_t th_contact_sheet_rows(const th_contact_sheet *s);
/* Puts the picture into the middle of its cell, shrunk where it is larger. */
th_status th_contact_sheet_put(th_contact_sheet *s, int64_t row, int64_t column, const th_image *im);
const th_image *th_contact_sheet_image(const th_contact_sheet *s);
th_status th_contact_sheet_write(const th_contact_sheet *s, const char *path); /* as a PNG */

#endif
