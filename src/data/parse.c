/* Link Grammar. */
#include "data/parse.h"

#include <locale.h>
#include <stdio.h>
#include <string.h>

#include <link-grammar/link-includes.h>

#include "base/file.h"
#include "base/str.h"

struct th_parser {
    Dictionary dictionary;
    locale_t utf8; /* LC_CTYPE for the calling thread while the library reads words */
    char version[96];
};

#define PREFIX "this is "
#define NULLS_MAX 4      /* words left out */
#define LINKAGES 64      /* that are looked for */
#define PREFIX_COST 1.0f /* the prefix makes sentences of noun phrases, but must not turn a sentence into one */
#define ORDER_COST 3.0f  /* captions seldom give orders */
#define GOOD 1.5f        /* a badness below which nothing else is tried */
#define CONSIDERED 32    /* and looked at, the cheapest first */

static void say_nothing(lg_errinfo *error, void *data) { (void)error, (void)data; }

/* The library sets the locale of the whole process when it opens a dictionary; this puts back what was there. */
static th_status open_quietly(Dictionary *out) {
    char *before = th_strdup(setlocale(LC_ALL, NULL));
    if (!before) return th_fail_memory();
    lg_error_set_handler(say_nothing, NULL);
    *out = dictionary_create_lang("en");
    setlocale(LC_ALL, before);
    th_free(before);
    return TH_OK;
}

/* Left to itself the library would first look into the working folder. */
#define SYSTEM_FOLDER "/usr/share/link-grammar"

th_status th_parser_open(const char *folder, th_parser **out) {
    char path[TH_PATH_MAX];
    if (!folder && th_path_exists(SYSTEM_FOLDER "/en/4.0.dict")) folder = SYSTEM_FOLDER;
    if (folder) {
        TH_TRY(th_path_join(path, folder, "en/4.0.dict"));
        if (!th_path_exists(path))
            return th_fail(TH_E_INPUT,
                           "%s: is missing (Link Grammar's English dictionary comes with the Debian package "
                           "link-grammar-dictionaries-en)",
                           path);
        dictionary_set_data_dir(folder);
    }
    th_parser *p = th_alloc(1, sizeof *p);
    if (!p) return th_fail_memory();
    th_status status = open_quietly(&p->dictionary);
    if (status == TH_OK && !p->dictionary)
        status = th_fail(TH_E_INPUT,
                         "%s: Link Grammar cannot read its English dictionary (Debian package "
                         "link-grammar-dictionaries-en)",
                         folder ? folder : "link-grammar");
    if (status == TH_OK) {
        p->utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
        snprintf(p->version, sizeof p->version, "%s dictionary %s", linkgrammar_get_version(),
                 linkgrammar_get_dict_version(p->dictionary));
        *out = p;
    } else {
        th_parser_close(p);
    }
    return status;
}

void th_parser_close(th_parser *p) {
    if (!p) return;
    if (p->dictionary) dictionary_delete(p->dictionary);
    if (p->utf8) freelocale(p->utf8);
    th_free(p);
}

const char *th_parser_version(const th_parser *p) { return p->version; }

/* --- one sentence --- */

/* The sentence as the library reads it, and where each word begins in it. */
typedef struct {
    th_str text;
    size_t begin[TH_PARSE_WORDS + 1]; /* one more: the end */
    int count;
} sentence;

static th_status compose(sentence *s, const char *const *words, int count, bool prefixed) {
    th_str_clear(&s->text);
    if (prefixed) th_str_puts(&s->text, PREFIX);
    for (int i = 0; i < count; i++) {
        /* the library cuts "woman's" by itself, and does not know it in two words */
        if (i && words[i][0] != '\'') th_str_puts(&s->text, " ");
        s->begin[i] = s->text.length;
        th_str_puts(&s->text, strcmp(words[i], "&") ? words[i] : "and");
    }
    s->begin[count] = s->text.length + 1;
    s->count = count;
    return th_str_status(&s->text);
}

/* Our word for the library's word, or −1 (a wall, the prefix). */
static int word_at(const sentence *s, Linkage l, WordIdx w) {
    size_t at = linkage_get_word_byte_start(l, w);
    if (w == 0 || linkage_get_word_byte_end(l, w) <= at || at < s->begin[0]) return -1;
    int i = 0;
    while (i + 1 < s->count && s->begin[i + 1] <= at) i++;
    return i;
}

/* The dictionary's subscripts, such as the "n-u" of "water.n-u". Singular and plural, and the forms of verbs, are not
 * told apart here: spelling says more. */
static th_tag tag_of(const char *word) {
    const char *dot = strrchr(word, '.');
    if (!dot || dot == word || dot[1] == '\0') return TH_TAG_OTHER;
    switch (dot[1]) {
    case 'n':
    case 's':
    case 't':
    case 'b':
    case 'f':
    case 'm':
    case 'l':
    case 'p': return TH_TAG_NOUN;
    case 'v':
    case 'q':
    case 'w': return dot[2] == '-' && dot[3] == 'd' ? TH_TAG_VERB_ED : TH_TAG_VERB;
    case 'g': return TH_TAG_VERB_ING;
    case 'a': return TH_TAG_ADJ;
    case 'e': return TH_TAG_ADV;
    case 'r': return TH_TAG_PREP;
    default: return TH_TAG_OTHER;
    }
}

static void read_links(const sentence *s, Linkage l, th_parse *out) {
    size_t links = linkage_get_num_links(l);
    for (size_t i = 0; i < links; i++) {
        int a = word_at(s, l, linkage_get_link_lword(l, i)), b = word_at(s, l, linkage_get_link_rword(l, i));
        if (a >= 0) out->linked[a] = true;
        if (b >= 0) out->linked[b] = true;
        if (a < 0 || b < 0 || a == b || out->link_count == 2 * TH_PARSE_WORDS) continue;
        th_link *k = &out->links[out->link_count++];
        *k = (th_link){.left = (uint8_t)a, .right = (uint8_t)b};
        strncpy(k->label, linkage_get_link_label(l, i), sizeof k->label - 1);
    }
}

static void read_linkage(const sentence *s, Linkage l, th_parse *out) {
    size_t words = linkage_get_num_words(l);
    int last = -1;
    for (size_t w = 0; w < words; w++) {
        int i = word_at(s, l, w);
        const char *text = linkage_get_word(l, w);
        if (i < 0 || i == last || !text) continue; /* of a word that the library cut, the first part counts */
        out->tags[i] = tag_of(text);
        last = i;
    }
    read_links(s, l, out);
    for (int i = 0; i < s->count; i++) out->nulls += !out->linked[i];
}

/* First without null words; if that fails, with as few as need be. */
static int parse_with(Sentence sent, Parse_Options o) {
    if (sentence_split(sent, o) < 0) return -1;
    int found = sentence_parse(sent, o);
    if (found > 0 && sentence_num_valid_linkages(sent) > 0) return found;
    parse_options_set_min_null_count(o, 1);
    parse_options_set_max_null_count(o, NULLS_MAX);
    parse_options_set_islands_ok(o, true);
    return sentence_parse(sent, o);
}

/* What speaks against a linkage: its cost in the dictionary's terms, the words it leaves out, tags that its words
 * seldom have ("boot" as a verb). */
static float badness(const th_parse *parse, float cost, const th_word_prior *priors) {
    float bad = cost + 3.0f * (float)parse->nulls;
    for (int i = 0; i < parse->count; i++) {
        const th_word_prior *w = &priors[i];
        if (parse->tags[i] == TH_TAG_NOUN) bad -= w->noun;
        if (parse->tags[i] == TH_TAG_ADJ) bad -= w->adj;
        if (parse->tags[i] == TH_TAG_ADV) bad -= w->adv;
        if (th_tag_in(parse->tags[i], TH_TAGS_VERB)) bad -= w->verb;
    }
    if (!parse->prefixed && (parse->tags[0] == TH_TAG_VERB || parse->tags[0] == TH_TAG_VERB_ED)) bad += ORDER_COST;
    return bad + (parse->prefixed ? PREFIX_COST : 0);
}

typedef struct {
    th_parse parse;
    float bad;
    bool found;
} best_linkage;

static void consider(const sentence *s, Linkage l, bool prefixed, const th_word_prior *priors, best_linkage *best) {
    th_parse parse = {.count = s->count, .prefixed = prefixed};
    for (int i = 0; i < s->count; i++) parse.tags[i] = TH_TAG_OTHER;
    read_linkage(s, l, &parse);
    float bad = badness(&parse, linkage_disjunct_cost(l), priors);
    if (best->found && bad >= best->bad) return;
    *best = (best_linkage){parse, bad, true};
}

static void run_once(const th_parser *p, const sentence *s, bool prefixed, const th_word_prior *priors,
                     best_linkage *best) {
    Parse_Options o = parse_options_create();
    parse_options_set_verbosity(o, 0);
    parse_options_set_linkage_limit(o, LINKAGES);
    parse_options_set_max_null_count(o, 0);
    parse_options_set_spell_guess(o, 0);
    parse_options_set_dialect(o, "headline,no-bad-spelling"); /* or "lie" may be read as "lay" */
    Sentence sent = sentence_create(th_str_text(&s->text), p->dictionary);
    int found = sent ? parse_with(sent, o) : -1;
    int valid = found > 0 ? sentence_num_valid_linkages(sent) : 0;
    for (int i = 0; i < valid && i < CONSIDERED; i++) {
        Linkage l = linkage_create((LinkageIdx)i, sent, o);
        if (!l) break;
        consider(s, l, prefixed, priors, best);
        linkage_delete(l);
    }
    if (sent) sentence_delete(sent);
    parse_options_delete(o);
}

/* Whether any of the words is likely to be a finite verb: else it needs no trial without the prefix. */
static bool may_be_sentence(const char *const *words, const th_word_prior *priors, int count) {
    for (int i = 0; i < count; i++) {
        size_t n = strlen(words[i]);
        bool known = priors[i].noun < 0;
        bool ing = n > 4 && !strcmp(words[i] + n - 3, "ing");
        if (known && !ing && priors[i].verb > -2.0f) return true;
        if (th_word_closed(words[i]) & TH_TAG_BIT(TH_TAG_AUX)) return true;
    }
    return false;
}

static bool run_both(const th_parser *p, sentence *s, const char *const *words, const th_word_prior *priors, int count,
                     best_linkage *best) {
    bool sentence_like = may_be_sentence(words, priors, count);
    if (sentence_like) {
        if (compose(s, words, count, false) != TH_OK) return false;
        run_once(p, s, false, priors, best);
        if (best->found && best->parse.nulls == 0 && best->bad < GOOD) return true;
    }
    if (compose(s, words, count, true) != TH_OK) return false;
    run_once(p, s, true, priors, best);
    if (sentence_like || (best->found && best->parse.nulls == 0)) return true;
    if (compose(s, words, count, false) != TH_OK) return false;
    run_once(p, s, false, priors, best);
    return true;
}

th_status th_parser_run(const th_parser *p, const char *const *words, const th_word_prior *priors, int count,
                        th_parse *out, bool *ok) {
    *out = (th_parse){0};
    *ok = false;
    if (count < 1 || count > TH_PARSE_WORDS) return TH_OK;
    sentence s;
    best_linkage best = {.found = false};
    th_str_init(&s.text, 8192);
    lg_error_set_handler(say_nothing, NULL); /* the handler is each thread's own */
    locale_t before = p->utf8 ? uselocale(p->utf8) : (locale_t)0;
    bool done = run_both(p, &s, words, priors, count, &best);
    if (before) uselocale(before);
    th_status status = th_str_status(&s.text);
    th_str_free(&s.text);
    if (best.found) *out = best.parse;
    *ok = best.found;
    /* words too long for any dictionary: no linkage, and no error either */
    return done || status == TH_E_INPUT ? TH_OK : status;
}
