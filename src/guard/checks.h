/* What can be said against a guard's words, pictures and model before any work: things that work and are seldom what
 * was meant. Each adds lines to notes, none where all is well. */
#ifndef TH_GUARD_CHECKS_H
#define TH_GUARD_CHECKS_H

#include "base/str.h"
#include "data/dataset.h"
#include "format/tokenizer.h"

/* A class noun of several tokens is no word to the model; the note says which they are. */
th_status th_guard_check_noun(const th_tokenizer *t, const char *noun, th_str *notes);
/* An identifier that is one token from the more frequent half of the vocabulary is a word with a meaning of its own. */
th_status th_guard_check_identifier(const th_tokenizer *t, const char *word, th_str *notes);
/* Fewer than three pictures; pictures whose pixels are the same; pictures that held_out (NULL: none) has too. */
th_status th_guard_check_pictures(th_dataset *protect, th_dataset *held_out, th_str *notes);
/* A model folder that a guard has been put into already; the note names what it protects. */
th_status th_guard_check_model(const char *dir, th_str *notes);

#endif
