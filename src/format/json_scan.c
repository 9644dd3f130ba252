/* JSON by steps (RFC 8259). */
#include "format/json_scan.h"

#include <string.h>

#include "format/unicode.h"

#define DEPTH_MAX 2048 /* as jansson's */
#define STRING_MAX ((size_t)1 << 20)

void th_scan_init(th_scan *s, const char *name, const char *text, size_t length) {
    *s = (th_scan){.name = name, .text = text, .at = text, .end = text + length};
    th_str_init(&s->string, STRING_MAX);
}

void th_scan_free(th_scan *s) { th_str_free(&s->string); }

th_status th_scan_fail(const th_scan *s, const char *what) {
    long line = 1;
    const char *start = s->text;
    for (const char *p = s->text; p < s->at; p++)
        if (*p == '\n') line++, start = p + 1;
    return th_fail(TH_E_INPUT, "%s: line %ld column %ld: %s", s->name, line, (long)(s->at - start) + 1, what);
}

static void pass_space(th_scan *s) {
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\n' || *s->at == '\r' || *s->at == '\t')) s->at++;
}

bool th_scan_take(th_scan *s, char c) {
    pass_space(s);
    if (s->at == s->end || *s->at != c) return false;
    s->at++;
    return true;
}

th_status th_scan_expect(th_scan *s, char c) {
    char what[] = "'?' is wanted";
    what[1] = c;
    return th_scan_take(s, c) ? TH_OK : th_scan_fail(s, what);
}

th_status th_scan_next(th_scan *s, char close, int64_t *n, bool *more) {
    *more = !th_scan_take(s, close);
    if (*more && *n > 0) TH_TRY(th_scan_expect(s, ','));
    ++*n;
    return TH_OK;
}

th_status th_scan_end(th_scan *s) {
    pass_space(s);
    return s->at == s->end ? TH_OK : th_scan_fail(s, "the end of the file is wanted");
}

static int hex(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    c = (char)(c | 32);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static th_status read_unit(th_scan *s, int32_t *out) {
    *out = 0;
    for (int i = 0; i < 4; i++) {
        int h = s->at < s->end ? hex(*s->at) : -1;
        if (h < 0) return th_scan_fail(s, "four hexadecimal digits are wanted");
        *out = *out << 4 | h;
        s->at++;
    }
    return TH_OK;
}

/* After \u: a character, written as one unit or as a pair of surrogates. */
static th_status read_character(th_scan *s) {
    int32_t c, low;
    char bytes[4];
    TH_TRY(read_unit(s, &c));
    if (c >= 0xD800 && c < 0xDC00 && s->end - s->at >= 2 && s->at[0] == '\\' && s->at[1] == 'u') {
        s->at += 2;
        TH_TRY(read_unit(s, &low));
        if (low < 0xDC00 || low > 0xDFFF) return th_scan_fail(s, "half a pair of surrogates");
        c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
    }
    if (c >= 0xD800 && c < 0xE000) return th_scan_fail(s, "half a pair of surrogates");
    if (c == 0) return th_scan_fail(s, "\\u0000 is not allowed");
    th_str_add(&s->string, bytes, th_utf8_put(bytes, c));
    return TH_OK;
}

static th_status read_escape(th_scan *s) {
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    char c = s->at < s->end ? *s->at : '\0';
    const char *at = c ? strchr(from, c) : NULL;
    if (c != 'u' && !at) return th_scan_fail(s, "an unknown escape");
    s->at++;
    if (c == 'u') return read_character(s);
    th_str_add(&s->string, to + (at - from), 1);
    return TH_OK;
}

static bool plain(char c) { return (unsigned char)c >= 32 && c != '"' && c != '\\'; }

th_status th_scan_string(th_scan *s, const char **text, size_t *length) {
    if (!th_scan_take(s, '"')) return th_scan_fail(s, "a string is wanted");
    const char *from = s->at;
    while (s->at < s->end && plain(*s->at)) s->at++;
    *text = from;
    *length = (size_t)(s->at - from);
    if (s->at < s->end && *s->at == '\\') {
        th_str_clear(&s->string);
        th_str_add(&s->string, from, *length);
        while (s->at < s->end && *s->at == '\\') {
            s->at++;
            TH_TRY(read_escape(s));
            from = s->at;
            while (s->at < s->end && plain(*s->at)) s->at++;
            th_str_add(&s->string, from, (size_t)(s->at - from));
        }
        TH_TRY(th_str_status(&s->string));
        *text = th_str_text(&s->string);
        *length = s->string.length;
    }
    if (s->at == s->end || *s->at != '"') return th_scan_fail(s, "the string is not closed");
    if (!th_utf8_valid(*text, *length)) return th_scan_fail(s, "the string is not UTF-8");
    s->at++;
    return TH_OK;
}

th_status th_scan_key(th_scan *s, const char **text, size_t *length) {
    TH_TRY(th_scan_string(s, text, length));
    return th_scan_expect(s, ':');
}

th_status th_scan_int(th_scan *s, int64_t *out) {
    bool negative = th_scan_take(s, '-');
    int64_t v = 0;
    const char *from = s->at;
    for (; s->at < s->end && *s->at >= '0' && *s->at <= '9'; s->at++)
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, *s->at - '0', &v))
            return th_scan_fail(s, "the integer is too big");
    bool zero_first = s->at - from > 1 && *from == '0', real = s->at < s->end && strchr(".eE", *s->at) && *s->at;
    if (s->at == from || zero_first || real) return th_scan_fail(s, "an integer is wanted");
    *out = negative ? -v : v;
    return TH_OK;
}

static bool ends_word(char c) {
    return c == ',' || c == ']' || c == '}' || c == '"' || c == '[' || c == '{' || c == ':';
}

th_status th_scan_skip(th_scan *s) {
    int depth = 0;
    do {
        const char *text;
        size_t length;
        pass_space(s);
        if (s->at == s->end) return th_scan_fail(s, "a value is wanted");
        char c = *s->at;
        if (c == '"') {
            TH_TRY(th_scan_string(s, &text, &length));
        } else if (c == '{' || c == '[') {
            if (++depth > DEPTH_MAX) return th_scan_fail(s, "too many brackets in brackets");
            s->at++;
        } else if (c == '}' || c == ']' || ((c == ',' || c == ':') && depth)) {
            depth -= c == '}' || c == ']';
            if (depth < 0) return th_scan_fail(s, "a value is wanted");
            s->at++;
        } else {
            const char *from = s->at;
            while (s->at < s->end && !ends_word(*s->at) && (unsigned char)*s->at > 32) s->at++;
            if (s->at == from) return th_scan_fail(s, "a value is wanted");
        }
    } while (depth);
    return TH_OK;
}
