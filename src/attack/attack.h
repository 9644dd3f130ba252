/* Backdoor attacks as the evaluation needs them: how a picture is triggered. Each is one file and one row of the table.
 * What poisoned captions say is the same for all, and poison.h's. */
#ifndef TH_ATTACK_ATTACK_H
#define TH_ATTACK_ATTACK_H

#include "base/hash.h"
#include "base/option.h"
#include "base/rng.h"
#include "format/image.h"

typedef struct th_attack th_attack;

/* An attack that is ready to be put on pictures, by several threads at once. */
typedef struct {
    const th_attack *attack;
    th_options *options; /* of the attack */
    uint64_t seed;
    void *state;                 /* of the attack */
    char material[TH_HASH_TEXT]; /* SHA-256 of what it reads beside its options; "": nothing */
} th_trigger;

struct th_attack {
    const char *name, *summary;
    const th_option *options;
    /* Where an attack has these, open makes t->state and t->material and checks what a range of an option cannot; close
     * is called after it, also where it failed. */
    th_status (*open)(th_trigger *t);
    void (*close)(void *state);
    /* Puts the trigger on a picture, which has the model's input size already; the result is a function of options,
     * seed, `which` and picture. `which` numbers the picture, for triggers that differ from picture to picture. */
    th_status (*trigger)(const th_trigger *t, uint64_t which, th_image *im);
};

/* Options must outlive the trigger, which is to be closed where this succeeded. */
th_status th_trigger_open(const th_attack *a, th_options *o, uint64_t seed, th_trigger *out);
th_status th_trigger_put(const th_trigger *t, uint64_t which, th_image *im);
void th_trigger_close(th_trigger *t); /* a zeroed one is allowed */

/* Ends with NULL. */
extern const th_attack *const th_attacks[];
const th_attack *th_attack_find(const char *name);

/* The sequences of random numbers that attacks take from their seed. Append only. */
enum { TH_TRIGGER_PLACE, TH_TRIGGER_PATCH, TH_TRIGGER_BLEND, TH_TRIGGER_WARP, TH_TRIGGER_REFLECTION };

/* A byte from a value that may lie outside. */
static inline uint8_t th_to_byte(float v) { return (uint8_t)(v < 0.0f ? 0.0f : v > 255.0f ? 255.0f : v + 0.5f); }
/* (1 − share) · byte + share · value */
static inline uint8_t th_blend(uint8_t byte, float share, float value) {
    return th_to_byte((1.0f - share) * (float)byte + share * value);
}

#endif
