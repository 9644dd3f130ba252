/* Inside a tokenizer: what loading fills in and encoding reads. */
#ifndef TH_FORMAT_TOKENIZER_PARTS_H
#define TH_FORMAT_TOKENIZER_PARTS_H

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/map.h"
#include "base/memory.h"
#include "format/bpe.h"
#include "format/json.h"
#include "format/json_scan.h"
#include "format/tokenizer.h"

#define TH_TOKEN_IDS_MAX (1 << 24)
#define TH_ENDS_MAX 8 /* ids that the post-processor puts on either side */
#define TH_NORMALIZERS_MAX 8
#define TH_TOKENIZER_FILE_MAX ((size_t)256 << 20)

typedef enum {
    TH_NORMALIZE_NFC,
    TH_NORMALIZE_NFD,
    TH_NORMALIZE_NFKC,
    TH_NORMALIZE_NFKD,
    TH_NORMALIZE_SPACE, /* \s+ becomes a space */
    TH_NORMALIZE_LOWER,
} th_normalizer;

/* A text that is found before (or, when `normalized`, after) normalisation and becomes one id. */
typedef struct {
    const char *content;
    size_t length;
    const char *pattern; /* what is looked for: the content, normalised if that is asked for */
    size_t pattern_length;
    int32_t id;
    bool single_word, lstrip, rstrip, normalized, special;
} th_added;

struct th_tokenizer {
    th_arena *arena;
    const char **tokens; /* [size]; NULL: no such id */
    int64_t size, cap_tokens;
    th_map *ids; /* token → id */

    th_pair *merge_list; /* in order of rank */
    int64_t n_merges, cap_merges;
    th_merges merges;
    int32_t byte_id[256], byte_end_id[256]; /* a byte's symbol inside a word and at its end; −1: none */
    const char *end_suffix;                 /* "</w>", or "" */
    bool fuse_unk;

    th_added *added;
    int64_t n_added, cap_added;
    bool starts_raw[256], starts_normalized[256]; /* first bytes of the patterns */

    th_normalizer normalizers[TH_NORMALIZERS_MAX];
    int n_normalizers;
    const char *split_text;   /* as the file writes it */
    bool split_keeps_gaps;    /* "Isolated": what the pattern does not match is a word too */
    bool byte_level_splits;   /* ByteLevel's use_regex */
    bool only_special_is_cut; /* ByteLevel leaves words alone that do not begin with '<' */
    pcre2_code *split, *byte_level;

    int32_t prefix[TH_ENDS_MAX], suffix[TH_ENDS_MAX];
    int n_prefix, n_suffix;
    int32_t bos, eos, pad, unk;
    int64_t max_length;
};

/* CLIP's pattern as transformers writes it, and as its newer versions do. */
#define TH_CLIP_SPLIT "'s|'t|'re|'ve|'m|'ll|'d|[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+"
#define TH_CLIP_SPLIT_SPECIAL "<\\|startoftext\\|>|<\\|endoftext\\|>|" TH_CLIP_SPLIT

th_tokenizer *th_tokenizer_new(void);
/* A token of the vocabulary; one that is there already, or an id that is taken, is TH_E_INPUT. */
th_status th_tokenizer_add_token(th_tokenizer *t, const char *file, const char *text, size_t length, int64_t id);
/* The next merge. line is for errors. */
th_status th_tokenizer_add_merge(th_tokenizer *t, const char *file, int64_t line, const char *left, size_t left_length,
                                 const char *right, size_t right_length);
/* An added token; a later one of the same content replaces the earlier. */
th_status th_tokenizer_add_added(th_tokenizer *t, const th_added *a);
/* CLIP's normalisers and splitting, for files that do not say. */
void th_tokenizer_use_clip_steps(th_tokenizer *t);
/* A vocabulary in OpenAI's order: first CLIP's steps and the 512 byte symbols; after the merges the two special tokens,
 * and th_tokenizer_finish. */
th_status th_tokenizer_begin_clip(th_tokenizer *t, const char *file);
th_status th_tokenizer_end_clip(th_tokenizer *t, const char *file, int64_t max_length);
/* After all is filled in: looks up the byte symbols, compiles the patterns, normalises the added tokens. */
th_status th_tokenizer_finish(th_tokenizer *t, const char *file);

/* {"content": …, "lstrip": …}; special holds the default on entry, and a special token is by default not normalised.
 * The content is borrowed from the object. */
th_status th_tokenizer_read_added(const char *file, const json_t *object, th_added *out);
/* Adds the token under this id, to the vocabulary too where that does not have it. */
th_status th_tokenizer_put_added(th_tokenizer *t, const char *file, th_added *a, int64_t id);
/* {token: id} */
th_status th_tokenizer_read_vocab(th_tokenizer *t, th_scan *s);
/* "a b"; line is for errors. */
th_status th_tokenizer_read_merge(th_tokenizer *t, const char *file, int64_t line, const char *text, size_t length);
/* A tokenizer.json: everything but what the special tokens are for. *rest, which the caller frees, holds the file less
 * its vocabulary and merges. */
th_status th_tokenizer_read_json(th_tokenizer *t, const char *name, th_text json, th_json *rest);

/* Appends the normalised text. scratch is emptied. */
th_status th_tokenizer_normalize(const th_tokenizer *t, const char *text, size_t n, th_str *scratch, th_str *out);

#endif
