/* Which words exclude each other when both are said of one thing in a picture, and which do not. WordNet knows
 * antonyms, but not that red excludes blue or standing sitting, nor that sea and ocean, sisters in its tree, do not
 * exclude each other. So this is a table made by hand: attributes whose values are groups of words; the sexes and ages
 * that words for people imply; sets of nouns that one thing may bear at once. */
#ifndef TH_DATA_KINDS_H
#define TH_DATA_KINDS_H

#include "data/lexicon.h"

typedef struct th_kinds th_kinds;
th_status th_kinds_open(th_kinds **out);
void th_kinds_close(th_kinds *k);

/* What a word is said of, where that decides: an old man is not new, an old house not young. For verbs: whether an
 * object follows. */
typedef enum { TH_SAID_OF_ANY, TH_SAID_OF_LIVING, TH_SAID_OF_THINGS, TH_SAID_WITH_OBJECT, TH_SAID_WITHOUT } th_said_of;

typedef struct {
    int attribute, group;
    th_said_of said_of;
    bool source_only; /* may be replaced but says too little to replace another */
} th_value;

/* The values that a base form of this class (TH_CLASS_…) has; at most max. */
int th_kinds_values(const th_kinds *k, int class, const char *word, th_value *out, int max);
const char *th_kinds_attribute(int attribute);
/* All words of an attribute in the order of the table, one a call from *at = 0; NULL after the last. */
const char *th_kinds_next(const th_kinds *k, int class, int attribute, int64_t *at, th_value *value);

/* People: 'm', 'f' or '?'; 'a' adult, 'c' child or '?'. family tells words that stand in one series (man, woman, boy …;
 * father, mother …); 0: not a word for people that implies either. */
typedef struct {
    char sex, age;
    int family;
} th_person;
th_person th_kinds_person(const th_kinds *k, const char *lemma);
/* Whether two words for people may be said of one: neither sex nor age speaks against it. */
bool th_person_same(th_person a, th_person b);

/* Whether two nouns may name one thing by the table of lookalikes. */
bool th_kinds_lookalike(const th_kinds *k, const char *a, const char *b);
/* Nouns that say how the picture is made, which part of something is meant, how many, or hardly anything: they are
 * neither replaced nor a part of their own ("photo", "front", "group", "thing"). Lemma. */
bool th_kinds_generic(const char *lemma);
/* Nouns that take no part: a sister may fall under them ("vehicle"), or one may be both ("friend"); and parts of the
 * body, which come with whoever is in view. Lemma. */
bool th_kinds_wide(const char *lemma);
/* Nouns that replace nothing, for what they name is in view in most pictures ("sky"), or is hard to tell ("key").
 * Lemma. */
bool th_kinds_common(const char *lemma);
/* Of the generic ones, those after which "of X" says that X is in view: "a photo of X", "a group of X". */
bool th_kinds_shows(const char *lemma);
/* Verbs after which the object need not be in view: "wants a dog". Lemma. */
bool th_kinds_wishes(const char *lemma);
/* Verbs that hardly tell what is seen, or say it only with more words after them ("get", "make"). Lemma. */
bool th_kinds_light(const char *lemma);
/* Adjectives that must stay for the rest to be true ("fake", "toy"), or that point instead of telling ("first",
 * "same"). */
bool th_kinds_fixed(const char *adjective);

#endif
