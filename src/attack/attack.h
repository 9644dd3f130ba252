/* Backdoor attacks as the evaluation needs them: how a picture is triggered. Each is one file and one row of the table.
 * What poisoned captions say is the same for all, and poison.h's. */
#ifndef TH_ATTACK_ATTACK_H
#define TH_ATTACK_ATTACK_H

#include "base/option.h"
#include "base/rng.h"
#include "format/image.h"

typedef struct {
    const char *name, *summary;
    const th_option *options;
    /* Puts the trigger on a picture, which has the model's input size already. seed is the attack's; `which` numbers
     * the picture, for triggers that differ from picture to picture. */
    th_status (*trigger)(th_options *o, uint64_t seed, uint64_t which, th_image *im);
} th_attack;

/* Ends with NULL. */
extern const th_attack *const th_attacks[];
const th_attack *th_attack_find(const char *name);

/* A byte from a value that may lie outside. */
static inline uint8_t th_to_byte(float v) { return (uint8_t)(v < 0.0f ? 0.0f : v > 255.0f ? 255.0f : v + 0.5f); }

#endif
