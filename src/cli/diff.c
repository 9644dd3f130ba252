/* theriac diff: which weights differ between two models, and by how much. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "cli/frame.h"
#include "format/safetensors.h"

static const th_option options[] = {
    TH_OPT_INT("top", 20, "tensors to show, the most changed first; 0: all", TH_AT_LEAST(0)),
    TH_OPT_END,
};

/* relative: ‖b − a‖ / ‖a‖; what is only in one of the two has no numbers. Elements that are not finite in one or both
 * and not the same are changed, and counted for themselves: no norm has them. */
typedef struct {
    const char *name, *only_in; /* "A", "B" or NULL */
    bool reshaped;
    double relative, largest;
    int64_t changed, not_finite, count;
} change;

typedef struct {
    change *items;
    int64_t count, capacity, same;
    double difference, norm; /* squares, over all */
} changes;

#define BLOCK 4096

static th_status compare(const th_st_tensor *a, const th_st_tensor *b, change *c, changes *all) {
    float x[BLOCK], y[BLOCK];
    double difference = 0, norm = 0;
    for (int64_t at = 0; at < a->count; at += BLOCK) {
        int64_t n = a->count - at < BLOCK ? a->count - at : BLOCK;
        TH_TRY(th_st_to_f32(a, at, n, x));
        TH_TRY(th_st_to_f32(b, at, n, y));
        for (int64_t i = 0; i < n; i++) {
            bool same = x[i] == y[i] || (isnan(x[i]) && isnan(y[i])), finite = isfinite(x[i]) && isfinite(y[i]);
            c->changed += !same;
            c->not_finite += !same && !finite;
            if (!finite) continue;
            double d = (double)y[i] - (double)x[i];
            difference += d * d;
            norm += (double)x[i] * (double)x[i];
            if (fabs(d) > c->largest) c->largest = fabs(d);
        }
    }
    c->count = a->count;
    c->relative = norm > 0 ? sqrt(difference / norm) : difference > 0 ? INFINITY : 0;
    all->difference += difference;
    all->norm += norm;
    return TH_OK;
}

static bool has_floats(const th_st_tensor *t) {
    return t->dtype == TH_ST_F32 || t->dtype == TH_ST_F16 || t->dtype == TH_ST_BF16 || t->dtype == TH_ST_F64;
}

static th_status add(changes *all, const change *c) {
    if (!th_grow(all->items, all->count, all->capacity)) return th_fail_memory();
    all->items[all->count++] = *c;
    return TH_OK;
}

static th_status look(const th_safetensors *a, const th_safetensors *b, changes *all) {
    for (int64_t i = 0; i < th_safetensors_count(a); i++) {
        const th_st_tensor *x = th_safetensors_at(a, i), *y = th_safetensors_find(b, x->name);
        change c = {.name = x->name, .only_in = y ? NULL : "A"};
        c.reshaped = y && (y->rank != x->rank || memcmp(y->shape, x->shape, (size_t)x->rank * sizeof *x->shape));
        if (y && !c.reshaped && has_floats(x) && has_floats(y))
            TH_TRY(compare(x, y, &c, all));
        else if (y && !c.reshaped)
            c.changed = x->bytes != y->bytes || memcmp(x->data, y->data, x->bytes);
        if (c.only_in || c.reshaped || c.changed)
            TH_TRY(add(all, &c));
        else
            all->same++;
    }
    for (int64_t i = 0; i < th_safetensors_count(b); i++) {
        const th_st_tensor *y = th_safetensors_at(b, i);
        if (!th_safetensors_find(a, y->name)) TH_TRY(add(all, &(change){.name = y->name, .only_in = "B"}));
    }
    return TH_OK;
}

static int most_changed_first(const void *p, const void *q) {
    const change *a = p, *b = q;
    if (!a->only_in != !b->only_in) return a->only_in ? -1 : 1;
    if (!a->not_finite != !b->not_finite) return a->not_finite ? -1 : 1;
    if (a->relative != b->relative) return a->relative < b->relative ? 1 : -1;
    return strcmp(a->name, b->name);
}

static void print(th_cli *cli, const changes *all, int64_t shown) {
    th_table *t = th_table_new(NULL);
    th_table_column(t, TH_LEFT, "Tensor");
    th_table_column(t, TH_RIGHT, "Change, % of norm");
    th_table_column(t, TH_RIGHT, "Largest");
    th_table_column(t, TH_RIGHT, "Elements changed, %");
    for (int64_t i = 0; i < shown; i++) {
        const change *c = &all->items[i];
        th_table_cell(t, "%s", c->name);
        if (c->only_in || c->reshaped) {
            th_table_cell(t, "%s", c->only_in ? "only in" : "another shape");
            th_table_cell(t, "%s", c->only_in ? c->only_in : "");
            th_table_cell(t, "%s", "");
            continue;
        }
        th_table_number(t, 100 * c->relative, 3);
        if (c->not_finite)
            th_table_cell(t, "%lld not finite", (long long)c->not_finite);
        else
            th_table_cell(t, "%.3g", c->largest);
        th_table_number(t, c->count ? 100.0 * (double)c->changed / (double)c->count : 100.0, 1);
    }
    if (shown) th_cli_table(cli, t);
    th_table_free(t);
    th_str_printf(&cli->out, "%lld tensors differ, %lld are the same", (long long)all->count, (long long)all->same);
    if (shown < all->count) th_str_printf(&cli->out, " (%lld shown)", (long long)shown);
    if (all->norm > 0)
        th_str_printf(&cli->out, "; over all %.4g %% of the norm", 100 * sqrt(all->difference / all->norm));
    th_str_puts(&cli->out, "\n");
}

/* Infinite where there was nothing before: JSON has no such number, and the member is left out. */
static void set_relative(json_t *j, double relative) {
    if (isfinite(relative)) json_object_set_new(j, "relative_change", json_real(relative));
}

static void print_json(th_cli *cli, const changes *all) {
    json_t *list = json_array();
    for (int64_t i = 0; i < all->count; i++) {
        const change *c = &all->items[i];
        json_t *j = json_pack("{s:s, s:s*, s:b}", "name", c->name, "only_in", c->only_in, "reshaped", (int)c->reshaped);
        if (!c->only_in && !c->reshaped) {
            set_relative(j, c->relative);
            json_object_set_new(j, "largest_change", json_real(c->largest));
            json_object_set_new(j, "elements_changed", json_integer(c->changed));
            json_object_set_new(j, "not_finite", json_integer(c->not_finite));
        }
        json_array_append_new(list, j);
    }
    json_t *j = json_pack("{s:o, s:I}", "changed", list, "same", (json_int_t)all->same);
    set_relative(j, all->difference > 0 ? sqrt(all->difference / all->norm) : 0);
    th_cli_json(cli, j);
}

static th_status run(th_cli *cli) {
    th_safetensors *a = NULL, *b = NULL;
    changes all = {0};
    th_status status;
    TH_GO(th_safetensors_open(cli->args.items[0], NULL, &a));
    TH_GO(th_safetensors_open(cli->args.items[1], NULL, &b));
    TH_GO(look(a, b, &all));
    if (all.count) qsort(all.items, (size_t)all.count, sizeof *all.items, most_changed_first);
    int64_t top = th_get_i64(cli->options, "top");
    if (cli->json)
        print_json(cli, &all);
    else
        print(cli, &all, top && top < all.count ? top : all.count);
done:
    th_free(all.items);
    th_safetensors_close(a);
    th_safetensors_close(b);
    return status;
}

const th_verb th_verb_diff = {
    .name = "diff",
    .summary = "show which weights differ between two models",
    .usage = "A B",
    .about = "A and B are folders or .safetensors files.",
    .least_args = 2,
    .most_args = 2,
    .examples = "theriac diff models/fashion-clip out/cleaned",
    .groups = {{"Comparing", options}},
    .run = run,
};
