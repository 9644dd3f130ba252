/* Option tables and resolved sets. */
#include "base/option.h"

#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/guess.h"
#include "base/memory.h"
#include "base/number.h"

struct th_options {
    const char *whose;
    th_arena *arena; /* texts, lists, whose */
    th_setting *rows;
    int64_t count, capacity;
    const char **args;
    int64_t arg_count, arg_capacity;
    th_status status; /* of the first getter that was called amiss */
    char *bug;        /* and what it was */
};

const char *th_option_argument(const th_option *o) {
    static const char *const by_type[] = {"X", "N", "SIZE", "", "TEXT", "PATH", "", "TEXT"};
    if (o->argument) return o->argument;
    return o->type == TH_OPTION_CHOICE ? o->choices : by_type[o->type];
}

bool th_option_is_path(const th_option *o) {
    const char *a = th_option_argument(o);
    return o->type == TH_OPTION_PATH || (o->type == TH_OPTION_LIST && (!strcmp(a, "FILE") || !strcmp(a, "DIR")));
}

bool th_option_choice(const th_option *o, int64_t i, char out[TH_CHOICE_MAX]) {
    const char *p = o->choices;
    for (; i > 0 && p; i--) p = strchr(p, '|') ? strchr(p, '|') + 1 : NULL;
    if (!p) return false;
    size_t n = strcspn(p, "|");
    if (n >= TH_CHOICE_MAX) n = TH_CHOICE_MAX - 1;
    memcpy(out, p, n);
    out[n] = '\0';
    return true;
}

static int64_t choice_index(const th_option *o, const char *text) {
    char choice[TH_CHOICE_MAX];
    for (int64_t i = 0; th_option_choice(o, i, choice); i++)
        if (!strcmp(choice, text)) return i;
    return -1;
}

void th_option_print(const th_option *o, const th_value *v, th_str *out) {
    char text[TH_NUMBER_TEXT];
    switch (o->type) {
    case TH_OPTION_NUMBER:
        th_print_f64(text, v->number);
        if (!isnan(v->number)) th_str_puts(out, text);
        break;
    case TH_OPTION_INT: th_str_printf(out, "%lld", (long long)v->integer); break;
    case TH_OPTION_SIZE:
        th_print_size(text, v->integer);
        th_str_puts(out, text);
        break;
    case TH_OPTION_BOOL: th_str_puts(out, v->flag ? "true" : "false"); break;
    case TH_OPTION_LIST:
        for (int64_t i = 0; i < v->list.count; i++) th_str_printf(out, "%s%s", i ? " " : "", v->list.items[i]);
        break;
    default:
        if (v->text) th_str_puts(out, v->text);
    }
}

/* "--tau: …" for a flag, "config.json: 'tau': …" for a file. */
static th_status refuse(th_origin from, const char *file, const char *name, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static th_status refuse(th_origin from, const char *file, const char *name, const char *format, ...) {
    char what[TH_MESSAGE_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    if (from == TH_FROM_CONFIG) return th_fail(TH_E_INPUT, "%s: '%s': %s", file ? file : "config", name, what);
    return th_fail(TH_E_USAGE, "--%s: %s", name, what);
}

th_status th_options_unknown(const th_options *o, th_origin from, const char *file, const char *name) {
    th_guess guess = {.word = name};
    for (int64_t i = 0; i < o->count; i++)
        if (!o->rows[i].option->hidden) th_guess_offer(&guess, o->rows[i].option->name);
    char hint[160] = "";
    bool config = from == TH_FROM_CONFIG;
    if (guess.best) snprintf(hint, sizeof hint, config ? " (did you mean '%s'?)" : " (did you mean --%s?)", guess.best);
    if (config)
        return th_fail(TH_E_INPUT, "%s: '%.80s' is no option of '%s'%s", file ? file : "config", name, o->whose, hint);
    return th_fail(TH_E_USAGE, "--%.80s is no option of '%s'%s", name, o->whose, hint);
}

th_options *th_options_new(const char *whose) {
    th_options *o = th_alloc(1, sizeof *o);
    if (!o) return NULL;
    o->arena = th_arena_new();
    o->whose = o->arena ? th_arena_strdup(o->arena, whose) : NULL;
    if (o->whose) return o;
    th_options_free(o);
    return NULL;
}

void th_options_free(th_options *o) {
    if (!o) return;
    th_arena_free(o->arena);
    th_free(o->rows);
    th_free(o->args);
    th_free(o->bug);
    th_free(o);
}

int64_t th_options_count(const th_options *o) { return o->count; }
const th_setting *th_options_at(const th_options *o, int64_t i) { return &o->rows[i]; }
const char *th_options_whose(const th_options *o) { return o->whose; }
th_list th_options_args(const th_options *o) { return (th_list){o->args, o->arg_count}; }

static th_setting *find(const th_options *o, const char *name, size_t n) {
    for (int64_t i = 0; i < o->count; i++) {
        const char *have = o->rows[i].option->name;
        if (!strncmp(have, name, n) && !have[n]) return &o->rows[i];
    }
    return NULL;
}

const th_setting *th_options_find(const th_options *o, const char *name) { return find(o, name, strlen(name)); }

static th_setting *find_letter(const th_options *o, char letter) {
    for (int64_t i = 0; i < o->count; i++)
        if (o->rows[i].option->letter == letter) return &o->rows[i];
    return NULL;
}

/* v within the row's range? Numbers also within float's, which is what they become. */
static th_status check_range(const th_option *o, th_origin from, const char *file, double v) {
    char value[TH_NUMBER_TEXT], limit[TH_NUMBER_TEXT];
    th_print_f64(value, v);
    bool low = o->has_least && (o->above ? !(v > o->least) : !(v >= o->least));
    bool high = o->has_most && !(v <= o->most);
    bool float_overflows = o->type == TH_OPTION_NUMBER && !(fabs(v) <= FLT_MAX);
    if (!low && !high && !float_overflows) return TH_OK;
    th_print_f64(limit, low ? o->least : high ? o->most : FLT_MAX);
    if (o->type == TH_OPTION_SIZE) {
        th_print_size(value, (int64_t)v);
        th_print_size(limit, (int64_t)(low ? o->least : o->most));
    }
    if (low && o->above) return refuse(from, file, o->name, "%s is not above %s", value, limit);
    return refuse(from, file, o->name, low ? "%s is below the least, %s" : "%s is above the most, %s", value, limit);
}

static th_status check_choice(const th_option *o, th_origin from, const char *file, const char *text) {
    if (choice_index(o, text) >= 0) return TH_OK;
    th_guess guess = {.word = text};
    char all[16][TH_CHOICE_MAX], list[200] = "";
    size_t used = 0;
    for (int64_t i = 0; i < 16 && th_option_choice(o, i, all[i]); i++) {
        th_guess_offer(&guess, all[i]);
        int n = snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", all[i]);
        used = used + (size_t)n < sizeof list ? used + (size_t)n : sizeof list - 1;
    }
    if (guess.best)
        return refuse(from, file, o->name, "'%.60s' is none of %s (did you mean '%s'?)", text, list, guess.best);
    return refuse(from, file, o->name, "'%.60s' is none of %s", text, list);
}

static bool is_unset(const th_option *o, const th_value *v) {
    switch (o->type) {
    case TH_OPTION_NUMBER: return isnan(v->number);
    case TH_OPTION_STRING:
    case TH_OPTION_PATH:
    case TH_OPTION_CHOICE: return !v->text;
    default: return false;
    }
}

static th_status check_value(const th_option *o, th_origin from, const char *file, const th_value *v) {
    switch (o->type) {
    case TH_OPTION_NUMBER: return check_range(o, from, file, v->number);
    case TH_OPTION_SIZE:
        if (v->integer < 0) return refuse(from, file, o->name, "%lld is below the least, 0", (long long)v->integer);
        return check_range(o, from, file, (double)v->integer);
    case TH_OPTION_INT: return check_range(o, from, file, (double)v->integer);
    case TH_OPTION_CHOICE: return check_choice(o, from, file, v->text);
    case TH_OPTION_PATH: return *v->text ? TH_OK : refuse(from, file, o->name, "'' is not a path");
    default: return TH_OK;
    }
}

static bool name_is_sound(const char *name) {
    size_t n = strlen(name);
    return n && n < 40 && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == n && name[0] != '-';
}

/* What a reader of the table would call a mistake in it. */
static th_status check_row(const th_options *o, const th_option *row) {
    if (!name_is_sound(row->name)) return th_fail(TH_E_BUG, "'%s' cannot be the name of an option", row->name);
    if (find(o, row->name, strlen(row->name)))
        return th_fail(TH_E_BUG, "option '%s' stands twice in '%s'", row->name, o->whose);
    if (row->letter && find_letter(o, row->letter))
        return th_fail(TH_E_BUG, "letter -%c stands twice in '%s'", row->letter, o->whose);
    if (!row->help || (row->type == TH_OPTION_CHOICE && !row->choices))
        return th_fail(TH_E_BUG, "option '%s' lacks its help or its choices", row->name);
    if (row->required || is_unset(row, &row->initial)) return TH_OK;
    th_status s = check_value(row, TH_FROM_DEFAULT, NULL, &row->initial);
    return s == TH_OK ? s : th_fail(TH_E_BUG, "the default of %s", th_error_message());
}

th_status th_options_add(th_options *o, const char *group, const th_option *table) {
    for (const th_option *row = table; row && row->name; row++) {
        TH_TRY(check_row(o, row));
        if (!th_grow(o->rows, o->count, o->capacity)) return th_fail_memory();
        o->rows[o->count++] = (th_setting){.option = row, .group = group, .value = row->initial};
    }
    return TH_OK;
}

static th_status keep_text(th_options *o, const char **text) {
    *text = th_arena_strdup(o->arena, *text);
    return *text ? TH_OK : th_fail_memory();
}

static th_status keep_list(th_options *o, th_list *list) {
    const char **items = th_arena_alloc(o->arena, (size_t)list->count + 1, sizeof *items);
    if (!items) return th_fail_memory();
    for (int64_t i = 0; i < list->count; i++) {
        items[i] = list->items[i];
        TH_TRY(keep_text(o, &items[i]));
    }
    list->items = items;
    return TH_OK;
}

static th_status set_row(th_options *o, th_setting *row, th_origin from, const char *file, const th_value *v) {
    TH_TRY(check_value(row->option, from, file, v));
    if (from < row->from) return TH_OK;
    th_value kept = *v;
    switch (row->option->type) {
    case TH_OPTION_STRING:
    case TH_OPTION_PATH:
    case TH_OPTION_CHOICE: TH_TRY(keep_text(o, &kept.text)); break;
    case TH_OPTION_LIST: TH_TRY(keep_list(o, &kept.list)); break;
    default: break;
    }
    row->value = kept;
    row->from = from;
    return TH_OK;
}

static bool parse_bool(const char *text, bool *out) {
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on", "0", "1"};
    for (int i = 0; i < 8; i++)
        if (!strcmp(text, words[i])) return *out = i % 2, true;
    return false;
}

static th_status parse_value(const th_option *o, th_origin from, const char *file, const char *text, th_value *v) {
    const char *wanted = NULL;
    switch (o->type) {
    case TH_OPTION_NUMBER:
        if (!th_parse_f64(text, &v->number)) wanted = "is not a number";
        break;
    case TH_OPTION_INT:
        if (!th_parse_i64(text, &v->integer)) wanted = "is not a whole number";
        break;
    case TH_OPTION_SIZE:
        if (!th_parse_size(text, &v->integer)) wanted = "is not a size such as 512M or 2G";
        break;
    case TH_OPTION_BOOL:
        if (!parse_bool(text, &v->flag)) wanted = "is neither true nor false";
        break;
    default: v->text = text;
    }
    if (wanted) return refuse(from, file, o->name, "'%.80s' %s", text, wanted);
    return TH_OK;
}

/* One more item: after those of the same origin, in place of those of an earlier one. */
static th_status append(th_options *o, th_setting *row, th_origin from, const char *file, const char *text) {
    int64_t n = row->from == from ? row->value.list.count : 0;
    const char **items = th_alloc((size_t)n + 1, sizeof *items);
    if (!items) return th_fail_memory();
    if (n) memcpy(items, row->value.list.items, (size_t)n * sizeof *items);
    items[n] = text;
    th_status s = set_row(o, row, from, file, &(th_value){.list = {items, n + 1}});
    th_free(items);
    return s;
}

static th_status set_row_text(th_options *o, th_setting *row, th_origin from, const char *file, const char *text) {
    if (row->option->type == TH_OPTION_LIST) return append(o, row, from, file, text);
    th_value v = {0};
    TH_TRY(parse_value(row->option, from, file, text, &v));
    return set_row(o, row, from, file, &v);
}

/* The row that a config key or a caller names. */
static th_status named_row(const th_options *o, th_origin from, const char *file, const char *name, th_setting **row) {
    *row = find(o, name, strlen(name));
    if (!*row) return th_options_unknown(o, from, file, name);
    if (from == TH_FROM_CONFIG && (*row)->option->flag_only)
        return refuse(from, file, name, "can be given on the command line only");
    return TH_OK;
}

th_status th_options_set_text(th_options *o, th_origin from, const char *file, const char *name, const char *text) {
    th_setting *row;
    TH_TRY(named_row(o, from, file, name, &row));
    return set_row_text(o, row, from, file, text);
}

th_status th_options_set(th_options *o, th_origin from, const char *file, const char *name, const th_value *v) {
    th_setting *row;
    TH_TRY(named_row(o, from, file, name, &row));
    return set_row(o, row, from, file, v);
}

typedef struct {
    const char *const *argv;
    int64_t argc, at;
} words;

/* A word that may be a value though it was not attached by "=": not what looks like another option. */
static bool may_be_value(const char *word) { return word[0] != '-' || !word[1] || strchr("0123456789.", word[1]); }

static th_status take_value(words *w, const th_option *row, const char *attached, const char **value) {
    *value = attached;
    if (attached) return TH_OK;
    if (w->at < w->argc && may_be_value(w->argv[w->at])) {
        *value = w->argv[w->at++];
        return TH_OK;
    }
    if (w->at < w->argc && strncmp(w->argv[w->at], "--", 2))
        return th_fail(TH_E_USAGE, "--%s: a value is missing (a value that begins with '-' is given as --%s=%.60s)",
                       row->name, row->name, w->argv[w->at]);
    return th_fail(TH_E_USAGE, "--%s: a value is missing (--%s %s)", row->name, row->name, th_option_argument(row));
}

static th_status set_from_words(th_options *o, words *w, th_setting *row, const char *attached) {
    const char *value = attached;
    if (row->option->type == TH_OPTION_BOOL)
        value = attached ? attached : "true";
    else
        TH_TRY(take_value(w, row->option, attached, &value));
    return set_row_text(o, row, TH_FROM_FLAG, NULL, value);
}

static th_status parse_long(th_options *o, words *w, const char *word) {
    size_t n = strcspn(word, "=");
    const char *attached = word[n] ? word + n + 1 : NULL;
    th_setting *row = find(o, word, n);
    if (row) return set_from_words(o, w, row, attached);
    bool no = n > 3 && !strncmp(word, "no-", 3);
    row = no ? find(o, word + 3, n - 3) : NULL;
    if (row && row->option->type == TH_OPTION_BOOL && !attached)
        return set_row_text(o, row, TH_FROM_FLAG, NULL, "false");
    if (row && row->option->type == TH_OPTION_BOOL)
        return th_fail(TH_E_USAGE, "--no-%s: takes no value", row->option->name);
    char name[81];
    snprintf(name, sizeof name, "%.*s", (int)(n < 80 ? n : 80), word);
    return th_options_unknown(o, TH_FROM_FLAG, NULL, name);
}

/* "-q", "-o value", "-ovalue", "-qv": letters of bools may stand together. */
static th_status parse_short(th_options *o, words *w, const char *letters) {
    for (; *letters; letters++) {
        th_setting *row = find_letter(o, *letters);
        if (!row) return th_fail(TH_E_USAGE, "-%.20s is no option of '%s'", letters, o->whose);
        if (row->option->type != TH_OPTION_BOOL) return set_from_words(o, w, row, letters[1] ? letters + 1 : NULL);
        TH_TRY(set_row_text(o, row, TH_FROM_FLAG, NULL, "true"));
    }
    return TH_OK;
}

static th_status keep_arg(th_options *o, const char *word) {
    if (!th_grow(o->args, o->arg_count, o->arg_capacity)) return th_fail_memory();
    o->args[o->arg_count++] = word;
    return TH_OK;
}

th_status th_options_parse(th_options *o, int64_t argc, const char *const *argv) {
    words w = {.argv = argv, .argc = argc};
    bool ended = false;
    while (w.at < w.argc) {
        const char *word = w.argv[w.at++];
        if (ended || word[0] != '-' || !word[1])
            TH_TRY(keep_arg(o, word));
        else if (!strcmp(word, "--"))
            ended = true;
        else if (word[1] == '-')
            TH_TRY(parse_long(o, &w, word + 2));
        else
            TH_TRY(parse_short(o, &w, word + 1));
    }
    return TH_OK;
}

th_status th_options_check(const th_options *o) {
    if (o->status != TH_OK) return th_fail(o->status, "%s", o->bug ? o->bug : "an option was asked for amiss");
    for (int64_t i = 0; i < o->count; i++) {
        const th_option *row = o->rows[i].option;
        if (row->required && o->rows[i].from == TH_FROM_DEFAULT)
            return th_fail(TH_E_USAGE, "'%s' needs --%s %s", o->whose, row->name, th_option_argument(row));
    }
    return TH_OK;
}

static const th_setting none;

static const th_setting *get(th_options *o, const char *name, unsigned types) {
    const th_setting *row = th_options_find(o, name);
    if (row && types >> row->option->type & 1) return row;
    if (o->status == TH_OK) {
        o->status = TH_E_BUG;
        const char *what = row ? "is of another type than asked for" : "is asked for, and no table has it";
        char bug[160];
        snprintf(bug, sizeof bug, "option '%.60s' of '%.40s' %s", name, o->whose, what);
        o->bug = th_strdup(bug);
    }
    return &none;
}

double th_get_f64(th_options *o, const char *name) { return get(o, name, 1u << TH_OPTION_NUMBER)->value.number; }
float th_get_f32(th_options *o, const char *name) { return (float)th_get_f64(o, name); }
int64_t th_get_i64(th_options *o, const char *name) {
    return get(o, name, 1u << TH_OPTION_INT | 1u << TH_OPTION_SIZE)->value.integer;
}
bool th_get_bool(th_options *o, const char *name) { return get(o, name, 1u << TH_OPTION_BOOL)->value.flag; }
const char *th_get_str(th_options *o, const char *name) {
    return get(o, name, 1u << TH_OPTION_STRING | 1u << TH_OPTION_PATH | 1u << TH_OPTION_CHOICE)->value.text;
}
int64_t th_get_choice(th_options *o, const char *name) {
    const th_setting *row = get(o, name, 1u << TH_OPTION_CHOICE);
    int64_t i = row->value.text ? choice_index(row->option, row->value.text) : 0;
    return i < 0 ? 0 : i;
}
th_list th_get_list(th_options *o, const char *name) { return get(o, name, 1u << TH_OPTION_LIST)->value.list; }
bool th_is_set(th_options *o, const char *name) { return get(o, name, ~0u)->from != TH_FROM_DEFAULT; }
