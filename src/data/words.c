/* The closed classes, and the tokenizer. */
#include "data/words.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define D TH_TAG_BIT(TH_TAG_DET)
#define N TH_TAG_BIT(TH_TAG_NUMBER)
#define P TH_TAG_BIT(TH_TAG_PREP)
#define R TH_TAG_BIT(TH_TAG_PRON)
#define C TH_TAG_BIT(TH_TAG_CONJ)
#define X TH_TAG_BIT(TH_TAG_AUX)
#define W TH_TAG_BIT(TH_TAG_WH)
#define T TH_TAG_BIT(TH_TAG_TO)
#define V TH_TAG_BIT(TH_TAG_ADV)
#define J TH_TAG_BIT(TH_TAG_ADJ)
#define NOT TH_TAG_BIT(TH_TAG_NOT)
#define NN TH_TAG_BIT(TH_TAG_NOUN)

typedef struct {
    const char *word;
    uint32_t tags;
} entry;

/* Sorted by bytes. */
static const entry closed[] = {
    {"'d", X},          {"'ll", X},        {"'m", X},         {"'re", X},        {"'ve", X},       {"a", D},
    {"aboard", P},      {"about", P},      {"above", P | V},  {"across", P | V}, {"after", P | W}, {"again", V},
    {"against", P},     {"ago", V},        {"all", D},        {"almost", V},     {"along", P | V}, {"alongside", P},
    {"already", V},     {"also", V},       {"although", W},   {"always", V},     {"am", X},        {"amid", P},
    {"amidst", P},      {"among", P},      {"amongst", P},    {"an", D},         {"and", C},       {"another", D},
    {"any", D},         {"anybody", R},    {"anyone", R},     {"anything", R},   {"are", X},       {"around", P | V},
    {"as", P | W},      {"at", P},         {"atop", P},       {"away", V},       {"be", X},        {"because", W},
    {"been", X},        {"before", P | W}, {"behind", P | V}, {"being", X},      {"below", P | V}, {"beneath", P},
    {"beside", P},      {"besides", P},    {"between", P},    {"beyond", P},     {"both", D},      {"but", C},
    {"by", P},          {"can", X | NN},   {"can't", NOT},    {"cannot", NOT},   {"could", X},     {"couldn't", NOT},
    {"despite", P},     {"did", X},        {"didn't", NOT},   {"do", X},         {"does", X},      {"doesn't", NOT},
    {"doing", X},       {"don't", NOT},    {"down", P | V},   {"during", P},     {"each", D},      {"eight", N},
    {"either", D},      {"eleven", N},     {"else", V},       {"even", V},       {"ever", V},      {"every", D},
    {"everybody", R},   {"everyone", R},   {"everything", R}, {"except", P},     {"few", N},       {"five", N},
    {"for", P},         {"four", N},       {"from", P},       {"further", V},    {"had", X},       {"hadn't", NOT},
    {"hardly", NOT},    {"has", X},        {"hasn't", NOT},   {"have", X},       {"haven't", NOT}, {"having", X},
    {"he", R},          {"her", D | R},    {"here", V},       {"hers", R},       {"herself", R},   {"him", R},
    {"himself", R},     {"his", D},        {"how", W},        {"however", V},    {"hundred", N},   {"i", R},
    {"if", W},          {"in", P | V},     {"inside", P | V}, {"into", P},       {"is", X},        {"isn't", NOT},
    {"it", R},          {"its", D},        {"itself", R},     {"just", V},       {"least", V},     {"less", V},
    {"lest", W},        {"like", P},       {"many", N},       {"may", X},        {"me", R},        {"might", X},
    {"mine", R},        {"more", V},       {"most", V},       {"much", N},       {"must", X},      {"my", D},
    {"myself", R},      {"n't", NOT},      {"near", P},       {"neither", NOT},  {"never", NOT},   {"nine", N},
    {"no", NOT},        {"nobody", R},     {"none", NOT},     {"nor", NOT},      {"not", NOT},     {"nothing", R},
    {"now", V},         {"of", P},         {"off", P | V},    {"often", V},      {"on", P | V},    {"once", V},
    {"one", N},         {"ones", R},       {"only", V},       {"onto", P},       {"opposite", P},  {"or", C},
    {"other", J},       {"others", R},     {"our", D},        {"ours", R},       {"ourselves", R}, {"out", V | P},
    {"outside", P | V}, {"over", P | V},   {"own", J},        {"past", P},       {"per", P},       {"quite", V},
    {"rather", V},      {"same", J},       {"several", N},    {"shall", X},      {"she", R},       {"should", X},
    {"shouldn't", NOT}, {"since", P | W},  {"six", N},        {"so", V | W},     {"some", D},      {"somebody", R},
    {"someone", R},     {"something", R},  {"sometimes", V},  {"soon", V},       {"still", V},     {"such", D},
    {"ten", N},         {"than", P | W},   {"that", D | W},   {"the", D},        {"their", D},     {"theirs", R},
    {"them", R},        {"themselves", R}, {"then", V},       {"there", R | V},  {"these", D},     {"they", R},
    {"this", D | R},    {"those", D},      {"though", W},     {"thousand", N},   {"three", N},     {"through", P | V},
    {"throughout", P},  {"thus", V},       {"till", P | W},   {"to", P | T},     {"together", V},  {"too", V},
    {"toward", P},      {"towards", P},    {"twelve", N},     {"two", N},        {"under", P | V}, {"underneath", P},
    {"unless", W},      {"unlike", P},     {"until", P | W},  {"up", V | P},     {"upon", P},      {"us", R},
    {"very", V},        {"via", P},        {"was", X},        {"wasn't", NOT},   {"we", R},        {"were", X},
    {"weren't", NOT},   {"what", W},       {"when", W},       {"where", W},      {"whether", W},   {"which", W},
    {"while", W},       {"who", W},        {"whom", W},       {"whose", W},      {"why", W},       {"will", X},
    {"with", P},        {"within", P},     {"without", P},    {"won't", NOT},    {"would", X},     {"wouldn't", NOT},
    {"yet", V},         {"you", R},        {"your", D},       {"yours", R},      {"yourself", R},
};

/* Sorted by bytes. */
static const char *const placing[] = {
    "above",   "across",     "against", "along",   "alongside", "among",   "amongst",    "around",  "at",
    "atop",    "behind",     "below",   "beneath", "beside",    "between", "by",         "in",      "inside",
    "into",    "near",       "of",      "off",     "on",        "onto",    "opposite",   "outside", "over",
    "through", "throughout", "to",      "toward",  "towards",   "under",   "underneath", "upon",    "with",
};

static const char letters[] = {
#define TH_TAG_LETTER(name, letter, text) letter,
    TH_TAG_TABLE(TH_TAG_LETTER)
#undef TH_TAG_LETTER
};

char th_tag_letter(th_tag t) { return (unsigned)t < TH_TAG_COUNT ? letters[t] : '?'; }

static int by_word(const void *key, const void *item) { return strcmp(key, ((const entry *)item)->word); }
static int by_text(const void *key, const void *item) { return strcmp(key, *(const char *const *)item); }

uint32_t th_word_closed(const char *word) {
    const entry *e = bsearch(word, closed, sizeof closed / sizeof *closed, sizeof *closed, by_word);
    return e ? e->tags : 0;
}

bool th_word_is_stop(const char *word) { return word[0] == '\0' || word[1] == '\0' || th_word_closed(word) != 0; }

bool th_word_places(const char *word) {
    return bsearch(word, placing, sizeof placing / sizeof *placing, sizeof *placing, by_text) != NULL;
}

/* --- tokens --- */

typedef enum { BLANK, LETTER, DIGIT, APOSTROPHE, HYPHEN, DOT, COMMA, AMPERSAND, MARK } kind;

/* The code point at p and its length; a byte that begins none counts as one of its own, with value −1. */
static int decode(const unsigned char *p, int32_t *code) {
    int n = *p < 0x80 ? 1 : *p >= 0xc2 && *p < 0xe0 ? 2 : *p >= 0xe0 && *p < 0xf0 ? 3 : *p >= 0xf0 && *p < 0xf5 ? 4 : 0;
    *code = n == 1 ? *p : n ? *p & (0x7f >> n) : -1;
    for (int i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) return *code = -1, 1; /* the final NUL ends here too */
        *code = *code << 6 | (p[i] & 0x3f);
    }
    if ((n == 3 && *code < 0x800) || (n == 4 && (*code < 0x10000 || *code > 0x10ffff)) ||
        (*code >= 0xd800 && *code < 0xe000))
        *code = -1, n = 1;
    return n ? n : 1;
}

static kind kind_of(int32_t c) {
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return LETTER;
    if (c >= '0' && c <= '9') return DIGIT;
    if ((c >= 0 && c <= ' ') || c == 0xa0 || c == 0x7f) return BLANK;
    if (c == '\'' || c == 0x2019) return APOSTROPHE;
    if (c == '-' || c == 0x2010 || c == 0x2011) return HYPHEN;
    if (c == '.') return DOT;
    if (c == ',') return COMMA;
    if (c == '&') return AMPERSAND;
    /* Latin with accents and the other alphabets; not the blocks of punctuation, symbols and pictures */
    bool latin = c >= 0xc0 && c < 0x2000 && c != 0xd7 && c != 0xf7;
    bool other = c >= 0x2c00 && c < 0xfe00 && !(c >= 0x2e00 && c < 0x2e80) && !(c >= 0x3000 && c < 0x3040) &&
                 !(c >= 0xd800 && c < 0xf900);
    return latin || other ? LETTER : MARK;
}

typedef struct {
    const unsigned char *start, *p;
    th_arena *arena;
    th_token *out;
    int count;
    bool sentence; /* at the start of one: a capital says nothing */
} tokenizer;

static kind peek(const unsigned char *p, int *length) {
    int32_t code;
    *length = decode(p, &code);
    return *p ? kind_of(code) : MARK;
}

/* Whether the mark at p, of `length` bytes, stands inside a word: between letters or digits, without blanks. */
static bool joins(const tokenizer *t, kind k, int length, kind before) {
    int n;
    bool mark = k == DOT || k == COMMA || k == APOSTROPHE || k == HYPHEN; /* so it is not the end of the text */
    if (!mark || (before != LETTER && before != DIGIT)) return false;
    kind after = peek(t->p + length, &n);
    if (k == DOT || k == COMMA) return before == DIGIT && after == DIGIT;
    return (k == APOSTROPHE || k == HYPHEN) && (after == LETTER || after == DIGIT);
}

/* Copies bytes in lower case (ASCII), with one kind of apostrophe and hyphen; blanks around hyphens go. */
static const char *normal_text(tokenizer *t, const unsigned char *begin, const unsigned char *end) {
    char *text = th_arena_alloc(t->arena, (size_t)(end - begin) + 1, 1);
    if (!text) return NULL;
    char *q = text;
    for (const unsigned char *p = begin; p < end;) {
        int32_t code;
        int n = decode(p, &code);
        kind k = kind_of(code);
        if (k == APOSTROPHE)
            *q++ = '\'';
        else if (k == HYPHEN)
            *q++ = '-';
        else if (k == LETTER && code < 0x80)
            *q++ = (char)(code | 0x20);
        else if (k != BLANK)
            memcpy(q, p, (size_t)n), q += n;
        p += n;
    }
    *q = '\0';
    return text;
}

static bool add(tokenizer *t, const unsigned char *begin, const unsigned char *end, uint32_t tags) {
    th_token *o = &t->out[t->count];
    *o = (th_token){.begin = (uint32_t)(begin - t->start), .end = (uint32_t)(end - t->start), .tags = tags};
    o->text = normal_text(t, begin, end);
    if (!o->text) return false;
    bool word = !(tags & (TH_TAG_BIT(TH_TAG_BREAK) | TH_TAG_BIT(TH_TAG_COMMA)));
    o->name = word && !t->sentence && *begin >= 'A' && *begin <= 'Z';
    if (tags & TH_TAG_BIT(TH_TAG_BREAK)) t->sentence = true;
    if (word) t->sentence = false;
    t->count++;
    return true;
}

/* "'s" is a verb after these. */
static bool takes_is(const char *word) {
    static const char *const words[] = {"he",   "here",  "how",  "it",   "let",   "she",
                                        "that", "there", "what", "when", "where", "who"};
    return bsearch(word, words, sizeof words / sizeof *words, sizeof *words, by_text) != NULL;
}

static uint32_t tags_of_s(const tokenizer *t) {
    bool verb = t->count && takes_is(t->out[t->count - 1].text);
    return TH_TAG_BIT(verb ? TH_TAG_AUX : TH_TAG_POSSESSIVE);
}

/* The end of the run of letters, digits and joining marks at p. */
static const unsigned char *word_end(tokenizer *t) {
    const unsigned char *begin = t->p;
    kind before = LETTER;
    for (int n = 0;; t->p += n) {
        kind k = peek(t->p, &n);
        if (k == APOSTROPHE && t->p == begin) continue; /* "'s", "'n" */
        if (k != LETTER && k != DIGIT && !joins(t, k, n, before)) break;
        before = k;
    }
    const unsigned char *end = t->p;
    t->p = begin;
    return end;
}

static bool is_closed(const unsigned char *begin, const unsigned char *end) {
    char word[16];
    if ((size_t)(end - begin) >= sizeof word) return false;
    snprintf(word, sizeof word, "%.*s", (int)(end - begin), (const char *)begin);
    return th_word_closed(word) != 0;
}

/* Past " - word" that follows a word: "tea - length" is one word that a tokenizer before us has cut. */
static const unsigned char *past_spaced_hyphen(tokenizer *t, const unsigned char *begin, const unsigned char *end) {
    if (strncmp((const char *)end, " - ", 3) != 0 || is_closed(begin, end)) return end;
    int n;
    if (peek(end + 3, &n) != LETTER) return end;
    const unsigned char *keep = t->p;
    t->p = end + 3;
    const unsigned char *next = word_end(t);
    t->p = keep;
    return next;
}

static bool is_number(const unsigned char *begin, const unsigned char *end) {
    for (const unsigned char *p = begin; p < end; p++)
        if (*p >= '0' && *p <= '9') return true;
    return false;
}

static bool add_word(tokenizer *t) {
    const unsigned char *begin = t->p, *end = word_end(t), *s = end;
    int apostrophe = 0;
    if (end - begin > 2 && (end[-1] == 's' || end[-1] == 'S')) {
        apostrophe = end[-2] == '\'' ? 1 : end - begin > 4 && memcmp(end - 4, "\xe2\x80\x99", 3) == 0 ? 3 : 0;
        if (apostrophe) s = end - 1 - apostrophe;
    }
    if (!apostrophe)
        for (const unsigned char *next; (next = past_spaced_hyphen(t, begin, end)) != end;) s = end = next;
    t->p = end;
    if (end - begin >= 2 && s == end && (*begin == '\'' || *begin == 0xe2)) {
        int n;
        bool is_s = peek(begin, &n) == APOSTROPHE && (begin[n] | 0x20) == 's' && begin + n + 1 == end;
        if (is_s) return add(t, begin, end, tags_of_s(t));
    }
    if (!add(t, begin, s, 0)) return false;
    th_token *o = &t->out[t->count - 1];
    o->tags = th_word_closed(o->text);
    if (!o->tags && is_number(begin, s)) o->tags = TH_TAG_BIT(TH_TAG_NUMBER);
    return s == end || t->count == TH_TOKENS_MAX || add(t, s, end, tags_of_s(t));
}

static bool add_mark(tokenizer *t, kind k, int length) {
    uint32_t tag = TH_TAG_BIT(k == COMMA ? TH_TAG_COMMA : k == AMPERSAND ? TH_TAG_CONJ : TH_TAG_BREAK);
    const unsigned char *begin = t->p;
    t->p += length;
    if (k != COMMA && k != AMPERSAND && t->count && t->out[t->count - 1].tags == tag) return true; /* "..." is one */
    return add(t, begin, t->p, tag);
}

/* Whether what follows an apostrophe is the rest of a shortened word, and not a quotation. */
static bool is_contraction(const unsigned char *p) {
    static const char *const rests[] = {"d", "em", "ll", "m", "n", "re", "s", "t", "ve"};
    size_t length = 0;
    for (int n; peek(p + length, &n) == LETTER || peek(p + length, &n) == DIGIT;) length += (size_t)n;
    for (size_t i = 0; i < sizeof rests / sizeof *rests; i++)
        if (strlen(rests[i]) == length && memcmp(p, rests[i], length) == 0) return true;
    return false;
}

int th_tokenize(const char *caption, th_arena *arena, th_token *out) {
    const unsigned char *start = (const unsigned char *)caption;
    tokenizer t = {.start = start, .p = start, .arena = arena, .out = out, .sentence = true};
    while (*t.p && t.count < TH_TOKENS_MAX && (size_t)(t.p - start) < UINT32_MAX / 2) {
        int n;
        kind k = peek(t.p, &n);
        if (k == BLANK) {
            t.p += n;
            continue;
        }
        bool word = k == LETTER || k == DIGIT || (k == APOSTROPHE && is_contraction(t.p + n));
        if (!(word ? add_word(&t) : add_mark(&t, k, n))) return -1;
    }
    return t.count;
}
