/* The demonstration of a guarded model, from its options to its numbers. */
#include "cli/demo/guard.h"

#include <string.h>

#include "base/file.h"
#include "base/machine.h"
#include "cli/estimates.h"
#include "diffusion/sd.h"
#include "metric/feature_net.h"

#define BAG(n) "fashion-scenes?split=test&side=64&class=bag&count=5&subject=" n

const th_option th_demo_guard_options[] = {
    TH_OPT_PATH("open", "models/fashion-sd", "Stable Diffusion folder that anybody may personalise", .argument = "DIR"),
    TH_OPT_PATH("guarded", "models/fashion-sd-guarded", "what theriac guard made of it", .argument = "DIR"),
    TH_OPT_PATH("protected", BAG("1"), "the pictures that it protects", .argument = "SET"),
    TH_OPT_PATH("unprotected", BAG("3"), "pictures of another subject of the class, that it does not protect",
                .argument = "SET"),
    TH_OPT_LIST("control",
                "pictures of further subjects of the class, to hold what is drawn against (default: two bags)",
                .argument = "SET"),
    TH_OPT_PATH("judge", "models/fashion-clip", "CLIP folder that judges what is drawn", .argument = "DIR"),
    TH_OPT_INT("personalize-steps", 400, "steps of DreamBooth in each of the four cells", TH_WITHIN(1, 100000)),
    TH_OPT_F32("personalize-lr", 2e-4, "its learning rate", TH_ABOVE(0)),
    TH_OPT_INT("class-pictures", 32, "pictures that each model draws of the class first, for prior preservation",
               TH_WITHIN(1, 10000)),
    TH_OPT_INT("draw", 16, "pictures drawn in each cell, and before it", TH_WITHIN(1, 10000)),
    TH_OPT_END,
};

static const char *const folders[TH_DEMO_SDS] = {"open", "guarded"};

bool th_demo_guard_missing(const th_demo_job *j, char *why) {
    for (int i = 0; i < TH_DEMO_SDS; i++) {
        const char *dir = th_get_str(j->cli->options, folders[i]);
        if (th_is_set(j->cli->options, folders[i]) || th_path_exists(dir)) continue;
        snprintf(why, TH_MESSAGE_MAX, "%.200s is not there; --%s DIR names another", dir, folders[i]);
        return true;
    }
    return false;
}

/* ---- what can be said before */

static th_status open_set(const th_demo_job *j, const char *option, const char *spec, th_demo_look *l) {
    th_dataset_params p;
    th_dataset_params_init(&p);
    p.captions = TH_CAPTIONS_FIRST;
    TH_TRY(th_fail_in(th_dataset_open(spec, &p, &j->cli->watch, &l->set), "--%s", option));
    l->name = spec;
    l->count = th_dataset_images(l->set);
    return TH_OK;
}

/* The bags are for those that nobody chose. */
static th_status open_sets(const th_demo_job *j, th_demo_guard *g) {
    static const char *const bags[] = {BAG("2"), BAG("4")};
    th_options *o = j->cli->options;
    th_list controls = th_get_list(o, "control");
    TH_TRY(open_set(j, "protected", th_get_str(o, "protected"), &g->real[TH_DEMO_PROTECTED]));
    TH_TRY(open_set(j, "unprotected", th_get_str(o, "unprotected"), &g->real[TH_DEMO_UNPROTECTED]));
    if (!controls.count && !th_is_set(o, "protected") && !th_is_set(o, "unprotected")) controls = (th_list){bags, 2};
    if (controls.count > TH_DEMO_MOST_CONTROLS)
        return th_fail(TH_E_USAGE, "--control: at most %d sets", TH_DEMO_MOST_CONTROLS);
    for (int64_t i = 0; i < controls.count; i++)
        TH_TRY(open_set(j, "control", controls.items[i], &g->controls[g->control_count++]));
    return TH_OK;
}

static th_status check_judge(const th_demo_guard *g) {
    bool clip;
    TH_TRY(th_fail_in(th_feature_net_check(g->judge, &clip), "--judge"));
    return clip ? TH_OK : th_fail(TH_E_INPUT, "--judge: %s is no CLIP folder, so it reads no nouns", g->judge);
}

static th_status check_models(th_demo_guard *g) {
    th_sd_config c[TH_DEMO_SDS];
    int64_t side[TH_DEMO_SDS];
    for (int i = 0; i < TH_DEMO_SDS; i++) {
        TH_TRY(th_fail_in(th_sd_read_config(g->dirs[i], &c[i]), "--%s", folders[i]));
        side[i] = c[i].unet.sample_size * th_vae_factor(&c[i].vae);
    }
    g->side = side[TH_DEMO_IS_OPEN];
    if (side[TH_DEMO_IS_GUARDED] == g->side) return TH_OK;
    return th_fail(TH_E_INPUT, "--guarded: %s draws pictures of another size than the open model",
                   g->dirs[TH_DEMO_IS_GUARDED]);
}

th_status th_demo_guard_open(const th_demo_job *j, th_demo_guard *g) {
    th_options *o = j->cli->options;
    *g = (th_demo_guard){
        .arena = th_arena_new(),
        .judge = th_get_str(o, "judge"),
        .steps = th_get_i64(o, "personalize-steps"),
        .lr = th_get_f64(o, "personalize-lr"),
        .class_pictures = th_get_i64(o, "class-pictures"),
        .draw = th_get_i64(o, "draw"),
    };
    if (!g->arena) return th_fail_memory();
    for (int i = 0; i < TH_DEMO_SDS; i++) g->dirs[i] = th_get_str(o, folders[i]);
    TH_TRY(check_models(g));
    TH_TRY(check_judge(g));
    TH_TRY(open_sets(j, g));
    return th_demo_card_read(j, g);
}

th_status th_demo_guard_run(const th_demo_job *j, th_demo_guard *g) {
    double begin = th_seconds();
    TH_TRY(th_demo_guard_draw(j, g));
    TH_TRY(th_demo_guard_judge(j, g));
    g->seconds = th_seconds() - begin;
    return TH_OK;
}

static void free_looks(th_demo_look *l, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        th_dataset_close(l[i].set);
        th_free(l[i].rows);
        th_free(l[i].likeness);
        th_free(l[i].protective);
    }
}

void th_demo_guard_free(th_demo_guard *g) {
    free_looks(g->real, TH_DEMO_SUBJECTS);
    free_looks(g->controls, g->control_count);
    free_looks(g->plain, TH_DEMO_SDS);
    free_looks(g->before, TH_DEMO_SDS);
    for (int i = 0; i < TH_DEMO_SDS; i++) free_looks(g->cells[i], TH_DEMO_SUBJECTS);
    th_arena_free(g->arena);
}

/* ---- for people and programs */

th_status th_demo_guard_print(th_cli *cli, const th_demo_guard *g) {
    th_table *t = th_demo_guard_table(g, true);
    if (!t) return th_fail_memory();
    th_cli_table(cli, t);
    th_status s = th_table_status(t);
    th_table_free(t);
    return s;
}

static json_t *look_json(const th_demo_look *l) {
    json_t *j = json_pack("{s:I}", "pictures", (json_int_t)l->count);
    if (!j) return NULL;
    th_cli_set_estimate(j, "likeness", &l->own);
    th_cli_set_estimate(j, "likeness_to_another", &l->other);
    th_cli_set_estimate(j, "protective", &l->shown);
    return j;
}

static json_t *model_json(const th_demo_guard *g, th_demo_sd m) {
    return json_pack("{s:s, s:o, s:o, s:o, s:o}", "folder", g->dirs[m], "class", look_json(&g->plain[m]), "before",
                     look_json(&g->before[m]), "protected", look_json(&g->cells[m][TH_DEMO_PROTECTED]), "unprotected",
                     look_json(&g->cells[m][TH_DEMO_UNPROTECTED]));
}

json_t *th_demo_guard_json(const th_demo_guard *g) {
    const th_demo_card *c = &g->card;
    return json_pack("{s:s, s:s, s:s*, s:s, s:I, s:f, s:o, s:o, s:{s:o, s:o}, s:b, s:b, s:b, s:f}", "class", c->class,
                     "mode", c->mode, "target", c->target, "prompt", c->prompt, "steps", (json_int_t)g->steps,
                     "learning_rate", g->lr, "open", model_json(g, TH_DEMO_IS_OPEN), "guarded",
                     model_json(g, TH_DEMO_IS_GUARDED), "pictures", "protected", look_json(&g->real[TH_DEMO_PROTECTED]),
                     "unprotected", look_json(&g->real[TH_DEMO_UNPROTECTED]), "gates_checked", c->checked,
                     "class_gate_holds", c->checked && c->gates.class_holds, "leak_gate_holds",
                     c->checked && c->gates.leak_holds, "seconds", g->seconds);
}
