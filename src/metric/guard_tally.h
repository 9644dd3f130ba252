/* Within studies of guards: choosing rows, pairing them, and estimates over what is repeated. */
#ifndef TH_METRIC_GUARD_TALLY_H
#define TH_METRIC_GUARD_TALLY_H

#include "metric/guard_protocol.h"

#define TH_ANY_STEP (-2)
#define TH_ANY_GROUP (-2)

/* Which rows. Those of kinds without a subject, an attacker or a step have −1 there. */
typedef struct {
    th_study_kind kind;
    int32_t model, attacker, group; /* group: of class captions; TH_ANY_GROUP: all */
    uint64_t subjects;              /* of kinds with one */
    int64_t step;                   /* TH_ANY_STEP: all */
} th_study_filter;

/* Numbers of rows, sorted by subject, seed of training, step, prompt and draw: *out, to be freed. */
th_status th_study_choose(const th_study *s, const th_study_filter *f, int64_t **out, int64_t *count);

/* Numbers of rows of two models, or two strengths, with the same subject, seed, prompt and draw. */
typedef struct {
    int64_t a, b;
} th_study_pair;
th_status th_study_match(const th_study *s, const th_study_filter *a, const th_study_filter *b, th_study_pair **out,
                         int64_t *count);

/* What is drawn together when an interval is found. */
typedef enum { TH_BY_TRAINING, TH_BY_PROMPT, TH_BY_PICTURE } th_study_unit;

/* Sums over units, [count, width]; made by th_tally_add from rows in the order of th_study_choose. */
typedef struct {
    double *sums;
    int64_t count, capacity, width;
    const th_study_row *last; /* of the unit that is being filled */
    uint64_t seed;
} th_tally;
void th_tally_init(th_tally *t, int64_t width, uint64_t seed);
void th_tally_free(th_tally *t);
/* The sums of the unit that this row is of, which begins anew where it is another's than the last. NULL: no memory. */
double *th_tally_at(th_tally *t, const th_study_row *row, th_study_unit unit);
/* Sums over all units. */
double th_tally_total(const th_tally *t, int64_t column);

/* A function of the sums over units, all or those drawn; with fewer than two units the interval is NaN. */
typedef double (*th_tally_value)(const double *sums, const void *user);
th_status th_tally_estimate(const th_tally *t, th_tally_value value, const void *user, th_estimate *out);
/* Column a over column b. Where each unit is one trial, or no unit differs from another, Wilson's interval: of as many
 * trials as there are units where all or none are hits, else of all trials. */
th_status th_tally_share(const th_tally *t, int64_t a, int64_t b, th_estimate *out);
th_status th_tally_mean(const th_tally *t, int64_t a, int64_t b, th_estimate *out);

/* Of pairs: columns are the first one's sum, the second one's, and pairs. */
enum { TH_PAIR_A, TH_PAIR_B, TH_PAIR_N, TH_PAIR_WIDTH };
/* a − b and b / a of shares. Where no unit differs from another the interval is made of those of the shares: for a
 * difference as Newcombe does (1998, method 10). */
th_status th_tally_share_drop(const th_tally *t, th_estimate *out);
th_status th_tally_share_ratio(const th_tally *t, th_estimate *out);
/* a − b and b / a of means. */
th_status th_tally_mean_drop(const th_tally *t, th_estimate *out);
th_status th_tally_mean_ratio(const th_tally *t, th_estimate *out);

#endif
