/* The commands that a study of guards consists of. */
#include <stdio.h>
#include <string.h>

#include "cli/frame.h"
#include "cli/study/parts.h"
#include "format/options_json.h"

enum { MOST_WORDS = 120, SEEDS_APART = 1000000 };

/* ---- words of a command */

typedef struct {
    th_arena *arena;
    const char **items;
    int count;
    bool failed;
} words;

static words words_new(th_arena *arena) {
    words w = {.arena = arena, .items = th_arena_alloc(arena, MOST_WORDS + 1, sizeof(char *))};
    w.failed = !w.items;
    return w;
}

static void add(words *w, const char *word) {
    if (!word || w->failed || w->count == MOST_WORDS)
        w->failed = true;
    else
        w->items[w->count++] = word;
}

static void add_pair(words *w, const char *flag, const char *value) {
    add(w, flag);
    add(w, value);
}

static void add_number(words *w, const char *flag, int64_t value) {
    add_pair(w, flag, th_arena_printf(w->arena, "%lld", (long long)value));
}

static th_status words_end(const words *w) {
    if (!w->failed) return TH_OK;
    return w->count == MOST_WORDS ? th_fail(TH_E_INPUT, "a command would have more than %d words", MOST_WORDS)
                                  : th_fail_memory();
}

static void add_setting(words *w, const th_setting *s) {
    const th_option *o = s->option;
    th_str value;
    if (s->from != TH_FROM_CONFIG) return;
    if (o->type == TH_OPTION_BOOL) {
        add(w, th_arena_printf(w->arena, s->value.flag ? "--%s" : "--no-%s", o->name));
        return;
    }
    for (int64_t i = 0; o->type == TH_OPTION_LIST && i < s->value.list.count; i++)
        add(w, th_arena_printf(w->arena, "--%s=%s", o->name, s->value.list.items[i]));
    if (o->type == TH_OPTION_LIST) return;
    th_str_init(&value, 1 << 16);
    th_option_print(o, &s->value, &value);
    add(w, th_str_status(&value) == TH_OK ? th_arena_printf(w->arena, "--%s=%s", o->name, th_str_text(&value)) : NULL);
    th_str_free(&value);
}

/* Options that the file gives for a command. */
static th_status add_options(words *w, const char *verb, const char *method, const json_t *object) {
    const th_verb *v = th_verb_find(verb);
    th_options *o = NULL;
    if (!object) return TH_OK;
    TH_TRY(th_verb_options(v, method ? th_verb_method(v, method, NULL) : -1, &o));
    th_status s = th_options_load_json(o, verb, (json_t *)object);
    for (int64_t i = 0; i < th_options_count(o) && s == TH_OK; i++) add_setting(w, th_options_at(o, i));
    th_options_free(o);
    return s;
}

/* ---- jobs */

static const char *in_out(const th_trial_run *r, const char *path) {
    return th_arena_printf(r->trial.arena, "%s/%s", r->out ? r->out : "", path);
}

static th_job *new_job(th_trial_run *r, th_trial_jobs *jobs, const char *name, int64_t commands) {
    th_arena *a = r->trial.arena;
    if (!th_grow(jobs->items, jobs->count, jobs->capacity)) return NULL;
    if (!th_grow(jobs->after, jobs->count, jobs->after_capacity)) return NULL;
    th_command *list = th_arena_alloc(a, (size_t)commands, sizeof *list);
    th_job *j = &jobs->items[jobs->count];
    *j = (th_job){.name = name,
                  .log = th_arena_printf(a, "%s/logs/%s.log", r->out ? r->out : "", name ? name : ""),
                  .commands = list,
                  .threads = r->threads_each};
    jobs->after[jobs->count] = (th_trial_after){0};
    if (!name || !j->log || !list) return NULL;
    jobs->count++;
    return j;
}

static void add_command(th_job *j, th_command c) { ((th_command *)j->commands)[j->command_count++] = c; }

bool th_trial_wanted(const th_trial_run *r, int64_t model, int64_t subject, int64_t attacker) {
    th_list only = th_get_list(r->cli->options, "only");
    const th_trial *t = &r->trial;
    bool asks[3] = {false, false, false}, has[3] = {model <= 0, subject < 0, attacker < 0};
    for (int64_t k = 0; k < only.count; k++) {
        const char *name = only.items[k];
        for (int64_t i = 0; i < t->model_count; i++)
            if (!strcmp(name, t->models[i].name)) asks[0] = true, has[0] = has[0] || i == model;
        for (int64_t i = 0; i < t->subject_count; i++)
            if (!strcmp(name, t->subjects[i].name)) asks[1] = true, has[1] = has[1] || i == subject;
        for (int64_t i = 0; i < t->attacker_count; i++)
            if (!strcmp(name, t->attackers[i].name)) asks[2] = true, has[2] = has[2] || i == attacker;
    }
    for (int i = 0; i < 3; i++)
        if (asks[i] && !has[i]) return false;
    return true;
}

/* ---- drawing */

static th_trial_block *new_block(th_trial_run *r) {
    if (!th_grow(r->blocks, r->block_count, r->block_capacity)) return NULL;
    th_trial_block *b = &r->blocks[r->block_count++];
    *b = (th_trial_block){.model = -1, .subject = -1, .attacker = -1, .seed = -1, .step = -1};
    return b;
}

static void begin_generate(words *w, const th_trial_run *r, const char *model) {
    add(w, "generate");
    add_pair(w, "--model", model);
    add_number(w, "--threads", r->threads_each);
    add(w, "--quiet");
}

/* The command that draws a block, of a model and what `weights` gives it beside. */
static th_status draw_block(th_trial_run *r, th_job *j, const th_trial_block *b, const char *model,
                            const char *const *weights) {
    words w = words_new(r->trial.arena);
    begin_generate(&w, r, model);
    for (int i = 0; weights && weights[i]; i++) add(&w, weights[i]);
    TH_TRY(add_options(&w, "generate", NULL, r->trial.drawing));
    for (int64_t i = 0; i < b->count && b->count <= TH_TRIAL_MOST_FLAGS; i++)
        add(&w, th_arena_printf(w.arena, "--prompt=%s", b->prompts[i]));
    if (b->count > TH_TRIAL_MOST_FLAGS)
        add_pair(&w, "--prompts", in_out(r, th_arena_printf(w.arena, "%s.txt", b->dir)));
    add_number(&w, "--count", b->each);
    add_number(&w, "--seed", b->draw_seed);
    const char *dir = in_out(r, b->dir);
    add_pair(&w, "--out", dir);
    th_command c = {
        .argv = w.items,
        .result = th_arena_printf(w.arena, "%s/%05lld.png", dir, (long long)(b->count * b->each - 1)),
        .begun = th_arena_printf(w.arena, "%s/run.json", dir),
    };
    TH_TRY(words_end(&w));
    if (!c.result || !c.begun) return th_fail_memory();
    j->seconds += r->picture.seconds * (double)(b->count * b->each);
    if (r->picture.bytes > j->bytes) j->bytes = r->picture.bytes;
    add_command(j, c);
    return TH_OK;
}

/* ---- pictures of classes for prior preservation */

static const char *class_prompt(const th_trial_run *r, int64_t attacker, int64_t subject) {
    const th_trial_attacker *a = &r->trial.attackers[attacker];
    return a->class ? th_trial_plain(&r->trial, a->class, subject) : NULL;
}

static th_status class_job(th_trial_run *r, int64_t number) {
    th_arena *a = r->trial.arena;
    words w = words_new(a);
    th_job *j = new_job(r, &r->first, th_arena_printf(a, "class/%lld", (long long)number), 1);
    if (!j) return th_fail_memory();
    const char *dir = in_out(r, j->name);
    begin_generate(&w, r, r->trial.models[0].dir);
    TH_TRY(add_options(&w, "generate", NULL, r->trial.class_drawing));
    add(&w, th_arena_printf(a, "--prompt=%s", r->class_pictures[number]));
    add_number(&w, "--count", r->trial.class_count);
    add_number(&w, "--seed", r->trial.seed);
    add_pair(&w, "--out", dir);
    th_command c = {.argv = w.items,
                    .result = th_arena_printf(a, "%s/%05lld.png", dir, (long long)r->trial.class_count - 1),
                    .begun = th_arena_printf(a, "%s/run.json", dir)};
    r->first.after[r->first.count - 1] = (th_trial_after){.table = th_arena_printf(a, "%s.tsv", dir),
                                                          .prompt = r->class_pictures[number],
                                                          .pictures = r->trial.class_count};
    TH_TRY(words_end(&w));
    j->bytes = r->picture.bytes;
    j->seconds = r->class_seconds;
    add_command(j, c);
    return th_arena_failed(a) ? th_fail_memory() : TH_OK;
}

/* The number of a prompt among those drawn, with a job where it is new. */
static th_status find_class(th_trial_run *r, const char *prompt, int64_t *number) {
    for (*number = 0; *number < r->class_count; (*number)++)
        if (!strcmp(r->class_pictures[*number], prompt)) return TH_OK;
    r->class_pictures[r->class_count++] = prompt;
    return class_job(r, *number);
}

/* ---- models that attackers change first */

bool th_trial_averages(const th_trial_run *r, int64_t model, int64_t attacker) {
    const th_trial_attacker *a = &r->trial.attackers[attacker];
    return a->average > 0 && (model > 0 || a->tune_steps); /* the open one is its own average with itself */
}

const char *th_trial_base(const th_trial_run *r, int64_t model, int64_t attacker) {
    const th_trial_attacker *a = &r->trial.attackers[attacker];
    const char *name = r->trial.models[model].name;
    if (th_trial_averages(r, model, attacker))
        return th_arena_printf(r->trial.arena, "%s/models/%s-%s/averaged", r->out, name, a->name);
    if (a->tune_steps) return th_arena_printf(r->trial.arena, "%s/models/%s-%s/run/model", r->out, name, a->name);
    return r->trial.models[model].dir;
}

static th_status tune_words(th_trial_run *r, int64_t model, int64_t attacker, words *w) {
    const th_trial_attacker *a = &r->trial.attackers[attacker];
    add(w, "train");
    add(w, "t2i");
    add_pair(w, "--model", r->trial.models[model].dir);
    add_pair(w, "--data", a->tune_set);
    add_number(w, "--steps", a->tune_steps);
    add_number(w, "--threads", r->threads_each);
    add(w, "--quiet");
    return add_options(w, "train", "t2i", a->tune_options);
}

static th_status tune_job(th_trial_run *r, int64_t model, int64_t attacker) {
    const th_trial_attacker *a = &r->trial.attackers[attacker];
    th_arena *arena = r->trial.arena;
    words w = words_new(arena);
    const char *name = th_arena_printf(arena, "models/%s-%s", r->trial.models[model].name, a->name);
    th_job *j = new_job(r, &r->first, name, 1);
    if (!j) return th_fail_memory();
    const char *dir = th_arena_printf(arena, "%s/%s/run", r->out, name);
    TH_TRY(tune_words(r, model, attacker, &w));
    add_pair(&w, "--out", dir);
    th_command c = {.argv = w.items,
                    .result = th_arena_printf(arena, "%s/model/README.md", dir),
                    .begun = th_arena_printf(arena, "%s/run.json", dir)};
    TH_TRY(words_end(&w));
    j->bytes = r->tune_costs[attacker].bytes;
    j->seconds = r->tune_costs[attacker].seconds;
    add_command(j, c);
    return th_arena_failed(arena) ? th_fail_memory() : TH_OK;
}

/* ---- cells */

typedef struct {
    int64_t model, subject, attacker, seed; /* places */
} cell;

/* What the model's publisher put in place of the subject's pictures; NULL: nothing. */
static const char *replaced(const th_trial_run *r, int64_t model, int64_t subject, int64_t attacker) {
    const th_trial_model *m = &r->trial.models[model];
    return m->pictures && !r->trial.attackers[attacker].others ? m->pictures[subject] : NULL;
}

const char *th_trial_pictures(const th_trial_run *r, int64_t model, int64_t subject, int64_t attacker) {
    const char *set = replaced(r, model, subject, attacker);
    const th_trial_subject *s = &r->trial.subjects[subject];
    return set ? set : r->trial.attackers[attacker].others ? s->others : s->pictures;
}

const char *th_trial_mixed(const th_trial_run *r, int64_t model, int64_t subject, int64_t attacker) {
    bool own = replaced(r, model, subject, attacker) != NULL;
    return th_arena_printf(r->trial.arena, "%s/sets/%s-%s%s%s", r->out, r->trial.subjects[subject].name,
                           r->trial.attackers[attacker].name, own ? "-" : "", own ? r->trial.models[model].name : "");
}

static const char *instances_of(const th_trial_run *r, const cell *c) {
    bool mixed = r->trial.attackers[c->attacker].mixed_with >= 0 && r->out;
    return (mixed ? th_trial_mixed : th_trial_pictures)(r, c->model, c->subject, c->attacker);
}

/* What the method calls what it learns. */
static void name_subject(words *w, const th_trial_run *r, const cell *c) {
    const th_trial_attacker *a = &r->trial.attackers[c->attacker];
    const th_trial_subject *s = &r->trial.subjects[c->subject];
    const char *shown = th_trial_shown(&r->trial, c->attacker, c->subject), *last = strrchr(s->noun, ' ');
    bool word = !strcmp(a->method, "textual-inversion");
    if (a->instance && shown) add_pair(w, "--instance-prompt", th_trial_fill(&r->trial, a->instance, shown));
    if (word || !strcmp(a->method, "custom-diffusion")) add_pair(w, "--word", a->identifier);
    if (word && !json_object_get(a->options, "initializer")) add_pair(w, "--initializer", last ? last + 1 : s->noun);
}

/* All but where it writes to and what it keeps. */
static th_status attack_words(th_trial_run *r, const cell *c, const char *model, words *w) {
    const th_trial_attacker *a = &r->trial.attackers[c->attacker];
    const char *of_class = class_prompt(r, c->attacker, c->subject);
    add(w, "personalize");
    add(w, a->method);
    add_pair(w, "--model", model);
    add_pair(w, "--instances", instances_of(r, c));
    name_subject(w, r, c);
    if (of_class) add_pair(w, "--class-prompt", of_class);
    if (of_class) add_number(w, "--class-count", r->trial.class_count);
    for (size_t i = 0; i < json_array_size(a->transform); i++)
        add(w, th_arena_printf(w->arena, "--transform=%s", json_string_value(json_array_get(a->transform, i))));
    add_number(w, "--steps", a->steps[a->step_count - 1]);
    add_number(w, "--seed", r->trial.seeds[c->seed]);
    add_number(w, "--threads", r->threads_each);
    add(w, "--quiet");
    return add_options(w, "personalize", a->method, a->options);
}

/* "0,100,200": all but the last, which is the training's own result. */
static const char *kept_steps(const th_trial_run *r, const th_trial_attacker *a) {
    const char *text = "";
    for (int i = 0; i < a->step_count - 1 && text; i++)
        text = th_arena_printf(r->trial.arena, "%s%s%lld", text, i ? "," : "", (long long)a->steps[i]);
    return text;
}

static th_status train_cell(th_trial_run *r, th_job *j, const cell *c, const char *run) {
    const th_trial_attacker *a = &r->trial.attackers[c->attacker];
    th_arena *arena = r->trial.arena;
    words w = words_new(arena);
    const char *of_class = class_prompt(r, c->attacker, c->subject);
    TH_TRY(attack_words(r, c, th_trial_base(r, c->model, c->attacker), &w));
    if (of_class) {
        int64_t number;
        TH_TRY(find_class(r, of_class, &number));
        add_pair(&w, "--class-images", th_arena_printf(arena, "%s/class/%lld.tsv", r->out, (long long)number));
    }
    if (a->step_count > 1) add_pair(&w, "--save-at", kept_steps(r, a));
    add_pair(&w, "--out", run);
    th_command k = {.argv = w.items,
                    .result = th_arena_printf(arena, "%s/model/README.md", run),
                    .begun = th_arena_printf(arena, "%s/run.json", run)};
    TH_TRY(words_end(&w));
    if (!k.result || !k.begun) return th_fail_memory();
    j->bytes = r->attack_costs[c->attacker].bytes;
    j->seconds += r->attack_costs[c->attacker].seconds;
    add_command(j, k);
    return TH_OK;
}

/* How what the method wrote is given to `generate`: the model's folder, or files beside the one it began from. */
static const char *use_weights(const th_trial_run *r, const cell *c, const char *dir, const char *flags[5]) {
    const th_trial_attacker *a = &r->trial.attackers[c->attacker];
    const char *base = th_trial_base(r, c->model, c->attacker);
    memset(flags, 0, 5 * sizeof *flags);
    if (!strcmp(a->method, "dreambooth")) return dir;
    flags[0] = !strcmp(a->method, "lora")               ? "--lora"
               : !strcmp(a->method, "custom-diffusion") ? "--custom"
                                                        : "--embedding";
    flags[1] = dir;
    if (strcmp(a->method, "custom-diffusion")) return base;
    flags[2] = "--embedding";
    flags[3] = th_arena_printf(r->trial.arena, "%s/%s.safetensors", dir, a->identifier);
    return flags[3] ? base : NULL;
}

static th_status fill_prompts(th_trial_run *r, const cell *c, th_trial_block *b) {
    const th_trial *t = &r->trial;
    const char *shown = th_trial_shown(t, c->attacker, c->subject);
    const char **prompts = th_arena_alloc(t->arena, (size_t)t->prompt_count + 1, sizeof *prompts);
    const char **texts = th_arena_alloc(t->arena, (size_t)t->prompt_count + 1, sizeof *texts);
    if (!shown || !prompts || !texts) return th_fail_memory();
    for (int64_t i = 0; i < t->prompt_count; i++) {
        prompts[i] = th_trial_fill(t, t->prompts[i], shown);
        texts[i] = th_trial_plain(t, t->prompts[i], c->subject);
        if (!prompts[i] || !texts[i]) return th_fail_memory();
    }
    b->prompts = prompts;
    b->texts = texts;
    b->count = t->prompt_count;
    b->each = t->each;
    return TH_OK;
}

/* Draws with the same seeds whatever the model and the strength. */
static th_status draw_strength(th_trial_run *r, th_job *j, const cell *c, const char *run, int64_t at) {
    const th_trial_attacker *a = &r->trial.attackers[c->attacker];
    const char *flags[5];
    th_arena *arena = r->trial.arena;
    const char *dir = at == a->step_count - 1 ? th_arena_printf(arena, "%s/model", run)
                                              : th_arena_printf(arena, "%s/model-%lld", run, (long long)a->steps[at]);
    th_trial_block *b = new_block(r);
    if (!b || !dir) return th_fail_memory();
    TH_TRY(fill_prompts(r, c, b));
    b->kind = TH_STUDY_ATTACK;
    b->model = (int32_t)c->model;
    b->subject = (int32_t)c->subject;
    b->attacker = (int32_t)c->attacker;
    b->seed = r->trial.seeds[c->seed];
    b->step = a->steps[at];
    b->draw_seed = r->trial.seed + (c->seed + 1) * SEEDS_APART;
    b->dir = th_arena_printf(arena, "pictures/%s/%s/%s/seed-%lld/step-%lld", r->trial.models[c->model].name,
                             r->trial.subjects[c->subject].name, a->name, (long long)b->seed, (long long)b->step);
    const char *model = use_weights(r, c, dir, flags);
    if (!b->dir || !model) return th_fail_memory();
    return j ? draw_block(r, j, b, model, flags) : TH_OK;
}

static th_status add_cell(th_trial_run *r, const cell *c) {
    const th_trial_attacker *a = &r->trial.attackers[c->attacker];
    th_arena *arena = r->trial.arena;
    const char *name = th_arena_printf(arena, "%s/%s/%s/seed-%lld", r->trial.models[c->model].name,
                                       r->trial.subjects[c->subject].name, a->name, (long long)r->trial.seeds[c->seed]);
    const char *scratch = th_arena_printf(arena, "%s/cells/%s", r->out, name);
    const char *run = th_arena_printf(arena, "%s/run", scratch);
    th_job *j = NULL;
    if (th_trial_wanted(r, c->model, c->subject, c->attacker)) {
        if (!(j = new_job(r, &r->cells, name, 1 + a->step_count))) return th_fail_memory();
        r->cells.after[r->cells.count - 1].scratch = scratch;
        TH_TRY(train_cell(r, j, c, run));
    }
    if (!run) return th_fail_memory();
    for (int i = 0; i < a->step_count; i++) TH_TRY(draw_strength(r, j, c, run, i));
    return TH_OK;
}

/* Subjects and seeds go round slowest, so that a study that is stopped early has whole pairs. */
static th_status add_cells(th_trial_run *r) {
    const th_trial *t = &r->trial;
    for (int64_t k = 0; k < t->seed_count; k++)
        for (int64_t s = 0; s < t->subject_count; s++)
            for (int64_t a = 0; a < t->attacker_count; a++)
                for (int64_t m = 0; m < t->model_count; m++)
                    if (th_trial_tries(t, a, m, s)) TH_TRY(add_cell(r, &(cell){m, s, a, k}));
    return TH_OK;
}

static th_status add_tunings(th_trial_run *r) {
    const th_trial *t = &r->trial;
    for (int64_t a = 0; a < t->attacker_count; a++)
        for (int64_t m = 0; m < t->model_count; m++)
            if (t->attackers[a].tune_steps && t->attackers[a].models >> m & 1 && th_trial_wanted(r, m, -1, a))
                TH_TRY(tune_job(r, m, a));
    return TH_OK;
}

/* ---- without an attacker */

/* A block of its own job. */
static th_status add_plain(th_trial_run *r, int64_t model, th_trial_block *b, const char *what) {
    th_arena *a = r->trial.arena;
    b->model = (int32_t)model;
    b->dir = th_arena_printf(a, "pictures/%s/%s", r->trial.models[model].name, what);
    if (!b->dir) return th_fail_memory();
    if (!th_trial_wanted(r, model, b->subject, -1)) return TH_OK;
    th_job *j = new_job(r, &r->cells, b->dir + strlen("pictures/"), 1);
    return j ? draw_block(r, j, b, r->trial.models[model].dir, NULL) : th_fail_memory();
}

/* Seeds that depend on the subject's name alone, so that further subjects change nothing. */
static int64_t leak_seed(const th_trial_run *r, int64_t subject) {
    uint32_t h = 2166136261u; /* FNV-1a */
    for (const char *c = r->trial.subjects[subject].name; *c; c++) h = (h ^ (uint8_t)*c) * 16777619u;
    return r->trial.seed + (int64_t)(10000 + h % 50000) * SEEDS_APART;
}

/* The prompts that attackers of this subject train on, each once. */
static th_status leak_prompts(th_trial_run *r, int64_t subject, const char ***out, int64_t *count) {
    const th_trial *t = &r->trial;
    if (!(*out = th_arena_alloc(t->arena, (size_t)t->attacker_count + 1, sizeof **out))) return th_fail_memory();
    *count = 0;
    for (int64_t a = 0; a < t->attacker_count; a++) {
        const char *word = t->attackers[a].identifier, *shown = th_trial_shown(t, a, subject);
        bool known = word[0] == '<' || !t->attackers[a].instance; /* a new word means nothing before it is learnt */
        if (known || !(t->attackers[a].subjects >> subject & 1)) continue;
        const char *text = shown ? th_trial_fill(t, t->attackers[a].instance, shown) : NULL;
        if (!text) return th_fail_memory();
        for (int64_t i = 0; i < *count; i++) known = known || !strcmp((*out)[i], text);
        if (!known) (*out)[(*count)++] = text;
    }
    return TH_OK;
}

static th_status add_leaks(th_trial_run *r, int64_t subject) {
    const th_trial *t = &r->trial;
    const char **prompts, **texts;
    int64_t count = 0;
    uint64_t all = 0;
    TH_TRY(leak_prompts(r, subject, &prompts, &count));
    if (!(texts = th_arena_alloc(t->arena, (size_t)count + 1, sizeof *texts))) return th_fail_memory();
    for (int64_t i = 0; i < count; i++) texts[i] = "";
    for (int64_t m = 0; m < t->model_count; m++) all |= t->models[m].protects;
    for (int64_t m = 0; m < t->model_count && count; m++) {
        uint64_t of_model = m ? t->models[m].protects : all;
        if (!(of_model >> subject & 1)) continue;
        th_trial_block *b = new_block(r);
        const char *what = th_arena_printf(t->arena, "leak-%s", t->subjects[subject].name);
        if (!b || !what) return th_fail_memory();
        b->kind = TH_STUDY_LEAK;
        b->subject = (int32_t)subject;
        b->prompts = prompts, b->texts = texts, b->count = count;
        b->each = t->each_leak;
        b->draw_seed = leak_seed(r, subject);
        TH_TRY(add_plain(r, m, b, what));
    }
    return TH_OK;
}

static th_status add_texts(th_trial_run *r, th_study_kind kind, const char *const *texts, int64_t count, int64_t each,
                           const char *what) {
    for (int64_t m = 0; m < r->trial.model_count && count; m++) {
        th_trial_block *b = new_block(r);
        if (!b) return th_fail_memory();
        b->kind = kind;
        b->prompts = b->texts = texts, b->count = count;
        b->each = each;
        b->draw_seed = r->trial.seed + (kind == TH_STUDY_CLASS ? 5000 : 6000) * (int64_t)SEEDS_APART;
        TH_TRY(add_plain(r, m, b, what));
    }
    return TH_OK;
}

static th_status add_plain_blocks(th_trial_run *r) {
    const th_trial *t = &r->trial;
    for (int64_t s = 0; s < t->subject_count; s++) TH_TRY(add_leaks(r, s));
    TH_TRY(add_texts(r, TH_STUDY_CLASS, r->class_texts, r->class_prompts.rows, t->each_class, "class"));
    return add_texts(r, TH_STUDY_ORDINARY, t->ordinary, t->ordinary_count, t->each_ordinary, "ordinary");
}

th_status th_trial_make_jobs(th_trial_run *r) {
    size_t most = (size_t)(r->trial.attacker_count * r->trial.subject_count) + 1;
    if (!(r->class_pictures = th_arena_alloc(r->trial.arena, most, sizeof *r->class_pictures))) return th_fail_memory();
    TH_TRY(add_tunings(r));
    TH_TRY(add_plain_blocks(r));
    TH_TRY(add_cells(r));
    return th_arena_failed(r->trial.arena) ? th_fail_memory() : TH_OK;
}

void th_trial_free_jobs(th_trial_run *r) {
    th_free(r->first.items);
    th_free(r->first.after);
    th_free(r->cells.items);
    th_free(r->cells.after);
    th_free(r->blocks);
}

/* ---- what they take */

/* A plan's bytes and seconds. */
static th_status ask(th_trial_run *r, words *w, const char *dir, th_trial_cost *out, double *class_seconds) {
    json_t *j = NULL;
    add(w, "--plan");
    add(w, "--json");
    TH_TRY(words_end(w));
    TH_TRY(th_cli_command_json(r->cli, w->items, dir, &j));
    out->bytes = (int64_t)json_number_value(json_object_get(j, "bytes"));
    out->seconds = json_number_value(json_object_get(j, "seconds_here"));
    if (class_seconds) *class_seconds = json_number_value(json_object_get(j, "class_seconds_here"));
    json_decref(j);
    return TH_OK;
}

static th_status ask_drawing(th_trial_run *r, const char *dir, const json_t *options, int64_t count,
                             th_trial_cost *out) {
    words w = words_new(r->trial.arena);
    begin_generate(&w, r, r->trial.models[0].dir);
    TH_TRY(add_options(&w, "generate", NULL, options));
    add_pair(&w, "--prompt", "a");
    add_number(&w, "--count", count);
    return ask(r, &w, dir, out, NULL);
}

/* Bytes that this process, the logs and the system's files in memory take beside, of each process. */
enum { PROCESS_BYTES = 64 << 20 };

static th_status ask_attacker(th_trial_run *r, int64_t attacker, const char *dir) {
    const th_trial_attacker *a = &r->trial.attackers[attacker];
    int64_t subject = 0;
    while (subject < r->trial.subject_count - 1 && !(a->subjects >> subject & 1)) subject++;
    const cell c = {0, subject, attacker, 0};
    words w = words_new(r->trial.arena), tune = words_new(r->trial.arena);
    TH_TRY(attack_words(r, &c, r->trial.models[0].dir, &w));
    TH_TRY(th_fail_in(ask(r, &w, dir, &r->attack_costs[attacker], NULL), "attacker '%s'", a->name));
    r->attack_costs[attacker].bytes += PROCESS_BYTES;
    if (!a->tune_steps) return TH_OK;
    TH_TRY(tune_words(r, 0, attacker, &tune));
    TH_TRY(th_fail_in(ask(r, &tune, dir, &r->tune_costs[attacker], NULL), "attacker '%s'", a->name));
    r->tune_costs[attacker].bytes += PROCESS_BYTES;
    return TH_OK;
}

th_status th_trial_find_costs(th_trial_run *r, const char *dir) {
    const int64_t sample = 100;
    const th_trial *t = &r->trial;
    th_trial_cost class_cost;
    const char *out = r->out;
    r->attack_costs = th_arena_alloc(t->arena, (size_t)t->attacker_count + 1, sizeof *r->attack_costs);
    r->tune_costs = th_arena_alloc(t->arena, (size_t)t->attacker_count + 1, sizeof *r->tune_costs);
    if (!r->attack_costs || !r->tune_costs) return th_fail_memory();
    TH_TRY(th_fail_in(ask_drawing(r, dir, t->drawing, sample, &r->picture), "drawing"));
    r->picture.seconds /= (double)sample;
    r->picture.bytes += PROCESS_BYTES;
    TH_TRY(th_fail_in(ask_drawing(r, dir, t->class_drawing, t->class_count, &class_cost), "class_images"));
    r->class_seconds = class_cost.seconds;
    if (class_cost.bytes + PROCESS_BYTES > r->picture.bytes) r->picture.bytes = class_cost.bytes + PROCESS_BYTES;
    r->out = NULL; /* nothing of OUT is there yet */
    th_status s = TH_OK;
    for (int64_t a = 0; a < t->attacker_count && s == TH_OK; a++) s = ask_attacker(r, a, dir);
    r->out = out;
    return s;
}
