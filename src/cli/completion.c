/* theriac completion: scripts for bash, zsh and fish, from the tables. Hidden: the installation makes them. */
#include <string.h>

#include "cli/frame.h"

/* Text inside single quotes, with what ends or breaks the quoting taken out; zsh also reads brackets and colons. */
static void quoted(th_str *out, const char *text, bool zsh) {
    for (const char *p = text; *p; p++) {
        if (*p == '\'')
            th_str_puts(out, "’");
        else if (zsh && strchr("[]:\\", *p))
            th_str_printf(out, "\\%c", *p);
        else
            th_str_add(out, p, 1);
    }
}

static void choices(th_str *out, const th_option *o, const char *between) {
    char choice[TH_CHOICE_MAX];
    for (int64_t i = 0; th_option_choice(o, i, choice); i++) th_str_printf(out, "%s%s", i ? between : "", choice);
}

static bool has_value(const th_option *o) { return o->type != TH_OPTION_BOOL; }
static bool is_negatable(const th_option *o) { return o->type == TH_OPTION_BOOL && o->initial.flag; }

/* bash: two functions of data, "VERB METHOD" → its flags and "VERB METHOD --flag" → its values, and one that asks them.
 */

static th_status bash_flags(void *user, const th_verb *v, const char *method, const th_options *o) {
    th_str *out = user;
    th_str_printf(out, "    '%s%s%s') echo '", v->name, method ? " " : "", method ? method : "");
    for (int64_t i = 0; i < th_options_count(o); i++) {
        const th_option *row = th_options_at(o, i)->option;
        if (row->hidden) continue;
        th_str_printf(out, "--%s ", row->name);
        if (is_negatable(row)) th_str_printf(out, "--no-%s ", row->name);
    }
    th_str_puts(out, "' ;;\n");
    return TH_OK;
}

static th_status bash_values(void *user, const th_verb *v, const char *method, const th_options *o) {
    th_str *out = user;
    for (int64_t i = 0; i < th_options_count(o); i++) {
        const th_option *row = th_options_at(o, i)->option;
        if (row->hidden || !has_value(row)) continue;
        th_str_printf(out, "    '%s%s%s --%s') echo '", v->name, method ? " " : "", method ? method : "", row->name);
        if (row->type == TH_OPTION_CHOICE)
            choices(out, row, " ");
        else
            th_str_puts(out, th_option_is_path(row) ? "<path>" : "<any>");
        th_str_puts(out, "' ;;\n");
    }
    return TH_OK;
}

static void verb_words(th_str *out, const char *between) {
    for (const th_verb *const *v = th_verbs; *v; v++)
        if (!(*v)->hidden) th_str_printf(out, "%s%s", (*v)->name, between);
}

static void bash_methods(th_str *out) {
    th_cli_method m;
    for (const th_verb *const *v = th_verbs; *v; v++) {
        if ((*v)->hidden || !(*v)->method) continue;
        th_str_printf(out, "    '%s') echo '", (*v)->name);
        for (int64_t i = 0; (*v)->method(i, &m); i++) th_str_printf(out, "%s ", m.name);
        th_str_puts(out, "' ;;\n");
    }
}

static th_status bash(th_str *out) {
    th_str_puts(out, "# bash completion for theriac, made by 'theriac completion bash'.\n"
                     "_theriac_methods() {\n    case \"$1\" in\n");
    bash_methods(out);
    th_str_puts(out, "    *) ;;\n    esac\n}\n_theriac_flags() {\n    case \"$1\" in\n");
    TH_TRY(th_verb_forms(bash_flags, out));
    th_str_puts(out, "    *) echo --help ;;\n    esac\n}\n_theriac_values() {\n    case \"$1\" in\n");
    TH_TRY(th_verb_forms(bash_values, out));
    th_str_puts(out, "    *) ;;\n    esac\n}\n"
                     "_theriac() {\n"
                     "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}\n"
                     "    local verb=${COMP_WORDS[1]-} form methods values first=2\n"
                     "    COMPREPLY=()\n"
                     "    if ((COMP_CWORD == 1)); then\n"
                     "        mapfile -t COMPREPLY < <(compgen -W '");
    verb_words(out, " ");
    th_str_puts(out, "help --help --version' -- \"$cur\")\n"
                     "        return\n"
                     "    fi\n"
                     "    methods=$(_theriac_methods \"$verb\")\n"
                     "    form=$verb\n"
                     "    if [[ -n $methods ]]; then\n"
                     "        first=3\n"
                     "        form=\"$verb ${COMP_WORDS[2]-}\"\n"
                     "        if ((COMP_CWORD == 2)); then\n"
                     "            mapfile -t COMPREPLY < <(compgen -W \"$methods --help\" -- \"$cur\")\n"
                     "            return\n"
                     "        fi\n"
                     "    fi\n"
                     "    if [[ $cur == = ]]; then\n"
                     "        cur='' # --flag=, which the shell splits at the sign\n"
                     "    elif [[ $prev == = ]]; then\n"
                     "        prev=${COMP_WORDS[COMP_CWORD - 2]}\n"
                     "    fi\n"
                     "    if ((COMP_CWORD > first)); then\n"
                     "        values=$(_theriac_values \"$form $prev\")\n"
                     "    fi\n"
                     "    if [[ $values == '<any>' ]]; then\n"
                     "        return\n"
                     "    elif [[ -n $values && $values != '<path>' ]]; then\n"
                     "        mapfile -t COMPREPLY < <(compgen -W \"$values\" -- \"$cur\")\n"
                     "    elif [[ -z $values && $cur == -* ]]; then\n"
                     "        mapfile -t COMPREPLY < <(compgen -W \"$(_theriac_flags \"$form\")\" -- \"$cur\")\n"
                     "    else\n"
                     "        compopt -o filenames\n"
                     "        mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
                     "    fi\n"
                     "}\n"
                     "complete -F _theriac theriac\n");
    return th_str_status(out);
}

static void zsh_option(th_str *out, const th_option *o) {
    const char *many = o->type == TH_OPTION_LIST ? "*" : "";
    if (o->letter)
        th_str_printf(out, " \\\n            '(-%c --%s)'{-%c,--%s%s}'[", o->letter, o->name, o->letter, o->name,
                      has_value(o) ? "=" : "");
    else
        th_str_printf(out, " \\\n            '%s--%s%s[", many, o->name, has_value(o) ? "=" : "");
    quoted(out, o->help, true);
    th_str_puts(out, "]");
    if (o->type == TH_OPTION_CHOICE) {
        th_str_puts(out, ":value:(");
        choices(out, o, " ");
        th_str_puts(out, ")");
    } else if (has_value(o)) {
        th_str_puts(out, th_option_is_path(o) ? ":path:_files" : ":value: ");
    }
    th_str_puts(out, "'");
    if (is_negatable(o)) th_str_printf(out, " \\\n            '--no-%s[do not]'", o->name);
}

static th_status zsh_form(void *user, const th_verb *v, const char *method, const th_options *o) {
    th_str *out = user;
    th_str_printf(out, "    '%s%s%s')\n        _arguments -S", v->name, method ? " " : "", method ? method : "");
    for (int64_t i = 0; i < th_options_count(o); i++) {
        const th_option *row = th_options_at(o, i)->option;
        if (!row->hidden) zsh_option(out, row);
    }
    th_str_puts(out, " \\\n            '*:file:_files' ;;\n");
    return TH_OK;
}

static void zsh_described(th_str *out, const char *name, const char *summary) {
    th_str_printf(out, "        '%s:", name);
    quoted(out, summary, true);
    th_str_puts(out, "'\n");
}

static th_status zsh(th_str *out) {
    th_cli_method m;
    th_str_puts(out,
                "#compdef theriac\n# zsh completion for theriac, made by 'theriac completion zsh'.\n"
                "_theriac() {\n    local form\n    local -a names\n    if ((CURRENT == 2)); then\n        names=(\n");
    for (const th_verb *const *v = th_verbs; *v; v++)
        if (!(*v)->hidden) zsh_described(out, (*v)->name, (*v)->summary);
    th_str_puts(
        out,
        "        )\n        _describe command names\n        return\n    fi\n    form=$words[2]\n    case $form in\n");
    for (const th_verb *const *v = th_verbs; *v; v++) {
        if ((*v)->hidden || !(*v)->method) continue;
        th_str_printf(out, "    %s)\n        names=(\n", (*v)->name);
        for (int64_t i = 0; (*v)->method(i, &m); i++) zsh_described(out, m.name, m.summary);
        th_str_puts(out, "        )\n        if ((CURRENT == 3)); then\n            _describe method names\n"
                         "            return\n        fi\n        form=\"$form $words[3]\"\n        shift words\n"
                         "        ((CURRENT--)) ;;\n");
    }
    th_str_puts(out, "    esac\n    shift words\n    ((CURRENT--))\n    case $form in\n");
    TH_TRY(th_verb_forms(zsh_form, out));
    th_str_puts(out, "    esac\n}\n_theriac \"$@\"\n");
    return th_str_status(out);
}

static th_status fish_form(void *user, const th_verb *v, const char *method, const th_options *o) {
    th_str *out = user;
    for (int64_t i = 0; i < th_options_count(o); i++) {
        const th_option *row = th_options_at(o, i)->option;
        if (row->hidden) continue;
        th_str_printf(out, "complete -c theriac -n '__fish_seen_subcommand_from %s%s%s' -l %s", v->name,
                      method ? "; and __fish_seen_subcommand_from " : "", method ? method : "", row->name);
        if (row->letter) th_str_printf(out, " -s %c", row->letter);
        if (has_value(row)) th_str_puts(out, th_option_is_path(row) ? " -rF" : " -x");
        if (row->type == TH_OPTION_CHOICE) {
            th_str_puts(out, " -a '");
            choices(out, row, " ");
            th_str_puts(out, "'");
        }
        th_str_puts(out, " -d '");
        quoted(out, row->help, false);
        th_str_puts(out, "'\n");
    }
    return TH_OK;
}

static void fish_word(th_str *out, const char *when, const char *word, const char *summary) {
    th_str_printf(out, "complete -c theriac -f -n '%s' -a %s -d '", when, word);
    quoted(out, summary, false);
    th_str_puts(out, "'\n");
}

static th_status fish(th_str *out) {
    th_str_puts(out, "# fish completion for theriac, made by 'theriac completion fish'.\n");
    for (const th_verb *const *v = th_verbs; *v; v++) {
        th_cli_method m;
        char when[96];
        if ((*v)->hidden) continue;
        fish_word(out, "__fish_use_subcommand", (*v)->name, (*v)->summary);
        snprintf(when, sizeof when, "__fish_seen_subcommand_from %s", (*v)->name);
        for (int64_t i = 0; (*v)->method && (*v)->method(i, &m); i++) fish_word(out, when, m.name, m.summary);
    }
    TH_TRY(th_verb_forms(fish_form, out));
    return th_str_status(out);
}

static bool shell(int64_t i, th_cli_method *out) {
    static const char *const names[] = {"bash", "zsh", "fish"};
    if (i >= 3) return false;
    *out = (th_cli_method){.name = names[i], .summary = "print the script for this shell"};
    return true;
}

static th_status run(th_cli *cli) {
    static th_status (*const makers[])(th_str *) = {bash, zsh, fish};
    return makers[cli->method](&cli->out);
}

const th_verb th_verb_completion = {
    .name = "completion",
    .summary = "print the completion script for bash, zsh or fish",
    .method = shell,
    .hidden = true,
    .examples = "theriac completion bash > ~/.local/share/bash-completion/completions/theriac",
    .run = run,
};
