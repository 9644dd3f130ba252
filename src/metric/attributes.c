/* Attributes: completing them from what sets say, and asking for them. */
#include "metric/attributes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/guess.h"
#include "base/map.h"
#include "base/memory.h"
#include "base/template.h"

void th_attributes_free(th_attributes *a) {
    th_arena_free(a->arena);
    *a = (th_attributes){0};
}

th_status th_attributes_of_columns(const char *const *names, int64_t count, th_attributes *out) {
    *out = (th_attributes){0};
    if (count > TH_ATTRIBUTES_MAX)
        return th_fail(TH_E_USAGE, "%lld attributes are too many: %d are the most", (long long)count,
                       TH_ATTRIBUTES_MAX);
    out->arena = th_arena_new();
    if (!out->arena) return th_fail_memory();
    out->items = th_arena_alloc(out->arena, (size_t)count + 1, sizeof *out->items);
    for (int64_t i = 0; i < count && out->items; i++)
        out->items[i].name = out->items[i].column = th_arena_strdup(out->arena, names[i]);
    out->count = count;
    if (!th_arena_failed(out->arena)) return TH_OK;
    th_attributes_free(out);
    return th_fail_memory();
}

/* --- values --- */

/* A list that grows in an arena, which a list of unknown length cannot: it is gathered here and then copied. */
typedef struct {
    const char **items;
    int64_t count, capacity;
} gathered;

static th_status gather(gathered *g, const char *text) {
    if (!th_grow(g->items, g->count, g->capacity)) return th_fail_memory();
    g->items[g->count++] = text;
    return TH_OK;
}

static th_status gather_scene_values(th_arena *arena, const th_columns *c, int column, gathered *g) {
    char room[TH_SCENE_VALUE_MAX];
    const char *value;
    for (int64_t at = 0; (value = th_columns_scene_value(c, column, &at, room));) {
        const char *copy = th_arena_strdup(arena, value);
        if (!copy) return th_fail_memory();
        TH_TRY(gather(g, copy));
    }
    return TH_OK;
}

/* Cells that are not in `seen` yet. */
static th_status gather_cells(const th_picture_set *s, int column, th_map *seen, gathered *g) {
    for (int64_t i = 0; i < th_dataset_images(s->set); i++) {
        const char *cell = th_columns_cell(s->columns, i, column);
        if (!*cell || th_map_get(seen, cell, strlen(cell), 0)) continue;
        TH_TRY(th_map_set(seen, cell, strlen(cell), 1));
        TH_TRY(gather(g, cell));
    }
    return TH_OK;
}

static int by_text(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

static th_status gather_values(th_arena *arena, const th_attribute *x, const th_picture_set *const sets[2],
                               th_map *seen, gathered *g) {
    for (int k = 0; k < 2 && !g->count; k++) {
        int column = sets[k] ? th_columns_find(sets[k]->columns, x->column) : -1;
        if (column >= 0) TH_TRY(gather_scene_values(arena, sets[k]->columns, column, g));
    }
    if (g->count) return TH_OK;
    for (int k = 0; k < 2; k++) {
        int column = sets[k] ? th_columns_find(sets[k]->columns, x->column) : -1;
        if (column >= 0) TH_TRY(gather_cells(sets[k], column, seen, g));
    }
    if (g->count) qsort(g->items, (size_t)g->count, sizeof *g->items, by_text);
    return TH_OK;
}

static th_status find_values(th_arena *arena, th_attribute *x, const th_picture_set *const sets[2]) {
    gathered g = {0};
    th_map *seen = th_map_new();
    th_status s = seen ? gather_values(arena, x, sets, seen, &g) : th_fail_memory();
    const char **values = s == TH_OK ? th_arena_alloc(arena, (size_t)g.count + 1, sizeof *values) : NULL;
    if (s == TH_OK && !values) s = th_fail_memory();
    for (int64_t i = 0; i < g.count && s == TH_OK; i++)
        if (!(values[i] = th_arena_strdup(arena, g.items[i]))) s = th_fail_memory();
    x->values = x->phrases = (th_texts){values, g.count};
    th_map_free(seen);
    th_free(g.items);
    return s;
}

/* --- templates --- */

/* Of what scenes say about a colour or a background: with every garment, so that none speaks for a value. */
static th_status scene_templates(th_arena *arena, th_attribute *x) {
    bool colour = !strcmp(x->column, "colour");
    const char **forms = th_arena_alloc(arena, TH_GARMENT_COUNT, sizeof *forms);
    if (!forms) return th_fail_memory();
    for (int i = 0; i < TH_GARMENT_COUNT; i++) {
        const char *name = th_scene_class_names[i], *noun = strncmp(name, "a ", 2) ? name : name + 2;
        forms[i] = colour ? th_arena_printf(arena, "%s{} %s", noun == name ? "" : "a ", noun)
                          : th_arena_printf(arena, "%s on {}", name);
        if (!forms[i]) return th_fail_memory();
    }
    x->templates = (th_texts){forms, TH_GARMENT_COUNT};
    return TH_OK;
}

/* Whether one of the sets is of scenes and the column one of theirs. */
static bool is_of_scenes(const th_attribute *x, const th_picture_set *const sets[2]) {
    for (int k = 0; k < 2; k++) {
        int64_t at = 0;
        char room[TH_SCENE_VALUE_MAX];
        int column = sets[k] ? th_columns_find(sets[k]->columns, x->column) : -1;
        if (column >= 0 && th_columns_scene_value(sets[k]->columns, column, &at, room)) return true;
    }
    return false;
}

static th_status find_templates(th_arena *arena, th_attribute *x, const th_picture_set *const sets[2], th_texts given) {
    x->templates = given.count ? given : th_usual_templates(x->phrases);
    if (given.count || !is_of_scenes(x, sets) || !strcmp(x->column, "garment")) return TH_OK;
    return scene_templates(arena, x);
}

/* --- completing --- */

static int64_t find_value(const th_attribute *x, const char *cell) {
    for (int64_t i = 0; i < x->values.count; i++)
        if (!strcmp(x->values.items[i], cell)) return i;
    return -1;
}

static th_status check_cells(const th_attribute *x, const th_picture_set *s, int column) {
    int64_t judged = 0;
    for (int64_t i = 0; i < th_dataset_images(s->set); i++) {
        const char *cell = th_columns_cell(s->columns, i, column);
        th_guess guess = {.word = cell};
        if (!*cell || find_value(x, cell) >= 0) {
            judged += *cell != '\0';
            continue;
        }
        for (int64_t k = 0; k < x->values.count; k++) th_guess_offer(&guess, x->values.items[k]);
        return th_fail(TH_E_INPUT,
                       "%s: column '%s' says '%.80s', which is none of the %lld values of attribute '%s'%s%s%s",
                       s->name, x->column, cell, (long long)x->values.count, x->name,
                       guess.best ? " (did you mean '" : "", guess.best ? guess.best : "", guess.best ? "'?)" : "");
    }
    return judged ? TH_OK : th_fail(TH_E_INPUT, "%s: column '%s' is empty for every picture", s->name, x->column);
}

static th_status complete(th_arena *arena, th_attribute *x, const th_picture_set *const sets[2], th_texts templates) {
    int column;
    TH_TRY(th_fail_in(th_columns_need(sets[0]->columns, x->column, &column), "attribute '%s'", x->name));
    if (!x->values.count) TH_TRY(find_values(arena, x, sets));
    if (x->values.count < 2)
        return th_fail(TH_E_INPUT, "attribute '%s': there is nothing to tell apart: %s has %lld value%s", x->name,
                       sets[0]->name, (long long)x->values.count, x->values.count == 1 ? "" : "s");
    TH_TRY(check_cells(x, sets[0], column));
    int reals = sets[1] ? th_columns_find(sets[1]->columns, x->column) : -1;
    if (reals >= 0) TH_TRY(check_cells(x, sets[1], reals));
    return x->templates.count ? TH_OK : find_templates(arena, x, sets, templates);
}

th_status th_attributes_complete(th_attributes *a, const th_picture_set *images, const th_picture_set *real,
                                 th_texts templates) {
    const th_picture_set *const sets[2] = {images, real};
    for (int64_t i = 0; i < templates.count; i++)
        if (!strstr(templates.items[i], "{}"))
            return th_fail(TH_E_USAGE, "the template '%.100s' has no {} for the value", templates.items[i]);
    for (int64_t i = 0; i < a->count; i++) TH_TRY(complete(a->arena, &a->items[i], sets, templates));
    return TH_OK;
}

/* --- asking --- */

th_status th_attribute_texts(th_arena *arena, const th_attribute *x, const char **texts) {
    for (int64_t i = 0; i < x->phrases.count; i++)
        for (int64_t k = 0; k < x->templates.count; k++) {
            char *text = th_template_fill(arena, x->templates.items[k], x->phrases.items[i]);
            if (!text) return th_fail_memory();
            texts[i * x->templates.count + k] = text;
        }
    return TH_OK;
}

int32_t th_attribute_value(const th_attribute *x, const th_columns *c, int column, int64_t image) {
    const char *cell = th_columns_cell(c, image, column);
    return *cell ? (int32_t)find_value(x, cell) : -1;
}
