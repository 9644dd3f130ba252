/* theriac schema: the JSON Schema of a command's config file. Hidden: for editors, and for the documentation. */
#include "cli/frame.h"
#include "format/options_json.h"

static th_status run(th_cli *cli) {
    const th_verb *v = th_verb_find(cli->args.items[0]);
    if (!v) return th_verb_unknown(cli->args.items[0]);
    int64_t method = cli->args.count > 1 ? th_verb_method(v, cli->args.items[1], NULL) : -1;
    if (cli->args.count > 1 && method < 0) return th_method_unknown(v, cli->args.items[1]);
    th_options *o;
    json_t *schema = NULL;
    TH_TRY(th_verb_options(v, method, &o));
    th_status s = th_options_schema(o, &schema);
    th_options_free(o);
    if (s == TH_OK) th_cli_json(cli, schema);
    return s;
}

const th_verb th_verb_schema = {
    .name = "schema",
    .summary = "print the JSON Schema of the config file of a command",
    .usage = "COMMAND [METHOD]",
    .least_args = 1,
    .most_args = 2,
    .hidden = true,
    .run = run,
};
