/* theriac eval: one file a kind of thing that is measured. */
#include "cli/verb.h"

#define METHODS(X) \
    X(clip)        \
    X(images)      \
    X(guard)

#define DECLARED(name) extern const th_cli_method th_eval_##name;
METHODS(DECLARED)

#define ROW(name) &th_eval_##name,
static const th_cli_method *const methods[] = {METHODS(ROW) NULL};

static bool method(int64_t i, th_cli_method *out) {
    if (i < 0 || i >= (int64_t)(sizeof methods / sizeof *methods) - 1) return false;
    *out = *methods[i];
    return true;
}

const th_verb th_verb_eval = {
    .name = "eval",
    .summary = "measure a CLIP model, generated pictures, or guarded models",
    .about = "Without a method it is clip that is meant.",
    .method = method,
    .first_is_default = true,
    .computes = true,
};
