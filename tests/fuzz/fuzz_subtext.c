/* Sub-texts from bytes: the first byte says which reader gets the rest: the file of sub-texts; captions, one a line,
 * cut, tagged and rewritten without the parser; a text for EDA. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "data/eda.h"
#include "data/subtext.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_file(const char *text, size_t size) {
    th_subtexts *s;
    if (th_subtexts_parse(text, size, "fuzz", &s) != TH_OK) return;
    int count;
    for (int64_t i = 0; i < th_subtexts_captions(s); i++) th_subtexts_of(s, i, &count);
    th_subtexts_free(s);
}

enum { LINES = 12 };

static void make_subtexts(char *text) {
    const char *lines[LINES];
    int n = 0;
    for (char *p = text; p && n < LINES;) {
        char *newline = strchr(p, '\n');
        if (newline) *newline++ = '\0';
        lines[n++] = p;
        p = newline;
    }
    static th_wordnet *wordnet;
    th_subtext_params p;
    th_subtexts *s;
    if (!wordnet && th_wordnet_open(NULL, &wordnet) != TH_OK) return;
    th_subtext_params_init(&p);
    p.min_count = 1;
    if (th_subtexts_make(lines, n, &p, wordnet, NULL, 1, NULL, &s) != TH_OK) abort();
    th_str out;
    th_str_init(&out, 1 << 24);
    if (th_subtexts_print(s, lines, n, &out) != TH_OK) abort();
    th_str_free(&out);
    th_subtexts_free(s);
}

static void augment(const char *text) {
    static th_eda *eda;
    th_eda_params p;
    th_str out;
    th_eda_params_init(&p);
    p.alpha = 0.5f;
    if (!eda && th_eda_open(&p, &eda) != TH_OK) return;
    th_str_init(&out, 1 << 24);
    for (int op = 0; op < TH_EDA_OPS; op++) {
        th_rng rng = th_rng_at(1, TH_RNG_TEST, 0, (uint64_t)op);
        if (th_eda_apply_op(eda, (th_eda_op)op, text, &rng, &out) != TH_OK) abort();
    }
    th_str_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0 || size > 1 << 16) return 0;
    char *text = malloc(size);
    if (!text) return 0;
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    if (data[0] % 3 == 0)
        read_file(text, size - 1);
    else if (data[0] % 3 == 1)
        make_subtexts(text);
    else
        augment(text);
    free(text);
    return 0;
}
