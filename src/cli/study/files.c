/* What a study of guards keeps in its folder. */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/machine.h"
#include "cli/study/parts.h"
#include "diffusion/sd.h"
#include "guard/pattern.h"

static th_status in_out(const th_trial_run *r, const char *name, char path[TH_PATH_MAX]) {
    return th_path_join(path, r->out, name);
}

/* ---- study.json */

static th_status describe(const th_trial_run *r, json_t **out) {
    const th_trial *t = &r->trial;
    json_t *models = json_object();
    th_status s = models ? TH_OK : th_fail_memory();
    for (int64_t i = 0; i < t->model_count && s == TH_OK; i++) {
        char hash[TH_HASH_TEXT];
        s = th_sd_weights_hash(t->models[i].dir, hash);
        if (s == TH_OK && json_object_set_new(models, t->models[i].name,
                                              json_pack("{s:s, s:s}", "folder", t->models[i].dir, "sha256", hash)))
            s = th_fail(TH_E_INPUT, "%s: a name that is not UTF-8 cannot be noted in study.json", t->models[i].dir);
    }
    if (s != TH_OK) return json_decref(models), s;
    *out = json_pack("{s:s, s:s, s:i, s:o, s:O}", "command", "eval guard", "version", th_version(), "threads",
                     r->threads_each, "models", models, "study", t->json.root);
    return *out ? TH_OK : th_fail_memory();
}

/* On which models and subjects an attacker is tried changes no cell. */
static bool is_scope(const char *key) { return !strcmp(key, "models") || !strcmp(key, "subjects"); }

static bool has_all(const json_t *one, const json_t *other) {
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)one, key, value) {
        const json_t *there = json_object_get(other, key);
        if (!is_scope(key) && !(there && json_equal(value, there))) return false;
    }
    return true;
}

/* Each member of the old object that the new one has too must be equal; what is gone or new changes no cell. */
static const char *first_changed(const json_t *old, const json_t *new) {
    const char *key;
    json_t *was;
    json_object_foreach((json_t *)old, key, was) {
        const json_t *is = json_object_get(new, key);
        if (is && !(has_all(was, is) && has_all(is, was))) return key;
    }
    return NULL;
}

/* Seeds may be added at the end: pictures' noise goes by their places. */
static bool is_beginning(const json_t *old, const json_t *new) {
    size_t n = json_array_size(old) < json_array_size(new) ? json_array_size(old) : json_array_size(new);
    for (size_t i = 0; i < n; i++)
        if (!json_equal(json_array_get(old, i), json_array_get(new, i))) return false;
    return true;
}

static th_status changed(const char *path, const char *where, const char *key) {
    return th_fail(TH_E_USAGE,
                   "%s: the study was begun with another '%s%s%s': go on with the same, or in another folder", path,
                   where, *where ? "." : "", key);
}

static th_status compare_perturbed(const char *path, const json_t *old, const json_t *new) {
    const char *name;
    json_t *guard;
    json_object_foreach((json_t *)old, name, guard) {
        const json_t *now = json_object_get(new, name), *a = json_object_get(guard, "pictures"),
                     *b = json_object_get(now, "pictures");
        if (now && a != b && !(a && b && json_equal(a, b))) return changed(path, "guards", name);
    }
    return TH_OK;
}

/* What cells depend on must be as it was. Judges and rules may differ, and models, subjects, attackers and seeds may be
 * added. */
static th_status compare(const char *path, const json_t *old, const json_t *new) {
    static const char *const same[] = {"prompts", "ordinary", "class_prompts", "drawing", "class_images", NULL},
                             *const named[] = {"subjects", "attackers", NULL};
    const json_t *was = json_object_get(old, "study"), *is = json_object_get(new, "study");
    for (int i = 0; same[i]; i++) {
        const json_t *a = json_object_get(was, same[i]), *b = json_object_get(is, same[i]);
        if (a != b && !(a && b && json_equal(a, b))) return changed(path, "", same[i]);
    }
    for (int i = 0; named[i]; i++) {
        const char *key = first_changed(json_object_get(was, named[i]), json_object_get(is, named[i]));
        if (key) return changed(path, named[i], key);
    }
    TH_TRY(compare_perturbed(path, json_object_get(was, "guards"), json_object_get(is, "guards")));
    if (!is_beginning(json_object_get(was, "seeds"), json_object_get(is, "seeds"))) return changed(path, "", "seeds");
    const json_t *models = json_object_get(old, "models");
    const char *key;
    json_t *model;
    json_object_foreach((json_t *)models, key, model) {
        const json_t *now = json_object_get(json_object_get(new, "models"), key);
        if (now && !json_equal(json_object_get(model, "sha256"), json_object_get(now, "sha256")))
            return th_fail(TH_E_USAGE, "%s: the study was begun with other weights of '%s'", path, key);
    }
    return TH_OK;
}

/* The number of threads decides the last bits of what is trained, so it stays. */
static th_status go_on(th_trial_run *r, const char *path, json_t *now) {
    th_json j = {0};
    int64_t threads = 0;
    TH_TRY(th_json_load(path, TH_JSON_MAX, &j));
    th_status s = th_json_require(&j, "study");
    if (s == TH_OK) s = compare(path, j.root, now);
    if (s == TH_OK) s = th_json_int(&j, "threads", 1, 1024, &threads);
    th_json_free(&j);
    TH_TRY(s);
    r->threads_each = (int)threads;
    return json_object_set_new(now, "threads", json_integer(threads)) ? th_fail_memory() : TH_OK;
}

th_status th_trial_open(th_trial_run *r) {
    char path[TH_PATH_MAX];
    json_t *now = NULL;
    TH_TRY(in_out(r, "study.json", path));
    bool resume = th_get_bool(r->cli->options, "resume"), there = th_path_exists(path);
    if (there && !resume)
        return th_fail(TH_E_USAGE, "%s: holds a study already; go on with it by --resume, or give another folder",
                       r->out);
    if (!there && resume) return th_fail(TH_E_USAGE, "%s: holds no study to resume (study.json is missing)", r->out);
    TH_TRY(describe(r, &now));
    th_status s = there ? go_on(r, path, now) : TH_OK;
    if (s == TH_OK) s = th_json_write(path, now);
    json_decref(now);
    return s;
}

/* ---- what commands read */

static th_status write_prompts(const th_trial_run *r, const th_trial_block *b) {
    char path[TH_PATH_MAX];
    th_str text;
    if (snprintf(path, sizeof path, "%s/%s.txt", r->out, b->dir) >= (int)sizeof path)
        return th_fail(TH_E_INPUT, "%s: the path is too long", r->out);
    TH_TRY(th_make_parents(path));
    th_str_init(&text, (size_t)1 << 28);
    for (int64_t i = 0; i < b->count; i++) th_str_printf(&text, "%s\n", b->prompts[i]);
    th_status s = th_str_status(&text);
    if (s == TH_OK) s = th_file_write(path, th_str_text(&text), text.length);
    th_str_free(&text);
    return s;
}

/* Pictures `from` to `to` of a set as PNG files into a folder, named from `from` on. */
static th_status copy_pictures(const th_trial_run *r, const char *set, int64_t from, int64_t to, const char *dir) {
    th_dataset *d = NULL;
    th_dataset_reader *reader = NULL;
    th_image im = {0};
    int64_t used;
    TH_TRY(th_dataset_open(set, NULL, &r->cli->watch, &d));
    th_status s = th_dataset_reader_new(NULL, &reader);
    if (s == TH_OK && th_dataset_images(d) < to)
        s = th_fail(TH_E_INPUT, "%s: has %lld pictures, %lld are wanted", set, (long long)th_dataset_images(d),
                    (long long)to);
    for (int64_t i = from; i < to && s == TH_OK; i++) {
        char name[32], path[TH_PATH_MAX];
        snprintf(name, sizeof name, "%03lld.png", (long long)i);
        s = th_path_join(path, dir, name);
        if (s == TH_OK) s = th_dataset_read(d, reader, th_dataset_sample(d, i), &im, &used);
        if (s == TH_OK) s = th_image_write(path, &im, 95);
    }
    th_image_free(&im);
    th_dataset_reader_free(reader);
    th_dataset_close(d);
    return s;
}

static th_status count_pictures(const th_trial_run *r, const char *set, int64_t *count) {
    th_dataset *d = NULL;
    TH_TRY(th_dataset_open(set, NULL, &r->cli->watch, &d));
    *count = th_dataset_images(d);
    th_dataset_close(d);
    return TH_OK;
}

/* As many pictures as the subject has, the first of them its own. */
static th_status write_mix(const th_trial_run *r, int64_t model, int64_t subject, int64_t attacker) {
    const th_trial_attacker *a = &r->trial.attackers[attacker];
    int64_t count, own = a->protected_pictures;
    const char *set = th_trial_pictures(r, model, subject, attacker),
               *dir = th_trial_mixed(r, model, subject, attacker);
    if (!dir) return th_fail_memory();
    TH_TRY(th_make_dirs(dir));
    TH_TRY(count_pictures(r, set, &count));
    if (own > count) own = count;
    TH_TRY(copy_pictures(r, set, 0, own, dir));
    return copy_pictures(r, r->trial.subjects[a->mixed_with].pictures, own, count, dir);
}

/* One of all models, and one of each whose publisher changed the pictures. */
static th_status write_mixes(const th_trial_run *r, int64_t attacker) {
    const th_trial *t = &r->trial;
    const th_trial_attacker *a = &t->attackers[attacker];
    for (int64_t s = 0; s < t->subject_count && a->mixed_with >= 0; s++)
        for (int64_t m = 0; m < t->model_count; m++)
            if ((m == 0 || t->models[m].pictures) && a->subjects >> s & 1 && th_trial_wanted(r, m, s, attacker))
                TH_TRY(write_mix(r, m, s, attacker));
    return TH_OK;
}

/* What a guard with a pattern shows: the pictures of "no" with the pattern over them, which become its "yes". */
static th_status write_patterned(th_trial_run *r, th_trial_model *m) {
    int64_t count;
    th_image pattern = {0};
    const char *plain = th_arena_printf(r->trial.arena, "%s/sets/%s-plain", r->out, m->name);
    m->yes = th_arena_printf(r->trial.arena, "%s/sets/%s-patterned", r->out, m->name);
    if (!plain || !m->yes) return th_fail_memory();
    TH_TRY(th_make_dirs(plain));
    TH_TRY(count_pictures(r, m->no, &count));
    TH_TRY(copy_pictures(r, m->no, 0, count, plain));
    TH_TRY(th_trial_read_pattern(m, &pattern));
    th_status s = th_pattern_paste_all(&pattern, m->pattern_share, plain, m->yes);
    th_image_free(&pattern);
    return s;
}

th_status th_trial_write_sets(th_trial_run *r) {
    for (int64_t i = 0; i < r->block_count; i++)
        if (r->blocks[i].count > TH_TRIAL_MOST_FLAGS) TH_TRY(write_prompts(r, &r->blocks[i]));
    for (int64_t a = 0; a < r->trial.attacker_count; a++) TH_TRY(write_mixes(r, a));
    for (int64_t m = 0; m < r->trial.model_count; m++)
        if (r->trial.models[m].pattern) TH_TRY(write_patterned(r, &r->trial.models[m]));
    return TH_OK;
}

/* ---- averaged models */

/* p ← (1 − share) p + share q */
static th_status mix(th_params *ps, const th_params *qs, double share) {
    for (int64_t i = 0; i < th_params_count(ps); i++) {
        th_param *p = th_params_at(ps, i);
        const th_param *q = th_params_find(qs, th_param_name(p));
        int64_t n = th_desc_count(th_param_desc(p));
        if (!q || th_desc_count(th_param_desc(q)) != n)
            return th_fail(TH_E_INPUT, "the open model has no parameter '%s' of this size", th_param_name(p));
        float *v = th_alloc((size_t)n + 1, sizeof *v), *o = th_alloc((size_t)n + 1, sizeof *o);
        th_status s = v && o ? th_param_get(p, v) : th_fail_memory();
        if (s == TH_OK) s = th_param_get(q, o);
        for (int64_t k = 0; k < n && s == TH_OK; k++) v[k] = (float)((1 - share) * (double)v[k] + share * (double)o[k]);
        if (s == TH_OK) s = th_param_set(p, v);
        th_free(v);
        th_free(o);
        TH_TRY(s);
    }
    return TH_OK;
}

static th_status average(const th_trial_run *r, const char *from, double share, const char *to) {
    th_sd sd = {0}, open = {0};
    th_sd_load_params p = {.parts = TH_SD_UNET | TH_SD_TEXT};
    th_status s = th_sd_load(from, &p, &sd);
    if (s == TH_OK) s = th_sd_load(r->trial.models[0].dir, &p, &open);
    if (s == TH_OK) s = mix(th_unet_params(sd.unet), th_unet_params(open.unet), share);
    if (s == TH_OK) s = mix(th_text_encoder_params(sd.text), th_text_encoder_params(open.text), share);
    if (s == TH_OK) s = th_sd_save(&sd, to, "f32", TH_SD_VAE);
    th_sd_free(&sd);
    th_sd_free(&open);
    return th_fail_in(s, "averaging %s", from);
}

/* A README.md written last says that the folder is whole. */
static th_status average_once(th_trial_run *r, int64_t model, int64_t attacker) {
    const th_trial_attacker *a = &r->trial.attackers[attacker];
    char card[TH_PATH_MAX], from[TH_PATH_MAX];
    const char *to = th_trial_base(r, model, attacker), *dir = r->trial.models[model].dir;
    if (!to) return th_fail_memory();
    TH_TRY(th_path_join(card, to, "README.md"));
    if (th_path_exists(card)) return TH_OK;
    snprintf(from, sizeof from, "%.*s/run/model", (int)(strlen(to) - strlen("/averaged")), to);
    TH_TRY(average(r, a->tune_steps ? from : dir, a->average, to));
    char text[TH_PATH_MAX * 2];
    int n =
        snprintf(text, sizeof text, "# An attacker's average\n\n%g of the open model's weights, the rest of `%s`.\n",
                 a->average, a->tune_steps ? from : dir);
    return th_file_write(card, text, (size_t)n);
}

th_status th_trial_average(th_trial_run *r) {
    const th_trial *t = &r->trial;
    for (int64_t a = 0; a < t->attacker_count; a++)
        for (int64_t m = 0; m < t->model_count; m++)
            if (th_trial_averages(r, m, a) && t->attackers[a].models >> m & 1 && th_trial_wanted(r, m, -1, a)) {
                if (th_stopped(&r->cli->watch)) return th_fail(TH_E_INTERRUPTED, "stopped; --resume goes on");
                TH_TRY(average_once(r, m, a));
            }
    return TH_OK;
}

/* ---- afterwards */

/* The pictures of a class as a set for --class-images: beside their folder, which has tables and sheets of its own. */
static th_status write_class(const th_trial_after *a) {
    static const char *const names[] = {"file", "prompt"};
    th_sheet_writer *w;
    char folder[TH_PATH_MAX];
    const char *base = th_path_base(a->table);
    TH_TRY(th_sheet_writer_open(a->table, '\t', 2, names, &w));
    snprintf(folder, sizeof folder, "%.*s", (int)(strlen(base) - strlen(".tsv")), base);
    for (int64_t i = 0; i < a->pictures; i++) {
        char file[TH_PATH_MAX + 32];
        snprintf(file, sizeof file, "%s/%05lld.png", folder, (long long)i);
        const char *cells[] = {file, a->prompt};
        th_sheet_writer_row(w, cells);
    }
    return th_sheet_writer_commit(w);
}

static th_status clear_away(th_trial_run *r, const th_trial_after *a) {
    if (a->table) return write_class(a);
    if (!a->scratch || th_get_bool(r->cli->options, "keep-models") || !th_path_exists(a->scratch)) return TH_OK;
    return th_remove_tree(a->scratch);
}

th_status th_trial_first_done(void *run, int64_t job) {
    th_trial_run *r = run;
    return clear_away(r, &r->first.after[job]);
}

th_status th_trial_cell_done(void *run, int64_t job) {
    th_trial_run *r = run;
    return clear_away(r, &r->cells.after[job]);
}

/* ---- pictures.tsv */

static th_status is_whole(const th_trial_run *r, const th_trial_block *b, bool *whole) {
    char path[TH_PATH_MAX];
    if (snprintf(path, sizeof path, "%s/%s/%05lld.png", r->out, b->dir, (long long)(b->count * b->each - 1)) >=
        (int)sizeof path)
        return th_fail(TH_E_INPUT, "%s: the path is too long", r->out);
    *whole = th_path_exists(path);
    return TH_OK;
}

enum { FILE_CELL, PROMPT_CELL, KIND, MODEL, SUBJECT, ATTACKER, SEED, STEP, DRAW, TEXT, OWN_COLUMNS };
static const char *const own_columns[OWN_COLUMNS] = {"file",     "prompt", "kind", "model", "subject",
                                                     "attacker", "seed",   "step", "draw",  "text"};

/* Columns of class prompts that are carried along: all but those that are ours. */
static int carried(const th_trial_run *r, int *at) {
    int n = 0;
    for (int k = 0; k < r->class_prompts.columns; k++) {
        bool ours = false;
        for (int i = 0; i < OWN_COLUMNS; i++) ours = ours || !strcmp(r->class_prompts.names[k], own_columns[i]);
        if (!ours) at[n++] = k;
    }
    return n;
}

static void number(char out[24], int64_t v) {
    if (v < 0)
        out[0] = '\0';
    else
        snprintf(out, 24, "%lld", (long long)v);
}

static void write_block(const th_trial_run *r, const th_trial_block *b, const int *at, int n, const char **cells,
                        th_sheet_writer *w) {
    static const char *const kinds[] = {"attack", "leak", "class", "ordinary"};
    const th_trial *t = &r->trial;
    char file[TH_PATH_MAX], seed[24], step[24], draw[24];
    number(seed, b->seed);
    number(step, b->step);
    cells[FILE_CELL] = file, cells[DRAW] = draw, cells[SEED] = seed, cells[STEP] = step;
    cells[KIND] = kinds[b->kind];
    cells[MODEL] = t->models[b->model].name;
    cells[SUBJECT] = b->subject < 0 ? "" : t->subjects[b->subject].name;
    cells[ATTACKER] = b->attacker < 0 ? "" : t->attackers[b->attacker].name;
    for (int64_t i = 0; i < b->count * b->each; i++) {
        int64_t p = i / b->each;
        snprintf(file, sizeof file, "%s/%05lld.png", b->dir, (long long)i);
        number(draw, i % b->each);
        cells[PROMPT_CELL] = b->prompts[p];
        cells[TEXT] = b->texts[p];
        for (int k = 0; k < n; k++)
            cells[OWN_COLUMNS + k] = b->kind == TH_STUDY_CLASS ? th_sheet_cell(&r->class_prompts, p, at[k]) : "";
        th_sheet_writer_row(w, cells);
    }
}

th_status th_trial_write_pictures(th_trial_run *r, int64_t *blocks) {
    char path[TH_PATH_MAX];
    int most = r->class_prompts.columns;
    int *at = th_arena_alloc(r->trial.arena, (size_t)most + 1, sizeof *at);
    const char **cells = th_arena_alloc(r->trial.arena, (size_t)(OWN_COLUMNS + most), sizeof *cells);
    if (!at || !cells) return th_fail_memory();
    int n = carried(r, at);
    memcpy(cells, own_columns, sizeof own_columns);
    for (int k = 0; k < n; k++) cells[OWN_COLUMNS + k] = r->class_prompts.names[at[k]];
    th_sheet_writer *w;
    TH_TRY(in_out(r, "pictures.tsv", path));
    TH_TRY(th_sheet_writer_open(path, '\t', OWN_COLUMNS + n, cells, &w));
    *blocks = 0;
    th_status s = TH_OK;
    for (int64_t i = 0; i < r->block_count && s == TH_OK; i++) {
        bool whole = false;
        s = is_whole(r, &r->blocks[i], &whole);
        if (!whole) continue;
        write_block(r, &r->blocks[i], at, n, cells, w);
        ++*blocks;
    }
    if (s != TH_OK) return th_sheet_writer_abort(w), s;
    return th_sheet_writer_commit(w);
}
