/* Text in columns of a terminal. */
#include "cli/text.h"

#include <string.h>
#include <utf8proc.h>

/* The character at text: its bytes into *n, its columns returned. A byte that is no UTF-8 counts as one. */
static int width_at(const char *text, size_t *n) {
    utf8proc_int32_t c;
    utf8proc_ssize_t used = utf8proc_iterate((const utf8proc_uint8_t *)text, -1, &c);
    *n = used > 0 ? (size_t)used : 1;
    return used > 0 ? utf8proc_charwidth(c) : 1;
}

int th_text_width(const char *text) {
    int width = 0;
    for (size_t n; *text; text += n) width += width_at(text, &n);
    return width;
}

size_t th_text_fit(const char *text, int columns) {
    size_t at = 0;
    for (size_t n; text[at]; at += n) {
        columns -= width_at(text + at, &n);
        if (columns < 0) break;
    }
    return at;
}

void th_text_add(th_str *out, const char *text) {
    for (; *text; text++) th_str_add(out, (unsigned char)*text < 32 || *text == 127 ? "?" : text, 1);
}

void th_text_space(th_str *out, int count) {
    for (; count > 0; count--) th_str_add(out, " ", 1);
}

static void new_line(th_str *out, int indent) {
    th_str_puts(out, "\n");
    th_text_space(out, indent);
}

void th_text_wrap(th_str *out, const char *text, int at, int indent, int columns) {
    bool first = true;
    while (*text) {
        if (*text == '\n') {
            new_line(out, indent);
            at = indent, first = true, text++;
            continue;
        }
        size_t n = strcspn(text, " \n");
        int width = 0;
        for (size_t i = 0, step; i < n; i += step) width += width_at(text + i, &step);
        if (!first && columns && at + 1 + width > columns) {
            new_line(out, indent);
            at = indent, first = true;
        }
        if (!first) th_str_puts(out, " ");
        for (size_t i = 0; i < n; i++)
            th_str_add(out, (unsigned char)text[i] < 32 || text[i] == 127 ? "?" : text + i, 1);
        at += width + !first;
        first = false;
        text += n;
        while (*text == ' ') text++;
    }
}
