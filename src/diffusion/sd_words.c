/* Texts with words that were added to a model: the text is cut at them, and each piece between is tokenized alone, as
 * transformers does with added tokens. */
#include <string.h>
#include <strings.h>

#include "base/memory.h"
#include "diffusion/sd.h"

void th_sd_free_words(th_sd *sd) {
    for (int64_t i = 0; i < sd->word_count; i++) th_free(sd->words[i].text);
    th_free(sd->words);
    sd->words = NULL;
    sd->word_count = 0;
}

static th_status check_word(const th_sd *sd, th_tokenizer_work *w, const char *word) {
    const int32_t *ids;
    int64_t n;
    if (!*word || strpbrk(word, " \t\r\n"))
        return th_fail(TH_E_INPUT, "'%.80s': a new word is one word, without spaces", word);
    for (int64_t i = 0; i < sd->word_count; i++)
        if (!strcasecmp(sd->words[i].text, word)) return th_fail(TH_E_INPUT, "'%.80s': is given twice", word);
    TH_TRY(th_tokenizer_ids(w, word, strlen(word), false, &ids, &n));
    if (n != 1 || ids[0] == th_tokenizer_unk(sd->tokenizer)) return TH_OK;
    return th_fail(TH_E_INPUT, "'%.80s': is a token of the model already; choose another word, such as <%.60s>", word,
                   word);
}

static th_status add_words(th_sd *sd, th_tokenizer_work *w, const char *const *words, const int64_t *rows, int64_t n) {
    int64_t next = th_text_encoder_get_config(sd->text)->vocab_size, first = next;
    for (int64_t i = 0; i < n; i++) {
        TH_TRY(check_word(sd, w, words[i]));
        sd->words[i] = (th_sd_word){.text = th_strdup(words[i]), .first = (int32_t)next, .rows = rows[i]};
        if (!sd->words[i].text) return th_fail_memory();
        sd->word_count++;
        next += rows[i];
    }
    return th_text_encoder_add_tokens(sd->text, next - first);
}

th_status th_sd_add_words(th_sd *sd, const char *const *words, const int64_t *rows, int64_t n) {
    if (sd->words) return th_fail(TH_E_BUG, "words are added to a model once");
    th_tokenizer_work *w = NULL;
    if (!(sd->words = th_alloc((size_t)n, sizeof *sd->words))) return th_fail_memory();
    th_status s = th_tokenizer_work_new(sd->tokenizer, &w);
    if (s == TH_OK) s = add_words(sd, w, words, rows, n);
    th_tokenizer_work_free(w);
    if (s != TH_OK) th_sd_free_words(sd);
    return s;
}

/* The first added word in the text; of those that begin together the longest. NULL: there is none. */
static const th_sd_word *find_word(const th_sd *sd, const char *text, const char **at) {
    const th_sd_word *best = NULL;
    for (int64_t i = 0; i < sd->word_count; i++) {
        const th_sd_word *w = &sd->words[i];
        const char *found = strcasestr(text, w->text);
        if (!found || (best && found > *at)) continue;
        if (best && found == *at && strlen(w->text) < strlen(best->text)) continue;
        best = w;
        *at = found;
    }
    return best;
}

/* Ids of one text under construction: what goes beyond the room is counted only. */
typedef struct {
    int32_t *ids;
    int64_t room, count;
} tail;

static void append(tail *t, int32_t id) {
    if (t->count < t->room) t->ids[t->count] = id;
    t->count++;
}

static th_status append_piece(tail *t, th_tokenizer_work *w, const char *text, size_t length) {
    const int32_t *ids;
    int64_t n;
    if (!length) return TH_OK;
    TH_TRY(th_tokenizer_ids(w, text, length, false, &ids, &n));
    for (int64_t i = 0; i < n; i++) append(t, ids[i]);
    return TH_OK;
}

static th_status encode_with_words(const th_sd *sd, th_tokenizer_work *w, const char *text, tail *t) {
    const char *at = NULL;
    append(t, th_tokenizer_bos(sd->tokenizer));
    for (const th_sd_word *word; (word = find_word(sd, text, &at)); text = at + strlen(word->text)) {
        TH_TRY(append_piece(t, w, text, (size_t)(at - text)));
        for (int64_t i = 0; i < word->rows; i++) append(t, word->first + (int32_t)i);
    }
    TH_TRY(append_piece(t, w, text, strlen(text)));
    append(t, th_tokenizer_eos(sd->tokenizer));
    return TH_OK;
}

th_status th_sd_encode_text(const th_sd *sd, th_tokenizer_work *w, const char *text, int32_t *ids, int64_t *count) {
    int64_t context = th_text_encoder_get_config(sd->text)->context;
    const char *at = NULL;
    tail t = {ids, context, 0};
    if (find_word(sd, text, &at)) {
        TH_TRY(encode_with_words(sd, w, text, &t));
        if (t.count > context) ids[context - 1] = th_tokenizer_eos(sd->tokenizer);
        for (int64_t i = t.count; i < context; i++) ids[i] = th_tokenizer_pad(sd->tokenizer);
    } else {
        const int32_t *all;
        TH_TRY(th_tokenizer_encode(w, text, strlen(text), context, ids, NULL));
        TH_TRY(th_tokenizer_ids(w, text, strlen(text), true, &all, &t.count));
    }
    if (count) *count = t.count;
    return TH_OK;
}
