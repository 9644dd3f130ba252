/* Writing a tokenizer as transformers wants to find it. The same content stands twice, as with its own files: in
 * tokenizer.json, and in vocab.json with merges.txt for older readers. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "format/tokenizer_parts.h"

/* Adds a member or an item and takes its reference. Where memory ran out the result is NULL, and stays so: the writers
 * below check once, at the end. */
static json_t *with(json_t *object, const char *key, json_t *value) {
    if (json_object_set_new(object, key, value) == 0) return object;
    json_decref(object);
    return NULL;
}

static json_t *append(json_t *list, json_t *value) {
    if (json_array_append_new(list, value) == 0) return list;
    json_decref(list);
    return NULL;
}

static json_t *vocab_json(const th_tokenizer *t) {
    json_t *vocab = json_object();
    for (int64_t i = 0; vocab && i < t->size; i++)
        if (t->tokens[i]) vocab = with(vocab, t->tokens[i], json_integer(i));
    return vocab;
}

static th_status save_vocab(const th_tokenizer *t, const char *path) {
    th_str text;
    th_str_init(&text, TH_TOKENIZER_FILE_MAX);
    json_t *vocab = vocab_json(t);
    th_status s = th_json_text(vocab, 0, &text);
    if (s == TH_OK) s = th_file_write(path, text.data, text.length);
    json_decref(vocab);
    th_str_free(&text);
    return s;
}

static th_status save_merges(const th_tokenizer *t, const char *path) {
    th_str text;
    th_str_init(&text, TH_TOKENIZER_FILE_MAX);
    th_str_puts(&text, "#version: 0.2\n");
    for (int64_t i = 0; i < t->n_merges; i++) {
        th_str_puts(&text, t->tokens[t->merge_list[i].left]);
        th_str_puts(&text, " ");
        th_str_puts(&text, t->tokens[t->merge_list[i].right]);
        th_str_puts(&text, "\n");
    }
    th_status s = th_str_status(&text);
    if (s == TH_OK) s = th_file_write(path, text.data, text.length);
    th_str_free(&text);
    return s;
}

/* ["a b", …]: the notation that all versions of the tokenizers library read. */
static json_t *merges_json(const th_tokenizer *t) {
    json_t *merges = json_array();
    for (int64_t i = 0; merges && i < t->n_merges; i++) {
        th_pair p = t->merge_list[i];
        merges = append(merges, json_sprintf("%s %s", t->tokens[p.left], t->tokens[p.right]));
    }
    return merges;
}

static json_t *added_flags(const th_added *a) {
    return json_pack("{s:s, s:b, s:b, s:b, s:b}", "content", a->content, "single_word", a->single_word, "lstrip",
                     a->lstrip, "rstrip", a->rstrip, "normalized", a->normalized);
}

static int by_id(const void *a, const void *b) {
    int32_t x = (*(const th_added *const *)a)->id, y = (*(const th_added *const *)b)->id;
    return (x > y) - (x < y);
}

/* [{"id": …, "content": …, …}, …], by id: that is how the tokenizers library numbers them when it reads them. */
static json_t *added_json(const th_tokenizer *t) {
    const th_added **order = th_alloc((size_t)t->n_added, sizeof *order);
    json_t *list = order ? json_array() : NULL;
    for (int64_t i = 0; order && i < t->n_added; i++) order[i] = &t->added[i];
    if (list && t->n_added) qsort(order, (size_t)t->n_added, sizeof *order, by_id);
    for (int64_t i = 0; list && i < t->n_added; i++) {
        json_t *a = with(added_flags(order[i]), "special", json_boolean(order[i]->special));
        list = append(list, with(a, "id", json_integer(order[i]->id)));
    }
    th_free(order);
    return list;
}

static json_t *normalizer_json(const th_tokenizer *t) {
    static const char *const names[] = {"NFC", "NFD", "NFKC", "NFKD", "Replace", "Lowercase"};
    json_t *list = json_array();
    for (int i = 0; list && i < t->n_normalizers; i++) {
        json_t *step = json_pack("{s:s}", "type", names[t->normalizers[i]]);
        if (t->normalizers[i] == TH_NORMALIZE_SPACE) {
            step = with(step, "pattern", json_pack("{s:s}", "Regex", "\\s+"));
            step = with(step, "content", json_string(" "));
        }
        list = append(list, step);
    }
    return t->n_normalizers ? json_pack("{s:s, s:o}", "type", "Sequence", "normalizers", list)
                            : (json_decref(list), json_null());
}

static json_t *pre_tokenizer_json(const th_tokenizer *t) {
    json_t *byte_level = json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", 0, "trim_offsets",
                                   1, "use_regex", t->byte_level_splits);
    if (!t->split_text) return byte_level;
    json_t *split = json_pack("{s:s, s:{s:s}, s:s, s:b}", "type", "Split", "pattern", "Regex", t->split_text,
                              "behavior", t->split_keeps_gaps ? "Isolated" : "Removed", "invert", !t->split_keeps_gaps);
    return json_pack("{s:s, s:[o, o]}", "type", "Sequence", "pretokenizers", split, byte_level);
}

static json_t *template_ids(const th_tokenizer *t, const int32_t *ids, int n, json_t *list, json_t **known) {
    for (int i = 0; i < n; i++) {
        const char *name = t->tokens[ids[i]];
        list = append(list, json_pack("{s:{s:s, s:i}}", "SpecialToken", "id", name, "type_id", 0));
        *known = with(*known, name, json_pack("{s:s, s:[i], s:[s]}", "id", name, "ids", ids[i], "tokens", name));
    }
    return list;
}

/* CLIP's own form is RobertaProcessing; other numbers of tokens need a template. */
static json_t *post_processor_json(const th_tokenizer *t) {
    if (t->n_prefix == 1 && t->n_suffix == 1)
        return json_pack("{s:s, s:[s, i], s:[s, i], s:b, s:b}", "type", "RobertaProcessing", "sep",
                         t->tokens[t->suffix[0]], t->suffix[0], "cls", t->tokens[t->prefix[0]], t->prefix[0],
                         "trim_offsets", 0, "add_prefix_space", 0);
    json_t *single = json_array(), *known = json_object();
    single = template_ids(t, t->prefix, t->n_prefix, single, &known);
    single = append(single, json_pack("{s:{s:s, s:i}}", "Sequence", "id", "A", "type_id", 0));
    single = template_ids(t, t->suffix, t->n_suffix, single, &known);
    return json_pack("{s:s, s:o, s:[{s:{s:s, s:i}}, {s:{s:s, s:i}}], s:o}", "type", "TemplateProcessing", "single",
                     single, "pair", "Sequence", "id", "A", "type_id", 0, "Sequence", "id", "B", "type_id", 0,
                     "special_tokens", known);
}

static json_t *model_json(const th_tokenizer *t) {
    json_t *m = json_pack("{s:s, s:n, s:s, s:s, s:s, s:b, s:b, s:b}", "type", "BPE", "dropout", "unk_token",
                          t->unk >= 0 ? t->tokens[t->unk] : "", "continuing_subword_prefix", "", "end_of_word_suffix",
                          t->end_suffix, "fuse_unk", t->fuse_unk, "byte_fallback", 0, "ignore_merges", 0);
    m = with(m, "vocab", vocab_json(t));
    return with(m, "merges", merges_json(t));
}

static th_status save_json(const char *path, json_t *value) {
    th_status s = value ? th_json_write(path, value) : th_fail_memory();
    json_decref(value);
    return s;
}

static th_status save_tokenizer(const th_tokenizer *t, const char *path) {
    json_t *j = json_pack("{s:s, s:n, s:n}", "version", "1.0", "truncation", "padding");
    j = with(j, "added_tokens", added_json(t));
    j = with(j, "normalizer", normalizer_json(t));
    j = with(j, "pre_tokenizer", pre_tokenizer_json(t));
    j = with(j, "post_processor", post_processor_json(t));
    j = with(j, "decoder",
             json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", 1, "trim_offsets", 1,
                       "use_regex", 1));
    j = with(j, "model", model_json(t));
    return save_json(path, j);
}

/* Adds the four special tokens, as objects with flags or as plain strings. */
static json_t *add_names(const th_tokenizer *t, json_t *object, bool flags) {
    const struct {
        const char *key;
        int32_t id;
    } rows[] = {{"bos_token", t->bos}, {"eos_token", t->eos}, {"unk_token", t->unk}, {"pad_token", t->pad}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *token = th_tokenizer_token(t, rows[i].id);
        if (!token) continue;
        json_t *value = NULL;
        for (int64_t k = 0; flags && k < t->n_added; k++)
            if (t->added[k].id == rows[i].id) value = added_flags(&t->added[k]);
        object = with(object, rows[i].key, value ? value : json_string(token));
    }
    return object;
}

static th_status save_config(const th_tokenizer *t, const char *path) {
    json_t *decoder = json_object(), *j = json_object();
    for (int64_t i = 0; i < t->n_added; i++) {
        char key[16];
        json_t *flags = with(added_flags(&t->added[i]), "special", json_boolean(t->added[i].special));
        snprintf(key, sizeof key, "%d", t->added[i].id);
        decoder = with(decoder, key, flags);
    }
    j = with(j, "added_tokens_decoder", decoder);
    j = add_names(t, j, false);
    j = with(j, "do_lower_case", json_true());
    j = with(j, "errors", json_string("replace"));
    if (t->max_length) j = with(j, "model_max_length", json_integer(t->max_length));
    j = with(j, "tokenizer_class", json_string("CLIPTokenizer"));
    return save_json(path, j);
}

th_status th_tokenizer_save(const th_tokenizer *t, const char *folder) {
    char path[TH_PATH_MAX];
    TH_TRY(th_make_dirs(folder));
    TH_TRY(th_path_join(path, folder, "vocab.json"));
    TH_TRY(save_vocab(t, path));
    TH_TRY(th_path_join(path, folder, "merges.txt"));
    TH_TRY(save_merges(t, path));
    TH_TRY(th_path_join(path, folder, "tokenizer.json"));
    TH_TRY(save_tokenizer(t, path));
    TH_TRY(th_path_join(path, folder, "special_tokens_map.json"));
    TH_TRY(save_json(path, add_names(t, json_object(), true)));
    TH_TRY(th_path_join(path, folder, "tokenizer_config.json"));
    return save_config(t, path);
}
