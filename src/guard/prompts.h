/* The texts that pictures are drawn by before a model is guarded: contexts of a subject, captions of its class, and
 * everything else. Those built in are for models of photographs. */
#ifndef TH_GUARD_PROMPTS_H
#define TH_GUARD_PROMPTS_H

#include "base/memory.h"
#include "guard/guard.h"

/* {} stands for the subject with its article. instead: the same scene without it. */
typedef struct {
    const char *with, *instead;
} th_guard_context;

typedef struct {
    const th_guard_context *contexts;
    int64_t context_count;
    th_guard_texts captions; /* "a red {} in the snow": of the class with attributes */
    th_guard_texts generic;  /* of other things */
    th_guard_texts others;   /* identifiers that must stay what they are */
    th_arena *arena;         /* of what came from files */
} th_guard_prompts;

/* Those built in. */
void th_guard_prompts_init(th_guard_prompts *p);
void th_guard_prompts_free(th_guard_prompts *p);
/* A table with the columns "context" and "instead"; the second may be missing, and is needed for erasure only. */
th_status th_guard_prompts_read_contexts(th_guard_prompts *p, const char *path);
/* Files with a text on each line; captions have a {}. */
th_status th_guard_prompts_read_captions(th_guard_prompts *p, const char *path);
th_status th_guard_prompts_read_generic(th_guard_prompts *p, const char *path);

#endif
