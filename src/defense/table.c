/* The table of defenses. */
#include <string.h>

#include "defense/defense.h"

extern const th_clip_method th_defense_finetune, th_defense_cleanclip, th_defense_cleanerclip;

const th_clip_method *const th_defenses[] = {
    &th_defense_finetune,
    &th_defense_cleanclip,
    &th_defense_cleanerclip,
    NULL,
};

const th_clip_method *th_defense_find(const char *name) {
    for (int i = 0; th_defenses[i]; i++)
        if (!strcmp(th_defenses[i]->name, name)) return th_defenses[i];
    return NULL;
}
