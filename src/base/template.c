/* Filling the gap of a text. */
#include "base/template.h"

#include <string.h>

char *th_template_fill(th_arena *arena, const char *form, const char *phrase) {
    const char *gap = strstr(form, "{}");
    if (!gap) return th_arena_strdup(arena, form);
    int64_t n = gap - form;
    bool article = n >= 2 && gap[-1] == ' ' && (gap[-2] == 'a' || gap[-2] == 'A') && (n == 2 || gap[-3] == ' ');
    bool an = article && *phrase && strchr("aeiouAEIOU", *phrase);
    return th_arena_printf(arena, "%.*s%s%s%s", (int)(an ? n - 1 : n), form, an ? "n " : "", phrase, gap + 2);
}
