/* Columns of words. */
#include "data/columns.h"

#include <string.h>

#include "base/map.h"
#include "data/dataset_parts.h"
#include "format/table.h"

struct th_columns {
    const th_dataset *d;
    th_arena *arena;
    int count;
    const char **names; /* [count] */
    const char **cells; /* [pictures, count] */
    bool of_scenes;
};

/* --- scenes --- */

enum { GARMENT, COLOUR, BACKGROUND, SCENE_COLUMNS };
static const char *const scene_names[SCENE_COLUMNS] = {"garment", "colour", "background"};

/* What th_scene_info.background_colour may be, of plain and of striped backgrounds. */
static const th_colour background_colours[] = {
    TH_COLOUR_GREY,  TH_COLOUR_WHITE, TH_COLOUR_BLACK,  TH_COLOUR_PINK,
    TH_COLOUR_GREEN, TH_COLOUR_BLUE,  TH_COLOUR_YELLOW, TH_COLOUR_PURPLE,
};
enum { BACKGROUND_COLOURS = sizeof background_colours / sizeof *background_colours };

static const char *colour_word(th_colour colour) {
    for (int i = 0; i < th_scene_word_count; i++)
        if (th_scene_words[i].kind == TH_WORD_COLOUR && th_scene_words[i].value == (int)colour)
            return th_scene_words[i].text;
    return "";
}

/* As captions say it. */
static const char *background_words(th_background b, th_colour colour, char room[TH_SCENE_VALUE_MAX]) {
    static const char *const others[TH_BACKGROUND_COUNT] = {
        [TH_BACKGROUND_WOOD] = "a wooden floor",
        [TH_BACKGROUND_BRICK] = "a brick wall",
        [TH_BACKGROUND_GRASS] = "the grass",
        [TH_BACKGROUND_TILES] = "a tiled floor",
    };
    if (others[b]) return others[b];
    snprintf(room, TH_SCENE_VALUE_MAX, "a %s%s background", b == TH_BACKGROUND_STRIPED ? "striped " : "",
             colour_word(colour));
    return room;
}

static const char *scene_cell(const th_scene_info *info, int column, char room[TH_SCENE_VALUE_MAX]) {
    if (info->count != 1 && column != BACKGROUND) return ""; /* of which garment? */
    if (column == GARMENT) return th_scene_class_names[info->garments[0].garment];
    if (column == COLOUR) return colour_word(info->garments[0].colour);
    return background_words(info->background, info->background_colour, room);
}

const char *th_columns_scene_value(const th_columns *c, int column, int64_t *at, char room[TH_SCENE_VALUE_MAX]) {
    int64_t i = (*at)++;
    if (!c->of_scenes) return NULL;
    if (column == GARMENT) return i < TH_GARMENT_COUNT ? th_scene_class_names[i] : NULL;
    if (column == COLOUR) return i < TH_COLOUR_GREY ? colour_word((th_colour)i) : NULL; /* no garment is grey */
    if (i < BACKGROUND_COLOURS) return background_words(TH_BACKGROUND_PLAIN, background_colours[i], room);
    i -= BACKGROUND_COLOURS;
    if (i < BACKGROUND_COLOURS) return background_words(TH_BACKGROUND_STRIPED, background_colours[i], room);
    i += TH_BACKGROUND_WOOD - BACKGROUND_COLOURS;
    return i < TH_BACKGROUND_COUNT ? background_words((th_background)i, TH_COLOUR_COUNT, room) : NULL;
}

/* --- filling --- */

static th_status make_room(th_columns *c, int count) {
    c->count = count;
    c->names = th_arena_alloc(c->arena, (size_t)count + 1, sizeof *c->names);
    c->cells = th_arena_alloc(c->arena, (size_t)th_dataset_images(c->d) * (size_t)count + 1, sizeof *c->cells);
    return c->names && c->cells ? TH_OK : th_fail_memory();
}

static th_status set_cell(th_columns *c, int64_t image, int column, const char *text) {
    const char **cell = &c->cells[image * c->count + column];
    *cell = *text ? th_arena_strdup(c->arena, text) : "";
    return *cell ? TH_OK : th_fail_memory();
}

static th_status read_scenes(th_columns *c) {
    TH_TRY(make_room(c, SCENE_COLUMNS));
    c->of_scenes = true;
    for (int k = 0; k < SCENE_COLUMNS; k++) c->names[k] = scene_names[k];
    for (int64_t i = 0; i < th_dataset_images(c->d); i++) {
        th_scene_info info;
        char room[TH_SCENE_VALUE_MAX];
        th_dataset_scene(c->d, i, &info);
        for (int k = 0; k < SCENE_COLUMNS; k++) TH_TRY(set_cell(c, i, k, scene_cell(&info, k, room)));
    }
    return TH_OK;
}

static th_status read_labels(th_columns *c) {
    bool named = th_dataset_classes(c->d) > 0 && th_dataset_class_name(c->d, 0);
    TH_TRY(make_room(c, named));
    if (named) c->names[0] = "label";
    for (int64_t i = 0; i < th_dataset_images(c->d) && named; i++) {
        int32_t label = th_dataset_label(c->d, i);
        TH_TRY(set_cell(c, i, 0, label < 0 ? "" : th_dataset_class_name(c->d, label)));
    }
    return TH_OK;
}

/* The first row of each path. */
static th_status map_rows(const th_sheet *t, int image_column, th_map *rows) {
    for (int64_t row = t->rows - 1; row >= 0; row--) {
        const char *path = th_sheet_cell(t, row, image_column);
        size_t length = strlen(path);
        th_text_trim(&path, &length);
        TH_TRY(th_map_set(rows, path, length, row));
    }
    return TH_OK;
}

static th_status take_cells(th_columns *c, const th_sheet *t, const th_map *rows) {
    TH_TRY(make_room(c, t->columns));
    for (int k = 0; k < t->columns; k++)
        if (!(c->names[k] = th_arena_strdup(c->arena, t->names[k]))) return th_fail_memory();
    for (int64_t i = 0; i < th_dataset_images(c->d); i++) {
        char room[TH_DATASET_ROOM];
        const char *key = th_dataset_key(c->d, i, room);
        int64_t row = th_map_get(rows, key, strlen(key), -1);
        for (int k = 0; k < t->columns; k++) TH_TRY(set_cell(c, i, k, row < 0 ? "" : th_sheet_cell(t, row, k)));
    }
    return TH_OK;
}

static th_status read_sheet(th_columns *c, const th_dataset_params *p) {
    th_sheet t;
    int image;
    TH_TRY(th_dataset_read_sheet(c->d->name, p, &t, &image));
    th_map *rows = th_map_new();
    th_status s = rows ? map_rows(&t, image, rows) : th_fail_memory();
    if (s == TH_OK) s = take_cells(c, &t, rows);
    th_map_free(rows);
    th_sheet_free(&t);
    return s;
}

static th_status fill(th_columns *c, const th_dataset_params *p) {
    c->arena = th_arena_new();
    if (!c->arena) return th_fail_memory();
    if (c->d->scenes) return read_scenes(c);
    return c->d->source == &th_source_table ? read_sheet(c, p) : read_labels(c);
}

th_status th_columns_read(const th_dataset *d, const th_dataset_params *p, th_columns **out) {
    th_dataset_params defaults;
    th_dataset_params_init(&defaults);
    th_columns *c = th_alloc(1, sizeof *c);
    if (!c) return th_fail_memory();
    c->d = d;
    th_status s = fill(c, p ? p : &defaults);
    if (s != TH_OK) return th_columns_free(c), s;
    *out = c;
    return TH_OK;
}

void th_columns_free(th_columns *c) {
    if (!c) return;
    th_arena_free(c->arena);
    th_free(c);
}

/* --- asking --- */

int th_columns_count(const th_columns *c) { return c->count; }
const char *th_columns_name(const th_columns *c, int column) { return c->names[column]; }

int th_columns_find(const th_columns *c, const char *name) {
    for (int k = 0; k < c->count; k++)
        if (!strcmp(c->names[k], name)) return k;
    return -1;
}

th_status th_columns_need(const th_columns *c, const char *name, int *column) {
    char shown[TH_SHOWN_MAX];
    th_str list;
    *column = th_columns_find(c, name);
    if (*column >= 0) return TH_OK;
    th_str_init(&list, 200); /* what does not fit is left out */
    for (int k = 0; k < c->count; k++) th_str_printf(&list, "%s%.40s", k ? ", " : "", c->names[k]);
    th_status s =
        th_fail(TH_E_INPUT, "%s: no column '%s' (there are: %s%s)", c->d->name, th_shown(shown, name, strlen(name)),
                c->count ? th_str_text(&list) : "none", th_str_status(&list) == TH_OK ? "" : ", …");
    th_str_free(&list);
    return s;
}

const char *th_columns_cell(const th_columns *c, int64_t image, int column) {
    return c->cells[image * c->count + column];
}

/* --- prompts --- */

static bool is_carried(const char *name) {
    static const char *const left_out[] = {"image",   "filepath", "file_name", "file", "seed",
                                           "caption", "captions", "title",     "text", "prompt"};
    for (size_t i = 0; i < sizeof left_out / sizeof *left_out; i++)
        if (!strcmp(name, left_out[i])) return false;
    return true;
}

/* The caption, then the cells that are carried; or with image −1 the names. */
static th_status gather_row(const th_columns *c, int64_t image, char room[TH_DATASET_ROOM], const char **row) {
    char key[TH_DATASET_ROOM];
    int n = 1;
    row[0] = image < 0 ? "prompt" : th_dataset_captions(c->d, image) ? th_dataset_caption_of(c->d, image, 0, room) : "";
    if (!row[0] || !*row[0])
        return th_fail(TH_E_INPUT, "%s: picture '%.200s' has no caption to be a prompt", c->d->name,
                       th_dataset_key(c->d, image, key));
    for (int k = 0; k < c->count; k++)
        if (is_carried(c->names[k])) row[n++] = image < 0 ? c->names[k] : th_columns_cell(c, image, k);
    return TH_OK;
}

static th_status write_prompts(const th_columns *c, const char *path, const char **row) {
    char room[TH_DATASET_ROOM];
    th_sheet_writer *w = NULL;
    int carried = 1;
    for (int k = 0; k < c->count; k++) carried += is_carried(c->names[k]);
    TH_TRY(gather_row(c, -1, room, row));
    TH_TRY(th_sheet_writer_open(path, '\t', carried, row, &w));
    for (int64_t i = 0; i < th_dataset_images(c->d); i++) {
        th_status s = gather_row(c, i, room, row);
        if (s != TH_OK) return th_sheet_writer_abort(w), s;
        th_sheet_writer_row(w, row);
    }
    return th_sheet_writer_commit(w);
}

th_status th_columns_write_prompts(const th_columns *c, const char *path) {
    const char **row = th_alloc((size_t)c->count + 1, sizeof *row);
    if (!row) return th_fail_memory();
    th_status s = write_prompts(c, path, row);
    th_free(row);
    return s;
}
