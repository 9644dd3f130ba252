/* The table of attacks. */
#include <string.h>

#include "attack/attack.h"

extern const th_attack th_attack_badnet, th_attack_blended;

const th_attack *const th_attacks[] = {&th_attack_badnet, &th_attack_blended, NULL};

const th_attack *th_attack_find(const char *name) {
    for (int i = 0; th_attacks[i]; i++)
        if (!strcmp(th_attacks[i]->name, name)) return th_attacks[i];
    return NULL;
}
