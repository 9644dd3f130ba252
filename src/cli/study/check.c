/* What can be said against a study of guards before anything runs: a cell may take an hour, and a table whose prompts
 * were trained on says nothing. */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/map.h"
#include "cli/study/parts.h"
#include "data/picture_hash.h"
#include "diffusion/sd.h"
#include "guard/pattern.h"
#include "metric/feature_net.h"

enum { LEAST_JUDGED = 4, CARD_MAX = 64 << 20, PATTERN_SIDE = 64 };

/* ---- sets */

static th_status open_set(const th_trial_run *r, const char *field, const char *spec, int64_t least, th_dataset **out) {
    th_dataset_params p;
    th_dataset_params_init(&p);
    p.captions = TH_CAPTIONS_FIRST;
    const char *file = r->trial.file;
    TH_TRY(th_fail_in(th_dataset_open(spec, &p, &r->cli->watch, out), "%s: field '%s'", file, field));
    int64_t n = th_dataset_images(*out);
    if (n >= least) return TH_OK;
    th_dataset_close(*out);
    *out = NULL;
    return th_fail(TH_E_INPUT, "%s: field '%s': %lld pictures, at least %lld are wanted", file, field, (long long)n,
                   (long long)least);
}

static th_status try_set(const th_trial_run *r, const char *field, const char *spec, int64_t least) {
    th_dataset *d = NULL;
    if (!spec) return TH_OK;
    TH_TRY(open_set(r, field, spec, least, &d));
    th_dataset_close(d);
    return TH_OK;
}

/* Adds a set's pictures to `seen`, or, where `found` is given, says which of them was there before. */
static th_status hash_set(const th_trial_run *r, const char *field, const char *spec, int64_t least, th_map *seen,
                          int64_t *found) {
    th_dataset *d = NULL;
    TH_TRY(open_set(r, field, spec, least, &d));
    int64_t n = th_dataset_images(d);
    char(*hashes)[TH_HASH_TEXT] = th_alloc((size_t)n, sizeof *hashes);
    th_status s =
        hashes ? th_fail_in(th_dataset_hash_pictures(d, &r->cli->watch, hashes), "%s: field '%s'", r->trial.file, field)
               : th_fail_memory();
    for (int64_t i = 0; i < n && s == TH_OK; i++) {
        if (!found)
            s = th_map_set(seen, hashes[i], TH_HASH_TEXT - 1, i);
        else if (*found < 0 && th_map_get(seen, hashes[i], TH_HASH_TEXT - 1, -1) >= 0)
            *found = i;
    }
    th_free(hashes);
    th_dataset_close(d);
    return s;
}

/* Neither judges nor attackers with pictures of their own may have one that a guard was made with. */
static th_status check_unguarded(const th_trial_run *r, const char *field, const char *spec) {
    int64_t found = -1;
    if (!th_map_count(r->guarded)) return TH_OK;
    TH_TRY(hash_set(r, field, spec, 1, r->guarded, &found));
    if (found < 0) return TH_OK;
    return th_fail(TH_E_INPUT, "%s: field '%s': picture %lld is one that a guard was made with", r->trial.file, field,
                   (long long)found);
}

/* Pictures that somebody trains on and those that fidelity is measured by must be different ones. */
static th_status check_subject(const th_trial_run *r, const th_trial_subject *s) {
    char pictures[160], held_out[160], others[160];
    int64_t found = -1;
    snprintf(pictures, sizeof pictures, "subjects.%s.pictures", s->name);
    snprintf(held_out, sizeof held_out, "subjects.%s.held_out", s->name);
    snprintf(others, sizeof others, "subjects.%s.others", s->name);
    th_map *seen = th_map_new();
    if (!seen) return th_fail_memory();
    th_status status = hash_set(r, pictures, s->pictures, 1, seen, NULL);
    if (status == TH_OK && s->others) status = hash_set(r, others, s->others, 1, seen, NULL);
    if (status == TH_OK) status = hash_set(r, held_out, s->held_out, LEAST_JUDGED, seen, &found);
    th_map_free(seen);
    if (status == TH_OK) status = check_unguarded(r, held_out, s->held_out);
    if (status == TH_OK && s->others) status = check_unguarded(r, others, s->others);
    if (status != TH_OK || found < 0) return status;
    return th_fail(TH_E_INPUT,
                   "%s: field '%s': picture %lld is one of '%s' too; judges want pictures that nobody trains "
                   "on",
                   r->trial.file, held_out, (long long)found, s->others ? "pictures' or 'others" : pictures);
}

th_status th_trial_read_pattern(const th_trial_model *m, th_image *out) {
    if (!strcmp(m->pattern, TH_TRIAL_USUAL_PATTERN)) return th_pattern_make(PATTERN_SIDE, out);
    return th_image_read(NULL, m->pattern, NULL, out);
}

static th_status try_pattern(const th_trial_run *r, const th_trial_model *m) {
    th_image pattern = {0};
    if (!m->pattern) return TH_OK;
    th_status s = th_trial_read_pattern(m, &pattern);
    th_image_free(&pattern);
    return th_fail_in(s, "%s: field 'guards.%s.protective.pattern'", r->trial.file, m->name);
}

static th_status check_sets(const th_trial_run *r) {
    const th_trial *t = &r->trial;
    char field[160];
    for (int64_t i = 0; i < t->model_count; i++) {
        snprintf(field, sizeof field, "guards.%s.protective.yes", t->models[i].name);
        TH_TRY(try_set(r, field, t->models[i].yes, LEAST_JUDGED));
        snprintf(field, sizeof field, "guards.%s.protective.no", t->models[i].name);
        TH_TRY(try_set(r, field, t->models[i].no, LEAST_JUDGED));
        TH_TRY(try_pattern(r, &t->models[i]));
        for (int64_t k = 0; k < t->subject_count && t->models[i].pictures; k++) {
            snprintf(field, sizeof field, "guards.%s.pictures.%s", t->models[i].name, t->subjects[k].name);
            TH_TRY(try_set(r, field, t->models[i].pictures[k], 1));
        }
    }
    for (int64_t i = 0; i < t->attacker_count; i++) {
        snprintf(field, sizeof field, "attackers.%s.first.data", t->attackers[i].name);
        TH_TRY(try_set(r, field, t->attackers[i].tune_set, 1));
    }
    for (int64_t i = 0; i < t->distractor_count; i++)
        TH_TRY(try_set(r, "distractors", t->distractors[i], LEAST_JUDGED));
    TH_TRY(try_set(r, "lessons", t->lessons, LEAST_JUDGED));
    for (int64_t i = 0; i < t->subject_count; i++) TH_TRY(check_subject(r, &t->subjects[i]));
    return TH_OK;
}

/* ---- what a guard says that it was trained on */

static th_status keep_texts(const th_json *j, const char *field, const json_t *list, th_map *out) {
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *text = json_string_value(json_array_get(list, i));
        if (!text) return th_json_fail(j, field, "what a guard's card has there: texts");
        TH_TRY(th_map_set(out, text, strlen(text), 1));
    }
    return TH_OK;
}

/* Texts of guard.json as a set, and pictures into the run's; none where the folder has no such file. */
static th_status read_card(const th_trial_run *r, const th_trial_model *m, th_map *texts) {
    char path[TH_PATH_MAX];
    th_json j = {0};
    json_t *list = NULL, *subjects = NULL;
    TH_TRY(th_path_join(path, m->dir, "guard.json"));
    if (!th_path_exists(path) && !strcmp(m->dir, r->trial.models[0].dir)) return TH_OK;
    if (!th_path_exists(path)) {
        th_cli_note(r->cli, "%s: has no guard.json, so it cannot be told whether prompts were trained on", m->dir);
        return TH_OK;
    }
    th_status s = th_json_load(path, CARD_MAX, &j);
    if (s == TH_OK) s = th_json_array(&j, "texts", &list);
    if (s == TH_OK) s = keep_texts(&j, "texts", list, texts);
    if (s == TH_OK) s = th_json_array(&j, "subjects", &subjects);
    for (size_t i = 0; i < json_array_size(subjects) && s == TH_OK; i++)
        s = keep_texts(&j, "subjects", json_object_get(json_array_get(subjects, i), "pictures_sha256"), r->guarded);
    th_json_free(&j);
    return s;
}

static bool is_known(const th_map *texts, const char *text) { return th_map_get(texts, text, strlen(text), 0) != 0; }

/* Scoring prompts, filled in as attackers' ones. */
static th_status check_scoring(const th_trial_run *r, const th_trial_model *m, const th_map *texts) {
    const th_trial *t = &r->trial;
    for (int64_t a = 0; a < t->attacker_count; a++) {
        for (int64_t s = 0; s < t->subject_count; s++) {
            const char *shown = th_trial_shown(t, a, s);
            for (int64_t i = 0; i < t->prompt_count; i++) {
                const char *text = shown ? th_trial_fill(t, t->prompts[i], shown) : NULL;
                if (!text) return th_fail_memory();
                if (is_known(texts, text))
                    return th_fail(TH_E_INPUT,
                                   "%s: field 'prompts': '%.120s' gives '%.120s', which guard '%s' was "
                                   "trained on; score by others",
                                   t->file, t->prompts[i], text, m->name);
            }
        }
    }
    return TH_OK;
}

/* Captions of the class that a guard kept on purpose tell less about what it lost. */
static void note_known(const th_trial_run *r, const th_trial_model *m, const th_map *texts, const char *const *prompts,
                       int64_t count, const char *what) {
    int64_t n = 0;
    for (int64_t i = 0; i < count; i++) n += is_known(texts, prompts[i]);
    if (n)
        th_cli_note(r->cli, "guard '%s' was trained on %lld of %lld %s", m->name, (long long)n, (long long)count, what);
}

static th_status check_guard(const th_trial_run *r, const th_trial_model *m) {
    th_map *texts = th_map_new();
    if (!texts) return th_fail_memory();
    th_status s = read_card(r, m, texts);
    if (s == TH_OK) s = check_scoring(r, m, texts);
    if (s == TH_OK) note_known(r, m, texts, r->class_texts, r->class_prompts.rows, "class prompts");
    if (s == TH_OK) note_known(r, m, texts, r->trial.ordinary, r->trial.ordinary_count, "ordinary prompts");
    th_map_free(texts);
    return s;
}

/* ---- models */

/* Pairs begin from the same noise, so latents must be of one size. */
static th_status check_models(const th_trial_run *r) {
    const th_trial *t = &r->trial;
    th_sd_config first, c;
    for (int64_t i = 0; i < t->model_count; i++) {
        char field[120] = "open";
        const char *name = t->models[i].name;
        if (i) snprintf(field, sizeof field, "guards.%s.model", name);
        TH_TRY(th_fail_in(th_sd_read_config(t->models[i].dir, i ? &c : &first), "%s: field '%s'", t->file, field));
        if (!i) continue;
        if (c.vae.latent_channels != first.vae.latent_channels || th_vae_factor(&c.vae) != th_vae_factor(&first.vae) ||
            c.unet.sample_size != first.unet.sample_size)
            return th_fail(TH_E_INPUT, "%s: field '%s': its latents are of another size than the open model's", t->file,
                           field);
        TH_TRY(check_guard(r, &t->models[i]));
    }
    return TH_OK;
}

static th_status check_networks(const th_trial_run *r) {
    const th_trial *t = &r->trial;
    bool clip = true;
    TH_TRY(th_fail_in(th_feature_net_check(t->encoder, &clip), "%s: field 'encoder'", t->file));
    bool zero_shot = t->class_prompts && !t->lessons;
    if (zero_shot && !clip)
        return th_fail(TH_E_INPUT,
                       "%s: field 'lessons' is wanted: the encoder reads no texts, so that attributes of "
                       "class prompts have to be learnt from pictures",
                       t->file);
    if (!t->clip) return TH_OK;
    TH_TRY(th_fail_in(th_feature_net_check(t->clip, &clip), "%s: field 'clip'", t->file));
    return clip ? TH_OK : th_fail(TH_E_INPUT, "%s: field 'clip': %s reads no texts", t->file, t->clip);
}

/* ---- prompts */

static th_status read_class_prompts(th_trial_run *r) {
    const th_trial *t = &r->trial;
    th_sheet_params p;
    if (!t->class_prompts) return TH_OK;
    th_sheet_params_init(&p, t->class_prompts);
    TH_TRY(th_fail_in(th_sheet_read(t->class_prompts, &p, &r->class_prompts), "%s: field 'class_prompts'", t->file));
    const th_sheet *sheet = &r->class_prompts;
    TH_TRY(th_fail_in(th_sheet_need(sheet, "prompt", &r->class_prompt_column), "%s", t->class_prompts));
    for (int64_t i = 0; i < t->attribute_count; i++) {
        int column;
        TH_TRY(th_fail_in(th_sheet_need(sheet, t->attributes[i], &column), "%s", t->class_prompts));
    }
    r->class_texts = th_arena_alloc(t->arena, (size_t)sheet->rows + 1, sizeof *r->class_texts);
    if (!r->class_texts) return th_fail_memory();
    for (int64_t i = 0; i < sheet->rows; i++) {
        r->class_texts[i] = th_sheet_cell(sheet, i, r->class_prompt_column);
        if (!*r->class_texts[i])
            return th_fail(TH_E_INPUT, "%s: line %lld has no prompt", t->class_prompts, (long long)sheet->lines[i]);
    }
    return TH_OK;
}

static th_status check_only(const th_trial_run *r) {
    th_list only = th_get_list(r->cli->options, "only");
    const th_trial *t = &r->trial;
    for (int64_t k = 0; k < only.count; k++) {
        bool known = false;
        for (int64_t i = 0; i < t->model_count; i++) known = known || !strcmp(only.items[k], t->models[i].name);
        for (int64_t i = 0; i < t->subject_count; i++) known = known || !strcmp(only.items[k], t->subjects[i].name);
        for (int64_t i = 0; i < t->attacker_count; i++) known = known || !strcmp(only.items[k], t->attackers[i].name);
        if (!known)
            return th_fail(TH_E_USAGE, "--only %.80s: %s has no model, subject or attacker of this name", only.items[k],
                           t->file);
    }
    return TH_OK;
}

th_status th_trial_check(th_trial_run *r) {
    if (!(r->guarded = th_map_new())) return th_fail_memory();
    TH_TRY(check_only(r));
    TH_TRY(read_class_prompts(r));
    TH_TRY(check_models(r));
    TH_TRY(check_networks(r));
    return check_sets(r);
}
