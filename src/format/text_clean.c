/* Cleaning captions: each step reads one text and appends to another. */
#include "format/text_clean.h"

#include <stdlib.h>
#include <string.h>

#include "format/text_clean_parts.h"
#include "format/unicode.h"

#define UNESCAPE_MAX 8 /* rounds; each takes one &amp; off an entity that was escaped again and again */
#define NAME_MAX 8

/* What Windows-1252 has at 80 to 9F; 0: nothing. */
static const uint16_t cp1252[32] = {0x20AC, 0,      0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021,
                                    0x02C6, 0x2030, 0x0160, 0x2039, 0x0152, 0,      0x017D, 0,
                                    0,      0x2018, 0x2019, 0x201C, 0x201D, 0x2022, 0x2013, 0x2014,
                                    0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0,      0x017E, 0x0178};

static void put(th_str *out, int32_t c) {
    char bytes[4];
    th_str_add(out, bytes, th_utf8_put(bytes, c));
}

static int by_name(const void *key, const void *entry) { return strcmp(key, ((const th_html_entity *)entry)->name); }

static const th_html_entity *find_entity(const char *name, size_t length) {
    char text[NAME_MAX + 1];
    if (length == 0 || length > NAME_MAX) return NULL;
    memcpy(text, name, length);
    text[length] = '\0';
    return bsearch(text, th_html_entities, th_html_entities_count, sizeof *th_html_entities, by_name);
}

/* Of "name;…" behind an ampersand: the whole name if a semicolon ends it, else the longest beginning that counts
 * without one. Appends the character and returns the bytes it took, or 0. */
static size_t named_entity(const char *text, size_t n, th_str *out) {
    size_t length = 0;
    while (length < n && length <= NAME_MAX && text[length] != ';' && !strchr("\t\n\f <&#", text[length])) length++;
    const th_html_entity *e = length < n && text[length] == ';' ? find_entity(text, length) : NULL;
    if (e) return put(out, e->c), length + 1;
    for (; length >= 2; length--) {
        e = find_entity(text, length);
        if (e && e->bare) return put(out, e->c), length;
    }
    return 0;
}

static bool is_noncharacter(int32_t c) {
    return (c >= 1 && c <= 8) || c == 0xB || (c >= 0xE && c <= 0x1F) || (c >= 0x7F && c <= 0x9F) ||
           (c >= 0xFDD0 && c <= 0xFDEF) || (c & 0xFFFE) == 0xFFFE;
}

/* HTML 5's rules for numbers that are no characters. */
static void put_number(th_str *out, int32_t c) {
    if (c == 0 || (c >= 0xD800 && c <= 0xDFFF) || c > 0x10FFFF)
        put(out, 0xFFFD);
    else if (c >= 0x80 && c <= 0x9F)
        put(out, cp1252[c - 0x80] ? cp1252[c - 0x80] : c);
    else if (!is_noncharacter(c))
        put(out, c);
}

static int digit_of(char c, int base) {
    int d = c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : 16;
    return d < base ? d : -1;
}

/* Of "#65;…" or "#x41…" behind an ampersand; returns the bytes it took, or 0. */
static size_t numeric_entity(const char *text, size_t n, th_str *out) {
    bool is_hex = n > 1 && (text[1] | 32) == 'x';
    size_t start = is_hex ? 2 : 1, i = start;
    int32_t c = 0;
    for (int d; i < n && (d = digit_of(text[i], is_hex ? 16 : 10)) >= 0; i++)
        c = c > 0x10FFFF ? c : c * (is_hex ? 16 : 10) + d;
    if (i == start) return 0;
    put_number(out, c);
    return i < n && text[i] == ';' ? i + 1 : i;
}

void th_text_unescape_html(const char *text, size_t length, th_str *out) {
    size_t from = 0;
    for (size_t i = 0; i < length;) {
        const char *amp = memchr(text + i, '&', length - i);
        if (!amp) break;
        i = (size_t)(amp - text);
        th_str_add(out, text + from, i - from);
        const char *rest = amp + 1;
        size_t n = length - i - 1;
        size_t took = n && *rest == '#' ? numeric_entity(rest, n, out) : named_entity(rest, n, out);
        from = took ? i + 1 + took : i;
        i = i + 1 + took;
    }
    th_str_add(out, text + from, length - from);
}

/* "ESC [ 1 ; 31 m" at text: its length, or 0. */
static size_t terminal_escape(const char *text, size_t n) {
    if (n < 3 || text[0] != 27 || text[1] != '[') return 0;
    size_t i = 2;
    while (i < n && ((text[i] >= '0' && text[i] <= '9') || text[i] == ';')) i++;
    return i < n && (text[i] | 32) >= 'a' && (text[i] | 32) <= 'z' ? i + 1 : 0;
}

static void remove_escapes(const char *text, size_t n, th_str *out) {
    size_t from = 0;
    for (size_t i = 0; i < n;) {
        const char *escape = memchr(text + i, 27, n - i);
        if (!escape) break;
        i = (size_t)(escape - text);
        size_t took = terminal_escape(escape, n - i);
        if (took) th_str_add(out, text + from, i - from);
        if (took) from = i + took;
        i += took ? took : 1;
    }
    th_str_add(out, text + from, n - from);
}

/* The byte that Windows-1252 or Latin-1 shows as c, if it is one from 80 on; else −1. */
static int byte_of(int32_t c) {
    if (c >= 0x80 && c <= 0xFF) return c;
    for (int i = 0; i < 32 && c > 0xFF; i++)
        if (cp1252[i] == c) return 0x80 + i;
    return -1;
}

/* A character, and the byte it may have been. */
typedef struct {
    int32_t c;
    int byte;
    size_t end; /* of the character in the text */
} misread;

static bool is_c1(const misread *m) { return m->c >= 0x80 && m->c <= 0x9F; }

static bool is_common(const misread *m) {
    int b1 = m[1].byte;
    switch (m[0].byte) {
    case 0xC2: return b1 >= 0xA0;
    case 0xC3: return !(m[1].c > 0xFF && strchr("\x82\x83\x85\x8C\x8E\x92", b1));
    case 0xE2: return b1 == 0x80 || (b1 == 0x82 && m[2].byte == 0xAC);
    case 0xEF: return b1 == 0xBB && m[2].byte == 0xBF;
    case 0xF0: return b1 == 0x9F;
    default: return false;
    }
}

/* How many of the n characters together are one character's UTF-8, or 0. *certain: it can hardly be meant as it stands.
 */
static size_t mojibake(const misread *m, size_t n, bool *certain) {
    char bytes[4];
    int32_t c;
    for (size_t i = 0; i < n; i++) bytes[i] = (char)m[i].byte;
    size_t length = n < 2 ? 0 : th_utf8_next(bytes, n, &c);
    if (length < 2 || c < 0) return 0;
    *certain = is_common(m);
    for (size_t i = 1; i < length; i++) *certain |= is_c1(&m[i]);
    return length;
}

/* The characters from text on, up to four, as long as each may have been a byte; at least one. */
static size_t look(const char *text, size_t n, misread m[4]) {
    size_t count = 0;
    for (size_t at = 0; count < 4 && at < n;) {
        misread *next = &m[count++];
        at += th_utf8_next(text + at, n - at, &next->c);
        next->end = at;
        next->byte = byte_of(next->c);
        if (next->byte < 0) return count > 1 ? count - 1 : 1;
    }
    return count;
}

/* Whether the whole text was misread: everything in it that is not ASCII makes sense as UTF-8, and something certainly.
 */
static bool all_misread(const char *text, size_t n) {
    bool some = false;
    for (size_t i = 0; i < n;) {
        misread m[4];
        bool certain = false;
        size_t length = mojibake(m, look(text + i, n - i, m), &certain);
        if (!length && m[0].c >= 0x80) return false;
        some |= certain;
        i += m[length ? length - 1 : 0].end;
    }
    return some;
}

static void mend_encoding(const char *text, size_t n, th_str *out) {
    bool all = all_misread(text, n);
    for (size_t i = 0; i < n;) {
        misread m[4];
        bool certain = false;
        size_t length = mojibake(m, look(text + i, n - i, m), &certain);
        if (!certain && !all) length = 0;
        for (size_t k = 0; k < length; k++) th_str_add(out, &(char){(char)m[k].byte}, 1);
        if (!length) th_str_add(out, text + i, m[0].end);
        i += m[length ? length - 1 : 0].end;
    }
}

static const char *ligature(int32_t c) {
    static const struct {
        uint16_t c;
        const char *text;
    } rows[] = {{0x132, "IJ"},   {0x133, "ij"},   {0x149, "'n"},  {0x1F1, "DZ"},  {0x1F2, "Dz"},  {0x1F3, "dz"},
                {0x1C4, "DŽ"},   {0x1C5, "Dž"},   {0x1C6, "dž"},  {0x1C7, "LJ"},  {0x1C8, "Lj"},  {0x1C9, "lj"},
                {0x1CA, "NJ"},   {0x1CB, "Nj"},   {0x1CC, "nj"},  {0xFB00, "ff"}, {0xFB01, "fi"}, {0xFB02, "fl"},
                {0xFB03, "ffi"}, {0xFB04, "ffl"}, {0xFB05, "ſt"}, {0xFB06, "st"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].c == c) return rows[i].text;
    return NULL;
}

static bool is_unwanted(int32_t c) {
    return c <= 8 || c == 0xB || (c >= 0xE && c <= 0x1F) || c == 0x7F || (c >= 0x206A && c <= 0x206F) || c == 0xFEFF ||
           (c >= 0xFFF9 && c <= 0xFFFC);
}

/* One character by itself. */
static th_status clean_character(const char *text, size_t n, int32_t c, th_str *out) {
    if (c >= 0x80 && c <= 0x9F && cp1252[c - 0x80]) c = cp1252[c - 0x80];
    const char *spelled = ligature(c);
    if (spelled)
        th_str_puts(out, spelled);
    else if (c >= 0xFF01 && c < 0xFFF0)
        return th_unicode_normalize(text, n, TH_NFKC, out);
    else if (c == 0x3000)
        th_str_puts(out, " ");
    else if (c == 0x2BC || (c >= 0x2018 && c <= 0x201B))
        th_str_puts(out, "'");
    else if (c >= 0x201C && c <= 0x201F)
        th_str_puts(out, "\"");
    else if (!is_unwanted(c))
        put(out, c);
    return TH_OK;
}

static th_status clean_characters(const char *text, size_t n, th_str *out) {
    for (size_t i = 0; i < n;) {
        int32_t c;
        size_t length = th_utf8_next(text + i, n - i, &c);
        TH_TRY(clean_character(text + i, length, c, out));
        i += length;
    }
    return TH_OK;
}

/* Two texts that take turns: a step reads one and fills the other. */
typedef struct {
    th_str now, next;
} turns;

static void turn(turns *t) {
    th_str before = t->now;
    t->now = t->next;
    t->next = before;
    th_str_clear(&t->next);
}

static void unescape(turns *t) {
    th_text_unescape_html(th_str_text(&t->now), t->now.length, &t->next);
    turn(t);
}

static th_status clean(turns *t, const char *text, size_t length, th_str *out) {
    th_utf8_mend(text, length, &t->now);
    for (int i = 0; i < UNESCAPE_MAX && !memchr(th_str_text(&t->now), '<', t->now.length); i++) {
        size_t before = t->now.length;
        unescape(t);
        if (t->now.length == before) break; /* an entity is longer than what it stands for */
    }
    remove_escapes(th_str_text(&t->now), t->now.length, &t->next);
    turn(t);
    mend_encoding(th_str_text(&t->now), t->now.length, &t->next);
    turn(t);
    TH_TRY(clean_characters(th_str_text(&t->now), t->now.length, &t->next));
    turn(t);
    unescape(t);
    unescape(t);
    th_unicode_collapse(th_str_text(&t->now), t->now.length, &t->next);
    turn(t);
    TH_TRY(th_str_status(&t->now));
    const char *from = th_str_text(&t->now);
    size_t n = t->now.length;
    th_strip(&from, &n);
    th_str_add(out, from, n);
    return th_str_status(out);
}

th_status th_text_clean_openai(const char *text, size_t length, th_str *out) {
    turns t;
    th_str_init(&t.now, out->max);
    th_str_init(&t.next, out->max);
    th_status status = clean(&t, text, length, out);
    th_str_free(&t.now);
    th_str_free(&t.next);
    return status;
}
