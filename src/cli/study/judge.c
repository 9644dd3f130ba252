/* From the pictures of a study to its report. */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "cli/clip_job.h"
#include "cli/study/parts.h"
#include "cli/study/report.h"

/* Sets that judges look at, with what has to be closed. */
typedef struct {
    th_trial_run *r;
    th_guard_judge_params p;
    th_study study;
    th_picture_set *subjects, *distractors, *yes, *no;
    th_columns *columns, *lesson_columns;
    th_attributes attributes;
    th_guard_judgement judgement;
    th_study_result result;
} court;

static th_status open_set(court *c, const char *spec, const th_dataset_params *p, const char *field,
                          th_picture_set *out) {
    const th_trial *t = &c->r->trial;
    if (!spec) return TH_OK;
    if (!(out->name = th_arena_printf(t->arena, "%s: field '%s'", t->file, field))) return th_fail_memory();
    return th_fail_in(th_dataset_open(spec, p, &c->r->cli->watch, &out->set), "%s", out->name);
}

static th_status open_with_columns(court *c, const char *spec, const th_dataset_params *p, const char *field,
                                   th_picture_set *out, th_columns **columns) {
    if (!spec) return TH_OK;
    TH_TRY(open_set(c, spec, p, field, out));
    TH_TRY(th_columns_read(out->set, p, columns));
    out->columns = *columns;
    return TH_OK;
}

static th_status make_lists(court *c) {
    const th_trial *t = &c->r->trial;
    th_arena *a = t->arena;
    th_study_model *models = th_arena_alloc(a, (size_t)t->model_count, sizeof *models);
    th_study_subject *subjects = th_arena_alloc(a, (size_t)t->subject_count, sizeof *subjects);
    th_study_attacker *attackers = th_arena_alloc(a, (size_t)t->attacker_count + 1, sizeof *attackers);
    c->subjects = th_arena_alloc(a, (size_t)t->subject_count, sizeof *c->subjects);
    c->distractors = th_arena_alloc(a, (size_t)t->distractor_count + 1, sizeof *c->distractors);
    c->yes = th_arena_alloc(a, (size_t)t->model_count, sizeof *c->yes);
    c->no = th_arena_alloc(a, (size_t)t->model_count, sizeof *c->no);
    if (th_arena_failed(a)) return th_fail_memory();
    for (int64_t i = 0; i < t->model_count; i++)
        models[i] = (th_study_model){t->models[i].name, t->models[i].mode, t->models[i].protects};
    for (int64_t i = 0; i < t->subject_count; i++)
        subjects[i] = (th_study_subject){t->subjects[i].name, t->subjects[i].noun};
    for (int64_t i = 0; i < t->attacker_count; i++) attackers[i] = (th_study_attacker){t->attackers[i].name};
    c->study = (th_study){.models = models,
                          .subjects = subjects,
                          .attackers = attackers,
                          .model_count = t->model_count,
                          .subject_count = t->subject_count,
                          .attacker_count = t->attacker_count,
                          .seed = (uint64_t)t->seed};
    return TH_OK;
}

static th_status open_sets(court *c) {
    const th_trial *t = &c->r->trial;
    char field[160];
    th_dataset_params p;
    th_dataset_params_init(&p);
    p.captions = TH_CAPTIONS_FIRST;
    for (int64_t i = 0; i < t->subject_count; i++) {
        snprintf(field, sizeof field, "subjects.%s.held_out", t->subjects[i].name);
        TH_TRY(open_set(c, t->subjects[i].held_out, &p, field, &c->subjects[i]));
    }
    for (int64_t i = 0; i < t->distractor_count; i++)
        TH_TRY(open_set(c, t->distractors[i], &p, "distractors", &c->distractors[i]));
    for (int64_t i = 0; i < t->model_count; i++) {
        snprintf(field, sizeof field, "guards.%s.protective.yes", t->models[i].name);
        TH_TRY(open_set(c, t->models[i].yes, &p, field, &c->yes[i]));
        snprintf(field, sizeof field, "guards.%s.protective.no", t->models[i].name);
        TH_TRY(open_set(c, t->models[i].no, &p, field, &c->no[i]));
    }
    return open_with_columns(c, t->lessons, &p, "lessons", &c->p.lessons, &c->lesson_columns);
}

static th_status find_attributes(court *c) {
    const th_trial *t = &c->r->trial;
    if (!t->class_prompts) return TH_OK;
    if (t->attributes_file)
        TH_TRY(th_fail_in(th_attributes_load(t->attributes_file, &c->attributes), "%s: field 'attributes'", t->file));
    else
        TH_TRY(th_attributes_of_columns(t->attributes, t->attribute_count, &c->attributes));
    const th_picture_set *lessons = c->p.lessons.set ? &c->p.lessons : NULL;
    TH_TRY(th_attributes_complete(&c->attributes, &c->p.pictures, lessons, (th_texts){0}));
    c->p.attributes = &c->attributes;
    return TH_OK;
}

static void set_params(court *c) {
    const th_trial *t = &c->r->trial;
    th_guard_judge_params_init(&c->p);
    c->p.encoder = t->encoder;
    c->p.clip = t->clip;
    c->p.text_column = "text";
    c->p.distractor_count = t->distractor_count;
    c->p.net.threads = c->r->threads;
}

static th_status open_court(court *c) {
    char path[TH_PATH_MAX];
    const th_trial *t = &c->r->trial;
    th_dataset_params p;
    th_dataset_params_init(&p);
    p.captions = TH_CAPTIONS_FIRST;
    p.caption_column = "prompt";
    set_params(c);
    TH_TRY(make_lists(c));
    TH_TRY(open_sets(c));
    TH_TRY(th_path_join(path, c->r->out, "pictures.tsv"));
    TH_TRY(open_with_columns(c, path, &p, "pictures", &c->p.pictures, &c->columns));
    if (!(c->p.pictures.name = th_arena_strdup(t->arena, path))) return th_fail_memory();
    c->p.subjects = c->subjects, c->p.distractors = c->distractors;
    c->p.yes = c->yes, c->p.no = c->no;
    TH_TRY(th_study_read(&c->study, c->p.pictures.set, c->columns, path));
    bool has_class = false;
    for (int64_t i = 0; i < c->study.row_count; i++) has_class = has_class || c->study.rows[i].kind == TH_STUDY_CLASS;
    if (has_class) TH_TRY(find_attributes(c));
    return th_guard_judge_check(&c->p, &c->study);
}

static void close_set(th_picture_set *s) {
    th_dataset_close(s->set);
    s->set = NULL;
}

static void close_court(court *c) {
    const th_trial *t = &c->r->trial;
    th_study_result_free(&c->result);
    th_guard_judgement_free(&c->judgement);
    th_study_free(&c->study);
    th_attributes_free(&c->attributes);
    th_columns_free(c->columns);
    th_columns_free(c->lesson_columns);
    for (int64_t i = 0; c->subjects && i < t->subject_count; i++) close_set(&c->subjects[i]);
    for (int64_t i = 0; c->distractors && i < t->distractor_count; i++) close_set(&c->distractors[i]);
    for (int64_t i = 0; c->yes && i < t->model_count; i++) close_set(&c->yes[i]);
    for (int64_t i = 0; c->no && i < t->model_count; i++) close_set(&c->no[i]);
    close_set(&c->p.pictures);
    close_set(&c->p.lessons);
}

static th_status tell(court *c) {
    th_cli *cli = c->r->cli;
    const th_trial *t = &c->r->trial;
    const th_guard_report report = {
        .study = &c->study,
        .rules = &t->rules,
        .result = &c->result,
        .judgement = &c->judgement,
        .encoder = t->encoder,
        .clip = t->clip,
        .pictures = c->p.pictures.set,
        .failures = c->r->failures,
        .failure_count = c->r->failure_count,
        .command = th_arena_printf(t->arena, "theriac eval guard --study %s -o %s", t->file, c->r->out),
        .seconds = c->r->seconds,
    };
    if (!report.command) return th_fail_memory();
    TH_TRY(th_guard_report_write(&report, c->r->out));
    if (!cli->json) return th_guard_report_print(cli, &report), TH_OK;
    json_t *j = th_guard_report_json(&report);
    if (!j) return th_fail_memory();
    th_cli_json(cli, j);
    return TH_OK;
}

static th_status judge(court *c) {
    TH_TRY(open_court(c));
    TH_TRY(th_guard_judge(&c->p, &c->study, &c->r->cli->watch, &c->judgement));
    TH_TRY(th_study_analyse(&c->study, &c->r->trial.rules, &c->r->cli->watch, &c->result));
    return tell(c);
}

th_status th_trial_judge(th_trial_run *r) {
    court c = {.r = r};
    th_status s = judge(&c);
    close_court(&c);
    return s;
}
