/* The table of commands, in the order of help. To add one: a file here that defines th_verb_NAME, and its row. */
#include "cli/verb.h"

#define VERBS(X)   \
    X(demo)        \
    X(train)       \
    X(generate)    \
    X(personalize) \
    X(guard)       \
    X(poison)      \
    X(clean)       \
    X(eval)        \
    X(embed)       \
    X(init)        \
    X(inspect)     \
    X(diff)        \
    X(report)      \
    X(bench)       \
    X(doctor)      \
    X(list)        \
    X(completion)  \
    X(man)         \
    X(schema)

#define DECLARED(name) extern const th_verb th_verb_##name;
VERBS(DECLARED)

#define ROW(name) &th_verb_##name,
const th_verb *const th_verbs[] = {VERBS(ROW) NULL};
