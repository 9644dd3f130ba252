/* CLIP's tokenizer: byte-level BPE, ids as transformers' CLIPTokenizerFast gives them. Known differences: characters
 * that Unicode assigned after the installed PCRE2 and utf8proc (14 and 15 on Debian 12) count as neither letters nor
 * digits and keep their case; and combining marks that are younger than the tables of Hugging Face's normaliser (about
 * Unicode 9) are put in canonical order here, and not there. */
#ifndef TH_FORMAT_TOKENIZER_H
#define TH_FORMAT_TOKENIZER_H

#include "format/text_clean.h"

/* Read-only once loaded, so that threads may share it. */
typedef struct th_tokenizer th_tokenizer;

/* path: a tokenizer.json, a merge list as OpenAI ships it (….txt.gz or ….txt), or a folder. In a folder these are
 * tried: tokenizer.json; vocab.json with merges.txt; bpe_simple_vocab_16e6.txt.gz. Beside them tokenizer_config.json,
 * special_tokens_map.json and added_tokens.json are read where they exist. OpenAI's list pads with 0, as its authors
 * do.
 */
th_status th_tokenizer_load(const char *path, th_tokenizer **out);
/* The texts of the files instead of the files: tokenizer.json, or vocab.json and merges.txt; config is the text of
 * tokenizer_config.json, or NULL. */
typedef struct {
    const char *text;
    size_t length;
} th_text;
th_status th_tokenizer_parse(const char *name, th_text json, const th_text *config, th_tokenizer **out);
th_status th_tokenizer_parse_pair(const char *name, th_text vocab, th_text merges, const th_text *config,
                                  th_tokenizer **out);
void th_tokenizer_free(th_tokenizer *t);

/* One more than the largest id. */
int64_t th_tokenizer_size(const th_tokenizer *t);
/* Special tokens' ids; −1 where there is none. */
int32_t th_tokenizer_bos(const th_tokenizer *t);
int32_t th_tokenizer_eos(const th_tokenizer *t);
int32_t th_tokenizer_pad(const th_tokenizer *t);
int32_t th_tokenizer_unk(const th_tokenizer *t);
/* Pads with this token from here on; one that is not in the vocabulary is TH_E_INPUT. */
th_status th_tokenizer_set_pad(th_tokenizer *t, const char *token);
/* model_max_length, or 0 where the files set none (or write a huge number, which means the same). */
int64_t th_tokenizer_max_length(const th_tokenizer *t);
/* The id of a token as vocab.json writes it ("cat</w>"), or −1. */
int32_t th_tokenizer_id(const th_tokenizer *t, const char *token);
/* The token of an id, or NULL. */
const char *th_tokenizer_token(const th_tokenizer *t, int32_t id);

/* Scratch and the cache of words of one thread. The tokenizer must outlive it. */
typedef struct th_tokenizer_work th_tokenizer_work;
th_status th_tokenizer_work_new(const th_tokenizer *t, th_tokenizer_work **out);
void th_tokenizer_work_free(th_tokenizer_work *w);
/* Texts are cleaned before all else from here on; at first they are not. */
void th_tokenizer_work_clean(th_tokenizer_work *w, th_text_cleaning how);

/* Ids of the text between bos and eos, cut to max_length (eos stays the last one) and padded to it with pad.
 * ids: [max_length]; *count (may be NULL): ids before the padding. The text need not end in NUL, may hold NULs, and
 * where it is not UTF-8 it is read as with Python's errors="replace". Special tokens written out in the text become
 * their ids. */
th_status th_tokenizer_encode(th_tokenizer_work *w, const char *text, size_t length, int64_t max_length, int32_t *ids,
                              int64_t *count);
/* The same without limit and padding; *ids stays valid until the next call with w. with_ends: bos and eos too. */
th_status th_tokenizer_ids(th_tokenizer_work *w, const char *text, size_t length, bool with_ends, const int32_t **ids,
                           int64_t *count);
/* The words that training counts: the text normalised and cut up, before merging. visit gets each word's bytes. */
typedef th_status (*th_word_fn)(void *user, const char *word, size_t length);
th_status th_tokenizer_words(th_tokenizer_work *w, const char *text, size_t length, th_word_fn visit, void *user);

/* Appends readable text: </w> becomes a space, both ends are stripped, skip_special leaves out special tokens. Ids that
 * do not exist are TH_E_INPUT. */
th_status th_tokenizer_decode(const th_tokenizer *t, const int32_t *ids, int64_t n, bool skip_special, th_str *out);

/* Writes vocab.json, merges.txt, tokenizer.json, tokenizer_config.json and special_tokens_map.json. */
th_status th_tokenizer_save(const th_tokenizer *t, const char *folder);

#endif
