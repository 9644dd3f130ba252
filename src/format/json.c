/* JSON: parsing, typed fields, and one writer. */
#include "format/json.h"

#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/number.h"

#define TEXT_MAX ((size_t)1 << 30)

const char *th_shown(char out[TH_SHOWN_MAX], const char *text, size_t length) {
    static const char more[] = "…";
    size_t n = length < TH_SHOWN_MAX ? length : TH_SHOWN_MAX - sizeof more;
    while (n < length && n > 0 && ((unsigned char)text[n] & 0xC0) == 0x80) n--; /* never half a character */
    for (size_t i = 0; i < n; i++) out[i] = (unsigned char)text[i] < 32 || text[i] == 127 ? '?' : text[i];
    memcpy(out + n, n < length ? more : "", n < length ? sizeof more : 1);
    return out;
}

static json_t *parse(const char *text, size_t length, json_error_t *error) {
    json_t *root = json_loadb(text, length, JSON_REJECT_DUPLICATES, error);
    /* A tokenizer without a limit writes its length as 1e30, in digits. */
    if (!root && json_error_code(error) == json_error_numeric_overflow)
        root = json_loadb(text, length, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, error);
    return root;
}

th_status th_json_parse(const char *name, const char *text, size_t length, th_json *out) {
    *out = (th_json){0};
    json_error_t error = {0};
    json_t *root = parse(text, length, &error);
    if (!root && json_error_code(&error) == json_error_out_of_memory) return th_fail_memory();
    if (!root) {
        char shown[TH_SHOWN_MAX];
        th_shown(shown, error.text, strlen(error.text));
        return th_fail(TH_E_INPUT, "%s: line %d column %d: %s", name, error.line, error.column, shown);
    }
    if (!json_is_object(root)) {
        json_decref(root);
        return th_fail(TH_E_INPUT, "%s: should hold a JSON object, holds another value", name);
    }
    out->file = th_strdup(name);
    if (!out->file) return json_decref(root), th_fail_memory();
    out->root = root;
    return TH_OK;
}

th_status th_json_load(const char *path, size_t max, th_json *out) {
    *out = (th_json){0};
    th_bytes text;
    TH_TRY(th_file_read(path, max, &text));
    th_status s = th_json_parse(path, text.data, text.length, out);
    th_free(text.data);
    return s;
}

void th_json_free(th_json *j) {
    json_decref(j->root);
    th_free(j->file);
    *j = (th_json){0};
}

th_status th_json_fail(const th_json *j, const char *field, const char *what) {
    char shown[TH_SHOWN_MAX];
    return th_fail(TH_E_INPUT, "%s: field '%s' should be %s", j->file, th_shown(shown, field, strlen(field)), what);
}

/* Walks down the dots. *out is NULL where the field is absent or null; what stands above it must be an object. */
static th_status find(const th_json *j, const char *field, json_t **out) {
    json_t *at = j->root;
    *out = NULL;
    for (const char *key = field;;) {
        size_t n = strcspn(key, ".");
        at = json_object_getn(at, key, n);
        if (!at || json_is_null(at)) return TH_OK;
        if (!key[n]) break;
        if (!json_is_object(at)) {
            char shown[TH_SHOWN_MAX];
            return th_json_fail(j, th_shown(shown, field, (size_t)(key + n - field)), "an object");
        }
        key += n + 1;
    }
    *out = at;
    return TH_OK;
}

bool th_json_has(const th_json *j, const char *field) {
    json_t *v;
    return find(j, field, &v) == TH_OK && v;
}

th_status th_json_require(const th_json *j, const char *field) {
    json_t *v;
    TH_TRY(find(j, field, &v));
    return v ? TH_OK : th_fail(TH_E_INPUT, "%s: field '%s' is missing", j->file, field);
}

/* 77.0 is the number 77; beyond 2^53 a double no longer tells its neighbours apart. */
static bool whole(const json_t *v, int64_t *out) {
    if (json_is_integer(v)) return *out = json_integer_value(v), true;
    double d = json_is_real(v) ? json_real_value(v) : 0.5;
    if (!(fabs(d) <= 0x1p53) || d != floor(d)) return false;
    return *out = (int64_t)d, true;
}

th_status th_json_int(const th_json *j, const char *field, int64_t min, int64_t max, int64_t *value) {
    json_t *v;
    TH_TRY(find(j, field, &v));
    if (!v) return TH_OK;
    int64_t n;
    if (!whole(v, &n)) return th_json_fail(j, field, "an integer");
    if (n < min || n > max)
        return th_fail(TH_E_INPUT, "%s: field '%s' is %lld, it should lie in [%lld, %lld]", j->file, field,
                       (long long)n, (long long)min, (long long)max);
    *value = n;
    return TH_OK;
}

th_status th_json_double(const th_json *j, const char *field, double *value) {
    json_t *v;
    TH_TRY(find(j, field, &v));
    if (!v) return TH_OK;
    if (!json_is_number(v)) return th_json_fail(j, field, "a number");
    *value = json_number_value(v);
    return TH_OK;
}

th_status th_json_bool(const th_json *j, const char *field, bool *value) {
    json_t *v;
    TH_TRY(find(j, field, &v));
    if (!v) return TH_OK;
    if (!json_is_boolean(v)) return th_json_fail(j, field, "true or false");
    *value = json_is_true(v);
    return TH_OK;
}

th_status th_json_string(const th_json *j, const char *field, const char **value) {
    json_t *v;
    TH_TRY(find(j, field, &v));
    if (!v) return TH_OK;
    if (!json_is_string(v)) return th_json_fail(j, field, "a string");
    *value = json_string_value(v);
    return TH_OK;
}

th_status th_json_array(const th_json *j, const char *field, json_t **value) {
    json_t *v;
    TH_TRY(find(j, field, &v));
    if (!v) return TH_OK;
    if (!json_is_array(v)) return th_json_fail(j, field, "an array");
    *value = v;
    return TH_OK;
}

th_status th_json_object(const th_json *j, const char *field, json_t **value) {
    json_t *v;
    TH_TRY(find(j, field, &v));
    if (!v) return TH_OK;
    if (!json_is_object(v)) return th_json_fail(j, field, "an object");
    *value = v;
    return TH_OK;
}

static void put_string(th_str *out, const char *text, size_t length) {
    th_str_puts(out, "\"");
    size_t from = 0;
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c >= 32 && c != '"' && c != '\\' && c != 127) continue;
        th_str_add(out, text + from, i - from);
        from = i + 1;
        const char *at = strchr("\"\"\\\\\nn\tt\rr", c);
        if (c && at)
            th_str_printf(out, "\\%c", c < 32 ? at[1] : (char)c);
        else
            th_str_printf(out, "\\u%04x", c);
    }
    th_str_add(out, text + from, length - from);
    th_str_puts(out, "\"");
}

static void put_real(th_str *out, double v) {
    char text[TH_NUMBER_TEXT];
    th_print_f64(text, v);
    th_str_puts(out, text);
    if (!strpbrk(text, ".e")) th_str_puts(out, ".0"); /* a real stays one */
}

static void put_break(th_str *out, int indent, int depth) {
    if (indent) th_str_printf(out, "\n%*s", indent * depth, "");
}

/* jansson reads at most 2,048 levels, and what we build has few: the recursion is bounded. */
static void put(th_str *out, const json_t *v, int indent, int depth) {
    const char *key;
    json_t *item;
    size_t i, n;
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        if (!json_object_size(v)) {
            th_str_puts(out, "{}");
            return;
        }
        i = 0;
        json_object_keylen_foreach((json_t *)v, key, n, item) {
            th_str_puts(out, i++ ? "," : "{");
            put_break(out, indent, depth + 1);
            put_string(out, key, n);
            th_str_puts(out, indent ? ": " : ":");
            put(out, item, indent, depth + 1);
        }
        put_break(out, indent, depth);
        th_str_puts(out, "}");
        return;
    case JSON_ARRAY:
        if (!json_array_size(v)) {
            th_str_puts(out, "[]");
            return;
        }
        json_array_foreach(v, i, item) {
            th_str_puts(out, i ? "," : "[");
            put_break(out, indent, depth + 1);
            put(out, item, indent, depth + 1);
        }
        put_break(out, indent, depth);
        th_str_puts(out, "]");
        return;
    case JSON_STRING: put_string(out, json_string_value(v), json_string_length(v)); return;
    case JSON_INTEGER: th_str_printf(out, "%lld", (long long)json_integer_value(v)); return;
    case JSON_REAL: put_real(out, json_real_value(v)); return;
    case JSON_TRUE: th_str_puts(out, "true"); return;
    case JSON_FALSE: th_str_puts(out, "false"); return;
    case JSON_NULL: th_str_puts(out, "null"); return;
    }
}

th_status th_json_text(const json_t *value, int indent, th_str *out) {
    if (!value) return th_fail_memory(); /* jansson's constructors give NULL for nothing else here */
    put(out, value, indent, 0);
    return th_str_status(out);
}

th_status th_json_write(const char *path, const json_t *value) {
    th_str text;
    th_str_init(&text, TEXT_MAX);
    th_status s = th_json_text(value, 2, &text);
    th_str_puts(&text, "\n");
    if (s == TH_OK) s = th_str_status(&text);
    if (s == TH_OK) s = th_file_write(path, text.data, text.length);
    th_str_free(&text);
    return s;
}

json_t *th_json_with(json_t *list, json_t *item) {
    if (!json_array_append_new(list, item)) return list;
    json_decref(list);
    return NULL;
}

json_t *th_json_numbers(const int64_t *values, int count) {
    json_t *list = json_array();
    for (int i = 0; i < count; i++) list = th_json_with(list, json_integer(values[i]));
    return list;
}
