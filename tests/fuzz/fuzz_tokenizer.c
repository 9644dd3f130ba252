/* Tokenizer files, texts to tokenize and captions to clean, from arbitrary bytes. The first byte chooses; a byte FE,
 * which no UTF-8 has, separates two parts. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "format/bpe_train.h"
#include "format/json.h"
#include "format/text_clean.h"
#include "format/tokenizer.h"
#include "format/unicode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool promise) {
    if (!promise) abort();
}

/* Ids exist, the cache changes nothing, and what they decode to is UTF-8. */
static void tokenize(const th_tokenizer *t, th_text text) {
    th_tokenizer_work *w;
    const int32_t *ids;
    int32_t first[24], again[24];
    int64_t n = 0, m = 0;
    check(th_tokenizer_work_new(t, &w) == TH_OK);
    if (th_tokenizer_encode(w, text.text, text.length, 24, first, &n) == TH_OK) {
        check(th_tokenizer_encode(w, text.text, text.length, 24, again, &m) == TH_OK);
        check(n == m && n <= 24 && !memcmp(first, again, sizeof first));
    }
    if (th_tokenizer_ids(w, text.text, text.length, true, &ids, &n) == TH_OK) {
        th_str out;
        th_str_init(&out, 1 << 22);
        for (int64_t i = 0; i < n; i++) check(th_tokenizer_token(t, ids[i]) != NULL);
        check(th_tokenizer_decode(t, ids, n, false, &out) == TH_OK);
        check(th_utf8_valid(th_str_text(&out), out.length));
        th_str_free(&out);
    }
    th_tokenizer_work_free(w);
}

/* What is accepted is JSON to jansson too. */
static void check_json(th_text json) {
    th_json j;
    check(th_json_parse("again", json.text, json.length, &j) == TH_OK);
    th_json_free(&j);
}

static void learn(th_text captions, th_text text) {
    th_bpe_trainer *b;
    th_tokenizer *t;
    th_bpe_train_params p;
    th_bpe_train_params_init(&p);
    p.vocab_size = 600;
    check(th_bpe_trainer_new(&b) == TH_OK);
    check(th_bpe_trainer_add(b, captions.text, captions.length, 3) == TH_OK);
    if (th_bpe_trainer_run(b, &p, NULL, &t) == TH_OK) {
        tokenize(t, text);
        th_tokenizer_free(t);
    }
    th_bpe_trainer_free(b);
}

static void clean(th_text text) {
    th_str out;
    th_str_init(&out, 1 << 22);
    check(th_text_clean_openai(text.text, text.length, &out) == TH_OK);
    check(th_utf8_valid(th_str_text(&out), out.length));
    th_str_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) return 0;
    size_t before = th_bytes_in_use();
    const char *begin = (const char *)data + 1, *end = (const char *)data + size, *cut = memchr(begin, 0xFE, size - 1);
    th_text a = {begin, (size_t)((cut ? cut : end) - begin)};
    th_text b = cut ? (th_text){cut + 1, (size_t)(end - cut - 1)} : a;
    th_tokenizer *t = NULL;
    switch (data[0] % 5) {
    case 0:
        if (th_tokenizer_parse("tokenizer.json", a, NULL, &t) == TH_OK) check_json(a), tokenize(t, b);
        break;
    case 1:
        if (th_tokenizer_parse_pair("vocab.json", a, b, NULL, &t) == TH_OK) check_json(a), tokenize(t, b);
        break;
    case 2:
        if (th_tokenizer_parse_pair("vocab.json", (th_text){"{\"<|startoftext|>\":0,\"<|endoftext|>\":1,\"a\":2}", 45},
                                    (th_text){"", 0}, &a, &t) == TH_OK)
            tokenize(t, b);
        break;
    case 3: learn(a, b); break;
    default: clean(a); break;
    }
    th_tokenizer_free(t);
    check(th_bytes_in_use() == before);
    return 0;
}
