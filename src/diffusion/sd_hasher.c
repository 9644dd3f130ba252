/* The hash of a folder's weights by a thread of its own. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "diffusion/sd_files.h"

struct th_sd_hasher {
    char *dir, *variant;
    pthread_t thread;
    bool running;
    atomic_bool stop;
    th_status status; /* these three are the thread's until it is joined */
    char message[TH_MESSAGE_MAX];
    char hash[TH_HASH_TEXT];
};

static void *work(void *user) {
    th_sd_hasher *h = user;
    h->status = th_sd_hash_parts(h->dir, h->variant, &h->stop, h->hash);
    if (h->status != TH_OK) snprintf(h->message, sizeof h->message, "%s", th_error_message());
    return NULL;
}

th_status th_sd_hasher_start(const char *dir, const char *variant, th_sd_hasher **out) {
    *out = NULL;
    th_sd_hasher *h = th_alloc(1, sizeof *h);
    if (!h) return th_fail_memory();
    h->dir = th_strdup(dir);
    h->variant = variant ? th_strdup(variant) : NULL;
    if (!h->dir || (variant && !h->variant)) return th_sd_hasher_free(h), th_fail_memory();
    h->running = pthread_create(&h->thread, NULL, work, h) == 0;
    if (!h->running) work(h); /* without a thread, at once */
    *out = h;
    return TH_OK;
}

static void join(th_sd_hasher *h) {
    if (h->running) pthread_join(h->thread, NULL);
    h->running = false;
}

th_status th_sd_hasher_finish(th_sd_hasher *h, char out[TH_HASH_TEXT]) {
    join(h);
    if (h->status != TH_OK) return th_fail(h->status, "%s", h->message);
    memcpy(out, h->hash, TH_HASH_TEXT);
    return TH_OK;
}

void th_sd_hasher_free(th_sd_hasher *h) {
    if (!h) return;
    atomic_store(&h->stop, true);
    join(h);
    th_free(h->dir);
    th_free(h->variant);
    th_free(h);
}
