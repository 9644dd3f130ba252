/* English inflection. */
#include "data/inflect.h"

#include <stdio.h>
#include <string.h>

/* What WordNet's lists leave out, because its own rules do not need it or lead elsewhere ("leaves" → "leave"). */
typedef struct {
    th_wn_pos pos;
    th_form form;
    const char *lemma, *text;
} exception;
static const exception exceptions[] = {
    {TH_WN_NOUN, TH_FORM_PLURAL, "leaf", "leaves"},
    {TH_WN_NOUN, TH_FORM_PLURAL, "loaf", "loaves"},
    {TH_WN_NOUN, TH_FORM_PLURAL, "sheep", "sheep"},
    {TH_WN_NOUN, TH_FORM_PLURAL, "deer", "deer"},
    {TH_WN_NOUN, TH_FORM_PLURAL, "fish", "fish"},
    {TH_WN_NOUN, TH_FORM_PLURAL, "aircraft", "aircraft"},
    {TH_WN_NOUN, TH_FORM_PLURAL, "bison", "bison"},
    {TH_WN_NOUN, TH_FORM_PLURAL, "salmon", "salmon"},
    {TH_WN_NOUN, TH_FORM_PLURAL, "trouser", "trousers"},
    {TH_WN_NOUN, TH_FORM_PLURAL, "echo", "echoes"},
    {TH_WN_NOUN, TH_FORM_PLURAL, "bootie", "booties"},
    {TH_WN_NOUN, TH_FORM_PLURAL, "bus", "buses"},
    {TH_WN_NOUN, TH_FORM_PLURAL, "human", "humans"},
    {TH_WN_NOUN, TH_FORM_PLURAL, "german", "germans"},
    {TH_WN_NOUN, TH_FORM_PLURAL, "roman", "romans"},
    {TH_WN_VERB, TH_FORM_PARTICIPLE, "run", "run"},
    {TH_WN_VERB, TH_FORM_PARTICIPLE, "come", "come"},
    {TH_WN_VERB, TH_FORM_PAST, "ski", "skied"},
    {TH_WN_VERB, TH_FORM_PAST, "read", "read"},
    {TH_WN_VERB, TH_FORM_PAST, "cut", "cut"},
    {TH_WN_VERB, TH_FORM_PAST, "hit", "hit"},
    {TH_WN_VERB, TH_FORM_PAST, "put", "put"},
    {TH_WN_VERB, TH_FORM_PAST, "set", "set"},
    {TH_WN_VERB, TH_FORM_PAST, "let", "let"},
    {TH_WN_VERB, TH_FORM_PAST, "shut", "shut"},
    {TH_WN_VERB, TH_FORM_PAST, "spread", "spread"},
    {TH_WN_VERB, TH_FORM_PAST, "split", "split"},
    {TH_WN_VERB, TH_FORM_PAST, "hurt", "hurt"},
    {TH_WN_VERB, TH_FORM_PAST, "cast", "cast"},
    {TH_WN_VERB, TH_FORM_PAST, "burst", "burst"},
    {TH_WN_VERB, TH_FORM_PAST, "hang", "hung"},
    {TH_WN_VERB, TH_FORM_PAST, "lie", "lay"},
    {TH_WN_VERB, TH_FORM_PARTICIPLE, "lie", "lain"},
    {TH_WN_VERB, TH_FORM_PAST, "beat", "beat"},
    {TH_WN_VERB, TH_FORM_PARTICIPLE, "beat", "beaten"},
    {TH_WN_VERB, TH_FORM_S, "have", "has"},
};

static const exception *exception_of(const char *lemma, th_wn_pos pos, th_form form) {
    for (size_t i = 0; i < sizeof exceptions / sizeof *exceptions; i++)
        if (exceptions[i].pos == pos && exceptions[i].form == form && !strcmp(exceptions[i].lemma, lemma))
            return &exceptions[i];
    return NULL;
}

static bool ends(const char *word, const char *ending) {
    size_t n = strlen(word), m = strlen(ending);
    return n > m && memcmp(word + n - m, ending, m) == 0;
}

static bool is_vowel(char c) { return c != '\0' && strchr("aeiou", c) != NULL; }

/* Splits "ankle boots" into what stays, its blank with it, and the word that is inflected. */
static size_t last_word(const char *word, th_wn_pos pos) {
    const char *blank = pos == TH_WN_NOUN ? strrchr(word, ' ') : NULL;
    return blank ? (size_t)(blank - word) + 1 : 0;
}

static bool lemma_of_word(const th_wordnet *w, const char *word, th_wn_pos pos, char out[TH_WORD_MAX]) {
    for (size_t i = 0; i < sizeof exceptions / sizeof *exceptions; i++) {
        if (exceptions[i].pos == pos && !strcmp(exceptions[i].text, word)) {
            snprintf(out, TH_WORD_MAX, "%s", exceptions[i].lemma);
            return true;
        }
    }
    char lemmas[4][TH_WORD_MAX];
    int n = th_wordnet_lemmas(w, word, pos, lemmas, 4), best = 0;
    /* Several: "glasses" is an entry and the plural of "glass". The one met more often stands for both. */
    for (int i = 1; i < n; i++)
        if (th_wordnet_tagged(w, lemmas[i], pos) > th_wordnet_tagged(w, lemmas[best], pos)) best = i;
    if (n == 0) return false;
    memcpy(out, lemmas[best], TH_WORD_MAX);
    return true;
}

bool th_lemma(const th_wordnet *w, const char *word, th_wn_pos pos, char out[TH_WORD_MAX]) {
    size_t stay = last_word(word, pos);
    char lemma[TH_WORD_MAX], joined[TH_WORD_MAX];
    bool known = lemma_of_word(w, word + stay, pos, lemma);
    int n = snprintf(out, TH_WORD_MAX, "%.*s%s", (int)stay, word, known ? lemma : word + stay);
    if (n >= TH_WORD_MAX) return false;
    if (stay == 0) return known;
    for (int i = 0; i <= n; i++) joined[i] = out[i] == ' ' ? '_' : out[i];
    return th_wordnet_has(w, joined, pos);
}

th_form th_form_of(const char *word, const char *lemma, th_wn_pos pos) {
    if (pos == TH_WN_NOUN) return strcmp(word, lemma) ? TH_FORM_PLURAL : TH_FORM_BASE;
    if (pos != TH_WN_VERB || !strcmp(word, lemma)) return TH_FORM_BASE;
    if (ends(word, "ing")) return TH_FORM_ING;
    if (ends(word, "s")) return TH_FORM_S;
    return ends(word, "n") || ends(word, "ne") ? TH_FORM_PARTICIPLE : TH_FORM_PAST;
}

static bool ends_hissing(const char *w) {
    return ends(w, "s") || ends(w, "x") || ends(w, "z") || ends(w, "ch") || ends(w, "sh");
}

static bool ends_consonant_y(const char *w) {
    size_t n = strlen(w);
    return n > 1 && w[n - 1] == 'y' && !is_vowel(w[n - 2]);
}

/* One vowel between consonants at the end of a word of one syllable: the last letter doubles, as in "hugging". */
static bool doubles(const char *w) {
    size_t n = strlen(w), vowels = 0;
    if (n < 3 || is_vowel(w[n - 1]) || strchr("wxy", w[n - 1]) || !is_vowel(w[n - 2]) || is_vowel(w[n - 3]))
        return false;
    for (size_t i = 0; i < n; i++) vowels += is_vowel(w[i]) || (i && w[i] == 'y');
    return vowels == 1;
}

static void regular(const char *lemma, th_wn_pos pos, th_form form, char *out, size_t room) {
    int n = (int)strlen(lemma);
    if (form == TH_FORM_PLURAL || form == TH_FORM_S) {
        if (ends_consonant_y(lemma))
            snprintf(out, room, "%.*sies", n - 1, lemma);
        else
            snprintf(out, room, "%s%s", lemma,
                     ends_hissing(lemma) || (pos == TH_WN_VERB && ends(lemma, "o")) ? "es" : "s");
        return;
    }
    const char *ending = form == TH_FORM_ING ? "ing" : "ed";
    if (form == TH_FORM_ING && ends(lemma, "ie"))
        snprintf(out, room, "%.*sying", n - 2, lemma);
    else if (ends(lemma, "e") &&
             (form != TH_FORM_ING || !(ends(lemma, "ee") || ends(lemma, "oe") || ends(lemma, "ye"))))
        snprintf(out, room, "%.*s%s", n - 1, lemma, ending);
    else if (form != TH_FORM_ING && ends_consonant_y(lemma))
        snprintf(out, room, "%.*sied", n - 1, lemma);
    else if (doubles(lemma))
        snprintf(out, room, "%s%c%s", lemma, lemma[n - 1], ending);
    else
        snprintf(out, room, "%s%s", lemma, ending);
}

/* Of two forms in the past, such as "sang" and "sung", "ate" and "eaten", which is the participle? */
static bool looks_participle(const char *form, const char *other) {
    if (ends(form, "n") || ends(form, "ne")) return !ends(other, "n") && !ends(other, "ne");
    return strchr(form, 'u') && strchr(other, 'a') && strlen(form) == strlen(other);
}

/* "camerae", "cherubim", "stigmata": nobody writes so in a caption. */
static bool is_learned(const char *plural) { return ends(plural, "ae") || ends(plural, "im") || ends(plural, "ata"); }

static bool irregular(const th_wordnet *w, const char *lemma, th_wn_pos pos, th_form form, char out[TH_WORD_MAX]) {
    char forms[8][TH_WORD_MAX], past[8][TH_WORD_MAX];
    int n = th_wordnet_irregular(w, lemma, pos, forms, 8), m = 0;
    for (int i = 0; i < n; i++) {
        th_form f = pos == TH_WN_NOUN ? TH_FORM_PLURAL : th_form_of(forms[i], lemma, pos);
        if (f == TH_FORM_PARTICIPLE) f = TH_FORM_PAST;
        if (f == TH_FORM_PLURAL && is_learned(forms[i])) continue;
        if (f == form && form != TH_FORM_PAST) return memcpy(out, forms[i], TH_WORD_MAX), true;
        if (f == TH_FORM_PAST) memcpy(past[m++], forms[i], TH_WORD_MAX);
    }
    if (m == 0 || (form != TH_FORM_PAST && form != TH_FORM_PARTICIPLE)) return false;
    int pick = 0;
    for (int i = 0; i < m; i++)
        for (int j = 0; j < m; j++)
            if (i != j && looks_participle(past[i], past[j])) pick = form == TH_FORM_PARTICIPLE ? i : j;
    /* "showed" and "shown": the exceptions hold the participle alone, its past is regular */
    if (m == 1 && form == TH_FORM_PAST && ends(past[0], "wn") && !ends(lemma, "wn") && !ends(lemma, "y")) return false;
    memcpy(out, past[pick], TH_WORD_MAX);
    return true;
}

bool th_inflect(const th_wordnet *w, const char *lemma, th_wn_pos pos, th_form form, char out[TH_WORD_MAX]) {
    size_t stay = last_word(lemma, pos);
    const char *word = lemma + stay;
    char made[TH_WORD_MAX + 8];
    const exception *e = exception_of(word, pos, form);
    if (!e && form == TH_FORM_PARTICIPLE) e = exception_of(word, pos, TH_FORM_PAST);
    if (form == TH_FORM_BASE)
        snprintf(made, sizeof made, "%s", word);
    else if (e)
        snprintf(made, sizeof made, "%s", e->text);
    else if (pos == TH_WN_NOUN && strlen(word) > 4 && ends(word, "man"))
        snprintf(made, sizeof made, "%.*smen", (int)strlen(word) - 3, word);
    else if (!irregular(w, word, pos, form, made))
        regular(word, pos, form, made, sizeof made);
    return snprintf(out, TH_WORD_MAX, "%.*s%s", (int)stay, lemma, made) < TH_WORD_MAX;
}

static bool starts(const char *word, const char *beginning) { return strncmp(word, beginning, strlen(beginning)) == 0; }

bool th_takes_an(const char *word) {
    static const char *const silent_h[] = {"hour", "honest", "honour", "honor", "heir"};
    static const char *const like_you[] = {"uni", "use", "usu", "util", "eu", "ewe", "ufo", "ukulele", "urin", "ut"};
    static const char *const like_one[] = {"one", "once", "ouija"};
    char w[TH_WORD_MAX];
    size_t n = strlen(word) < TH_WORD_MAX - 1 ? strlen(word) : TH_WORD_MAX - 1;
    for (size_t i = 0; i < n; i++) w[i] = word[i] >= 'A' && word[i] <= 'Z' ? (char)(word[i] + 32) : word[i];
    w[n] = '\0';
    for (size_t i = 0; i < sizeof silent_h / sizeof *silent_h; i++)
        if (starts(w, silent_h[i])) return true;
    if (w[0] == '8' || !strncmp(w, "11", 2) || !strncmp(w, "18", 2)) return true;
    /* letters that are read by name: "an x-ray", "a t-shirt", "an f-16" */
    if (n == 1 || (n > 1 && w[1] == '-')) return strchr("aefhilmnorsx", w[0]) != NULL;
    if (!strncmp(w, "unin", 4) || !strncmp(w, "unim", 4)) return true;
    for (size_t i = 0; i < sizeof like_you / sizeof *like_you; i++)
        if (starts(w, like_you[i])) return false;
    for (size_t i = 0; i < sizeof like_one / sizeof *like_one; i++)
        if (starts(w, like_one[i])) return false;
    return is_vowel(w[0]);
}
