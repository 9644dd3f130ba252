/* What people are told of a protection: beforehand what it will take, afterwards what came of it. */
#include "base/number.h"
#include "cli/guard_anti_dreambooth_parts.h"

/* ---- --plan */

typedef struct {
    double seconds[3]; /* of all rounds: here, on 16 cores, on 64 */
    double class_seconds;
} forecast;

static void print_plan(const th_anti_job *j, const forecast *f) {
    char text[200], number[3][TH_NUMBER_TEXT];
    const th_anti_params *p = &j->p;
    th_table *t = th_table_new(NULL);
    th_table_column(t, TH_LEFT, "Plan");
    th_table_column(t, TH_LEFT, "");
    snprintf(text, sizeof text, "%lld, %lld×%lld pixels, by at most %d of 255 levels", (long long)j->pictures,
             (long long)j->cost.side, (long long)j->cost.side, th_anti_levels(p->budget));
    th_table_pair(t, "Pictures", text);
    if (p->kind == TH_ANTI_ASPL)
        snprintf(text, sizeof text, "%lld of %lld steps of the surrogate, %lld of the pictures, %lld of the victim",
                 (long long)p->rounds, (long long)p->surrogate_steps, (long long)p->pixel_steps,
                 (long long)p->victim_steps);
    else
        snprintf(text, sizeof text, "%lld of %lld steps of the pictures, after %lld of the surrogate",
                 (long long)p->rounds, (long long)p->pixel_steps, (long long)p->surrogate_steps);
    th_table_pair(t, "Rounds", text);
    th_human_bytes(text, (double)j->cost.bytes);
    th_table_pair(t, "Memory", text);
    th_human_count(number[0],
                   j->cost.training_runs * j->cost.training.flops + j->cost.pixel_runs * j->cost.pixels.flops);
    snprintf(text, sizeof text, "%sFLOP", number[0]);
    th_table_pair(t, "Work in all", text);
    for (int i = 0; i < 3; i++) th_human_seconds(number[i], f->seconds[i]);
    snprintf(text, sizeof text, "at least %s here, %s on 16 such cores, %s on 64", number[0], number[1], number[2]);
    th_table_pair(t, "Time", text);
    if (th_anti_job_draws_class(j)) {
        th_human_seconds(number[0], f->class_seconds);
        snprintf(text, sizeof text, "%lld to draw first, at least %s here",
                 (long long)th_get_i64(j->cli->options, "class-count"), number[0]);
        th_table_pair(t, "Class pictures", text);
    }
    th_cli_table(j->cli, t);
    th_table_free(t);
}

th_status th_anti_job_plan(th_anti_job *j) {
    forecast f = {0};
    th_ceilings c;
    TH_TRY(th_ceilings_measure(j->p.threads, j->p.compute, &c));
    const int cores[3] = {c.threads, 16, 64};
    for (int i = 0; i < 3; i++) f.seconds[i] = th_anti_seconds(&j->cost, &c, cores[i]);
    if (th_anti_job_draws_class(j)) {
        th_drawn_params p = th_anti_job_class_params(j);
        TH_TRY(th_drawn_seconds(&j->sd, &p, &c, &f.class_seconds));
    }
    if (!j->cli->json) return print_plan(j, &f), TH_OK;
    th_cli_json(j->cli,
                json_pack("{s:I, s:I, s:i, s:I, s:f, s:f, s:f, s:f}", "pictures", (json_int_t)j->pictures, "rounds",
                          (json_int_t)j->p.rounds, "levels", th_anti_levels(j->p.budget), "bytes",
                          (json_int_t)j->cost.bytes, "seconds_here", f.seconds[0], "seconds_16_cores", f.seconds[1],
                          "seconds_64_cores", f.seconds[2], "class_seconds_here", f.class_seconds));
    return TH_OK;
}

/* ---- what came of it */

static json_t *results_of(const th_anti_job *j) {
    return json_pack("{s:I, s:I, s:i, s:f, s:f, s:f, s:f, s:f}", "pictures", (json_int_t)j->pictures, "rounds",
                     (json_int_t)j->p.rounds, "most_levels", j->most, "mean_levels", j->mean, "surrogate_loss_clean",
                     j->surrogate[0], "surrogate_loss", j->surrogate[1], "open_loss_clean", j->open[0], "open_loss",
                     j->open[1]);
}

th_status th_anti_job_report(th_anti_job *j, const char *dir) {
    TH_TRY(th_run_folder_note(j->run, "results", results_of(j)));
    if (j->cli->json) {
        json_t *entry = results_of(j);
        if (entry) json_object_set_new(entry, "folder", json_string(dir));
        th_cli_json(j->cli, entry);
        return TH_OK;
    }
    th_str_printf(&j->cli->out,
                  "%lld pictures changed by at most %d of 255 levels, %.1f in the mean\n"
                  "Loss of the open model: %.4f on the clean pictures, %.4f on the changed ones\n"
                  "Loss of the %s: %.4f and %.4f\n%s\n",
                  (long long)j->pictures, j->most, j->mean, j->open[0], j->open[1],
                  j->p.kind == TH_ANTI_ASPL ? "victim" : "surrogate", j->surrogate[0], j->surrogate[1], dir);
    return TH_OK;
}
