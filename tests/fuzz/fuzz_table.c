/* CSV and TSV. The first byte chooses the options, the rest is the file. */
#include <string.h>

#include "format/table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!size) return 0;
    th_sheet_params p;
    th_sheet_params_init(&p, NULL);
    p.separator = data[0] & 1 ? ',' : '\t';
    p.header = data[0] & 2;
    p.quotes = data[0] & 4;
    th_sheet t;
    if (th_sheet_parse(data + 1, size - 1, &p, &t) != TH_OK) return 0;
    volatile size_t sum = 0;
    for (int64_t i = 0; i < t.rows; i++)
        for (int k = 0; k < t.columns; k++) sum = sum + strlen(th_sheet_cell(&t, i, k)) + (size_t)t.lines[i];
    int column;
    if (th_sheet_need(&t, "title", &column) == TH_OK && column >= t.columns) __builtin_trap();
    th_sheet_free(&t);
    return 0;
}
