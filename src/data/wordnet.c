/* WordNet's database files: binary search over sorted lines, and a cursor over their fields. */
#include "data/wordnet.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"

/* A pair of an exception list, pointing into its mapping: reversed, so that a base form finds its irregular forms. */
typedef struct {
    const char *lemma, *form;
    uint8_t lemma_length, form_length;
} irregular;

typedef struct {
    th_mapping index, data, exceptions;
    irregular *irregulars; /* sorted by lemma, then by place in the list */
    int64_t irregular_count;
} part;

struct th_wordnet {
    part parts[TH_WN_POS_COUNT];
    th_mapping counts; /* cntlist.rev; empty where it is not installed */
    char version[128];
};

static const char *const suffix[TH_WN_POS_COUNT] = {"noun", "verb", "adj", "adv"};

/* A stretch of a mapped file that is yet to be read. */
typedef struct {
    const char *p, *end;
} cursor;

static cursor all_of(const th_mapping *m) {
    const char *p = (const char *)m->data;
    return (cursor){p, p ? p + m->length : p};
}

/* Cuts the next field, which ends at a blank or at the end of the line; empty when there is none. */
static cursor field(cursor *c) {
    while (c->p < c->end && *c->p == ' ') c->p++;
    cursor f = {c->p, c->p};
    while (f.end < c->end && *f.end != ' ' && *f.end != '\n' && *f.end != '\r') f.end++;
    c->p = f.end;
    return f;
}

static size_t length_of(cursor c) { return (size_t)(c.end - c.p); }

static bool same(cursor c, const char *text, size_t n) { return length_of(c) == n && memcmp(c.p, text, n) == 0; }

/* Reads digits in a base up to 16; -1 when the field is empty, holds anything else, or passes `max`. */
static int64_t number(cursor c, int base, int64_t max) {
    int64_t v = 0;
    if (c.p == c.end) return -1;
    for (; c.p < c.end; c.p++) {
        int d = *c.p >= '0' && *c.p <= '9' ? *c.p - '0' : *c.p >= 'a' && *c.p <= 'f' ? *c.p - 'a' + 10 : 16;
        if (d >= base) return -1;
        v = v * base + d;
        if (v > max) return -1;
    }
    return v;
}

/* The line that begins at p. */
static cursor line_at(const char *p, const char *end) {
    const char *newline = memchr(p, '\n', (size_t)(end - p));
    return (cursor){p, newline ? newline : end};
}

static int compare(const char *a, size_t n, const char *b, size_t m) {
    int c = memcmp(a, b, n < m ? n : m);
    return c ? c : n < m ? -1 : n > m;
}

/* The first line whose first field is not below key, in a file that is sorted by first fields as bytes. The licence on
 * top of each file is indented, so its first field counts as empty and sorts first. */
static const char *lower_bound(cursor file, const char *key, size_t n) {
    const char *low = file.p, *high = file.end;
    while (low < high) {
        const char *middle = low + (high - low) / 2, *start = middle;
        while (start > low && start[-1] != '\n') start--;
        const char *stop = start;
        while (stop < file.end && *stop != ' ' && *stop != '\n') stop++;
        if (compare(start, (size_t)(stop - start), key, n) < 0) {
            cursor line = line_at(middle, file.end);
            low = line.end < file.end ? line.end + 1 : file.end;
        } else {
            high = start;
        }
    }
    return low;
}

/* The rest of the line whose first field is key; false when there is none. */
static bool find_line(cursor file, const char *key, size_t n, cursor *rest) {
    const char *start = lower_bound(file, key, n);
    if (start >= file.end) return false;
    *rest = line_at(start, file.end);
    return same(field(rest), key, n);
}

static size_t word_length(const char *word) {
    size_t n = strlen(word);
    return n < TH_WORD_MAX ? n : 0;
}

static bool index_line(const th_wordnet *w, const char *lemma, th_wn_pos pos, cursor *rest) {
    size_t n = word_length(lemma);
    return n && find_line(all_of(&w->parts[pos].index), lemma, n, rest);
}

bool th_wordnet_has(const th_wordnet *w, const char *lemma, th_wn_pos pos) {
    cursor rest;
    return index_line(w, lemma, pos, &rest);
}

/* cntlist.rev: "lemma%TYPE:file:id:head:headid sense count", sorted. Adjectives are of type 3, satellites of 5. */
static void read_counts(const th_wordnet *w, const char *lemma, th_wn_pos pos, th_sense *senses, int n, int *total) {
    char key[TH_WORD_MAX + 2];
    int k = snprintf(key, sizeof key, "%s%%", lemma);
    cursor file = all_of(&w->counts);
    const char *p = lower_bound(file, key, (size_t)k);
    while (p < file.end) {
        cursor line = line_at(p, file.end), f = field(&line);
        if (length_of(f) <= (size_t)k || memcmp(f.p, key, (size_t)k) != 0) break;
        int type = f.p[k] - '1';
        if (type == 4) type = TH_WN_ADJ;
        int64_t sense = number(field(&line), 10, 1000), count = number(field(&line), 10, 1 << 20);
        if (type == (int)pos && sense >= 1 && count > 0) {
            *total += (int)count;
            if (sense <= n) senses[sense - 1].tagged = (int)count;
        }
        cursor next = line_at(p, file.end);
        p = next.end < file.end ? next.end + 1 : file.end;
    }
}

int th_wordnet_senses(const th_wordnet *w, const char *lemma, th_wn_pos pos, th_sense *out, int max) {
    cursor c;
    if (!index_line(w, lemma, pos, &c)) return 0;
    field(&c); /* pos */
    int64_t count = number(field(&c), 10, 1000), pointers = number(field(&c), 10, 1000);
    for (int64_t i = 0; i < pointers + 2; i++) field(&c); /* pointer kinds, sense count, tagged senses */
    int n = 0, total = 0;
    while (n < max && n < count) {
        int64_t offset = number(field(&c), 10, INT32_MAX / 4);
        if (offset < 0) break;
        out[n++] = (th_sense){(th_synset)offset * 4 + (th_synset)pos, 0};
    }
    read_counts(w, lemma, pos, out, n, &total);
    return n;
}

int th_wordnet_tagged(const th_wordnet *w, const char *lemma, th_wn_pos pos) {
    int total = 0;
    if (word_length(lemma)) read_counts(w, lemma, pos, NULL, 0, &total);
    return total;
}

/* The line of a synset behind its offset field; false when there is no such synset. */
static bool data_line(const th_wordnet *w, th_synset s, cursor *rest) {
    cursor file = all_of(&w->parts[th_synset_pos(s)].data);
    size_t offset = s / 4;
    if (s == TH_SYNSET_NONE || offset >= length_of(file) || (offset && file.p[offset - 1] != '\n')) return false;
    *rest = line_at(file.p + offset, file.end);
    return number(field(rest), 10, INT32_MAX) == (int64_t)offset;
}

int th_wordnet_file(const th_wordnet *w, th_synset s) {
    cursor c;
    return data_line(w, s, &c) ? (int)number(field(&c), 10, 99) : -1;
}

/* Goes to the words and returns how many there are. */
static int enter_words(cursor *c) {
    field(c); /* lexicographer's file */
    field(c); /* synset type */
    return (int)number(field(c), 16, 255);
}

/* Copies a word in lower case, without an adjective's syntactic marker such as "(p)". */
static bool copy_word(cursor f, char out[TH_WORD_MAX]) {
    const char *marker = memchr(f.p, '(', length_of(f));
    if (marker) f.end = marker;
    size_t n = length_of(f);
    if (n == 0 || n >= TH_WORD_MAX) return false;
    for (size_t i = 0; i < n; i++) out[i] = f.p[i] >= 'A' && f.p[i] <= 'Z' ? (char)(f.p[i] + 32) : f.p[i];
    out[n] = '\0';
    return true;
}

int th_wordnet_words(const th_wordnet *w, th_synset s, char (*out)[TH_WORD_MAX], int max) {
    cursor c;
    if (!data_line(w, s, &c)) return 0;
    int n = 0, count = enter_words(&c);
    for (int i = 0; i < count && n < max; i++) {
        if (copy_word(field(&c), out[n])) n++;
        field(&c); /* lexical id */
    }
    return n;
}

/* Goes past the words to the pointers and returns how many there are. */
static int enter_pointers(cursor *c) {
    int words = enter_words(c);
    for (int i = 0; i < 2 * words; i++) field(c);
    return (int)number(field(c), 10, 999);
}

typedef struct {
    char kind;
    th_synset target;
    int source_word, target_word; /* 1-based; 0: the whole synset */
} pointer;

static bool read_pointer(cursor *c, pointer *out) {
    static const char letters[] = "nvars"; /* a satellite adjective lies in data.adj */
    cursor kind = field(c), offset = field(c), pos = field(c), words = field(c);
    const char *letter = length_of(pos) == 1 ? memchr(letters, *pos.p, sizeof letters - 1) : NULL;
    int64_t at = number(offset, 10, INT32_MAX / 4), pair = number(words, 16, 0xffff);
    if (kind.p == kind.end || !letter || at < 0 || pair < 0) return false;
    th_wn_pos p = *letter == 's' ? TH_WN_ADJ : (th_wn_pos)(letter - letters);
    char letter_of_kind = length_of(kind) == 2 && kind.p[0] == '@' && kind.p[1] == 'i' ? 'i' : *kind.p;
    *out = (pointer){letter_of_kind, (th_synset)at * 4 + (th_synset)p, (int)(pair >> 8), (int)(pair & 255)};
    return true;
}

int th_wordnet_pointers(const th_wordnet *w, th_synset s, char kind, th_synset *out, int max) {
    cursor c;
    if (!data_line(w, s, &c)) return 0;
    int n = 0, count = enter_pointers(&c);
    pointer p;
    for (int i = 0; i < count && n < max && read_pointer(&c, &p); i++)
        if (p.kind == kind) out[n++] = p.target;
    return n;
}

bool th_wordnet_is_instance(const th_wordnet *w, th_synset s) {
    th_synset kind_of;
    return th_wordnet_pointers(w, s, 'i', &kind_of, 1) > 0;
}

int th_wordnet_antonyms(const th_wordnet *w, th_synset s, const char *lemma, char (*out)[TH_WORD_MAX], int max) {
    cursor c;
    if (!data_line(w, s, &c)) return 0;
    char word[TH_WORD_MAX];
    cursor scan = c;
    int place = 0, words_count = enter_words(&scan);
    for (int i = 1; i <= words_count; i++) {
        if (copy_word(field(&scan), word) && strcmp(word, lemma) == 0) place = i;
        field(&scan);
    }
    int n = 0, count = enter_pointers(&c);
    pointer p;
    for (int i = 0; i < count && n < max && read_pointer(&c, &p); i++) {
        if (p.kind != '!' || (p.source_word && p.source_word != place)) continue;
        cursor target;
        if (!data_line(w, p.target, &target)) continue;
        int m = enter_words(&target);
        for (int k = 1; k <= m && n < max; k++) {
            cursor f = field(&target);
            field(&target);
            if ((p.target_word == 0 || p.target_word == k) && copy_word(f, out[n])) n++;
        }
    }
    return n;
}

uint64_t th_wordnet_frames(const th_wordnet *w, th_synset s) {
    cursor c;
    if (th_synset_pos(s) != TH_WN_VERB || !data_line(w, s, &c)) return 0;
    int count = enter_pointers(&c);
    pointer p;
    for (int i = 0; i < count; i++)
        if (!read_pointer(&c, &p)) return 0;
    uint64_t frames = 0;
    int64_t m = number(field(&c), 10, 99);
    for (int64_t i = 0; i < m; i++) {
        field(&c); /* "+" */
        int64_t f = number(field(&c), 10, 63);
        field(&c); /* word */
        if (f >= 0) frames |= (uint64_t)1 << f;
    }
    return frames;
}

static bool among(const th_ancestor *a, int n, th_synset s) {
    for (int i = 0; i < n; i++)
        if (a[i].synset == s) return true;
    return false;
}

int th_wordnet_ancestors(const th_wordnet *w, th_synset s, th_ancestor *out, int max) {
    if (max < 1) return 0;
    out[0] = (th_ancestor){s, 0};
    int n = 1;
    for (int i = 0; i < n; i++) {
        th_synset up[16];
        int k = th_wordnet_pointers(w, out[i].synset, '@', up, 16);
        for (int j = 0; j < k && n < max; j++)
            if (!among(out, n, up[j])) out[n++] = (th_ancestor){up[j], out[i].distance + 1};
    }
    return n;
}

#define SENSES 12
#define ABOVE 48

static int first_senses(const th_wordnet *w, const char *lemma, th_wn_pos pos, int senses, th_sense *out) {
    return th_wordnet_senses(w, lemma, pos, out, senses < SENSES ? senses : SENSES);
}

static bool points_at(const th_wordnet *w, th_synset from, th_synset to, const char *kinds) {
    th_synset targets[64];
    for (; *kinds; kinds++) {
        int n = th_wordnet_pointers(w, from, *kinds, targets, 64);
        for (int i = 0; i < n; i++)
            if (targets[i] == to) return true;
    }
    return false;
}

/* Satellites of one head, or a head and its satellite. */
static bool one_cluster(const th_wordnet *w, th_synset a, th_synset b) {
    th_synset heads[16];
    if (points_at(w, a, b, "&") || points_at(w, b, a, "&")) return true;
    int n = th_wordnet_pointers(w, a, '&', heads, 16);
    if (n > 2) return false; /* a itself is a head */
    for (int i = 0; i < n; i++)
        if (points_at(w, b, heads[i], "&")) return true;
    return false;
}

static bool synsets_related(const th_wordnet *w, th_synset a, th_synset b) {
    th_ancestor above[ABOVE];
    if (a == b) return true;
    if (th_synset_pos(a) == TH_WN_ADJ) return one_cluster(w, a, b);
    if (th_synset_pos(a) == TH_WN_ADV) return false;
    if (among(above, th_wordnet_ancestors(w, a, above, ABOVE), b)) return true;
    if (among(above, th_wordnet_ancestors(w, b, above, ABOVE), a)) return true;
    return th_synset_pos(a) == TH_WN_VERB && (points_at(w, a, b, "*$>") || points_at(w, b, a, "*$>"));
}

bool th_wordnet_related(const th_wordnet *w, const char *a, const char *b, th_wn_pos pos, int senses) {
    th_sense x[SENSES], y[SENSES];
    int n = first_senses(w, a, pos, senses, x), m = first_senses(w, b, pos, senses, y);
    for (int i = 0; i < n; i++)
        for (int j = 0; j < m; j++)
            if (synsets_related(w, x[i].synset, y[j].synset)) return true;
    return false;
}

bool th_wordnet_part_of(const th_wordnet *w, const char *a, const char *b, int senses) {
    th_sense x[SENSES], y[SENSES];
    int n = first_senses(w, a, TH_WN_NOUN, senses, x), m = first_senses(w, b, TH_WN_NOUN, senses, y);
    for (int i = 0; i < n; i++)
        for (int j = 0; j < m; j++)
            if (points_at(w, x[i].synset, y[j].synset, "%#")) return true;
    return false;
}

/* --- base forms and irregular forms, after morphy(7WN) --- */

typedef struct {
    const char *ending, *instead;
} detachment;

static const detachment noun_rules[] = {{"s", ""},      {"ses", "s"},   {"xes", "x"}, {"zes", "z"}, {"ches", "ch"},
                                        {"shes", "sh"}, {"men", "man"}, {"ies", "y"}, {NULL, NULL}};
static const detachment verb_rules[] = {{"s", ""},  {"ies", "y"}, {"es", "e"}, {"es", ""},  {"ed", "e"},
                                        {"ed", ""}, {"ing", "e"}, {"ing", ""}, {NULL, NULL}};
static const detachment adj_rules[] = {{"er", ""}, {"est", ""}, {"er", "e"}, {"est", "e"}, {NULL, NULL}};
static const detachment adv_rules[] = {{NULL, NULL}};
static const detachment *const rules[TH_WN_POS_COUNT] = {noun_rules, verb_rules, adj_rules, adv_rules};

typedef struct {
    const th_wordnet *w;
    th_wn_pos pos;
    char (*out)[TH_WORD_MAX];
    int count, max;
} lemma_list;

static void add_lemma(lemma_list *l, const char *word) {
    if (l->count >= l->max || !th_wordnet_has(l->w, word, l->pos)) return;
    for (int i = 0; i < l->count; i++)
        if (strcmp(l->out[i], word) == 0) return;
    snprintf(l->out[l->count++], TH_WORD_MAX, "%s", word);
}

static void add_by_exception(lemma_list *l, const char *word, size_t n) {
    cursor rest;
    if (!find_line(all_of(&l->w->parts[l->pos].exceptions), word, n, &rest)) return;
    for (cursor f = field(&rest); f.p < f.end; f = field(&rest)) {
        char lemma[TH_WORD_MAX];
        if (copy_word(f, lemma)) add_lemma(l, lemma);
    }
}

static void add_by_rule(lemma_list *l, const char *word, size_t n, const detachment *r) {
    size_t e = strlen(r->ending);
    if (n <= e || memcmp(word + n - e, r->ending, e) != 0) return;
    char lemma[TH_WORD_MAX + 8];
    snprintf(lemma, sizeof lemma, "%.*s%s", (int)(n - e), word, r->instead);
    add_lemma(l, lemma);
}

int th_wordnet_lemmas(const th_wordnet *w, const char *word, th_wn_pos pos, char (*out)[TH_WORD_MAX], int max) {
    size_t n = word_length(word);
    lemma_list l = {w, pos, out, 0, max < 8 ? max : 8};
    if (!n) return 0;
    add_by_exception(&l, word, n);
    add_lemma(&l, word);
    /* "glass" is not the plural of "glas"; "boss" keeps its own entry either way */
    if (pos == TH_WN_NOUN && n > 2 && memcmp(word + n - 2, "ss", 2) == 0) return l.count;
    for (const detachment *r = rules[pos]; r->ending; r++) add_by_rule(&l, word, n, r);
    return l.count;
}

static int by_lemma(const void *a, const void *b) {
    const irregular *x = a, *y = b;
    int c = compare(x->lemma, x->lemma_length, y->lemma, y->lemma_length);
    return c ? c : x->form < y->form ? -1 : x->form > y->form;
}

static th_status reverse_exceptions(part *p) {
    int64_t capacity = 0;
    cursor file = all_of(&p->exceptions);
    while (file.p < file.end) {
        cursor line = line_at(file.p, file.end);
        file.p = line.end < file.end ? line.end + 1 : file.end;
        cursor form = field(&line);
        for (cursor f = field(&line); f.p < f.end; f = field(&line)) {
            if (length_of(f) >= TH_WORD_MAX || length_of(form) >= TH_WORD_MAX) continue;
            if (!th_grow(p->irregulars, p->irregular_count, capacity)) return th_fail_memory();
            p->irregulars[p->irregular_count++] =
                (irregular){f.p, form.p, (uint8_t)length_of(f), (uint8_t)length_of(form)};
        }
    }
    if (p->irregular_count) qsort(p->irregulars, (size_t)p->irregular_count, sizeof *p->irregulars, by_lemma);
    return TH_OK;
}

int th_wordnet_irregular(const th_wordnet *w, const char *lemma, th_wn_pos pos, char (*out)[TH_WORD_MAX], int max) {
    const part *p = &w->parts[pos];
    size_t n = strlen(lemma);
    int64_t low = 0, high = p->irregular_count;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        const irregular *i = &p->irregulars[middle];
        if (compare(i->lemma, i->lemma_length, lemma, n) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    int count = 0;
    for (; low < p->irregular_count && count < max; low++) {
        const irregular *i = &p->irregulars[low];
        if (compare(i->lemma, i->lemma_length, lemma, n) != 0) break;
        snprintf(out[count++], TH_WORD_MAX, "%.*s", (int)i->form_length, i->form);
    }
    return count;
}

/* --- opening --- */

#define PACKAGE "WordNet's database comes with the Debian package wordnet-base"

static th_status map_file(const char *folder, const char *name, const char *extension, th_mapping *out) {
    char path[TH_PATH_MAX], file[32];
    snprintf(file, sizeof file, "%s%s", name, extension);
    TH_TRY(th_path_join(path, folder, file));
    if (!th_path_exists(path)) return th_fail(TH_E_INPUT, "%s: is missing (" PACKAGE ")", path);
    return th_file_map(path, out);
}

static th_status map_part(const char *folder, part *p, const char *name) {
    char file[32];
    snprintf(file, sizeof file, "index.%s", name);
    TH_TRY(map_file(folder, file, "", &p->index));
    snprintf(file, sizeof file, "data.%s", name);
    TH_TRY(map_file(folder, file, "", &p->data));
    TH_TRY(map_file(folder, name, ".exc", &p->exceptions));
    return reverse_exceptions(p);
}

/* A word that every WordNet has must be found, and its synset must hold it: else these are other files. */
static th_status check(const th_wordnet *w, const char *folder, const char *word, th_wn_pos pos) {
    th_sense sense;
    char words[32][TH_WORD_MAX];
    int n = th_wordnet_senses(w, word, pos, &sense, 1) ? th_wordnet_words(w, sense.synset, words, 32) : 0;
    for (int i = 0; i < n; i++)
        if (strcmp(words[i], word) == 0) return TH_OK;
    return th_fail(TH_E_INPUT, "%s: index.%s and data.%s are not WordNet's (" PACKAGE ")", folder, suffix[pos],
                   suffix[pos]);
}

static void write_version(th_wordnet *w) {
    static const char mark[] = "WordNet ";
    cursor file = all_of(&w->parts[TH_WN_NOUN].data);
    char release[16] = "?";
    size_t top = length_of(file) < 2048 ? length_of(file) : 2048;
    const char *at = memmem(file.p, top, mark, sizeof mark - 1);
    if (at) {
        cursor rest = {at + sizeof mark - 1, file.p + top}, f = field(&rest);
        snprintf(release, sizeof release, "%.*s", length_of(f) < 15 ? (int)length_of(f) : 15, f.p);
    }
    int n = snprintf(w->version, sizeof w->version, "wordnet %s", release);
    for (int i = 0; i < TH_WN_POS_COUNT; i++)
        n += snprintf(w->version + n, sizeof w->version - (size_t)n, " %zu", w->parts[i].data.length);
}

th_status th_wordnet_open(const char *folder, th_wordnet **out) {
    if (!folder) folder = getenv("WNSEARCHDIR");
    if (!folder) folder = "/usr/share/wordnet";
    th_wordnet *w = th_alloc(1, sizeof *w);
    if (!w) return th_fail_memory();
    th_status status = TH_OK;
    for (int i = 0; i < TH_WN_POS_COUNT; i++) TH_GO(map_part(folder, &w->parts[i], suffix[i]));
    char path[TH_PATH_MAX];
    TH_GO(th_path_join(path, folder, "cntlist.rev"));
    if (th_path_exists(path)) TH_GO(th_file_map(path, &w->counts));
    TH_GO(check(w, folder, "dog", TH_WN_NOUN));
    TH_GO(check(w, folder, "sit", TH_WN_VERB));
    TH_GO(check(w, folder, "red", TH_WN_ADJ));
    TH_GO(check(w, folder, "slowly", TH_WN_ADV));
    write_version(w);
    *out = w;
    return TH_OK;
done:
    th_wordnet_close(w);
    return status;
}

const char *th_wordnet_version(const th_wordnet *w) { return w->version; }

void th_wordnet_close(th_wordnet *w) {
    if (!w) return;
    for (int i = 0; i < TH_WN_POS_COUNT; i++) {
        th_file_unmap(&w->parts[i].index);
        th_file_unmap(&w->parts[i].data);
        th_file_unmap(&w->parts[i].exceptions);
        th_free(w->parts[i].irregulars);
    }
    th_file_unmap(&w->counts);
    th_free(w);
}
