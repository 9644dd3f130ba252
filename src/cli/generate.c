/* theriac generate: pictures from prompts by a Stable Diffusion folder. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/machine.h"
#include "base/memory.h"
#include "base/number.h"
#include "cli/generate_parts.h"
#include "cli/plan_table.h"
#include "cli/text.h"
#include "personalize/custom_file.h"
#include "personalize/embedding_file.h"
#include "personalize/lora_file.h"
#include "train/fit_options.h"

#define MOST_PICTURES 10000000

static const th_option model_options[] = {
    TH_OPT_PATH("model", NULL, "Stable Diffusion folder, in diffusers' layout", .argument = "DIR", .required = true),
    TH_OPT_STRING("variant", NULL, "which of several sets of weights the folder holds, such as fp16"),
    TH_OPT_PATH("lora", NULL, "low-rank additions: " TH_LORA_FILE ", or its folder", .argument = "FILE"),
    TH_OPT_F32("lora-strength", 1, "what they are multiplied by"),
    TH_OPT_PATH("custom", NULL, "projections of custom diffusion: " TH_CUSTOM_FILE ", or its folder",
                .argument = "FILE"),
    TH_OPT_LIST("embedding", "a word that textual inversion learned: " TH_EMBEDDING_FILE "; may be given many times",
                .argument = "FILE"),
    TH_OPT_END,
};

static const th_option picture_options[] = {
    TH_OPT_LIST("prompt", "what to draw; may be given many times", .letter = 'p', .argument = "TEXT"),
    TH_OPT_PATH("prompts", NULL, "a prompt on each line, or a .tsv or .csv, whose other columns are carried along",
                .argument = "FILE"),
    TH_OPT_STRING("prompt-column", "prompt", "the column of --prompts that holds them"),
    TH_OPT_STRING("negative-prompt", "", "what not to draw", .argument = "TEXT"),
    TH_OPT_INT("count", 1, "pictures of each prompt", TH_WITHIN(1, MOST_PICTURES)),
    TH_OPT_INT("seed", 0, "of the first picture; each further one has the next", TH_AT_LEAST(0)),
    TH_OPT_STRING("size", NULL, "pixels: SIDE or WIDTHxHEIGHT; not given: the model's own", .argument = "SIZE"),
    TH_OPT_INT("steps", 50, "denoising steps", TH_WITHIN(1, TH_SCHEDULER_MOST_STEPS)),
    TH_OPT_F32("guidance", 7.5, "how much the prompt is insisted on; 1: not at all, in half the time"),
    TH_OPT_F32("guidance-rescale", 0, "share by which guided noise is brought back to its own spread", TH_WITHIN(0, 1)),
    TH_OPT_CHOICE("scheduler", "model|ddim|ddpm|pndm|euler|dpm-solver++", "model",
                  "how noise becomes a picture; model: as its folder says"),
    TH_OPT_PATH("latents", NULL, "first noise instead of the seeds': tensor 'latents' [pictures, c, h, w]",
                .argument = "FILE"),
    TH_OPT_END,
};

static const th_option run_options[] = {
    TH_OPT_PATH("out", NULL, "folder for the pictures", .argument = "DIR", .letter = 'o'),
    TH_OPT_PATH("output", NULL, "the same as --out", .argument = "DIR", .flag_only = true, .hidden = true),
    TH_OPT_BOOL("resume", false, "go on where a run with the same settings stopped", .flag_only = true),
    TH_OPT_BOOL("plan", false, "say what it will take, and stop", .flag_only = true),
    TH_OPT_BOOL("keep-latents", false, "write each picture's latents beside it, before decoding"),
    TH_OPT_INT("batch", 1, "pictures drawn at a time", TH_WITHIN(1, 4096)),
    TH_OPT_BOOL("vae-tiles", false, "decode in tiles, in little memory"),
    TH_OPT_CHOICE("dtype", "auto|f32|bf16", "auto",
                  "what products are computed in; auto: bf16 where the processor has it"),
    TH_OPT_INT("threads", 0, "threads that compute; 0: all", TH_WITHIN(0, 1024)),
    TH_OPT_SIZE("memory", 0, "budget for all of it, such as 4G; 0: none", TH_AT_LEAST(0)),
    TH_OPT_END,
};

/* --- what to draw --- */

/* "512" or "512x768" */
static th_status read_size(const char *text, th_generate_params *p) {
    char width[32];
    size_t n = strcspn(text, "x");
    const char *height = text[n] ? text + n + 1 : text;
    snprintf(width, sizeof width, "%.*s", (int)(n < sizeof width ? n : sizeof width - 1), text);
    if (th_parse_i64(width, &p->width) && th_parse_i64(height, &p->height) && p->width > 0 && p->height > 0)
        return TH_OK;
    return th_fail(TH_E_USAGE, "--size '%.40s': pixels are wanted, such as 512 or 512x768", text);
}

static th_status read_params(th_drawing *d) {
    th_options *o = d->cli->options;
    th_generate_params *p = &d->p;
    const char *size = th_get_str(o, "size"), *scheduler = th_get_str(o, "scheduler");
    th_generate_params_init(p);
    p->steps = th_get_i64(o, "steps");
    p->batch = th_get_i64(o, "batch");
    p->guidance = th_get_f32(o, "guidance");
    p->rescale = th_get_f32(o, "guidance-rescale");
    p->scheduler = strcmp(scheduler, "model") ? th_scheduler_find(scheduler) : NULL;
    p->threads = (int)th_get_i64(o, "threads");
    p->compute = th_fit_read_dtype(o);
    p->memory = (size_t)th_get_i64(o, "memory");
    p->tiles = th_get_bool(o, "vae-tiles");
    p->release_text = true;
    return size ? read_size(size, p) : TH_OK;
}

static th_status read_prompts(th_drawing *d) {
    th_options *o = d->cli->options;
    th_list own = th_get_list(o, "prompt");
    const char *path = th_get_str(o, "prompts");
    if (path) TH_TRY(th_prompts_read(path, th_get_str(o, "prompt-column"), &d->file));
    d->each = th_get_i64(o, "count");
    d->prompt_count = own.count + d->file.count;
    if (!d->prompt_count) return th_fail(TH_E_USAGE, "nothing to draw: give --prompt or --prompts");
    if (d->prompt_count > MOST_PICTURES / d->each)
        return th_fail(TH_E_USAGE, "%lld pictures of each of %lld prompts are more than %d", (long long)d->each,
                       (long long)d->prompt_count, MOST_PICTURES);
    d->count = d->prompt_count * d->each;
    d->prompts = th_alloc((size_t)d->prompt_count, sizeof *d->prompts);
    d->requests = th_alloc((size_t)d->count, sizeof *d->requests);
    if (!d->prompts || !d->requests) return th_fail_memory();
    for (int64_t i = 0; i < own.count; i++) d->prompts[i] = own.items[i];
    for (int64_t i = 0; i < d->file.count; i++) d->prompts[own.count + i] = d->file.items[i];
    if (d->p.batch > d->count) d->p.batch = d->count;
    return TH_OK;
}

/* Given noise says the size, where --size does not. */
static th_status read_latents(th_drawing *d) {
    const char *path = th_get_str(d->cli->options, "latents");
    th_sd_config c;
    if (!path) return TH_OK;
    TH_TRY(th_latents_read(path, &d->latents));
    TH_TRY(th_sd_read_config(th_get_str(d->cli->options, "model"), &c));
    const th_latents *l = &d->latents;
    int64_t factor = th_vae_factor(&c.vae);
    if (!d->p.width && l->w <= TH_GENERATE_MOST_SIDE && l->h <= TH_GENERATE_MOST_SIDE)
        d->p.width = l->w * factor, d->p.height = l->h * factor;
    if (l->n == d->count && l->c == c.unet.in_channels && l->w * factor == d->p.width && l->h * factor == d->p.height)
        return TH_OK;
    return th_fail(TH_E_INPUT, "%s: tensor 'latents' is [%lld, %lld, %lld, %lld], [%lld, %lld, %lld, %lld] is wanted",
                   path, (long long)l->n, (long long)l->c, (long long)l->h, (long long)l->w, (long long)d->count,
                   (long long)c.unet.in_channels, (long long)(d->p.height / factor), (long long)(d->p.width / factor));
}

static void make_requests(th_drawing *d) {
    uint64_t seed = (uint64_t)th_get_i64(d->cli->options, "seed");
    const th_latents *l = &d->latents;
    for (int64_t i = 0; i < d->count; i++)
        d->requests[i] = (th_generate_request){
            .prompt = th_drawing_prompt(d, i),
            .negative = th_get_str(d->cli->options, "negative-prompt"),
            .seed = seed + (uint64_t)i,
            .noise = l->values ? l->values + i * l->h * l->w * l->c : NULL,
        };
}

/* --- the model --- */

static th_status load(th_drawing *d) {
    th_options *o = d->cli->options;
    bool plan = th_get_bool(o, "plan");
    th_list words = th_get_list(o, "embedding");
    const char *lora = th_get_str(o, "lora"), *custom = th_get_str(o, "custom");
    th_sd_load_params p = {.parts = plan ? 0 : TH_SD_ALL, .variant = th_get_str(o, "variant")};
    if (!plan) TH_TRY(th_sd_hasher_start(th_get_str(o, "model"), p.variant, &d->hasher));
    TH_TRY(th_sd_load(th_get_str(o, "model"), &p, &d->sd));
    if (lora) TH_TRY(th_lora_load(lora, th_get_f32(o, "lora-strength"), d->sd.unet));
    if (custom && !plan) TH_TRY(th_custom_load(custom, d->sd.unet)); /* new values, no new parameters */
    if (words.count) TH_TRY(th_embeddings_load(words.items, words.count, &d->sd));
    th_params_set_trainable(th_unet_params(d->sd.unet), false);
    th_params_set_trainable(th_unet_lora(d->sd.unet), false);
    th_params_set_trainable(th_vae_params(d->sd.vae), false);
    th_params_set_trainable(th_text_encoder_params(d->sd.text), false);
    th_params_set_trainable(th_text_encoder_added(d->sd.text), false);
    return TH_OK;
}

static void note_one_cut(const th_drawing *d, const char *text, const char *words) {
    int n = (int)th_text_fit(text, 40);
    th_cli_note(d->cli, "the prompt '%.*s%s' is longer than the model's %lld tokens; cut off: '%.*s%s'", n, text,
                text[n] ? "…" : "", (long long)th_text_encoder_get_config(d->sd.text)->context,
                (int)th_text_fit(words, 200), words, words[th_text_fit(words, 200)] ? "…" : "");
}

/* People are told what the model will not see, of the first few. */
static th_status note_cut(th_drawing *d) {
    int64_t cut = 0;
    th_str words;
    th_status s = TH_OK;
    th_str_init(&words, (size_t)1 << 24);
    for (int64_t i = -1; i < d->prompt_count && s == TH_OK && !d->cli->quiet; i++) {
        const char *text = i < 0 ? th_get_str(d->cli->options, "negative-prompt") : d->prompts[i];
        th_str_clear(&words);
        s = th_prompt_cut(&d->sd, text, &words);
        if (s != TH_OK || !words.length) continue;
        if (cut++ < 3) note_one_cut(d, text, th_str_text(&words));
    }
    th_str_free(&words);
    if (cut > 3) th_cli_note(d->cli, "%lld prompts were cut in all", (long long)cut);
    return s;
}

/* --- the plan --- */

/* At most: of the negative text and all prompts. */
static int64_t texts(const th_drawing *d) { return d->prompt_count + (d->p.guidance > 1 ? 1 : 0); }

static void print_plan(th_drawing *d, const th_generate_cost *c, const double seconds[TH_PLAN_MACHINES]) {
    char text[200], number[2][TH_NUMBER_TEXT];
    th_table *t = th_cli_plan_table();
    snprintf(text, sizeof text, "%lld of %lldx%lld pixels, %lld at a time", (long long)d->count, (long long)d->p.width,
             (long long)d->p.height, (long long)d->p.batch);
    th_table_pair(t, "Pictures", text);
    th_cli_plan_memory(t, (double)c->bytes);
    th_human_count(number[0], c->step.flops);
    th_human_count(number[1], c->decode.flops * (double)c->decode_runs / (double)d->count);
    snprintf(text, sizeof text, "%lld steps of %sFLOP; decoding a picture %sFLOP", (long long)c->step_runs, number[0],
             number[1]);
    th_table_pair(t, "Work", text);
    th_cli_plan_time(t, seconds);
    th_cli_table(d->cli, t);
    th_table_free(t);
}

static th_status plan(th_drawing *d) {
    th_generate_cost c;
    th_ceilings ceilings;
    double seconds[TH_PLAN_MACHINES];
    int cores[TH_PLAN_MACHINES];
    TH_TRY(th_generator_get_cost(d->generator, d->count, texts(d), &c));
    TH_TRY(th_ceilings_measure(d->p.threads, d->p.compute, &ceilings));
    th_cli_plan_cores(&ceilings, cores);
    for (int i = 0; i < TH_PLAN_MACHINES; i++) seconds[i] = th_generate_seconds(&c, &ceilings, cores[i]);
    if (!d->cli->json) return print_plan(d, &c, seconds), TH_OK;
    th_cli_json(d->cli,
                json_pack("{s:I, s:I, s:I, s:f, s:f, s:f, s:f}", "pictures", (json_int_t)d->count, "steps",
                          (json_int_t)c.step_runs, "bytes", (json_int_t)c.bytes, "flops_a_step", c.step.flops,
                          "seconds_here", seconds[0], "seconds_16_cores", seconds[1], "seconds_64_cores", seconds[2]));
    return TH_OK;
}

/* --- the run --- */

static th_status report(th_drawing *d) {
    int64_t drawn = d->finished - d->first;
    double each = drawn ? d->seconds / (double)drawn : 0;
    char text[2][TH_NUMBER_TEXT];
    if (d->cli->json) {
        th_cli_json(d->cli, json_pack("{s:I, s:I, s:f, s:f, s:s, s:s}", "pictures", (json_int_t)d->finished, "drawn",
                                      (json_int_t)drawn, "seconds", d->seconds, "seconds_a_picture", each,
                                      "model_sha256", d->hash, "out", d->out));
        return TH_OK;
    }
    th_human_seconds(text[0], d->seconds);
    th_human_seconds(text[1], each);
    if (drawn)
        th_str_printf(&d->cli->out, "%lld %s in %s, %s each\n", (long long)drawn, drawn == 1 ? "picture" : "pictures",
                      text[0], text[1]);
    else
        th_str_puts(&d->cli->out, "all pictures were there\n");
    th_str_printf(&d->cli->out, "%s/contact.png\n", d->out);
    return TH_OK;
}

static th_status draw(th_drawing *d) {
    TH_TRY(th_drawing_describe(d));
    TH_TRY(th_drawing_open(d));
    double began = th_seconds();
    th_status s = TH_OK;
    if (d->first < d->count)
        s = th_generator_run(d->generator, d->requests + d->first, d->count - d->first, &d->cli->watch, th_drawing_keep,
                             d);
    d->seconds = th_seconds() - began;
    if (s != TH_OK && s != TH_E_INTERRUPTED) return s;
    TH_TRY(th_drawing_close(d));
    if (s == TH_OK) return report(d);
    return th_fail(s, "stopped; %lld of %lld pictures are there; --resume goes on with %s", (long long)d->finished,
                   (long long)d->count, d->out);
}

static th_status run_all(th_drawing *d) {
    bool only_plan = th_get_bool(d->cli->options, "plan");
    const char *out = th_get_str(d->cli->options, "output");
    d->out = only_plan ? NULL : out ? out : th_get_str(d->cli->options, "out");
    if (!only_plan && !d->out) return th_fail(TH_E_USAGE, "--out is wanted: the folder for the pictures");
    d->arena = th_arena_new();
    if (!d->arena) return th_fail_memory();
    TH_TRY(read_params(d));
    TH_TRY(read_prompts(d));
    TH_TRY(read_latents(d));
    make_requests(d);
    TH_TRY(load(d));
    TH_TRY(note_cut(d));
    TH_TRY(th_generator_new(&d->sd, &d->p, &d->generator));
    th_generator_size(d->generator, &d->p.width, &d->p.height);
    return only_plan ? plan(d) : draw(d);
}

static th_status run(th_cli *cli) {
    th_drawing d = {.cli = cli};
    th_status s = run_all(&d);
    th_sd_hasher_free(d.hasher);
    th_generator_free(d.generator);
    th_sd_free(&d.sd);
    th_prompts_free(&d.file);
    th_latents_free(&d.latents);
    th_free(d.prompts);
    th_free(d.requests);
    json_decref(d.inputs);
    th_arena_free(d.arena);
    return s;
}

const th_verb th_verb_generate = {
    .name = "generate",
    .summary = "draw pictures from prompts by a Stable Diffusion model",
    .about =
        "The folder gets 00000.png and so on, each with its prompt, seed and settings as texts in the PNG; images.tsv, "
        "with file, prompt, seed and the columns of --prompts; contact.png, a row for each prompt; and run.json, which "
        "--config takes to draw the same again.\n"
        "The same seed and settings give the same bytes. Picture i has the seed --seed + i.",
    .examples = "theriac generate --model sd15 -p 'a red boot on the beach' --count 4 --scheduler dpm-solver++ "
                "--steps 25 -o out/boots\n"
                "theriac generate --model sd15 --lora out/lora --prompts prompts.tsv --batch 4 -o out/subject\n"
                "theriac generate --model sd21 -p 'a house' --memory 8G --vae-tiles --plan",
    .groups = {{"Model", model_options}, {"Pictures", picture_options}, {"Run", run_options}},
    .computes = true,
    .run = run,
};
