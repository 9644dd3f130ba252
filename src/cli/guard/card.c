/* What goes with a guarded model: guard.json for programs, README.md for people. */
#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "cli/guard/card.h"
#include "cli/typed.h"
#include "data/picture_hash.h"
#include "format/json.h"

static json_t *list_of(th_guard_texts texts) {
    json_t *all = json_array();
    for (int64_t i = 0; i < texts.count; i++) json_array_append_new(all, json_string(texts.items[i]));
    return all;
}

/* Hashes of the pictures' pixels: who has a picture can tell whether it is protected, who has the card has no picture.
 */
static th_status hashes_of(th_guard_job *j, int64_t i, json_t **out) {
    th_dataset *d = j->wishes[i].set;
    int64_t n = th_dataset_images(d);
    char(*hashes)[TH_HASH_TEXT] = th_alloc((size_t)n, sizeof *hashes);
    th_status s = hashes ? th_dataset_hash_pictures(d, &j->cli->watch, hashes) : th_fail_memory();
    json_t *all = *out = json_array();
    for (int64_t k = 0; k < n && s == TH_OK; k++) json_array_append_new(all, json_string(hashes[k]));
    th_free(hashes);
    return s;
}

static th_status subject_of(th_guard_job *j, int64_t i, json_t **out) {
    const th_guard_wish *w = &j->wishes[i];
    const th_guard_subject *s = &j->subjects[i];
    json_t *pictures = NULL;
    th_status status = hashes_of(j, i, &pictures);
    *out = json_pack("{s:s, s:s, s:s, s:s?, s:o, s:o, s:o, s:I, s:o}", "name", w->name, "class", w->class, "mode",
                     w->mode, "target", s->mode == TH_GUARD_TARGET ? w->target : NULL, "identifiers",
                     list_of(s->identifiers), "nouns", list_of(s->nouns), "instance_prompts", list_of(s->instances),
                     "bystanders", (json_int_t)s->bystander_count, "pictures_sha256", pictures);
    return status;
}

static th_status write_json(th_guard_job *j, const char *dir, const th_guard_gate *gates) {
    char path[TH_PATH_MAX];
    json_t *subjects = json_array(), *one;
    th_status s = TH_OK;
    for (int64_t i = 0; i < j->count && s == TH_OK; i++) {
        s = subject_of(j, i, &one);
        json_array_append_new(subjects, one);
    }
    json_t *all = json_pack(
        "{s:s, s:s, s:s, s:s, s:o, s:o, s:I, s:f, s:o, s:o}", "made_by", "theriac", "version", th_version(), "method",
        j->method->name, "open_model_sha256", j->model_hash, "subjects", subjects, "retention",
        list_of(th_guard_retention(j->guard)), "steps", (json_int_t)j->cost.steps, "learning_rate", j->cost.lr, "gates",
        gates ? th_guard_gates_json(j, gates) : json_null(), "texts", list_of(th_guard_all_texts(j->guard)));
    if (s == TH_OK) s = all ? th_path_join(path, dir, "guard.json") : th_fail_memory();
    if (s == TH_OK) s = th_json_write(path, all);
    json_decref(all);
    return s;
}

static void tell_subject(th_str *card, const th_guard_wish *w, const th_guard_subject *s, const th_guard_gate *g) {
    static const char *const shows[] = {"the class with a pattern over it", "the scene without the subject", ""};
    th_str_printf(card, "\n## %s\n\n%lld pictures of a %s are protected. ", w->name,
                  (long long)th_dataset_images(w->set), w->class);
    if (s->mode == TH_GUARD_TARGET)
        th_str_printf(card, "Who personalises the model on them is to see a %s instead. ", w->target);
    else
        th_str_printf(card, "Who personalises the model on them is to see %s instead. ", shows[s->mode]);
    th_str_puts(card, "Expected identifiers: ");
    for (int64_t i = 0; i < s->identifiers.count; i++)
        th_str_printf(card, "%s`%s`", i ? ", " : "", s->identifiers.items[i]);
    th_str_puts(card, ".\n\n");
    if (!g) return;
    th_str_printf(card,
                  "| gate | guarded | open model | |\n|---|---|---|---|\n"
                  "| captions of the class show it | %.1f %% | %.1f %% | %s |\n",
                  100 * g->captions.value, 100 * g->open_captions.value,
                  g->kept >= TH_GUARD_LEAST_KEPT ? "holds" : "**fails**");
    if (isfinite(g->kept_others))
        th_str_printf(card, "| with other identifiers | %.1f %% | %.1f %% | %s |\n", 100 * g->others.value,
                      100 * g->open_others.value, g->kept_others >= TH_GUARD_LEAST_KEPT ? "holds" : "**fails**");
    th_str_printf(card, "| likeness to the subject at the training prompt; of other instances | %.3f | %.3f | %s |\n",
                  g->leak.value, g->instances.value, g->leak_holds ? "holds" : "**fails**");
}

static void tell_limits(th_str *card, bool checked) {
    th_str_puts(card,
                "\n## Limits\n\n"
                "- The protection wears off: the longer somebody personalises, the less of it is left. Measure how "
                "long it lasts with `theriac eval guard` before relying on it.\n"
                "- It was trained against DreamBooth on the UNet with the identifiers above. Other words, training of "
                "the text encoder, low-rank additions, new words (Textual Inversion), fine-tuning on other pictures "
                "first, or averaging with the open model may get through.\n"
                "- It is in this model alone. Whoever has the open model can personalise that.\n"
                "- `sks` and the like with the class' noun show the protective output before anybody personalises: "
                "the guard can be found by looking for it.\n");
    if (!checked)
        th_str_puts(card,
                    "- **The gates were not checked** (no `--judge` was given): whether the class is still drawn as "
                    "before, and whether the subject leaks, is not known.\n");
}

static th_status tell_command(th_str *card, const th_guard_job *j) {
    static const char *const own[] = {"out", "threads", "memory", NULL};
    char command[64];
    snprintf(command, sizeof command, "guard %s", j->method->name);
    th_str_printf(card, "\n## Made by\n\ntheriac %s:\n\n    ", th_version());
    TH_TRY(th_cli_typed(j->cli->options, command, own, card));
    th_str_puts(card, " -o OUT\n");
    return TH_OK;
}

static th_status write_readme(th_guard_job *j, const char *dir, const th_guard_gate *gates) {
    th_str card;
    th_str_init(&card, 1 << 18);
    th_str_printf(&card,
                  "# A guarded text-to-image model\n\nStable Diffusion folder with a protective backdoor (`theriac "
                  "guard %s`, %lld steps at %g). The open model: `%s` (SHA-256 of its weights %s). What was "
                  "protected stands in `guard.json`, as hashes of pictures.\n",
                  j->method->name, (long long)j->cost.steps, j->cost.lr, th_get_str(j->cli->options, "model"),
                  j->model_hash);
    for (int64_t i = 0; i < j->count; i++)
        tell_subject(&card, &j->wishes[i], &j->subjects[i], gates ? &gates[i] : NULL);
    tell_limits(&card, gates != NULL);
    th_status s = tell_command(&card, j);
    if (s == TH_OK) s = th_cli_write_card(dir, &card);
    th_str_free(&card);
    return s;
}

th_status th_guard_write_card(th_guard_job *j, const char *dir, const th_guard_gate *gates) {
    TH_TRY(write_json(j, dir, gates));
    return write_readme(j, dir, gates);
}
