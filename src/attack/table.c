/* The table of attacks, and making them ready. */
#include <string.h>

#include "attack/attack.h"

extern const th_attack th_attack_badnet, th_attack_blended, th_attack_sig, th_attack_wanet, th_attack_refool,
    th_attack_stripes, th_attack_blended_stripes, th_attack_triangles, th_attack_text;

const th_attack *const th_attacks[] = {
    &th_attack_badnet,  &th_attack_blended,         &th_attack_sig,       &th_attack_wanet, &th_attack_refool,
    &th_attack_stripes, &th_attack_blended_stripes, &th_attack_triangles, &th_attack_text,  NULL,
};

const th_attack *th_attack_find(const char *name) {
    for (int i = 0; th_attacks[i]; i++)
        if (!strcmp(th_attacks[i]->name, name)) return th_attacks[i];
    return NULL;
}

th_status th_trigger_open(const th_attack *a, th_options *o, uint64_t seed, th_trigger *out) {
    *out = (th_trigger){.attack = a, .options = o, .seed = seed};
    th_status s = a->open ? a->open(out) : TH_OK;
    if (s != TH_OK) th_trigger_close(out);
    return s;
}

th_status th_trigger_put(const th_trigger *t, uint64_t which, th_image *im) { return t->attack->trigger(t, which, im); }

void th_trigger_close(th_trigger *t) {
    if (t->attack && t->attack->close) t->attack->close(t->state);
    *t = (th_trigger){0};
}
