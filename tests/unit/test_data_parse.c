/* Captions: tokens, the parser, tags, true parts. */
#include "test.h"

#include <fcntl.h>
#include <locale.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "data/parts.h"

static th_parser *parser; /* NULL where the dictionary is not installed */
static th_wordnet *wordnet;

/* A caption with all that it stands on. */
typedef struct {
    th_lexicon lexicon;
    th_arena *arena;
    th_caption caption;
    th_parts parts;
} reading;

static void read_caption(reading *r, const char *text, bool parse) {
    assert_ok(th_lexicon_init(&r->lexicon, wordnet));
    r->arena = th_arena_new();
    assert_ok(th_caption_read(text, &r->lexicon, r->arena, &r->caption));
    if (parse) assert_ok(th_caption_parse(&r->caption, parser, &r->lexicon, r->arena));
    th_caption_teach(&r->caption, &r->lexicon);
    th_caption_tag(&r->caption, &r->lexicon);
    th_parts_find(&r->caption, &r->lexicon, &r->parts);
}

static void done(reading *r) {
    th_lexicon_free(&r->lexicon);
    th_arena_free(r->arena);
}

static void tags_of(const th_caption *c, char *out) {
    for (int i = 0; i < c->count; i++) *out++ = th_tag_letter(c->tags[i]);
    *out = '\0';
}

static bool has_part(const reading *r, const char *text) {
    for (int i = 0; i < r->parts.part_count; i++) {
        const char *part;
        assert_ok(th_part_text(&r->caption, &r->parts.parts[i], 0, 0, NULL, r->arena, &part));
        if (!strcmp(part, text)) return true;
    }
    return false;
}

#define NEEDS(thing, package)                                   \
    do {                                                        \
        if (!(thing)) {                                         \
            print_message("skipped: " package " is missing\n"); \
            skip();                                             \
        }                                                       \
    } while (0)
#define NEEDS_PARSER                               \
    NEEDS(parser, "link-grammar-dictionaries-en"); \
    NEEDS(wordnet, "wordnet-base")

/* --- tokens --- */

static void check_tokens(const char *caption, const char *const *expected, int n) {
    th_arena *a = th_arena_new();
    th_token tokens[TH_TOKENS_MAX];
    assert_int_equal(th_tokenize(caption, a, tokens), n);
    for (int i = 0; i < n; i++) assert_string_equal(tokens[i].text, expected[i]);
    th_arena_free(a);
}
#define TOKENS(caption, ...)                                                                             \
    do {                                                                                                 \
        const char *const expected_tokens[] = {__VA_ARGS__};                                             \
        check_tokens(caption, expected_tokens, (int)(sizeof expected_tokens / sizeof *expected_tokens)); \
    } while (0)

static void words_and_marks_are_told_apart(void **state) {
    (void)state;
    TOKENS("A red T-shirt, worn.", "a", "red", "t-shirt", ",", "worn", ".");
    TOKENS("the woman's hat isn't red", "the", "woman", "'s", "hat", "isn't", "red");
    TOKENS("the woman 's hat", "the", "woman", "'s", "hat");
    TOKENS("the woman\xe2\x80\x99s hat", "the", "woman", "'s", "hat");
    TOKENS("tea - length sleeves -- new", "tea-length", "sleeves", "-", "new");
    TOKENS("by that - doll", "by", "that", "-", "doll");
    TOKENS("worth 1,735.37 pounds", "worth", "1,735.37", "pounds");
    TOKENS("caf\xc3\xa9 \xe2\x99\xa5 cr\xc3\xa8me", "caf\xc3\xa9", "\xe2\x99\xa5", "cr\xc3\xa8me");
    TOKENS("a ' quoted ' word ...", "a", "'", "quoted", "'", "word", ".");
}

static void bytes_that_are_not_utf8_end_a_phrase(void **state) {
    (void)state;
    TOKENS("red\xff"
           "dress",
           "red", "\xff", "dress");
    TOKENS("red \xc3", "red", "\xc3");
    TOKENS("\xed\xa0\x80", "\xed"); /* half of a surrogate pair, byte by byte, as one mark */
    TOKENS("\xf4\x90\x80\x80 x", "\xf4", "x");
}

static void long_captions_are_cut(void **state) {
    (void)state;
    th_arena *a = th_arena_new();
    th_token tokens[TH_TOKENS_MAX];
    static char text[4001];
    for (int i = 0; i < 4000; i++) text[i] = i % 2 ? ' ' : 'x';
    assert_int_equal(th_tokenize(text, a, tokens), TH_TOKENS_MAX);
    assert_int_equal(th_tokenize("", a, tokens), 0);
    assert_int_equal(th_tokenize(" \t\n", a, tokens), 0);
    th_arena_free(a);
}

static void closed_classes_are_found(void **state) {
    (void)state;
    static const char *const words[] = {"'d", "a", "about", "like", "the", "yourself", "without", "n't", "to"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) assert_true(th_word_closed(words[i]) != 0);
    assert_int_equal(th_word_closed("dress"), 0);
    assert_int_equal(th_word_closed(""), 0);
    assert_true(th_word_places("above") && th_word_places("with") && !th_word_places("without"));
    assert_true(th_word_is_stop("the") && !th_word_is_stop("dress"));
}

/* --- the parser --- */

static void missing_dictionary_names_its_package(void **state) {
    (void)state;
    th_parser *p = NULL;
    assert_fails(th_parser_open("no/such/folder", &p), TH_E_INPUT, "link-grammar-dictionaries-en");
    assert_fails(th_parser_open("no/such/folder", &p), TH_E_INPUT, "no/such/folder/en/4.0.dict");
    assert_null(p);
}

/* Nothing may reach the terminal, and numbers must be written as before. */
static void opening_prints_nothing_and_keeps_the_locale(void **state) {
    (void)state;
    NEEDS_PARSER;
    char *before = strdup(setlocale(LC_ALL, NULL));
    fflush(NULL);
    int out = dup(1), err = dup(2), file = open("parse_output.txt", O_RDWR | O_CREAT | O_TRUNC, 0600);
    assert_true(out >= 0 && err >= 0 && file >= 0);
    dup2(file, 1);
    dup2(file, 2);
    th_parser *p = NULL;
    th_status status = th_parser_open(NULL, &p);
    static const char *const words[] = {"a", "red", "dress", "blorple", "caf\xc3\xa9"};
    static const th_word_prior priors[5];
    th_parse parse;
    bool ok = false;
    if (status == TH_OK) status = th_parser_run(p, words, priors, 5, &parse, &ok);
    th_parser_close(p);
    fflush(NULL);
    off_t printed = lseek(file, 0, SEEK_END);
    dup2(out, 1);
    dup2(err, 2);
    close(out);
    close(err);
    close(file);
    unlink("parse_output.txt");
    assert_int_equal(status, TH_OK);
    assert_int_equal(printed, 0);
    assert_string_equal(setlocale(LC_ALL, NULL), before);
    free(before);
}

static void strange_sentences_are_survived(void **state) {
    (void)state;
    NEEDS_PARSER;
    static char giant[6001];
    memset(giant, 'x', 6000);
    const char *words[TH_PARSE_WORDS + 1];
    static const th_word_prior priors[TH_PARSE_WORDS + 1];
    th_parse parse;
    bool ok = true;
    for (int i = 0; i <= TH_PARSE_WORDS; i++) words[i] = "dress";
    assert_ok(th_parser_run(parser, words, priors, TH_PARSE_WORDS + 1, &parse, &ok));
    assert_false(ok);
    assert_ok(th_parser_run(parser, words, priors, 0, &parse, &ok));
    assert_false(ok);
    words[0] = words[1] = giant;
    assert_ok(th_parser_run(parser, words, priors, 2, &parse, &ok));
    assert_false(ok);
    static const char *const odd[] = {"(", "[", "\"", "%", "''", "\xc3\xa9\xc3\xa9", "<>", "a.b", "x[", "."};
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        words[0] = odd[i];
        words[1] = "dress";
        assert_ok(th_parser_run(parser, words, priors, 2, &parse, &ok));
    }
}

static void captions_get_their_tags(void **state) {
    (void)state;
    NEEDS_PARSER;
    static const struct {
        const char *caption, *tags;
    } rows[] = {
        {"a red dress hangs to the left of a small blue sneaker on a grey background", "DanspDnpDaanpDan"},
        {"two bags next to a striped green shirt", "#NapDaan"},
        {"a white t-shirt and a black ankle boot lie on a yellow background", "DanCDannvpDan"},
        {"children running towards the lake", "NgpDn"},
        {"a smiling bride in a gown", "DanpDn"},
        {"the exterior of the building", "DnpDn"},
        {"young man on a ladder in the library", "anpDnpDn"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        reading r;
        char tags[TH_TOKENS_MAX + 1];
        read_caption(&r, rows[i].caption, true);
        tags_of(&r.caption, tags);
        assert_string_equal(tags, rows[i].tags);
        assert_int_equal(r.caption.source, TH_SOURCE_PARSED);
        done(&r);
    }
}

static void links_say_what_belongs_together(void **state) {
    (void)state;
    NEEDS_PARSER;
    reading r;
    read_caption(&r, "A young woman is holding a bright red umbrella.", true);
    assert_true(th_caption_linked(&r.caption, 2, 3, "S"));
    assert_true(th_caption_linked(&r.caption, 4, 8, "O"));
    assert_true(th_caption_linked(&r.caption, 8, 7, "A"));
    assert_false(th_caption_linked(&r.caption, 2, 8, "O"));
    assert_true(th_caption_modifies(&r.caption, 1));
    done(&r);
}

static const char *const shared_captions[] = {
    "a dog and a cat sit on a mat",
    "children running towards the lake in the rain",
    "portrait of an owl in front of a wooden barn .",
    "On a blue table were green grapes, yellow lemons, oranges and kiwis.",
    "goalkeeper makes a save during the soccer match against a stronger team",
    "birch leaves turn gold in autumn along a path that climbs the hill .",
};
enum { SHARED = sizeof shared_captions / sizeof *shared_captions, REPEATS = 6 };

typedef struct {
    const th_lexicon *lexicon;
    const th_caption *read;
    th_caption parsed[SHARED];
    th_arena *arena;
    bool backwards;
} parse_job;

static void *parse_all(void *argument) {
    parse_job *j = argument;
    for (int k = 0; k < REPEATS; k++) {
        for (int i = 0; i < SHARED; i++) {
            int at = j->backwards ? SHARED - 1 - i : i;
            j->parsed[at] = j->read[at];
            j->parsed[at].parsed = th_arena_alloc(j->arena, TH_TOKENS_MAX, sizeof(th_tag));
            j->parsed[at].linked = th_arena_alloc(j->arena, TH_TOKENS_MAX, sizeof(bool));
            if (th_caption_parse(&j->parsed[at], parser, j->lexicon, j->arena) != TH_OK) return argument;
        }
    }
    return NULL;
}

static void neither_threads_nor_order_change_a_parse(void **state) {
    (void)state;
    NEEDS_PARSER;
    enum { THREADS = 4 };
    th_lexicon l;
    th_arena *a = th_arena_new();
    th_caption read[SHARED];
    assert_ok(th_lexicon_init(&l, wordnet));
    for (int i = 0; i < SHARED; i++) assert_ok(th_caption_read(shared_captions[i], &l, a, &read[i]));
    parse_job jobs[THREADS];
    pthread_t threads[THREADS];
    for (int t = 0; t < THREADS; t++) {
        jobs[t] = (parse_job){.lexicon = &l, .read = read, .arena = th_arena_new(), .backwards = t % 2};
        assert_int_equal(pthread_create(&threads[t], NULL, parse_all, &jobs[t]), 0);
    }
    for (int t = 0; t < THREADS; t++) {
        void *failed;
        pthread_join(threads[t], &failed);
        assert_null(failed);
    }
    for (int t = 1; t < THREADS; t++) {
        for (int i = 0; i < SHARED; i++) {
            const th_caption *x = &jobs[0].parsed[i], *y = &jobs[t].parsed[i];
            assert_int_equal(x->link_count, y->link_count);
            assert_int_equal(x->nulls, y->nulls);
            assert_memory_equal(x->parsed, y->parsed, (size_t)x->count * sizeof *x->parsed);
            for (int k = 0; k < x->link_count; k++) assert_memory_equal(&x->links[k], &y->links[k], sizeof x->links[k]);
        }
    }
    for (int t = 0; t < THREADS; t++) th_arena_free(jobs[t].arena);
    th_lexicon_free(&l);
    th_arena_free(a);
}

/* --- true parts --- */

static const struct {
    const char *caption, *part;
    bool is_one;
} part_rows[] = {
    {"a red dress hangs to the left of a small blue sneaker on a grey background", "a red dress", true},
    {"a red dress hangs to the left of a small blue sneaker on a grey background", "a red dress hangs", true},
    {"a red dress hangs to the left of a small blue sneaker on a grey background",
     "a red dress hangs to the left of a small blue sneaker", true},
    {"a red dress hangs to the left of a small blue sneaker on a grey background", "the left", false},
    {"On a blue table were green grapes, yellow lemons, oranges and kiwis.", "On a blue table were green grapes", true},
    {"On a blue table were green grapes, yellow lemons, oranges and kiwis.", "kiwis", true},
    {"a dress on a table hangs", "a dress hangs", true},
    {"a dress on a table hangs", "a table hangs", false},
    {"a dog and a cat sit on a mat", "a cat sit", false},
    {"a dog and a cat sit on a mat", "a dog and a cat sit", true},
    {"an old boat on the beach", "a boat on the beach", true},
    {"a polar bear on the ice", "a bear on the ice", false},
    {"a fake flower in a vase", "a flower in a vase", false},
    {"photo of a dog running on the beach", "a dog running on the beach", true},
    {"photo of a dog running on the beach", "photo", false},
    {"a man without a hat in the street", "a hat", false},
    {"a man wants a dog", "a dog", false},
    {"tips for a job interview", "a job interview", false},
    {"a woman who holds a cat", "a cat", true},
    {"there is a small park in the city", "there is a small park", true},
    {"there is no dog in the park", "dog", false},
    {"two sandals side by side", "two sandals side", false},
    {"on a plain pink background hang two blue booties", "a plain pink background hang", false},
    {"on a plain pink background hang two blue booties", "two blue booties", true},
    {"the costume that actor wore in the movie", "that actor", false},
    {"a young woman on a beach is holding a bright red umbrella", "a young woman is holding a bright red umbrella",
     true},
};

static void parts_are_true_of_the_caption(void **state) {
    (void)state;
    NEEDS_PARSER;
    for (size_t i = 0; i < sizeof part_rows / sizeof *part_rows; i++) {
        reading r;
        read_caption(&r, part_rows[i].caption, true);
        if (has_part(&r, part_rows[i].part) != part_rows[i].is_one)
            fail_msg("\"%s\" is %sa part of \"%s\"", part_rows[i].part, part_rows[i].is_one ? "not " : "",
                     part_rows[i].caption);
        done(&r);
    }
}

static void parts_are_found_without_the_parser(void **state) {
    (void)state;
    NEEDS(wordnet, "wordnet-base");
    reading r;
    read_caption(&r, "a small dog sleeps on a red couch", false);
    assert_int_equal(r.caption.source, TH_SOURCE_FALLBACK);
    assert_true(has_part(&r, "a small dog"));
    assert_true(has_part(&r, "a small dog sleeps"));
    assert_true(has_part(&r, "a red couch"));
    assert_false(has_part(&r, "a small dog sleeps on"));
    done(&r);
}

static void articles_follow_the_next_word(void **state) {
    (void)state;
    NEEDS(wordnet, "wordnet-base");
    reading r;
    read_caption(&r, "An old boat", false);
    th_part p = {.begin = 0, .end = 3, .drop_begin = 1, .drop_end = 2};
    const char *text;
    assert_ok(th_part_text(&r.caption, &p, 0, 0, NULL, r.arena, &text));
    assert_string_equal(text, "A boat");
    p.drop_begin = p.drop_end = 3;
    assert_ok(th_part_text(&r.caption, &p, 1, 2, "new", r.arena, &text));
    assert_string_equal(text, "A new boat");
    assert_ok(th_part_text(&r.caption, &p, 1, 3, "umbrella", r.arena, &text));
    assert_string_equal(text, "An umbrella");
    done(&r);
}

static int open_dictionaries(void **state) {
    (void)state;
    if (th_parser_open(NULL, &parser) != TH_OK) parser = NULL;
    if (th_wordnet_open(NULL, &wordnet) != TH_OK) wordnet = NULL;
    return 0;
}

static int close_dictionaries(void **state) {
    (void)state;
    th_parser_close(parser);
    th_wordnet_close(wordnet);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_and_marks_are_told_apart),
        cmocka_unit_test(bytes_that_are_not_utf8_end_a_phrase),
        cmocka_unit_test(long_captions_are_cut),
        cmocka_unit_test(closed_classes_are_found),
        cmocka_unit_test(missing_dictionary_names_its_package),
        cmocka_unit_test(opening_prints_nothing_and_keeps_the_locale),
        cmocka_unit_test(strange_sentences_are_survived),
        cmocka_unit_test(captions_get_their_tags),
        cmocka_unit_test(links_say_what_belongs_together),
        cmocka_unit_test(neither_threads_nor_order_change_a_parse),
        cmocka_unit_test(parts_are_true_of_the_caption),
        cmocka_unit_test(parts_are_found_without_the_parser),
        cmocka_unit_test(articles_follow_the_next_word),
    };
    return cmocka_run_group_tests_name("data: captions", tests, open_dictionaries, close_dictionaries);
}
