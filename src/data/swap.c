/* Replacements: candidates by meaning, weights by use. */
#include "data/swap.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "data/parallel.h"

#define KEPT 40  /* candidates of an item, the best */
#define LEVELS 3 /* up the tree, and down again */
#define SENSES 2 /* of a noun, by frequency */
#define KIN_SENSES 4
#define NEAR_SORT 0.1f /* nearness of what the tree does not bring near */
/* Synsets nearer to the root than this are too wide to make sisters: "artifact"; and among artifacts, where anything
 * else is found, "structure" and "way". */
#define WIDEST 5
#define NARROWER 6
#define FEW 4 /* candidates: with fewer, wider ones are looked for */

typedef struct {
    int32_t item;
    float weight;
    th_said_of said_of;
} candidate;

typedef struct {
    candidate *all;
    int count;
} candidates;

/* What a noun or verb may name by its first senses, and what lies around that: asked for every pair of words that might
 * be true of one thing. */
typedef struct {
    th_synset own[KIN_SENSES];
    th_synset
        *around; /* sorted: all above (and itself), parts and wholes; for verbs also what it entails or goes with */
    int own_count, around_count;
} kin;

/* A noun under a synset, some levels down. */
typedef struct {
    th_synset synset;
    int32_t item;
    int distance, depth; /* steps down from the synset; the synset's own from the root */
} under;

struct th_swaps {
    const th_usage *usage;
    int64_t min_count;
    candidates *of; /* by item */
    kin *kin;       /* by item */
    under *tree;    /* sorted by synset */
    int64_t tree_count, tree_capacity;
};

/* --- the tree of nouns --- */

static int depth_of(const th_ancestor *above, int n) { return n ? above[n - 1].distance : 0; }

/* The synsets up to LEVELS above a sense that are not too wide. */
static int near_ancestors(const th_wordnet *w, th_synset s, int widest_artifact, th_ancestor out[16], int *depth) {
    th_ancestor all[48];
    int n = th_wordnet_ancestors(w, s, all, 48), m = 0;
    *depth = depth_of(all, n);
    for (int i = 0; i < n && m < 16 && all[i].distance <= LEVELS; i++) {
        int widest = th_wordnet_file(w, all[i].synset) == TH_WN_FILE_ARTIFACT ? widest_artifact : WIDEST;
        if (*depth - all[i].distance >= widest) out[m++] = all[i];
    }
    return m;
}

static const char *head_of(const th_item *i) {
    const char *blank = strrchr(i->lemma, ' ');
    return blank ? blank + 1 : i->lemma;
}

static bool may_replace(const th_swaps *s, const th_item *i) {
    if (i->count < s->min_count || i->generic) return false;
    if (i->class != TH_CLASS_NOUN || i->person.family) return true;
    th_value value;
    if (th_kinds_values(s->usage->kinds, TH_CLASS_NOUN, i->lemma, &value, 1)) return true;
    return i->concrete && !th_kinds_wide(head_of(i)) && !th_kinds_common(head_of(i)) &&
           !th_kinds_values(s->usage->kinds, TH_CLASS_ADJ, i->lemma, &value, 1);
}

static th_status plant_noun(th_swaps *s, int32_t item) {
    const th_item *i = &s->usage->items[item];
    const th_wordnet *w = s->usage->lexicon->wordnet;
    for (int k = 0; k < i->sense_count; k++) {
        th_ancestor above[16];
        int depth, m = near_ancestors(w, i->senses[k], WIDEST, above, &depth);
        for (int j = 0; j < m; j++) {
            if (!th_grow(s->tree, s->tree_count, s->tree_capacity)) return th_fail_memory();
            s->tree[s->tree_count++] = (under){above[j].synset, item, above[j].distance, depth - above[j].distance};
        }
    }
    return TH_OK;
}

static int by_synset(const void *a, const void *b) {
    const under *x = a, *y = b;
    if (x->synset != y->synset) return x->synset < y->synset ? -1 : 1;
    return x->item != y->item ? (x->item < y->item ? -1 : 1) : x->distance - y->distance;
}

static th_status plant(th_swaps *s) {
    for (int64_t i = 0; i < s->usage->item_count; i++) {
        const th_item *item = &s->usage->items[i];
        if (item->class == TH_CLASS_NOUN && item->person.family == 0 && may_replace(s, item))
            TH_TRY(plant_noun(s, (int32_t)i));
    }
    if (s->tree_count) qsort(s->tree, (size_t)s->tree_count, sizeof *s->tree, by_synset);
    return TH_OK;
}

/* --- kin --- */

static int by_number(const void *a, const void *b) {
    th_synset x = *(const th_synset *)a, y = *(const th_synset *)b;
    return (x > y) - (x < y);
}

static int add_above(const th_wordnet *w, th_synset s, th_synset *out, int n, int max) {
    th_ancestor above[48];
    int m = th_wordnet_ancestors(w, s, above, 48);
    for (int i = 0; i < m && n < max; i++) out[n++] = above[i].synset;
    return n;
}

static th_status find_kin(th_swaps *s, int32_t item) {
    enum { MAX = 512 };
    const th_item *i = &s->usage->items[item];
    const th_wordnet *w = s->usage->lexicon->wordnet;
    kin *k = &s->kin[item];
    th_sense senses[KIN_SENSES];
    th_synset around[MAX];
    int n = 0;
    if (i->class == TH_CLASS_ADJ) return TH_OK;
    int m = th_wordnet_senses(w, i->wordnet, (th_wn_pos)i->class, senses, KIN_SENSES);
    for (int j = 0; j < m; j++) {
        k->own[k->own_count++] = senses[j].synset;
        n = add_above(w, senses[j].synset, around, n, MAX);
        for (const char *kind = i->class == TH_CLASS_NOUN ? "%#" : "*$>"; *kind; kind++)
            n += th_wordnet_pointers(w, senses[j].synset, *kind, around + n, MAX - n < 64 ? MAX - n : 64);
    }
    if (!n) return TH_OK;
    qsort(around, (size_t)n, sizeof *around, by_number);
    k->around = th_alloc((size_t)n, sizeof *around);
    if (!k->around) return th_fail_memory();
    memcpy(k->around, around, (size_t)n * sizeof *around);
    k->around_count = n;
    return TH_OK;
}

static bool is_around(const kin *k, th_synset s) {
    return k->around_count && bsearch(&s, k->around, (size_t)k->around_count, sizeof s, by_number);
}

static bool are_kin(const kin *a, const kin *b) {
    for (int i = 0; i < a->own_count; i++)
        if (is_around(b, a->own[i])) return true;
    for (int i = 0; i < b->own_count; i++)
        if (is_around(a, b->own[i])) return true;
    return false;
}

/* --- candidates of one item --- */

/* Candidates being gathered: the best weight for each item. */
typedef struct {
    const th_swaps *s;
    const th_item *item;
    int32_t self;
    candidate *all;
    int count;
    int64_t capacity;
    bool failed;
} gathering;

/* "snowstorm" has snow, a "sailboat" is a boat. */
static bool one_in_other(const char *a, const char *b) {
    size_t n = strlen(a), m = strlen(b);
    if (n > m) return one_in_other(b, a);
    return n >= 4 && (!memcmp(b, a, n) || !memcmp(b + m - n, a, n));
}

/* Whether two items may name the same thing. */
static bool same_thing(const th_swaps *s, int64_t item_a, int64_t item_b) {
    const th_usage *u = s->usage;
    const th_item *a = &u->items[item_a], *b = &u->items[item_b];
    if (!strcmp(a->lemma, b->lemma) || th_kinds_lookalike(u->kinds, a->lemma, b->lemma)) return true;
    if (a->class != b->class) return false;
    if (a->person.family && b->person.family) return th_person_same(a->person, b->person);
    const char *head_a = head_of(a), *head_b = head_of(b);
    bool one_head = !strcmp(head_a, head_b);
    if (one_head && (head_a == a->lemma || head_b == b->lemma)) return true;
    if (!one_head && (th_kinds_lookalike(u->kinds, head_a, head_b) || one_in_other(head_a, head_b))) return true;
    return are_kin(&s->kin[item_a], &s->kin[item_b]);
}

static void gather(gathering *g, int32_t item, float near, th_said_of said_of) {
    const th_item *i = &g->s->usage->items[item];
    if (item == g->self || !may_replace(g->s, i)) return;
    for (int k = 0; k < g->count; k++) {
        if (g->all[k].item != item || g->all[k].said_of != said_of) continue;
        if (near > g->all[k].weight) g->all[k].weight = near;
        return;
    }
    int64_t count = g->count;
    if (!th_grow(g->all, count, g->capacity)) {
        g->failed = true;
        return;
    }
    g->all[g->count++] = (candidate){item, near, said_of};
}

/* Whether there are few candidates that do not name the same thing. */
static bool are_few(const gathering *g) {
    int n = 0;
    for (int k = 0; k < g->count && n < FEW; k++) n += !same_thing(g->s, g->self, g->all[k].item);
    return n < FEW;
}

/* Other values of the attributes that the word has. */
static void gather_values(gathering *g, float near) {
    const th_usage *u = g->s->usage;
    th_value mine[8];
    int n = th_kinds_values(u->kinds, g->item->class, g->item->lemma, mine, 8);
    /* a bridal gown is one of the gowns */
    if (n == 0 && g->item->class == TH_CLASS_NOUN)
        n = th_kinds_values(u->kinds, TH_CLASS_NOUN, head_of(g->item), mine, 8);
    for (int i = 0; i < n; i++) {
        th_value v;
        int64_t at = 0;
        for (const char *word; (word = th_kinds_next(u->kinds, g->item->class, mine[i].attribute, &at, &v));) {
            bool same_group = v.source_only;
            th_value theirs[8];
            int m = th_kinds_values(u->kinds, g->item->class, word, theirs, 8);
            for (int a = 0; a < n; a++)
                for (int b = 0; b < m; b++)
                    same_group |= mine[a].attribute == theirs[b].attribute && mine[a].group == theirs[b].group;
            int64_t item = same_group ? -1 : th_usage_find(u, g->item->class, word);
            if (item >= 0) gather(g, (int32_t)item, near, v.said_of);
        }
    }
}

static void gather_antonyms(gathering *g, float near) {
    const th_usage *u = g->s->usage;
    th_sense senses[3];
    int n = th_wordnet_senses(u->lexicon->wordnet, g->item->wordnet, (th_wn_pos)g->item->class, senses, 3);
    for (int i = 0; i < n; i++) {
        char words[8][TH_WORD_MAX];
        int m = th_wordnet_antonyms(u->lexicon->wordnet, senses[i].synset, g->item->wordnet, words, 8);
        for (int k = 0; k < m; k++) {
            int64_t item = th_usage_find(u, g->item->class, words[k]);
            if (item >= 0) gather(g, (int32_t)item, near, TH_SAID_OF_ANY);
        }
    }
}

/* Words for people differ from each other by sex or age, and stay in their family (bride and groom, man and woman). Sex
 * tells more: women are called girls at any age. */
static void gather_people(gathering *g) {
    const th_usage *u = g->s->usage;
    th_person mine = g->item->person;
    for (int64_t i = 0; i < u->item_count; i++) {
        const th_item *other = &u->items[i];
        th_person p = other->person;
        if (other->class != TH_CLASS_NOUN || p.family != mine.family || th_person_same(p, mine)) continue;
        bool by_age = p.sex == mine.sex || p.sex == '?' || mine.sex == '?';
        if (by_age && p.sex == 'f' && mine.sex == 'f') continue;
        gather(g, (int32_t)i, by_age ? 0.4f : 1, TH_SAID_OF_ANY);
    }
}

/* Of two nouns that meet so many steps apart, at such a depth: near below something special, far below something wide.
 */
static float nearness(int steps, int depth) {
    float special = depth < 9 ? (float)(depth - 4) * (float)(depth - 4) / 25.0f : 1.0f;
    return (steps < 2 ? 0.5f : 2.0f / (float)steps) * special;
}

static void gather_sisters(gathering *g, int widest_artifact) {
    const th_swaps *s = g->s;
    const th_wordnet *w = s->usage->lexicon->wordnet;
    for (int k = 0; k < g->item->sense_count; k++) {
        th_ancestor above[16];
        int depth, m = near_ancestors(w, g->item->senses[k], widest_artifact, above, &depth);
        for (int j = 0; j < m; j++) {
            under key = {above[j].synset, INT32_MIN, 0, 0};
            int64_t low = 0, high = s->tree_count;
            while (low < high) {
                int64_t middle = low + (high - low) / 2;
                if (by_synset(&s->tree[middle], &key) < 0)
                    low = middle + 1;
                else
                    high = middle;
            }
            for (; low < s->tree_count && s->tree[low].synset == above[j].synset; low++) {
                int steps = above[j].distance + s->tree[low].distance;
                gather(g, s->tree[low].item, nearness(steps, depth - above[j].distance), TH_SAID_OF_ANY);
            }
        }
    }
}

/* Anything of the same sort, where the tree offers nothing: a bag for a dress. */
static void gather_sort(gathering *g) {
    const th_usage *u = g->s->usage;
    for (int64_t i = 0; i < u->item_count; i++) {
        const th_item *other = &u->items[i];
        if (other->class == TH_CLASS_NOUN && other->file == g->item->file && other->person.family == 0 &&
            other->concrete)
            gather(g, (int32_t)i, NEAR_SORT, TH_SAID_OF_ANY);
    }
}

static int by_weight(const void *a, const void *b) {
    const candidate *x = a, *y = b;
    if (x->weight != y->weight) return x->weight > y->weight ? -1 : 1;
    return x->item != y->item ? (x->item < y->item ? -1 : 1) : (int)x->said_of - (int)y->said_of;
}

#define ALIKE_SORT 0.05f /* nouns of one sort must be used this much alike */

/* From nearness in meaning to weight: by frequency and by likeness of use. */
static void weigh(gathering *g) {
    const th_usage *u = g->s->usage;
    int kept = 0;
    for (int k = 0; k < g->count; k++) {
        candidate c = g->all[k];
        const th_item *other = &u->items[c.item];
        float alike = th_usage_alike(u, g->item, other);
        if (c.weight == NEAR_SORT && alike < ALIKE_SORT) continue;
        c.weight *= sqrtf((float)other->count) * (0.03f + alike);
        g->all[kept++] = c;
    }
    g->count = kept;
    if (kept) qsort(g->all, (size_t)kept, sizeof *g->all, by_weight);
}

/* Drops what may name the same thing, best first, until enough are kept. */
static void sift(gathering *g) {
    bool table = g->item->class != TH_CLASS_NOUN; /* the tables' groups have seen to it */
    int kept = 0;
    for (int k = 0; k < g->count && kept < KEPT; k++) {
        bool by_table = table && g->all[k].said_of != TH_SAID_OF_ANY;
        if (!by_table && g->item->class != TH_CLASS_ADJ && same_thing(g->s, g->self, g->all[k].item)) continue;
        g->all[kept++] = g->all[k];
    }
    g->count = kept;
}

/* "white", "round", "low": where they are tagged as nouns, that is likely wrong. Materials are nouns as well. */
static bool is_quality(const th_kinds *k, const char *lemma) {
    th_value v[8];
    int n = th_kinds_values(k, TH_CLASS_ADJ, lemma, v, 8);
    for (int i = 0; i < n; i++) {
        const char *attribute = th_kinds_attribute(v[i].attribute);
        if (strcmp(attribute, "material") && strcmp(attribute, "cloth")) return true;
    }
    return false;
}

static void gather_all(gathering *g) {
    const th_item *i = g->item;
    if (i->generic || (i->class == TH_CLASS_NOUN && !i->person.family && is_quality(g->s->usage->kinds, i->lemma)))
        return;
    gather_values(g, 1);
    if (i->class == TH_CLASS_ADJ) {
        if (!th_kinds_fixed(i->lemma) && g->count == 0) gather_antonyms(g, 0.5f);
    } else if (i->class == TH_CLASS_VERB) {
        if (g->count == 0 && !th_kinds_light(i->lemma)) gather_antonyms(g, 0.5f);
    } else if (i->person.family) {
        gather_people(g);
    } else if (i->concrete && !th_kinds_wide(head_of(i))) {
        gather_sisters(g, NARROWER);
        if (are_few(g)) gather_sisters(g, WIDEST);
        if (are_few(g) && !th_kinds_common(head_of(i))) gather_sort(g);
    }
}

static th_status find_candidates(th_swaps *s, int32_t item) {
    gathering g = {.s = s, .item = &s->usage->items[item], .self = item};
    gather_all(&g);
    weigh(&g);
    sift(&g);
    candidates *c = &s->of[item];
    if (g.count && !g.failed) {
        c->all = th_alloc((size_t)g.count, sizeof *c->all);
        if (c->all) memcpy(c->all, g.all, (size_t)g.count * sizeof *c->all);
        g.failed = !c->all;
        c->count = c->all ? g.count : 0;
    }
    th_free(g.all);
    return g.failed ? th_fail_memory() : TH_OK;
}

/* --- all items --- */

static th_status each_kin(void *s, int worker, int64_t i) { return (void)worker, find_kin(s, (int32_t)i); }
static th_status each_candidates(void *s, int worker, int64_t i) {
    return (void)worker, find_candidates(s, (int32_t)i);
}

th_status th_swaps_build(const th_usage *u, int64_t min_count, int threads, th_swaps **out) {
    th_swaps *s = th_alloc(1, sizeof *s);
    if (!s) return th_fail_memory();
    s->usage = u;
    s->min_count = min_count;
    s->of = th_alloc((size_t)u->item_count, sizeof *s->of);
    s->kin = th_alloc((size_t)u->item_count, sizeof *s->kin);
    th_status status = s->of && s->kin ? plant(s) : th_fail_memory();
    if (status == TH_OK) status = th_parallel_for(u->item_count, threads, each_kin, s, NULL, NULL);
    if (status == TH_OK) status = th_parallel_for(u->item_count, threads, each_candidates, s, NULL, NULL);
    if (status != TH_OK) return th_swaps_free(s), status;
    *out = s;
    return TH_OK;
}

void th_swaps_free(th_swaps *s) {
    if (!s) return;
    for (int64_t i = 0; s->of && i < s->usage->item_count; i++) th_free(s->of[i].all);
    for (int64_t i = 0; s->kin && i < s->usage->item_count; i++) th_free(s->kin[i].around);
    th_free(s->of);
    th_free(s->kin);
    th_free(s->tree);
    th_free(s);
}

bool th_swaps_any(const th_swaps *s, const th_slot *slot) {
    int64_t item = th_usage_find(s->usage, slot->class, slot->lemma);
    return item >= 0 && s->of[item].count > 0;
}

/* --- drawing --- */

typedef struct {
    const th_swaps *s;
    const th_caption *c;
    const th_parts *p;
    const th_slot *slots;
    int slot_count;
    const th_slot *slot;
    bool living; /* what an adjective is said of */
} scene;

/* An adjective's noun, or the subject of "is": the nearest head. */
static bool said_of_living(const scene *x) {
    const th_chunk *np = &x->p->chunks[x->slot->chunk];
    for (int k = x->slot->chunk; np->kind != TH_CHUNK_NP && k > 0;) np = &x->p->chunks[--k];
    for (int i = 0; i < x->slot_count; i++) {
        const th_slot *n = &x->slots[i];
        if (n->class != TH_CLASS_NOUN || &x->p->chunks[n->chunk] != np) continue;
        int64_t item = th_usage_find(x->s->usage, TH_CLASS_NOUN, n->lemma);
        return item >= 0 && x->s->usage->items[item].living;
    }
    return false;
}

/* Whether the verb has a noun phrase after it that may be its object, though the parser does not say so. */
static bool may_have_object(const scene *x) {
    int next = x->slot->chunk + 1;
    bool inverted = x->p->chunks[x->slot->chunk].inverted;
    return x->slot->with_object || (!inverted && next < x->p->chunk_count && x->p->chunks[next].kind == TH_CHUNK_NP);
}

static bool suits(const scene *x, th_said_of said_of) {
    switch (said_of) {
    case TH_SAID_OF_LIVING: return x->living;
    case TH_SAID_OF_THINGS: return !x->living;
    case TH_SAID_WITH_OBJECT: return x->slot->with_object;
    case TH_SAID_WITHOUT: return !may_have_object(x);
    default: return true;
    }
}

/* How the candidate is written in the slot's form; false when the captions give no ground for such a form. */
static bool written(const scene *x, const th_item *i, char out[TH_WORD_MAX]) {
    th_form f = x->slot->form;
    const th_wordnet *w = x->s->usage->lexicon->wordnet;
    if (i->class == TH_CLASS_ADJ) return snprintf(out, TH_WORD_MAX, "%s", i->lemma) < TH_WORD_MAX;
    if (i->class == TH_CLASS_NOUN) {
        if (f == TH_FORM_BASE && (i->forms[f] == 0 || (x->slot->after_a && i->after_a == 0))) return false;
        if (f == TH_FORM_PLURAL && i->forms[f] == 0 && i->after_a < 2) return false;
        if (f == TH_FORM_BASE && x->slot->after_a && i->after_a * 20 < i->forms[f]) return false; /* "a water" */
    }
    if (i->texts[f]) return snprintf(out, TH_WORD_MAX, "%s", i->texts[f]) < TH_WORD_MAX;
    return th_inflect(w, i->lemma, (th_wn_pos)i->class, f, out);
}

static bool is_in_caption(const scene *x, const th_item *i, const char *text) {
    for (int k = 0; k < x->c->count; k++)
        if (!strcmp(x->c->tokens[k].text, text) || !strcmp(x->c->tokens[k].text, i->lemma)) return true;
    for (int k = 0; k < x->slot_count; k++)
        if (!strcmp(x->slots[k].lemma, i->lemma)) return true;
    return false;
}

/* Whether the caption has another word of which the candidate may be true: with "a woman and her puppy", a dog is in
 * view too. */
static bool may_be_in_view(const scene *x, int32_t candidate_item) {
    const th_usage *u = x->s->usage;
    const th_item *i = &u->items[candidate_item];
    for (int k = 0; k < x->slot_count; k++) {
        const th_slot *o = &x->slots[k];
        if (o->class != i->class) continue;
        int64_t item = th_usage_find(u, o->class, o->lemma);
        if (item < 0) continue;
        if (o == x->slot) {
            if (th_usage_together(u, candidate_item, item)) return true;
            continue;
        }
        const th_item *other = &u->items[item];
        if (i->class == TH_CLASS_ADJ) {
            /* "large" may be true of a picture with something "huge" in it */
            if (th_wordnet_related(u->lexicon->wordnet, i->lemma, other->lemma, TH_WN_ADJ, 2)) return true;
            continue;
        }
        if (same_thing(x->s, candidate_item, item) || th_usage_together(u, candidate_item, item)) return true;
        /* anyone may be a player, and "people" anyone */
        if (i->person.family && other->file == TH_WN_FILE_PERSON && !other->person.family) return true;
    }
    return false;
}

/* The candidate's weight in this place: neighbours that it was met with speak for it. */
static float fit(const scene *x, const th_item *i) {
    int32_t left = x->slot->begin > 0 ? x->c->words[x->slot->begin - 1] : -1;
    int32_t right = x->slot->end < x->c->count ? x->c->words[x->slot->end] : -1;
    float met = logf(1.0f + (float)th_usage_beside(i, left, 0)) + logf(1.0f + (float)th_usage_beside(i, right, 1));
    if (x->slot->begin > 1 && x->c->tags[x->slot->begin - 1] == TH_TAG_DET) /* "on the", "in a" */
        met += logf(1.0f + (float)th_usage_beside(i, x->c->words[x->slot->begin - 2], 2));
    return 0.3f + met;
}

/* Where a noun stands behind others that do not make a compound with it ("garbage truck"), they go with it, unless the
 * captions know the new pair. */
static void widen(const scene *x, const th_item *i, th_swap *out) {
    out->begin = x->slot->begin;
    out->end = x->slot->end;
    if (x->slot->class != TH_CLASS_NOUN) return;
    const th_chunk *np = &x->p->chunks[x->slot->chunk];
    int before = x->slot->begin - 1;
    if (before < np->begin || !th_tag_in(x->c->tags[before], TH_TAGS_NOUN)) return;
    for (int k = 0; k < x->slot_count; k++)
        if (x->slots[k].class == TH_CLASS_ADJ && x->slots[k].begin == before) return; /* "leather jacket" */
    if (th_usage_beside(i, x->c->words[before], 0) == 0) out->begin = np->nouns;
}

static bool accept(const scene *x, int32_t item, th_swap *out) {
    const th_item *i = &x->s->usage->items[item];
    if (!written(x, i, out->text) || is_in_caption(x, i, out->text) || may_be_in_view(x, item)) return false;
    widen(x, i, out);
    return true;
}

bool th_swaps_draw(const th_swaps *s, const th_caption *c, const th_parts *p, const th_slot *slots, int slot_count,
                   int slot, th_rng *rng, th_swap *out) {
    int64_t item = th_usage_find(s->usage, slots[slot].class, slots[slot].lemma);
    if (item < 0) return false;
    scene x = {s, c, p, slots, slot_count, &slots[slot], false};
    if (x.slot->class == TH_CLASS_ADJ) x.living = said_of_living(&x);
    const candidates *all = &s->of[item];
    float weights[KEPT], sum = 0;
    for (int k = 0; k < all->count; k++) {
        const candidate *o = &all->all[k];
        weights[k] = suits(&x, o->said_of) ? o->weight * fit(&x, &s->usage->items[o->item]) : 0;
        sum += weights[k];
    }
    for (int tries = 0; tries < all->count && sum > 0; tries++) {
        float at = th_rng_f32(rng) * sum;
        int k = 0, last = -1;
        for (; k < all->count; k++) {
            if (weights[k] <= 0) continue;
            last = k;
            if ((at -= weights[k]) < 0) break;
        }
        k = last;
        if (k < 0) return false;
        if (accept(&x, all->all[k].item, out)) return true;
        sum -= weights[k];
        weights[k] = 0;
    }
    return false;
}

th_status th_swaps_print(const th_swaps *s, int class, const char *lemma, th_str *out) {
    int64_t item = th_usage_find(s->usage, class, lemma);
    if (item < 0) return TH_OK;
    for (int k = 0; k < s->of[item].count; k++) {
        const candidate *c = &s->of[item].all[k];
        th_str_printf(out, "%s%s %.2f", k ? ", " : "", s->usage->items[c->item].lemma, (double)c->weight);
    }
    return th_str_status(out);
}
