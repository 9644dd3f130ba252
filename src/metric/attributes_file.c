/* Files of attributes. */
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "format/json.h"
#include "metric/attributes.h"

#define FILE_MAX ((size_t)16 << 20)
#define VALUES_MAX 10000
#define TEMPLATES_MAX 1000

/* A field's path for messages, where names may be long. */
static th_status fail(const th_json *j, const char *name, const char *field, const char *what) {
    char path[300];
    snprintf(path, sizeof path, "%.200s.%s", name, field);
    return th_json_fail(j, path, what);
}

static const char **new_list(const th_attributes *a, size_t n, th_texts *out) {
    const char **items = th_arena_alloc(a->arena, n + 1, sizeof *items);
    *out = (th_texts){items, (int64_t)n};
    return items;
}

/* An array of at most `most` different texts; none is empty. */
static th_status read_list(const th_attributes *a, const th_json *j, const char *name, const char *field,
                           const json_t *list, size_t most, th_texts *out) {
    size_t n = json_array_size(list);
    if (!json_is_array(list) || n < 1 || n > most) return fail(j, name, field, "an array of texts");
    const char **items = new_list(a, n, out);
    for (size_t i = 0; i < n && items; i++) {
        const char *text = json_string_value(json_array_get(list, i));
        if (!text || !*text) return fail(j, name, field, "an array of texts");
        for (size_t k = 0; k < i; k++)
            if (!strcmp(items[k], text)) return fail(j, name, field, "without a text that stands twice");
        if (!(items[i] = th_arena_strdup(a->arena, text))) return th_fail_memory();
    }
    return items ? TH_OK : th_fail_memory();
}

/* {"value": "phrase", …} */
static th_status read_phrases(const th_attributes *a, const th_json *j, const char *name, json_t *object,
                              th_attribute *x) {
    size_t n = json_object_size(object), i = 0;
    const char *key;
    json_t *v;
    if (n < 1 || n > VALUES_MAX) return fail(j, name, "values", "an array or an object of texts");
    const char **values = new_list(a, n, &x->values), **phrases = new_list(a, n, &x->phrases);
    if (!values || !phrases) return th_fail_memory();
    json_object_foreach(object, key, v) {
        if (!*key || !json_string_length(v)) return fail(j, name, "values", "an array or an object of texts");
        values[i] = th_arena_strdup(a->arena, key);
        phrases[i] = th_arena_strdup(a->arena, json_string_value(v));
        if (!values[i] || !phrases[i]) return th_fail_memory();
        i++;
    }
    return TH_OK;
}

static th_status read_templates(const th_attributes *a, const th_json *j, const char *name, const json_t *v,
                                th_attribute *x) {
    TH_TRY(read_list(a, j, name, "templates", v, TEMPLATES_MAX, &x->templates));
    for (int64_t i = 0; i < x->templates.count; i++)
        if (!strstr(x->templates.items[i], "{}")) return fail(j, name, "templates", "texts with {} for the value");
    return TH_OK;
}

static th_status read_attribute(const th_attributes *a, const th_json *j, const char *name, json_t *object,
                                th_attribute *x) {
    const char *key;
    json_t *v;
    if (!*name) return th_fail(TH_E_INPUT, "%s: an attribute has no name", j->file);
    if (!json_is_object(object)) return th_json_fail(j, name, "an object");
    x->name = x->column = th_arena_strdup(a->arena, name);
    if (!x->name) return th_fail_memory();
    json_object_foreach(object, key, v) {
        if (!strcmp(key, "column")) {
            if (!json_string_length(v)) return fail(j, name, key, "the name of a column");
            if (!(x->column = th_arena_strdup(a->arena, json_string_value(v)))) return th_fail_memory();
        } else if (!strcmp(key, "templates")) {
            TH_TRY(read_templates(a, j, name, v, x));
        } else if (!strcmp(key, "values") && json_is_object(v)) {
            TH_TRY(read_phrases(a, j, name, v, x));
        } else if (!strcmp(key, "values")) {
            TH_TRY(read_list(a, j, name, "values", v, VALUES_MAX, &x->values));
            x->phrases = x->values;
        } else {
            char shown[TH_SHOWN_MAX];
            return fail(j, name, th_shown(shown, key, strlen(key)), "'column', 'values' or 'templates'");
        }
    }
    return TH_OK;
}

static th_status read_all(const th_json *j, th_attributes *a) {
    const char *key;
    json_t *v;
    size_t n = json_object_size(j->root);
    if (n < 1 || n > TH_ATTRIBUTES_MAX)
        return th_fail(TH_E_INPUT, "%s: holds %zu attributes, 1 to %d are wanted", j->file, n, TH_ATTRIBUTES_MAX);
    a->arena = th_arena_new();
    if (!a->arena) return th_fail_memory();
    a->items = th_arena_alloc(a->arena, n, sizeof *a->items);
    if (!a->items) return th_fail_memory();
    json_object_foreach(j->root, key, v) TH_TRY(read_attribute(a, j, key, v, &a->items[a->count++]));
    return TH_OK;
}

static th_status take(th_json *j, th_status s, th_attributes *out) {
    *out = (th_attributes){0};
    if (s == TH_OK) s = read_all(j, out);
    th_json_free(j);
    if (s != TH_OK) th_attributes_free(out);
    return s;
}

th_status th_attributes_parse(const char *name, const char *text, size_t length, th_attributes *out) {
    th_json j = {0};
    return take(&j, th_json_parse(name, text, length, &j), out);
}

th_status th_attributes_load(const char *path, th_attributes *out) {
    th_json j = {0};
    return take(&j, th_json_load(path, FILE_MAX, &j), out);
}

/* --- writing; NULL where a text is not UTF-8, or when out of memory --- */

static json_t *drop(json_t *j) { return json_decref(j), NULL; }

static json_t *list_json(th_texts t) {
    json_t *list = json_array();
    for (int64_t i = 0; i < t.count; i++)
        if (json_array_append_new(list, json_string(t.items[i]))) return drop(list);
    return list;
}

static json_t *values_json(const th_attribute *x) {
    if (x->phrases.items == x->values.items) return list_json(x->values);
    json_t *object = json_object();
    for (int64_t i = 0; i < x->values.count; i++)
        if (json_object_set_new(object, x->values.items[i], json_string(x->phrases.items[i]))) return drop(object);
    return object;
}

static json_t *attribute_json(const th_attribute *x) {
    json_t *object = json_pack("{s:s}", "column", x->column);
    if (x->values.count && json_object_set_new(object, "values", values_json(x))) return drop(object);
    if (x->templates.count && json_object_set_new(object, "templates", list_json(x->templates))) return drop(object);
    return object;
}

th_status th_attributes_write(const char *path, const th_attributes *a) {
    json_t *all = json_object();
    th_status s = all ? TH_OK : th_fail_memory();
    for (int64_t i = 0; i < a->count && s == TH_OK; i++)
        if (json_object_set_new(all, a->items[i].name, attribute_json(&a->items[i])))
            s = th_fail(TH_E_INPUT, "%s: attribute '%.80s' has a text that is not UTF-8", path, a->items[i].name);
    if (s == TH_OK) s = th_json_write(path, all);
    json_decref(all);
    return s;
}
