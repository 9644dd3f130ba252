/* Option sets and JSON. */
#include "format/options_json.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "format/json.h"

static const char *type_of(const json_t *v) {
    static const char *const names[] = {"an object", "an array", "a string", "a whole number",
                                        "a number",  "true",     "false",    "null"};
    return names[json_typeof(v)];
}

static const char *wanted_by(const th_option *o) {
    static const char *const wants[] = {
        "a number",      "a whole number",     "a whole number or a text such as \"2G\"",
        "true or false", "a string",           "a string",
        "a string",      "an array of strings"};
    return wants[o->type];
}

static th_status wrong_type(const char *file, const th_option *o, const json_t *v) {
    return th_fail(TH_E_INPUT, "%s: '%s': is %s, %s is wanted", file, o->name, type_of(v), wanted_by(o));
}

/* Strings in the set end at their first NUL; a longer one would be cut unseen. */
static bool is_text(const json_t *v) {
    return json_is_string(v) && strlen(json_string_value(v)) == json_string_length(v);
}

static bool is_unset_by_default(const th_option *o) {
    if (o->type == TH_OPTION_NUMBER) return isnan(o->initial.number);
    return (o->type == TH_OPTION_STRING || o->type == TH_OPTION_PATH || o->type == TH_OPTION_CHOICE) &&
           !o->initial.text;
}

static th_status load_list(th_options *o, const char *file, const th_option *row, const json_t *v) {
    int64_t n = (int64_t)json_array_size(v);
    const char **items = th_alloc((size_t)n, sizeof *items);
    if (!items) return th_fail_memory();
    th_status status = TH_OK;
    for (int64_t i = 0; i < n; i++) {
        const json_t *item = json_array_get(v, (size_t)i);
        if (!is_text(item)) {
            TH_GO(th_fail(TH_E_INPUT, "%s: '%s': item %lld is %s, a string is wanted", file, row->name, (long long)i,
                          type_of(item)));
        }
        items[i] = json_string_value(item);
    }
    status = th_options_set(o, TH_FROM_CONFIG, file, row->name, &(th_value){.list = {items, n}});
done:
    th_free(items);
    return status;
}

static th_status load_value(th_options *o, const char *file, const th_option *row, const json_t *v) {
    th_value value = {0};
    bool fits = false;
    switch (row->type) {
    case TH_OPTION_NUMBER: fits = json_is_number(v), value.number = json_number_value(v); break;
    case TH_OPTION_SIZE:
        if (is_text(v)) return th_options_set_text(o, TH_FROM_CONFIG, file, row->name, json_string_value(v));
        fits = json_is_integer(v), value.integer = json_integer_value(v);
        break;
    case TH_OPTION_INT: fits = json_is_integer(v), value.integer = json_integer_value(v); break;
    case TH_OPTION_BOOL: fits = json_is_boolean(v), value.flag = json_is_true(v); break;
    case TH_OPTION_LIST: return json_is_array(v) ? load_list(o, file, row, v) : wrong_type(file, row, v);
    default: fits = is_text(v), value.text = json_string_value(v);
    }
    if (!fits) return wrong_type(file, row, v);
    return th_options_set(o, TH_FROM_CONFIG, file, row->name, &value);
}

th_status th_options_load_json(th_options *o, const char *file, json_t *object) {
    if (!json_is_object(object)) return th_fail(TH_E_INPUT, "%s: is %s, an object is wanted", file, type_of(object));
    json_t *inner = json_object_get(object, "options");
    if (json_is_object(inner) && !th_options_find(o, "options")) object = inner;
    const char *key;
    json_t *v;
    json_object_foreach(object, key, v) {
        if (!strcmp(key, "$schema")) continue;
        const th_setting *row = th_options_find(o, key);
        char shown[TH_SHOWN_MAX];
        if (!row) return th_options_unknown(o, TH_FROM_CONFIG, file, th_shown(shown, key, strlen(key)));
        if (json_is_null(v) && is_unset_by_default(row->option)) continue;
        TH_TRY(load_value(o, file, row->option, v));
    }
    return TH_OK;
}

th_status th_options_load(th_options *o, const char *path) {
    th_json j = {0};
    TH_TRY(th_json_load(path, TH_CONFIG_MAX, &j));
    th_status s = th_options_load_json(o, path, j.root);
    th_json_free(&j);
    return s;
}

static json_t *list_json(const th_list *list) {
    json_t *a = json_array();
    for (int64_t i = 0; a && i < list->count; i++) {
        if (json_array_append_new(a, json_string(list->items[i])) == 0) continue;
        json_decref(a);
        return NULL;
    }
    return a;
}

static json_t *value_json(const th_option *o, const th_value *v) {
    switch (o->type) {
    case TH_OPTION_NUMBER: return isnan(v->number) ? json_null() : json_real(v->number);
    case TH_OPTION_INT:
    case TH_OPTION_SIZE: return json_integer(v->integer);
    case TH_OPTION_BOOL: return json_boolean(v->flag);
    case TH_OPTION_LIST: return list_json(&v->list);
    default: return v->text ? json_string(v->text) : json_null();
    }
}

/* Takes v over. jansson gives NULL for a text that is not UTF-8, as a path may be, and for want of memory. */
static th_status put(json_t *object, const char *key, json_t *v) {
    if (v && json_object_set_new(object, key, v) == 0) return TH_OK;
    return th_fail(TH_E_INPUT, "option '%s': the value cannot be written as JSON (is it UTF-8?)", key);
}

th_status th_options_json(const th_options *o, json_t **out) {
    json_t *object = json_object();
    th_status s = object ? TH_OK : th_fail_memory();
    for (int64_t i = 0; s == TH_OK && i < th_options_count(o); i++) {
        const th_setting *row = th_options_at(o, i);
        if (!row->option->flag_only) s = put(object, row->option->name, value_json(row->option, &row->value));
    }
    if (s != TH_OK) return json_decref(object), s;
    *out = object;
    return TH_OK;
}

static json_t *choices_json(const th_option *o) {
    json_t *all = json_array();
    char choice[TH_CHOICE_MAX];
    for (int64_t i = 0; all && th_option_choice(o, i, choice); i++) json_array_append_new(all, json_string(choice));
    if (all && !o->initial.text && !o->required) json_array_append_new(all, json_null());
    return all;
}

static json_t *schema_type(const th_option *o) {
    static const char *const names[] = {"number", "integer", "integer", "boolean",
                                        "string", "string",  "string",  "array"};
    if (o->type == TH_OPTION_SIZE) return json_pack("[ss]", "integer", "string");
    if (is_unset_by_default(o) && !o->required) return json_pack("[ss]", names[o->type], "null");
    return json_string(names[o->type]);
}

static json_t *schema_row(const th_option *o) {
    json_t *row = json_object();
    if (!row) return NULL;
    json_object_set_new(row, "description", json_string(o->help));
    json_object_set_new(row, "type", schema_type(o));
    if (o->type == TH_OPTION_CHOICE) json_object_set_new(row, "enum", choices_json(o));
    if (o->type == TH_OPTION_LIST) json_object_set_new(row, "items", json_pack("{ss}", "type", "string"));
    if (o->has_least) json_object_set_new(row, o->above ? "exclusiveMinimum" : "minimum", json_real(o->least));
    if (o->has_most) json_object_set_new(row, "maximum", json_real(o->most));
    if (!o->required) json_object_set_new(row, "default", value_json(o, &o->initial));
    return row;
}

th_status th_options_schema(const th_options *o, json_t **out) {
    json_t *rows = json_object();
    th_status s = rows ? TH_OK : th_fail_memory();
    for (int64_t i = 0; s == TH_OK && i < th_options_count(o); i++) {
        const th_option *row = th_options_at(o, i)->option;
        if (!row->flag_only && !row->hidden) s = put(rows, row->name, schema_row(row));
    }
    if (s != TH_OK) return json_decref(rows), s;
    *out = json_pack("{sssssssosb}", "$schema", "https://json-schema.org/draft/2020-12/schema", "title",
                     th_options_whose(o), "type", "object", "properties", rows, "additionalProperties", 0);
    return *out ? TH_OK : th_fail_memory();
}
