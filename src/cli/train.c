/* theriac train: one file a kind of model. */
#include "cli/verb.h"

#define METHODS(X) \
    X(clip)        \
    X(vae)         \
    X(t2i)

#define DECLARED(name) extern const th_cli_method th_train_##name;
METHODS(DECLARED)

#define ROW(name) &th_train_##name,
static const th_cli_method *const methods[] = {METHODS(ROW) NULL};

static bool method(int64_t i, th_cli_method *out) {
    if (i < 0 || i >= (int64_t)(sizeof methods / sizeof *methods) - 1) return false;
    *out = *methods[i];
    return true;
}

const th_verb th_verb_train = {
    .name = "train",
    .summary = "train a model",
    .examples =
        "theriac train clip --data 'fashion-scenes?split=train&count=1000000' --batch 256 --epochs 1 -o out/clip\n"
        "theriac train vae --data 'fashion-scenes?split=train&side=64&garments=1&count=100000' --batch 8 -o out/vae\n"
        "theriac train t2i --vae out/vae/model --data 'fashion-scenes?split=train&side=64&garments=1&captions=full' "
        "-o out/t2i",
    .method = method,
    .computes = true,
};
