/* WordNet's files and English inflection. */
#include "test.h"

#include <stdlib.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/str.h"
#include "data/inflect.h"

static th_wordnet *wordnet; /* NULL where the database is not installed */

#define NEEDS_WORDNET                                            \
    do {                                                         \
        if (!wordnet) {                                          \
            print_message("skipped: wordnet-base is missing\n"); \
            skip();                                              \
        }                                                        \
    } while (0)

static bool lemma_among(const char *word, th_wn_pos pos, const char *lemma) {
    char lemmas[8][TH_WORD_MAX];
    int n = th_wordnet_lemmas(wordnet, word, pos, lemmas, 8);
    for (int i = 0; i < n; i++)
        if (!strcmp(lemmas[i], lemma)) return true;
    return false;
}

static void words_have_base_forms(void **state) {
    (void)state;
    NEEDS_WORDNET;
    assert_true(lemma_among("geese", TH_WN_NOUN, "goose"));
    assert_true(lemma_among("dresses", TH_WN_NOUN, "dress"));
    assert_true(lemma_among("running", TH_WN_VERB, "run"));
    assert_true(lemma_among("hung", TH_WN_VERB, "hang"));
    assert_true(lemma_among("bigger", TH_WN_ADJ, "big"));
    assert_false(lemma_among("blorple", TH_WN_NOUN, "blorple"));
    assert_false(lemma_among("", TH_WN_NOUN, ""));
    char lemma[TH_WORD_MAX];
    assert_true(th_lemma(wordnet, "leaves", TH_WN_NOUN, lemma));
    assert_string_equal(lemma, "leaf");
    assert_true(th_lemma(wordnet, "glasses", TH_WN_NOUN, lemma));
    assert_string_equal(lemma, "glass");
    assert_false(th_lemma(wordnet, "blorples", TH_WN_NOUN, lemma));
    assert_string_equal(lemma, "blorples");
    th_lemma(wordnet, "ankle boots", TH_WN_NOUN, lemma);
    assert_string_equal(lemma, "ankle boot");
}

static void senses_come_with_their_counts(void **state) {
    (void)state;
    NEEDS_WORDNET;
    th_sense senses[4];
    char words[4][TH_WORD_MAX];
    assert_int_equal(th_wordnet_senses(wordnet, "dog", TH_WN_NOUN, senses, 4), 4);
    assert_int_equal(senses[0].tagged, 42);
    assert_int_equal(th_wordnet_file(wordnet, senses[0].synset), TH_WN_FILE_ANIMAL);
    assert_int_equal(th_wordnet_words(wordnet, senses[0].synset, words, 4), 3);
    assert_string_equal(words[1], "domestic_dog");
    assert_string_equal(words[2], "canis_familiaris");
    assert_int_equal(th_wordnet_tagged(wordnet, "dog", TH_WN_VERB), 2);
    assert_int_equal(th_wordnet_senses(wordnet, "blorple", TH_WN_NOUN, senses, 4), 0);
    assert_true(th_wordnet_has(wordnet, "ice_cream", TH_WN_NOUN));
    assert_false(th_wordnet_has(wordnet, "ice cream", TH_WN_NOUN));
}

static void the_first_and_last_words_are_found(void **state) {
    (void)state;
    NEEDS_WORDNET;
    assert_true(th_wordnet_has(wordnet, "'hood", TH_WN_NOUN));
    assert_true(th_wordnet_has(wordnet, "zymurgy", TH_WN_NOUN));
    assert_true(th_wordnet_has(wordnet, "zoom_in", TH_WN_VERB));
    assert_false(th_wordnet_has(wordnet, "zzz", TH_WN_NOUN));
    assert_false(th_wordnet_has(wordnet, "1", TH_WN_VERB)); /* the licence's lines are no entries */
}

static void antonyms_are_of_the_word(void **state) {
    (void)state;
    NEEDS_WORDNET;
    th_sense sense;
    char words[4][TH_WORD_MAX];
    assert_int_equal(th_wordnet_senses(wordnet, "small", TH_WN_ADJ, &sense, 1), 1);
    assert_int_equal(th_wordnet_antonyms(wordnet, sense.synset, "small", words, 4), 1);
    assert_string_equal(words[0], "large");
    assert_int_equal(th_wordnet_antonyms(wordnet, sense.synset, "little", words, 4), 1);
    assert_string_equal(words[0], "big");
}

static void kinship_is_seen_up_and_down_the_tree(void **state) {
    (void)state;
    NEEDS_WORDNET;
    assert_true(th_wordnet_related(wordnet, "shoe", "sandal", TH_WN_NOUN, 2));
    assert_true(th_wordnet_related(wordnet, "sandal", "footwear", TH_WN_NOUN, 2));
    assert_true(th_wordnet_related(wordnet, "couch", "sofa", TH_WN_NOUN, 2));
    assert_false(th_wordnet_related(wordnet, "sandal", "sneaker", TH_WN_NOUN, 2));
    assert_false(th_wordnet_related(wordnet, "dog", "cat", TH_WN_NOUN, 1));
    assert_true(th_wordnet_related(wordnet, "huge", "large", TH_WN_ADJ, 2));
    assert_false(th_wordnet_related(wordnet, "small", "large", TH_WN_ADJ, 1));
    assert_true(th_wordnet_part_of(wordnet, "bumper", "car", 4));
    assert_false(th_wordnet_part_of(wordnet, "bumper", "dog", 3));
    th_sense sense;
    th_ancestor above[48];
    assert_int_equal(th_wordnet_senses(wordnet, "sandal", TH_WN_NOUN, &sense, 1), 1);
    int n = th_wordnet_ancestors(wordnet, sense.synset, above, 48);
    assert_true(n > 5 && above[0].distance == 0 && above[0].synset == sense.synset);
    for (int i = 1; i < n; i++) assert_true(above[i].distance >= above[i - 1].distance);
}

static void verbs_have_frames(void **state) {
    (void)state;
    NEEDS_WORDNET;
    th_sense sense;
    assert_int_equal(th_wordnet_senses(wordnet, "sleep", TH_WN_VERB, &sense, 1), 1);
    assert_true(th_wordnet_frames(wordnet, sense.synset) & 1 << 2); /* Somebody ----s */
    assert_int_equal(th_wordnet_frames(wordnet, TH_SYNSET_NONE), 0);
    assert_int_equal(th_wordnet_file(wordnet, TH_SYNSET_NONE), -1);
    assert_int_equal(th_wordnet_file(wordnet, sense.synset + 4), -1); /* not where a line begins */
}

static void single_things_are_no_kinds(void **state) {
    (void)state;
    NEEDS_WORDNET;
    th_sense senses[2];
    assert_int_equal(th_wordnet_senses(wordnet, "crane", TH_WN_NOUN, senses, 2), 2);
    assert_true(th_wordnet_is_instance(wordnet, senses[0].synset)); /* Stephen Crane */
    assert_int_equal(th_wordnet_senses(wordnet, "dog", TH_WN_NOUN, senses, 1), 1);
    assert_false(th_wordnet_is_instance(wordnet, senses[0].synset));
}

/* --- inflection --- */

static const struct {
    th_wn_pos pos;
    const char *lemma;
    th_form form;
    const char *text;
} form_rows[] = {
    {TH_WN_NOUN, "dress", TH_FORM_PLURAL, "dresses"},
    {TH_WN_NOUN, "ankle boot", TH_FORM_PLURAL, "ankle boots"},
    {TH_WN_NOUN, "t-shirt", TH_FORM_PLURAL, "t-shirts"},
    {TH_WN_NOUN, "city", TH_FORM_PLURAL, "cities"},
    {TH_WN_NOUN, "boy", TH_FORM_PLURAL, "boys"},
    {TH_WN_NOUN, "knife", TH_FORM_PLURAL, "knives"},
    {TH_WN_NOUN, "leaf", TH_FORM_PLURAL, "leaves"},
    {TH_WN_NOUN, "child", TH_FORM_PLURAL, "children"},
    {TH_WN_NOUN, "businessman", TH_FORM_PLURAL, "businessmen"},
    {TH_WN_NOUN, "human", TH_FORM_PLURAL, "humans"},
    {TH_WN_NOUN, "camera", TH_FORM_PLURAL, "cameras"},
    {TH_WN_NOUN, "potato", TH_FORM_PLURAL, "potatoes"},
    {TH_WN_NOUN, "photo", TH_FORM_PLURAL, "photos"},
    {TH_WN_NOUN, "bus", TH_FORM_PLURAL, "buses"},
    {TH_WN_NOUN, "dress", TH_FORM_BASE, "dress"},
    {TH_WN_VERB, "hang", TH_FORM_S, "hangs"},
    {TH_WN_VERB, "carry", TH_FORM_S, "carries"},
    {TH_WN_VERB, "catch", TH_FORM_S, "catches"},
    {TH_WN_VERB, "go", TH_FORM_S, "goes"},
    {TH_WN_VERB, "lie", TH_FORM_ING, "lying"},
    {TH_WN_VERB, "sit", TH_FORM_ING, "sitting"},
    {TH_WN_VERB, "ride", TH_FORM_ING, "riding"},
    {TH_WN_VERB, "see", TH_FORM_ING, "seeing"},
    {TH_WN_VERB, "float", TH_FORM_ING, "floating"},
    {TH_WN_VERB, "visit", TH_FORM_ING, "visiting"},
    {TH_WN_VERB, "stand", TH_FORM_PAST, "stood"},
    {TH_WN_VERB, "hang", TH_FORM_PAST, "hung"},
    {TH_WN_VERB, "lie", TH_FORM_PAST, "lay"},
    {TH_WN_VERB, "carry", TH_FORM_PAST, "carried"},
    {TH_WN_VERB, "stop", TH_FORM_PAST, "stopped"},
    {TH_WN_VERB, "put", TH_FORM_PAST, "put"},
    {TH_WN_VERB, "eat", TH_FORM_PARTICIPLE, "eaten"},
    {TH_WN_VERB, "eat", TH_FORM_PAST, "ate"},
    {TH_WN_VERB, "sing", TH_FORM_PARTICIPLE, "sung"},
    {TH_WN_VERB, "sing", TH_FORM_PAST, "sang"},
    {TH_WN_VERB, "show", TH_FORM_PARTICIPLE, "shown"},
    {TH_WN_VERB, "show", TH_FORM_PAST, "showed"},
    {TH_WN_VERB, "hold", TH_FORM_PARTICIPLE, "held"},
    {TH_WN_VERB, "paint", TH_FORM_PARTICIPLE, "painted"},
};

static void forms_are_spelled_right(void **state) {
    (void)state;
    NEEDS_WORDNET;
    for (size_t i = 0; i < sizeof form_rows / sizeof *form_rows; i++) {
        char text[TH_WORD_MAX];
        assert_true(th_inflect(wordnet, form_rows[i].lemma, form_rows[i].pos, form_rows[i].form, text));
        assert_string_equal(text, form_rows[i].text);
    }
}

static void forms_lead_back_to_the_base_form(void **state) {
    (void)state;
    NEEDS_WORDNET;
    for (size_t i = 0; i < sizeof form_rows / sizeof *form_rows; i++) {
        char lemma[TH_WORD_MAX];
        th_lemma(wordnet, form_rows[i].text, form_rows[i].pos, lemma);
        if (!strcmp(form_rows[i].text, "lay")) continue; /* a verb of its own, and more common */
        assert_string_equal(lemma, form_rows[i].lemma);
    }
}

static void overlong_words_have_no_form(void **state) {
    (void)state;
    NEEDS_WORDNET;
    char word[TH_WORD_MAX], text[TH_WORD_MAX], lemmas[2][TH_WORD_MAX];
    memset(word, 'x', sizeof word);
    word[TH_WORD_MAX - 1] = '\0';
    assert_false(th_inflect(wordnet, word, TH_WN_VERB, TH_FORM_ING, text));
    static char giant[5000];
    memset(giant, 'y', sizeof giant - 1);
    assert_int_equal(th_wordnet_lemmas(wordnet, giant, TH_WN_NOUN, lemmas, 2), 0);
    assert_false(th_wordnet_has(wordnet, giant, TH_WN_NOUN));
}

static void articles_go_by_sound(void **state) {
    (void)state;
    static const char *const an[] = {"orange", "hour", "umbrella", "x-ray", "unimportant", "8", "honest", "Apple"};
    static const char *const a[] = {"dress", "uniform", "t-shirt", "one", "european", "house", "used", "ukulele"};
    for (size_t i = 0; i < sizeof an / sizeof *an; i++) assert_true(th_takes_an(an[i]));
    for (size_t i = 0; i < sizeof a / sizeof *a; i++) assert_false(th_takes_an(a[i]));
    assert_false(th_takes_an(""));
}

/* --- databases that are missing, others, or damaged --- */

static void missing_database_names_its_package(void **state) {
    (void)state;
    th_wordnet *w = NULL;
    assert_fails(th_wordnet_open("no/such/folder", &w), TH_E_INPUT, "no/such/folder/index.noun");
    assert_fails(th_wordnet_open("no/such/folder", &w), TH_E_INPUT, "wordnet-base");
    assert_null(w);
}

/* A database of four words, in WordNet's layout: the offsets are those of the lines written. */
#define LICENCE "  1 This line is not an entry WordNet 3.0 of anything.  \n"
static const struct {
    const char *pos, *index, *data;
} tiny[] = {
    {"noun", "dog n 1 1 @ 1 1 %08zu  \n", "%08zu 05 n 02 dog 0 Domestic_Dog 0 001 @ %08zu n 0000 | a pet  \n"},
    {"verb", "sit v 1 0 1 1 %08zu  \n", "%08zu 35 v 01 sit 0 000 02 + 02 00 + 22 00 | be seated  \n"},
    {"adj", "red a 1 1 ! 1 1 %08zu  \n", "%08zu 00 s 01 red(a) 0 001 ! %08zu a 0101 | a colour  \n"},
    {"adv", "slowly r 1 0 1 0 %08zu  \n", "%08zu 02 r 01 slowly 0 000 | at low speed  \n"},
};

static void write_text(const char *name, const char *text) {
    char path[64];
    snprintf(path, sizeof path, "tiny_wordnet/%s", name);
    assert_ok(th_file_write(path, text, strlen(text)));
}

static void write_tiny(void) {
    assert_ok(th_make_dirs("tiny_wordnet"));
    size_t at = strlen(LICENCE);
    for (size_t i = 0; i < sizeof tiny / sizeof *tiny; i++) {
        char line[256], text[512], name[32];
        snprintf(line, sizeof line, tiny[i].index, at);
        snprintf(text, sizeof text, LICENCE "%s", line);
        snprintf(name, sizeof name, "index.%s", tiny[i].pos);
        write_text(name, text);
        snprintf(line, sizeof line, tiny[i].data, at, at);
        snprintf(text, sizeof text, LICENCE "%s", line);
        snprintf(name, sizeof name, "data.%s", tiny[i].pos);
        write_text(name, text);
        snprintf(name, sizeof name, "%s.exc", tiny[i].pos);
        write_text(name, i == 0 ? "dawgs dog\n" : i == 1 ? "sat sit\nsitting sit\n" : "");
    }
    write_text("cntlist.rev", "dog%1:05:00:: 1 42\nred%5:00:00:colored:00 1 7\nsit%2:35:00:: 1 9\n");
}

/* Asks everything; the answers do not matter, only that they come. */
static void ask_all(const th_wordnet *w) {
    static const char *const words[] = {"dog", "dawgs", "sat", "sit", "red", "slowly", "", "cat"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        for (int pos = 0; pos < TH_WN_POS_COUNT; pos++) {
            th_sense senses[4];
            char text[8][TH_WORD_MAX];
            th_synset synsets[8];
            th_ancestor above[8];
            th_wordnet_lemmas(w, words[i], (th_wn_pos)pos, text, 8);
            th_wordnet_irregular(w, words[i], (th_wn_pos)pos, text, 8);
            th_wordnet_tagged(w, words[i], (th_wn_pos)pos);
            th_wordnet_related(w, words[i], "dog", (th_wn_pos)pos, 4);
            int n = th_wordnet_senses(w, words[i], (th_wn_pos)pos, senses, 4);
            for (int k = 0; k < n; k++) {
                th_wordnet_words(w, senses[k].synset, text, 8);
                th_wordnet_pointers(w, senses[k].synset, '@', synsets, 8);
                th_wordnet_antonyms(w, senses[k].synset, words[i], text, 8);
                th_wordnet_ancestors(w, senses[k].synset, above, 8);
                th_wordnet_frames(w, senses[k].synset);
            }
        }
    }
}

static void tiny_database_is_read(void **state) {
    (void)state;
    write_tiny();
    th_wordnet *w;
    assert_ok(th_wordnet_open("tiny_wordnet", &w));
    th_sense s;
    char words[4][TH_WORD_MAX];
    assert_int_equal(th_wordnet_senses(w, "dog", TH_WN_NOUN, &s, 1), 1);
    assert_int_equal(s.tagged, 42);
    assert_int_equal(th_wordnet_words(w, s.synset, words, 4), 2);
    assert_string_equal(words[1], "domestic_dog");
    assert_int_equal(th_wordnet_senses(w, "red", TH_WN_ADJ, &s, 1), 1);
    assert_int_equal(th_wordnet_words(w, s.synset, words, 4), 1);
    assert_string_equal(words[0], "red"); /* without its marker */
    assert_int_equal(th_wordnet_irregular(w, "sit", TH_WN_VERB, words, 4), 2);
    assert_non_null(strstr(th_wordnet_version(w), "wordnet 3.0"));
    ask_all(w);
    th_wordnet_close(w);
    assert_ok(th_remove_tree("tiny_wordnet"));
}

static void other_files_are_refused(void **state) {
    (void)state;
    write_tiny();
    th_wordnet *w = NULL;
    write_text("index.verb", "some other file\n");
    assert_fails(th_wordnet_open("tiny_wordnet", &w), TH_E_INPUT, "index.verb and data.verb are not WordNet's");
    write_text("index.verb", "");
    assert_fails(th_wordnet_open("tiny_wordnet", &w), TH_E_INPUT, "not WordNet's");
    assert_null(w);
    assert_ok(th_remove_tree("tiny_wordnet"));
}

/* Every file is cut off at every byte, and has every byte changed: opening fails, or all questions are
 * answered without reading what is not there (which the sanitizers see). */
static void damaged_files_do_no_harm(void **state) {
    (void)state;
    static const char *const names[] = {"index.noun", "data.noun", "data.adj",   "index.verb",
                                        "data.verb",  "noun.exc",  "cntlist.rev"};
    size_t before = th_bytes_in_use();
    for (size_t f = 0; f < sizeof names / sizeof *names; f++) {
        write_tiny();
        char path[64];
        th_bytes good;
        snprintf(path, sizeof path, "tiny_wordnet/%s", names[f]);
        assert_ok(th_file_read(path, 4096, &good));
        for (size_t i = 0; i < 2 * good.length; i++) {
            size_t at = i / 2, n = i % 2 == 0 ? at : good.length;
            char *bad = malloc(n + 1);
            assert_non_null(bad);
            memcpy(bad, good.data, n);
            if (i % 2) bad[at] = at % 2 ? '9' : ' ';
            FILE *file = fopen(path, "wb");
            assert_true(file && fwrite(bad, 1, n, file) == n);
            fclose(file);
            free(bad);
            th_wordnet *w;
            if (th_wordnet_open("tiny_wordnet", &w) != TH_OK) continue;
            ask_all(w);
            th_wordnet_close(w);
        }
        th_free(good.data);
    }
    assert_ok(th_remove_tree("tiny_wordnet"));
    assert_int_equal(th_bytes_in_use(), before);
}

static void failed_allocations_leave_nothing_behind(void **state) {
    (void)state;
    write_tiny();
    size_t before = th_bytes_in_use();
    for (int n = 1; n < 100; n++) {
        th_wordnet *w = NULL;
        th_alloc_fail_at(n, true);
        th_status status = th_wordnet_open("tiny_wordnet", &w);
        th_alloc_fail_at(0, false);
        if (status == TH_OK) {
            th_wordnet_close(w);
            break;
        }
        assert_int_equal(status, TH_E_MEMORY);
        assert_int_equal(th_bytes_in_use(), before);
    }
    assert_ok(th_remove_tree("tiny_wordnet"));
    assert_int_equal(th_bytes_in_use(), before);
}

static int open_database(void **state) {
    (void)state;
    if (th_wordnet_open(NULL, &wordnet) != TH_OK) wordnet = NULL;
    return 0;
}

static int close_database(void **state) {
    (void)state;
    th_wordnet_close(wordnet);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_have_base_forms),
        cmocka_unit_test(senses_come_with_their_counts),
        cmocka_unit_test(the_first_and_last_words_are_found),
        cmocka_unit_test(antonyms_are_of_the_word),
        cmocka_unit_test(kinship_is_seen_up_and_down_the_tree),
        cmocka_unit_test(verbs_have_frames),
        cmocka_unit_test(single_things_are_no_kinds),
        cmocka_unit_test(forms_are_spelled_right),
        cmocka_unit_test(forms_lead_back_to_the_base_form),
        cmocka_unit_test(overlong_words_have_no_form),
        cmocka_unit_test(articles_go_by_sound),
        cmocka_unit_test(missing_database_names_its_package),
        cmocka_unit_test(tiny_database_is_read),
        cmocka_unit_test(other_files_are_refused),
        cmocka_unit_test(damaged_files_do_no_harm),
        cmocka_unit_test(failed_allocations_leave_nothing_behind),
    };
    return cmocka_run_group_tests_name("data: WordNet", tests, open_database, close_database);
}
