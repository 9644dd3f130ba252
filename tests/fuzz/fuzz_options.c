/* A config file of any bytes, then the same bytes as words of a command line: what is accepted is written as JSON and
 * read back to the same values. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "format/json.h"
#include "format/options_json.h"

static const th_option table[] = {
    TH_OPT_F32("tau", 2.15, "a distance", TH_AT_LEAST(0)),
    TH_OPT_F32("t", NAN, "of the loss", TH_ABOVE(0)),
    TH_OPT_INT("steps", 1000, "optimizer steps", TH_AT_LEAST(1), .letter = 'n'),
    TH_OPT_SIZE("memory", 1 << 20, "the most to use"),
    TH_OPT_BOOL("augment", true, "augment the images", .letter = 'a'),
    TH_OPT_STRING("note", NULL, "kept with the run"),
    TH_OPT_PATH("out", NULL, "the run folder", .letter = 'o'),
    TH_OPT_CHOICE("dtype", "auto|f32|bf16", "auto", "what to compute in"),
    TH_OPT_LIST("image", "an image", .argument = "FILE", .letter = 'i'),
    TH_OPT_BOOL("quiet", false, "say nothing", .flag_only = true),
    TH_OPT_END,
};

static th_options *fresh(void) {
    th_options *o = th_options_new("clean par");
    if (!o || th_options_add(o, "table", table) != TH_OK) abort();
    return o;
}

static void check_round_trip(th_options *o) {
    json_t *j = NULL, *again = NULL;
    if (th_options_json(o, &j) != TH_OK) return; /* a text that is not UTF-8 */
    th_options *copy = fresh();
    if (th_options_load_json(copy, "again", j) != TH_OK) abort();
    if (th_options_json(copy, &again) != TH_OK || !json_equal(j, again)) abort();
    json_decref(j);
    json_decref(again);
    th_options_free(copy);
}

static void try_config(const char *text, size_t n) {
    th_options *o = fresh();
    th_json j = {0};
    if (th_json_parse("fuzz", text, n, &j) == TH_OK && th_options_load_json(o, "fuzz", j.root) == TH_OK)
        check_round_trip(o);
    th_json_free(&j);
    th_options_free(o);
}

/* Words end at newlines. */
static void try_words(char *text) {
    const char *words[32];
    int64_t n = 0;
    for (char *p = strtok(text, "\n"); p && n < 32; p = strtok(NULL, "\n")) words[n++] = p;
    th_options *o = fresh();
    if (th_options_parse(o, n, words) == TH_OK && th_options_check(o) == TH_OK) check_round_trip(o);
    th_options_free(o);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    try_config((const char *)data, size);
    char *text = th_strndup((const char *)data, size);
    if (text) try_words(text);
    th_free(text);
    return 0;
}
