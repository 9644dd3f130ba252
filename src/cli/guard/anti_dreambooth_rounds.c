/* The rounds of a protection, with their checkpoints, and what the changes did to the losses. */
#include <stdlib.h>

#include "base/file.h"
#include "cli/guard/anti_dreambooth_parts.h"

/* ---- rounds */

static th_status begin(th_anti_job *j) {
    char vae[TH_HASH_TEXT];
    TH_TRY(th_anti_job_prepare(j, TH_SD_ALL));
    TH_TRY(th_moments_vae_hash(j->sd.vae, vae));
    TH_TRY(th_prior_check_vae(&j->prior, vae));
    TH_TRY(th_anti_read_texts(j->anti));
    th_sd_release(&j->sd, TH_SD_TEXT);
    return th_anti_begin(j->anti, j->floats, &j->prior.moments);
}

static th_status save(th_anti_job *j) {
    char path[TH_PATH_MAX];
    int64_t round = th_anti_rounds_made(j->anti);
    if (round == j->saved || !round) return TH_OK;
    TH_TRY(th_run_folder_checkpoint(j->run, round, path));
    TH_TRY(th_make_parents(path));
    TH_TRY(th_anti_save(j->anti, path));
    j->saved = round;
    return th_run_folder_prune(j->run, 1);
}

static th_status go_on(th_anti_job *j) {
    char path[TH_PATH_MAX];
    j->saved = -1;
    if (th_get_bool(j->cli->options, "resume")) TH_TRY(th_run_folder_newest(j->run, &j->saved, path));
    if (j->saved > 0) TH_TRY(th_anti_load(j->anti, path));
    return th_run_folder_begin_log(j->run, j->saved > 0 ? j->saved : -1);
}

th_status th_anti_job_rounds(th_anti_job *j) {
    int64_t every = th_get_i64(j->cli->options, "checkpoint-every");
    TH_TRY(begin(j));
    TH_TRY(go_on(j));
    for (int64_t i = th_anti_rounds_made(j->anti); i < j->p.rounds; i = th_anti_rounds_made(j->anti)) {
        th_status s = th_anti_round(j->anti, &j->cli->watch);
        if (s == TH_E_INTERRUPTED) {
            TH_TRY(save(j));
            return th_fail(s, "stopped after %lld of %lld rounds", (long long)i, (long long)j->p.rounds);
        }
        TH_TRY(s);
        TH_TRY(th_run_folder_log(j->run, i + 1, &(th_metric){"loss", th_anti_loss(j->anti)}, 1));
        if (every && (i + 1) % every == 0) TH_TRY(save(j));
    }
    return save(j);
}

/* ---- what they did */

static void to_floats(const uint8_t *bytes, int64_t count, float *out) {
    for (int64_t i = 0; i < count; i++) out[i] = (float)bytes[i] / 127.5f - 1;
}

static void measure_changes(th_anti_job *j) {
    int64_t count = j->pictures * j->size;
    double sum = 0;
    th_anti_to_bytes(th_anti_pictures(j->anti), j->clean, count, j->p.budget, j->changed);
    for (int64_t i = 0; i < count; i++) {
        int d = abs(j->changed[i] - j->clean[i]);
        if (d > j->most) j->most = d;
        sum += d;
    }
    j->mean = sum / (double)count;
    to_floats(j->changed, count, j->floats);
}

/* Losses of what is written, its 8 bits and all, to the model that the rounds ended with and to the open one. */
th_status th_anti_job_measure(th_anti_job *j) {
    int64_t draws = th_get_i64(j->cli->options, "eval-draws"), count = j->pictures * j->size;
    th_status s = TH_OK;
    float *clean = th_alloc((size_t)count, sizeof *clean);
    if (!clean) return th_fail_memory();
    to_floats(j->clean, count, clean);
    measure_changes(j);
    for (int k = 0; k < 2 && s == TH_OK; k++) {
        double *to = k ? j->open : j->surrogate;
        if (k) s = begin(j);
        if (s == TH_OK) s = th_anti_measure(j->anti, clean, draws, &to[0]);
        if (s == TH_OK) s = th_anti_measure(j->anti, j->floats, draws, &to[1]);
    }
    th_free(clean);
    return s;
}
