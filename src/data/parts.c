/* Chunks of a caption, and the parts that they make. */
#include "data/parts.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "data/kinds.h"

#define B TH_TAG_BIT
#define FINITE (B(TH_TAG_VERB) | B(TH_TAG_VERB_S))

typedef struct {
    const th_caption *c;
    const th_lexicon *l;
    th_parts *out;
} builder;

static th_tag tag(const builder *b, int i) { return i >= 0 && i < b->c->count ? b->c->tags[i] : TH_TAG_BREAK; }
static bool tagged(const builder *b, int i, uint32_t tags) { return th_tag_in(tag(b, i), tags); }
static const char *word(const builder *b, int i) { return i >= 0 && i < b->c->count ? b->c->tokens[i].text : ""; }

static bool one_of(const char *list, const char *text) {
    char key[TH_WORD_MAX + 2];
    return *text && snprintf(key, sizeof key, " %s ", text) < (int)sizeof key && strstr(list, key) != NULL;
}

/* --- chunks --- */

/* Where a run "ADJ , ADJ and ADJ NOUN" goes on after the comma or conjunction at i; i when it does not. */
static int next_adjective(const builder *b, int i) {
    int k = i + 1;
    if (!tagged(b, i - 1, B(TH_TAG_ADJ)) || !tagged(b, i, B(TH_TAG_COMMA) | B(TH_TAG_CONJ))) return i;
    if (tagged(b, i, B(TH_TAG_COMMA)) && tagged(b, k, B(TH_TAG_CONJ))) k++;
    int first = k;
    while (tagged(b, k, B(TH_TAG_ADJ))) k++;
    bool more = tagged(b, k, B(TH_TAG_COMMA) | B(TH_TAG_CONJ)) && next_adjective(b, k) != k;
    return k > first && (more || tagged(b, k, TH_TAGS_NOUN)) ? k : i;
}

/* A participle before its noun: "smiling bride", "a painted wall". */
static bool premodifying(const builder *b, int i, int begin) {
    if (!tagged(b, i, B(TH_TAG_VERB_ED) | B(TH_TAG_VERB_ING)) || !tagged(b, i + 1, TH_TAGS_NOUN | B(TH_TAG_ADJ)))
        return false;
    bool inside =
        i > begin && tagged(b, i - 1, B(TH_TAG_DET) | B(TH_TAG_NUMBER) | B(TH_TAG_ADJ) | B(TH_TAG_POSSESSIVE));
    return inside || th_caption_modifies(b->c, i);
}

/* Past adjectives and the like at i. */
static int past_modifiers(const builder *b, int i, int begin) {
    for (int k;; i = k) {
        k = i;
        if (tagged(b, i, B(TH_TAG_ADJ)) || premodifying(b, i, begin))
            k = i + 1;
        else if (tagged(b, i, B(TH_TAG_ADV)) && i > begin && tagged(b, i + 1, B(TH_TAG_ADJ) | B(TH_TAG_VERB_ED)) &&
                 past_modifiers(b, i + 1, begin) > i + 1)
            k = i + 1;
        else
            k = next_adjective(b, i);
        if (k == i) return i;
    }
}

static bool paired_adverb(const builder *b, int i, th_chunk *out);

static bool noun_phrase(const builder *b, int i, th_chunk *out) {
    int begin = i, nouns;
    if (one_of(" all both half such ", word(b, i)) && tagged(b, i + 1, B(TH_TAG_DET))) i++;
    if (tagged(b, i, B(TH_TAG_DET))) i++;
    while (tagged(b, i, B(TH_TAG_NUMBER))) i++;
    for (;;) {
        i = past_modifiers(b, i, begin);
        nouns = i;
        th_chunk adverb;
        while (tagged(b, i, TH_TAGS_NOUN) && !paired_adverb(b, i, &adverb)) i++;
        if (i == nouns) return false;
        if (!tagged(b, i, B(TH_TAG_POSSESSIVE))) break;
        i++;
    }
    *out = (th_chunk){.kind = TH_CHUNK_NP, .begin = begin, .end = i, .head = i - 1, .nouns = nouns};
    return true;
}

static bool verb_group(const builder *b, int i, th_chunk *out) {
    int begin = i, head = -1;
    for (; tagged(b, i, B(TH_TAG_AUX) | B(TH_TAG_NOT) | B(TH_TAG_ADV)); i++)
        if (tagged(b, i, B(TH_TAG_AUX))) head = i;
    if (tagged(b, i, TH_TAGS_VERB)) head = i++;
    if (head < 0) return false;
    i = head + 1;
    while (tagged(b, i, B(TH_TAG_ADV)) && !tagged(b, i + 1, B(TH_TAG_ADJ))) i++;
    *out = (th_chunk){.kind = TH_CHUNK_VP, .begin = begin, .end = i, .head = head};
    return true;
}

/* Nouns that make a preposition with the words around them: "to the left of", "in front of". */
#define RELATIONAL " front top side left right middle center centre back bottom edge end rear midst "

static bool preposition(const builder *b, int i, th_chunk *out) {
    int begin = i;
    bool near = tagged(b, i, B(TH_TAG_ADJ) | B(TH_TAG_ADV)) && one_of(" next close adjacent ", word(b, i)) &&
                strcmp(word(b, i + 1), "to") == 0;
    bool beside = one_of(" left right ", word(b, i)) && strcmp(word(b, i + 1), "of") == 0;
    if (near || beside) i++;
    if (!tagged(b, i, B(TH_TAG_PREP))) return false;
    while (tagged(b, i + 1, B(TH_TAG_PREP))) i++;
    bool places = th_word_places(word(b, i));
    int noun = i + 1 + tagged(b, i + 1, B(TH_TAG_DET));
    if (tagged(b, noun, B(TH_TAG_ADJ)) && one_of(" left right far very other ", word(b, noun)) &&
        one_of(RELATIONAL, word(b, noun + 1)))
        noun++;
    if (one_of(RELATIONAL, word(b, noun)) && strcmp(word(b, noun + 1), "of") == 0) i = noun + 1;
    *out = (th_chunk){.kind = TH_CHUNK_PREP, .begin = begin, .end = i + 1, .head = i, .places = places};
    return true;
}

static th_chunk single(const builder *b, int i) {
    th_chunk k = {.kind = TH_CHUNK_OTHER, .begin = i, .end = i + 1, .head = i};
    switch (tag(b, i)) {
    case TH_TAG_CONJ: k.kind = TH_CHUNK_CONJ; break;
    case TH_TAG_COMMA: k.kind = TH_CHUNK_COMMA; break;
    case TH_TAG_ADJ: k.kind = TH_CHUNK_ADJ; break;
    case TH_TAG_ADV: k.kind = TH_CHUNK_ADV; break;
    case TH_TAG_PRON: k.kind = TH_CHUNK_PRON; break;
    case TH_TAG_WH: k.kind = TH_CHUNK_WH; break;
    case TH_TAG_TO: k.kind = TH_CHUNK_TO; break;
    default: break;
    }
    return k;
}

#define MODALS " can could may might must shall should will would "
#define ADDRESS " i you we me us my your our mine yours myself yourself "
#define CONDITIONS " if whether unless because when until while although though how what why where who which "

/* Whether the sentence [begin, end) says something else than how things are in view. */
static bool is_hedged(const builder *b, int begin, int end) {
    if (one_of(CONDITIONS, word(b, begin)) || strcmp(word(b, end), "?") == 0) return true;
    if (tagged(b, begin, B(TH_TAG_VERB) | B(TH_TAG_TO))) return true;
    for (int i = begin; i < end; i++)
        if (tagged(b, i, B(TH_TAG_NOT)) || one_of(MODALS ADDRESS, word(b, i)) ||
            one_of(" if whether unless ", word(b, i)))
            return true;
    return false;
}

/* "side by side", "hand in hand", "face to face". */
static bool paired_adverb(const builder *b, int i, th_chunk *out) {
    if (!tagged(b, i, TH_TAGS_NOUN) || !tagged(b, i + 1, B(TH_TAG_PREP) | B(TH_TAG_TO)) ||
        strcmp(word(b, i), word(b, i + 2)))
        return false;
    *out = (th_chunk){.kind = TH_CHUNK_ADV, .begin = i, .end = i + 3, .head = i};
    return true;
}

static void find_chunks(builder *b) {
    th_parts *o = b->out;
    int sentence = 0;
    for (int i = 0; i < b->c->count;) {
        th_chunk k;
        if (!paired_adverb(b, i, &k) && !preposition(b, i, &k) && !noun_phrase(b, i, &k) && !verb_group(b, i, &k))
            k = single(b, i);
        o->chunks[o->chunk_count++] = k;
        i = k.end;
        if (i < b->c->count && !tagged(b, k.begin, B(TH_TAG_BREAK))) continue;
        int end = tagged(b, k.begin, B(TH_TAG_BREAK)) ? k.begin : i, first = o->chunk_count - 1;
        while (first > 0 && o->chunks[first - 1].begin >= sentence) first--;
        bool hedged = is_hedged(b, sentence, end);
        for (int j = first; j < o->chunk_count; j++) o->chunks[j].hedged = hedged;
        sentence = i;
    }
}

/* --- what chunks are --- */

static const th_chunk *chunk(const builder *b, int k) {
    static const th_chunk none = {.kind = TH_CHUNK_OTHER};
    return k >= 0 && k < b->out->chunk_count ? &b->out->chunks[k] : &none;
}
static th_chunk_kind kind(const builder *b, int k) { return chunk(b, k)->kind; }

static void lemma_of(const builder *b, int i, th_wn_pos pos, char out[TH_WORD_MAX]) {
    if (!th_lemma(b->l->wordnet, word(b, i), pos, out)) snprintf(out, TH_WORD_MAX, "%s", word(b, i));
}

/* Whether the noun names something that can be seen, by its two likeliest senses. */
static bool concrete(const builder *b, int head) {
    static const uint64_t files = 1ull << TH_WN_FILE_ANIMAL | 1ull << TH_WN_FILE_ARTIFACT | 1ull << TH_WN_FILE_BODY |
                                  1ull << TH_WN_FILE_FOOD | 1ull << TH_WN_FILE_GROUP | 1ull << TH_WN_FILE_OBJECT |
                                  1ull << TH_WN_FILE_PERSON | 1ull << TH_WN_FILE_PHENOMENON | 1ull << TH_WN_FILE_PLANT |
                                  1ull << TH_WN_FILE_SUBSTANCE;
    char lemma[TH_WORD_MAX];
    lemma_of(b, head, TH_WN_NOUN, lemma);
    if (th_kinds_generic(lemma)) return false;
    th_sense senses[2];
    int n = th_wordnet_senses(b->l->wordnet, lemma, TH_WN_NOUN, senses, 2);
    for (int i = 0; i < n; i++) {
        int file = th_wordnet_file(b->l->wordnet, senses[i].synset);
        if (file >= 0 && file < 64 && files >> file & 1) return true;
    }
    return n == 0; /* unknown: a name or a new thing */
}

static bool generic(const builder *b, const th_chunk *np) {
    char lemma[TH_WORD_MAX];
    lemma_of(b, np->head, TH_WN_NOUN, lemma);
    return np->nouns == np->head && th_kinds_generic(lemma);
}

static bool shows(const builder *b, const th_chunk *np) {
    char lemma[TH_WORD_MAX];
    lemma_of(b, np->head, TH_WN_NOUN, lemma);
    return th_kinds_shows(lemma);
}

static bool wishes(const builder *b, const th_chunk *vp) {
    char lemma[TH_WORD_MAX];
    lemma_of(b, vp->head, TH_WN_VERB, lemma);
    return th_kinds_wishes(lemma);
}

static bool is_of(const builder *b, const th_chunk *k) {
    return k->kind == TH_CHUNK_PREP && k->end == k->begin + 1 && strcmp(word(b, k->head), "of") == 0;
}

static bool starts_sentence(const builder *b, int k) {
    return k == 0 || tagged(b, chunk(b, k - 1)->begin, B(TH_TAG_BREAK));
}

/* A picture of a thing holds it; what holds a thing "for" something may not hold that. */
static bool in_view(const builder *b, int k) {
    const th_chunk *np = chunk(b, k), *before = chunk(b, k - 1);
    if (one_of(" any every each either such what ", word(b, np->begin))) return false;
    /* "the costume that actor wore" */
    if (np->begin > 0 && strcmp(word(b, np->begin), "that") == 0 && tagged(b, np->begin - 1, TH_TAGS_NOUN))
        return false;
    if (starts_sentence(b, k)) return true;
    if (before->kind == TH_CHUNK_PREP) {
        if (is_of(b, before) && kind(b, k - 2) == TH_CHUNK_NP && !shows(b, chunk(b, k - 2)) &&
            !concrete(b, chunk(b, k - 2)->head))
            return false;
        return before->places && concrete(b, np->head);
    }
    if (before->kind == TH_CHUNK_VP)
        return !wishes(b, before) && !tagged(b, before->begin, B(TH_TAG_NOT)) && concrete(b, np->head);
    if (tagged(b, np->begin - 1, B(TH_TAG_NOT) | B(TH_TAG_TO))) return false;
    return concrete(b, np->head);
}

static bool stands_alone(const builder *b, int k) {
    const th_chunk *np = chunk(b, k);
    if (generic(b, np) || !in_view(b, k)) return false;
    if (np->hedged && !concrete(b, np->head)) return false;
    return !is_of(b, chunk(b, k + 1)) || (!shows(b, np) && concrete(b, np->head));
}

/* "in the shape", "a group": what such nouns are nouns of must not be cut off. */
static bool ends_well(const builder *b, int k) {
    return !is_of(b, chunk(b, k + 1)) || (!shows(b, chunk(b, k)) && !generic(b, chunk(b, k)));
}

/* Frames 1 to 3 of WordNet's verbs: "Something ----s", "Somebody ----s", "It is ----ing". */
static bool verb_stands_alone(const builder *b, const th_chunk *vp) {
    char lemma[TH_WORD_MAX];
    th_sense senses[4];
    bool participle = tagged(b, vp->head, B(TH_TAG_VERB_ED)) && !th_caption_linked(b->c, vp->head, vp->head - 1, "S");
    if (tagged(b, vp->head, B(TH_TAG_AUX)) || participle) return false;
    lemma_of(b, vp->head, TH_WN_VERB, lemma);
    if (th_kinds_light(lemma)) return false;
    int n = th_wordnet_senses(b->l->wordnet, lemma, TH_WN_VERB, senses, 4);
    uint64_t frames = 0;
    for (int i = 0; i < n; i++) frames |= th_wordnet_frames(b->l->wordnet, senses[i].synset);
    return (frames & 0xe) != 0;
}

/* --- what belongs together --- */

/* Whether the parser knows both tokens: only then does a missing link say anything. */
static bool both_linked(const builder *b, int i, int j) { return b->c->linked[i] && b->c->linked[j]; }

/* Whether a verb group hangs on a noun: as its predicate (S) or as a participle after it (M). */
static bool hangs_on(const builder *b, const th_chunk *vp, int noun) {
    for (int i = vp->begin; i <= vp->head; i++)
        if (th_caption_linked(b->c, noun, i, "S") || th_caption_linked(b->c, noun, i, "M")) return true;
    return false;
}

/* "the beach showing": what stands under a preposition rarely does anything, save in "photo of a dog running". */
static bool can_act(const builder *b, int k, const th_chunk *vp) {
    const th_chunk *before = chunk(b, k - 1);
    if (before->kind != TH_CHUNK_PREP || !tagged(b, vp->head, B(TH_TAG_VERB_ING) | B(TH_TAG_VERB_ED))) return true;
    return is_of(b, before) && kind(b, k - 2) == TH_CHUNK_NP && shows(b, chunk(b, k - 2));
}

/* "a coat", "there is a coat", "a photo of a coat": what is introduced so does what the next participle says, whatever
 * the parser made of it. */
static bool is_introduced(const builder *b, int k) {
    const th_chunk *there = chunk(b, k - 2);
    bool exists =
        kind(b, k - 1) == TH_CHUNK_VP && there->kind == TH_CHUNK_PRON && strcmp(word(b, there->begin), "there") == 0;
    return starts_sentence(b, k) || exists;
}

/* Whether a link of this label ends in one of tokens [begin, end) from before them. */
static bool linked_before(const builder *b, int begin, int end, char label) {
    for (int i = 0; i < b->c->link_count; i++) {
        const th_link *k = &b->c->links[i];
        if (k->right >= begin && k->right < end && k->left < begin && (!label || k->label[0] == label)) return true;
    }
    return false;
}

static bool takes_subject(const builder *b, int subject, int first, const th_chunk *vp) {
    const th_chunk *np = chunk(b, first);
    if (!can_act(b, first, vp)) return false;
    bool adjacent = vp->begin == np->end && is_introduced(b, first);
    if (adjacent && tagged(b, vp->head, B(TH_TAG_VERB_ING))) return true;
    /* "a coat lies left of": the parser has made something else of the subject */
    if (adjacent && tagged(b, vp->head, FINITE) && !linked_before(b, vp->begin, vp->end, 'S')) return true;
    if (both_linked(b, subject, vp->head)) return hangs_on(b, vp, subject);
    return starts_sentence(b, first) && subject == np->head;
}

static bool takes_object(const builder *b, const th_chunk *vp, const th_chunk *np) {
    if (!both_linked(b, vp->head, np->head)) return true;
    if (th_caption_linked(b->c, vp->head, np->head, "O") || th_caption_linked(b->c, vp->head, np->head, "S"))
        return true;
    /* a list of objects hangs on its conjunction */
    for (int i = 0; i < b->c->link_count; i++) {
        const th_link *k = &b->c->links[i];
        if (k->left == vp->head && k->right >= np->head && (k->label[0] == 'O' || k->label[0] == 'S') &&
            tagged(b, k->right, B(TH_TAG_CONJ) | B(TH_TAG_COMMA)))
            return true;
    }
    return false;
}

/* Whether a preposition hangs on the noun, or on the verb where the part has one. */
static bool takes_place(const builder *b, const th_chunk *prep, int noun, const th_chunk *vp) {
    int p = prep->begin;
    if (prep->end > prep->begin + 1)
        return true; /* "left of", "in front of": the parser takes the noun in them for one */
    if (!b->c->linked[p]) p = prep->head;
    if (!both_linked(b, noun, p)) return true;
    for (; p <= prep->head; p++) {
        if (th_caption_linked(b->c, noun, p, "M")) return true;
        if (vp && (th_caption_linked(b->c, vp->head, p, "M") || th_caption_linked(b->c, vp->head, p, "P") ||
                   th_caption_linked(b->c, vp->head, p, "K")))
            return true;
    }
    return false;
}

/* The last chunk of the list of noun phrases that begins at chunk k ("a dress, a bag and a coat"); k when there is
 * none. *conj: the token on which the list hangs. Only where the parser says so. */
static int end_of_list(const builder *b, int k, int *conj) {
    int last = k;
    for (int i = k; kind(b, i) == TH_CHUNK_NP;) {
        int mark = i + 1;
        if (kind(b, mark) != TH_CHUNK_COMMA && kind(b, mark) != TH_CHUNK_CONJ) break;
        int next = mark + 1;
        if (kind(b, mark) == TH_CHUNK_COMMA && kind(b, next) == TH_CHUNK_CONJ) mark = next++;
        if (kind(b, next) != TH_CHUNK_NP) break;
        int m = chunk(b, mark)->head;
        bool linked = th_caption_linked(b->c, m, chunk(b, next)->head, "SJ");
        if (!linked) break;
        i = next;
        if (kind(b, mark) == TH_CHUNK_CONJ) last = next, *conj = m;
    }
    return last;
}

static bool inside_list(const builder *b, int k) {
    th_chunk_kind before = kind(b, k - 1);
    return before == TH_CHUNK_CONJ || before == TH_CHUNK_COMMA;
}

/* --- parts --- */

static void keep(builder *b, th_part p) {
    th_parts *o = b->out;
    if (o->part_count == TH_PARTS_MAX) return;
    for (int i = 0; i < o->part_count; i++) {
        const th_part *q = &o->parts[i];
        if (q->begin == p.begin && q->end == p.end && q->drop_begin == p.drop_begin && q->drop_end == p.drop_end)
            return;
    }
    int content = 0;
    bool verb = false;
    p.whole = p.drop_begin == p.drop_end;
    for (int i = 0; i < b->c->count; i++) {
        if (!th_part_has(&p, i)) {
            if (!tagged(b, i, B(TH_TAG_BREAK))) p.whole = false;
            continue;
        }
        content += tagged(b, i, TH_TAGS_OPEN);
        verb |= tagged(b, i, TH_TAGS_VERB);
    }
    p.weight = 1 + (content < 6 ? content : 6) + (verb ? 2 : 0) - (p.drop_begin != p.drop_end ? 1 : 0);
    o->parts[o->part_count++] = p;
}

/* The adjectives of a noun phrase that may go; false when there are none or they must stay. */
static bool droppable(const builder *b, const th_chunk *np, int *begin, int *end) {
    *end = np->nouns;
    *begin = np->nouns;
    while (*begin > np->begin && !tagged(b, *begin - 1, B(TH_TAG_DET) | B(TH_TAG_NUMBER) | B(TH_TAG_POSSESSIVE)))
        --*begin;
    if (*begin == *end) return false;
    for (int i = *begin; i < *end; i++)
        if (th_kinds_fixed(word(b, i))) return false;
    const char *adjective = word(b, *end - 1), *noun = word(b, np->nouns);
    char joined[2 * TH_WORD_MAX];
    size_t seam = strlen(adjective);
    if (seam + 1 + strlen(noun) >= sizeof joined) return true; /* no word of WordNet's is so long */
    snprintf(joined, sizeof joined, "%s_%s", adjective, noun);
    bool compound = th_wordnet_has(b->l->wordnet, joined, TH_WN_NOUN); /* "polar bear" is no bear in a polar way */
    joined[seam] = '-';                                                /* "high-rise" */
    return !compound && !th_wordnet_has(b->l->wordnet, joined, TH_WN_NOUN);
}

/* Keeps the part of chunks first … last, and with the adjectives of one of its noun phrases dropped. */
static void keep_chunks(builder *b, int first, int last, int drop_begin, int drop_end) {
    th_part p = {chunk(b, first)->begin, chunk(b, last)->end, drop_begin, drop_end, 0, false};
    keep(b, p);
    if (drop_begin != drop_end) return;
    for (int k = first; k <= last; k++)
        if (kind(b, k) == TH_CHUNK_NP && droppable(b, chunk(b, k), &p.drop_begin, &p.drop_end)) keep(b, p);
}

/* A part under way: it begins at chunk `first` and has reached `last`. */
typedef struct {
    int first, last;
    int noun;             /* token on which the next preposition may hang */
    int subject;          /* token on which a verb may hang */
    int list;             /* the conjunction of a list under way, on which either may hang; or −1 */
    int verb;             /* chunk, or −1 */
    int aside, aside_end; /* tokens between subject and verb that may be dropped */
} way;

static void keep_way(builder *b, const way *w) {
    keep_chunks(b, w->first, w->last, w->aside, w->aside);
    if (w->verb >= 0 && w->aside != w->aside_end) keep_chunks(b, w->first, w->last, w->aside, w->aside_end);
}

static bool step_over_list(builder *b, way *w) {
    int conj = -1, end = end_of_list(b, w->last, &conj);
    if (end == w->last) return false;
    if (w->last == w->first && !inside_list(b, w->first)) w->subject = conj;
    w->list = conj;
    w->last = end;
    w->noun = chunk(b, end)->head;
    keep_way(b, w);
    return true;
}

static bool step_over_place(builder *b, way *w) {
    const th_chunk *prep = chunk(b, w->last + 1), *np = chunk(b, w->last + 2);
    const th_chunk *vp = w->verb >= 0 ? chunk(b, w->verb) : NULL;
    bool placed = takes_place(b, prep, w->noun, vp) || (w->list >= 0 && takes_place(b, prep, w->list, vp)) ||
                  (w->verb == w->last && takes_place(b, prep, w->subject, vp));
    if (np->kind != TH_CHUNK_NP || !placed) return false;
    if (!vp && w->aside == w->aside_end) w->aside = prep->begin;
    w->last += 2;
    w->list = -1;
    if (!vp) w->aside_end = np->end;
    w->noun = np->head;
    if (ends_well(b, w->last)) keep_way(b, w);
    return true;
}

/* "of X" belongs to its noun; only a place may be dropped. */
static void forget_aside(const builder *b, way *w) {
    if (w->aside != w->aside_end && strcmp(word(b, w->aside), "of") == 0) w->aside_end = w->aside;
}

/* "looking through": the particle may be a preposition whose noun the tags have missed. */
static bool hangs_open(const builder *b, const th_chunk *vp, const th_chunk *next) {
    bool particle = vp->end > vp->head + 1 && b->c->tokens[vp->end - 1].tags & B(TH_TAG_PREP);
    return particle && next->kind != TH_CHUNK_PREP &&
           !tagged(b, vp->end, B(TH_TAG_BREAK) | B(TH_TAG_COMMA) | B(TH_TAG_CONJ));
}

static bool step_over_verb(builder *b, way *w) {
    int k = w->last + 1;
    const th_chunk *vp = chunk(b, k), *next = chunk(b, k + 1);
    if (w->verb >= 0 || vp->hedged || vp->inverted || inside_list(b, w->first)) return false;
    if (!takes_subject(b, w->subject, w->first, vp)) {
        /* "illustration of a boy walking": it hangs on the nearer noun */
        if (w->noun == w->subject || !tagged(b, vp->head, B(TH_TAG_VERB_ING)) || !both_linked(b, w->noun, vp->head) ||
            !hangs_on(b, vp, w->noun) || !is_of(b, chunk(b, k - 2)))
            return false;
        w->aside_end = w->aside;
        w->subject = w->noun;
    }
    forget_aside(b, w);
    w->verb = k;
    w->last = k;
    w->noun = vp->head;
    if (vp->object >= 0) {
        w->last = k + 1;
        w->noun = next->head;
        if (ends_well(b, k + 1)) keep_way(b, w);
    } else if (next->kind == TH_CHUNK_ADJ) {
        w->last = k + 1;
        keep_way(b, w);
    } else if (next->kind != TH_CHUNK_TO && next->kind != TH_CHUNK_NP && next->kind != TH_CHUNK_PRON &&
               verb_stands_alone(b, vp) && !hangs_open(b, vp, next)) {
        keep_way(b, w);
    }
    return true;
}

static bool step(builder *b, way *w) {
    switch (kind(b, w->last + 1)) {
    case TH_CHUNK_CONJ:
    case TH_CHUNK_COMMA: return kind(b, w->last) == TH_CHUNK_NP && step_over_list(b, w);
    case TH_CHUNK_PREP: return step_over_place(b, w);
    case TH_CHUNK_VP: return step_over_verb(b, w);
    default: return false;
    }
}

static void from_noun_phrase(builder *b, int k) {
    const th_chunk *np = chunk(b, k);
    if (stands_alone(b, k)) keep_chunks(b, k, k, np->begin, np->begin);
    if (!in_view(b, k) || (np->hedged && !concrete(b, np->head))) return;
    way w = {.first = k,
             .last = k,
             .noun = np->head,
             .subject = np->head,
             .list = -1,
             .verb = -1,
             .aside = np->end,
             .aside_end = np->end};
    while (step(b, &w)) continue;
}

/* "On a blue table were green grapes", "there is a park", "mixing the flour": what comes before the first noun phrase.
 */
static void from_sentence_start(builder *b, int k) {
    if (chunk(b, k)->hedged) return;
    int verb = -1, start = k;
    if (kind(b, k) == TH_CHUNK_PREP && kind(b, k + 1) == TH_CHUNK_NP) k += 2;
    if (k > start && kind(b, k) == TH_CHUNK_VP)
        verb = k;
    else if (kind(b, k) == TH_CHUNK_PRON && strcmp(word(b, chunk(b, k)->begin), "there") == 0 &&
             kind(b, k + 1) == TH_CHUNK_VP)
        verb = k + 1;
    else if (k == start && kind(b, k) == TH_CHUNK_VP && tagged(b, chunk(b, k)->head, B(TH_TAG_VERB_ING)))
        verb = k;
    const th_chunk *np = chunk(b, verb + 1);
    if (verb < 0 || chunk(b, verb)->object < 0) return;
    way w = {.first = start,
             .last = verb + 1,
             .noun = np->head,
             .subject = np->head,
             .list = -1,
             .verb = verb,
             .aside = np->end,
             .aside_end = np->end};
    if (ends_well(b, verb + 1)) keep_way(b, &w);
    while (step(b, &w)) continue;
}

/* Everything but marks, and words that wait for more, at the ends: a last resort. */
static void whole_caption(builder *b) {
    const uint32_t waiting = B(TH_TAG_DET) | B(TH_TAG_PREP) | B(TH_TAG_CONJ) | B(TH_TAG_TO);
    int begin = 0, end = b->c->count;
    while (begin < end && tagged(b, begin, B(TH_TAG_BREAK) | B(TH_TAG_COMMA))) begin++;
    while (end > begin && tagged(b, end - 1, B(TH_TAG_BREAK) | B(TH_TAG_COMMA) | waiting)) end--;
    if (begin < end) keep(b, (th_part){begin, end, begin, begin, 0, false});
}

/* "on a blue table were grapes", "against the wall stands a coat". */
static bool is_inverted(const builder *b, int k) {
    const th_chunk *vp = chunk(b, k), *np = chunk(b, k + 1);
    if (th_caption_linked(b->c, vp->head, np->head, "SI")) return true;
    bool place_first = kind(b, k - 1) == TH_CHUNK_NP && kind(b, k - 2) == TH_CHUNK_PREP && chunk(b, k - 2)->places;
    return place_first && starts_sentence(b, k - 2) && tagged(b, vp->head, FINITE | B(TH_TAG_AUX) | B(TH_TAG_VERB_ED));
}

void th_parts_find(const th_caption *c, const th_lexicon *l, th_parts *out) {
    builder b = {c, l, out};
    out->chunk_count = out->part_count = 0;
    find_chunks(&b);
    for (int k = 0; k < out->chunk_count; k++) {
        th_chunk *vp = &out->chunks[k];
        bool before_np = vp->kind == TH_CHUNK_VP && kind(&b, k + 1) == TH_CHUNK_NP;
        vp->inverted = before_np && is_inverted(&b, k);
        vp->object = before_np && (vp->inverted || takes_object(&b, vp, chunk(&b, k + 1))) ? k + 1 : -1;
    }
    for (int k = 0; k < out->chunk_count; k++) {
        if (starts_sentence(&b, k)) from_sentence_start(&b, k);
        if (kind(&b, k) == TH_CHUNK_NP) from_noun_phrase(&b, k);
    }
    if (!out->part_count) whole_caption(&b);
}

/* --- text --- */

static bool is_article(const char *text) { return !strcmp(text, "a") || !strcmp(text, "an"); }

/* Writes an article so that it suits the word after it. */
static void put_article(th_str *s, const char *original, const char *following) {
    th_str_puts(s, *original == 'A' ? "A" : "a");
    if (th_takes_an(following)) th_str_puts(s, "n");
}

static void put_word(th_str *s, const th_caption *c, int i, const char *instead) {
    const th_token *t = &c->tokens[i];
    const char *original = c->text + t->begin;
    if (!instead) {
        th_str_add(s, original, t->end - t->begin);
    } else if (*original >= 'A' && *original <= 'Z' && *instead >= 'a' && *instead <= 'z') {
        char first = (char)(*instead - 32);
        th_str_add(s, &first, 1);
        th_str_puts(s, instead + 1);
    } else {
        th_str_puts(s, instead);
    }
}

static int next_in(const th_part *p, int i) {
    for (i++; i < p->end && !th_part_has(p, i);) i++;
    return i;
}

th_status th_part_text(const th_caption *c, const th_part *p, int from, int to, const char *instead, th_arena *arena,
                       const char **out) {
    th_str s;
    th_str_init(&s, 1 << 20);
    int last = -1;
    for (int i = p->begin; i < p->end; i++) {
        bool replaced = instead && i >= from && i < to;
        if (!th_part_has(p, i) || (replaced && i > from)) continue;
        const th_token *t = &c->tokens[i];
        bool blank = last >= 0 && (last != i - 1 || t->begin > c->tokens[last].end);
        if (blank) th_str_puts(&s, " ");
        int next = next_in(p, i);
        bool changes = next < p->end && (next != i + 1 || (instead && next == from));
        if (!replaced && changes && is_article(t->text))
            put_article(&s, c->text + t->begin, instead && next == from ? instead : c->tokens[next].text);
        else
            put_word(&s, c, i, replaced ? instead : NULL);
        last = replaced ? to - 1 : i;
    }
    th_status status = th_str_status(&s);
    *out = status == TH_OK ? th_arena_strdup(arena, th_str_text(&s)) : NULL;
    th_str_free(&s);
    return status != TH_OK ? status : *out ? TH_OK : th_fail_memory();
}
