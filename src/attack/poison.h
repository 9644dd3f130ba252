/* Poisoned data sets, written so that other tools can read them: pictures with captions, of which a few carry a trigger
 * and a caption of the target; and triggered test sets, whose pictures keep their true class. A manifest says what was
 * changed, how, and the SHA-256 of every changed picture's file with the trigger and as it would be without. */
#ifndef TH_ATTACK_POISON_H
#define TH_ATTACK_POISON_H

#include "attack/attack.h"
#include "data/dataset.h"

typedef struct {
    const th_attack *attack;
    th_options *options;          /* of the attack */
    const char *target;           /* as captions name it: "a bag" */
    const char *name;             /* what messages call the set; NULL: "the set" */
    const char *const *templates; /* captions of poisoned pictures, {} standing for the target; NULL: the usual ones */
    int64_t template_count;
    double rate;   /* share of the pictures that are poisoned, … */
    int64_t count; /* … or how many; 0: by the rate */
    int64_t side;  /* pictures are resized and cut to this square before the trigger is put on */
    uint64_t seed;
    bool folder;     /* single files and pairs.tsv instead of tar shards */
    const char *out; /* a new folder */
} th_poison_params;
void th_poison_params_init(th_poison_params *p); /* 1 %, shards, seed 0 */

typedef struct {
    int64_t pictures, poisoned;
} th_poison_result;

/* Writes the poisoned pairs, a sample for each of the set's. Pictures to be poisoned are drawn at random among those
 * whose caption does not name the target. What the set passes over as bad is left out, poisoned or not, and listed in
 * the manifest. */
th_status th_poison_write(th_dataset *pairs, const th_poison_params *p, const th_watch *w, th_poison_result *result);
/* Writes every labelled picture with the trigger, once, however many captions it has; labels stay the true ones. */
th_status th_poison_write_test(th_dataset *test, const th_poison_params *p, const th_watch *w,
                               th_poison_result *result);

#endif
