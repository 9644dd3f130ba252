/* The folder that `theriac generate` fills: pictures that say how they were made, a table of them, a contact sheet. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/number.h"
#include "cli/generate_parts.h"
#include "data/contact_sheet.h"
#include "format/json.h"
#include "format/options_json.h"
#include "format/png_text.h"
#include "personalize/custom_file.h"
#include "personalize/embedding_file.h"
#include "personalize/lora_file.h"

enum { LARGEST_CELL = 256 }; /* pixels, of the contact sheet */

th_status th_drawing_path(const th_drawing *d, int64_t picture, const char *ending, char path[TH_PATH_MAX]) {
    char name[48];
    snprintf(name, sizeof name, "%05lld%s", (long long)picture, ending);
    return th_path_join(path, d->out, name);
}

/* --- what a picture says --- */

static void say(th_drawing *d, const char *key, const char *value) {
    if (d->text_count < TH_DRAWING_MOST_TEXTS - 2) d->texts[d->text_count++] = (th_image_text){key, value};
}

static void say_number(th_drawing *d, const char *key, double value) {
    char text[TH_NUMBER_TEXT];
    th_print_f32(text, (float)value);
    say(d, key, th_arena_strdup(d->arena, text));
}

/* The hash of a file that was used, for the PNGs under `key` and for run.json under `name`. */
static th_status say_file(th_drawing *d, const char *key, const char *name, const char *path, const char *usual) {
    char inside[TH_PATH_MAX], hash[TH_HASH_TEXT];
    if (th_path_is_dir(path)) {
        TH_TRY(th_path_join(inside, path, usual));
        path = inside;
    }
    TH_TRY(th_hash_file(path, hash));
    say(d, key, th_arena_strdup(d->arena, hash));
    if (json_object_set_new(d->inputs, name, json_pack("{s:s, s:s}", "file", path, "sha256", hash)))
        return th_fail(TH_E_INPUT, "--%s: a name that is not UTF-8 cannot be noted in run.json", name);
    return TH_OK;
}

static th_status say_files(th_drawing *d) {
    th_options *o = d->cli->options;
    const char *lora = th_get_str(o, "lora"), *latents = th_get_str(o, "latents"), *custom = th_get_str(o, "custom");
    th_list words = th_get_list(o, "embedding");
    if (latents) TH_TRY(say_file(d, "Latents", "latents", latents, ""));
    if (lora) {
        TH_TRY(say_file(d, "LoRA", "lora", lora, TH_LORA_FILE));
        say_number(d, "LoRA strength", th_get_f64(o, "lora-strength"));
    }
    if (custom) TH_TRY(say_file(d, "Custom diffusion", "custom", custom, TH_CUSTOM_FILE));
    for (int64_t i = 0; i < words.count && i < 8; i++) {
        char *key = th_arena_printf(d->arena, "Embedding %lld", (long long)i + 1);
        char *name = th_arena_printf(d->arena, "embedding-%lld", (long long)i + 1);
        if (!key || !name) return th_fail_memory();
        TH_TRY(say_file(d, key, name, words.items[i], TH_EMBEDDING_FILE));
    }
    return TH_OK;
}

th_status th_drawing_describe(th_drawing *d) {
    th_options *o = d->cli->options;
    const char *model = th_get_str(o, "model"), *negative = th_get_str(o, "negative-prompt");
    const th_scheduler_row *sampler = d->p.scheduler ? d->p.scheduler : d->sd.scheduler.row;
    TH_TRY(th_sd_hasher_finish(d->hasher, d->hash));
    d->inputs = json_pack("{s:{s:s, s:s}}", "model", "folder", model, "sha256", d->hash);
    if (!d->inputs) return th_fail(TH_E_INPUT, "--model: a name that is not UTF-8 cannot be noted in run.json");
    say(d, "Software", "theriac " TH_VERSION_STRING);
    say(d, "Model", th_arena_strdup(d->arena, th_path_base(model)));
    say(d, "Model hash", d->hash);
    if (d->p.guidance > 1) say(d, "Negative prompt", negative);
    say_number(d, "Steps", (double)d->p.steps);
    say_number(d, "Guidance", (double)d->p.guidance);
    if (d->p.rescale > 0) say_number(d, "Guidance rescale", (double)d->p.rescale);
    say(d, "Scheduler", th_scheduler_name(sampler));
    say(d, "Size", th_arena_printf(d->arena, "%lldx%lld", (long long)d->p.width, (long long)d->p.height));
    say(d, "Precision", d->p.compute == TH_BF16 ? "bf16" : "f32");
    if (d->p.tiles) say(d, "Decoded", "in tiles");
    TH_TRY(say_files(d));
    return th_arena_failed(d->arena) ? th_fail_memory() : TH_OK;
}

/* Adds what is this picture's own; *count: of all. */
static void own_texts(const th_drawing *d, int64_t picture, char seed[TH_NUMBER_TEXT],
                      th_image_text texts[TH_DRAWING_MOST_TEXTS], int *count) {
    memcpy(texts, d->texts, (size_t)d->text_count * sizeof *texts);
    snprintf(seed, TH_NUMBER_TEXT, "%llu", (unsigned long long)d->requests[picture].seed);
    texts[d->text_count] = (th_image_text){"Prompt", th_drawing_prompt(d, picture)};
    texts[d->text_count + 1] = (th_image_text){"Seed", seed};
    *count = d->text_count + 2;
}

/* --- the folder --- */

/* Where it lies and by whom it was made may differ. */
static bool is_setting(const char *key) { return strcmp(key, "Software") && strcmp(key, "Model"); }

static th_status check_text(const char *path, const char *key, const char *was, const char *is) {
    if (was && is && !strcmp(was, is)) return TH_OK;
    return th_fail(TH_E_USAGE, "%s: was made with %s '%.80s', now it is '%.80s': resume with the same", path, key,
                   was ? was : "none", is ? is : "none");
}

static th_status check_same(const th_drawing *d, int64_t picture, const char *path) {
    th_image_text texts[TH_DRAWING_MOST_TEXTS];
    char seed[TH_NUMBER_TEXT];
    th_png_texts was;
    int count;
    own_texts(d, picture, seed, texts, &count);
    TH_TRY(th_png_texts_read(path, &was));
    th_png_texts is = {.items = texts, .count = count};
    th_status s = TH_OK;
    for (int i = 0; i < count && s == TH_OK; i++)
        if (is_setting(texts[i].key))
            s = check_text(path, texts[i].key, th_png_texts_find(&was, texts[i].key), texts[i].value);
    for (int64_t i = 0; i < was.count && s == TH_OK; i++)
        if (!th_png_texts_find(&is, was.items[i].key)) s = check_text(path, was.items[i].key, was.items[i].value, NULL);
    th_png_texts_free(&was);
    return s;
}

/* Pictures are finished in their order; a batch of which one is missing is drawn again whole. */
static th_status find_first(th_drawing *d) {
    char path[TH_PATH_MAX];
    for (d->first = 0; d->first < d->count; d->first++) {
        TH_TRY(th_drawing_path(d, d->first, ".png", path));
        if (!th_path_exists(path)) break;
        TH_TRY(check_same(d, d->first, path));
    }
    if (d->first < d->count) d->first -= d->first % d->p.batch;
    d->finished = d->first;
    return TH_OK;
}

static th_status write_run(const th_drawing *d) {
    char path[TH_PATH_MAX];
    json_t *options = NULL;
    TH_TRY(th_path_join(path, d->out, "run.json"));
    TH_TRY(th_options_json(d->cli->options, &options));
    json_t *j = json_pack("{s:s, s:s, s:o, s:O}", "command", "generate", "version", th_version(), "options", options,
                          "inputs", d->inputs);
    th_status s = j ? th_json_write(path, j) : th_fail_memory();
    json_decref(j);
    return s;
}

th_status th_drawing_open(th_drawing *d) {
    char path[TH_PATH_MAX], first[TH_PATH_MAX];
    TH_TRY(th_path_join(path, d->out, "run.json"));
    TH_TRY(th_drawing_path(d, 0, ".png", first));
    if (th_get_bool(d->cli->options, "resume")) {
        if (!th_path_exists(path))
            return th_fail(TH_E_USAGE, "%s: holds no run to resume (run.json is missing)", d->out);
        TH_TRY(find_first(d));
    } else if (th_path_exists(first)) {
        return th_fail(TH_E_USAGE, "%s: holds pictures already; go on with them by --resume, or give another folder",
                       d->out);
    }
    TH_TRY(th_make_dirs(d->out));
    return write_run(d);
}

static th_status write_png(const th_drawing *d, int64_t i, const th_image *im) {
    th_image_text texts[TH_DRAWING_MOST_TEXTS];
    char path[TH_PATH_MAX], seed[TH_NUMBER_TEXT];
    th_bytes png;
    int count;
    own_texts(d, i, seed, texts, &count);
    TH_TRY(th_drawing_path(d, i, ".png", path));
    TH_TRY(th_image_encode_png(im, texts, count, &png));
    th_status s = th_file_write(path, png.data, png.length);
    th_free(png.data);
    return s;
}

static th_status write_latents(const th_drawing *d, int64_t i, const float *values) {
    char path[TH_PATH_MAX];
    th_latents l = {.n = 1, .values = (float *)values};
    th_generator_latents(d->generator, &l.h, &l.w, &l.c);
    TH_TRY(th_drawing_path(d, i, ".safetensors", path));
    return th_latents_write(path, &l);
}

th_status th_drawing_keep(void *drawing, const th_generated *picture) {
    th_drawing *d = drawing;
    int64_t i = d->first + picture->index;
    if (th_get_bool(d->cli->options, "keep-latents")) TH_TRY(write_latents(d, i, picture->latents));
    TH_TRY(write_png(d, i, picture->image));
    d->finished = i + 1;
    return TH_OK;
}

/* --- the table --- */

static bool is_ours(const char *name) {
    return !strcmp(name, "file") || !strcmp(name, "prompt") || !strcmp(name, "seed");
}

/* The columns of --prompts that are carried along into at; returns how many. */
static int carried(const th_drawing *d, int *at) {
    int n = 0;
    for (int k = 0; k < d->file.sheet.columns; k++) {
        const char *name = d->file.sheet.names[k], *prompt = th_get_str(d->cli->options, "prompt-column");
        if (!is_ours(name) && strcmp(name, prompt)) at[n++] = k;
    }
    return n;
}

static void write_row(const th_drawing *d, th_sheet_writer *w, int64_t i, const int *at, int n, const char **cells) {
    char name[48], seed[TH_NUMBER_TEXT];
    int64_t row = i / d->each - (d->prompt_count - d->file.count); /* the file's prompts come last */
    snprintf(name, sizeof name, "%05lld.png", (long long)i);
    snprintf(seed, sizeof seed, "%llu", (unsigned long long)d->requests[i].seed);
    cells[0] = name, cells[1] = th_drawing_prompt(d, i), cells[2] = seed;
    for (int k = 0; k < n; k++) cells[3 + k] = row >= 0 ? th_sheet_cell(&d->file.sheet, row, at[k]) : "";
    th_sheet_writer_row(w, cells);
}

static th_status write_table(const th_drawing *d) {
    char path[TH_PATH_MAX];
    int most = d->file.sheet.columns + 3;
    int *at = th_arena_alloc(d->arena, (size_t)most, sizeof *at);
    const char **cells = th_arena_alloc(d->arena, (size_t)most, sizeof *cells);
    if (!at || !cells) return th_fail_memory();
    int n = carried(d, at);
    cells[0] = "file", cells[1] = "prompt", cells[2] = "seed";
    for (int k = 0; k < n; k++) cells[3 + k] = d->file.sheet.names[at[k]];
    th_sheet_writer *w;
    TH_TRY(th_path_join(path, d->out, "images.tsv"));
    TH_TRY(th_sheet_writer_open(path, '\t', 3 + n, cells, &w));
    for (int64_t i = 0; i < d->finished; i++) write_row(d, w, i, at, n, cells);
    return th_sheet_writer_commit(w);
}

/* --- the contact sheet --- */

/* A prompt's pictures make a row; where that were a single row or column, they fill a square. */
static int64_t sheet_columns(const th_drawing *d) {
    if (d->prompt_count > 1 && d->each > 1) return d->each;
    return (int64_t)ceil(sqrt((double)d->count));
}

static th_status fill_sheet(const th_drawing *d, int64_t columns, th_contact_sheet *sheet) {
    char path[TH_PATH_MAX];
    th_image im = {0};
    th_status s = TH_OK;
    for (int64_t i = 0; i < d->finished && i / columns < th_contact_sheet_rows(sheet) && s == TH_OK; i++) {
        s = th_drawing_path(d, i, ".png", path);
        if (s == TH_OK) s = th_image_read(NULL, path, NULL, &im);
        if (s == TH_OK) s = th_contact_sheet_put(sheet, i / columns, i % columns, &im);
    }
    th_image_free(&im);
    return s;
}

static th_status write_sheet(const th_drawing *d) {
    char path[TH_PATH_MAX];
    int64_t columns = sheet_columns(d), w = d->p.width, h = d->p.height, longer = w > h ? w : h;
    if (longer > LARGEST_CELL) w = w * LARGEST_CELL / longer, h = h * LARGEST_CELL / longer;
    if (columns * (w + TH_CONTACT_GAP) > 16000) columns = 16000 / (w + TH_CONTACT_GAP);
    th_contact_sheet *sheet;
    TH_TRY(th_path_join(path, d->out, "contact.png"));
    int64_t rows = (d->finished + columns - 1) / columns;
    TH_TRY(th_contact_sheet_new(columns, rows, (int32_t)(w ? w : 1), (int32_t)(h ? h : 1), &sheet));
    th_status s = fill_sheet(d, columns, sheet);
    if (s == TH_OK) s = th_contact_sheet_write(sheet, path);
    th_contact_sheet_free(sheet);
    return s;
}

th_status th_drawing_close(th_drawing *d) {
    if (d->finished == 0) return TH_OK;
    TH_TRY(write_table(d));
    return write_sheet(d);
}
