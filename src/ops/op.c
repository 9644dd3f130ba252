/* Small things that many operations share. */
#include "ops/op.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/half.h"

th_status th_shape_error(const char *format, ...) {
    char text[TH_MESSAGE_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return th_fail(TH_E_SHAPE, "%s", text);
}

th_status th_infer_same(th_node *n) {
    th_dtype t = n->out[0].desc.dtype;
    n->out[0].desc = n->in[0]->desc;
    n->out[0].desc.dtype = t;
    return TH_OK;
}

const float *th_row_read(const th_desc *d, const void *data, int64_t row, int64_t c, float *buffer) {
    if (d->dtype == TH_F32) return (const float *)data + row * c;
    th_bf16_read(buffer, (const uint16_t *)data + row * c, c);
    return buffer;
}

void th_row_flush(const th_desc *d, void *data, int64_t row, int64_t c, const float *buffer) {
    if (d->dtype == TH_BF16) th_bf16_write((uint16_t *)data + row * c, buffer, c);
}
