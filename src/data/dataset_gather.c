/* Building the list of a set: pictures as they come, captions and labels in any order, put in order at the end. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "data/dataset_parts.h"

#define LABEL_MAX 1000000 /* as a number */

th_status th_gather_image(th_gather *g, const char *key) {
    th_dataset *d = g->d;
    int64_t labels = d->entry_count; /* both arrays have one item for each picture */
    if (d->entry_count == INT32_MAX) return th_fail(TH_E_INPUT, "more than %d pictures", INT32_MAX);
    if (!th_grow(d->entries, d->entry_count, g->entry_capacity) || !th_grow(g->labels, labels, g->label_capacity))
        return th_fail_memory();
    g->labels[labels] = NULL;
    d->entries[d->entry_count++] = (th_entry){.key = key, .label = -1};
    return TH_OK;
}

th_status th_gather_caption(th_gather *g, int64_t image, const char *caption) {
    th_dataset *d = g->d;
    int64_t owners = d->caption_count;
    if (d->caption_count == INT32_MAX) return th_fail(TH_E_INPUT, "more than %d captions", INT32_MAX);
    if (!th_grow(d->captions, d->caption_count, g->caption_capacity) || !th_grow(g->owners, owners, g->owner_capacity))
        return th_fail_memory();
    g->owners[owners] = (int32_t)image;
    d->captions[d->caption_count++] = caption;
    return TH_OK;
}

void th_text_trim(const char **text, size_t *length) {
    const char *from = *text, *end = from + *length;
    while (from < end && isspace((unsigned char)*from)) from++;
    while (end > from && isspace((unsigned char)end[-1])) end--;
    *text = from;
    *length = (size_t)(end - from);
}

char *th_gather_text(th_gather *g, const char *text, size_t length) {
    th_text_trim(&text, &length);
    char *copy = th_arena_alloc(g->d->text, length + 1, 1);
    if (copy) memcpy(copy, text, length);
    return copy;
}

th_status th_gather_drop(th_gather *g, th_status s) {
    if (!g->p->skip_bad || s != TH_E_INPUT) return s;
    if (!g->d->skipped++) {
        snprintf(g->d->first_message, TH_MESSAGE_MAX, "%s", th_error_message());
        g->d->first_skipped = -1;
    }
    return TH_OK;
}

/* ---- captions */

/* Counts each picture's captions, makes that the places where they begin, and puts them there, in their order. */
static th_status sort_captions(th_gather *g) {
    th_dataset *d = g->d;
    TH_TRY(th_gather_image(g, "")); /* the end of the last one's captions */
    d->entry_count--;
    for (int64_t c = 0; c < d->caption_count; c++) d->entries[g->owners[c] + 1].captions++;
    for (int64_t i = 0; i < d->entry_count; i++) d->entries[i + 1].captions += d->entries[i].captions;
    bool sorted = true;
    for (int64_t c = 1; c < d->caption_count; c++) sorted &= g->owners[c - 1] <= g->owners[c];
    if (sorted) return TH_OK;
    const char **to = th_alloc((size_t)d->caption_count, sizeof *to);
    uint32_t *next = th_alloc((size_t)d->entry_count, sizeof *next);
    if (to && next) {
        for (int64_t i = 0; i < d->entry_count; i++) next[i] = d->entries[i].captions;
        for (int64_t c = 0; c < d->caption_count; c++) to[next[g->owners[c]]++] = d->captions[c];
        th_free(d->captions);
        d->captions = to;
        to = NULL;
        sorted = true;
    }
    th_free(to);
    th_free(next);
    return sorted ? TH_OK : th_fail_memory();
}

static bool has_caption(const th_dataset *d, int64_t i) { return d->entries[i].captions != d->entries[i + 1].captions; }

/* The empty pictures between others take no captions, so the places stay right. */
static th_status drop_uncaptioned(th_gather *g) {
    th_dataset *d = g->d;
    int64_t kept = 0, with = 0;
    for (int64_t i = 0; i < d->entry_count; i++) with += has_caption(d, i);
    if (!with || with == d->entry_count) return TH_OK;
    for (int64_t i = 0; i < d->entry_count; i++) {
        if (!has_caption(d, i)) {
            char shown[TH_SHOWN_MAX];
            th_status s = th_fail(TH_E_INPUT, "%s: '%s' has no caption, and %lld of %lld have one", d->name,
                                  th_shown(shown, d->entries[i].key, strlen(d->entries[i].key)), (long long)with,
                                  (long long)d->entry_count);
            TH_TRY(th_gather_drop(g, s));
            continue;
        }
        d->entries[kept] = d->entries[i];
        g->labels[kept++] = g->labels[i];
    }
    d->entries[kept] = d->entries[d->entry_count];
    d->entry_count = kept;
    return TH_OK;
}

/* ---- labels */

static int by_text(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

/* Sets the labels as numbers if all are. */
static bool number_labels(th_gather *g) {
    th_dataset *d = g->d;
    for (int64_t i = 0; i < d->entry_count; i++) {
        int64_t n = -1;
        if (g->labels[i] && (!th_parse_i64(g->labels[i], &n) || n < 0 || n > LABEL_MAX)) return false;
        d->entries[i].label = (int32_t)n;
        if (n >= d->classes) d->classes = (int32_t)n + 1;
    }
    return true;
}

/* Makes a sorted list of different names, and each label its place there. */
static th_status name_labels(th_gather *g, int64_t count) {
    th_dataset *d = g->d;
    const char **names = d->class_names = th_alloc((size_t)count, sizeof *names);
    if (!names) return th_fail_memory();
    int64_t n = 0;
    for (int64_t i = 0; i < d->entry_count; i++)
        if (g->labels[i]) names[n++] = g->labels[i];
    qsort(names, (size_t)n, sizeof *names, by_text);
    d->classes = 0;
    for (int64_t i = 0; i < n; i++)
        if (i == 0 || strcmp(names[i], names[d->classes - 1]) != 0) names[d->classes++] = names[i];
    for (int64_t i = 0; i < d->entry_count; i++) {
        const char **at =
            !g->labels[i] ? NULL : bsearch(&g->labels[i], names, (size_t)d->classes, sizeof *names, by_text);
        d->entries[i].label = at ? (int32_t)(at - names) : -1;
    }
    const char **less = th_realloc(names, (size_t)d->classes, sizeof *names);
    if (less) d->class_names = less;
    return TH_OK;
}

static th_status resolve_labels(th_gather *g, bool by_name) {
    int64_t count = 0;
    for (int64_t i = 0; i < g->d->entry_count; i++) count += g->labels[i] != NULL;
    if (!count || (!by_name && number_labels(g))) return TH_OK;
    return name_labels(g, count);
}

th_status th_gather_finish(th_gather *g, bool by_name) {
    TH_TRY(sort_captions(g));
    TH_TRY(drop_uncaptioned(g));
    g->d->source_images = g->d->entry_count;
    return resolve_labels(g, by_name);
}

void th_gather_free(th_gather *g) {
    th_free(g->owners);
    th_free(g->labels);
}
