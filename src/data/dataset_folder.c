/* Folders: which kind of set one holds, and pictures that are files of their own. */
#include <string.h>
#include <sys/stat.h>

#include "data/dataset_parts.h"

#define DEPTH_MAX 16                  /* of folders in a class */
#define CAPTION_MAX ((size_t)1 << 20) /* bytes of a .txt */

bool th_dataset_is_picture(const char *name) {
    return th_path_ends(name, ".jpg") || th_path_ends(name, ".jpeg") || th_path_ends(name, ".png") ||
           th_path_ends(name, ".webp");
}

static th_status path_of(const th_dataset *d, int64_t image, char path[TH_PATH_MAX]) {
    const char *key = d->entries[image].key;
    return th_path_join(path, *key == '/' ? "" : d->folder, key);
}

static th_status read_file(th_dataset *d, th_dataset_reader *r, int64_t image, th_image *out) {
    char path[TH_PATH_MAX];
    TH_TRY(path_of(d, image, path));
    return th_image_read(r->decoder, path, &r->params, out);
}

/* The file's size; where pictures may be bad, a missing one has the size −1. */
static th_status hash_file(const th_dataset *d, int64_t image, th_hash *h) {
    char path[TH_PATH_MAX], text[32];
    struct stat st;
    TH_TRY(path_of(d, image, path));
    bool there = stat(path, &st) == 0;
    if (!there && !d->bad) return th_fail_errno(path, "look at it");
    snprintf(text, sizeof text, "%lld", there ? (long long)st.st_size : -1LL);
    th_hash_add(h, text, strlen(text) + 1);
    return TH_OK;
}

const th_dataset_source th_source_folder = {.name = "image folder", .read = read_file, .hash = hash_file};
const th_dataset_source th_source_table = {.name = "table", .read = read_file, .hash = hash_file};

/* ---- pictures in the folder itself */

static th_status add_picture(th_gather *g, const char *key) {
    char *copy = th_arena_strdup(g->d->text, key);
    if (!copy) return th_fail_memory();
    return th_gather_image(g, copy);
}

/* The caption in NAME.txt beside NAME.jpg, if there is one. */
static th_status add_caption_file(th_gather *g, const char *name) {
    char path[TH_PATH_MAX];
    TH_TRY(th_path_join(path, g->d->folder, name));
    char *dot = strrchr(path, '.');
    if (dot + 5 > path + sizeof path) return th_fail(TH_E_INPUT, "%.200s…: the path is too long", path);
    memcpy(dot, ".txt", 5);
    if (!th_path_exists(path)) return TH_OK;
    th_bytes text;
    TH_TRY(th_file_read(path, CAPTION_MAX, &text));
    th_status s = TH_OK;
    char *caption = th_gather_text(g, text.data, strnlen(text.data, text.length));
    if (!caption)
        s = th_fail_memory();
    else if (*caption)
        s = th_gather_caption(g, g->d->entry_count - 1, caption);
    th_free(text.data);
    return s;
}

static th_status add_flat(th_gather *g, const th_names *names) {
    for (int64_t i = 0; i < names->count; i++) {
        const char *name = names->names[i];
        if (*name == '.' || !th_dataset_is_picture(name)) continue;
        if (i % 256 == 0) th_report(g->watch, "files looked at", i, names->count, NULL);
        if (th_stopped(g->watch)) return th_fail(TH_E_INTERRUPTED, "stopped");
        TH_TRY(add_picture(g, name));
        TH_TRY(add_caption_file(g, name));
    }
    return th_gather_finish(g, true);
}

/* ---- pictures in folders that are classes */

static th_status add_class(th_gather *g, const char *class_name, const char *path, int depth);

/* A picture of the class, a folder of more of them, or neither. */
static th_status add_to_class(th_gather *g, const char *class_name, const char *path, int depth) {
    if (th_dataset_is_picture(path)) {
        TH_TRY(add_picture(g, path));
        int64_t image = g->d->entry_count - 1;
        g->labels[image] = class_name;
        return th_gather_caption(g, image, class_name);
    }
    char full[TH_PATH_MAX];
    TH_TRY(th_path_join(full, g->d->folder, path));
    return th_path_is_dir(full) ? add_class(g, class_name, path, depth + 1) : TH_OK;
}

/* Adds the pictures under FOLDER/path, whose class is the first part of path. */
static th_status add_class(th_gather *g, const char *class_name, const char *path, int depth) {
    char full[TH_PATH_MAX];
    TH_TRY(th_path_join(full, g->d->folder, path));
    if (depth > DEPTH_MAX) return th_fail(TH_E_INPUT, "%s: is more than %d folders deep", full, DEPTH_MAX);
    if (th_stopped(g->watch)) return th_fail(TH_E_INTERRUPTED, "stopped");
    th_report(g->watch, "pictures found", g->d->entry_count, 0, class_name);
    th_names names;
    TH_TRY(th_list_dir(full, &names));
    th_status s = TH_OK;
    for (int64_t i = 0; i < names.count && s == TH_OK; i++) {
        char inner[TH_PATH_MAX];
        if (names.names[i][0] == '.') continue;
        s = th_path_join(inner, path, names.names[i]);
        if (s == TH_OK) s = add_to_class(g, class_name, inner, depth);
    }
    th_names_free(&names);
    return s;
}

static th_status add_classes(th_gather *g, const th_names *names) {
    for (int64_t i = 0; i < names->count; i++) {
        char path[TH_PATH_MAX];
        TH_TRY(th_path_join(path, g->d->folder, names->names[i]));
        if (*names->names[i] == '.' || !th_path_is_dir(path)) continue;
        char *class_name = th_arena_strdup(g->d->text, names->names[i]);
        if (!class_name) return th_fail_memory();
        TH_TRY(add_class(g, class_name, class_name, 1));
    }
    if (!g->d->entry_count)
        return th_fail(TH_E_INPUT,
                       "%s: holds no pictures (.jpg, .jpeg, .png, .webp), in itself or in folders that are classes, no "
                       "table with a column of them, and no shards (.tar)",
                       g->d->name);
    return th_gather_finish(g, true);
}

/* ---- which kind */

/* pairs.tsv, or the only table with a column of pictures; "" if there is none. */
static th_status find_table(th_gather *g, const th_names *names, char found[TH_PATH_MAX]) {
    char path[TH_PATH_MAX];
    const char *first = NULL, *second = NULL;
    *found = '\0';
    for (int64_t i = 0; i < names->count; i++) {
        const char *name = names->names[i];
        bool is = false;
        if (*name == '.' || (!th_path_ends(name, ".tsv") && !th_path_ends(name, ".csv"))) continue;
        TH_TRY(th_path_join(path, g->d->folder, name));
        TH_TRY(th_dataset_is_table(path, g->p, &is));
        if (!is) continue;
        if (!strcmp(name, "pairs.tsv")) return th_path_join(found, g->d->folder, name);
        if (!first)
            first = name;
        else if (!second)
            second = name;
    }
    if (second)
        return th_fail(TH_E_INPUT, "%s: holds several tables, '%s' and '%s'; name the one that is meant", g->d->name,
                       first, second);
    return first ? th_path_join(found, g->d->folder, first) : TH_OK;
}

static th_status find_shards(th_gather *g, const th_names *names) {
    for (int64_t i = 0; i < names->count; i++) {
        char path[TH_PATH_MAX];
        th_names *to = &g->d->shards;
        if (*names->names[i] == '.' || !th_path_ends(names->names[i], ".tar")) continue;
        TH_TRY(th_path_join(path, g->d->folder, names->names[i]));
        char *copy = th_strdup(path);
        if (!copy || !th_grow(to->names, to->count, to->capacity)) return th_free(copy), th_fail_memory();
        to->names[to->count++] = copy;
    }
    return TH_OK;
}

static th_status open_listed(th_gather *g, const th_names *names) {
    char table[TH_PATH_MAX];
    TH_TRY(find_table(g, names, table));
    if (*table) {
        th_free(g->d->folder);
        g->d->folder = NULL;
        return th_dataset_open_table(g, table);
    }
    g->d->source = &th_source_shards; /* whose close frees the names */
    TH_TRY(find_shards(g, names));
    if (g->d->shards.count) return th_dataset_index_shards(g);
    g->d->source = &th_source_folder;
    for (int64_t i = 0; i < names->count; i++)
        if (names->names[i][0] != '.' && th_dataset_is_picture(names->names[i])) return add_flat(g, names);
    return add_classes(g, names);
}

th_status th_dataset_open_folder(th_gather *g, const char *path) {
    g->d->folder = th_strdup(path);
    if (!g->d->folder) return th_fail_memory();
    th_names names;
    TH_TRY(th_list_dir(path, &names));
    th_status s = open_listed(g, &names);
    th_names_free(&names);
    return s;
}
