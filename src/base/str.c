/* A growing string with a stated maximum. */
#include "base/str.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"

void th_str_init(th_str *s, size_t max) { *s = (th_str){.max = max}; }

void th_str_free(th_str *s) {
    th_free(s->data);
    *s = (th_str){.max = s->max};
}

void th_str_clear(th_str *s) {
    s->length = 0;
    s->status = TH_OK;
    if (s->data) s->data[0] = '\0';
}

/* Room for n more bytes and the NUL. */
static bool reserve(th_str *s, size_t n) {
    if (s->status != TH_OK) return false;
    if (n > s->max || s->length > s->max - n) {
        s->status = th_fail(TH_E_INPUT, "a text grew beyond its limit of %zu bytes", s->max);
        return false;
    }
    size_t need = s->length + n + 1;
    if (need <= s->capacity) return true;
    size_t capacity = s->capacity ? s->capacity : 64;
    while (capacity < need) capacity *= 2;
    char *p = th_realloc(s->data, capacity, 1);
    if (!p) return s->status = th_fail_memory(), false;
    s->data = p;
    s->capacity = capacity;
    return true;
}

void th_str_add(th_str *s, const void *bytes, size_t n) {
    if (!reserve(s, n)) return;
    if (n) memcpy(s->data + s->length, bytes, n);
    s->length += n;
    s->data[s->length] = '\0';
}

void th_str_puts(th_str *s, const char *text) { th_str_add(s, text, strlen(text)); }

void th_str_printf(th_str *s, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n < 0 || !reserve(s, (size_t)n)) return;
    va_start(args, format);
    vsnprintf(s->data + s->length, (size_t)n + 1, format, args);
    va_end(args);
    s->length += (size_t)n;
}

void th_str_html(th_str *s, const char *text) {
    for (; *text; text++) {
        switch (*text) {
        case '&': th_str_puts(s, "&amp;"); break;
        case '<': th_str_puts(s, "&lt;"); break;
        case '>': th_str_puts(s, "&gt;"); break;
        case '"': th_str_puts(s, "&quot;"); break;
        case '\'': th_str_puts(s, "&#39;"); break;
        default: th_str_add(s, text, 1);
        }
    }
}

th_status th_str_status(const th_str *s) { return s->status; }
const char *th_str_text(const th_str *s) { return s->data ? s->data : ""; }
