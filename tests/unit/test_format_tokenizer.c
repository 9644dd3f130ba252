/* The tokenizer against transformers' ids (tests/fixtures/tokenizer.py), its files, the trainer, cleaning. */
#include "test.h"

#include <pthread.h>
#include <stdlib.h>
#include <zlib.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/memory.h"
#include "format/bpe.h"
#include "format/bpe_train.h"
#include "format/json.h"
#include "format/text_clean.h"
#include "format/tokenizer.h"
#include "format/unicode.h"

#define DATA TH_TEST_DATA "/tokenizer/"
#define FOLDER "tokenizer_test"

static char *read_text(const char *path, size_t *length) {
    th_bytes b;
    assert_ok(th_file_read(path, 1 << 26, &b));
    *length = b.length;
    return b.data;
}

static void copy_file(const char *from, const char *to) {
    size_t n;
    char *text = read_text(from, &n);
    assert_ok(th_file_write(to, text, n));
    th_free(text);
}

static void write_text(const char *path, const char *text) { assert_ok(th_file_write(path, text, strlen(text))); }

static void fresh_folder(void) {
    assert_ok(th_remove_tree(FOLDER));
    assert_ok(th_make_dirs(FOLDER));
}

/* vocab.json and merges.txt of the small vocabulary. */
static void fresh_pair(void) {
    fresh_folder();
    copy_file(DATA "vocab.json", FOLDER "/vocab.json");
    copy_file(DATA "merges.txt", FOLDER "/merges.txt");
}

static th_tokenizer *load(const char *path) {
    th_tokenizer *t;
    assert_ok(th_tokenizer_load(path, &t));
    return t;
}

static char *from_hex(const char *hex, size_t *length) {
    *length = strlen(hex) / 2;
    char *bytes = malloc(*length + 1);
    assert_non_null(bytes);
    for (size_t i = 0; i < *length; i++) {
        unsigned v;
        sscanf(hex + 2 * i, "%2x", &v);
        bytes[i] = (char)v;
    }
    return bytes;
}

static void check_ids(const char *what, size_t at, const char *text, const json_t *wanted, const int32_t *ids,
                      int64_t n) {
    int64_t m = (int64_t)json_array_size(wanted);
    for (int64_t i = 0; i < n || i < m; i++) {
        int64_t want = i < m ? json_integer_value(json_array_get(wanted, (size_t)i)) : -1, have = i < n ? ids[i] : -1;
        if (want != have)
            fail_msg("%s: case %zu \"%s\": id %lld is %lld, transformers has %lld", what, at, text, (long long)i,
                     (long long)have, (long long)want);
    }
}

static void check_text(const th_tokenizer *t, size_t at, const json_t *wanted, const int32_t *ids, int64_t n,
                       bool skip) {
    th_str out;
    size_t length;
    char *want = from_hex(json_string_value(wanted), &length);
    th_str_init(&out, 1 << 20);
    assert_ok(th_tokenizer_decode(t, ids, n, skip, &out));
    if (out.length != length || memcmp(th_str_text(&out), want, length) != 0)
        fail_msg("case %zu decodes to \"%s\", transformers has \"%.*s\"", at, th_str_text(&out), (int)length, want);
    th_str_free(&out);
    free(want);
}

/* Every case of a fixture: ids, ids cut and padded to 16, and the text they decode to, as far as the fixture has them.
 */
static void check_cases(const th_tokenizer *t, const char *file) {
    th_json j;
    json_t *cases = NULL, *c;
    size_t i, length;
    th_tokenizer_work *w;
    assert_ok(th_json_load(file, 1 << 20, &j));
    assert_ok(th_json_array(&j, "cases", &cases));
    assert_true(json_array_size(cases) > 0);
    assert_ok(th_tokenizer_work_new(t, &w));
    json_array_foreach(cases, i, c) {
        char *text = from_hex(json_string_value(json_object_get(c, "hex")), &length);
        const int32_t *ids;
        int64_t n;
        assert_ok(th_tokenizer_ids(w, text, length, true, &ids, &n));
        check_ids(file, i, text, json_object_get(c, "ids"), ids, n);
        if (json_object_get(c, "text")) check_text(t, i, json_object_get(c, "text"), ids, n, true);
        if (json_object_get(c, "special")) check_text(t, i, json_object_get(c, "special"), ids, n, false);
        int32_t cut[16];
        assert_ok(th_tokenizer_encode(w, text, length, 16, cut, &n));
        if (json_object_get(c, "ids16")) check_ids(file, i, text, json_object_get(c, "ids16"), cut, 16);
        assert_true(n >= 2 && n <= 16);
        free(text);
    }
    th_tokenizer_work_free(w);
    th_json_free(&j);
}

static void nasty_strings_get_the_ids_of_transformers(void **state) {
    (void)state;
    fresh_pair();
    th_tokenizer *t = load(FOLDER);
    check_cases(t, DATA "cases.json");
    assert_int_equal(th_tokenizer_size(t), 732);
    assert_int_equal(th_tokenizer_bos(t), 730);
    assert_int_equal(th_tokenizer_eos(t), 731);
    assert_int_equal(th_tokenizer_unk(t), 731);
    assert_int_equal(th_tokenizer_pad(t), 731);
    assert_int_equal(th_tokenizer_max_length(t), 0);
    assert_string_equal(th_tokenizer_token(t, 256), "!</w>");
    assert_int_equal(th_tokenizer_id(t, "!</w>"), 256);
    assert_int_equal(th_tokenizer_id(t, "no such token"), -1);
    assert_null(th_tokenizer_token(t, 732));
    assert_null(th_tokenizer_token(t, -1));
    th_tokenizer_free(t);
    assert_ok(th_remove_tree(FOLDER));
}

static void tokenizer_json_alone_gives_the_same_ids(void **state) {
    (void)state;
    th_tokenizer *t = load(DATA "tokenizer.json");
    check_cases(t, DATA "cases.json");
    th_tokenizer_free(t);
}

/* Merges as texts, a template, and special tokens that are looked for after lowercasing. */
static void tokenizer_json_of_older_versions_is_read(void **state) {
    (void)state;
    th_tokenizer *t = load(DATA "tokenizer_old.json");
    assert_int_equal(th_tokenizer_bos(t), 730);
    assert_int_equal(th_tokenizer_eos(t), 731);
    check_cases(t, DATA "cases_old.json");
    th_tokenizer_free(t);
}

static void flags_of_added_tokens_are_followed(void **state) {
    (void)state;
    th_tokenizer *t = load(DATA "tokenizer_added.json");
    check_cases(t, DATA "cases_added.json");
    th_tokenizer_free(t);
}

static void ordinary_token_as_padding_is_found_in_text(void **state) {
    (void)state;
    fresh_pair();
    write_text(FOLDER "/tokenizer_config.json", "{\"pad_token\": \"!\", \"model_max_length\": 77}");
    th_tokenizer *t = load(FOLDER);
    check_cases(t, DATA "cases_bang.json");
    assert_int_equal(th_tokenizer_pad(t), 0);
    assert_int_equal(th_tokenizer_max_length(t), 77);
    th_tokenizer_free(t);
    assert_ok(th_remove_tree(FOLDER));
}

static void gzipped_merge_list_of_openai_is_read(void **state) {
    (void)state;
    fresh_folder();
    size_t n;
    char *merges = read_text(DATA "merges.txt", &n);
    gzFile f = gzopen(FOLDER "/bpe_simple_vocab_16e6.txt.gz", "wb");
    assert_int_equal(gzwrite(f, merges, (unsigned)n), n);
    assert_int_equal(gzclose(f), Z_OK);
    th_free(merges);
    th_tokenizer *t = load(FOLDER);
    assert_int_equal(th_tokenizer_size(t), 732);
    assert_int_equal(th_tokenizer_pad(t), 0);
    assert_int_equal(th_tokenizer_max_length(t), 77);
    th_tokenizer_work *w;
    int32_t ids[5];
    assert_ok(th_tokenizer_work_new(t, &w));
    assert_ok(th_tokenizer_encode(w, "a", 1, 5, ids, NULL));
    assert_memory_equal(ids, ((int32_t[]){730, 320, 731, 0, 0}), sizeof ids);
    th_tokenizer_work_free(w);
    th_tokenizer_free(t);

    char *gz = read_text(FOLDER "/bpe_simple_vocab_16e6.txt.gz", &n);
    assert_ok(th_file_write(FOLDER "/cut.txt.gz", gz, n - 20));
    assert_fails(th_tokenizer_load(FOLDER "/cut.txt.gz", &t), TH_E_INPUT, "cut.txt.gz: its gzip data is damaged");
    gz[n / 2] ^= 0x55;
    assert_ok(th_file_write(FOLDER "/bad.txt.gz", gz, n));
    assert_int_equal(th_tokenizer_load(FOLDER "/bad.txt.gz", &t), TH_E_INPUT);
    write_text(FOLDER "/plain.txt", "#version\n");
    assert_fails(th_tokenizer_load(FOLDER "/plain.txt", &t), TH_E_INPUT, "plain.txt: holds no merges");
    assert_fails(th_tokenizer_load(FOLDER "/none.txt.gz", &t), TH_E_IO, "none.txt.gz");
    th_free(gz);
    assert_ok(th_remove_tree(FOLDER));
}

/* 15,833 captions with the full vocabulary: transformers' ids by their hashes. */
static void full_vocabulary_gives_the_ids_of_transformers(void **state) {
    (void)state;
    static const char vocabulary[] = TH_SHARED "/data/clip_text/bpe_simple_vocab_16e6.txt.gz";
    static const char captions[] = TH_SHARED "/data/captions/cc3m_validation.txt";
    if (!th_path_exists(vocabulary) || !th_path_exists(captions)) {
        print_message("skipped: no %s or no %s\n", vocabulary, captions);
        skip();
    }
    th_json j;
    const char *hundreds = NULL, *whole = NULL;
    assert_ok(th_json_load(DATA "cc3m.json", 1 << 20, &j));
    assert_ok(th_json_string(&j, "hundreds", &hundreds));
    assert_ok(th_json_string(&j, "sha256", &whole));
    th_tokenizer *t = load(vocabulary);
    assert_int_equal(th_tokenizer_size(t), 49408);
    th_tokenizer_work *w;
    assert_ok(th_tokenizer_work_new(t, &w));
    size_t n;
    char *text = read_text(captions, &n), digest[TH_HASH_TEXT];
    th_hash all, part;
    th_hash_init(&all);
    th_hash_init(&part);
    int64_t line = 0;
    for (char *p = text; p < text + n; line++) {
        char *end = memchr(p, '\n', (size_t)(text + n - p));
        if (!end) end = text + n;
        const int32_t *ids;
        int64_t count;
        assert_ok(th_tokenizer_ids(w, p, (size_t)(end - p), true, &ids, &count));
        for (int64_t i = 0; i < count; i++) {
            char number[16];
            int digits = snprintf(number, sizeof number, i + 1 < count ? "%d " : "%d\n", ids[i]);
            th_hash_add(&all, number, (size_t)digits);
            th_hash_add(&part, number, (size_t)digits);
        }
        p = end + 1;
        if ((line + 1) % 100 && p < text + n) continue;
        th_hash_text(&part, digest);
        if (strncmp(digest, hundreds + line / 100 * 9, 8) != 0)
            fail_msg("an id differs in lines %lld to %lld", (long long)(line / 100 * 100 + 1), (long long)line + 1);
    }
    th_hash_text(&all, digest);
    assert_string_equal(digest, whole);
    assert_int_equal(line, json_integer_value(json_object_get(j.root, "lines")));
    th_free(text);
    th_tokenizer_work_free(w);
    th_tokenizer_free(t);
    th_json_free(&j);
}

static void special_tokens_come_from_the_small_files(void **state) {
    (void)state;
    fresh_pair();
    /* special_tokens_map.json goes before tokenizer_config.json where that lists no tokens, as in transformers. */
    write_text(FOLDER "/tokenizer_config.json", "{\"pad_token\": \"a</w>\", \"eos_token\": {\"content\": \"b</w>\"},"
                                                " \"model_max_length\": 1000000000000000019884624838656}");
    write_text(FOLDER "/special_tokens_map.json", "{\"pad_token\": {\"content\": \"c</w>\", \"lstrip\": false}}");
    th_tokenizer *t = load(FOLDER);
    assert_string_equal(th_tokenizer_token(t, th_tokenizer_pad(t)), "c</w>");
    assert_string_equal(th_tokenizer_token(t, th_tokenizer_eos(t)), "b</w>");
    assert_int_equal(th_tokenizer_max_length(t), 0);
    th_tokenizer_free(t);
    write_text(
        FOLDER "/tokenizer_config.json",
        "{\"pad_token\": \"a</w>\", \"added_tokens_decoder\": {\"800\": {\"content\": \"<new>\", \"special\": true}}}");
    t = load(FOLDER);
    assert_string_equal(th_tokenizer_token(t, th_tokenizer_pad(t)), "a</w>");
    assert_int_equal(th_tokenizer_id(t, "<new>"), 800);
    assert_int_equal(th_tokenizer_size(t), 801);
    th_tokenizer_free(t);
    assert_ok(th_remove_tree(FOLDER "/tokenizer_config.json"));
    write_text(FOLDER "/added_tokens.json", "{\"<more>\": 732}");
    t = load(FOLDER);
    assert_int_equal(th_tokenizer_id(t, "<more>"), 732);
    th_tokenizer_free(t);
    assert_ok(th_remove_tree(FOLDER));
}

static void bad_small_files_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *file, *text, *message;
    } rows[] = {
        {"tokenizer_config.json", "{", "tokenizer_config.json: line 1 column"},
        {"tokenizer_config.json", "{\"bos_token\": 5}", "field 'bos_token' should be a string or an object"},
        {"tokenizer_config.json", "{\"bos_token\": {\"lstrip\": true}}", "an object with a string 'content'"},
        {"tokenizer_config.json", "{\"bos_token\": {\"content\": \"a\", \"lstrip\": 1}}", "field 'lstrip' of an added"},
        {"tokenizer_config.json", "{\"bos_token\": \"<none>\"}", "the special token '<none>' is not in the vocabulary"},
        {"tokenizer_config.json", "{\"model_max_length\": \"77\"}", "field 'model_max_length' should be a number"},
        {"tokenizer_config.json", "{\"model_max_length\": -1}", "should be a number not below zero"},
        {"tokenizer_config.json", "{\"added_tokens_decoder\": []}", "'added_tokens_decoder' should be an object"},
        {"tokenizer_config.json", "{\"added_tokens_decoder\": {\"x\": {\"content\": \"a\"}}}", "the key 'x', an id is"},
        {"tokenizer_config.json", "{\"added_tokens_decoder\": {\"7\": {\"content\": \"<n>\"}}}", "have the same id 7"},
        {"tokenizer_config.json", "{\"added_tokens_decoder\": {\"9\": {\"content\": \"!\"}}}",
         "added token '!' has the id 9, the vocabulary gives it 0"},
        {"special_tokens_map.json", "{\"eos_token\": []}", "special_tokens_map.json: field 'eos_token' should be"},
        {"added_tokens.json", "{\"<n>\": \"5\"}", "added_tokens.json: field '<n>' should be an integer"},
        {"added_tokens.json", "{\"<n>\": 99999999}", "token '<n>' has the id 99999999, it should lie in"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char path[256];
        fresh_pair();
        snprintf(path, sizeof path, FOLDER "/%s", rows[i].file);
        write_text(path, rows[i].text);
        th_tokenizer *t;
        assert_fails(th_tokenizer_load(FOLDER, &t), TH_E_INPUT, rows[i].message);
    }
    assert_ok(th_remove_tree(FOLDER));
}

static void bad_vocabularies_and_merges_are_refused(void **state) {
    (void)state;
    static const char good[] = "{\"a\": 0, \"b\": 1, \"ab\": 2, \"<|startoftext|>\": 3, \"<|endoftext|>\": 4}";
    static const struct {
        const char *vocab, *merges, *message;
    } rows[] = {
        {"", "", "v: line 1 column 1: '{' is wanted"},
        {"[]", "", "v: line 1 column 1: '{' is wanted"},
        {"{}", "", "v: the special token '<|startoftext|>' is not in the vocabulary"},
        {"{\"a\": 0, \"a\": 1}", "", "v: token 'a' stands in the vocabulary twice"},
        {"{\"a\": 0, \"b\": 0}", "", "v: tokens 'a' and 'b' have the same id 0"},
        {"{\"a\": -1}", "", "v: token 'a' has the id -1, it should lie in [0, 16777215]"},
        {"{\"a\": 16777216}", "", "it should lie in"},
        {"{\"a\": 99999999999999999999}", "", "the integer is too big"},
        {"{\"a\": 1.0}", "", "v: line 1 column 8: an integer is wanted"},
        {"{\"a\": 01}", "", "an integer is wanted"},
        {"{\"a\": \"1\"}", "", "an integer is wanted"},
        {"{\"a\": }", "", "an integer is wanted"},
        {"{\"a\" 1}", "", "':' is wanted"},
        {"{\"a\": 1 \"b\": 2}", "", "',' is wanted"},
        {"{\n\"a\": 1,}", "", "v: line 2 column 8: a string is wanted"},
        {"{\"a\": 1", "", "',' is wanted"},
        {"{\"a", "", "the string is not closed"},
        {"{\"a\nb\": 1}", "", "the string is not closed"},
        {"{\"\\x\": 1}", "", "an unknown escape"},
        {"{\"\\u12g4\": 1}", "", "four hexadecimal digits"},
        {"{\"\\ud800\": 1}", "", "half a pair of surrogates"},
        {"{\"\\ud800\\u0041\": 1}", "", "half a pair of surrogates"},
        {"{\"\\u0000\": 1}", "", "\\u0000 is not allowed"},
        {"{\"\xff\": 1}", "", "the string is not UTF-8"},
        {"{\"a\": 0} x", "", "the end of the file is wanted"},
        {good, "#version: 0.2\na b c\n", "merge 2 is 'a b c', two tokens with a space between"},
        {good, "#version: 0.2\n\na b\n", "merge 2 is ''"},
        {good, "ab\n", "merge 1 is 'ab'"},
        {good, "a \n", "merge 1 is 'a '"},
        {good, "a c\n", "v: merge 1: 'c' is not in the vocabulary"},
        {good, "b a\n", "v: merge 1: what it makes, 'ba', is not in the vocabulary"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        th_tokenizer *t;
        th_text vocab = {rows[i].vocab, strlen(rows[i].vocab)}, merges = {rows[i].merges, strlen(rows[i].merges)};
        assert_fails(th_tokenizer_parse_pair("v", vocab, merges, NULL, &t), TH_E_INPUT, rows[i].message);
        assert_null(t);
    }
    th_tokenizer *t;
    assert_ok(th_tokenizer_parse_pair("v", (th_text){good, strlen(good)}, (th_text){"#version: 0.2\r\na b\r\n", 20},
                                      NULL, &t));
    th_tokenizer_free(t);
}

#define MODEL(vocab, merges, more) \
    "\"model\":{\"type\":\"BPE\",\"vocab\":" vocab ",\"merges\":" merges ",\"end_of_word_suffix\":\"</w>\"" more "}"
#define VOCAB "{\"a\":0,\"b\":1,\"ab\":2,\"<|startoftext|>\":3,\"<|endoftext|>\":4}"
#define BYTE_LEVEL "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false}"
#define GOOD MODEL(VOCAB, "[\"a b\"]", "")

static void bad_tokenizer_json_is_refused(void **state) {
    (void)state;
    static const struct {
        const char *text, *message;
    } rows[] = {
        {"", "t.json: line 1 column 1: '{' is wanted"},
        {"{}", "t.json: field 'model.vocab' is missing"},
        {"{\"model\": 5}", "field 'model' should be an object"},
        {"{" BYTE_LEVEL ",\"model\":{\"vocab\":{}}}", "field 'model.merges' is missing"},
        {"{\"model\":{\"type\":\"Unigram\",\"vocab\":[[\"a\",0]],\"merges\":[]}}", "model: 'Unigram' is not supported"},
        {"{" GOOD "}", "field 'pre_tokenizer' is missing"},
        {"{" GOOD "," BYTE_LEVEL, "',' is wanted"},
        {"{" GOOD "," BYTE_LEVEL "}}", "the end of the file is wanted"},
        {"{" GOOD ",\n" BYTE_LEVEL ",\n\"x\": tru}", "t.json: line 3 column"},
        {"{\n" MODEL("{\n\n\n}", "[]", "") ",\n" BYTE_LEVEL ",\n\"x\": tru}", "t.json: line 7 column"},
        {"{" GOOD "," BYTE_LEVEL ",\"x\":[1,2}}", "t.json: line 1 column"},
        {"{" GOOD "," BYTE_LEVEL "," BYTE_LEVEL "}", "duplicate object key"},
        {"{" GOOD "," GOOD "," BYTE_LEVEL "}", "'vocab' or 'merges' twice"},
        {"{" MODEL("{\"a\":0,\"a\":1}", "[]", "") "," BYTE_LEVEL "}", "token 'a' stands in the vocabulary twice"},
        {"{" MODEL(VOCAB, "{}", "") "," BYTE_LEVEL "}", "'[' is wanted"},
        {"{" MODEL(VOCAB, "[5]", "") "," BYTE_LEVEL "}", "a string is wanted"},
        {"{" MODEL(VOCAB, "[[\"a\"]]", "") "," BYTE_LEVEL "}", "',' is wanted"},
        {"{" MODEL(VOCAB, "[[\"a\",\"b\",\"a\"]]", "") "," BYTE_LEVEL "}", "']' is wanted"},
        {"{" MODEL(VOCAB, "[\"a b\",\"b a\"]", "") "," BYTE_LEVEL "}", "merge 2: what it makes, 'ba'"},
        {"{" MODEL(VOCAB, "[]", ",\"dropout\":0.1") "," BYTE_LEVEL "}", "model: 'dropout' is not supported"},
        {"{" MODEL(VOCAB, "[]", ",\"byte_fallback\":true") "," BYTE_LEVEL "}", "'byte_fallback' is not supported"},
        {"{" MODEL(VOCAB, "[]", ",\"ignore_merges\":true") "," BYTE_LEVEL "}", "'ignore_merges' is not supported"},
        {"{" MODEL(VOCAB, "[]", ",\"continuing_subword_prefix\":\"##\"") "," BYTE_LEVEL "}",
         "'continuing_subword_prefix'"},
        {"{" GOOD ",\"pre_tokenizer\":{\"type\":\"Whitespace\"}}", "pre_tokenizer: 'Whitespace' is not supported"},
        {"{" GOOD ",\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":true}}", "add_prefix_space"},
        {"{" GOOD ",\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[]}}", "ByteLevel is missing"},
        {"{" GOOD ",\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(\"},\"behavior\":\"Isolated\"}}",
         "ByteLevel is missing"},
        {"{" GOOD
         ",\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"Regex\":"
         "\"(\"},\"behavior\":\"Isolated\"},{\"type\":\"ByteLevel\"}]}}",
         "pre_tokenizer: its pattern cannot be compiled: missing closing parenthesis"},
        {"{" GOOD
         ",\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"Regex\":"
         "\"[\\\\S]\"},\"behavior\":\"Isolated\"},{\"type\":\"ByteLevel\"}]}}",
         "\\S inside a character class"},
        {"{" GOOD ",\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"a\"},\"behavior\":\"Removed\"}}",
         "Split with the behavior: 'Removed' is not supported"},
        {"{" GOOD "," BYTE_LEVEL ",\"normalizer\":{\"type\":\"BertNormalizer\"}}",
         "normalizer: 'BertNormalizer' is not"},
        {"{" GOOD "," BYTE_LEVEL
         ",\"normalizer\":{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"_\"}}",
         "normalizer: Replace is supported for \\s+"},
        {"{" GOOD "," BYTE_LEVEL ",\"post_processor\":{\"type\":\"BertProcessing\"}}",
         "post_processor: 'BertProcessing'"},
        {"{" GOOD "," BYTE_LEVEL ",\"post_processor\":{\"type\":\"RobertaProcessing\"}}", "should be [token, id]"},
        {"{" GOOD "," BYTE_LEVEL
         ",\"post_processor\":{\"type\":\"RobertaProcessing\",\"cls\":[\"x\",9],\"sep\":[\"y\",4]}}",
         "post_processor: its id 9 is not in the vocabulary"},
        {"{" GOOD "," BYTE_LEVEL
         ",\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"a\"}}]}}",
         "a special token of the template is not described"},
        {"{" GOOD "," BYTE_LEVEL ",\"added_tokens\":[{\"content\":\"a\"}]}",
         "added_tokens[0] should have an integer 'id'"},
        {"{" GOOD "," BYTE_LEVEL ",\"added_tokens\":[{\"content\":\"a\",\"id\":1}]}", "the vocabulary gives it 0"},
        {"{" GOOD "," BYTE_LEVEL ",\"added_tokens\":[{\"id\":1}]}", "an object with a string 'content'"},
        {"{" GOOD "," BYTE_LEVEL ",\"added_tokens\":{}}", "field 'added_tokens' should be an array"},
    };
    th_tokenizer *t;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        th_text json = {rows[i].text, strlen(rows[i].text)};
        assert_fails(th_tokenizer_parse("t.json", json, NULL, &t), TH_E_INPUT, rows[i].message);
        assert_null(t);
        assert_null(strchr(th_error_message(), '\n'));
    }
    static const char good[] = "{" GOOD "," BYTE_LEVEL "}";
    assert_ok(th_tokenizer_parse("t.json", (th_text){good, strlen(good)}, NULL, &t));
    th_tokenizer_free(t);
}

static void every_truncated_tokenizer_json_is_refused(void **state) {
    (void)state;
    size_t n;
    char *text = read_text(DATA "tokenizer_added.json", &n);
    for (size_t cut = 0; cut < n - 2; cut += cut < n - 3000 ? 37 : 1) {
        char *part = malloc(cut + 1);
        memcpy(part, text, cut);
        th_tokenizer *t;
        assert_int_equal(th_tokenizer_parse("t.json", (th_text){part, cut}, NULL, &t), TH_E_INPUT);
        free(part);
    }
    th_free(text);
}

static void missing_files_are_named(void **state) {
    (void)state;
    fresh_folder();
    th_tokenizer *t;
    assert_fails(th_tokenizer_load(FOLDER, &t), TH_E_INPUT, FOLDER ": holds neither tokenizer.json nor vocab.json");
    copy_file(DATA "vocab.json", FOLDER "/vocab.json");
    assert_fails(th_tokenizer_load(FOLDER, &t), TH_E_IO, FOLDER "/merges.txt: cannot open it");
    assert_fails(th_tokenizer_load("tokenizer_none.json", &t), TH_E_IO, "tokenizer_none.json");
    assert_ok(th_remove_tree(FOLDER));
}

/* GPT-2's way: no suffix, gaps are kept, ByteLevel's pattern cuts. */
static void byte_level_without_a_split_is_supported(void **state) {
    (void)state;
    static const char text[] = "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"\\u0120\":2,\"\\u0120a\":3,"
                               "\"!\":4,\"<|startoftext|>\":5,"
                               "\"<|endoftext|>\":6},\"merges\":[[\"\\u0120\",\"a\"]]}," BYTE_LEVEL "}";
    th_tokenizer *t;
    th_tokenizer_work *w;
    const int32_t *ids;
    int64_t n;
    assert_ok(th_tokenizer_parse("t.json", (th_text){text, strlen(text)}, NULL, &t));
    assert_ok(th_tokenizer_work_new(t, &w));
    assert_ok(th_tokenizer_ids(w, "a ab  !a?", 9, true, &ids, &n));
    assert_int_equal(n, 8); /* the byte '?' has no symbol: it is the unknown token, <|endoftext|> */
    assert_memory_equal(ids, ((int32_t[]){0, 3, 1, 2, 2, 4, 0, 6}), 8 * sizeof *ids);
    th_str out;
    th_str_init(&out, 100);
    assert_ok(th_tokenizer_decode(t, ids, 4, false, &out));
    assert_string_equal(th_str_text(&out), "a ab");
    th_str_free(&out);
    th_tokenizer_work_free(w);
    th_tokenizer_free(t);
}

static void too_short_a_length_is_wrong_usage(void **state) {
    (void)state;
    th_tokenizer *t = load(DATA "tokenizer.json");
    th_tokenizer_work *w;
    int32_t ids[4];
    int64_t n;
    assert_ok(th_tokenizer_work_new(t, &w));
    assert_fails(th_tokenizer_encode(w, "a", 1, 1, ids, &n), TH_E_USAGE, "leaves no room for the 2 special ones");
    assert_ok(th_tokenizer_encode(w, "a b c", 5, 2, ids, &n));
    assert_memory_equal(ids, ((int32_t[]){730, 731}), 8);
    assert_ok(th_tokenizer_encode(w, "a b c", 5, 4, ids, &n));
    assert_memory_equal(ids, ((int32_t[]){730, 320, 321, 731}), 16);
    assert_int_equal(n, 4);
    assert_fails(th_tokenizer_decode(t, (int32_t[]){732}, 1, false, &(th_str){.max = 10}), TH_E_INPUT,
                 "id 732 is not in");
    th_tokenizer_work_free(w);
    th_tokenizer_free(t);
}

/* More different words than the cache holds, and a word of a million letters. */
static void cache_and_long_words_change_nothing(void **state) {
    (void)state;
    th_tokenizer *t = load(DATA "tokenizer.json");
    th_tokenizer_work *w, *fresh;
    assert_ok(th_tokenizer_work_new(t, &w));
    const int32_t *a, *b;
    int64_t n, m;
    char text[64];
    for (int i = 0; i < 130000; i++) {
        for (int k = 0, v = i; k < 5; k++, v /= 26) text[k] = (char)('a' + v % 26);
        memcpy(text + 5, " lying", 6);
        assert_ok(th_tokenizer_ids(w, text, 11, true, &a, &n));
        if (i % 10000) continue;
        assert_ok(th_tokenizer_work_new(t, &fresh));
        assert_ok(th_tokenizer_ids(fresh, text, 11, true, &b, &m));
        assert_int_equal(n, m);
        assert_memory_equal(a, b, (size_t)n * sizeof *a);
        th_tokenizer_work_free(fresh);
    }
    size_t length = 1000000;
    char *word = malloc(length);
    memset(word, 'a', length);
    assert_ok(th_tokenizer_ids(w, word, length, true, &a, &n));
    assert_true(n > 2 && n < (int64_t)length);
    memset(word, '!', length);
    assert_ok(th_tokenizer_ids(w, word, length, true, &a, &n));
    free(word);
    th_tokenizer_work_free(w);
    th_tokenizer_free(t);
}

static void *encode_in_thread(void *shared) {
    th_tokenizer_work *w;
    th_hash h;
    char *digest = malloc(TH_HASH_TEXT);
    if (!digest || th_tokenizer_work_new(shared, &w) != TH_OK) return digest;
    th_hash_init(&h);
    for (int i = 0; i < 3000; i++) {
        char text[64];
        int32_t ids[32];
        int length = snprintf(text, sizeof text, "a dog café %d number%c", i % 100, 'a' + i % 26);
        if (th_tokenizer_encode(w, text, (size_t)length, 32, ids, NULL) == TH_OK) th_hash_add(&h, ids, sizeof ids);
    }
    th_hash_text(&h, digest);
    th_tokenizer_work_free(w);
    return digest;
}

static void threads_share_a_tokenizer(void **state) {
    (void)state;
    th_tokenizer *t = load(DATA "tokenizer.json");
    pthread_t threads[4];
    char *digests[4];
    for (int i = 0; i < 4; i++) assert_int_equal(pthread_create(&threads[i], NULL, encode_in_thread, t), 0);
    for (int i = 0; i < 4; i++) assert_int_equal(pthread_join(threads[i], (void **)&digests[i]), 0);
    for (int i = 0; i < 4; i++) {
        assert_string_equal(digests[i], digests[0]);
        if (i) free(digests[i]);
    }
    free(digests[0]);
    th_tokenizer_free(t);
}

/* Learns from captions.txt, its lines in this order: forwards, or backwards. */
static th_status learn(const th_bpe_train_params *p, bool backwards, const th_watch *watch, th_tokenizer **out) {
    th_bpe_trainer *b;
    size_t n;
    *out = NULL;
    char *text = read_text(DATA "captions.txt", &n);
    th_status s = th_bpe_trainer_new(&b);
    for (size_t i = 0; s == TH_OK && i < n;) {
        size_t end = i + strcspn(text + i, "\n");
        s = th_bpe_trainer_add(b, text + i, end - i, 1);
        i = end + 1;
    }
    if (backwards) {
        th_bpe_trainer_free(b);
        s = th_bpe_trainer_new(&b);
        for (size_t i = n - 1; s == TH_OK && i > 0;) {
            size_t begin = i;
            while (begin > 0 && text[begin - 1] != '\n') begin--;
            s = th_bpe_trainer_add(b, text + begin, i - begin, 1);
            i = begin ? begin - 1 : 0;
        }
    }
    if (s == TH_OK) s = th_bpe_trainer_run(b, p, watch, out);
    th_bpe_trainer_free(b);
    th_free(text);
    return s;
}

static void check_same_file(const char *a, const char *b) {
    size_t n, m;
    char *x = read_text(a, &n), *y = read_text(b, &m);
    if (n != m || memcmp(x, y, n) != 0) fail_msg("%s and %s differ", a, b);
    th_free(x);
    th_free(y);
}

/* The fixture's trainer recounts all pairs after each merge. */
static void trainer_learns_what_counting_anew_gives(void **state) {
    (void)state;
    for (int backwards = 0; backwards < 2; backwards++) {
        fresh_folder();
        th_bpe_train_params p;
        th_bpe_train_params_init(&p);
        p.vocab_size = 800;
        th_tokenizer *t;
        assert_ok(learn(&p, backwards, NULL, &t));
        assert_ok(th_tokenizer_save(t, FOLDER));
        th_tokenizer_free(t);
        check_same_file(FOLDER "/merges.txt", DATA "merges.txt");
        check_same_file(FOLDER "/vocab.json", DATA "vocab.json");
    }
    th_tokenizer *t = load(FOLDER);
    check_cases(t, DATA "cases.json");
    assert_int_equal(th_tokenizer_max_length(t), 77);
    th_tokenizer_free(t);
    assert_ok(th_remove_tree(FOLDER "/tokenizer.json"));
    t = load(FOLDER);
    check_cases(t, DATA "cases.json");
    assert_int_equal(th_tokenizer_max_length(t), 77);
    th_tokenizer_free(t);
    assert_ok(th_remove_tree(FOLDER));
}

static void trainer_stops_at_size_count_and_request(void **state) {
    (void)state;
    th_bpe_train_params p;
    th_tokenizer *t;
    th_bpe_train_params_init(&p);
    p.vocab_size = 600;
    assert_ok(learn(&p, false, NULL, &t));
    assert_int_equal(th_tokenizer_size(t), 600);
    th_tokenizer_free(t);
    p.vocab_size = 514;
    assert_ok(learn(&p, false, NULL, &t));
    assert_int_equal(th_tokenizer_size(t), 514);
    th_tokenizer_free(t);
    p = (th_bpe_train_params){.vocab_size = 10000, .min_count = 1000000};
    assert_ok(learn(&p, false, NULL, &t));
    assert_int_equal(th_tokenizer_size(t), 514);
    assert_int_equal(th_tokenizer_max_length(t), 0);
    th_tokenizer_free(t);
    p.vocab_size = 513;
    assert_fails(learn(&p, false, NULL, &t), TH_E_USAGE, "between 514 and");
    th_bpe_train_params_init(&p);
    p.vocab_size = 600;
    th_bpe_trainer *b;
    assert_ok(th_bpe_trainer_new(&b));
    assert_fails(th_bpe_trainer_add(b, "a", 1, 0), TH_E_USAGE, "at least once");
    assert_fails(th_bpe_trainer_run(b, &p, NULL, &t), TH_E_INPUT, "there are no words");
    for (int i = 0; i < 600; i++) { /* 600 different pairs, so that merging goes on beyond the first report */
        char word[2] = {(char)('a' + i % 26), (char)('a' + i / 26)};
        assert_ok(th_bpe_trainer_add(b, word, 2, 2));
    }
    p.vocab_size = 2000;
    volatile sig_atomic_t stop = 1;
    assert_fails(th_bpe_trainer_run(b, &p, &(th_watch){.stop = &stop}, &t), TH_E_INTERRUPTED, "interrupted");
    th_bpe_trainer_free(b);
}

static void saved_tokenizer_keeps_its_steps(void **state) {
    (void)state;
    static const char *const rows[][2] = {{DATA "tokenizer.json", DATA "cases.json"},
                                          {DATA "tokenizer_old.json", DATA "cases_old.json"},
                                          {DATA "tokenizer_added.json", DATA "cases_added.json"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        fresh_folder();
        th_tokenizer *t = load(rows[i][0]);
        assert_ok(th_tokenizer_save(t, FOLDER "/saved"));
        th_tokenizer_free(t);
        t = load(FOLDER "/saved");
        check_cases(t, rows[i][1]);
        th_tokenizer_free(t);
    }
    assert_ok(th_remove_tree(FOLDER));
}

static void captions_are_cleaned_as_openai_does(void **state) {
    (void)state;
    th_json j;
    json_t *cases = NULL, *c;
    size_t i, length;
    assert_ok(th_json_load(DATA "clean.json", 1 << 20, &j));
    assert_ok(th_json_array(&j, "cases", &cases));
    json_array_foreach(cases, i, c) {
        char *text = from_hex(json_string_value(json_object_get(c, "in")), &length);
        const char *wanted = json_string_value(json_object_get(c, "out"));
        th_str out, composed; /* ftfy composes too, which here is left to the tokenizer */
        th_str_init(&out, 1 << 16);
        th_str_init(&composed, 1 << 16);
        assert_ok(th_text_clean_openai(text, length, &out));
        assert_ok(th_unicode_normalize(th_str_text(&out), out.length, TH_NFC, &composed));
        if (strcmp(th_str_text(&composed), wanted) != 0)
            fail_msg("case %zu is cleaned to \"%s\", ftfy has \"%s\"", i, th_str_text(&out), wanted);
        th_str_free(&out);
        th_str_free(&composed);
        free(text);
    }
    th_json_free(&j);
}

static void a_cleaning_tokenizer_gives_the_ids_of_clean_texts(void **state) {
    (void)state;
    th_json j;
    json_t *cases = NULL, *c;
    size_t i, length;
    th_tokenizer *t = load(DATA "tokenizer.json");
    th_tokenizer_work *plain, *cleaning;
    assert_ok(th_tokenizer_work_new(t, &plain));
    assert_ok(th_tokenizer_work_new(t, &cleaning));
    th_tokenizer_work_clean(cleaning, TH_CLEAN_OPENAI);
    assert_ok(th_json_load(DATA "clean.json", 1 << 20, &j));
    assert_ok(th_json_array(&j, "cases", &cases));
    json_array_foreach(cases, i, c) {
        char *text = from_hex(json_string_value(json_object_get(c, "in")), &length);
        const char *clean = json_string_value(json_object_get(c, "out"));
        const int32_t *a, *b;
        int64_t n, m;
        assert_ok(th_tokenizer_ids(plain, clean, strlen(clean), true, &a, &n));
        assert_ok(th_tokenizer_ids(cleaning, text, length, true, &b, &m));
        if (n != m || memcmp(a, b, (size_t)n * sizeof *a)) fail_msg("case %zu, \"%s\", has other ids", i, clean);
        free(text);
    }
    th_json_free(&j);
    th_tokenizer_work_free(plain);
    th_tokenizer_work_free(cleaning);
    th_tokenizer_free(t);
}

static void invalid_utf8_is_replaced_as_python_does(void **state) {
    (void)state;
    th_str out;
    th_str_init(&out, 1000);
    th_utf8_mend("a\xE2\x82z\xED\xA0\x80\xF0\x9F\x98", 11, &out);
    assert_string_equal(th_str_text(&out), "a\uFFFDz\uFFFD\uFFFD\uFFFD\uFFFD");
    assert_true(th_utf8_valid("é\xF4\x8F\xBF\xBF", 6));
    assert_false(th_utf8_valid("\xF4\x90\x80\x80", 4));
    assert_false(th_utf8_valid("12345678\xC3", 9));
    for (int32_t c = 0; c < 0x110000; c++) {
        char bytes[4];
        int32_t back;
        if (c >= 0xD800 && c < 0xE000) continue;
        size_t n = th_utf8_put(bytes, c);
        assert_int_equal(th_utf8_next(bytes, n, &back), n);
        assert_int_equal(back, c);
    }
    th_str_free(&out);
}

static void byte_alphabet_is_a_bijection(void **state) {
    (void)state;
    bool seen[256] = {false};
    for (int i = 0; i < 256; i++) {
        assert_int_equal(th_char_to_byte(th_byte_to_char((uint8_t)i)), i);
        assert_false(seen[th_clip_byte(i)]);
        seen[th_clip_byte(i)] = true;
    }
    assert_int_equal(th_byte_to_char(0), 256);
    assert_int_equal(th_byte_to_char(' '), 0x120);
    assert_int_equal(th_byte_to_char(173), 323);
    assert_int_equal(th_char_to_byte(324), -1);
    assert_int_equal(th_char_to_byte(' '), -1);
}

static void every_failed_allocation_is_reported(void **state) {
    (void)state;
    size_t before = th_bytes_in_use();
    th_status s = TH_E_MEMORY;
    for (int n = 1; s != TH_OK; n++) {
        th_tokenizer *t;
        th_tokenizer_work *w = NULL;
        int32_t ids[16];
        th_alloc_fail_at(n, false);
        s = th_tokenizer_load(DATA "tokenizer_added.json", &t);
        if (s == TH_OK) s = th_tokenizer_work_new(t, &w);
        if (s == TH_OK) s = th_tokenizer_encode(w, "caf\xC3\xA9 [X] \xFF new token", 20, 16, ids, NULL);
        if (s == TH_OK) s = th_tokenizer_save(t, FOLDER);
        th_alloc_fail_at(0, false);
        if (s != TH_OK) assert_int_equal(s, TH_E_MEMORY);
        th_tokenizer_work_free(w);
        th_tokenizer_free(t);
        assert_int_equal(th_bytes_in_use(), before);
    }
    s = TH_E_MEMORY;
    for (int n = 1; s != TH_OK; n++) {
        th_bpe_trainer *b;
        th_tokenizer *t = NULL;
        th_bpe_train_params p;
        th_bpe_train_params_init(&p);
        th_alloc_fail_at(n, false);
        s = th_bpe_trainer_new(&b);
        if (s == TH_OK) s = th_bpe_trainer_add(b, "a dog and a doggy", 17, 2);
        if (s == TH_OK) s = th_bpe_trainer_run(b, &p, NULL, &t);
        th_alloc_fail_at(0, false);
        if (s != TH_OK) assert_int_equal(s, TH_E_MEMORY);
        th_tokenizer_free(t);
        th_bpe_trainer_free(b);
        assert_int_equal(th_bytes_in_use(), before);
    }
    assert_ok(th_remove_tree(FOLDER));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nasty_strings_get_the_ids_of_transformers),
        cmocka_unit_test(tokenizer_json_alone_gives_the_same_ids),
        cmocka_unit_test(tokenizer_json_of_older_versions_is_read),
        cmocka_unit_test(flags_of_added_tokens_are_followed),
        cmocka_unit_test(ordinary_token_as_padding_is_found_in_text),
        cmocka_unit_test(gzipped_merge_list_of_openai_is_read),
        cmocka_unit_test(full_vocabulary_gives_the_ids_of_transformers),
        cmocka_unit_test(special_tokens_come_from_the_small_files),
        cmocka_unit_test(bad_small_files_are_refused),
        cmocka_unit_test(bad_vocabularies_and_merges_are_refused),
        cmocka_unit_test(bad_tokenizer_json_is_refused),
        cmocka_unit_test(every_truncated_tokenizer_json_is_refused),
        cmocka_unit_test(missing_files_are_named),
        cmocka_unit_test(byte_level_without_a_split_is_supported),
        cmocka_unit_test(too_short_a_length_is_wrong_usage),
        cmocka_unit_test(cache_and_long_words_change_nothing),
        cmocka_unit_test(threads_share_a_tokenizer),
        cmocka_unit_test(trainer_learns_what_counting_anew_gives),
        cmocka_unit_test(trainer_stops_at_size_count_and_request),
        cmocka_unit_test(saved_tokenizer_keeps_its_steps),
        cmocka_unit_test(captions_are_cleaned_as_openai_does),
        cmocka_unit_test(a_cleaning_tokenizer_gives_the_ids_of_clean_texts),
        cmocka_unit_test(invalid_utf8_is_replaced_as_python_does),
        cmocka_unit_test(byte_alphabet_is_a_bijection),
        cmocka_unit_test(every_failed_allocation_is_reported),
    };
    return cmocka_run_group_tests_name("format.tokenizer", tests, NULL, NULL);
}
