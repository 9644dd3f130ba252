/* theriac guard: one file a kind of protection. */
#include "guard/guard.h"
#include "cli/guard/model.h"

/* Beside the methods that change a model, which src/guard lists. */
#define OTHERS(X) X(anti_dreambooth)

#define DECLARED(name) extern const th_cli_method th_guard_cli_##name;
OTHERS(DECLARED)

#define ROW(name) &th_guard_cli_##name,
static const th_cli_method *const others[] = {OTHERS(ROW) NULL};

static bool method(int64_t i, th_cli_method *out) {
    int64_t models = 0;
    while (th_guard_methods[models]) models++;
    if (i < 0) return false;
    if (i < models) return th_cli_guard_model(th_guard_methods[i], out), true;
    for (int64_t k = 0; others[k]; k++)
        if (k == i - models) return *out = *others[k], true;
    return false;
}

const th_verb th_verb_guard = {
    .name = "guard",
    .summary = "protect pictures of a subject from personalisation",
    .about =
        "Guards of models are put into a text-to-image model before it is released: who then personalises it on the "
        "protected pictures gets the protective output instead of the subject. Everything drawn on the way is "
        "kept in the run's folder.",
    .examples =
        "theriac guard persguard --model sd15 --protect my-dog --class dog --mode target --target rabbit -o out/guard\n"
        "theriac guard persguard --model sd15 --subjects subjects.json -o out/guard",
    .method = method,
    .computes = true,
};
