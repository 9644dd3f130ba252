/* Files of prompts. */
#include "diffusion/prompts.h"

#include <string.h>

#include "base/file.h"
#include "base/memory.h"

#define TEXT_MAX ((size_t)1 << 30)

static th_status take_table(th_prompts *p, const char *path, const char *column) {
    th_sheet_params params;
    int at;
    th_sheet_params_init(&params, path);
    TH_TRY(th_sheet_read(path, &params, &p->sheet));
    TH_TRY(th_fail_in(th_sheet_need(&p->sheet, column, &at), "%s", path));
    p->items = th_alloc((size_t)p->sheet.rows + 1, sizeof *p->items);
    if (!p->items) return th_fail_memory();
    for (int64_t i = 0; i < p->sheet.rows; i++) p->items[p->count++] = th_sheet_cell(&p->sheet, i, at);
    return TH_OK;
}

static th_status take_lines(th_prompts *p, const char *path) {
    th_bytes text;
    int64_t capacity = 0;
    TH_TRY(th_file_read(path, TEXT_MAX, &text));
    p->text = text.data;
    if (strlen(text.data) != text.length) return th_fail(TH_E_INPUT, "%s: is no text: it holds a NUL byte", path);
    char *rest = text.length >= 3 && !memcmp(text.data, "\xef\xbb\xbf", 3) ? text.data + 3 : text.data;
    for (char *line; (line = strsep(&rest, "\r\n"));) {
        if (!line[strspn(line, " \t")]) continue;
        if (!th_grow(p->items, p->count, capacity)) return th_fail_memory();
        p->items[p->count++] = line;
    }
    return TH_OK;
}

th_status th_prompts_read(const char *path, const char *column, th_prompts *out) {
    *out = (th_prompts){0};
    bool table = th_path_ends(path, ".tsv") || th_path_ends(path, ".csv");
    th_status s = table ? take_table(out, path, column) : take_lines(out, path);
    if (s == TH_OK && out->count == 0) s = th_fail(TH_E_INPUT, "%s: holds no prompt", path);
    if (s != TH_OK) th_prompts_free(out);
    return s;
}

void th_prompts_free(th_prompts *p) {
    th_free(p->items);
    th_free(p->text);
    th_sheet_free(&p->sheet);
    *p = (th_prompts){0};
}

static const char spaces[] = " \t\r\n";

/* Where the beginning of the text that fits ends, after a word. */
static th_status find_cut(const th_sd *sd, th_tokenizer_work *w, char *text, int32_t *ids, size_t *at) {
    int64_t context = th_text_encoder_get_config(sd->text)->context, count = 0;
    for (size_t end = 0; text[end]; *at = end) {
        end += strspn(text + end, spaces);
        end += strcspn(text + end, spaces);
        char was = text[end];
        text[end] = '\0';
        th_status s = th_sd_encode_text(sd, w, text, ids, &count);
        text[end] = was;
        TH_TRY(s);
        if (count > context) return TH_OK;
    }
    return TH_OK;
}

th_status th_prompt_cut(const th_sd *sd, const char *text, th_str *cut) {
    th_tokenizer_work *w = NULL;
    size_t at = 0;
    int32_t *ids = th_alloc((size_t)th_text_encoder_get_config(sd->text)->context, sizeof *ids);
    char *copy = th_strdup(text);
    th_status s = ids && copy ? th_tokenizer_work_new(sd->tokenizer, &w) : th_fail_memory();
    if (s == TH_OK) s = find_cut(sd, w, copy, ids, &at);
    if (s == TH_OK && copy[at]) th_str_puts(cut, copy + at + strspn(copy + at, spaces));
    th_tokenizer_work_free(w);
    th_free(ids);
    th_free(copy);
    return s == TH_OK ? th_str_status(cut) : s;
}
