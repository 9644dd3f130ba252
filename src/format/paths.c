/* Brace and glob patterns. */
#include "format/paths.h"

#include <ctype.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

#define BRACES_MAX 16 /* each is a level of recursion */

/* Takes the name over; it is freed on failure too. */
static th_status add(th_names *out, char *name) {
    if (out->count >= TH_PATHS_MAX) {
        th_free(name);
        return th_fail(TH_E_INPUT, "stands for more than %d files", TH_PATHS_MAX);
    }
    if (!name || !th_grow(out->names, out->count, out->capacity)) {
        th_free(name);
        return th_fail_memory();
    }
    out->names[out->count++] = name;
    return TH_OK;
}

static th_status add_matches(th_names *out, const char *path) {
    if (!strpbrk(path, "*?[") || th_path_exists(path)) return add(out, th_strdup(path));
    glob_t g = {0};
    int code = glob(path, 0, NULL, &g);
    th_status s = TH_OK;
    if (code == GLOB_NOMATCH)
        s = th_fail(TH_E_IO, "no file matches '%s'", path);
    else if (code == GLOB_NOSPACE)
        s = th_fail_memory();
    else if (code != 0)
        s = th_fail(TH_E_IO, "cannot look for '%s'", path);
    for (size_t i = 0; s == TH_OK && i < g.gl_pathc; i++) s = add(out, th_strdup(g.gl_pathv[i]));
    globfree(&g);
    return s;
}

/* A pair of braces: what stands before, between and behind. */
typedef struct {
    const char *before, *inside, *behind;
    size_t before_length, inside_length;
} braces;

static bool find_braces(const char *pattern, braces *b) {
    const char *open = strchr(pattern, '{'), *close = open ? strchr(open, '}') : NULL;
    if (!close) return false;
    *b = (braces){pattern, open + 1, close + 1, (size_t)(open - pattern), (size_t)(close - open - 1)};
    return true;
}

static th_status expand(const char *pattern, th_names *out);

/* before + item + behind, expanded further. */
static th_status expand_item(const braces *b, const char *item, size_t n, th_names *out) {
    char path[TH_PATH_MAX];
    size_t behind = strlen(b->behind);
    if (b->before_length + n + behind >= sizeof path) return th_fail(TH_E_INPUT, "the path is too long");
    memcpy(path, b->before, b->before_length);
    memcpy(path + b->before_length, item, n);
    memcpy(path + b->before_length + n, b->behind, behind + 1);
    return expand(path, out);
}

static th_status expand_list(const braces *b, th_names *out) {
    for (size_t at = 0; at <= b->inside_length;) {
        size_t n = 0;
        while (at + n < b->inside_length && b->inside[at + n] != ',') n++;
        TH_TRY(expand_item(b, b->inside + at, n, out));
        at += n + 1;
    }
    return TH_OK;
}

/* "FIRST..LAST" of digits. As in a shell, numbers are padded with zeros if one of the two is. */
static bool parse_range(const braces *b, int64_t *first, int64_t *last, int *digits) {
    const char *p = b->inside, *end = p + b->inside_length;
    int64_t *values[2] = {first, last};
    int widest = *digits = 0;
    for (int i = 0; i < 2; i++) {
        int n = 0;
        bool padded = end - p > 1 && p[0] == '0' && isdigit((unsigned char)p[1]);
        for (*values[i] = 0; p < end && isdigit((unsigned char)*p); p++, n++)
            if (n < 10) *values[i] = *values[i] * 10 + (*p - '0');
        if (n < 1 || n > 10) return false;
        widest = n > widest ? n : widest;
        *digits = padded || *digits ? widest : 0;
        if (i == 0 && (end - p < 2 || *p++ != '.' || *p++ != '.')) return false;
    }
    return p == end;
}

static th_status expand_range(const braces *b, int64_t first, int64_t last, int digits, th_names *out) {
    if (llabs(last - first) >= TH_PATHS_MAX)
        return th_fail(TH_E_INPUT, "{%.*s} stands for more than %d files", (int)b->inside_length, b->inside,
                       TH_PATHS_MAX);
    int64_t step = first <= last ? 1 : -1;
    for (int64_t i = first;; i += step) {
        char item[32];
        int n = snprintf(item, sizeof item, "%0*lld", digits, (long long)i);
        TH_TRY(expand_item(b, item, (size_t)n, out));
        if (i == last) return TH_OK;
    }
}

/* The leftmost braces, then, for each of their items, the rest. */
static th_status expand(const char *pattern, th_names *out) {
    braces b;
    int64_t first, last;
    int digits;
    if (!find_braces(pattern, &b)) return add_matches(out, pattern);
    if (memchr(b.inside, '{', b.inside_length)) return th_fail(TH_E_INPUT, "braces inside braces are not understood");
    if (parse_range(&b, &first, &last, &digits)) return expand_range(&b, first, last, digits, out);
    if (memchr(b.inside, ',', b.inside_length)) return expand_list(&b, out);
    return th_fail(TH_E_INPUT, "{%.*s} is neither a range such as 000..012 nor a list such as a,b",
                   (int)(b.inside_length < 100 ? b.inside_length : 100), b.inside);
}

th_status th_paths_expand(const char *pattern, th_names *out) {
    *out = (th_names){0};
    int braces_count = 0;
    for (const char *p = pattern; *p; p++) braces_count += *p == '{';
    th_status s;
    if (th_path_exists(pattern))
        s = add(out, th_strdup(pattern));
    else if (braces_count > BRACES_MAX)
        s = th_fail(TH_E_INPUT, "has more than %d braces", BRACES_MAX);
    else
        s = expand(pattern, out);
    if (s != TH_OK) th_names_free(out);
    return th_fail_in(s, "%.200s", pattern);
}
