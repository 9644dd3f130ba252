#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/verb.h"

/* Between two parallel parts libgomp's threads spin for milliseconds before they sleep. That pays where the cores are
 * free, and costs several times the work where somebody else, or a thread that decodes pictures, wants them: measured,
 * a training beside two busy processes takes a quarter of the time with this. libgomp reads the variable when it is
 * loaded, before main, so a command that computes starts itself once more. Who set one of the variables is obeyed. */
static void calm_threads(const char *const *argv) {
    if (getenv("OMP_WAIT_POLICY") || getenv("GOMP_SPINCOUNT")) return;
    if (setenv("GOMP_SPINCOUNT", "10000", 1)) return;
    execv("/proc/self/exe", (char *const *)(uintptr_t)argv);
}

static bool computes(const char *name) {
    for (int i = 0; name && th_verbs[i]; i++)
        if (!strcmp(th_verbs[i]->name, name)) return th_verbs[i]->computes;
    return false;
}

int main(int argc, char **argv) {
    const char *const *words = (const char *const *)argv;
    if (argc > 1 && computes(argv[1])) calm_threads(words);
    return th_cli_main(argc, words);
}
