/* Which files of a folder are its weights. */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "model/weights.h"

/* "STEM.fp16.safetensors" or "STEM.safetensors.index.fp16.json" → "fp16"; the same without a variant → "". False for
 * other files, shards among them. */
static bool variant_of(const char *name, char out[TH_VARIANT_MAX]) {
    static const char *const stems[] = {"model.", "diffusion_pytorch_model."};
    static const char single[] = ".safetensors", index[] = "safetensors.index";
    const char *rest = NULL, *end;
    for (size_t i = 0; i < sizeof stems / sizeof *stems && !rest; i++)
        if (!strncmp(name, stems[i], strlen(stems[i]))) rest = name + strlen(stems[i]) - 1; /* at the dot */
    if (!rest) return false;
    if (!strncmp(rest + 1, index, strlen(index))) {
        rest += strlen(index) + 1;
        end = strlen(rest) >= 5 ? rest + strlen(rest) - 5 : rest;
        if (strcmp(end, ".json") != 0) return false;
    } else {
        end = strlen(rest) >= strlen(single) ? rest + strlen(rest) - strlen(single) : rest;
        if (strcmp(end, single) != 0) return false;
    }
    if (end - rest >= TH_VARIANT_MAX || strstr(rest, "-of-")) return false;
    snprintf(out, TH_VARIANT_MAX, "%.*s", end > rest ? (int)(end - rest) - 1 : 0, rest + 1);
    return true;
}

static th_status choose_variant(const char *dir, const th_names *names, char out[TH_VARIANT_MAX]) {
    char v[TH_VARIANT_MAX];
    int found = 0;
    for (int64_t i = 0; i < names->count; i++) /* files without one win, wherever they stand in the list */
        if (variant_of(names->names[i], v) && !*v) return TH_OK;
    for (int64_t i = 0; i < names->count; i++) {
        if (!variant_of(names->names[i], v)) continue;
        if (found && strcmp(out, v) != 0)
            return th_fail(TH_E_INPUT,
                           "%s: holds the variants '%s' and '%s' of the weights, and none without: say which", dir, out,
                           v);
        memcpy(out, v, sizeof v);
        found = 1;
    }
    return TH_OK;
}

th_status th_weights_find_variant(const char *dir, char out[TH_VARIANT_MAX]) {
    th_names names;
    *out = '\0';
    TH_TRY(th_list_dir(dir, &names));
    th_status s = choose_variant(dir, &names, out);
    th_names_free(&names);
    return s;
}

th_status th_weights_open(const char *path, const char *variant, th_safetensors **out) {
    char v[TH_VARIANT_MAX] = "";
    if (!variant && th_path_is_dir(path)) TH_TRY(th_weights_find_variant(path, v));
    return th_safetensors_open(path, *v ? v : variant, out);
}

/* Bytes after which a hash looks whether it is still wanted. */
#define STRETCH ((size_t)16 << 20)

static th_status hash_file(const char *file, const atomic_bool *stop, th_hash *h) {
    th_mapping m;
    th_status s = th_file_map(file, &m);
    for (size_t at = 0; s == TH_OK && at < m.length; at += STRETCH) {
        if (stop && atomic_load(stop))
            s = th_fail(TH_E_INTERRUPTED, "%s: was not hashed to its end", file);
        else
            th_hash_add(h, (const char *)m.data + at, m.length - at < STRETCH ? m.length - at : STRETCH);
    }
    th_file_unmap(&m);
    return s;
}

th_status th_weights_hash(const char *path, const char *variant, const atomic_bool *stop, th_hash *h) {
    th_safetensors *f = NULL;
    TH_TRY(th_weights_open(path, variant, &f));
    const char *last = NULL;
    th_status s = TH_OK;
    for (int64_t i = 0; i < th_safetensors_count(f) && s == TH_OK; i++) {
        const char *file = th_safetensors_at(f, i)->file; /* tensors of one file follow each other */
        if (file != last) s = hash_file(file, stop, h);
        last = file;
    }
    th_safetensors_close(f);
    return s;
}
