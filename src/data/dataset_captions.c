/* Captions that are lists: in a cell of a table, in a sample's JSON. */
#include <ctype.h>
#include <string.h>

#include "data/dataset_parts.h"

/* A walk through the list's text. Written strings are never longer than read ones, so `to` stays behind `at`. */
typedef struct {
    const char *at;
    char *to; /* where the string's bytes go; NULL while only looking */
} walk;

static void skip_space(walk *w) { w->at += strspn(w->at, " \t\r\n"); }

static void put(walk *w, char c) {
    if (w->to) *w->to++ = c;
}

static void put_utf8(walk *w, uint32_t c) {
    if (c < 0x80) {
        put(w, (char)c);
        return;
    }
    int more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    static const uint8_t lead[] = {0, 0xC0, 0xE0, 0xF0};
    put(w, (char)(lead[more] | c >> (6 * more)));
    while (more--) put(w, (char)(0x80 | (c >> (6 * more) & 0x3F)));
}

/* Reads so many hexadecimal digits. */
static bool hex(walk *w, int digits, uint32_t *out) {
    *out = 0;
    for (int i = 0; i < digits; i++, w->at++) {
        int c = tolower((unsigned char)*w->at);
        if (!isxdigit(c)) return false;
        *out = *out << 4 | (uint32_t)(isdigit(c) ? c - '0' : c - 'a' + 10);
    }
    return true;
}

/* What follows \u: a character, or the first half of one whose second half must follow. */
static bool read_unicode(walk *w, uint32_t *c) {
    uint32_t low;
    if (!hex(w, 4, c)) return false;
    if (*c < 0xD800 || *c > 0xDFFF) return true;
    if (*c > 0xDBFF || w->at[0] != '\\' || w->at[1] != 'u') return false;
    w->at += 2;
    if (!hex(w, 4, &low) || low < 0xDC00 || low > 0xDFFF) return false;
    *c = 0x10000 + ((*c - 0xD800) << 10) + (low - 0xDC00);
    return true;
}

/* Behind a backslash. What Python does not know stays as it is, backslash and all. */
static bool escape(walk *w) {
    static const char from[] = "\\'\"/bfnrt", to[] = "\\'\"/\b\f\n\r\t";
    char kind = *w->at++;
    uint32_t c;
    if (!kind) return false;
    const char *known = strchr(from, kind);
    if (known) {
        put(w, to[known - from]);
        return true;
    }
    if (kind == 'u' || kind == 'x') {
        if (!(kind == 'u' ? read_unicode(w, &c) : hex(w, 2, &c)) || !c) return false;
        put_utf8(w, c);
        return true;
    }
    put(w, '\\');
    put(w, kind);
    return true;
}

static bool read_string(walk *w) {
    char quote = *w->at;
    if (quote != '"' && quote != '\'') return false;
    for (w->at++; *w->at != quote;) {
        if (!*w->at) return false;
        if (*w->at != '\\')
            put(w, *w->at++);
        else if (w->at++, !escape(w))
            return false;
    }
    w->at++;
    return true;
}

/* With a function the strings are written, each over itself, and given to it; without, only looked at. */
static bool walk_list(char *text, th_list_fn each, void *context, th_status *status) {
    walk w = {.at = text};
    if (*w.at++ != '[') return false;
    for (skip_space(&w); *w.at != ']';) {
        char *item = text + (w.at - text);
        if (each) w.to = item;
        if (!read_string(&w)) return false;
        if (each) {
            *w.to = '\0'; /* at the closing quote or before it */
            if (*status == TH_OK) *status = each(context, item);
        }
        skip_space(&w);
        if (*w.at != ',') break;
        w.at++;
        skip_space(&w);
    }
    if (*w.at++ != ']') return false;
    skip_space(&w);
    return !*w.at;
}

bool th_caption_list(char *text, th_list_fn each, void *context, th_status *status) {
    *status = TH_OK;
    if (!walk_list(text, NULL, NULL, status)) return false;
    walk_list(text, each, context, status);
    return true;
}

/* ---- JSON */

/* *known is a caption that is there already, until it is met. */
static th_status add_text(th_gather *g, int64_t image, const json_t *v, const char **known) {
    const char *text = json_string_value(v);
    size_t n = json_string_length(v);
    th_text_trim(&text, &n);
    if (*known && strlen(*known) == n && !memcmp(text, *known, n)) return *known = NULL, TH_OK;
    if (!n) return TH_OK;
    char *copy = th_gather_text(g, text, n);
    return copy ? th_gather_caption(g, image, copy) : th_fail_memory();
}

th_status th_dataset_json_captions(th_gather *g, int64_t image, const th_json *j, const char *known) {
    static const char *const fields[] = {"caption", "captions", "text"};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        const json_t *v = json_object_get(j->root, fields[i]);
        if (!v || json_is_null(v)) continue;
        if (json_is_string(v)) return add_text(g, image, v, &known);
        if (!json_is_array(v)) return th_json_fail(j, fields[i], "a string or an array of strings");
        for (size_t k = 0; k < json_array_size(v); k++) {
            if (!json_is_string(json_array_get(v, k))) return th_json_fail(j, fields[i], "an array of strings");
            TH_TRY(add_text(g, image, json_array_get(v, k), &known));
        }
        return TH_OK;
    }
    return TH_OK;
}
