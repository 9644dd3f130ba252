/* Learning words from captions. */
#include "data/vocabulary.h"

#include <string.h>

#include "format/bpe_train.h"

/* The words of a caption as the model will read them. */
static th_status learn_caption(th_bpe_trainer *b, th_text_cleaning cleaning, const char *text) {
    if (cleaning == TH_CLEAN_NONE) return th_bpe_trainer_add(b, text, strlen(text), 1);
    th_str clean;
    th_str_init(&clean, 1 << 20);
    th_status s = th_text_clean_openai(text, strlen(text), &clean);
    if (s == TH_OK) s = th_bpe_trainer_add(b, th_str_text(&clean), clean.length, 1);
    th_str_free(&clean);
    return s;
}

th_status th_dataset_learn_tokenizer(const th_dataset *d, th_text_cleaning cleaning, int64_t size, int64_t context,
                                     const th_watch *w, th_tokenizer **out) {
    th_bpe_trainer *b = NULL;
    th_bpe_train_params p;
    th_bpe_train_params_init(&p);
    p.vocab_size = size;
    p.max_length = context;
    TH_TRY(th_bpe_trainer_new(&b));
    th_status s = TH_OK;
    for (int64_t i = 0; i < th_dataset_count(d) && s == TH_OK; i++) {
        char room[TH_DATASET_ROOM];
        const char *text = th_dataset_caption(d, i, NULL, room);
        if (text) s = learn_caption(b, cleaning, text);
    }
    if (s == TH_OK) s = th_bpe_trainer_run(b, &p, w, out);
    th_bpe_trainer_free(b);
    return s;
}
