/* Captions: reading, parsing, tagging. */
#include "data/caption.h"

#include <math.h>
#include <string.h>

#define BREAK TH_TAG_BIT(TH_TAG_BREAK)
#define MARKS (BREAK | TH_TAG_BIT(TH_TAG_COMMA))

const char *th_source_text(th_source s) {
    return s == TH_SOURCE_PARSED ? "parsed" : s == TH_SOURCE_PARTLY ? "partly" : "fallback";
}

th_status th_caption_read(const char *text, th_lexicon *l, th_arena *arena, th_caption *out) {
    th_token tokens[TH_TOKENS_MAX];
    int n = th_tokenize(text, arena, tokens);
    if (n < 0) return th_fail_memory();
    size_t count = (size_t)n;
    *out = (th_caption){.text = text, .count = n, .source = TH_SOURCE_FALLBACK};
    out->tokens = th_arena_copy(arena, tokens, count * sizeof *tokens);
    out->words = th_arena_alloc(arena, count, sizeof *out->words);
    out->tags = th_arena_alloc(arena, count, sizeof *out->tags);
    out->parsed = th_arena_alloc(arena, count, sizeof *out->parsed);
    out->linked = th_arena_alloc(arena, count, sizeof *out->linked);
    if (th_arena_failed(arena)) return th_fail_memory();
    for (int i = 0; i < n; i++) {
        out->words[i] = -1;
        out->parsed[i] = TH_TAG_OTHER;
        if (tokens[i].tags & MARKS) continue;
        out->words[i] = th_lexicon_add(l, tokens[i].text, tokens[i].tags);
        if (out->words[i] < 0) return TH_E_MEMORY;
    }
    return TH_OK;
}

/* The tokens [begin, end) of one part, given to the parser; its links are taken over with the tokens' numbers. */
static th_status parse_part(th_caption *c, int begin, int end, const th_parser *p, const th_lexicon *l, th_link *links,
                            bool *linked_any) {
    const char *words[TH_PARSE_WORDS];
    th_word_prior priors[TH_PARSE_WORDS];
    int n = end - begin;
    th_parse parse;
    bool ok = false;
    if (n <= TH_PARSE_WORDS) {
        for (int i = 0; i < n; i++) {
            int32_t w = c->words[begin + i];
            words[i] = c->tokens[begin + i].text;
            priors[i] = w >= 0 ? th_lexicon_prior(&l->words[w]) : (th_word_prior){0};
        }
        TH_TRY(th_parser_run(p, words, priors, n, &parse, &ok));
    }
    if (!ok) {
        c->nulls += n;
        return TH_OK;
    }
    *linked_any = true;
    c->nulls += parse.nulls;
    for (int i = 0; i < n; i++) {
        c->parsed[begin + i] = parse.tags[i];
        c->linked[begin + i] = parse.linked[i];
    }
    for (int i = 0; i < parse.link_count && c->link_count < 2 * TH_TOKENS_MAX; i++) {
        th_link k = parse.links[i];
        k.left = (uint8_t)(k.left + begin);
        k.right = (uint8_t)(k.right + begin);
        links[c->link_count++] = k;
    }
    return TH_OK;
}

th_status th_caption_parse(th_caption *c, const th_parser *p, const th_lexicon *l, th_arena *arena) {
    th_link links[2 * TH_TOKENS_MAX] = {{0}};
    bool linked = false;
    c->link_count = c->nulls = 0;
    for (int begin = 0, end; begin < c->count; begin = end + 1) {
        for (end = begin; end < c->count && !(c->tokens[end].tags & BREAK);) end++;
        if (end > begin) TH_TRY(parse_part(c, begin, end, p, l, links, &linked));
    }
    c->links = th_arena_copy(arena, links, (size_t)c->link_count * sizeof *links);
    if (!c->links) return th_fail_memory();
    c->source = !linked ? TH_SOURCE_FALLBACK : c->nulls ? TH_SOURCE_PARTLY : TH_SOURCE_PARSED;
    return TH_OK;
}

bool th_caption_linked(const th_caption *c, int a, int b, const char *label) {
    size_t n = strlen(label);
    int left = a < b ? a : b, right = a < b ? b : a;
    for (int i = 0; i < c->link_count; i++)
        if (c->links[i].left == left && c->links[i].right == right && !strncmp(c->links[i].label, label, n))
            return true;
    return false;
}

/* Link Grammar's A and AN are such links, but not AF, AJ, AM, AZ, … */
bool th_caption_modifies(const th_caption *c, int i) {
    for (int k = 0; k < c->link_count; k++) {
        const th_link *l = &c->links[k];
        if (l->left != i || l->label[0] != 'A') continue;
        if (l->label[1] == '\0' || l->label[1] == 'N' || (l->label[1] >= 'a' && l->label[1] <= 'z')) return true;
    }
    return false;
}

/* The class that the parser took a token for, or −1. */
static int opinion(const th_caption *c, int i) {
    int class = th_tag_class(c->parsed[i]);
    return class == TH_CLASS_VERB && th_caption_modifies(c, i) ? TH_CLASS_ADJ : class;
}

void th_caption_teach(const th_caption *c, th_lexicon *l) {
    if (c->source != TH_SOURCE_PARSED) return;
    for (int i = 0; i < c->count; i++) {
        int class = opinion(c, i);
        if (c->words[i] >= 0 && class >= 0 && !l->words[c->words[i]].closed) l->words[c->words[i]].parsed[class]++;
    }
}

/* --- tagging --- */

/* What a tag is worth after another, in natural logarithms; pairs that are not here are worth nothing either way. */
static const struct {
    th_tag before;
    uint32_t after;
    float worth;
} pairs[] = {
#define B TH_TAG_BIT
#define FINITE (B(TH_TAG_VERB) | B(TH_TAG_VERB_S))
#define PARTICIPLE (B(TH_TAG_VERB_ED) | B(TH_TAG_VERB_ING))
#define NOMINAL (TH_TAGS_NOUN | B(TH_TAG_ADJ) | B(TH_TAG_NUMBER))
    {TH_TAG_DET, NOMINAL, 1},
    {TH_TAG_DET, FINITE, -4},
    {TH_TAG_DET, PARTICIPLE, -2},
    {TH_TAG_DET, B(TH_TAG_ADV) | B(TH_TAG_PREP) | B(TH_TAG_CONJ) | B(TH_TAG_AUX) | B(TH_TAG_BREAK), -2},
    {TH_TAG_POSSESSIVE, NOMINAL, 1},
    {TH_TAG_POSSESSIVE, FINITE | PARTICIPLE, -3},
    {TH_TAG_NUMBER, NOMINAL, 0.5f},
    {TH_TAG_NUMBER, B(TH_TAG_VERB_S), -2},
    {TH_TAG_ADJ, TH_TAGS_NOUN, 1},
    {TH_TAG_ADJ, FINITE, -2.5f},
    {TH_TAG_ADJ, B(TH_TAG_DET) | B(TH_TAG_PRON), -2},
    {TH_TAG_NOUN, B(TH_TAG_VERB_S), 0.5f},
    {TH_TAG_NOUN, B(TH_TAG_VERB), -2.5f},
    {TH_TAG_NOUN, B(TH_TAG_ADJ), -1.5f},
    {TH_TAG_PLURAL, B(TH_TAG_VERB), 0.5f},
    {TH_TAG_PLURAL, B(TH_TAG_VERB_S), -2},
    {TH_TAG_PLURAL, B(TH_TAG_ADJ), -1.5f},
    {TH_TAG_PLURAL, TH_TAGS_NOUN, -1},
    {TH_TAG_PREP, NOMINAL | B(TH_TAG_DET) | B(TH_TAG_PRON), 0.5f},
    {TH_TAG_PREP, FINITE | B(TH_TAG_VERB_ED), -3},
    {TH_TAG_PREP, B(TH_TAG_BREAK) | B(TH_TAG_COMMA) | B(TH_TAG_AUX), -2.5f},
    {TH_TAG_ADV, TH_TAGS_NOUN, -1.5f},
    {TH_TAG_TO, B(TH_TAG_VERB), 2.5f},
    {TH_TAG_TO, TH_TAGS_NOUN | B(TH_TAG_ADJ) | B(TH_TAG_DET) | B(TH_TAG_VERB_S) | PARTICIPLE, -4},
    {TH_TAG_TO, B(TH_TAG_AUX), 0.5f},
    {TH_TAG_AUX, PARTICIPLE, 1},
    {TH_TAG_AUX, FINITE, -1.5f},
    {TH_TAG_PRON, FINITE | B(TH_TAG_AUX), 1},
    {TH_TAG_PRON, NOMINAL, -2.5f},
    {TH_TAG_WH, B(TH_TAG_PRON) | B(TH_TAG_AUX), 0.5f},
    {TH_TAG_VERB, FINITE, -2.5f},
    {TH_TAG_VERB_S, FINITE, -2.5f},
    {TH_TAG_VERB_ED, FINITE, -2.5f},
    {TH_TAG_VERB_ING, FINITE, -2.5f},
    {TH_TAG_BREAK, FINITE, -2},
    {TH_TAG_BREAK, B(TH_TAG_VERB_ED), -1},
    {TH_TAG_COMMA, B(TH_TAG_VERB), -1},
    {TH_TAG_CONJ, B(TH_TAG_BREAK), -2},
};

static void fill_pairs(float worth[TH_TAG_COUNT][TH_TAG_COUNT]) {
    memset(worth, 0, sizeof(float) * TH_TAG_COUNT * TH_TAG_COUNT);
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        for (int t = 0; t < TH_TAG_COUNT; t++)
            if (th_tag_in((th_tag)t, pairs[i].after)) worth[pairs[i].before][t] = pairs[i].worth;
}

#define CHOICES 5
typedef struct {
    th_tag tag[CHOICES];
    float worth[CHOICES]; /* by the word alone; then of the best way up to here */
    int from[CHOICES];
    int count;
} column;

static void choose(column *k, th_tag t, float worth) {
    if (k->count < CHOICES) {
        k->tag[k->count] = t;
        k->worth[k->count++] = worth;
    }
}

/* The words of the closed classes that the parser's subscript tells apart: "in.r" a preposition, "up.e" an adverb. */
static float closed_worth(const th_caption *c, int i, th_tag t) {
    th_tag p = c->parsed[i];
    if (t == TH_TAG_TO) return 0;
    return p == TH_TAG_OTHER                                            ? 0
           : p == t                                                     ? 1.0f
           : th_tag_class(p) == th_tag_class(t) && th_tag_class(t) >= 0 ? 1
                                                                        : -0.5f;
}

/* The dictionary's gerunds stand for verbs ("a man running") and for nouns ("the building") alike. */
static bool agrees(const th_caption *c, int i, int class, int parsed) {
    return class == parsed || (class == TH_CLASS_NOUN && parsed == TH_CLASS_VERB && c->parsed[i] == TH_TAG_VERB_ING);
}

static void fill_column(const th_caption *c, const th_lexicon *l, int i, column *k) {
    uint32_t closed = c->tokens[i].tags;
    *k = (column){.count = 0};
    for (int t = 0; t < TH_TAG_COUNT; t++)
        if (th_tag_in((th_tag)t, closed)) choose(k, (th_tag)t, closed_worth(c, i, (th_tag)t));
    if (closed) return;
    /* the parser is believed more where it linked every word */
    float trust = c->source == TH_SOURCE_PARSED ? 3.0f : c->linked[i] ? 1.5f : 0;
    int parsed = opinion(c, i);
    float share[TH_CLASS_COUNT];
    const th_lex_word *w = &l->words[c->words[i]];
    th_lexicon_shares(w, share);
    for (int class = 0; class < TH_CLASS_COUNT; class ++)
        if (share[class] > 0 || class == parsed)
            choose(k, w->forms[class], logf(0.003f + share[class]) + (agrees(c, i, class, parsed) ? trust : 0));
}

/* Viterbi's algorithm over at most CHOICES tags a token. */
void th_caption_tag(th_caption *c, const th_lexicon *l) {
    float worth[TH_TAG_COUNT][TH_TAG_COUNT];
    column columns[TH_TOKENS_MAX];
    fill_pairs(worth);
    for (int i = 0; i < c->count; i++) {
        column *k = &columns[i];
        fill_column(c, l, i, k);
        for (int j = 0; j < k->count; j++) {
            float best = i ? -INFINITY : worth[TH_TAG_BREAK][k->tag[j]];
            for (int b = 0; i && b < columns[i - 1].count; b++) {
                float way = columns[i - 1].worth[b] + worth[columns[i - 1].tag[b]][k->tag[j]];
                if (way > best) best = way, k->from[j] = b;
            }
            k->worth[j] += best;
        }
    }
    if (!c->count) return;
    const column *last = &columns[c->count - 1];
    int at = 0;
    for (int j = 0; j < last->count; j++)
        if (last->worth[j] + worth[last->tag[j]][TH_TAG_BREAK] > last->worth[at] + worth[last->tag[at]][TH_TAG_BREAK])
            at = j;
    for (int i = c->count - 1; i >= 0; at = columns[i].from[at], i--) c->tags[i] = columns[i].tag[at];
}
