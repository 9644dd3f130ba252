/* tokenizer.json, as Hugging Face's tokenizers library writes it, for the parts that CLIP uses. A part that would
 * change the ids and is not known is refused by name. */
#include <stdio.h>
#include <string.h>

#include "format/json.h"
#include "format/tokenizer_parts.h"

static th_status read_flag(const char *file, const json_t *object, const char *field, bool *value) {
    const json_t *v = json_object_get(object, field);
    if (!v) return TH_OK;
    if (!json_is_boolean(v))
        return th_fail(TH_E_INPUT, "%s: field '%s' of an added token should be true or false", file, field);
    *value = json_is_true(v);
    return TH_OK;
}

/* {"content": …, "lstrip": …}. `special` holds the default on entry; a special token is by default not normalised. */
th_status th_tokenizer_read_added(const char *file, const json_t *object, th_added *out) {
    const json_t *content = json_object_get(object, "content");
    if (!json_is_string(content))
        return th_fail(TH_E_INPUT, "%s: an added token should be an object with a string 'content'", file);
    out->content = json_string_value(content);
    out->length = json_string_length(content);
    TH_TRY(read_flag(file, object, "special", &out->special));
    out->normalized = !out->special;
    TH_TRY(read_flag(file, object, "normalized", &out->normalized));
    TH_TRY(read_flag(file, object, "lstrip", &out->lstrip));
    TH_TRY(read_flag(file, object, "rstrip", &out->rstrip));
    return read_flag(file, object, "single_word", &out->single_word);
}

/* Adds the token under this id, to the vocabulary too where that does not have it. */
th_status th_tokenizer_put_added(th_tokenizer *t, const char *file, th_added *a, int64_t id) {
    int64_t known = th_map_get(t->ids, a->content, a->length, -1);
    if (known < 0) {
        TH_TRY(th_tokenizer_add_token(t, file, a->content, a->length, id));
    } else if (known != id) {
        char shown[TH_SHOWN_MAX];
        return th_fail(TH_E_INPUT, "%s: added token '%s' has the id %lld, the vocabulary gives it %lld", file,
                       th_shown(shown, a->content, a->length), (long long)id, (long long)known);
    }
    a->id = (int32_t)id;
    return th_tokenizer_add_added(t, a);
}

/* tokenizer.json: [{"id": 49406, "content": …}, …] */
static th_status read_added_list(th_tokenizer *t, const char *file, const json_t *list) {
    size_t i;
    json_t *entry;
    json_array_foreach(list, i, entry) {
        th_added a = {0};
        TH_TRY(th_tokenizer_read_added(file, entry, &a));
        const json_t *id = json_object_get(entry, "id");
        if (!json_is_integer(id))
            return th_fail(TH_E_INPUT, "%s: added_tokens[%zu] should have an integer 'id'", file, i);
        TH_TRY(th_tokenizer_put_added(t, file, &a, json_integer_value(id)));
    }
    return TH_OK;
}

th_status th_tokenizer_read_vocab(th_tokenizer *t, th_scan *s) {
    bool more;
    TH_TRY(th_scan_expect(s, '{'));
    for (int64_t n = 0;;) {
        const char *token;
        size_t length;
        int64_t id;
        TH_TRY(th_scan_next(s, '}', &n, &more));
        if (!more) return TH_OK;
        TH_TRY(th_scan_key(s, &token, &length));
        TH_TRY(th_scan_int(s, &id));
        TH_TRY(th_tokenizer_add_token(t, s->name, token, length, id));
    }
}

/* "a b" */
th_status th_tokenizer_read_merge(th_tokenizer *t, const char *file, int64_t line, const char *text, size_t length) {
    const char *space = memchr(text, ' ', length);
    size_t left = space ? (size_t)(space - text) : 0, right = space ? length - left - 1 : 0;
    if (!left || !right || memchr(space + 1, ' ', right)) {
        char shown[TH_SHOWN_MAX];
        return th_fail(TH_E_INPUT, "%s: merge %lld is '%s', two tokens with a space between are wanted", file,
                       (long long)line, th_shown(shown, text, length));
    }
    return th_tokenizer_add_merge(t, file, line, text, left, space + 1, right);
}

/* ["a", "b"], behind the bracket. The first string is copied: the second may use the same memory. */
static th_status read_merge_pair(th_tokenizer *t, th_scan *s, int64_t number, th_str *left) {
    const char *text;
    size_t length;
    TH_TRY(th_scan_string(s, &text, &length));
    th_str_clear(left);
    th_str_add(left, text, length);
    TH_TRY(th_str_status(left));
    TH_TRY(th_scan_expect(s, ','));
    TH_TRY(th_scan_string(s, &text, &length));
    TH_TRY(th_scan_expect(s, ']'));
    return th_tokenizer_add_merge(t, s->name, number, th_str_text(left), left->length, text, length);
}

static th_status read_merges(th_tokenizer *t, th_scan *s, th_str *left) {
    bool more;
    TH_TRY(th_scan_expect(s, '['));
    for (int64_t n = 0;;) {
        const char *text;
        size_t length;
        TH_TRY(th_scan_next(s, ']', &n, &more));
        if (!more) return TH_OK;
        if (th_scan_take(s, '[')) {
            TH_TRY(read_merge_pair(t, s, n, left));
        } else {
            TH_TRY(th_scan_string(s, &text, &length));
            TH_TRY(th_tokenizer_read_merge(t, s->name, n, text, length));
        }
    }
}

static th_status unsupported(const th_json *j, const char *part, const char *type) {
    char shown[TH_SHOWN_MAX];
    return th_fail(TH_E_INPUT, "%s: %s: '%s' is not supported", j->file, part,
                   type ? th_shown(shown, type, strlen(type)) : "?");
}

static const char *type_of(const json_t *v) { return json_string_value(json_object_get(v, "type")); }

static bool is(const char *type, const char *name) { return type && !strcmp(type, name); }

static th_status read_replace(const th_json *j, const json_t *v, th_normalizer *step) {
    const char *regex = json_string_value(json_object_get(json_object_get(v, "pattern"), "Regex"));
    const char *content = json_string_value(json_object_get(v, "content"));
    if (!regex || strcmp(regex, "\\s+") != 0 || !content || strcmp(content, " ") != 0)
        return th_fail(TH_E_INPUT, "%s: normalizer: Replace is supported for \\s+ by one space only", j->file);
    *step = TH_NORMALIZE_SPACE;
    return TH_OK;
}

static th_status read_normalizer(th_tokenizer *t, const th_json *j, const json_t *v, int depth) {
    if (!v || json_is_null(v)) return TH_OK;
    const char *type = type_of(v);
    if (is(type, "Sequence")) {
        size_t i;
        json_t *item;
        if (depth > 4) return unsupported(j, "normalizer", "Sequence in Sequence in Sequence");
        json_array_foreach(json_object_get(v, "normalizers"), i, item) TH_TRY(read_normalizer(t, j, item, depth + 1));
        return TH_OK;
    }
    th_normalizer step = TH_NORMALIZE_NFC;
    if (is(type, "NFD"))
        step = TH_NORMALIZE_NFD;
    else if (is(type, "NFKC"))
        step = TH_NORMALIZE_NFKC;
    else if (is(type, "NFKD"))
        step = TH_NORMALIZE_NFKD;
    else if (is(type, "Lowercase"))
        step = TH_NORMALIZE_LOWER;
    else if (is(type, "Replace"))
        TH_TRY(read_replace(j, v, &step));
    else if (!is(type, "NFC"))
        return unsupported(j, "normalizer", type);
    if (t->n_normalizers == TH_NORMALIZERS_MAX)
        return th_fail(TH_E_INPUT, "%s: normalizer: more than %d steps", j->file, TH_NORMALIZERS_MAX);
    t->normalizers[t->n_normalizers++] = step;
    return TH_OK;
}

static th_status read_split(th_tokenizer *t, const th_json *j, const json_t *v) {
    const char *regex = json_string_value(json_object_get(json_object_get(v, "pattern"), "Regex"));
    const char *behavior = json_string_value(json_object_get(v, "behavior"));
    bool invert = json_is_true(json_object_get(v, "invert"));
    if (!regex) return th_fail(TH_E_INPUT, "%s: pre_tokenizer: Split should have a pattern with a Regex", j->file);
    if (t->split_text) return unsupported(j, "pre_tokenizer", "Split twice");
    if (!is(behavior, "Isolated") && !(is(behavior, "Removed") && invert))
        return unsupported(j, "pre_tokenizer: Split with the behavior", behavior);
    t->split_keeps_gaps = is(behavior, "Isolated");
    t->split_text = th_arena_strdup(t->arena, regex);
    return t->split_text ? TH_OK : th_fail_memory();
}

/* ByteLevel must be there, and last: what it makes is what the vocabulary is written in. */
static th_status read_pre_tokenizer(th_tokenizer *t, const th_json *j, const json_t *v, bool *byte_level) {
    const char *type = type_of(v);
    if (is(type, "Sequence")) {
        size_t i;
        json_t *item;
        json_array_foreach(json_object_get(v, "pretokenizers"), i, item) {
            if (is(type_of(item), "Sequence")) return unsupported(j, "pre_tokenizer", "Sequence in Sequence");
            TH_TRY(read_pre_tokenizer(t, j, item, byte_level));
        }
        return TH_OK;
    }
    if (*byte_level) return unsupported(j, "pre_tokenizer after ByteLevel", type);
    if (is(type, "Split")) return read_split(t, j, v);
    if (!is(type, "ByteLevel")) return unsupported(j, "pre_tokenizer", type);
    if (json_is_true(json_object_get(v, "add_prefix_space")))
        return unsupported(j, "pre_tokenizer: ByteLevel", "add_prefix_space");
    const json_t *use_regex = json_object_get(v, "use_regex");
    t->byte_level_splits = !use_regex || json_is_true(use_regex);
    *byte_level = true;
    return TH_OK;
}

static th_status push_end(const th_json *j, int32_t *ends, int *n, int64_t id, const th_tokenizer *t) {
    if (*n == TH_ENDS_MAX)
        return th_fail(TH_E_INPUT, "%s: post_processor: more than %d tokens on one side", j->file, TH_ENDS_MAX);
    if (id < 0 || id >= t->size || !t->tokens[id])
        return th_fail(TH_E_INPUT, "%s: post_processor: its id %lld is not in the vocabulary", j->file, (long long)id);
    ends[(*n)++] = (int32_t)id;
    return TH_OK;
}

/* {"sep": ["<|endoftext|>", 49407], "cls": ["<|startoftext|>", 49406]} */
static th_status read_roberta(th_tokenizer *t, const th_json *j, const json_t *v) {
    const json_t *cls = json_array_get(json_object_get(v, "cls"), 1);
    const json_t *sep = json_array_get(json_object_get(v, "sep"), 1);
    if (!json_is_integer(cls) || !json_is_integer(sep))
        return th_fail(TH_E_INPUT, "%s: post_processor: 'cls' and 'sep' should be [token, id]", j->file);
    TH_TRY(push_end(j, t->prefix, &t->n_prefix, json_integer_value(cls), t));
    return push_end(j, t->suffix, &t->n_suffix, json_integer_value(sep), t);
}

/* {"single": [{"SpecialToken": {"id": name}}, {"Sequence": …}, …], "special_tokens": {name: {"ids": […]}}} */
static th_status read_template(th_tokenizer *t, const th_json *j, const json_t *v) {
    size_t i, k;
    json_t *item, *id;
    bool behind = false;
    json_array_foreach(json_object_get(v, "single"), i, item) {
        if (json_object_get(item, "Sequence")) {
            if (behind) return unsupported(j, "post_processor", "two Sequences in a single template");
            behind = true;
            continue;
        }
        const char *name = json_string_value(json_object_get(json_object_get(item, "SpecialToken"), "id"));
        json_t *ids = name ? json_object_get(json_object_get(json_object_get(v, "special_tokens"), name), "ids") : NULL;
        if (!json_is_array(ids))
            return th_fail(TH_E_INPUT, "%s: post_processor: a special token of the template is not described", j->file);
        json_array_foreach(ids, k, id) {
            json_int_t value = json_is_integer(id) ? json_integer_value(id) : -1;
            TH_TRY(behind ? push_end(j, t->suffix, &t->n_suffix, value, t)
                          : push_end(j, t->prefix, &t->n_prefix, value, t));
        }
    }
    return TH_OK;
}

static th_status read_post_processor(th_tokenizer *t, const th_json *j, const json_t *v, int depth) {
    const char *type = type_of(v);
    if (!v || json_is_null(v) || is(type, "ByteLevel")) return TH_OK;
    if (is(type, "RobertaProcessing")) return read_roberta(t, j, v);
    if (is(type, "TemplateProcessing")) return read_template(t, j, v);
    if (!is(type, "Sequence") || depth > 4) return unsupported(j, "post_processor", type);
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(v, "processors"), i, item) TH_TRY(read_post_processor(t, j, item, depth + 1));
    return TH_OK;
}

static th_status read_model(th_tokenizer *t, const th_json *j) {
    const char *type = "BPE", *prefix = "", *suffix = "";
    double dropout = 0;
    bool byte_fallback = false, ignore_merges = false;
    TH_TRY(th_json_string(j, "model.type", &type));
    if (!is(type, "BPE")) return unsupported(j, "model", type);
    TH_TRY(th_json_double(j, "model.dropout", &dropout));
    TH_TRY(th_json_string(j, "model.continuing_subword_prefix", &prefix));
    TH_TRY(th_json_string(j, "model.end_of_word_suffix", &suffix));
    TH_TRY(th_json_bool(j, "model.byte_fallback", &byte_fallback));
    TH_TRY(th_json_bool(j, "model.ignore_merges", &ignore_merges));
    TH_TRY(th_json_bool(j, "model.fuse_unk", &t->fuse_unk));
    if (dropout != 0) return unsupported(j, "model", "dropout");
    if (*prefix) return unsupported(j, "model", "continuing_subword_prefix");
    if (byte_fallback) return unsupported(j, "model", "byte_fallback");
    if (ignore_merges) return unsupported(j, "model", "ignore_merges");
    if (strlen(suffix) > 32) return th_json_fail(j, "model.end_of_word_suffix", "at most 32 bytes long");
    t->end_suffix = th_arena_strdup(t->arena, suffix);
    return t->end_suffix ? TH_OK : th_fail_memory();
}

/* Where the two large members lie in the text; text NULL: absent. */
typedef struct {
    th_text vocab, merges;
} large;

static bool same(const char *text, size_t length, const char *name) {
    return length == strlen(name) && !memcmp(text, name, length);
}

static th_status find_in_model(th_scan *s, large *found) {
    bool more;
    for (int64_t n = 0;;) {
        const char *key;
        size_t length;
        TH_TRY(th_scan_next(s, '}', &n, &more));
        if (!more) return TH_OK;
        TH_TRY(th_scan_key(s, &key, &length));
        th_text *member = same(key, length, "vocab")    ? &found->vocab
                          : same(key, length, "merges") ? &found->merges
                                                        : NULL;
        const char *from = s->at;
        TH_TRY(th_scan_skip(s));
        if (member && member->text) return th_scan_fail(s, "the model has 'vocab' or 'merges' twice");
        if (member) *member = (th_text){from, (size_t)(s->at - from)};
    }
}

static th_status find_large(th_scan *s, large *found) {
    bool more;
    TH_TRY(th_scan_expect(s, '{'));
    for (int64_t n = 0;;) {
        const char *key;
        size_t length;
        TH_TRY(th_scan_next(s, '}', &n, &more));
        if (!more) return th_scan_end(s);
        TH_TRY(th_scan_key(s, &key, &length));
        TH_TRY(same(key, length, "model") && th_scan_take(s, '{') ? find_in_model(s, found) : th_scan_skip(s));
    }
}

/* Appends the text up to `part` and then null and the part's line ends, so that errors after it name the right line. */
static const char *leave_out(const char *from, const th_text *part, th_str *out) {
    if (!part->text) return from;
    th_str_add(out, from, (size_t)(part->text - from));
    th_str_puts(out, "null");
    for (size_t i = 0; i < part->length; i++)
        if (part->text[i] == '\n') th_str_puts(out, "\n");
    return part->text + part->length;
}

static th_status parse_rest(const th_scan *s, const large *found, th_json *out) {
    th_str rest;
    th_str_init(&rest, TH_TOKENIZER_FILE_MAX);
    bool swapped = found->merges.text && found->merges.text < found->vocab.text;
    const char *at = leave_out(s->text, swapped ? &found->merges : &found->vocab, &rest);
    at = leave_out(at, swapped ? &found->vocab : &found->merges, &rest);
    th_str_add(&rest, at, (size_t)(s->end - at));
    th_status status = th_str_status(&rest);
    if (status == TH_OK) status = th_json_parse(s->name, th_str_text(&rest), rest.length, out);
    th_str_free(&rest);
    return status;
}

static th_status read_large(th_tokenizer *t, th_scan *s, const large *found) {
    th_str left;
    th_str_init(&left, 1 << 20);
    if (!found->vocab.text) return th_fail(TH_E_INPUT, "%s: field 'model.vocab' is missing", s->name);
    if (!found->merges.text) return th_fail(TH_E_INPUT, "%s: field 'model.merges' is missing", s->name);
    s->at = found->vocab.text;
    TH_TRY(th_tokenizer_read_vocab(t, s));
    s->at = found->merges.text;
    th_status status = read_merges(t, s, &left);
    th_str_free(&left);
    return status;
}

static th_status read_steps(th_tokenizer *t, const th_json *j) {
    bool byte_level = false;
    TH_TRY(read_normalizer(t, j, json_object_get(j->root, "normalizer"), 0));
    TH_TRY(th_json_require(j, "pre_tokenizer"));
    TH_TRY(read_pre_tokenizer(t, j, json_object_get(j->root, "pre_tokenizer"), &byte_level));
    if (!byte_level) return th_fail(TH_E_INPUT, "%s: pre_tokenizer: ByteLevel is missing", j->file);
    return read_post_processor(t, j, json_object_get(j->root, "post_processor"), 0);
}

static th_status read_all(th_tokenizer *t, th_scan *s, th_json *rest) {
    large found = {0};
    json_t *added = NULL;
    TH_TRY(find_large(s, &found));
    TH_TRY(parse_rest(s, &found, rest));
    TH_TRY(read_model(t, rest));
    TH_TRY(read_large(t, s, &found));
    TH_TRY(th_json_array(rest, "added_tokens", &added));
    if (added) TH_TRY(read_added_list(t, s->name, added));
    return read_steps(t, rest);
}

th_status th_tokenizer_read_json(th_tokenizer *t, const char *name, th_text json, th_json *rest) {
    th_scan s;
    th_scan_init(&s, name, json.text, json.length);
    th_status status = read_all(t, &s, rest);
    th_scan_free(&s);
    return status;
}
