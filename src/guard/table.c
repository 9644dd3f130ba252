/* The guards that change a model. */
#include <string.h>

#include "guard/guard.h"

extern const th_guard_method th_guard_persguard, th_guard_badt2i;

const th_guard_method *const th_guard_methods[] = {&th_guard_persguard, &th_guard_badt2i, NULL};

const th_guard_method *th_guard_find(const char *name) {
    for (int i = 0; th_guard_methods[i]; i++)
        if (!strcmp(th_guard_methods[i]->name, name)) return th_guard_methods[i];
    return NULL;
}
