/* Rows of studies: choosing, pairing, summing by what is repeated. */
#include "metric/guard_tally.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"

/* --- choosing --- */

static bool fits(const th_study_row *r, const th_study_filter *f) {
    if (r->kind != f->kind || r->model != f->model || r->attacker != f->attacker) return false;
    if (f->step != TH_ANY_STEP && r->step != f->step) return false;
    if (f->group != TH_ANY_GROUP && r->group != f->group) return false;
    return r->subject < 0 || f->subjects >> r->subject & 1;
}

static int against(int64_t a, int64_t b) { return (a > b) - (a < b); }

/* step: whether it matters, as it does not between rows that make a pair. The seed comes late where it is no
 * training's, so that the pictures of a prompt follow one another. */
static int compare_rows(const th_study_row *a, const th_study_row *b, bool step) {
    int d = against(a->subject, b->subject);
    if (!d && a->kind == TH_STUDY_ATTACK) d = against(a->seed, b->seed);
    if (!d && step) d = against(a->step, b->step);
    if (!d) d = against(a->prompt, b->prompt);
    if (!d) d = against(a->draw, b->draw);
    return d ? d : against(a->seed, b->seed);
}

static int by_place(const void *a, const void *b) {
    return compare_rows(*(const th_study_row *const *)a, *(const th_study_row *const *)b, true);
}

th_status th_study_choose(const th_study *s, const th_study_filter *f, int64_t **out, int64_t *count) {
    int64_t n = 0, at = 0;
    for (int64_t i = 0; i < s->row_count; i++) n += fits(&s->rows[i], f);
    const th_study_row **rows = th_alloc((size_t)n + 1, sizeof *rows);
    int64_t *numbers = th_alloc((size_t)n + 1, sizeof *numbers);
    if (!rows || !numbers) return th_free(rows), th_free(numbers), th_fail_memory();
    for (int64_t i = 0; i < s->row_count; i++)
        if (fits(&s->rows[i], f)) rows[at++] = &s->rows[i];
    if (n) qsort(rows, (size_t)n, sizeof *rows, by_place);
    for (int64_t i = 0; i < n; i++) numbers[i] = rows[i] - s->rows;
    th_free(rows);
    *out = numbers, *count = n;
    return TH_OK;
}

static th_status match(const th_study *s, const int64_t *a, int64_t n, const int64_t *b, int64_t m, th_study_pair **out,
                       int64_t *count) {
    th_study_pair *pairs = th_alloc((size_t)(n < m ? n : m) + 1, sizeof *pairs);
    if (!pairs) return th_fail_memory();
    *count = 0;
    for (int64_t i = 0, j = 0; i < n && j < m;) {
        int d = compare_rows(&s->rows[a[i]], &s->rows[b[j]], false);
        if (!d) pairs[(*count)++] = (th_study_pair){a[i], b[j]};
        i += d <= 0;
        j += d >= 0;
    }
    *out = pairs;
    return TH_OK;
}

th_status th_study_match(const th_study *s, const th_study_filter *a, const th_study_filter *b, th_study_pair **out,
                         int64_t *count) {
    int64_t *left = NULL, *right = NULL, n, m;
    th_status status = th_study_choose(s, a, &left, &n);
    if (status == TH_OK) status = th_study_choose(s, b, &right, &m);
    if (status == TH_OK) status = match(s, left, n, right, m, out, count);
    th_free(left);
    th_free(right);
    return status;
}

/* --- sums --- */

void th_tally_init(th_tally *t, int64_t width, uint64_t seed) { *t = (th_tally){.width = width, .seed = seed}; }
void th_tally_free(th_tally *t) { th_free(t->sums); }

static bool same_unit(const th_study_row *a, const th_study_row *b, th_study_unit unit) {
    if (unit == TH_BY_PICTURE) return false;
    if (unit == TH_BY_PROMPT) return a->prompt == b->prompt;
    return a->subject == b->subject && a->seed == b->seed;
}

double *th_tally_at(th_tally *t, const th_study_row *row, th_study_unit unit) {
    if (!t->last || !same_unit(t->last, row, unit)) {
        if (t->count == t->capacity) {
            int64_t capacity = t->capacity ? 2 * t->capacity : 16;
            double *sums = th_realloc(t->sums, (size_t)(capacity * t->width), sizeof *sums);
            if (!sums) return NULL;
            t->sums = sums, t->capacity = capacity;
        }
        memset(t->sums + t->count++ * t->width, 0, (size_t)t->width * sizeof *t->sums);
    }
    t->last = row;
    return t->sums + (t->count - 1) * t->width;
}

double th_tally_total(const th_tally *t, int64_t column) {
    double sum = 0;
    for (int64_t i = 0; i < t->count; i++) sum += t->sums[i * t->width + column];
    return sum;
}

/* --- estimates --- */

typedef struct {
    const th_tally *t;
    th_tally_value value;
    const void *user;
    double *sums; /* [width] */
} drawing;

/* Of as many units, drawn with replacement. */
static double draw(void *user, uint64_t which) {
    const drawing *d = user;
    const th_tally *t = d->t;
    th_rng r = th_rng_at(t->seed, TH_RNG_BOOTSTRAP, 7, which);
    memset(d->sums, 0, (size_t)t->width * sizeof *d->sums);
    for (int64_t i = 0; i < t->count; i++) {
        const double *unit = t->sums + (int64_t)th_rng_below(&r, (uint32_t)t->count) * t->width;
        for (int64_t k = 0; k < t->width; k++) d->sums[k] += unit[k];
    }
    return d->value(d->sums, d->user);
}

th_status th_tally_estimate(const th_tally *t, th_tally_value value, const void *user, th_estimate *out) {
    drawing d = {t, value, user, th_alloc((size_t)t->width, sizeof(double))};
    if (!d.sums) return th_fail_memory();
    for (int64_t k = 0; k < t->width; k++) d.sums[k] = th_tally_total(t, k);
    double all = value(d.sums, user);
    th_status s = TH_OK;
    if (t->count < 2 || !isfinite(all))
        *out = (th_estimate){t->count ? all : NAN, NAN, NAN};
    else
        s = th_bootstrap(all, draw, &d, out);
    th_free(d.sums);
    return s;
}

/* Column a over column b. */
typedef struct {
    int64_t a, b;
} columns;

static double quotient(const double *sums, const void *user) {
    const columns *c = user;
    return sums[c->b] != 0 ? sums[c->a] / sums[c->b] : NAN;
}

th_status th_tally_mean(const th_tally *t, int64_t a, int64_t b, th_estimate *out) {
    return th_tally_estimate(t, quotient, &(columns){a, b}, out);
}

/* Wilson's interval of a share hits / trials between whose units nothing differs: where all or none are hits, nobody
 * knows how alike the trials of one are, so each unit counts as one; else they are as different as in all. */
static th_estimate of_like_units(const th_tally *t, double hits, double trials) {
    return th_share_as_of(hits / trials, hits > 0 && hits < trials ? trials : (double)t->count);
}

th_status th_tally_share(const th_tally *t, int64_t a, int64_t b, th_estimate *out) {
    double hits = th_tally_total(t, a), trials = th_tally_total(t, b);
    TH_TRY(th_tally_mean(t, a, b, out));
    if (t->count > 1 && (!(out->low < out->high) || (double)t->count == trials)) *out = of_like_units(t, hits, trials);
    return TH_OK;
}

/* --- pairs --- */

static double difference(const double *sums, const void *user) {
    (void)user;
    return (sums[TH_PAIR_A] - sums[TH_PAIR_B]) / sums[TH_PAIR_N];
}

th_status th_tally_mean_drop(const th_tally *t, th_estimate *out) {
    return th_tally_estimate(t, difference, NULL, out);
}

th_status th_tally_mean_ratio(const th_tally *t, th_estimate *out) {
    return th_tally_mean(t, TH_PAIR_B, TH_PAIR_A, out);
}

th_status th_tally_share_drop(const th_tally *t, th_estimate *out) {
    TH_TRY(th_tally_mean_drop(t, out));
    if (t->count < 2 || out->low < out->high) return TH_OK;
    double n = th_tally_total(t, TH_PAIR_N);
    th_estimate a = of_like_units(t, th_tally_total(t, TH_PAIR_A), n);
    th_estimate b = of_like_units(t, th_tally_total(t, TH_PAIR_B), n);
    out->low = out->value - hypot(a.value - a.low, b.high - b.value);
    out->high = out->value + hypot(a.high - a.value, b.value - b.low);
    return TH_OK;
}

th_status th_tally_share_ratio(const th_tally *t, th_estimate *out) {
    TH_TRY(th_tally_mean_ratio(t, out));
    if (t->count < 2 || !isfinite(out->value) || out->low < out->high || isnan(out->low)) return TH_OK;
    double n = th_tally_total(t, TH_PAIR_N), open = th_tally_total(t, TH_PAIR_A) / n;
    th_estimate b = of_like_units(t, th_tally_total(t, TH_PAIR_B), n);
    out->low = b.low / open;
    out->high = b.high / open;
    return TH_OK;
}
