/* The prompts of a personalisation, as token ids and, where the text encoder stays as it is, as states. */
#include <stdio.h>
#include <string.h>

#include "diffusion/text_states.h"
#include "personalize/personalize_parts.h"

/* Sentences that say of a picture no more than that it shows the word. */
const char *const th_personal_object_templates[] = {
    "a photo of %s",
    "a photo of a %s",
    "a picture of the %s",
    "an image showing a %s",
    "one %s in a photo",
    "a snapshot of my %s",
    "this is a %s",
    "a clear picture of a %s",
    "a close view of the %s",
    "a photo of one %s",
    "the %s, seen up close",
    "a bright picture of the %s",
    "a dim photo of a %s",
    "a small photo of a %s",
    "a large photo of the %s",
    "my %s in a picture",
    "a cropped view of a %s",
    "a plain photo of a %s",
    "a sharp image of the %s",
    "a blurred image of the %s",
    "there is a %s",
    "a rendering of a %s",
    "a good picture of the %s",
    NULL,
};

const char *const th_personal_style_templates[] = {
    "a picture in the style of %s",
    "a painting in the manner of %s",
    "%s style",
    "an image drawn in %s style",
    "a work in the style of %s",
    "a scene painted like %s",
    "a bright picture in %s style",
    "a dark painting in the style of %s",
    "a small drawing in the manner of %s",
    "a detail of a work in %s style",
    "a cropped picture in the style of %s",
    "a rendering in %s style",
    NULL,
};

/* ---- which they are */

static const char *const *templates_of(th_personal *p) {
    const th_setting *s = th_options_find(p->options, "teaches");
    bool style = s && !strcmp(s->value.text, "style");
    return style ? th_personal_style_templates : th_personal_object_templates;
}

static th_status allocate_prompts(th_personal *p, int64_t subject) {
    p->subject_prompts = subject;
    p->prompt_count = subject + (p->p.class_prompt ? 1 : 0);
    p->prompts = th_arena_alloc(p->arena, (size_t)p->prompt_count, sizeof *p->prompts);
    if (!p->prompts) return th_fail_memory();
    if (p->p.class_prompt) p->prompts[subject] = p->p.class_prompt;
    return TH_OK;
}

static th_status list_templates(th_personal *p) {
    const char *const *templates = templates_of(p);
    int64_t n = 0;
    while (templates[n]) n++;
    TH_TRY(allocate_prompts(p, n));
    for (int64_t i = 0; i < n; i++) p->prompts[i] = th_arena_printf(p->arena, templates[i], p->word);
    return th_arena_failed(p->arena) ? th_fail_memory() : TH_OK;
}

static th_status list_prompts(th_personal *p) {
    if (!p->p.prompt && p->word) return list_templates(p);
    if (!p->p.prompt || !*p->p.prompt)
        return th_fail(TH_E_USAGE, "--instance-prompt is wanted: what the pictures show, such as 'a photo of sks bag'");
    if (p->word && !strcasestr(p->p.prompt, p->word))
        return th_fail(TH_E_USAGE, "--instance-prompt '%.120s' lacks the new word %.60s, which would learn nothing",
                       p->p.prompt, p->word);
    TH_TRY(allocate_prompts(p, 1));
    p->prompts[0] = p->p.prompt;
    return TH_OK;
}

th_status th_personal_find_prompts(th_personal *p) {
    th_tokenizer_work *w = NULL;
    TH_TRY(list_prompts(p));
    int64_t tokens = p->shape.tokens;
    if (!(p->ids = th_alloc((size_t)(p->prompt_count * tokens), sizeof *p->ids))) return th_fail_memory();
    TH_TRY(th_tokenizer_work_new(p->sd->tokenizer, &w));
    th_status s = TH_OK;
    for (int64_t i = 0; i < p->prompt_count && s == TH_OK; i++) {
        int64_t count = 0;
        s = th_sd_encode_text(p->sd, w, p->prompts[i], p->ids + i * tokens, &count);
        if (count > tokens) p->cut++;
    }
    th_tokenizer_work_free(w);
    return s;
}

/* ---- what they mean */

/* In f32 whatever the training computes in: they are made once. */
th_status th_personal_read_prompts(th_personal *p) {
    if (p->text_trained || p->states) return TH_OK;
    size_t size = (size_t)(p->prompt_count * th_text_states_size(p->sd));
    if (!(p->states = th_alloc(size, sizeof *p->states))) return th_fail_memory();
    th_status s = th_text_states(p->sd, p->ids, p->prompt_count, p->p.threads, p->states);
    if (s != TH_OK) th_free(p->states), p->states = NULL;
    return s;
}

/* ---- the identifier */

#define WORD_MAX 80

static bool in_text(const char *text, const char *word, size_t n) {
    for (const char *at = text; *at; at += strcspn(at, " ")) {
        at += strspn(at, " ");
        if (strcspn(at, " ") == n && !strncasecmp(at, word, n)) return true;
    }
    return false;
}

/* Articles come and go between the two prompts. */
static bool is_article(const char *word, size_t n) { return in_text("a an the my one", word, n); }

th_status th_personal_identifier(const th_personal *p, char *word, size_t room, int64_t *tokens) {
    th_tokenizer_work *w = NULL;
    const int32_t *ids;
    *tokens = 0;
    if (!p->p.class_prompt || !p->p.prompt || p->word) return TH_OK;
    for (const char *at = p->p.prompt; *at;) {
        at += strspn(at, " ");
        size_t n = strcspn(at, " ");
        if (n && n < room && n < WORD_MAX && !is_article(at, n) && !in_text(p->p.class_prompt, at, n)) {
            snprintf(word, room, "%.*s", (int)n, at);
            TH_TRY(th_tokenizer_work_new(p->sd->tokenizer, &w));
            th_status s = th_tokenizer_ids(w, word, n, false, &ids, tokens);
            th_tokenizer_work_free(w);
            return s;
        }
        at += n;
    }
    return TH_OK;
}
