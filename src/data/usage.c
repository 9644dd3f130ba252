/* How words are used in a set of captions. */
#include "data/usage.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"

#define B TH_TAG_BIT

typedef struct tally_row {
    int64_t item;
    th_context context;
} tally_row;

/* --- slots --- */

/* Whether a word has a value of this attribute. */
static bool adjective_value(const th_kinds *k, const char *word, const char *attribute) {
    th_value v[8];
    int n = th_kinds_values(k, TH_CLASS_ADJ, word, v, 8);
    for (int i = 0; i < n; i++)
        if (!strcmp(th_kinds_attribute(v[i].attribute), attribute)) return true;
    return false;
}

/* A noun that says of what or in what colour something is: "leather jacket", "dressed in red". */
static bool noun_as_adjective(const th_usage *u, const th_caption *c, const th_chunk *np, int i) {
    const char *word = c->tokens[i].text;
    if (i < np->head)
        return adjective_value(u->kinds, word, "material") || adjective_value(u->kinds, word, "cloth") ||
               adjective_value(u->kinds, word, "colour");
    bool said_so = i > 0 && (!strcmp(c->tokens[i - 1].text, "in") || !strcmp(c->tokens[i - 1].text, "of"));
    return np->begin == np->head && said_so && adjective_value(u->kinds, word, "colour");
}

/* Joins tokens [begin, end) with `mark` between them, the last in its base form. */
static bool join(const th_usage *u, const th_caption *c, int begin, int end, char mark, char out[TH_WORD_MAX]) {
    char lemma[TH_WORD_MAX];
    size_t n = 0;
    th_lemma(u->lexicon->wordnet, c->tokens[end - 1].text, TH_WN_NOUN, lemma);
    for (int i = begin; i < end; i++) {
        const char *text = i + 1 < end ? c->tokens[i].text : lemma;
        size_t m = strlen(text);
        if (n + m + 2 > TH_WORD_MAX) return false;
        memcpy(out + n, text, m);
        n += m;
        out[n++] = mark;
    }
    out[n - 1] = '\0';
    return true;
}

/* Times the captions have the two words side by side, the second in its base form. */
static int64_t pair_count(const th_usage *u, const th_caption *c, int begin, int end) {
    char key[TH_WORD_MAX];
    return end - begin == 2 && join(u, c, begin, end, ' ', key) ? th_map_get(u->pairs, key, strlen(key), 0) : 0;
}

/* Whether an adjective or participle that WordNet has with the next noun ("polar bear", "swimming pool") makes one with
 * it here. Colours, ages and sizes do so only where the captions seldom have the noun without them: a "yellow jacket"
 * is a wasp in WordNet, a jacket in a wardrobe. */
static bool is_adjective_compound(const th_usage *u, const th_caption *c, int begin, int end) {
    char head[TH_WORD_MAX];
    th_lemma(u->lexicon->wordnet, c->tokens[end - 1].text, TH_WN_NOUN, head);
    if (th_kinds_person(u->kinds, head).family) return false; /* "young woman" is an entry, and still a woman */
    const char *word = c->tokens[begin].text;
    bool plain = adjective_value(u->kinds, word, "colour") || adjective_value(u->kinds, word, "age") ||
                 adjective_value(u->kinds, word, "size");
    if (!plain) return true;
    return pair_count(u, c, begin, end) * 3 >= th_map_get(u->pairs, head, strlen(head), 0);
}

/* Whether WordNet or the captions hold tokens [begin, end) for one noun. */
static bool is_compound(const th_usage *u, const th_caption *c, int begin, int end) {
    char key[TH_WORD_MAX];
    if (!join(u, c, begin, end, '_', key)) return false;
    bool known = th_wordnet_has(u->lexicon->wordnet, key, TH_WN_NOUN);
    if (!th_tag_in(c->tags[begin], TH_TAGS_NOUN)) return known && is_adjective_compound(u, c, begin, end);
    int64_t together = pair_count(u, c, begin, end);
    return known || (together >= 3 && together * 2 >= u->lexicon->words[c->words[begin]].count);
}

static void noun_slot(const th_usage *u, const th_caption *c, const th_chunk *np, th_slot *s) {
    int begin = np->head;
    for (int i = np->head - 1; i >= np->begin && i >= np->head - 2; i--) {
        if (!th_tag_in(c->tags[i], TH_TAGS_NOUN | TH_TAGS_VERB | B(TH_TAG_ADJ))) break;
        if (is_compound(u, c, i, np->end)) begin = i;
    }
    s->begin = begin;
    s->end = np->end;
    if (!join(u, c, begin, np->end, ' ', s->lemma)) snprintf(s->lemma, sizeof s->lemma, "%s", "");
    s->form = c->tags[np->head] == TH_TAG_PLURAL ? TH_FORM_PLURAL : TH_FORM_BASE;
    const char *first = c->tokens[np->begin].text;
    s->after_a = !strcmp(first, "a") || !strcmp(first, "an");
}

/* Whether "ate" or "eaten" is meant: spelling does not always say. */
static th_form form_of_ed(const th_caption *c, const th_parts *p, int k) {
    const th_chunk *vp = &p->chunks[k];
    for (int i = vp->begin; i < vp->head; i++)
        if (c->tags[i] == TH_TAG_AUX) return TH_FORM_PARTICIPLE;
    for (int i = 0; i < c->link_count; i++)
        if (c->links[i].right == vp->head && c->links[i].label[0] == 'S') return TH_FORM_PAST;
    return vp->object >= 0 ? TH_FORM_PAST : TH_FORM_PARTICIPLE;
}

static bool verb_slot(const th_usage *u, const th_caption *c, const th_parts *p, int k, th_slot *s) {
    const th_chunk *vp = &p->chunks[k];
    th_tag t = c->tags[vp->head];
    if (!th_tag_in(t, TH_TAGS_VERB)) return false;
    if (t == TH_TAG_VERB_ED && vp->head > 0 && !strcmp(c->tokens[vp->head - 1].text, "hand"))
        return false; /* "hand drawn" */
    th_lemma(u->lexicon->wordnet, c->tokens[vp->head].text, TH_WN_VERB, s->lemma);
    bool by_spelling = th_form_of(c->tokens[vp->head].text, s->lemma, TH_WN_VERB) == TH_FORM_PARTICIPLE;
    s->begin = vp->head;
    s->end = vp->head + 1;
    /* "sitting down" gives way as one */
    while (s->end < vp->end && (c->tokens[s->end].tags & B(TH_TAG_ADV))) s->end++;
    s->with_object = vp->object >= 0 && !vp->inverted;
    s->form = t == TH_TAG_VERB       ? TH_FORM_BASE
              : t == TH_TAG_VERB_S   ? TH_FORM_S
              : t == TH_TAG_VERB_ING ? TH_FORM_ING
              : by_spelling          ? TH_FORM_PARTICIPLE
                                     : form_of_ed(c, p, k);
    return true;
}

static void adjective_slot(const th_caption *c, int i, th_slot *s) {
    s->begin = i;
    s->end = i + 1;
    s->class = TH_CLASS_ADJ;
    s->form = TH_FORM_BASE;
    snprintf(s->lemma, sizeof s->lemma, "%s", c->tokens[i].text);
}

static void add(th_slot *out, int *n, const th_slot *s) {
    if (*n < TH_SLOTS_MAX && s->lemma[0] && s->lemma[1]) out[(*n)++] = *s; /* one letter is no word */
}

/* Adjectives of a noun phrase, up to where its noun begins. */
static void adjective_slots(const th_usage *u, const th_caption *c, const th_chunk *np, int k, int end, th_slot *out,
                            int *n) {
    for (int i = np->begin; i < end; i++) {
        bool adjective = c->tags[i] == TH_TAG_ADJ || (th_tag_in(c->tags[i], B(TH_TAG_VERB_ING) | B(TH_TAG_VERB_ED)));
        if (!adjective && !(th_tag_in(c->tags[i], TH_TAGS_NOUN) && noun_as_adjective(u, c, np, i))) continue;
        if (c->tokens[i].tags) continue; /* "other", "same" */
        th_slot s = {.chunk = k};
        adjective_slot(c, i, &s);
        add(out, n, &s);
    }
}

static void noun_phrase_slots(const th_usage *u, const th_caption *c, const th_chunk *np, int k, th_slot *out, int *n) {
    th_slot s = {.class = TH_CLASS_NOUN, .chunk = k};
    if (noun_as_adjective(u, c, np, np->head)) {
        adjective_slot(c, np->head, &s);
        add(out, n, &s);
        return;
    }
    noun_slot(u, c, np, &s);
    adjective_slots(u, c, np, k, s.begin, out, n);
    if (!c->tokens[np->head].name) add(out, n, &s);
}

int th_usage_slots(const th_usage *u, const th_caption *c, const th_parts *p, th_slot *out) {
    int n = 0;
    for (int k = 0; k < p->chunk_count; k++) {
        const th_chunk *h = &p->chunks[k];
        th_slot s = {.class = TH_CLASS_VERB, .chunk = k};
        if (h->kind == TH_CHUNK_NP) {
            noun_phrase_slots(u, c, h, k, out, &n);
        } else if (h->kind == TH_CHUNK_VP && verb_slot(u, c, p, k, &s)) {
            add(out, &n, &s);
        } else if (h->kind == TH_CHUNK_ADJ && !c->tokens[h->begin].tags) {
            adjective_slot(c, h->begin, &s);
            add(out, &n, &s);
        }
    }
    return n;
}

/* --- learning --- */

/* Keys begin with the class, so that one map holds the items of all. */
static size_t item_key(char *key, int class, const char *lemma) {
    return (size_t)snprintf(key, TH_WORD_MAX + 2, "%d%s", class, lemma);
}

int64_t th_usage_find(const th_usage *u, int class, const char *lemma) {
    char key[TH_WORD_MAX + 2];
    return th_map_get(u->by_lemma, key, item_key(key, class, lemma), -1);
}

/* The lemma with '_' for blanks where WordNet has it so, else its last word. */
static const char *wordnet_lemma(th_usage *u, const char *lemma, int class) {
    char *joined = th_arena_strdup(u->arena, lemma);
    if (!joined) return NULL;
    for (char *p = joined; *p; p++)
        if (*p == ' ') *p = '_';
    const char *blank = strrchr(lemma, ' ');
    if (!blank || th_wordnet_has(u->lexicon->wordnet, joined, (th_wn_pos) class)) return joined;
    return th_arena_strdup(u->arena, blank + 1);
}

/* Files of the lexicographers whose nouns can be seen. */
static bool is_visible(int file) {
    static const uint64_t files = 1ull << TH_WN_FILE_ANIMAL | 1ull << TH_WN_FILE_ARTIFACT | 1ull << TH_WN_FILE_BODY |
                                  1ull << TH_WN_FILE_FOOD | 1ull << TH_WN_FILE_LOCATION | 1ull << TH_WN_FILE_OBJECT |
                                  1ull << TH_WN_FILE_PERSON | 1ull << TH_WN_FILE_PLANT | 1ull << TH_WN_FILE_SUBSTANCE |
                                  1ull << TH_WN_FILE_PHENOMENON;
    return file >= 0 && file < 64 && files >> file & 1;
}

/* The senses that a caption means: of a noun those that can be seen, unless they are rare ("table" is more often an
 * array of numbers, "book" a work than a thing); the commonest, and the next if it is not much rarer. */
static void choose_senses(const th_usage *u, th_item *i) {
    const th_wordnet *w = u->lexicon->wordnet;
    th_sense senses[6];
    int n = th_wordnet_senses(w, i->wordnet, (th_wn_pos)i->class, senses, 6), most = 0, first = 0;
    bool noun = i->class == TH_CLASS_NOUN, seen = false;
    for (int k = 0; k < n; k++) {
        if (senses[k].tagged > most) most = senses[k].tagged;
        int file = th_wordnet_file(w, senses[k].synset);
        seen |=
            noun && is_visible(file) && senses[k].tagged * 5 >= most && !th_wordnet_is_instance(w, senses[k].synset);
    }
    i->file = -1;
    for (int k = 0; k < n && i->sense_count < TH_ITEM_SENSES; k++) {
        int file = th_wordnet_file(w, senses[k].synset);
        if (noun && (th_wordnet_is_instance(w, senses[k].synset) || (seen && !is_visible(file)))) continue;
        if (i->sense_count && senses[k].tagged * 3 < first) continue;
        if (i->sense_count && !senses[k].tagged) continue;
        if (!i->sense_count) first = senses[k].tagged, i->file = file;
        i->senses[i->sense_count++] = senses[k].synset;
    }
}

static void describe(const th_usage *u, th_item *i) {
    const char *blank = strrchr(i->lemma, ' ');
    i->person = th_kinds_person(u->kinds, i->lemma);
    if (i->class == TH_CLASS_NOUN) i->generic = th_kinds_generic(blank ? blank + 1 : i->lemma);
    choose_senses(u, i);
    i->living = i->person.family || i->file == TH_WN_FILE_PERSON || i->file == TH_WN_FILE_ANIMAL;
    i->concrete = i->class == TH_CLASS_NOUN && !i->generic && (i->living || is_visible(i->file));
}

static int64_t item_of(th_usage *u, const th_slot *s) {
    int64_t found = th_usage_find(u, s->class, s->lemma);
    if (found >= 0) return found;
    char key[TH_WORD_MAX + 2];
    size_t n = item_key(key, s->class, s->lemma);
    if (!th_grow(u->items, u->item_count, u->item_capacity)) return -1;
    th_item i = {.class = s->class, .lemma = th_arena_strdup(u->arena, s->lemma)};
    i.wordnet = i.lemma ? wordnet_lemma(u, s->lemma, s->class) : NULL;
    if (!i.wordnet || th_map_set(u->by_lemma, key, n, u->item_count) != TH_OK) return -1;
    describe(u, &i);
    u->items[u->item_count] = i;
    return u->item_count++;
}

static bool count_beside(th_usage *u, int64_t item, int32_t word, int place) {
    if (word < 0) return true;
    uint32_t feature = (uint32_t)word * 4 + (uint32_t)place;
    struct {
        int64_t item;
        int64_t feature;
    } key = {item, feature};
    int64_t at = th_map_get(u->seen, (const char *)&key, sizeof key, -1);
    if (at < 0) {
        if (!th_grow(u->tally, u->tally_count, u->tally_capacity)) return false;
        if (th_map_set(u->seen, (const char *)&key, sizeof key, u->tally_count) != TH_OK) return false;
        at = u->tally_count++;
        u->tally[at] = (tally_row){item, {feature, 0}};
    }
    u->tally[at].context.count++;
    return true;
}

static int32_t word_at(const th_caption *c, int i) { return i >= 0 && i < c->count ? c->words[i] : -1; }

static th_status count_slot(th_usage *u, const th_caption *c, const th_slot *s) {
    int64_t id = item_of(u, s);
    if (id < 0) return th_fail_memory();
    th_item *i = &u->items[id];
    i->count++;
    i->forms[s->form]++;
    i->after_a += s->after_a;
    if (!i->texts[s->form]) {
        char text[TH_WORD_MAX];
        size_t n = 0;
        for (int k = s->begin; k < s->end && n < sizeof text; k++)
            n += (size_t)snprintf(text + n, sizeof text - n, "%s%s", n ? " " : "", c->tokens[k].text);
        i->texts[s->form] = th_arena_strdup(u->arena, s->class == TH_CLASS_VERB ? c->tokens[s->begin].text : text);
        if (!i->texts[s->form]) return th_fail_memory();
    }
    bool counted = count_beside(u, id, word_at(c, s->begin - 1), 0) && count_beside(u, id, word_at(c, s->end), 1) &&
                   count_beside(u, id, word_at(c, s->begin - 2), 2) && count_beside(u, id, word_at(c, s->end + 1), 3);
    return counted ? TH_OK : th_fail_memory();
}

typedef struct {
    int64_t low, high;
} noun_pair;

static noun_pair pair_of(int64_t a, int64_t b) { return a < b ? (noun_pair){a, b} : (noun_pair){b, a}; }

static th_status count_together(th_usage *u, const th_slot *slots, int n) {
    for (int i = 0; i < n; i++) {
        for (int j = i + 1; j < n; j++) {
            if (slots[i].class != TH_CLASS_NOUN || slots[j].class != TH_CLASS_NOUN) continue;
            noun_pair key = pair_of(th_usage_find(u, TH_CLASS_NOUN, slots[i].lemma),
                                    th_usage_find(u, TH_CLASS_NOUN, slots[j].lemma));
            int64_t count = th_map_get(u->together, (const char *)&key, sizeof key, 0);
            TH_TRY(th_map_set(u->together, (const char *)&key, sizeof key, count + 1));
        }
    }
    return TH_OK;
}

static th_status count_key(th_usage *u, const char *key) {
    int64_t n = th_map_get(u->pairs, key, strlen(key), 0);
    return th_map_set(u->pairs, key, strlen(key), n + 1);
}

/* Nouns, and pairs of a noun or adjective with a noun, before compounds can be told. */
static th_status count_pairs(th_usage *u, const th_caption *c) {
    for (int i = 0; i < c->count; i++) {
        char key[TH_WORD_MAX];
        if (!th_tag_in(c->tags[i], TH_TAGS_NOUN)) continue;
        if (join(u, c, i, i + 1, ' ', key)) TH_TRY(count_key(u, key));
        if (i == 0 || !th_tag_in(c->tags[i - 1], TH_TAGS_NOUN | B(TH_TAG_ADJ))) continue;
        if (join(u, c, i - 1, i + 1, ' ', key)) TH_TRY(count_key(u, key));
    }
    return TH_OK;
}

static int by_item(const void *a, const void *b) {
    const tally_row *x = a, *y = b;
    if (x->item != y->item) return x->item < y->item ? -1 : 1;
    return x->context.word < y->context.word ? -1 : x->context.word > y->context.word;
}

static float weight(const th_usage *u, const th_context *c) {
    return logf(1.0f + (float)c->count) * u->rarity[c->word];
}

/* Rarity as in text retrieval: the logarithm of how many items there are for one that stands beside the word. */
static th_status weigh(th_usage *u) {
    u->features = u->lexicon->count * 4;
    u->rarity = th_alloc((size_t)u->features, sizeof *u->rarity);
    if (!u->rarity) return th_fail_memory();
    for (int64_t i = 0; i < u->tally_count; i++) u->rarity[u->tally[i].context.word] += 1;
    for (int64_t i = 0; i < u->features; i++)
        u->rarity[i] = u->rarity[i] > 0 ? logf(1.0f + (float)u->item_count / u->rarity[i]) : 0;
    return TH_OK;
}

static th_status gather(th_usage *u) {
    if (u->tally_count) qsort(u->tally, (size_t)u->tally_count, sizeof *u->tally, by_item);
    for (int64_t i = 0, end; i < u->tally_count; i = end) {
        th_item *item = &u->items[u->tally[i].item];
        for (end = i; end < u->tally_count && u->tally[end].item == u->tally[i].item;) end++;
        item->context_count = (int)(end - i);
        item->contexts = th_arena_alloc(u->arena, (size_t)(end - i), sizeof *item->contexts);
        if (!item->contexts) return th_fail_memory();
        float square = 0;
        for (int64_t k = i; k < end; k++) {
            item->contexts[k - i] = u->tally[k].context;
            float x = weight(u, &u->tally[k].context);
            square += x * x;
        }
        item->norm = sqrtf(square);
    }
    return TH_OK;
}

static th_status learn(th_usage *u, const th_caption *captions, int64_t n) {
    for (int64_t i = 0; i < n; i++) TH_TRY(count_pairs(u, &captions[i]));
    th_parts *parts = th_alloc(1, sizeof *parts);
    th_status status = parts ? TH_OK : th_fail_memory();
    for (int64_t i = 0; i < n && status == TH_OK; i++) {
        th_slot slots[TH_SLOTS_MAX];
        th_parts_find(&captions[i], u->lexicon, parts);
        int m = th_usage_slots(u, &captions[i], parts, slots);
        for (int k = 0; k < m && status == TH_OK; k++) status = count_slot(u, &captions[i], &slots[k]);
        if (status == TH_OK) status = count_together(u, slots, m);
    }
    th_free(parts);
    TH_TRY(status);
    TH_TRY(weigh(u));
    return gather(u);
}

th_status th_usage_build(const th_caption *captions, int64_t n, const th_lexicon *l, const th_kinds *k, th_usage *out) {
    *out = (th_usage){.lexicon = l, .kinds = k, .arena = th_arena_new()};
    out->by_lemma = th_map_new();
    out->pairs = th_map_new();
    out->seen = th_map_new();
    out->together = th_map_new();
    out->captions = n;
    bool made = out->arena && out->by_lemma && out->pairs && out->seen && out->together;
    th_status status = made ? learn(out, captions, n) : th_fail_memory();
    if (status != TH_OK) return th_usage_free(out), status;
    th_map_free(out->seen);
    th_free(out->tally);
    out->seen = NULL;
    out->tally = NULL;
    return TH_OK;
}

void th_usage_free(th_usage *u) {
    th_map_free(u->by_lemma);
    th_map_free(u->pairs);
    th_map_free(u->seen);
    th_map_free(u->together);
    th_free(u->tally);
    th_free(u->items);
    th_free(u->rarity);
    th_arena_free(u->arena);
    *u = (th_usage){0};
}

/* --- asking --- */

float th_usage_alike(const th_usage *u, const th_item *a, const th_item *b) {
    float dot = 0;
    for (int i = 0, j = 0; i < a->context_count && j < b->context_count;) {
        const th_context *x = &a->contexts[i], *y = &b->contexts[j];
        if (x->word == y->word) dot += weight(u, x) * weight(u, y);
        i += x->word <= y->word;
        j += y->word <= x->word;
    }
    return a->norm > 0 && b->norm > 0 ? dot / (a->norm * b->norm) : 0;
}

uint32_t th_usage_beside(const th_item *i, int32_t word, int place) {
    if (word < 0) return 0;
    uint32_t feature = (uint32_t)word * 4 + (uint32_t)place;
    int low = 0, high = i->context_count;
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (i->contexts[middle].word < feature)
            low = middle + 1;
        else
            high = middle;
    }
    return low < i->context_count && i->contexts[low].word == feature ? i->contexts[low].count : 0;
}

#define TOGETHER_LEAST 3
#define TOGETHER_LIFT 4.0 /* times as often as by chance */

bool th_usage_together(const th_usage *u, int64_t a, int64_t b) {
    noun_pair key = pair_of(a, b);
    int64_t count = th_map_get(u->together, (const char *)&key, sizeof key, 0);
    double chance = (double)u->items[a].count * (double)u->items[b].count / (double)u->captions;
    return count >= TOGETHER_LEAST && (double)count > TOGETHER_LIFT * chance;
}
