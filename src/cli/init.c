/* theriac init: a model folder with random values. */
#include <string.h>

#include "base/file.h"
#include "base/number.h"
#include "cli/frame.h"
#include "diffusion/sd_init.h"

static const th_option options[] = {
    TH_OPT_STRING("like", NULL, "sd15, sd21, sd21-base, or the folder of a model whose sizes to take", .required = true,
                  .argument = "NAME|DIR"),
    TH_OPT_PATH("tokenizer", NULL, "folder of the tokenizer; without it, the other model's, or one of made-up words",
                .argument = "DIR"),
    TH_OPT_CHOICE("dtype", "f32|f16|bf16", "f16", "type of the weights in the files"),
    TH_OPT_INT("seed", 0, "random seed", TH_AT_LEAST(0)),
    TH_OPT_END,
};

static th_status take_tokenizer(th_cli *cli, const th_sd_config *c, bool folder, th_tokenizer **t) {
    char path[TH_PATH_MAX];
    const char *from = th_get_str(cli->options, "tokenizer"), *like = th_get_str(cli->options, "like");
    if (from) return th_tokenizer_load(from, t);
    if (folder) {
        TH_TRY(th_path_join(path, like, "tokenizer"));
        return th_tokenizer_load(path, t);
    }
    /* Stable Diffusion 1 pads with the token that ends a text, 2 with the exclamation mark. */
    const char *pad = !strcmp(like, "sd15") ? "<|endoftext|>" : "!";
    return th_sd_make_tokenizer(c->text.vocab_size, c->text.context, pad, &cli->watch, t);
}

static int64_t count(const th_sd_config *c) {
    th_sd sd;
    if (th_sd_new(c, &sd) != TH_OK) return 0;
    int64_t n = th_params_elements(th_unet_params(sd.unet)) + th_params_elements(th_vae_params(sd.vae)) +
                th_params_elements(th_text_encoder_params(sd.text));
    th_sd_free(&sd);
    return n;
}

static void report(th_cli *cli, const char *dir, const th_sd_config *c) {
    char text[TH_NUMBER_TEXT];
    int64_t n = count(c);
    if (cli->json) {
        th_cli_json(cli, json_pack("{s:s, s:I}", "model", dir, "parameters", (json_int_t)n));
        return;
    }
    th_human_count(text, (double)n);
    th_str_printf(&cli->out, "%s: %s parameters, at random\n", dir, text);
}

static th_status run(th_cli *cli) {
    const char *dir = cli->args.items[0], *like = th_get_str(cli->options, "like");
    bool folder = th_path_is_dir(like);
    th_tokenizer *t = NULL;
    th_sd_config c;
    if (th_sd_is_folder(dir)) return th_fail(TH_E_USAGE, "%s: holds a model already", dir);
    TH_TRY(folder ? th_sd_read_config(like, &c) : th_sd_config_named(like, &c));
    TH_TRY(take_tokenizer(cli, &c, folder, &t));
    th_status s = th_sd_write_random(&c, t, dir, th_get_str(cli->options, "dtype"),
                                     (uint64_t)th_get_i64(cli->options, "seed"), &cli->watch);
    th_tokenizer_free(t);
    if (s == TH_OK) report(cli, dir, &c);
    return s;
}

const th_verb th_verb_init = {
    .name = "init",
    .summary = "write a Stable Diffusion folder with random values",
    .usage = "DIR",
    .about = "Sizes are those of a model that is named, or of a folder. What comes out draws noise, and is for trying "
             "what a machine can do, or for training.\n"
             "Memory for the largest tensor is enough.",
    .least_args = 1,
    .most_args = 1,
    .examples = "theriac init sd15-random --like sd15",
    .groups = {{"Model", options}},
    .run = run,
};
