/* Reading tokenizers: which files there are, vocab.json with merges.txt, OpenAI's merge list, and the small files that
 * say which tokens are special. */
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#include "base/file.h"
#include "format/json.h"
#include "format/tokenizer_parts.h"
#include "format/unicode.h"

#define MAX_LENGTH_MAX 1000000000 /* above: no limit is meant (transformers writes 1e30) */
#define OPENAI_MERGES 48894       /* 49,408 tokens less 512 byte symbols and 2 special ones */
#define OPENAI_LENGTH 77

/* What the files say of the special tokens; content NULL: nothing. */
typedef struct {
    th_added bos, eos, unk, pad;
    int64_t max_length;
} specials;

/* The files of a tokenizer, in memory: tokenizer.json, or vocab.json and merges.txt. Absent small files have a NULL
 * root.
 */
typedef struct {
    const char *name, *merges_name;
    bool is_tokenizer;
    th_text main, merges;
    th_json config, map, added;
} sources;

/* tokenizer_config.json: {"49406": {"content": …}, …} */
static th_status read_added_decoder(th_tokenizer *t, const char *file, json_t *decoder) {
    const char *key;
    json_t *entry;
    json_object_foreach(decoder, key, entry) {
        th_added a = {0};
        TH_TRY(th_tokenizer_read_added(file, entry, &a));
        int64_t id = 0;
        size_t digits = strspn(key, "0123456789");
        if (!digits || key[digits] || digits > 9)
            return th_fail(TH_E_INPUT, "%s: field 'added_tokens_decoder' has the key '%.40s', an id is wanted", file,
                           key);
        for (size_t i = 0; i < digits; i++) id = id * 10 + (key[i] - '0');
        TH_TRY(th_tokenizer_put_added(t, file, &a, id));
    }
    return TH_OK;
}

/* "bos_token": "<|startoftext|>", or an object. */
static th_status read_named(th_tokenizer *t, const th_json *j, const char *field, th_added *out) {
    const json_t *v = json_object_get(j->root, field);
    if (!v || json_is_null(v)) return TH_OK;
    th_added a = {.special = true};
    if (json_is_string(v)) {
        a.content = json_string_value(v);
        a.length = json_string_length(v);
    } else if (json_is_object(v)) {
        TH_TRY(th_tokenizer_read_added(j->file, v, &a));
        a.special = true;
    } else {
        return th_json_fail(j, field, "a string or an object with 'content'");
    }
    a.content = th_arena_copy(t->arena, a.content, a.length + 1);
    if (!a.content) return th_fail_memory();
    *out = a;
    return TH_OK;
}

static th_status read_all_named(th_tokenizer *t, const th_json *j, specials *s) {
    TH_TRY(read_named(t, j, "bos_token", &s->bos));
    TH_TRY(read_named(t, j, "eos_token", &s->eos));
    TH_TRY(read_named(t, j, "unk_token", &s->unk));
    return read_named(t, j, "pad_token", &s->pad);
}

static th_status read_config(th_tokenizer *t, const th_json *j, specials *s) {
    double length = 0;
    TH_TRY(read_all_named(t, j, s));
    TH_TRY(th_json_double(j, "model_max_length", &length));
    if (!(length >= 0)) return th_json_fail(j, "model_max_length", "a number not below zero");
    s->max_length = length <= MAX_LENGTH_MAX ? (int64_t)length : 0;
    json_t *decoder = NULL;
    TH_TRY(th_json_object(j, "added_tokens_decoder", &decoder));
    return decoder ? read_added_decoder(t, j->file, decoder) : TH_OK;
}

static bool same_text(const th_added *a, const char *text) { return a->content && !strcmp(a->content, text); }

/* added_tokens.json: {token: id} */
static th_status read_added_map(th_tokenizer *t, const th_json *j, const specials *s) {
    const char *token;
    size_t length;
    json_t *id;
    json_object_keylen_foreach(j->root, token, length, id) {
        if (!json_is_integer(id)) return th_json_fail(j, token, "an integer, the token's id");
        bool special = same_text(&s->bos, token) || same_text(&s->eos, token) || same_text(&s->unk, token) ||
                       same_text(&s->pad, token);
        th_added a = {.content = token, .length = length, .special = special, .normalized = !special};
        TH_TRY(th_tokenizer_put_added(t, j->file, &a, json_integer_value(id)));
    }
    return TH_OK;
}

static void set_default(th_added *a, const char *content) {
    if (!a->content) *a = (th_added){.content = content, .length = strlen(content), .special = true};
}

/* The id of a special token, which becomes an added token unless it is one by now. */
static th_status place(th_tokenizer *t, const char *file, th_added *a, int32_t *id) {
    int64_t known = th_map_get(t->ids, a->content, a->length, -1);
    char shown[TH_SHOWN_MAX];
    if (known < 0)
        return th_fail(TH_E_INPUT, "%s: the special token '%s' is not in the vocabulary", file,
                       th_shown(shown, a->content, a->length));
    *id = a->id = (int32_t)known;
    for (int64_t i = 0; i < t->n_added; i++)
        if (t->added[i].id == known) return TH_OK;
    return th_tokenizer_add_added(t, a);
}

static th_status place_specials(th_tokenizer *t, const char *file, specials *s) {
    set_default(&s->bos, "<|startoftext|>");
    set_default(&s->eos, "<|endoftext|>");
    set_default(&s->unk, "<|endoftext|>");
    set_default(&s->pad, "<|endoftext|>");
    TH_TRY(place(t, file, &s->bos, &t->bos));
    TH_TRY(place(t, file, &s->eos, &t->eos));
    TH_TRY(place(t, file, &s->unk, &t->unk));
    TH_TRY(place(t, file, &s->pad, &t->pad));
    t->max_length = s->max_length;
    return TH_OK;
}

typedef th_status (*line_fn)(void *user, int64_t number, const char *line, size_t length);

/* Lines end in \n or \r\n; one that is empty at the very end is none. */
static th_status each_line(const char *text, size_t n, line_fn visit, void *user) {
    int64_t number = 1;
    for (size_t from = 0; from < n; number++) {
        const char *end = memchr(text + from, '\n', n - from);
        size_t length = end ? (size_t)(end - text) - from : n - from, next = from + length + 1;
        if (length && text[from + length - 1] == '\r') length--;
        TH_TRY(visit(user, number, text + from, length));
        from = next;
    }
    return TH_OK;
}

typedef struct {
    th_tokenizer *t;
    const char *file;
} merge_reader;

static th_status read_merge_line(void *user, int64_t number, const char *line, size_t length) {
    merge_reader *r = user;
    if (length >= 8 && !memcmp(line, "#version", 8)) return TH_OK;
    return th_tokenizer_read_merge(r->t, r->file, number, line, length);
}

/* What the model calls unknown, and the first and last of the post-processor's tokens, where no other file says. */
static th_status default_names(th_tokenizer *t, const th_json *j, specials *s) {
    const char *unk = NULL;
    TH_TRY(th_json_string(j, "model.unk_token", &unk));
    if (unk) set_default(&s->unk, unk);
    if (t->n_prefix) set_default(&s->bos, t->tokens[t->prefix[0]]);
    if (t->n_suffix) set_default(&s->eos, t->tokens[t->suffix[t->n_suffix - 1]]);
    return TH_OK;
}

static th_status from_pair(th_tokenizer *t, const sources *from) {
    merge_reader reader = {t, from->merges_name};
    th_scan s;
    th_scan_init(&s, from->name, from->main.text, from->main.length);
    th_tokenizer_use_clip_steps(t);
    th_status status = th_tokenizer_read_vocab(t, &s);
    if (status == TH_OK) status = th_scan_end(&s);
    if (status == TH_OK) status = each_line(from->merges.text, from->merges.length, read_merge_line, &reader);
    th_scan_free(&s);
    return status;
}

static th_status read_specials(th_tokenizer *t, const sources *from, specials *s) {
    if (from->config.root) TH_TRY(read_config(t, &from->config, s));
    /* Older folders spread it over more files; where the config lists the tokens, transformers reads no other. */
    if (from->config.root && th_json_has(&from->config, "added_tokens_decoder")) return TH_OK;
    if (from->map.root) TH_TRY(read_all_named(t, &from->map, s));
    return from->added.root ? read_added_map(t, &from->added, s) : TH_OK;
}

static th_status build(th_tokenizer *t, const sources *from, th_json *rest) {
    specials s = {0};
    TH_TRY(from->is_tokenizer ? th_tokenizer_read_json(t, from->name, from->main, rest) : from_pair(t, from));
    TH_TRY(read_specials(t, from, &s));
    if (from->is_tokenizer) TH_TRY(default_names(t, rest, &s));
    TH_TRY(place_specials(t, from->name, &s));
    if (!from->is_tokenizer) {
        t->prefix[t->n_prefix++] = t->bos;
        t->suffix[t->n_suffix++] = t->eos;
    }
    return th_tokenizer_finish(t, from->name);
}

static th_status build_new(const sources *from, th_tokenizer **out) {
    th_tokenizer *t = th_tokenizer_new();
    if (!t) return th_fail_memory();
    th_json rest = {0};
    th_status status = build(t, from, &rest);
    th_json_free(&rest);
    if (status == TH_OK)
        *out = t;
    else
        th_tokenizer_free(t);
    return status;
}

static void free_sources(sources *s) {
    th_json_free(&s->config);
    th_json_free(&s->map);
    th_json_free(&s->added);
}

static th_status parse(sources *from, const th_text *config, th_tokenizer **out) {
    *out = NULL;
    th_status status = config ? th_json_parse(from->name, config->text, config->length, &from->config) : TH_OK;
    if (status == TH_OK) status = build_new(from, out);
    free_sources(from);
    return status;
}

th_status th_tokenizer_parse(const char *name, th_text json, const th_text *config, th_tokenizer **out) {
    return parse(&(sources){.name = name, .is_tokenizer = true, .main = json}, config, out);
}

th_status th_tokenizer_parse_pair(const char *name, th_text vocab, th_text merges, const th_text *config,
                                  th_tokenizer **out) {
    return parse(&(sources){.name = name, .main = vocab, .merges_name = name, .merges = merges}, config, out);
}

/* Reads a file of the folder where it exists. */
static th_status load_beside(const char *folder, const char *name, th_json *out) {
    char path[TH_PATH_MAX];
    TH_TRY(th_path_join(path, folder, name));
    return th_path_exists(path) ? th_json_load(path, TH_TOKENIZER_FILE_MAX, out) : TH_OK;
}

/* main: tokenizer.json or vocab.json; folder: where merges.txt and the small files are. */
static th_status load_files(const char *main, bool is_tokenizer, const char *folder, th_tokenizer **out) {
    sources from = {.name = main, .is_tokenizer = is_tokenizer};
    th_bytes text = {0}, merges = {0};
    char merges_path[TH_PATH_MAX];
    th_status status;
    TH_GO(th_file_read(main, TH_TOKENIZER_FILE_MAX, &text));
    from.main = (th_text){text.data, text.length};
    if (!is_tokenizer) {
        TH_GO(th_path_join(merges_path, folder, "merges.txt"));
        TH_GO(th_file_read(merges_path, TH_TOKENIZER_FILE_MAX, &merges));
        from.merges_name = merges_path;
        from.merges = (th_text){merges.data, merges.length};
    }
    TH_GO(load_beside(folder, "tokenizer_config.json", &from.config));
    TH_GO(load_beside(folder, "special_tokens_map.json", &from.map));
    TH_GO(load_beside(folder, "added_tokens.json", &from.added));
    status = build_new(&from, out);
done:
    th_free(text.data);
    th_free(merges.data);
    free_sources(&from);
    return status;
}

/* A gzip file's text, or a plain one's. */
static th_status read_gzip(const char *path, th_str *out) {
    if (!th_path_exists(path)) return th_fail(TH_E_IO, "%s: cannot open it: no such file", path);
    if (th_path_is_dir(path)) return th_fail(TH_E_INPUT, "%s: is a folder, a file is wanted", path);
    gzFile f = gzopen(path, "rbe");
    if (!f) return th_fail_errno(path, "open it");
    char block[65536];
    int n;
    while ((n = gzread(f, block, sizeof block)) > 0 && th_str_status(out) == TH_OK) th_str_add(out, block, (size_t)n);
    th_status status = th_str_status(out);
    if (status != TH_OK) {
        th_fail_in(status, "%s", path);
    } else if (n < 0 || gzclose_r(f) != Z_OK) {
        status = th_fail(TH_E_INPUT, "%s: its gzip data is damaged or cut short", path);
        if (n >= 0) return status;
    } else {
        return TH_OK;
    }
    gzclose_r(f);
    return status;
}

th_status th_tokenizer_begin_clip(th_tokenizer *t, const char *file) {
    th_tokenizer_use_clip_steps(t);
    for (int i = 0; i < 512; i++) {
        char text[8];
        size_t n = th_utf8_put(text, th_byte_to_char(th_clip_byte(i % 256)));
        if (i >= 256) memcpy(text + n, "</w>", 4);
        TH_TRY(th_tokenizer_add_token(t, file, text, i < 256 ? n : n + 4, i));
    }
    return TH_OK;
}

th_status th_tokenizer_end_clip(th_tokenizer *t, const char *file, int64_t max_length) {
    specials s = {.max_length = max_length};
    TH_TRY(th_tokenizer_add_token(t, file, "<|startoftext|>", 15, t->size));
    TH_TRY(th_tokenizer_add_token(t, file, "<|endoftext|>", 13, t->size));
    TH_TRY(place_specials(t, file, &s));
    t->prefix[t->n_prefix++] = t->bos;
    t->suffix[t->n_suffix++] = t->eos;
    return th_tokenizer_finish(t, file);
}

/* The first line says the version; of the rest CLIP takes the first 48,894. */
static th_status read_openai_line(void *user, int64_t number, const char *line, size_t length) {
    merge_reader *r = user;
    if (number == 1 || r->t->n_merges == OPENAI_MERGES) return TH_OK;
    const char *space = memchr(line, ' ', length);
    char joined[512];
    if (space && length <= sizeof joined) {
        size_t left = (size_t)(space - line), right = length - left - 1;
        memcpy(joined, line, left);
        memcpy(joined + left, space + 1, right);
        TH_TRY(th_tokenizer_add_token(r->t, r->file, joined, left + right, r->t->size));
    }
    return th_tokenizer_read_merge(r->t, r->file, number, line, length);
}

static th_status from_openai(th_tokenizer *t, const char *path) {
    merge_reader reader = {t, path};
    th_str text;
    th_status status;
    th_str_init(&text, TH_TOKENIZER_FILE_MAX);
    TH_GO(read_gzip(path, &text));
    TH_GO(th_tokenizer_begin_clip(t, path));
    TH_GO(each_line(th_str_text(&text), text.length, read_openai_line, &reader));
    if (!t->n_merges) TH_GO(th_fail(TH_E_INPUT, "%s: holds no merges", path));
    TH_GO(th_tokenizer_end_clip(t, path, OPENAI_LENGTH));
    t->pad = 0;
done:
    th_str_free(&text);
    return status;
}

static th_status load_openai(const char *path, th_tokenizer **out) {
    th_tokenizer *t = th_tokenizer_new();
    if (!t) return th_fail_memory();
    th_status status = from_openai(t, path);
    if (status == TH_OK)
        *out = t;
    else
        th_tokenizer_free(t);
    return status;
}

static bool is_in(const char *folder, const char *name, char path[TH_PATH_MAX]) {
    return th_path_join(path, folder, name) == TH_OK && th_path_exists(path);
}

/* The small files beside a tokenizer.json named by its path count as they do when the folder is named. */
static th_status load_beside_others(const char *path, th_tokenizer **out) {
    char folder[TH_PATH_MAX];
    TH_TRY(th_path_join(folder, path, "")); /* checks the length */
    size_t n = (size_t)(th_path_base(path) - path);
    memcpy(folder + n, n ? "" : ".", n ? 1 : 2);
    return load_files(path, true, folder, out);
}

th_status th_tokenizer_load(const char *path, th_tokenizer **out) {
    char found[TH_PATH_MAX];
    *out = NULL;
    if (th_path_ends(path, ".gz") || th_path_ends(path, ".txt")) return load_openai(path, out);
    if (!th_path_is_dir(path)) return load_beside_others(path, out);
    if (is_in(path, "tokenizer.json", found)) return load_files(found, true, path, out);
    if (is_in(path, "vocab.json", found)) return load_files(found, false, path, out);
    if (is_in(path, "bpe_simple_vocab_16e6.txt.gz", found)) return load_openai(found, out);
    return th_fail(TH_E_INPUT, "%s: holds neither tokenizer.json nor vocab.json with merges.txt", path);
}
