/* What people are told of a protection: beforehand what it will take, afterwards what came of it. */
#include "base/number.h"
#include "cli/guard/anti_dreambooth_parts.h"
#include "cli/plan_table.h"

/* ---- --plan */

typedef struct {
    double seconds[TH_PLAN_MACHINES]; /* of all rounds */
    double class_seconds;
} forecast;

static void print_plan(const th_anti_job *j, const forecast *f) {
    char text[200];
    const th_anti_params *p = &j->p;
    th_table *t = th_cli_plan_table();
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
    th_cli_plan_memory(t, (double)j->cost.bytes);
    th_cli_plan_work(t, "Work in all",
                     j->cost.training_runs * j->cost.training.flops + j->cost.pixel_runs * j->cost.pixels.flops, 0);
    th_cli_plan_time(t, f->seconds);
    th_prior_plan(&j->prior, t, f->class_seconds);
    th_cli_table(j->cli, t);
    th_table_free(t);
}

th_status th_anti_job_plan(th_anti_job *j) {
    forecast f = {0};
    th_ceilings c;
    TH_TRY(th_ceilings_measure(j->p.threads, j->p.compute, &c));
    int cores[TH_PLAN_MACHINES];
    th_cli_plan_cores(&c, cores);
    for (int i = 0; i < TH_PLAN_MACHINES; i++) f.seconds[i] = th_anti_seconds(&j->cost, &c, cores[i]);
    TH_TRY(th_prior_seconds(&j->prior, &j->sd, &c, &f.class_seconds));
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
