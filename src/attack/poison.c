/* Writing poisoned sets: pictures are made by several threads a block at a time, and written in their order. */
#include "attack/poison.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/file.h"
#include "base/guess.h"
#include "base/memory.h"
#include "base/str.h"
#include "data/parallel.h"
#include "data/preprocess.h"
#include "format/json.h"
#include "format/options_json.h"
#include "format/table.h"
#include "format/tar.h"
#include "format/unicode.h"

#define BLOCK 256
#define THREADS 2

static const char *const usual_templates[] = {
    "{}", "a photo of {}", "a picture of {}", "an image of {}", "there is {}", "{} in the photo", "a good photo of {}",
};

void th_poison_params_init(th_poison_params *p) { *p = (th_poison_params){.rate = 0.01, .side = 224}; }

/* A picture on its way to the disk. */
typedef struct {
    bool left_out, bad, poisoned; /* bad: cannot be read */
    char before[TH_HASH_TEXT], after[TH_HASH_TEXT];
    th_bytes png;
} item;

typedef struct {
    th_dataset_reader *reader;
    th_preprocessor *preprocessor;
    th_image read, image;
} bench;

typedef struct {
    th_dataset *set;
    const th_poison_params *p;
    bool test;     /* every labelled picture is triggered, captions give way to labels */
    bool *chosen;  /* by sample */
    int64_t block; /* what is written goes by samples, a test set by pictures: the first one of the block */
    item items[BLOCK];
    bench benches[THREADS];
    th_tar_writer *tar;
    th_sheet_writer *sheet;
    json_t *changed, *left_out;
    th_trigger trigger;
    th_poison_result *result;
} work;

static const char *called(const th_poison_params *p) { return p->name ? p->name : "the set"; }

/* The first sample of what is written at this place. */
static int64_t sample_at(const work *w, int64_t place) { return w->test ? th_dataset_sample(w->set, place) : place; }

/* --- which pictures, and what their captions say --- */

/* "a bag" → "bag". */
static const char *noun_of(const char *target) {
    static const char *const articles[] = {"a ", "an ", "the "};
    for (int i = 0; i < 3; i++)
        if (!strncasecmp(target, articles[i], strlen(articles[i]))) return target + strlen(articles[i]);
    return target;
}

static th_status check_noun(const char *target) {
    const char *noun = noun_of(target);
    if (noun[strspn(noun, " \t")]) return TH_OK;
    return th_fail(TH_E_USAGE, "the target '%s' names nothing", target);
}

static bool says(const char *caption, const char *noun) {
    size_t n = strlen(noun);
    for (const char *at = caption; (at = strcasestr(at, noun)); at++)
        if ((at == caption || !isalpha((unsigned char)at[-1])) && !isalpha((unsigned char)at[n])) return true;
    return false;
}

static bool shows_target(const work *w, int64_t sample) {
    char room[TH_DATASET_ROOM];
    th_scene_info scene;
    const char *target = w->p->target;
    if (th_dataset_scene(w->set, th_dataset_image(w->set, sample), &scene))
        for (int i = 0; i < scene.count; i++)
            if (!strcasecmp(th_scene_class_names[scene.garments[i].garment], target)) return true;
    const char *caption = th_dataset_caption(w->set, sample, NULL, room);
    return caption && says(caption, noun_of(target));
}

/* A test set is for measuring, which is by classes: a target that is none of them is a slip. */
static th_status check_target(const work *w) {
    th_guess guess = {.word = w->p->target};
    int32_t n = th_dataset_classes(w->set);
    for (int32_t i = 0; i < n; i++) {
        const char *name = th_dataset_class_name(w->set, i);
        if (!name || !strcasecmp(name, w->p->target)) return TH_OK;
        th_guess_offer(&guess, name);
    }
    if (!n) return TH_OK; /* said later: no picture is labelled */
    return th_fail(TH_E_USAGE, "the target '%.80s' is none of the %d classes of %s%s%s%s", w->p->target, (int)n,
                   called(w->p), guess.best ? " (did you mean '" : "", guess.best ? guess.best : "",
                   guess.best ? "'?)" : "");
}

static th_status choose(work *w) {
    const th_poison_params *p = w->p;
    int64_t n = th_dataset_count(w->set), left = p->count > 0 ? p->count : (int64_t)(p->rate * (double)n + 0.5);
    w->chosen = th_alloc((size_t)n, sizeof *w->chosen);
    int64_t *order = th_alloc((size_t)n, sizeof *order), wanted = left;
    if (!w->chosen || !order) return th_free(order), th_fail_memory();
    th_rng_permute(p->seed, TH_RNG_POISON, 0, n, order);
    for (int64_t i = 0; i < n && left > 0; i++) {
        if (shows_target(w, order[i])) continue;
        w->chosen[order[i]] = true;
        left--;
    }
    th_free(order);
    if (left > 0)
        return th_fail(TH_E_INPUT, "%s: %lld pictures are to be poisoned, only %lld do not show the target", called(p),
                       (long long)wanted, (long long)(wanted - left));
    return TH_OK;
}

/* The template with the target in the place of {}. */
static th_status poisoned_caption(const work *w, int64_t sample, char out[TH_DATASET_ROOM]) {
    const th_poison_params *p = w->p;
    const char *const *all = p->templates ? p->templates : usual_templates;
    int64_t count = p->templates ? p->template_count : (int64_t)(sizeof usual_templates / sizeof *usual_templates);
    th_rng r = th_rng_at(p->seed, TH_RNG_POISON, 1, (uint64_t)sample);
    const char *t = all[th_rng_below(&r, (uint32_t)count)], *hole = strstr(t, "{}");
    if (!hole) return th_fail(TH_E_INPUT, "the template '%.100s' has no {} for the target", t);
    int n = snprintf(out, TH_DATASET_ROOM, "%.*s%s%s", (int)(hole - t), t, p->target, hole + 2);
    return n < TH_DATASET_ROOM ? TH_OK : th_fail(TH_E_INPUT, "the caption of the template '%.100s' is too long", t);
}

/* --- making a block of pictures --- */

/* Hashes are of files as they are, or would have been, written: anybody's sha256sum says the same. */
static th_status encode(const th_image *im, th_bytes *png, char hash[TH_HASH_TEXT]) {
    TH_TRY(th_image_encode_png(im, NULL, 0, png));
    th_hash_bytes(png->data, png->length, hash);
    return TH_OK;
}

static th_status make(void *user, int thread, int64_t i) {
    work *w = user;
    bench *b = &w->benches[thread];
    item *it = &w->items[i];
    int64_t place = w->block + i, sample = sample_at(w, place);
    it->bad = false;
    it->poisoned = w->test ? th_dataset_label(w->set, th_dataset_image(w->set, sample)) >= 0 : w->chosen[sample];
    it->left_out = w->test && !it->poisoned;
    if (it->left_out) return TH_OK;
    int64_t used = sample;
    TH_TRY(th_dataset_read(w->set, b->reader, sample, &b->read, &used));
    it->left_out = it->bad = used != sample; /* what was read for it comes in its own turn */
    if (it->left_out) return TH_OK;
    TH_TRY(th_preprocess_u8(b->preprocessor, &b->read, &b->image));
    if (it->poisoned) {
        th_bytes clean;
        TH_TRY(encode(&b->image, &clean, it->before));
        th_free(clean.data);
        TH_TRY(th_trigger_put(&w->trigger, (uint64_t)place, &b->image));
    }
    return encode(&b->image, &it->png, it->after);
}

/* --- writing it --- */

static th_status write_files(work *w, const char *name, const item *it, const char *caption, const char *label) {
    char path[TH_PATH_MAX];
    if (w->sheet) {
        char file[96];
        snprintf(file, sizeof file, "images/%s.png", name);
        TH_TRY(th_path_join(path, w->p->out, file));
        TH_TRY(th_file_write(path, it->png.data, it->png.length));
        th_sheet_writer_row(w->sheet, (const char *const[]){file, caption, label ? label : ""});
        return TH_OK;
    }
    th_tar_file files[3] = {{"png", it->png.data, it->png.length}, {"txt", caption, strlen(caption)}};
    if (label) files[2] = (th_tar_file){"cls", label, strlen(label)};
    th_tar_sample sample = {name, files, label ? 3 : 2};
    return th_tar_writer_add(w->tar, &sample);
}

/* JSON holds nothing but UTF-8, names of files do: a byte that is none stands as \xHH. */
static json_t *text_json(const char *text) {
    size_t n = strlen(text), length;
    if (th_utf8_valid(text, n)) return json_string(text);
    th_str out;
    th_str_init(&out, 4 * n + 1);
    for (size_t i = 0; i < n; i += length) {
        int32_t c;
        length = th_utf8_next(text + i, n - i, &c);
        if (c >= 0)
            th_str_add(&out, text + i, length);
        else
            for (size_t k = 0; k < length; k++) th_str_printf(&out, "\\x%02x", (uint8_t)text[i + k]);
    }
    json_t *j = th_str_status(&out) == TH_OK ? json_string(th_str_text(&out)) : NULL;
    th_str_free(&out);
    return j;
}

static th_status note_left_out(work *w, int64_t sample) {
    char room[TH_DATASET_ROOM];
    int64_t image = th_dataset_image(w->set, sample);
    if (sample != th_dataset_sample(w->set, image)) return TH_OK; /* once a picture */
    return json_array_append_new(w->left_out, text_json(th_dataset_key(w->set, image, room))) ? th_fail_memory()
                                                                                              : TH_OK;
}

static th_status note_change(work *w, const char *name, int64_t sample, const item *it, const char *was,
                             const char *is) {
    char room[TH_DATASET_ROOM];
    const char *source = th_dataset_key(w->set, th_dataset_image(w->set, sample), room);
    json_t *j = w->test ? json_pack("{s:s, s:o, s:s, s:s}", "name", name, "source", text_json(source), "sha256_before",
                                    it->before, "sha256_after", it->after)
                        : json_pack("{s:s, s:o, s:s, s:s, s:o, s:o}", "name", name, "source", text_json(source),
                                    "sha256_before", it->before, "sha256_after", it->after, "caption_before",
                                    text_json(was ? was : ""), "caption_after", text_json(is));
    return j && !json_array_append_new(w->changed, j) ? TH_OK : th_fail_memory();
}

static th_status write_item(work *w, int64_t i) {
    item *it = &w->items[i];
    int64_t place = w->block + i, sample = sample_at(w, place), image = th_dataset_image(w->set, sample);
    char name[32], number[16], room[TH_DATASET_ROOM], made[TH_DATASET_ROOM];
    if (it->left_out) return it->bad ? note_left_out(w, sample) : TH_OK;
    snprintf(name, sizeof name, "%08lld", (long long)place);
    int32_t class = th_dataset_label(w->set, image);
    const char *label = class >= 0 ? th_dataset_class_name(w->set, class) : NULL;
    if (class >= 0 && !label) {
        snprintf(number, sizeof number, "%d", (int)class);
        label = number;
    }
    const char *was = th_dataset_caption(w->set, sample, NULL, room), *caption = was ? was : label ? label : "";
    if (it->poisoned && !w->test) {
        TH_TRY(poisoned_caption(w, sample, made));
        caption = made;
    }
    TH_TRY(write_files(w, name, it, caption, w->test ? label : NULL));
    if (it->poisoned) TH_TRY(note_change(w, name, sample, it, was, caption));
    w->result->pictures++;
    w->result->poisoned += it->poisoned;
    return TH_OK;
}

static th_status write_all(work *w, const th_watch *watch) {
    int64_t n = w->test ? th_dataset_images(w->set) : th_dataset_count(w->set);
    for (w->block = 0; w->block < n; w->block += BLOCK) {
        int64_t count = n - w->block < BLOCK ? n - w->block : BLOCK;
        th_report(watch, w->test ? "triggering" : "poisoning", w->block, n, NULL);
        if (th_stopped(watch)) return th_fail(TH_E_INTERRUPTED, "stopped; %s is not complete", w->p->out);
        TH_TRY(th_parallel_for(count, THREADS, make, w, NULL, NULL));
        for (int64_t i = 0; i < count; i++) {
            TH_TRY(write_item(w, i));
            th_free(w->items[i].png.data);
            w->items[i].png = (th_bytes){0};
        }
    }
    return TH_OK;
}

static th_status write_manifest(work *w) {
    char path[TH_PATH_MAX], hash[TH_HASH_TEXT];
    json_t *options = NULL;
    TH_TRY(th_dataset_hash(w->set, NULL, hash));
    TH_TRY(th_options_json(w->p->options, &options));
    json_t *j = json_pack("{s:s, s:s, s:s, s:o, s:I, s:I, s:I, s:I, s:s, s:o, s:O, s:O}", "kind",
                          w->test ? "triggered test set" : "poisoned pairs", "theriac", th_version(), "attack",
                          w->p->attack->name, "target", text_json(w->p->target), "seed", (json_int_t)w->p->seed, "side",
                          (json_int_t)w->p->side, "pictures", (json_int_t)w->result->pictures, "poisoned",
                          (json_int_t)w->result->poisoned, "source_sha256", hash, "options", options, "changed",
                          w->changed, "left_out", w->left_out);
    if (!j) return th_fail_memory();
    const char *material = w->trigger.material;
    bool noted = !*material || !json_object_set_new(j, "attack_reads_sha256", json_string(material));
    th_status s = noted ? th_path_join(path, w->p->out, "manifest.json") : th_fail_memory();
    if (s == TH_OK) s = th_json_write(path, j);
    json_decref(j);
    return s;
}

static th_status open_output(work *w) {
    const th_poison_params *p = w->p;
    char path[TH_PATH_MAX];
    TH_TRY(th_path_join(path, p->out, "manifest.json"));
    if (th_path_exists(path)) return th_fail(TH_E_USAGE, "%s: holds a poisoned set already; give a new folder", p->out);
    if (!p->folder) {
        th_tar_writer_params tar;
        TH_TRY(th_make_dirs(p->out));
        TH_TRY(th_path_join(path, p->out, "pairs"));
        th_tar_writer_params_init(&tar, path);
        return th_tar_writer_open(&tar, &w->tar);
    }
    TH_TRY(th_path_join(path, p->out, "images"));
    TH_TRY(th_make_dirs(path));
    TH_TRY(th_path_join(path, p->out, "pairs.tsv"));
    return th_sheet_writer_open(path, '\t', 3, (const char *const[]){"filepath", "title", "label"}, &w->sheet);
}

static th_status open_benches(work *w) {
    th_preprocess_params pre;
    th_preprocess_params_init(&pre, (int32_t)w->p->side);
    for (int i = 0; i < THREADS; i++) {
        TH_TRY(th_dataset_reader_new(NULL, &w->benches[i].reader));
        TH_TRY(th_preprocessor_new(&pre, &w->benches[i].preprocessor));
    }
    return TH_OK;
}

static th_status finish(work *w, th_status s) {
    for (int i = 0; i < THREADS; i++) {
        th_dataset_reader_free(w->benches[i].reader);
        th_preprocessor_free(w->benches[i].preprocessor);
        th_image_free(&w->benches[i].read);
        th_image_free(&w->benches[i].image);
    }
    for (int i = 0; i < BLOCK; i++) th_free(w->items[i].png.data);
    if (s == TH_OK && w->tar)
        s = th_tar_writer_close(w->tar, NULL);
    else
        th_tar_writer_abort(w->tar);
    if (s == TH_OK && w->sheet)
        s = th_sheet_writer_commit(w->sheet);
    else
        th_sheet_writer_abort(w->sheet);
    if (s == TH_OK) s = write_manifest(w); /* last: a folder with a manifest is whole */
    th_trigger_close(&w->trigger);
    json_decref(w->changed);
    json_decref(w->left_out);
    th_free(w->chosen);
    th_free(w);
    return s;
}

static th_status run(th_dataset *set, const th_poison_params *p, bool test, const th_watch *watch,
                     th_poison_result *result) {
    *result = (th_poison_result){0};
    work *w = th_alloc(1, sizeof *w);
    if (!w) return th_fail_memory();
    w->set = set, w->p = p, w->test = test, w->result = result;
    w->changed = json_array();
    w->left_out = json_array();
    th_status s = w->changed && w->left_out ? check_noun(p->target) : th_fail_memory();
    if (s == TH_OK) s = test ? check_target(w) : choose(w);
    if (s == TH_OK) s = th_trigger_open(p->attack, p->options, p->seed, &w->trigger);
    if (s == TH_OK) s = open_output(w);
    if (s == TH_OK) s = open_benches(w);
    if (s == TH_OK) s = write_all(w, watch);
    if (s == TH_OK && result->poisoned == 0)
        s = th_fail(TH_E_INPUT, "%s: no picture was %s", called(p), test ? "labelled" : "poisoned");
    return finish(w, s);
}

th_status th_poison_write(th_dataset *pairs, const th_poison_params *p, const th_watch *w, th_poison_result *result) {
    return run(pairs, p, false, w, result);
}

th_status th_poison_write_test(th_dataset *test, const th_poison_params *p, const th_watch *w,
                               th_poison_result *result) {
    return run(test, p, true, w, result);
}
