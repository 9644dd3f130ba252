/* theriac list: the commands and their methods, from the tables. */
#include "cli/frame.h"

static void add_row(th_table *t, const char *verb, const char *method, const char *summary) {
    th_table_cell(t, "%s", verb);
    th_table_cell(t, "%s", method);
    th_table_cell(t, "%s", summary);
}

static th_status print_table(th_cli *cli, const th_verb *only) {
    th_table *t = th_table_new(NULL);
    th_table_column(t, TH_LEFT, "Command");
    th_table_column(t, TH_LEFT, "Method");
    th_table_column(t, TH_LEFT, "What it does");
    for (const th_verb *const *v = th_verbs; *v; v++) {
        if ((*v)->hidden || (only && *v != only)) continue;
        add_row(t, (*v)->name, "", (*v)->summary);
        th_cli_method m;
        for (int64_t i = 0; (*v)->method && (*v)->method(i, &m); i++) add_row(t, "", m.name, m.summary);
    }
    th_cli_table(cli, t);
    th_table_free(t);
    return TH_OK;
}

static json_t *named(const char *name, const char *summary) {
    return json_pack("{ssss}", "name", name, "summary", summary);
}

static th_status print_json(th_cli *cli, const th_verb *only) {
    json_t *all = json_array();
    for (const th_verb *const *v = th_verbs; *v; v++) {
        if ((*v)->hidden || (only && *v != only)) continue;
        json_t *verb = named((*v)->name, (*v)->summary), *methods = json_array();
        th_cli_method m;
        for (int64_t i = 0; (*v)->method && (*v)->method(i, &m); i++)
            json_array_append_new(methods, named(m.name, m.summary));
        json_object_set_new(verb, "methods", methods);
        json_array_append_new(all, verb);
    }
    th_cli_json(cli, json_pack("{so}", "commands", all));
    return TH_OK;
}

static th_status run(th_cli *cli) {
    const th_verb *only = NULL;
    if (cli->args.count) {
        only = th_verb_find(cli->args.items[0]);
        if (!only) return th_verb_unknown(cli->args.items[0]);
    }
    return cli->json ? print_json(cli, only) : print_table(cli, only);
}

const th_verb th_verb_list = {
    .name = "list",
    .summary = "list the commands and their methods",
    .usage = "[COMMAND]",
    .most_args = 1,
    .examples = "theriac list\ntheriac list --json",
    .run = run,
};
