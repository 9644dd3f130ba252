/* Built-in texts, and those of files. */
#include "guard/prompts.h"

#include <string.h>

#include "diffusion/prompts.h"

static const th_guard_context contexts[] = {
    {"a photo of a {} on the beach", "a photo of the beach"},
    {"a photo of a {} in the snow", "a photo of snow"},
    {"a {} in a garden", "a garden"},
    {"a {} on a city street", "a city street"},
    {"a photo of a {} on a wooden table", "a photo of a wooden table"},
    {"a {} in front of a brick wall", "a brick wall"},
    {"a photo of a {} on grass", "a photo of grass"},
    {"a {} beside a lake", "a lake"},
    {"a photo of a {} in a living room", "a photo of a living room"},
    {"a {} under a tree", "a tree"},
    {"a photo of a {} on a red carpet", "a photo of a red carpet"},
    {"a {} in the mountains", "mountains"},
    {"a photo of a {} in a kitchen", "a photo of a kitchen"},
    {"a {} on a bench in a park", "a bench in a park"},
    {"a photo of a {} against a white background", "a photo of a white background"},
    {"a {} against a dark background", "a dark background"},
    {"a close view of a {} by a window", "a close view of a window"},
    {"a {} on a boat", "a boat"},
    {"a painting of a {} in a field of flowers", "a painting of a field of flowers"},
    {"a photo of a {} at sunset", "a photo of a sunset"},
    {"a {} in the rain", "rain"},
    {"a photo of a {} on a staircase", "a photo of a staircase"},
    {"a {} in a desert", "a desert"},
    {"a photo of a {} next to a bicycle", "a photo of a bicycle"},
    {"a {} in a library", "a library"},
};

static const char *const captions[] = {
    "a photo of a {}",
    "a {}",
    "a picture of a small {}",
    "a photo of a large {}",
    "a red {}",
    "a photo of a blue {}",
    "a green {} on a table",
    "a yellow {} on grass",
    "a black {} in the snow",
    "a white {} against a dark background",
    "a photo of a brown {} in a garden",
    "an old {} on a street",
    "a new {} in a shop window",
    "two of them: a {} and another {}",
    "a drawing of a {}",
    "a painting of a {} in bright colours",
    "a photo of a {} on a beach",
    "a {} in front of a wall",
    "a close view of a {}",
    "a {} seen from afar",
    "a blurred photo of a {}",
    "a {} at night",
    "a wooden {}",
    "a toy {}",
    "a photo of a {} in a forest",
    "a grey {} under a tree",
    "a photo of a {} beside a river",
    "an orange {} on a white background",
    "a photo of my {}",
    "the {} of a friend",
};

static const char *const generic[] = {
    "a photo of a mountain at dawn",
    "a portrait of an old man",
    "a woman who reads a book in a cafe",
    "a bowl of fruit on a table",
    "a red car on a road in the hills",
    "a city at night, seen from above",
    "a cat asleep on a chair",
    "a dog in a field",
    "a bird on a branch",
    "a plate of noodles",
    "a watercolour of a harbour",
    "a sailing boat in a storm",
    "a steam train on a bridge",
    "a vase of flowers by a window",
    "a child who flies a kite",
    "an astronaut on the moon",
    "a castle on a cliff",
    "a cup of coffee and a newspaper",
    "a street market with many people",
    "a black and white photo of a staircase",
    "a horse that runs on a beach",
    "a cactus in a clay pot",
    "a guitar against a wall",
    "a football player in the rain",
    "an oil painting of a forest in autumn",
    "a bicycle in front of a shop",
    "a modern kitchen with white walls",
    "a lighthouse at sunset",
    "a map of an island, drawn by hand",
    "a pair of shoes on a doormat",
    "a robot that waters plants",
    "a butterfly on a yellow flower",
    "a bridge in the fog",
    "a loaf of bread and a knife",
    "a shelf full of books",
    "a clock tower",
    "a bottle of wine and two glasses",
    "an empty classroom",
    "a waterfall in a jungle",
    "a snowman in a garden",
};

static const char *const others[] = {"zwx", "ktn", "olis", "xjy", "pll", "hta", "asd", "vrq"};

#define COUNT(a) ((int64_t)(sizeof(a) / sizeof *(a)))

void th_guard_prompts_init(th_guard_prompts *p) {
    *p = (th_guard_prompts){
        .contexts = contexts,
        .context_count = COUNT(contexts),
        .captions = {captions, COUNT(captions)},
        .generic = {generic, COUNT(generic)},
        .others = {others, COUNT(others)},
    };
}

void th_guard_prompts_free(th_guard_prompts *p) {
    th_arena_free(p->arena);
    *p = (th_guard_prompts){0};
}

static th_status make_arena(th_guard_prompts *p) {
    if (!p->arena) p->arena = th_arena_new();
    return p->arena ? TH_OK : th_fail_memory();
}

static th_status want_gap(const char *path, int64_t line, const char *text) {
    if (strstr(text, "{}")) return TH_OK;
    return th_fail(TH_E_INPUT, "%s: text %lld, '%.120s', lacks the {} that stands for the subject", path,
                   (long long)line, text);
}

static th_status take_contexts(th_guard_prompts *p, const th_prompts *file, const char *path) {
    int instead = file->sheet.rows ? th_sheet_column(&file->sheet, "instead") : -1;
    th_guard_context *c = th_arena_alloc(p->arena, (size_t)file->count, sizeof *c);
    if (!c) return th_fail_memory();
    for (int64_t i = 0; i < file->count; i++) {
        TH_TRY(want_gap(path, i + 1, file->items[i]));
        c[i].with = th_arena_strdup(p->arena, file->items[i]);
        if (instead >= 0) c[i].instead = th_arena_strdup(p->arena, th_sheet_cell(&file->sheet, i, instead));
    }
    if (th_arena_failed(p->arena)) return th_fail_memory();
    p->contexts = c;
    p->context_count = file->count;
    return TH_OK;
}

th_status th_guard_prompts_read_contexts(th_guard_prompts *p, const char *path) {
    th_prompts file;
    TH_TRY(make_arena(p));
    TH_TRY(th_prompts_read(path, "context", &file));
    th_status s = take_contexts(p, &file, path);
    th_prompts_free(&file);
    return s;
}

static th_status read_lines(th_guard_prompts *p, const char *path, bool gaps, th_guard_texts *out) {
    th_prompts file;
    TH_TRY(make_arena(p));
    TH_TRY(th_prompts_read(path, "prompt", &file));
    const char **texts = th_arena_alloc(p->arena, (size_t)file.count, sizeof *texts);
    th_status s = texts ? TH_OK : th_fail_memory();
    for (int64_t i = 0; i < file.count && s == TH_OK; i++) {
        texts[i] = th_arena_strdup(p->arena, file.items[i]);
        s = !texts[i] ? th_fail_memory() : gaps ? want_gap(path, i + 1, texts[i]) : TH_OK;
    }
    if (s == TH_OK) *out = (th_guard_texts){texts, file.count};
    th_prompts_free(&file);
    return s;
}

th_status th_guard_prompts_read_captions(th_guard_prompts *p, const char *path) {
    return read_lines(p, path, true, &p->captions);
}

th_status th_guard_prompts_read_generic(th_guard_prompts *p, const char *path) {
    return read_lines(p, path, false, &p->generic);
}
