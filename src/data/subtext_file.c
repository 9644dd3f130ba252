/* Sub-texts in memory and in their file: lines of six fields parted by tabs,
 *
 *     caption  kind  source  old words  new words  text
 *
 * after a head that names what they were made from, and before an end that proves the rest. */
#include "data/subtext_parts.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"

#define MAGIC "theriac sub-texts 1"
#define CACHE_MAX ((size_t)1 << 33)

th_status th_subtexts_new(int64_t n, th_subtexts **out) {
    th_subtexts *s = th_alloc(1, sizeof *s);
    if (!s) return th_fail_memory();
    s->n = n;
    s->items = th_alloc((size_t)n, sizeof *s->items);
    s->counts = th_alloc((size_t)n, sizeof *s->counts);
    s->sources = th_alloc((size_t)n, sizeof *s->sources);
    if (!s->items || !s->counts || !s->sources) return th_subtexts_free(s), th_fail_memory();
    *out = s;
    return TH_OK;
}

void th_subtexts_free(th_subtexts *s) {
    if (!s) return;
    for (int i = 0; i < TH_PARALLEL_MAX; i++) th_arena_free(s->arenas[i]);
    th_free(s->items);
    th_free(s->counts);
    th_free(s->sources);
    th_free(s);
}

int64_t th_subtexts_captions(const th_subtexts *s) { return s->n; }
const th_subtext_stats *th_subtexts_stats(const th_subtexts *s) { return &s->stats; }

const th_subtext *th_subtexts_of(const th_subtexts *s, int64_t caption, int *count) {
    *count = caption >= 0 && caption < s->n ? s->counts[caption] : 0;
    return *count ? s->items[caption] : NULL;
}

th_status th_subtexts_put(th_subtexts *s, int64_t caption, th_source source, const th_subtext *items, int count,
                          th_arena *arena) {
    s->sources[caption] = source;
    s->counts[caption] = count;
    s->items[caption] = count ? th_arena_copy(arena, items, (size_t)count * sizeof *items) : NULL;
    return count && !s->items[caption] ? th_fail_memory() : TH_OK;
}

static void count_caption(th_subtext_stats *t, const th_subtext *items, int count, th_source source) {
    bool positive = false, kinds[TH_SUBTEXT_KINDS] = {false};
    t->captions++;
    t->source[source]++;
    for (int i = 0; i < count; i++) {
        positive |= !items[i].negative;
        if (!items[i].negative) {
            t->positives++;
            t->whole += items[i].whole;
        } else {
            t->negatives[items[i].kind]++;
            kinds[items[i].kind] = true;
        }
    }
    t->with_positive += positive;
    t->with_negative += kinds[0] || kinds[1] || kinds[2];
    t->with_all_kinds += kinds[0] && kinds[1] && kinds[2];
}

th_status th_subtexts_finish(th_subtexts *s, const char *key, th_arena **arenas, int arena_count,
                             const th_subtext_stats *times) {
    snprintf(s->key, sizeof s->key, "%s", key);
    s->stats = *times;
    for (int64_t i = 0; i < s->n; i++) count_caption(&s->stats, s->items[i], s->counts[i], s->sources[i]);
    for (int i = 0; i < arena_count; i++) {
        s->arenas[i] = arenas[i];
        arenas[i] = NULL;
    }
    return TH_OK;
}

/* --- writing --- */

static const char *kind_name(const th_subtext *t) {
    return t->negative ? th_subtext_kind_text(t->kind) : t->whole ? "whole" : "positive";
}

typedef struct {
    th_writer *file;
    th_hash hash;
    th_str line;
} sink;

static void flush_line(sink *k) {
    th_writer_add(k->file, th_str_text(&k->line), k->line.length);
    th_hash_add(&k->hash, th_str_text(&k->line), k->line.length);
    th_str_clear(&k->line);
}

/* Adds lines; flushed now and then, for there are many short ones. */
static th_status put_line(sink *k, int64_t caption, const char *kind, th_source source, const th_subtext *t) {
    th_str_printf(&k->line, "%lld\t%s\t%s\t%s\t%s\t%s\n", (long long)caption, kind, th_source_text(source),
                  t && t->negative ? t->old_words : "", t && t->negative ? t->new_words : "", t ? t->text : "");
    TH_TRY(th_str_status(&k->line));
    if (k->line.length > (1 << 16)) flush_line(k);
    return TH_OK;
}

static th_status put_all(const th_subtexts *s, sink *k, int64_t *rows) {
    th_str_printf(&k->line, MAGIC "\t%s\t%lld\n", s->key, (long long)s->n);
    for (int64_t i = 0; i < s->n; i++) {
        for (int j = 0; j < s->counts[i]; j++)
            TH_TRY(put_line(k, i, kind_name(&s->items[i][j]), s->sources[i], &s->items[i][j]));
        if (!s->counts[i]) TH_TRY(put_line(k, i, "none", s->sources[i], NULL));
        *rows += s->counts[i] ? s->counts[i] : 1;
    }
    flush_line(k);
    return TH_OK;
}

th_status th_subtexts_save(const th_subtexts *s, const char *path) {
    sink k;
    int64_t rows = 0;
    TH_TRY(th_make_parents(path));
    TH_TRY(th_writer_open(path, &k.file));
    th_hash_init(&k.hash);
    th_str_init(&k.line, (size_t)1 << 24);
    th_status status = put_all(s, &k, &rows);
    if (status == TH_OK) {
        char digest[TH_HASH_TEXT];
        th_hash_text(&k.hash, digest);
        th_str_printf(&k.line, "end\t%lld\t%s\n", (long long)rows, digest);
        th_writer_add(k.file, th_str_text(&k.line), k.line.length);
        status = th_str_status(&k.line);
    }
    th_str_free(&k.line);
    if (status != TH_OK) return th_writer_abort(k.file), status;
    return th_writer_commit(k.file);
}

/* --- reading --- */

typedef struct {
    const char *p, *end;
} span;

typedef struct {
    const char *name;
    span rest;
    int64_t line;
} reader;

static th_status bad_line(const reader *r, const char *what) {
    return th_fail(TH_E_INPUT, "%s: line %lld: %s", r->name, (long long)r->line, what);
}

static bool next_line(reader *r, span *out) {
    if (r->rest.p == r->rest.end) return false;
    const char *newline = memchr(r->rest.p, '\n', (size_t)(r->rest.end - r->rest.p));
    *out = (span){r->rest.p, newline ? newline : r->rest.end};
    r->rest.p = newline ? newline + 1 : r->rest.end;
    r->line++;
    return true;
}

/* Cuts a line into exactly n fields. */
static bool cut(span line, span *fields, int n) {
    for (int i = 0; i < n; i++) {
        const char *tab = memchr(line.p, '\t', (size_t)(line.end - line.p));
        if ((tab == NULL) != (i == n - 1)) return false;
        fields[i] = (span){line.p, tab ? tab : line.end};
        line.p = tab ? tab + 1 : line.end;
    }
    return true;
}

static bool equals(span s, const char *text) {
    size_t n = strlen(text);
    return (size_t)(s.end - s.p) == n && memcmp(s.p, text, n) == 0;
}

static bool read_number(span s, int64_t *out) {
    *out = 0;
    if (s.p == s.end || s.end - s.p > 15) return false;
    for (; s.p < s.end; s.p++) {
        if (*s.p < '0' || *s.p > '9') return false;
        *out = *out * 10 + (*s.p - '0');
    }
    return true;
}

static char *copy(th_arena *a, span s) {
    char *text = th_arena_alloc(a, (size_t)(s.end - s.p) + 1, 1);
    if (text && s.p < s.end) memcpy(text, s.p, (size_t)(s.end - s.p));
    return text;
}

static th_status read_row(const reader *r, th_subtexts *s, span *f, th_subtext *t, bool *none) {
    *t = (th_subtext){.source = TH_SOURCE_COUNT};
    *none = equals(f[1], "none");
    t->whole = equals(f[1], "whole");
    for (int k = 0; k < TH_SUBTEXT_KINDS; k++) {
        if (!equals(f[1], th_subtext_kind_text((th_subtext_kind)k))) continue;
        t->negative = true;
        t->kind = (th_subtext_kind)k;
    }
    if (!*none && !t->whole && !t->negative && !equals(f[1], "positive")) return bad_line(r, "the kind is unknown");
    for (int k = 0; k < TH_SOURCE_COUNT; k++)
        if (equals(f[2], th_source_text((th_source)k))) t->source = (th_source)k;
    if (t->source == TH_SOURCE_COUNT) return bad_line(r, "the source is unknown");
    if (*none) return TH_OK;
    if (f[5].p == f[5].end || (t->negative && f[4].p == f[4].end)) return bad_line(r, "a text is empty");
    t->text = copy(s->arenas[0], f[5]);
    if (t->negative) t->old_words = copy(s->arenas[0], f[3]), t->new_words = copy(s->arenas[0], f[4]);
    return th_arena_failed(s->arenas[0]) ? th_fail_memory() : TH_OK;
}

/* Rows of one caption follow each other; captions are in order and none is missing. */
static th_status read_rows(reader *r, th_subtexts *s, span *after) {
    th_subtext items[2 * TH_SUBTEXTS_MAX];
    int64_t at = 0, caption;
    int count = 0;
    bool open = false; /* caption `at` has had a row */
    th_source source = TH_SOURCE_FALLBACK;
    span line, f[6];
    while (next_line(r, &line)) {
        bool ends = line.end - line.p > 4 && memcmp(line.p, "end\t", 4) == 0;
        bool none = false;
        th_subtext t;
        if (!ends) {
            if (!cut(line, f, 6)) return bad_line(r, "it does not have six fields");
            if (!read_number(f[0], &caption)) return bad_line(r, "the caption's number is not a number");
            if (caption >= s->n || caption < at || caption > at + open)
                return bad_line(r, "the captions are out of order");
            TH_TRY(read_row(r, s, f, &t, &none));
        }
        if (open && (ends || caption != at)) {
            TH_TRY(th_subtexts_put(s, at, source, items, count, s->arenas[0]));
            at++;
            count = 0;
            open = false;
        }
        if (ends) {
            *after = line;
            return at == s->n ? TH_OK : bad_line(r, "captions are missing before it");
        }
        if (open && (none || count == 0)) return bad_line(r, "a caption without sub-texts has several lines");
        if (count == 2 * TH_SUBTEXTS_MAX) return bad_line(r, "a caption has too many sub-texts");
        source = t.source;
        open = true;
        if (!none) items[count++] = t;
    }
    return bad_line(r, "the end is missing: the file was cut off");
}

static th_status check_end(reader *r, span end_line, const char *begin) {
    span f[3];
    int64_t rows;
    char digest[TH_HASH_TEXT];
    if (!cut(end_line, f, 3) || !read_number(f[1], &rows) || rows != r->line - 2 || r->rest.p != r->rest.end)
        return bad_line(r, "the end does not fit what is before it");
    th_hash_bytes(begin, (size_t)(end_line.p - begin), digest);
    if (!equals(f[2], digest)) return bad_line(r, "the hash does not fit: the file was changed");
    return TH_OK;
}

static th_status read_head(reader *r, char key[TH_HASH_TEXT], int64_t *n) {
    span line, f[3];
    if (!next_line(r, &line) || !cut(line, f, 3) || !equals(f[0], MAGIC))
        return th_fail(TH_E_INPUT, "%s: is not a file of sub-texts (it must begin with \"" MAGIC "\")", r->name);
    if (f[1].end - f[1].p != TH_HASH_TEXT - 1) return bad_line(r, "the key does not have 64 digits");
    if (!read_number(f[2], n)) return bad_line(r, "the number of captions is not a number");
    /* each caption has a line of 10 bytes or more: a number beyond that is wrong, and not worth its memory */
    if (*n > (r->rest.end - r->rest.p) / 10) return bad_line(r, "there are more captions than the file has room for");
    memcpy(key, f[1].p, TH_HASH_TEXT - 1);
    key[TH_HASH_TEXT - 1] = '\0';
    return TH_OK;
}

th_status th_subtexts_parse(const char *text, size_t length, const char *name, th_subtexts **out) {
    *out = NULL;
    reader r = {.name = name, .rest = {text, text + length}};
    char key[TH_HASH_TEXT];
    int64_t n = 0;
    span end_line = {NULL, NULL};
    th_subtexts *s = NULL;
    TH_TRY(read_head(&r, key, &n));
    TH_TRY(th_subtexts_new(n, &s));
    s->arenas[0] = th_arena_new();
    th_status status = s->arenas[0] ? read_rows(&r, s, &end_line) : th_fail_memory();
    if (status == TH_OK) status = check_end(&r, end_line, text);
    if (status != TH_OK) return th_subtexts_free(s), status;
    th_arena *arena = s->arenas[0];
    th_subtext_stats stats = {.from_cache = true};
    *out = s;
    return th_subtexts_finish(s, key, &arena, 1, &stats);
}

th_status th_subtexts_load(const char *path, th_subtexts **out) {
    th_mapping m;
    *out = NULL;
    TH_TRY(th_file_map(path, &m));
    th_status status = m.length > CACHE_MAX ? th_fail(TH_E_INPUT, "%s: is too large for sub-texts", path)
                                            : th_subtexts_parse((const char *)m.data, m.length, path, out);
    th_file_unmap(&m);
    return status;
}

th_status th_subtexts_try_cache(const char *path, const char *key, th_subtexts **out, bool *found) {
    *found = false;
    if (!th_path_exists(path)) return TH_OK;
    th_mapping m;
    TH_TRY(th_file_map(path, &m));
    size_t magic = sizeof MAGIC - 1;
    bool ours = m.length == 0 || (m.length > magic && memcmp(m.data, MAGIC, magic) == 0);
    bool fits = ours && m.length > magic + TH_HASH_TEXT && memcmp(m.data + magic + 1, key, TH_HASH_TEXT - 1) == 0;
    th_status status =
        ours ? TH_OK
             : th_fail(TH_E_INPUT, "%s: is not a file of sub-texts, and will not be overwritten with one", path);
    if (fits) {
        status = th_subtexts_parse((const char *)m.data, m.length, path, out);
        *found = status == TH_OK;
        if (status == TH_E_INPUT) status = TH_OK; /* damaged: made anew */
    }
    th_file_unmap(&m);
    return status;
}

/* --- for people --- */

static double percent(int64_t part, int64_t all) { return all ? 100.0 * (double)part / (double)all : 0; }

static void print_caption(const th_subtexts *s, int64_t i, const char *caption, th_str *out) {
    th_str_printf(out, "%lld  %s  [%s]\n", (long long)i, caption, th_source_text(s->sources[i]));
    for (int k = 0; k < s->counts[i]; k++) {
        const th_subtext *t = &s->items[i][k];
        if (t->negative)
            th_str_printf(out, "  - %s  (%s: %s for %s)\n", t->text, th_subtext_kind_text(t->kind), t->new_words,
                          t->old_words);
        else
            th_str_printf(out, "  + %s%s\n", t->text, t->whole ? "  (the whole caption)" : "");
    }
}

th_status th_subtexts_print(const th_subtexts *s, const char *const *captions, int64_t shown, th_str *out) {
    const th_subtext_stats *t = &s->stats;
    for (int64_t i = 0; i < shown && i < s->n; i++) print_caption(s, i, captions[i], out);
    th_str_printf(out, "%lld captions: parsed %.1f %%, partly %.1f %%, not %.1f %%\n", (long long)t->captions,
                  percent(t->source[TH_SOURCE_PARSED], t->captions), percent(t->source[TH_SOURCE_PARTLY], t->captions),
                  percent(t->source[TH_SOURCE_FALLBACK], t->captions));
    th_str_printf(out, "with a positive %.1f %% (%lld in all, %lld of them whole captions), with a negative %.1f %%, ",
                  percent(t->with_positive, t->captions), (long long)t->positives, (long long)t->whole,
                  percent(t->with_negative, t->captions));
    th_str_printf(out, "with all three kinds %.1f %%\n", percent(t->with_all_kinds, t->captions));
    th_str_printf(out, "negatives: %lld adjectives, %lld nouns, %lld verbs\n",
                  (long long)t->negatives[TH_SUBTEXT_ADJECTIVE], (long long)t->negatives[TH_SUBTEXT_NOUN],
                  (long long)t->negatives[TH_SUBTEXT_VERB]);
    if (!t->from_cache) th_str_printf(out, "made in %.1f s, parsing %.1f s of it\n", t->seconds, t->parse_seconds);
    return th_str_status(out);
}
