/* Commands as they are typed. */
#include "cli/typed.h"

#include <string.h>

/* Quoted where a shell would take it for more than a word. */
static void add_word(th_str *out, const char *word) {
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./=,:+";
    if (*word && !word[strspn(word, plain)]) {
        th_str_puts(out, word);
        return;
    }
    th_str_puts(out, "'");
    for (const char *c = word; *c; c++) {
        if (*c == '\'')
            th_str_puts(out, "'\\''");
        else
            th_str_add(out, c, 1);
    }
    th_str_puts(out, "'");
}

static void add_option(th_str *out, const char *name, const char *value) {
    th_str_printf(out, " --%s ", name);
    add_word(out, value);
}

static void add_setting(th_str *out, const th_setting *s) {
    const th_option *o = s->option;
    if (o->type == TH_OPTION_BOOL) {
        th_str_printf(out, " --%s%s", s->value.flag ? "" : "no-", o->name);
        return;
    }
    if (o->type == TH_OPTION_LIST) {
        for (int64_t k = 0; k < s->value.list.count; k++) add_option(out, o->name, s->value.list.items[k]);
        return;
    }
    th_str value;
    th_str_init(&value, 1 << 16);
    th_option_print(o, &s->value, &value);
    add_option(out, o->name, th_str_text(&value));
    th_str_free(&value);
}

static bool is_among(const char *name, const char *const *names) {
    for (; names && *names; names++)
        if (!strcmp(name, *names)) return true;
    return false;
}

th_status th_cli_typed(const th_options *o, const char *command, const char *const *without, th_str *out) {
    th_str_printf(out, "theriac %s", command);
    for (int64_t i = 0; i < th_options_count(o); i++) {
        const th_setting *s = th_options_at(o, i);
        if (s->from == TH_FROM_DEFAULT || s->option->flag_only || is_among(s->option->name, without)) continue;
        add_setting(out, s);
    }
    return th_str_status(out);
}
