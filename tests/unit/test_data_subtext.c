/* Sub-texts: what is made, that it is what it says, and its file. */
#include "test.h"

#include <stdlib.h>

#include "base/file.h"
#include "base/memory.h"
#include "data/kinds.h"
#include "data/parse.h"
#include "data/subtext.h"
#include "data/wordnet.h"

static bool have_wordnet, have_parser;

#define NEEDS_WORDNET                                            \
    do {                                                         \
        if (!have_wordnet) {                                     \
            print_message("skipped: wordnet-base is missing\n"); \
            skip();                                              \
        }                                                        \
    } while (0)
#define NEEDS_PARSER                                                             \
    do {                                                                         \
        NEEDS_WORDNET;                                                           \
        if (!have_parser) {                                                      \
            print_message("skipped: link-grammar-dictionaries-en is missing\n"); \
            skip();                                                              \
        }                                                                        \
    } while (0)

/* Captions of the sort that the fashion scenes have: every colour, garment and verb occurs several times. */
enum { CAPTIONS = 96 };
static char caption_text[CAPTIONS][160];
static const char *captions[CAPTIONS];

static void write_captions(void) {
    static const char *const colours[] = {"red", "blue", "green", "orange", "white", "black", "purple"};
    static const char *const garments[] = {"dress", "gown",    "coat",     "sandal",     "shirt",  "sneaker",
                                           "bag",   "t-shirt", "pullover", "ankle boot", "handbag"};
    static const char *const sizes[] = {"small", "large", "tiny", "big"};
    static const char *const verbs[] = {"hangs", "stands", "lies", "floats"};
    for (int i = 0; i < CAPTIONS; i++) {
        const char *c = colours[i % 7], *d = colours[(i + 3) % 7], *g = garments[i % 11],
                   *h = garments[(i * 3 + 4) % 11];
        const char *a = *c == 'o' ? "an" : "a";
        if (i % 3 == 0)
            snprintf(caption_text[i], 160, "%s %s %s %s to the left of a %s %s %s on a grey background", a, c, g,
                     verbs[i / 3 % 4], sizes[i / 3 % 4], d, h);
        else if (i % 3 == 1)
            snprintf(caption_text[i], 160, "two %s %s%s next to a %s %s", c, g, strcmp(g, "dress") ? "s" : "es",
                     sizes[i % 4], h);
        else
            snprintf(caption_text[i], 160, "%s %s %s %s on a white background", a, c, g, verbs[i / 3 % 4]);
        captions[i] = caption_text[i];
    }
}

static th_subtexts *build(int threads, const char *cache, void (*change)(th_subtext_params *)) {
    th_subtext_params p;
    th_subtexts *s;
    th_subtext_params_init(&p);
    if (change) change(&p);
    assert_ok(th_subtexts_build(captions, CAPTIONS, &p, threads, NULL, cache, &s));
    return s;
}

static void without_parser(th_subtext_params *p) { p->parse = false; }
static void without_parser_seed_2(th_subtext_params *p) {
    p->parse = false;
    p->seed = 2;
}

/* Cuts at blanks; articles are taken for one word. */
typedef struct {
    char buffer[512];
    char *words[64];
    int count;
} words;

static void split(const char *text, words *w) {
    snprintf(w->buffer, sizeof w->buffer, "%s", text);
    w->count = 0;
    for (char *p = strtok(w->buffer, " "); p && w->count < 64; p = strtok(NULL, " "))
        w->words[w->count++] = !strcmp(p, "an") ? "a" : p;
}

static bool is_subsequence(const words *part, const words *whole) {
    int k = 0;
    for (int i = 0; i < whole->count && k < part->count; i++) k += !strcmp(whole->words[i], part->words[k]);
    return k == part->count;
}

static void positives_are_parts_of_their_caption(void **state) {
    (void)state;
    NEEDS_PARSER;
    th_subtexts *s = build(1, NULL, NULL);
    for (int64_t i = 0; i < CAPTIONS; i++) {
        int n, positives = 0;
        const th_subtext *t = th_subtexts_of(s, i, &n);
        for (int k = 0; k < n; k++) {
            words part, whole;
            if (t[k].negative) continue;
            positives++;
            split(t[k].text, &part);
            split(captions[i], &whole);
            if (!is_subsequence(&part, &whole)) fail_msg("\"%s\" is no part of \"%s\"", t[k].text, captions[i]);
            if (!t[k].whole) assert_true(part.count < whole.count);
        }
        assert_int_equal(positives, 2);
    }
    th_subtexts_free(s);
}

/* Puts the old words back: what comes out must be a part of the caption. */
static void negatives_differ_in_one_word(void **state) {
    (void)state;
    NEEDS_PARSER;
    th_subtexts *s = build(1, NULL, NULL);
    for (int64_t i = 0; i < CAPTIONS; i++) {
        int n;
        const th_subtext *t = th_subtexts_of(s, i, &n);
        for (int k = 0; k < n; k++) {
            char back[512];
            words part, whole;
            if (!t[k].negative) continue;
            const char *at = strstr(t[k].text, t[k].new_words);
            assert_non_null(at);
            snprintf(back, sizeof back, "%.*s%s%s", (int)(at - t[k].text), t[k].text, t[k].old_words,
                     at + strlen(t[k].new_words));
            split(back, &part);
            split(captions[i], &whole);
            if (!is_subsequence(&part, &whole)) fail_msg("\"%s\" from \"%s\"", t[k].text, captions[i]);
            assert_null(strstr(captions[i], t[k].new_words)); /* it might be true */
            assert_int_equal(t[k].source, TH_SOURCE_PARSED);
        }
    }
    th_subtexts_free(s);
}

static bool same_garment(const char *a, const char *b) {
    static const char *const sets[] = {"dress gown dresses gowns", "bag handbag bags handbags",
                                       "shirt t-shirt shirts t-shirts", "small tiny", "large big"};
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++)
        if (strstr(sets[i], a) && strstr(sets[i], b)) return true;
    return false;
}

static void negatives_of_all_kinds_are_false(void **state) {
    (void)state;
    NEEDS_PARSER;
    th_subtexts *s = build(1, NULL, NULL);
    for (int64_t i = 0; i < CAPTIONS; i++) {
        int n, kinds[TH_SUBTEXT_KINDS] = {0};
        const th_subtext *t = th_subtexts_of(s, i, &n);
        for (int k = 0; k < n; k++) {
            if (!t[k].negative) continue;
            kinds[t[k].kind]++;
            if (same_garment(t[k].old_words, t[k].new_words))
                fail_msg("%s for %s may still be true", t[k].new_words, t[k].old_words);
        }
        assert_true(kinds[TH_SUBTEXT_ADJECTIVE] > 0);
        assert_true(kinds[TH_SUBTEXT_NOUN] > 0);
        if (i % 3 != 1) assert_true(kinds[TH_SUBTEXT_VERB] > 0);
    }
    assert_int_equal(th_subtexts_stats(s)->with_negative, CAPTIONS);
    assert_int_equal(th_subtexts_stats(s)->source[TH_SOURCE_PARSED], CAPTIONS);
    th_subtexts_free(s);
}

static void compounds_give_way_as_one(void **state) {
    (void)state;
    NEEDS_PARSER;
    th_subtexts *s = build(1, NULL, NULL);
    int replaced = 0, taken = 0;
    for (int64_t i = 0; i < CAPTIONS; i++) {
        int n;
        const th_subtext *t = th_subtexts_of(s, i, &n);
        for (int k = 0; k < n; k++) {
            if (!t[k].negative || t[k].kind != TH_SUBTEXT_NOUN) continue;
            assert_string_not_equal(t[k].old_words, "boot");
            assert_string_not_equal(t[k].new_words, "boot");
            replaced += !strncmp(t[k].old_words, "ankle boot", 10);
            taken += !strncmp(t[k].new_words, "ankle boot", 10);
        }
    }
    assert_true(replaced > 5 && taken > 5);
    th_subtexts_free(s);
}

/* A gown that the table does not have is one of the gowns; "drawn" after "hand" is no deed. */
static void compounds_are_known_by_their_head(void **state) {
    (void)state;
    NEEDS_WORDNET;
    static const char *const garments = " coat sandal shirt sneaker bag t-shirt pullover ankle boot handbag ";
    const char *all[CAPTIONS + 2] = {"a bridal gown on a white background", "a hand drawn dress on a grey background"};
    memcpy(all + 2, captions, sizeof captions);
    th_subtext_params p;
    th_subtexts *s;
    th_subtext_params_init(&p);
    p.parse = false;
    assert_ok(th_subtexts_build(all, CAPTIONS + 2, &p, 1, NULL, NULL, &s));
    int n, nouns = 0;
    const th_subtext *t = th_subtexts_of(s, 0, &n);
    for (int k = 0; k < n; k++) {
        if (!t[k].negative || t[k].kind != TH_SUBTEXT_NOUN) continue;
        nouns++;
        assert_string_equal(t[k].old_words, "bridal gown");
        assert_non_null(strstr(garments, t[k].new_words));
    }
    assert_true(nouns > 0);
    t = th_subtexts_of(s, 1, &n);
    for (int k = 0; k < n; k++) assert_false(t[k].negative && t[k].kind == TH_SUBTEXT_VERB);
    th_subtexts_free(s);
}

static void articles_and_forms_fit(void **state) {
    (void)state;
    NEEDS_PARSER;
    th_subtexts *s = build(1, NULL, NULL);
    for (int64_t i = 0; i < CAPTIONS; i++) {
        int n;
        const th_subtext *t = th_subtexts_of(s, i, &n);
        for (int k = 0; k < n; k++) {
            words w;
            split(t[k].text, &w);
            assert_null(strstr(t[k].text, "a orange"));
            assert_null(strstr(t[k].text, "a ankle"));
            assert_null(strstr(t[k].text, "an red"));
            if (!t[k].negative || t[k].kind != TH_SUBTEXT_NOUN) continue;
            bool plural = t[k].old_words[strlen(t[k].old_words) - 1] == 's' && strcmp(t[k].old_words, "dress");
            bool now = t[k].new_words[strlen(t[k].new_words) - 1] == 's' && strcmp(t[k].new_words, "dress");
            assert_int_equal(plural, now);
        }
    }
    th_subtexts_free(s);
}

static void captions_are_read_without_the_parser(void **state) {
    (void)state;
    NEEDS_WORDNET;
    th_subtexts *s = build(2, NULL, without_parser);
    const th_subtext_stats *t = th_subtexts_stats(s);
    assert_int_equal(t->source[TH_SOURCE_FALLBACK], CAPTIONS);
    assert_int_equal(t->with_positive, CAPTIONS);
    assert_true(t->with_negative > CAPTIONS * 9 / 10);
    th_subtexts_free(s);
}

static void same_files(const char *a, const char *b, bool same) {
    th_bytes x, y;
    assert_ok(th_file_read(a, 1 << 24, &x));
    assert_ok(th_file_read(b, 1 << 24, &y));
    assert_int_equal(x.length == y.length && !memcmp(x.data, y.data, x.length), same);
    th_free(x.data);
    th_free(y.data);
}

static void threads_do_not_change_the_file(void **state) {
    (void)state;
    NEEDS_PARSER;
    assert_ok(th_remove_tree("subtext_test"));
    th_subtexts_free(build(1, "subtext_test/one.tsv", NULL));
    th_subtexts_free(build(5, "subtext_test/five.tsv", NULL));
    same_files("subtext_test/one.tsv", "subtext_test/five.tsv", true);
    assert_ok(th_remove_tree("subtext_test"));
}

static void the_seed_changes_the_choice(void **state) {
    (void)state;
    NEEDS_WORDNET;
    th_subtexts_free(build(1, "subtext_test/a.tsv", without_parser));
    th_subtexts_free(build(1, "subtext_test/b.tsv", without_parser_seed_2));
    same_files("subtext_test/a.tsv", "subtext_test/b.tsv", false);
    assert_ok(th_remove_tree("subtext_test"));
}

static void same_subtexts(const th_subtexts *a, const th_subtexts *b) {
    assert_int_equal(th_subtexts_captions(a), th_subtexts_captions(b));
    for (int64_t i = 0; i < th_subtexts_captions(a); i++) {
        int n, m;
        const th_subtext *x = th_subtexts_of(a, i, &n), *y = th_subtexts_of(b, i, &m);
        assert_int_equal(n, m);
        for (int k = 0; k < n; k++) {
            assert_string_equal(x[k].text, y[k].text);
            assert_int_equal(x[k].negative, y[k].negative);
            assert_int_equal(x[k].source, y[k].source);
            assert_int_equal(x[k].whole, y[k].whole);
            if (!x[k].negative) continue;
            assert_int_equal(x[k].kind, y[k].kind);
            assert_string_equal(x[k].old_words, y[k].old_words);
            assert_string_equal(x[k].new_words, y[k].new_words);
        }
    }
    assert_memory_equal(&th_subtexts_stats(a)->positives, &th_subtexts_stats(b)->positives, sizeof(int64_t));
    assert_memory_equal(th_subtexts_stats(a)->source, th_subtexts_stats(b)->source, sizeof(int64_t) * TH_SOURCE_COUNT);
}

static void the_cache_gives_back_what_was_made(void **state) {
    (void)state;
    NEEDS_WORDNET;
    th_subtexts *made = build(1, "subtext_test/cache.tsv", without_parser), *loaded;
    assert_false(th_subtexts_stats(made)->from_cache);
    th_subtexts *again = build(1, "subtext_test/cache.tsv", without_parser);
    assert_true(th_subtexts_stats(again)->from_cache);
    same_subtexts(made, again);
    assert_ok(th_subtexts_load("subtext_test/cache.tsv", &loaded));
    same_subtexts(made, loaded);
    th_subtexts_free(made);
    th_subtexts_free(again);
    th_subtexts_free(loaded);
    assert_ok(th_remove_tree("subtext_test"));
}

static void stale_and_damaged_caches_are_made_anew(void **state) {
    (void)state;
    NEEDS_WORDNET;
    th_subtexts_free(build(1, "subtext_test/cache.tsv", without_parser));
    th_subtexts *other = build(1, "subtext_test/cache.tsv", without_parser_seed_2);
    assert_false(th_subtexts_stats(other)->from_cache);
    th_subtexts_free(other);
    th_bytes b;
    assert_ok(th_file_read("subtext_test/cache.tsv", 1 << 24, &b));
    b.data[b.length / 2] ^= 1;
    assert_ok(th_file_write("subtext_test/cache.tsv", b.data, b.length));
    th_free(b.data);
    other = build(1, "subtext_test/cache.tsv", without_parser_seed_2);
    assert_false(th_subtexts_stats(other)->from_cache);
    th_subtexts_free(other);
    other = build(1, "subtext_test/cache.tsv", without_parser_seed_2);
    assert_true(th_subtexts_stats(other)->from_cache);
    th_subtexts_free(other);
    assert_ok(th_remove_tree("subtext_test"));
}

static void other_files_are_not_overwritten(void **state) {
    (void)state;
    NEEDS_WORDNET;
    assert_ok(th_make_dirs("subtext_test"));
    assert_ok(th_file_write("subtext_test/mine.txt", "my captions\n", 12));
    th_subtext_params p;
    th_subtexts *s = NULL;
    th_subtext_params_init(&p);
    p.parse = false;
    assert_fails(th_subtexts_build(captions, CAPTIONS, &p, 1, NULL, "subtext_test/mine.txt", &s), TH_E_INPUT,
                 "subtext_test/mine.txt: is not a file of sub-texts");
    assert_null(s);
    th_bytes b;
    assert_ok(th_file_read("subtext_test/mine.txt", 100, &b));
    assert_string_equal(b.data, "my captions\n");
    th_free(b.data);
    assert_ok(th_remove_tree("subtext_test"));
}

#define KEY "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define HEAD "theriac sub-texts 1\t" KEY "\t"

static void broken_files_are_refused_by_line(void **state) {
    (void)state;
    static const struct {
        const char *text, *message;
    } rows[] = {
        {"", "is not a file of sub-texts"},
        {"theriac sub-texts 2\t" KEY "\t1\n", "is not a file of sub-texts"},
        {"theriac sub-texts 1\tabc\t1\n", "line 1: the key does not have 64 digits"},
        {HEAD "x\n", "line 1: the number of captions is not a number"},
        {HEAD "999999999999999\n", "line 1: there are more captions than the file has room for"},
        {HEAD "1\n0\tpositive\tparsed\t\t\ta dress\n", "line 2: the end is missing"},
        {HEAD "1\n0\tpositive\tparsed\t\ta dress\n", "line 2: it does not have six fields"},
        {HEAD "1\n0\tpositive\tparsed\t\t\ta dress\tx\n", "line 2: it does not have six fields"},
        {HEAD "1\n-1\tpositive\tparsed\t\t\ta dress\n", "line 2: the caption's number is not a number"},
        {HEAD "1\n1\tpositive\tparsed\t\t\ta dress\n", "line 2: the captions are out of order"},
        {HEAD "2\n1\tpositive\tparsed\t\t\ta dress\n", "line 2: the captions are out of order"},
        {HEAD "1\n0\tgood\tparsed\t\t\ta dress\n", "line 2: the kind is unknown"},
        {HEAD "1\n0\tpositive\tguessed\t\t\ta dress\n", "line 2: the source is unknown"},
        {HEAD "1\n0\tnoun\tparsed\tdress\t\ta coat\n", "line 2: a text is empty"},
        {HEAD "1\n0\tpositive\tparsed\t\t\t\n", "line 2: a text is empty"},
        {HEAD "1\n0\tnone\tparsed\t\t\t\n0\tnone\tparsed\t\t\t\n", "line 3: a caption without sub-texts has several"},
        {HEAD "2\n0\tpositive\tparsed\t\t\ta dress\nend\t1\t" KEY "\n", "line 3: captions are missing before it"},
        {HEAD "1\n0\tpositive\tparsed\t\t\ta dress\nend\t2\t" KEY "\n", "line 3: the end does not fit"},
        {HEAD "1\n0\tpositive\tparsed\t\t\ta dress\nend\t1\t" KEY "\n", "line 3: the hash does not fit"},
        {HEAD "1\n0\tpositive\tparsed\t\t\ta dress\nend\t1\t" KEY "\nmore\n", "line 3: the end does not fit"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        th_subtexts *s = NULL;
        assert_fails(th_subtexts_parse(rows[i].text, strlen(rows[i].text), "x.tsv", &s), TH_E_INPUT, rows[i].message);
        assert_non_null(strstr(th_error_message(), "x.tsv"));
        assert_null(s);
    }
    th_subtexts *s = NULL;
    assert_fails(th_subtexts_load("no/such/file.tsv", &s), TH_E_IO, "no/such/file.tsv");
}

static void strange_captions_are_survived(void **state) {
    (void)state;
    NEEDS_PARSER;
    static const char *const strange[] = {
        "",
        " ",
        ".",
        "\xff\xfe",
        "a a a a a a a a",
        "and or but",
        "( [ { \" ) ] }",
        "don't",
        "'s",
        "a\tb\nc",
        "\xf0\x9f\x98\x80 dress \xf0\x9f\x98\x80",
        "a 'quoted' word",
        "THE RED DRESS",
        "red-blue - green -- x",
        "a-a-a-a-a-a-a-a-a-a-a-a-a-a-a-a-a-a-a-a-a-a-a-a-a-a-a-a-a-a-a-a-a-a-a-a-a-a-a-a-a-a-a-a-a-a-a-a-a-a",
    };
    int64_t n = sizeof strange / sizeof *strange;
    th_subtext_params p;
    th_subtexts *s;
    th_subtext_params_init(&p);
    p.min_count = 1;
    assert_ok(th_subtexts_build(strange, n, &p, 2, NULL, "subtext_test/strange.tsv", &s));
    int count;
    assert_null(th_subtexts_of(s, 0, &count));
    assert_int_equal(count, 0);
    assert_null(th_subtexts_of(s, n, &count));
    th_subtexts *loaded;
    assert_ok(th_subtexts_load("subtext_test/strange.tsv", &loaded));
    same_subtexts(s, loaded);
    th_subtexts_free(loaded);
    th_subtexts_free(s);
    assert_ok(th_subtexts_build(NULL, 0, &p, 2, NULL, NULL, &s));
    assert_int_equal(th_subtexts_captions(s), 0);
    th_subtexts_free(s);
    assert_ok(th_remove_tree("subtext_test"));
}

static void bad_parameters_are_refused(void **state) {
    (void)state;
    th_subtext_params p;
    th_subtexts *s = NULL;
    th_subtext_params_init(&p);
    p.positives = -1;
    assert_fails(th_subtexts_build(captions, 1, &p, 1, NULL, NULL, &s), TH_E_USAGE, "positives is -1");
    th_subtext_params_init(&p);
    p.negatives = 65;
    assert_fails(th_subtexts_build(captions, 1, &p, 1, NULL, NULL, &s), TH_E_USAGE, "negatives is 65");
    th_subtext_params_init(&p);
    p.min_count = 0;
    assert_fails(th_subtexts_build(captions, 1, &p, 1, NULL, NULL, &s), TH_E_USAGE, "min_count is 0");
    th_subtext_params_init(&p);
    p.wordnet = "no/such/folder";
    assert_fails(th_subtexts_build(captions, 1, &p, 1, NULL, NULL, &s), TH_E_INPUT, "wordnet-base");
    if (!have_wordnet) return;
    th_subtext_params_init(&p);
    p.grammar = "no/such/folder";
    assert_fails(th_subtexts_build(captions, 1, &p, 1, NULL, NULL, &s), TH_E_INPUT, "link-grammar-dictionaries-en");
    assert_null(s);
}

static void a_stop_is_heeded(void **state) {
    (void)state;
    NEEDS_WORDNET;
    volatile sig_atomic_t stop = 1;
    th_watch watch = {.stop = &stop};
    th_subtext_params p;
    th_subtexts *s = NULL;
    size_t before = th_bytes_in_use();
    th_subtext_params_init(&p);
    p.parse = false;
    th_status status = th_subtexts_build(captions, CAPTIONS, &p, 3, &watch, "subtext_test/stopped.tsv", &s);
    assert_int_equal(status, TH_E_INTERRUPTED);
    assert_null(s);
    assert_false(th_path_exists("subtext_test/stopped.tsv"));
    assert_int_equal(th_bytes_in_use(), before);
}

static void failed_allocations_leave_nothing_behind(void **state) {
    (void)state;
    NEEDS_WORDNET;
    size_t before = th_bytes_in_use();
    for (int64_t n = 1; n < 100000; n += 1 + n / 40) {
        th_subtext_params p;
        th_subtexts *s = NULL;
        th_subtext_params_init(&p);
        p.parse = false;
        p.min_count = 1;
        th_alloc_fail_at(n, true);
        th_status status = th_subtexts_build(captions, 6, &p, 1, NULL, NULL, &s);
        th_alloc_fail_at(0, false);
        th_subtexts_free(s);
        assert_int_equal(th_bytes_in_use(), before);
        if (status == TH_OK) return;
        assert_int_equal(status, TH_E_MEMORY);
        assert_null(s);
    }
    fail_msg("it never succeeded");
}

static void it_can_be_looked_at(void **state) {
    (void)state;
    NEEDS_WORDNET;
    th_subtexts *s = build(1, NULL, without_parser);
    th_str out;
    th_str_init(&out, 1 << 20);
    assert_ok(th_subtexts_print(s, captions, 3, &out));
    assert_non_null(strstr(th_str_text(&out), captions[0]));
    assert_non_null(strstr(th_str_text(&out), "  + "));
    assert_non_null(strstr(th_str_text(&out), "  - "));
    assert_non_null(strstr(th_str_text(&out), "96 captions: parsed 0.0 %"));
    assert_null(strstr(th_str_text(&out), captions[5]));
    th_str_free(&out);
    th_subtexts_free(s);
}

static void words_of_one_value_do_not_exclude_each_other(void **state) {
    (void)state;
    th_kinds *k;
    th_value a[8], b[8];
    assert_ok(th_kinds_open(&k));
    assert_int_equal(th_kinds_values(k, TH_CLASS_ADJ, "crimson", a, 8), 1);
    assert_true(th_kinds_values(k, TH_CLASS_ADJ, "red", b, 8) == 1 && a[0].group == b[0].group);
    assert_true(th_kinds_values(k, TH_CLASS_ADJ, "turquoise", a, 8) == 2); /* green or blue */
    assert_string_equal(th_kinds_attribute(a[0].attribute), "colour");
    assert_int_equal(th_kinds_values(k, TH_CLASS_VERB, "red", a, 8), 0);
    assert_true(th_person_same(th_kinds_person(k, "child"), th_kinds_person(k, "girl")));
    assert_false(th_person_same(th_kinds_person(k, "man"), th_kinds_person(k, "woman")));
    assert_true(th_person_same(th_kinds_person(k, "girl"), th_kinds_person(k, "daughter")));
    assert_true(th_kinds_lookalike(k, "sea", "ocean"));
    assert_false(th_kinds_lookalike(k, "sea", "dress"));
    assert_true(th_kinds_generic("photo") && !th_kinds_generic("dress") && !th_kinds_generic(""));
    assert_true(th_kinds_fixed("fake") && th_kinds_wishes("want") && th_kinds_shows("photo"));
    th_kinds_close(k);
}

/* A small share of real captions: most have negatives, and nearly all positives. */
static void real_captions_have_subtexts(void **state) {
    (void)state;
    NEEDS_PARSER;
    th_bytes b;
    enum { REAL = 400 };
    static const char *real[REAL];
    if (th_file_read(TH_SHARED "/data/captions/cc3m_validation.txt", 1 << 24, &b) != TH_OK) {
        print_message("skipped: " TH_SHARED "/data/captions is missing\n");
        skip();
    }
    int n = 0;
    for (char *p = strtok(b.data, "\n"); p && n < REAL; p = strtok(NULL, "\n")) real[n++] = p;
    th_subtext_params p;
    th_subtexts *s;
    th_subtext_params_init(&p);
    p.min_count = 2;
    assert_ok(th_subtexts_build(real, n, &p, 2, NULL, NULL, &s));
    const th_subtext_stats *t = th_subtexts_stats(s);
    assert_true(t->source[TH_SOURCE_PARSED] > n * 85 / 100);
    assert_true(t->with_positive > n * 98 / 100);
    assert_true(t->with_negative > n * 60 / 100);
    th_subtexts_free(s);
    th_free(b.data);
}

static int find_dictionaries(void **state) {
    (void)state;
    th_wordnet *w;
    th_parser *p;
    write_captions();
    have_wordnet = th_wordnet_open(NULL, &w) == TH_OK;
    if (have_wordnet) th_wordnet_close(w);
    have_parser = th_parser_open(NULL, &p) == TH_OK;
    if (have_parser) th_parser_close(p);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(positives_are_parts_of_their_caption),
        cmocka_unit_test(negatives_differ_in_one_word),
        cmocka_unit_test(negatives_of_all_kinds_are_false),
        cmocka_unit_test(compounds_give_way_as_one),
        cmocka_unit_test(compounds_are_known_by_their_head),
        cmocka_unit_test(articles_and_forms_fit),
        cmocka_unit_test(captions_are_read_without_the_parser),
        cmocka_unit_test(threads_do_not_change_the_file),
        cmocka_unit_test(the_seed_changes_the_choice),
        cmocka_unit_test(the_cache_gives_back_what_was_made),
        cmocka_unit_test(stale_and_damaged_caches_are_made_anew),
        cmocka_unit_test(other_files_are_not_overwritten),
        cmocka_unit_test(broken_files_are_refused_by_line),
        cmocka_unit_test(strange_captions_are_survived),
        cmocka_unit_test(bad_parameters_are_refused),
        cmocka_unit_test(a_stop_is_heeded),
        cmocka_unit_test(failed_allocations_leave_nothing_behind),
        cmocka_unit_test(it_can_be_looked_at),
        cmocka_unit_test(words_of_one_value_do_not_exclude_each_other),
        cmocka_unit_test(real_captions_have_subtexts),
    };
    return cmocka_run_group_tests_name("data: sub-texts", tests, find_dictionaries, NULL);
}
