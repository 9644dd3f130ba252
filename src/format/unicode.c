/* UTF-8 by hand, properties by way of utf8proc. */
#include "format/unicode.h"

#include <string.h>
#include <utf8proc.h>

#include "base/memory.h"

/* The Unicode Standard 15, table 3-7: what may follow each first byte. */
size_t th_utf8_next(const char *p, size_t n, int32_t *c) {
    const unsigned char *s = (const unsigned char *)p;
    unsigned char first = s[0], low = 0x80, high = 0xBF;
    if (first < 0x80) return *c = first, 1;
    size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
    if (first < 0xC2 || first > 0xF4) return *c = -1, 1;
    if (first == 0xE0) low = 0xA0;
    if (first == 0xED) high = 0x9F;
    if (first == 0xF0) low = 0x90;
    if (first == 0xF4) high = 0x8F;
    int32_t v = first & (0x7F >> length);
    for (size_t i = 1; i < length; i++) {
        if (i == n || s[i] < low || s[i] > high) return *c = -1, i;
        v = v << 6 | (s[i] & 0x3F);
        low = 0x80, high = 0xBF;
    }
    return *c = v, length;
}

size_t th_utf8_put(char out[4], int32_t c) { return (size_t)utf8proc_encode_char(c, (utf8proc_uint8_t *)out); }

/* Bytes of the text before the first that is not ASCII. */
static size_t ascii_prefix(const char *text, size_t n) {
    size_t i = 0;
    for (uint64_t word; i + 8 <= n; i += 8) {
        memcpy(&word, text + i, 8);
        if (word & 0x8080808080808080u) break;
    }
    while (i < n && (unsigned char)text[i] < 0x80) i++;
    return i;
}

bool th_utf8_valid(const char *text, size_t n) {
    for (size_t i = ascii_prefix(text, n); i < n;) {
        int32_t c;
        i += th_utf8_next(text + i, n - i, &c);
        if (c < 0) return false;
        i += ascii_prefix(text + i, n - i);
    }
    return true;
}

void th_utf8_mend(const char *text, size_t n, th_str *out) {
    size_t from = 0;
    for (size_t i = 0; i < n;) {
        int32_t c;
        size_t length = th_utf8_next(text + i, n - i, &c);
        if (c < 0) {
            th_str_add(out, text + from, i - from);
            th_str_puts(out, "\xEF\xBF\xBD");
            from = i + length;
        }
        i += length;
    }
    th_str_add(out, text + from, n - from);
}

static th_status normalize(const char *text, size_t n, th_normal_form form, th_str *out) {
    bool compose = form == TH_NFC || form == TH_NFKC, compatible = form == TH_NFKC || form == TH_NFKD;
    utf8proc_option_t options =
        UTF8PROC_STABLE | (compose ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE) | (compatible ? UTF8PROC_COMPAT : 0);
    const utf8proc_uint8_t *s = (const utf8proc_uint8_t *)text;
    utf8proc_ssize_t room = (utf8proc_ssize_t)n + 16, count;
    utf8proc_int32_t *points = NULL;
    for (;;) {
        utf8proc_int32_t *p = th_realloc(points, (size_t)room + 1, sizeof *points); /* reencode adds a NUL */
        if (!p) return th_free(points), th_fail_memory();
        points = p;
        count = utf8proc_decompose(s, (utf8proc_ssize_t)n, points, room, options);
        if (count <= room) break;
        room = count;
    }
    utf8proc_ssize_t length = count < 0 ? count : utf8proc_reencode(points, count, options);
    if (length >= 0) th_str_add(out, points, (size_t)length);
    th_free(points);
    if (length < 0) return th_fail(TH_E_INPUT, "the text cannot be normalised: %s", utf8proc_errmsg(length));
    return th_str_status(out);
}

th_status th_unicode_normalize(const char *text, size_t n, th_normal_form form, th_str *out) {
    if (ascii_prefix(text, n) < n) return normalize(text, n, form, out);
    th_str_add(out, text, n);
    return th_str_status(out);
}

/* Lower case of a run of ASCII, block by block. */
static void lower_ascii(const char *text, size_t n, th_str *out) {
    char block[256];
    for (size_t from = 0; from < n; from += sizeof block) {
        size_t m = n - from < sizeof block ? n - from : sizeof block;
        for (size_t i = 0; i < m; i++) {
            char c = text[from + i];
            block[i] = (char)(c + (c >= 'A' && c <= 'Z' ? 32 : 0));
        }
        th_str_add(out, block, m);
    }
}

void th_unicode_lower(const char *text, size_t n, th_str *out) {
    for (size_t i = 0; i < n;) {
        size_t plain = ascii_prefix(text + i, n - i);
        lower_ascii(text + i, plain, out);
        i += plain;
        if (i == n) return;
        int32_t c;
        char bytes[4];
        i += th_utf8_next(text + i, n - i, &c);
        if (c == 0x130) /* the one character whose lower case is two: SpecialCasing.txt */
            th_str_puts(out, "i\xCC\x87");
        else
            th_str_add(out, bytes, th_utf8_put(bytes, utf8proc_tolower(c)));
    }
}

void th_unicode_collapse(const char *text, size_t n, th_str *out) {
    size_t from = 0; /* start of what has not been appended */
    bool in_space = false;
    for (size_t i = 0; i < n;) {
        int32_t c;
        size_t length = th_utf8_next(text + i, n - i, &c);
        bool space = th_is_space(c);
        if (space && !in_space) {
            th_str_add(out, text + from, i - from);
            th_str_puts(out, " ");
        }
        if (!space && in_space) from = i;
        in_space = space;
        i += length;
    }
    if (!in_space) th_str_add(out, text + from, n - from);
}

bool th_is_space(int32_t c) {
    if (c <= 0xA0) return (c >= 9 && c <= 13) || c == 32 || c == 0x85 || c == 0xA0;
    return c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
           c == 0x3000;
}

bool th_is_python_space(int32_t c) { return th_is_space(c) || (c >= 0x1C && c <= 0x1F); }

bool th_is_word(int32_t c) {
    switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC: return true;
    default: return false;
    }
}

void th_strip(const char **text, size_t *n) {
    const char *s = *text;
    size_t begin = 0, end = 0; /* end: behind the last character that stays */
    for (size_t i = 0; i < *n;) {
        int32_t c;
        size_t length = th_utf8_next(s + i, *n - i, &c);
        if (!th_is_python_space(c)) {
            end = i + length;
        } else if (end == 0) {
            begin = i + length;
        }
        i += length;
    }
    *text = s + begin;
    *n = end > begin ? end - begin : 0;
}
