/* Sub-texts: choosing parts and replacements, for every caption. */
#include "data/subtext.h"

#include <string.h>

#include "base/file.h"
#include "base/machine.h"
#include "data/parallel.h"
#include "data/subtext_parts.h"
#include "data/swap.h"

void th_subtext_params_init(th_subtext_params *p) {
    *p = (th_subtext_params){.positives = 2, .negatives = 6, .min_count = 3, .parse = true};
}

const char *th_subtext_kind_text(th_subtext_kind k) {
    static const char *const names[] = {"adjective", "noun", "verb"};
    return (unsigned)k < TH_SUBTEXT_KINDS ? names[k] : "?";
}

/* What all captions share, read only while threads make sub-texts. */
typedef struct {
    const th_subtext_params *params;
    const char *const *texts;
    int64_t n;
    const th_wordnet *wordnet;
    const th_parser *parser; /* NULL: without */
    th_kinds *kinds;
    th_lexicon lexicon;
    th_usage usage;
    th_swaps *swaps;
    th_arena *arena; /* of the captions */
    th_caption *captions;
    th_arena *worker_arenas[TH_PARALLEL_MAX];
    th_subtexts *out;
} shop;

/* --- one caption --- */

typedef struct {
    const shop *shop;
    const th_caption *caption;
    th_arena *arena;
    th_rng rng;
    th_parts parts;
    th_slot slots[TH_SLOTS_MAX];
    int slot_count;
    th_subtext made[2 * TH_SUBTEXTS_MAX];
    int count;
} bench;

static bool already_made(const bench *b, const char *text) {
    for (int i = 0; i < b->count; i++)
        if (!strcmp(b->made[i].text, text)) return true;
    return false;
}

/* The number of one of n weights, drawn in proportion to them; −1 when all are 0. */
static int draw(th_rng *rng, const int *weights, int n) {
    int64_t sum = 0;
    for (int i = 0; i < n; i++) sum += weights[i];
    if (sum == 0) return -1;
    int64_t at = th_rng_below(rng, (uint32_t)sum);
    int i = 0;
    while ((at -= weights[i]) >= 0) i++;
    return i;
}

/* Positives: parts by weight, each once. The caption itself only where it has no part. */
static th_status make_positives(bench *b) {
    int weights[TH_PARTS_MAX];
    bool any = false;
    for (int i = 0; i < b->parts.part_count; i++) any |= !b->parts.parts[i].whole;
    for (int i = 0; i < b->parts.part_count; i++) {
        const th_part *p = &b->parts.parts[i];
        weights[i] = p->whole && any ? 0 : p->weight;
    }
    while (b->count < b->shop->params->positives) {
        int i = draw(&b->rng, weights, b->parts.part_count);
        if (i < 0) break;
        const th_part *p = &b->parts.parts[i];
        th_subtext s = {.whole = p->whole, .source = b->caption->source};
        weights[i] = 0;
        TH_TRY(th_part_text(b->caption, p, 0, 0, NULL, b->arena, &s.text));
        if (!already_made(b, s.text)) b->made[b->count++] = s;
    }
    return TH_OK;
}

static const int class_of[TH_SUBTEXT_KINDS] = {TH_CLASS_ADJ, TH_CLASS_NOUN, TH_CLASS_VERB};

/* Whether a part can carry the slot's replacement: it holds the word and what the word goes with. */
static bool carries(const bench *b, const th_part *p, const th_slot *s) {
    for (int i = s->begin; i < s->end; i++)
        if (!th_part_has(p, i)) return false;
    const th_chunk *k = &b->parts.chunks[s->chunk];
    if (s->class != TH_CLASS_VERB) return k->kind != TH_CHUNK_NP || th_part_has(p, k->head);
    if (k->hedged) return false;
    return k->object < 0 || th_part_has(p, b->parts.chunks[k->object].head);
}

/* Short parts are preferred: the fewer the words, the more the wrong one counts. */
static int part_for(bench *b, const th_slot *s) {
    int weights[TH_PARTS_MAX];
    for (int i = 0; i < b->parts.part_count; i++) {
        const th_part *p = &b->parts.parts[i];
        int length = p->end - p->begin - (p->drop_end - p->drop_begin);
        weights[i] = carries(b, p, s) ? (length < 3 ? 2 : length < 12 ? 14 - length : 2) : 0;
    }
    return draw(&b->rng, weights, b->parts.part_count);
}

static th_status words_of(const bench *b, int begin, int end, const char **out) {
    th_part p = {.begin = begin, .end = end};
    return th_part_text(b->caption, &p, 0, 0, NULL, b->arena, out);
}

static bool already_swapped(const bench *b, const char *old_words, const char *new_words) {
    for (int i = 0; i < b->count; i++) {
        const th_subtext *t = &b->made[i];
        if (t->negative && !strcmp(t->old_words, old_words) && !strcmp(t->new_words, new_words)) return true;
    }
    return false;
}

/* anew: not with words that another negative of the caption has already. */
static th_status make_negative(bench *b, int slot, th_subtext_kind kind, bool anew, bool *made) {
    const th_slot *s = &b->slots[slot];
    th_swap swap;
    int part = part_for(b, s);
    if (part < 0) return TH_OK;
    const th_part *p = &b->parts.parts[part];
    if (!th_swaps_draw(b->shop->swaps, b->caption, &b->parts, b->slots, b->slot_count, slot, &b->rng, &swap))
        return TH_OK;
    th_subtext t = {.negative = true, .kind = kind, .source = b->caption->source};
    t.new_words = th_arena_strdup(b->arena, swap.text);
    if (!t.new_words) return th_fail_memory();
    TH_TRY(words_of(b, swap.begin, swap.end, &t.old_words));
    if (anew && already_swapped(b, t.old_words, t.new_words)) return TH_OK;
    TH_TRY(th_part_text(b->caption, p, swap.begin, swap.end, swap.text, b->arena, &t.text));
    if (already_made(b, t.text)) return TH_OK;
    b->made[b->count++] = t;
    *made = true;
    return TH_OK;
}

#define TRIES 12 /* draws for one negative of a kind before the kind is given up; the last of them repeat words */

/* One more negative of this kind, on any of the words that could give way. */
static th_status try_kind(bench *b, th_subtext_kind kind, bool *made) {
    int of_kind[TH_SLOTS_MAX], n = 0;
    for (int i = 0; i < b->slot_count; i++)
        if (b->slots[i].class == class_of[kind] && th_swaps_any(b->shop->swaps, &b->slots[i])) of_kind[n++] = i;
    *made = false;
    for (int t = 0; t < TRIES && n && !*made; t++)
        TH_TRY(make_negative(b, of_kind[th_rng_below(&b->rng, (uint32_t)n)], kind, t < TRIES / 2, made));
    return TH_OK;
}

/* Kinds take turns, in an order drawn for each caption. */
static th_status make_negatives(bench *b) {
    th_subtext_kind order[TH_SUBTEXT_KINDS] = {TH_SUBTEXT_ADJECTIVE, TH_SUBTEXT_NOUN, TH_SUBTEXT_VERB};
    bool open[TH_SUBTEXT_KINDS] = {true, true, true};
    for (int i = TH_SUBTEXT_KINDS - 1; i > 0; i--) {
        int j = (int)th_rng_below(&b->rng, (uint32_t)i + 1);
        th_subtext_kind k = order[i];
        order[i] = order[j];
        order[j] = k;
    }
    int goal = b->count + b->shop->params->negatives;
    for (bool any = true; any && b->count < goal;) {
        any = false;
        for (int i = 0; i < TH_SUBTEXT_KINDS && b->count < goal; i++) {
            if (!open[i]) continue;
            TH_TRY(try_kind(b, order[i], &open[i]));
            any |= open[i];
        }
    }
    return TH_OK;
}

static th_status make_subtexts(void *context, int worker, int64_t i) {
    shop *s = context;
    bench *b = th_alloc(1, sizeof *b);
    if (!b) return th_fail_memory();
    b->shop = s;
    b->caption = &s->captions[i];
    b->arena = s->worker_arenas[worker];
    b->rng = th_rng_at(s->params->seed, TH_RNG_SUBTEXT, 0, (uint64_t)i);
    th_parts_find(b->caption, &s->lexicon, &b->parts);
    b->slot_count = th_usage_slots(&s->usage, b->caption, &b->parts, b->slots);
    th_status status = make_positives(b);
    if (status == TH_OK) status = make_negatives(b);
    th_source source = b->caption->source;
    if (status == TH_OK) status = th_subtexts_put(s->out, i, source, b->made, b->count, b->arena);
    th_free(b);
    return status;
}

/* --- all captions --- */

static th_status parse_one(void *context, int worker, int64_t i) {
    shop *s = context;
    return th_caption_parse(&s->captions[i], s->parser, &s->lexicon, s->worker_arenas[worker]);
}

static th_status read_captions(shop *s) {
    s->captions = th_alloc((size_t)s->n, sizeof *s->captions);
    if (!s->captions) return th_fail_memory();
    for (int64_t i = 0; i < s->n; i++) TH_TRY(th_caption_read(s->texts[i], &s->lexicon, s->arena, &s->captions[i]));
    return TH_OK;
}

static th_status run(shop *s, int threads, const th_watch *watch, th_subtext_stats *stats) {
    double start = th_seconds();
    TH_TRY(read_captions(s));
    if (s->parser) TH_TRY(th_parallel_for(s->n, threads, parse_one, s, watch, "captions parsed"));
    stats->parse_seconds = th_seconds() - start;
    for (int64_t i = 0; i < s->n; i++) th_caption_teach(&s->captions[i], &s->lexicon);
    for (int64_t i = 0; i < s->n; i++) th_caption_tag(&s->captions[i], &s->lexicon);
    TH_TRY(th_usage_build(s->captions, s->n, &s->lexicon, s->kinds, &s->usage));
    TH_TRY(th_swaps_build(&s->usage, s->params->min_count, threads, &s->swaps));
    TH_TRY(th_parallel_for(s->n, threads, make_subtexts, s, watch, "captions with sub-texts"));
    stats->seconds = th_seconds() - start;
    return TH_OK;
}

static void close_shop(shop *s) {
    th_swaps_free(s->swaps);
    th_usage_free(&s->usage);
    th_lexicon_free(&s->lexicon);
    th_kinds_close(s->kinds);
    th_free(s->captions);
    th_arena_free(s->arena);
    for (int i = 0; i < TH_PARALLEL_MAX; i++) th_arena_free(s->worker_arenas[i]); /* those that out has are NULL here */
}

static th_status open_shop(shop *s, int threads) {
    TH_TRY(th_kinds_open(&s->kinds));
    TH_TRY(th_lexicon_init(&s->lexicon, s->wordnet));
    s->arena = th_arena_new();
    if (!s->arena) return th_fail_memory();
    for (int i = 0; i < threads; i++)
        if (!(s->worker_arenas[i] = th_arena_new())) return th_fail_memory();
    return th_subtexts_new(s->n, &s->out);
}

static th_status check_params(const th_subtext_params *p) {
    if (p->positives < 0 || p->positives > TH_SUBTEXTS_MAX)
        return th_fail(TH_E_USAGE, "sub-texts: positives is %d, it must be 0 to %d", p->positives, TH_SUBTEXTS_MAX);
    if (p->negatives < 0 || p->negatives > TH_SUBTEXTS_MAX)
        return th_fail(TH_E_USAGE, "sub-texts: negatives is %d, it must be 0 to %d", p->negatives, TH_SUBTEXTS_MAX);
    if (p->min_count < 1)
        return th_fail(TH_E_USAGE, "sub-texts: min_count is %lld, it must be at least 1", (long long)p->min_count);
    return TH_OK;
}

/* Counts up whenever other sub-texts come of the same captions, so that old caches are made anew. */
#define MAKING 2

static void key_of(const shop *s, char key[TH_HASH_TEXT]) {
    const th_subtext_params *p = s->params;
    th_hash h;
    char text[512];
    int n = snprintf(text, sizeof text, "sub-texts %d|%s|%s|%d %d %llu %lld|%lld\n", MAKING,
                     th_wordnet_version(s->wordnet), s->parser ? th_parser_version(s->parser) : "no parser",
                     p->positives, p->negatives, (unsigned long long)p->seed, (long long)p->min_count, (long long)s->n);
    th_hash_init(&h);
    th_hash_add(&h, text, (size_t)n);
    for (int64_t i = 0; i < s->n; i++) th_hash_add(&h, s->texts[i], strlen(s->texts[i]) + 1);
    th_hash_text(&h, key);
}

/* Everything but the cache. */
static th_status make(shop *s, int threads, const th_watch *watch, const char *key) {
    th_subtext_stats stats = {0};
    if (threads < 1) threads = 1;
    if (threads > TH_PARALLEL_MAX) threads = TH_PARALLEL_MAX;
    th_status status = open_shop(s, threads);
    if (status == TH_OK) status = run(s, threads, watch, &stats);
    if (status == TH_OK) status = th_subtexts_finish(s->out, key, s->worker_arenas, threads, &stats);
    if (status != TH_OK) {
        th_subtexts_free(s->out);
        s->out = NULL;
    }
    close_shop(s);
    return status;
}

th_status th_subtexts_make(const char *const *captions, int64_t n, const th_subtext_params *params,
                           const th_wordnet *wordnet, const th_parser *parser, int threads, const th_watch *watch,
                           th_subtexts **out) {
    *out = NULL;
    TH_TRY(check_params(params));
    shop s = {.params = params, .texts = captions, .n = n, .wordnet = wordnet, .parser = parser};
    char key[TH_HASH_TEXT];
    key_of(&s, key);
    TH_TRY(make(&s, threads, watch, key));
    *out = s.out;
    return TH_OK;
}

th_status th_subtexts_build(const char *const *captions, int64_t n, const th_subtext_params *params, int threads,
                            const th_watch *watch, const char *cache_path, th_subtexts **out) {
    *out = NULL;
    TH_TRY(check_params(params));
    shop s = {.params = params, .texts = captions, .n = n};
    th_wordnet *wordnet = NULL;
    th_parser *parser = NULL;
    char key[TH_HASH_TEXT];
    bool found = false;
    th_status status = th_wordnet_open(params->wordnet, &wordnet);
    if (status == TH_OK && params->parse) status = th_parser_open(params->grammar, &parser);
    if (status == TH_OK) {
        s.wordnet = wordnet;
        s.parser = parser;
        key_of(&s, key);
        if (cache_path) status = th_subtexts_try_cache(cache_path, key, &s.out, &found);
    }
    if (status == TH_OK && !found) {
        status = make(&s, threads, watch, key);
        if (status == TH_OK && cache_path) status = th_subtexts_save(s.out, cache_path);
    }
    th_parser_close(parser);
    th_wordnet_close(wordnet);
    if (status != TH_OK) return th_subtexts_free(s.out), status;
    *out = s.out;
    return TH_OK;
}
