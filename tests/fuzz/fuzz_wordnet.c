/* WordNet's files from bytes: a tiny database in a temporary folder, of which the first byte says which file the rest
 * replaces. Opening fails, or everything can be asked. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "data/wordnet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct {
    const char *name, *text;
} files[] = {
    {"index.noun", "dog n 1 1 @ 1 1 00000000  \n"},
    {"data.noun", "00000000 05 n 02 dog 0 Domestic_Dog 0 001 @ 00000000 n 0000 | a pet  \n"},
    {"index.verb", "sit v 1 0 1 1 00000000  \n"},
    {"data.verb", "00000000 35 v 01 sit 0 001 ! 00000000 v 0101 02 + 02 00 + 22 00 | be seated  \n"},
    {"index.adj", "red a 1 1 ! 1 1 00000000  \n"},
    {"data.adj", "00000000 00 s 01 red(a) 0 001 & 00000000 a 0000 | a colour  \n"},
    {"index.adv", "slowly r 1 0 1 0 00000000  \n"},
    {"data.adv", "00000000 02 r 01 slowly 0 000 | at low speed  \n"},
    {"noun.exc", "dawgs dog\n"},
    {"verb.exc", "sat sit\nsitting sit\n"},
    {"adj.exc", ""},
    {"adv.exc", ""},
    {"cntlist.rev", "dog%1:05:00:: 1 42\nsit%2:35:00:: 1 9\n"},
};
enum { FILES = sizeof files / sizeof *files };

static char folder[64];

static void put(size_t f, const void *bytes, size_t size) {
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, files[f].name);
    FILE *out = fopen(path, "wb");
    if (!out || fwrite(bytes, 1, size, out) != size || fclose(out) != 0) abort();
}

static void clean_up(void) { th_remove_tree(folder); }

static void ask(const th_wordnet *w, const char *word, th_wn_pos pos) {
    th_sense senses[8];
    th_synset targets[16];
    th_ancestor above[16];
    char text[16][TH_WORD_MAX];
    th_wordnet_lemmas(w, word, pos, text, 8);
    th_wordnet_irregular(w, word, pos, text, 16);
    th_wordnet_related(w, word, "dog", pos, 4);
    th_wordnet_part_of(w, word, "dog", 4);
    int n = th_wordnet_senses(w, word, pos, senses, 8);
    for (int i = 0; i < n; i++) {
        th_synset s = senses[i].synset;
        th_wordnet_words(w, s, text, 16);
        th_wordnet_pointers(w, s, '~', targets, 16);
        th_wordnet_antonyms(w, s, word, text, 16);
        th_wordnet_ancestors(w, s, above, 16);
        th_wordnet_is_instance(w, s);
        th_wordnet_frames(w, s);
        th_wordnet_file(w, s);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) return 0;
    if (!folder[0]) {
        snprintf(folder, sizeof folder, "/tmp/fuzz_wordnet_XXXXXX");
        if (!mkdtemp(folder)) abort();
        atexit(clean_up);
        for (size_t f = 0; f < FILES; f++) put(f, files[f].text, strlen(files[f].text));
    }
    size_t f = data[0] % FILES;
    put(f, data + 1, size - 1);
    th_wordnet *w;
    if (th_wordnet_open(folder, &w) == TH_OK) {
        static const char *const words[] = {"dog", "dawgs", "sit", "sat", "red", "slowly", "domestic_dog", ""};
        for (size_t i = 0; i < sizeof words / sizeof *words; i++)
            for (int pos = 0; pos < TH_WN_POS_COUNT; pos++) ask(w, words[i], (th_wn_pos)pos);
        th_wordnet_close(w);
    }
    put(f, files[f].text, strlen(files[f].text));
    return 0;
}
