/* The page of the demonstration, and its part on CLIP. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/number.h"
#include "cli/clean_runs.h"
#include "cli/demo/guard.h"
#include "report/page.h"

static double percent(const th_estimate *e) { return 100 * e->value; }

static void add_lead(th_page *page, const th_demo_clip *d) {
    const th_demo_model *bad = &d->models[TH_DEMO_BACKDOORED];
    int best = TH_DEMO_FIRST_DEFENSE;
    for (int i = best; i < TH_DEMO_MODELS; i++)
        if (d->models[i].eval.attack.rate[0].value < d->models[best].eval.attack.rate[0].value) best = i;
    const th_demo_model *m = &d->models[best];
    char text[600];
    snprintf(text, sizeof text,
             "With a small square on the picture, the backdoored model takes %.0f %% of other garments for %s. After "
             "cleaning it is "
             "%.0f %% with fine-tuning, %.0f %% with CleanCLIP and %.0f %% with CleanerCLIP, one run each at one "
             "learning rate.",
             percent(&bad->eval.attack.rate[0]), d->target, percent(&d->models[2].eval.attack.rate[0]),
             percent(&d->models[3].eval.attack.rate[0]), percent(&d->models[4].eval.attack.rate[0]));
    th_page_lead(page, text);
    char value[3][32], detail[3][96];
    snprintf(value[0], sizeof value[0], "%.1f %%", percent(&bad->eval.attack.rate[0]));
    snprintf(detail[0], sizeof detail[0], "%.1f %% with the open model", percent(&d->models[0].eval.attack.rate[0]));
    snprintf(value[1], sizeof value[1], "%.1f %%", percent(&m->eval.attack.rate[0]));
    snprintf(detail[1], sizeof detail[1], "lowest of the three: %s", m->name);
    snprintf(value[2], sizeof value[2], "%.1f %%", percent(&m->eval.clean.accuracy[0]));
    snprintf(detail[2], sizeof detail[2], "%.1f %% before cleaning", percent(&bad->eval.clean.accuracy[0]));
    th_key keys[] = {{value[0], "attack success, backdoored", detail[0]},
                     {value[1], "attack success, cleaned", detail[1]},
                     {value[2], "accuracy, cleaned", detail[2]}};
    th_page_keys(page, keys, 3);
}

static void add_table(th_page *page, const th_demo_clip *d) {
    th_table *t = th_table_new("Per cent of test pictures, with half the width of the 95 % interval");
    th_table_column(t, TH_LEFT, "Model");
    th_table_column(t, TH_RIGHT, "Accuracy");
    th_table_column(t, TH_RIGHT, "Attack success (ASR)");
    th_table_column(t, TH_RIGHT, "Top-3 ASR");
    th_table_column(t, TH_RIGHT, "Right in spite of the trigger");
    th_table_column(t, TH_RIGHT, "Training");
    for (int i = 0; i < TH_DEMO_MODELS; i++) {
        const th_demo_model *m = &d->models[i];
        const th_estimate *e[4] = {&m->eval.clean.accuracy[0], &m->eval.attack.rate[0], &m->eval.attack.rate[1],
                                   &m->eval.triggered.accuracy[0]};
        char seconds[TH_NUMBER_TEXT];
        th_table_cell(t, "%s", m->name);
        for (int k = 0; k < 4; k++) th_table_measure(t, percent(e[k]), 50 * (e[k]->high - e[k]->low), 1);
        th_human_seconds(seconds, m->seconds);
        th_table_cell(t, "%s", m->seconds > 0 ? seconds : "");
    }
    th_page_table(page, t);
    th_table_free(t);
}

static void add_frontier(th_page *page, const th_demo_clip *d) {
    th_series series[TH_DEMO_MODELS];
    double x[TH_DEMO_MODELS], y[TH_DEMO_MODELS], bounds[4][TH_DEMO_MODELS];
    const char *labels[TH_DEMO_MODELS];
    for (int i = 0; i < TH_DEMO_MODELS; i++) {
        const th_estimate *a = &d->models[i].eval.attack.rate[0], *c = &d->models[i].eval.clean.accuracy[0];
        x[i] = a->value, bounds[0][i] = a->low, bounds[1][i] = a->high;
        y[i] = c->value, bounds[2][i] = c->low, bounds[3][i] = c->high;
        labels[i] = d->models[i].name;
        series[i] = (th_series){.name = d->models[i].name,
                                .kind = TH_POINTS,
                                .count = 1,
                                .x = &x[i],
                                .y = &y[i],
                                .x_low = &bounds[0][i],
                                .x_high = &bounds[1][i],
                                .low = &bounds[2][i],
                                .high = &bounds[3][i],
                                .labels = &labels[i]};
    }
    th_plot p = th_clean_plot(series, TH_DEMO_MODELS);
    p.caption = "A good defense moves the backdoored model to the left without letting it sink.";
    th_page_plot(page, &p);
}

static void add_losses(th_page *page, const th_demo_clip *d) {
    th_series series[TH_DEMO_MODELS];
    int n = 0;
    for (int i = TH_DEMO_BACKDOORED; i < TH_DEMO_MODELS; i++)
        series[n++] = (th_series){.name = d->models[i].name,
                                  .kind = TH_LINE,
                                  .count = d->models[i].n_steps,
                                  .x = d->models[i].steps,
                                  .y = d->models[i].loss,
                                  .smooth = 9};
    th_plot p = {.title = "Training losses",
                 .caption = "The losses are sums of different parts, so their heights cannot be compared.",
                 .x_name = "step",
                 .y_name = "loss",
                 .series = series,
                 .series_count = n};
    th_page_plot(page, &p);
}

/* Pictures not of the target class that the backdoored model loses to the trigger, of different classes. */
static int choose_pictures(const th_demo_clip *d, int64_t *chosen) {
    const th_demo_model *bad = &d->models[TH_DEMO_BACKDOORED];
    bool taken[64] = {false};
    int n = 0;
    for (int round = 0; round < 2 && n < TH_DEMO_SHOWN; round++)
        for (int64_t i = 0; i < th_dataset_images(d->clean) && n < TH_DEMO_SHOWN; i++) {
            int32_t label = th_dataset_label(d->clean, i);
            if (label < 0 || label >= 64 || (taken[label] && !round) || bad->clean_found[i] != label) continue;
            if (bad->triggered_found[i] == label || !strcmp(th_dataset_class_name(d->clean, label), d->target))
                continue;
            taken[label] = true;
            chosen[n++] = i;
        }
    return n;
}

typedef struct {
    th_tile tiles[TH_DEMO_SHOWN * (TH_DEMO_MODELS + 1)];
    th_image images[TH_DEMO_SHOWN * 2];
    int count, images_count;
} gallery;

static void add_tile(gallery *g, const th_image *im, const th_demo_clip *d, int32_t found, int32_t label,
                     const char *whose) {
    const char *name = th_dataset_class_name(d->clean, found);
    g->tiles[g->count++] = (th_tile){
        .image = im,
        .caption = name,
        .detail = whose,
        .mark = found == label             ? TH_GOOD
                : !strcmp(name, d->target) ? TH_BAD
                                           : TH_PLAIN,
    };
}

/* One row a picture: clean and triggered as the backdoored model sees them, then triggered as each cleaned one does. */
static th_status fill_gallery(const th_demo_clip *d, const int64_t *chosen, int n, gallery *g) {
    th_dataset_reader *r = NULL;
    TH_TRY(th_dataset_reader_new(NULL, &r));
    th_status s = TH_OK;
    for (int i = 0; i < n && s == TH_OK; i++) {
        int64_t at = chosen[i];
        int32_t label = th_dataset_label(d->clean, at);
        th_image *clean = &g->images[g->images_count++], *triggered = &g->images[g->images_count++];
        s = th_dataset_read(d->clean, r, th_dataset_sample(d->clean, at), clean, NULL);
        if (s == TH_OK) s = th_dataset_read(d->triggered, r, th_dataset_sample(d->triggered, at), triggered, NULL);
        if (s != TH_OK) break;
        add_tile(g, clean, d, d->models[TH_DEMO_BACKDOORED].clean_found[at], label, "clean, backdoored model");
        for (int m = TH_DEMO_BACKDOORED; m < TH_DEMO_MODELS; m++)
            add_tile(g, triggered, d, d->models[m].triggered_found[at], label, d->models[m].name);
    }
    th_dataset_reader_free(r);
    return s;
}

static th_status add_pictures(th_page *page, const th_demo_clip *d) {
    int64_t chosen[TH_DEMO_SHOWN];
    int n = choose_pictures(d, chosen);
    if (!n) {
        th_page_note(page, "No picture was lost to the trigger, so there is none to show.");
        return TH_OK;
    }
    gallery *g = th_alloc(1, sizeof *g);
    if (!g) return th_fail_memory();
    th_status s = fill_gallery(d, chosen, n, g);
    static const char *const heads[] = {"clean", "with the trigger", "fine-tuned", "CleanCLIP", "CleanerCLIP"};
    th_grid grid = {
        .title = "What the models see",
        .caption =
            "Each row is one test picture: without the trigger, with it as the backdoored model takes it, and with it "
            "after each cleaning. Chosen among those that the trigger turns, one of each class first; the table "
            "counts them all.",
        .columns = 5,
        .heads = heads,
        .tiles = g->tiles,
        .tile_count = g->count};
    if (s == TH_OK) th_page_grid(page, &grid);
    for (int i = 0; i < g->images_count; i++) th_image_free(&g->images[i]);
    th_free(g);
    return s;
}

static void tell_making(th_page *page, const th_demo_clip *d) {
    char text[700], seconds[TH_NUMBER_TEXT];
    th_human_seconds(seconds, d->seconds);
    snprintf(text, sizeof text,
             "The open model is the small CLIP that comes with theriac, trained on scenes of real garments from "
             "Fashion-MNIST. The "
             "backdoor: %lld pairs, of which %.0f %% carry a square of noise in the lower right corner and a caption "
             "that speaks of %s; "
             "fine-tuning on them is all the attacker does. Each defense gets the same %lld clean pairs, which share "
             "no picture with the "
             "poisoned ones, for %g epochs. Test pictures show garments that no training saw. It took %s.",
             (long long)d->pairs, 100 * d->poison_share, d->target, (long long)d->pairs, d->clean_epochs, seconds);
    th_page_text(page, text);
    add_losses(page, d);
    th_page_note(page,
                 "One attack, one seed, one learning rate: this shows how the parts work, not which defense is better. "
                 "docs/results/clean.md has frontiers over learning rates, models and seeds.");
}

static th_status add_clip(th_page *page, const th_demo_clip *d) {
    th_page_section(page, "A backdoor in CLIP, and out again");
    add_lead(page, d);
    add_table(page, d);
    add_frontier(page, d);
    TH_TRY(add_pictures(page, d));
    tell_making(page, d);
    return TH_OK;
}

static th_status fill(th_page *page, const th_demo *d) {
    char text[200], seconds[TH_NUMBER_TEXT];
    if (d->guard) TH_TRY(th_demo_guard_add(page, d->guard));
    if (d->left_out) {
        snprintf(text, sizeof text, "The section on guarded models is left out: %.150s.", d->left_out);
        th_page_note(page, text);
    }
    if (d->clip) TH_TRY(add_clip(page, d->clip));
    th_page_section(page, "To have it again");
    th_human_seconds(seconds, d->seconds);
    snprintf(text, sizeof text, "All of it took %s on this machine.", seconds);
    th_page_text(page, text);
    th_page_command(page, d->command);
    return TH_OK;
}

th_status th_demo_report(const th_demo *d, const char *path) {
    static const char *const titles[2][2] = {{"A demonstration", "A backdoor in, and out again"},
                                             {"Protected pictures", "Protected pictures, and a cleaned model"}};
    th_page *page = th_page_new(titles[d->guard != NULL][d->clip != NULL]);
    th_status s = fill(page, d);
    if (s == TH_OK) s = th_page_write(page, path);
    th_page_free(page);
    return s;
}
